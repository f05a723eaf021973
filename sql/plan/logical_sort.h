// ORDER BY.
#ifndef INSULA_SQL_PLAN_LOGICAL_SORT_H_
#define INSULA_SQL_PLAN_LOGICAL_SORT_H_

#include <vector>

#include "sql/plan/logical_node.h"
#include "sql/plan/sort_key.h"

namespace insula::sql {

struct LogicalSort : LogicalOf<LogicalKind::kSort> {
  std::vector<SortKey> keys;

  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    for (auto& k : keys) visit(k.expr);
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_SORT_H_
