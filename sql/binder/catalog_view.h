// What the binder and the optimizer see of a database: an immutable snapshot of its schemas, relations and types.
//
// The catalog implements CatalogView over descriptors in memory, so every lookup is synchronous; a session takes one
// snapshot per statement (or per transaction that changed the schema) and hands it down. Everything reached through a
// snapshot is immutable and shared: a plan keeps the TableInfo objects that it was made from.
//
// Positions and numbers of a column, three of them, never mixed:
//   ordinal  0-based place in TableInfo::columns (live columns only); what plans use
//   id       what stored rows use; never reused within a table
//   attnum   what pg_attribute shows; 1-based, with gaps where columns were dropped
//
// Thread safety: immutable; used by one thread.
#ifndef INSULA_SQL_BINDER_CATALOG_VIEW_H_
#define INSULA_SQL_BINDER_CATALOG_VIEW_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sql/types/type.h"

namespace insula::sql {

enum class RelationKind { kTable, kView, kMaterializedView, kSequence, kIndex, kCompositeType };
enum class GeneratedKind { kNone, kStored };
enum class IdentityKind { kNone, kAlways, kByDefault };

struct ColumnInfo {
  uint32_t id = 0;
  int16_t attnum = 0;
  std::string name;
  SqlType type;
  bool not_null = false;
  // SQL text of the DEFAULT, or of the generation expression when `generated` is set; empty = none (NULL).
  // An identity or serial column carries its nextval(…) here.
  std::string default_expression;
  GeneratedKind generated = GeneratedKind::kNone;
  IdentityKind identity = IdentityKind::kNone;
  // The row id of a table without a primary key: not expanded by *, not found by name, filled in by the insert operator.
  bool hidden = false;
};

struct IndexColumnInfo {
  int ordinal = -1;        // into TableInfo::columns; -1: `expression`
  std::string expression;  // SQL text over the table's columns
  SqlType type;
  bool descending = false;
  bool nulls_first = false;  // PostgreSQL's defaults: ASC → false, DESC → true
};

struct IndexInfo {
  Oid oid = 0;
  uint32_t id = 0;  // what stored keys use
  std::string name;
  std::vector<IndexColumnInfo> columns;  // the key, in order
  std::vector<int> include;              // ordinals of INCLUDE columns
  bool unique = false;
  bool primary = false;
  bool nulls_not_distinct = false;
  bool constraint = false;   // made by PRIMARY KEY or UNIQUE, so ON CONFLICT ON CONSTRAINT finds it
  bool readable = true;      // false while it is being built: written, never read
  std::string predicate;     // SQL text of WHERE; empty = whole table
};

struct CheckInfo {
  Oid oid = 0;
  std::string name;
  std::string expression;  // SQL text over the table's columns
  bool validated = true;
};

enum class ForeignKeyAction { kNoAction, kRestrict, kCascade, kSetNull, kSetDefault };
enum class ForeignKeyMatch { kSimple, kFull };

// One foreign key, seen from either end.
struct ForeignKeyInfo {
  Oid oid = 0;
  std::string name;
  Oid table = 0;                   // the referencing table
  std::vector<int> columns;        // its columns, ordinals
  Oid referenced_table = 0;
  std::vector<int> referenced_columns;
  ForeignKeyMatch match = ForeignKeyMatch::kSimple;
  ForeignKeyAction on_update = ForeignKeyAction::kNoAction;
  ForeignKeyAction on_delete = ForeignKeyAction::kNoAction;
  bool deferrable = false;
  bool initially_deferred = false;
  bool validated = true;
};

struct ColumnStatistics {
  double distinct = 0;       // estimated distinct non-null values; 0 = unknown
  double null_fraction = 0;  // 0…1
  double average_width = 0;  // bytes; 0 = unknown
};

struct TableStatistics {
  bool known = false;  // false: never analysed; the optimizer then assumes a small default
  double row_count = 0;
  std::vector<ColumnStatistics> columns;  // by ordinal; may be shorter than TableInfo::columns
};

struct SequenceInfo {
  SqlType type;
  int64_t start = 1, increment = 1, minimum = 1, maximum = INT64_MAX, cache = 1;
  bool cycle = false;
};

// One relation. A table always has a primary index, indexes[0]: over the declared key or over the hidden row id.
// Views and virtual tables have none.
struct TableInfo {
  Oid oid = 0;
  uint32_t id = 0;  // what stored keys use
  Oid schema_oid = 0;
  std::string schema;
  std::string name;
  Oid owner = 0;
  RelationKind kind = RelationKind::kTable;
  bool is_virtual = false;  // pg_catalog and information_schema: rows are made by the catalog, on demand
  std::vector<ColumnInfo> columns;
  std::vector<IndexInfo> indexes;
  std::vector<CheckInfo> checks;
  std::vector<ForeignKeyInfo> foreign_keys;  // where this table references
  std::vector<ForeignKeyInfo> referenced_by; // where this table is referenced
  TableStatistics statistics;
  std::string view_definition;  // the SELECT's text, names as they resolve under the search path pg_catalog only
  std::optional<SequenceInfo> sequence;

  const IndexInfo* PrimaryIndex() const {
    return !indexes.empty() && indexes[0].primary ? &indexes[0] : nullptr;
  }
  // The ordinal of a visible column by name, or -1.
  int FindColumn(std::string_view column) const {
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!columns[i].hidden && columns[i].name == column) return static_cast<int>(i);
    }
    return -1;
  }
};
using TablePtr = std::shared_ptr<const TableInfo>;

struct SchemaInfo {
  Oid oid = 0;
  std::string name;
  Oid owner = 0;
};

class CatalogView {
 public:
  virtual ~CatalogView() = default;

  // Changes whenever anything reachable through the view may have; a part of the plan cache's key.
  virtual uint64_t version() const = 0;
  virtual std::string_view database_name() const = 0;

  // Exact schema, exact name (as stored, i.e. already folded). nullptr when there is none. The search path is the binder's.
  virtual TablePtr FindTable(std::string_view schema, std::string_view name) const = 0;
  virtual TablePtr FindTableByOid(Oid oid) const = 0;

  virtual std::optional<SchemaInfo> FindSchema(std::string_view name) const = 0;
  virtual std::optional<SchemaInfo> FindSchemaByOid(Oid oid) const = 0;

  // A type made by the user (enum, domain, composite). Built-in types are known to sql/types and never asked for here.
  virtual std::optional<SqlType> FindType(std::string_view schema, std::string_view name) const = 0;

  // 0 when there is no such role.
  virtual Oid FindRole(std::string_view name) const = 0;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_BINDER_CATALOG_VIEW_H_
