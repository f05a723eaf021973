#include <algorithm>
#include <utility>

#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "kv/api/error.h"
#include "kv/replica/aborted.h"
#include "kv/replica/declare.h"
#include "kv/replica/evaluator.h"
#include "kv/txn/push.h"

namespace insula::kv {
namespace {
// A resolve of a large span goes in steps of so many keys: entries of the log stay small.
constexpr uint64_t kResolveKeysPerStep = 5000;

LockStrength Strength(v1::LockStrength strength) {
  return strength == v1::LOCK_SHARED ? LockStrength::kShared : strength == v1::LOCK_EXCLUSIVE ? LockStrength::kExclusive : LockStrength::kNone;
}
}  // namespace

// Nothing of a transaction that cannot get a record can ever commit in several ranges: a push aborted it, it ended already, or it
// began under an earlier lease, whose pushes are not known any more.
bool Evaluator::CanCreateRecord(std::string_view anchor, const v1::TxnMeta& meta) const {
  return env_.markers->Max(NoRecordMarker(anchor, meta.id()), {}) < Timestamp{meta.min_ts()};
}

void Evaluator::ForbidRecord(std::string_view anchor, std::string_view txn_id) {
  effects_.markers.emplace_back(NoRecordMarker(anchor, txn_id), ts_.now);
}

EvalResult Evaluator::HeartbeatTxn(const v1::HeartbeatTxnRequest& request, v1::HeartbeatTxnResponse* out) {
  auto record = LoadRecord(rw_, request.key(), txn_id());
  if (!record.ok()) return EvalResult::Error(record.status());
  if (!*record) {
    if (!CanCreateRecord(request.key(), txn_->meta())) {
      out->set_status(v1::ABORTED);
      return EvalResult::Ok();
    }
    v1::Transaction& fresh = record->emplace();
    *fresh.mutable_meta() = txn_->meta();
    Timestamp moved = env_.markers->Max(MovedMarker(request.key(), txn_id()), {});
    fresh.mutable_meta()->set_write_ts(std::max(fresh.meta().write_ts(), moved.bits));
    fresh.set_status(v1::PENDING);
  }
  out->set_status((*record)->status());
  if (IsFinished((*record)->status())) return EvalResult::Ok();
  (*record)->set_last_heartbeat(std::max((*record)->last_heartbeat(), ts_.now.bits));
  StoreRecord(rw_, request.key(), **record);
  return EvalResult::Ok();
}

EvalResult Evaluator::PushTxn(const v1::PushTxnRequest& request, v1::PushTxnResponse* out) {
  const std::string& id = request.pushee().id();
  auto record = LoadRecord(rw_, request.key(), id);
  if (!record.ok()) return EvalResult::Error(record.status());
  if (!*record) {
    // It is over, and a commit forgets its record only when all that was part of it is resolved: what is met of it now is a late copy of
    // a write or a lock, and goes.
    auto outcome = LoadOutcome(rw_, request.key(), id);
    if (!outcome.ok()) return EvalResult::Error(outcome.status());
    if (*outcome) {
      *out->mutable_pushee()->mutable_meta() = request.pushee();
      out->mutable_pushee()->set_status(v1::ABORTED);
      return EvalResult::Ok();
    }
  }
  Timestamp moved = env_.markers->Max(MovedMarker(request.key(), id), {});
  if (moved == env_.markers->low_water()) moved = Timestamp();
  PushDecision decision = DecidePush(request, *record, CanCreateRecord(request.key(), request.pushee()), moved, ts_.now);
  *out->mutable_pushee() = decision.pushee;
  switch (decision.kind) {
    case PushDecision::kDone:
    case PushDecision::kRecover:
      return EvalResult::Ok();
    case PushDecision::kAbort:
      PROBE("a push aborted a transaction");
      if (*record) RemoveRecord(rw_, request.key(), id);
      ForbidRecord(request.key(), id);
      effects_.changed_txns.push_back(id);
      return EvalResult::Ok();
    case PushDecision::kMove:
      PROBE("a push moved a transaction");
      if (*record) {
        StoreRecord(rw_, request.key(), decision.pushee);
      } else {
        effects_.markers.emplace_back(MovedMarker(request.key(), id), Timestamp{request.push_to()});
      }
      return EvalResult::Ok();
    case PushDecision::kWait: {
      EvalResult r;
      r.kind = EvalResult::kPushWait;
      r.ts = decision.expires;
      r.key = request.key();
      return r;
    }
  }
  return EvalResult::Error(absl::InternalError("a push of no known outcome"));
}

EvalResult Evaluator::QueryTxn(const v1::QueryTxnRequest& request, v1::QueryTxnResponse* out) {
  auto record = LoadRecord(rw_, request.key(), request.txn_id());
  if (!record.ok()) return EvalResult::Error(record.status());
  if (*record) {
    *out->mutable_txn() = **record;
    out->set_found(true);
  } else if (env_.markers->Max(NoRecordMarker(request.key(), request.txn_id()), {}) > env_.markers->low_water()) {
    // An own marker, not the mark that covers everybody: it ended.
    out->mutable_txn()->mutable_meta()->set_id(request.txn_id());
    out->mutable_txn()->set_status(v1::ABORTED);
    out->set_found(true);
  }
  for (const WaitEdge& edge : env_.pushes->EdgesTo(request.txn_id())) {
    auto* e = out->add_edges();
    e->set_waiter(edge.waiter);
    e->set_waiter_min_ts(edge.waiter_min_ts.bits);
    e->set_holder(edge.holder);
    if (edge.holder == request.txn_id()) out->add_waiting(edge.waiter);
  }
  return EvalResult::Ok();
}

EvalResult Evaluator::QueryOutcome(const v1::QueryOutcomeRequest& request, v1::QueryOutcomeResponse* out) {
  auto outcome = LoadOutcome(rw_, request.key(), request.txn_id());
  if (!outcome.ok()) return EvalResult::Error(outcome.status());
  if (*outcome) {
    out->set_committed((*outcome)->status == v1::COMMITTED);
    if (out->committed()) effects_.settled = (*outcome)->commit_ts;
    return EvalResult::Ok();
  }
  auto record = LoadRecord(rw_, request.key(), request.txn_id());
  if (!record.ok()) return EvalResult::Error(record.status());
  if (*record && (*record)->status() == v1::COMMITTED) {
    out->set_committed(true);
    effects_.settled = Timestamp{(*record)->meta().write_ts()};
    return EvalResult::Ok();
  }
  if (*record && (*record)->status() == v1::STAGING) {
    *out->mutable_staging() = **record;  // for the asker to settle
    return EvalResult::Ok();
  }
  if (*record) RemoveRecord(rw_, request.key(), request.txn_id());
  if (!fault::On(fault::Mutation::kLoseAbortMarker)) StoreOutcome(rw_, request.key(), request.txn_id(), {v1::ABORTED, Timestamp(), ts_.now});
  PROBE("a late commit was kept away");
  ForbidRecord(request.key(), request.txn_id());
  effects_.changed_txns.push_back(request.txn_id());
  out->set_committed(false);
  return EvalResult::Ok();
}

EvalResult Evaluator::RecoverTxn(const v1::RecoverTxnRequest& request, v1::RecoverTxnResponse* out) {
  auto record = LoadRecord(rw_, request.key(), request.txn_id());
  if (!record.ok()) return EvalResult::Error(record.status());
  v1::Transaction* txn = out->mutable_txn();
  if (!*record) {
    // Settled meanwhile by somebody else, and cleaned up.
    auto outcome = LoadOutcome(rw_, request.key(), request.txn_id());
    if (!outcome.ok()) return EvalResult::Error(outcome.status());
    txn->mutable_meta()->set_id(request.txn_id());
    const bool committed = *outcome && (*outcome)->status == v1::COMMITTED;
    txn->set_status(committed ? v1::COMMITTED : v1::ABORTED);
    if (committed) txn->mutable_meta()->set_write_ts((*outcome)->commit_ts.bits);
    if (committed) effects_.settled = (*outcome)->commit_ts;
    return EvalResult::Ok();
  }
  *txn = **record;
  if (txn->status() != v1::STAGING || txn->meta().write_ts() != request.staged_ts()) return EvalResult::Ok();
  effects_.changed_txns.push_back(request.txn_id());
  txn->clear_in_flight();
  effects_.ended = {*txn, request.key(), {txn->lock_spans().begin(), txn->lock_spans().end()}, request.implicitly_committed(), false};
  if (request.implicitly_committed()) {
    txn->set_status(v1::COMMITTED);
    effects_.settled = Timestamp{txn->meta().write_ts()};
    StoreRecord(rw_, request.key(), *txn);
    // Its coordinator may still ask, when the record is gone.
    StoreOutcome(rw_, request.key(), request.txn_id(), {v1::COMMITTED, Timestamp{txn->meta().write_ts()}, ts_.now});
    effects_.ended->wrote_outcome = true;
  } else {
    txn->set_status(v1::ABORTED);
    RemoveRecord(rw_, request.key(), request.txn_id());
    ForbidRecord(request.key(), request.txn_id());
  }
  effects_.ended->txn.set_status(txn->status());
  return EvalResult::Ok();
}

EvalResult Evaluator::QueryIntent(const v1::QueryIntentRequest& request, v1::QueryIntentResponse* out) {
  bool found = false;
  const LockStrength lock = Strength(request.lock());
  mvcc::Outcome outcome = mvcc::QueryIntent(rw_, request.key(), request.txn(), lock, &found);
  if (!outcome.ok()) return FromOutcome(outcome);
  out->set_found(found);
  if (found || !request.prevent()) return EvalResult::Ok();
  if (lock == LockStrength::kNone) {
    // A later write of it at this timestamp is kept away like one under a read, be the reader itself or not.
    Read(request.key(), {}, Timestamp{request.txn().write_ts()}, /*anonymous=*/true);
  } else {
    // The unreplicated lock goes, so that it is known to be lost when it is to become a replicated one.
    effects_.lost.push_back({request.key(), request.txn().id()});
  }
  return EvalResult::Ok();
}

EvalResult Evaluator::ResolveIntent(const v1::ResolveIntentRequest& request, v1::ResolveIntentResponse* out) {
  mvcc::ResolveParams params;
  params.txn = request.txn();
  params.status = request.status();
  params.stats = &stats_;
  params.pending_since = Timestamp{request.pending_since()};
  for (const auto& range : request.ignored()) params.ignored.emplace_back(range.from(), range.to());
  Effects::Resolved resolved{request.key(), request.end_key(), {}};
  *resolved.txn.mutable_meta() = request.txn();
  resolved.txn.set_status(request.status());
  *resolved.txn.mutable_ignored() = request.ignored();
  mvcc::Outcome outcome;
  bool any = false;
  if (request.end_key().empty()) {
    outcome = mvcc::ResolveKey(rw_, request.key(), params, &any);
  } else {
    uint64_t changed = 0;
    std::optional<std::string> resume;
    outcome = mvcc::ResolveSpan(rw_, request.key(), request.end_key(), params, kResolveKeysPerStep, &changed, &resume);
    any = changed > 0;
    if (outcome.ok() && resume) {
      out->mutable_resume()->set_key(*resume);
      out->mutable_resume()->set_end_key(request.end_key());
      resolved.end_key = *resume;
    }
  }
  if (!outcome.ok()) return FromOutcome(outcome);
  if (any && request.status() == v1::ABORTED) {
    rw_.Put(storage::ColumnFamily::kRange, AbortedKey(range().range_id(), request.txn().id()), EncodeAborted(ts_.now));
    effects_.aborted.push_back(request.txn().id());
  }
  effects_.resolved.push_back(std::move(resolved));
  return EvalResult::Ok();
}

}  // namespace insula::kv
