#include "sql/schema/table_data.h"

#include "base/encoding/ordered.h"

namespace insula::sql {
namespace {

// A unique violation while an index is being built is said in other words.
absl::Status WhileBuilding(absl::Status s) {
  PgErrorFields f = ToPgError(s);
  if (s.ok() || f.sqlstate != sqlstate::kUniqueViolation) return s;
  std::string detail = f.detail;
  constexpr std::string_view kExists = " already exists.";
  if (std::string_view(detail).ends_with(kExists)) detail = StrCat(detail.substr(0, detail.size() - kExists.size()), " is duplicated.");
  return PgErrorBuilder(sqlstate::kUniqueViolation, StrCat("could not create unique index \"", f.constraint, "\""))
      .Detail(detail)
      .Table(f.schema, f.table)
      .Constraint(f.constraint)
      .Build();
}

std::vector<int> AllOrdinals(const TableInfo& table) {
  std::vector<int> out;
  for (size_t i = 0; i < table.columns.size(); ++i) out.push_back(static_cast<int>(i));
  return out;
}

}  // namespace

TableData::TableData(Ddl* ddl) : ddl_(ddl) {
  exec_.txn = ddl->c_.txn;
  exec_.catalog = &ddl->c_.catalog->catalog();
  exec_.snapshot = ddl->c_.catalog->snapshot();
  exec_.parameters = ddl->c_.parameters;
  exec_.functions = ddl->c_.functions;
  exec_.sequences = ddl->c_.sequences;
  exec_.memory = ddl->c_.memory;
  exec_.lock_timeout = ddl->c_.lock_timeout;
  if (exec_.sequences != nullptr) exec_.sequences->set_snapshot(exec_.snapshot);
  state_ = std::make_unique<ExecState>(std::make_shared<PhysicalPlan>(), &exec_);
}

TableData::~TableData() = default;

absl::StatusOr<std::vector<IndexSpec>> TableData::IndexSpecs(const TableInfo& table) {
  std::vector<IndexSpec> out;
  BindContext binding = ddl_->Binding();
  for (size_t i = 0; i < table.indexes.size(); ++i) {
    const IndexInfo& index = table.indexes[i];
    IndexSpec spec;
    spec.index = static_cast<int>(i);
    bool special = false;
    if (!index.predicate.empty()) {
      ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(index.predicate, table, ExpressionUse::kIndexPredicate, SqlType{oid::kBool, -1}, binding));
      spec.predicate = e.expr;
      special = true;
    }
    for (const auto& c : index.columns) {
      spec.exprs.push_back(nullptr);
      if (c.ordinal >= 0) continue;
      ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(c.expression, table, ExpressionUse::kIndexExpression, std::nullopt, binding));
      spec.exprs.back() = e.expr;
      special = true;
    }
    if (special) out.push_back(std::move(spec));
  }
  return out;
}

absl::StatusOr<std::vector<CheckSpec>> TableData::CheckSpecs(const TableInfo& table) {
  std::vector<CheckSpec> out;
  for (const auto& c : table.checks) {
    if (!c.validated) continue;
    ASSIGN_OR_RETURN(TableExpression e, BindStoredExpression(c.expression, table, ExpressionUse::kCheck, SqlType{oid::kBool, -1}, ddl_->Binding()));
    out.push_back({c.name, e.expr});
  }
  return out;
}

