// The binder's inside: one Binder binds one statement. Internal to sql/binder.
//
// A query level is a QueryScope; scopes form a chain to the enclosing queries. Names resolve from the innermost scope
// outwards. Columns carry ids that are unique in the statement, so a column of an outer query is just an id that the inner
// plan does not make itself.
//
// Aggregates and window functions are taken out of expressions as they are bound: the call is kept in the scope it belongs
// to and a column reference stands for it. Set-returning functions stay in place until the select list is whole.
//
// Types: an untyped literal is a constant of type unknown that holds its text; an untyped parameter is a ParameterExpr of
// type unknown. Coerce() gives both their type from context.
#ifndef INSULA_SQL_BINDER_BINDER_IMPL_H_
#define INSULA_SQL_BINDER_BINDER_IMPL_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/binder/binder.h"
#include "sql/parser/ast.h"
#include "sql/plan/logical.h"
#include "sql/plan/logical_walk.h"

namespace insula::sql {

// Where an expression stands; decides what it may contain and how errors name the place.
enum class Clause {
  kSelect, kWhere, kJoinOn, kFromFunction, kGroupBy, kHaving, kOrderBy, kDistinctOn, kLimit, kOffset, kValues, kUpdateSet,
  kReturning, kFilter, kWindowPartition, kWindowOrder, kWindowFrame, kOnConflict, kCopyWhere, kDefault, kCheck, kGenerated,
  kIndexExpression, kIndexPredicate, kUsing, kExecuteArgument,
};
// "WHERE", "JOIN conditions", "check constraints", as in "aggregate functions are not allowed in …".
std::string_view ClauseName(Clause clause);

struct FromColumn {
  std::string name;
  ColumnId id = 0;
};

// Something in FROM that names can refer to.
struct NamespaceItem {
  std::string name;
  std::string schema;      // of a relation without an alias: schema.name.column
  TablePtr table;          // a relation; columns are by its ordinals then
  std::vector<FromColumn> columns;
  bool table_visible = true;    // name.column
  bool columns_visible = true;  // column, *
  bool lateral_only = false;    // seen only by LATERAL items …
  bool lateral_ok = true;       // … and even there an error: the other side of an outer join
  bool scalar_function = false; // name alone means the column
};

struct BoundCte;

struct QueryScope {
  QueryScope* outer = nullptr;
  int depth = 0;
  Clause clause = Clause::kSelect;
  std::vector<NamespaceItem> items;
  bool lateral_active = false;
  std::vector<std::shared_ptr<BoundCte>> ctes;

  bool grouped = false;  // GROUP BY or HAVING is there
  std::vector<AggregateSpec> aggregates;
  std::vector<LogicalAggregate::GroupingCall> groupings;  // keys are filled in when the keys are known
  std::vector<std::vector<ExprPtr>> grouping_args;
  ColumnSet aggregate_outputs;
  bool in_aggregate = false, in_window = false;

  struct Window {
    std::vector<ExprPtr> partition_by;
    std::vector<SortKey> order_by;
    std::vector<WindowCall> calls;
  };
  const std::vector<ast::WindowDefinition>* window_definitions = nullptr;
  std::vector<Window> windows;
};

// One WITH query.
struct BoundCte {
  std::string name;
  LogicalPtr plan;                    // null while a recursive query's step is being bound
  std::vector<FromColumn> columns;
  int number = 0;
  bool modifies = false, volatile_ = false, recursive = false, always = false, never = false;
  int work_table = -1;                // inside the step of a recursive query
  bool step_referenced = false;
  // Every place that reads it: a projection over a LogicalCteScan, so that inlining only swaps the projection's child.
  std::vector<std::shared_ptr<LogicalProject>> references;
};

struct FromResult {
  LogicalPtr plan;
  std::vector<FromColumn> columns;
  std::vector<NamespaceItem> items;
};

// What a query yields.
struct QueryResult {
  LogicalPtr plan;
  std::vector<FromColumn> columns;
  // The projection or VALUES that makes the columns, if they may still be given types (see ResolveUnknown).
  LogicalPtr source;
};

class Binder {
 public:
  explicit Binder(const BindContext& context);

  absl::StatusOr<std::unique_ptr<BoundStatement>> Statement(const ast::Statement& statement);
  absl::StatusOr<BoundCopyFrom> CopyFrom(const TablePtr& table, const std::vector<std::string>& columns, const ast::Expr* where);
  absl::StatusOr<TableExpression> ForTable(const ast::Expr& expr, const TableInfo& table, ExpressionUse use, std::optional<SqlType> target,
                                           bool stored);
  absl::StatusOr<ViewDefinition> View(const ast::SelectStatement& query, const std::vector<std::string>& column_names);

