// LIMIT and OFFSET, also WITH TIES.
#include <algorithm>

#include "sql/exec/operator.h"
#include "sql/exec/row_order.h"

namespace insula::sql {
namespace {

class LimitOperator : public Operator {
 public:
  LimitOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node),
        child_(std::move(child)),
        limit_(node.As<PhysicalLimit>().limit),
        offset_(node.As<PhysicalLimit>().offset),
        ties_(node.As<PhysicalLimit>().ties) {}

  Task<absl::Status> Open(const Context& ctx) override {
    CO_ASSIGN_OR_RETURN(auto offset, co_await EvaluateLimit(ctx, state_, offset_, true));
    CO_ASSIGN_OR_RETURN(left_, co_await EvaluateLimit(ctx, state_, limit_, false));
    skip_ = offset.value_or(0);
    in_ties_ = false;
    done_ = left_ == 0;
    co_return co_await child_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    while (!done_) {
      EXEC_YIELD(ctx);
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
      if (batch == nullptr) break;
      size_t begin = static_cast<size_t>(std::min<uint64_t>(skip_, batch->rows));
      skip_ -= begin;
      size_t take = batch->rows - begin;
      if (left_ && *left_ < take) take = static_cast<size_t>(*left_);
      if (left_) *left_ -= take;
      size_t end = begin + take;
      if (left_ == 0) {
        CO_ASSIGN_OR_RETURN(end, WithTies(*batch, begin, end));
      }
      if (end == begin) continue;
      if (begin == 0 && end == batch->rows) co_return batch;
      out_.Slice(*batch, begin, end - begin);
      co_return &out_;
    }
    done_ = true;
    co_return nullptr;
  }
  void Close() override { child_->Close(); }

 private:
  // The limit is reached at `end`: done, or with ties the rows from there on that equal the last.
  absl::StatusOr<size_t> WithTies(const Batch& batch, size_t begin, size_t end) {
    if (ties_.empty()) {
      done_ = true;
      return end;
    }
    Batch keys;
    RETURN_IF_ERROR(ties_.Evaluate(state_->eval, BatchView(batch), &keys));
    if (!in_ties_) {
      if (end == begin) return end;  // only possible when the offset ate the batch
      last_.Slice(keys, end - 1, 1);
      in_ties_ = true;
    }
    while (end < batch.rows && ties_.Compare(keys, end, last_, 0) == 0) ++end;
    done_ = end < batch.rows;
    return end;
  }

  OperatorPtr child_;
  Evaluator limit_, offset_;
  RowOrder ties_;
  uint64_t skip_ = 0;
  std::optional<uint64_t> left_;
  bool in_ties_ = false, done_ = false;
  Batch last_, out_;
};

}  // namespace

OperatorPtr MakeLimit(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<LimitOperator>(state, node, std::move(child));
}

}  // namespace insula::sql
