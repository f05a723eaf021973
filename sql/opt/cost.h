// What work costs, relative to handling one row in memory a hundred times. A request to a KV node is by far the dearest.
#ifndef INSULA_SQL_OPT_COST_H_
#define INSULA_SQL_OPT_COST_H_

#include <algorithm>
#include <cmath>

namespace insula::sql {

inline constexpr double kSeekCost = 4.0;         // one key range: a request of its own
inline constexpr double kPointCost = 1.0;        // one key among others in a batch
inline constexpr double kLookupCost = 0.25;      // one row of a large batch of lookups
inline constexpr double kScanRowCost = 0.02;     // reading on in a range
inline constexpr double kCpuRowCost = 0.005;     // passing a row on
inline constexpr double kExprCost = 0.0025;      // evaluating an expression on a row
inline constexpr double kHashBuildCost = 0.02;   // a row into a hash table
inline constexpr double kHashProbeCost = 0.01;
inline constexpr double kRestartCost = 0.5;      // opening a subplan again for another outer row

inline double SortCost(double rows) { return rows * std::log2(std::max(2.0, rows)) * 0.006; }
inline double TopNCost(double rows, double kept) { return rows * std::log2(std::max(2.0, kept)) * 0.003; }

}  // namespace insula::sql

#endif  // INSULA_SQL_OPT_COST_H_
