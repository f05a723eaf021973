#include "kv/concurrency/sequencer.h"

#include <algorithm>
#include <utility>

#include "base/async/task_group.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"

namespace insula::kv {
namespace {

// A request that goes round this often meets something that the lock table does not agree about.
constexpr int kMaxRounds = 10'000;
constexpr size_t kResolveAtOnce = 1000;

bool IsFinished(v1::TxnStatus status) { return status == v1::COMMITTED || status == v1::ABORTED; }

}  // namespace

bool Sequencer::TrySequence(Ticket& ticket) {
  if (!ticket.latches_.ready()) {
    ticket.latches_ = latches_.Insert(ticket.spec_.latches);
    if (!ticket.latches_.ready()) return false;
  }
  if (ticket.spec_.locks.empty()) return true;
  if (ticket.request_ == nullptr) ticket.request_ = table_->NewRequest(ticket.spec_.txn, ticket.spec_.policy, ticket.spec_.locks);
  return table_->Scan(ticket.request_.get()).kind == LockTable::ScanResult::kFree;
}

Task<absl::Status> Sequencer::Sequence(const Context& ctx, Ticket& ticket) {
  while (true) {
    if (++ticket.rounds_ > kMaxRounds) co_return absl::InternalError("a request waits for a lock that never lets it pass");
    if (!ticket.latches_.ready()) {
      ticket.latches_ = latches_.Insert(ticket.spec_.latches);
      if (!ticket.latches_.ready()) CO_RETURN_IF_ERROR(co_await WaitForLatches(ctx, ticket));
    }
    if (ticket.spec_.locks.empty()) co_return absl::OkStatus();
    if (ticket.request_ == nullptr) ticket.request_ = table_->NewRequest(ticket.spec_.txn, ticket.spec_.policy, ticket.spec_.locks);
    auto found = table_->Scan(ticket.request_.get());
    if (found.kind == LockTable::ScanResult::kFree) co_return absl::OkStatus();
    ticket.waited_ = true;
    if (found.kind == LockTable::ScanResult::kConflict) {
      CO_RETURN_IF_ERROR(co_await Touch(ctx, ticket));
    } else {
      ticket.latches_.Release();
      CO_RETURN_IF_ERROR(co_await WaitForLock(ctx, ticket));
    }
  }
}

Task<absl::Status> Sequencer::WaitForLatches(const Context& ctx, Ticket& ticket) {
  StoreMetrics::Waiting waiting(&options_.metrics->latch_waiters);
  const MonoTime from = executor_->Now();
  absl::Status status = co_await latches_.Wait(ctx, ticket.latches_);
  options_.metrics->latch_waits += 1;
  options_.metrics->latch_wait_seconds.Observe(ToSeconds(executor_->Now() - from));
  co_return status;
}

Task<absl::Status> Sequencer::WaitForDiscovered(const Context& ctx, Ticket& ticket, std::vector<DiscoveredLock> locks, Timestamp limit,
                                                Timestamp push_above) {
  if (ticket.request_ != nullptr) table_->RaiseReads(ticket.request_.get(), limit, push_above);
  for (const DiscoveredLock& lock : locks) table_->AddDiscovered(lock.key, lock.holder, lock.intent, lock.strength);
  return Sequence(ctx, ticket);
}

Duration Sequencer::PushDelay(const LockTable::Blocker& blocker) const {
  if (!blocker.holds || !blocker.replicated) return options_.lock_push_delay;
  // A reader may move a weakly isolated writer out of its way without disturbing it.
  if (blocker.access == LockStrength::kNone && blocker.txn.isolation() != v1::SERIALIZABLE) return Duration::zero();
  return options_.intent_push_delay;
}

v1::PushTxnRequest Sequencer::PushRequest(const Ticket& ticket, const LockTable::Blocker& blocker) const {
  v1::PushTxnRequest push;
  push.set_key(blocker.txn.anchor_key());
  *push.mutable_pushee() = blocker.txn;
  if (ticket.spec_.txn != nullptr) *push.mutable_pusher() = *ticket.spec_.txn;
  push.set_wait(true);
  if (!blocker.holds) {
    push.set_kind(v1::PUSH_TOUCH);
  } else if (blocker.access == LockStrength::kNone) {
    push.set_kind(v1::PUSH_TIMESTAMP);
    push.set_push_to(blocker.push_to.bits);
  } else {
    push.set_kind(v1::PUSH_ABORT);
  }
  return push;
}

std::optional<v1::Transaction> Sequencer::Finished(const v1::TxnMeta& txn) const {
  auto it = finished_.find(txn.id());
  if (it == finished_.end()) return std::nullopt;
  v1::Transaction out;
  *out.mutable_meta() = txn;
  out.set_status(it->second.status);
  if (it->second.status == v1::COMMITTED) out.mutable_meta()->set_write_ts(it->second.commit_ts.bits);
  *out.mutable_ignored() = it->second.ignored;
  return out;
}

bool Sequencer::IsAborted(std::string_view txn_id) const {
  auto it = finished_.find(txn_id);
  return it != finished_.end() && it->second.status == v1::ABORTED;
}

void Sequencer::OnFinished(const v1::Transaction& txn) {
  auto [it, inserted] = finished_.emplace(txn.meta().id(), Outcome{txn.status(), Timestamp{txn.meta().write_ts()}, txn.ignored()});
  if (!inserted) return;
  finished_order_.push_back(txn.meta().id());
  if (finished_order_.size() > options_.remembered_txns) {
    finished_.erase(finished_order_.front());
    finished_order_.pop_front();
  }
}

Task<absl::Status> Sequencer::WaitForLock(const Context& ctx, Ticket& ticket) {
  LockTable::Request& request = *ticket.request_;
  Context wait = ctx;
  if (ticket.spec_.lock_timeout > Duration::zero()) {
    if (!ticket.lock_deadline_) ticket.lock_deadline_ = executor_->Now() + ticket.spec_.lock_timeout;
    wait = ctx.WithDeadline(*ticket.lock_deadline_);
  }
  StoreMetrics::Waiting waiting(&options_.metrics->lock_waiters);
  const MonoTime from = executor_->Now();
  absl::Status status;
  std::string key;
  while (status.ok() && !request.signalled()) {
    auto blocker = table_->BlockerOf(request);
    if (!blocker) break;
    key = blocker->key;
    Duration delay = blocker->holds && Finished(blocker->txn) ? Duration::zero() : PushDelay(*blocker);
    if (delay > Duration::zero()) {
      (void)co_await request.changed().Wait(wait.WithTimeout(delay));  // its end is told by signalled() and `wait`
      status = wait.status();
      if (!status.ok() || request.signalled()) break;
      blocker = table_->BlockerOf(request);
      if (!blocker) break;
      key = blocker->key;
    }
    status = co_await PushWhileWaiting(wait, ticket, *std::move(blocker));
  }
  options_.metrics->lock_waits += 1;
  options_.metrics->lock_wait_seconds.Observe(ToSeconds(executor_->Now() - from));
  // The lock timeout ended the wait, and not the request's own context.
  if (!status.ok() && !wait.status().ok() && ctx.status().ok()) co_return LockConflictError(key, /*timed_out=*/true);
  co_return status;
}

Task<absl::Status> Sequencer::PushWhileWaiting(const Context& ctx, Ticket& ticket, LockTable::Blocker blocker) {
  LockTable::Request& request = *ticket.request_;
  if (auto finished = Finished(blocker.txn); finished && blocker.holds) co_return co_await CleanUp(ctx, *std::move(finished), blocker.key, pusher_->Now());

  const Timestamp pushed_at = pusher_->Now();
  Context push_ctx = ctx.WithCancel();
  TaskGroup watcher(ctx);
  watcher.SpawnFn([&]() -> Task<void> {
    while (!request.signalled()) {
      if (!(co_await request.changed().Wait(watcher.ctx())).ok()) co_return;
    }
    push_ctx.Cancel();
  });
  auto pushed = co_await pusher_->Push(push_ctx, PushRequest(ticket, blocker));
  watcher.Cancel();
  co_await watcher.Wait();
  if (request.signalled()) co_return absl::OkStatus();
  if (!pushed.ok()) {
    co_return pushed.status();
  }
  if (!blocker.holds && IsFinished(pushed->status())) {
    // The claim goes with its request; nothing is left to clean up here. Its end is near: wait for it.
    OnFinished(*pushed);
    (void)co_await request.changed().Wait(ctx.WithTimeout(options_.lock_push_delay));
    co_return ctx.status();
  }
  co_return co_await CleanUp(ctx, *std::move(pushed), blocker.key, pushed_at);
}

Task<absl::Status> Sequencer::CleanUp(const Context& ctx, v1::Transaction pushee, std::string key, Timestamp pushed_at) {
  const std::string id = pushee.meta().id();
  std::vector<std::string> keys = table_->ReplicatedKeysOf(id, kResolveAtOnce);
  if (!IsFinished(pushee.status())) {
    // Pushed: only what is in the way moves.
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) co_return absl::OkStatus();
    keys = {key};
  } else {
    OnFinished(pushee);
  }
  bool finished = IsFinished(pushee.status());
  if (!keys.empty()) CO_RETURN_IF_ERROR(co_await pusher_->Resolve(ctx, std::move(pushee), std::move(keys), pushed_at));
  if (finished) table_->ReleaseAll(id, on_release_);
  co_return absl::OkStatus();
}

