#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/store/consistency.h"

namespace insula::kv {
namespace {

constexpr Duration kVisitPatience = std::chrono::minutes(20);

// Not all ranges of a store at once, nor those of a bulk load: from three quarters of the interval to five.
Duration Spread(Duration interval, RangeId range) { return interval * 3 / 4 + interval / 256 * static_cast<int64_t>((range * 0x9e3779b97f4a7c15ull) >> 57); }

}  // namespace

void ConsistencyQueue::Schedule(RangeId range, MonoTime due) {
  auto [it, fresh] = due_at_.try_emplace(range, due);
  if (!fresh) due_.erase({std::exchange(it->second, due), range});
  due_.insert({due, range});
  metrics_->queue(QueueKind::kConsistency).pending = static_cast<int64_t>(due_at_.size());
  if (due_.begin()->second == range) changed_.NotifyAll();
}

void ConsistencyQueue::Drop(RangeId range) {
  auto it = due_at_.find(range);
  if (it == due_at_.end()) return;
  due_.erase({it->second, range});
  due_at_.erase(it);
  metrics_->queue(QueueKind::kConsistency).pending = static_cast<int64_t>(due_at_.size());
}

void ConsistencyQueue::Wrote(RangeId range) {
  if (interval_ > Duration::zero() && !due_at_.contains(range)) Schedule(range, executor_->Now() + Spread(interval_, range));
}

Task<void> ConsistencyQueue::Run(Context ctx) {
  while (!ctx.done()) {
    if (due_.empty()) {
      if (!(co_await changed_.Wait(ctx)).ok()) co_return;
      continue;
    }
    auto [due, range] = *due_.begin();
    if (due <= executor_->Now()) {
      co_await Visit(ctx, range);
    } else if (!(co_await changed_.Wait(ctx.WithDeadline(due))).ok() && ctx.done()) {
      co_return;
    }
  }
}

Task<void> ConsistencyQueue::Visit(const Context& ctx, RangeId range) {
  RangeGroup* group = find_(range);
  const LeaseCheck lease = group == nullptr ? LeaseCheck() : group->CheckLease(group->clock().Peek());
  if (group == nullptr || lease.state == LeaseCheck::State::kElsewhere) {
    Drop(range);  // whoever has the lease has it in its own queue: a lease begins with an entry
    co_return;
  }
  const MonoTime from = executor_->Now();
  StoreMetrics::Queue& counts = metrics_->queue(QueueKind::kConsistency);
  absl::StatusOr<bool> clean = absl::UnavailableError("nobody leads the range");
  if (lease.valid()) clean = co_await Compare(ctx, range);
  if (ctx.done()) co_return;
  counts.processed += 1;
  counts.seconds.Observe(ToSeconds(executor_->Now() - from));
  if (!clean.ok()) {
    counts.failed += 1;
    LOG_DEBUG("the replicas of a range could not be compared", {"range", range}, {"why", clean.status().ToString()});
  }
  if (clean.ok() && *clean) {
    Drop(range);
  } else {
    Schedule(range, executor_->Now() + Spread(interval_, range));
  }
}

Task<absl::StatusOr<bool>> ConsistencyQueue::Compare(const Context& ctx, RangeId range) {
  Sender* sender = sender_();
  if (sender == nullptr) co_return absl::UnavailableError("there is no way to the ranges yet");
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  std::string key = find_(range)->descriptor().start_key();
  if (key.empty()) key.assign(1, '\0');
  batch.add_requests()->mutable_check_consistency()->set_key(key);
  v1::BatchResponse response = co_await sender->Send(ctx.WithTimeout(kVisitPatience), std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  const v1::CheckConsistencyResponse& check = response.responses(0).check_consistency();
  for (const auto& replica : check.replicas()) {
    if (!replica.problem().empty()) LOG_INFO("a replica could not be compared", {"range", range}, {"store", replica.store_id()}, {"why", replica.problem()});
  }
  RangeGroup* group = find_(range);
  co_return group != nullptr && group->applied_index() == check.index();
}

}  // namespace insula::kv
