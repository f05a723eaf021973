#include "sql/exec/evaluator.h"

#include <algorithm>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/exec/eval_node.h"

namespace insula::sql {

Evaluator::Evaluator() = default;
Evaluator::Evaluator(Evaluator&&) noexcept = default;
Evaluator& Evaluator::operator=(Evaluator&&) noexcept = default;
Evaluator::~Evaluator() = default;

Evaluator::Evaluator(const ExprPtr& expr) : root_(expr == nullptr ? nullptr : MakeEvalNode(expr)) {
  if (expr == nullptr) return;
  VisitExpr(expr, [this](const Expr& e) {
    const auto* call = e.TryAs<FunctionExpr>();
    if (call == nullptr) return true;
    if (call->function->needs_sequence) {
      uses_sequences_ = true;
      if (!call->args.empty()) sequence_args_.emplace_back(call->args[0]);
    } else if (call->function->name == "setval") {
      uses_sequences_ = true;
    }
    return true;
  });
}

const SqlType& Evaluator::type() const { return root_->type(); }
int Evaluator::column_slot() const { return root_->column_slot(); }

absl::StatusOr<const Vector*> Evaluator::Evaluate(EvalContext& eval, const RowView& rows) {
  const Vector* out = nullptr;
  RETURN_IF_ERROR(root_->Eval(eval, rows, &out));
  return out;
}

absl::StatusOr<Datum> Evaluator::EvaluateValue(EvalContext& eval) {
  ASSIGN_OR_RETURN(const Vector* v, Evaluate(eval, RowView{{}, 1}));
  return v->Get(0);
}

absl::Status Evaluator::Select(EvalContext& eval, const RowView& rows, std::vector<uint32_t>* selected) {
  selected->clear();
  if (rows.rows == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Vector* v, Evaluate(eval, rows));
  const uint8_t* bits = v->bools();
  if (!v->MayHaveNulls()) {
    for (uint32_t i = 0; i < rows.rows; ++i) {
      if (bits[i]) selected->push_back(i);
    }
  } else {
    for (uint32_t i = 0; i < rows.rows; ++i) {
      if (bits[i] && !v->IsNull(i)) selected->push_back(i);
    }
  }
  return absl::OkStatus();
}

absl::Status Evaluator::SequenceDemand(EvalContext& eval, const RowView& rows, std::vector<std::pair<Oid, uint64_t>>* demand) {
  for (Evaluator& arg : sequence_args_) {
    ASSIGN_OR_RETURN(const Vector* v, arg.Evaluate(eval, rows));
    for (size_t i = 0; i < rows.rows; ++i) {
      if (v->IsNull(i)) continue;
      Oid sequence = static_cast<Oid>(v->ints()[i]);
      auto it = std::find_if(demand->begin(), demand->end(), [sequence](const auto& d) { return d.first == sequence; });
      if (it == demand->end()) {
        demand->emplace_back(sequence, 1);
      } else {
        ++it->second;
      }
    }
  }
  return absl::OkStatus();
}

void GatherOrNull(const Vector& src, std::span<const uint32_t> sel, Vector* dst) {
  dst->Reset(src.type());
  AppendSelectedOrNull(src, sel, dst);
}

void AppendSelectedOrNull(const Vector& src, std::span<const uint32_t> sel, Vector* dst) {
  for (uint32_t i : sel) {
    if (i == kNoRow) {
      dst->AppendNull();
    } else {
      dst->AppendFrom(src, i);
    }
  }
}

}  // namespace insula::sql
