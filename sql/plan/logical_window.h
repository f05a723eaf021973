// Window functions that share one PARTITION BY and ORDER BY. Output: the input, then one column per call.
#ifndef INSULA_SQL_PLAN_LOGICAL_WINDOW_H_
#define INSULA_SQL_PLAN_LOGICAL_WINDOW_H_

#include <vector>

#include "sql/plan/logical_node.h"
#include "sql/plan/sort_key.h"
#include "sql/plan/window_call.h"

namespace insula::sql {

struct LogicalWindow : LogicalOf<LogicalKind::kWindow> {
  std::vector<ExprPtr> partition_by;
  std::vector<SortKey> order_by;
  std::vector<WindowCall> calls;

  std::vector<ColumnId> Output() const override {
    auto out = children[0]->Output();
    for (const auto& c : calls) out.push_back(c.output);
    return out;
  }
  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    for (auto& e : partition_by) visit(e);
    for (auto& s : order_by) visit(s.expr);
    for (auto& c : calls) {
      for (auto& e : c.args) visit(e);
      if (c.filter) visit(c.filter);
      if (c.frame.start_offset) visit(c.frame.start_offset);
      if (c.frame.end_offset) visit(c.frame.end_offset);
    }
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_WINDOW_H_
