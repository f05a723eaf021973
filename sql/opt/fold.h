// Simplifies expressions: computes what is constant, drops what cannot matter.
#ifndef INSULA_SQL_OPT_FOLD_H_
#define INSULA_SQL_OPT_FOLD_H_

#include "sql/functions/function_context.h"
#include "sql/plan/expression.h"

namespace insula::sql {

// `functions` may be null: then only the boolean rules apply. An expression whose evaluation fails is left alone, to fail (or
// not) when it runs. Immutable functions only, so the result holds for as long as the plan is cached.
ExprPtr Fold(const ExprPtr& expr, FunctionContext* functions);

}  // namespace insula::sql

#endif  // INSULA_SQL_OPT_FOLD_H_
