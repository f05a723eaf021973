// Logical plans → physical plans.
//
//   ASSIGN_OR_RETURN(PlanPtr plan, Optimize(std::move(bound), {.functions = &functions}));
//
// The plan is immutable and may be cached and run many times, by any session of the pod (see sql/plan/physical.h).
// Thread safety: pure functions of their arguments.
#ifndef INSULA_SQL_OPT_OPTIMIZER_H_
#define INSULA_SQL_OPT_OPTIMIZER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "sql/functions/function_context.h"
#include "sql/plan/logical.h"
#include "sql/plan/physical.h"

namespace insula::sql {

// What a session may switch off (SET enable_hashjoin = off), and what folding needs.
struct OptimizerOptions {
  FunctionContext* functions = nullptr;  // not owned; null: no constant folding
  bool enable_hashjoin = true;
  bool enable_lookupjoin = true;  // shares enable_indexscan's setting in sessions
  bool enable_nestloop = true;
  bool enable_indexscan = true;
  bool enable_hashagg = true;
  bool enable_sort = true;
};

absl::StatusOr<PlanPtr> Optimize(std::unique_ptr<BoundStatement> statement, const OptimizerOptions& options);

}  // namespace insula::sql

#endif  // INSULA_SQL_OPT_OPTIMIZER_H_
