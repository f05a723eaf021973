#include <algorithm>
#include <utility>

#include "base/fault/probe.h"
#include "kv/api/error.h"
#include "kv/replica/evaluator.h"

namespace insula::kv {
namespace {

LockStrength Strength(v1::LockStrength strength) {
  return strength == v1::LOCK_SHARED ? LockStrength::kShared : strength == v1::LOCK_EXCLUSIVE ? LockStrength::kExclusive : LockStrength::kNone;
}

constexpr int kManyRequests = 16;  // an iterator that goes along is worth its making

std::optional<std::string_view> Optional(bool has, const std::string& value) {
  return has ? std::optional<std::string_view>(value) : std::nullopt;
}

}  // namespace

// `conditional`: what is written depends on what is there.
mvcc::WriteParams Evaluator::WriteParamsFor(uint32_t sequence, bool conditional) {
  mvcc::WriteParams params;
  params.ts = ts_.write;
  params.txn = txn_;
  params.one_phase = one_phase_;
  params.sequence = sequence;
  params.local_now = ts_.now;
  params.stats = &stats_;
  if (txn_ == nullptr) return params;
  params.began = &began_;
  // SERIALIZABLE may write blindly over what it has not read; a snapshot may not; READ COMMITTED takes what is there.
  const v1::Isolation isolation = txn_->meta().isolation();
  if (isolation == v1::SNAPSHOT || (isolation == v1::SERIALIZABLE && conditional)) params.read_ts = ts_.read;
  return params;
}

EvalResult Evaluator::FromWrite(const mvcc::Outcome& outcome, const mvcc::WriteParams& params) const {
  EvalResult r = FromOutcome(outcome);
  if (r.kind == EvalResult::kWriteTooOld) r.reads_too = !params.read_ts.empty() && r.ts > params.read_ts;
  return r;
}

void Evaluator::Wrote(std::string_view key) {
  if (txn_ != nullptr && !one_phase_) effects_.replicated.push_back({std::string(key), /*intent=*/true, LockStrength::kExclusive});
}

// "Exclusive since": held without a break (here, or replicated when the lease moved or the range was split), or else nobody can have
// held or changed the key in between. That there is no newer version, the write itself looks.
EvalResult Evaluator::CheckExclusive(std::string_view key, Timestamp since, LockStrength strength) {
  if (since.empty()) return EvalResult::Ok();
  auto held = env_.locks->HeldSince(key, txn_id(), strength);
  if (held && *held <= since) return EvalResult::Ok();
  if (env_.releases->Max(key, txn_id()) > since) {
    if (mvcc::Outcome o = mvcc::HeldSince(rw_, key, txn_id(), strength, &held); !o.ok()) return FromOutcome(o);
    if (held && *held <= since) return EvalResult::Ok();
    PROBE("a lost lock was found out");
    return EvalResult::Error(TxnRetryError(v1::Error::TxnRetry::LOCK_LOST, ts_.now, key, "a lock was lost, and others may have locked the key since"));
  }
  return EvalResult::Ok();
}

EvalResult Evaluator::Put(const v1::PutRequest& request) {
  Timestamp since{request.exclusive_since()};
  if (EvalResult r = CheckExclusive(request.key(), since, LockStrength::kExclusive); !r.ok()) return r;
  mvcc::WriteParams params = WriteParamsFor(request.sequence(), /*conditional=*/false);
  params.exclusive_since = since;
  if (!since.empty()) params.read_ts = Timestamp();
  if (EvalResult r = FromWrite(mvcc::Put(rw_, request.key(), request.value(), params), params); !r.ok()) return r;
  Wrote(request.key());
  return EvalResult::Ok();
}

EvalResult Evaluator::Delete(const v1::DeleteRequest& request, v1::DeleteResponse* out) {
  Timestamp since{request.exclusive_since()};
  if (EvalResult r = CheckExclusive(request.key(), since, LockStrength::kExclusive); !r.ok()) return r;
  mvcc::WriteParams params = WriteParamsFor(request.sequence(), /*conditional=*/false);
  params.exclusive_since = since;
  if (!since.empty()) params.read_ts = Timestamp();
  bool existed = false;
  if (EvalResult r = FromWrite(mvcc::Delete(rw_, request.key(), params, &existed), params); !r.ok()) return r;
  out->set_existed(existed);
  Wrote(request.key());
  return EvalResult::Ok();
}

EvalResult Evaluator::ConditionalPut(const v1::ConditionalPutRequest& request) {
  mvcc::WriteParams params = WriteParamsFor(request.sequence(), /*conditional=*/true);
  if (request.or_same()) {
    if (EvalResult r = FromWrite(mvcc::InitPut(rw_, request.key(), request.value(), params), params); !r.ok()) return r;
    Read(request.key(), {}, ts_.write);  // perhaps that was all
    Wrote(request.key());
    return EvalResult::Ok();
  }
  if (!request.has_expected() && batch_.requests_size() >= kManyRequests) params.absence = &absence_;
  mvcc::Outcome outcome = mvcc::ConditionalPut(rw_, request.key(), Optional(request.has_value(), request.value()),
                                               Optional(request.has_expected(), request.expected()), params);
  if (EvalResult r = FromWrite(outcome, params); !r.ok()) return r;
  Wrote(request.key());
  return EvalResult::Ok();
}

EvalResult Evaluator::Increment(const v1::IncrementRequest& request, v1::IncrementResponse* out) {
  mvcc::WriteParams params = WriteParamsFor(request.sequence(), /*conditional=*/true);
  int64_t value = 0;
  if (EvalResult r = FromWrite(mvcc::Increment(rw_, request.key(), request.by(), params, &value), params); !r.ok()) return r;
  out->set_value(value);
  Wrote(request.key());
  return EvalResult::Ok();
}

EvalResult Evaluator::DeleteRange(const v1::DeleteRangeRequest& request, v1::DeleteRangeResponse* out) {
  mvcc::WriteParams params = WriteParamsFor(request.sequence(), /*conditional=*/true);
  mvcc::DeleteRangeResult result;
  mvcc::Outcome outcome = mvcc::DeleteRange(rw_, request.key(), request.end_key(), request.max_rows(), params, &result);
  if (EvalResult r = FromWrite(outcome, params); !r.ok()) {
    // It reads the span at the write's timestamp unless told otherwise: versions above are for the writes to clear.
    return r;
  }
  out->set_deleted(result.deleted);
  std::string_view end = request.end_key();
  if (result.resume) {
    out->mutable_resume()->set_key(*result.resume);
    out->mutable_resume()->set_end_key(request.end_key());
    end = out->resume().key();
  }
  // What is not there was read as absent, too.
  Read(request.key(), end, params.read_ts.empty() ? ts_.write : params.read_ts);
  return EvalResult::Ok();
}

EvalResult Evaluator::Lock(const v1::LockRequest& request) {
  const LockStrength strength = Strength(request.strength());
  if (strength == LockStrength::kNone) return EvalResult::Error(InvalidError("a lock of no strength"));
  const Timestamp since{request.since()};
  if (!since.empty()) {
    if (EvalResult r = CheckExclusive(request.key(), since, strength); !r.ok()) return r;
    // What the batch itself has written is no change by others.
    mvcc::Outcome newer = mvcc::Refresh(rw_.base(), request.key(), {}, since, Timestamp::Max().Prev(), txn_);
    if (newer.kind() == mvcc::Outcome::Kind::kWriteTooOld) {
      return EvalResult::Error(TxnRetryError(v1::Error::TxnRetry::LOCK_LOST, newer.timestamp(), request.key(), "a lock was lost, and the key was changed since"));
    }
    if (!newer.ok()) return FromOutcome(newer);
  }
  if (request.replicated()) {
    mvcc::WriteParams params = WriteParamsFor(txn_->meta().sequence(), /*conditional=*/false);
    // With `since` the version was looked at above, and READ COMMITTED locks what is newest.
    params.read_ts = since.empty() && txn_->meta().isolation() != v1::READ_COMMITTED ? ts_.read : Timestamp::Max().Prev();
    params.exclusive_since = since;
    EvalResult r = FromWrite(mvcc::AcquireLock(rw_, request.key(), strength, params), params);
    if (!r.ok()) {
      r.reads_too = true;
      return r;
    }
    effects_.replicated.push_back({request.key(), /*intent=*/false, strength});
    return EvalResult::Ok();
  }
  // Replicated locks of others are in the way as lock table entries are.
  mvcc::ReadParams params = ReadParamsFor(request.strength());
  params.skip_locked = false;
  mvcc::GetResult ignored;
  if (mvcc::Outcome outcome = mvcc::Get(rw_, request.key(), params, &ignored); !outcome.ok()) {
    EvalResult r = FromOutcome(outcome);
    r.reads_too = true;
    return r;
  }
  if (!one_phase_) effects_.acquired.push_back({request.key(), strength});
  return EvalResult::Ok();
}

}  // namespace insula::kv