// NOWAIT met a holder. If that has ended already, what it left is cleaned away; else it is a conflict.
Task<absl::Status> Sequencer::Touch(const Context& ctx, Ticket& ticket) {
  auto blocker = table_->BlockerOf(*ticket.request_);
  table_->StopWaiting(ticket.request_.get());
  ticket.latches_.Release();
  if (!blocker) co_return absl::OkStatus();
  if (!blocker->holds) co_return LockConflictError(blocker->key, /*timed_out=*/false);
  auto pushee = Finished(blocker->txn);
  if (!pushee) {
    v1::PushTxnRequest push = PushRequest(ticket, *blocker);
    push.set_kind(v1::PUSH_TOUCH);
    push.set_wait(false);
    auto pushed = co_await pusher_->Push(ctx, std::move(push));
    if (!pushed.ok()) {
      auto error = GetKvError(pushed.status());
      if (error && error->has_lock_conflict()) co_return LockConflictError(blocker->key, /*timed_out=*/false);
      co_return pushed.status();
    }
    pushee = *std::move(pushed);
  }
  if (!IsFinished(pushee->status())) co_return LockConflictError(blocker->key, /*timed_out=*/false);
  co_return co_await CleanUp(ctx, *std::move(pushee), blocker->key, pusher_->Now());
}

}  // namespace insula::kv
