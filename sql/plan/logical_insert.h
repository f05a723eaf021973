// INSERT: writes the rows of its child. Output: the RETURNING columns.
#ifndef INSULA_SQL_PLAN_LOGICAL_INSERT_H_
#define INSULA_SQL_PLAN_LOGICAL_INSERT_H_

#include <vector>

#include "sql/plan/logical_node.h"
#include "sql/plan/write_spec.h"

namespace insula::sql {

struct LogicalInsert : LogicalOf<LogicalKind::kInsert> {
  InsertSpec spec;
  std::vector<ColumnId> source;        // by ordinal: the child's columns that make the new row
  std::vector<ColumnId> row_columns;   // ids by which checks, index expressions and RETURNING name the stored row
  std::vector<ColumnId> excluded;      // ON CONFLICT: ids of the proposed row; row_columns name the existing one
  std::vector<ColumnId> columns;  // RETURNING, pairwise with spec.returning

  std::vector<ColumnId> Output() const override { return columns; }
  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    for (auto& c : spec.checks) visit(c.condition);
    VisitIndexSpecs(spec.indexes, visit);
    for (auto& a : spec.conflict.assignments) visit(a.value);
    if (spec.conflict.where) visit(spec.conflict.where);
    for (auto& e : spec.returning) visit(e);
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_INSERT_H_
