// Bonds between replicas and their leader: see fortify.h, whose rules F1 to F8 are named here.
#include <algorithm>

#include "base/check.h"
#include "kv/raft/raft.h"

namespace insula::raft {

bool Raft::Bound() const {
  if (liveness_ == nullptr || bond_.epoch == 0) return false;
  const StoreLivenessView::Given given = liveness_->SupportFor(bond_.lead);
  return given.supported && given.epoch == bond_.epoch;
}

void Raft::ObserveHlc(uint64_t hlc) {
  observed_hlc_ = std::max(observed_hlc_, hlc);
  liveness_->ObserveHlc(hlc);
}

// ---- Leader ----

bool Raft::LeaderSupported() const { return !liveness_->Expired(SupportUntil()); }

uint64_t Raft::LeadSupportUntil() {
  if (liveness_ == nullptr || state_ != StateType::kLeader || !CommittedInCurrentTerm()) return 0;
  const uint64_t until = SupportUntil();
  fortification_.Promise(until);
  return until;
}

void Raft::FortifyAll() {
  for (NodeId id : tracker_.Ids()) Fortify(id);
}

void Raft::Fortify(NodeId id) {
  const StoreLivenessView::Received support = liveness_->SupportFrom(id);
  if (support.epoch == 0 || liveness_->Expired(support.expiration)) return;  // OnSupportChange comes when that changes
  if (fortification_.BoundEpoch(id) == support.epoch) return;
  if (id != id_) {
    fortification_.Asked(id);
    Send({.type = MessageType::kFortify, .to = id});
    return;
  }
  const StoreLivenessView::Given given = liveness_->SupportFor(id_);
  if (!given.supported) return;
  bond_ = {id_, given.epoch};
  Send({.type = MessageType::kFortifyResp, .to = id_, .lead_epoch = given.epoch});
}

void Raft::HandleFortifyResp(const Message& m) {
  if (liveness_ == nullptr || m.term > term_ || m.reject) return;
  if (m.term == term_ && state_ == StateType::kLeader) {
    const bool again = fortification_.BoundEpoch(m.from) == m.lead_epoch;
    fortification_.Bound(m.from, m.lead_epoch);
    MaybeLeaveJoint();
    tracker::Progress* pr = tracker_.Find(m.from);
    if (again && m.from != id_ && pr != nullptr) {
      pr->acked_commit = m.commit;
      SendHeartbeat(m.from, {});
    }
    return;
  }
  // F4: bound to a leadership that is over.
  if (m.from != id_) Send({.type = MessageType::kDeFortify, .to = m.from, .term = m.term});
}

bool Raft::LeaderNeedsTicks() const {
  if (lead_transferee_ != kNone || !read_only_.empty() || !pending_reads_.empty() || tracker_.config.joint() ||
      log_.committed() < log_.LastIndex() || !LeaderSupported()) {
    return true;
  }
  for (const auto& [id, pr] : tracker_.progress) {
    const StoreLivenessView::Received support = liveness_->SupportFrom(id);
    const bool alive = support.epoch != 0 && !liveness_->Expired(support.expiration);
    if (!alive) continue;  // waits for it to come back, which is an event
    if (fortification_.BoundEpoch(id) != support.epoch) return true;
    const bool caught_up = pr.match == log_.LastIndex() && pr.state == tracker::ProgressState::kReplicate &&
                           pr.acked_commit >= log_.committed();
    if (id != id_ && !caught_up) return true;
  }
  return false;
}

// ---- Former leader ----

void Raft::StartRelease() {
  CHECK(state_ == StateType::kLeader);
  bond_ = {};
  released_term_ = term_;
  NodeSet owed = fortification_.asked();
  // A release of a higher term frees those of lower terms too.
  if (release_) {
    for (NodeId id : release_->pending) owed.insert(id);
  }
  if (owed.empty()) return;
  release_ = Release{.term = term_, .hlc = std::max(observed_hlc_, liveness_->Hlc()), .pending = std::move(owed)};
  release_elapsed_ = 0;
  SendReleases();
}

void Raft::SendReleases() {
  for (NodeId id : release_->pending) {
    Send({.type = MessageType::kDeFortify, .to = id, .term = release_->term, .hlc = release_->hlc});
  }
}

void Raft::TickRelease() {
  if (++release_elapsed_ < heartbeat_timeout_) return;
  release_elapsed_ = 0;
  const NodeSet pending = release_->pending;
  for (NodeId id : pending) {
    // Support that has lapsed here has lapsed there, or is about to (else F4's other half helps); who left the
    // configuration has no vote to withhold.
    const StoreLivenessView::Received support = liveness_->SupportFrom(id);
    const bool lapsed = support.epoch == 0 || liveness_->Expired(support.expiration);
    if (lapsed || tracker_.Find(id) == nullptr) release_->pending.erase(id);
  }
  if (release_->pending.empty()) {
    release_.reset();
  } else {
    SendReleases();
  }
}

void Raft::HandleDeFortifyResp(const Message& m) {
  if (!release_ || m.term != release_->term) return;
  release_->pending.erase(m.from);
  if (release_->pending.empty()) release_.reset();
}

// ---- Follower ----

void Raft::HandleFortify(const Message& m) {
  if (liveness_ == nullptr || released_term_ >= term_) return;  // a late message of a leadership that is over
  const StoreLivenessView::Given given = liveness_->SupportFor(m.from);
  if (!given.supported || given.epoch == 0) {
    Send({.type = MessageType::kFortifyResp, .to = m.from, .reject = true});
    return;
  }
  bond_ = {m.from, given.epoch};
  LogLine(LogLevel::kDebug, id_, " bound to ", m.from, " in epoch ", given.epoch, " at term ", term_);
  Send({.type = MessageType::kFortifyResp, .to = m.from, .lead_epoch = given.epoch});
}

void Raft::HandleDeFortify(const Message& m) {
  if (liveness_ == nullptr || m.from == id_) return;
  if (m.term > term_) BecomeFollower(m.term, kNone);  // it was elected in that term, by a quorum
  if (m.term == term_) {
    CHECK(state_ != StateType::kLeader) << "another leader of our own term";
    AcceptRelease(m.hlc);
  }
  Send({.type = MessageType::kDeFortifyResp, .to = m.from, .term = m.term});
}

void Raft::AcceptRelease(uint64_t hlc) {
  bond_ = {};
  lead_ = kNone;
  released_term_ = term_;
  ObserveHlc(hlc);
}

void Raft::TellLeaderOfBond() {
  if (bond_.lead != id_) Send({.type = MessageType::kFortifyResp, .to = bond_.lead, .lead_epoch = bond_.epoch});
}

// ---- All ----

void Raft::OnSupportChange() {
  if (liveness_ == nullptr) return;
  if (state_ == StateType::kLeader) {
    FortifyAll();
    MaybeLeaveJoint();
  } else if (bond_.epoch != 0 && !Bound()) {
    LogLine(LogLevel::kInfo, id_, " no longer bound to ", bond_.lead, " at term ", term_);
    bond_ = {};
    lead_ = kNone;
  }
}

bool Raft::NeedsTicks() const {
  if (liveness_ == nullptr || release_) return true;
  switch (state_) {
    case StateType::kLeader:
      return LeaderNeedsTicks();
    case StateType::kFollower:
      if (Bound()) return greets_leader_;
      // To campaign; or, without a vote, to stop refusing votes for a leader's sake.
      return Promotable() || (lead_ != kNone && election_elapsed_ < election_timeout_);
    case StateType::kCandidate:
    case StateType::kPreCandidate:
      return true;
  }
  return true;
}

}  // namespace insula::raft
