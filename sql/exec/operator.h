// Physical operators: how each is opened, read and closed, and what they share.
//
//   Open    starts, or starts over (a rewind: exec parameters may have changed). Opens its children as it needs them.
//   Next    the next rows, at least one, in a batch that the caller may change or take apart until its next call of Next;
//           nullptr at the end, and again after it.
//   Close   gives memory back; no Next after it without an Open.
//
// Every operator is one file physical_*.cc with its class inside; BuildOperator (operator.cc) makes them from the plan.
// Thread safety: loop thread only; one call at a time per tree.
#ifndef INSULA_SQL_EXEC_OPERATOR_H_
#define INSULA_SQL_EXEC_OPERATOR_H_

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/status_macros.h"
#include "sql/exec/evaluator.h"
#include "sql/exec/executor.h"
#include "sql/exec/memory.h"
#include "sql/plan/physical.h"
#include "sql/rowenc/row_codec.h"
#include "sql/types/vector.h"

namespace insula::sql {

class Operator {
 public:
  Operator(ExecState* state, const PhysicalNode& node) : state_(state), node_(&node) {}
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;
  virtual ~Operator() = default;

  virtual Task<absl::Status> Open(const Context& ctx) = 0;
  virtual Task<absl::StatusOr<Batch*>> Next(const Context& ctx) = 0;
  virtual void Close() {}

  const PhysicalNode& node() const { return *node_; }

 protected:
  ExecState* state_;
  const PhysicalNode* node_;
};
using OperatorPtr = std::unique_ptr<Operator>;

// Rows kept in memory, in order of arrival, in one column set. Row numbers are 32 bits.
class RowStore {
 public:
  explicit RowStore(MemoryAccount* memory) : held_(memory) {}
  void Reset(std::span<const SqlType> types) {
    rows_.Reset(types);
    held_.Release();
  }
  absl::Status Append(const Batch& batch);
  absl::Status AppendSelected(const Batch& batch, std::span<const uint32_t> sel);
  absl::Status Account() { return held_.Set(rows_.MemoryUsage()); }
  const Batch& rows() const { return rows_; }
  Batch& mutable_rows() { return rows_; }
  size_t size() const { return rows_.rows; }
  void Clear() {
    rows_ = Batch();
    held_.Release();
  }

 private:
  Batch rows_;
  MemoryReservation held_;
};

// What a CTE or a recursive union keeps for its readers.
struct SharedRows {
  std::unique_ptr<RowStore> store;
  Operator* definition = nullptr;  // not owned; CTEs only
  bool opened = false;
  bool done = false;
  std::vector<SqlType> types;
};

// The state of one execution, shared by its operators.
struct ExecState {
  ExecState(PlanPtr p, ExecContext* e);

  PlanPtr plan;
  ExecContext* exec;
  EvalContext eval;
  std::vector<SharedRows> ctes;         // by PhysicalCte::cte
  std::vector<SharedRows> work_tables;  // by PhysicalRecursiveUnion::work_table
  uint64_t rows_affected = 0;
  std::map<const PhysicalNode*, NodeCounters> counters;
  MonoTime last_yield{};

  kv::Txn& txn() { return *exec->txn; }
  MemoryAccount* memory() { return exec->memory; }
  // One codec per table of the plan.
  const RowCodec& CodecOf(const TablePtr& table);

  // Whether it is time to let others run: co_await ctx.Yield() then.
  bool ShouldYield(const Context& ctx) {
    MonoTime now = ctx.executor().Now();
    if (now - last_yield < kYieldInterval) return false;
    last_yield = now;
    return true;
  }
  static constexpr Duration kYieldInterval = std::chrono::milliseconds(1);

  // Before evaluating: reserves what nextval takes. After: writes what setval asked for. Cheap if the evaluator has neither.
  Task<absl::Status> ReserveSequences(const Context& ctx, std::span<Evaluator> evaluators, RowView rows);
  Task<absl::Status> FlushSequences(const Context& ctx);

