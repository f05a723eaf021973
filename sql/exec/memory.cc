#include "sql/exec/memory.h"

#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"

namespace insula::sql {

absl::Status MemoryAccount::Grow(size_t bytes) {
  if (bytes > limit_ - std::min(used_, limit_)) {
    return PgErrorBuilder(sqlstate::kOutOfMemory, "out of memory")
        .Detail(StrCat("The statement holds ", used_, " bytes and asked for ", bytes, " more; its limit is ", limit_, "."))
        .Build();
  }
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  return absl::OkStatus();
}

}  // namespace insula::sql
