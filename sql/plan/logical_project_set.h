// Set-returning functions in a select list: the input row, once per row that the functions yield.
#ifndef INSULA_SQL_PLAN_LOGICAL_PROJECT_SET_H_
#define INSULA_SQL_PLAN_LOGICAL_PROJECT_SET_H_

#include <vector>

#include "sql/plan/logical_node.h"

namespace insula::sql {

struct LogicalProjectSet : LogicalOf<LogicalKind::kProjectSet> {
  std::vector<NamedExpr> calls;  // output: the input, then these

  std::vector<ColumnId> Output() const override {
    auto out = children[0]->Output();
    for (const auto& c : calls) out.push_back(c.column);
    return out;
  }
  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    for (auto& c : calls) visit(c.expr);
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_PROJECT_SET_H_
