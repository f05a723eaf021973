// Subqueries in expressions.
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"

namespace insula::sql {
namespace {

// "" where subqueries are allowed.
std::string_view NoSubquery(Clause clause) {
  switch (clause) {
    case Clause::kDefault: return "DEFAULT expression";
    case Clause::kCheck: return "check constraint";
    case Clause::kGenerated: return "column generation expression";
    case Clause::kIndexExpression: return "index expression";
    case Clause::kIndexPredicate: return "index predicate";
    case Clause::kUsing: return "transform expression";
    case Clause::kCopyWhere: return "COPY FROM WHERE condition";
    case Clause::kExecuteArgument: return "EXECUTE parameter";
    default: return "";
  }
}

}  // namespace

absl::StatusOr<ExprPtr> Binder::Subquery(const ast::Subquery& s, Scope& scope) {
  if (std::string_view where = NoSubquery(scope.clause); !where.empty()) {
    return Error(sqlstate::kFeatureNotSupported, StrCat("cannot use subquery in ", where), s.position);
  }
  if (s.select->into) return Error(sqlstate::kSyntaxError, "subquery must not return rows INTO a table", s.position);
  std::vector<ExprPtr> left;
  if (s.test) {
    ASSIGN_OR_RETURN(ExprPtr test, Expression(*s.test, scope));
    left = test->kind == ExprKind::kRow ? test->args : std::vector<ExprPtr>{test};
  }
  ASSIGN_OR_RETURN(QueryResult query, Query(*s.select, &scope, /*resolve_unknown=*/true));
  auto one_column = [&]() -> absl::Status {
    if (query.columns.size() == 1) return absl::OkStatus();
    return Error(sqlstate::kSyntaxError, "subquery must return only one column", s.position);
  };

  SqlType type{oid::kBool, -1};
  if (s.subquery == ast::SubqueryKind::kScalar || s.subquery == ast::SubqueryKind::kArray) {
    RETURN_IF_ERROR(one_column());
    type = out_->columns[query.columns[0].id].type;
    if (s.subquery == ast::SubqueryKind::kArray) {
      const Oid array = IsArray(type.oid) ? type.oid : ArrayTypeOf(type.oid);
      if (array == kInvalidOid) {
        return Error(sqlstate::kUndefinedObject, StrCat("could not find array type for data type ", TypeName(type)), s.position);
      }
      type = SqlType{array, -1};
    }
  }
  auto out = std::make_shared<SubqueryExpr>(type);
  out->subquery = static_cast<SubqueryKind>(s.subquery);  // same order
  out->position = Position(s.position);
  out->plan = query.plan;
  if (!query.columns.empty()) out->column = query.columns[0].id;
  out->outer = OuterColumns(*query.plan);

  if (s.test) {
    if (left.size() != query.columns.size()) {
      return Error(sqlstate::kSyntaxError, left.size() < query.columns.size() ? "subquery has too many columns" : "subquery has too few columns", s.position);
    }
    // Resolve each comparison with the left side as it is, then let a fresh column stand for that side.
    const std::string op = s.operator_.empty() ? "=" : s.operator_.back();
    const bool ordering = left.size() > 1 && op != "=" && op != "<>";
    std::vector<ExprPtr> parts, right;
    for (const FromColumn& c : query.columns) right.push_back(Ref(c.id));
    auto stand_in = [&](const ExprPtr& e) {
      const ColumnId id = AddColumn("left", e->type, scope);
      out->args.push_back(e);
      out->test_columns.push_back(id);
      return Ref(id);
    };
    if (ordering) {
      ASSIGN_OR_RETURN(ExprPtr compare, RowComparison(op, left, right, s.position));
      std::shared_ptr<Expr> copy = compare->Clone();
      for (size_t i = 0; i < left.size(); ++i) copy->args[i] = stand_in(copy->args[i]);
      out->test = copy;
      return out;
    }
    for (size_t i = 0; i < left.size(); ++i) {
      ASSIGN_OR_RETURN(ExprPtr compare, MakeOperator(op, left[i], right[i], s.position));
      if (compare->type.oid != oid::kBool || compare->kind != ExprKind::kFunction) {
        return Error(sqlstate::kDatatypeMismatch, "row comparison operator must yield type boolean, not type " + TypeName(compare->type), s.position);
      }
      std::shared_ptr<Expr> copy = compare->Clone();
      copy->args[0] = stand_in(copy->args[0]);
      parts.push_back(copy);
    }
    out->test = op == "<>" ? MakeOr(std::move(parts)) : MakeAnd(std::move(parts));
  }
  return out;
}

}  // namespace insula::sql
