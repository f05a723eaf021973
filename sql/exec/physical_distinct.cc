// DISTINCT over all columns, and DISTINCT ON over sorted input.
#include "sql/exec/group_table.h"
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

// Passes a row on when it is the first of its kind: by a table of all rows seen, or, if equal rows are adjacent, by comparing
// with the row before.
class DistinctOperator : public Operator {
 public:
  DistinctOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node), child_(std::move(child)), sorted_(node.As<PhysicalDistinct>().sorted), types_(TypesOf(node)), seen_(state->memory()) {}

  Task<absl::Status> Open(const Context& ctx) override {
    seen_.Reset(types_);
    previous_.rows = 0;
    co_return co_await child_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    for (;;) {
      EXEC_YIELD(ctx);
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
      if (batch == nullptr) co_return nullptr;
      selected_.clear();
      if (sorted_) {
        SelectSorted(*batch);
      } else {
        CO_RETURN_IF_ERROR(SelectByTable(*batch));
      }
      if (selected_.empty()) continue;
      if (selected_.size() == batch->rows) co_return batch;
      out_.Gather(*batch, selected_);
      co_return &out_;
    }
  }
  void Close() override {
    seen_.Clear();
    child_->Close();
  }

 private:
  absl::Status SelectByTable(const Batch& batch) {
    size_t known = seen_.size();
    RETURN_IF_ERROR(seen_.FindOrAdd(BatchView(batch).columns(), batch.rows, &groups_));
    for (uint32_t i = 0; i < batch.rows; ++i) {
      if (groups_[i] >= known) {  // new groups are numbered as their first rows come
        selected_.push_back(i);
        known = groups_[i] + 1;
      }
    }
    return absl::OkStatus();
  }
  void SelectSorted(const Batch& batch) {
    auto same = [&](const Batch& a, size_t i, size_t j) {
      for (size_t c = 0; c < batch.columns.size(); ++c) {
        if (!Vector::NotDistinct(a.columns[c], i, batch.columns[c], j)) return false;
      }
      return true;
    };
    for (uint32_t i = 0; i < batch.rows; ++i) {
      bool repeated = i == 0 ? previous_.rows == 1 && same(previous_, 0, 0) : same(batch, i - 1, i);
      if (!repeated) selected_.push_back(i);
    }
    previous_.Slice(batch, batch.rows - 1, 1);
  }

  OperatorPtr child_;
  bool sorted_;
  std::vector<SqlType> types_;
  GroupTable seen_;
  Batch previous_, out_;
  std::vector<uint32_t> groups_, selected_;
};

class DistinctOnOperator : public Operator {
 public:
  DistinctOnOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node), child_(std::move(child)), keys_(MakeEvaluators(node.As<PhysicalDistinctOn>().keys)) {}

  Task<absl::Status> Open(const Context& ctx) override {
    previous_.rows = 0;
    co_return co_await child_->Open(ctx);
  }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    for (;;) {
      EXEC_YIELD(ctx);
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
      if (batch == nullptr) co_return nullptr;
      Batch keys;
      CO_RETURN_IF_ERROR(EvaluateInto(state_->eval, keys_, BatchView(*batch), &keys));
      selected_.clear();
      for (uint32_t i = 0; i < batch->rows; ++i) {
        bool repeated = i == 0 ? previous_.rows == 1 && Same(previous_, 0, keys, 0) : Same(keys, i - 1, keys, i);
        if (!repeated) selected_.push_back(i);
      }
      previous_.Slice(keys, keys.rows - 1, 1);
      if (selected_.empty()) continue;
      out_.Gather(*batch, selected_);
      co_return &out_;
    }
  }
  void Close() override { child_->Close(); }

 private:
  static bool Same(const Batch& a, size_t i, const Batch& b, size_t j) {
    for (size_t c = 0; c < a.columns.size(); ++c) {
      if (!Vector::NotDistinct(a.columns[c], i, b.columns[c], j)) return false;
    }
    return true;
  }
  OperatorPtr child_;
  std::vector<Evaluator> keys_;
  Batch previous_, out_;
  std::vector<uint32_t> selected_;
};

}  // namespace

OperatorPtr MakeDistinct(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<DistinctOperator>(state, node, std::move(child));
}
OperatorPtr MakeDistinctOn(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<DistinctOnOperator>(state, node, std::move(child));
}

}  // namespace insula::sql
