// One call of an aggregate function within an aggregation.
#ifndef INSULA_SQL_PLAN_AGGREGATE_SPEC_H_
#define INSULA_SQL_PLAN_AGGREGATE_SPEC_H_

#include <vector>

#include "sql/plan/expression.h"
#include "sql/plan/sort_key.h"

namespace insula::sql {

struct AggregateSpec {
  ColumnId output = 0;
  SqlType type;
  const FunctionInfo* function = nullptr;
  std::vector<ExprPtr> args;            // on the input row; none for count(*)
  std::vector<ExprPtr> direct_args;     // of ordered-set aggregates: percentile_cont(0.5) WITHIN GROUP (…)
  bool distinct = false;
  std::vector<SortKey> order_by;        // ORDER BY inside the call, or WITHIN GROUP; on the input row
  ExprPtr filter;                       // FILTER (WHERE …); may be null
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_AGGREGATE_SPEC_H_
