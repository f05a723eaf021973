#include "sql/plan/logical_walk.h"

#include <algorithm>
#include <iterator>

namespace insula::sql {
namespace {

// Ids that a node names without an expression or an output of its own.
void AddOwnColumns(LogicalNode& node, ColumnSet* made) {
  auto add = [&](const std::vector<ColumnId>& ids) { made->insert(ids.begin(), ids.end()); };
  for (ColumnId c : node.Output()) made->insert(c);
  if (auto* i = node.TryAs<LogicalInsert>()) {
    add(i->row_columns);
    add(i->excluded);
  } else if (auto* u = node.TryAs<LogicalUpdate>()) {
    add(u->spec.new_columns);
  } else if (auto* d = node.TryAs<LogicalDelete>()) {
    add(d->spec.row_columns);
  }
}

void VisitSubqueries(const ExprPtr& e, const std::function<void(const SubqueryExpr&)>& visit) {
  VisitExpr(e, [&](const Expr& x) {
    if (const auto* s = x.TryAs<SubqueryExpr>()) visit(*s);
    return true;
  });
}

}  // namespace

void VisitPlan(LogicalNode& plan, const std::function<void(LogicalNode&)>& visit) {
  visit(plan);
  plan.ForEachExpr([&](ExprPtr& e) { VisitSubqueries(e, [&](const SubqueryExpr& s) { VisitPlan(*s.plan, visit); }); });
  for (auto& child : plan.children) VisitPlan(*child, visit);
}

ColumnSet MadeColumns(LogicalNode& plan) {
  ColumnSet made;
  std::function<void(LogicalNode&)> walk = [&](LogicalNode& node) {
    AddOwnColumns(node, &made);
    for (auto& child : node.children) walk(*child);
  };
  walk(plan);
  return made;
}

ColumnSet OuterColumns(LogicalNode& plan) {
  ColumnSet used;
  std::function<void(LogicalNode&)> walk = [&](LogicalNode& node) {
    node.ForEachExpr([&](ExprPtr& e) { CollectColumns(e, &used); });
    for (auto& child : node.children) walk(*child);
  };
  walk(plan);
  ColumnSet made = MadeColumns(plan), outer;
  std::set_difference(used.begin(), used.end(), made.begin(), made.end(), std::inserter(outer, outer.end()));
  return outer;
}

ExprPtr SubstituteColumns(const ExprPtr& expr, const std::map<ColumnId, ExprPtr>& replacements) {
  return RewriteExpr(expr, [&](const ExprPtr& e) -> ExprPtr {
    if (const auto* c = e->TryAs<ColumnExpr>()) {
      auto it = replacements.find(c->column);
      return it == replacements.end() ? nullptr : it->second;
    }
    if (const auto* s = e->TryAs<SubqueryExpr>()) {
      const bool touched = std::any_of(s->outer.begin(), s->outer.end(), [&](ColumnId c) { return replacements.contains(c); });
      if (!touched) return nullptr;
      SubstituteColumns(*s->plan, replacements);
      auto copy = std::static_pointer_cast<SubqueryExpr>(s->Clone());
      copy->outer = OuterColumns(*copy->plan);
      return copy;
    }
    return nullptr;
  });
}

void SubstituteColumns(LogicalNode& plan, const std::map<ColumnId, ExprPtr>& replacements) {
  plan.ForEachExpr([&](ExprPtr& e) { e = SubstituteColumns(e, replacements); });
  for (auto& child : plan.children) SubstituteColumns(*child, replacements);
}

Volatility PlanVolatility(LogicalNode& plan) {
  Volatility worst = Volatility::kImmutable;
  VisitPlan(plan, [&](LogicalNode& node) {
    if (node.kind == LogicalKind::kInsert || node.kind == LogicalKind::kUpdate || node.kind == LogicalKind::kDelete) worst = Volatility::kVolatile;
    node.ForEachExpr([&](ExprPtr& e) {
      // A subquery's own plan is visited on its own; here only what stands beside it counts.
      VisitExpr(e, [&](const Expr& x) {
        if (const auto* f = x.TryAs<FunctionExpr>()) worst = std::max(worst, f->function->volatility);
        if (const auto* q = x.TryAs<QuantifiedExpr>()) worst = std::max(worst, q->op->function->volatility);
        return true;
      });
    });
  });
  return worst;
}

}  // namespace insula::sql
