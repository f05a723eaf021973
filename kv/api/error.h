// KV errors as absl::Status inside a process: the protobuf Error (proto/kv/api.proto) rides as the payload.
//
//   return TxnRetryError(v1::Error::TxnRetry::WRITE_TOO_OLD, newer, key);
//   ...
//   if (auto error = GetKvError(status); error && error->has_txn_retry()) …
//
// A node turns a Status into the Error of its answer with ToKvError; the sender turns it back with FromKvError.
#ifndef INSULA_KV_API_ERROR_H_
#define INSULA_KV_API_ERROR_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/hlc/hlc.h"
#include "base/runtime/time.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// The Status that carries `error`.
absl::Status FromKvError(const v1::Error& error);
// The Error inside `status`, if it carries one.
std::optional<v1::Error> GetKvError(const absl::Status& status);
// What a node answers for `status`: its payload, or the nearest kind for a plain code (kCancelled and kDeadlineExceeded become
// Unavailable for reads and Ambiguous for writes whose fate is open; the caller says which by `ambiguous`).
v1::Error ToKvError(const absl::Status& status, bool ambiguous = false);

absl::Status NotLeaseholderError(uint64_t node, std::string_view address);
absl::Status RangeMismatchError(const std::vector<v1::RangeDescriptor>& current, std::string_view message);
absl::Status TxnRetryError(v1::Error::TxnRetry::Reason reason, Timestamp retry_ts, std::string_view key, std::string_view message);
absl::Status TxnAbortedError(std::string_view reason);
absl::Status LockConflictError(std::string_view key, bool timed_out);
absl::Status ConditionFailedError(std::string_view key, const std::optional<std::string_view>& actual);
absl::Status AmbiguousError(std::string_view message);
absl::Status InvalidError(std::string_view message);
absl::Status UnavailableKvError(std::string_view message, Duration retry_after = Duration::zero());
absl::Status UncertaintyError(Timestamp value_ts, Timestamp local_limit);
absl::Status TooOldError(Timestamp threshold);
absl::Status DeadlockError();
absl::Status FullError(std::string_view message);
// The same error, of request `index` of the batch (unless it names one already).
absl::Status WithRequestIndex(const absl::Status& status, int index);

}  // namespace insula::kv

#endif  // INSULA_KV_API_ERROR_H_
