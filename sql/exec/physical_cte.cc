// WITH: a definition that runs at most once and is kept for all who scan it; and WITH RECURSIVE.
#include <algorithm>

#include "base/check.h"
#include "sql/exec/group_table.h"
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

class CteOperator : public Operator {
 public:
  CteOperator(ExecState* state, const PhysicalNode& node, OperatorPtr definition, OperatorPtr body)
      : Operator(state, node), cte_(node.As<PhysicalCte>()), definition_(std::move(definition)), body_(std::move(body)) {
    SharedRows& shared = state_->ctes[cte_.cte];
    shared.definition = definition_.get();
    shared.types = TypesOf(*node.children[0]);
    shared.store = std::make_unique<RowStore>(state_->memory());
  }

  Task<absl::Status> Open(const Context& ctx) override {
    SharedRows& shared = state_->ctes[cte_.cte];
    shared.store->Reset(shared.types);
    shared.opened = shared.done = false;
    if (cte_.modifies) CO_RETURN_IF_ERROR(co_await RunToEnd(ctx));
    co_return co_await body_->Open(ctx);
  }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override { co_return co_await body_->Next(ctx); }
  void Close() override {
    body_->Close();
    definition_->Close();
    state_->ctes[cte_.cte].store->Clear();
  }

 private:
  Task<absl::Status> RunToEnd(const Context& ctx) {
    SharedRows& shared = state_->ctes[cte_.cte];
    shared.opened = true;
    uint64_t counted = state_->rows_affected;  // only the main statement counts
    CO_RETURN_IF_ERROR(co_await definition_->Open(ctx));
    for (;;) {
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await definition_->Next(ctx));
      if (batch == nullptr) break;
      CO_RETURN_IF_ERROR(shared.store->Append(*batch));
    }
    shared.done = true;
    state_->rows_affected = counted;
    co_return absl::OkStatus();
  }

  const PhysicalCte& cte_;
  OperatorPtr definition_, body_;
};

// Reads what is kept, and pulls more from the definition when it needs it.
class CteScanOperator : public Operator {
 public:
  CteScanOperator(ExecState* state, const PhysicalNode& node) : Operator(state, node), scan_(node.As<PhysicalCteScan>()) {}

  Task<absl::Status> Open(const Context& ctx) override {
    next_ = 0;
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    EXEC_YIELD(ctx);
    SharedRows& shared = state_->ctes[scan_.cte];
    while (next_ >= shared.store->size() && !shared.done) {
      if (!shared.opened) {
        CO_RETURN_IF_ERROR(co_await shared.definition->Open(ctx));
        shared.opened = true;
      }
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await shared.definition->Next(ctx));
      if (batch == nullptr) {
        shared.done = true;
      } else {
        CO_RETURN_IF_ERROR(shared.store->Append(*batch));
      }
    }
    size_t end = std::min(shared.store->size(), next_ + kBatchRows);
    if (next_ >= end) co_return nullptr;
    const Batch& rows = shared.store->rows();
    out_.columns.resize(scan_.columns.size());
    for (size_t c = 0; c < scan_.columns.size(); ++c) out_.columns[c].Slice(rows.columns[scan_.columns[c]], next_, end - next_);
    out_.rows = end - next_;
    next_ = end;
    co_return &out_;
  }

 private:
  const PhysicalCteScan& scan_;
  size_t next_ = 0;
  Batch out_;
};

class WorkTableScanOperator : public Operator {
 public:
  WorkTableScanOperator(ExecState* state, const PhysicalNode& node) : Operator(state, node), scan_(node.As<PhysicalWorkTableScan>()) {}

  Task<absl::Status> Open(const Context& ctx) override {
    next_ = 0;
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    EXEC_YIELD(ctx);
    const Batch& rows = state_->work_tables[scan_.work_table].store->rows();
    size_t end = std::min(rows.rows, next_ + kBatchRows);
    if (next_ >= end) co_return nullptr;
    out_.columns.resize(scan_.columns.size());
    for (size_t c = 0; c < scan_.columns.size(); ++c) out_.columns[c].Slice(rows.columns[scan_.columns[c]], next_, end - next_);
    out_.rows = end - next_;
    next_ = end;
    co_return &out_;
  }