 private:
  using Scope = QueryScope;

  // --- binder.cc: the statement as a whole
  absl::StatusOr<std::unique_ptr<BoundStatement>> Finish(LogicalPtr root, std::vector<FromColumn> output, StatementTag tag);
  absl::Status Error(std::string_view sqlstate, std::string_view message, int position) const;
  int Position(int position) const { return positions_ ? position : 0; }
  void Require(const TableInfo& table, uint32_t privileges, int ordinal = -1);

  // --- scope.cc: names
  absl::StatusOr<ExprPtr> Column(const ast::ColumnRef& ref, Scope& scope);
  absl::StatusOr<ExprPtr> FindColumn(std::string_view name, Scope& scope, int position, bool* found);
  absl::StatusOr<const NamespaceItem*> FindItem(std::string_view schema, std::string_view name, Scope& scope, int position, Scope** owner);
  absl::StatusOr<ExprPtr> ItemColumn(const NamespaceItem& item, std::string_view name, int position);
  absl::Status NoSuchColumn(std::string_view name, const Scope& scope, int position);
  absl::Status NoSuchItem(std::string_view name, const Scope& scope, int position);
  ExprPtr UseColumn(const NamespaceItem& item, size_t i, int position);
  ExprPtr WholeRow(const NamespaceItem& item, int position);
  absl::Status CheckDuplicateNames(const std::vector<NamespaceItem>& items);
  absl::StatusOr<std::vector<std::pair<std::string, ExprPtr>>> ExpandStar(const ast::ColumnRef& ref, Scope& scope);
  std::shared_ptr<BoundCte> FindCte(std::string_view name, Scope& scope);
  int LevelOf(ColumnId id) const;
  ColumnId AddColumn(std::string_view name, const SqlType& type, Scope& scope);
  ExprPtr Ref(ColumnId id) const { return out_->columns.Ref(id); }

  // --- coerce.cc: types
  absl::StatusOr<SqlType> Type(const ast::TypeName& name);
  absl::StatusOr<ExprPtr> Coerce(ExprPtr expr, SqlType target, CastContext context);  // kInternal-free; nullptr if there is no way
  absl::StatusOr<ExprPtr> CoerceOr(ExprPtr expr, SqlType target, CastContext context);  // 42846 if there is no way
  absl::StatusOr<ExprPtr> CoerceToBool(ExprPtr expr, std::string_view what);
  absl::StatusOr<ExprPtr> CoerceAssign(ExprPtr expr, const ColumnInfo& column, int position);
  absl::StatusOr<ExprPtr> ResolveUnknown(ExprPtr expr);  // text, if it is still unknown
  absl::Status ResolveUnknown(QueryResult* result);
  absl::Status CoerceColumn(QueryResult* result, size_t i, SqlType target, CastContext context, Scope& scope);
  absl::StatusOr<Oid> Common(const std::vector<ExprPtr>& exprs, std::string_view what);
  SqlType CommonWithTypmod(const std::vector<ExprPtr>& exprs, Oid type) const;

  // --- bind_expression.cc
  absl::StatusOr<ExprPtr> Expression(const ast::Expr& e, Scope& scope);
  absl::StatusOr<std::vector<ExprPtr>> Expressions(const std::vector<ast::ExprPtr>& list, Scope& scope);
  absl::StatusOr<ExprPtr> ExpressionIn(const ast::Expr& e, Scope& scope, Clause clause);
  absl::StatusOr<ExprPtr> Dispatch(const ast::Expr& e, Scope& scope);
  absl::StatusOr<ExprPtr> Constant(const ast::Constant& c);
  absl::StatusOr<ExprPtr> Parameter(const ast::Parameter& p);
  absl::StatusOr<ExprPtr> Bool(const ast::Bool& b, Scope& scope);
  absl::StatusOr<ExprPtr> Cast(const ast::TypeCast& c, Scope& scope);
  absl::StatusOr<ExprPtr> Case(const ast::Case& c, Scope& scope);
  absl::StatusOr<ExprPtr> Coalesce(const ast::Coalesce& c, Scope& scope);
  absl::StatusOr<ExprPtr> MinMax(const ast::MinMax& m, Scope& scope);
  absl::StatusOr<ExprPtr> Array(const ast::Array& a, Scope& scope, std::optional<SqlType> target);
  absl::StatusOr<ExprPtr> Row(const ast::Row& r, Scope& scope);
  absl::StatusOr<ExprPtr> Subscript(const ast::Subscript& s, Scope& scope);
  absl::StatusOr<ExprPtr> FieldSelect(const ast::FieldSelect& f, Scope& scope);
  absl::StatusOr<std::vector<std::pair<std::string, ExprPtr>>> ExpandRecord(const ExprPtr& record, int position);
  absl::StatusOr<ExprPtr> Collate(const ast::Collate& c, Scope& scope);
  absl::StatusOr<ExprPtr> SqlValue(const ast::SqlValue& v);
  absl::StatusOr<ExprPtr> Grouping(const ast::Grouping& g, Scope& scope);

