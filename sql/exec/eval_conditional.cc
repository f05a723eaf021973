// AND, OR, NOT, CASE, COALESCE, NULLIF: nodes whose arguments are evaluated only on the rows that need them.
#include <numeric>

#include "base/check.h"
#include "base/status_macros.h"
#include "sql/exec/eval_node.h"

namespace insula::sql {
namespace {

std::vector<SubsetEval> MakeSubsets(const std::vector<ExprPtr>& exprs) {
  std::vector<SubsetEval> out;
  out.reserve(exprs.size());
  for (const auto& e : exprs) out.emplace_back(MakeEvalNode(e));
  return out;
}

void AllRows(size_t rows, std::vector<uint32_t>* out) {
  out->resize(rows);
  std::iota(out->begin(), out->end(), 0u);
}

// AND (or OR, everything negated): a row is settled by its first FALSE (TRUE); NULL unless settled if any argument was NULL.
class LogicNode : public EvalNode {
 public:
  LogicNode(const Expr& e, bool is_and) : EvalNode(e.type), args_(MakeSubsets(e.args)), is_and_(is_and) {}
  absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) override {
    result_.Reset({oid::kBool, -1});
    result_.Resize(rows.rows);
    uint8_t* bits = result_.bools();
    std::fill(bits, bits + rows.rows, is_and_ ? 1 : 0);
    AllRows(rows.rows, &open_);
    for (SubsetEval& arg : args_) {
      if (open_.empty()) break;
      const Vector* v = nullptr;
      RETURN_IF_ERROR(arg.Eval(eval, rows, open_, &v));
      still_open_.clear();
      for (size_t k = 0; k < open_.size(); ++k) {
        uint32_t row = open_[k];
        if (v->IsNull(k)) {
          result_.SetNull(row);
        } else if ((v->bools()[k] != 0) != is_and_) {
          bits[row] = is_and_ ? 0 : 1;
          result_.SetNotNull(row);
          continue;
        }
        still_open_.push_back(row);
      }
      open_.swap(still_open_);
    }
    *out = &result_;
    return absl::OkStatus();
  }

 private:
  std::vector<SubsetEval> args_;
  bool is_and_;
  std::vector<uint32_t> open_, still_open_;
};

class NotNode : public EvalNode {
 public:
  explicit NotNode(const Expr& e) : EvalNode(e.type), arg_(MakeEvalNode(e.args[0])) {}
  absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) override {
    const Vector* v = nullptr;
    RETURN_IF_ERROR(arg_->Eval(eval, rows, &v));
    result_.Reset({oid::kBool, -1});
    result_.Resize(rows.rows);
    for (size_t i = 0; i < rows.rows; ++i) {
      result_.bools()[i] = !v->bools()[i];
      if (v->IsNull(i)) result_.SetNull(i);
    }
    *out = &result_;
    return absl::OkStatus();
  }

 private:
  EvalNodePtr arg_;
};

// Collects each row's value from the branch that the row took, then puts them in row order.
class BranchResults {
 public:
  void Reset(SqlType type, size_t rows) {
    values_.Reset(type);
    place_.assign(rows, kNoRow);
  }
  // Row selected[k] gets row k of `v`.
  void Add(const Vector& v, std::span<const uint32_t> selected) {
    for (size_t k = 0; k < selected.size(); ++k) {
      if (v.IsNull(k)) continue;
      place_[selected[k]] = static_cast<uint32_t>(values_.size());
      values_.AppendFrom(v, k);
    }
  }
  void Finish(Vector* out) const { GatherOrNull(values_, place_, out); }

 private:
  Vector values_;
  std::vector<uint32_t> place_;
};

