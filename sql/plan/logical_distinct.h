// DISTINCT over all columns, or DISTINCT ON (keys): of each group of equal keys the first row by `order`.
#ifndef INSULA_SQL_PLAN_LOGICAL_DISTINCT_H_
#define INSULA_SQL_PLAN_LOGICAL_DISTINCT_H_

#include <vector>

#include "sql/plan/logical_node.h"
#include "sql/plan/sort_key.h"

namespace insula::sql {

struct LogicalDistinct : LogicalOf<LogicalKind::kDistinct> {
  std::vector<ExprPtr> on;     // empty: all columns
  std::vector<SortKey> order;  // DISTINCT ON: starts with the keys; the output keeps this order

  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    for (auto& e : on) visit(e);
    for (auto& k : order) visit(k.expr);
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_DISTINCT_H_
