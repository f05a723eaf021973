// LIMIT and OFFSET: row-independent bigints; with ties, the input is sorted by `ties`.
#ifndef INSULA_SQL_PLAN_LOGICAL_LIMIT_H_
#define INSULA_SQL_PLAN_LOGICAL_LIMIT_H_

#include <vector>

#include "sql/plan/logical_node.h"
#include "sql/plan/sort_key.h"

namespace insula::sql {

struct LogicalLimit : LogicalOf<LogicalKind::kLimit> {
  ExprPtr limit, offset;  // may be null
  std::vector<SortKey> ties;

  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    if (limit) visit(limit);
    if (offset) visit(offset);
    for (auto& k : ties) visit(k.expr);
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_LIMIT_H_
