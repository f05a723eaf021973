#include "sql/exec/eval_node.h"

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_set>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/registry.h"
#include "sql/types/array.h"
#include "sql/types/cast.h"

namespace insula::sql {
namespace {

using NodeVector = std::vector<EvalNodePtr>;

NodeVector MakeNodes(const std::vector<ExprPtr>& exprs) {
  NodeVector out;
  for (const auto& e : exprs) out.push_back(MakeEvalNode(e));
  return out;
}

class ColumnNode : public EvalNode {
 public:
  ColumnNode(SqlType type, int slot) : EvalNode(type), slot_(slot) { CHECK_GE(slot, 0) << "a column without a slot"; }
  absl::Status Eval(EvalContext&, const RowView& rows, const Vector** out) override {
    DCHECK(static_cast<size_t>(slot_) < rows.columns.size());
    *out = rows.columns[slot_];
    return absl::OkStatus();
  }
  int column_slot() const override { return slot_; }

 private:
  int slot_;
};

// A value that is the same for all rows. Kept as a vector that only grows.
class SameValue {
 public:
  void Set(SqlType type, Datum value) {
    value_ = std::move(value);
    vector_.Reset(type);
  }
  const Vector* Rows(size_t rows) {
    if (vector_.size() < rows) {
      SqlType type = vector_.type();
      vector_.Reset(type);
      vector_.AppendConstant(value_, rows < 16 ? rows : std::max(rows, kBatchRows));
    }
    return &vector_;
  }

 private:
  Datum value_;
  Vector vector_;
};

class ConstantNode : public EvalNode {
 public:
  explicit ConstantNode(const ConstantExpr& e) : EvalNode(e.type) { value_.Set(e.type, e.value); }
  absl::Status Eval(EvalContext&, const RowView& rows, const Vector** out) override {
    *out = value_.Rows(rows.rows);
    return absl::OkStatus();
  }

 private:
  SameValue value_;
};

class ParameterNode : public EvalNode {
 public:
  explicit ParameterNode(const ParameterExpr& e) : EvalNode(e.type), index_(e.index) {}
  absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) override {
    if (!set_) {
      if (index_ < 0 || static_cast<size_t>(index_) >= eval.parameters.size()) {
        return PgError(sqlstate::kUndefinedParameter, StrCat("there is no parameter $", index_ + 1));
      }
      value_.Set(type_, eval.parameters[index_]);
      set_ = true;
    }
    *out = value_.Rows(rows.rows);
    return absl::OkStatus();
  }

 private:
  int index_;
  bool set_ = false;
  SameValue value_;
};

class ExecParamNode : public EvalNode {
 public:
  explicit ExecParamNode(const ExecParamExpr& e) : EvalNode(e.type), index_(e.index) {}
  absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) override {
    if (version_ != eval.exec_version) {
      CHECK_LT(static_cast<size_t>(index_), eval.exec_params.size());
      value_.Set(type_, eval.exec_params[index_]);
      version_ = eval.exec_version;
    }
    *out = value_.Rows(rows.rows);
    return absl::OkStatus();
  }

 private:
  int index_;
  std::optional<uint64_t> version_;
  SameValue value_;
};

// A subtree that depends on no row, no exec parameter and nothing volatile: evaluated at first use, once per execution.
class OnceNode : public EvalNode {
 public:
  OnceNode(SqlType type, EvalNodePtr node) : EvalNode(type), node_(std::move(node)) {}
  absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) override {
    if (!done_) {
      const Vector* v = nullptr;
      RETURN_IF_ERROR(node_->Eval(eval, RowView{{}, 1}, &v));
      value_.Set(v->type(), v->Get(0));
      done_ = true;
    }
    *out = value_.Rows(rows.rows);
    return absl::OkStatus();
  }

 private:
  EvalNodePtr node_;
  bool done_ = false;
  SameValue value_;
};

