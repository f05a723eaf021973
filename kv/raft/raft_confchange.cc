// Configurations: which changes may be proposed, and what happens when one takes effect.
#include <algorithm>

#include "base/check.h"
#include "kv/raft/raft.h"

namespace insula::raft {

const char* Raft::ObjectionTo(const Entry& entry, bool* drop) const {
  ConfChangeV2 change;
  if (!DecodeConfChange(entry.data.view(), &change)) return "damaged";
  if (liveness_ && !LeaseAllowsConfChange()) {
    *drop = true;
    return "an earlier lease has not yet been reached in this configuration";  // F7
  }
  if (disable_conf_change_validation_) return nullptr;
  const bool leaves = change.changes.empty();
  const bool joint = tracker_.config.joint();
  if (pending_conf_index_ > log_.applied()) return "possible unapplied conf change";
  if (joint && !leaves) return "must transition out of joint config first";
  if (!joint && leaves) return "not in joint state; refusing empty conf change";
  if (leaves && !change.LeavesJoint()) return "empty conf change that asks to enter a joint config";
  if (!liveness_) return nullptr;
  auto next = confchange::Changer(tracker_, log_.LastIndex()).Apply(change);
  if (!next.ok()) return "it does not fit the configuration";
  if (!next->config.voters.contains(id_)) {
    *drop = true;
    return "the leader would have no vote; transfer leadership first";  // F7
  }
  return nullptr;
}

bool Raft::LeaseAllowsConfChange() const {
  const uint64_t promised = fortification_.promised();
  return promised == 0 || SupportUntil() >= promised || liveness_->Expired(promised);
}

void Raft::MaybeLeaveJoint() {
  if (state_ != StateType::kLeader || !tracker_.config.auto_leave || log_.applied() < pending_conf_index_) return;
  if (liveness_) {
    if (!LeaseAllowsConfChange()) return;  // tried again with each heartbeat
    if (!tracker_.config.voters.incoming.contains(id_)) {
      HandOverBeforeLeaving();
      return;
    }
  }
  Message m{.type = MessageType::kProp};
  m.entries.push_back({.type = EntryType::kConfChangeV2});
  if (absl::Status s = Step(std::move(m)); !s.ok()) {
    // Dropped, while leadership is being transferred. The next leader tries, or we do when the next entry is applied.
    LogLine(LogLevel::kDebug, "not initiating automatic transition out of joint configuration ",
            tracker_.config.ToString());
  } else {
    LogLine(LogLevel::kInfo, "initiating automatic transition out of joint configuration ", tracker_.config.ToString());
  }
}

void Raft::HandOverBeforeLeaving() {
  if (lead_transferee_ != kNone) return;
  NodeId best = kNone;
  uint64_t best_match = 0;
  for (NodeId id : tracker_.config.voters.incoming) {
    const tracker::Progress* pr = tracker_.Find(id);
    if (!pr->is_learner && pr->recent_active && pr->match > best_match) {
      best = id;
      best_match = pr->match;
    }
  }
  if (best != kNone) HandleTransferRequest(best, *tracker_.Find(best));
}

ConfState Raft::ApplyConfChange(const ConfChangeV2& change) {
  auto next = confchange::Changer(tracker_, log_.LastIndex()).Apply(change);
  CHECK(next.ok()) << "applying a configuration change to " << tracker_.config.ToString() << ": "
                   << next.status().ToString();
  return SwitchToConfig(std::move(*next));
}

ConfState Raft::SwitchToConfig(confchange::Next next) {
  tracker_.config = std::move(next.config);
  tracker_.progress = std::move(next.progress);
  LogLine(LogLevel::kInfo, id_, " switched to configuration ", tracker_.config.ToString());
  const ConfState state = tracker_.config.ToConfState();
  if (state_ != StateType::kLeader) return state;

  const tracker::Progress* self = tracker_.Find(id_);
  if (self == nullptr || self->is_learner) {
    // A leader without a vote. It may go on until others elect one, but they learn of its removal only through it, so
    // without the option it leads until it falls silent.
    if (step_down_on_removal_ || liveness_) BecomeFollower(term_, kNone);
    return state;
  }
  if (state.voters.empty()) return state;
  if (MaybeCommit()) {
    BroadcastAppend();  // a smaller quorum may have committed more
  } else {
    // New replicas need not wait for the next proposal.
    for (NodeId id : tracker_.Ids()) {
      if (id != id_) MaybeSendAppend(id, /*even_if_empty=*/false);
    }
  }
  if (lead_transferee_ != kNone && !tracker_.config.voters.contains(lead_transferee_)) AbortLeaderTransfer();
  if (liveness_) FortifyAll();
  return state;
}

}  // namespace insula::raft
