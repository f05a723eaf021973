#include "operator/pool.h"

#include <algorithm>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::ops {
namespace {

Duration Backoff(int failures) {
  return std::min<Duration>(std::chrono::milliseconds(250) * (1 << std::min(failures, 6)), std::chrono::seconds(10));
}

}  // namespace

Task<void> Pool::Run(Context ctx) {
  TaskGroup starts(ctx);
  while (!ctx.done()) {
    while (pods_->Count(v1::PREWARMED) + starting_ < target_ + waiting_) {
      ++starting_;
      starts.Spawn(StartOne(starts.ctx()));
    }
    absl::Status woken = co_await pods_->changed().Wait(ctx);
    if (!woken.ok()) break;
  }
  starts.Cancel();
  co_await starts.Wait();
}

Task<void> Pool::StartOne(Context ctx) {
  absl::StatusOr<Pod> pod = co_await runtime_->StartPod(ctx);
  if (pod.ok()) {
    failures_ = 0;
    last_failure_ = absl::OkStatus();
    pods_->Put(*std::move(pod));
  } else if (!ctx.done()) {
    last_failure_ = pod.status();
    LOG_ERROR("a pod did not start", {"error", pod.status().ToString()}, {"failures", failures_ + 1});
    absl::Status paused = co_await Sleep(ctx, Backoff(failures_++));
    if (!paused.ok()) pods_->changed().NotifyAll();
  }
  --starting_;
  pods_->changed().NotifyAll();
}

Task<absl::StatusOr<Pod>> Pool::Take(const Context& ctx) {
  while (true) {
    if (auto pod = pods_->Pluck()) co_return *std::move(pod);
    ++waiting_;
    pods_->changed().NotifyAll();
    absl::Status woken = co_await pods_->changed().Wait(ctx);
    --waiting_;
    if (!woken.ok()) {
      if (last_failure_.ok()) co_return woken;
      co_return absl::UnavailableError(StrCat("no SQL pod could be started: ", last_failure_.ToString()));
    }
  }
}

}  // namespace insula::ops
