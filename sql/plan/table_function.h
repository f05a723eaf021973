// One function of FROM f(…) or ROWS FROM (f(…), g(…)).
#ifndef INSULA_SQL_PLAN_TABLE_FUNCTION_H_
#define INSULA_SQL_PLAN_TABLE_FUNCTION_H_

#include <vector>

#include "sql/plan/expression.h"

namespace insula::sql {

// Contributes column_types.size() columns. Several functions are zipped, shorter ones padded with NULLs.
// A function that returns no set yields one row.
struct TableFunctionCall {
  ExprPtr call;                       // a FunctionExpr; or another scalar expression (one row)
  std::vector<SqlType> column_types;  // what the function's cursor yields
  bool record = false;                // `call` is scalar and yields a record: its fields become the columns
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_TABLE_FUNCTION_H_