// Nodes with plain arguments: all evaluated on all rows first.
class ArgsNode : public EvalNode {
 public:
  ArgsNode(SqlType type, NodeVector args) : EvalNode(type), args_(std::move(args)), values_(args_.size()) {}
  absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) final {
    for (size_t i = 0; i < args_.size(); ++i) RETURN_IF_ERROR(args_[i]->Eval(eval, rows, &values_[i]));
    *out = &result_;
    return Compute(eval, rows.rows);
  }

 protected:
  virtual absl::Status Compute(EvalContext& eval, size_t rows) = 0;
  // result_ becomes `rows` booleans, none NULL.
  uint8_t* ResetBools(size_t rows) {
    result_.Reset({oid::kBool, -1});
    result_.Resize(rows);
    return result_.bools();
  }
  NodeVector args_;
  std::vector<const Vector*> values_;
};

class FunctionNode : public ArgsNode {
 public:
  explicit FunctionNode(const FunctionExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), function_(e.function) {}

 protected:
  absl::Status Compute(EvalContext& eval, size_t rows) override {
    return sql::Evaluate(*function_, type_, *eval.functions, values_, rows, &result_);
  }

 private:
  const FunctionInfo* function_;
};

// concat(VARIADIC array) and its kin: the array's elements are the arguments, so their number differs from row to row.
class SpreadNode : public ArgsNode {
 public:
  explicit SpreadNode(const FunctionExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), function_(e.function) {}

 protected:
  absl::Status Compute(EvalContext& eval, size_t rows) override {
    result_.Reset(type_);
    const Vector& arrays = *values_.back();
    const SqlType element{ElementTypeOf(arrays.type().oid), -1};
    Vector one;
    for (size_t i = 0; i < rows; ++i) {
      if (arrays.IsNull(i) && function_->name != "format") {
        result_.AppendNull();
        continue;
      }
      std::vector<Vector> args;
      for (size_t a = 0; a + 1 < values_.size(); ++a) args.emplace_back().Slice(*values_[a], i, 1);
      if (!arrays.IsNull(i)) {
        ASSIGN_OR_RETURN(ArrayValue array, ArrayValue::Decode(arrays.bytes(i)));
        for (const Datum& v : array.elements) args.emplace_back(element).Append(v);
      }
      std::vector<const Vector*> pointers;
      for (const Vector& v : args) pointers.push_back(&v);
      RETURN_IF_ERROR(sql::Evaluate(*function_, type_, *eval.functions, pointers, 1, &one));
      result_.AppendFrom(one, 0);
    }
    return absl::OkStatus();
  }

 private:
  const FunctionInfo* function_;
};

class CastNode : public EvalNode {
 public:
  explicit CastNode(const CastExpr& e) : EvalNode(e.type), arg_(MakeEvalNode(e.args[0])), context_(e.context) {
    same_ = arg_->type().oid == type_.oid && !NeedsTypmodCoercion(arg_->type(), type_);
  }
  absl::Status Eval(EvalContext& eval, const RowView& rows, const Vector** out) override {
    const Vector* v = nullptr;
    RETURN_IF_ERROR(arg_->Eval(eval, rows, &v));
    if (same_) {
      *out = v;
      return absl::OkStatus();
    }
    if (v->size() != rows.rows) {  // a constant's vector is longer
      cut_.Slice(*v, 0, rows.rows);
      v = &cut_;
    }
    *out = &result_;
    return CastVector(eval.functions->io, *v, type_, context_, &result_);
  }

 private:
  EvalNodePtr arg_;
  CastContext context_;
  bool same_;
  Vector cut_;
};

class MinMaxNode : public ArgsNode {
 public:
  explicit MinMaxNode(const MinMaxExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), greatest_(e.greatest) {}

 protected:
  absl::Status Compute(EvalContext&, size_t rows) override {
    result_.Reset(type_);
    return EvaluateGreatestLeast(greatest_, values_, rows, &result_);
  }

 private:
  bool greatest_;
};

class DistinctFromNode : public ArgsNode {
 public:
  explicit DistinctFromNode(const DistinctFromExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), negated_(e.negated) {}

 protected:
  absl::Status Compute(EvalContext&, size_t rows) override {
    uint8_t* out = ResetBools(rows);
    for (size_t i = 0; i < rows; ++i) out[i] = Vector::NotDistinct(*values_[0], i, *values_[1], i) == negated_;
    return absl::OkStatus();
  }

 private:
  bool negated_;
};

class QuantifiedNode : public ArgsNode {
 public:
  explicit QuantifiedNode(const QuantifiedExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), op_(e.op), all_(e.all) {}

