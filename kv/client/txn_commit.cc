#include <algorithm>
#include <utility>

#include "base/fault/probe.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/client/kv_error_map.h"
#include "kv/client/txn_coordinator.h"
#include "kv/keys/keys.h"
#include "kv/txn/recovery.h"

namespace insula::kv {
namespace {

constexpr int kMaxCommitTries = 20;  // the timestamp may be moved up between the refresh and the commit

bool Inside(const v1::RangeDescriptor& range, std::string_view key, std::string_view end_key) {
  return keys::SpanInBounds(range.start_key(), range.end_key(), key, end_key);
}

}  // namespace

void TxnCoordinator::StopHeartbeats() {
  if (beat_id_ != 0) core_->Unregister(beat_id_);
  beat_id_ = 0;
}

Task<absl::Status> TxnCoordinator::Commit(const Context& ctx) {
  absl::Status entered = co_await AwaitInserts(ctx);
  if (entered.ok()) entered = co_await AwaitFlush(ctx);
  if (!entered.ok()) {
    if (state_ == State::kActive) {
      CleanUpInBackground();
      state_ = State::kRolledBack;
      failure_ = entered;
    }
    co_return entered;
  }
  committing_ = true;
  StopHeartbeats();
  if (!has_writes()) {
    // Nothing depends on its locks any more.
    if (NeedsCleanUp()) co_await CleanUp(ctx);
    state_ = State::kCommitted;
    commit_ts_ = Timestamp{txn_.read_ts()};
    co_return absl::OkStatus();
  }
  absl::Status result;
  bool done = false;
  if (!flushed_) {
    auto one_phase = co_await CommitInOnePhase(ctx);
    result = one_phase.status();
    done = !one_phase.ok() || *one_phase;
  }
  if (!done) {
    auto parallel = co_await CommitInParallel(ctx);
    result = parallel.status();
    done = !parallel.ok() || *parallel;
  }
  if (!done) result = co_await CommitInTwoPhases(ctx);
  if (!result.ok() && may_be_staged_ && state_ != State::kUnknown) result = co_await SettleStaged(ctx, std::move(result));
  StopHeartbeats();
  if (result.ok() || state_ == State::kUnknown) co_return result;
  // A failed commit ends the transaction.
  CleanUpInBackground();
  state_ = State::kRolledBack;
  failure_ = result;
  co_return result;
}

// The range that holds all that a one-phase commit touches; nullopt: it takes two phases.
Task<absl::StatusOr<std::optional<v1::RangeDescriptor>>> TxnCoordinator::OnePhaseRange(const Context& ctx) {
  const std::optional<v1::RangeDescriptor> none;
  if (buffer_.bytes() > core_->options.max_one_phase_bytes) co_return none;
  CO_ASSIGN_OR_RETURN(v1::RangeDescriptor range, co_await core_->sender->Locate(ctx, buffer_.map().begin()->first));
  if (!Inside(range, buffer_.map().rbegin()->first, {})) co_return none;
  if (may_have_record_ && !Inside(range, txn_.meta().anchor_key(), {})) co_return none;
  if (fence_ && !Inside(range, fence_->first, {})) co_return none;
  for (const std::string& key : UnwrittenLocks()) {
    if (!Inside(range, key, {})) co_return none;
  }
  co_return std::optional<v1::RangeDescriptor>(std::move(range));
}

v1::BatchRequest TxnCoordinator::OnePhaseBatch(const v1::RangeDescriptor& range) {
  v1::BatchRequest batch;
  if (fence_) {
    auto* check = batch.add_requests()->mutable_check();
    check->set_key(fence_->first);
    if (fence_->second) check->set_expected(*fence_->second);
  }
  for (const std::string& key : UnwrittenLocks()) {
    const HeldLock* held = FindLock(key);
    auto* lock = batch.add_requests()->mutable_lock();
    lock->set_key(key);
    lock->set_strength(held->strength == LockStrength::kShared ? v1::LOCK_SHARED : v1::LOCK_EXCLUSIVE);
    lock->set_since(held->since.bits);
  }
  for (const auto& [key, versions] : buffer_.map()) AddWrite(&batch, key, versions.back(), locks_);
  auto* end = batch.add_requests()->mutable_end_txn();
  end->set_commit(true);
  end->set_one_phase(true);
  end->set_write_outcome(true);
  end->set_key(outcome_key_);
  // Locks in this range go with the commit; those elsewhere are to be released, and here those that were made replicated ones.
  for (const v1::Span& span : lock_spans_.spans()) *end->add_lock_spans() = span;
  return batch;
}

// False: it does not fit into one range.
Task<absl::StatusOr<bool>> TxnCoordinator::CommitInOnePhase(const Context& ctx) {
  for (int tries = 0; tries < kMaxCommitTries; ++tries) {
    auto located = co_await OnePhaseRange(ctx);
    if (!located.ok()) {
      if (!ctx.status().ok()) co_return ctx.status();
      auto error = GetKvError(located.status());
      co_return error ? ToPgStatus(*error) : located.status();
    }
    if (!*located) co_return false;
    const v1::RangeDescriptor range = **std::move(located);
    const std::string& anchor = txn_.meta().anchor_key();
    outcome_key_ = !anchor.empty() && Inside(range, anchor, {}) ? anchor : buffer_.map().begin()->first;
    v1::BatchRequest batch = OnePhaseBatch(range);
    FillHeader(ctx, &batch);
    if (anchor.empty()) batch.mutable_header()->mutable_txn()->mutable_meta()->set_anchor_key(outcome_key_);
    if (!weak() && has_read_) {
      const auto& spans = read_spans_.spans();
      const bool all_here = spans.size() <= core_->options.max_one_phase_refresh_spans &&
                            std::all_of(spans.begin(), spans.end(), [&](const v1::Span& s) { return Inside(range, s.key(), s.end_key()); });
      if (all_here) {
        batch.mutable_header()->set_refresh_from(refresh_from_.bits);
        for (const v1::Span& span : spans) *batch.mutable_header()->add_refresh_spans() = span;
      }
    }
    ++stats_.batches;
    stats_.requests += static_cast<uint64_t>(batch.requests_size());
    v1::BatchResponse response = co_await core_->sender->Send(ctx, std::move(batch));
    if (!response.has_error()) {
      Committed(response);
      co_return true;
    }
    const v1::Error& error = response.error();
    if (error.has_range_mismatch()) co_return false;
    if (error.has_ambiguous()) {
      CO_RETURN_IF_ERROR(co_await SettleUnknown(ctx, error.message()));
      co_return true;
    }
    if (!ctx.status().ok()) co_return ctx.status();  // certainly not applied
    if (error.has_condition_failed() && fence_ && error.condition_failed().key() == fence_->first) co_return FailedFence();
    const bool moved = (error.has_txn_retry() && error.txn_retry().reason() == v1::Error::TxnRetry::PUSHED) || error.has_uncertainty();
    if (!moved) co_return ToPgStatus(error);
    Timestamp to{error.has_uncertainty() ? error.uncertainty().value_ts() : error.txn_retry().retry_ts()};
    if (absl::Status refreshed = co_await RefreshTo(ctx, to); !refreshed.ok()) {
      auto why = GetKvError(refreshed);
      co_return why ? ToPgStatus(*why) : refreshed;
    }
  }
  co_return PgError(sqlstate::kSerializationFailure, "could not serialize access: the commit timestamp was moved up again and again");
}

void TxnCoordinator::Committed(const v1::BatchResponse& response) {
  CommittedAt(Timestamp{response.responses(response.responses_size() - 1).end_txn().commit_ts()});
}

void TxnCoordinator::CommittedAt(Timestamp ts) {
  state_ = State::kCommitted;
  commit_ts_ = ts;
}

absl::Status TxnCoordinator::Unknown(std::string_view why) {
  state_ = State::kUnknown;
  failure_ = PgErrorBuilder(sqlstate::kTransactionResolutionUnknown, "the outcome of the transaction is not known").Detail(std::string(why)).Build();
  return failure_;
}

Task<absl::Status> TxnCoordinator::CheckFenceAt(const Context& ctx, Timestamp ts) {
  v1::BatchRequest batch;
  auto* check = batch.add_requests()->mutable_check();
  check->set_key(fence_->first);
  if (fence_->second) check->set_expected(*fence_->second);
  check->set_at_commit(true);
  FillHeader(ctx, &batch);
  v1::Transaction* txn = batch.mutable_header()->mutable_txn();
  txn->set_read_ts(ts.bits);
  txn->set_uncertainty_limit(ts.bits);
  batch.mutable_header()->set_can_forward_read_ts(false);
  ++stats_.batches;
  ++stats_.requests;
  v1::BatchResponse response = co_await core_->sender->Send(ctx, std::move(batch));
  if (!response.has_error()) {
    fence_held_at_ = ts;
    co_return absl::OkStatus();
  }
  if (response.error().has_condition_failed()) co_return FailedFence();
  co_return ToPgStatus(response.error());
}

// Where the transaction would commit now, everything it has read holds, and so does its fence.
Task<absl::Status> TxnCoordinator::FixCommitTimestamp(const Context& ctx) {
  const Timestamp write_ts{txn_.meta().write_ts()};
  if (!weak() && write_ts > Timestamp{txn_.read_ts()}) {
    if (absl::Status refreshed = co_await RefreshTo(ctx, write_ts); !refreshed.ok()) {
      auto why = GetKvError(refreshed);
      co_return why ? ToPgStatus(*why) : refreshed;
    }
  }
  const Timestamp commit_ts{std::max(txn_.meta().write_ts(), txn_.read_ts())};
  if (!fence_ || wrote_fence() || fence_held_at_ >= commit_ts) co_return absl::OkStatus();
  co_return co_await CheckFenceAt(ctx, commit_ts);
}

// The end of a commit that is not one of one phase.
v1::EndTxnRequest* TxnCoordinator::AddEnd(v1::BatchRequest* batch) {
  auto* end = batch->add_requests()->mutable_end_txn();
  end->set_commit(true);
  end->set_write_outcome(true);
  if (fence_ && !wrote_fence()) end->set_deadline(fence_held_at_.bits);
  for (const v1::Span& span : lock_spans_.spans()) *end->add_lock_spans() = span;
  return end;
}

// Whether all that is still to be written lies in the range of the record.
Task<absl::StatusOr<bool>> TxnCoordinator::InAnchorRange(const Context& ctx, const std::vector<std::string>& unwritten) {
  auto located = co_await core_->sender->Locate(ctx, txn_.meta().anchor_key());
  if (!located.ok()) {
    if (!ctx.status().ok()) co_return ctx.status();
    auto error = GetKvError(located.status());
    co_return error ? ToPgStatus(*error) : located.status();
  }
  const v1::RangeDescriptor& range = *located;
  co_return std::all_of(buffer_.map().begin(), buffer_.map().end(), [&](const auto& write) { return Inside(range, write.first, {}); }) &&
      std::all_of(unwritten.begin(), unwritten.end(), [&](const std::string& key) { return Inside(range, key, {}); });
}

// Everything that is not on the nodes yet, and the end. `together`: all of it lies in the record's range, and is there when the end is.
v1::BatchRequest TxnCoordinator::ParallelBatch(const std::vector<std::string>& unwritten, bool together) {
  v1::BatchRequest batch;
  std::vector<v1::SequencedWrite> in_flight;
  for (const auto& [key, versions] : buffer_.map()) {
    AddWrite(&batch, key, versions.back(), locks_);
    lock_spans_.Add(key, {});
    v1::SequencedWrite& write = in_flight.emplace_back();
    write.set_key(key);
    write.set_sequence(versions.back().sequence);
  }
  for (const std::string& key : unwritten) {
    AddReplicatedLock(&batch, key, *FindLock(key));
    v1::SequencedWrite& lock = in_flight.emplace_back();
    lock.set_key(key);
    lock.set_lock(batch.requests(batch.requests_size() - 1).lock().strength());
  }
  v1::EndTxnRequest* end = AddEnd(&batch);
  if (!together) end->mutable_in_flight()->Add(in_flight.begin(), in_flight.end());
  return batch;
}

// Writes, locks and the record in one round. False: it takes two phases (still; or after all, and then some of it is done).
Task<absl::StatusOr<bool>> TxnCoordinator::CommitInParallel(const Context& ctx) {
  const std::vector<std::string> unwritten = UnwrittenLocks();
  const size_t in_flight = buffer_.map().size() + unwritten.size();
  if (in_flight == 0 || in_flight > core_->options.max_in_flight || buffer_.bytes() > core_->options.max_one_phase_bytes) co_return false;
  if (fence_ && !wrote_fence() && txn_.meta().write_ts() == 0) co_return false;  // the writes are to say where the fence has to hold
  CO_RETURN_IF_ERROR(co_await PrepareToLock(ctx, buffer_.empty() ? unwritten[0] : buffer_.map().begin()->first));
  // Nothing is read any more: between statements of READ COMMITTED there is no snapshot, and none is needed.
  if (read_committed() && txn_.read_ts() == 0) txn_.set_read_ts(txn_.meta().write_ts());
  CO_RETURN_IF_ERROR(co_await FixCommitTimestamp(ctx));
  CO_ASSIGN_OR_RETURN(const bool together, co_await InAnchorRange(ctx, unwritten));
  buffer_.KeepNewest();
  outcome_key_ = txn_.meta().anchor_key();
  v1::BatchRequest batch = ParallelBatch(unwritten, together);
  flushed_ = true;
  flushed_sequence_ = sequence_;
  FillHeader(ctx, &batch);
  ++stats_.batches;
  stats_.requests += static_cast<uint64_t>(batch.requests_size());
  v1::BatchResponse response = co_await core_->sender->Send(ctx, std::move(batch));
  if (!response.has_error()) {
    const v1::EndTxnResponse& end = response.responses(response.responses_size() - 1).end_txn();
    const Timestamp reached{response.txn().meta().write_ts()};
    if (end.status() == v1::COMMITTED) {
      Committed(response);
      co_return true;
    }
    if (reached <= Timestamp{end.commit_ts()}) {
      Committed(response);
      // From now on it is committed, whatever becomes of this: it only spares others the trouble of finding out.
      txn_.mutable_meta()->set_write_ts(end.commit_ts());
      txn_.set_read_ts(std::max(txn_.read_ts(), response.txn().read_ts()));
      v1::BatchRequest explicitly;
      AddEnd(&explicitly);
      FillHeader(core_->background.ctx(), &explicitly);
      core_->background.Spawn(core_->EndInBackground(std::move(explicitly)));
      co_return true;
    }
    // A write was moved above the record, or a copy of it was, and the first one is where it belongs: all is there, and has to be committed
    // higher up.
    may_be_staged_ = true;
    AdoptTxn(response.txn(), &txn_);
    buffer_.Clear();
    locks_.clear();
    co_return false;
  }
  const v1::Error& error = response.error();
  if (error.has_ambiguous()) {
    CO_RETURN_IF_ERROR(co_await SettleUnknown(ctx, error.message()));
    co_return true;
  }
  if (!ctx.status().ok()) co_return ctx.status();
  const bool moved = error.has_uncertainty() || (error.has_txn_retry() && error.txn_retry().reason() != v1::Error::TxnRetry::LOCK_LOST);
  if (!moved && !error.has_range_mismatch()) co_return ToPgStatus(error);
  // One piece at least was not applied, and will be only by what is sent from here on: others may be. They are found again by their sequence
  // numbers.
  may_be_staged_ = true;
  if (!moved) co_return false;
  const Timestamp to{error.has_uncertainty() ? error.uncertainty().value_ts() : error.txn_retry().retry_ts()};
  txn_.mutable_meta()->set_write_ts(std::max(txn_.meta().write_ts(), to.bits));
  co_return false;
}

Task<absl::Status> TxnCoordinator::CommitInTwoPhases(const Context& ctx) {
  CO_RETURN_IF_ERROR(co_await Flush(ctx));
  outcome_key_ = txn_.meta().anchor_key();
  for (int tries = 0; tries < kMaxCommitTries; ++tries) {
    CO_RETURN_IF_ERROR(co_await FixCommitTimestamp(ctx));
    v1::BatchRequest batch;
    AddEnd(&batch);
    FillHeader(ctx, &batch);
    batch.mutable_header()->set_can_forward_read_ts(false);
    ++stats_.batches;
    ++stats_.requests;
    v1::BatchResponse response = co_await core_->sender->Send(ctx, std::move(batch));
    if (!response.has_error()) {
      Committed(response);
      co_return absl::OkStatus();
    }
    const v1::Error& error = response.error();
    if (error.has_ambiguous()) co_return co_await SettleUnknown(ctx, error.message());
    if (!ctx.status().ok()) co_return ctx.status();
    const bool moved = error.has_txn_retry() && (error.txn_retry().reason() == v1::Error::TxnRetry::PUSHED || error.txn_retry().reason() == v1::Error::TxnRetry::DEADLINE);
    if (!moved) co_return ToPgStatus(error);
    txn_.mutable_meta()->set_write_ts(std::max(txn_.meta().write_ts(), error.txn_retry().retry_ts()));
  }
  co_return PgError(sqlstate::kSerializationFailure, "could not serialize access: the commit timestamp was moved up again and again");
}

// Asks for the outcome of the transaction, and thereby settles it: its commit timestamp, as far as it is known here (one that wrote blindly in
// one phase was given none before); nothing: not committed.
Task<absl::StatusOr<std::optional<Timestamp>>> TxnCoordinator::AskOutcome(const Context& ctx) {
  while (true) {
    CO_RETURN_IF_ERROR(ctx.status());
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(kBatchVersion);
    batch.mutable_header()->set_trace_id(ctx.info().trace_id);
    auto* query = batch.add_requests()->mutable_query_outcome();
    query->set_key(outcome_key_);
    query->set_txn_id(txn_.meta().id());
    v1::BatchResponse response = co_await core_->sender->Send(ctx, std::move(batch));
    if (response.has_error()) co_return FromKvError(response.error());
    const v1::QueryOutcomeResponse& answer = response.responses(0).query_outcome();
    if (!answer.has_staging()) co_return answer.committed() ? std::optional(Timestamp{txn_.meta().write_ts()}) : std::nullopt;
    CO_ASSIGN_OR_RETURN(v1::Transaction settled, co_await RecoverTxn(ctx, *core_->sender, answer.staging()));
    if (settled.status() == v1::COMMITTED) co_return Timestamp{settled.meta().write_ts()};
    // Aborted: made durable by asking once more. STAGING: a copy of the commit came in between.
  }
}

// The answer to a commit got lost.
Task<absl::Status> TxnCoordinator::SettleUnknown(const Context& ctx, std::string_view why) {
  const std::string reason(why);
  auto outcome = co_await AskOutcome(ctx);
  if (!outcome.ok()) co_return Unknown(reason);
  if (outcome->has_value()) {
    PROBE("a commit of unknown fate had happened");
    CommittedAt(**outcome);
    co_return absl::OkStatus();
  }
  PROBE("a commit of unknown fate was ruled out");
  co_return PgErrorBuilder(sqlstate::kSerializationFailure, "the transaction was not committed and must be retried").Detail(reason).Build();
}

// The commit was given up after its record was made STAGING. Anybody may meanwhile have found all writes, and so the commit: only the record
// tells. Returns `refused` if it was not committed, and never will be.
Task<absl::Status> TxnCoordinator::SettleStaged(const Context& ctx, absl::Status refused) {
  auto outcome = co_await AskOutcome(ctx);
  if (!outcome.ok()) co_return Unknown(Sv(refused.message()));
  if (!outcome->has_value()) co_return refused;
  PROBE("a commit that was given up had happened");
  CommittedAt(**outcome);
  co_return absl::OkStatus();
}

// -- Giving back --

bool TxnCoordinator::NeedsCleanUp() { return !lock_spans_.empty() || flushed_ || may_have_record_; }

v1::BatchRequest TxnCoordinator::AbortBatch() {
  v1::BatchRequest batch;
  auto* end = batch.add_requests()->mutable_end_txn();
  for (const v1::Span& span : lock_spans_.spans()) *end->add_lock_spans() = span;
  FillHeader(core_->background.ctx(), &batch);
  return batch;
}

Task<void> TxnCoordinator::CleanUp(const Context& ctx) {
  v1::BatchRequest batch = AbortBatch();
  Context limited = ctx.WithTimeout(5s);
  v1::BatchResponse response = co_await core_->sender->Send(limited, batch);
  // Not now: then in the background.
  if (response.has_error() && !response.error().has_txn_aborted()) core_->background.Spawn(core_->EndInBackground(std::move(batch)));
  lock_spans_.Clear();
  flushed_ = false;
  may_have_record_ = false;
}

void TxnCoordinator::CleanUpInBackground() {
  StopHeartbeats();
  if (!NeedsCleanUp() || txn_.meta().anchor_key().empty()) return;
  core_->background.Spawn(core_->EndInBackground(AbortBatch()));
  lock_spans_.Clear();
  may_have_record_ = false;
  flushed_ = false;
}

Task<absl::Status> TxnCoordinator::Rollback(const Context& ctx) {
  if (state_ == State::kCommitted || state_ == State::kUnknown) co_return absl::FailedPreconditionError("the transaction is over");
  if (state_ == State::kRolledBack) co_return absl::OkStatus();
  // The end comes after what is under way, if there is time.
  while (flushing_ && (co_await flush_ended_.Wait(ctx)).ok()) {
  }
  flushes_.reset();
  StopHeartbeats();
  state_ = State::kRolledBack;
  failure_ = absl::FailedPreconditionError("the transaction was rolled back");
  buffer_.Clear();
  locks_.clear();
  if (NeedsCleanUp() && !txn_.meta().anchor_key().empty()) co_await CleanUp(ctx);
  co_return absl::OkStatus();
}

}  // namespace insula::kv
