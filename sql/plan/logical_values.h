// Rows of expressions. A SELECT without FROM reads one row of no columns.
#ifndef INSULA_SQL_PLAN_LOGICAL_VALUES_H_
#define INSULA_SQL_PLAN_LOGICAL_VALUES_H_

#include <vector>

#include "sql/plan/logical_node.h"

namespace insula::sql {

struct LogicalValues : LogicalOf<LogicalKind::kValues> {
  std::vector<std::vector<ExprPtr>> rows;
  std::vector<ColumnId> columns;

  std::vector<ColumnId> Output() const override { return columns; }
  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    for (auto& row : rows) {
      for (auto& e : row) visit(e);
    }
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_VALUES_H_
