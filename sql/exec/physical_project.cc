// Computes one expression per output column.
#include <algorithm>

#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

class ProjectOperator : public Operator {
 public:
  ProjectOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node), child_(std::move(child)), exprs_(MakeEvaluators(node.As<PhysicalProject>().exprs)) {
    sequences_ = AnyUsesSequences(exprs_);
    FindMoves();
  }

  Task<absl::Status> Open(const Context& ctx) override { co_return co_await child_->Open(ctx); }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    EXEC_YIELD(ctx);
    CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
    if (batch == nullptr) co_return nullptr;
    view_.Set(*batch);
    if (sequences_) CO_RETURN_IF_ERROR(co_await state_->ReserveSequences(ctx, exprs_, view_));
    out_.columns.resize(exprs_.size());
    for (size_t c = 0; c < exprs_.size(); ++c) {
      if (move_from_[c] < 0) CO_RETURN_IF_ERROR(EvaluateColumn(state_->eval, exprs_[c], view_, &out_.columns[c]));
    }
    // Plain columns last, when nothing reads the input any more: the vectors change hands.
    for (size_t c = 0; c < exprs_.size(); ++c) {
      if (move_from_[c] >= 0) std::swap(out_.columns[c], batch->columns[move_from_[c]]);
    }
    out_.rows = batch->rows;
    if (sequences_) CO_RETURN_IF_ERROR(co_await state_->FlushSequences(ctx));
    co_return &out_;
  }
  void Close() override { child_->Close(); }

 private:
  // A column that is passed on once can be taken from the child's batch, which is ours until its next Next.
  void FindMoves() {
    move_from_.assign(exprs_.size(), -1);
    std::vector<int> uses;
    for (const Evaluator& e : exprs_) uses.push_back(e.column_slot());
    for (size_t c = 0; c < uses.size(); ++c) {
      if (uses[c] >= 0 && std::count(uses.begin(), uses.end(), uses[c]) == 1) move_from_[c] = uses[c];
    }
  }

  OperatorPtr child_;
  std::vector<Evaluator> exprs_;
  std::vector<int> move_from_;
  bool sequences_ = false;
  BatchView view_;
  Batch out_;
};

}  // namespace

OperatorPtr MakeProject(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<ProjectOperator>(state, node, std::move(child));
}

}  // namespace insula::sql
