// Sort and Limit in one: keeps the first limit + offset rows only.
//
// Rows gather in a buffer; when it holds twice what is wanted (at least a few thousand rows), it is sorted and cut.
#include <algorithm>

#include "sql/exec/operator.h"
#include "sql/exec/row_order.h"

namespace insula::sql {
namespace {

constexpr size_t kMinBuffer = 4096;

class TopNOperator : public Operator {
 public:
  TopNOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node),
        child_(std::move(child)),
        order_(node.As<PhysicalTopN>().keys),
        limit_(node.As<PhysicalTopN>().limit),
        offset_(node.As<PhysicalTopN>().offset),
        types_(TypesOf(node)),
        held_(state->memory()) {}

  Task<absl::Status> Open(const Context& ctx) override {
    CO_ASSIGN_OR_RETURN(auto limit, co_await EvaluateLimit(ctx, state_, limit_, false));
    CO_ASSIGN_OR_RETURN(auto offset, co_await EvaluateLimit(ctx, state_, offset_, true));
    constexpr uint64_t kAll = UINT32_MAX;  // more rows than can be kept anyway
    next_ = static_cast<size_t>(std::min(offset.value_or(0), kAll));
    wanted_ = static_cast<size_t>(std::min(kAll, std::min(limit.value_or(kAll), kAll) + next_));
    empty_ = limit == 0;
    rows_.Reset(types_);
    keys_ = Batch();
    read_ = false;
    co_return co_await child_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    if (empty_) co_return nullptr;
    if (!read_) {
      CO_RETURN_IF_ERROR(co_await ReadAll(ctx));
      read_ = true;
    }
    EXEC_YIELD(ctx);
    size_t end = std::min(rows_.rows, next_ + kBatchRows);
    if (next_ >= end) co_return nullptr;
    out_.Slice(rows_, next_, end - next_);
    next_ = end;
    co_return &out_;
  }

  void Close() override {
    rows_ = Batch();
    keys_ = Batch();
    held_.Release();
    child_->Close();
  }

 private:
  Task<absl::Status> ReadAll(const Context& ctx) {
    size_t threshold = std::max(kMinBuffer, 2 * wanted_);
    Batch keys;
    for (;;) {
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
      if (batch == nullptr) break;
      CO_RETURN_IF_ERROR(order_.Evaluate(state_->eval, BatchView(*batch), &keys));
      if (keys_.columns.empty() && !keys.columns.empty()) {
        keys_ = std::move(keys);
        keys = Batch();
      } else {
        for (size_t c = 0; c < keys_.columns.size(); ++c) keys_.columns[c].AppendRange(keys.columns[c], 0, keys.rows);
        keys_.rows += keys.rows;
      }
      for (size_t c = 0; c < rows_.columns.size(); ++c) rows_.columns[c].AppendRange(batch->columns[c], 0, batch->rows);
      rows_.rows += batch->rows;
      if (rows_.rows >= threshold) Cut();
      CO_RETURN_IF_ERROR(held_.Set(rows_.MemoryUsage() + keys_.MemoryUsage()));
      EXEC_YIELD(ctx);
    }
    Cut();
    co_return absl::OkStatus();
  }

  void Cut() {
    std::vector<uint32_t> order;
    order_.Sort(keys_, &order);
    if (order.size() > wanted_) order.resize(wanted_);
    Batch rows, keys;
    rows.Gather(rows_, order);
    keys.Gather(keys_, order);
    rows_ = std::move(rows);
    keys_ = std::move(keys);
  }

  OperatorPtr child_;
  RowOrder order_;
  Evaluator limit_, offset_;
  std::vector<SqlType> types_;
  MemoryReservation held_;
  Batch rows_, keys_, out_;
  size_t wanted_ = 0, next_ = 0;
  bool read_ = false, empty_ = false;
};

}  // namespace

OperatorPtr MakeTopN(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<TopNOperator>(state, node, std::move(child));
}

}  // namespace insula::sql
