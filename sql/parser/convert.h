// libpg_query's tree → our own. Internal to sql/parser: the only files that see libpg_query's structures.
//
// One Converter converts one statement. What our tree cannot say is recorded as the first `unsupported()` feature and
// conversion goes on with a harmless value; the caller then drops the tree and keeps an UnsupportedStatement.
#ifndef INSULA_SQL_PARSER_CONVERT_H_
#define INSULA_SQL_PARSER_CONVERT_H_

#include <string>
#include <string_view>
#include <vector>

#include "pg_query/pg_query.pb-c.h"
#include "sql/parser/ast.h"

namespace insula::sql {

// Byte offsets within the query text → 1-based character positions.
class PositionMap {
 public:
  explicit PositionMap(std::string_view sql);
  int At(int byte_offset) const;  // 0 for negative offsets

 private:
  bool ascii_ = true;
  std::vector<int> positions_;  // by byte, when not ASCII
};

class Converter {
 public:
  Converter(const PositionMap& positions, std::string_view sql) : positions_(positions), sql_(sql) {}

  ast::StatementPtr Statement(const PgQuery__Node* node);
  ast::ExprPtr Expression(const PgQuery__Node* node);  // null for null
  ast::TypeName Type(const PgQuery__TypeName* type);

  const std::string& unsupported() const { return unsupported_; }
  int unsupported_position() const { return unsupported_position_; }
  int max_parameter() const { return max_parameter_; }

 private:
  using Node = PgQuery__Node;

  void Unsupported(std::string_view feature, int position = 0);
  int At(int location) const { return positions_.At(location); }

  // convert_expression.cc
  ast::ExprPtr Constant(const PgQuery__AConst* c);
  ast::ExprPtr ColumnRef(const PgQuery__ColumnRef* c);
  ast::ExprPtr AExpr(const PgQuery__AExpr* e);
  ast::ExprPtr BoolExpr(const PgQuery__BoolExpr* e);
  ast::ExprPtr FuncCall(const PgQuery__FuncCall* f);
  ast::ExprPtr TypeCast(const PgQuery__TypeCast* c);
  ast::ExprPtr CaseExpr(const PgQuery__CaseExpr* c);
  ast::ExprPtr SubLink(const PgQuery__SubLink* s);
  ast::ExprPtr Indirection(ast::ExprPtr base, size_t n, Node** items);
  ast::ExprPtr SqlValue(const PgQuery__SQLValueFunction* f);
  ast::ExprPtr GroupingSet(const PgQuery__GroupingSet* g);
  ast::ExprPtr MultiAssign(const PgQuery__MultiAssignRef* m);
  ast::SortItem Sort(const Node* node);
  ast::WindowDefinition Window(const PgQuery__WindowDef* w);
  std::vector<ast::ExprPtr> Expressions(size_t n, Node** nodes);
  std::vector<ast::SortItem> Sorts(size_t n, Node** nodes);

  // convert_query.cc
  std::unique_ptr<ast::SelectStatement> Select(const PgQuery__SelectStmt* s);
  std::unique_ptr<ast::SelectStatement> SelectNode(const Node* node);
  ast::StatementPtr Insert(const PgQuery__InsertStmt* s);
  ast::StatementPtr Update(const PgQuery__UpdateStmt* s);
  ast::StatementPtr Delete(const PgQuery__DeleteStmt* s);
  ast::FromPtr From(const Node* node);
  std::vector<ast::FromPtr> FromList(size_t n, Node** nodes);
  ast::FromPtr FromJoin(const PgQuery__JoinExpr* j);
  ast::FromPtr FromFunction(const PgQuery__RangeFunction* f);
  ast::With With(const PgQuery__WithClause* w);
  ast::RelationName Relation(const PgQuery__RangeVar* r);
  ast::Alias AliasOf(const PgQuery__Alias* a);
  std::vector<ast::SelectItem> Items(size_t n, Node** nodes);
  std::vector<ast::Assignment> Assignments(size_t n, Node** nodes);
  ast::OnConflict Conflict(const PgQuery__OnConflictClause* c);
  ast::IntoClause Into(const PgQuery__IntoClause* i);
  ast::LockingClause Locking(const PgQuery__LockingClause* l);

  // convert_ddl.cc
  ast::StatementPtr CreateTable(const PgQuery__CreateStmt* s);
  ast::StatementPtr CreateTableAs(const PgQuery__CreateTableAsStmt* s);
  ast::StatementPtr AlterTable(const PgQuery__AlterTableStmt* s);
  ast::AlterTableCommand AlterTableCommand(const PgQuery__AlterTableCmd* c);
  ast::StatementPtr Rename(const PgQuery__RenameStmt* s);
  ast::StatementPtr Drop(const PgQuery__DropStmt* s);
  ast::StatementPtr CreateIndex(const PgQuery__IndexStmt* s);
  ast::StatementPtr CreateSchema(const PgQuery__CreateSchemaStmt* s);
  ast::StatementPtr CreateView(const PgQuery__ViewStmt* s);
  ast::StatementPtr CreateRole(const PgQuery__CreateRoleStmt* s);
  ast::StatementPtr Grant(const PgQuery__GrantStmt* s);
  ast::StatementPtr GrantRole(const PgQuery__GrantRoleStmt* s);
  ast::StatementPtr Comment(const PgQuery__CommentStmt* s);
  ast::StatementPtr OtherDdl(const Node* node);
  ast::ColumnDefinition Column(const PgQuery__ColumnDef* c);
  ast::Constraint Constraint(const PgQuery__Constraint* c);
  void AddColumnConstraints(size_t n, Node** nodes, std::vector<ast::Constraint>* out);
  ast::IndexElement IndexElement(const PgQuery__IndexElem* e);
  ast::ObjectType Object(PgQuery__ObjectType type);
  ast::QualifiedName ObjectName(const Node* node);

  // convert_utility.cc
  ast::StatementPtr Transaction(const PgQuery__TransactionStmt* s);
  ast::StatementPtr Set(const PgQuery__VariableSetStmt* s);
  ast::TransactionModes Modes(size_t n, Node** options);
  ast::StatementPtr Explain(const PgQuery__ExplainStmt* s);
  ast::StatementPtr DeclareCursor(const PgQuery__DeclareCursorStmt* s);
  ast::StatementPtr Fetch(const PgQuery__FetchStmt* s);
  ast::StatementPtr Copy(const PgQuery__CopyStmt* s);
  ast::StatementPtr Vacuum(const PgQuery__VacuumStmt* s);
  ast::StatementPtr Do(const PgQuery__DoStmt* s);
  ast::StatementPtr OtherUtility(const Node* node);

  // Shared pieces.
  ast::Option OptionOf(const PgQuery__DefElem* d);
  std::vector<ast::Option> Options(size_t n, Node** nodes);
  ast::RoleName Role(const PgQuery__RoleSpec* r);
  std::vector<ast::RoleName> Roles(size_t n, Node** nodes);
  std::vector<std::string> Strings(size_t n, Node** nodes);
  std::string StringOf(const Node* node);  // of String, Integer, Float, Boolean, A_Const, TypeName nodes
  std::vector<ast::RelationName> Relations(size_t n, Node** nodes);

  const PositionMap& positions_;
  std::string_view sql_;
  std::string unsupported_;
  int unsupported_position_ = 0;
  int max_parameter_ = 0;
};

// The tag that PostgreSQL gives a statement of this kind, "CREATE TRIGGER"; for kinds that our tree has no struct for.
std::string TagOfNode(const PgQuery__Node* node);

}  // namespace insula::sql

#endif  // INSULA_SQL_PARSER_CONVERT_H_
