// One element of an ORDER BY.
#ifndef INSULA_SQL_PLAN_SORT_KEY_H_
#define INSULA_SQL_PLAN_SORT_KEY_H_

#include "sql/plan/expression.h"

namespace insula::sql {

struct SortKey {
  ExprPtr expr;  // compared by its type's default order (and collation)
  bool descending = false;
  bool nulls_first = false;  // already resolved: PostgreSQL's default is last for ASC, first for DESC
};

}  // namespace insula::sql

#endif  // INSULA_SQL_PLAN_SORT_KEY_H_
