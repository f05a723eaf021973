// SQL text → statements, by PostgreSQL 15's own grammar.
//
//   ASSIGN_OR_RETURN(auto statements, ParseSql("insert into t values (1); select 2"));
//
// One bad statement makes the whole string an error (42601, PostgreSQL's message, position), as in PostgreSQL. A statement
// that parses but contains something we do not run becomes an ast::UnsupportedStatement, so that those before it still run.
#ifndef INSULA_SQL_PARSER_PARSER_H_
#define INSULA_SQL_PARSER_PARSER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sql/parser/ast.h"

namespace insula::sql {

struct ParsedStatement {
  ast::StatementPtr statement;
  // Its own text within the string: byte offsets [begin, end), without the semicolon and leading blanks.
  size_t begin = 0, end = 0;
  int parameter_count = 0;  // the highest $n
};

// Positions in the trees and errors count characters of the whole of `sql`.
absl::StatusOr<std::vector<ParsedStatement>> ParseSql(std::string_view sql);

// One expression, as a column default or check is stored. Positions in it mean nothing.
absl::StatusOr<ast::ExprPtr> ParseExpression(std::string_view text);

// One type name: "numeric(10,2)[]".
absl::StatusOr<ast::TypeName> ParseTypeNode(std::string_view text);

// The command tag without row counts: "CREATE TABLE", "INSERT", "SELECT", "BEGIN".
std::string CommandTag(const ast::Statement& statement);

}  // namespace insula::sql

#endif  // INSULA_SQL_PARSER_PARSER_H_
