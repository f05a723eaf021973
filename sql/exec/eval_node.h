// The nodes of an Evaluator, one kind per kind of expression. Internal to evaluator.cc.
#ifndef INSULA_SQL_EXEC_EVAL_NODE_H_
#define INSULA_SQL_EXEC_EVAL_NODE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "sql/exec/evaluator.h"
#include "sql/plan/expression.h"
#include "sql/types/vector.h"

namespace insula::sql {

class EvalNode {
 public:
  explicit EvalNode(SqlType type) : type_(type) {}
  virtual ~EvalNode() = default;

  // *out gets at least rows.rows rows: an input column, or a vector of this node.
  virtual absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) = 0;
  virtual int column_slot() const { return -1; }

  const SqlType& type() const { return type_; }
  // Slots that the subtree reads.
  const std::vector<int>& slots() const { return slots_; }
  void set_slots(std::vector<int> slots) { slots_ = std::move(slots); }

 protected:
  SqlType type_;
  Vector result_;

 private:
  std::vector<int> slots_;
};

using EvalNodePtr = std::unique_ptr<EvalNode>;

// Every kind of expression but subqueries and DEFAULT, which never reach the executor.
EvalNodePtr MakeEvalNode(const ExprPtr& expr);

// A node evaluated on some of the rows only.
class SubsetEval {
 public:
  explicit SubsetEval(EvalNodePtr node) : node_(std::move(node)) {}
  const SqlType& type() const { return node_->type(); }
  // *out: row k is the value for input row selected[k].
  absl::Status Eval(EvalContext& eval, const RowView& rows, std::span<const uint32_t> selected, const Vector** out);

 private:
  EvalNodePtr node_;
  std::vector<Vector> gathered_;
  std::vector<const Vector*> pointers_;
};

// Nodes for AND, OR, NOT, CASE, COALESCE, NULLIF (eval_conditional.cc); all others are in eval_node.cc.
EvalNodePtr MakeConditionalNode(const ExprPtr& expr);

}  // namespace insula::sql

#endif  // INSULA_SQL_EXEC_EVAL_NODE_H_
