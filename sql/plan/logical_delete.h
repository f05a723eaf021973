// DELETE: removes the rows that its child finds. Output: the RETURNING columns.
#ifndef INSULA_SQL_PLAN_LOGICAL_DELETE_H_
#define INSULA_SQL_PLAN_LOGICAL_DELETE_H_

#include <vector>

#include "sql/plan/logical_node.h"
#include "sql/plan/write_spec.h"

namespace insula::sql {

struct LogicalDelete : LogicalOf<LogicalKind::kDelete> {
  DeleteSpec spec;
  std::vector<ColumnId> columns;  // RETURNING, pairwise with spec.returning

  std::vector<ColumnId> Output() const override { return columns; }
  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    VisitIndexSpecs(spec.indexes, visit);
    for (auto& e : spec.returning) visit(e);
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_DELETE_H_
