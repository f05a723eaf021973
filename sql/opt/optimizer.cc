#include "sql/opt/optimizer.h"

#include <utility>

#include "base/status_macros.h"
#include "sql/opt/decorrelate.h"
#include "sql/opt/planner.h"
#include "sql/opt/prune.h"
#include "sql/opt/push_filters.h"
#include "sql/opt/simplify.h"
#include "sql/opt/statistics.h"

namespace insula::sql {

absl::StatusOr<PlanPtr> Optimize(std::unique_ptr<BoundStatement> statement, const OptimizerOptions& options) {
  Statistics statistics(&statement->columns);
  statistics.Learn(*statement->root);
  FoldPlan(*statement->root, options.functions);
  RETURN_IF_ERROR(RemoveSubqueries(&statement->root, &statement->columns, statistics));
  PushFilters(&statement->root);
  FoldPlan(*statement->root, options.functions);
  Simplify(&statement->root, statement->columns);
  PruneColumns(&statement->root, ColumnSet(statement->output.begin(), statement->output.end()));
  return Planner(statement.get(), options, statistics).PlanStatement();
}

}  // namespace insula::sql
