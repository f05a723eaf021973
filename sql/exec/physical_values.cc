// Rows of expressions without input: VALUES, and the one empty row of a SELECT without FROM.
#include <algorithm>

#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

class ValuesOperator : public Operator {
 public:
  ValuesOperator(ExecState* state, const PhysicalNode& node) : Operator(state, node), values_(node.As<PhysicalValues>()), types_(TypesOf(node)) {
    if (values_.rows.size() > kBatchRows) return;  // evaluators are made batch by batch
    for (const auto& row : values_.rows) exprs_.push_back(MakeEvaluators(row));
  }

  Task<absl::Status> Open(const Context& ctx) override {
    next_ = 0;
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    EXEC_YIELD(ctx);
    size_t end = std::min(values_.rows.size(), next_ + kBatchRows);
    if (next_ >= end) co_return nullptr;
    out_.Reset(types_);
    for (; next_ < end; ++next_) {
      std::vector<Evaluator> fresh;
      if (exprs_.empty()) fresh = MakeEvaluators(values_.rows[next_]);
      std::vector<Evaluator>& row = exprs_.empty() ? fresh : exprs_[next_];
      if (AnyUsesSequences(row)) CO_RETURN_IF_ERROR(co_await state_->ReserveSequences(ctx, row, RowView{{}, 1}));
      for (size_t c = 0; c < row.size(); ++c) {
        CO_ASSIGN_OR_RETURN(const Vector* v, row[c].Evaluate(state_->eval, RowView{{}, 1}));
        out_.columns[c].AppendFrom(*v, 0);
      }
      ++out_.rows;
    }
    CO_RETURN_IF_ERROR(co_await state_->FlushSequences(ctx));
    co_return &out_;
  }

 private:
  const PhysicalValues& values_;
  std::vector<SqlType> types_;
  std::vector<std::vector<Evaluator>> exprs_;
  size_t next_ = 0;
  Batch out_;
};

}  // namespace

OperatorPtr MakeValues(ExecState* state, const PhysicalNode& node) { return std::make_unique<ValuesOperator>(state, node); }

}  // namespace insula::sql
