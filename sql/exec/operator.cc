#include "sql/exec/operator.h"

#include <algorithm>

#include "base/check.h"
#include "base/pgerror/pg_error.h"

namespace insula::sql {

absl::Status RowStore::Append(const Batch& batch) {
  if (rows_.rows + batch.rows >= kNoRow) return PgError(sqlstate::kProgramLimitExceeded, "too many rows to keep in memory");
  for (size_t c = 0; c < rows_.columns.size(); ++c) rows_.columns[c].AppendRange(batch.columns[c], 0, batch.rows);
  rows_.rows += batch.rows;
  return Account();
}

absl::Status RowStore::AppendSelected(const Batch& batch, std::span<const uint32_t> sel) {
  if (rows_.rows + sel.size() >= kNoRow) return PgError(sqlstate::kProgramLimitExceeded, "too many rows to keep in memory");
  for (size_t c = 0; c < rows_.columns.size(); ++c) rows_.columns[c].AppendSelected(batch.columns[c], sel);
  rows_.rows += sel.size();
  return Account();
}

ExecState::ExecState(PlanPtr p, ExecContext* e) : plan(std::move(p)), exec(e) {
  eval.functions = exec->functions;
  eval.parameters = exec->parameters;
  eval.exec_params.resize(plan->exec_param_types.size());
  ctes.resize(plan->cte_count);
  work_tables.resize(plan->work_table_count);
}

const RowCodec& ExecState::CodecOf(const TablePtr& table) {
  auto& slot = codecs_[table.get()];
  if (slot == nullptr) {
    slot = std::make_unique<RowCodec>(*table, exec->catalog->layout());
    tables_.push_back(table);
  }
  return *slot;
}

Task<absl::Status> ExecState::ReserveSequences(const Context& ctx, std::span<Evaluator> evaluators, RowView rows) {
  std::vector<std::pair<Oid, uint64_t>> demand;
  for (Evaluator& e : evaluators) {
    if (e.uses_sequences()) CO_RETURN_IF_ERROR(e.SequenceDemand(eval, rows, &demand));
  }
  if (demand.empty()) co_return absl::OkStatus();
  CHECK(exec->sequences != nullptr) << "an execution without sequences calls nextval";
  for (auto [sequence, count] : demand) CO_RETURN_IF_ERROR(co_await exec->sequences->Reserve(ctx, sequence, count));
  co_return absl::OkStatus();
}

Task<absl::Status> ExecState::FlushSequences(const Context& ctx) {
  if (exec->sequences == nullptr || !exec->sequences->needs_flush()) co_return absl::OkStatus();
  co_return co_await exec->sequences->Flush(ctx);
}

kv::ReadOptions ExecState::LockOptions(const RowLock& lock) const {
  kv::ReadOptions out;
  switch (lock.strength) {
    case RowLockStrength::kNone: break;
    case RowLockStrength::kKeyShare:
    case RowLockStrength::kShare: out.lock = kv::LockStrength::kShared; break;
    case RowLockStrength::kNoKeyUpdate:
    case RowLockStrength::kUpdate: out.lock = kv::LockStrength::kExclusive; break;
  }
  switch (lock.wait) {
    case RowLockWait::kBlock: out.wait = kv::WaitPolicy::kBlock; break;
    case RowLockWait::kSkipLocked: out.wait = kv::WaitPolicy::kSkipLocked; break;
    case RowLockWait::kNoWait: out.wait = kv::WaitPolicy::kError; break;
  }
  out.lock_timeout = exec->lock_timeout;
  return out;
}

std::vector<SqlType> TypesOf(const PhysicalNode& node) {
  std::vector<SqlType> out;
  for (const auto& c : node.output) out.push_back(c.type);
  return out;
}

std::vector<Evaluator> MakeEvaluators(const std::vector<ExprPtr>& exprs) {
  std::vector<Evaluator> out;
  out.reserve(exprs.size());
  for (const auto& e : exprs) out.emplace_back(e);
  return out;
}

bool AnyUsesSequences(std::span<const Evaluator> evaluators) {
  return std::any_of(evaluators.begin(), evaluators.end(), [](const Evaluator& e) { return e.uses_sequences(); });
}

absl::Status EvaluateColumn(EvalContext& eval, Evaluator& evaluator, const RowView& rows, Vector* out) {
  ASSIGN_OR_RETURN(const Vector* v, evaluator.Evaluate(eval, rows));
  out->Slice(*v, 0, rows.rows);
  return absl::OkStatus();
}

absl::Status EvaluateInto(EvalContext& eval, std::span<Evaluator> evaluators, const RowView& rows, Batch* out) {
  out->columns.resize(evaluators.size());
  for (size_t c = 0; c < evaluators.size(); ++c) RETURN_IF_ERROR(EvaluateColumn(eval, evaluators[c], rows, &out->columns[c]));
  out->rows = rows.rows;
  return absl::OkStatus();
}

absl::StatusOr<Batch*> FilterBatch(EvalContext& eval, Evaluator& filter, Batch* batch, Batch* scratch, std::vector<uint32_t>* selected,
                                   uint64_t* removed) {
  RETURN_IF_ERROR(filter.Select(eval, BatchView(*batch), selected));
  *removed += batch->rows - selected->size();
  if (selected->size() == batch->rows) return batch;
  if (selected->empty()) return nullptr;
  scratch->Gather(*batch, *selected);
  return scratch;
}

Task<absl::StatusOr<std::optional<uint64_t>>> EvaluateLimit(const Context& ctx, ExecState* state, Evaluator& limit, bool is_offset) {
  if (limit.empty()) co_return std::nullopt;
  if (limit.uses_sequences()) CO_RETURN_IF_ERROR(co_await state->ReserveSequences(ctx, {&limit, 1}, RowView{{}, 1}));
  CO_ASSIGN_OR_RETURN(Datum v, limit.EvaluateValue(state->eval));
  if (v.is_null()) co_return std::nullopt;
  if (v.int_value() < 0) {
    co_return is_offset ? PgError("2201X", "OFFSET must not be negative") : PgError("2201W", "LIMIT must not be negative");
  }
  co_return static_cast<uint64_t>(v.int_value());
}

namespace {

// Measures another operator for EXPLAIN ANALYZE.
class Instrumented : public Operator {
 public:
  Instrumented(ExecState* state, const PhysicalNode& node, OperatorPtr inner) : Operator(state, node), inner_(std::move(inner)) {}

