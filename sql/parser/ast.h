// The abstract syntax tree: every statement and expression that the parser yields.
#ifndef INSULA_SQL_PARSER_AST_H_
#define INSULA_SQL_PARSER_AST_H_

#include "sql/parser/ast_ddl.h"         // IWYU pragma: export
#include "sql/parser/ast_expression.h"  // IWYU pragma: export
#include "sql/parser/ast_query.h"       // IWYU pragma: export
#include "sql/parser/ast_statement.h"   // IWYU pragma: export
#include "sql/parser/ast_utility.h"     // IWYU pragma: export

#endif  // INSULA_SQL_PARSER_AST_H_
