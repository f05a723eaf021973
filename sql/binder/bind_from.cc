// FROM: tables, views, subqueries, functions, joins.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"
#include "sql/parser/parser.h"

namespace insula::sql {

absl::StatusOr<std::shared_ptr<LogicalScan>> Binder::Scan(const TablePtr& table, std::string_view alias, Scope& scope) {
  auto scan = std::make_shared<LogicalScan>();
  scan->table = table;
  scan->alias = alias;
  std::vector<ColumnId> keys;
  for (size_t i = 0; i < table->columns.size(); ++i) {
    const ColumnInfo& c = table->columns[i];
    const ColumnId id = AddColumn(c.name, c.type, scope);
    ColumnMeta& meta = out_->columns.Mutable(id);
    meta.relation = alias;
    meta.table = table->oid;
    meta.ordinal = static_cast<int>(i);
    meta.nullable = !c.not_null;
    scan->ordinals.push_back(static_cast<int>(i));
    scan->columns.push_back(id);
    scanned_[id] = table;
  }
  if (const IndexInfo* primary = table->PrimaryIndex()) {
    for (const auto& k : primary->columns) {
      if (k.ordinal >= 0) keys.push_back(scan->columns[k.ordinal]);
    }
    for (ColumnId id : scan->columns) scan_keys_[id] = keys;
  }
  ASSIGN_OR_RETURN(scan->index_specs, Indexes(table, scan->columns));
  return scan;
}

NamespaceItem Binder::ItemForScan(const LogicalScan& scan) const {
  NamespaceItem item;
  item.name = scan.alias;
  item.table = scan.table;
  for (size_t i = 0; i < scan.columns.size(); ++i) item.columns.push_back({scan.table->columns[i].name, scan.columns[i]});
  return item;
}

// AS alias (columns…): renames what names can refer to.
absl::Status Binder::ApplyAlias(const ast::Alias& alias, int position, std::string_view default_name, FromResult* result) {
  if (result->items.size() != 1) return absl::OkStatus();
  NamespaceItem& item = result->items[0];
  item.name = alias.name.empty() ? std::string(default_name) : alias.name;
  if (!alias.name.empty()) item.schema.clear();
  if (alias.columns.empty()) return absl::OkStatus();
  std::vector<size_t> visible;
  for (size_t i = 0; i < item.columns.size(); ++i) {
    if (item.table == nullptr || !item.table->columns[i].hidden) visible.push_back(i);
  }
  if (alias.columns.size() > visible.size()) {
    return Error(sqlstate::kInvalidColumnReference,
                 StrCat("table \"", item.name, "\" has ", visible.size(), " columns available but ", alias.columns.size(), " columns specified"), position);
  }
  for (size_t i = 0; i < alias.columns.size(); ++i) item.columns[visible[i]].name = alias.columns[i];
  // The result's columns are the visible ones, in the same order.
  for (size_t i = 0; i < alias.columns.size() && i < result->columns.size(); ++i) result->columns[i].name = alias.columns[i];
  return absl::OkStatus();
}

absl::StatusOr<FromResult> Binder::FromTable(const ast::FromTable& t, Scope& scope) {
  if (t.table.schema.empty()) {
    if (auto cte = FindCte(t.table.name, scope)) return FromCte(cte, t, scope);
  }
  auto found = ResolveTable(t.table, context_);
  if (!found.ok()) {
    if (positions_) return found.status();
    return PgError(sqlstate::kUndefinedTable, ToPgError(found.status()).message);
  }
  const TablePtr& table = *found;
  if (view_names_ != nullptr) view_names_->tables[&t] = table;
  switch (table->kind) {
    case RelationKind::kIndex:
      return Error(sqlstate::kWrongObjectType, StrCat("cannot open relation \"", table->name, "\""), t.position);
    case RelationKind::kCompositeType:
      return Error(sqlstate::kWrongObjectType, StrCat("\"", table->name, "\" is a composite type"), t.position);
    default:
      break;
  }
  FromResult result;
  const std::string alias = t.alias.name.empty() ? table->name : t.alias.name;
  Require(*table, kPrivilegeSelect);
  if (table->kind == RelationKind::kView) {
    ASSIGN_OR_RETURN(result, FromView(table, scope));
  } else {
    ASSIGN_OR_RETURN(auto scan, Scan(table, alias, scope));
    NamespaceItem item = ItemForScan(*scan);
    if (t.alias.name.empty()) item.schema = table->schema;
    for (size_t i = 0; i < item.columns.size(); ++i) {
      if (!table->columns[i].hidden) result.columns.push_back(item.columns[i]);
    }
    result.items.push_back(std::move(item));
    result.plan = std::move(scan);
  }
  if (t.alias.name.empty()) result.items[0].schema = table->schema;
  RETURN_IF_ERROR(ApplyAlias(t.alias, t.position, table->name, &result));
  return result;
}

// A view is its query, bound where it stands with nothing around it visible; its owner's rights apply inside.
absl::StatusOr<FromResult> Binder::FromView(const TablePtr& view, Scope& scope) {
  if (++nesting_ > 100) {
    --nesting_;
    return PgError("42P17", StrCat("infinite recursion detected in rules for relation \"", view->name, "\""));
  }
  auto parsed = ParseSql(view->view_definition);
  if (!parsed.ok() || parsed->size() != 1 || (*parsed)[0].statement->kind != ast::StatementKind::kSelect) {
    --nesting_;
    return PgError(sqlstate::kInternalError, StrCat("the definition of view \"", view->name, "\" cannot be read"));
  }
  const bool positions = std::exchange(positions_, false);
  const bool require = std::exchange(require_, false);
  const bool parameters = std::exchange(allow_parameters_, false);
  ViewNames* names = std::exchange(view_names_, nullptr);  // everything in it is qualified, whatever the search path
  auto query = Query((*parsed)[0].statement->As<ast::SelectStatement>(), nullptr, /*resolve_unknown=*/true);
  positions_ = positions;
  require_ = require;
  allow_parameters_ = parameters;
  view_names_ = names;
  --nesting_;
  if (!query.ok()) return query.status();
  FromResult result;
  result.plan = query->plan;
  NamespaceItem item;
  item.table = view;
  if (query->columns.size() < view->columns.size()) {
    return PgError(sqlstate::kInternalError, StrCat("the definition of view \"", view->name, "\" yields too few columns"));
  }
  for (size_t i = 0; i < view->columns.size(); ++i) {
    item.columns.push_back({view->columns[i].name, query->columns[i].id});
    result.columns.push_back(item.columns.back());
  }
  result.items.push_back(std::move(item));
  return result;
}

absl::StatusOr<FromResult> Binder::FromCte(const std::shared_ptr<BoundCte>& cte, const ast::FromTable& t, Scope& scope) {
  FromResult result;
  NamespaceItem item;
  const std::string alias = t.alias.name.empty() ? cte->name : t.alias.name;
  auto project = std::make_shared<LogicalProject>();
  std::vector<ColumnId> ids;
  for (const FromColumn& c : cte->columns) {
    const ColumnId id = AddColumn(c.name, out_->columns[c.id].type, scope);
    out_->columns.Mutable(id).relation = alias;
    item.columns.push_back({c.name, id});
    ids.push_back(id);
  }
  if (cte->work_table >= 0) {  // the step of a recursive query reads the last round
    if (cte->step_referenced) {
      return Error("42P19", StrCat("recursive reference to query \"", cte->name, "\" must not appear more than once"), t.position);
    }
    cte->step_referenced = true;
    auto scan = std::make_shared<LogicalWorkTableScan>();
    scan->work_table = cte->work_table;
    scan->alias = alias;
    for (size_t i = 0; i < ids.size(); ++i) scan->source.push_back(static_cast<int>(i));
    scan->columns = ids;
    result.plan = std::move(scan);
  } else {
    auto scan = std::make_shared<LogicalCteScan>();
    scan->cte = cte->number;
    scan->alias = alias;
    for (size_t i = 0; i < ids.size(); ++i) {
      scan->source.push_back(cte->columns[i].id);
      const ColumnId read = AddColumn(cte->columns[i].name, out_->columns[ids[i]].type, scope);
      scan->columns.push_back(read);
      project->items.push_back({ids[i], Ref(read)});
    }
    project->children.push_back(std::move(scan));
    cte->references.push_back(project);
    result.plan = project;
  }
  result.columns = item.columns;
  result.items.push_back(std::move(item));
  RETURN_IF_ERROR(ApplyAlias(t.alias, t.position, cte->name, &result));
  return result;
}

absl::StatusOr<FromResult> Binder::FromSubquery(const ast::FromSubquery& s, Scope& scope) {
  if (s.alias.name.empty()) {
    return PgErrorBuilder(sqlstate::kSyntaxError, s.select->values.empty() ? "subquery in FROM must have an alias" : "VALUES in FROM must have an alias")
        .Hint(s.select->values.empty() ? "For example, FROM (SELECT ...) [AS] foo." : "For example, FROM (VALUES ...) [AS] foo.")
        .Position(Position(s.position))
        .Build();
  }
  const bool lateral = std::exchange(scope.lateral_active, s.lateral);
  auto query = Query(*s.select, &scope, /*resolve_unknown=*/true);
  scope.lateral_active = lateral;
  if (!query.ok()) return query.status();
  FromResult result;
  result.plan = query->plan;
  result.columns = query->columns;
  NamespaceItem item;
  item.columns = query->columns;
  result.items.push_back(std::move(item));
  RETURN_IF_ERROR(ApplyAlias(s.alias, s.position, "", &result));
  return result;
}

absl::StatusOr<FromResult> Binder::FromFunction(const ast::FromFunction& f, Scope& scope) {
  auto scan = std::make_shared<LogicalFunctionScan>();
  FromResult result;
  NamespaceItem item;
  std::string default_name = "unnamed";
  const bool lateral = std::exchange(scope.lateral_active, true);  // functions may always look to their left
  struct Restore {
    bool& flag;
    bool value;
    ~Restore() { flag = value; }
  } restore{scope.lateral_active, lateral};

  for (const ast::TableFunction& t : f.functions) {
    ASSIGN_OR_RETURN(ExprPtr call, ExpressionIn(*t.call, scope, Clause::kFromFunction));
    ASSIGN_OR_RETURN(call, ResolveUnknown(std::move(call)));
    std::string name = NameOf(*t.call);
    if (scan->functions.empty()) default_name = name;
    TableFunctionCall bound;
    bound.call = call;
    const auto* function = call->TryAs<FunctionExpr>();
    auto add = [&](std::string_view column, const SqlType& type) {
      const ColumnId id = AddColumn(column, type, scope);
      out_->columns.Mutable(id).relation = f.alias.name.empty() ? default_name : f.alias.name;
      item.columns.push_back({std::string(column), id});
      bound.column_types.push_back(type);
    };
    if (!t.columns.empty()) {
      if (call->type.oid != oid::kRecord || (function != nullptr && !function->function->out_types.empty())) {
        return Error(sqlstate::kSyntaxError, "a column definition list is only allowed for functions returning \"record\"", t.call->position);
      }
      for (const auto& c : t.columns) {
        ASSIGN_OR_RETURN(SqlType type, Type(c->type));
        add(c->name, type);
      }
      bound.record = function == nullptr || !function->function->returns_set;
    } else if (call->type.oid == oid::kRecord && call->kind == ExprKind::kRow) {
      ASSIGN_OR_RETURN(auto fields, ExpandRecord(call, t.call->position));
      for (auto& [field, e] : fields) add(field, e->type);
      bound.record = true;
    } else if (call->type.oid == oid::kRecord) {
      if (function == nullptr || function->function->out_types.empty()) {
        return Error(sqlstate::kSyntaxError, "a column definition list is required for functions returning \"record\"", t.call->position);
      }
      ASSIGN_OR_RETURN(auto fields, ExpandRecord(call, t.call->position));
      // Polymorphic outputs have been resolved with the call's arguments.
      std::vector<Oid> types;
      for (const auto& a : function->args) types.push_back(a->type.oid);
      auto resolved = ResolveFunction(function->function->name, types);
      for (size_t i = 0; i < fields.size(); ++i) {
        const bool known = resolved.ok() && i < resolved->out_types.size();
        add(fields[i].first, known ? SqlType{resolved->out_types[i], -1} : fields[i].second->type);
      }
      bound.record = !function->function->returns_set;
    } else {
      // One column, named after its own OUT parameter, the alias or the function.
      std::string column = !f.alias.name.empty() && f.functions.size() == 1 ? f.alias.name : name;
      add(column, call->type);
    }
    scan->functions.push_back(std::move(bound));
  }
  const bool single = f.functions.size() == 1 && item.columns.size() == 1;
  if (f.ordinality) {
    const ColumnId id = AddColumn("ordinality", SqlType{oid::kInt8, -1}, scope);
    item.columns.push_back({"ordinality", id});
    scan->ordinality = true;
  }
  for (const FromColumn& c : item.columns) scan->columns.push_back(c.id);
  scan->alias = f.alias.name.empty() ? default_name : f.alias.name;
  item.scalar_function = single && !f.ordinality;
  result.columns = item.columns;
  result.items.push_back(std::move(item));
  result.plan = scan;
  RETURN_IF_ERROR(ApplyAlias(f.alias, f.position, default_name, &result));
  return result;
}

absl::Status Binder::JoinUsing(const ast::FromJoin& j, const std::vector<std::string>& names, FromResult& left, FromResult& right, LogicalJoin* join,
                               std::vector<FromColumn>* merged, std::vector<NamedExpr>* computed, Scope& scope) {
  std::vector<ExprPtr> conditions;
  auto find = [&](const FromResult& side, const std::string& name, std::string_view which) -> absl::StatusOr<FromColumn> {
    const FromColumn* match = nullptr;
    for (const FromColumn& c : side.columns) {
      if (c.name != name) continue;
      if (match != nullptr) return Error(sqlstate::kAmbiguousColumn, StrCat("common column name \"", name, "\" appears more than once in ", which, " table"), j.position);
      match = &c;
    }
    if (match == nullptr) {
      return Error(sqlstate::kUndefinedColumn, StrCat("column \"", name, "\" specified in USING clause does not exist in ", which, " table"), j.position);
    }
    return *match;
  };
  for (size_t n = 0; n < names.size(); ++n) {
    const std::string& name = names[n];
    if (std::find(names.begin(), names.begin() + static_cast<long>(n), name) != names.begin() + static_cast<long>(n)) {
      return Error(sqlstate::kDuplicateColumn, StrCat("column name \"", name, "\" appears more than once in USING clause"), j.position);
    }
    ASSIGN_OR_RETURN(FromColumn l, find(left, name, "left"));
    ASSIGN_OR_RETURN(FromColumn r, find(right, name, "right"));
    for (const auto* side : {&left, &right}) {  // a join column is read on both sides
      for (const NamespaceItem& item : side->items) {
        for (size_t i = 0; i < item.columns.size(); ++i) {
          if (item.columns[i].id == l.id || item.columns[i].id == r.id) UseColumn(item, i, 0);
        }
      }
    }
    ExprPtr le = Ref(l.id), re = Ref(r.id);
    ASSIGN_OR_RETURN(ExprPtr equal, MakeOperator("=", le, re, j.position));
    conditions.push_back(std::move(equal));
    ASSIGN_OR_RETURN(Oid common, Common({le, re}, "JOIN/USING"));
    const SqlType type = CommonWithTypmod({le, re}, common);
    const bool from_right = join->join == JoinType::kRight;
    if (join->join != JoinType::kFull && (from_right ? re : le)->type == type) {
      merged->push_back({name, from_right ? r.id : l.id});
      continue;
    }
    ASSIGN_OR_RETURN(le, CoerceOr(std::move(le), type, CastContext::kImplicit));
    ASSIGN_OR_RETURN(re, CoerceOr(std::move(re), type, CastContext::kImplicit));
    ExprPtr value = from_right ? re : le;
    if (join->join == JoinType::kFull) {
      auto coalesce = std::make_shared<CoalesceExpr>(type);
      coalesce->args = {le, re};
      value = coalesce;
    }
    const ColumnId id = AddColumn(name, type, scope);
    computed->push_back({id, value});
    merged->push_back({name, id});
  }
  join->condition = MakeAnd(std::move(conditions));
  return absl::OkStatus();
}

absl::StatusOr<FromResult> Binder::FromJoin(const ast::FromJoin& j, Scope& scope) {
  ASSIGN_OR_RETURN(FromResult left, From(*j.left, scope));
  // The right side may refer to the left one by LATERAL.
  const size_t before = scope.items.size();
  const bool lateral_ok = j.join == ast::JoinKind::kInner || j.join == ast::JoinKind::kCross || j.join == ast::JoinKind::kLeft;
  for (NamespaceItem item : left.items) {
    item.lateral_only = true;
    item.lateral_ok = lateral_ok;
    scope.items.push_back(std::move(item));
  }
  auto right_or = From(*j.right, scope);
  scope.items.resize(before);
  if (!right_or.ok()) return right_or.status();
  FromResult right = *std::move(right_or);

  auto join = std::make_shared<LogicalJoin>();
  switch (j.join) {
    case ast::JoinKind::kLeft: join->join = JoinType::kLeft; break;
    case ast::JoinKind::kRight: join->join = JoinType::kRight; break;
    case ast::JoinKind::kFull: join->join = JoinType::kFull; break;
    default: join->join = JoinType::kInner;
  }
  join->children = {left.plan, right.plan};
  const std::vector<ColumnId> left_output = left.plan->Output();
  const ColumnSet left_columns(left_output.begin(), left_output.end());
  for (ColumnId c : OuterColumns(*right.plan)) join->lateral = join->lateral || left_columns.contains(c);

  std::vector<NamespaceItem> items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  RETURN_IF_ERROR(CheckDuplicateNames(items));

  std::vector<std::string> names = j.using_columns;
  if (j.natural) {
    for (const FromColumn& l : left.columns) {
      if (std::any_of(right.columns.begin(), right.columns.end(), [&](const FromColumn& r) { return r.name == l.name; })) names.push_back(l.name);
    }
  }
  std::vector<FromColumn> merged;
  std::vector<NamedExpr> computed;
  if (!names.empty()) {
    RETURN_IF_ERROR(JoinUsing(j, names, left, right, join.get(), &merged, &computed, scope));
  } else if (j.condition) {
    // ON sees the two sides only (and the queries around).
    std::vector<NamespaceItem> outside = std::exchange(scope.items, items);
    auto condition = ExpressionIn(*j.condition, scope, Clause::kJoinOn);
    scope.items = std::move(outside);
    if (!condition.ok()) return condition.status();
    ASSIGN_OR_RETURN(join->condition, CoerceToBool(*std::move(condition), "JOIN/ON"));
  }

  FromResult result;
  result.plan = join;
  if (!computed.empty()) {
    auto project = std::make_shared<LogicalProject>();
    for (ColumnId c : join->Output()) project->items.push_back({c, Ref(c)});
    for (NamedExpr& e : computed) project->items.push_back(std::move(e));
    project->children.push_back(result.plan);
    result.plan = project;
  }
  result.columns = merged;
  auto is_merged = [&](const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (const auto* side : {&left, &right}) {
    for (const FromColumn& c : side->columns) {
      if (!is_merged(c.name)) result.columns.push_back(c);
    }
  }

  if (!j.alias.name.empty()) {  // hides what is inside
    NamespaceItem item;
    item.name = j.alias.name;
    item.columns = result.columns;
    result.items.push_back(std::move(item));
    RETURN_IF_ERROR(ApplyAlias(j.alias, j.position, "", &result));
    return result;
  }
  for (NamespaceItem& item : items) {
    // Columns go by the join's own list from now on, unless nothing was merged.
    if (!names.empty()) item.columns_visible = false;
    result.items.push_back(std::move(item));
  }
  if (!names.empty()) {
    NamespaceItem own;
    own.columns = result.columns;
    own.table_visible = false;
    result.items.push_back(std::move(own));
  }
  if (!j.using_alias.empty()) {
    NamespaceItem alias;
    alias.name = j.using_alias;
    alias.columns = merged;
    alias.columns_visible = false;
    result.items.push_back(std::move(alias));
  }
  return result;
}

absl::StatusOr<FromResult> Binder::From(const ast::FromItem& item, Scope& scope) {
  if (++nesting_ > 3000) return PgError("54001", "stack depth limit exceeded");
  absl::StatusOr<FromResult> out = absl::InternalError("");
  switch (item.kind) {
    case ast::FromKind::kTable: out = FromTable(item.As<ast::FromTable>(), scope); break;
    case ast::FromKind::kSubquery: out = FromSubquery(item.As<ast::FromSubquery>(), scope); break;
    case ast::FromKind::kJoin: out = FromJoin(item.As<ast::FromJoin>(), scope); break;
    case ast::FromKind::kFunction: out = FromFunction(item.As<ast::FromFunction>(), scope); break;
  }
  --nesting_;
  return out;
}

// a, b, c: joins without conditions, from left to right; each may be LATERAL to those before it.
absl::StatusOr<FromResult> Binder::FromList(const std::vector<ast::FromPtr>& list, Scope& scope) {
  FromResult result;
  const size_t before = scope.items.size();
  for (const auto& item : list) {
    auto next_or = From(*item, scope);
    if (!next_or.ok()) {
      return next_or.status();
    }
    FromResult next = *std::move(next_or);
    if (result.plan == nullptr) {
      result.plan = next.plan;
    } else {
      auto join = std::make_shared<LogicalJoin>();
      const std::vector<ColumnId> left_output = result.plan->Output();
      const ColumnSet left_columns(left_output.begin(), left_output.end());
      for (ColumnId c : OuterColumns(*next.plan)) join->lateral = join->lateral || left_columns.contains(c);
      join->children = {result.plan, next.plan};
      result.plan = join;
    }
    for (const NamespaceItem& i : next.items) {
      // What a subquery yields is a column of this query from here on.
      for (const FromColumn& c : i.columns) column_levels_[c.id] = scope.depth;
      result.items.push_back(i);
      NamespaceItem visible = i;
      visible.lateral_only = true;
      scope.items.push_back(std::move(visible));
    }
    RETURN_IF_ERROR(CheckDuplicateNames(result.items));
    result.columns.insert(result.columns.end(), next.columns.begin(), next.columns.end());
  }
  scope.items.resize(before);
  if (result.plan == nullptr) {
    auto one = std::make_shared<LogicalValues>();
    one->rows.emplace_back();
    result.plan = one;
  }
  return result;
}

}  // namespace insula::sql
