// The consensus algorithm: one replica's state and its reactions to messages and ticks. Drivers use RawNode
// (raw_node.h).
//
//                     timeout, campaign              majority of pre-votes
//   follower --------------------------> pre-candidate ------------> candidate --majority of votes--> leader
//      ^  ^  (pre_vote; else straight to candidate)                     |                               |
//      |  +------------------ higher term, or a leader's message -------+                               |
//      +------------------ higher term, quorum lost, removed, handed over ------------------------------+
//
// Invariants (raft_cluster_test.cc checks the first three over whole clusters):
//   R1  At most one leader per term.
//   R2  If two logs hold an entry with the same index and term, they are the same up to it.
//   R3  An entry committed once is in every later leader's log; all replicas apply the same entries.
//   R4  The term never falls; at most one vote per term, durable before it is sent.
//   R5  Responses that promise something about durable state (kAppResp, votes, kFortifyResp, kDeFortifyResp) go to
//       msgs_after_append_, and leave only when that state is durable; all else may leave at once.
//
// The source files: raft.cc state, ticks, role changes; raft_step.cc dispatch, followers and candidates;
// raft_step_leader.cc; raft_election.cc campaigns and votes; raft_append.cc replication, commit, snapshots;
// raft_confchange.cc configurations; raft_read.cc linearizable reads; raft_fortify.cc leases (fortify.h).
//
// Thread safety: none.
#ifndef INSULA_KV_RAFT_RAFT_H_
#define INSULA_KV_RAFT_RAFT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/strings.h"
#include "kv/raft/confchange/changer.h"
#include "kv/raft/config.h"
#include "kv/raft/fortify.h"
#include "kv/raft/log.h"
#include "kv/raft/message.h"
#include "kv/raft/raw_node.h"
#include "kv/raft/read_only.h"
#include "kv/raft/tracker/tracker.h"

namespace insula::raft {

class Raft {
 public:
  explicit Raft(const Config& config);

  // -- Input --
  void Tick();
  absl::Status Step(Message m);
  ConfState ApplyConfChange(const ConfChangeV2& change);
  void OnSupportChange();
  uint64_t LeadSupportUntil();

  // -- State --
  NodeId id() const { return id_; }
  uint64_t term() const { return term_; }
  NodeId lead() const { return lead_; }
  StateType state() const { return state_; }
  NodeId lead_transferee() const { return lead_transferee_; }
  HardState hard_state() const;
  SoftState soft_state() const { return {lead_, state_}; }
  const Log& log() const { return log_; }
  Log& log() { return log_; }
  const tracker::Tracker& tracker() const { return tracker_; }
  // May be elected: a voter with no snapshot to install.
  bool Promotable() const;
  bool MayCampaign() const;
  bool NeedsTicks() const;
  bool greets_leader() const { return greets_leader_; }
  // Bound to a leader (fortify.h F1).
  bool Bound() const;
  uint64_t lease_floor() const { return lease_floor_; }
  bool synced_conf_changes() const { return synced_conf_changes_; }

  // For scenario tests: the next election starts after `ticks`.
  void SetRandomizedElectionTimeout(int ticks) { randomized_election_timeout_ = ticks; }

 private:
  friend class RawNode;

  enum class Campaign : uint8_t { kPreElection, kElection, kTransfer };

  // raft.cc
  void Send(Message m);
  void Reset(uint64_t term);
  void ResetRandomizedElectionTimeout();
  void TickElection();
  void TickHeartbeat();
  void BecomeFollower(uint64_t term, NodeId lead);
  void BecomePreCandidate();
  void BecomeCandidate();
  void BecomeLeader();
  void LoadHardState(const HardState& state);
  void AbortLeaderTransfer() { lead_transferee_ = kNone; }
  template <typename... Args>
  void LogLine(LogLevel level, const Args&... args) const {
    if (sink_ && sink_->Wants(level)) sink_->Line(level, StrCat(args...));
  }

  // raft_step.cc
  // What to do with the rest of Step after looking at the term.
  enum class TermCheck : uint8_t { kGoOn, kDone };
  TermCheck CheckHigherTerm(const Message& m);
  void HandleLowerTerm(Message& m);
  absl::Status StepFollower(Message& m);
  absl::Status StepCandidate(Message& m);
  absl::Status ForwardToLeader(Message& m);
  void HandleLeaderMessage(Message& m);
  void HandleStorageAppendResp(const Message& m);
  void HandleStorageApplyResp(const Message& m);

  // raft_step_leader.cc
  absl::Status StepLeader(Message& m);
  absl::Status HandleProposal(Message& m);
  void HandleCheckQuorum();
  void HandleAppendResponse(const Message& m, tracker::Progress* pr);
  void HandleRejectedAppend(const Message& m, tracker::Progress* pr);
  void HandleHeartbeatResponse(const Message& m, tracker::Progress* pr);
  void HandleSnapshotStatus(const Message& m, tracker::Progress* pr);
  void HandleTransferRequest(NodeId transferee, const tracker::Progress& pr);
  bool MaybeFinishTransfer(NodeId id, const tracker::Progress& pr);
  void SendTimeoutNow(NodeId to);

