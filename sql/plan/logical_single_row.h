// Exactly one row: the input's, or all NULL if there is none; more than one is an error (21000). A scalar subquery.
#ifndef INSULA_SQL_PLAN_LOGICAL_SINGLE_ROW_H_
#define INSULA_SQL_PLAN_LOGICAL_SINGLE_ROW_H_

#include "sql/plan/logical_node.h"

namespace insula::sql {

struct LogicalSingleRow : LogicalOf<LogicalKind::kSingleRow> {};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_SINGLE_ROW_H_
