// information_schema: constraints and the columns they use.
#include "base/strings.h"
#include "proto/sql/descriptor.pb.h"
#include "sql/catalog/virtual/fill.h"

namespace insula::sql {
namespace {

std::string_view YesNo(bool v) { return v ? "YES" : "NO"; }

// Tables that can have constraints, with their descriptors.
template <typename Visit>
void ForEachTable(VirtualScan& scan, Visit visit) {
  for (const TablePtr& t : scan.snapshot().Relations(false)) {
    DescriptorPtr d = scan.snapshot().FindDescriptor(t->oid);
    if (d != nullptr && d->has_table()) visit(*t, d->table());
  }
}

// The unique index that a foreign key refers to.
const IndexInfo* ReferencedIndex(const TableInfo& referenced, const v1::ForeignKey& key) {
  for (const auto& i : referenced.indexes) {
    if (i.oid == key.referenced_index()) return &i;
  }
  return nullptr;
}

std::string_view ActionWords(ForeignKeyAction a) {
  switch (a) {
    case ForeignKeyAction::kNoAction: return "NO ACTION";
    case ForeignKeyAction::kRestrict: return "RESTRICT";
    case ForeignKeyAction::kCascade: return "CASCADE";
    case ForeignKeyAction::kSetNull: return "SET NULL";
    case ForeignKeyAction::kSetDefault: return "SET DEFAULT";
  }
  return "NO ACTION";
}

}  // namespace

void FillInfoTableConstraints(VirtualScan& scan) {
  ForEachTable(scan, [&](const TableInfo& t, const v1::Table& d) {
    auto row = [&](std::string_view name, std::string_view type, bool deferrable, bool deferred, std::optional<std::string_view> nulls) {
      scan.Row(scan.database(), t.schema, name, scan.database(), t.schema, t.name, type, YesNo(deferrable), YesNo(deferred), "YES", nulls);
    };
    for (const auto& i : d.indexes()) {
      if (i.constraint_oid() == 0) continue;
      std::optional<std::string_view> nulls;
      if (!i.primary()) nulls = YesNo(!i.nulls_not_distinct());
      row(i.name(), i.primary() ? "PRIMARY KEY" : "UNIQUE", false, false, nulls);
    }
    for (const auto& c : d.checks()) row(c.name(), "CHECK", false, false, std::nullopt);
    for (const auto& k : t.foreign_keys) row(k.name, "FOREIGN KEY", k.deferrable, k.initially_deferred, std::nullopt);
    // NOT NULL counts as a check here.
    for (const auto& c : t.columns) {
      if (c.not_null && !c.hidden) row(StrCat(t.schema_oid, "_", t.oid, "_", c.attnum, "_not_null"), "CHECK", false, false, std::nullopt);
    }
  });
}

void FillInfoKeyColumnUsage(VirtualScan& scan) {
  ForEachTable(scan, [&](const TableInfo& t, const v1::Table& d) {
    for (int n = 0; n < d.indexes_size(); ++n) {
      if (d.indexes(n).constraint_oid() == 0) continue;
      const IndexInfo& i = t.indexes[n];
      for (size_t c = 0; c < i.columns.size(); ++c) {
        scan.Row(scan.database(), t.schema, i.name, scan.database(), t.schema, t.name, t.columns[i.columns[c].ordinal].name, c + 1, nullptr);
      }
    }
    for (size_t n = 0; n < t.foreign_keys.size(); ++n) {
      const ForeignKeyInfo& k = t.foreign_keys[n];
      TablePtr referenced = scan.snapshot().FindTableByOid(k.referenced_table);
      const IndexInfo* index = referenced == nullptr ? nullptr : ReferencedIndex(*referenced, d.foreign_keys(static_cast<int>(n)));
      for (size_t c = 0; c < k.columns.size(); ++c) {
        std::optional<int64_t> position;
        for (size_t p = 0; index != nullptr && p < index->columns.size(); ++p) {
          if (index->columns[p].ordinal == k.referenced_columns[c]) position = static_cast<int64_t>(p + 1);
        }
        scan.Row(scan.database(), t.schema, k.name, scan.database(), t.schema, t.name, t.columns[k.columns[c]].name, c + 1, position);
      }
    }
  });
}

void FillInfoConstraintColumnUsage(VirtualScan& scan) {
  ForEachTable(scan, [&](const TableInfo& t, const v1::Table& d) {
    for (int n = 0; n < d.indexes_size(); ++n) {
      if (d.indexes(n).constraint_oid() == 0) continue;
      for (const auto& c : t.indexes[n].columns) {
        scan.Row(scan.database(), t.schema, t.name, t.columns[c.ordinal].name, scan.database(), t.schema, t.indexes[n].name);
      }
    }
    for (const auto& check : d.checks()) {
      for (uint32_t id : check.column_ids()) {
        for (const auto& c : d.columns()) {
          if (c.id() == id) scan.Row(scan.database(), t.schema, t.name, c.name(), scan.database(), t.schema, check.name());
        }
      }
    }
    for (const auto& k : t.foreign_keys) {
      TablePtr referenced = scan.snapshot().FindTableByOid(k.referenced_table);
      if (referenced == nullptr) continue;
      for (int o : k.referenced_columns) {
        scan.Row(scan.database(), referenced->schema, referenced->name, referenced->columns[o].name, scan.database(), t.schema, k.name);
      }
    }
  });
}

void FillInfoConstraintTableUsage(VirtualScan& scan) {
  ForEachTable(scan, [&](const TableInfo& t, const v1::Table& d) {
    for (const auto& i : d.indexes()) {
      if (i.constraint_oid() != 0) scan.Row(scan.database(), t.schema, t.name, scan.database(), t.schema, i.name());
    }
    for (const auto& k : t.foreign_keys) {
      TablePtr referenced = scan.snapshot().FindTableByOid(k.referenced_table);
      if (referenced != nullptr) scan.Row(scan.database(), referenced->schema, referenced->name, scan.database(), t.schema, k.name);
    }
  });
}

void FillInfoReferentialConstraints(VirtualScan& scan) {
  ForEachTable(scan, [&](const TableInfo& t, const v1::Table& d) {
    for (size_t n = 0; n < t.foreign_keys.size(); ++n) {
      const ForeignKeyInfo& k = t.foreign_keys[n];
      TablePtr referenced = scan.snapshot().FindTableByOid(k.referenced_table);
      const IndexInfo* index = referenced == nullptr ? nullptr : ReferencedIndex(*referenced, d.foreign_keys(static_cast<int>(n)));
      std::optional<std::string> unique_name, unique_schema;
      if (index != nullptr) {
        unique_name = index->name;
        unique_schema = referenced->schema;
      }
      scan.Row(scan.database(), t.schema, k.name, scan.database(), unique_schema, unique_name,
               k.match == ForeignKeyMatch::kFull ? "FULL" : "NONE", ActionWords(k.on_update), ActionWords(k.on_delete));
    }
  });
}

void FillInfoCheckConstraints(VirtualScan& scan) {
  ForEachTable(scan, [&](const TableInfo& t, const v1::Table& d) {
    for (const auto& c : d.checks()) scan.Row(scan.database(), t.schema, c.name(), StrCat("(", c.expression(), ")"));
    for (const auto& c : t.columns) {
      if (!c.not_null || c.hidden) continue;
      scan.Row(scan.database(), t.schema, StrCat(t.schema_oid, "_", t.oid, "_", c.attnum, "_not_null"), StrCat(c.name, " IS NOT NULL"));
    }
  });
}

}  // namespace insula::sql
