// INSERT, ON CONFLICT, COPY FROM.
//
//   Insert ◄ Project: the whole row by ordinal (generated columns) ◄ Project: given columns, defaults ◄ source
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"
#include "sql/parser/parser.h"

namespace insula::sql {
namespace {

bool IsDefault(const ast::Expr& e) { return e.kind == ast::ExprKind::kDefault; }

// A list of rows and nothing else: DEFAULT may stand in it, and literals take the types of the target columns.
bool IsPlainValues(const ast::SelectStatement& s) {
  return !s.values.empty() && s.order_by.empty() && !s.limit && !s.offset && s.with.ctes.empty() && s.locking.empty();
}

}  // namespace

absl::StatusOr<std::vector<int>> Binder::TargetColumns(const std::vector<ast::Assignment>& columns, const TablePtr& table) {
  std::vector<int> out;
  for (const ast::Assignment& a : columns) {
    const int ordinal = table->FindColumn(a.column);
    if (ordinal < 0) {
      return Error(sqlstate::kUndefinedColumn, StrCat("column \"", a.column, "\" of relation \"", table->name, "\" does not exist"), a.position);
    }
    if (!a.indirection.empty()) return Error(sqlstate::kFeatureNotSupported, "assigning to parts of a column is not supported yet", a.position);
    if (std::find(out.begin(), out.end(), ordinal) != out.end()) {
      return Error(sqlstate::kDuplicateColumn, StrCat("column \"", a.column, "\" specified more than once"), a.position);
    }
    out.push_back(ordinal);
  }
  if (columns.empty()) {
    for (size_t i = 0; i < table->columns.size(); ++i) {
      if (!table->columns[i].hidden) out.push_back(static_cast<int>(i));
    }
  }
  return out;
}

// Whether a value other than DEFAULT may go into the column.
absl::Status Binder::CheckWritable(const ast::InsertStatement& s, const TableInfo& table, int ordinal) {
  const ColumnInfo& c = table.columns[ordinal];
  if (c.generated != GeneratedKind::kNone) {
    return PgErrorBuilder("428C9", StrCat("cannot insert a non-DEFAULT value into column \"", c.name, "\""))
        .Detail(StrCat("Column \"", c.name, "\" is a generated column."))
        .Build();
  }
  if (c.identity == IdentityKind::kAlways && s.overriding == ast::Overriding::kNone) {
    return PgErrorBuilder("428C9", StrCat("cannot insert a non-DEFAULT value into column \"", c.name, "\""))
        .Detail(StrCat("Column \"", c.name, "\" is an identity column defined as GENERATED ALWAYS."))
        .Hint("Use OVERRIDING SYSTEM VALUE to override.")
        .Build();
  }
  return absl::OkStatus();
}

absl::StatusOr<LogicalPtr> Binder::InsertValues(const ast::InsertStatement& s, const TablePtr& table, const std::vector<int>& targets,
                                                bool implicit_targets, Scope& scope, std::vector<ColumnId>* sources) {
  const auto& lists = s.source->values;
  const size_t width = lists[0].size();
  if (width > targets.size()) {
    return Error(sqlstate::kSyntaxError, "INSERT has more expressions than target columns", ast::LeftmostPosition(*lists[0][targets.size()]));
  }
  if (width < targets.size() && !implicit_targets) {
    return Error(sqlstate::kSyntaxError, "INSERT has more target columns than expressions", s.columns[width].position);
  }
  scope.clause = Clause::kValues;
  std::vector<std::vector<ExprPtr>> rows;
  bool subqueries = false;
  for (const auto& list : lists) {
    if (list.size() != width) {
      return Error(sqlstate::kSyntaxError, "VALUES lists must all be the same length", list.empty() ? 0 : list[0]->position);
    }
    std::vector<ExprPtr> row;
    for (size_t i = 0; i < width; ++i) {
      const ColumnInfo& column = table->columns[targets[i]];
      const bool overridden = column.identity != IdentityKind::kNone && s.overriding == ast::Overriding::kUser;
      ExprPtr e;
      if (IsDefault(*list[i]) || overridden) {
        ASSIGN_OR_RETURN(e, DefaultOf(table, targets[i]));
      } else {
        RETURN_IF_ERROR(CheckWritable(s, *table, targets[i]));
        ASSIGN_OR_RETURN(e, Expression(*list[i], scope));
        ASSIGN_OR_RETURN(e, CoerceAssign(std::move(e), column, ast::LeftmostPosition(*list[i])));
      }
      subqueries = subqueries || ContainsSubquery(e);
      row.push_back(std::move(e));
    }
    rows.push_back(std::move(row));
  }
  for (size_t i = 0; i < width; ++i) sources->push_back(AddColumn(table->columns[targets[i]].name, table->columns[targets[i]].type, scope));
  if (!subqueries) {
    auto values = std::make_shared<LogicalValues>();
    values->columns = *sources;
    values->rows = std::move(rows);
    return values;
  }
  auto append = std::make_shared<LogicalSetOperation>();
  append->all = true;
  append->columns = *sources;
  for (auto& row : rows) {
    auto one = std::make_shared<LogicalValues>();
    one->rows.emplace_back();
    auto project = std::make_shared<LogicalProject>();
    project->children.push_back(std::move(one));
    std::vector<ColumnId> ids;
    for (size_t i = 0; i < width; ++i) {
      ids.push_back(rows.size() == 1 ? (*sources)[i] : AddColumn(table->columns[targets[i]].name, table->columns[targets[i]].type, scope));
      project->items.push_back({ids.back(), row[i]});
    }
    append->children.push_back(std::move(project));
    append->inputs.push_back(std::move(ids));
  }
  if (rows.size() == 1) return append->children[0];
  return append;
}

// The rows of VALUES or a query, cast to the target columns; `sources` are their columns.
absl::StatusOr<LogicalPtr> Binder::InsertRows(const ast::InsertStatement& s, const TablePtr& table, const std::vector<int>& targets, bool implicit_targets,
                                              Scope& scope, std::vector<ColumnId>* sources) {
  if (s.source == nullptr) {  // DEFAULT VALUES
    auto one = std::make_shared<LogicalValues>();
    one->rows.emplace_back();
    return one;
  }
  if (IsPlainValues(*s.source)) return InsertValues(s, table, targets, implicit_targets, scope, sources);
  ASSIGN_OR_RETURN(QueryResult query, Query(*s.source, &scope, /*resolve_unknown=*/false));
  if (query.columns.size() > targets.size()) {
    return Error(sqlstate::kSyntaxError, "INSERT has more expressions than target columns",
                 s.source->items.size() > targets.size() ? s.source->items[targets.size()].position : 0);
  }
  if (query.columns.size() < targets.size() && !implicit_targets) {
    return Error(sqlstate::kSyntaxError, "INSERT has more target columns than expressions", s.columns[query.columns.size()].position);
  }
  for (size_t i = 0; i < query.columns.size(); ++i) {
    RETURN_IF_ERROR(CheckWritable(s, *table, targets[i]));
    // The untyped literals of the query's own list take the column's type.
    if (out_->columns[query.columns[i].id].type.oid == oid::kUnknown) {
      RETURN_IF_ERROR(CoerceColumn(&query, i, table->columns[targets[i]].type, CastContext::kAssignment, scope));
    }
  }
  auto project = std::make_shared<LogicalProject>();
  for (size_t i = 0; i < query.columns.size(); ++i) {
    const int position = s.source->items.size() == query.columns.size() ? ast::LeftmostPosition(*s.source->items[i].expr) : 0;
    ASSIGN_OR_RETURN(ExprPtr e, CoerceAssign(Ref(query.columns[i].id), table->columns[targets[i]], position));
    const ColumnId id = AddColumn(table->columns[targets[i]].name, table->columns[targets[i]].type, scope);
    sources->push_back(id);
    project->items.push_back({id, std::move(e)});
  }
  project->children.push_back(std::move(query.plan));
  return project;
}

// Completes the given columns to whole table rows: defaults, then generated columns.
absl::StatusOr<LogicalPtr> Binder::FullRow(LogicalPtr plan, const TablePtr& table, const std::vector<int>& targets, const std::vector<ColumnId>& sources,
                                           Scope& scope, std::vector<ColumnId>* row) {
  std::vector<ColumnId> given(table->columns.size(), 0);
  for (size_t i = 0; i < sources.size(); ++i) given[targets[i]] = sources[i];
  auto project = std::make_shared<LogicalProject>();
  bool generated = false;
  for (size_t i = 0; i < table->columns.size(); ++i) {
    const ColumnInfo& c = table->columns[i];
    generated = generated || c.generated != GeneratedKind::kNone;
    ColumnId id = given[i];
    ExprPtr e;
    if (id != 0 && c.generated == GeneratedKind::kNone) {
      e = Ref(id);
    } else {
      id = AddColumn(c.name, c.type, scope);
      ASSIGN_OR_RETURN(e, DefaultOf(table, static_cast<int>(i)));
    }
    project->items.push_back({id, std::move(e)});
    row->push_back(id);
  }
  project->children.push_back(std::move(plan));
  if (!generated) return project;
  auto computed = std::make_shared<LogicalProject>();
  const std::vector<ColumnId> base = *row;
  for (size_t i = 0; i < table->columns.size(); ++i) {
    const ColumnInfo& c = table->columns[i];
    if (c.generated == GeneratedKind::kNone) {
      computed->items.push_back({base[i], Ref(base[i])});
      continue;
    }
    (*row)[i] = AddColumn(c.name, c.type, scope);
    ASSIGN_OR_RETURN(ExprPtr e, OverRow(c.default_expression, table, base, c.type));
    computed->items.push_back({(*row)[i], std::move(e)});
  }
  computed->children.push_back(std::move(project));
  return computed;
}

absl::StatusOr<QueryResult> Binder::Insert(const ast::InsertStatement& s, Scope* outer) {
  Scope scope;
  scope.outer = outer;
  scope.depth = outer != nullptr ? outer->depth + 1 : 1;
  RETURN_IF_ERROR(With(s.with, scope));
  ASSIGN_OR_RETURN(TablePtr table, WriteTarget(s.table, "insert into", scope));
  ASSIGN_OR_RETURN(std::vector<int> targets, TargetColumns(s.columns, table));
  Require(*table, kPrivilegeInsert);
  for (size_t i = 0; i < targets.size() && !s.columns.empty(); ++i) Require(*table, kPrivilegeInsert, targets[i]);

  auto insert = std::make_shared<LogicalInsert>();
  insert->spec.table = table;
  std::vector<ColumnId> sources;
  ASSIGN_OR_RETURN(LogicalPtr rows, InsertRows(s, table, targets, s.columns.empty(), scope, &sources));
  ASSIGN_OR_RETURN(rows, FullRow(std::move(rows), table, targets, sources, scope, &insert->source));
  insert->children.push_back(std::move(rows));

  const std::string alias = s.alias.empty() ? table->name : s.alias;
  insert->row_columns = RowColumns(table, alias, scope);
  ASSIGN_OR_RETURN(insert->spec.checks, Checks(table, insert->row_columns));
  ASSIGN_OR_RETURN(insert->spec.indexes, Indexes(table, insert->row_columns));
  RETURN_IF_ERROR(Conflict(s, insert.get(), &scope));

  Scope returning;
  returning.outer = &scope;
  returning.depth = scope.depth + 1;
  returning.items.push_back(ItemForRow(table, alias, insert->row_columns));
  for (ColumnId c : insert->row_columns) column_levels_[c] = returning.depth;
  QueryResult result;
  RETURN_IF_ERROR(Returning(s.returning, returning, &insert->spec.returning, &result));
  ASSIGN_OR_RETURN(result.plan, WrapCtes(FinishReturning(insert, &insert->spec.returning, &insert->columns, result, returning), scope));
  return result;
}

absl::StatusOr<std::vector<int>> Binder::InferArbiters(const ast::OnConflict& c, const TablePtr& table, const std::vector<ColumnId>& row, Scope& scope) {
  std::vector<int> out;
  if (!c.constraint.empty()) {
    for (size_t i = 0; i < table->indexes.size(); ++i) {
      if (table->indexes[i].name == c.constraint && table->indexes[i].unique) out.push_back(static_cast<int>(i));
    }
    if (out.empty()) {
      return Error(sqlstate::kUndefinedObject, StrCat("constraint \"", c.constraint, "\" for table \"", table->name, "\" does not exist"), 0);
    }
    return out;
  }
  std::vector<int> wanted;           // plain columns
  std::vector<ExprPtr> expressions;  // and others
  for (const ast::ConflictElement& e : c.elements) {
    if (e.expr == nullptr) {
      const int ordinal = table->FindColumn(e.column);
      if (ordinal < 0) return Error(sqlstate::kUndefinedColumn, StrCat("column \"", e.column, "\" does not exist"), c.position);
      wanted.push_back(ordinal);
      continue;
    }
    ASSIGN_OR_RETURN(ExprPtr x, ExpressionIn(*e.expr, scope, Clause::kOnConflict));
    if (const auto* column = x->TryAs<ColumnExpr>()) {
      wanted.push_back(out_->columns[column->column].ordinal);
    } else {
      expressions.push_back(std::move(x));
    }
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  ExprPtr where;
  if (c.index_where) {
    ASSIGN_OR_RETURN(where, ExpressionIn(*c.index_where, scope, Clause::kOnConflict));
  }
  std::vector<ExprPtr> given;
  if (where) SplitConjuncts(where, &given);
  for (size_t i = 0; i < table->indexes.size(); ++i) {
    const IndexInfo& index = table->indexes[i];
    if (!index.unique) continue;
    std::vector<int> columns;
    size_t matched = 0, total = 0;
    for (const IndexColumnInfo& k : index.columns) {
      if (k.ordinal >= 0) {
        columns.push_back(k.ordinal);
        continue;
      }
      ++total;
      ASSIGN_OR_RETURN(ExprPtr e, OverRow(k.expression, table, row, std::nullopt));
      matched += std::any_of(expressions.begin(), expressions.end(), [&](const ExprPtr& x) { return ExprEquals(x, e); }) ? 1 : 0;
    }
    std::sort(columns.begin(), columns.end());
    if (columns != wanted || matched != total || total != expressions.size()) continue;
    if (!index.predicate.empty()) {  // every conjunct of the predicate must be given
      ASSIGN_OR_RETURN(ExprPtr predicate, OverRow(index.predicate, table, row, SqlType{oid::kBool, -1}));
      std::vector<ExprPtr> needed;
      SplitConjuncts(predicate, &needed);
      const bool implied = std::all_of(needed.begin(), needed.end(), [&](const ExprPtr& n) {
        return std::any_of(given.begin(), given.end(), [&](const ExprPtr& g) { return ExprEquals(g, n); });
      });
      if (!implied) continue;
    }
    out.push_back(static_cast<int>(i));
  }
  if (out.empty()) {
    return PgError(sqlstate::kInvalidColumnReference, "there is no unique or exclusion constraint matching the ON CONFLICT specification");
  }
  return out;
}

absl::Status Binder::Conflict(const ast::InsertStatement& s, LogicalInsert* insert, Scope* outer) {
  const ast::OnConflict& c = s.on_conflict;
  if (c.action == ast::ConflictAction::kNone) return absl::OkStatus();
  const TablePtr& table = insert->spec.table;
  const std::string alias = s.alias.empty() ? table->name : s.alias;
  ConflictSpec& spec = insert->spec.conflict;
  Scope scope;
  scope.outer = outer;
  scope.depth = outer->depth + 1;
  scope.clause = Clause::kOnConflict;
  scope.items.push_back(ItemForRow(table, alias, insert->row_columns));
  const bool has_target = !c.elements.empty() || !c.constraint.empty();
  if (has_target) {
    ASSIGN_OR_RETURN(spec.arbiters, InferArbiters(c, table, insert->row_columns, scope));
  }
  if (c.action == ast::ConflictAction::kNothing) {
    spec.action = ConflictAction::kNothing;
    return absl::OkStatus();
  }
  if (!has_target) {
    return PgErrorBuilder(sqlstate::kSyntaxError, "ON CONFLICT DO UPDATE requires inference specification or constraint name")
        .Hint("For example, ON CONFLICT (column_name).")
        .Position(Position(c.position))
        .Build();
  }
  spec.action = ConflictAction::kUpdate;
  Require(*table, kPrivilegeUpdate);
  insert->excluded = RowColumns(table, "excluded", scope);
  NamespaceItem excluded = ItemForRow(table, "excluded", insert->excluded);
  // A bare name means the existing row; `excluded` is only seen by its own name.
  excluded.columns_visible = false;
  scope.items.push_back(std::move(excluded));
  scope.clause = Clause::kUpdateSet;
  ASSIGN_OR_RETURN(spec.assignments, Assignments(c.set, table, scope, nullptr));
  RETURN_IF_ERROR(AddGenerated(table, insert->row_columns, &spec.assignments));
  if (c.where) {
    ASSIGN_OR_RETURN(spec.where, ExpressionIn(*c.where, scope, Clause::kWhere));
    ASSIGN_OR_RETURN(spec.where, CoerceToBool(std::move(spec.where), "WHERE"));
  }
  bool subquery = spec.where && ContainsSubquery(spec.where);
  for (const Assignment& a : spec.assignments) subquery = subquery || ContainsSubquery(a.value);
  if (subquery) return PgUnsupported("a subquery in ON CONFLICT DO UPDATE");
  return absl::OkStatus();
}

absl::StatusOr<BoundCopyFrom> Binder::CopyFrom(const TablePtr& table, const std::vector<std::string>& columns, const ast::Expr* where) {
  Scope scope;
  scope.depth = 1;
  BoundCopyFrom out;
  std::vector<ast::Assignment> list;
  for (const std::string& c : columns) {
    ast::Assignment a;
    a.column = c;
    list.push_back(std::move(a));
  }
  ASSIGN_OR_RETURN(std::vector<int> targets, TargetColumns(list, table));
  auto source = std::make_shared<LogicalExternalSource>();
  std::vector<ColumnId> sources;
  for (int t : targets) {
    const ColumnInfo& c = table->columns[t];
    if (c.generated != GeneratedKind::kNone) {
      if (columns.empty()) continue;
      return PgErrorBuilder(sqlstate::kInvalidColumnReference, StrCat("column \"", c.name, "\" is a generated column"))
          .Detail("Generated columns cannot be used in COPY.")
          .Build();
    }
    out.ordinals.push_back(t);
    sources.push_back(AddColumn(c.name, c.type, scope));
  }
  source->columns = sources;
  Require(*table, kPrivilegeInsert);
  out_->info.writes = true;
  auto insert = std::make_shared<LogicalInsert>();
  insert->spec.table = table;
  ASSIGN_OR_RETURN(LogicalPtr rows, FullRow(source, table, out.ordinals, sources, scope, &insert->source));
  if (where != nullptr) {
    scope.items.push_back(ItemForRow(table, table->name, insert->source));
    auto filter = std::make_shared<LogicalFilter>();
    ASSIGN_OR_RETURN(filter->condition, ExpressionIn(*where, scope, Clause::kCopyWhere));
    ASSIGN_OR_RETURN(filter->condition, CoerceToBool(std::move(filter->condition), "WHERE"));
    filter->children.push_back(std::move(rows));
    rows = std::move(filter);
  }
  insert->children.push_back(std::move(rows));
  insert->row_columns = RowColumns(table, table->name, scope);
  ASSIGN_OR_RETURN(insert->spec.checks, Checks(table, insert->row_columns));
  ASSIGN_OR_RETURN(insert->spec.indexes, Indexes(table, insert->row_columns));
  ASSIGN_OR_RETURN(out.statement, Finish(insert, {}, StatementTag::kInsert));
  return out;
}

}  // namespace insula::sql
