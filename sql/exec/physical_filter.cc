// Rows for which a condition is TRUE.
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

class FilterOperator : public Operator {
 public:
  FilterOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node), child_(std::move(child)), condition_(node.As<PhysicalFilter>().condition) {}

  Task<absl::Status> Open(const Context& ctx) override { co_return co_await child_->Open(ctx); }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    for (;;) {
      EXEC_YIELD(ctx);
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
      if (batch == nullptr) co_return nullptr;
      if (condition_.uses_sequences()) CO_RETURN_IF_ERROR(co_await state_->ReserveSequences(ctx, {&condition_, 1}, BatchView(*batch)));
      uint64_t removed = 0;
      CO_ASSIGN_OR_RETURN(Batch * kept, FilterBatch(state_->eval, condition_, batch, &scratch_, &selected_, &removed));
      CO_RETURN_IF_ERROR(co_await state_->FlushSequences(ctx));
      if (state_->exec->analyze) state_->counters[node_].rows_removed += removed;
      if (kept != nullptr) co_return kept;
    }
  }
  void Close() override { child_->Close(); }

 private:
  OperatorPtr child_;
  Evaluator condition_;
  Batch scratch_;
  std::vector<uint32_t> selected_;
};

}  // namespace

OperatorPtr MakeFilter(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<FilterOperator>(state, node, std::move(child));
}

}  // namespace insula::sql