class CaseNode : public EvalNode {
 public:
  explicit CaseNode(const CaseExpr& e) : EvalNode(e.type), args_(MakeSubsets(e.args)) {}
  absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) override {
    results_.Reset(type_, rows.rows);
    AllRows(rows.rows, &open_);
    size_t branches = args_.size() / 2;
    for (size_t b = 0; b < branches && !open_.empty(); ++b) {
      const Vector* condition = nullptr;
      RETURN_IF_ERROR(args_[2 * b].Eval(eval, rows, open_, &condition));
      taken_.clear();
      rest_.clear();
      for (size_t k = 0; k < open_.size(); ++k) {
        bool take = !condition->IsNull(k) && condition->bools()[k];
        (take ? taken_ : rest_).push_back(open_[k]);
      }
      if (!taken_.empty()) RETURN_IF_ERROR(Take(eval, rows, args_[2 * b + 1]));
      open_.swap(rest_);
    }
    if (args_.size() % 2 == 1 && !open_.empty()) {
      taken_ = open_;
      RETURN_IF_ERROR(Take(eval, rows, args_.back()));
    }
    results_.Finish(&result_);
    *out = &result_;
    return absl::OkStatus();
  }

 private:
  absl::Status Take(EvalContext& eval, const RowView& rows, SubsetEval& branch) {
    const Vector* v = nullptr;
    RETURN_IF_ERROR(branch.Eval(eval, rows, taken_, &v));
    results_.Add(*v, taken_);
    return absl::OkStatus();
  }

  std::vector<SubsetEval> args_;
  BranchResults results_;
  std::vector<uint32_t> open_, taken_, rest_;
};

class CoalesceNode : public EvalNode {
 public:
  explicit CoalesceNode(const CoalesceExpr& e) : EvalNode(e.type), args_(MakeSubsets(e.args)) {}
  absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) override {
    results_.Reset(type_, rows.rows);
    AllRows(rows.rows, &open_);
    for (SubsetEval& arg : args_) {
      if (open_.empty()) break;
      const Vector* v = nullptr;
      RETURN_IF_ERROR(arg.Eval(eval, rows, open_, &v));
      results_.Add(*v, open_);
      rest_.clear();
      for (size_t k = 0; k < open_.size(); ++k) {
        if (v->IsNull(k)) rest_.push_back(open_[k]);
      }
      open_.swap(rest_);
    }
    results_.Finish(&result_);
    *out = &result_;
    return absl::OkStatus();
  }

 private:
  std::vector<SubsetEval> args_;
  BranchResults results_;
  std::vector<uint32_t> open_, rest_;
};

class NullIfNode : public EvalNode {
 public:
  explicit NullIfNode(const NullIfExpr& e) : EvalNode(e.type), value_(MakeEvalNode(e.args[0])), equal_(MakeEvalNode(e.args[2])) {}
  absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) override {
    const Vector *value = nullptr, *equal = nullptr;
    RETURN_IF_ERROR(value_->Eval(eval, rows, &value));
    RETURN_IF_ERROR(equal_->Eval(eval, rows, &equal));
    result_.Slice(*value, 0, rows.rows);
    for (size_t i = 0; i < rows.rows; ++i) {
      if (!equal->IsNull(i) && equal->bools()[i]) result_.SetNull(i);
    }
    *out = &result_;
    return absl::OkStatus();
  }

 private:
  EvalNodePtr value_, equal_;
};

}  // namespace

EvalNodePtr MakeConditionalNode(const ExprPtr& expr) {
  switch (expr->kind) {
    case ExprKind::kAnd: return std::make_unique<LogicNode>(*expr, true);
    case ExprKind::kOr: return std::make_unique<LogicNode>(*expr, false);
    case ExprKind::kNot: return std::make_unique<NotNode>(*expr);
    case ExprKind::kCase: return std::make_unique<CaseNode>(expr->As<CaseExpr>());
    case ExprKind::kCoalesce: return std::make_unique<CoalesceNode>(expr->As<CoalesceExpr>());
    case ExprKind::kNullIf: return std::make_unique<NullIfNode>(expr->As<NullIfExpr>());
    default: break;
  }
  CHECK(false) << "an expression of kind " << static_cast<int>(expr->kind) << " reached the executor";
  return nullptr;
}

}  // namespace insula::sql
