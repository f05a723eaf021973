#include "sql/exec/executor.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "sql/exec/operator.h"

namespace insula::sql {

Execution::Execution(PlanPtr plan, ExecContext* exec) : plan_(std::move(plan)), state_(std::make_unique<ExecState>(plan_, exec)) {}
Execution::~Execution() = default;

absl::StatusOr<std::unique_ptr<Execution>> Execution::Create(PlanPtr plan, ExecContext* exec) {
  CHECK(exec->txn != nullptr && exec->catalog != nullptr && exec->functions != nullptr && exec->memory != nullptr);
  auto out = std::unique_ptr<Execution>(new Execution(std::move(plan), exec));
  ASSIGN_OR_RETURN(out->root_, BuildOperator(out->state_.get(), *out->plan_->root));
  return out;
}

Task<absl::Status> Execution::Open(const Context& ctx) {
  state_->last_yield = ctx.executor().Now();
  co_return co_await root_->Open(ctx);
}

Task<absl::StatusOr<const Batch*>> Execution::Next(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(Batch * batch, co_await root_->Next(ctx));
  co_return batch;
}

void Execution::Close() { root_->Close(); }

uint64_t Execution::rows_affected() const { return state_->rows_affected; }

const NodeCounters* Execution::counters(const PhysicalNode* node) const {
  auto it = state_->counters.find(node);
  return it == state_->counters.end() ? nullptr : &it->second;
}

}  // namespace insula::sql
