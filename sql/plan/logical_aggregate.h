// GROUP BY and aggregates. Without keys: exactly one row.
#ifndef INSULA_SQL_PLAN_LOGICAL_AGGREGATE_H_
#define INSULA_SQL_PLAN_LOGICAL_AGGREGATE_H_

#include <vector>

#include "sql/plan/aggregate_spec.h"
#include "sql/plan/logical_node.h"

namespace insula::sql {

struct LogicalAggregate : LogicalOf<LogicalKind::kAggregate> {
  // GROUPING(…): a bit per argument, set where the key is not in the grouping set.
  struct GroupingCall {
    ColumnId column = 0;
    std::vector<int> keys;
  };
  std::vector<NamedExpr> keys;
  std::vector<AggregateSpec> aggregates;
  std::vector<std::vector<int>> grouping_sets;  // indexes into keys; empty: one set of all keys
  std::vector<GroupingCall> groupings;

  std::vector<ColumnId> Output() const override {
    std::vector<ColumnId> out;
    for (const auto& k : keys) out.push_back(k.column);
    for (const auto& a : aggregates) out.push_back(a.output);
    for (const auto& g : groupings) out.push_back(g.column);
    return out;
  }
  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    for (auto& k : keys) visit(k.expr);
    for (auto& a : aggregates) {
      for (auto& e : a.args) visit(e);
      for (auto& e : a.direct_args) visit(e);
      for (auto& s : a.order_by) visit(s.expr);
      if (a.filter) visit(a.filter);
    }
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_AGGREGATE_H_