Task<absl::Status> TableData::ForEach(TablePtr table, std::function<Task<absl::Status>(Batch*)> visit) {
  const RowCodec& codec = state_->CodecOf(table);
  RowReader reader(codec, 0, AllOrdinals(*table));
  kv::ScanSpec first;
  first.start = codec.IndexPrefix(0);
  first.end = PrefixEnd(first.start);
  std::optional<kv::ScanSpec> spec = std::move(first);
  Batch batch;
  while (spec) {
    CO_ASSIGN_OR_RETURN(kv::ScanPage page, co_await exec_.txn->Scan(ddl_->ctx_, *std::move(spec)));
    spec = page.rest();
    for (size_t at = 0; at < page.rows().size(); at += kBatchRows) {
      if (state_->ShouldYield(ddl_->ctx_)) CO_RETURN_IF_ERROR(co_await ddl_->ctx_.Yield());
      size_t n = std::min(kBatchRows, page.rows().size() - at);
      reader.Begin(n, &batch);
      for (size_t i = 0; i < n; ++i) CO_RETURN_IF_ERROR(reader.Read(page.rows()[at + i].key, page.rows()[at + i].value, i, &batch));
      CO_RETURN_IF_ERROR(co_await visit(&batch));
    }
  }
  co_return absl::OkStatus();
}

Task<absl::Status> TableData::Rewrite(TablePtr old_table, TablePtr new_table, std::vector<ExprPtr> new_values) {
  CO_ASSIGN_OR_RETURN(std::vector<IndexSpec> specs, IndexSpecs(*new_table));
  CO_ASSIGN_OR_RETURN(std::vector<CheckSpec> checks, CheckSpecs(*new_table));
  ddl_->c_.catalog->DeclareFresh(new_table->id);
  TableWriter writer(state_.get(), new_table, specs, checks);
  std::vector<Evaluator> values;
  std::vector<int> source(new_table->columns.size(), -1);
  for (size_t o = 0; o < new_table->columns.size(); ++o) {
    values.emplace_back(o < new_values.size() ? new_values[o] : nullptr);
    for (size_t from = 0; from < old_table->columns.size(); ++from) {
      if (old_table->columns[from].id == new_table->columns[o].id) source[o] = static_cast<int>(from);
    }
  }
  Batch rows;
  absl::Status status = co_await ForEach(old_table, [&](Batch* batch) -> Task<absl::Status> {
    BatchView view(*batch);
    if (AnyUsesSequences(values)) CO_RETURN_IF_ERROR(co_await state_->ReserveSequences(ddl_->ctx_, values, view));
    rows.columns.resize(new_table->columns.size());
    rows.rows = batch->rows;
    for (size_t o = 0; o < rows.columns.size(); ++o) {
      if (!values[o].empty()) {
        CO_RETURN_IF_ERROR(EvaluateColumn(state_->eval, values[o], view, &rows.columns[o]));
      } else if (source[o] >= 0) {
        rows.columns[o].Slice(batch->columns[source[o]], 0, batch->rows);
      } else {
        rows.columns[o].Reset(new_table->columns[o].type);
        rows.columns[o].AppendConstant(Datum::Null(), batch->rows);
      }
    }
    // Row ids belong to a storage id: a new one counts anew, in the old order.
    bool needs_row_ids = std::any_of(new_table->columns.begin(), new_table->columns.end(), [](const auto& c) { return c.hidden; });
    if (needs_row_ids) CO_RETURN_IF_ERROR(co_await writer.FillHidden(ddl_->ctx_, &rows));
    CO_RETURN_IF_ERROR(writer.Check(&rows));
    CO_RETURN_IF_ERROR(WhileBuilding(co_await writer.Insert(ddl_->ctx_, RowsOf(rows))));
    co_return co_await exec_.txn->FlushIfLarge(ddl_->ctx_);
  });
  CO_RETURN_IF_ERROR(status);
  ddl_->c_.catalog->Retire(old_table->id);
  co_return absl::OkStatus();
}

