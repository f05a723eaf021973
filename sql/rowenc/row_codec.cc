#include "sql/rowenc/row_codec.h"

#include <algorithm>

#include "base/check.h"
#include "base/status_macros.h"
#include "sql/rowenc/key_codec.h"
#include "sql/rowenc/value_codec.h"

namespace insula::sql {
namespace {

constexpr char kNullFirstMark = '\x00', kValueMark = '\x01', kNullLastMark = '\x02';

absl::Status Malformed(const char* what) { return absl::DataLossError(std::string("malformed index entry: ") + what); }

bool Contains(const IndexInfo& index, int ordinal) {
  return std::any_of(index.columns.begin(), index.columns.end(), [ordinal](const auto& c) { return c.ordinal == ordinal; });
}

}  // namespace

RowCodec::RowCodec(const TableInfo& table, const CatalogLayout& layout) : table_(&table) {
  CHECK(table.PrimaryIndex() != nullptr) << table.name << " has no rows of its own";
  const IndexInfo& primary = table.indexes[0];
  for (const IndexInfo& index : table.indexes) {
    IndexLayout l;
    l.prefix = layout.Index(table.id, index.id);
    for (size_t ordinal = 0; ordinal < table.columns.size(); ++ordinal) {
      int o = static_cast<int>(ordinal);
      bool in_key = Contains(index, o);
      bool in_primary = Contains(primary, o);
      bool included = std::find(index.include.begin(), index.include.end(), o) != index.include.end();
      if (!index.primary && !in_key && !in_primary && !included) continue;
      l.stored.push_back({table.columns[ordinal].id, o, in_key || (!included && in_primary)});
    }
    std::sort(l.stored.begin(), l.stored.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    indexes_.push_back(std::move(l));
  }
}

void RowCodec::AppendPrimaryKey(const RowRef& row, std::string* out) const {
  out->append(indexes_[0].prefix);
  AppendPrimaryKeyColumns(row, out);
}

void RowCodec::AppendPrimaryKeyColumns(const RowRef& row, std::string* out) const {
  const IndexInfo& primary = table_->indexes[0];
  for (size_t c = 0; c < primary.columns.size(); ++c) {
    int ordinal = primary.columns[c].ordinal;
    DCHECK(!row.IsNull(ordinal));
    AppendKeyValue(*row.columns[ordinal], row.row, DirectionOf(0, static_cast<int>(c)), out);
  }
}

void RowCodec::AppendEntries(const IndexLayout& layout, const RowRef& row, std::string* out) const {
  uint32_t previous = 0;
  for (const StoredColumn& c : layout.stored) {
    if (row.IsNull(c.ordinal)) continue;
    const Vector& v = *row.columns[c.ordinal];
    if (c.in_key && IsExactInKey(v, row.row)) continue;
    AppendValueEntry(c.id - previous, v, row.row, out);
    previous = c.id;
  }
}

void RowCodec::AppendRowValue(const RowRef& row, std::string* out) const {
  out->push_back(kRowValueVersion);
  AppendEntries(indexes_[0], row, out);
}

void RowCodec::AppendIndexKey(int index, const RowRef& row, std::span<const Vector* const> expressions,
                              std::string_view primary_columns, std::string* out, bool* unique_key) const {
  const IndexInfo& info = table_->indexes[index];
  DCHECK(!info.primary);
  out->append(indexes_[index].prefix);
  bool any_null = false;
  for (size_t c = 0; c < info.columns.size(); ++c) {
    const IndexColumnInfo& column = info.columns[c];
    const Vector* v = column.ordinal >= 0 ? row.columns[column.ordinal] : expressions[c];
    if (v == nullptr || v->IsNull(row.row)) {
      any_null = true;
      out->push_back(column.nulls_first ? kNullFirstMark : kNullLastMark);
      continue;
    }
    out->push_back(kValueMark);
    AppendKeyValue(*v, row.row, DirectionOf(index, static_cast<int>(c)), out);
  }
  *unique_key = info.unique && (!any_null || info.nulls_not_distinct);
  if (!*unique_key) out->append(primary_columns);
}

void RowCodec::AppendIndexValue(int index, const RowRef& row, std::span<const Vector* const> expressions,
                                std::string_view primary_columns, std::string* out) const {
  const IndexInfo& info = table_->indexes[index];
  bool any_null = false;
  for (size_t c = 0; c < info.columns.size(); ++c) {
    const Vector* v = info.columns[c].ordinal >= 0 ? row.columns[info.columns[c].ordinal] : expressions[c];
    any_null |= v == nullptr || v->IsNull(row.row);
  }
  out->push_back(kRowValueVersion);
  if (info.unique && (!any_null || info.nulls_not_distinct)) {
    AppendVarint(out, primary_columns.size());
    out->append(primary_columns);
  } else {
    AppendVarint(out, 0);
  }
  AppendEntries(indexes_[index], row, out);
}

void RowCodec::AppendIndexColumn(int index, int column, const Datum* value, std::string* out) const {
  const IndexInfo& info = table_->indexes[index];
  const IndexColumnInfo& c = info.columns[column];
  if (value == nullptr || value->is_null()) {
    CHECK(!info.primary) << "NULL in a primary key";
    out->push_back(c.nulls_first ? kNullFirstMark : kNullLastMark);
    return;
  }
  if (!info.primary) out->push_back(kValueMark);
  AppendKeyDatum(c.type, *value, DirectionOf(index, column), out);
}

void RowCodec::AppendValuesMark(int index, int column, std::string* out) const {
  if (!table_->indexes[index].primary) out->push_back(kValueMark);
}

absl::StatusOr<std::string> RowCodec::PrimaryKeyOfEntry(int index, std::string_view key, std::string_view value) const {
  if (value.empty() || value[0] != kRowValueVersion) return Malformed("version");
  value.remove_prefix(1);
  ASSIGN_OR_RETURN(uint64_t size, TakeVarint(&value));
  if (size > value.size()) return Malformed("length");
  std::string out = indexes_[0].prefix;
  if (size > 0) {
    out.append(value.substr(0, size));
    return out;
  }
  const IndexInfo& info = table_->indexes[index];
  if (!key.starts_with(indexes_[index].prefix)) return Malformed("prefix");
  key.remove_prefix(indexes_[index].prefix.size());
  for (size_t c = 0; c < info.columns.size(); ++c) {
    if (key.empty()) return Malformed("columns");
    char mark = key.front();
    key.remove_prefix(1);
    if (mark != kValueMark) continue;
    RETURN_IF_ERROR(TakeKeyValue(&key, info.columns[c].type, DirectionOf(index, static_cast<int>(c)), nullptr, 0));
  }
  out.append(key);
  return out;
}

// --- RowReader

RowReader::RowReader(const RowCodec& codec, int index, std::vector<int> columns)
    : codec_(&codec), index_(index), columns_(std::move(columns)) {
  const TableInfo& table = codec.table();
  const IndexInfo& info = table.indexes[index];
  slot_of_ordinal_.assign(table.columns.size(), -1);
  uint32_t max_id = 0;
  for (const auto& c : table.columns) max_id = std::max(max_id, c.id);
  slot_of_id_.assign(max_id + 1, -1);
  for (size_t slot = 0; slot < columns_.size(); ++slot) {
    int ordinal = columns_[slot];
    const ColumnInfo& c = table.columns[ordinal];
    types_.push_back(c.type);
    if (slot_of_ordinal_[ordinal] >= 0) {
      copies_.emplace_back(slot_of_ordinal_[ordinal], static_cast<int>(slot));
      continue;
    }
    slot_of_ordinal_[ordinal] = static_cast<int>(slot);
    slot_of_id_[c.id] = static_cast<int>(slot);
    bool in_key = Contains(info, ordinal);
    bool in_primary = Contains(table.indexes[0], ordinal);
    needs_key_ |= in_key;
    needs_primary_ |= !info.primary && !in_key && in_primary;
    // A column of the key may lie in the value as well, where the key is not exact.
    PhysicalKind kind = KindOf(c.type.oid);
    bool always_exact = kind == PhysicalKind::kInt || kind == PhysicalKind::kBool;
    needs_value_ |= !((in_key || in_primary) && always_exact);
  }
  seen_.assign(columns_.size(), 0);
}

bool RowReader::Covers(const TableInfo& table, int index, std::span<const int> columns) {
  const IndexInfo& info = table.indexes[index];
  if (info.primary) return true;
  return std::all_of(columns.begin(), columns.end(), [&](int ordinal) {
    return Contains(info, ordinal) || Contains(table.indexes[0], ordinal) ||
           std::find(info.include.begin(), info.include.end(), ordinal) != info.include.end();
  });
}

void RowReader::Begin(size_t rows, Batch* out) const {
  if (out->columns.size() != types_.size()) {
    out->Reset(types_);
  } else {
    for (size_t c = 0; c < types_.size(); ++c) out->columns[c].Reset(types_[c]);
  }
  for (auto& v : out->columns) v.Resize(rows);
  out->rows = rows;
}

absl::Status RowReader::ReadKeyColumn(std::string_view* in, const IndexInfo& index, size_t column, bool marked, size_t i, Batch* out) {
  const IndexColumnInfo& c = index.columns[column];
  if (marked) {
    if (in->empty()) return Malformed("columns");
    char mark = in->front();
    in->remove_prefix(1);
    if (mark != kValueMark) return absl::OkStatus();  // stays unseen, hence NULL
  }
  Vector* v = c.ordinal < 0 ? nullptr : SlotOf(c.ordinal, out);
  if (v != nullptr) seen_[slot_of_ordinal_[c.ordinal]] = 1;
  return TakeKeyValue(in, c.type, c.descending ? Direction::kDescending : Direction::kAscending, v, i);
}

absl::StatusOr<Batch> RowReader::ReadIndexColumns(std::string_view key) const {
  const IndexInfo& index = codec_->table().indexes[index_];
  key.remove_prefix(std::min(key.size(), codec_->IndexPrefix(index_).size()));
  Batch out;
  std::vector<SqlType> types;
  for (const auto& c : index.columns) types.push_back(c.type);
  out.Reset(types);
  out.rows = 1;
  for (size_t i = 0; i < index.columns.size(); ++i) {
    out.columns[i].Resize(1);
    if (!index.primary) {
      if (key.empty()) return Malformed("columns");
      const char mark = key.front();
      key.remove_prefix(1);
      if (mark != kValueMark) {
        out.columns[i].SetNull(0);
        continue;
      }
    }
    const IndexColumnInfo& c = index.columns[i];
    RETURN_IF_ERROR(TakeKeyValue(&key, c.type, c.descending ? Direction::kDescending : Direction::kAscending, &out.columns[i], 0));
  }
  return out;
}

absl::Status RowReader::Read(std::string_view key, std::string_view value, size_t i, Batch* out) {
  const TableInfo& table = codec_->table();
  const IndexInfo& info = table.indexes[index_];
  std::fill(seen_.begin(), seen_.end(), 0);
  if (value.empty() || value[0] != kRowValueVersion) return Malformed("version");
  value.remove_prefix(1);
  std::string_view primary_columns;
  if (!info.primary) {
    ASSIGN_OR_RETURN(uint64_t size, TakeVarint(&value));
    if (size > value.size()) return Malformed("length");
    primary_columns = value.substr(0, size);
    value.remove_prefix(size);
  }
  if (needs_key_ || (needs_primary_ && primary_columns.empty())) {
    key.remove_prefix(std::min(key.size(), codec_->IndexPrefix(index_).size()));
    for (size_t c = 0; c < info.columns.size(); ++c) RETURN_IF_ERROR(ReadKeyColumn(&key, info, c, !info.primary, i, out));
    if (primary_columns.empty()) primary_columns = key;
  }
  if (needs_primary_) {
    const IndexInfo& primary = table.indexes[0];
    for (size_t c = 0; c < primary.columns.size(); ++c) RETURN_IF_ERROR(ReadKeyColumn(&primary_columns, primary, c, false, i, out));
  }
  if (needs_value_) {
    uint32_t id = 0;
    int form = 0;
    for (;;) {
      ASSIGN_OR_RETURN(bool more, TakeEntryHead(&value, &id, &form));
      if (!more) break;
      int slot = id < slot_of_id_.size() ? slot_of_id_[id] : -1;
      RETURN_IF_ERROR(TakeEntryPayload(&value, form, slot < 0 ? nullptr : &out->columns[slot], i));
      if (slot >= 0) seen_[slot] = 1;
    }
  }
  for (size_t slot = 0; slot < seen_.size(); ++slot) {
    if (!seen_[slot]) out->columns[slot].SetNull(i);
  }
  for (auto [from, to] : copies_) out->columns[to].Set(i, out->columns[from].Get(i)), seen_[to] = 1;
  return absl::OkStatus();
}

}  // namespace insula::sql
