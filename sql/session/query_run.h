// One execution of a planned query, with all that it needs while it runs: functions' context, names, memory, parameters.
//
// Lives as long as a portal may go on. Invariant: the session's transaction of the time it was opened is still there.
// Thread safety: one session.
#ifndef INSULA_SQL_SESSION_QUERY_RUN_H_
#define INSULA_SQL_SESSION_QUERY_RUN_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "sql/catalog/catalog_functions.h"
#include "sql/exec/executor.h"
#include "sql/exec/memory.h"
#include "sql/functions/function_context.h"
#include "sql/session/statement.h"

namespace insula::sql {

class Session;

// A FunctionContext with what the session and its statement give it.
class StatementFunctions {
 public:
  // `session` and `ctx`'s state outlive it; `snapshot` may be null (no catalog functions).
  StatementFunctions(Session* session, SnapshotPtr snapshot, const Context& ctx);
  ~StatementFunctions();
  FunctionContext* get() { return &functions_; }
  const IoContext& io() const { return functions_.io; }
  // Computations look at the context of the call that runs them.
  void set_context(const Context& ctx);

 private:
  Session* session_;
  std::unique_ptr<SessionCatalog> catalog_;
  FunctionContext functions_;
};

class QueryRun {
 public:
  QueryRun(Session* session, PlanPtr plan, std::vector<Datum> parameters, const Context& ctx, bool analyze);
  ~QueryRun();

  Task<absl::Status> Open(const Context& ctx);
  Task<absl::StatusOr<const Batch*>> Next(const Context& ctx);
  void Close();

  uint64_t rows_affected() const { return execution_->rows_affected(); }
  const Execution& execution() const { return *execution_; }
  const IoContext& io() const { return functions_.io(); }
  const PlanPtr& plan() const { return plan_; }

 private:
  PlanPtr plan_;
  StatementFunctions functions_;
  MemoryAccount memory_;
  ExecContext exec_;
  std::unique_ptr<Execution> execution_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_QUERY_RUN_H_
