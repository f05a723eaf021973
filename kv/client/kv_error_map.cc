#include "kv/client/kv_error_map.h"

#include <string>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"

namespace insula::kv {
namespace {

absl::Status Retry(const v1::Error::TxnRetry& retry, const std::string& message) {
  switch (retry.reason()) {
    case v1::Error::TxnRetry::WRITE_TOO_OLD:
      return PgErrorBuilder(sqlstate::kSerializationFailure, "could not serialize access due to concurrent update").Detail(message).Build();
    case v1::Error::TxnRetry::READ_REFRESH_FAILED:
    case v1::Error::TxnRetry::PUSHED:
      return PgErrorBuilder(sqlstate::kSerializationFailure, "could not serialize access due to read/write dependencies among transactions")
          .Detail(message)
          .Hint("The transaction might succeed if retried.")
          .Build();
    default:
      return PgErrorBuilder(sqlstate::kSerializationFailure, "the transaction must be retried").Detail(message).Build();
  }
}

}  // namespace

absl::Status ToPgStatus(const v1::Error& error) {
  switch (error.detail_case()) {
    case v1::Error::kTxnRetry:
      return Retry(error.txn_retry(), error.message());
    case v1::Error::kUncertainty:
      return PgErrorBuilder(sqlstate::kSerializationFailure, "could not serialize access due to read/write dependencies among transactions")
          .Detail(error.message())
          .Hint("The transaction might succeed if retried.")
          .Build();
    case v1::Error::kTxnAborted:
      return PgErrorBuilder(sqlstate::kSerializationFailure, "the transaction was aborted and must be retried").Detail(error.message()).Build();
    case v1::Error::kAmbiguous:
      // Uncommitted work: nothing of it will ever be seen, whatever became of this batch.
      return PgErrorBuilder(sqlstate::kSerializationFailure, "the transaction must be retried").Detail(error.message()).Build();
    case v1::Error::kDeadlock:
      return PgErrorBuilder(sqlstate::kDeadlockDetected, "deadlock detected").Hint("The transaction might succeed if retried.").Build();
    case v1::Error::kLockConflict:
      return PgError(sqlstate::kLockNotAvailable, error.lock_conflict().timed_out() ? "canceling statement due to lock timeout" : "could not obtain lock on row");
    case v1::Error::kFull:
      return PgErrorBuilder(sqlstate::kDiskFull, "could not write: no space left on the store's disk").Detail(error.message()).Build();
    case v1::Error::kTooOld:
      return PgErrorBuilder(sqlstate::kSerializationFailure, "snapshot too old")
          .Detail(StrCat("The transaction began before the time for which old versions are kept: ", error.message()))
          .Hint("The transaction might succeed if retried.")
          .Build();
    case v1::Error::kUnavailable:
    case v1::Error::kNotLeaseholder:
    case v1::Error::kRangeMismatch:
      return PgErrorBuilder(sqlstate::kConnectionFailure, "the storage layer cannot be reached").Detail(error.message()).Build();
    case v1::Error::kStaleGeneration:
      return PgErrorBuilder(sqlstate::kAdminShutdown, "terminating connection: this server has been replaced by a newer one").Severity("FATAL").Build();
    case v1::Error::kUnauthorized:
      return PgError(sqlstate::kInsufficientPrivilege, "permission denied by the storage layer");
    case v1::Error::kInvalid:
      return PgErrorBuilder(sqlstate::kInternalError, "the storage layer refused a request").Detail(error.message()).Build();
    case v1::Error::kConditionFailed:
      return PgErrorBuilder(sqlstate::kSerializationFailure, "could not serialize access due to concurrent update").Detail(error.message()).Build();
    case v1::Error::DETAIL_NOT_SET:
      return PgErrorBuilder(sqlstate::kInternalError, "internal error of the storage layer").Detail(error.message()).Build();
  }
  return PgError(sqlstate::kInternalError, "an error of no known kind");
}

}  // namespace insula::kv
