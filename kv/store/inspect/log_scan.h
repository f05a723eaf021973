// Every byte of a log's segment files against its checksum, also behind the first damage, where the log engine gives up.
//
//   flaw     | what it means
//   ---------+---------------------------------------------------------------------------------------------------------
//   torn     | the last write before a crash: normal, the next start cuts it
//   payload  | one record of a range is damaged; the range's other records are not
//   header   | what lies between two frames, or behind a record, cannot be read: it is not known whose that was
#ifndef INSULA_KV_STORE_INSPECT_LOG_SCAN_H_
#define INSULA_KV_STORE_INSPECT_LOG_SCAN_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/files.h"
#include "kv/multiraft/log_record.h"

namespace insula::kv {

struct LogFlaw {
  enum class Kind { kTorn, kPayload, kHeader };
  Kind kind = Kind::kHeader;
  std::string path;
  uint64_t offset = 0;
  uint64_t bytes = 0;   // that cannot be read; 0: the file itself is at fault
  RecordHeader record;  // kPayload: of which
  std::string what;     // kHeader
};

struct LogScan {
  uint64_t segments = 0;
  uint64_t bytes = 0;
  uint64_t frames = 0;
  uint64_t records = 0;
  std::vector<LogFlaw> flaws;  // in order of files and offsets
};

// `dir` is the log's folder. `cuts`, by path: where the log engine cuts what does not count, if it could read the log at all (null: it could
// not; then what follows the last sound frame is taken for torn).
absl::StatusOr<LogScan> ScanLog(FileSystem& files, const std::string& dir, uint64_t store_id, const std::map<std::string, uint64_t>* cuts);

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_INSPECT_LOG_SCAN_H_
