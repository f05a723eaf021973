// Configuration changes as pure functions: a configuration and changes in, the next configuration or a reason against
// it out.
//
//   simple       (1 2)            --v3-->            (1 2 3)
//   enter joint  (1 2 3)          --v4 r1-->         (2 3 4)&&(1 2 3)
//   leave joint  (2 3 4)&&(1 2 3) ------->           (2 3 4)
//
// A simple change touches one voter at most, so that old and new majorities overlap. A voter that becomes a learner
// through a joint configuration stays a voter of the outgoing half until the joint state is left (learners_next).
//
// Thread safety: pure.
#ifndef INSULA_KV_RAFT_CONFCHANGE_CHANGER_H_
#define INSULA_KV_RAFT_CONFCHANGE_CHANGER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kv/raft/message.h"
#include "kv/raft/tracker/tracker.h"

namespace insula::raft::confchange {

struct Next {
  tracker::Config config;
  tracker::ProgressMap progress;
};

class Changer {
 public:
  // New replicas start at `last_index` as the next index to send.
  Changer(const tracker::Tracker& tracker, uint64_t last_index) : tracker_(tracker), last_index_(last_index) {}

  // Each: kFailedPrecondition with the reason if the change does not fit.
  absl::StatusOr<Next> Simple(const std::vector<ConfChangeSingle>& changes) const;
  absl::StatusOr<Next> EnterJoint(bool auto_leave, const std::vector<ConfChangeSingle>& changes) const;
  absl::StatusOr<Next> LeaveJoint() const;
  // Whichever of the three `change` asks for.
  absl::StatusOr<Next> Apply(const ConfChangeV2& change) const;

 private:
  absl::Status ApplyAll(Next* next, const std::vector<ConfChangeSingle>& changes) const;
  void MakeVoter(Next* next, NodeId id) const;
  void MakeLearner(Next* next, NodeId id) const;
  void Remove(Next* next, NodeId id) const;
  void AddProgress(Next* next, NodeId id, bool learner) const;

  const tracker::Tracker& tracker_;
  const uint64_t last_index_;
};

// CHECK-fails unless `next` has the invariants of tracker.h.
void CheckInvariants(const Next& next);

// The configuration `state` from nothing, by the changes that lead to it. `empty` gives the limits for new progress.
absl::StatusOr<Next> Restore(tracker::Tracker empty, uint64_t last_index, const ConfState& state);

}  // namespace insula::raft::confchange

#endif  // INSULA_KV_RAFT_CONFCHANGE_CHANGER_H_
