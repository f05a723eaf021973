// Moves conditions towards the data: through projections, joins, aggregations, set operations, down to the scans; turns outer
// joins into inner ones where a condition above them drops the NULL rows anyway; derives a = 5 from a = b AND b = 5.
#ifndef INSULA_SQL_OPT_PUSH_FILTERS_H_
#define INSULA_SQL_OPT_PUSH_FILTERS_H_

#include "sql/plan/logical.h"

namespace insula::sql {

// Also folds right joins into left ones (children swapped; the columns' ids stay). After it, filters stand directly above scans
// or above what they cannot pass.
void PushFilters(LogicalPtr* plan);

// Whether `condition` cannot be TRUE when all of `columns` are NULL.
bool RejectsNulls(const ExprPtr& condition, const ColumnSet& columns);

}  // namespace insula::sql

#endif  // INSULA_SQL_OPT_PUSH_FILTERS_H_
