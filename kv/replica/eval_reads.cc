#include <algorithm>
#include <utility>

#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/replica/declare.h"
#include "kv/replica/evaluator.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {

constexpr size_t kMaxListedLocks = 1000;
constexpr uint64_t kLeastLooked = 8;  // addresses, to find the newest that holds a key

LockStrength Strength(v1::LockStrength strength) {
  switch (strength) {
    case v1::LOCK_SHARED:
      return LockStrength::kShared;
    case v1::LOCK_EXCLUSIVE:
      return LockStrength::kExclusive;
    default:
      return LockStrength::kNone;
  }
}

v1::LockStrength ToProto(LockStrength strength) {
  return strength == LockStrength::kShared ? v1::LOCK_SHARED : strength == LockStrength::kExclusive ? v1::LOCK_EXCLUSIVE : v1::LOCK_NONE;
}

// The same rows with empty values.
std::string KeysOnly(std::string_view rows) {
  std::string out;
  mvcc::RowsCursor cursor(rows);
  std::string_view key, value;
  while (cursor.Next(&key, &value)) {
    storage::AppendString(&out, key);
    storage::AppendString(&out, "");
  }
  return out;
}

}  // namespace

mvcc::ReadParams Evaluator::ReadParamsFor(v1::LockStrength lock) {
  mvcc::ReadParams params;
  params.ts = ts_.read;
  params.txn = txn_;
  params.lock = Strength(lock);
  params.uncertainty_limit = fault::On(fault::Mutation::kIgnoreUncertainty) ? ts_.read : std::max(ts_.limit, ts_.read);
  params.local_limit = ts_.observed;
  if (txn_ == nullptr || one_phase_) {
    params.own = &rw_;
    params.own_ts = ts_.write;
  }
  if (lock == v1::LOCK_NONE) return params;
  // What is locked is the newest version: an older one would be overwritten blindly.
  params.fail_if_newer = true;
  if (batch_.header().wait_policy() == v1::WAIT_SKIP_LOCKED) {
    skip_ = [this, strength = params.lock](std::string_view key) {
      return env_.request != nullptr && env_.locks->IsLocked(*env_.request, key, strength);
    };
    params.skip_locked = true;
    params.skip = &skip_;
  }
  return params;
}

EvalResult Evaluator::Get(const v1::GetRequest& request, v1::GetResponse* out) {
  const LockStrength lock = Strength(request.lock());
  mvcc::ReadParams params = ReadParamsFor(request.lock());
  if (params.skip_locked && skip_(request.key())) return EvalResult::Ok();
  mvcc::GetResult result;
  mvcc::Outcome outcome = mvcc::Get(rw_, request.key(), params, &result);
  if (!outcome.ok()) {
    EvalResult r = FromOutcome(outcome);
    r.reads_too = true;
    return r;
  }
  if (result.found) {
    if (request.key_only()) {
      out->set_value("");
    } else {
      answer_bytes_ += result.value.size();
      *out->mutable_value() = std::move(result.value);
    }
    out->set_timestamp(result.ts.bits);
  }
  if (lock != LockStrength::kNone) effects_.acquired.push_back({request.key(), lock});
  Read(request.key(), {}, ts_.read);
  return EvalResult::Ok();
}