 protected:
  absl::Status Compute(EvalContext& eval, size_t rows) override {
    result_.Reset(type_);
    return EvaluateAnyAll(*op_->function, !all_, *eval.functions, *values_[0], *values_[1], rows, &result_);
  }

 private:
  const OperatorInfo* op_;
  bool all_;
};

bool RecordFieldsAre(std::string_view bytes, bool null) {
  absl::StatusOr<RecordValue> record = RecordValue::Decode(bytes);
  if (!record.ok()) return false;
  return std::all_of(record->fields.begin(), record->fields.end(), [null](const Datum& d) { return d.is_null() == null; });
}

class NullTestNode : public ArgsNode {
 public:
  explicit NullTestNode(const NullTestExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), negated_(e.negated) {
    record_ = e.args[0]->type.oid == oid::kRecord;
  }

 protected:
  absl::Status Compute(EvalContext&, size_t rows) override {
    uint8_t* out = ResetBools(rows);
    const Vector& v = *values_[0];
    for (size_t i = 0; i < rows; ++i) out[i] = v.IsNull(i) != negated_;
    if (!record_) return absl::OkStatus();
    for (size_t i = 0; i < rows; ++i) {
      if (!v.IsNull(i)) out[i] = RecordFieldsAre(v.bytes(i), !negated_);
    }
    return absl::OkStatus();
  }

 private:
  bool negated_, record_;
};

class BooleanTestNode : public ArgsNode {
 public:
  explicit BooleanTestNode(const BooleanTestExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), test_(e.test) {}

 protected:
  absl::Status Compute(EvalContext&, size_t rows) override {
    uint8_t* out = ResetBools(rows);
    const Vector& v = *values_[0];
    for (size_t i = 0; i < rows; ++i) {
      bool null = v.IsNull(i), value = !null && v.bools()[i];
      switch (test_) {
        case BooleanTestKind::kTrue: out[i] = value; break;
        case BooleanTestKind::kNotTrue: out[i] = !value; break;
        case BooleanTestKind::kFalse: out[i] = !null && !value; break;
        case BooleanTestKind::kNotFalse: out[i] = null || value; break;
        case BooleanTestKind::kUnknown: out[i] = null; break;
        case BooleanTestKind::kNotUnknown: out[i] = !null; break;
      }
    }
    return absl::OkStatus();
  }

 private:
  BooleanTestKind test_;
};

// x IN (constants) by a hash set; x IN (expressions) one by one.
class InListNode : public ArgsNode {
 public:
  explicit InListNode(const InListExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), negated_(e.negated), value_type_(e.args[0]->type) {
    constant_ = e.args.size() > 4 && std::all_of(e.args.begin() + 1, e.args.end(), [](const ExprPtr& a) {
                  return a->kind == ExprKind::kConstant || a->kind == ExprKind::kParameter;
                });
  }

 protected:
  absl::Status Compute(EvalContext&, size_t rows) override {
    uint8_t* out = ResetBools(rows);
    if (rows == 0) return absl::OkStatus();
    if (constant_ && !built_) Build();
    const Vector& x = *values_[0];
    for (size_t i = 0; i < rows; ++i) {
      if (x.IsNull(i)) {
        result_.SetNull(i);
        continue;
      }
      bool unknown = has_null_;
      bool found = constant_ ? FindConstant(x, i) : FindOneByOne(x, i, &unknown);
      if (!found && unknown) {
        result_.SetNull(i);
      } else {
        out[i] = found != negated_;
      }
    }
    return absl::OkStatus();
  }

 private:
  void Build() {
    built_ = true;
    for (size_t a = 1; a < values_.size(); ++a) {
      if (values_[a]->IsNull(0)) {
        has_null_ = true;
      } else if (x_is_int()) {
        ints_.insert(values_[a]->ints()[0]);
      } else {
        Datum d = values_[a]->Get(0);
        by_hash_.emplace(HashDatum(value_type_.oid, d), std::move(d));
      }
    }
  }
  bool x_is_int() const { return KindOf(value_type_.oid) == PhysicalKind::kInt; }
  bool FindConstant(const Vector& x, size_t i) const {
    if (x_is_int()) return ints_.contains(x.ints()[i]);
    Datum d = x.Get(i);
    auto [begin, end] = by_hash_.equal_range(HashDatum(value_type_.oid, d));
    return std::any_of(begin, end, [&](const auto& e) { return DatumsEqual(value_type_.oid, d, e.second); });
  }
  bool FindOneByOne(const Vector& x, size_t i, bool* unknown) const {
    for (size_t a = 1; a < values_.size(); ++a) {
      if (values_[a]->IsNull(i)) {
        *unknown = true;
      } else if (Vector::Equal(x, i, *values_[a], i)) {
        return true;
      }
    }
    return false;
  }

