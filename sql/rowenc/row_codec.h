// Rows and index entries of one table ↔ keys and values.
//
//   primary row      keyspace ‖ table ‖ index ‖ key columns                          → row value: the other columns
//   index entry      keyspace ‖ table ‖ index ‖ (mark ‖ column)* ‖ primary key       → index value: INCLUDE columns
//   unique entry     keyspace ‖ table ‖ index ‖ (mark ‖ column)*                     → index value: primary key, INCLUDE columns
//
// Columns of secondary indexes may be NULL: the mark before each says so and sorts NULLs first (00) or last (02) of values (01).
// A unique entry with a NULL has the primary key in its key, as NULLs never conflict (unless NULLS NOT DISTINCT).
// A key column whose key bytes do not give its value back exactly (1.50; IsExactInKey) is stored in the value as well.
//
// A table row is given as one vector per column, by ordinal (null pointer: NULL), and a row number, so that batches are
// encoded without intermediate values; rows are decoded straight into vectors.
//
//   RowCodec codec(table, layout);
//   codec.AppendPrimaryKey(row, &key);  codec.AppendRowValue(row, &value);
//   RowReader reader(codec, /*index=*/0, {2, 0});   // ordinals wanted
//   reader.Begin(n, &batch);  for (…) reader.Read(key, value, i, &batch);
//
// Thread safety: immutable after construction.
#ifndef INSULA_SQL_ROWENC_ROW_CODEC_H_
#define INSULA_SQL_ROWENC_ROW_CODEC_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/encoding/ordered.h"
#include "sql/binder/catalog_view.h"
#include "sql/catalog/layout.h"
#include "sql/types/datum.h"
#include "sql/types/vector.h"

namespace insula::sql {

// One row within vectors.
struct RowRef {
  std::span<const Vector* const> columns;  // by ordinal; null pointer: NULL
  size_t row = 0;
  bool IsNull(int ordinal) const { return columns[ordinal] == nullptr || columns[ordinal]->IsNull(row); }
};

class RowCodec {
 public:
  // `table` must outlive the codec.
  RowCodec(const TableInfo& table, const CatalogLayout& layout);

  const TableInfo& table() const { return *table_; }
  // keyspace ‖ table ‖ index, by place in TableInfo::indexes.
  const std::string& IndexPrefix(int index) const { return indexes_[index].prefix; }

  // --- primary index
  // Appends the whole key. No key column may be NULL.
  void AppendPrimaryKey(const RowRef& row, std::string* out) const;
  // The key's columns only (what secondary entries carry).
  void AppendPrimaryKeyColumns(const RowRef& row, std::string* out) const;
  void AppendRowValue(const RowRef& row, std::string* out) const;

  // --- secondary indexes
  // `expressions`: by index column, null for plain columns; may be empty if there are none. `primary_columns`: what
  // AppendPrimaryKeyColumns gave. *unique_key: whether a second entry with this key would be a violation.
  void AppendIndexKey(int index, const RowRef& row, std::span<const Vector* const> expressions, std::string_view primary_columns,
                      std::string* out, bool* unique_key) const;
  void AppendIndexValue(int index, const RowRef& row, std::span<const Vector* const> expressions, std::string_view primary_columns,
                        std::string* out) const;

  // --- key spans
  // Appends one column of an index key, as the index stores it; NULL pointer or NULL datum: a NULL (not in primary indexes).
  void AppendIndexColumn(int index, int column, const Datum* value, std::string* out) const;
  // Appends what all non-NULL values of the column share; the end of their span is then PrefixEnd of it.
  void AppendValuesMark(int index, int column, std::string* out) const;
  Direction DirectionOf(int index, int column) const {
    return table_->indexes[index].columns[column].descending ? Direction::kDescending : Direction::kAscending;
  }

  // The primary key (whole) that an index entry belongs to.
  absl::StatusOr<std::string> PrimaryKeyOfEntry(int index, std::string_view key, std::string_view value) const;

 private:
  friend class RowReader;
  struct StoredColumn {
    uint32_t id;
    int ordinal;
    bool in_key;  // of the index: written only where the key is not exact
  };
  struct IndexLayout {
    std::string prefix;
    std::vector<StoredColumn> stored;  // by id
  };
  void AppendEntries(const IndexLayout& layout, const RowRef& row, std::string* out) const;

  const TableInfo* table_;
  std::vector<IndexLayout> indexes_;
};

// Decodes some columns of the entries of one index. Not thread-safe: it keeps scratch space.
class RowReader {
 public:
  // `columns`: ordinals, one per output column; each must be in the index (key, INCLUDE or primary key) unless it is the primary
  // index. `codec` must outlive the reader.
  RowReader(const RowCodec& codec, int index, std::vector<int> columns);

  const std::vector<SqlType>& types() const { return types_; }
  // Whether this index holds all of the columns.
  static bool Covers(const TableInfo& table, int index, std::span<const int> columns);

  // Gives `out` the columns' types and `rows` rows.
  void Begin(size_t rows, Batch* out) const;
  // Decodes one entry into row `i`. kDataLoss if it is not one.
  absl::Status Read(std::string_view key, std::string_view value, size_t i, Batch* out);
  // All columns of the index, expressions too, as its key alone gives them (see IsExactInKey); one row.
  absl::StatusOr<Batch> ReadIndexColumns(std::string_view key) const;

 private:
  absl::Status ReadKeyColumn(std::string_view* in, const IndexInfo& index, size_t column, bool marked, size_t i, Batch* out);
  Vector* SlotOf(int ordinal, Batch* out) { return slot_of_ordinal_[ordinal] < 0 ? nullptr : &out->columns[slot_of_ordinal_[ordinal]]; }

  const RowCodec* codec_;
  int index_;
  std::vector<int> columns_;
  std::vector<SqlType> types_;
  std::vector<int> slot_of_ordinal_;    // -1: not wanted (a column wanted twice: the first slot)
  std::vector<int> slot_of_id_;
  std::vector<std::pair<int, int>> copies_;  // (from slot, to slot) for columns wanted twice
  bool needs_key_ = false;              // some wanted column lies in the key
  bool needs_primary_ = false;          // … in the primary key's part of a secondary entry
  bool needs_value_ = false;
  std::vector<uint8_t> seen_;           // by slot, in the row being read
};

}  // namespace insula::sql

#endif  // INSULA_SQL_ROWENC_ROW_CODEC_H_
