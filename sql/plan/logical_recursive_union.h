// WITH RECURSIVE: children are the start and the step; the step reads the last round through LogicalWorkTableScan.
#ifndef INSULA_SQL_PLAN_LOGICAL_RECURSIVE_UNION_H_
#define INSULA_SQL_PLAN_LOGICAL_RECURSIVE_UNION_H_

#include <string>
#include <vector>

#include "sql/plan/logical_node.h"

namespace insula::sql {

struct LogicalRecursiveUnion : LogicalOf<LogicalKind::kRecursiveUnion> {
  int work_table = 0;
  bool distinct = false;          // UNION rather than UNION ALL
  std::vector<ColumnId> columns;  // of the result
  std::vector<std::vector<ColumnId>> inputs;  // per child: its columns that make them

  std::vector<ColumnId> Output() const override { return columns; }
};

struct LogicalWorkTableScan : LogicalOf<LogicalKind::kWorkTableScan> {
  int work_table = 0;
  std::string alias;
  std::vector<int> source;        // places in the recursive union's columns
  std::vector<ColumnId> columns;

  std::vector<ColumnId> Output() const override { return columns; }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_RECURSIVE_UNION_H_
