// EXPLAIN: a physical plan as text, in the shape of PostgreSQL's.
//
//   Limit  (cost=0.29..8.31 rows=1 width=36)
//     ->  Index Scan using t_pkey on t  (cost=0.29..8.31 rows=1 width=36)
//           Index Cond: (id = $1)
#ifndef INSULA_SQL_OPT_EXPLAIN_H_
#define INSULA_SQL_OPT_EXPLAIN_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sql/plan/physical.h"

namespace insula::sql {

// What EXPLAIN ANALYZE measured of one node, over all its loops.
struct ExplainActual {
  uint64_t loops = 0;
  uint64_t rows = 0;
  double first_ms = 0;  // until the first row
  double total_ms = 0;  // children included
  uint64_t rows_removed = 0;
  uint64_t kv_batches = 0;
  uint64_t bytes_read = 0;
};

struct ExplainOptions {
  bool costs = true;
  bool verbose = false;
  bool timing = true;
  bool json = false;  // FORMAT JSON: one string
  // EXPLAIN ANALYZE; nullopt for a node that never ran.
  std::function<std::optional<ExplainActual>(const PhysicalNode*)> actual;
  // Lines after the tree, such as {"Planning Time", "0.1 ms"}.
  std::vector<std::pair<std::string, std::string>> summary;
};

// The lines of QUERY PLAN, one row each; with json one row.
std::vector<std::string> Explain(const PhysicalPlan& plan, const ExplainOptions& options);

// An expression as EXPLAIN shows it: "(a = 5)".
std::string ExprToString(const ExprPtr& expr);

}  // namespace insula::sql

#endif  // INSULA_SQL_OPT_EXPLAIN_H_
