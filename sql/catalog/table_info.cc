#include "sql/catalog/table_info.h"

#include <algorithm>

#include "base/check.h"

namespace insula::sql {
namespace {

ColumnInfo MakeColumn(const v1::Column& c) {
  ColumnInfo out;
  out.id = c.id();
  out.attnum = static_cast<int16_t>(c.attnum());
  out.name = c.name();
  out.type = {c.type_oid(), c.typmod()};
  out.not_null = c.not_null();
  out.default_expression = c.default_expression();
  out.generated = c.generated() ? GeneratedKind::kStored : GeneratedKind::kNone;
  out.identity = c.identity() == "a" ? IdentityKind::kAlways : c.identity() == "d" ? IdentityKind::kByDefault : IdentityKind::kNone;
  out.hidden = c.hidden();
  return out;
}

IndexInfo MakeIndex(const v1::Table& table, const v1::Index& index) {
  IndexInfo out;
  out.oid = index.oid();
  out.id = index.id();
  out.name = index.name();
  for (const auto& c : index.columns()) {
    IndexColumnInfo column;
    column.ordinal = c.column_id() == 0 ? -1 : OrdinalOfColumn(table, c.column_id());
    column.expression = c.expression();
    column.type = {c.type_oid(), c.typmod()};
    column.descending = c.descending();
    column.nulls_first = c.nulls_first();
    out.columns.push_back(std::move(column));
  }
  for (uint32_t id : index.include()) out.include.push_back(OrdinalOfColumn(table, id));
  out.unique = index.unique();
  out.primary = index.primary();
  out.nulls_not_distinct = index.nulls_not_distinct();
  out.constraint = index.constraint_oid() != 0;
  out.predicate = index.predicate();
  return out;
}

ForeignKeyAction ActionOf(const std::string& code) {
  if (code == "r") return ForeignKeyAction::kRestrict;
  if (code == "c") return ForeignKeyAction::kCascade;
  if (code == "n") return ForeignKeyAction::kSetNull;
  if (code == "d") return ForeignKeyAction::kSetDefault;
  return ForeignKeyAction::kNoAction;
}

ForeignKeyInfo MakeForeignKey(const v1::Descriptor& table, const v1::ForeignKey& key, const v1::Descriptor& referenced) {
  ForeignKeyInfo out;
  out.oid = key.oid();
  out.name = key.name();
  out.table = table.oid();
  for (uint32_t id : key.column_ids()) out.columns.push_back(OrdinalOfColumn(table.table(), id));
  out.referenced_table = key.referenced_table();
  for (uint32_t id : key.referenced_column_ids()) out.referenced_columns.push_back(OrdinalOfColumn(referenced.table(), id));
  out.match = key.match() == "f" ? ForeignKeyMatch::kFull : ForeignKeyMatch::kSimple;
  out.on_update = ActionOf(key.on_update());
  out.on_delete = ActionOf(key.on_delete());
  out.deferrable = key.deferrable();
  out.initially_deferred = key.initially_deferred();
  out.validated = key.validated();
  return out;
}

void FillTable(const v1::Descriptor& descriptor, const v1::TableStatistics* statistics,
               const std::function<const v1::Descriptor*(Oid)>& find, TableInfo* out) {
  const v1::Table& table = descriptor.table();
  out->kind = RelationKind::kTable;
  out->id = table.storage_id();
  for (const auto& c : table.columns()) out->columns.push_back(MakeColumn(c));
  for (const auto& i : table.indexes()) out->indexes.push_back(MakeIndex(table, i));
  for (const auto& c : table.checks()) out->checks.push_back({c.oid(), c.name(), c.expression(), c.validated()});
  std::sort(out->checks.begin(), out->checks.end(), [](const CheckInfo& a, const CheckInfo& b) { return a.name < b.name; });
  for (const auto& k : table.foreign_keys()) {
    const v1::Descriptor* referenced = find(k.referenced_table());
    if (referenced != nullptr && referenced->has_table()) out->foreign_keys.push_back(MakeForeignKey(descriptor, k, *referenced));
  }
  if (statistics == nullptr) return;
  out->statistics.known = true;
  out->statistics.row_count = statistics->row_count();
  out->statistics.columns.resize(out->columns.size());
  for (const auto& c : statistics->columns()) {
    int ordinal = OrdinalOfColumn(table, c.column_id());
    if (ordinal >= 0) out->statistics.columns[ordinal] = {c.distinct(), c.null_fraction(), c.average_width()};
  }
}

void FillSequence(const v1::Sequence& sequence, TableInfo* out) {
  out->kind = RelationKind::kSequence;
  out->is_virtual = true;  // its one row is made when it is read
  out->id = sequence.storage_id();
  auto add = [&](std::string_view name, Oid type) {
    ColumnInfo c;
    c.id = static_cast<uint32_t>(out->columns.size() + 1);
    c.attnum = static_cast<int16_t>(c.id);
    c.name = std::string(name);
    c.type = {type, -1};
    c.not_null = true;
    out->columns.push_back(std::move(c));
  };
  add("last_value", oid::kInt8);
  add("log_cnt", oid::kInt8);
  add("is_called", oid::kBool);
  SequenceInfo info;
  info.type = {sequence.type_oid(), -1};
  info.start = sequence.start();
  info.increment = sequence.increment();
  info.minimum = sequence.minimum();
  info.maximum = sequence.maximum();
  info.cache = sequence.cache();
  info.cycle = sequence.cycle();
  out->sequence = info;
}

}  // namespace

int OrdinalOfColumn(const v1::Table& table, uint32_t column_id) {
  for (int i = 0; i < table.columns_size(); ++i) {
    if (table.columns(i).id() == column_id) return i;
  }
  return -1;
}

Oid SchemaOf(const v1::Descriptor& d) {
  if (d.has_table()) return d.table().schema_oid();
  if (d.has_view()) return d.view().schema_oid();
  if (d.has_sequence()) return d.sequence().schema_oid();
  return 0;
}

bool IsRelation(const v1::Descriptor& d) { return d.has_table() || d.has_view() || d.has_sequence(); }

std::shared_ptr<TableInfo> MakeTableInfo(const v1::Descriptor& descriptor, std::string_view schema,
                                         const v1::TableStatistics* statistics,
                                         const std::function<const v1::Descriptor*(Oid)>& find) {
  CHECK(IsRelation(descriptor));
  auto out = std::make_shared<TableInfo>();
  out->oid = descriptor.oid();
  out->schema_oid = SchemaOf(descriptor);
  out->schema = std::string(schema);
  out->name = descriptor.name();
  out->owner = descriptor.owner();
  if (descriptor.has_table()) {
    FillTable(descriptor, statistics, find, out.get());
  } else if (descriptor.has_view()) {
    out->kind = RelationKind::kView;
    for (const auto& c : descriptor.view().columns()) out->columns.push_back(MakeColumn(c));
    out->view_definition = descriptor.view().definition();
  } else {
    FillSequence(descriptor.sequence(), out.get());
  }
  return out;
}

std::shared_ptr<TableInfo> MakeIndexTableInfo(const v1::Descriptor& table, const v1::Index& index, std::string_view schema) {
  auto out = std::make_shared<TableInfo>();
  out->oid = index.oid();
  out->schema_oid = SchemaOf(table);
  out->schema = std::string(schema);
  out->name = index.name();
  out->owner = table.owner();
  out->kind = RelationKind::kIndex;
  return out;
}

}  // namespace insula::sql
