// Walks over syntax trees, for passes that look at or replace expressions wherever they stand.
#ifndef INSULA_SQL_PARSER_AST_WALK_H_
#define INSULA_SQL_PARSER_AST_WALK_H_

#include <functional>

#include "sql/parser/ast.h"

namespace insula::sql::ast {

// Calls `visit` with every place in a SELECT, INSERT, UPDATE or DELETE (with its subqueries and WITH queries) that holds an
// expression, parents before children; a visitor may put another expression there, whose children are then walked.
// Not visited: a constant that stands for a column number (ORDER BY 1, GROUP BY 1, DISTINCT ON (1)) and type modifiers.
void WalkExpressions(Statement& statement, const std::function<void(ExprPtr&)>& visit);

}  // namespace insula::sql::ast

#endif  // INSULA_SQL_PARSER_AST_WALK_H_
