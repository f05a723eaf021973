#include "kv/raft/raft.h"

#include <algorithm>

#include "base/check.h"

namespace insula::raft {

namespace {

Log::Options LogOptions(const Config& c) {
  uint64_t applying = c.max_committed_size_per_ready ? c.max_committed_size_per_ready : c.max_size_per_msg;
  return {.max_applying_size = std::max<uint64_t>(applying, 1),
          .apply_unstable = !c.async_storage_writes,
          .hold_conf_changes = c.synced_conf_changes && c.async_storage_writes};
}

void Sort(ConfState* s) {
  for (auto* ids : {&s->voters, &s->learners, &s->voters_outgoing, &s->learners_next})
    std::sort(ids->begin(), ids->end());
}

void Validate(const Config& c) {
  CHECK(c.id != kNone && !IsLocalTarget(c.id)) << "replica id " << c.id;
  CHECK_GT(c.heartbeat_tick, 0);
  CHECK_GT(c.election_tick, c.heartbeat_tick);
  CHECK_GT(c.max_inflight_msgs, 0);
  CHECK(c.storage != nullptr);
  CHECK(c.random != nullptr);
  CHECK(c.read_only_option != ReadOnlyOption::kLeaseBased || c.check_quorum) << "lease based reads need check_quorum";
}

}  // namespace

std::string_view StateTypeName(StateType state) {
  switch (state) {
    case StateType::kFollower:
      return "StateFollower";
    case StateType::kCandidate:
      return "StateCandidate";
    case StateType::kLeader:
      return "StateLeader";
    case StateType::kPreCandidate:
      return "StatePreCandidate";
  }
  return "?";
}

Raft::Raft(const Config& c)
    : id_(c.id),
      election_timeout_(c.election_tick),
      heartbeat_timeout_(c.heartbeat_tick),
      max_size_per_msg_(c.max_size_per_msg),
      max_uncommitted_size_(c.max_uncommitted_size ? c.max_uncommitted_size : kNoLimit),
      check_quorum_(c.check_quorum),
      pre_vote_(c.pre_vote),
      disable_proposal_forwarding_(c.disable_proposal_forwarding),
      disable_conf_change_validation_(c.disable_conf_change_validation),
      step_down_on_removal_(c.step_down_on_removal),
      synced_conf_changes_(c.synced_conf_changes),
      read_only_option_(c.read_only_option),
      random_(c.random),
      sink_(c.log),
      liveness_(c.liveness),
      log_(c.storage, c.log, LogOptions(c)),
      tracker_(c.max_inflight_msgs, c.max_inflight_bytes) {
  Validate(c);
  auto initial = c.storage->ReadInitialState();
  CHECK_OK(initial.status());
  auto next = confchange::Restore(tracker_, log_.LastIndex(), initial->conf_state);
  CHECK_OK(next.status());
  ConfState asked = initial->conf_state, restored = SwitchToConfig(std::move(*next));
  Sort(&asked);
  CHECK(asked == restored) << "the configuration does not restore to itself";
  if (!initial->hard_state.empty()) LoadHardState(initial->hard_state);
  // A leader elected in a term that the log has already would be taken for the leader of those entries.
  if (synced_conf_changes_) CHECK_GE(term_, log_.LastId().term) << "the hard state is older than the log";
  log_.LoadApplied(c.applied);
  start_commit_ = log_.committed();
  BecomeFollower(term_, kNone);
  if (bond_.lead != id_ && Bound()) {
    lead_ = bond_.lead;
    greets_leader_ = true;
  }
  LogLine(LogLevel::kInfo, "newRaft ", id_, " [peers: ", tracker_.config.voters.ToString(), ", term: ", term_,
          ", commit: ", log_.committed(), ", applied: ", log_.applied(), ", lastindex: ", log_.LastIndex(),
          ", lastterm: ", log_.LastId().term, "]");
}

void Raft::LoadHardState(const HardState& state) {
  log_.LoadCommit(state.commit);
  term_ = state.term;
  vote_ = state.vote;
  if (liveness_) bond_ = {state.lead, state.lead_epoch};
}

HardState Raft::hard_state() const {
  return {.term = term_, .vote = vote_, .commit = log_.committed(), .lead = bond_.lead, .lead_epoch = bond_.epoch};
}

void Raft::Send(Message m) {
  if (m.from == kNone) m.from = id_;
  switch (m.type) {
    case MessageType::kVote:
    case MessageType::kVoteResp:
    case MessageType::kPreVote:
    case MessageType::kPreVoteResp:
      // Their term is not always ours: a pre-vote is for the next term, and its answer repeats the request's.
    case MessageType::kDeFortify:
    case MessageType::kDeFortifyResp:
      CHECK_NE(m.term, 0u) << MessageTypeName(m.type) << " needs its term";
      break;
    case MessageType::kProp:
    case MessageType::kReadIndex:
      break;  // forwarded; they count as local wherever they arrive
    default:
      m.term = term_;
  }
  if (liveness_) {
    m.hlc = std::max({m.hlc, observed_hlc_, liveness_->Hlc()});
    // A leader sleeps only when everyone knows what is committed.
    const bool tells = m.type == MessageType::kAppResp || m.type == MessageType::kHeartbeatResp || m.type == MessageType::kFortifyResp;
    if (tells) m.commit = log_.committed();
  }
  switch (m.type) {
    case MessageType::kAppResp:
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
    case MessageType::kFortifyResp:
    case MessageType::kDeFortifyResp:
      msgs_after_append_.push_back(std::move(m));  // R5
      break;
    default:
      CHECK_NE(m.to, id_) << MessageTypeName(m.type) << " to itself";
      msgs_.push_back(std::move(m));
  }
}

void Raft::Reset(uint64_t term) {
  if (term_ != term) {
    term_ = term;
    vote_ = kNone;
    bond_ = {};
  }
  lead_ = kNone;
  election_elapsed_ = 0;
  heartbeat_elapsed_ = 0;
  ResetRandomizedElectionTimeout();
  AbortLeaderTransfer();
  tracker_.ResetVotes();
  for (auto& [id, pr] : tracker_.progress) {
    const bool learner = pr.is_learner;
    pr = tracker::Progress();
    pr.is_learner = learner;
    pr.inflights = tracker_.NewInflights();
    pr.next = log_.LastIndex() + 1;
    if (id == id_) pr.match = log_.LastIndex();
  }
  pending_conf_index_ = 0;
  uncommitted_size_ = 0;
  read_only_.Clear();
  fortification_.Reset();
}

void Raft::ResetRandomizedElectionTimeout() {
  randomized_election_timeout_ =
      election_timeout_ + static_cast<int>(random_(static_cast<uint64_t>(election_timeout_)));
}

void Raft::Tick() {
  if (release_) TickRelease();
  if (state_ == StateType::kLeader) {
    TickHeartbeat();
  } else {
    TickElection();
  }
}

void Raft::TickElection() {
  if (liveness_ && Bound()) {
    election_elapsed_ = 0;  // the stores watch the leader
    if (greets_leader_ && ++heartbeat_elapsed_ >= heartbeat_timeout_) {
      heartbeat_elapsed_ = 0;
      TellLeaderOfBond();
    }
    return;
  }
  ++election_elapsed_;
  if (Promotable() && election_elapsed_ >= randomized_election_timeout_) {
    election_elapsed_ = 0;
    (void)Step({.type = MessageType::kHup, .from = id_});  // a refusal is logged; the next timeout tries again
  }
}

void Raft::TickHeartbeat() {
  ++heartbeat_elapsed_;
  ++election_elapsed_;
  if (election_elapsed_ >= election_timeout_) {
    election_elapsed_ = 0;
    if (check_quorum_) HandleCheckQuorum();
    // A transfer that takes longer than an election has failed.
    if (state_ == StateType::kLeader) AbortLeaderTransfer();
  }
  if (state_ != StateType::kLeader) return;
  if (heartbeat_elapsed_ >= heartbeat_timeout_) {
    heartbeat_elapsed_ = 0;
    BroadcastHeartbeat(read_only_.LastContext());
    if (liveness_) {
      FortifyAll();
      MaybeLeaveJoint();
    }
  }
}

void Raft::BecomeFollower(uint64_t term, NodeId lead) {
  if (state_ == StateType::kLeader && liveness_) StartRelease();
  Reset(term);
  lead_ = lead;
  state_ = StateType::kFollower;
  LogLine(LogLevel::kInfo, id_, " became follower at term ", term_);
}

void Raft::BecomePreCandidate() {
  CHECK(state_ != StateType::kLeader);
  // Neither the term nor the vote change: others must not be disturbed by an election that cannot be won.
  state_ = StateType::kPreCandidate;
  tracker_.ResetVotes();
  lead_ = kNone;
  LogLine(LogLevel::kInfo, id_, " became pre-candidate at term ", term_);
}

void Raft::BecomeCandidate() {
  CHECK(state_ != StateType::kLeader);
  Reset(term_ + 1);
  vote_ = id_;
  state_ = StateType::kCandidate;
  LogLine(LogLevel::kInfo, id_, " became candidate at term ", term_);
}

void Raft::BecomeLeader() {
  CHECK(state_ == StateType::kCandidate);
  Reset(term_);
  lead_ = id_;
  state_ = StateType::kLeader;
  tracker::Progress* self = tracker_.Find(id_);
  CHECK(self != nullptr) << "a leader outside of its configuration";
  self->BecomeReplicate();
  self->recent_active = true;
  // There may be configuration changes in the tail of the log. Until it is applied, propose no other.
  pending_conf_index_ = log_.LastIndex();
  if (liveness_) lease_floor_ = std::max({lease_floor_, observed_hlc_, liveness_->Hlc()});
  std::vector<Entry> first(1);
  CHECK(AppendEntries(first)) << "an empty entry is never refused";
  LogLine(LogLevel::kInfo, id_, " became leader at term ", term_);
}

}  // namespace insula::raft