EvalResult Evaluator::Scan(const v1::ScanRequest& request, v1::ScanResponse* out) {
  const v1::BatchHeader& header = batch_.header();
  const bool rows_limited = header.max_rows() != 0, bytes_limited = header.max_bytes() != 0;
  if ((rows_limited && rows_left_ == 0) || (bytes_limited && bytes_left_ == 0)) {
    out->mutable_resume()->set_key(request.key());
    out->mutable_resume()->set_end_key(request.end_key());
    return EvalResult::Ok();
  }
  mvcc::ScanLimits limits;
  if (rows_limited) limits.max_rows = rows_left_;
  if (request.max_rows() != 0) limits.max_rows = limits.max_rows == 0 ? request.max_rows() : std::min(limits.max_rows, request.max_rows());
  if (bytes_limited) limits.max_bytes = bytes_left_;

  const LockStrength lock = Strength(request.lock());
  mvcc::ScanResult result;
  mvcc::Outcome outcome = mvcc::Scan(rw_, request.key(), request.end_key(), request.reverse(), ReadParamsFor(request.lock()), limits, &result);
  if (!outcome.ok()) {
    EvalResult r = FromOutcome(outcome);
    r.reads_too = true;
    return r;
  }
  if (lock != LockStrength::kNone) {
    mvcc::RowsCursor cursor(result.rows);
    std::string_view key, value;
    while (cursor.Next(&key, &value)) effects_.acquired.push_back({std::string(key), lock});
  }
  rows_left_ -= std::min<uint64_t>(rows_left_, result.row_count);
  bytes_left_ -= std::min<uint64_t>(bytes_left_, result.rows.size());
  answer_bytes_ += result.rows.size();
  out->set_row_count(result.row_count);
  *out->mutable_rows() = request.key_only() ? KeysOnly(result.rows) : std::move(result.rows);

  std::string_view from = request.key(), to = request.end_key();
  if (result.resume) {
    v1::Span* resume = out->mutable_resume();
    resume->set_key(request.reverse() ? request.key() : *result.resume);
    resume->set_end_key(request.reverse() ? *result.resume : request.end_key());
    (request.reverse() ? from : to) = request.reverse() ? resume->end_key() : resume->key();
  }
  Read(from, to, ts_.read);
  return EvalResult::Ok();
}

EvalResult Evaluator::Check(const v1::CheckRequest& request) {
  mvcc::ReadParams params = ReadParamsFor(v1::LOCK_NONE);
  const Timestamp ts = one_phase_ ? ts_.write : params.ts;
  if (one_phase_ || request.at_commit()) {
    // Not only as of the commit: who has changed it meanwhile may have read, under its lock, what this commit is about to write.
    params.ts = params.uncertainty_limit = Timestamp::Max();
  }
  mvcc::GetResult result;
  // One that this batch itself writes is checked as it was before.
  mvcc::Outcome outcome = mvcc::Get(rw_.base(), request.key(), params, &result);
  if (!outcome.ok()) {
    EvalResult r = FromOutcome(outcome);
    r.reads_too = true;
    return r;
  }
  if (result.found != request.has_expected() || (result.found && result.value != request.expected())) {
    std::optional<std::string_view> actual;
    if (result.found) actual = result.value;
    return EvalResult::Error(ConditionFailedError(request.key(), actual));
  }
  Read(request.key(), {}, ts);
  return EvalResult::Ok();
}

EvalResult Evaluator::RefreshSpan(std::string_view key, std::string_view end_key, Timestamp from, Timestamp to) {
  if (fault::On(fault::Mutation::kSkipRefresh)) return EvalResult::Ok();
  mvcc::Outcome outcome = mvcc::Refresh(rw_.base(), key, end_key, from, to, txn_);
  if (outcome.ok()) PROBE("reads were refreshed");
  if (outcome.kind() == mvcc::Outcome::Kind::kWriteTooOld) {
    return EvalResult::Error(TxnRetryError(v1::Error::TxnRetry::READ_REFRESH_FAILED, std::max(outcome.timestamp(), to), outcome.key(),
                                           "what the transaction has read was changed before it could commit"));
  }
  if (!outcome.ok()) return FromOutcome(outcome);
  Read(key, end_key, to);
  return EvalResult::Ok();
}

EvalResult Evaluator::Refresh(const v1::RefreshRequest& request) {
  return RefreshSpan(request.key(), request.end_key(), Timestamp{request.from()}, ts_.read);
}