  // --- bind_operator.cc
  absl::StatusOr<ExprPtr> Operator(const ast::Operator& o, Scope& scope);
  absl::StatusOr<ExprPtr> MakeOperator(std::string_view name, ExprPtr left, ExprPtr right, int position);  // left null: prefix
  absl::StatusOr<ExprPtr> Quantified(const ast::Operator& o, Scope& scope);
  absl::StatusOr<ExprPtr> RowComparison(std::string_view op, const std::vector<ExprPtr>& left, const std::vector<ExprPtr>& right, int position);
  absl::StatusOr<ExprPtr> In(const ast::In& in, Scope& scope);
  absl::StatusOr<ExprPtr> Between(const ast::Between& b, Scope& scope);
  absl::StatusOr<ExprPtr> Like(const ast::Like& l, Scope& scope);
  absl::StatusOr<ExprPtr> DistinctFrom(const ast::DistinctFrom& d, Scope& scope);
  absl::StatusOr<ExprPtr> MakeDistinct(ExprPtr left, ExprPtr right, bool negated, int position);
  absl::StatusOr<ExprPtr> NullIf(const ast::NullIf& n, Scope& scope);

  // --- bind_function.cc
  absl::StatusOr<ExprPtr> Function(const ast::FunctionCall& f, Scope& scope);
  absl::StatusOr<ExprPtr> CallByName(std::string_view name, std::vector<ExprPtr> args, int position);
  absl::StatusOr<ExprPtr> FinishCall(const ResolvedCall& call, std::vector<ExprPtr> args, bool variadic, int position);
  absl::StatusOr<std::vector<ExprPtr>> FinishArgs(const ResolvedCall& call, std::vector<ExprPtr> args);
  absl::StatusOr<ExprPtr> Aggregate(const ast::FunctionCall& f, const ResolvedCall& call, std::vector<ExprPtr> args, Scope& scope);
  absl::StatusOr<ExprPtr> Window(const ast::FunctionCall& f, const ResolvedCall& call, std::vector<ExprPtr> args, Scope& scope);
  absl::StatusOr<WindowFrame> Frame(const ast::WindowDefinition& w, const std::vector<SortKey>& order, Scope& scope);
  absl::StatusOr<const ast::WindowDefinition*> NamedWindow(std::string_view name, int position, Scope& scope);
  absl::Status CheckAggregateAllowed(const Scope& scope, int position);
  absl::Status CheckSetFunctionAllowed(const Scope& scope, int position);

  // --- bind_subquery.cc
  absl::StatusOr<ExprPtr> Subquery(const ast::Subquery& s, Scope& scope);

  // --- bind_from.cc
  absl::StatusOr<FromResult> FromList(const std::vector<ast::FromPtr>& list, Scope& scope);
  absl::StatusOr<FromResult> From(const ast::FromItem& item, Scope& scope);
  absl::StatusOr<FromResult> FromTable(const ast::FromTable& t, Scope& scope);
  absl::StatusOr<FromResult> FromCte(const std::shared_ptr<BoundCte>& cte, const ast::FromTable& t, Scope& scope);
  absl::StatusOr<FromResult> FromView(const TablePtr& view, Scope& scope);
  absl::StatusOr<FromResult> FromSubquery(const ast::FromSubquery& s, Scope& scope);
  absl::StatusOr<FromResult> FromFunction(const ast::FromFunction& f, Scope& scope);
  absl::StatusOr<FromResult> FromJoin(const ast::FromJoin& j, Scope& scope);
  absl::Status JoinUsing(const ast::FromJoin& j, const std::vector<std::string>& names, FromResult& left, FromResult& right,
                         LogicalJoin* join, std::vector<FromColumn>* merged, std::vector<NamedExpr>* computed, Scope& scope);
  absl::Status ApplyAlias(const ast::Alias& alias, int position, std::string_view default_name, FromResult* result);
  absl::StatusOr<std::shared_ptr<LogicalScan>> Scan(const TablePtr& table, std::string_view alias, Scope& scope);
  NamespaceItem ItemForScan(const LogicalScan& scan) const;

