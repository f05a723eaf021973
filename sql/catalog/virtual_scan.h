// One scan of a virtual table: what its rows are made from, and where they go.
//
//   void FillPgNamespace(VirtualScan& scan) {
//     for (const SchemaInfo& s : scan.snapshot().Schemas()) scan.Row(s.oid, s.name, s.owner, nullptr);
//   }
//
// Row takes one cell per column of the table, in order: numbers, text, bool, char (for "char"), nullptr, Datum, optionals.
// Cells of columns that the scan does not want are not stored.
// Thread safety: one thread; lives as long as the scan.
#ifndef INSULA_SQL_CATALOG_VIRTUAL_SCAN_H_
#define INSULA_SQL_CATALOG_VIRTUAL_SCAN_H_

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "sql/catalog/acl.h"
#include "sql/catalog/catalog_functions.h"
#include "sql/catalog/snapshot.h"
#include "sql/functions/function_context.h"
#include "sql/types/array.h"
#include "sql/types/vector.h"

namespace insula::sql {

// One value on its way into a row. Text is not copied: a cell lives within one call of Row.
class Cell {
 public:
  Cell(std::nullptr_t) {}                                               // NOLINT: implicit on purpose, all of them
  Cell(bool v) : kind_(kBool), int_(v) {}                               // NOLINT
  Cell(char v) : kind_(kText), char_(v), is_char_(true) {}              // NOLINT
  Cell(double v) : kind_(kFloat), float_(v) {}                          // NOLINT
  Cell(std::string_view v) : kind_(kText), text_(v) {}                  // NOLINT
  Cell(const std::string& v) : kind_(kText), text_(v) {}                // NOLINT
  Cell(const char* v) : kind_(kText), text_(v) {}                       // NOLINT
  Cell(const Datum& v) : kind_(v.is_null() ? kNull : kDatum), datum_(&v) {}  // NOLINT
  template <typename T>
    requires std::integral<T>
  Cell(T v) : kind_(kInt), int_(static_cast<int64_t>(v)) {}             // NOLINT
  template <typename T>
  Cell(const std::optional<T>& v) : Cell(v ? Cell(*v) : Cell(nullptr)) {}  // NOLINT

  void AppendTo(Vector* out) const;

 private:
  enum Kind { kNull, kBool, kInt, kFloat, kText, kDatum };
  Kind kind_ = kNull;
  int64_t int_ = 0;
  double float_ = 0;
  char char_ = 0;
  bool is_char_ = false;
  std::string_view text_;
  const Datum* datum_ = nullptr;
};

class VirtualScan {
 public:
  // `columns`: ordinals wanted, one per column of `out`, which gets their types.
  VirtualScan(SnapshotPtr snapshot, FunctionContext* functions, const TableInfo& table, std::vector<int> columns, Batch* out);

  const CatalogSnapshot& snapshot() const { return *snapshot_; }
  const CatalogState& state() const { return snapshot_->state(); }
  FunctionContext& functions() { return *functions_; }
  SessionCatalog& names() { return names_; }
  // The database's name, as information_schema repeats it in every row.
  const std::string& database() const { return database_; }
  const TableInfo& table() const { return table_; }
  // Whether anybody looks at the column.
  bool Wants(int ordinal) const { return slot_of_[ordinal] >= 0; }

  template <typename... Cells>
  void Row(const Cells&... cells) {
    CHECK(sizeof...(cells) == slot_of_.size()) << table_.name;
    int ordinal = 0;
    (Add(ordinal++, Cell(cells)), ...);
    ++out_->rows;
  }

  // Last values of sequences, by OID, if the caller read them beforehand (pg_sequences).
  std::map<Oid, std::optional<int64_t>> sequence_values;

 private:
  void Add(int ordinal, const Cell& cell) {
    int slot = slot_of_[ordinal];
    if (slot >= 0) cell.AppendTo(&out_->columns[slot]);
  }

  SnapshotPtr snapshot_;
  FunctionContext* functions_;
  const TableInfo& table_;
  SessionCatalog names_;
  std::string database_;
  std::vector<int> slot_of_;  // by ordinal; -1: not wanted
  Batch* out_;
};

// Arrays as cells.
Datum TextArray(const std::vector<std::string>& values);
Datum NameArray(const std::vector<std::string>& values);
Datum Int2Array(const std::vector<int64_t>& values);
Datum OidArray(const std::vector<int64_t>& values);
Datum CharArray(std::string_view values);
Datum Int2VectorOf(const std::vector<int64_t>& values);
Datum OidVectorOf(const std::vector<int64_t>& values);
Datum AclArray(const Acl& acl, const CatalogState& state);
// The stored list of a descriptor as aclitem[]; NULL: default.
Datum AclOf(const v1::Descriptor* descriptor, const CatalogState& state);

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_VIRTUAL_SCAN_H_
