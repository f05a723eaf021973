#include "sql/plan/expression.h"

#include <algorithm>

namespace insula::sql {
namespace {

const SqlType kBoolType{oid::kBool, -1};

// Payloads alone; kinds, types and children are compared by the caller.
bool PayloadEquals(const Expr& a, const Expr& b) {
  switch (a.kind) {
    case ExprKind::kConstant: {
      const auto& x = a.As<ConstantExpr>().value;
      const auto& y = b.As<ConstantExpr>().value;
      if (x.is_null() || y.is_null()) return x.is_null() && y.is_null();
      if (a.type.oid == oid::kNumeric) return x.numeric_value().ToString() == y.numeric_value().ToString();
      if (x.Is(PhysicalKind::kBytes) && y.Is(PhysicalKind::kBytes)) return x.bytes_value() == y.bytes_value();
      return DatumsEqual(a.type.oid, x, y);
    }
    case ExprKind::kParameter:
      return a.As<ParameterExpr>().index == b.As<ParameterExpr>().index;
    case ExprKind::kExecParam:
      return a.As<ExecParamExpr>().index == b.As<ExecParamExpr>().index;
    case ExprKind::kColumn:
      return a.As<ColumnExpr>().column == b.As<ColumnExpr>().column;
    case ExprKind::kFunction:
      return a.As<FunctionExpr>().function == b.As<FunctionExpr>().function;
    case ExprKind::kCast:
      // The context only decides what happens to a value that its modifier does not fit.
      return a.type.typmod < 0 || a.As<CastExpr>().context == b.As<CastExpr>().context;
    case ExprKind::kMinMax:
      return a.As<MinMaxExpr>().greatest == b.As<MinMaxExpr>().greatest;
    case ExprKind::kInList:
      return a.As<InListExpr>().negated == b.As<InListExpr>().negated;
    case ExprKind::kQuantified:
      return a.As<QuantifiedExpr>().op == b.As<QuantifiedExpr>().op && a.As<QuantifiedExpr>().all == b.As<QuantifiedExpr>().all;
    case ExprKind::kNullTest:
      return a.As<NullTestExpr>().negated == b.As<NullTestExpr>().negated;
    case ExprKind::kDistinctFrom:
      return a.As<DistinctFromExpr>().negated == b.As<DistinctFromExpr>().negated;
    case ExprKind::kBooleanTest:
      return a.As<BooleanTestExpr>().test == b.As<BooleanTestExpr>().test;
    case ExprKind::kRowCompare:
      return a.As<RowCompareExpr>().op == b.As<RowCompareExpr>().op;
    case ExprKind::kArray:
      return a.As<ArrayExpr>().multidimensional == b.As<ArrayExpr>().multidimensional;
    case ExprKind::kSubscript:
      return a.As<SubscriptExpr>().slice == b.As<SubscriptExpr>().slice && a.As<SubscriptExpr>().omitted == b.As<SubscriptExpr>().omitted;
    case ExprKind::kFieldSelect:
      return a.As<FieldSelectExpr>().field == b.As<FieldSelectExpr>().field;
    case ExprKind::kSubquery:
      return false;  // only the same object equals itself
    case ExprKind::kAnd:
    case ExprKind::kOr:
    case ExprKind::kNot:
    case ExprKind::kCase:
    case ExprKind::kCoalesce:
    case ExprKind::kNullIf:
    case ExprKind::kRow:
    case ExprKind::kDefault:
      return true;
  }
  return false;
}

// Appends `args` to `out`, replacing nodes of kind K by their own arguments.
template <typename T>
void Flatten(std::vector<ExprPtr> args, std::vector<ExprPtr>* out) {
  for (auto& a : args) {
    if (a->kind == T::kKind) {
      Flatten<T>(a->args, out);
    } else {
      out->push_back(std::move(a));
    }
  }
}

template <typename T>
ExprPtr MakeNary(std::vector<ExprPtr> args, bool if_empty) {
  std::vector<ExprPtr> flat;
  Flatten<T>(std::move(args), &flat);
  if (flat.empty()) return MakeBool(if_empty);
  if (flat.size() == 1) return flat[0];
  auto e = std::make_shared<T>();
  e->args = std::move(flat);
  return e;
}

// The volatility of what one node does, children aside.
Volatility VolatilityOf(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kFunction: {
      const FunctionInfo& f = *e.As<FunctionExpr>().function;
      return f.volatility;
    }
    case ExprKind::kQuantified:
      return e.As<QuantifiedExpr>().op->function->volatility;
    case ExprKind::kCast:
      return CastVolatility(e.args[0]->type.oid, e.type.oid);
    case ExprKind::kSubquery:
      return Volatility::kVolatile;
    default:
      return Volatility::kImmutable;
  }
}

}  // namespace

