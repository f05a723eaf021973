// Takes subqueries out of expressions: each becomes a join below the operator that used it.
//
//   WHERE EXISTS (…)            semi join                       (NOT EXISTS: anti join)
//   WHERE x IN (SELECT y …)     semi join on x = y
//   EXISTS, IN, ANY, ALL        elsewhere, and NOT IN: mark join, a boolean column that keeps SQL's three values
//   (SELECT …)                  inner join with exactly one row
//   (SELECT agg(…) WHERE k = o) left join with the aggregate grouped by k, where that is cheaper than running it for each row
//   ARRAY(SELECT …)             join with one row of array_agg
//
// What still needs columns of the outer row stays a lateral join: the right side is run for each left row.
#ifndef INSULA_SQL_OPT_DECORRELATE_H_
#define INSULA_SQL_OPT_DECORRELATE_H_

#include "absl/status/status.h"
#include "sql/opt/statistics.h"
#include "sql/plan/logical.h"

namespace insula::sql {

// After it, no expression of the plan contains a SubqueryExpr. 0A000 for those in the condition of a FULL JOIN.
absl::Status RemoveSubqueries(LogicalPtr* plan, Columns* columns, const Statistics& statistics);

}  // namespace insula::sql

#endif  // INSULA_SQL_OPT_DECORRELATE_H_
