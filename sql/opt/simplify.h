// Small rewrites of whole operators.
//
//   a filter that lets nothing through   no rows, and nothing is read
//   t, LATERAL (SELECT t.a + 1)          a projection of t
//   min(x), max(x) of a table            the first row by x, where an index has that order
#ifndef INSULA_SQL_OPT_SIMPLIFY_H_
#define INSULA_SQL_OPT_SIMPLIFY_H_

#include "sql/functions/function_context.h"
#include "sql/plan/logical.h"

namespace insula::sql {

// Folds every expression of the plan, subqueries included.
void FoldPlan(LogicalNode& plan, FunctionContext* functions);

void Simplify(LogicalPtr* plan, const Columns& columns);

}  // namespace insula::sql

#endif  // INSULA_SQL_OPT_SIMPLIFY_H_
