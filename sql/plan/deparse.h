// Typed expressions back to SQL, in the form of PostgreSQL's pg_get_expr: for stored defaults and checks, and for EXPLAIN.
#ifndef INSULA_SQL_PLAN_DEPARSE_H_
#define INSULA_SQL_PLAN_DEPARSE_H_

#include <functional>
#include <string>

#include "sql/plan/expression.h"
#include "sql/types/io.h"

namespace insula::sql {

struct DeparseOptions {
  // The name to print for a column; null: ColumnExpr::name.
  std::function<std::string(const ColumnExpr&)> column;
  // How values print. Without reg_names, a regclass prints as its OID.
  const IoContext* io = nullptr;
};

std::string Deparse(const ExprPtr& expr, const DeparseOptions& options);

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_DEPARSE_H_
