// UPDATE: rewrites the rows that its child finds. Output: the RETURNING columns.
#ifndef INSULA_SQL_PLAN_LOGICAL_UPDATE_H_
#define INSULA_SQL_PLAN_LOGICAL_UPDATE_H_

#include <vector>

#include "sql/plan/logical_node.h"
#include "sql/plan/write_spec.h"

namespace insula::sql {

struct LogicalUpdate : LogicalOf<LogicalKind::kUpdate> {
  UpdateSpec spec;
  std::vector<ColumnId> columns;  // RETURNING, pairwise with spec.returning

  std::vector<ColumnId> Output() const override { return columns; }
  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    for (auto& a : spec.assignments) visit(a.value);
    for (auto& c : spec.checks) visit(c.condition);
    VisitIndexSpecs(spec.indexes, visit);
    for (auto& e : spec.returning) visit(e);
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_UPDATE_H_