  // --- bind_select.cc
  struct GroupItem {
    ExprPtr expr;
    ColumnId column = 0;
  };
  absl::StatusOr<QueryResult> Query(const ast::SelectStatement& s, Scope* outer, bool resolve_unknown);
  absl::StatusOr<QueryResult> QueryIn(const ast::SelectStatement& s, Scope& scope, bool resolve_unknown);
  absl::StatusOr<QueryResult> Select(const ast::SelectStatement& s, Scope& scope, bool resolve_unknown);
  absl::StatusOr<QueryResult> Values(const ast::SelectStatement& s, Scope& scope);
  absl::StatusOr<QueryResult> SetOperation(const ast::SelectStatement& s, Scope& scope);
  struct Target {
    std::string name;
    ExprPtr expr;
    ColumnId column = 0;
    bool junk = false;  // only for ORDER BY or DISTINCT ON
    int position = 0;
  };
  absl::StatusOr<std::vector<Target>> Targets(const std::vector<ast::SelectItem>& items, Scope& scope);
  // `bound`: the same expression bound, if it is.
  std::string NameOf(const ast::Expr& e, const sql::Expr* bound = nullptr) const;
  absl::StatusOr<LogicalPtr> ProjectTargets(LogicalPtr plan, std::vector<Target>* targets, Scope& scope, LogicalPtr* source);
  absl::StatusOr<LogicalPtr> Limit(const ast::SelectStatement& s, LogicalPtr plan, const std::vector<SortKey>& order, Scope& scope);
  absl::StatusOr<std::shared_ptr<LogicalLock>> Lock(const ast::SelectStatement& s, std::vector<Target>* targets, Scope& scope);
  ExprPtr AggregateRewrite(const ExprPtr& e, const std::vector<GroupItem>& keys) const;

  // --- bind_group.cc
  absl::Status GroupBy(const ast::SelectStatement& s, std::vector<Target>* targets, std::vector<GroupItem>* keys,
                       std::vector<std::vector<int>>* sets, Scope& scope);
  absl::StatusOr<int> GroupKey(const ast::Expr& e, const ast::SelectStatement& s, std::vector<Target>* targets,
                               std::vector<GroupItem>* keys, Scope& scope);
  absl::Status GroupingSets(const ast::Expr& e, const ast::SelectStatement& s, std::vector<Target>* targets,
                            std::vector<GroupItem>* keys, std::vector<std::vector<int>>* sets, Scope& scope);
  absl::StatusOr<LogicalPtr> MakeAggregate(LogicalPtr plan, std::vector<GroupItem> keys, std::vector<std::vector<int>> sets,
                                           const std::vector<ExprPtr*>& outputs, Scope& scope);
  bool DependsOnKeys(ColumnId column, const ColumnSet& keys) const;

  // --- bind_order.cc
  struct OrderItem {
    size_t target = 0;
    const ast::SortItem* item = nullptr;
  };
  absl::StatusOr<std::vector<OrderItem>> OrderBy(const std::vector<ast::SortItem>& items, std::vector<Target>* targets, bool distinct, Scope& scope);
  absl::StatusOr<LogicalPtr> OrderAndLimit(const ast::SelectStatement& s, QueryResult* result, std::string_view what, Scope& scope);
  absl::StatusOr<size_t> OrderTarget(const ast::Expr& e, std::string_view what, std::vector<Target>* targets, Scope& scope);
  absl::StatusOr<std::vector<SortKey>> OrderResult(const std::vector<ast::SortItem>& items, const QueryResult& result, std::string_view what, Scope& scope);
  absl::StatusOr<SortKey> MakeSortKey(const ast::SortItem& item, ExprPtr expr);
  absl::StatusOr<LogicalPtr> Distinct(const ast::SelectStatement& s, LogicalPtr plan, const std::vector<Target>& targets, const std::vector<OrderItem>& order,
                                      const std::vector<size_t>& on);

  // --- bind_cte.cc
  absl::Status With(const ast::With& with, Scope& scope);
  absl::StatusOr<std::shared_ptr<BoundCte>> Cte(const ast::Cte& cte, bool recursive, Scope& scope);
  absl::Status RecursiveCte(const ast::Cte& cte, BoundCte* out, Scope& scope);
  absl::StatusOr<LogicalPtr> WrapCtes(LogicalPtr plan, Scope& scope);

