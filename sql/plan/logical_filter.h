// Rows for which a condition is TRUE.
#ifndef INSULA_SQL_PLAN_LOGICAL_FILTER_H_
#define INSULA_SQL_PLAN_LOGICAL_FILTER_H_

#include "sql/plan/logical_node.h"

namespace insula::sql {

struct LogicalFilter : LogicalOf<LogicalKind::kFilter> {
  ExprPtr condition;

  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override { visit(condition); }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_FILTER_H_
