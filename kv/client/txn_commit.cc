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
  if (absl::Status entered = Enter(); !entered.ok()) {
    if (state_ == State::kActive) {
      CleanUpInBackground();
      state_ = State::kRolledBack;
      failure_ = entered;
    }
    co_return entered;
  }
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
  if (!done) result = co_await CommitInTwoPhases(ctx);
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
  for (const auto& [key, versions] : buffer_.map()) AddWrite(&batch, key, versions.back());
  auto* end = batch.add_requests()->mutable_end_txn();
  end->set_commit(true);
  end->set_one_phase(true);
  end->set_write_outcome(true);
  end->set_key(outcome_key_);
  // Locks in this range go with the commit; those elsewhere are to be released.
  for (const v1::Span& span : lock_spans_.spans()) {
    if (!Inside(range, span.key(), span.end_key())) *end->add_lock_spans() = span;
  }
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
  state_ = State::kCommitted;
  commit_ts_ = Timestamp{response.responses(response.responses_size() - 1).end_txn().commit_ts()};
}

Task<absl::Status> TxnCoordinator::CheckFenceAt(const Context& ctx, Timestamp ts) {
  v1::BatchRequest batch;
  auto* check = batch.add_requests()->mutable_check();
  check->set_key(fence_->first);
  if (fence_->second) check->set_expected(*fence_->second);
  FillHeader(ctx, &batch);
  v1::Transaction* txn = batch.mutable_header()->mutable_txn();
  txn->set_read_ts(ts.bits);
  txn->set_uncertainty_limit(ts.bits);
  batch.mutable_header()->set_can_forward_read_ts(false);
  ++stats_.batches;
  ++stats_.requests;
  v1::BatchResponse response = co_await core_->sender->Send(ctx, std::move(batch));
  if (!response.has_error()) co_return absl::OkStatus();
  if (response.error().has_condition_failed()) co_return FailedFence();
  co_return ToPgStatus(response.error());
}

Task<absl::Status> TxnCoordinator::CommitInTwoPhases(const Context& ctx) {
  CO_RETURN_IF_ERROR(co_await Flush(ctx));
  outcome_key_ = txn_.meta().anchor_key();
  for (int tries = 0; tries < kMaxCommitTries; ++tries) {
    const Timestamp write_ts{txn_.meta().write_ts()};
    if (!weak() && write_ts > Timestamp{txn_.read_ts()}) {
      if (absl::Status refreshed = co_await RefreshTo(ctx, write_ts); !refreshed.ok()) {
        auto why = GetKvError(refreshed);
        co_return why ? ToPgStatus(*why) : refreshed;
      }
    }
    // A fence holds at the very timestamp of the commit.
    if (fence_ && !wrote_fence_) CO_RETURN_IF_ERROR(co_await CheckFenceAt(ctx, Timestamp{txn_.meta().write_ts()}));
    v1::BatchRequest batch;
    auto* end = batch.add_requests()->mutable_end_txn();
    end->set_commit(true);
    end->set_write_outcome(true);
    if (fence_ && !wrote_fence_) end->set_deadline(txn_.meta().write_ts());
    for (const v1::Span& span : lock_spans_.spans()) *end->add_lock_spans() = span;
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

// The answer to a commit got lost: asks for the outcome, and thereby settles it.
Task<absl::Status> TxnCoordinator::SettleUnknown(const Context& ctx, std::string_view why) {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  batch.mutable_header()->set_trace_id(ctx.info().trace_id);
  auto* query = batch.add_requests()->mutable_query_outcome();
  query->set_key(outcome_key_);
  query->set_txn_id(txn_.meta().id());
  const std::string reason(why);
  v1::BatchResponse response;
  if (ctx.status().ok()) {
    response = co_await core_->sender->Send(ctx, std::move(batch));
  } else {
    response.mutable_error()->set_message(std::string(ctx.status().message()));
  }
  if (response.has_error()) {
    state_ = State::kUnknown;
    failure_ = PgErrorBuilder(sqlstate::kTransactionResolutionUnknown, "the outcome of the transaction is not known").Detail(reason).Build();
    co_return failure_;
  }
  if (response.responses(0).query_outcome().committed()) {
    PROBE("a commit of unknown fate had happened");
    state_ = State::kCommitted;
    commit_ts_ = Timestamp{txn_.meta().write_ts()};
    co_return absl::OkStatus();
  }
  PROBE("a commit of unknown fate was ruled out");
  co_return PgErrorBuilder(sqlstate::kSerializationFailure, "the transaction was not committed and must be retried").Detail(reason).Build();
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
  if (response.has_error() && !response.error().has_txn_aborted()) core_->background.Spawn(core_->Abandon(std::move(batch)));
  lock_spans_.Clear();
  flushed_ = false;
  may_have_record_ = false;
}

void TxnCoordinator::CleanUpInBackground() {
  StopHeartbeats();
  if (!NeedsCleanUp() || txn_.meta().anchor_key().empty()) return;
  core_->background.Spawn(core_->Abandon(AbortBatch()));
  lock_spans_.Clear();
  may_have_record_ = false;
  flushed_ = false;
}

Task<absl::Status> TxnCoordinator::Rollback(const Context& ctx) {
  if (state_ == State::kCommitted || state_ == State::kUnknown) co_return absl::FailedPreconditionError("the transaction is over");
  if (state_ == State::kRolledBack) co_return absl::OkStatus();
  StopHeartbeats();
  state_ = State::kRolledBack;
  failure_ = absl::FailedPreconditionError("the transaction was rolled back");
  buffer_.Clear();
  locks_.clear();
  if (NeedsCleanUp() && !txn_.meta().anchor_key().empty()) co_await CleanUp(ctx);
  co_return absl::OkStatus();
}

}  // namespace insula::kv
