// Computes columns. An item that is a plain column of the input keeps that column's id.
#ifndef INSULA_SQL_PLAN_LOGICAL_PROJECT_H_
#define INSULA_SQL_PLAN_LOGICAL_PROJECT_H_

#include <vector>

#include "sql/plan/logical_node.h"

namespace insula::sql {

struct LogicalProject : LogicalOf<LogicalKind::kProject> {
  std::vector<NamedExpr> items;

  std::vector<ColumnId> Output() const override {
    std::vector<ColumnId> out;
    for (const auto& i : items) out.push_back(i.column);
    return out;
  }
  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    for (auto& i : items) visit(i.expr);
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_PROJECT_H_
