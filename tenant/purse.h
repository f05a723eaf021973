// What one node may spend for one tenant with a plan: its part of the baseline, and what it has borrowed (lender.h).
//
//          ┌─ baseline: a bucket of the node's own, never withheld ◄── plan's baseline ÷ nodes
//   batch ─┤  1. covers it: free of loans                              (÷ those that spend for the tenant, once the lender has said)
//          │  3. has something at all: may go into debt
//          └─ slice: borrowed, spent within kSliceLife              ◄── lender
//             2. has something at all: may go into debt, which the next slices pay
//
// What a batch costs beyond what was foreseen is taken from where the batch was paid from. So a tenant that runs into debt with the lender
// (or whose lender cannot be reached) goes on at its baseline, and one that lives within its baseline never borrows.
//
// Invariants (purse_test.cc):
//   U1  Spent, within any time: at most what was lent, the baseline earned, a second of it, and the debts. A debt comes from batches that
//       began while there was something left, so it is bounded by what is under way, and is paid (up to an hour of the rate).
//   U2  What ends transactions may go into debt by a second of the node's part: others of the tenant wait for just that.
//   U3  Nothing is asked while nothing is spent or owed, and not before the lender has said.
// Pure: the time comes with each call.
#ifndef INSULA_TENANT_PURSE_H_
#define INSULA_TENANT_PURSE_H_

#include <cstdint>
#include <optional>

#include "base/runtime/time.h"
#include "tenant/cost_model.h"
#include "tenant/lender.h"
#include "tenant/plan.h"
#include "tenant/token_bucket.h"

namespace insula {

class Purse {
 public:
  // Where a batch is paid from.
  enum class Pot { kNone, kBaseline, kSlice };
  static constexpr Duration kSliceLife = std::chrono::seconds(5);

  // `nodes`: of the cluster; the baseline is divided among them until the lender says who spends.
  Purse(const PlanLimits& limits, uint32_t nodes, MonoTime now);
  // Older revisions are not heeded.
  void SetLimits(const PlanLimits& limits, uint32_t nodes, MonoTime now);
  const PlanLimits& limits() const { return limits_; }

  // Pays for a batch that is about to begin; kNone: it has to wait. `finishing`: U2.
  Pot Take(MilliRu cost, bool finishing, MonoTime now);
  // It cost so much more.
  void Charge(Pot pot, MilliRu cost, MonoTime now);
  // Until the baseline lets something pass; zero: now, or the slice does.
  Duration UntilAvailable(MonoTime now);

  // What to ask the lender for, if something is to be asked now. `waiting`: the cost of the batches that wait.
  std::optional<MilliRu> Wanted(MilliRu waiting, MonoTime now);
  // The lender has nothing for this node before.
  MonoTime ask_at() const { return ask_at_; }
  void Lent(const Loan& loan, MonoTime now);
  // The lender did not answer.
  void NotAnswered(MonoTime now);

  // Nothing to remember: no debt, and nothing that one made anew would have.
  bool at_rest(MonoTime now);
  MilliRu slice(MonoTime now);
  MilliRu baseline(MonoTime now);

 private:
  void Settle(MonoTime now);
  void Divide(uint32_t among, MonoTime now);

  PlanLimits limits_;
  uint32_t nodes_;
  uint32_t among_ = 0;      // the baseline and the reserve are divided by it
  TokenBucket free_;        // this node's part of the baseline
  MilliRu slice_ = 0;       // below zero: debt
  MilliRu last_slice_ = 0;
  MonoTime expires_{};      // of the slice, and of what the lender said
  bool heard_ = false;
  MilliRu spent_ = 0;       // of slices, since asked_at_
  MonoTime asked_at_{};
  MonoTime ask_at_{};
  Duration retry_{};        // after the last answer that did not come
};

}  // namespace insula

#endif  // INSULA_TENANT_PURSE_H_
