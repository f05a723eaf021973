// Rows of a table, stored or virtual.
#ifndef INSULA_SQL_PLAN_LOGICAL_SCAN_H_
#define INSULA_SQL_PLAN_LOGICAL_SCAN_H_

#include <string>
#include <vector>

#include "sql/binder/catalog_view.h"
#include "sql/plan/logical_node.h"
#include "sql/plan/row_lock.h"
#include "sql/plan/write_spec.h"

namespace insula::sql {

struct LogicalScan : LogicalOf<LogicalKind::kScan> {
  TablePtr table;
  std::string alias;
  std::vector<int> ordinals;      // the table's columns that are read …
  std::vector<ColumnId> columns;  // … and their ids, pairwise
  RowLock lock;
  std::vector<IndexSpec> index_specs;  // of partial and expression indexes, over `columns` as the binder made them (all of them)

  std::vector<ColumnId> Output() const override { return columns; }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_SCAN_H_
