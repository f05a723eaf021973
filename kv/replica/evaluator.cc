#include "kv/replica/evaluator.h"

#include <utility>

#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/replica/declare.h"

namespace insula::kv {

std::string NoRecordMarker(std::string_view anchor, std::string_view txn_id) {
  return keys::AnchorKey(anchor, keys::AnchorField::kTransaction, txn_id) + "/ended";
}

std::string MovedMarker(std::string_view anchor, std::string_view txn_id) {
  return keys::AnchorKey(anchor, keys::AnchorField::kTransaction, txn_id) + "/moved";
}

Evaluator::Evaluator(const EvalEnv& env, const v1::BatchRequest& batch, v1::Transaction* txn, const EvalTimestamps& ts, v1::BatchResponse* response)
    : env_(env),
      batch_(batch),
      txn_(txn),
      ts_(ts),
      response_(response),
      rw_(env.group->engine().NewReader()),
      one_phase_(IsOnePhase(batch)),
      rows_left_(batch.header().max_rows()),
      bytes_left_(batch.header().max_bytes()) {}

const std::string& Evaluator::txn_id() const {
  static const std::string* const kNone = new std::string();
  return txn_ == nullptr ? *kNone : txn_->meta().id();
}

void Evaluator::Read(std::string_view key, std::string_view end_key, Timestamp ts, bool anonymous) {
  effects_.reads.push_back({key, end_key, ts, anonymous});
}

EvalResult Evaluator::FromOutcome(const mvcc::Outcome& outcome) const {
  using Kind = mvcc::Outcome::Kind;
  EvalResult r;
  switch (outcome.kind()) {
    case Kind::kOk:
      return r;
    case Kind::kLocked:
      r.kind = EvalResult::kLocked;
      for (const mvcc::FoundLock& lock : outcome.locks()) {
        DiscoveredLock& found = r.locks.emplace_back();
        found.key = lock.key;
        found.holder = lock.holder.txn;
        found.strength = lock.holder.strength;
        found.intent = lock.holder.intent.has_value();
        if (found.intent) found.holder.set_write_ts(lock.holder.intent->ts.bits);
      }
      return r;
    case Kind::kWriteTooOld:
      r.kind = EvalResult::kWriteTooOld;
      r.ts = outcome.timestamp();
      r.key = outcome.key();
      return r;
    case Kind::kUncertain:
      r.kind = EvalResult::kUncertain;
      r.ts = outcome.timestamp();
      r.key = outcome.key();
      return r;
    case Kind::kConditionFailed: {
      std::optional<std::string_view> actual;
      if (outcome.actual()) actual = *outcome.actual();
      return EvalResult::Error(ConditionFailedError(outcome.key(), actual));
    }
    case Kind::kLockLost:
      return EvalResult::Error(TxnRetryError(v1::Error::TxnRetry::LOCK_LOST, ts_.now, outcome.key(), "a lock was lost, and the key may have changed since"));
    case Kind::kStaleTxn:
      return EvalResult::Error(TxnAbortedError("the transaction was restarted"));
    case Kind::kError:
      if (outcome.status().code() == absl::StatusCode::kInvalidArgument || outcome.status().code() == absl::StatusCode::kOutOfRange) {
        return EvalResult::Error(InvalidError(Sv(outcome.status().message())));
      }
      return EvalResult::Error(outcome.status());
  }
  return EvalResult::Error(absl::InternalError("an outcome of no known kind"));
}

EvalResult Evaluator::RangeStats(v1::RangeStatsResponse* out) {
  const mvcc::Stats& stats = env_.group->stats();
  out->set_live_bytes(static_cast<uint64_t>(stats.live_bytes));
  out->set_live_keys(static_cast<uint64_t>(stats.live_keys));
  out->set_total_bytes(static_cast<uint64_t>(stats.total_bytes));
  out->set_intents(static_cast<uint64_t>(stats.intents));
  const RangeLoadFigures load = env_.group->state_machine()->load();
  out->set_batches_per_second(load.batches_per_second);
  out->set_writes_per_second(load.writes_per_second);
  out->set_settled_us(std::chrono::duration_cast<std::chrono::microseconds>(load.settled).count());
  return EvalResult::Ok();
}

EvalResult Evaluator::LeaseInfo(v1::LeaseInfoResponse* out) {
  out->set_node_id(env_.group->node_id());
  out->set_sequence(env_.lease.sequence);
  return EvalResult::Ok();
}

EvalResult Evaluator::One(const v1::Request& request, v1::Response* out) {
  switch (request.value_case()) {
    case v1::Request::kGet:
      return Get(request.get(), out->mutable_get());
    case v1::Request::kScan:
      return Scan(request.scan(), out->mutable_scan());
    case v1::Request::kCheck:
      out->mutable_check();
      return Check(request.check());
    case v1::Request::kRefresh:
      out->mutable_refresh();
      return Refresh(request.refresh());
    case v1::Request::kPut:
      out->mutable_put();
      return Put(request.put());
    case v1::Request::kDelete:
      return Delete(request.delete_(), out->mutable_delete_());
    case v1::Request::kConditionalPut:
      out->mutable_conditional_put();
      return ConditionalPut(request.conditional_put());
    case v1::Request::kIncrement:
      return Increment(request.increment(), out->mutable_increment());
    case v1::Request::kDeleteRange:
      return DeleteRange(request.delete_range(), out->mutable_delete_range());
    case v1::Request::kClearRange:
      return ClearRange(request.clear_range(), out->mutable_clear_range());
    case v1::Request::kInsertRows:
      out->mutable_insert_rows();
      return InsertRows(request.insert_rows());
    case v1::Request::kLock:
      out->mutable_lock();
      return Lock(request.lock());
    case v1::Request::kEndTxn:
      return EndTxn(request.end_txn(), out->mutable_end_txn());
    case v1::Request::kHeartbeatTxn:
      return HeartbeatTxn(request.heartbeat_txn(), out->mutable_heartbeat_txn());
    case v1::Request::kPushTxn:
      return PushTxn(request.push_txn(), out->mutable_push_txn());
    case v1::Request::kQueryTxn:
      return QueryTxn(request.query_txn(), out->mutable_query_txn());
    case v1::Request::kQueryOutcome:
      return QueryOutcome(request.query_outcome(), out->mutable_query_outcome());
    case v1::Request::kRecoverTxn:
      return RecoverTxn(request.recover_txn(), out->mutable_recover_txn());
    case v1::Request::kQueryIntent:
      return QueryIntent(request.query_intent(), out->mutable_query_intent());
    case v1::Request::kResolveIntent:
      return ResolveIntent(request.resolve_intent(), out->mutable_resolve_intent());
    case v1::Request::kQueryLocks:
      return QueryLocks(request.query_locks(), out->mutable_query_locks());
    case v1::Request::kRangeStats:
      return RangeStats(out->mutable_range_stats());
    case v1::Request::kLeaseInfo:
      return LeaseInfo(out->mutable_lease_info());
    case v1::Request::kRangeLookup:
      return RangeLookup(request.range_lookup(), out->mutable_range_lookup());
    case v1::Request::kGc:
      return Gc(request.gc(), out->mutable_gc());
    case v1::Request::kAdminSplit:
    case v1::Request::kAdminMerge:
    case v1::Request::kAdminChangeReplicas:
    case v1::Request::kAdminTransferLease:
    case v1::Request::kSubsume:
    case v1::Request::kCheckConsistency:
      return EvalResult::Error(InvalidError(StrCat(NameOf(request), " does not go with other requests")));
    case v1::Request::VALUE_NOT_SET:
      break;
  }
  return EvalResult::Error(InvalidError("a request of no known kind"));
}

static_assert(kMaxValueBytes + 2 * kMaxKeyBytes + (1 << 20) < kMaxBatchWrites, "a row that is allowed can be written");
static_assert(kMaxBatchWrites + (4 << 20) <= kMaxCommandBytes, "what may be evaluated can be proposed");

EvalResult Evaluator::CheckSize() const {
  if (rw_.bytes() > kMaxBatchWrites) {
    return EvalResult::Error(InvalidError(StrCat("the batch writes more than ", kMaxBatchWrites, " bytes on each replica; write less at once")));
  }
  if (answer_bytes_ > kMaxBatchReads) {
    return EvalResult::Error(InvalidError(StrCat("the batch reads more than ", kMaxBatchReads, " bytes; read less at once")));
  }
  return EvalResult::Ok();
}

EvalResult Evaluator::Run() {
  response_->mutable_responses()->Reserve(batch_.requests_size());
  bool replayed;
  if (EvalResult r = ReplayCommit(&replayed); !r.ok() || replayed) return r;
  for (int i = 0; i < batch_.requests_size(); ++i) {
    EvalResult r = One(batch_.requests(i), response_->add_responses());
    if (r.ok()) r = CheckSize();
    if (r.ok()) continue;
    r.request_index = i;
    if (r.kind == EvalResult::kError) r.status = WithRequestIndex(r.status, i);
    return r;
  }
  // Its client did not know, as the first copy's answer was lost: what others have been told of the transaction since then counts.
  if (txn_ != nullptr && began_ < Timestamp{txn_->meta().min_ts()}) txn_->mutable_meta()->set_min_ts(began_.bits);
  return EvalResult::Ok();
}

}  // namespace insula::kv
