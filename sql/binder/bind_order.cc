// ORDER BY and DISTINCT.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"

namespace insula::sql {

absl::StatusOr<SortKey> Binder::MakeSortKey(const ast::SortItem& item, ExprPtr expr) {
  SortKey key;
  if (!IsOrderable(expr->type.oid) && expr->type.oid != oid::kRecord && expr->type.oid != oid::kUnknown) {
    return PgErrorBuilder(sqlstate::kUndefinedFunction, StrCat("could not identify an ordering operator for type ", TypeName(expr->type)))
        .Hint("Use an explicit ordering operator or modify the query.")
        .Position(Position(item.position))
        .Build();
  }
  key.descending = item.direction == ast::SortDirection::kDescending;
  if (item.direction == ast::SortDirection::kUsing) {
    const std::string op = item.using_operator.empty() ? "" : item.using_operator.back();
    if (op != "<" && op != ">") {
      return PgErrorBuilder(sqlstate::kWrongObjectType, StrCat("operator ", op, " is not a valid ordering operator"))
          .Hint("Ordering operators must be \"<\" or \">\" members of btree operator families.")
          .Position(Position(item.position))
          .Build();
    }
    key.descending = op == ">";
  }
  key.nulls_first = item.nulls == ast::NullsOrder::kDefault ? key.descending : item.nulls == ast::NullsOrder::kFirst;
  key.expr = std::move(expr);
  return key;
}

// The target that an element of ORDER BY or DISTINCT ON means: a result column by number or name, else an expression over the
// input, which becomes a target of its own if no other computes it.
absl::StatusOr<size_t> Binder::OrderTarget(const ast::Expr& e, std::string_view what, std::vector<Target>* targets, Scope& scope) {
  if (const auto* ref = e.TryAs<ast::ColumnRef>(); ref != nullptr && ref->fields.size() == 1 && !ref->star) {
    std::optional<size_t> match;
    for (size_t i = 0; i < targets->size(); ++i) {
      const Target& t = (*targets)[i];
      if (t.junk || t.name != ref->fields[0]) continue;
      if (match && !ExprEquals((*targets)[*match].expr, t.expr)) {
        return Error(sqlstate::kAmbiguousColumn, StrCat(what, " \"", ref->fields[0], "\" is ambiguous"), e.position);
      }
      if (!match) match = i;
    }
    if (match) return *match;
  }
  if (const auto* c = e.TryAs<ast::Constant>(); c != nullptr && c->constant != ast::ConstantKind::kNull) {
    if (c->constant != ast::ConstantKind::kInteger) return Error(sqlstate::kSyntaxError, StrCat("non-integer constant in ", what), e.position);
    size_t shown = 0;
    for (const Target& t : *targets) shown += t.junk ? 0 : 1;
    if (c->integer < 1 || static_cast<size_t>(c->integer) > shown) {
      return Error(sqlstate::kInvalidColumnReference, StrCat(what, " position ", c->integer, " is not in select list"), e.position);
    }
    return static_cast<size_t>(c->integer - 1);
  }
  ASSIGN_OR_RETURN(ExprPtr bound, Expression(e, scope));
  ASSIGN_OR_RETURN(bound, ResolveUnknown(std::move(bound)));
  for (size_t i = 0; i < targets->size(); ++i) {
    if (ExprEquals((*targets)[i].expr, bound)) return i;
  }
  targets->push_back({"", std::move(bound), 0, true, e.position});
  return targets->size() - 1;
}

absl::StatusOr<std::vector<Binder::OrderItem>> Binder::OrderBy(const std::vector<ast::SortItem>& items, std::vector<Target>* targets, bool distinct,
                                                               Scope& scope) {
  std::vector<OrderItem> out;
  const Clause before = std::exchange(scope.clause, Clause::kOrderBy);
  for (const ast::SortItem& item : items) {
    const size_t known = targets->size();
    auto target = OrderTarget(*item.expr, "ORDER BY", targets, scope);
    if (!target.ok()) {
      scope.clause = before;
      return target.status();
    }
    if (distinct && *target >= known) {
      scope.clause = before;
      return Error(sqlstate::kInvalidColumnReference, "for SELECT DISTINCT, ORDER BY expressions must appear in select list", item.expr->position);
    }
    Target& t = (*targets)[*target];
    ASSIGN_OR_RETURN(t.expr, ResolveUnknown(std::move(t.expr)));
    const bool repeated = std::any_of(out.begin(), out.end(), [&](const OrderItem& o) { return o.target == *target; });
    if (!repeated) out.push_back({*target, &item});
  }
  scope.clause = before;
  return out;
}

// ORDER BY of a set operation or VALUES: its result columns only.
absl::StatusOr<std::vector<SortKey>> Binder::OrderResult(const std::vector<ast::SortItem>& items, const QueryResult& result, std::string_view what,
                                                         Scope& scope) {
  std::vector<SortKey> out;
  for (const ast::SortItem& item : items) {
    std::optional<size_t> match;
    if (const auto* ref = item.expr->TryAs<ast::ColumnRef>(); ref != nullptr && ref->fields.size() == 1) {
      for (size_t i = 0; i < result.columns.size() && !match; ++i) {
        if (result.columns[i].name == ref->fields[0]) match = i;
      }
      if (!match) return NoSuchColumn(ref->fields[0], scope, item.position);
    } else if (const auto* c = item.expr->TryAs<ast::Constant>(); c != nullptr && c->constant == ast::ConstantKind::kInteger) {
      if (c->integer < 1 || static_cast<size_t>(c->integer) > result.columns.size()) {
        return Error(sqlstate::kInvalidColumnReference, StrCat("ORDER BY position ", c->integer, " is not in select list"), item.position);
      }
      match = static_cast<size_t>(c->integer - 1);
    }
    if (!match) {
      return PgErrorBuilder(sqlstate::kFeatureNotSupported, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause")
          .Detail("Only result column names can be used, not expressions or functions.")
          .Hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
          .Position(Position(item.position))
          .Build();
    }
    ASSIGN_OR_RETURN(SortKey key, MakeSortKey(item, Ref(result.columns[*match].id)));
    out.push_back(std::move(key));
  }
  return out;
}

absl::StatusOr<LogicalPtr> Binder::Distinct(const ast::SelectStatement& s, LogicalPtr plan, const std::vector<Target>& targets,
                                            const std::vector<OrderItem>& order, const std::vector<size_t>& on) {
  auto distinct = std::make_shared<LogicalDistinct>();
  for (const Target& t : targets) {
    if (!t.junk && on.empty() && !IsHashable(t.expr->type.oid) && !IsOrderable(t.expr->type.oid) && t.expr->type.oid != oid::kRecord) {
      return Error(sqlstate::kUndefinedFunction, StrCat("could not identify an equality operator for type ", TypeName(t.expr->type)), t.position);
    }
  }
  for (size_t t : on) distinct->on.push_back(Ref(targets[t].column));
  if (!on.empty()) {
    size_t covered = 0;
    for (const OrderItem& o : order) {
      const bool key = std::find(on.begin(), on.end(), o.target) != on.end();
      if (!key && covered < on.size()) {
        return Error(sqlstate::kInvalidColumnReference, "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                     s.distinct_on.empty() ? 0 : s.distinct_on[0]->position);
      }
      covered += key ? 1 : 0;
      ASSIGN_OR_RETURN(SortKey k, MakeSortKey(*o.item, Ref(targets[o.target].column)));
      distinct->order.push_back(std::move(k));
    }
    for (size_t t : on) {
      const bool ordered = std::any_of(order.begin(), order.end(), [&](const OrderItem& o) { return o.target == t; });
      if (!ordered) distinct->order.push_back({Ref(targets[t].column), false, false});
    }
  }
  distinct->children.push_back(std::move(plan));
  return distinct;
}

}  // namespace insula::sql
