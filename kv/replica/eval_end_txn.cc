// Ends of transactions.
//
//   EndTxn ── outcome COMMITTED is there: answered as the first time (a repeated request)
//          ── outcome ABORTED, record ABORTED, or no record may be made: TxnAborted
//          ── abort: resolve here, forget the record, resolve elsewhere in the background
//          ── commit, one phase: all writes are in this batch; refresh if the timestamp moved; no record
//          ── commit, two phases: the intents are there; resolve those here in the same entry;
//                the record stays COMMITTED until those elsewhere are resolved
//          ── commit with writes in flight: STAGING; committed as soon as all of them are there, at or below its timestamp (commit it
//                explicitly then, without writes in flight). Sent again it may be STAGING at a later timestamp.
#include <algorithm>
#include <utility>

#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/replica/declare.h"
#include "kv/replica/evaluator.h"

namespace insula::kv {
namespace {
constexpr uint64_t kResolveWithCommit = 2000;  // keys that the committing entry itself resolves

// Old enough that a heartbeat may have been sent (they begin after a second).
bool IsOld(const v1::TxnMeta& meta, Timestamp now) { return Timestamp{meta.min_ts()}.AddMicros(500'000) < now; }
}

// A commit whose outcome is there already: a repeated request is answered as the first one, whatever has happened since. Nothing of
// the batch is evaluated.
EvalResult Evaluator::ReplayCommit(bool* replayed) {
  *replayed = false;
  const v1::Request& last = batch_.requests(batch_.requests_size() - 1);
  if (!last.has_end_txn() || !last.end_txn().commit()) return EvalResult::Ok();
  const std::string& anchor = last.end_txn().key().empty() ? txn_->meta().anchor_key() : last.end_txn().key();
  auto outcome = LoadOutcome(rw_, anchor, txn_id());
  if (!outcome.ok()) return EvalResult::Error(outcome.status());
  if (!*outcome) return EvalResult::Ok();
  if ((*outcome)->status != v1::COMMITTED) return EvalResult::Error(TxnAbortedError("its outcome was settled as aborted"));
  *replayed = true;
  PROBE("a repeated commit was answered as the first");
  for (int i = 0; i < batch_.requests_size(); ++i) response_->add_responses();
  v1::EndTxnResponse* end = response_->mutable_responses(batch_.requests_size() - 1)->mutable_end_txn();
  end->set_status(v1::COMMITTED);
  end->set_commit_ts((*outcome)->commit_ts.bits);
  effects_.settled = (*outcome)->commit_ts;
  end->set_one_phase_committed(last.end_txn().one_phase());
  txn_->set_status(v1::COMMITTED);
  txn_->mutable_meta()->set_write_ts((*outcome)->commit_ts.bits);
  return EvalResult::Ok();
}

EvalResult Evaluator::EndTxn(const v1::EndTxnRequest& request, v1::EndTxnResponse* out) {
  const std::string anchor(request.key().empty() ? txn_->meta().anchor_key() : request.key());
  auto record = LoadRecord(rw_, anchor, txn_id());
  if (!record.ok()) return EvalResult::Error(record.status());
  if (!request.commit()) return Abort(request, anchor, *record, out);
  return Commit(request, anchor, *record, out);
}

EvalResult Evaluator::Abort(const v1::EndTxnRequest& request, std::string_view anchor, const std::optional<v1::Transaction>& record, v1::EndTxnResponse* out) {
  bool committed = record && record->status() == v1::COMMITTED;
  if (!record) {
    auto outcome = LoadOutcome(rw_, anchor, txn_id());
    if (!outcome.ok()) return EvalResult::Error(outcome.status());
    committed = *outcome && (*outcome)->status == v1::COMMITTED;
  }
  if (committed) return EvalResult::Error(InvalidError("rollback of a committed transaction"));
  if (record) RemoveRecord(rw_, anchor, txn_id());
  ForbidRecord(anchor, txn_id());
  out->set_status(v1::ABORTED);
  txn_->set_status(v1::ABORTED);
  return ResolveOwn(request, anchor, v1::ABORTED, ts_.write);
}

// Whether the transaction may commit at `commit_ts` although it read at its read timestamp.
EvalResult Evaluator::CheckCommitTimestamp(Timestamp commit_ts, const v1::EndTxnRequest& request) {
  if (request.deadline() != 0 && commit_ts > Timestamp{request.deadline()}) {
    return EvalResult::Error(TxnRetryError(v1::Error::TxnRetry::DEADLINE, commit_ts, {}, "the commit timestamp is past the transaction's deadline"));
  }
  const v1::BatchHeader& header = batch_.header();
  if (txn_->meta().isolation() != v1::SERIALIZABLE || commit_ts <= ts_.read || header.can_forward_read_ts()) return EvalResult::Ok();
  if (!request.one_phase() || header.refresh_from() == 0) {
    return EvalResult::Error(TxnRetryError(v1::Error::TxnRetry::PUSHED, commit_ts, {}, "the commit timestamp moved; reads are to be refreshed"));
  }
  for (const v1::Span& span : header.refresh_spans()) {
    v1::Span inside;
    if (!Clip(range(), span, &inside)) continue;
    std::string_view key = effects_.owned.emplace_back(inside.key());
    std::string_view end_key = inside.end_key().empty() ? std::string_view() : effects_.owned.emplace_back(inside.end_key());
    if (EvalResult r = RefreshSpan(key, end_key, Timestamp{header.refresh_from()}, commit_ts); !r.ok()) return r;
  }
  return EvalResult::Ok();
}

EvalResult Evaluator::Commit(const v1::EndTxnRequest& request, std::string_view anchor, const std::optional<v1::Transaction>& record, v1::EndTxnResponse* out) {
  const bool one_phase = request.one_phase();
  Timestamp commit_ts = ts_.write;
  if (record) {
    if (record->status() == v1::COMMITTED) {
      out->set_status(v1::COMMITTED);
      out->set_commit_ts(record->meta().write_ts());
      effects_.settled = Timestamp{record->meta().write_ts()};
      txn_->set_status(v1::COMMITTED);
      txn_->mutable_meta()->set_write_ts(record->meta().write_ts());
      return EvalResult::Ok();
    }
    if (record->status() == v1::ABORTED) return EvalResult::Error(TxnAbortedError("another transaction pushed it"));
    // Made by a heartbeat before the client knew when it began: somebody may have been told before that it is aborted.
    const bool late = record->meta().min_ts() > txn_->meta().min_ts();
    if (!one_phase && late && !CanCreateRecord(anchor, txn_->meta())) return EvalResult::Error(TxnAbortedError("another transaction pushed it, or the range changed hands"));
    if (!one_phase) commit_ts = std::max(commit_ts, Timestamp{record->meta().write_ts()});
  } else if (!one_phase) {
    if (!CanCreateRecord(anchor, txn_->meta())) return EvalResult::Error(TxnAbortedError("another transaction pushed it, or the range changed hands"));
    commit_ts = std::max(commit_ts, env_.markers->Max(MovedMarker(anchor, txn_id()), {}));
  }
  if (EvalResult r = CheckCommitTimestamp(commit_ts, request); !r.ok()) return r;

  txn_->mutable_meta()->set_write_ts(commit_ts.bits);
  out->set_commit_ts(commit_ts.bits);
  effects_.settled = commit_ts;  // STAGING: it may be committed by the time of the answer
  out->set_one_phase_committed(one_phase);
  if (request.in_flight_size() > 0) {
    v1::Transaction staging = *txn_;
    staging.set_status(v1::STAGING);
    *staging.mutable_lock_spans() = request.lock_spans();
    *staging.mutable_in_flight() = request.in_flight();
    staging.set_last_heartbeat(ts_.now.bits);
    StoreRecord(rw_, anchor, staging);
    txn_->set_status(v1::STAGING);
    out->set_status(v1::STAGING);
    effects_.changed_txns.push_back(txn_id());
    return EvalResult::Ok();
  }
  out->set_status(v1::COMMITTED);
  txn_->set_status(v1::COMMITTED);
  if (EvalResult r = ResolveOwn(request, anchor, v1::COMMITTED, commit_ts); !r.ok()) return r;
  // In one phase nothing durable lies elsewhere: no record, and the locks elsewhere go without one.
  Effects::Ended& ended = *effects_.ended;
  if (!one_phase && !ended.remote.empty()) {
    v1::Transaction committed = *txn_;
    for (const v1::Span& span : ended.remote) *committed.add_lock_spans() = span;
    StoreRecord(rw_, anchor, committed);
    ended.has_record = true;
  } else if (record) {
    RemoveRecord(rw_, anchor, txn_id());
  }
  // A heartbeat or a second EndTxn may still be under way; what is young enough to have sent none needs no marker.
  if (!ended.has_record && (!one_phase || record || IsOld(txn_->meta(), ts_.now))) ForbidRecord(anchor, txn_id());
  if (request.write_outcome()) {
    StoreOutcome(rw_, anchor, txn_id(), {v1::COMMITTED, commit_ts, ts_.now});
    ended.wrote_outcome = true;
  }
  return EvalResult::Ok();
}

// Resolves the transaction's intents and replicated locks in this range, and notes what is left to do elsewhere.
EvalResult Evaluator::ResolveOwn(const v1::EndTxnRequest& request, std::string_view anchor, v1::TxnStatus status, Timestamp commit_ts) {
  effects_.ended = Effects::Ended{};
  Effects::Ended& ended = *effects_.ended;
  ended.anchor = std::string(anchor);
  ended.txn.mutable_meta()->CopyFrom(txn_->meta());
  ended.txn.mutable_meta()->set_write_ts(commit_ts.bits);
  ended.txn.set_status(status);
  *ended.txn.mutable_ignored() = txn_->ignored();

  mvcc::ResolveParams params;
  params.txn = ended.txn.meta();
  params.status = status;
  params.stats = &stats_;
  for (const auto& range : txn_->ignored()) params.ignored.emplace_back(range.from(), range.to());
  if (fault::On(fault::Mutation::kForgetRollback)) params.ignored.clear();
  uint64_t budget = kResolveWithCommit;
  for (const v1::Span& span : request.lock_spans()) {
    v1::Span inside;
    const bool here = Clip(range(), span, &inside);
    const bool all_here = here && IsInside(range(), span.key(), span.end_key());
    if (!all_here) ended.remote.push_back(span);
    if (!here) continue;
    if (request.one_phase() && request.commit()) {
      // One phase left no intents; a lock without a write may have been made a replicated one when the lease moved.
      if (all_here && env_.group->stats().locks > env_.group->stats().intents) ended.remote.push_back(span);
      continue;
    }
    if (budget == 0) {
      ended.remote.push_back(inside);
      continue;
    }
    if (inside.end_key().empty()) {
      bool changed = false;
      if (mvcc::Outcome o = mvcc::ResolveKey(rw_, inside.key(), params, &changed); !o.ok()) return FromOutcome(o);
      if (changed) --budget;
      continue;
    }
    uint64_t changed = 0;
    std::optional<std::string> resume;
    mvcc::Outcome o = mvcc::ResolveSpan(rw_, inside.key(), inside.end_key(), params, budget, &changed, &resume);
    if (!o.ok()) return FromOutcome(o);
    budget -= std::min(budget, changed);
    if (resume) {
      inside.set_key(*resume);
      ended.remote.push_back(inside);
    }
  }
  return EvalResult::Ok();
}

}  // namespace insula::kv
