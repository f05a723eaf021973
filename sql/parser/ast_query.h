// Queries and row-changing statements as written: SELECT, VALUES, INSERT, UPDATE, DELETE.
#ifndef INSULA_SQL_PARSER_AST_QUERY_H_
#define INSULA_SQL_PARSER_AST_QUERY_H_

#include <memory>
#include <string>
#include <vector>

#include "sql/parser/ast_expression.h"
#include "sql/parser/ast_statement.h"

namespace insula::sql::ast {

// [catalog.][schema.]name [[AS] alias (columns…)]
struct RelationName {
  std::string catalog, schema, name;
  int position = 0;
};

struct Alias {
  std::string name;  // empty: none
  std::vector<std::string> columns;
};

struct ColumnDefinition;  // ast_ddl.h

enum class FromKind { kTable, kSubquery, kJoin, kFunction };

struct FromItem {
  explicit FromItem(FromKind k) : kind(k) {}
  FromItem(const FromItem&) = delete;
  FromItem& operator=(const FromItem&) = delete;
  virtual ~FromItem() = default;
  template <typename T>
  const T& As() const {
    CHECK(kind == T::kKind) << "from item kind " << static_cast<int>(kind);
    return static_cast<const T&>(*this);
  }
  FromKind kind;
  Alias alias;
  int position = 0;
};
using FromPtr = std::unique_ptr<FromItem>;

template <FromKind K>
struct FromOf : FromItem {
  static constexpr FromKind kKind = K;
  FromOf() : FromItem(K) {}
};

struct FromTable : FromOf<FromKind::kTable> {
  RelationName table;
  bool only = false;
};

struct FromSubquery : FromOf<FromKind::kSubquery> {
  std::unique_ptr<SelectStatement> select;
  bool lateral = false;
};

enum class JoinKind { kCross, kInner, kLeft, kRight, kFull };
struct FromJoin : FromOf<FromKind::kJoin> {
  JoinKind join = JoinKind::kInner;  // kCross: no condition was given
  FromPtr left, right;
  bool natural = false;
  std::vector<std::string> using_columns;
  std::string using_alias;
  ExprPtr condition;
};

// One function of FROM f(…) or ROWS FROM (f(…), g(…)), with its column definition list if any.
struct TableFunction {
  ExprPtr call;  // a FunctionCall, or a SqlValue
  std::vector<std::unique_ptr<ColumnDefinition>> columns;
};
struct FromFunction : FromOf<FromKind::kFunction> {
  FromFunction();
  ~FromFunction() override;
  std::vector<TableFunction> functions;
  bool lateral = false;
  bool ordinality = false;
  bool rows_from = false;
};

// expr [AS name] in a select list or RETURNING.
struct SelectItem {
  std::string alias;  // empty: none
  ExprPtr expr;
  int position = 0;
};

enum class CteMaterialize { kDefault, kAlways, kNever };
struct Cte {
  std::string name;
  std::vector<std::string> columns;
  CteMaterialize materialize = CteMaterialize::kDefault;
  StatementPtr query;  // a SelectStatement, or INSERT/UPDATE/DELETE
  bool has_search = false, has_cycle = false;
  int position = 0;
};
struct With {
  bool recursive = false;
  std::vector<Cte> ctes;
  int position = 0;
};

enum class LockStrength { kKeyShare, kShare, kNoKeyUpdate, kUpdate };
enum class LockWait { kBlock, kSkip, kError };
struct LockingClause {
  std::vector<RelationName> relations;  // OF …; empty = all
  LockStrength strength = LockStrength::kUpdate;
  LockWait wait = LockWait::kBlock;
};

enum class SetOperation { kNone, kUnion, kIntersect, kExcept };

// SELECT INTO and CREATE TABLE AS: where the rows go.
struct IntoClause {
  RelationName relation;
  char persistence = 'p';  // p permanent, t temporary, u unlogged
  std::vector<std::string> columns;
  bool with_data = true;
};

// A SELECT, a VALUES list (`values` not empty), or a set operation (`set_operation` != kNone: left, right).
// ORDER BY, LIMIT, locking and WITH belong to any of the three.
struct SelectStatement : StatementOf<StatementKind::kSelect> {
  bool distinct = false;
  std::vector<ExprPtr> distinct_on;
  std::vector<SelectItem> items;
  std::vector<FromPtr> from;
  ExprPtr where;
  std::vector<ExprPtr> group_by;
  bool group_distinct = false;
  ExprPtr having;
  std::vector<WindowDefinition> windows;

  std::vector<std::vector<ExprPtr>> values;

  SetOperation set_operation = SetOperation::kNone;
  bool all = false;
  std::unique_ptr<SelectStatement> left, right;

  With with;
  std::vector<SortItem> order_by;
  ExprPtr limit;  // LIMIT ALL is a NULL constant
  ExprPtr offset;
  bool with_ties = false;
  std::vector<LockingClause> locking;
  std::unique_ptr<IntoClause> into;  // SELECT … INTO t
};

// One target of SET or of an INSERT column list.
struct Assignment {
  std::string column;
  std::vector<ExprPtr> indirection;  // a[1], a.b: Subscript / FieldSelect nodes with a null base
  ExprPtr value;                     // null in an INSERT column list
  int position = 0;
};

enum class ConflictAction { kNone, kNothing, kUpdate };
struct ConflictElement {
  std::string column;  // or
  ExprPtr expr;
  QualifiedName collation, operator_class;
};
struct OnConflict {
  ConflictAction action = ConflictAction::kNone;
  std::vector<ConflictElement> elements;  // (a, b): the inferred index
  ExprPtr index_where;
  std::string constraint;  // ON CONSTRAINT name
  std::vector<Assignment> set;
  ExprPtr where;
  int position = 0;
};

enum class Overriding { kNone, kUser, kSystem };

struct InsertStatement : StatementOf<StatementKind::kInsert> {
  With with;
  RelationName table;
  std::string alias;
  std::vector<Assignment> columns;
  std::unique_ptr<SelectStatement> source;  // null: DEFAULT VALUES
  OnConflict on_conflict;
  std::vector<SelectItem> returning;
  Overriding overriding = Overriding::kNone;
};

struct UpdateStatement : StatementOf<StatementKind::kUpdate> {
  With with;
  RelationName table;
  std::string alias;
  bool only = false;
  std::vector<Assignment> set;
  std::vector<FromPtr> from;
  ExprPtr where;
  std::vector<SelectItem> returning;
};

struct DeleteStatement : StatementOf<StatementKind::kDelete> {
  With with;
  RelationName table;
  std::string alias;
  bool only = false;
  std::vector<FromPtr> using_;
  ExprPtr where;
  std::vector<SelectItem> returning;
};

}  // namespace insula::sql::ast

#endif  // INSULA_SQL_PARSER_AST_QUERY_H_
