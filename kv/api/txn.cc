#include "kv/api/txn.h"

#include <utility>

#include "absl/strings/cord.h"

namespace insula::kv {
namespace {
constexpr char kStatementRetry[] = "insula.kv.retry_statement";
}

bool IsStatementRetry(const absl::Status& status) { return !status.ok() && status.GetPayload(kStatementRetry).has_value(); }

absl::Status MarkStatementRetry(absl::Status status) {
  status.SetPayload(kStatementRetry, absl::Cord("1"));
  return status;
}

}  // namespace insula::kv
