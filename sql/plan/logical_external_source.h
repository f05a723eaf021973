// Rows that the session feeds in while the plan runs: COPY FROM STDIN.
#ifndef INSULA_SQL_PLAN_LOGICAL_EXTERNAL_SOURCE_H_
#define INSULA_SQL_PLAN_LOGICAL_EXTERNAL_SOURCE_H_

#include <vector>

#include "sql/plan/logical_node.h"

namespace insula::sql {

struct LogicalExternalSource : LogicalOf<LogicalKind::kExternalSource> {
  std::vector<ColumnId> columns;

  std::vector<ColumnId> Output() const override { return columns; }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_LOGICAL_EXTERNAL_SOURCE_H_
