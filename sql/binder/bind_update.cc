// UPDATE and DELETE.
//
// The child of the write finds the rows: the target's columns (all of them, locked as they are read) joined with FROM or USING,
// filtered by WHERE.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"

namespace insula::sql {

// The value of one SET item, cast to its column; DEFAULT is the column's default.
absl::StatusOr<ExprPtr> Binder::AssignedValue(const ast::Expr& value, const ColumnInfo& column, const TablePtr& table, int ordinal, Scope& scope, int position) {
  if (value.kind == ast::ExprKind::kDefault) return DefaultOf(table, ordinal);
  if (column.generated != GeneratedKind::kNone) {
    return PgErrorBuilder("428C9", StrCat("column \"", column.name, "\" can only be updated to DEFAULT"))
        .Detail(StrCat("Column \"", column.name, "\" is a generated column."))
        .Build();
  }
  if (column.identity == IdentityKind::kAlways) {
    return PgErrorBuilder("428C9", StrCat("column \"", column.name, "\" can only be updated to DEFAULT"))
        .Detail(StrCat("Column \"", column.name, "\" is an identity column defined as GENERATED ALWAYS."))
        .Build();
  }
  ASSIGN_OR_RETURN(ExprPtr e, Expression(value, scope));
  if (ContainsSetFunction(e)) return Error(sqlstate::kFeatureNotSupported, "set-returning functions are not allowed in UPDATE", value.position);
  return CoerceAssign(std::move(e), column, position);
}

absl::StatusOr<std::vector<Assignment>> Binder::Assignments(const std::vector<ast::Assignment>& list, const TablePtr& table, Scope& scope, LogicalPtr* plan) {
  std::vector<Assignment> out;
  const ast::MultiAssign* group = nullptr;  // SET (a, b) = …: the source stands with its first column
  std::vector<ExprPtr> group_values;
  for (const ast::Assignment& a : list) {
    const int ordinal = table->FindColumn(a.column);
    if (ordinal < 0) {
      return Error(sqlstate::kUndefinedColumn, StrCat("column \"", a.column, "\" of relation \"", table->name, "\" does not exist"), a.position);
    }
    if (!a.indirection.empty()) return Error(sqlstate::kFeatureNotSupported, "assigning to parts of a column is not supported yet", a.position);
    if (std::any_of(out.begin(), out.end(), [&](const Assignment& x) { return x.ordinal == ordinal; })) {
      return PgError(sqlstate::kSyntaxError, StrCat("multiple assignments to same column \"", a.column, "\""));
    }
    const ColumnInfo& column = table->columns[ordinal];
    Require(*table, kPrivilegeUpdate, ordinal);
    const auto* multi = a.value->TryAs<ast::MultiAssign>();
    if (multi == nullptr) {
      ASSIGN_OR_RETURN(ExprPtr e, AssignedValue(*a.value, column, table, ordinal, scope, ast::LeftmostPosition(*a.value)));
      out.push_back({ordinal, std::move(e)});
      continue;
    }
    if (multi->column == 1) {
      group = multi;
      group_values.clear();
      if (multi->source->kind == ast::ExprKind::kSubquery) {
        // SET (a, b) = (SELECT …): the row of the subquery joins every target row.
        const auto& subquery = multi->source->As<ast::Subquery>();
        if (plan == nullptr) return PgUnsupported("a subquery in ON CONFLICT DO UPDATE");
        ASSIGN_OR_RETURN(QueryResult query, Query(*subquery.select, &scope, /*resolve_unknown=*/false));
        if (query.columns.size() != static_cast<size_t>(multi->columns)) {
          return Error(sqlstate::kSyntaxError, "number of columns does not match number of values", subquery.position);
        }
        RETURN_IF_ERROR(ResolveUnknown(&query));
        auto single = std::make_shared<LogicalSingleRow>();
        single->children.push_back(query.plan);
        auto join = std::make_shared<LogicalJoin>();
        join->lateral = !OuterColumns(*query.plan).empty();
        join->children = {*plan, single};
        *plan = join;
        for (const FromColumn& c : query.columns) group_values.push_back(Ref(c.id));
      } else if (multi->source->kind != ast::ExprKind::kRow) {
        return Error(sqlstate::kFeatureNotSupported, "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression", multi->source->position);
      } else if (multi->source->As<ast::Row>().args.size() != static_cast<size_t>(multi->columns)) {
        return Error(sqlstate::kSyntaxError, "number of columns does not match number of values", multi->source->position);
      }
    }
    CHECK(group != nullptr) << "a group of assignments begins with its first column";
    if (group_values.empty()) {
      const ast::Expr& value = *group->source->As<ast::Row>().args[multi->column - 1];
      ASSIGN_OR_RETURN(ExprPtr e, AssignedValue(value, column, table, ordinal, scope, a.position));
      out.push_back({ordinal, std::move(e)});
    } else {
      ASSIGN_OR_RETURN(ExprPtr e, CoerceAssign(group_values[multi->column - 1], column, a.position));
      out.push_back({ordinal, std::move(e)});
    }
  }
  return out;
}

// Generated columns follow from the row as it will be: the assigned columns with their new values, the others as they are.
absl::Status Binder::AddGenerated(const TablePtr& table, const std::vector<ColumnId>& old_row, std::vector<Assignment>* assignments) {
  std::map<ColumnId, ExprPtr> changed;
  for (const Assignment& a : *assignments) {
    if (table->columns[a.ordinal].generated == GeneratedKind::kNone) changed[old_row[a.ordinal]] = a.value;
  }
  std::erase_if(*assignments, [&](const Assignment& a) { return table->columns[a.ordinal].generated != GeneratedKind::kNone; });
  for (size_t i = 0; i < table->columns.size(); ++i) {
    const ColumnInfo& c = table->columns[i];
    if (c.generated == GeneratedKind::kNone) continue;
    ASSIGN_OR_RETURN(ExprPtr e, OverRow(c.default_expression, table, old_row, c.type));
    const ColumnSet reads = ColumnsOf(e);
    if (std::none_of(reads.begin(), reads.end(), [&](ColumnId r) { return changed.contains(r); })) continue;
    assignments->push_back({static_cast<int>(i), SubstituteColumns(e, changed)});
  }
  return absl::OkStatus();
}

absl::StatusOr<QueryResult> Binder::Update(const ast::UpdateStatement& s, Scope* outer) {
  Scope scope;
  scope.outer = outer;
  scope.depth = outer != nullptr ? outer->depth + 1 : 1;
  RETURN_IF_ERROR(With(s.with, scope));
  ASSIGN_OR_RETURN(TablePtr table, WriteTarget(s.table, "update", scope));
  Require(*table, kPrivilegeUpdate);
  const std::string alias = s.alias.empty() ? table->name : s.alias;
  ASSIGN_OR_RETURN(auto scan, Scan(table, alias, scope));
  scan->lock = RowLock{RowLockStrength::kNoKeyUpdate, RowLockWait::kBlock};
  NamespaceItem target = ItemForScan(*scan);
  if (s.alias.empty()) target.schema = table->schema;
  LogicalPtr plan = scan;
  // FROM sees the target only by LATERAL … which PostgreSQL does not allow; names in SET and WHERE see all.
  std::vector<NamespaceItem> items = {target};
  if (!s.from.empty()) {
    ASSIGN_OR_RETURN(FromResult from, FromList(s.from, scope));
    items.insert(items.end(), from.items.begin(), from.items.end());
    RETURN_IF_ERROR(CheckDuplicateNames(items));
    auto join = std::make_shared<LogicalJoin>();
    join->children = {plan, from.plan};
    plan = join;
  }
  scope.items = items;
  if (s.where) {
    auto filter = std::make_shared<LogicalFilter>();
    ASSIGN_OR_RETURN(filter->condition, ExpressionIn(*s.where, scope, Clause::kWhere));
    ASSIGN_OR_RETURN(filter->condition, CoerceToBool(std::move(filter->condition), "WHERE"));
    filter->children.push_back(std::move(plan));
    plan = std::move(filter);
  }
  auto update = std::make_shared<LogicalUpdate>();
  UpdateSpec& spec = update->spec;
  spec.table = table;
  spec.old_columns = scan->columns;
  scope.clause = Clause::kUpdateSet;
  ASSIGN_OR_RETURN(spec.assignments, Assignments(s.set, table, scope, &plan));
  RETURN_IF_ERROR(AddGenerated(table, scan->columns, &spec.assignments));
  // Subqueries in assignments are computed below the write.
  auto project = std::make_shared<LogicalProject>();
  for (ColumnId c : plan->Output()) project->items.push_back({c, Ref(c)});
  bool computed = false;
  for (Assignment& a : spec.assignments) {
    if (!ContainsSubquery(a.value)) continue;
    const ColumnId id = AddColumn(table->columns[a.ordinal].name, a.value->type, scope);
    project->items.push_back({id, a.value});
    a.value = Ref(id);
    computed = true;
  }
  if (computed) {
    project->children.push_back(std::move(plan));
    plan = std::move(project);
  }
  // Changing a key column takes the stronger lock.
  for (const Assignment& a : spec.assignments) {
    for (const IndexInfo& index : table->indexes) {
      if (!index.unique) continue;
      if (std::any_of(index.columns.begin(), index.columns.end(), [&](const IndexColumnInfo& k) { return k.ordinal == a.ordinal; })) {
        scan->lock.strength = RowLockStrength::kUpdate;
      }
    }
  }
  spec.new_columns = RowColumns(table, alias, scope);
  ASSIGN_OR_RETURN(spec.checks, Checks(table, spec.new_columns));
  ASSIGN_OR_RETURN(spec.indexes, Indexes(table, spec.new_columns));
  update->children.push_back(std::move(plan));

  // RETURNING: the target's names mean the new row.
  Scope returning;
  returning.outer = &scope;
  returning.depth = scope.depth + 1;
  returning.items = items;
  returning.items[0] = ItemForRow(table, alias, spec.new_columns);
  returning.items[0].schema = target.schema;
  for (const NamespaceItem& item : returning.items) {
    for (const FromColumn& c : item.columns) column_levels_[c.id] = returning.depth;
  }
  QueryResult result;
  RETURN_IF_ERROR(Returning(s.returning, returning, &spec.returning, &result));
  ASSIGN_OR_RETURN(result.plan, WrapCtes(FinishReturning(update, &spec.returning, &update->columns, result, returning), scope));
  return result;
}

absl::StatusOr<QueryResult> Binder::Delete(const ast::DeleteStatement& s, Scope* outer) {
  Scope scope;
  scope.outer = outer;
  scope.depth = outer != nullptr ? outer->depth + 1 : 1;
  RETURN_IF_ERROR(With(s.with, scope));
  ASSIGN_OR_RETURN(TablePtr table, WriteTarget(s.table, "delete from", scope));
  Require(*table, kPrivilegeDelete);
  const std::string alias = s.alias.empty() ? table->name : s.alias;
  ASSIGN_OR_RETURN(auto scan, Scan(table, alias, scope));
  scan->lock = RowLock{RowLockStrength::kUpdate, RowLockWait::kBlock};
  NamespaceItem target = ItemForScan(*scan);
  if (s.alias.empty()) target.schema = table->schema;
  LogicalPtr plan = scan;
  std::vector<NamespaceItem> items = {target};
  if (!s.using_.empty()) {
    ASSIGN_OR_RETURN(FromResult from, FromList(s.using_, scope));
    items.insert(items.end(), from.items.begin(), from.items.end());
    RETURN_IF_ERROR(CheckDuplicateNames(items));
    auto join = std::make_shared<LogicalJoin>();
    join->children = {plan, from.plan};
    plan = join;
  }
  scope.items = items;
  if (s.where) {
    auto filter = std::make_shared<LogicalFilter>();
    ASSIGN_OR_RETURN(filter->condition, ExpressionIn(*s.where, scope, Clause::kWhere));
    ASSIGN_OR_RETURN(filter->condition, CoerceToBool(std::move(filter->condition), "WHERE"));
    filter->children.push_back(std::move(plan));
    plan = std::move(filter);
  }
  auto del = std::make_shared<LogicalDelete>();
  del->spec.table = table;
  del->spec.old_columns = scan->columns;
  del->spec.row_columns = RowColumns(table, alias, scope);
  ASSIGN_OR_RETURN(del->spec.indexes, Indexes(table, del->spec.row_columns));
  del->children.push_back(std::move(plan));
  QueryResult result;
  RETURN_IF_ERROR(Returning(s.returning, scope, &del->spec.returning, &result));
  ASSIGN_OR_RETURN(result.plan, WrapCtes(FinishReturning(del, &del->spec.returning, &del->columns, result, scope), scope));
  return result;
}

}  // namespace insula::sql