  Task<absl::Status> Open(const Context& ctx) override {
    NodeCounters& c = state_->counters[node_];
    ++c.loops;
    Begin(ctx);
    absl::Status s = co_await inner_->Open(ctx);
    End(ctx);
    co_return s;
  }
  Task<absl::StatusOr<Batch*>> Next(const Context& ctx) override {
    Begin(ctx);
    absl::StatusOr<Batch*> batch = co_await inner_->Next(ctx);
    End(ctx);
    NodeCounters& c = state_->counters[node_];
    if (batch.ok() && *batch != nullptr) {
      if (c.rows == 0) c.first_ns = c.time_ns;
      c.rows += (*batch)->rows;
    }
    co_return batch;
  }
  void Close() override { inner_->Close(); }

 private:
  void Begin(const Context& ctx) {
    began_ = ctx.executor().Now();
    const kv::TxnStats& s = state_->txn().stats();
    batches_ = s.batches;
    bytes_ = s.bytes_read;
  }
  void End(const Context& ctx) {
    NodeCounters& c = state_->counters[node_];
    c.time_ns += std::chrono::duration_cast<std::chrono::nanoseconds>(ctx.executor().Now() - began_).count();
    const kv::TxnStats& s = state_->txn().stats();
    c.kv_batches += s.batches - batches_;
    c.bytes_read += s.bytes_read - bytes_;
  }
  OperatorPtr inner_;
  MonoTime began_{};
  uint64_t batches_ = 0, bytes_ = 0;
};

absl::StatusOr<OperatorPtr> BuildBare(ExecState* state, const PhysicalNode& node) {
  std::vector<OperatorPtr> children;
  for (const auto& c : node.children) {
    ASSIGN_OR_RETURN(OperatorPtr child, BuildOperator(state, *c));
    children.push_back(std::move(child));
  }
  auto first = [&]() { return std::move(children[0]); };
  auto second = [&]() { return std::move(children[1]); };
  switch (node.kind) {
    case PlanKind::kIndexScan: return MakeIndexScan(state, node);
    case PlanKind::kVirtualScan: return MakeVirtualScan(state, node);
    case PlanKind::kValues: return MakeValues(state, node);
    case PlanKind::kFunctionScan: return MakeFunctionScan(state, node);
    case PlanKind::kProjectSet: return MakeProjectSet(state, node, first());
    case PlanKind::kCteScan: return MakeCteScan(state, node);
    case PlanKind::kWorkTableScan: return MakeWorkTableScan(state, node);
    case PlanKind::kExternalSource: return MakeExternalSource(state, node);
    case PlanKind::kFilter: return MakeFilter(state, node, first());
    case PlanKind::kProject: return MakeProject(state, node, first());
    case PlanKind::kHashJoin: return MakeHashJoin(state, node, first(), second());
    case PlanKind::kNestedLoop: return MakeNestedLoop(state, node, first(), second());
    case PlanKind::kLookupJoin: return MakeLookupJoin(state, node, first());
    case PlanKind::kSingleRow: return MakeSingleRow(state, node, first());
    case PlanKind::kHashAggregate: return MakeHashAggregate(state, node, first());
    case PlanKind::kStreamAggregate: return MakeStreamAggregate(state, node, first());
    case PlanKind::kSort: return MakeSort(state, node, first());
    case PlanKind::kTopN: return MakeTopN(state, node, first());
    case PlanKind::kLimit: return MakeLimit(state, node, first());
    case PlanKind::kDistinct: return MakeDistinct(state, node, first());
    case PlanKind::kDistinctOn: return MakeDistinctOn(state, node, first());
    case PlanKind::kAppend: return MakeAppend(state, node, std::move(children));
    case PlanKind::kSetOperation: return MakeSetOperation(state, node, first(), second());
    case PlanKind::kWindow: return MakeWindow(state, node, first());
    case PlanKind::kCte: return MakeCte(state, node, first(), second());
    case PlanKind::kRecursiveUnion: return MakeRecursiveUnion(state, node, first(), second());
    case PlanKind::kLockRows: return MakeLockRows(state, node, first());
    case PlanKind::kInsert: return MakeInsert(state, node, first());
    case PlanKind::kUpdate: return MakeUpdate(state, node, first());
    case PlanKind::kDelete: return MakeDelete(state, node, first());
  }
  return absl::InternalError("unknown kind of plan node");
}

}  // namespace

absl::StatusOr<OperatorPtr> BuildOperator(ExecState* state, const PhysicalNode& node) {
  ASSIGN_OR_RETURN(OperatorPtr op, BuildBare(state, node));
  if (!state->exec->analyze) return op;
  return OperatorPtr(std::make_unique<Instrumented>(state, node, std::move(op)));
}

}  // namespace insula::sql