  bool negated_;
  SqlType value_type_;
  bool constant_, built_ = false, has_null_ = false;
  std::unordered_set<int64_t> ints_;                 // membership only: no order comes from it
  std::unordered_multimap<uint64_t, Datum> by_hash_;
};

class RowNode : public ArgsNode {
 public:
  explicit RowNode(const RowExpr& e) : ArgsNode(e.type, MakeNodes(e.args)) {}

 protected:
  absl::Status Compute(EvalContext&, size_t rows) override {
    result_.Reset(type_);
    return EvaluateRowConstructor(values_, rows, &result_);
  }
};

class RowCompareNode : public ArgsNode {
 public:
  explicit RowCompareNode(const RowCompareExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), op_(e.op) {}

 protected:
  absl::Status Compute(EvalContext&, size_t rows) override {
    uint8_t* out = ResetBools(rows);
    size_t n = values_.size() / 2;
    for (size_t i = 0; i < rows; ++i) {
      int order = 0;
      bool unknown = false;
      for (size_t c = 0; c < n && order == 0 && !unknown; ++c) {
        const Vector &a = *values_[c], &b = *values_[n + c];
        unknown = a.IsNull(i) || b.IsNull(i);
        if (!unknown) order = Vector::Compare(a, i, b, i);
      }
      if (unknown) {
        result_.SetNull(i);
        continue;
      }
      switch (op_) {
        case RowCompareOp::kLess: out[i] = order < 0; break;
        case RowCompareOp::kLessEqual: out[i] = order <= 0; break;
        case RowCompareOp::kGreater: out[i] = order > 0; break;
        case RowCompareOp::kGreaterEqual: out[i] = order >= 0; break;
      }
    }
    return absl::OkStatus();
  }

 private:
  RowCompareOp op_;
};

class ArrayNode : public ArgsNode {
 public:
  explicit ArrayNode(const ArrayExpr& e) : ArgsNode(e.type, MakeNodes(e.args)) {}

 protected:
  absl::Status Compute(EvalContext&, size_t rows) override {
    result_.Reset(type_);
    return EvaluateArray(values_, rows, &result_);
  }
};

class SubscriptNode : public ArgsNode {
 public:
  explicit SubscriptNode(const SubscriptExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), slice_(e.slice), omitted_(e.omitted) {}

 protected:
  absl::Status Compute(EvalContext&, size_t rows) override {
    result_.Reset(type_);
    auto subscripts = std::span<const Vector* const>(values_).subspan(1);
    if (!slice_) return EvaluateSubscript(*values_[0], subscripts, rows, &result_);
    std::vector<const Vector*> lower, upper;
    for (size_t i = 0; i < subscripts.size(); ++i) {
      const Vector* v = i < omitted_.size() && omitted_[i] ? nullptr : subscripts[i];
      (i % 2 == 0 ? lower : upper).push_back(v);
    }
    return EvaluateSlice(*values_[0], lower, upper, rows, &result_);
  }

 private:
  bool slice_;
  std::vector<bool> omitted_;
};

class FieldSelectNode : public ArgsNode {
 public:
  explicit FieldSelectNode(const FieldSelectExpr& e) : ArgsNode(e.type, MakeNodes(e.args)), field_(e.field) {}

 protected:
  absl::Status Compute(EvalContext&, size_t rows) override {
    result_.Reset(type_);
    for (size_t i = 0; i < rows; ++i) {
      if (values_[0]->IsNull(i)) {
        result_.AppendNull();
        continue;
      }
      ASSIGN_OR_RETURN(RecordValue record, RecordValue::Decode(values_[0]->bytes(i)));
      if (static_cast<size_t>(field_) >= record.fields.size()) {
        return PgError(sqlstate::kDatatypeMismatch, "a record has fewer fields than expected");
      }
      result_.Append(record.fields[field_]);
    }
    return absl::OkStatus();
  }

