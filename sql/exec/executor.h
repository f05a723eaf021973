// Runs a physical plan.
//
//   ExecContext exec;                         // transaction, parameters, functions, catalog, limits
//   ASSIGN_OR_RETURN(auto run, Execution::Create(plan, &exec));
//   CO_RETURN_IF_ERROR(co_await run->Open(ctx));
//   for (;;) {
//     CO_ASSIGN_OR_RETURN(const Batch* batch, co_await run->Next(ctx));
//     if (batch == nullptr) break;            // the end
//     …                                       // valid until the next call
//   }
//   run->Close();
//
// A plan that yields no rows (INSERT without RETURNING) writes all in its first Next, which answers nullptr. A portal with a
// row limit keeps the Execution and goes on later; the plan, the parameters and everything in ExecContext must live as long.
//
// The session begins the KV statement (Txn::BeginStatement) and takes a savepoint before it creates an Execution, and undoes
// to it (or ends the transaction) when one fails: what a failed execution wrote stays in the transaction's buffer.
//
// Cancellation: operators look at the context at least every millisecond of work, by Context::Yield().
// Thread safety: loop thread only; one call at a time.
#ifndef INSULA_SQL_EXEC_EXECUTOR_H_
#define INSULA_SQL_EXEC_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/api/txn.h"
#include "sql/catalog/catalog.h"
#include "sql/exec/memory.h"
#include "sql/exec/sequences.h"
#include "sql/functions/function_context.h"
#include "sql/plan/physical.h"
#include "sql/types/vector.h"

namespace insula::sql {

// Where PhysicalExternalSource gets its rows (COPY FROM STDIN).
class ExternalRows {
 public:
  virtual ~ExternalRows() = default;
  // Fills `out` (types are set) with the next rows; none: the end.
  virtual Task<absl::Status> Next(const Context& ctx, Batch* out) = 0;
};

// What a plan runs with. Filled by the caller; pointers are not owned.
struct ExecContext {
  kv::Txn* txn = nullptr;
  Catalog* catalog = nullptr;                        // the pod's: row ids
  std::shared_ptr<const CatalogSnapshot> snapshot;   // for virtual tables
  std::vector<Datum> parameters;                     // $1 first, of PhysicalPlan::info.parameter_types
  FunctionContext* functions = nullptr;
  SessionSequences* sequences = nullptr;             // the session's; also functions->sequences
  MemoryAccount* memory = nullptr;
  ExternalRows* external = nullptr;                  // COPY FROM only
  Duration lock_timeout = Duration::zero();          // zero: none
  bool analyze = false;                              // measure every node (EXPLAIN ANALYZE)
  std::function<void(absl::Status)> notice;          // may be null
};

// What one node did, over all its runs. time_ns includes its children.
struct NodeCounters {
  uint64_t loops = 0;
  uint64_t rows = 0;
  int64_t first_ns = 0;  // until the first row
  int64_t time_ns = 0;
  uint64_t kv_batches = 0;
  uint64_t bytes_read = 0;
  uint64_t rows_removed = 0;  // by its filter
};

class Operator;
struct ExecState;

class Execution {
 public:
  // Builds the operators. 0A000 for what the executor does not run.
  static absl::StatusOr<std::unique_ptr<Execution>> Create(PlanPtr plan, ExecContext* exec);
  ~Execution();
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  Task<absl::Status> Open(const Context& ctx);
  // The next rows, of the plan's output (StatementInfo::columns); never an empty batch; nullptr at the end. After an error
  // or the end only Close.
  Task<absl::StatusOr<const Batch*>> Next(const Context& ctx);
  void Close();

  // Rows inserted, updated or deleted by the plan's root so far.
  uint64_t rows_affected() const;
  // With ExecContext::analyze; nullptr for a node that never ran.
  const NodeCounters* counters(const PhysicalNode* node) const;

 private:
  Execution(PlanPtr plan, ExecContext* exec);

  PlanPtr plan_;
  std::unique_ptr<ExecState> state_;
  std::unique_ptr<Operator> root_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_EXECUTOR_H_
