// What schema changes do to rows: rewriting, filling, checking and indexing whole tables, page by page.
//
// All of it goes through the statement's transaction and flushes as it goes, so memory is bounded whatever the table's size.
//
//   Rewrite      every row of the old layout → the new layout under a new storage id, all indexes included; the old is deleted
//   Assign       some columns of every row in place
//   Index        entries of one new index
//   AnyViolates  no change: the first row for which a condition is false ends it
// Thread safety: one coroutine.
#ifndef INSULA_SQL_SCHEMA_TABLE_DATA_H_
#define INSULA_SQL_SCHEMA_TABLE_DATA_H_

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/task.h"
#include "sql/exec/operator.h"
#include "sql/exec/table_writer.h"
#include "sql/schema/ddl_internal.h"

namespace insula::sql {

class TableData {
 public:
  explicit TableData(Ddl* ddl);
  ~TableData();

  // new_values: by ordinal of the new table, an expression over a row of the old one (slots are its ordinals); null: the column
  // with the same id, or NULL. Constraints of the new table are checked. Then the old rows go.
  Task<absl::Status> Rewrite(TablePtr old_table, TablePtr new_table, std::vector<ExprPtr> new_values);
  // assignments: (ordinal, expression over the table's row).
  Task<absl::Status> Assign(TablePtr table, std::vector<std::pair<int, ExprPtr>> assignments);
  Task<absl::Status> Index(TablePtr table, int index);
  // True if some row has a value for which `condition` is FALSE (or, with null_counts, NULL).
  Task<absl::StatusOr<bool>> AnyViolates(TablePtr table, ExprPtr condition, bool null_counts);
  Task<absl::StatusOr<bool>> IsEmpty(TablePtr table);
  // Rows of a query into a new table; how many.
  Task<absl::StatusOr<uint64_t>> Fill(TablePtr table, PlanPtr plan, SnapshotPtr snapshot);
  // Calls `visit` with batches of all of the table's columns.
  Task<absl::Status> ForEach(TablePtr table, std::function<Task<absl::Status>(Batch*)> visit);

  // Expressions of the table's indexes and checks, from their stored text.
  absl::StatusOr<std::vector<IndexSpec>> IndexSpecs(const TableInfo& table);
  absl::StatusOr<std::vector<CheckSpec>> CheckSpecs(const TableInfo& table);

 private:
  Ddl* ddl_;
  ExecContext exec_;
  std::unique_ptr<ExecState> state_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SCHEMA_TABLE_DATA_H_
