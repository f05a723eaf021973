#include "kv/store/inspect/read_only_files.h"

#include "base/strings.h"

namespace insula::kv {

absl::Status ReadOnlyFiles::Truncate(const std::string& path, uint64_t size) {
  cuts_[path] = size;
  return absl::OkStatus();
}

absl::Status ReadOnlyFiles::No(const std::string& path) { return absl::FailedPreconditionError(StrCat(path, " is looked at only: nothing is written")); }

}  // namespace insula::kv