  // --- bind_write.cc, bind_insert.cc, bind_update.cc
  absl::StatusOr<QueryResult> Write(const ast::Statement& statement, Scope* outer);
  absl::StatusOr<QueryResult> Insert(const ast::InsertStatement& s, Scope* outer);
  absl::StatusOr<QueryResult> Update(const ast::UpdateStatement& s, Scope* outer);
  absl::StatusOr<QueryResult> Delete(const ast::DeleteStatement& s, Scope* outer);
  absl::StatusOr<TablePtr> WriteTarget(const ast::RelationName& name, std::string_view verb, Scope& scope);
  absl::StatusOr<ExprPtr> DefaultOf(const TablePtr& table, int ordinal);
  absl::StatusOr<ExprPtr> OverRow(std::string_view text, const TablePtr& table, const std::vector<ColumnId>& row, std::optional<SqlType> target);
  absl::StatusOr<std::vector<CheckSpec>> Checks(const TablePtr& table, const std::vector<ColumnId>& row);
  absl::StatusOr<std::vector<IndexSpec>> Indexes(const TablePtr& table, const std::vector<ColumnId>& row);
  absl::Status Returning(const std::vector<ast::SelectItem>& items, Scope& scope, sql::Returning* exprs, QueryResult* result);
  LogicalPtr FinishReturning(LogicalPtr write, sql::Returning* exprs, std::vector<ColumnId>* columns, const QueryResult& result, Scope& scope);
  std::vector<ColumnId> RowColumns(const TablePtr& table, std::string_view alias, Scope& scope);
  NamespaceItem ItemForRow(const TablePtr& table, std::string_view alias, const std::vector<ColumnId>& row) const;
  absl::StatusOr<std::vector<int>> TargetColumns(const std::vector<ast::Assignment>& columns, const TablePtr& table);
  absl::StatusOr<LogicalPtr> InsertRows(const ast::InsertStatement& s, const TablePtr& table, const std::vector<int>& targets, bool implicit_targets,
                                        Scope& scope, std::vector<ColumnId>* sources);
  absl::StatusOr<LogicalPtr> InsertValues(const ast::InsertStatement& s, const TablePtr& table, const std::vector<int>& targets,
                                          bool implicit_targets, Scope& scope, std::vector<ColumnId>* sources);
  absl::StatusOr<LogicalPtr> FullRow(LogicalPtr plan, const TablePtr& table, const std::vector<int>& targets, const std::vector<ColumnId>& sources,
                                     Scope& scope, std::vector<ColumnId>* row);
  absl::Status CheckWritable(const ast::InsertStatement& s, const TableInfo& table, int ordinal);
  absl::Status Conflict(const ast::InsertStatement& s, LogicalInsert* insert, Scope* outer);
  absl::StatusOr<std::vector<int>> InferArbiters(const ast::OnConflict& c, const TablePtr& table, const std::vector<ColumnId>& row, Scope& scope);
  absl::StatusOr<std::vector<Assignment>> Assignments(const std::vector<ast::Assignment>& list, const TablePtr& table, Scope& scope,
                                                      LogicalPtr* plan);
  absl::StatusOr<ExprPtr> AssignedValue(const ast::Expr& value, const ColumnInfo& column, const TablePtr& table, int ordinal, Scope& scope, int position);
  absl::Status AddGenerated(const TablePtr& table, const std::vector<ColumnId>& old_row, std::vector<Assignment>* assignments);

  const BindContext& context_;
  std::vector<std::string> search_path_;  // pg_catalog included
  std::unique_ptr<BoundStatement> out_;
  std::vector<SqlType> parameter_types_;
  std::map<Oid, RequiredPrivilege> privileges_;
  std::vector<int> column_levels_;  // by ColumnId: the depth of the query it belongs to
  std::map<ColumnId, TablePtr> scanned_;  // columns of stored tables: their table, for dependence on the primary key
  std::map<ColumnId, std::vector<ColumnId>> scan_keys_;  // … and the ids of the primary key's columns in the same scan
  // BindView: what stars and names in the query being stored came to mean.
  struct ViewNames {
    std::map<const ast::ColumnRef*, std::string> columns;                            // "t.a"
    std::map<const ast::ColumnRef*, std::vector<std::pair<std::string, std::string>>> stars;  // ("t.a", "a")
    std::map<const ast::FromTable*, TablePtr> tables;
  };
  ViewNames* view_names_ = nullptr;
  bool positions_ = true;
  bool allow_parameters_ = true;
  bool require_ = true;     // off while a view's query is bound: its owner's privileges count there
  int nesting_ = 0;
};

// How PostgreSQL names a type in messages.
std::string TypeName(const SqlType& type);

}  // namespace insula::sql

#endif  // INSULA_SQL_BINDER_BINDER_IMPL_H_
