// Indexes and constraints: pg_index, pg_indexes, pg_constraint.
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/virtual/fill.h"
#include "sql/functions/registry.h"

namespace insula::sql {
namespace {

// Several expressions as one text, as pg_get_expr prints indexprs.
std::optional<std::string> Expressions(const IndexInfo& index) {
  std::string out;
  for (const auto& c : index.columns) {
    if (c.ordinal >= 0) continue;
    if (!out.empty()) out += ", ";
    out += c.expression;
  }
  if (out.empty()) return std::nullopt;
  return out;
}

Oid EqualityOf(Oid type) {
  const OperatorInfo* op = DefaultOperator("=", type);
  return op == nullptr ? 0 : op->oid;
}

}  // namespace

void FillPgIndex(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    for (const auto& i : t->indexes) {
      if (i.name.empty()) continue;
      std::vector<int64_t> keys, collations, classes, options;
      for (const auto& c : i.columns) {
        keys.push_back(c.ordinal >= 0 ? t->columns[c.ordinal].attnum : 0);
        collations.push_back(CollationOf(c.type.oid));
        classes.push_back(OpclassOf(c.type.oid));
        options.push_back((c.descending ? 1 : 0) | (c.nulls_first ? 2 : 0));
      }
      for (int o : i.include) keys.push_back(t->columns[o].attnum);
      std::optional<std::string> predicate;
      if (!i.predicate.empty()) predicate = i.predicate;
      scan.Row(i.oid, t->oid, keys.size(), i.columns.size(), i.unique || i.primary, i.nulls_not_distinct, i.primary, false, true, false,
               i.readable, false, i.readable, true, false, Int2VectorOf(keys), OidVectorOf(collations), OidVectorOf(classes),
               Int2VectorOf(options), Expressions(i), predicate);
    }
  }
}

void FillPgIndexes(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    for (const auto& i : t->indexes) {
      if (!i.name.empty()) scan.Row(t->schema, t->name, i.name, nullptr, scan.names().IndexDef(i.oid, 0, false));
    }
  }
}

namespace {

char ActionChar(ForeignKeyAction a) {
  switch (a) {
    case ForeignKeyAction::kNoAction: return 'a';
    case ForeignKeyAction::kRestrict: return 'r';
    case ForeignKeyAction::kCascade: return 'c';
    case ForeignKeyAction::kSetNull: return 'n';
    case ForeignKeyAction::kSetDefault: return 'd';
  }
  return 'a';
}

std::vector<int64_t> Attnums(const TableInfo& table, const std::vector<int>& ordinals) {
  std::vector<int64_t> out;
  for (int o : ordinals) out.push_back(table.columns[o].attnum);
  return out;
}

void ForeignKeyRow(VirtualScan& scan, const TableInfo& t, const ForeignKeyInfo& k, Oid referenced_index) {
  TablePtr referenced = scan.snapshot().FindTableByOid(k.referenced_table);
  if (referenced == nullptr) return;
  std::vector<int64_t> operators;
  for (int o : k.columns) operators.push_back(EqualityOf(t.columns[o].type.oid));
  Datum ops = OidArray(operators);
  scan.Row(k.oid, k.name, t.schema_oid, 'f', k.deferrable, k.initially_deferred, k.validated, t.oid, 0, referenced_index, 0,
           k.referenced_table, ActionChar(k.on_update), ActionChar(k.on_delete), k.match == ForeignKeyMatch::kFull ? 'f' : 's', true, 0, true,
           Int2Array(Attnums(t, k.columns)), Int2Array(Attnums(*referenced, k.referenced_columns)), ops, ops, ops, nullptr, nullptr, nullptr);
}

}  // namespace

void FillPgConstraint(VirtualScan& scan) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    DescriptorPtr d = scan.snapshot().FindDescriptor(t->oid);
    if (d == nullptr || !d->has_table()) continue;
    for (int n = 0; n < d->table().indexes_size(); ++n) {
      const auto& stored = d->table().indexes(n);
      if (stored.constraint_oid() == 0) continue;
      const IndexInfo& i = t->indexes[n];
      std::vector<int> ordinals;
      for (const auto& c : i.columns) ordinals.push_back(c.ordinal);
      scan.Row(stored.constraint_oid(), i.name, t->schema_oid, i.primary ? 'p' : 'u', false, false, true, t->oid, 0, i.oid, 0, 0, ' ', ' ', ' ',
               true, 0, true, Int2Array(Attnums(*t, ordinals)), nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
    }
    for (const auto& c : d->table().checks()) {
      std::vector<int64_t> keys;
      for (uint32_t id : c.column_ids()) {
        for (const auto& column : d->table().columns()) {
          if (column.id() == id) keys.push_back(column.attnum());
        }
      }
      Datum conkey = keys.empty() ? Datum::Null() : Int2Array(keys);
      scan.Row(c.oid(), c.name(), t->schema_oid, 'c', false, false, c.validated(), t->oid, 0, 0, 0, 0, ' ', ' ', ' ', true, 0, c.no_inherit(),
               conkey, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, c.expression());
    }
    for (size_t k = 0; k < t->foreign_keys.size(); ++k) {
      ForeignKeyRow(scan, *t, t->foreign_keys[k], d->table().foreign_keys(static_cast<int>(k)).referenced_index());
    }
  }
}

}  // namespace insula::sql
