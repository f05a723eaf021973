// Walks over logical plans.
#ifndef INSULA_SQL_PLAN_LOGICAL_WALK_H_
#define INSULA_SQL_PLAN_LOGICAL_WALK_H_

#include <functional>
#include <map>

#include "sql/plan/logical.h"

namespace insula::sql {

// Every node, parents first, the plans of subqueries in expressions included.
void VisitPlan(LogicalNode& plan, const std::function<void(LogicalNode&)>& visit);

// Columns that a plan uses and does not make: those of enclosing queries.
ColumnSet OuterColumns(LogicalNode& plan);

// Columns that a plan makes, at any depth.
ColumnSet MadeColumns(LogicalNode& plan);

// Replaces columns by expressions wherever `plan` reads them, in the plans of subqueries too. For columns that the plan itself
// does not make.
void SubstituteColumns(LogicalNode& plan, const std::map<ColumnId, ExprPtr>& replacements);
ExprPtr SubstituteColumns(const ExprPtr& expr, const std::map<ColumnId, ExprPtr>& replacements);

// The worst volatility of any expression in the plan; a plan that writes is volatile.
Volatility PlanVolatility(LogicalNode& plan);

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_WALK_H_
