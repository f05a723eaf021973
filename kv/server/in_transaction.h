// Runs `body` in a serializable transaction, again while it must be retried. For the system's own small tables.
#ifndef INSULA_KV_SERVER_IN_TRANSACTION_H_
#define INSULA_KV_SERVER_IN_TRANSACTION_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "kv/api/txn.h"

namespace insula::kv {

inline bool MustRetryTransaction(const absl::Status& status) {
  std::string state = ToPgError(status).sqlstate;
  return IsPgError(status) && (state == sqlstate::kSerializationFailure || state == sqlstate::kDeadlockDetected);
}

// The result of `body`, once it is committed; or its error, after a rollback.
template <typename T>
Task<absl::StatusOr<T>> InTransaction(Database* database, const Context& ctx, std::function<Task<absl::StatusOr<T>>(Txn&)> body) {
  constexpr int kMaxTries = 20;
  absl::Status last;
  for (int i = 0; i < kMaxTries; ++i) {
    auto txn = database->Begin({.isolation = Isolation::kSerializable});
    absl::StatusOr<T> result = co_await body(*txn);
    if (result.ok()) {
      last = co_await txn->Commit(ctx);
      if (last.ok()) co_return result;
    } else {
      last = result.status();
      CO_RETURN_IF_ERROR(co_await txn->Rollback(ctx));
    }
    if (!MustRetryTransaction(last)) co_return last;
  }
  co_return last;
}

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_IN_TRANSACTION_H_
