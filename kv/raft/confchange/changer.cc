#include "kv/raft/confchange/changer.h"

#include <algorithm>

#include "base/check.h"
#include "base/status_macros.h"

namespace insula::raft::confchange {

namespace {

absl::Status Unfit(const char* reason) { return absl::FailedPreconditionError(reason); }

size_t Difference(const NodeSet& a, const NodeSet& b) {
  size_t n = 0;
  for (NodeId id : a) n += !b.contains(id);
  for (NodeId id : b) n += !a.contains(id);
  return n;
}

}  // namespace

void CheckInvariants(const Next& next) {
  const tracker::Config& c = next.config;
  auto in_progress = [&](const NodeSet& ids) {
    for (NodeId id : ids) CHECK(next.progress.count(id)) << "T1: no progress for " << id;
  };
  in_progress(c.voters.incoming);
  in_progress(c.voters.outgoing);
  in_progress(c.learners);
  in_progress(c.learners_next);
  for (const auto& [id, pr] : next.progress) {
    CHECK(c.voters.contains(id) || c.learners.contains(id)) << "T1: progress for stranger " << id;
    CHECK_EQ(pr.is_learner, c.learners.contains(id)) << "replica " << id;
  }
  for (NodeId id : c.learners) CHECK(!c.voters.contains(id)) << "T2: " << id << " is learner and voter";
  for (NodeId id : c.learners_next) CHECK(c.voters.outgoing.contains(id)) << "T3: " << id;
  if (!c.joint()) CHECK(c.learners_next.empty() && !c.auto_leave) << "T4";
}

absl::StatusOr<Next> Changer::Simple(const std::vector<ConfChangeSingle>& changes) const {
  Next next{tracker_.config, tracker_.progress};
  CheckInvariants(next);
  if (next.config.joint()) return Unfit("can't apply simple config change in joint config");
  RETURN_IF_ERROR(ApplyAll(&next, changes));
  if (Difference(tracker_.config.voters.incoming, next.config.voters.incoming) > 1) {
    return Unfit("more than one voter changed without entering joint config");
  }
  CheckInvariants(next);
  return next;
}

absl::StatusOr<Next> Changer::EnterJoint(bool auto_leave, const std::vector<ConfChangeSingle>& changes) const {
  Next next{tracker_.config, tracker_.progress};
  CheckInvariants(next);
  if (next.config.joint()) return Unfit("config is already joint");
  if (next.config.voters.incoming.empty()) return Unfit("can't make a zero-voter config joint");
  next.config.voters.outgoing = next.config.voters.incoming;
  RETURN_IF_ERROR(ApplyAll(&next, changes));
  next.config.auto_leave = auto_leave;
  CheckInvariants(next);
  return next;
}

absl::StatusOr<Next> Changer::LeaveJoint() const {
  Next next{tracker_.config, tracker_.progress};
  CheckInvariants(next);
  tracker::Config& c = next.config;
  if (!c.joint()) return Unfit("can't leave a non-joint config");
  for (NodeId id : c.learners_next) {
    c.learners.insert(id);
    next.progress.at(id).is_learner = true;
  }
  c.learners_next.clear();
  for (NodeId id : c.voters.outgoing) {
    if (!c.voters.incoming.contains(id) && !c.learners.contains(id)) next.progress.erase(id);
  }
  c.voters.outgoing.clear();
  c.auto_leave = false;
  CheckInvariants(next);
  return next;
}

absl::StatusOr<Next> Changer::Apply(const ConfChangeV2& change) const {
  bool auto_leave = false;
  if (change.LeavesJoint()) return LeaveJoint();
  if (change.EntersJoint(&auto_leave)) return EnterJoint(auto_leave, change.changes);
  return Simple(change.changes);
}

absl::Status Changer::ApplyAll(Next* next, const std::vector<ConfChangeSingle>& changes) const {
  for (const ConfChangeSingle& change : changes) {
    if (change.node == kNone) continue;  // how a driver voids a change
    switch (change.type) {
      case ConfChangeType::kAddNode:
        MakeVoter(next, change.node);
        break;
      case ConfChangeType::kAddLearnerNode:
        MakeLearner(next, change.node);
        break;
      case ConfChangeType::kRemoveNode:
        Remove(next, change.node);
        break;
      case ConfChangeType::kUpdateNode:
        break;
    }
  }
  if (next->config.voters.incoming.empty()) return Unfit("removed all voters");
  return absl::OkStatus();
}

void Changer::MakeVoter(Next* next, NodeId id) const {
  auto pr = next->progress.find(id);
  if (pr == next->progress.end()) return AddProgress(next, id, /*learner=*/false);
  pr->second.is_learner = false;
  next->config.learners.erase(id);
  next->config.learners_next.erase(id);
  next->config.voters.incoming.insert(id);
}

void Changer::MakeLearner(Next* next, NodeId id) const {
  auto pr = next->progress.find(id);
  if (pr == next->progress.end()) return AddProgress(next, id, /*learner=*/true);
  if (pr->second.is_learner) return;
  next->config.voters.incoming.erase(id);
  next->config.learners_next.erase(id);
  if (next->config.voters.outgoing.contains(id)) {
    next->config.learners_next.insert(id);
  } else {
    pr->second.is_learner = true;
    next->config.learners.insert(id);
  }
}

void Changer::Remove(Next* next, NodeId id) const {
  if (!next->progress.count(id)) return;
  next->config.voters.incoming.erase(id);
  next->config.learners.erase(id);
  next->config.learners_next.erase(id);
  // An outgoing voter still counts, until the joint state is left.
  if (!next->config.voters.outgoing.contains(id)) next->progress.erase(id);
}

void Changer::AddProgress(Next* next, NodeId id, bool learner) const {
  if (learner) {
    next->config.learners.insert(id);
  } else {
    next->config.voters.incoming.insert(id);
  }
  tracker::Progress pr;
  // Sending starts at the last index: the follower rejects with a hint to where it is, or has it from a snapshot
  // already.
  pr.next = std::max<uint64_t>(last_index_, 1);
  pr.is_learner = learner;
  pr.inflights = tracker_.NewInflights();
  // It counts as heard of, or check quorum might fail before it had a chance.
  pr.recent_active = true;
  next->progress.emplace(id, std::move(pr));
}

absl::StatusOr<Next> Restore(tracker::Tracker empty, uint64_t last_index, const ConfState& state) {
  auto take = [&](absl::StatusOr<Next> next) -> absl::Status {
    if (!next.ok()) return next.status();
    empty.config = std::move(next->config);
    empty.progress = std::move(next->progress);
    return absl::OkStatus();
  };
  auto all = [](std::vector<ConfChangeSingle>* out, ConfChangeType type, const std::vector<NodeId>& ids) {
    for (NodeId id : ids) out->push_back({type, id});
  };
  std::vector<ConfChangeSingle> before, after;
  all(&before, ConfChangeType::kAddNode, state.voters_outgoing);
  all(&after, ConfChangeType::kRemoveNode, state.voters_outgoing);
  all(&after, ConfChangeType::kAddNode, state.voters);
  all(&after, ConfChangeType::kAddLearnerNode, state.learners);
  all(&after, ConfChangeType::kAddLearnerNode, state.learners_next);

  const bool joint = !before.empty();
  for (const ConfChangeSingle& change : joint ? before : after) {
    RETURN_IF_ERROR(take(Changer(empty, last_index).Simple({change})));
  }
  if (joint) RETURN_IF_ERROR(take(Changer(empty, last_index).EnterJoint(state.auto_leave, after)));
  return Next{std::move(empty.config), std::move(empty.progress)};
}

}  // namespace insula::raft::confchange
