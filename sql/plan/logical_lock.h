// SELECT … FOR UPDATE and its relatives, over what cannot be said at the scans themselves.
#ifndef INSULA_SQL_PLAN_LOGICAL_LOCK_H_
#define INSULA_SQL_PLAN_LOGICAL_LOCK_H_

#include <vector>

#include "sql/binder/catalog_view.h"
#include "sql/plan/logical_node.h"
#include "sql/plan/row_lock.h"

namespace insula::sql {

struct LogicalLock : LogicalOf<LogicalKind::kLock> {
  struct Target {
    TablePtr table;
    std::vector<ColumnId> key;  // its primary key columns
    RowLock lock;
  };
  std::vector<Target> targets;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_LOCK_H_
