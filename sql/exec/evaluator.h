// Evaluates typed expressions over columns of rows.
//
//   Evaluator e(expr);
//   ASSIGN_OR_RETURN(const Vector* v, e.Evaluate(eval, RowView{columns, rows}));   // v has at least `rows` rows
//
// An Evaluator is one expression made ready for one execution: a tree of nodes with their own result vectors, reused from batch
// to batch. CASE, COALESCE, AND and OR evaluate later arguments only on the rows that need them, on a gathered sub-batch.
// What depends on no row and is not volatile is computed once per execution.
//
// Invariants:
//   E1  A result stays valid until the evaluator's next use or until the input rows change, whichever is first.
//   E2  An expression is never evaluated on a row that its context excludes (a CASE branch not taken, rows past a FALSE of AND).
// Thread safety: one thread.
#ifndef INSULA_SQL_EXEC_EVALUATOR_H_
#define INSULA_SQL_EXEC_EVALUATOR_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/functions/function_context.h"
#include "sql/plan/expression.h"
#include "sql/types/vector.h"

namespace insula::sql {

// What expressions may use besides their row. Lives as long as the execution.
struct EvalContext {
  FunctionContext* functions = nullptr;
  std::span<const Datum> parameters;
  std::vector<Datum> exec_params;
  uint64_t exec_version = 0;  // raised whenever an exec parameter is set
};

// Rows to evaluate on: one vector per slot (null pointers where the expression has no column), each with at least `rows` rows.
struct RowView {
  std::span<const Vector* const> columns;
  size_t rows = 0;
};

// A RowView over whole batches, one after another in slots.
class BatchView {
 public:
  BatchView() = default;
  explicit BatchView(const Batch& batch) { Set(batch); }
  void Set(const Batch& batch) {
    pointers_.clear();
    Add(batch);
  }
  void Add(const Batch& batch) {
    for (const Vector& v : batch.columns) pointers_.push_back(&v);
    rows_ = batch.rows;
  }
  void Add(const Vector* v) { pointers_.push_back(v); }
  void Clear() { pointers_.clear(); }
  void set_rows(size_t rows) { rows_ = rows; }
  size_t rows() const { return rows_; }
  std::span<const Vector* const> columns() const { return pointers_; }
  operator RowView() const { return {pointers_, rows_}; }  // NOLINT: a view is what it is for

 private:
  std::vector<const Vector*> pointers_;
  size_t rows_ = 0;
};

class EvalNode;

class Evaluator {
 public:
  Evaluator();
  explicit Evaluator(const ExprPtr& expr);
  Evaluator(Evaluator&&) noexcept;
  Evaluator& operator=(Evaluator&&) noexcept;
  ~Evaluator();

  bool empty() const { return root_ == nullptr; }
  const SqlType& type() const;
  // Set if the expression is a plain column of the input row.
  int column_slot() const;

  absl::StatusOr<const Vector*> Evaluate(EvalContext& eval, const RowView& rows);
  // Of an expression without columns.
  absl::StatusOr<Datum> EvaluateValue(EvalContext& eval);
  // Rows on which a boolean expression is TRUE, ascending, replacing what is in `selected`.
  absl::Status Select(EvalContext& eval, const RowView& rows, std::vector<uint32_t>* selected);

  // nextval and setval within: how many values of which sequences the rows may take (an upper bound).
  bool uses_sequences() const { return uses_sequences_; }
  absl::Status SequenceDemand(EvalContext& eval, const RowView& rows, std::vector<std::pair<Oid, uint64_t>>* demand);

 private:
  std::unique_ptr<EvalNode> root_;
  std::vector<Evaluator> sequence_args_;  // the argument of each nextval
  bool uses_sequences_ = false;
};

// dst becomes src's selected rows; kNoRow gives NULL.
inline constexpr uint32_t kNoRow = UINT32_MAX;
void GatherOrNull(const Vector& src, std::span<const uint32_t> sel, Vector* dst);
void AppendSelectedOrNull(const Vector& src, std::span<const uint32_t> sel, Vector* dst);

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_EVALUATOR_H_
