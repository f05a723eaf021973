// What INSERT, UPDATE, DELETE and COPY share: targets, defaults, checks, index expressions, RETURNING.
#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/binder/binder_impl.h"
#include "sql/parser/parser.h"

namespace insula::sql {

absl::StatusOr<QueryResult> Binder::Write(const ast::Statement& statement, Scope* outer) {
  out_->info.writes = true;
  switch (statement.kind) {
    case ast::StatementKind::kInsert: return Insert(statement.As<ast::InsertStatement>(), outer);
    case ast::StatementKind::kUpdate: return Update(statement.As<ast::UpdateStatement>(), outer);
    case ast::StatementKind::kDelete: return Delete(statement.As<ast::DeleteStatement>(), outer);
    default: return PgError(sqlstate::kFeatureNotSupported, "this statement is not supported in WITH");
  }
}

// `verb`: "insert into", "update", "delete from".
absl::StatusOr<TablePtr> Binder::WriteTarget(const ast::RelationName& name, std::string_view verb, Scope& scope) {
  if (name.schema.empty() && FindCte(name.name, scope) != nullptr) {
    return Error(sqlstate::kUndefinedTable, StrCat("relation \"", name.name, "\" cannot be the target of a modifying statement"), name.position);
  }
  ASSIGN_OR_RETURN(TablePtr table, ResolveTable(name, context_));
  switch (table->kind) {
    case RelationKind::kTable: break;
    case RelationKind::kView:
      return PgErrorBuilder(sqlstate::kObjectNotInPrerequisiteState, StrCat("cannot ", verb, " view \"", table->name, "\""))
          .Detail("Views that are updatable are not supported yet.")
          .Build();
    case RelationKind::kMaterializedView:
      return PgError(sqlstate::kWrongObjectType, StrCat("cannot change materialized view \"", table->name, "\""));
    case RelationKind::kSequence: return PgError(sqlstate::kWrongObjectType, StrCat("cannot change sequence \"", table->name, "\""));
    default: return PgError(sqlstate::kWrongObjectType, StrCat("cannot open relation \"", table->name, "\""));
  }
  if (table->is_virtual) {
    return PgError(sqlstate::kInsufficientPrivilege, StrCat("permission denied: \"", table->name, "\" is a system catalog"));
  }
  return table;
}

std::vector<ColumnId> Binder::RowColumns(const TablePtr& table, std::string_view alias, Scope& scope) {
  std::vector<ColumnId> out;
  for (size_t i = 0; i < table->columns.size(); ++i) {
    const ColumnId id = AddColumn(table->columns[i].name, table->columns[i].type, scope);
    ColumnMeta& meta = out_->columns.Mutable(id);
    meta.relation = alias;
    meta.table = table->oid;
    meta.ordinal = static_cast<int>(i);
    scanned_[id] = table;
    out.push_back(id);
  }
  return out;
}

NamespaceItem Binder::ItemForRow(const TablePtr& table, std::string_view alias, const std::vector<ColumnId>& row) const {
  NamespaceItem item;
  item.name = alias;
  item.table = table;
  for (size_t i = 0; i < row.size(); ++i) item.columns.push_back({table->columns[i].name, row[i]});
  return item;
}

// Stored SQL over a table row whose columns have the ids `row`.
absl::StatusOr<ExprPtr> Binder::OverRow(std::string_view text, const TablePtr& table, const std::vector<ColumnId>& row, std::optional<SqlType> target) {
  ASSIGN_OR_RETURN(ast::ExprPtr parsed, ParseExpression(text));
  Scope scope;
  scope.depth = 1;
  scope.clause = row.empty() ? Clause::kDefault : Clause::kCheck;
  if (!row.empty()) scope.items.push_back(ItemForRow(table, table->name, row));
  const bool positions = std::exchange(positions_, false);
  const bool require = std::exchange(require_, false);
  const bool parameters = std::exchange(allow_parameters_, false);
  auto bound = Expression(*parsed, scope);
  if (bound.ok()) bound = target ? CoerceOr(*std::move(bound), *target, CastContext::kAssignment) : ResolveUnknown(*std::move(bound));
  positions_ = positions;
  require_ = require;
  allow_parameters_ = parameters;
  return bound;
}

// A column's default, NULL if it has none.
absl::StatusOr<ExprPtr> Binder::DefaultOf(const TablePtr& table, int ordinal) {
  const ColumnInfo& c = table->columns[ordinal];
  if (c.hidden || c.generated != GeneratedKind::kNone || c.default_expression.empty()) return MakeNull(c.type);
  return OverRow(c.default_expression, table, {}, c.type);
}

absl::StatusOr<std::vector<CheckSpec>> Binder::Checks(const TablePtr& table, const std::vector<ColumnId>& row) {
  std::vector<CheckSpec> out;
  for (const CheckInfo& check : table->checks) {
    ASSIGN_OR_RETURN(ExprPtr e, OverRow(check.expression, table, row, SqlType{oid::kBool, -1}));
    out.push_back({check.name, std::move(e)});
  }
  return out;
}

absl::StatusOr<std::vector<IndexSpec>> Binder::Indexes(const TablePtr& table, const std::vector<ColumnId>& row) {
  std::vector<IndexSpec> out;
  for (size_t i = 0; i < table->indexes.size(); ++i) {
    const IndexInfo& index = table->indexes[i];
    const bool expressions = std::any_of(index.columns.begin(), index.columns.end(), [](const IndexColumnInfo& c) { return c.ordinal < 0; });
    if (!expressions && index.predicate.empty()) continue;
    IndexSpec spec;
    spec.index = static_cast<int>(i);
    if (!index.predicate.empty()) {
      ASSIGN_OR_RETURN(spec.predicate, OverRow(index.predicate, table, row, SqlType{oid::kBool, -1}));
    }
    if (expressions) {
      for (const IndexColumnInfo& c : index.columns) {
        ExprPtr e;
        if (c.ordinal < 0) {
          ASSIGN_OR_RETURN(e, OverRow(c.expression, table, row, std::nullopt));
        }
        spec.exprs.push_back(std::move(e));
      }
    }
    out.push_back(std::move(spec));
  }
  return out;
}

absl::Status Binder::Returning(const std::vector<ast::SelectItem>& items, Scope& scope, sql::Returning* exprs, QueryResult* result) {
  if (items.empty()) return absl::OkStatus();
  scope.clause = Clause::kReturning;
  ASSIGN_OR_RETURN(std::vector<Target> targets, Targets(items, scope));
  for (Target& t : targets) {
    ASSIGN_OR_RETURN(t.expr, ResolveUnknown(std::move(t.expr)));
    const ColumnId id = AddColumn(t.name, t.expr->type, scope);
    if (const auto* c = t.expr->TryAs<ColumnExpr>()) {  // clients learn where it comes from
      auto it = scanned_.find(c->column);
      if (it != scanned_.end()) {
        scanned_[id] = it->second;
        out_->columns.Mutable(id).table = out_->columns[c->column].table;
        out_->columns.Mutable(id).ordinal = out_->columns[c->column].ordinal;
      }
    }
    exprs->push_back(t.expr);
    result->columns.push_back({t.name, id});
  }
  return absl::OkStatus();
}

// Subqueries in RETURNING are computed above the write, from the columns that they need.
LogicalPtr Binder::FinishReturning(LogicalPtr write, sql::Returning* exprs, std::vector<ColumnId>* columns, const QueryResult& result, Scope& scope) {
  for (const FromColumn& c : result.columns) columns->push_back(c.id);
  if (std::none_of(exprs->begin(), exprs->end(), ContainsSubquery)) return write;
  ColumnSet used;
  for (const ExprPtr& e : *exprs) CollectColumns(e, &used);
  auto project = std::make_shared<LogicalProject>();
  std::map<ColumnId, ExprPtr> renamed;
  sql::Returning raw;
  std::vector<ColumnId> raw_columns;
  for (ColumnId c : used) {
    const ColumnId id = AddColumn(out_->columns[c].name, out_->columns[c].type, scope);
    raw.push_back(Ref(c));
    raw_columns.push_back(id);
    renamed[c] = Ref(id);
  }
  for (size_t i = 0; i < exprs->size(); ++i) project->items.push_back({(*columns)[i], SubstituteColumns((*exprs)[i], renamed)});
  *exprs = std::move(raw);
  *columns = std::move(raw_columns);
  project->children.push_back(std::move(write));
  return project;
}

}  // namespace insula::sql
