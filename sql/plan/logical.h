// All logical operators.
#ifndef INSULA_SQL_PLAN_LOGICAL_H_
#define INSULA_SQL_PLAN_LOGICAL_H_

#include "sql/plan/columns.h"
#include "sql/plan/logical_aggregate.h"
#include "sql/plan/logical_cte.h"
#include "sql/plan/logical_delete.h"
#include "sql/plan/logical_distinct.h"
#include "sql/plan/logical_external_source.h"
#include "sql/plan/logical_filter.h"
#include "sql/plan/logical_function_scan.h"
#include "sql/plan/logical_insert.h"
#include "sql/plan/logical_join.h"
#include "sql/plan/logical_limit.h"
#include "sql/plan/logical_lock.h"
#include "sql/plan/logical_node.h"
#include "sql/plan/logical_project.h"
#include "sql/plan/logical_project_set.h"
#include "sql/plan/logical_recursive_union.h"
#include "sql/plan/logical_scan.h"
#include "sql/plan/logical_set_operation.h"
#include "sql/plan/logical_single_row.h"
#include "sql/plan/logical_sort.h"
#include "sql/plan/logical_update.h"
#include "sql/plan/logical_values.h"
#include "sql/plan/logical_window.h"
#include "sql/plan/statement.h"

namespace insula::sql {

// A statement as the binder leaves it.
struct BoundStatement {
  LogicalPtr root;
  Columns columns;
  StatementInfo info;
  std::vector<ColumnId> output;  // pairwise with info.columns
  int cte_count = 0;
  int work_table_count = 0;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_H_
