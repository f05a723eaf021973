// WITH: children are the definition and the body that reads it through LogicalCteScan. Made only for queries that must not
// or should not be inlined: read more than once, MATERIALIZED, recursive, volatile or data-modifying.
#ifndef INSULA_SQL_PLAN_LOGICAL_CTE_H_
#define INSULA_SQL_PLAN_LOGICAL_CTE_H_

#include <string>
#include <vector>

#include "sql/plan/logical_node.h"

namespace insula::sql {

struct LogicalCte : LogicalOf<LogicalKind::kCte> {
  int cte = 0;
  std::string name;
  bool modifies = false;

  std::vector<ColumnId> Output() const override { return children[1]->Output(); }
};

struct LogicalCteScan : LogicalOf<LogicalKind::kCteScan> {
  int cte = 0;
  std::string alias;
  std::vector<ColumnId> source;   // the definition's columns that are read …
  std::vector<ColumnId> columns;  // … and their ids here, pairwise

  std::vector<ColumnId> Output() const override { return columns; }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_CTE_H_
