#include "operator/operator.h"

#include "base/log/log.h"
#include "base/status_macros.h"

namespace insula::ops {

Operator::Operator(const Context& ctx, size_t pool_target, TenantRegistry* registry, PodRuntime* runtime, StampFactory* stamps)
    : registry_(registry),
      runtime_(runtime),
      pool_(pool_target, runtime, &pods_),
      lives_(ctx, registry, runtime, &pods_, &pool_, stamps),
      services_(registry, &pods_, &lives_, &feed_) {}

Task<absl::Status> Operator::Run(Context ctx, std::function<void()> on_ready) {
  runtime_->SetOnExit([this](std::string pod, std::string how) { lives_.OnPodExit(std::move(pod), std::move(how)); });
  CO_ASSIGN_OR_RETURN(std::vector<Pod> adopted, co_await runtime_->Adopt(ctx));
  if (!adopted.empty()) LOG_INFO("pods of a former operator adopted", {"pods", adopted.size()});
  lives_.TakeOver(adopted);
  TaskGroup tasks(ctx);
  tasks.Spawn(registry_->Run(tasks.ctx(), [this](TenantId tenant) {
    feed_.Touch(tenant);
    lives_.OnRecordChanged(tenant);
  }));
  tasks.Spawn(pool_.Run(tasks.ctx()));
  absl::Status loaded = co_await registry_->WaitLoaded(ctx);
  if (loaded.ok()) {
    lives_.SettleOrphans();
    on_ready();
  }
  co_await tasks.Wait();
  co_return ctx.status();
}

}  // namespace insula::ops
