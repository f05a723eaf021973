// Operators and what PostgreSQL defines by them: IN, BETWEEN, LIKE, IS DISTINCT FROM, NULLIF, row comparisons, ANY and ALL.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"

namespace insula::sql {
namespace {

// The operator's bare name; {} if it is qualified with a schema that has none.
std::optional<std::string> OperatorName(const ast::QualifiedName& name) {
  if (name.empty()) return std::nullopt;
  if (name.size() > 1 && name[name.size() - 2] != "pg_catalog") return std::nullopt;
  return name.back();
}

}  // namespace

absl::StatusOr<ExprPtr> Binder::MakeOperator(std::string_view name, ExprPtr left, ExprPtr right, int position) {
  // Whole rows compare column by column when both sides are constructors.
  if (left != nullptr && left->kind == ExprKind::kRow && right->kind == ExprKind::kRow) {
    return RowComparison(name, left->args, right->args, position);
  }
  auto resolved = ResolveOperator(name, left != nullptr ? left->type.oid : kInvalidOid, right->type.oid);
  if (!resolved.ok()) return WithPosition(resolved.status(), Position(position));
  std::vector<ExprPtr> args;
  if (left != nullptr) args.push_back(std::move(left));
  args.push_back(std::move(right));
  for (const ExprPtr& a : args) {
    if (a->type.oid == oid::kRecord && a->kind == ExprKind::kSubquery) break;
  }
  ASSIGN_OR_RETURN(args, FinishArgs(resolved->call, std::move(args)));
  auto out = std::make_shared<FunctionExpr>(SqlType{resolved->call.result, -1}, resolved->op->function);
  out->op = resolved->op;
  out->args = std::move(args);
  out->position = Position(position);
  return out;
}

absl::StatusOr<ExprPtr> Binder::Operator(const ast::Operator& o, Scope& scope) {
  if (o.quantifier != ast::Quantifier::kNone) return Quantified(o, scope);
  auto name = OperatorName(o.name);
  if (!name) {
    return Error(sqlstate::kUndefinedFunction, StrCat("operator does not exist: ", StrJoin(o.name, ".")), o.position);
  }
  // `x = NULL` stays what it is: never true. (transform_null_equals is off.)
  ExprPtr left;
  if (o.left) {
    ASSIGN_OR_RETURN(left, Expression(*o.left, scope));
  }
  ASSIGN_OR_RETURN(ExprPtr right, Expression(*o.right, scope));
  // (a, b) = (SELECT c, d): a row-valued subquery.
  if (left != nullptr && left->kind == ExprKind::kRow && right->kind == ExprKind::kSubquery) {
    return Error(sqlstate::kFeatureNotSupported, "comparing a row with a subquery of several columns is not supported yet", o.position);
  }
  return MakeOperator(*name, std::move(left), std::move(right), o.position);
}

absl::StatusOr<ExprPtr> Binder::Quantified(const ast::Operator& o, Scope& scope) {
  auto name = OperatorName(o.name);
  if (!name) return Error(sqlstate::kUndefinedFunction, StrCat("operator does not exist: ", StrJoin(o.name, ".")), o.position);
  const bool all = o.quantifier == ast::Quantifier::kAll;
  ASSIGN_OR_RETURN(ExprPtr left, Expression(*o.left, scope));
  ASSIGN_OR_RETURN(ExprPtr right, Expression(*o.right, scope));
  Oid element = oid::kUnknown;
  if (right->type.oid != oid::kUnknown) {
    element = ElementTypeOf(right->type.oid);
    if (element == kInvalidOid) {
      return Error(sqlstate::kWrongObjectType, StrCat("op ", all ? "ALL" : "ANY", "/", all ? "ANY" : "ALL", " (array) requires array on right side"), o.position);
    }
  }
  auto resolved = ResolveOperator(*name, left->type.oid, element);
  if (!resolved.ok()) return WithPosition(resolved.status(), Position(o.position));
  if (resolved->call.result != oid::kBool) {
    return Error(sqlstate::kWrongObjectType, "op ANY/ALL (array) requires operator to yield boolean", o.position);
  }
  const auto& types = resolved->call.arg_types;
  Oid array = ArrayTypeOf(types[1]);
  if (array == kInvalidOid) {
    return Error(sqlstate::kUndefinedObject, StrCat("could not find array type for data type ", FormatType(types[1])), o.position);
  }
  auto out = std::make_shared<QuantifiedExpr>(resolved->op);
  out->all = all;
  out->position = Position(o.position);
  ASSIGN_OR_RETURN(left, CoerceOr(std::move(left), SqlType{types[0], -1}, CastContext::kImplicit));
  // int2vector and oidvector are read as the arrays they are.
  if (element != types[1]) {
    ASSIGN_OR_RETURN(right, CoerceOr(std::move(right), SqlType{array, -1}, CastContext::kImplicit));
  }
  // x = ANY (ARRAY[1, 2]) is x IN (1, 2), and is stored so.
  if (right->kind == ExprKind::kArray && !right->As<ArrayExpr>().multidimensional && !right->args.empty() && types[0] == types[1] &&
      IsHashable(types[0]) && ((*name == "=" && !all) || (*name == "<>" && all))) {
    auto in = std::make_shared<InListExpr>();
    in->negated = all;
    in->position = out->position;
    in->args.push_back(std::move(left));
    in->args.insert(in->args.end(), right->args.begin(), right->args.end());
    return in;
  }
  out->args = {std::move(left), std::move(right)};
  return out;
}

absl::StatusOr<ExprPtr> Binder::RowComparison(std::string_view op, const std::vector<ExprPtr>& left, const std::vector<ExprPtr>& right, int position) {
  if (left.size() != right.size()) return Error(sqlstate::kSyntaxError, "unequal number of entries in row expressions", position);
  if (left.empty()) return Error(sqlstate::kFeatureNotSupported, "cannot compare rows of zero length", position);
  if (left.size() == 1) return MakeOperator(op, left[0], right[0], position);
  if (op == "=" || op == "<>") {
    std::vector<ExprPtr> parts;
    for (size_t i = 0; i < left.size(); ++i) {
      ASSIGN_OR_RETURN(ExprPtr e, MakeOperator(op, left[i], right[i], position));
      ASSIGN_OR_RETURN(e, CoerceToBool(std::move(e), "row comparison"));
      parts.push_back(std::move(e));
    }
    return op == "=" ? MakeAnd(std::move(parts)) : MakeOr(std::move(parts));
  }
  RowCompareOp kind;
  if (op == "<") {
    kind = RowCompareOp::kLess;
  } else if (op == "<=") {
    kind = RowCompareOp::kLessEqual;
  } else if (op == ">") {
    kind = RowCompareOp::kGreater;
  } else if (op == ">=") {
    kind = RowCompareOp::kGreaterEqual;
  } else {
    return PgErrorBuilder(sqlstate::kFeatureNotSupported, StrCat("could not determine interpretation of row comparison operator ", op))
        .Hint("Row comparison operators must be associated with btree operator families.")
        .Position(Position(position))
        .Build();
  }
  auto out = std::make_shared<RowCompareExpr>(kind);
  out->position = Position(position);
  std::vector<ExprPtr> lefts, rights;
  for (size_t i = 0; i < left.size(); ++i) {
    // The comparison resolves as an operator's arguments do; then both sides take one type.
    ASSIGN_OR_RETURN(ExprPtr e, MakeOperator(op, left[i], right[i], position));
    ExprPtr l = e->args[0], r = e->args[1];
    if (l->type.oid != r->type.oid) {
      ASSIGN_OR_RETURN(Oid common, Common({l, r}, "row comparison"));
      ASSIGN_OR_RETURN(l, CoerceOr(std::move(l), SqlType{common, -1}, CastContext::kImplicit));
      ASSIGN_OR_RETURN(r, CoerceOr(std::move(r), SqlType{common, -1}, CastContext::kImplicit));
    }
    lefts.push_back(std::move(l));
    rights.push_back(std::move(r));
  }
  out->args = std::move(lefts);
  out->args.insert(out->args.end(), rights.begin(), rights.end());
  return out;
}

absl::StatusOr<ExprPtr> Binder::In(const ast::In& in, Scope& scope) {
  ASSIGN_OR_RETURN(ExprPtr left, Expression(*in.left, scope));
  ASSIGN_OR_RETURN(std::vector<ExprPtr> list, Expressions(in.list, scope));
  const std::string_view op = in.negated ? "<>" : "=";
  const bool rows = left->kind == ExprKind::kRow || std::any_of(list.begin(), list.end(), [](const ExprPtr& e) { return e->type.oid == oid::kRecord; });
  if (!rows && list.size() > 1) {
    // One type for all, if there is one and it compares with the left side.
    std::vector<Oid> types = {left->type.oid};
    for (const auto& e : list) types.push_back(e->type.oid);
    auto common = CommonType(types, "IN");
    if (common.ok()) {
      auto resolved = ResolveOperator("=", left->type.oid, *common);
      if (resolved.ok() && resolved->call.arg_types[0] == resolved->call.arg_types[1] && IsHashable(resolved->call.arg_types[0])) {
        const SqlType type{resolved->call.arg_types[0], -1};
        auto out = std::make_shared<InListExpr>();
        out->negated = in.negated;
        out->position = Position(in.position);
        ASSIGN_OR_RETURN(ExprPtr l, CoerceOr(std::move(left), type, CastContext::kImplicit));
        out->args.push_back(std::move(l));
        for (auto& e : list) {
          ASSIGN_OR_RETURN(ExprPtr r, CoerceOr(std::move(e), type, CastContext::kImplicit));
          out->args.push_back(std::move(r));
        }
        return out;
      }
      if (resolved.ok() && FindCast(left->type.oid, *common, CastContext::kImplicit) && IsHashable(*common)) {
        // int2 IN (int4, …): equality across types; both sides take the common one.
        const SqlType type{*common, -1};
        auto out = std::make_shared<InListExpr>();
        out->negated = in.negated;
        out->position = Position(in.position);
        ASSIGN_OR_RETURN(ExprPtr l, CoerceOr(std::move(left), type, CastContext::kImplicit));
        out->args.push_back(std::move(l));
        for (auto& e : list) {
          ASSIGN_OR_RETURN(ExprPtr r, CoerceOr(std::move(e), type, CastContext::kImplicit));
          out->args.push_back(std::move(r));
        }
        return out;
      }
    }
  }
  std::vector<ExprPtr> parts;
  for (auto& e : list) {
    ASSIGN_OR_RETURN(ExprPtr part, MakeOperator(op, left, std::move(e), in.position));
    ASSIGN_OR_RETURN(part, CoerceToBool(std::move(part), "IN"));
    parts.push_back(std::move(part));
  }
  return in.negated ? MakeAnd(std::move(parts)) : MakeOr(std::move(parts));
}

absl::StatusOr<ExprPtr> Binder::Between(const ast::Between& b, Scope& scope) {
  ASSIGN_OR_RETURN(ExprPtr value, Expression(*b.value, scope));
  ASSIGN_OR_RETURN(ExprPtr low, Expression(*b.low, scope));
  ASSIGN_OR_RETURN(ExprPtr high, Expression(*b.high, scope));
  auto between = [&](const ExprPtr& from, const ExprPtr& to) -> absl::StatusOr<ExprPtr> {
    ASSIGN_OR_RETURN(ExprPtr ge, MakeOperator(b.negated ? "<" : ">=", value, from, b.position));
    ASSIGN_OR_RETURN(ExprPtr le, MakeOperator(b.negated ? ">" : "<=", value, to, b.position));
    return b.negated ? MakeOr({std::move(ge), std::move(le)}) : MakeAnd({std::move(ge), std::move(le)});
  };
  ASSIGN_OR_RETURN(ExprPtr forward, between(low, high));
  if (!b.symmetric) return forward;
  ASSIGN_OR_RETURN(ExprPtr backward, between(high, low));
  return b.negated ? MakeAnd({std::move(forward), std::move(backward)}) : MakeOr({std::move(forward), std::move(backward)});
}

absl::StatusOr<ExprPtr> Binder::Like(const ast::Like& l, Scope& scope) {
  ASSIGN_OR_RETURN(ExprPtr value, Expression(*l.value, scope));
  ASSIGN_OR_RETURN(ExprPtr pattern, Expression(*l.pattern, scope));
  std::string_view op;
  switch (l.like) {
    case ast::LikeKind::kLike: op = l.negated ? "!~~" : "~~"; break;
    case ast::LikeKind::kILike: op = l.negated ? "!~~*" : "~~*"; break;
    case ast::LikeKind::kSimilar: op = l.negated ? "!~" : "~"; break;
  }
  return MakeOperator(op, std::move(value), std::move(pattern), l.position);
}

absl::StatusOr<ExprPtr> Binder::MakeDistinct(ExprPtr left, ExprPtr right, bool negated, int position) {
  ASSIGN_OR_RETURN(ExprPtr equal, MakeOperator("=", std::move(left), std::move(right), position));
  if (equal->kind != ExprKind::kFunction) return Error(sqlstate::kFeatureNotSupported, "IS DISTINCT FROM of rows is not supported yet", position);
  ExprPtr l = equal->args[0], r = equal->args[1];
  if (l->type.oid != r->type.oid) {
    ASSIGN_OR_RETURN(Oid common, Common({l, r}, "IS DISTINCT FROM"));
    ASSIGN_OR_RETURN(l, CoerceOr(std::move(l), SqlType{common, -1}, CastContext::kImplicit));
    ASSIGN_OR_RETURN(r, CoerceOr(std::move(r), SqlType{common, -1}, CastContext::kImplicit));
  }
  auto out = std::make_shared<DistinctFromExpr>();
  out->negated = negated;
  out->args = {std::move(l), std::move(r)};
  out->position = Position(position);
  return out;
}

absl::StatusOr<ExprPtr> Binder::DistinctFrom(const ast::DistinctFrom& d, Scope& scope) {
  ASSIGN_OR_RETURN(ExprPtr left, Expression(*d.left, scope));
  ASSIGN_OR_RETURN(ExprPtr right, Expression(*d.right, scope));
  auto is_null = [](const ExprPtr& e) {
    const auto* c = e->TryAs<ConstantExpr>();
    return c != nullptr && c->value.is_null();
  };
  if (is_null(right)) return MakeNullTest(std::move(left), !d.negated);
  if (is_null(left)) return MakeNullTest(std::move(right), !d.negated);
  if (left->kind == ExprKind::kRow && right->kind == ExprKind::kRow) {
    if (left->args.size() != right->args.size()) return Error(sqlstate::kSyntaxError, "unequal number of entries in row expressions", d.position);
    std::vector<ExprPtr> parts;
    for (size_t i = 0; i < left->args.size(); ++i) {
      ASSIGN_OR_RETURN(ExprPtr e, MakeDistinct(left->args[i], right->args[i], d.negated, d.position));
      parts.push_back(std::move(e));
    }
    return d.negated ? MakeAnd(std::move(parts)) : MakeOr(std::move(parts));
  }
  return MakeDistinct(std::move(left), std::move(right), d.negated, d.position);
}

absl::StatusOr<ExprPtr> Binder::NullIf(const ast::NullIf& n, Scope& scope) {
  ASSIGN_OR_RETURN(ExprPtr left, Expression(*n.left, scope));
  ASSIGN_OR_RETURN(ExprPtr right, Expression(*n.right, scope));
  ASSIGN_OR_RETURN(ExprPtr equal, MakeOperator("=", std::move(left), std::move(right), n.position));
  if (equal->kind != ExprKind::kFunction || equal->type.oid != oid::kBool) {
    return Error(sqlstate::kDatatypeMismatch, "NULLIF requires = operator to yield boolean", n.position);
  }
  auto out = std::make_shared<NullIfExpr>(equal->args[0]->type);
  out->args = {equal->args[0], equal->args[1], equal};
  out->position = Position(n.position);
  return out;
}

}  // namespace insula::sql
