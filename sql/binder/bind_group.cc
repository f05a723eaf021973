// GROUP BY, grouping sets, and the rule that what is selected must be grouped or aggregated.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"

namespace insula::sql {
namespace {

using Sets = std::vector<std::vector<int>>;

// Every set of `a` joined with every set of `b`, without repeated members.
Sets Cross(const Sets& a, const Sets& b) {
  Sets out;
  for (const auto& x : a) {
    for (const auto& y : b) {
      std::vector<int> joined = x;
      for (int k : y) {
        if (std::find(joined.begin(), joined.end(), k) == joined.end()) joined.push_back(k);
      }
      out.push_back(std::move(joined));
    }
  }
  return out;
}

bool HasGroupingSet(const std::vector<ast::ExprPtr>& list) {
  return std::any_of(list.begin(), list.end(), [](const ast::ExprPtr& e) { return e->kind == ast::ExprKind::kGroupingSet; });
}

}  // namespace

// The key that one expression of GROUP BY means: a result column by number or name, or an expression. Its index in `keys`.
absl::StatusOr<int> Binder::GroupKey(const ast::Expr& e, const ast::SelectStatement& s, std::vector<Target>* targets, std::vector<GroupItem>* keys,
                                     Scope& scope) {
  ExprPtr key;
  if (const auto* c = e.TryAs<ast::Constant>()) {
    if (c->constant != ast::ConstantKind::kInteger) return Error(sqlstate::kSyntaxError, "non-integer constant in GROUP BY", e.position);
    size_t shown = 0;
    for (const Target& t : *targets) shown += t.junk ? 0 : 1;
    if (c->integer < 1 || static_cast<size_t>(c->integer) > shown) {
      return Error(sqlstate::kInvalidColumnReference, StrCat("GROUP BY position ", c->integer, " is not in select list"), e.position);
    }
    Target& t = (*targets)[c->integer - 1];
    ASSIGN_OR_RETURN(t.expr, ResolveUnknown(std::move(t.expr)));
    key = t.expr;
  } else if (const auto* ref = e.TryAs<ast::ColumnRef>(); ref != nullptr && ref->fields.size() == 1 && !ref->star) {
    // A column of FROM comes before a result column of that name.
    bool found = false;
    Scope own = scope;
    own.outer = nullptr;
    ASSIGN_OR_RETURN(key, FindColumn(ref->fields[0], own, e.position, &found));
    if (!found) {
      for (Target& t : *targets) {
        if (t.junk || t.name != ref->fields[0]) continue;
        if (key != nullptr && !ExprEquals(key, t.expr)) {
          return Error(sqlstate::kAmbiguousColumn, StrCat("GROUP BY \"", ref->fields[0], "\" is ambiguous"), e.position);
        }
        ASSIGN_OR_RETURN(t.expr, ResolveUnknown(std::move(t.expr)));
        key = t.expr;
      }
    }
  }
  if (key == nullptr) {
    ASSIGN_OR_RETURN(key, ExpressionIn(e, scope, Clause::kGroupBy));
    ASSIGN_OR_RETURN(key, ResolveUnknown(std::move(key)));
  }
  for (ColumnId c : ColumnsOf(key)) {
    if (!scope.aggregate_outputs.contains(c)) continue;
    const bool window = std::none_of(scope.aggregates.begin(), scope.aggregates.end(), [&](const AggregateSpec& a) { return a.output == c; });
    if (window) return Error("42P20", "window functions are not allowed in GROUP BY", e.position);
    return Error(sqlstate::kGroupingError, "aggregate functions are not allowed in GROUP BY", e.position);
  }
  if (ContainsSetFunction(key)) return Error(sqlstate::kFeatureNotSupported, "set-returning functions in GROUP BY are not supported yet", e.position);
  if (!IsHashable(key->type.oid) && !IsOrderable(key->type.oid) && key->type.oid != oid::kRecord) {
    return Error(sqlstate::kUndefinedFunction, StrCat("could not identify an equality operator for type ", TypeName(key->type)), e.position);
  }
  for (size_t i = 0; i < keys->size(); ++i) {
    if (ExprEquals((*keys)[i].expr, key)) return static_cast<int>(i);
  }
  keys->push_back({key, 0});
  return static_cast<int>(keys->size()) - 1;
}

// The grouping sets that one element of GROUP BY stands for.
absl::Status Binder::GroupingSets(const ast::Expr& e, const ast::SelectStatement& s, std::vector<Target>* targets, std::vector<GroupItem>* keys, Sets* sets,
                                  Scope& scope) {
  if (const auto* row = e.TryAs<ast::Row>(); row != nullptr && !row->explicit_row) {
    std::vector<int> all;
    for (const auto& a : row->args) {
      ASSIGN_OR_RETURN(int k, GroupKey(*a, s, targets, keys, scope));
      all.push_back(k);
    }
    sets->push_back(std::move(all));
    return absl::OkStatus();
  }
  const auto* g = e.TryAs<ast::GroupingSet>();
  if (g == nullptr) {
    ASSIGN_OR_RETURN(int k, GroupKey(e, s, targets, keys, scope));
    sets->push_back({k});
    return absl::OkStatus();
  }
  if (g->set == ast::GroupingSetKind::kEmpty) {
    sets->push_back({});
    return absl::OkStatus();
  }
  if (g->set == ast::GroupingSetKind::kSets) {
    for (const auto& c : g->content) RETURN_IF_ERROR(GroupingSets(*c, s, targets, keys, sets, scope));
    return absl::OkStatus();
  }
  // ROLLUP and CUBE: each element is one key or a bracketed group of keys.
  Sets elements;
  for (const auto& c : g->content) {
    Sets one;
    RETURN_IF_ERROR(GroupingSets(*c, s, targets, keys, &one, scope));
    for (auto& x : one) elements.push_back(std::move(x));
  }
  if (g->set == ast::GroupingSetKind::kSimple) {
    for (auto& x : elements) sets->push_back(std::move(x));
    return absl::OkStatus();
  }
  if (g->set == ast::GroupingSetKind::kRollup) {
    for (size_t n = elements.size() + 1; n-- > 0;) {
      Sets joined = {{}};
      for (size_t i = 0; i < n; ++i) joined = Cross(joined, {elements[i]});
      sets->push_back(joined[0]);
    }
    return absl::OkStatus();
  }
  if (elements.size() > 12) return Error("54001", "CUBE is limited to 12 elements", e.position);
  for (uint32_t mask = (1u << elements.size()); mask-- > 0;) {
    Sets joined = {{}};
    for (size_t i = 0; i < elements.size(); ++i) {
      if (mask & (1u << (elements.size() - 1 - i))) joined = Cross(joined, {elements[i]});
    }
    sets->push_back(joined[0]);
  }
  return absl::OkStatus();
}

absl::Status Binder::GroupBy(const ast::SelectStatement& s, std::vector<Target>* targets, std::vector<GroupItem>* keys, Sets* sets, Scope& scope) {
  const bool with_sets = HasGroupingSet(s.group_by);
  Sets all = {{}};
  for (const auto& e : s.group_by) {
    Sets one;
    RETURN_IF_ERROR(GroupingSets(*e, s, targets, keys, &one, scope));
    if (with_sets) all = Cross(all, one);
    if (all.size() > 4096) return PgError("54001", "too many grouping sets present (maximum 4096)");
  }
  if (!with_sets) return absl::OkStatus();
  if (s.group_distinct) {
    Sets distinct;
    for (auto& x : all) {
      std::vector<int> sorted = x;
      std::sort(sorted.begin(), sorted.end());
      const bool known = std::any_of(distinct.begin(), distinct.end(), [&](std::vector<int> y) {
        std::sort(y.begin(), y.end());
        return y == sorted;
      });
      if (!known) distinct.push_back(std::move(x));
    }
    all = std::move(distinct);
  }
  *sets = std::move(all);
  return absl::OkStatus();
}

bool Binder::DependsOnKeys(ColumnId column, const ColumnSet& keys) const {
  auto it = scan_keys_.find(column);
  return it != scan_keys_.end() && !it->second.empty() && std::all_of(it->second.begin(), it->second.end(), [&](ColumnId k) { return keys.contains(k); });
}

// Group keys within `e` become references to the aggregation's columns, outermost matches first.
ExprPtr Binder::AggregateRewrite(const ExprPtr& e, const std::vector<GroupItem>& keys) const {
  for (const GroupItem& k : keys) {
    if (ExprEquals(e, k.expr)) return Ref(k.column);
  }
  std::shared_ptr<Expr> copy;
  for (size_t i = 0; i < e->args.size(); ++i) {
    ExprPtr arg = AggregateRewrite(e->args[i], keys);
    if (arg == e->args[i]) continue;
    if (!copy) copy = e->Clone();
    copy->args[i] = std::move(arg);
  }
  return copy ? ExprPtr(copy) : e;
}

absl::StatusOr<LogicalPtr> Binder::MakeAggregate(LogicalPtr plan, std::vector<GroupItem> keys, Sets sets, const std::vector<ExprPtr*>& outputs, Scope& scope) {
  auto aggregate = std::make_shared<LogicalAggregate>();
  ColumnSet key_columns;
  std::map<ColumnId, ExprPtr> renamed;  // columns that grouping sets may turn into NULL
  for (GroupItem& k : keys) {
    const auto* c = k.expr->TryAs<ColumnExpr>();
    if (c != nullptr && sets.empty() && LevelOf(c->column) == scope.depth) {
      k.column = c->column;
    } else {
      k.column = AddColumn(c != nullptr ? out_->columns[c->column].name : "key", k.expr->type, scope);
      if (c != nullptr) renamed[c->column] = Ref(k.column);
    }
    key_columns.insert(k.column);
  }
  for (size_t i = 0; i < scope.groupings.size(); ++i) {
    LogicalAggregate::GroupingCall call = scope.groupings[i];
    for (const auto& arg : scope.grouping_args[i]) {
      auto it = std::find_if(keys.begin(), keys.end(), [&](const GroupItem& k) { return ExprEquals(k.expr, arg); });
      if (it == keys.end()) {
        return Error(sqlstate::kGroupingError, "arguments to GROUPING must be grouping expressions of the associated query level", arg->position);
      }
      call.keys.push_back(static_cast<int>(it - keys.begin()));
    }
    aggregate->groupings.push_back(std::move(call));
  }

  // A column that is not grouped may still follow from the primary key of its table.
  std::vector<GroupItem> implied;
  auto allowed = [&](ColumnId c) {
    if (LevelOf(c) != scope.depth || scope.aggregate_outputs.contains(c) || key_columns.contains(c)) return true;
    if (!sets.empty() || !DependsOnKeys(c, key_columns)) return false;
    implied.push_back({Ref(c), c});
    key_columns.insert(c);
    return true;
  };
  auto described = [&](ColumnId c) {
    const ColumnMeta& m = out_->columns[c];
    return m.relation.empty() ? m.name : StrCat(m.relation, ".", m.name);
  };
  for (ExprPtr* output : outputs) {
    *output = AggregateRewrite(*output, keys);
    absl::Status status = absl::OkStatus();
    ExprPtr rewritten = *output;
    VisitExpr(*output, [&](const Expr& e) {
      if (!status.ok()) return false;
      if (const auto* c = e.TryAs<ColumnExpr>(); c != nullptr && !allowed(c->column)) {
        const std::string shown = c->name.find('.') != std::string::npos ? c->name : described(c->column);
        status = Error(sqlstate::kGroupingError, StrCat("column \"", shown, "\" must appear in the GROUP BY clause or be used in an aggregate function"), e.position);
      }
      if (const auto* s = e.TryAs<SubqueryExpr>()) {
        for (ColumnId c : s->outer) {
          if (renamed.contains(c) || allowed(c)) continue;
          status = Error(sqlstate::kGroupingError, StrCat("subquery uses ungrouped column \"", described(c), "\" from outer query"), e.position);
          break;
        }
      }
      return status.ok();
    });
    RETURN_IF_ERROR(status);
    if (!renamed.empty()) *output = SubstituteColumns(*output, renamed);
  }
  for (const GroupItem& k : keys) aggregate->keys.push_back({k.column, k.expr});
  for (const GroupItem& k : implied) aggregate->keys.push_back({k.column, k.expr});
  aggregate->aggregates = scope.aggregates;
  aggregate->grouping_sets = std::move(sets);
  aggregate->children.push_back(std::move(plan));
  return aggregate;
}

}  // namespace insula::sql
