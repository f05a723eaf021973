// Joins of two inputs. With `lateral` set the right side uses columns of the left one (LATERAL, or what is left of a
// correlated subquery): it is run anew for every left row.
#ifndef INSULA_SQL_PLAN_LOGICAL_JOIN_H_
#define INSULA_SQL_PLAN_LOGICAL_JOIN_H_

#include <vector>

#include "sql/plan/logical_node.h"
#include "sql/plan/join_type.h"

namespace insula::sql {

struct LogicalJoin : LogicalOf<LogicalKind::kJoin> {
  JoinType join = JoinType::kInner;
  ExprPtr condition;   // null: TRUE
  bool lateral = false;
  ColumnId mark = 0;   // kMark: the boolean's id
  bool two_valued = false;  // kMark: whether it is FALSE or NULL does not matter
  ExprPtr guard;       // lateral: run the right side only where this is TRUE of the left row; null: always

  std::vector<ColumnId> Output() const override {
    auto out = children[0]->Output();
    if (join == JoinType::kMark) out.push_back(mark);
    if (!OnlyLeftColumns(join)) {
      auto right = children[1]->Output();
      out.insert(out.end(), right.begin(), right.end());
    }
    return out;
  }
  void ForEachExpr(const std::function<void(ExprPtr&)>& visit) override {
    if (condition) visit(condition);
    if (guard) visit(guard);
  }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_JOIN_H_
