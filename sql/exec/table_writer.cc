#include "sql/exec/table_writer.h"

#include <algorithm>
#include <span>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/io.h"

namespace insula::sql {
namespace {

// `columns`: of the index; null pointer: NULL.
absl::Status DuplicateKey(const TableInfo& table, const IndexInfo& index, std::span<const Vector* const> columns, size_t row, const IoContext& io) {
  std::string names, values;
  for (size_t c = 0; c < index.columns.size(); ++c) {
    if (c > 0) {
      names += ", ";
      values += ", ";
    }
    const IndexColumnInfo& column = index.columns[c];
    names += column.ordinal >= 0 ? table.columns[column.ordinal].name : column.expression;
    if (columns[c] == nullptr || columns[c]->IsNull(row)) {
      values += "null";
    } else {
      TextOutAppend(io, *columns[c], row, &values);
    }
  }
  return PgErrorBuilder(sqlstate::kUniqueViolation, StrCat("duplicate key value violates unique constraint \"", index.name, "\""))
      .Detail(StrCat("Key (", names, ")=(", values, ") already exists."))
      .Table(table.schema, table.name)
      .Constraint(index.name)
      .Build();
}

// What is to be said of a key that is there, when only it and the value that was to be written are at hand. It stands for itself: the
// statement may be over. (So a regclass is a number.)
std::shared_ptr<const kv::RowTaken> MakeRowTaken(TablePtr table, CatalogLayout layout, IoContext io) {
  io.reg_names = nullptr;
  return std::make_shared<kv::RowTaken>([table = std::move(table), layout = std::move(layout), io](const kv::KeyValue& row) -> absl::Status {
    const RowCodec codec(*table, layout);
    for (size_t i = 0; i < table->indexes.size(); ++i) {
      const IndexInfo& index = table->indexes[i];
      if (!row.key.starts_with(codec.IndexPrefix(static_cast<int>(i)))) continue;
      std::vector<int> plain;
      for (const auto& c : index.columns) {
        if (c.ordinal >= 0) plain.push_back(c.ordinal);
      }
      Batch batch;
      RowReader reader(codec, static_cast<int>(i), plain);
      reader.Begin(1, &batch);
      RETURN_IF_ERROR(reader.Read(row.key, row.value, 0, &batch));
      ASSIGN_OR_RETURN(Batch of_key, reader.ReadIndexColumns(row.key));
      std::vector<const Vector*> columns;
      size_t next = 0;
      for (size_t c = 0; c < index.columns.size(); ++c) columns.push_back(index.columns[c].ordinal >= 0 ? &batch.columns[next++] : &of_key.columns[c]);
      return DuplicateKey(*table, index, columns, 0, io);
    }
    return absl::InternalError("the key of no index is there already");
  });
}

}  // namespace

TableRows RowsOf(const Batch& batch) {
  TableRows out;
  for (const Vector& v : batch.columns) out.columns.push_back(&v);
  out.rows = batch.rows;
  return out;
}

TableWriter::TableWriter(ExecState* state, TablePtr table, const std::vector<IndexSpec>& specs, const std::vector<CheckSpec>& checks)
    : state_(state), table_(std::move(table)), codec_(state->CodecOf(table_)) {
  for (size_t i = 1; i < table_->indexes.size(); ++i) {
    Index index;
    index.index = static_cast<int>(i);
    for (const IndexSpec& spec : specs) {
      if (spec.index != index.index) continue;
      index.predicate = Evaluator(spec.predicate);
      index.exprs = MakeEvaluators(spec.exprs);
    }
    secondary_.push_back(std::move(index));
  }
  for (const CheckSpec& c : checks) checks_.emplace_back(c.name, Evaluator(c.condition));
  for (size_t o = 0; o < table_->columns.size(); ++o) {
    if (table_->columns[o].hidden) hidden_ordinal_ = static_cast<int>(o);
  }
}

Task<absl::Status> TableWriter::FillHidden(const Context& ctx, Batch* rows) {
  if (hidden_ordinal_ < 0) co_return absl::OkStatus();
  CO_ASSIGN_OR_RETURN(int64_t first, co_await state_->exec->catalog->AllocateRowIds(ctx, table_->id, rows->rows));
  Vector& v = rows->columns[hidden_ordinal_];
  v.Reset({oid::kInt8, -1});
  v.Resize(rows->rows);
  for (size_t i = 0; i < rows->rows; ++i) v.ints()[i] = first + static_cast<int64_t>(i);
  co_return absl::OkStatus();
}

std::string TableWriter::FailingRow(const Batch& rows, size_t row) const {
  constexpr size_t kMaxValue = 64;
  std::string out = "Failing row contains (";
  bool first = true;
  for (size_t o = 0; o < table_->columns.size(); ++o) {
    if (table_->columns[o].hidden) continue;
    if (!first) out += ", ";
    first = false;
    const Vector& v = rows.columns[o];
    if (v.IsNull(row)) {
      out += "null";
      continue;
    }
    std::string text;
    TextOutAppend(state_->exec->functions->io, v, row, &text);
    if (text.size() > kMaxValue) {
      size_t cut = kMaxValue;
      while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;  // not within a character
      text.resize(cut);
      text += "...";
    }
    out += text;
  }
  return out + ").";
}

// The first row that breaks a rule is the one to tell of; of its rules first NOT NULL, then checks by name.
absl::Status TableWriter::Check(Batch* rows) {
  CHECK_EQ(rows->columns.size(), table_->columns.size());
  size_t bad = rows->rows;
  const ColumnInfo* null_column = nullptr;
  for (size_t o = 0; o < table_->columns.size(); ++o) {
    const ColumnInfo& c = table_->columns[o];
    Vector& v = rows->columns[o];
    CHECK(v.kind() == KindOf(c.type.oid)) << "column " << c.name << " gets values of type " << v.type().oid;
    v.Retype(c.type);
    if (!c.not_null || !v.MayHaveNulls()) continue;
    for (size_t i = 0; i < bad; ++i) {
      if (!v.IsNull(i)) continue;
      bad = i;
      null_column = &c;
    }
  }
  const std::string* check = nullptr;
  for (auto& [name, condition] : checks_) {
    if (bad == 0) break;
    ASSIGN_OR_RETURN(const Vector* v, condition.Evaluate(state_->eval, BatchView(*rows)));
    for (size_t i = 0; i < bad; ++i) {
      if (v->IsNull(i) || v->bools()[i]) continue;
      bad = i;
      check = &name;
    }
  }
  if (check != nullptr) {
    return PgErrorBuilder(sqlstate::kCheckViolation,
                          StrCat("new row for relation \"", table_->name, "\" violates check constraint \"", *check, "\""))
        .Detail(FailingRow(*rows, bad))
        .Table(table_->schema, table_->name)
        .Constraint(*check)
        .Build();
  }
  if (null_column != nullptr) {
    return PgErrorBuilder(sqlstate::kNotNullViolation, StrCat("null value in column \"", null_column->name, "\" of relation \"", table_->name,
                                                              "\" violates not-null constraint"))
        .Detail(FailingRow(*rows, bad))
        .Table(table_->schema, table_->name)
        .Column(null_column->name)
        .Build();
  }
  return absl::OkStatus();
}

void TableWriter::PrimaryKeys(const TableRows& rows, std::vector<std::string>* out) const {
  out->resize(rows.rows);
  for (size_t i = 0; i < rows.rows; ++i) {
    (*out)[i].clear();
    codec_.AppendPrimaryKeyColumns(rows.Row(i), &(*out)[i]);
  }
}

// Entries of all rows in one index. `primary`: the rows' encoded primary key columns.
absl::Status TableWriter::Entries(Index& index, const TableRows& rows, const std::vector<std::string>& primary, bool values,
                                  std::vector<Entry>* out) {
  out->clear();
  out->resize(rows.rows);
  std::vector<const Vector*> exprs;
  std::vector<uint32_t> selected;
  Batch subset;
  const TableRows* from = &rows;
  TableRows subset_rows;
  // Expressions are not evaluated on rows outside a partial index.
  if (!index.predicate.empty()) {
    RETURN_IF_ERROR(index.predicate.Select(state_->eval, RowView{rows.columns, rows.rows}, &selected));
    if (selected.size() < rows.rows) {
      for (const Vector* v : rows.columns) {
        subset.columns.emplace_back();
        if (v != nullptr) subset.columns.back().Gather(*v, selected);
      }
      subset.rows = selected.size();
      subset_rows = RowsOf(subset);
      from = &subset_rows;
    }
  }
  std::vector<Vector> expr_values(index.exprs.size());
  for (size_t c = 0; c < index.exprs.size(); ++c) {
    exprs.push_back(nullptr);
    if (index.exprs[c].empty()) continue;
    RETURN_IF_ERROR(EvaluateColumn(state_->eval, index.exprs[c], RowView{from->columns, from->rows}, &expr_values[c]));
    expr_values[c].Retype(table_->indexes[index.index].columns[c].type);
    exprs[c] = &expr_values[c];
  }
  for (size_t k = 0; k < from->rows; ++k) {
    size_t i = from == &rows ? k : selected[k];
    Entry& e = (*out)[i];
    e.present = true;
    codec_.AppendIndexKey(index.index, from->Row(k), exprs, primary[i], &e.key, &e.unique);
    if (values) codec_.AppendIndexValue(index.index, from->Row(k), exprs, primary[i], &e.value);
  }
  return absl::OkStatus();
}

absl::Status TableWriter::DuplicateError(int index, const TableRows& rows, size_t row) {
  const IndexInfo& info = table_->indexes[index];
  Index* special = nullptr;
  for (Index& s : secondary_) {
    if (s.index == index && !s.exprs.empty()) special = &s;
  }
  std::vector<const Vector*> columns;
  for (size_t c = 0; c < info.columns.size(); ++c) {
    const Vector* v = nullptr;
    if (info.columns[c].ordinal >= 0) {
      v = rows.columns[info.columns[c].ordinal];
    } else {
      ASSIGN_OR_RETURN(v, special->exprs[c].Evaluate(state_->eval, RowView{rows.columns, rows.rows}));
    }
    columns.push_back(v);
  }
  return DuplicateKey(*table_, info, columns, row, state_->exec->functions->io);
}

Task<absl::Status> TableWriter::InsertAll(const Context& ctx, std::vector<Pending> pending, const TableRows& rows) {
  if (pending.empty()) co_return absl::OkStatus();
  std::vector<kv::KeyValue> keys;
  keys.reserve(pending.size());
  for (Pending& p : pending) keys.push_back(std::move(p.row));
  CO_ASSIGN_OR_RETURN(std::optional<size_t> taken, co_await state_->txn().InsertMany(ctx, std::move(keys)));
  if (taken) co_return DuplicateError(pending[*taken].index, rows, pending[*taken].number);
  co_return absl::OkStatus();
}

// Rows and entries that must be new, and the others.
absl::Status TableWriter::EncodeInserts(const TableRows& rows, std::vector<Pending>* unique, std::vector<kv::KeyValue>* others) {
  std::vector<std::string> primary;
  PrimaryKeys(rows, &primary);
  unique->reserve(rows.rows);
  const std::string& prefix = codec_.IndexPrefix(0);
  for (size_t i = 0; i < rows.rows; ++i) {
    Pending p{{std::string(), std::string()}, 0, i};
    p.row.key.reserve(prefix.size() + primary[i].size());
    p.row.key.append(prefix).append(primary[i]);
    codec_.AppendRowValue(rows.Row(i), &p.row.value);
    unique->push_back(std::move(p));
  }
  std::vector<Entry> entries;
  for (Index& index : secondary_) {
    RETURN_IF_ERROR(Entries(index, rows, primary, true, &entries));
    for (size_t i = 0; i < entries.size(); ++i) {
      Entry& e = entries[i];
      if (!e.present) continue;
      if (e.unique) {
        unique->push_back({{std::move(e.key), std::move(e.value)}, index.index, i});
      } else {
        others->push_back({std::move(e.key), std::move(e.value)});
      }
    }
  }
  return absl::OkStatus();
}

Task<absl::Status> TableWriter::Insert(const Context& ctx, const TableRows& rows) {
  std::vector<Pending> pending;
  std::vector<kv::KeyValue> puts;
  CO_RETURN_IF_ERROR(EncodeInserts(rows, &pending, &puts));
  CO_RETURN_IF_ERROR(co_await InsertAll(ctx, std::move(pending), rows));
  for (kv::KeyValue& p : puts) state_->txn().Put(std::move(p.key), std::move(p.value));
  co_return absl::OkStatus();
}

Task<absl::Status> TableWriter::InsertAhead(const Context& ctx, const TableRows& rows) {
  if (taken_ == nullptr) taken_ = MakeRowTaken(table_, state_->exec->catalog->layout(), state_->exec->functions->io);
  std::vector<Pending> pending;
  std::vector<kv::KeyValue> keys, puts;
  CO_RETURN_IF_ERROR(EncodeInserts(rows, &pending, &puts));
  keys.reserve(pending.size());
  for (Pending& p : pending) keys.push_back(std::move(p.row));
  CO_RETURN_IF_ERROR(co_await state_->txn().InsertAhead(ctx, std::move(keys), taken_));
  for (kv::KeyValue& p : puts) state_->txn().Put(std::move(p.key), std::move(p.value));
  co_return absl::OkStatus();
}

Task<absl::Status> TableWriter::InsertEntries(const Context& ctx, const TableRows& rows, int index) {
  std::vector<std::string> primary;
  PrimaryKeys(rows, &primary);
  std::vector<Entry> entries;
  CO_RETURN_IF_ERROR(Entries(secondary_[index - 1], rows, primary, true, &entries));
  std::vector<Pending> pending;
  for (size_t i = 0; i < entries.size(); ++i) {
    Entry& e = entries[i];
    if (!e.present) continue;
    if (e.unique) {
      pending.push_back({{std::move(e.key), std::move(e.value)}, index, i});
    } else {
      state_->txn().Put(std::move(e.key), std::move(e.value));
    }
  }
  co_return co_await InsertAll(ctx, std::move(pending), rows);
}

bool TableWriter::Touched(const Index& index, const std::vector<bool>& changed) const {
  if (index.special()) return true;
  const IndexInfo& info = table_->indexes[index.index];
  auto is_changed = [&](int ordinal) { return changed[ordinal]; };
  return std::any_of(info.columns.begin(), info.columns.end(), [&](const auto& c) { return is_changed(c.ordinal); }) ||
         std::any_of(info.include.begin(), info.include.end(), is_changed);
}

Task<absl::Status> TableWriter::Update(const Context& ctx, const TableRows& old_rows, const TableRows& new_rows,
                                       const std::vector<bool>& changed) {
  const IndexInfo& primary_index = table_->indexes[0];
  bool key_may_change = std::any_of(primary_index.columns.begin(), primary_index.columns.end(), [&](const auto& c) { return changed[c.ordinal]; });
  std::vector<std::string> old_primary, moved_primary;
  PrimaryKeys(old_rows, &old_primary);
  if (key_may_change) PrimaryKeys(new_rows, &moved_primary);
  const std::vector<std::string>& new_primary = key_may_change ? moved_primary : old_primary;

  std::vector<Pending> pending;
  std::vector<kv::KeyValue> puts;
  const std::string& prefix = codec_.IndexPrefix(0);
  kv::Txn& txn = state_->txn();
  for (size_t i = 0; i < new_rows.rows; ++i) {
    kv::KeyValue row{prefix + new_primary[i], std::string()};
    codec_.AppendRowValue(new_rows.Row(i), &row.value);
    if (new_primary[i] == old_primary[i]) {
      puts.push_back(std::move(row));
    } else {
      txn.Delete(prefix + old_primary[i]);
      pending.push_back({std::move(row), 0, i});
    }
  }
  std::vector<Entry> before, after;
  for (Index& index : secondary_) {
    if (!key_may_change && !Touched(index, changed)) continue;
    CO_RETURN_IF_ERROR(Entries(index, old_rows, old_primary, true, &before));
    CO_RETURN_IF_ERROR(Entries(index, new_rows, new_primary, true, &after));
    for (size_t i = 0; i < after.size(); ++i) {
      Entry &b = before[i], &a = after[i];
      bool same_key = b.present && a.present && b.key == a.key;
      if (same_key && b.value == a.value) continue;
      if (b.present && !same_key) txn.Delete(std::move(b.key));
      if (!a.present) continue;
      if (a.unique && !same_key) {
        pending.push_back({{std::move(a.key), std::move(a.value)}, index.index, i});
      } else {
        puts.push_back({std::move(a.key), std::move(a.value)});
      }
    }
  }
  CO_RETURN_IF_ERROR(co_await InsertAll(ctx, std::move(pending), new_rows));
  for (kv::KeyValue& p : puts) txn.Put(std::move(p.key), std::move(p.value));
  co_return absl::OkStatus();
}

absl::Status TableWriter::Delete(const TableRows& rows) {
  std::vector<std::string> primary;
  PrimaryKeys(rows, &primary);
  std::vector<Entry> entries;
  for (Index& index : secondary_) {
    RETURN_IF_ERROR(Entries(index, rows, primary, false, &entries));
    for (Entry& e : entries) {
      if (e.present) state_->txn().Delete(std::move(e.key));
    }
  }
  for (const std::string& key : primary) state_->txn().Delete(codec_.IndexPrefix(0) + key);
  return absl::OkStatus();
}

absl::Status TableWriter::UniqueKeys(int index, const TableRows& rows, std::vector<std::string>* keys, std::vector<bool>* present) {
  std::vector<std::string> primary;
  PrimaryKeys(rows, &primary);
  keys->assign(rows.rows, std::string());
  present->assign(rows.rows, true);
  if (index == 0) {
    for (size_t i = 0; i < rows.rows; ++i) (*keys)[i] = codec_.IndexPrefix(0) + primary[i];
    return absl::OkStatus();
  }
  std::vector<Entry> entries;
  RETURN_IF_ERROR(Entries(secondary_[index - 1], rows, primary, false, &entries));
  for (size_t i = 0; i < rows.rows; ++i) {
    (*present)[i] = entries[i].present && entries[i].unique;
    (*keys)[i] = std::move(entries[i].key);
  }
  return absl::OkStatus();
}

}  // namespace insula::sql
