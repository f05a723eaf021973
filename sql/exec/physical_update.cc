// UPDATE and DELETE of the rows that the child finds (and has locked).
//
// Where a write could be met again by the scan that feeds it (a changed index column, a second read of the table), all rows
// are read before the first is written. A target row that comes twice counts once.
#include <algorithm>
#include <set>

#include "base/check.h"
#include "sql/exec/operator.h"
#include "sql/exec/plan_walk.h"
#include "sql/exec/table_writer.h"

namespace insula::sql {
namespace {

// What both have in common: their input, and whether a row came before.
class TargetRows {
 public:
  TargetRows(ExecState* state, const PhysicalNode& child_node, OperatorPtr child, const TableInfo& table, std::vector<int> old_slots,
             bool read_first)
      : state_(state),
        child_(std::move(child)),
        types_(TypesOf(child_node)),
        table_(table),
        old_slots_(std::move(old_slots)),
        read_first_(read_first),
        once_(YieldsRowsOnce(child_node)),
        kept_(state->memory()),
        seen_memory_(state->memory()) {
    CHECK_EQ(old_slots_.size(), table.columns.size());
  }

  Task<absl::Status> Open(const Context& ctx) {
    at_ = 0;
    read_ = false;
    seen_.clear();
    co_return co_await child_->Open(ctx);
  }
  void Close() {
    kept_.Clear();
    seen_.clear();
    seen_memory_.Release();
    child_->Close();
  }

  // The next child rows whose targets are new; nullptr at the end.
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx, const RowCodec& codec) {
    for (;;) {
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await NextInput(ctx));
      if (batch == nullptr) co_return nullptr;
      for (size_t o = 0; o < old_slots_.size(); ++o) {
        if (old_slots_[o] >= 0) batch->columns[old_slots_[o]].Retype(table_.columns[o].type);
      }
      if (once_) co_return batch;
      CO_ASSIGN_OR_RETURN(batch, DropRepeated(batch, codec));
      if (batch != nullptr) co_return batch;
    }
  }

  TableRows OldRows(const Batch& batch) const {
    TableRows out;
    for (int slot : old_slots_) out.columns.push_back(slot < 0 ? nullptr : &batch.columns[slot]);
    out.rows = batch.rows;
    return out;
  }

 private:
  Task<absl::StatusOr<Batch*>> NextInput(const Context& ctx) {
    if (!read_first_) co_return co_await child_->Next(ctx);
    if (!read_) {
      kept_.Reset(types_);
      for (;;) {
        EXEC_YIELD(ctx);
        CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
        if (batch == nullptr) break;
        CO_RETURN_IF_ERROR(kept_.Append(*batch));
      }
      read_ = true;
    }
    size_t end = std::min(kept_.size(), at_ + kBatchRows);
    if (at_ >= end) co_return nullptr;
    input_.Slice(kept_.rows(), at_, end - at_);
    at_ = end;
    co_return &input_;
  }

  absl::StatusOr<Batch*> DropRepeated(Batch* batch, const RowCodec& codec) {
    TableRows rows = OldRows(*batch);
    std::vector<uint32_t> fresh;
    const IndexInfo& primary = table_.indexes[0];
    size_t bytes = 0;
    for (uint32_t i = 0; i < batch->rows; ++i) {
      // An outer join's missing target.
      if (std::any_of(primary.columns.begin(), primary.columns.end(), [&](const auto& c) { return rows.Row(i).IsNull(c.ordinal); })) continue;
      std::string key;
      codec.AppendPrimaryKeyColumns(rows.Row(i), &key);
      bytes += key.size() + 64;
      if (seen_.insert(std::move(key)).second) fresh.push_back(i);
    }
    RETURN_IF_ERROR(seen_memory_.Add(bytes));
    if (fresh.empty()) return nullptr;
    if (fresh.size() == batch->rows) return batch;
    fresh_.Gather(*batch, fresh);
    return &fresh_;
  }

  ExecState* state_;
  OperatorPtr child_;
  std::vector<SqlType> types_;
  const TableInfo& table_;
  std::vector<int> old_slots_;
  bool read_first_, once_;
  RowStore kept_;
  size_t at_ = 0;
  bool read_ = false;
  std::set<std::string> seen_;
  MemoryReservation seen_memory_;
  Batch input_, fresh_;
};

std::vector<bool> ChangedColumns(const UpdateSpec& spec) {
  std::vector<bool> changed(spec.table->columns.size(), false);
  for (const Assignment& a : spec.assignments) changed[a.ordinal] = true;
  return changed;
}

