// What is known of the order of each register's versions: a relation v1 -> v2 per key, from several sources.
#ifndef INSULA_TEST_CHECKERS_VERSION_ORDER_H_
#define INSULA_TEST_CHECKERS_VERSION_ORDER_H_

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "test/checkers/txn_check.h"
#include "test/checkers/txn_history.h"

namespace insula::checkers {

// What a transaction does to a register as others see it.
struct External {
  bool reads = false;    // before any write of its own
  bool writes = false;
  int64_t read = kNil;   // by the first read
  int64_t written = kNil;  // by the last write

  int64_t First() const { return reads ? read : written; }
  int64_t Last() const { return writes ? written : read; }
};

// By key. Of a committed transaction all; of a lost one the writes; of an aborted one nothing.
std::map<int64_t, External> ExternalsOf(const Txn& txn);

using VersionOrder = std::map<int64_t, std::set<std::pair<int64_t, int64_t>>>;  // by key: (earlier, later)

// Reports cyclic-versions; the result has no cycles unless its first source (nil comes first) had one.
VersionOrder InferVersionOrder(const TxnHistory& history, const std::vector<std::map<int64_t, External>>& externals,
                               const TxnCheckOptions& options, TxnFindings* findings);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_VERSION_ORDER_H_
