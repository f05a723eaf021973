// A scalar subquery's result: exactly one row, NULLs if there is none, an error if there are more.
#include "base/pgerror/pg_error.h"
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

class SingleRowOperator : public Operator {
 public:
  SingleRowOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node), child_(std::move(child)), types_(TypesOf(node)) {}

  Task<absl::Status> Open(const Context& ctx) override {
    done_ = false;
    co_return co_await child_->Open(ctx);
  }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    if (done_) co_return nullptr;
    done_ = true;
    CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
    if (batch == nullptr) {
      out_.Reset(types_);
      for (auto& c : out_.columns) c.AppendNull();
      out_.rows = 1;
      co_return &out_;
    }
    out_.Slice(*batch, 0, 1);
    bool more = batch->rows > 1;
    if (!more) {
      CO_ASSIGN_OR_RETURN(Batch * next, co_await child_->Next(ctx));
      more = next != nullptr;
    }
    if (more) co_return PgError("21000", "more than one row returned by a subquery used as an expression");
    co_return &out_;
  }
  void Close() override { child_->Close(); }

 private:
  OperatorPtr child_;
  std::vector<SqlType> types_;
  bool done_ = false;
  Batch out_;
};

}  // namespace

OperatorPtr MakeSingleRow(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<SingleRowOperator>(state, node, std::move(child));
}

}  // namespace insula::sql
