// Typed scalar expressions: what the binder makes of ast::Expr, what the optimizer rewrites and what exec evaluates.
//
// Expressions are immutable and shared (ExprPtr = shared_ptr<const Expr>); a rewrite builds new nodes. So plans hold them
// without copying, and a cached plan is safe to run any number of times.
//
// Columns are named by ColumnId, unique within a statement. The optimizer's last pass gives every ColumnExpr of a
// physical plan its `slot`: the place of that column in the row the expression is evaluated on (for joins: the left
// child's output followed by the right child's). Exec needs only the slot.
//
// What exec never sees: SubqueryExpr (the optimizer turns every subquery into a join or an apply), DefaultExpr.
// Evaluating an expression therefore never waits.
#ifndef INSULA_SQL_PLAN_EXPRESSION_H_
#define INSULA_SQL_PLAN_EXPRESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/check.h"
#include "sql/functions/registry.h"
#include "sql/types/cast.h"
#include "sql/types/datum.h"
#include "sql/types/type.h"

namespace insula::sql {

using ColumnId = int32_t;
using ColumnSet = std::set<ColumnId>;

enum class ExprKind {
  kConstant,
  kParameter,
  kExecParam,
  kColumn,
  kFunction,
  kCast,
  kAnd,
  kOr,
  kNot,
  kCase,
  kCoalesce,
  kNullIf,
  kMinMax,
  kInList,
  kQuantified,
  kNullTest,
  kDistinctFrom,
  kBooleanTest,
  kRow,
  kRowCompare,
  kArray,
  kSubscript,
  kFieldSelect,
  kSubquery,
  kDefault,
};

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;

struct Expr {
  Expr(ExprKind k, SqlType t) : kind(k), type(std::move(t)) {}
  virtual ~Expr() = default;

  template <typename T>
  const T& As() const {
    CHECK(kind == T::kKind) << "expression kind " << static_cast<int>(kind);
    return static_cast<const T&>(*this);
  }
  template <typename T>
  const T* TryAs() const {
    return kind == T::kKind ? static_cast<const T*>(this) : nullptr;
  }
  // A copy of this node alone: same children, same payload. For rewrites.
  virtual std::shared_ptr<Expr> Clone() const = 0;

  ExprKind kind;
  SqlType type;
  std::vector<ExprPtr> args;  // all child expressions, in the order that each kind documents
  int position = 0;           // where it stood in the query text (1-based, 0 = nowhere); not part of its identity