AndExpr::AndExpr() : ExprOf(kBoolType) {}
OrExpr::OrExpr() : ExprOf(kBoolType) {}
NotExpr::NotExpr() : ExprOf(kBoolType) {}
InListExpr::InListExpr() : ExprOf(kBoolType) {}
QuantifiedExpr::QuantifiedExpr(const OperatorInfo* o) : ExprOf(kBoolType), op(o) {}
NullTestExpr::NullTestExpr() : ExprOf(kBoolType) {}
DistinctFromExpr::DistinctFromExpr() : ExprOf(kBoolType) {}
BooleanTestExpr::BooleanTestExpr(BooleanTestKind t) : ExprOf(kBoolType), test(t) {}
RowCompareExpr::RowCompareExpr(RowCompareOp o) : ExprOf(kBoolType), op(o) {}

ExprPtr MakeColumn(ColumnId column, const SqlType& type, std::string_view name) {
  auto e = std::make_shared<ColumnExpr>(type, column);
  e->name = name;
  return e;
}

ExprPtr MakeNull(const SqlType& type) { return std::make_shared<ConstantExpr>(type, Datum::Null()); }
ExprPtr MakeBool(bool value) { return std::make_shared<ConstantExpr>(kBoolType, Datum::Bool(value)); }
ExprPtr MakeAnd(std::vector<ExprPtr> args) {
  std::erase_if(args, [](const ExprPtr& e) { return IsTrue(e); });
  return MakeNary<AndExpr>(std::move(args), true);
}
ExprPtr MakeOr(std::vector<ExprPtr> args) { return MakeNary<OrExpr>(std::move(args), false); }

ExprPtr MakeNot(ExprPtr arg) {
  auto e = std::make_shared<NotExpr>();
  e->args.push_back(std::move(arg));
  return e;
}

ExprPtr MakeNullTest(ExprPtr arg, bool negated) {
  auto e = std::make_shared<NullTestExpr>();
  e->args.push_back(std::move(arg));
  e->negated = negated;
  return e;
}

bool IsTrue(const ExprPtr& expr) {
  const auto* c = expr->TryAs<ConstantExpr>();
  return c != nullptr && c->type.oid == oid::kBool && !c->value.is_null() && c->value.bool_value();
}

bool IsFalseOrNull(const ExprPtr& expr) {
  const auto* c = expr->TryAs<ConstantExpr>();
  return c != nullptr && c->type.oid == oid::kBool && (c->value.is_null() || !c->value.bool_value());
}

Volatility CastVolatility(Oid from, Oid to) {
  Oid f = IsArray(from) ? ElementTypeOf(from) : from;
  Oid t = IsArray(to) ? ElementTypeOf(to) : to;
  if (f == t || t == oid::kUnknown) return Volatility::kImmutable;
  auto depends = [](Oid o) {  // on settings, the clock or the catalog, when read from or printed as text, or converted
    return o == oid::kTimestamptz || o == oid::kDate || o == oid::kTimestamp || o == oid::kTimetz || o == oid::kTime ||
           o == oid::kInterval || o == oid::kBytea || o == oid::kMoney || o == oid::kRecord || IsRegType(o);
  };
  if ((IsRegType(f) || IsRegType(t)) && !IsString(f) && !IsString(t)) return Volatility::kImmutable;
  if ((f == oid::kDate && t == oid::kTimestamp) || (f == oid::kTimestamp && (t == oid::kDate || t == oid::kTime)) ||
      (f == oid::kTime && t == oid::kInterval) || (f == oid::kInterval && t == oid::kTime)) {
    return Volatility::kImmutable;
  }
  return depends(f) || depends(t) ? Volatility::kStable : Volatility::kImmutable;
}

void SplitConjuncts(const ExprPtr& expr, std::vector<ExprPtr>* out) {
  if (expr == nullptr || IsTrue(expr)) return;
  if (expr->kind != ExprKind::kAnd) {
    out->push_back(expr);
    return;
  }
  for (const auto& a : expr->args) SplitConjuncts(a, out);
}