 private:
  int field_;
};

EvalNodePtr MakeBareNode(const ExprPtr& expr) {
  switch (expr->kind) {
    case ExprKind::kConstant: return std::make_unique<ConstantNode>(expr->As<ConstantExpr>());
    case ExprKind::kParameter: return std::make_unique<ParameterNode>(expr->As<ParameterExpr>());
    case ExprKind::kExecParam: return std::make_unique<ExecParamNode>(expr->As<ExecParamExpr>());
    case ExprKind::kColumn: return std::make_unique<ColumnNode>(expr->type, expr->As<ColumnExpr>().slot);
    case ExprKind::kFunction: {
      const auto& f = expr->As<FunctionExpr>();
      if (f.variadic && f.function->variadic == oid::kAny && IsArray(f.args.back()->type.oid)) return std::make_unique<SpreadNode>(f);
      return std::make_unique<FunctionNode>(f);
    }
    case ExprKind::kCast: return std::make_unique<CastNode>(expr->As<CastExpr>());
    case ExprKind::kMinMax: return std::make_unique<MinMaxNode>(expr->As<MinMaxExpr>());
    case ExprKind::kInList: return std::make_unique<InListNode>(expr->As<InListExpr>());
    case ExprKind::kQuantified: return std::make_unique<QuantifiedNode>(expr->As<QuantifiedExpr>());
    case ExprKind::kNullTest: return std::make_unique<NullTestNode>(expr->As<NullTestExpr>());
    case ExprKind::kDistinctFrom: return std::make_unique<DistinctFromNode>(expr->As<DistinctFromExpr>());
    case ExprKind::kBooleanTest: return std::make_unique<BooleanTestNode>(expr->As<BooleanTestExpr>());
    case ExprKind::kRow: return std::make_unique<RowNode>(expr->As<RowExpr>());
    case ExprKind::kRowCompare: return std::make_unique<RowCompareNode>(expr->As<RowCompareExpr>());
    case ExprKind::kArray: return std::make_unique<ArrayNode>(expr->As<ArrayExpr>());
    case ExprKind::kSubscript: return std::make_unique<SubscriptNode>(expr->As<SubscriptExpr>());
    case ExprKind::kFieldSelect: return std::make_unique<FieldSelectNode>(expr->As<FieldSelectExpr>());
    default: return MakeConditionalNode(expr);
  }
}

bool IsLeaf(ExprKind kind) {
  return kind == ExprKind::kConstant || kind == ExprKind::kParameter || kind == ExprKind::kExecParam || kind == ExprKind::kColumn;
}

bool ReadsExecParam(const ExprPtr& expr) {
  bool found = false;
  VisitExpr(expr, [&](const Expr& e) {
    found |= e.kind == ExprKind::kExecParam;
    return !found;
  });
  return found;
}

}  // namespace

EvalNodePtr MakeEvalNode(const ExprPtr& expr) {
  EvalNodePtr node = MakeBareNode(expr);
  std::set<int> slots;
  VisitExpr(expr, [&](const Expr& e) {
    if (const auto* c = e.TryAs<ColumnExpr>()) slots.insert(c->slot);
    return true;
  });
  if (slots.empty() && !IsLeaf(expr->kind) && IsStable(expr) && !ReadsExecParam(expr)) {
    node = std::make_unique<OnceNode>(expr->type, std::move(node));
  }
  node->set_slots({slots.begin(), slots.end()});
  return node;
}

absl::Status SubsetEval::Eval(EvalContext& eval, const RowView& rows, std::span<const uint32_t> selected, const Vector** out) {
  if (selected.size() == rows.rows) return node_->Eval(eval, rows, out);
  const std::vector<int>& slots = node_->slots();
  gathered_.resize(slots.size());
  pointers_.assign(rows.columns.size(), nullptr);
  for (size_t k = 0; k < slots.size(); ++k) {
    gathered_[k].Gather(*rows.columns[slots[k]], selected);
    pointers_[slots[k]] = &gathered_[k];
  }
  return node_->Eval(eval, RowView{pointers_, selected.size()}, out);
}

}  // namespace insula::sql
