// Rows that come from outside: COPY FROM STDIN.
#include "base/check.h"
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

class ExternalSourceOperator : public Operator {
 public:
  ExternalSourceOperator(ExecState* state, const PhysicalNode& node) : Operator(state, node), types_(TypesOf(node)) {
    CHECK(state_->exec->external != nullptr) << "a plan with an external source runs without one";
  }
  Task<absl::Status> Open(const Context& ctx) override { co_return absl::OkStatus(); }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    EXEC_YIELD(ctx);
    out_.Reset(types_);
    CO_RETURN_IF_ERROR(co_await state_->exec->external->Next(ctx, &out_));
    co_return out_.rows == 0 ? nullptr : &out_;
  }

 private:
  std::vector<SqlType> types_;
  Batch out_;
};

}  // namespace

OperatorPtr MakeExternalSource(ExecState* state, const PhysicalNode& node) { return std::make_unique<ExternalSourceOperator>(state, node); }

}  // namespace insula::sql
