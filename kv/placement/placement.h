// What a range needs: where its replicas and its lease should be.
//
//   most urgent first                        | what is done
//   -----------------------------------------+---------------------------------------------------------
//   a change of replicas that was cut short  | finish it; take a learner away that nobody needs
//   a replica on a dead store                | another store gets one in its place
//   fewer replicas than wanted               | more, if that makes an odd number of them
//   a replica on a store that is to be empty | another store gets one in its place
//   more replicas than wanted                | the one that is missed least goes
//   the lease on a store that wants none     | to another replica
//   replicas closer together than need be    | one moves, for diversity
//   stores that carry too much or too little | one moves; the lease moves
//
// Invariants:
//   P1  No action is taken while fewer than a quorum of the range's voters is live, and none that leaves fewer than a quorum of those to
//       come live.
//   P2  Nothing is put on a store that is not live, active, and known by figures heard lately; nor two replicas on one node.
//   P3  An action for load never lowers the diversity of a range; one that adds or replaces keeps as much as any choice would.
//   P4  What was done is not undone while the view stays the same (balance.h).
//   P5  Where as many stores look dead as do not, this view is of a store that is cut off: nothing is replaced.
// Same view, same answer: ties are broken by a hash of range and store, so that ranges do not all choose the same store.
#ifndef INSULA_KV_PLACEMENT_PLACEMENT_H_
#define INSULA_KV_PLACEMENT_PLACEMENT_H_

#include <optional>
#include <string>
#include <vector>

#include "kv/placement/cluster_view.h"

namespace insula::kv::placement {

struct Options {
  int replicas = 3;  // odd
  // A store with less than this share of its disk left gets nothing more; with less than half of it, it gives away.
  double least_free = 0.10;
  // Bands (balance.h): share of the mean, and least width.
  double ranges_margin = 0.05, ranges_least = 2;
  double bytes_margin = 0.10, bytes_least = 512.0 * 1024 * 1024;
  double writes_margin = 0.25, writes_least = 200;
  double leases_margin = 0.10, leases_least = 3;
  double batches_margin = 0.25, batches_least = 500;
};

struct Action {
  enum class Kind {
    kNone,
    kFinishChange,  // leave the joint change that somebody began
    kChange,        // `add` and `remove`
    kTransferLease,
  };
  // In the order of urgency.
  enum class Why { kNone, kUnfinished, kDead, kStopped, kTooFew, kDecommission, kTooMany, kLeaseUnwanted, kDiversity, kLoad };
  Kind kind = Kind::kNone;
  Why why = Why::kNone;
  std::vector<StoreId> add = {};
  std::vector<StoreId> remove = {};
  StoreId lease_to = 0;
  // A transfer for the sake of the replica, which cannot go with the lease: who gets the lease then moves it.
  StoreId replica_to = 0;
  bool operator==(const Action&) const = default;
};

std::string_view ToString(Action::Why why);
// "replica from store 3 to store 4 (a store is dead)".
std::string Describe(const Action& action);

// At most one step for `range`; kNone: it is as it should be, or nothing can be done now.
Action Decide(const ClusterView& cluster, const RangeView& range, const Options& options);

// The replica that should have the lease if the one that has it must not; 0: none can.
StoreId BestLease(const ClusterView& cluster, const RangeView& range, const Options& options);

// Why a range with a replica on `store` cannot lose it now; empty: it can, or has none there. For people.
std::string WhatStandsInTheWay(const ClusterView& cluster, const RangeView& range, StoreId store, const Options& options);

// What `action` makes of the view, until the stores say so themselves.
void Apply(const Action& action, const RangeView& range, ClusterView* cluster);

}  // namespace insula::kv::placement

#endif  // INSULA_KV_PLACEMENT_PLACEMENT_H_
