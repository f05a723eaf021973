#include "kv/multiraft/conf_change.h"

#include <algorithm>

#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/range_state.h"
#include "kv/raft/confchange/changer.h"
#include "kv/raft/tracker/tracker.h"

namespace insula::kv {
namespace {

using raft::ConfChangeType;

void Sort(raft::ConfState* conf) {
  for (auto* ids : {&conf->voters, &conf->learners, &conf->voters_outgoing, &conf->learners_next}) std::sort(ids->begin(), ids->end());
}

// What differs, as changes of the incoming half.
std::vector<raft::ConfChangeSingle> Differences(const v1::RangeDescriptor& from, const v1::RangeDescriptor& to) {
  std::vector<raft::ConfChangeSingle> changes;
  for (const auto& r : to.replicas()) {
    const v1::ReplicaDescriptor* before = ReplicaOfId(from, r.replica_id());
    const bool votes = !r.learner() && !r.outgoing(), voted = before != nullptr && !before->learner();
    if (votes && !voted) changes.push_back({ConfChangeType::kAddNode, r.replica_id()});
    if (r.outgoing() && !r.learner()) changes.push_back({ConfChangeType::kRemoveNode, r.replica_id()});
    if (r.learner() && (before == nullptr || voted)) changes.push_back({ConfChangeType::kAddLearnerNode, r.replica_id()});
  }
  for (const auto& r : from.replicas()) {
    if (ReplicaOfId(to, r.replica_id()) == nullptr) changes.push_back({ConfChangeType::kRemoveNode, r.replica_id()});
  }
  return changes;
}

}  // namespace

bool IsJoint(const v1::RangeDescriptor& range) {
  return std::any_of(range.replicas().begin(), range.replicas().end(), [](const v1::ReplicaDescriptor& r) { return r.incoming() || r.outgoing(); });
}

bool IsSettled(const v1::RangeDescriptor& range) {
  return std::none_of(range.replicas().begin(), range.replicas().end(), [](const v1::ReplicaDescriptor& r) { return r.learner() || r.incoming() || r.outgoing(); });
}

absl::StatusOr<raft::ConfChangeV2> ConfChangeBetween(const v1::RangeDescriptor& from, const v1::RangeDescriptor& to) {
  raft::ConfChangeV2 change;
  if (IsJoint(from)) {
    if (IsJoint(to)) return absl::InvalidArgumentError("a joint configuration is to be left before the next is entered");
  } else {
    change.changes = Differences(from, to);
    if (change.changes.empty()) return absl::InvalidArgumentError("the change changes no replica");
    if (IsJoint(to)) change.transition = raft::ConfChangeTransition::kJointExplicit;
    if (!IsJoint(to) && change.changes.size() > 1) return absl::InvalidArgumentError("more than one replica changes outside of a joint configuration");
  }
  ASSIGN_OR_RETURN(auto now, raft::confchange::Restore(raft::tracker::Tracker(1, 0), 1, ConfStateOf(from)));
  raft::tracker::Tracker tracker(1, 0);
  tracker.config = std::move(now.config);
  tracker.progress = std::move(now.progress);
  auto next = raft::confchange::Changer(tracker, 1).Apply(change);
  if (!next.ok()) return absl::InvalidArgumentError(StrCat("the change does not fit: ", std::string(next.status().message())));
  raft::ConfState reached = next->config.ToConfState(), wanted = ConfStateOf(to);
  Sort(&reached);
  Sort(&wanted);
  if (reached != wanted) return absl::InvalidArgumentError("no single change leads to these replicas");
  return change;
}

}  // namespace insula::kv
