#include "kv/api/error.h"

#include <string>
#include <vector>

#include "absl/strings/cord.h"
#include "base/strings.h"

namespace insula::kv {
namespace {

constexpr char kPayload[] = "insula.kv.v1.Error";

absl::StatusCode CodeOf(const v1::Error& error) {
  switch (error.detail_case()) {
    case v1::Error::kNotLeaseholder:
    case v1::Error::kUnavailable:
      return absl::StatusCode::kUnavailable;
    case v1::Error::kRangeMismatch:
    case v1::Error::kTooOld:
      return absl::StatusCode::kOutOfRange;
    case v1::Error::kTxnRetry:
    case v1::Error::kTxnAborted:
    case v1::Error::kUncertainty:
    case v1::Error::kDeadlock:
    case v1::Error::kLockConflict:
      return absl::StatusCode::kAborted;
    case v1::Error::kConditionFailed:
      return absl::StatusCode::kFailedPrecondition;
    case v1::Error::kAmbiguous:
      return absl::StatusCode::kUnknown;
    case v1::Error::kUnauthorized:
    case v1::Error::kStaleGeneration:
      return absl::StatusCode::kPermissionDenied;
    case v1::Error::kInvalid:
      return absl::StatusCode::kInvalidArgument;
    case v1::Error::kFull:
      return absl::StatusCode::kResourceExhausted;
    case v1::Error::DETAIL_NOT_SET:
      return absl::StatusCode::kInternal;
  }
  return absl::StatusCode::kInternal;
}

v1::Error NewError(std::string_view message) {
  v1::Error error;
  error.set_message(std::string(message));
  error.set_request_index(-1);
  return error;
}

}  // namespace

absl::Status FromKvError(const v1::Error& error) {
  absl::Status status(CodeOf(error), error.message());
  status.SetPayload(kPayload, absl::Cord(error.SerializeAsString()));
  return status;
}

std::optional<v1::Error> GetKvError(const absl::Status& status) {
  if (status.ok()) return std::nullopt;
  auto payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return std::nullopt;
  v1::Error error;
  if (!error.ParseFromString(std::string(*payload))) return std::nullopt;
  return error;
}

v1::Error ToKvError(const absl::Status& status, bool ambiguous) {
  if (auto error = GetKvError(status)) return *error;
  v1::Error error = NewError(Sv(status.message()));
  if (ambiguous) {
    error.mutable_ambiguous();
    return error;
  }
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      error.mutable_invalid();
      break;
    case absl::StatusCode::kPermissionDenied:
      error.mutable_unauthorized();
      break;
    case absl::StatusCode::kResourceExhausted:
      error.mutable_full();
      break;
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnavailable:
      error.mutable_unavailable();
      break;
    default:
      break;  // no detail: an internal error, nothing to retry
  }
  return error;
}

absl::Status NotLeaseholderError(uint64_t node, std::string_view address) {
  v1::Error error = NewError(node == 0 ? std::string("not the leaseholder; who is it is not known")
                                       : StrCat("not the leaseholder; node ", node, " may be"));
  error.mutable_not_leaseholder()->set_leaseholder_node(node);
  error.mutable_not_leaseholder()->set_leaseholder_address(std::string(address));
  return FromKvError(error);
}

absl::Status RangeMismatchError(const std::vector<v1::RangeDescriptor>& current, std::string_view message) {
  v1::Error error = NewError(message);
  error.mutable_range_mismatch();
  for (const auto& range : current) *error.mutable_range_mismatch()->add_current() = range;
  return FromKvError(error);
}

absl::Status TxnRetryError(v1::Error::TxnRetry::Reason reason, Timestamp retry_ts, std::string_view key, std::string_view message) {
  v1::Error error = NewError(message);
  auto* retry = error.mutable_txn_retry();
  retry->set_reason(reason);
  retry->set_retry_ts(retry_ts.bits);
  retry->set_conflicting_key(std::string(key));
  return FromKvError(error);
}

absl::Status TxnAbortedError(std::string_view reason) {
  v1::Error error = NewError(StrCat("transaction aborted: ", reason));
  error.mutable_txn_aborted()->set_reason(std::string(reason));
  return FromKvError(error);
}

absl::Status LockConflictError(std::string_view key, bool timed_out) {
  v1::Error error = NewError(timed_out ? "lock timeout" : "the key is locked");
  error.mutable_lock_conflict()->set_key(std::string(key));
  error.mutable_lock_conflict()->set_timed_out(timed_out);
  return FromKvError(error);
}

absl::Status ConditionFailedError(std::string_view key, const std::optional<std::string_view>& actual) {
  v1::Error error = NewError("the key holds another value than expected");
  error.mutable_condition_failed()->set_key(std::string(key));
  if (actual) error.mutable_condition_failed()->set_actual(std::string(*actual));
  return FromKvError(error);
}

absl::Status AmbiguousError(std::string_view message) {
  v1::Error error = NewError(message);
  error.mutable_ambiguous();
  return FromKvError(error);
}

absl::Status InvalidError(std::string_view message) {
  v1::Error error = NewError(message);
  error.mutable_invalid();
  return FromKvError(error);
}

absl::Status UnavailableKvError(std::string_view message, Duration retry_after) {
  v1::Error error = NewError(message);
  error.mutable_unavailable()->set_retry_after_us(std::chrono::duration_cast<std::chrono::microseconds>(retry_after).count());
  return FromKvError(error);
}

absl::Status UncertaintyError(Timestamp value_ts, Timestamp local_limit) {
  v1::Error error = NewError(StrCat("a value at ", value_ts.ToString(), " may have been written before the read began"));
  error.mutable_uncertainty()->set_value_ts(value_ts.bits);
  error.mutable_uncertainty()->set_local_limit(local_limit.bits);
  return FromKvError(error);
}

absl::Status TooOldError(Timestamp threshold) {
  v1::Error error = NewError(StrCat("the timestamp is below the garbage collection threshold ", threshold.ToString()));
  error.mutable_too_old()->set_threshold(threshold.bits);
  return FromKvError(error);
}

absl::Status DeadlockError() {
  v1::Error error = NewError("deadlock detected");
  error.mutable_deadlock();
  return FromKvError(error);
}

absl::Status FullError(std::string_view message) {
  v1::Error error = NewError(message);
  error.mutable_full();
  return FromKvError(error);
}

absl::Status WithRequestIndex(const absl::Status& status, int index) {
  auto error = GetKvError(status);
  if (!error || error->request_index() >= 0) return status;
  error->set_request_index(index);
  return FromKvError(*error);
}

}  // namespace insula::kv