 protected:
  Expr(const Expr&) = default;
  Expr& operator=(const Expr&) = delete;
};

template <typename Derived, ExprKind K>
struct ExprOf : Expr {
  static constexpr ExprKind kKind = K;
  explicit ExprOf(SqlType t) : Expr(K, std::move(t)) {}
  std::shared_ptr<Expr> Clone() const override { return std::make_shared<Derived>(static_cast<const Derived&>(*this)); }
};

// A value known when the plan was made.
struct ConstantExpr : ExprOf<ConstantExpr, ExprKind::kConstant> {
  ConstantExpr(SqlType t, Datum v) : ExprOf(std::move(t)), value(std::move(v)) {}
  Datum value;  // of `type`, or NULL
};

// $n of the statement: bound anew for each execution.
struct ParameterExpr : ExprOf<ParameterExpr, ExprKind::kParameter> {
  ParameterExpr(SqlType t, int i) : ExprOf(std::move(t)), index(i) {}
  int index;  // 0-based
};

// A value that an enclosing apply, lookup or recursive operator sets while the plan runs (a correlated column).
struct ExecParamExpr : ExprOf<ExecParamExpr, ExprKind::kExecParam> {
  ExecParamExpr(SqlType t, int i) : ExprOf(std::move(t)), index(i) {}
  int index;  // into the execution's array of PhysicalPlan::exec_param_types.size() values
  std::string name;  // the column it carries, for EXPLAIN; not part of its identity
};

struct ColumnExpr : ExprOf<ColumnExpr, ExprKind::kColumn> {
  ColumnExpr(SqlType t, ColumnId c) : ExprOf(std::move(t)), column(c) {}
  ColumnId column;
  int slot = -1;  // physical plans only
  std::string name;  // for EXPLAIN: "t.a"; not part of its identity
};

// A call of a scalar function or operator; a set-returning one only inside LogicalProjectSet and LogicalFunctionScan.
// Arguments have the types of the resolved call (or binary-coercible ones); defaults and the array of variadic arguments
// have been put in by the binder.
struct FunctionExpr : ExprOf<FunctionExpr, ExprKind::kFunction> {
  FunctionExpr(SqlType t, const FunctionInfo* f) : ExprOf(std::move(t)), function(f) {}
  const FunctionInfo* function;
  const OperatorInfo* op = nullptr;  // set when it was written as an operator
  bool variadic = false;             // VARIADIC was written, or the binder made the last argument's array
  std::string keyword;               // "CURRENT_USER" when it was written so; for deparsing
};

// args[0] to `type`, length or precision (typmod) included, by the rules of sql/types/cast.h.
struct CastExpr : ExprOf<CastExpr, ExprKind::kCast> {
  CastExpr(SqlType t, CastContext c) : ExprOf(std::move(t)), context(c) {}
  CastContext context;
  std::string keyword;  // "CURRENT_DATE" when it was written so; for deparsing
};

struct AndExpr : ExprOf<AndExpr, ExprKind::kAnd> {
  AndExpr();
};
struct OrExpr : ExprOf<OrExpr, ExprKind::kOr> {
  OrExpr();
};
struct NotExpr : ExprOf<NotExpr, ExprKind::kNot> {
  NotExpr();
};

// args: condition1, result1, condition2, result2, …, [else]; conditions are boolean (CASE x WHEN y is bound to x = y).
// Later conditions and results are evaluated only for rows that come that far.
struct CaseExpr : ExprOf<CaseExpr, ExprKind::kCase> {
  explicit CaseExpr(SqlType t) : ExprOf(std::move(t)) {}
  bool has_else() const { return args.size() % 2 == 1; }
};

// The first of args that is not NULL; later ones are evaluated only where needed.
struct CoalesceExpr : ExprOf<CoalesceExpr, ExprKind::kCoalesce> {
  explicit CoalesceExpr(SqlType t) : ExprOf(std::move(t)) {}
};

// args: a, b, equal where `equal` is the boolean a = b (with casts). NULL where equal is TRUE, else a.
struct NullIfExpr : ExprOf<NullIfExpr, ExprKind::kNullIf> {
  explicit NullIfExpr(SqlType t) : ExprOf(std::move(t)) {}
};

// GREATEST, LEAST: ignores NULLs; args are all of `type` and compare by its default order.
struct MinMaxExpr : ExprOf<MinMaxExpr, ExprKind::kMinMax> {
  explicit MinMaxExpr(SqlType t) : ExprOf(std::move(t)) {}
  bool greatest = true;
};

// args[0] = ANY of args[1…] (negated: <> ALL), with three-valued logic. All args are of one type and compare by its
// default equality.
struct InListExpr : ExprOf<InListExpr, ExprKind::kInList> {
  InListExpr();
  bool negated = false;
};

// args[0] op ANY/ALL (args[1], an array). `op` takes (type of args[0], element type) and yields boolean.
struct QuantifiedExpr : ExprOf<QuantifiedExpr, ExprKind::kQuantified> {
  explicit QuantifiedExpr(const OperatorInfo* o);
  const OperatorInfo* op;
  bool all = false;
};

// args[0] IS [NOT] NULL. For a row value: all of its fields are NULL (are not NULL).
struct NullTestExpr : ExprOf<NullTestExpr, ExprKind::kNullTest> {
  NullTestExpr();
  bool negated = false;
};

// args[0] IS [NOT] DISTINCT FROM args[1]; both of one type, its default equality, NULL equals NULL. Never NULL.
struct DistinctFromExpr : ExprOf<DistinctFromExpr, ExprKind::kDistinctFrom> {
  DistinctFromExpr();
  bool negated = false;  // IS NOT DISTINCT FROM
};

enum class BooleanTestKind { kTrue, kNotTrue, kFalse, kNotFalse, kUnknown, kNotUnknown };
struct BooleanTestExpr : ExprOf<BooleanTestExpr, ExprKind::kBooleanTest> {
  explicit BooleanTestExpr(BooleanTestKind t);
  BooleanTestKind test;
};

// ROW(args…): a record value.
struct RowExpr : ExprOf<RowExpr, ExprKind::kRow> {
  explicit RowExpr(SqlType t) : ExprOf(std::move(t)) {}
  std::vector<std::string> names;
};

// (a1, …, an) < (b1, …, bn): args are a1 … an b1 … bn, pairwise of one type, compared by its default order.
// = and <> are bound to AND/OR of the columns' comparisons instead.
enum class RowCompareOp { kLess, kLessEqual, kGreater, kGreaterEqual };
struct RowCompareExpr : ExprOf<RowCompareExpr, ExprKind::kRowCompare> {
  explicit RowCompareExpr(RowCompareOp o);
  RowCompareOp op;
};

// ARRAY[args…]; `multidimensional` when the args are arrays themselves.
struct ArrayExpr : ExprOf<ArrayExpr, ExprKind::kArray> {
  explicit ArrayExpr(SqlType t) : ExprOf(std::move(t)) {}
  bool multidimensional = false;
};

// args[0][args[1]]…[args[n]] with one subscript per dimension, or with `slice` a pair (low, high) per dimension; a bound
// that was left out is a NULL constant of type int4 with `omitted` set for it.
struct SubscriptExpr : ExprOf<SubscriptExpr, ExprKind::kSubscript> {
  explicit SubscriptExpr(SqlType t) : ExprOf(std::move(t)) {}
  bool slice = false;
  std::vector<bool> omitted;  // slice: for args[1…]
};

// Field `field` (0-based) of the record args[0].
struct FieldSelectExpr : ExprOf<FieldSelectExpr, ExprKind::kFieldSelect> {
  FieldSelectExpr(SqlType t, int f) : ExprOf(std::move(t)), field(f) {}
  int field;
};

struct LogicalNode;
using LogicalPtr = std::shared_ptr<LogicalNode>;

enum class SubqueryKind { kScalar, kExists, kAny, kAll, kArray };

// A subquery inside an expression, before the optimizer makes a join or an apply of it.
// args: for kAny and kAll the left-hand expressions, which `test` mentions by the ids `test_columns`; so generic walks see them.
struct SubqueryExpr : ExprOf<SubqueryExpr, ExprKind::kSubquery> {
  explicit SubqueryExpr(SqlType t) : ExprOf(std::move(t)) {}
  SubqueryKind subquery = SubqueryKind::kScalar;
  LogicalPtr plan;
  ColumnId column = 0;        // kScalar, kArray: the one output column
  // kAny, kAll: the comparison of args with the plan's output columns, TRUE for a match; boolean.
  ExprPtr test;
  std::vector<ColumnId> test_columns;
  ColumnSet outer;  // columns of enclosing queries that `plan` uses; empty = uncorrelated
};

// DEFAULT in VALUES or SET; replaced while the statement is bound.
struct DefaultExpr : ExprOf<DefaultExpr, ExprKind::kDefault> {
  explicit DefaultExpr(SqlType t) : ExprOf(std::move(t)) {}
};

// --- Building blocks -----------------------------------------------------------------------------------------------

ExprPtr MakeColumn(ColumnId column, const SqlType& type, std::string_view name = {});
ExprPtr MakeNull(const SqlType& type);
ExprPtr MakeBool(bool value);
ExprPtr MakeAnd(std::vector<ExprPtr> args);  // flattens; one arg: itself; none: TRUE
ExprPtr MakeOr(std::vector<ExprPtr> args);   // flattens; one arg: itself; none: FALSE
ExprPtr MakeNot(ExprPtr arg);
ExprPtr MakeNullTest(ExprPtr arg, bool negated);

bool IsTrue(const ExprPtr& expr);         // the constant TRUE
bool IsFalseOrNull(const ExprPtr& expr);  // a boolean constant that lets no row through

// The conjuncts of `expr` appended to `out`; TRUE gives none.
void SplitConjuncts(const ExprPtr& expr, std::vector<ExprPtr>* out);

// --- Walks ---------------------------------------------------------------------------------------------------------

// Calls `visit` for `expr` and its descendants, parents first; where it returns false, the children are left out.
// Does not enter the plans of subqueries.
void VisitExpr(const ExprPtr& expr, const std::function<bool(const Expr&)>& visit);

// Rebuilds bottom-up: `rewrite` gets each node with its children already rewritten and returns a replacement or nullptr
// to keep it. Shares what did not change. Does not enter the plans of subqueries.
ExprPtr RewriteExpr(const ExprPtr& expr, const std::function<ExprPtr(const ExprPtr&)>& rewrite);

// Columns that `expr` reads, correlated columns of its subqueries included.
void CollectColumns(const ExprPtr& expr, ColumnSet* out);
ColumnSet ColumnsOf(const ExprPtr& expr);

// Same kind, payload and children. Positions and names do not count. Subqueries equal only themselves.
bool ExprEquals(const ExprPtr& a, const ExprPtr& b);

// Of a conversion: stable where it depends on settings (TimeZone, DateStyle, …) or on the catalog.
Volatility CastVolatility(Oid from, Oid to);
// The worst of all nodes of `expr`; a subquery counts as volatile.
Volatility ExprVolatility(const ExprPtr& expr);
// Where the expression's text begins: of an operator, its left operand (compare ast::LeftmostPosition).
int LeftmostPosition(const Expr& expr);
bool ContainsSubquery(const ExprPtr& expr);
bool ContainsSetFunction(const ExprPtr& expr);
// No volatile function, no subquery.
bool IsStable(const ExprPtr& expr);
// Only constants and immutable functions: foldable while planning.
bool IsImmutableConstant(const ExprPtr& expr);
// No column of any row: constants, parameters, exec parameters, functions of them. Evaluable before the scan starts.
bool IsRowIndependent(const ExprPtr& expr);

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_EXPRESSION_H_