EvalResult Evaluator::QueryLocks(const v1::QueryLocksRequest& request, v1::QueryLocksResponse* out) {
  // Of each kind the first ones; what lies behind the last of those that were cut is left for another time.
  std::string_view last;
  auto cut = [&](std::string_view key) { last = last.empty() ? key : std::min(last, key); };
  const auto listed = env_.locks->List(request.key(), request.end_key(), kMaxListedLocks);
  if (listed.size() >= kMaxListedLocks) cut(listed.back().key);
  for (const auto& info : listed) {
    if (info.replicated) continue;  // those come from the engine, all of them
    auto* lock = out->add_locks();
    lock->set_key(info.key);
    *lock->mutable_holder() = info.holder;
    lock->set_strength(ToProto(info.strength));
    lock->set_waiters(info.waiters);
  }
  std::vector<mvcc::FoundLock> found;
  mvcc::Outcome outcome = mvcc::FindLocks(rw_, request.key(), request.end_key(), kMaxListedLocks, &found);
  if (!outcome.ok()) return FromOutcome(outcome);
  if (found.size() >= kMaxListedLocks) cut(found.back().key);
  for (const mvcc::FoundLock& f : found) {
    auto* lock = out->add_locks();
    lock->set_key(f.key);
    *lock->mutable_holder() = f.holder.txn;
    lock->set_strength(ToProto(f.holder.strength));
    lock->set_replicated(true);
  }
  std::stable_sort(out->mutable_locks()->begin(), out->mutable_locks()->end(), [](const auto& a, const auto& b) { return a.key() < b.key(); });
  if (last.empty()) return EvalResult::Ok();
  while (!out->locks().empty() && out->locks(out->locks_size() - 1).key() > last) out->mutable_locks()->RemoveLast();
  out->mutable_resume()->set_key(std::string(last) + '\0');
  out->mutable_resume()->set_end_key(request.end_key());
  return EvalResult::Ok();
}

// The newest committed descriptors, whatever is being changed: addressing is a hint, and the ranges themselves know better.
EvalResult Evaluator::RangeLookup(const v1::RangeLookupRequest& request, v1::RangeLookupResponse* out) {
  const v1::RangeDescriptor here = range();
  const std::string level_end = keys::LookupEnd(request.key());
  // What lies behind this range's end is its neighbour's, and here perhaps of long ago.
  const std::string end = std::min(here.end_key(), level_end);
  const bool holds = keys::InBounds(here.start_key(), here.end_key(), request.key());
  if (holds) *out->add_ranges() = here;
  mvcc::ReadParams params;
  params.ts = Timestamp::Max().Prev();
  params.ignore_locks = true;
  mvcc::ScanResult result;
  const uint64_t count = std::clamp<uint64_t>(1 + request.prefetch(), kLeastLooked, 100);
  mvcc::Outcome outcome = mvcc::Scan(rw_, RoutingKey(batch_.requests(0), batch_.header()), end, /*reverse=*/false, params, {.max_rows = count, .max_bytes = 0}, &result);
  if (!outcome.ok()) return FromOutcome(outcome);
  mvcc::RowsCursor cursor(result.rows);
  std::string_view key, value;
  while (cursor.Next(&key, &value)) {
    v1::RangeDescriptor found;
    if (!found.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
      return EvalResult::Error(absl::DataLossError("a range descriptor in the meta range is damaged"));
    }
    if (!holds || found.start_key() >= here.end_key()) *out->add_ranges() = std::move(found);
  }
  auto* ranges = out->mutable_ranges();
  if (!holds) PutNewestFirst(request.key(), ranges);
  const int wanted = static_cast<int>(1 + std::min<uint64_t>(request.prefetch(), 100));
  if (ranges->size() > wanted) ranges->DeleteSubrange(wanted, ranges->size() - wanted);
  if (result.row_count < kLeastLooked && end < level_end) out->set_go_on(end);
  return EvalResult::Ok();
}

}  // namespace insula::kv
