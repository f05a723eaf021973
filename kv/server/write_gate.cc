#include "kv/server/write_gate.h"

#include <algorithm>
#include <utility>

#include "base/log/log.h"

namespace insula::kv {
namespace {
constexpr double kHoldBack = 0.5;
constexpr double kOpen = 0.25;
constexpr double kFaster = 1.25;
// The largest batch fits: a bucket's debt is never deeper than its burst.
constexpr int64_t kBurst = 16 << 20;
// What came in over a longer time says nothing about how much was written while the pressure rose.
constexpr int kMostPeriods = 4;
}  // namespace

struct WriteGate::Waiter : FairQueue::Item {
  Event done;
  absl::Status status;
};

WriteGate::WriteGate(Executor* executor, ServerMetrics* metrics, Pressure pressure, WriteGateOptions options)
    : executor_(executor), metrics_(metrics), pressure_(std::move(pressure)), options_(options), tasks_(Context::Background(executor)) {
  looked_ = executor_->Now() - options_.period;
  tasks_.Spawn(LetIn());
}

void WriteGate::SetRate(int64_t rate, MonoTime now) {
  rate_ = std::max(rate, options_.min_rate);
  if (bucket_) {
    bucket_->SetLimits(rate_, kBurst, now);
  } else {
    bucket_.emplace(rate_, kBurst, now);
    bucket_->Charge(kBurst, now);  // nothing was saved up
    LOG_INFO("the disk does not keep up: what tenants write is held back", {"bytes_per_second", rate_});
  }
  metrics_->write_limit->Set(static_cast<double>(rate_));
}

void WriteGate::Open() {
  bucket_.reset();
  metrics_->write_limit->Set(0);
  while (auto* waiter = static_cast<Waiter*>(queue_.Pop())) {
    let_in_ += static_cast<uint64_t>(waiter->cost());
    waiter->done.Set();
  }
  LOG_INFO("the disk keeps up again: writes are not held back any more");
}

void WriteGate::Look(MonoTime now) {
  const Duration since = now - looked_;
  if (since < options_.period) return;
  const double pressure = std::clamp(pressure_(), 0.0, 1.0);
  if (pressure >= kHoldBack) {
    const double seconds = std::chrono::duration<double>(std::min<Duration>(since, kMostPeriods * options_.period)).count();
    const double written = static_cast<double>(let_in_) / seconds;
    // What had been let through and was not used is no room: the rate follows what was written.
    const double from = bucket_ ? std::min(static_cast<double>(rate_), std::max(written, static_cast<double>(options_.min_rate))) : written;
    SetRate(static_cast<int64_t>(from * (kHoldBack + 1 - pressure)), now);
  } else if (bucket_ && pressure >= kOpen) {
    SetRate(static_cast<int64_t>(static_cast<double>(rate_) * kFaster), now);
  } else if (bucket_) {
    Open();
  }
  looked_ = now;
  let_in_ = 0;
}

bool WriteGate::TryPass(FairQueue::Flow* flow, uint64_t bytes) {
  const MonoTime now = executor_->Now();
  Look(now);
  if (bucket_ && (!queue_.empty() || !bucket_->Take(static_cast<int64_t>(bytes), now))) return false;
  let_in_ += bytes;
  if (bucket_) queue_.Charge(flow, static_cast<int64_t>(bytes));
  return true;
}

void WriteGate::Charge(FairQueue::Flow* flow, uint64_t bytes) {
  let_in_ += bytes;
  if (!bucket_) return;
  bucket_->Charge(static_cast<int64_t>(bytes), executor_->Now());
  queue_.Charge(flow, static_cast<int64_t>(bytes));
}

Task<absl::Status> WriteGate::Wait(Context ctx, FairQueue::Flow* flow, uint64_t bytes, int priority) {
  Waiter waiter;
  queue_.Push(flow, &waiter, static_cast<int64_t>(bytes), priority);
  metrics_->writes_waiting->Set(static_cast<double>(queue_.size()));
  waits_.NotifyAll();
  absl::Status ended = co_await waiter.done.Wait(ctx);
  if (waiter.queued()) queue_.Remove(&waiter);
  metrics_->writes_waiting->Set(static_cast<double>(queue_.size()));
  co_return waiter.done.is_set() ? waiter.status : ended;
}

void WriteGate::TurnAway(FairQueue::Flow* flow, const absl::Status& why) {
  while (auto* waiter = static_cast<Waiter*>(queue_.Drop(flow))) {
    waiter->status = why;
    waiter->done.Set();
  }
}

Task<void> WriteGate::LetIn() {
  const Context& ctx = tasks_.ctx();
  while (true) {
    while (queue_.empty()) {
      if (!(co_await waits_.Wait(ctx)).ok()) co_return;
    }
    const MonoTime now = executor_->Now();
    Look(now);
    if (!bucket_) continue;  // it opened, and all have gone
    // The next one's cost is known only as it leaves the queue: whoever finds a token may go into debt, and all others pay for it.
    if (bucket_->Available(now) > 0) {
      auto* waiter = static_cast<Waiter*>(queue_.Pop());
      bucket_->Charge(waiter->cost(), now);
      let_in_ += static_cast<uint64_t>(waiter->cost());
      waiter->done.Set();
      continue;
    }
    if (!(co_await Sleep(ctx, std::clamp<Duration>(bucket_->UntilAvailable(now), 1ms, options_.period))).ok()) co_return;
  }
}

}  // namespace insula::kv
