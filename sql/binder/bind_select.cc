// SELECT, VALUES and set operations.
//
// The plan of a SELECT, from the bottom: FROM, WHERE, aggregation, HAVING, window functions, the select list (with
// set-returning functions), DISTINCT, ORDER BY, row locks, LIMIT, and a projection that drops what only ORDER BY needed.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"

namespace insula::sql {
namespace {

// A name for an unnamed result column, as PostgreSQL finds it. 2: a name that was written; 1: one of the construct.
int FigureName(const ast::Expr& e, std::string* name) {
  auto set = [&](std::string_view n, int strength) {
    *name = n;
    return strength;
  };
  switch (e.kind) {
    case ast::ExprKind::kColumnRef: {
      const auto& c = e.As<ast::ColumnRef>();
      return c.fields.empty() || c.star ? 0 : set(c.fields.back(), 2);
    }
    case ast::ExprKind::kFieldSelect: {
      const auto& f = e.As<ast::FieldSelect>();
      return f.star ? FigureName(*f.base, name) : set(f.field, 2);
    }
    case ast::ExprKind::kSubscript: return FigureName(*e.As<ast::Subscript>().base, name);
    case ast::ExprKind::kFunctionCall: return set(e.As<ast::FunctionCall>().name.back(), 2);
    case ast::ExprKind::kNullIf: return set("nullif", 2);
    case ast::ExprKind::kTypeCast: {
      int strength = FigureName(*e.As<ast::TypeCast>().arg, name);
      return strength > 1 ? strength : set(e.As<ast::TypeCast>().type.names.back(), 1);
    }
    case ast::ExprKind::kCollate: return FigureName(*e.As<ast::Collate>().arg, name);
    case ast::ExprKind::kGrouping: return set("grouping", 2);
    case ast::ExprKind::kCase: {
      const auto& c = e.As<ast::Case>();
      int strength = c.otherwise ? FigureName(*c.otherwise, name) : 0;
      return strength > 1 ? strength : set("case", 1);
    }
    case ast::ExprKind::kArray: return set("array", 2);
    case ast::ExprKind::kRow: return set("row", 2);
    case ast::ExprKind::kCoalesce: return set("coalesce", 2);
    case ast::ExprKind::kMinMax: return set(e.As<ast::MinMax>().greatest ? "greatest" : "least", 2);
    case ast::ExprKind::kSqlValue: return set(e.As<ast::SqlValue>().name, 2);
    case ast::ExprKind::kSubquery: {
      const auto& s = e.As<ast::Subquery>();
      if (s.subquery == ast::SubqueryKind::kExists) return set("exists", 2);
      if (s.subquery == ast::SubqueryKind::kArray) return set("array", 2);
      if (s.subquery != ast::SubqueryKind::kScalar) return 0;
      const ast::SelectStatement* select = s.select.get();
      while (select->left) select = select->left.get();
      if (select->items.empty()) return select->values.empty() ? 0 : set("column1", 2);
      if (!select->items[0].alias.empty()) return set(select->items[0].alias, 2);
      return FigureName(*select->items[0].expr, name) > 0 ? 2 : set("?column?", 2);
    }
    default: return 0;
  }
}

std::string_view LockName(ast::LockStrength s) {
  switch (s) {
    case ast::LockStrength::kKeyShare: return "FOR KEY SHARE";
    case ast::LockStrength::kShare: return "FOR SHARE";
    case ast::LockStrength::kNoKeyUpdate: return "FOR NO KEY UPDATE";
    case ast::LockStrength::kUpdate: return "FOR UPDATE";
  }
  return "";
}

}  // namespace

std::string Binder::NameOf(const ast::Expr& e, const sql::Expr* bound) const {
  // (SELECT * FROM t): only its columns know.
  if (e.kind == ast::ExprKind::kSubquery && e.As<ast::Subquery>().subquery == ast::SubqueryKind::kScalar && bound != nullptr) {
    if (const auto* s = bound->TryAs<SubqueryExpr>()) return out_->columns[s->column].name;
  }
  std::string name;
  return FigureName(e, &name) > 0 ? name : "?column?";
}

absl::StatusOr<QueryResult> Binder::Query(const ast::SelectStatement& s, Scope* outer, bool resolve_unknown) {
  if (++nesting_ > 3000) return PgError("54001", "stack depth limit exceeded");
  Scope scope;
  scope.outer = outer;
  scope.depth = outer != nullptr ? outer->depth + 1 : 1;
  auto bind = [&]() -> absl::StatusOr<QueryResult> {
    RETURN_IF_ERROR(With(s.with, scope));
    ASSIGN_OR_RETURN(QueryResult result, QueryIn(s, scope, resolve_unknown));
    ASSIGN_OR_RETURN(LogicalPtr plan, WrapCtes(result.plan, scope));
    if (plan != result.plan) result.source = nullptr;
    result.plan = std::move(plan);
    return result;
  };
  auto result = bind();
  --nesting_;
  return result;
}

absl::StatusOr<QueryResult> Binder::QueryIn(const ast::SelectStatement& s, Scope& scope, bool resolve_unknown) {
  QueryResult result;
  if (s.set_operation != ast::SetOperation::kNone) {
    ASSIGN_OR_RETURN(result, SetOperation(s, scope));
  } else if (!s.values.empty()) {
    ASSIGN_OR_RETURN(result, Values(s, scope));
  } else {
    ASSIGN_OR_RETURN(result, Select(s, scope, resolve_unknown));
  }
  if (resolve_unknown) RETURN_IF_ERROR(ResolveUnknown(&result));
  return result;
}

absl::StatusOr<std::vector<Binder::Target>> Binder::Targets(const std::vector<ast::SelectItem>& items, Scope& scope) {
  std::vector<Target> out;
  for (const ast::SelectItem& item : items) {
    const auto* ref = item.expr->TryAs<ast::ColumnRef>();
    if (ref != nullptr && ref->star) {
      ASSIGN_OR_RETURN(auto columns, ExpandStar(*ref, scope));
      for (auto& [name, e] : columns) out.push_back({name, std::move(e), 0, false, item.position});
      continue;
    }
    ASSIGN_OR_RETURN(ExprPtr e, Expression(*item.expr, scope));
    const auto* field = item.expr->TryAs<ast::FieldSelect>();
    if (field != nullptr && field->star) {
      ASSIGN_OR_RETURN(auto columns, ExpandRecord(e, item.position));
      for (auto& [name, f] : columns) out.push_back({name, std::move(f), 0, false, item.position});
      continue;
    }
    out.push_back({item.alias.empty() ? NameOf(*item.expr, e.get()) : item.alias, std::move(e), 0, false, item.position});
  }
  if (out.size() > 1664) return PgError("54011", "target lists can have at most 1664 entries");
  return out;
}

// The projection of the targets; set-returning functions go below it, innermost calls first.
absl::StatusOr<LogicalPtr> Binder::ProjectTargets(LogicalPtr plan, std::vector<Target>* targets, Scope& scope, LogicalPtr* source) {
  for (;;) {
    auto set = std::make_shared<LogicalProjectSet>();
    std::map<const Expr*, ColumnId> columns;
    for (Target& t : *targets) {
      if (!ContainsSetFunction(t.expr)) continue;
      t.expr = RewriteExpr(t.expr, [&](const ExprPtr& e) -> ExprPtr {
        const auto* f = e->TryAs<FunctionExpr>();
        if (f == nullptr || !f->function->returns_set) return nullptr;
        for (const auto& a : e->args) {
          if (ContainsSetFunction(a)) return nullptr;
        }
        ColumnId& id = columns[e.get()];
        if (id == 0) {
          id = AddColumn(f->function->name, e->type, scope);
          set->calls.push_back({id, e});
        }
        return Ref(id);
      });
    }
    if (set->calls.empty()) break;
    set->children.push_back(std::move(plan));
    plan = std::move(set);
  }
  auto project = std::make_shared<LogicalProject>();
  const std::vector<ColumnId> input = plan->Output();
  ColumnSet taken;
  for (Target& t : *targets) {
    const auto* c = t.expr->TryAs<ColumnExpr>();
    // A column of the input keeps its id; one of an enclosing query is a new column here.
    if (c != nullptr && !taken.contains(c->column) && std::find(input.begin(), input.end(), c->column) != input.end()) {
      t.column = c->column;
    } else {
      t.column = AddColumn(t.name, t.expr->type, scope);
    }
    taken.insert(t.column);
    project->items.push_back({t.column, t.expr});
  }
  project->children.push_back(std::move(plan));
  *source = project;
  return project;
}

absl::StatusOr<QueryResult> Binder::Select(const ast::SelectStatement& s, Scope& scope, bool resolve_unknown) {
  ASSIGN_OR_RETURN(FromResult from, FromList(s.from, scope));
  scope.items = std::move(from.items);
  LogicalPtr plan = from.plan;
  if (s.where) {
    ASSIGN_OR_RETURN(ExprPtr where, ExpressionIn(*s.where, scope, Clause::kWhere));
    auto filter = std::make_shared<LogicalFilter>();
    ASSIGN_OR_RETURN(filter->condition, CoerceToBool(std::move(where), "WHERE"));
    filter->children.push_back(std::move(plan));
    plan = std::move(filter);
  }
  scope.grouped = !s.group_by.empty() || s.having != nullptr;
  scope.window_definitions = &s.windows;
  ASSIGN_OR_RETURN(std::vector<Target> targets, Targets(s.items, scope));
  if (resolve_unknown || s.distinct) {  // to compare values is to know their type
    for (Target& t : targets) {
      ASSIGN_OR_RETURN(t.expr, ResolveUnknown(std::move(t.expr)));
    }
  }
  ExprPtr having;
  if (s.having) {
    ASSIGN_OR_RETURN(having, ExpressionIn(*s.having, scope, Clause::kHaving));
    ASSIGN_OR_RETURN(having, CoerceToBool(std::move(having), "HAVING"));
  }
  ASSIGN_OR_RETURN(std::vector<OrderItem> order, OrderBy(s.order_by, &targets, s.distinct && s.distinct_on.empty(), scope));
  std::vector<GroupItem> keys;
  std::vector<std::vector<int>> sets;
  RETURN_IF_ERROR(GroupBy(s, &targets, &keys, &sets, scope));
  std::vector<size_t> on;
  for (const auto& e : s.distinct_on) {
    scope.clause = Clause::kDistinctOn;
    ASSIGN_OR_RETURN(size_t t, OrderTarget(*e, "DISTINCT ON", &targets, scope));
    scope.clause = Clause::kSelect;
    if (std::find(on.begin(), on.end(), t) == on.end()) on.push_back(t);
  }

  const bool aggregated = scope.grouped || !scope.aggregates.empty();
  if (aggregated) {
    std::vector<ExprPtr*> outputs;
    for (Target& t : targets) outputs.push_back(&t.expr);
    if (having) outputs.push_back(&having);
    for (auto& w : scope.windows) {
      for (auto& e : w.partition_by) outputs.push_back(&e);
      for (auto& k : w.order_by) outputs.push_back(&k.expr);
      for (auto& c : w.calls) {
        for (auto& a : c.args) outputs.push_back(&a);
        if (c.filter) outputs.push_back(&c.filter);
      }
    }
    ASSIGN_OR_RETURN(plan, MakeAggregate(std::move(plan), std::move(keys), std::move(sets), outputs, scope));
  }
  if (having) {
    auto filter = std::make_shared<LogicalFilter>();
    filter->condition = std::move(having);
    filter->children.push_back(std::move(plan));
    plan = std::move(filter);
  }
  for (auto& w : scope.windows) {
    auto window = std::make_shared<LogicalWindow>();
    window->partition_by = std::move(w.partition_by);
    window->order_by = std::move(w.order_by);
    window->calls = std::move(w.calls);
    window->children.push_back(std::move(plan));
    plan = std::move(window);
  }

  std::shared_ptr<LogicalLock> lock;
  if (!s.locking.empty()) {
    const std::string_view name = LockName(s.locking[0].strength);
    auto refuse = [&](std::string_view what) { return PgError(sqlstate::kFeatureNotSupported, StrCat(name, " is not allowed with ", what)); };
    if (s.distinct) return refuse("DISTINCT clause");
    if (!s.group_by.empty()) return refuse("GROUP BY clause");
    if (s.having) return refuse("HAVING clause");
    if (!scope.aggregates.empty()) return refuse("aggregate functions");
    if (!scope.windows.empty()) return refuse("window functions");
    if (std::any_of(targets.begin(), targets.end(), [](const Target& t) { return ContainsSetFunction(t.expr); })) {
      return refuse("set-returning functions in the target list");
    }
    ASSIGN_OR_RETURN(lock, Lock(s, &targets, scope));
  }

  QueryResult result;
  ASSIGN_OR_RETURN(plan, ProjectTargets(std::move(plan), &targets, scope, &result.source));
  for (const Target& t : targets) {
    if (!t.junk) result.columns.push_back({t.name, t.column});
  }
  std::vector<SortKey> sort_keys;
  if (s.distinct) {
    ASSIGN_OR_RETURN(plan, Distinct(s, std::move(plan), targets, order, on));
  }
  for (const OrderItem& o : order) {
    ASSIGN_OR_RETURN(SortKey key, MakeSortKey(*o.item, Ref(targets[o.target].column)));
    sort_keys.push_back(std::move(key));
  }
  if (!order.empty() && s.distinct_on.empty()) {
    auto sort = std::make_shared<LogicalSort>();
    sort->keys = sort_keys;
    sort->children.push_back(std::move(plan));
    plan = std::move(sort);
  }
  if (lock != nullptr) {
    lock->children.push_back(std::move(plan));
    plan = std::move(lock);
    out_->info.locks = true;
  }
  ASSIGN_OR_RETURN(plan, Limit(s, std::move(plan), sort_keys, scope));
  if (std::any_of(targets.begin(), targets.end(), [](const Target& t) { return t.junk; }) || plan->Output().size() != result.columns.size()) {
    auto drop = std::make_shared<LogicalProject>();
    for (const FromColumn& c : result.columns) drop->items.push_back({c.id, Ref(c.id)});
    drop->children.push_back(std::move(plan));
    plan = std::move(drop);
  }
  result.plan = std::move(plan);
  return result;
}

// LIMIT and OFFSET. A subquery in them is a row that the rest of the plan depends on.
absl::StatusOr<LogicalPtr> Binder::Limit(const ast::SelectStatement& s, LogicalPtr plan, const std::vector<SortKey>& order, Scope& scope) {
  if (!s.limit && !s.offset) return plan;
  auto limit = std::make_shared<LogicalLimit>();
  std::vector<std::pair<ColumnId, ExprPtr>> subqueries;
  auto bind = [&](const ast::ExprPtr& e, Clause clause, ExprPtr* out) -> absl::Status {
    if (!e) return absl::OkStatus();
    const std::string_view name = ClauseName(clause);
    ASSIGN_OR_RETURN(ExprPtr x, ExpressionIn(*e, scope, clause));
    for (ColumnId c : ColumnsOf(x)) {
      if (LevelOf(c) == scope.depth) return Error(sqlstate::kInvalidColumnReference, StrCat("argument of ", name, " must not contain variables"), e->position);
    }
    const auto* constant = x->TryAs<ConstantExpr>();
    if (constant != nullptr && constant->value.is_null()) return absl::OkStatus();
    const SqlType from = x->type;
    ASSIGN_OR_RETURN(x, Coerce(std::move(x), SqlType{oid::kInt8, -1}, CastContext::kAssignment));
    if (x == nullptr) {
      return Error(sqlstate::kDatatypeMismatch, StrCat("argument of ", name, " must be type bigint, not type ", TypeName(from)), e->position);
    }
    if (ContainsSubquery(x)) {
      const ColumnId id = AddColumn("limit", x->type, scope);
      subqueries.emplace_back(id, x);
      x = Ref(id);
    }
    *out = std::move(x);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(bind(s.offset, Clause::kOffset, &limit->offset));
  RETURN_IF_ERROR(bind(s.limit, Clause::kLimit, &limit->limit));
  if (!limit->limit && !limit->offset) return plan;
  if (s.with_ties) {
    if (order.empty()) return PgError(sqlstate::kSyntaxError, "WITH TIES cannot be specified without ORDER BY clause");
    limit->ties = order;
  }
  const std::vector<ColumnId> output = plan->Output();
  limit->children.push_back(std::move(plan));
  if (subqueries.empty()) return limit;
  auto one = std::make_shared<LogicalValues>();
  one->rows.emplace_back();
  auto values = std::make_shared<LogicalProject>();
  for (auto& [id, e] : subqueries) values->items.push_back({id, e});
  values->children.push_back(std::move(one));
  auto join = std::make_shared<LogicalJoin>();
  join->lateral = true;
  join->children = {values, limit};
  auto project = std::make_shared<LogicalProject>();
  for (ColumnId c : output) project->items.push_back({c, Ref(c)});
  project->children.push_back(std::move(join));
  return project;
}

// FOR UPDATE and its relatives; adds the keys of the locked tables to the targets.
absl::StatusOr<std::shared_ptr<LogicalLock>> Binder::Lock(const ast::SelectStatement& s, std::vector<Target>* targets, Scope& scope) {
  auto lock = std::make_shared<LogicalLock>();
  for (const ast::LockingClause& clause : s.locking) {
    const std::string_view name = LockName(clause.strength);
    RowLock row_lock;
    row_lock.strength = static_cast<RowLockStrength>(static_cast<int>(clause.strength) + 1);  // same order, after kNone
    row_lock.wait = static_cast<RowLockWait>(clause.wait);                                    // same order
    auto add = [&](const NamespaceItem& item, bool named) -> absl::Status {
      if (item.table == nullptr || item.table->kind == RelationKind::kView) {
        if (!named && item.table == nullptr && item.scalar_function) return absl::OkStatus();
        return PgError(sqlstate::kFeatureNotSupported, StrCat(name, " of subqueries and views is not supported yet"));
      }
      if (item.table->is_virtual || item.columns.empty()) return absl::OkStatus();
      if (item.table->kind == RelationKind::kSequence) return PgError(sqlstate::kWrongObjectType, StrCat("cannot lock rows in sequence \"", item.table->name, "\""));
      Require(*item.table, kPrivilegeUpdate);
      LogicalLock::Target target{item.table, scan_keys_[item.columns[0].id], row_lock};
      for (auto& known : lock->targets) {
        if (known.key != target.key) continue;
        known.lock.strength = std::max(known.lock.strength, row_lock.strength);
        known.lock.wait = std::max(known.lock.wait, row_lock.wait);
        return absl::OkStatus();
      }
      for (ColumnId key : target.key) {
        const bool present = std::any_of(targets->begin(), targets->end(), [&](const Target& t) {
          const auto* c = t.expr->TryAs<ColumnExpr>();
          return c != nullptr && c->column == key;
        });
        if (!present) targets->push_back({"", Ref(key), 0, true, 0});
      }
      lock->targets.push_back(std::move(target));
      return absl::OkStatus();
    };
    if (clause.relations.empty()) {
      for (const NamespaceItem& item : scope.items) {
        if (item.table_visible && !item.name.empty()) RETURN_IF_ERROR(add(item, false));
      }
      continue;
    }
    for (const ast::RelationName& r : clause.relations) {
      if (!r.schema.empty()) return Error(sqlstate::kSyntaxError, StrCat(name, " must specify unqualified relation names"), r.position);
      const NamespaceItem* match = nullptr;
      for (const NamespaceItem& item : scope.items) {
        if (item.table_visible && item.name == r.name) match = &item;
      }
      if (match == nullptr) {
        return Error(sqlstate::kUndefinedTable, StrCat("relation \"", r.name, "\" in ", name, " clause not found in FROM clause"), r.position);
      }
      RETURN_IF_ERROR(add(*match, true));
    }
  }
  if (lock->targets.empty()) return std::shared_ptr<LogicalLock>();
  return lock;
}

absl::StatusOr<QueryResult> Binder::Values(const ast::SelectStatement& s, Scope& scope) {
  const size_t width = s.values[0].size();
  std::vector<std::vector<ExprPtr>> rows;
  bool subqueries = false;
  for (const auto& row : s.values) {
    if (row.size() != width) {
      return Error(sqlstate::kSyntaxError, "VALUES lists must all be the same length", row.empty() ? 0 : row[0]->position);
    }
    std::vector<ExprPtr> bound;
    for (const auto& e : row) {
      ASSIGN_OR_RETURN(ExprPtr x, ExpressionIn(*e, scope, Clause::kValues));
      subqueries = subqueries || ContainsSubquery(x);
      bound.push_back(std::move(x));
    }
    rows.push_back(std::move(bound));
  }
  QueryResult result;
  for (size_t i = 0; i < width; ++i) {
    std::vector<ExprPtr> column;
    for (const auto& row : rows) column.push_back(row[i]);
    SqlType type{oid::kUnknown, -1};
    const bool all_unknown = std::all_of(column.begin(), column.end(), [](const ExprPtr& e) { return e->type.oid == oid::kUnknown; });
    if (!all_unknown) {
      ASSIGN_OR_RETURN(Oid common, Common(column, "VALUES"));
      type = CommonWithTypmod(column, common);
      for (auto& row : rows) {
        ASSIGN_OR_RETURN(row[i], CoerceOr(row[i], type, CastContext::kImplicit));
      }
    }
    result.columns.push_back({StrCat("column", i + 1), AddColumn(StrCat("column", i + 1), type, scope)});
  }
  if (subqueries) {
    // Each row is a projection of its own, so that subqueries have a row to stand on.
    auto append = std::make_shared<LogicalSetOperation>();
    append->all = true;
    for (auto& row : rows) {
      for (auto& e : row) {
        ASSIGN_OR_RETURN(e, ResolveUnknown(std::move(e)));
      }
      auto one = std::make_shared<LogicalValues>();
      one->rows.emplace_back();
      auto project = std::make_shared<LogicalProject>();
      project->children.push_back(std::move(one));
      std::vector<ColumnId> ids;
      for (size_t i = 0; i < width; ++i) {
        ids.push_back(rows.size() == 1 ? result.columns[i].id : AddColumn(result.columns[i].name, row[i]->type, scope));
        project->items.push_back({ids.back(), row[i]});
        out_->columns.Mutable(result.columns[i].id).type = row[i]->type;
      }
      append->children.push_back(std::move(project));
      append->inputs.push_back(std::move(ids));
    }
    for (const FromColumn& c : result.columns) append->columns.push_back(c.id);
    result.plan = rows.size() == 1 ? append->children[0] : append;
  } else {
    auto values = std::make_shared<LogicalValues>();
    for (const FromColumn& c : result.columns) values->columns.push_back(c.id);
    values->rows = std::move(rows);
    result.source = values;
    result.plan = values;
  }
  if (!s.locking.empty()) return PgError(sqlstate::kFeatureNotSupported, StrCat(LockName(s.locking[0].strength), " cannot be applied to VALUES"));
  ASSIGN_OR_RETURN(result.plan, OrderAndLimit(s, &result, "VALUES", scope));
  return result;
}

absl::StatusOr<LogicalPtr> Binder::OrderAndLimit(const ast::SelectStatement& s, QueryResult* result, std::string_view what, Scope& scope) {
  if (!s.order_by.empty()) RETURN_IF_ERROR(ResolveUnknown(result));
  LogicalPtr plan = result->plan;
  std::vector<SortKey> keys;
  if (!s.order_by.empty()) {
    ASSIGN_OR_RETURN(keys, OrderResult(s.order_by, *result, what, scope));
    auto sort = std::make_shared<LogicalSort>();
    sort->keys = keys;
    sort->children.push_back(std::move(plan));
    plan = std::move(sort);
  }
  return Limit(s, std::move(plan), keys, scope);
}

absl::StatusOr<QueryResult> Binder::SetOperation(const ast::SelectStatement& s, Scope& scope) {
  const std::string_view name = s.set_operation == ast::SetOperation::kUnion ? "UNION" : s.set_operation == ast::SetOperation::kIntersect ? "INTERSECT" : "EXCEPT";
  if (!s.locking.empty()) {
    return PgError(sqlstate::kFeatureNotSupported, StrCat(LockName(s.locking[0].strength), " is not allowed with UNION/INTERSECT/EXCEPT"));
  }
  ASSIGN_OR_RETURN(QueryResult left, Query(*s.left, &scope, /*resolve_unknown=*/false));
  ASSIGN_OR_RETURN(QueryResult right, Query(*s.right, &scope, /*resolve_unknown=*/false));
  auto position_of = [](const ast::SelectStatement& q) {
    const ast::SelectStatement* x = &q;
    while (x->left) x = x->left.get();
    return x->items.empty() ? (x->values.empty() || x->values[0].empty() ? 0 : x->values[0][0]->position) : x->items[0].position;
  };
  if (left.columns.size() != right.columns.size()) {
    return Error(sqlstate::kSyntaxError, StrCat("each ", name, " query must have the same number of columns"), position_of(*s.right));
  }
  auto out = std::make_shared<LogicalSetOperation>();
  out->operation = s.set_operation == ast::SetOperation::kUnion       ? SetOperationKind::kUnion
                   : s.set_operation == ast::SetOperation::kIntersect ? SetOperationKind::kIntersect
                                                                      : SetOperationKind::kExcept;
  out->all = s.all;
  QueryResult result;
  for (size_t i = 0; i < left.columns.size(); ++i) {
    const std::vector<Oid> types = {out_->columns[left.columns[i].id].type.oid, out_->columns[right.columns[i].id].type.oid};
    auto common = CommonType(types, name);
    if (!common.ok()) {
      const bool listed = s.right->items.size() == right.columns.size();
      return WithPosition(common.status(), Position(listed ? s.right->items[i].position : position_of(*s.right)));
    }
    const SqlType type = CommonWithTypmod({Ref(left.columns[i].id), Ref(right.columns[i].id)}, *common);
    RETURN_IF_ERROR(CoerceColumn(&left, i, type, CastContext::kImplicit, scope));
    RETURN_IF_ERROR(CoerceColumn(&right, i, type, CastContext::kImplicit, scope));
    if (!(out->all && out->operation == SetOperationKind::kUnion) && !IsHashable(type.oid) && !IsOrderable(type.oid)) {
      return PgError(sqlstate::kUndefinedFunction, StrCat("could not identify an equality operator for type ", TypeName(type)));
    }
    result.columns.push_back({left.columns[i].name, AddColumn(left.columns[i].name, type, scope)});
    out->columns.push_back(result.columns.back().id);
  }
  for (const QueryResult* side : {&left, &right}) {
    out->children.push_back(side->plan);
    std::vector<ColumnId> ids;
    for (const FromColumn& c : side->columns) ids.push_back(c.id);
    out->inputs.push_back(std::move(ids));
  }
  result.plan = out;
  ASSIGN_OR_RETURN(result.plan, OrderAndLimit(s, &result, name, scope));
  return result;
}

}  // namespace insula::sql