class UpdateOperator : public Operator {
 public:
  UpdateOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node),
        spec_(node.As<PhysicalUpdate>().spec),
        changed_(ChangedColumns(spec_)),
        targets_(state, *node.children[0], std::move(child), *spec_.table, spec_.old_slots,
                 !CanWriteWhileReading(*node.children[0], *spec_.table, changed_)),
        writer_(state, spec_.table, spec_.indexes, spec_.checks),
        returning_(MakeEvaluators(spec_.returning)) {
    for (const Assignment& a : spec_.assignments) values_.emplace_back(a.value);
  }

  Task<absl::Status> Open(const Context& ctx) override {
    done_ = false;
    co_return co_await targets_.Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    while (!done_) {
      EXEC_YIELD(ctx);
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await targets_.Next(ctx, writer_.codec()));
      if (batch == nullptr) {
        done_ = true;
        break;
      }
      CO_RETURN_IF_ERROR(co_await MakeNewRows(ctx, *batch));
      CO_RETURN_IF_ERROR(writer_.Check(&new_rows_));
      CO_RETURN_IF_ERROR(co_await writer_.Update(ctx, targets_.OldRows(*batch), RowsOf(new_rows_), changed_));
      state_->rows_affected += batch->rows;
      CO_RETURN_IF_ERROR(co_await state_->txn().FlushIfLarge(ctx));
      if (returning_.empty()) continue;
      BatchView view(new_rows_);
      view.Add(*batch);
      if (AnyUsesSequences(returning_)) CO_RETURN_IF_ERROR(co_await state_->ReserveSequences(ctx, returning_, view));
      CO_RETURN_IF_ERROR(EvaluateInto(state_->eval, returning_, view, &out_));
      co_return &out_;
    }
    co_return nullptr;
  }
  void Close() override { targets_.Close(); }

 private:
  Task<absl::Status> MakeNewRows(const Context& ctx, const Batch& batch) {
    BatchView view(batch);
    if (AnyUsesSequences(values_)) CO_RETURN_IF_ERROR(co_await state_->ReserveSequences(ctx, values_, view));
    TableRows old_rows = targets_.OldRows(batch);
    new_rows_.columns.resize(spec_.table->columns.size());
    new_rows_.rows = batch.rows;
    for (size_t o = 0; o < new_rows_.columns.size(); ++o) {
      if (!changed_[o]) new_rows_.columns[o].Slice(*old_rows.columns[o], 0, batch.rows);
    }
    for (size_t a = 0; a < values_.size(); ++a) {
      CO_RETURN_IF_ERROR(EvaluateColumn(state_->eval, values_[a], view, &new_rows_.columns[spec_.assignments[a].ordinal]));
    }
    co_return co_await state_->FlushSequences(ctx);
  }

  const UpdateSpec& spec_;
  std::vector<bool> changed_;
  TargetRows targets_;
  TableWriter writer_;
  std::vector<Evaluator> values_, returning_;
  bool done_ = false;
  Batch new_rows_, out_;
};

class DeleteOperator : public Operator {
 public:
  DeleteOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node),
        spec_(node.As<PhysicalDelete>().spec),
        targets_(state, *node.children[0], std::move(child), *spec_.table, spec_.old_slots,
                 CountReads(*node.children[0], spec_.table->oid) > 1),
        writer_(state, spec_.table, spec_.indexes, {}),
        returning_(MakeEvaluators(spec_.returning)) {}

  Task<absl::Status> Open(const Context& ctx) override {
    done_ = false;
    co_return co_await targets_.Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    while (!done_) {
      EXEC_YIELD(ctx);
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await targets_.Next(ctx, writer_.codec()));
      if (batch == nullptr) {
        done_ = true;
        break;
      }
      CO_RETURN_IF_ERROR(writer_.Delete(targets_.OldRows(*batch)));
      state_->rows_affected += batch->rows;
      CO_RETURN_IF_ERROR(co_await state_->txn().FlushIfLarge(ctx));
      if (returning_.empty()) continue;
      CO_RETURN_IF_ERROR(EvaluateInto(state_->eval, returning_, BatchView(*batch), &out_));
      co_return &out_;
    }
    co_return nullptr;
  }
  void Close() override { targets_.Close(); }

 private:
  const DeleteSpec& spec_;
  TargetRows targets_;
  TableWriter writer_;
  std::vector<Evaluator> returning_;
  bool done_ = false;
  Batch out_;
};

}  // namespace

OperatorPtr MakeUpdate(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<UpdateOperator>(state, node, std::move(child));
}
OperatorPtr MakeDelete(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<DeleteOperator>(state, node, std::move(child));
}

}  // namespace insula::sql
