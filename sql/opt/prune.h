// Drops columns that nobody reads, from the top down to the scans.
#ifndef INSULA_SQL_OPT_PRUNE_H_
#define INSULA_SQL_OPT_PRUNE_H_

#include "sql/plan/logical.h"

namespace insula::sql {

// `needed`: the columns that are read of the plan's output.
void PruneColumns(LogicalPtr* plan, const ColumnSet& needed);

}  // namespace insula::sql

#endif  // INSULA_SQL_OPT_PRUNE_H_
