// UNION ALL's concatenation, INTERSECT and EXCEPT.
#include "sql/exec/group_table.h"
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

class AppendOperator : public Operator {
 public:
  AppendOperator(ExecState* state, const PhysicalNode& node, std::vector<OperatorPtr> children)
      : Operator(state, node), children_(std::move(children)) {}

  Task<absl::Status> Open(const Context& ctx) override {
    at_ = 0;
    opened_ = false;
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    while (at_ < children_.size()) {
      if (!opened_) {
        CO_RETURN_IF_ERROR(co_await children_[at_]->Open(ctx));
        opened_ = true;
      }
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await children_[at_]->Next(ctx));
      if (batch != nullptr) co_return batch;
      children_[at_]->Close();
      ++at_;
      opened_ = false;
    }
    co_return nullptr;
  }
  void Close() override {
    for (auto& c : children_) c->Close();
  }

 private:
  std::vector<OperatorPtr> children_;
  size_t at_ = 0;
  bool opened_ = false;
};

// The right side is counted per distinct row; then left rows pass, or not, by what is left of their count.
//
//              INTERSECT        INTERSECT ALL     EXCEPT               EXCEPT ALL
//   left row   first, count>0   count-- > 0       first, count = 0     not (count-- > 0)
class SetOperationOperator : public Operator {
 public:
  SetOperationOperator(ExecState* state, const PhysicalNode& node, OperatorPtr left, OperatorPtr right)
      : Operator(state, node),
        left_(std::move(left)),
        right_(std::move(right)),
        except_(node.As<PhysicalSetOperation>().except),
        all_(node.As<PhysicalSetOperation>().all),
        types_(TypesOf(node)),
        table_(state->memory()) {}

  Task<absl::Status> Open(const Context& ctx) override {
    table_.Reset(types_);
    counts_.clear();
    built_ = false;
    co_return co_await left_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    if (!built_) {
      CO_RETURN_IF_ERROR(co_await right_->Open(ctx));
      for (;;) {
        CO_ASSIGN_OR_RETURN(Batch * batch, co_await right_->Next(ctx));
        if (batch == nullptr) break;
        CO_RETURN_IF_ERROR(table_.FindOrAdd(BatchView(*batch).columns(), batch->rows, &groups_));
        counts_.resize(table_.size());
        for (uint32_t g : groups_) ++counts_[g];
        EXEC_YIELD(ctx);
      }
      right_->Close();
      emitted_.assign(table_.size(), false);
      built_ = true;
    }
    for (;;) {
      EXEC_YIELD(ctx);
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await left_->Next(ctx));
      if (batch == nullptr) co_return nullptr;
      CO_RETURN_IF_ERROR(table_.FindOrAdd(BatchView(*batch).columns(), batch->rows, &groups_));
      counts_.resize(table_.size());
      emitted_.resize(table_.size(), false);
      selected_.clear();
      for (uint32_t i = 0; i < batch->rows; ++i) {
        if (Passes(groups_[i])) selected_.push_back(i);
      }
      if (selected_.empty()) continue;
      out_.Gather(*batch, selected_);
      co_return &out_;
    }
  }
  void Close() override {
    table_.Clear();
    left_->Close();
    right_->Close();
  }

 private:
  bool Passes(uint32_t group) {
    if (all_) {
      bool counted = counts_[group] > 0;
      if (counted) --counts_[group];
      return counted != except_;
    }
    bool pass = !emitted_[group] && (counts_[group] > 0) != except_;
    emitted_[group] = true;
    return pass;
  }

  OperatorPtr left_, right_;
  bool except_, all_;
  std::vector<SqlType> types_;
  GroupTable table_;
  std::vector<uint64_t> counts_;
  std::vector<bool> emitted_;
  bool built_ = false;
  std::vector<uint32_t> groups_, selected_;
  Batch out_;
};

}  // namespace

OperatorPtr MakeAppend(ExecState* state, const PhysicalNode& node, std::vector<OperatorPtr> children) {
  return std::make_unique<AppendOperator>(state, node, std::move(children));
}
OperatorPtr MakeSetOperation(ExecState* state, const PhysicalNode& node, OperatorPtr left, OperatorPtr right) {
  return std::make_unique<SetOperationOperator>(state, node, std::move(left), std::move(right));
}

}  // namespace insula::sql
