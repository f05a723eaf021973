// Scalar expressions as written, before names and types are known. Plain data: what PostgreSQL's grammar produced, in
// shapes that are easy to switch over. A node is owned by its parent.
//
// Positions are 1-based character positions in the whole query string (what an error's P field holds); 0 = none.
#ifndef INSULA_SQL_PARSER_AST_EXPRESSION_H_
#define INSULA_SQL_PARSER_AST_EXPRESSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"

namespace insula::sql::ast {

struct SelectStatement;

enum class ExprKind {
  kConstant, kColumnRef, kParameter, kOperator, kIn, kBetween, kLike, kDistinctFrom, kNullIf, kBool, kFunctionCall,
  kTypeCast, kCase, kCoalesce, kMinMax, kNullTest, kBooleanTest, kSubquery, kArray, kRow, kSubscript, kFieldSelect,
  kCollate, kSqlValue, kDefault, kNamedArgument, kGroupingSet, kGrouping, kCurrentOf, kMultiAssign,
};

struct Expr {
  explicit Expr(ExprKind k) : kind(k) {}
  Expr(const Expr&) = delete;
  Expr& operator=(const Expr&) = delete;
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

  ExprKind kind;
  int position = 0;
};
using ExprPtr = std::unique_ptr<Expr>;

template <ExprKind K>
struct ExprOf : Expr {
  static constexpr ExprKind kKind = K;
  ExprOf() : Expr(K) {}
};

// A name of one to four parts, as folded by the lexer.
using QualifiedName = std::vector<std::string>;

// numeric(10,2)[] and the like.
struct TypeName {
  QualifiedName names;             // pg_catalog.int4 for INTEGER: the grammar's spelling
  std::vector<ExprPtr> modifiers;  // (10, 2)
  int array_dimensions = 0;
  bool setof = false;
  bool percent_type = false;  // table.column%TYPE
  int position = 0;
};

enum class ConstantKind { kNull, kInteger, kFloat, kBoolean, kString, kBitString };

struct Constant : ExprOf<ExprKind::kConstant> {
  ConstantKind constant = ConstantKind::kNull;
  int64_t integer = 0;   // kInteger (fits 32 bits), kBoolean
  std::string text;      // kFloat: its digits (also integers past 32 bits); kString; kBitString: "b0101" or "x1f"
};

// a, t.a, s.t.a, t.* (star set; fields then hold what stands before it).
struct ColumnRef : ExprOf<ExprKind::kColumnRef> {
  QualifiedName fields;
  bool star = false;
};

struct Parameter : ExprOf<ExprKind::kParameter> {
  int number = 0;  // $1 is 1
};

enum class Quantifier { kNone, kAny, kAll };

// left OP right, OP right (left null), or left OP ANY/ALL (array expression).
struct Operator : ExprOf<ExprKind::kOperator> {
  QualifiedName name;  // {"+"} or {"pg_catalog", "~"}
  ExprPtr left, right;
  Quantifier quantifier = Quantifier::kNone;
};

// left [NOT] IN (list). A subquery on the right is a Subquery node instead.
struct In : ExprOf<ExprKind::kIn> {
  ExprPtr left;
  std::vector<ExprPtr> list;
  bool negated = false;
};

struct Between : ExprOf<ExprKind::kBetween> {
  ExprPtr value, low, high;
  bool negated = false;
  bool symmetric = false;
};

enum class LikeKind { kLike, kILike, kSimilar };

// value [NOT] LIKE pattern [ESCAPE escape]; the escape arrives folded into the pattern as a function call by the grammar.
struct Like : ExprOf<ExprKind::kLike> {
  LikeKind like = LikeKind::kLike;
  ExprPtr value, pattern;
  bool negated = false;
};

struct DistinctFrom : ExprOf<ExprKind::kDistinctFrom> {
  ExprPtr left, right;
  bool negated = false;  // IS NOT DISTINCT FROM
};

struct NullIf : ExprOf<ExprKind::kNullIf> {
  ExprPtr left, right;
};

enum class BoolKind { kAnd, kOr, kNot };
struct Bool : ExprOf<ExprKind::kBool> {
  BoolKind op = BoolKind::kAnd;
  std::vector<ExprPtr> args;
};

enum class SortDirection { kDefault, kAscending, kDescending, kUsing };
enum class NullsOrder { kDefault, kFirst, kLast };
struct SortItem {
  ExprPtr expr;
  SortDirection direction = SortDirection::kDefault;
  NullsOrder nulls = NullsOrder::kDefault;
  QualifiedName using_operator;
  int position = 0;
};

enum class FrameMode { kRange, kRows, kGroups };
enum class FrameBound { kUnboundedPreceding, kPreceding, kCurrentRow, kFollowing, kUnboundedFollowing };
enum class FrameExclusion { kNone, kCurrentRow, kGroup, kTies };

// OVER (…), OVER name, or an element of WINDOW.
struct WindowDefinition {
  std::string name;       // its own name in a WINDOW clause; for OVER name, that name
  std::string base_name;  // OVER (base …)
  std::vector<ExprPtr> partition_by;
  std::vector<SortItem> order_by;
  bool has_frame = false;
  FrameMode mode = FrameMode::kRange;
  FrameBound start = FrameBound::kUnboundedPreceding;
  FrameBound end = FrameBound::kCurrentRow;
  ExprPtr start_offset, end_offset;
  FrameExclusion exclusion = FrameExclusion::kNone;
  int position = 0;
};

struct FunctionCall : ExprOf<ExprKind::kFunctionCall> {
  QualifiedName name;
  std::vector<ExprPtr> args;
  std::vector<SortItem> order_by;  // aggregates; or WITHIN GROUP
  ExprPtr filter;
  std::unique_ptr<WindowDefinition> over;
  bool star = false;         // count(*)
  bool distinct = false;
  bool variadic = false;
  bool within_group = false;
  bool sql_syntax = false;   // EXTRACT(… FROM …), SUBSTRING(… FROM …), …: deparses in that form
};

struct TypeCast : ExprOf<ExprKind::kTypeCast> {
  ExprPtr arg;
  TypeName type;
};

struct CaseWhen {
  ExprPtr condition, result;
  int position = 0;
};
struct Case : ExprOf<ExprKind::kCase> {
  ExprPtr arg;  // CASE arg WHEN …; null for the searched form
  std::vector<CaseWhen> whens;
  ExprPtr otherwise;
};

struct Coalesce : ExprOf<ExprKind::kCoalesce> {
  std::vector<ExprPtr> args;
};

struct MinMax : ExprOf<ExprKind::kMinMax> {
  bool greatest = true;
  std::vector<ExprPtr> args;
};

struct NullTest : ExprOf<ExprKind::kNullTest> {
  ExprPtr arg;
  bool negated = false;  // IS NOT NULL
};

enum class BooleanTestKind { kTrue, kNotTrue, kFalse, kNotFalse, kUnknown, kNotUnknown };
struct BooleanTest : ExprOf<ExprKind::kBooleanTest> {
  ExprPtr arg;
  BooleanTestKind test = BooleanTestKind::kTrue;
};

enum class SubqueryKind { kScalar, kExists, kAny, kAll, kArray };
struct Subquery : ExprOf<ExprKind::kSubquery> {
  Subquery();
  ~Subquery() override;
  SubqueryKind subquery = SubqueryKind::kScalar;
  ExprPtr test;             // kAny, kAll: the left side
  QualifiedName operator_;  // kAny, kAll; empty = IN
  std::unique_ptr<SelectStatement> select;
};

struct Array : ExprOf<ExprKind::kArray> {
  std::vector<ExprPtr> elements;
};

struct Row : ExprOf<ExprKind::kRow> {
  std::vector<ExprPtr> args;
  bool explicit_row = false;  // ROW(a, b) rather than (a, b)
};

// base[index], base[low:high].
struct Subscript : ExprOf<ExprKind::kSubscript> {
  ExprPtr base, low, high;  // high alone for base[i]
  bool slice = false;
};

// (base).field or (base).*.
struct FieldSelect : ExprOf<ExprKind::kFieldSelect> {
  ExprPtr base;
  std::string field;
  bool star = false;
};

struct Collate : ExprOf<ExprKind::kCollate> {
  ExprPtr arg;
  QualifiedName collation;
};

// CURRENT_DATE and its relatives: keywords that are function calls without parentheses.
struct SqlValue : ExprOf<ExprKind::kSqlValue> {
  std::string name;            // "current_date", "current_timestamp", "current_user", …
  std::optional<int> precision;
};

// DEFAULT inside VALUES or SET.
struct Default : ExprOf<ExprKind::kDefault> {};

// f(name => value)
struct NamedArgument : ExprOf<ExprKind::kNamedArgument> {
  std::string name;
  ExprPtr arg;
};

enum class GroupingSetKind { kEmpty, kSimple, kRollup, kCube, kSets };
struct GroupingSet : ExprOf<ExprKind::kGroupingSet> {
  GroupingSetKind set = GroupingSetKind::kEmpty;
  std::vector<ExprPtr> content;
};

// GROUPING(a, b)
struct Grouping : ExprOf<ExprKind::kGrouping> {
  std::vector<ExprPtr> args;
};

struct CurrentOf : ExprOf<ExprKind::kCurrentOf> {
  std::string cursor;
};

// One column of SET (a, b) = source; `source` is shared by all columns of the group and kept by the first.
struct MultiAssign : ExprOf<ExprKind::kMultiAssign> {
  ExprPtr source;  // set for column 1 only
  int column = 0;  // 1-based
  int columns = 0;
};

// Where the expression's text begins, as PostgreSQL points at it: an operator's own position is that of its sign, but it begins
// with its left operand.
int LeftmostPosition(const Expr& e);

}  // namespace insula::sql::ast

#endif  // INSULA_SQL_PARSER_AST_EXPRESSION_H_
