#include "sql/opt/simplify.h"

#include <algorithm>

#include "sql/opt/fold.h"
#include "sql/plan/logical_walk.h"

namespace insula::sql {
namespace {

// Whether some index of the table has its rows in the order of `column` once the columns before it are fixed by `conjuncts`.
bool HasOrder(const LogicalScan& scan, ColumnId column, const std::vector<ExprPtr>& conjuncts) {
  std::map<int, ColumnId> id_of;
  for (size_t i = 0; i < scan.ordinals.size(); ++i) id_of[scan.ordinals[i]] = scan.columns[i];
  auto fixed = [&](ColumnId c) {
    return std::any_of(conjuncts.begin(), conjuncts.end(), [&](const ExprPtr& e) {
      const auto* f = e->TryAs<FunctionExpr>();
      if (f == nullptr || f->op == nullptr || f->op->name != "=" || f->args.size() != 2) return false;
      for (size_t side : {0, 1}) {
        const auto* ref = f->args[side]->TryAs<ColumnExpr>();
        if (ref != nullptr && ref->column == c && IsRowIndependent(f->args[1 - side])) return true;
      }
      return false;
    });
  };
  for (const IndexInfo& index : scan.table->indexes) {
    if (!index.readable || !index.predicate.empty()) continue;
    for (const IndexColumnInfo& k : index.columns) {
      auto id = k.ordinal >= 0 ? id_of.find(k.ordinal) : id_of.end();
      if (id == id_of.end()) break;
      if (id->second == column) return true;
      if (!fixed(id->second)) break;
    }
  }
  return false;
}

void MinMax(LogicalPtr& node, const Columns& columns) {
  auto& a = node->As<LogicalAggregate>();
  if (!a.keys.empty() || !a.grouping_sets.empty() || a.aggregates.size() != 1) return;
  const AggregateSpec& spec = a.aggregates[0];
  const bool min = spec.function->name == "min", max = spec.function->name == "max";
  if ((!min && !max) || spec.filter != nullptr || spec.args.size() != 1 || !spec.order_by.empty()) return;
  const auto* c = spec.args[0]->TryAs<ColumnExpr>();
  if (c == nullptr) return;
  std::vector<ExprPtr> conjuncts;
  LogicalPtr child = node->children[0];
  LogicalNode* below = child.get();
  while (below->kind == LogicalKind::kFilter || below->kind == LogicalKind::kProject) {
    if (auto* f = below->TryAs<LogicalFilter>()) SplitConjuncts(f->condition, &conjuncts);
    below = below->children[0].get();
  }
  auto* scan = below->TryAs<LogicalScan>();
  if (scan == nullptr || !HasOrder(*scan, c->column, conjuncts)) return;
  auto filter = std::make_shared<LogicalFilter>();
  filter->condition = MakeNullTest(spec.args[0], /*negated=*/true);
  filter->children.push_back(child);
  auto sort = std::make_shared<LogicalSort>();
  sort->keys.push_back({spec.args[0], max, max});
  sort->children.push_back(filter);
  auto limit = std::make_shared<LogicalLimit>();
  limit->limit = std::make_shared<ConstantExpr>(SqlType{oid::kInt8, -1}, Datum::Int(1));
  limit->children.push_back(sort);
  node->children[0] = limit;
}

// FROM t, LATERAL (SELECT t.a + 1 AS b): the expressions, computed on the left row.
void InlineLateral(LogicalPtr& node, const Columns& columns) {
  auto& join = node->As<LogicalJoin>();
  if ((join.join != JoinType::kInner && join.join != JoinType::kLeft) || join.condition != nullptr || join.guard != nullptr) return;
  auto* right = node->children[1]->TryAs<LogicalProject>();
  if (right == nullptr || right->children[0]->kind != LogicalKind::kValues) return;
  const auto& one = right->children[0]->As<LogicalValues>();
  if (one.rows.size() != 1 || !one.columns.empty()) return;
  // What changes from call to call is computed once per row of that side, as before, only if that side runs for each left row.
  for (const auto& i : right->items) {
    if (!IsStable(i.expr) && !join.lateral) return;
  }
  auto project = std::make_shared<LogicalProject>();
  for (ColumnId c : node->children[0]->Output()) project->items.push_back({c, columns.Ref(c)});
  for (const auto& i : right->items) project->items.push_back(i);
  project->children.push_back(node->children[0]);
  node = project;
}

void Visit(LogicalPtr& node, const Columns& columns) {
  for (auto& child : node->children) Visit(child, columns);
  if (node->kind == LogicalKind::kJoin) InlineLateral(node, columns);
  if (node->kind == LogicalKind::kAggregate) MinMax(node, columns);
  if (auto* filter = node->TryAs<LogicalFilter>()) {
    if (IsTrue(filter->condition)) {
      node = node->children[0];
      return;
    }
    std::vector<ExprPtr> conjuncts;
    SplitConjuncts(filter->condition, &conjuncts);
    if (std::any_of(conjuncts.begin(), conjuncts.end(), IsFalseOrNull)) {
      auto none = std::make_shared<LogicalValues>();
      none->columns = node->Output();
      node = none;
    }
  }
}

}  // namespace

void FoldPlan(LogicalNode& plan, FunctionContext* functions) {
  VisitPlan(plan, [&](LogicalNode& node) {
    // An ORDER BY or GROUP BY key stays a column; folding would only lose its name.
    node.ForEachExpr([&](ExprPtr& e) { e = Fold(e, functions); });
  });
}

void Simplify(LogicalPtr* plan, const Columns& columns) { Visit(*plan, columns); }

}  // namespace insula::sql