  // raft_election.cc
  void Hup(Campaign kind);
  void RunCampaign(Campaign kind);
  tracker::Tally Poll(NodeId id, MessageType type, bool granted);
  void HandleVoteRequest(const Message& m);
  void HandleVoteResponse(const Message& m);
  bool LearnCommitFromVote(const Message& m);
  // Refuses to be disturbed by a vote request of a higher term: a leader is known to be alive.
  bool IgnoresVote(const Message& m);
  bool CaughtUpSinceStart() const { return !synced_conf_changes_ || log_.applied() >= start_commit_; }

  // raft_append.cc
  void SendAppend(NodeId to) { MaybeSendAppend(to, /*even_if_empty=*/true); }
  bool MaybeSendAppend(NodeId to, bool even_if_empty);
  bool MaybeSendSnapshot(NodeId to, tracker::Progress* pr);
  void SendHeartbeat(NodeId to, const std::string& context);
  void BroadcastAppend();
  void BroadcastHeartbeat(const std::string& context);
  bool AppendEntries(std::vector<Entry>& entries);
  bool MaybeCommit();
  void AppliedTo(uint64_t index, uint64_t size);
  void AppliedSnapshot(const Snapshot& snapshot);
  void HandleAppend(Message& m);
  void HandleHeartbeat(const Message& m);
  void HandleSnapshot(const Message& m);
  bool Restore(const SnapshotPtr& snapshot);
  bool ReserveUncommitted(const std::vector<Entry>& entries);
  void ReleaseUncommitted(const std::vector<Entry>& entries);
  bool CommittedInCurrentTerm() const;

  // raft_confchange.cc
  // Why `entry` must not be proposed now; null if it may. Other reasons to drop it set *drop.
  const char* ObjectionTo(const Entry& entry, bool* drop) const;
  ConfState SwitchToConfig(confchange::Next next);
  void MaybeLeaveJoint();
  bool LeaseAllowsConfChange() const;
  void HandOverBeforeLeaving();

  // raft_read.cc
  void HandleReadIndex(Message& m);
  void AnswerReadIndex(Message m);
  void ReleasePendingReads();
  void ConfirmRead(const Message& request, uint64_t index);

  // raft_fortify.cc
  bool FromLeaderOfTerm(MessageType type) const;
  bool LeaderSupported() const;
  uint64_t SupportUntil() const { return fortification_.SupportUntil(tracker_.config.voters, *liveness_); }
  void ObserveHlc(uint64_t hlc);
  void FortifyAll();
  void Fortify(NodeId id);
  void HandleFortify(const Message& m);
  void HandleFortifyResp(const Message& m);
  void HandleDeFortify(const Message& m);
  void HandleDeFortifyResp(const Message& m);
  void TellLeaderOfBond();
  // The leader of the present term has let go of this replica.
  void AcceptRelease(uint64_t hlc);
  void StartRelease();
  void SendReleases();
  void TickRelease();
  bool LeaderNeedsTicks() const;

  const NodeId id_;
  const int election_timeout_;
  const int heartbeat_timeout_;
  const uint64_t max_size_per_msg_;
  const uint64_t max_uncommitted_size_;
  const bool check_quorum_;
  const bool pre_vote_;
  const bool disable_proposal_forwarding_;
  const bool disable_conf_change_validation_;
  const bool step_down_on_removal_;
  const bool synced_conf_changes_;
  const ReadOnlyOption read_only_option_;
  const std::function<uint64_t(uint64_t)> random_;
  LogSink* const sink_;
  StoreLivenessView* const liveness_;

  // Durable, in the hard state.
  uint64_t term_ = 0;
  NodeId vote_ = kNone;
  struct Bond {
    NodeId lead = kNone;
    uint64_t epoch = 0;
  } bond_;  // of term_
  bool greets_leader_ = false;  // bound since before the start: the leader is told, until it answers

  StateType state_ = StateType::kFollower;
  NodeId lead_ = kNone;
  Log log_;
  tracker::Tracker tracker_;
  std::vector<Message> msgs_;
  std::vector<Message> msgs_after_append_;
  std::vector<ReadState> read_states_;

  int election_elapsed_ = 0;
  int heartbeat_elapsed_ = 0;
  int randomized_election_timeout_ = 0;
  uint64_t start_commit_ = 0;

  // Leader.
  NodeId lead_transferee_ = kNone;
  // A configuration change may be proposed only when this index is applied.
  uint64_t pending_conf_index_ = 0;
  uint64_t uncommitted_size_ = 0;
  ReadOnly read_only_;
  std::vector<Message> pending_reads_;  // until an entry of the own term is committed
  Fortification fortification_;

  // Former leader, follower.
  std::optional<Release> release_;
  int release_elapsed_ = 0;
  uint64_t released_term_ = 0;   // its leader has let go: no bond in this term any more
  uint64_t called_in_term_ = 0;  // the leader of this term asked us to take over, before we could campaign
  uint64_t lease_floor_ = 0;
  uint64_t observed_hlc_ = 0;
};

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_RAFT_H_
