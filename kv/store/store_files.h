// The files of a store besides its engines: whose it is, and who has it open.
//
//   DIR/LOCK    held while a process uses the store
//   DIR/STORE   text: format, cluster, node, store, members; written last by Init, so a store without it is not initialised
//   DIR/log/    the log engine
//   DIR/state/  the state engine
#ifndef INSULA_KV_STORE_STORE_FILES_H_
#define INSULA_KV_STORE_STORE_FILES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/files.h"
#include "kv/keys/keys.h"

namespace insula::kv {

inline constexpr int kStoreFormat = 1;

struct StoreMember {
  uint64_t node_id = 0;
  StoreId store_id = 0;
  bool operator==(const StoreMember&) const = default;
};

// What identifies a store, for good.
struct StoreIdent {
  std::string cluster_id;
  uint64_t node_id = 0;
  StoreId store_id = 0;
  std::vector<StoreMember> members;  // of the cluster when it was founded, by store id

  bool operator==(const StoreIdent&) const = default;
};

std::string StoreFile(const std::string& dir);
std::string StoreLogDir(const std::string& dir);
std::string StoreStateDir(const std::string& dir);
std::string StoreLockFile(const std::string& dir);

std::string EncodeStoreIdent(const StoreIdent& ident);
// kDataLoss: damaged. kFailedPrecondition: another program's, or a newer format.
absl::StatusOr<StoreIdent> DecodeStoreIdent(std::string_view text);
// kFailedPrecondition with what to do when there is no store in `dir`.
absl::StatusOr<StoreIdent> ReadStoreIdent(FileSystem& files, const std::string& dir);

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_STORE_FILES_H_
