#include "kv/client/txn_coordinator.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/client/kv_error_map.h"

namespace insula::kv {
namespace {

constexpr int kMaxRefreshes = 20;  // of one batch, before its conflicts count as unresolvable

v1::Isolation ToProto(Isolation isolation) {
  switch (isolation) {
    case Isolation::kSerializable:
      return v1::SERIALIZABLE;
    case Isolation::kSnapshot:
      return v1::SNAPSHOT;
    case Isolation::kReadCommitted:
      return v1::READ_COMMITTED;
  }
  return v1::SERIALIZABLE;
}

bool OnlyReads(const v1::BatchRequest& batch) {
  return std::all_of(batch.requests().begin(), batch.requests().end(), [](const v1::Request& r) { return (FlagsOf(r) & kReads) && !(FlagsOf(r) & kWrites); });
}

// Up to where the snapshot would have to move for the batch to have a chance; empty: that would not help.
Timestamp RetryTimestamp(const v1::Error& error) {
  if (error.has_uncertainty()) return Timestamp{error.uncertainty().value_ts()};
  if (!error.has_txn_retry()) return Timestamp();
  const auto reason = error.txn_retry().reason();
  if (reason != v1::Error::TxnRetry::WRITE_TOO_OLD && reason != v1::Error::TxnRetry::PUSHED) return Timestamp();
  return Timestamp{error.txn_retry().retry_ts()};
}

}  // namespace

// -- ClientCore --

uint64_t ClientCore::Register(TxnCoordinator* txn) {
  beating[++last_id] = txn;
  if (!beat_running) {
    beat_running = true;
    background.Spawn(Beat());
  }
  return last_id;
}

// One loop for all transactions; it ends when none is left.
Task<void> ClientCore::Beat() {
  while (!beating.empty()) {
    if (!(co_await Sleep(background.ctx(), options.heartbeat_interval)).ok()) break;
    for (auto& [id, txn] : beating) {
      v1::BatchRequest batch = txn->HeartbeatBatch();
      if (batch.requests_size() > 0) background.Spawn(BeatOne(id, std::move(batch)));
    }
  }
  beat_running = false;
}

Task<void> ClientCore::BeatOne(uint64_t id, v1::BatchRequest batch) {
  Context ctx = background.ctx().WithTimeout(4 * options.heartbeat_interval);
  v1::BatchResponse response = co_await sender->Send(ctx, std::move(batch));
  auto it = beating.find(id);
  if (it == beating.end() || response.has_error()) co_return;  // ended meanwhile; or the next one may get through
  it->second->OnHeartbeat(response.responses(0).heartbeat_txn().status());
}

Task<void> ClientCore::EndInBackground(v1::BatchRequest end) {
  // What does not get through is cleaned up by whoever meets it, once the transaction has expired.
  Context ctx = background.ctx().WithTimeout(10s);
  (void)co_await sender->Send(ctx, std::move(end));
}

// -- TxnCoordinator --

TxnCoordinator::TxnCoordinator(std::shared_ptr<ClientCore> core, TxnOptions options) : core_(std::move(core)), options_(options) {
  v1::TxnMeta* meta = txn_.mutable_meta();
  meta->set_id(core_->random->Bytes(16));
  meta->set_isolation(ToProto(options_.isolation));
  meta->set_priority(options_.priority);
}

TxnCoordinator::~TxnCoordinator() {
  const bool open = state_ == State::kActive || state_ == State::kFailed || state_ == State::kAborted;
  if (open) CleanUpInBackground();
  StopHeartbeats();
}

absl::Status TxnCoordinator::Enter() const {
  if (state_ == State::kActive) return deferred_;
  if (!failure_.ok()) return failure_;
  return absl::FailedPreconditionError("the transaction is over");
}

Task<absl::Status> TxnCoordinator::BeginStatement(const Context& ctx) {
  ++statement_;
  CO_RETURN_IF_ERROR(Enter());
  if (!read_committed()) co_return absl::OkStatus();
  CO_RETURN_IF_ERROR(co_await AwaitFlush(ctx));
  // The next read chooses a new snapshot, not below this one.
  txn_.mutable_meta()->set_write_ts(std::max(txn_.meta().write_ts(), txn_.read_ts()));
  txn_.set_read_ts(0);
  read_spans_.Clear();
  refresh_from_ = Timestamp();
  has_read_ = false;
  fence_checked_ = false;
  co_return absl::OkStatus();
}

void TxnCoordinator::SetFence(std::string key, std::optional<std::string> expected) {
  if (!fence_ || fence_->first != key || fence_->second != expected) fence_held_at_ = Timestamp();
  fence_.emplace(std::move(key), std::move(expected));
  fence_checked_ = false;
}

void TxnCoordinator::FillHeader(const Context& ctx, v1::BatchRequest* batch) const {
  v1::BatchHeader* header = batch->mutable_header();
  header->set_version(kBatchVersion);
  header->set_tenant_id(ctx.info().tenant_id);
  header->set_trace_id(ctx.info().trace_id);
  header->set_priority(ctx.info().priority);
  *header->mutable_txn() = txn_;
  header->mutable_txn()->mutable_meta()->set_sequence(sequence_);
  header->set_can_forward_read_ts(!has_read_);
}

void TxnCoordinator::Absorb(const v1::BatchResponse& response, Snapshot snapshot) {
  if (!response.has_txn()) return;
  if (txn_.read_ts() == 0) {
    snapshot_at_ = core_->executor->Now();
  } else if (snapshot == Snapshot::kStays && read_committed()) {
    txn_.mutable_meta()->set_write_ts(std::max(txn_.meta().write_ts(), response.txn().meta().write_ts()));
    return;
  }
  AdoptTxn(response.txn(), &txn_);
}

// kStays: where READ COMMITTED takes what is newest, that is no business of the statement's snapshot.
Task<absl::StatusOr<v1::BatchResponse>> TxnCoordinator::Send(const Context& ctx, v1::BatchRequest batch, Snapshot snapshot) {
  // One batch chooses the snapshot; others that come meanwhile wait for it.
  struct Choosing {
    TxnCoordinator* txn = nullptr;
    ~Choosing() {
      if (txn == nullptr) return;
      txn->choosing_ = false;
      txn->chosen_.NotifyAll();
    }
  };
  for (int refreshes = 0;; ++refreshes) {
    v1::BatchResponse response;
    {
      Choosing choosing;
      while (choosing_) CO_RETURN_IF_ERROR(co_await chosen_.Wait(ctx));
      if (txn_.read_ts() == 0) {
        choosing_ = true;
        choosing.txn = this;
        trusted_since_ = core_->executor->Now();
      }
      FillHeader(ctx, &batch);
      ++stats_.batches;
      stats_.requests += static_cast<uint64_t>(batch.requests_size());
      response = co_await core_->sender->Send(ctx, batch);
      if (!response.has_error()) {
        // While it was under way another read (pages interleave) or a flush may have moved the snapshot, and these keys were not refreshed
        // with it, nor are locked since then for certain.
        const bool left_behind = response.txn().read_ts() < txn_.read_ts();
        if (left_behind && state_ == State::kActive && OnlyReads(batch)) continue;
        Absorb(response, snapshot);
        co_return response;
      }
    }
    if (state_ != State::kActive) co_return failure_;
    if (!ctx.status().ok()) {
      state_ = State::kFailed;
      failure_ = ctx.status();
      co_return failure_;
    }
    const v1::Error& error = response.error();
    Timestamp to = RetryTimestamp(error);
    if (to.empty() || refreshes >= kMaxRefreshes) co_return Fail(error);
    if (!(co_await RefreshTo(ctx, to)).ok()) {
      if (state_ != State::kActive) co_return failure_;
      co_return Fail(error);
    }
  }
}

// Moves the snapshot up to `to`, if everything read so far is the same there.
Task<absl::Status> TxnCoordinator::RefreshTo(const Context& ctx, Timestamp to) {
  const uint64_t before = txn_.read_ts();
  to = std::max({to, Timestamp{before}, Timestamp{txn_.meta().write_ts()}});
  // What is read meanwhile is read at the old snapshot, and has to be looked at, too.
  for (std::optional<uint64_t> looked_at; has_read_ && !read_spans_.empty() && looked_at != reads_noted_;) {
    looked_at = reads_noted_;
    v1::BatchRequest batch;
    for (const v1::Span& span : read_spans_.spans()) {
      auto* refresh = batch.add_requests()->mutable_refresh();
      refresh->set_key(span.key());
      refresh->set_end_key(span.end_key());
      refresh->set_from(refresh_from_.bits);
    }
    FillHeader(ctx, &batch);
    batch.mutable_header()->mutable_txn()->set_read_ts(to.bits);
    batch.mutable_header()->set_can_forward_read_ts(false);
    ++stats_.batches;
    stats_.requests += static_cast<uint64_t>(batch.requests_size());
    v1::BatchResponse response = co_await core_->sender->Send(ctx, std::move(batch));
    if (response.has_error()) co_return FromKvError(response.error());
  }
  // Somebody else's refresh went further meanwhile.
  if (txn_.read_ts() != before && Timestamp{txn_.read_ts()} >= to) co_return absl::OkStatus();
  txn_.set_read_ts(to.bits);
  txn_.mutable_meta()->set_write_ts(std::max(txn_.meta().write_ts(), to.bits));
  if (has_read_) refresh_from_ = to;
  co_return absl::OkStatus();
}

// The error of an operation, and what it does to the transaction.
absl::Status TxnCoordinator::Fail(const v1::Error& error) {
  absl::Status status = ToPgStatus(error);
  if (error.has_lock_conflict()) return status;  // NOWAIT and timeouts leave the transaction as it is
  if (error.has_condition_failed()) {
    if (fence_ && error.condition_failed().key() == fence_->first) return FailedFence();  // nothing was read
    return FromKvError(error);  // the flush knows what to do
  }
  failure_ = status;
  if (error.has_deadlock() || error.has_txn_aborted() || error.has_stale_generation()) {
    state_ = State::kAborted;
    CleanUpInBackground();  // others wait for its locks
    return status;
  }
  state_ = State::kFailed;
  const bool of_the_snapshot = error.has_uncertainty() || (error.has_txn_retry() && error.txn_retry().reason() != v1::Error::TxnRetry::LOCK_LOST);
  if (read_committed() && of_the_snapshot) return MarkStatementRetry(status);
  return status;
}

absl::Status TxnCoordinator::FailedFence() { return absl::FailedPreconditionError("the catalog changed"); }

Task<absl::Status> TxnCoordinator::RollbackTo(const Context& ctx, Savepoint savepoint) {
  if (state_ != State::kActive && state_ != State::kFailed) {
    co_return failure_.ok() ? absl::FailedPreconditionError("the transaction is over") : failure_;
  }
  // How what is in flight ends does not matter; where it ends does.
  while (flushing_) CO_RETURN_IF_ERROR(co_await flush_ended_.Wait(ctx));
  if (!direct_.RollbackTo(savepoint)) {
    state_ = State::kFailed;
    failure_ = PgErrorBuilder(sqlstate::kSerializationFailure, "rows that were loaded into a new table cannot be taken back one statement at a time")
                   .Hint("Retry the transaction.")
                   .Build();
    co_return failure_;
  }
  buffer_.RollbackTo(savepoint);
  if (flushed_ && flushed_sequence_ > savepoint) Ignore(savepoint + 1, sequence_);
  if (fence_written_ > savepoint) fence_written_ = 0;  // others may change it again, once its lock is lost: it is checked again
  state_ = State::kActive;
  failure_ = absl::OkStatus();
  flush_failure_ = absl::OkStatus();
  deferred_ = absl::OkStatus();
  co_return absl::OkStatus();
}

// Flushed writes with these numbers never were.
void TxnCoordinator::Ignore(uint32_t from, uint32_t to) {
  auto* ignored = txn_.mutable_ignored();
  while (!ignored->empty() && ignored->rbegin()->from() >= from) ignored->RemoveLast();
  auto* range = ignored->Add();
  range->set_from(from);
  range->set_to(to);
}

v1::BatchRequest TxnCoordinator::HeartbeatBatch() {
  v1::BatchRequest batch;
  if (txn_.meta().anchor_key().empty() || state_ != State::kActive) return batch;
  may_have_record_ = true;
  FillHeader(core_->background.ctx(), &batch);
  batch.mutable_header()->mutable_txn()->clear_ignored();
  batch.add_requests()->mutable_heartbeat_txn()->set_key(txn_.meta().anchor_key());
  return batch;
}

void TxnCoordinator::OnHeartbeat(v1::TxnStatus status) {
  if (status != v1::ABORTED || state_ != State::kActive || committing_) return;
  v1::Error error;
  error.set_message("another transaction ended it");
  error.mutable_txn_aborted();
  (void)Fail(error);  // the next operation tells
}

}  // namespace insula::kv