 private:
  const PhysicalWorkTableScan& scan_;
  size_t next_ = 0;
  Batch out_;
};

// Round 0 is `start`; each further round runs `step` with the work table holding the round before.
class RecursiveUnionOperator : public Operator {
 public:
  RecursiveUnionOperator(ExecState* state, const PhysicalNode& node, OperatorPtr start, OperatorPtr step)
      : Operator(state, node),
        node_of_(node.As<PhysicalRecursiveUnion>()),
        start_(std::move(start)),
        step_(std::move(step)),
        types_(TypesOf(node)),
        seen_(state->memory()),
        found_(state->memory()) {
    state_->work_tables[node_of_.work_table].store = std::make_unique<RowStore>(state_->memory());
  }

  Task<absl::Status> Open(const Context& ctx) override {
    seen_.Reset(types_);
    found_.Reset(types_);
    table().Reset(types_);
    at_ = start_.get();
    co_return co_await at_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    for (;;) {
      EXEC_YIELD(ctx);
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await at_->Next(ctx));
      if (batch == nullptr) {
        if (found_.size() == 0) co_return nullptr;
        table().Reset(types_);
        CO_RETURN_IF_ERROR(table().Append(found_.rows()));
        found_.Reset(types_);
        at_ = step_.get();
        CO_RETURN_IF_ERROR(co_await at_->Open(ctx));
        continue;
      }
      CO_ASSIGN_OR_RETURN(Batch * fresh, DropSeen(batch));
      if (fresh == nullptr) continue;
      CO_RETURN_IF_ERROR(found_.Append(*fresh));
      co_return fresh;
    }
  }
  void Close() override {
    start_->Close();
    step_->Close();
    seen_.Clear();
    found_.Clear();
    table().Clear();
  }

 private:
  RowStore& table() { return *state_->work_tables[node_of_.work_table].store; }

  absl::StatusOr<Batch*> DropSeen(Batch* batch) {
    if (!node_of_.distinct) return batch;
    size_t known = seen_.size();
    RETURN_IF_ERROR(seen_.FindOrAdd(BatchView(*batch).columns(), batch->rows, &groups_));
    selected_.clear();
    for (uint32_t i = 0; i < batch->rows; ++i) {
      if (groups_[i] < known) continue;
      known = groups_[i] + 1;
      selected_.push_back(i);
    }
    if (selected_.size() == batch->rows) return batch;
    if (selected_.empty()) return nullptr;
    out_.Gather(*batch, selected_);
    return &out_;
  }

  const PhysicalRecursiveUnion& node_of_;
  OperatorPtr start_, step_;
  std::vector<SqlType> types_;
  GroupTable seen_;
  RowStore found_;
  Operator* at_ = nullptr;
  Batch out_;
  std::vector<uint32_t> groups_, selected_;
};

}  // namespace

OperatorPtr MakeCte(ExecState* state, const PhysicalNode& node, OperatorPtr definition, OperatorPtr body) {
  return std::make_unique<CteOperator>(state, node, std::move(definition), std::move(body));
}
OperatorPtr MakeCteScan(ExecState* state, const PhysicalNode& node) { return std::make_unique<CteScanOperator>(state, node); }
OperatorPtr MakeWorkTableScan(ExecState* state, const PhysicalNode& node) { return std::make_unique<WorkTableScanOperator>(state, node); }
OperatorPtr MakeRecursiveUnion(ExecState* state, const PhysicalNode& node, OperatorPtr start, OperatorPtr step) {
  return std::make_unique<RecursiveUnionOperator>(state, node, std::move(start), std::move(step));
}

}  // namespace insula::sql