Task<absl::Status> TableData::Assign(TablePtr table, std::vector<std::pair<int, ExprPtr>> assignments) {
  CO_ASSIGN_OR_RETURN(std::vector<IndexSpec> specs, IndexSpecs(*table));
  CO_ASSIGN_OR_RETURN(std::vector<CheckSpec> checks, CheckSpecs(*table));
  TableWriter writer(state_.get(), table, specs, checks);
  std::vector<Evaluator> values;
  std::vector<bool> changed(table->columns.size(), false);
  for (const auto& [ordinal, expr] : assignments) {
    values.emplace_back(expr);
    changed[ordinal] = true;
  }
  co_return co_await ForEach(table, [&](Batch* batch) -> Task<absl::Status> {
    BatchView view(*batch);
    if (AnyUsesSequences(values)) CO_RETURN_IF_ERROR(co_await state_->ReserveSequences(ddl_->ctx_, values, view));
    Batch rows = *batch;
    for (size_t a = 0; a < values.size(); ++a) {
      CO_RETURN_IF_ERROR(EvaluateColumn(state_->eval, values[a], view, &rows.columns[assignments[a].first]));
    }
    CO_RETURN_IF_ERROR(writer.Check(&rows));
    CO_RETURN_IF_ERROR(co_await writer.Update(ddl_->ctx_, RowsOf(*batch), RowsOf(rows), changed));
    co_return co_await exec_.txn->FlushIfLarge(ddl_->ctx_);
  });
}

Task<absl::Status> TableData::Index(TablePtr table, int index) {
  CO_ASSIGN_OR_RETURN(std::vector<IndexSpec> specs, IndexSpecs(*table));
  TableWriter writer(state_.get(), table, specs, {});
  co_return co_await ForEach(table, [&](Batch* batch) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(WhileBuilding(co_await writer.InsertEntries(ddl_->ctx_, RowsOf(*batch), index)));
    co_return co_await exec_.txn->FlushIfLarge(ddl_->ctx_);
  });
}

Task<absl::StatusOr<bool>> TableData::AnyViolates(TablePtr table, ExprPtr condition, bool null_counts) {
  Evaluator evaluator(condition);
  bool found = false;
  CO_RETURN_IF_ERROR(co_await ForEach(table, [&](Batch* batch) -> Task<absl::Status> {
    if (found) co_return absl::OkStatus();
    CO_ASSIGN_OR_RETURN(const Vector* v, evaluator.Evaluate(state_->eval, BatchView(*batch)));
    for (size_t i = 0; i < batch->rows && !found; ++i) found = v->IsNull(i) ? null_counts : !v->bools()[i];
    co_return absl::OkStatus();
  }));
  co_return found;
}

Task<absl::StatusOr<bool>> TableData::IsEmpty(TablePtr table) {
  kv::ScanSpec spec;
  spec.start = state_->CodecOf(table).IndexPrefix(0);
  spec.end = PrefixEnd(spec.start);
  spec.max_rows = 1;
  CO_ASSIGN_OR_RETURN(kv::ScanPage page, co_await exec_.txn->Scan(ddl_->ctx_, std::move(spec)));
  co_return page.rows().empty();
}

Task<absl::StatusOr<uint64_t>> TableData::Fill(TablePtr table, PlanPtr plan, SnapshotPtr snapshot) {
  ExecContext exec = exec_;
  exec.snapshot = std::move(snapshot);
  CO_ASSIGN_OR_RETURN(auto run, Execution::Create(std::move(plan), &exec));
  CO_RETURN_IF_ERROR(co_await run->Open(ddl_->ctx_));
  TableWriter writer(state_.get(), table, {}, {});
  uint64_t count = 0;
  Batch rows;
  for (;;) {
    CO_ASSIGN_OR_RETURN(const Batch* batch, co_await run->Next(ddl_->ctx_));
    if (batch == nullptr) break;
    rows.columns.resize(table->columns.size());
    rows.rows = batch->rows;
    for (size_t o = 0; o < batch->columns.size(); ++o) rows.columns[o].Slice(batch->columns[o], 0, batch->rows);
    CO_RETURN_IF_ERROR(co_await writer.FillHidden(ddl_->ctx_, &rows));
    CO_RETURN_IF_ERROR(writer.Check(&rows));
    CO_RETURN_IF_ERROR(co_await writer.Insert(ddl_->ctx_, RowsOf(rows)));
    CO_RETURN_IF_ERROR(co_await exec_.txn->FlushIfLarge(ddl_->ctx_));
    count += rows.rows;
  }
  run->Close();
  co_return count;
}

}  // namespace insula::sql