void VisitExpr(const ExprPtr& expr, const std::function<bool(const Expr&)>& visit) {
  if (expr == nullptr || !visit(*expr)) return;
  for (const auto& a : expr->args) VisitExpr(a, visit);
}

ExprPtr RewriteExpr(const ExprPtr& expr, const std::function<ExprPtr(const ExprPtr&)>& rewrite) {
  if (expr == nullptr) return nullptr;
  std::shared_ptr<Expr> copy;
  for (size_t i = 0; i < expr->args.size(); ++i) {
    ExprPtr arg = RewriteExpr(expr->args[i], rewrite);
    if (arg == expr->args[i]) continue;
    if (!copy) copy = expr->Clone();
    copy->args[i] = std::move(arg);
  }
  ExprPtr current = copy ? ExprPtr(copy) : expr;
  ExprPtr replaced = rewrite(current);
  return replaced ? replaced : current;
}

void CollectColumns(const ExprPtr& expr, ColumnSet* out) {
  VisitExpr(expr, [out](const Expr& e) {
    if (const auto* c = e.TryAs<ColumnExpr>()) out->insert(c->column);
    if (const auto* s = e.TryAs<SubqueryExpr>()) out->insert(s->outer.begin(), s->outer.end());
    return true;
  });
}

ColumnSet ColumnsOf(const ExprPtr& expr) {
  ColumnSet out;
  CollectColumns(expr, &out);
  return out;
}

bool ExprEquals(const ExprPtr& a, const ExprPtr& b) {
  if (a == b) return true;
  if (a == nullptr || b == nullptr) return false;
  if (a->kind != b->kind || a->type != b->type || a->args.size() != b->args.size()) return false;
  if (!PayloadEquals(*a, *b)) return false;
  for (size_t i = 0; i < a->args.size(); ++i) {
    if (!ExprEquals(a->args[i], b->args[i])) return false;
  }
  return true;
}

int LeftmostPosition(const Expr& expr) {
  const bool infix = (expr.kind == ExprKind::kFunction && expr.As<FunctionExpr>().op != nullptr) || expr.kind == ExprKind::kCast || expr.kind == ExprKind::kAnd ||
                     expr.kind == ExprKind::kOr || expr.kind == ExprKind::kInList || expr.kind == ExprKind::kQuantified || expr.kind == ExprKind::kNullTest ||
                     expr.kind == ExprKind::kBooleanTest || expr.kind == ExprKind::kDistinctFrom;
  if (!infix || expr.args.empty()) return expr.position;
  const int inner = LeftmostPosition(*expr.args[0]);
  if (inner == 0) return expr.position;
  return expr.position == 0 ? inner : std::min(inner, expr.position);
}

bool ContainsSubquery(const ExprPtr& expr) {
  bool found = false;
  VisitExpr(expr, [&found](const Expr& e) {
    found |= e.kind == ExprKind::kSubquery;
    return !found;
  });
  return found;
}

bool ContainsSetFunction(const ExprPtr& expr) {
  bool found = false;
  VisitExpr(expr, [&found](const Expr& e) {
    const auto* f = e.TryAs<FunctionExpr>();
    found |= f != nullptr && f->function->returns_set;
    return !found;
  });
  return found;
}

Volatility ExprVolatility(const ExprPtr& expr) {
  Volatility worst = Volatility::kImmutable;
  VisitExpr(expr, [&worst](const Expr& e) {
    worst = std::max(worst, VolatilityOf(e));
    return worst != Volatility::kVolatile;
  });
  return worst;
}

bool IsStable(const ExprPtr& expr) { return ExprVolatility(expr) != Volatility::kVolatile; }

bool IsImmutableConstant(const ExprPtr& expr) {
  bool constant = true;
  VisitExpr(expr, [&constant](const Expr& e) {
    constant &= e.kind != ExprKind::kColumn && e.kind != ExprKind::kParameter && e.kind != ExprKind::kExecParam &&
                e.kind != ExprKind::kSubquery && e.kind != ExprKind::kDefault && VolatilityOf(e) == Volatility::kImmutable;
    if (const auto* f = e.TryAs<FunctionExpr>()) constant &= IsFoldable(*f->function);
    return constant;
  });
  return constant;
}

bool IsRowIndependent(const ExprPtr& expr) {
  bool independent = true;
  VisitExpr(expr, [&independent](const Expr& e) {
    independent &= e.kind != ExprKind::kColumn && VolatilityOf(e) != Volatility::kVolatile;
    return independent;
  });
  return independent;
}

}  // namespace insula::sql
