// INSERT, with ON CONFLICT and RETURNING.
//
//   child rows ──► row ids ──► NOT NULL, CHECK ──► (ON CONFLICT: who is there already?) ──► TableWriter ──► RETURNING
//
// ON CONFLICT reads the keys of the arbiter indexes under exclusive locks first, so what it then inserts cannot meet anything.
// If the child reads the same table, its rows are all read before the first is written.
#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "sql/exec/operator.h"
#include "sql/exec/plan_walk.h"
#include "sql/exec/row_fetcher.h"
#include "sql/exec/table_writer.h"

namespace insula::sql {
namespace {

std::vector<int> AllOrdinals(const TableInfo& table) {
  std::vector<int> out(table.columns.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<int>(i);
  return out;
}

class InsertOperator : public Operator {
 public:
  InsertOperator(ExecState* state, const PhysicalNode& node, OperatorPtr child)
      : Operator(state, node),
        spec_(node.As<PhysicalInsert>().spec),
        child_(std::move(child)),
        child_types_(TypesOf(*node.children[0])),
        writer_(state, spec_.table, spec_.indexes, spec_.checks),
        returning_(MakeEvaluators(spec_.returning)),
        kept_(state->memory()),
        touched_memory_(state->memory()) {
    read_first_ = CountReads(*node.children[0], spec_.table->oid) > 0;
    if (spec_.conflict.action == ConflictAction::kNone) return;
    arbiters_ = spec_.conflict.arbiters;
    if (arbiters_.empty()) {
      for (size_t i = 0; i < spec_.table->indexes.size(); ++i) {
        if (spec_.table->indexes[i].unique || spec_.table->indexes[i].primary) arbiters_.push_back(static_cast<int>(i));
      }
    }
    if (spec_.conflict.action != ConflictAction::kUpdate) return;
    conflict_where_ = Evaluator(spec_.conflict.where);
    for (const Assignment& a : spec_.conflict.assignments) {
      assigned_.push_back(a.ordinal);
      assignments_.emplace_back(a.value);
    }
    existing_ = std::make_unique<RowFetcher>(state, spec_.table, 0, AllOrdinals(*spec_.table), RowLock{RowLockStrength::kUpdate, RowLockWait::kBlock});
  }

  Task<absl::Status> Open(const Context& ctx) override {
    done_ = kept_all_ = false;
    kept_at_ = 0;
    touched_.clear();
    co_return co_await child_->Open(ctx);
  }

  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    while (!done_) {
      EXEC_YIELD(ctx);
      CO_ASSIGN_OR_RETURN(Batch * batch, co_await NextInput(ctx));
      if (batch == nullptr) {
        CO_RETURN_IF_ERROR(co_await writer_.AwaitInserted(ctx));
        done_ = true;
        break;
      }
      CO_RETURN_IF_ERROR(co_await writer_.FillHidden(ctx, batch));
      if (AnyUsesSequences(returning_)) CO_RETURN_IF_ERROR(co_await state_->ReserveSequences(ctx, returning_, BatchView(*batch)));
      CO_RETURN_IF_ERROR(writer_.Check(batch));
      Batch* stored = batch;
      if (spec_.conflict.action == ConflictAction::kNone) {
        CO_RETURN_IF_ERROR(co_await writer_.InsertAhead(ctx, RowsOf(*batch)));
      } else {
        CO_RETURN_IF_ERROR(co_await InsertOrConflict(ctx, *batch));
        stored = &stored_;
      }
      state_->rows_affected += stored->rows;
      CO_RETURN_IF_ERROR(co_await state_->txn().FlushIfLarge(ctx));
      if (returning_.empty() || stored->rows == 0) continue;
      CO_RETURN_IF_ERROR(EvaluateInto(state_->eval, returning_, BatchView(*stored), &out_));
      co_return &out_;
    }
    co_return nullptr;
  }

  void Close() override {
    kept_.Clear();
    touched_.clear();
    touched_memory_.Release();
    child_->Close();
  }

 private:
  Task<absl::StatusOr<Batch*>> NextInput(const Context& ctx) {
    if (!read_first_) co_return co_await child_->Next(ctx);
    if (!kept_all_) {
      kept_.Reset(child_types_);
      for (;;) {
        CO_ASSIGN_OR_RETURN(Batch * batch, co_await child_->Next(ctx));
        if (batch == nullptr) break;
        CO_RETURN_IF_ERROR(kept_.Append(*batch));
      }
      kept_all_ = true;
    }
    size_t end = std::min(kept_.size(), kept_at_ + kBatchRows);
    if (kept_at_ >= end) co_return nullptr;
    input_.Slice(kept_.rows(), kept_at_, end - kept_at_);
    kept_at_ = end;
    co_return &input_;
  }

  // What becomes of one proposed row.
  struct Fate {
    enum Kind { kInsert, kSkip, kUpdate } kind = kInsert;
    std::string primary_key;                // kUpdate: the row it meets
    std::vector<std::string> arbiter_keys;  // its own
  };

  // Writes what can be written of `rows`; stored_ gets the rows as stored, in order.
  Task<absl::Status> InsertOrConflict(const Context& ctx, const Batch& rows) {
    std::vector<Fate> fates(rows.rows);
    CO_RETURN_IF_ERROR(co_await FindConflicts(ctx, rows, &fates));
    std::vector<uint32_t> inserts, updates;
    for (uint32_t i = 0; i < rows.rows; ++i) {
      if (fates[i].kind == Fate::kInsert) inserts.push_back(i);
      if (fates[i].kind == Fate::kUpdate) updates.push_back(i);
    }
    Batch inserted, updated;
    inserted.Gather(rows, inserts);
    if (!inserts.empty()) CO_RETURN_IF_ERROR(co_await writer_.InsertAhead(ctx, RowsOf(inserted)));
    std::vector<uint32_t> updated_of;  // by row of `updated`: place in `updates`
    if (!updates.empty()) CO_RETURN_IF_ERROR(co_await UpdateExisting(ctx, rows, updates, fates, &updated, &updated_of));
    // Back in the order of the proposed rows.
    std::vector<SqlType> types;
    for (const auto& c : spec_.table->columns) types.push_back(c.type);
    stored_.Reset(types);
    size_t next_insert = 0, next_update = 0;
    for (uint32_t i = 0; i < rows.rows; ++i) {
      if (next_insert < inserts.size() && inserts[next_insert] == i) {
        stored_.AppendFrom(inserted, next_insert++);
      } else if (next_update < updated_of.size() && updates[updated_of[next_update]] == i) {
        stored_.AppendFrom(updated, next_update++);
      }
    }
    co_return absl::OkStatus();
  }

  Task<absl::Status> FindConflicts(const Context& ctx, const Batch& rows, std::vector<Fate>* fates) {
    TableRows table_rows = RowsOf(rows);
    std::vector<std::string> keys;
    std::vector<std::pair<uint32_t, int>> owners;  // (row, arbiter) of each key
    for (int arbiter : arbiters_) {
      std::vector<std::string> of_index;
      std::vector<bool> present;
      CO_RETURN_IF_ERROR(writer_.UniqueKeys(arbiter, table_rows, &of_index, &present));
      for (uint32_t i = 0; i < rows.rows; ++i) {
        if (!present[i]) continue;
        (*fates)[i].arbiter_keys.push_back(of_index[i]);
        keys.push_back(std::move(of_index[i]));
        owners.emplace_back(i, arbiter);
      }
    }
    kv::ReadOptions lock;
    lock.lock = kv::LockStrength::kExclusive;
    lock.lock_timeout = state_->exec->lock_timeout;
    CO_ASSIGN_OR_RETURN(auto values, co_await state_->txn().GetMany(ctx, keys, lock));
    for (size_t k = 0; k < keys.size(); ++k) {
      if (!values[k]) continue;
      auto [row, arbiter] = owners[k];
      Fate& fate = (*fates)[row];
      if (fate.kind != Fate::kInsert) continue;  // the first arbiter that objects counts
      if (spec_.conflict.action == ConflictAction::kNothing) {
        fate.kind = Fate::kSkip;
        continue;
      }
      fate.kind = Fate::kUpdate;
      if (arbiter == 0) {
        fate.primary_key = keys[k];
      } else {
        CO_ASSIGN_OR_RETURN(fate.primary_key, writer_.codec().PrimaryKeyOfEntry(arbiter, keys[k], *values[k]));
      }
    }
    co_return ResolveWithinCommand(fates);
  }

  // Rows of one command that meet each other.
  absl::Status ResolveWithinCommand(std::vector<Fate>* fates) {
    bool updating = spec_.conflict.action == ConflictAction::kUpdate;
    if (!updating) touched_.clear();  // earlier batches are seen by reading
    size_t bytes = 0;
    for (Fate& fate : *fates) {
      if (fate.kind == Fate::kSkip) continue;
      bool repeated = std::any_of(fate.arbiter_keys.begin(), fate.arbiter_keys.end(), [this](const auto& k) { return touched_.contains(k); });
      if (repeated && !updating) {
        fate.kind = Fate::kSkip;
        continue;
      }
      if (repeated || (fate.kind == Fate::kUpdate && touched_.contains(fate.primary_key))) {
        return PgErrorBuilder("21000", "ON CONFLICT DO UPDATE command cannot affect row a second time")
            .Hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
            .Build();
      }
      for (const std::string& k : fate.arbiter_keys) {
        touched_.insert(k);
        bytes += k.size() + 64;
      }
      if (fate.kind == Fate::kUpdate) touched_.insert(fate.primary_key);
    }
    return updating ? touched_memory_.Add(bytes) : absl::OkStatus();
  }

  Task<absl::Status> UpdateExisting(const Context& ctx, const Batch& rows, const std::vector<uint32_t>& updates,
                                    const std::vector<Fate>& fates, Batch* updated, std::vector<uint32_t>* updated_of) {
    std::vector<std::string> keys;
    for (uint32_t i : updates) keys.push_back(fates[i].primary_key);
    Batch existing;
    std::vector<uint32_t> found;
    CO_RETURN_IF_ERROR(co_await existing_->FetchByPrimaryKey(ctx, std::move(keys), true, &existing, &found));
    std::vector<uint32_t> proposed_rows;
    for (uint32_t f : found) proposed_rows.push_back(updates[f]);
    Batch proposed;
    proposed.Gather(rows, proposed_rows);
    if (!conflict_where_.empty()) {
      BatchView both(existing);
      both.Add(proposed);
      std::vector<uint32_t> selected;
      CO_RETURN_IF_ERROR(conflict_where_.Select(state_->eval, both, &selected));
      if (selected.size() < existing.rows) {
        Batch e, p;
        e.Gather(existing, selected);
        p.Gather(proposed, selected);
        existing = std::move(e);
        proposed = std::move(p);
        std::vector<uint32_t> f;
        for (uint32_t s : selected) f.push_back(found[s]);
        found = std::move(f);
      }
    }
    if (existing.rows == 0) co_return absl::OkStatus();
    BatchView both(existing);
    both.Add(proposed);
    CO_RETURN_IF_ERROR(co_await state_->ReserveSequences(ctx, assignments_, both));
    *updated = existing;
    std::vector<bool> changed(spec_.table->columns.size(), false);
    for (size_t a = 0; a < assignments_.size(); ++a) {
      CO_RETURN_IF_ERROR(EvaluateColumn(state_->eval, assignments_[a], both, &updated->columns[assigned_[a]]));
      changed[assigned_[a]] = true;
    }
    CO_RETURN_IF_ERROR(co_await state_->FlushSequences(ctx));
    CO_RETURN_IF_ERROR(writer_.Check(updated));
    CO_RETURN_IF_ERROR(co_await writer_.Update(ctx, RowsOf(existing), RowsOf(*updated), changed));
    *updated_of = std::move(found);
    co_return absl::OkStatus();
  }

  const InsertSpec& spec_;
  OperatorPtr child_;
  std::vector<SqlType> child_types_;
  TableWriter writer_;
  std::vector<Evaluator> returning_;
  std::vector<int> arbiters_;
  Evaluator conflict_where_;
  std::vector<int> assigned_;
  std::vector<Evaluator> assignments_;
  std::unique_ptr<RowFetcher> existing_;
  bool read_first_ = false, kept_all_ = false, done_ = false;
  RowStore kept_;
  size_t kept_at_ = 0;
  std::set<std::string> touched_;  // keys that this command has inserted or updated (DO UPDATE: of all batches)
  MemoryReservation touched_memory_;
  Batch input_, stored_, out_;
};

}  // namespace

OperatorPtr MakeInsert(ExecState* state, const PhysicalNode& node, OperatorPtr child) {
  return std::make_unique<InsertOperator>(state, node, std::move(child));
}

}  // namespace insula::sql
