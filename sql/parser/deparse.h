// Queries back to SQL text, in the shape of PostgreSQL's pg_get_viewdef. Names may be replaced on the way: stars by what they
// stand for, columns and relations by qualified names.
#ifndef INSULA_SQL_PARSER_DEPARSE_H_
#define INSULA_SQL_PARSER_DEPARSE_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sql/parser/ast.h"

namespace insula::sql {

// Each may be null, or answer nullopt: then what was written is printed.
struct SqlNames {
  std::function<std::optional<std::string>(const ast::ColumnRef&)> column;
  // The columns of a star in a select list: (expression, name).
  std::function<std::optional<std::vector<std::pair<std::string, std::string>>>(const ast::ColumnRef&)> star;
  std::function<std::optional<std::string>(const ast::FromTable&)> table;
  std::function<std::optional<std::string>(const ast::TypeName&)> type;
};

std::string ToSql(const ast::SelectStatement& query, const SqlNames& names);
std::string ToSql(const ast::Expr& expr, const SqlNames& names);

// An identifier, quoted where it must be.
std::string SqlIdent(std::string_view name);

}  // namespace insula::sql

#endif  // INSULA_SQL_PARSER_DEPARSE_H_
