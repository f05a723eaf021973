// Names and types: syntax trees → typed logical plans.
//
//   BindContext bind{.catalog = snapshot.get(), .search_path = {"public"}, .functions = &functions};
//   ASSIGN_OR_RETURN(auto bound, Bind(*statement, bind));          // SELECT, VALUES, INSERT, UPDATE, DELETE
//   ASSIGN_OR_RETURN(PlanPtr plan, Optimize(std::move(bound), …)); // sql/opt/optimizer.h
//
// Statements that contain a query (EXPLAIN, PREPARE, DECLARE CURSOR, COPY (…) TO, CREATE TABLE AS) hand in that query.
// Errors are worded as PostgreSQL words them, with SQLSTATE, position and hint; what is not supported says so (0A000).
// Privileges are not checked here but listed in StatementInfo::privileges.
// Settings that a bound statement depends on besides the catalog: search_path, TimeZone, DateStyle, IntervalStyle (constants
// are converted while binding); a plan cache keys on them.
// Thread safety: pure functions of their arguments.
#ifndef INSULA_SQL_BINDER_BINDER_H_
#define INSULA_SQL_BINDER_BINDER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sql/binder/catalog_view.h"
#include "sql/functions/function_context.h"
#include "sql/parser/ast.h"
#include "sql/plan/logical.h"

namespace insula::sql {

// Pointers are not owned.
struct BindContext {
  const CatalogView* catalog = nullptr;
  // Schemas to search, in order; pg_catalog is searched first unless it is listed. Those that do not exist are skipped.
  std::vector<std::string> search_path;
  FunctionContext* functions = nullptr;  // settings for constants (io), folding of constant calls
  // Types given by PREPARE or a Parse message, $1 first; oid 0 or unknown: to be inferred from use.
  std::vector<SqlType> parameter_types;
  // $n is an error (42P02): DDL expressions, views.
  bool allow_parameters = true;
};

absl::StatusOr<std::unique_ptr<BoundStatement>> Bind(const ast::Statement& statement, const BindContext& context);

// COPY table (columns) FROM STDIN [WHERE …]: an INSERT whose rows come from a LogicalExternalSource with one column per COPY
// column, in COPY's order (none given: all columns that are not generated). Defaults, checks and so on as for INSERT.
struct BoundCopyFrom {
  std::unique_ptr<BoundStatement> statement;
  std::vector<int> ordinals;  // the table's columns that the source yields
};
absl::StatusOr<BoundCopyFrom> BindCopyFrom(const TablePtr& table, const std::vector<std::string>& columns, const ast::Expr* where,
                                           const BindContext& context);

// --- Pieces for DDL ------------------------------------------------------------------------------------------------

// The relation that a possibly qualified name means under the search path. 42P01, 3F000, 0A000 (other database).
absl::StatusOr<TablePtr> ResolveTable(const ast::RelationName& name, const BindContext& context);
// The same; nullptr if there is none.
TablePtr FindRelation(const ast::RelationName& name, const BindContext& context);

// 42704 `type "x" does not exist`. serial and its relatives are not types here: see SerialType.
absl::StatusOr<SqlType> ResolveType(const ast::TypeName& name, const BindContext& context);
// int2, int4 or int8 for smallserial, serial, bigserial; 0 for all others.
Oid SerialType(const ast::TypeName& name);

enum class ExpressionUse { kDefault, kCheck, kGenerated, kIndexExpression, kIndexPredicate, kUsing };

// An expression over the columns of one table, ready to be evaluated and to be stored.
struct TableExpression {
  ExprPtr expr;              // ColumnExpr::slot is the column's ordinal; evaluate on a row of all columns
  std::string text;          // SQL that binds to the same expression whatever the search path; what a descriptor keeps
  std::string shown;         // the same as pg_get_expr shows it: 's'::regclass where `text` has '16400'::regclass
  std::vector<int> columns;  // ordinals it reads, ascending
  Volatility volatility = Volatility::kImmutable;
};

// `target` is the type it must have (assignment cast); none: its own. Enforces what PostgreSQL forbids by use: no subqueries,
// aggregates or window functions; no columns in DEFAULT; only immutable functions in generated columns and indexes; boolean for
// CHECK and predicates. 42804, 42P10, 42P17, 0A000, 42803, 42P20.
absl::StatusOr<TableExpression> BindTableExpression(const ast::Expr& expr, const TableInfo& table, ExpressionUse use,
                                                    std::optional<SqlType> target, const BindContext& context);
// The same from stored text; its errors carry no position.
absl::StatusOr<TableExpression> BindStoredExpression(std::string_view text, const TableInfo& table, ExpressionUse use,
                                                     std::optional<SqlType> target, const BindContext& context);

// A view's query: the columns it yields and the text to store, with stars expanded and relations qualified.
struct ViewDefinition {
  std::vector<ResultColumn> columns;
  std::string text;
  std::vector<Oid> depends_on;  // relations it reads, ascending
};
absl::StatusOr<ViewDefinition> BindView(const ast::SelectStatement& query, const std::vector<std::string>& column_names,
                                        const BindContext& context);

}  // namespace insula::sql

#endif  // INSULA_SQL_BINDER_BINDER_H_
