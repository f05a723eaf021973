// Rows of pg_catalog and information_schema, and the one row of a sequence.
#include <algorithm>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "sql/catalog/virtual_scan.h"
#include "sql/catalog/virtual_table.h"
#include "sql/exec/operator.h"

namespace insula::sql {
namespace {

class VirtualScanOperator : public Operator {
 public:
  VirtualScanOperator(ExecState* state, const PhysicalNode& node)
      : Operator(state, node), scan_(node.As<PhysicalVirtualScan>()), filter_(scan_.filter), held_(state->memory()) {}

  Task<absl::Status> Open(const Context& ctx) override {
    next_ = 0;
    if (made_) co_return absl::OkStatus();  // the snapshot does not change between rewinds
    CHECK(state_->exec->snapshot != nullptr) << "an execution without a snapshot reads the catalog";
    if (scan_.table->sequence) {
      CO_RETURN_IF_ERROR(co_await MakeSequenceRow(ctx));
    } else {
      CO_RETURN_IF_ERROR(co_await MakeRows(ctx));
    }
    made_ = true;
    co_return held_.Set(rows_.MemoryUsage());
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    for (;;) {
      EXEC_YIELD(ctx);
      size_t end = std::min(rows_.rows, next_ + kBatchRows);
      if (next_ >= end) co_return nullptr;
      out_.Slice(rows_, next_, end - next_);
      next_ = end;
      if (filter_.empty()) co_return &out_;
      uint64_t removed = 0;
      CO_ASSIGN_OR_RETURN(Batch * kept, FilterBatch(state_->eval, filter_, &out_, &scratch_, &selected_, &removed));
      if (state_->exec->analyze) state_->counters[node_].rows_removed += removed;
      if (kept != nullptr) co_return kept;
    }
  }

  void Close() override {
    rows_ = Batch();
    made_ = false;
    held_.Release();
  }

 private:
  Task<absl::Status> MakeRows(const Context& ctx) {
    const VirtualTable* table = FindVirtualTable(scan_.table->oid);
    CHECK(table != nullptr) << scan_.table->name << " is not a virtual table";
    VirtualScan scan(state_->exec->snapshot, state_->exec->functions, *scan_.table, scan_.columns, &rows_);
    if (scan_.table->schema == "pg_catalog" && scan_.table->name == "pg_sequences") {
      for (const TablePtr& t : state_->exec->snapshot->Relations(false)) {
        if (!t->sequence) continue;
        CO_ASSIGN_OR_RETURN(int64_t counter, co_await Counter(ctx, *t));
        std::optional<int64_t> last;
        if (counter != 0) last = counter + t->sequence->start - t->sequence->increment;
        scan.sequence_values[t->oid] = last;
      }
    }
    if (table->fill != nullptr) table->fill(scan);
    co_return absl::OkStatus();
  }

  Task<absl::StatusOr<int64_t>> Counter(const Context& ctx, const TableInfo& sequence) {
    Catalog& catalog = *state_->exec->catalog;
    co_return co_await catalog.database().Increment(ctx, catalog.layout().Sequence(sequence.id), 0);
  }

  // last_value, log_cnt, is_called
  Task<absl::Status> MakeSequenceRow(const Context& ctx) {
    CO_ASSIGN_OR_RETURN(int64_t counter, co_await Counter(ctx, *scan_.table));
    const SequenceInfo& s = *scan_.table->sequence;
    bool called = counter != 0;
    int64_t last = called ? counter + s.start - s.increment : s.start;
    rows_.Reset(TypesOf(*node_));
    for (size_t slot = 0; slot < scan_.columns.size(); ++slot) {
      Datum v = scan_.columns[slot] == 0 ? Datum::Int(last) : scan_.columns[slot] == 1 ? Datum::Int(0) : Datum::Bool(called);
      rows_.columns[slot].Append(v);
    }
    rows_.rows = 1;
    co_return absl::OkStatus();
  }

  const PhysicalVirtualScan& scan_;
  Evaluator filter_;
  MemoryReservation held_;
  Batch rows_, out_, scratch_;
  std::vector<uint32_t> selected_;
  size_t next_ = 0;
  bool made_ = false;
};

}  // namespace

OperatorPtr MakeVirtualScan(ExecState* state, const PhysicalNode& node) { return std::make_unique<VirtualScanOperator>(state, node); }

}  // namespace insula::sql
