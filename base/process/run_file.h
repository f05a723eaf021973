// Run files: DIR/run/ROLE-ID.json, one per process of a local cluster, written by whoever starts it.
//
// They let `insula status`, `down` and a restarted supervisor or operator find processes again. The start time makes sure
// that a pid that was used again is not taken for ours.
#ifndef INSULA_BASE_PROCESS_RUN_FILE_H_
#define INSULA_BASE_PROCESS_RUN_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace insula {

struct RunFile {
  std::string role;  // kv, operator, proxy, sql, supervisor
  std::string id;
  uint64_t tenant = 0;
  uint64_t generation = 0;
  int pid = 0;
  uint64_t start_time = 0;  // ProcessStartTime(pid)
  std::string address;
  std::string http;
  std::string control;  // gRPC endpoint of a SQL pod
  std::string state;  // starting, ready, prewarmed, draining, dead

  // True if that very process still runs.
  bool Alive() const;
};

// Writes or replaces `folder`/ROLE-ID.json atomically (0600).
absl::Status WriteRunFile(const std::string& folder, const RunFile& file);
absl::Status RemoveRunFile(const std::string& folder, const std::string& role, const std::string& id);
// All run files of a folder, by role and id. Files that do not parse are an error that names them.
absl::StatusOr<std::vector<RunFile>> ReadRunFiles(const std::string& folder);

}  // namespace insula

#endif  // INSULA_BASE_PROCESS_RUN_FILE_H_