  kv::ReadOptions LockOptions(const RowLock& lock) const;

 private:
  std::map<const TableInfo*, std::unique_ptr<RowCodec>> codecs_;
  std::vector<TablePtr> tables_;
};

// As CO_RETURN_IF_ERROR(co_await ctx.Yield()), when due.
#define EXEC_YIELD(ctx)                                                                 \
  do {                                                                                  \
    if (state_->ShouldYield(ctx)) CO_RETURN_IF_ERROR(co_await (ctx).Yield());            \
  } while (0)

std::vector<SqlType> TypesOf(const PhysicalNode& node);
std::vector<Evaluator> MakeEvaluators(const std::vector<ExprPtr>& exprs);
bool AnyUsesSequences(std::span<const Evaluator> evaluators);

// Evaluates the expressions into `out`, whose columns become theirs with exactly rows.rows rows.
absl::Status EvaluateInto(EvalContext& eval, std::span<Evaluator> evaluators, const RowView& rows, Batch* out);
absl::Status EvaluateColumn(EvalContext& eval, Evaluator& evaluator, const RowView& rows, Vector* out);

// Keeps the rows of `batch` on which `filter` is TRUE. Returns the batch, or nullptr if none is left; `scratch` may be used.
// Counts what it removed in *removed.
absl::StatusOr<Batch*> FilterBatch(EvalContext& eval, Evaluator& filter, Batch* batch, Batch* scratch, std::vector<uint32_t>* selected,
                                   uint64_t* removed);

// Row-independent bigint of LIMIT or OFFSET; nullopt for NULL or no expression. 2201W or 2201X if negative.
Task<absl::StatusOr<std::optional<uint64_t>>> EvaluateLimit(const Context& ctx, ExecState* state, Evaluator& limit, bool is_offset);

// --- one maker per operator, each in its file
absl::StatusOr<OperatorPtr> BuildOperator(ExecState* state, const PhysicalNode& node);

OperatorPtr MakeIndexScan(ExecState* state, const PhysicalNode& node);
OperatorPtr MakeVirtualScan(ExecState* state, const PhysicalNode& node);
OperatorPtr MakeValues(ExecState* state, const PhysicalNode& node);
OperatorPtr MakeFunctionScan(ExecState* state, const PhysicalNode& node);
OperatorPtr MakeProjectSet(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeCteScan(ExecState* state, const PhysicalNode& node);
OperatorPtr MakeWorkTableScan(ExecState* state, const PhysicalNode& node);
OperatorPtr MakeExternalSource(ExecState* state, const PhysicalNode& node);
OperatorPtr MakeFilter(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeProject(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeSingleRow(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeHashJoin(ExecState* state, const PhysicalNode& node, OperatorPtr left, OperatorPtr right);
OperatorPtr MakeNestedLoop(ExecState* state, const PhysicalNode& node, OperatorPtr left, OperatorPtr right);
OperatorPtr MakeLookupJoin(ExecState* state, const PhysicalNode& node, OperatorPtr left);
OperatorPtr MakeHashAggregate(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeStreamAggregate(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeSort(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeTopN(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeLimit(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeDistinct(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeDistinctOn(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeAppend(ExecState* state, const PhysicalNode& node, std::vector<OperatorPtr> children);
OperatorPtr MakeSetOperation(ExecState* state, const PhysicalNode& node, OperatorPtr left, OperatorPtr right);
OperatorPtr MakeWindow(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeCte(ExecState* state, const PhysicalNode& node, OperatorPtr definition, OperatorPtr body);
OperatorPtr MakeRecursiveUnion(ExecState* state, const PhysicalNode& node, OperatorPtr start, OperatorPtr step);
OperatorPtr MakeLockRows(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeInsert(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeUpdate(ExecState* state, const PhysicalNode& node, OperatorPtr child);
OperatorPtr MakeDelete(ExecState* state, const PhysicalNode& node, OperatorPtr child);

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_OPERATOR_H_
