// UNION, INTERSECT and EXCEPT, with or without ALL. UNION takes any number of inputs.
#ifndef INSULA_SQL_PLAN_LOGICAL_SET_OPERATION_H_
#define INSULA_SQL_PLAN_LOGICAL_SET_OPERATION_H_

#include <vector>

#include "sql/plan/logical_node.h"

namespace insula::sql {

enum class SetOperationKind { kUnion, kIntersect, kExcept };

struct LogicalSetOperation : LogicalOf<LogicalKind::kSetOperation> {
  SetOperationKind operation = SetOperationKind::kUnion;
  bool all = false;
  std::vector<ColumnId> columns;              // of the result
  std::vector<std::vector<ColumnId>> inputs;  // per child: its columns that make them, in order, of the same types

  std::vector<ColumnId> Output() const override { return columns; }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_SET_OPERATION_H_
