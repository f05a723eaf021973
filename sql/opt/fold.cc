#include "sql/opt/fold.h"

#include <algorithm>
#include <limits>

namespace insula::sql {
namespace {

const ConstantExpr* AsConstant(const ExprPtr& e) { return e->TryAs<ConstantExpr>(); }
bool IsNullConstant(const ExprPtr& e) { return AsConstant(e) != nullptr && AsConstant(e)->value.is_null(); }
bool IsFalse(const ExprPtr& e) { return IsFalseOrNull(e) && !IsNullConstant(e); }
bool AllConstant(const std::vector<ExprPtr>& args) {
  return std::all_of(args.begin(), args.end(), [](const ExprPtr& a) { return AsConstant(a) != nullptr; });
}

ExprPtr MakeConstant(const SqlType& type, Datum value, int position) {
  auto e = std::make_shared<ConstantExpr>(type, std::move(value));
  e->position = position;
  return e;
}

// Smallest and largest value of an integer type.
std::pair<int64_t, int64_t> RangeOf(Oid type) {
  if (type == oid::kInt2) return {std::numeric_limits<int16_t>::min(), std::numeric_limits<int16_t>::max()};
  if (type == oid::kInt4) return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
  return {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
}

class Folder {
 public:
  explicit Folder(FunctionContext* functions) : functions_(functions) {}

  ExprPtr operator()(const ExprPtr& e) {
    switch (e->kind) {
      case ExprKind::kFunction: return Function(e->As<FunctionExpr>());
      case ExprKind::kCast: return Cast(e->As<CastExpr>());
      case ExprKind::kAnd: return And(e);
      case ExprKind::kOr: return Or(e);
      case ExprKind::kNot: return Not(e);
      case ExprKind::kCase: return Case(e);
      case ExprKind::kCoalesce: return Coalesce(e);
      case ExprKind::kNullTest:
        if (AsConstant(e->args[0]) != nullptr) return MakeBool(IsNullConstant(e->args[0]) != e->As<NullTestExpr>().negated);
        return nullptr;
      case ExprKind::kInList: return InList(e->As<InListExpr>());
      case ExprKind::kBooleanTest: return BooleanTest(e->As<BooleanTestExpr>());
      default: return nullptr;
    }
  }

 private:
  ExprPtr Function(const FunctionExpr& f) {
    const FunctionInfo& info = *f.function;
    if (info.kind != FunctionKind::kScalar || info.returns_set) return nullptr;
    if (info.strict && info.volatility != Volatility::kVolatile && std::any_of(f.args.begin(), f.args.end(), IsNullConstant)) {
      const bool safe = std::all_of(f.args.begin(), f.args.end(), [](const ExprPtr& a) { return IsStable(a); });
      if (safe) return MakeConstant(f.type, Datum::Null(), f.position);
    }
    if (ExprPtr e = UnwrapCast(f)) return e;
    if (functions_ == nullptr || !IsFoldable(info) || info.eval == nullptr || !AllConstant(f.args)) return nullptr;
    std::vector<Datum> values;
    std::vector<SqlType> types;
    for (const auto& a : f.args) {
      values.push_back(AsConstant(a)->value);
      types.push_back(a->type);
    }
    auto result = EvaluateRow(info, f.type, *functions_, values, types);
    if (!result.ok()) return nullptr;
    return MakeConstant(f.type, *std::move(result), f.position);
  }

  // small_int::bigint = 5 is small_int = 5: so that an index on the column serves.
  ExprPtr UnwrapCast(const FunctionExpr& f) {
    if (f.op == nullptr || f.args.size() != 2) return nullptr;
    static constexpr std::string_view kComparisons[] = {"=", "<>", "<", "<=", ">", ">="};
    if (std::find(std::begin(kComparisons), std::end(kComparisons), f.op->name) == std::end(kComparisons)) return nullptr;
    for (size_t side : {0, 1}) {
      const auto* cast = f.args[side]->TryAs<CastExpr>();
      const auto* constant = AsConstant(f.args[1 - side]);
      if (cast == nullptr || constant == nullptr || constant->value.is_null()) continue;
      const Oid from = cast->args[0]->type.oid;
      ExprPtr narrowed = Narrow(*constant, from);
      if (narrowed == nullptr || !IsInteger(from)) continue;
      const OperatorInfo* op = FindOperatorExact(f.op->name, from, from);
      if (op == nullptr) continue;
      auto out = std::make_shared<FunctionExpr>(f.type, op->function);
      out->op = op;
      out->position = f.position;
      out->args = {cast->args[0], narrowed};
      if (side == 1) std::swap(out->args[0], out->args[1]);
      return out;
    }
    return nullptr;
  }

  // The constant as a value of a smaller integer type, if it is one.
  ExprPtr Narrow(const ConstantExpr& c, Oid to) {
    if (!IsInteger(to) || c.value.is_null()) return nullptr;
    int64_t v = 0;
    if (IsInteger(c.type.oid)) {
      v = c.value.int_value();
    } else if (c.type.oid == oid::kNumeric && c.value.numeric_value().IsIntegral()) {
      auto n = c.value.numeric_value().ToInt64();
      if (!n.ok()) return nullptr;
      v = *n;
    } else {
      return nullptr;
    }
    auto [low, high] = RangeOf(to);
    if (v < low || v > high) return nullptr;
    return MakeConstant(SqlType{to, -1}, Datum::Int(v), c.position);
  }

  ExprPtr Cast(const CastExpr& c) {
    const ConstantExpr* constant = AsConstant(c.args[0]);
    if (constant == nullptr) return nullptr;
    if (constant->value.is_null()) return MakeConstant(c.type, Datum::Null(), c.position);
    if (functions_ == nullptr || CastVolatility(c.args[0]->type.oid, c.type.oid) != Volatility::kImmutable) return nullptr;
    auto result = CastDatum(functions_->io, c.args[0]->type.oid, constant->value, c.type, c.context);
    if (!result.ok()) return nullptr;
    return MakeConstant(c.type, *std::move(result), c.position);
  }

  ExprPtr And(const ExprPtr& e) {
    std::vector<ExprPtr> args;
    bool changed = false;
    for (const auto& a : e->args) {
      if (IsTrue(a)) {
        changed = true;
      } else if (IsFalse(a)) {
        return MakeBool(false);
      } else if (std::any_of(args.begin(), args.end(), [&](const ExprPtr& x) { return ExprEquals(x, a); }) && IsStable(a)) {
        changed = true;
      } else {
        changed = changed || a->kind == ExprKind::kAnd;
        args.push_back(a);
      }
    }
    return changed ? MakeAnd(std::move(args)) : nullptr;
  }

  ExprPtr Or(const ExprPtr& e) {
    std::vector<ExprPtr> args;
    bool changed = false;
    for (const auto& a : e->args) {
      if (IsFalse(a)) {
        changed = true;
      } else if (IsTrue(a)) {
        return MakeBool(true);
      } else if (std::any_of(args.begin(), args.end(), [&](const ExprPtr& x) { return ExprEquals(x, a); }) && IsStable(a)) {
        changed = true;
      } else {
        changed = changed || a->kind == ExprKind::kOr;
        args.push_back(a);
      }
    }
    if (ExprPtr in = OrToIn(args)) return in;
    return changed ? MakeOr(std::move(args)) : nullptr;
  }

  // x = 1 OR x = 2 OR x IN (3, 4) is x IN (1, 2, 3, 4).
  ExprPtr OrToIn(const std::vector<ExprPtr>& args) {
    if (args.size() < 2) return nullptr;
    ExprPtr subject;
    std::vector<ExprPtr> values;
    for (const auto& a : args) {
      ExprPtr left;
      if (const auto* in = a->TryAs<InListExpr>(); in != nullptr && !in->negated) {
        left = in->args[0];
        values.insert(values.end(), in->args.begin() + 1, in->args.end());
      } else if (const auto* f = a->TryAs<FunctionExpr>(); f != nullptr && f->op != nullptr && f->op->name == "=" &&
                                                           f->args[0]->type.oid == f->args[1]->type.oid && IsHashable(f->args[0]->type.oid)) {
        left = f->args[0];
        values.push_back(f->args[1]);
      }
      if (left == nullptr || left->kind != ExprKind::kColumn || !IsRowIndependent(values.back())) return nullptr;
      if (subject != nullptr && !ExprEquals(subject, left)) return nullptr;
      subject = left;
    }
    for (const auto& v : values) {
      if (v->type.oid != subject->type.oid || !IsRowIndependent(v)) return nullptr;
    }
    auto out = std::make_shared<InListExpr>();
    out->args.push_back(subject);
    out->args.insert(out->args.end(), values.begin(), values.end());
    return out;
  }

  ExprPtr Not(const ExprPtr& e) {
    const ExprPtr& a = e->args[0];
    if (const auto* c = AsConstant(a)) return c->value.is_null() ? a : MakeBool(!c->value.bool_value());
    switch (a->kind) {
      case ExprKind::kNot: return a->args[0];
      case ExprKind::kNullTest: {
        auto out = std::static_pointer_cast<NullTestExpr>(a->Clone());
        out->negated = !out->negated;
        return out;
      }
      case ExprKind::kInList: {
        auto out = std::static_pointer_cast<InListExpr>(a->Clone());
        out->negated = !out->negated;
        return out;
      }
      case ExprKind::kDistinctFrom: {
        auto out = std::static_pointer_cast<DistinctFromExpr>(a->Clone());
        out->negated = !out->negated;
        return out;
      }
      case ExprKind::kAnd:
      case ExprKind::kOr: {
        std::vector<ExprPtr> args;
        for (const auto& x : a->args) {
          ExprPtr negated = MakeNot(x);
          ExprPtr simpler = Not(negated);
          args.push_back(simpler ? simpler : negated);
        }
        return a->kind == ExprKind::kAnd ? MakeOr(std::move(args)) : MakeAnd(std::move(args));
      }
      case ExprKind::kFunction: {
        const auto& f = a->As<FunctionExpr>();
        if (f.op == nullptr || f.op->negator == kInvalidOid) return nullptr;
        const OperatorInfo* op = FindOperator(f.op->negator);
        if (op == nullptr || op->function == nullptr) return nullptr;
        auto out = std::make_shared<FunctionExpr>(f.type, op->function);
        out->op = op;
        out->args = f.args;
        out->position = f.position;
        return out;
      }
      default: return nullptr;
    }
  }

  ExprPtr Case(const ExprPtr& e) {
    const auto& c = e->As<CaseExpr>();
    std::vector<ExprPtr> args;
    size_t i = 0;
    bool changed = false;
    for (; i + 1 < c.args.size(); i += 2) {
      if (IsFalseOrNull(c.args[i])) {
        changed = true;
        continue;
      }
      if (IsTrue(c.args[i])) {
        if (args.empty()) return c.args[i + 1];
        args.push_back(c.args[i + 1]);  // from here on it is the ELSE
        changed = true;
        i = c.args.size();
        break;
      }
      args.push_back(c.args[i]);
      args.push_back(c.args[i + 1]);
    }
    if (!changed) return nullptr;
    if (i < c.args.size()) args.push_back(c.args[i]);
    if (args.empty()) return MakeNull(c.type);
    if (args.size() == 1) return args[0];
    auto out = std::make_shared<CaseExpr>(c.type);
    out->position = c.position;
    out->args = std::move(args);
    return out;
  }

  ExprPtr Coalesce(const ExprPtr& e) {
    std::vector<ExprPtr> args;
    for (const auto& a : e->args) {
      if (IsNullConstant(a)) continue;
      args.push_back(a);
      if (AsConstant(a) != nullptr) break;  // never NULL: nothing after it counts
    }
    if (args.size() == e->args.size()) return args.size() == 1 ? args[0] : nullptr;
    if (args.empty()) return MakeNull(e->type);
    if (args.size() == 1) return args[0];
    auto out = std::make_shared<CoalesceExpr>(e->type);
    out->args = std::move(args);
    out->position = e->position;
    return out;
  }

  ExprPtr InList(const InListExpr& in) {
    // cast(small_int) IN (1, 2): on the small type, if every member fits it.
    const auto* cast = in.args[0]->TryAs<CastExpr>();
    if (cast != nullptr && IsInteger(cast->args[0]->type.oid)) {
      std::vector<ExprPtr> args = {cast->args[0]};
      for (size_t i = 1; i < in.args.size(); ++i) {
        const ConstantExpr* c = AsConstant(in.args[i]);
        ExprPtr narrowed = c != nullptr ? Narrow(*c, cast->args[0]->type.oid) : nullptr;
        if (narrowed == nullptr) break;
        args.push_back(std::move(narrowed));
      }
      if (args.size() == in.args.size()) {
        auto out = std::make_shared<InListExpr>();
        out->negated = in.negated;
        out->args = std::move(args);
        return out;
      }
    }
    if (!AllConstant(in.args)) return nullptr;
    const Datum& left = AsConstant(in.args[0])->value;
    if (left.is_null()) return MakeNull(in.type);
    bool null = false;
    for (size_t i = 1; i < in.args.size(); ++i) {
      const Datum& v = AsConstant(in.args[i])->value;
      if (v.is_null()) {
        null = true;
      } else if (DatumsEqual(in.args[0]->type.oid, left, v)) {
        return MakeBool(!in.negated);
      }
    }
    return null ? MakeNull(in.type) : MakeBool(in.negated);
  }

  ExprPtr BooleanTest(const BooleanTestExpr& t) {
    const ConstantExpr* c = AsConstant(t.args[0]);
    if (c == nullptr) return nullptr;
    const bool null = c->value.is_null(), truth = !null && c->value.bool_value();
    switch (t.test) {
      case BooleanTestKind::kTrue: return MakeBool(truth);
      case BooleanTestKind::kNotTrue: return MakeBool(!truth);
      case BooleanTestKind::kFalse: return MakeBool(!null && !truth);
      case BooleanTestKind::kNotFalse: return MakeBool(null || truth);
      case BooleanTestKind::kUnknown: return MakeBool(null);
      case BooleanTestKind::kNotUnknown: return MakeBool(!null);
    }
    return nullptr;
  }

  FunctionContext* functions_;
};

}  // namespace

ExprPtr Fold(const ExprPtr& expr, FunctionContext* functions) {
  Folder folder(functions);
  return RewriteExpr(expr, [&](const ExprPtr& e) { return folder(e); });
}

}  // namespace insula::sql
