// The cluster-wide bucket of one tenant with a plan: what nodes may lend out of it, to spend on the tenant's behalf. It is kept in memory,
// by the node that leads the registry.
//
//   burst ┤■■■■■■                     earned at rate - baseline, since this node leads and no earlier
//         │                           plenty: whoever asks gets up to a second of its part, and may ask again at once
//   1 s ──┤
//         │ ■■■                       scarce: a quarter of a second of its part, and no more before that is earned
//       0 ┤················■          nothing: it is told when to come back
//
// A node's part is an equal one, among the nodes that have asked within kBorrowerLife. What some do not ask for gathers until there is
// plenty, and goes to the others.
//
// Invariants (lender_test.cc):
//   L1  Lent within any time t: never more than burst + t × (rate - baseline). There is no debt, and a new leader begins with nothing, so
//       that holds over any number of leaders, too, provided that they lead one after the other.
//   L2  A slice is at most a second of a part: so much is lost to the tenant with a node that dies, and for that second alone.
//   L3  Nodes that all want more than there is get the same, within a slice of each.
// Pure: the time comes with each call.
#ifndef INSULA_TENANT_LENDER_H_
#define INSULA_TENANT_LENDER_H_

#include <cstdint>
#include <map>

#include "base/runtime/time.h"
#include "tenant/cost_model.h"
#include "tenant/plan.h"
#include "tenant/token_bucket.h"

namespace insula {

// The answer to a node that wants to borrow.
struct Loan {
  MilliRu amount = 0;
  uint32_t borrowers = 1;  // the nodes that spend for the tenant now
  Duration ask_after{};    // the node gets nothing more before
};

class Lender {
 public:
  static constexpr Duration kBorrowerLife = std::chrono::seconds(5);

  // `since`: from when on this node leads.
  Lender(const PlanLimits& limits, MonoTime since);

  // Those of the highest revision count.
  void SetLimits(const PlanLimits& limits, MonoTime now);
  Loan Lend(uint64_t node, MilliRu wanted, MonoTime now);
  // Whether one made anew, with the same `since`, would lend the same.
  bool at_rest(MonoTime now) { return bucket_.full(now); }
  MilliRu available(MonoTime now) { return bucket_.Available(now); }

 private:
  PlanLimits limits_;
  TokenBucket bucket_;
  std::map<uint64_t, MonoTime> asked_;  // by node: last
};

}  // namespace insula

#endif  // INSULA_TENANT_LENDER_H_
