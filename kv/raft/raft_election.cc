// Campaigns and votes.
#include <algorithm>

#include "base/check.h"
#include "kv/raft/raft.h"

namespace insula::raft {

bool Raft::Promotable() const {
  const tracker::Progress* self = tracker_.Find(id_);
  return self != nullptr && !self->is_learner && !log_.HasPendingSnapshot();
}

bool Raft::MayCampaign() const {
  return state_ != StateType::kLeader && Promotable() && !log_.HasUnappliedConfChange() && CaughtUpSinceStart() &&
         !Bound();
}

void Raft::Hup(Campaign kind) {
  if (state_ == StateType::kLeader) {
    LogLine(LogLevel::kDebug, id_, " ignoring MsgHup because already leader");
    return;
  }
  if (!Promotable()) {
    LogLine(LogLevel::kWarn, id_, " is unpromotable and can not campaign");
    return;
  }
  // With the configuration of before, its quorum might not meet the one of after.
  if (log_.HasUnappliedConfChange()) {
    LogLine(LogLevel::kWarn, id_, " cannot campaign at term ", term_,
            " since there are still pending configuration changes to apply");
    return;
  }
  if (!CaughtUpSinceStart()) {
    LogLine(LogLevel::kInfo, id_, " cannot campaign before it has applied ", start_commit_);
    return;
  }
  // Whoever is asked for (a lease) at the very moment would take the leadership from the one that it has just helped to it: the former leader
  // after a transfer, above all. Once it has an entry of this term, that one was heard of.
  const bool awaits = vote_ != kNone && vote_ != id_ && lead_ == kNone && log_.LastId().term < term_;
  if (liveness_ && kind != Campaign::kTransfer && awaits && election_elapsed_ < heartbeat_timeout_) {
    LogLine(LogLevel::kInfo, id_, " has just voted for ", vote_, " at term ", term_, " and waits for it");
    return;
  }
  if (Bound()) {
    LogLine(LogLevel::kInfo, id_, " cannot campaign while bound to ", bond_.lead);
    TellLeaderOfBond();
    return;
  }
  LogLine(LogLevel::kInfo, id_, " is starting a new election at term ", term_);
  RunCampaign(kind);
}

void Raft::RunCampaign(Campaign kind) {
  Message request{.type = MessageType::kVote};
  if (kind == Campaign::kPreElection) {
    BecomePreCandidate();
    request.type = MessageType::kPreVote;
    request.term = term_ + 1;  // as if
  } else {
    BecomeCandidate();
    request.term = term_;
  }
  const EntryId last = log_.LastId();
  request.index = last.index;
  request.log_term = last.term;
  if (kind == Campaign::kTransfer) request.context = kTransferContext;
  for (NodeId voter : tracker_.config.voters.All()) {
    if (voter == id_) {
      // Our own vote counts when it is durable, like all others.
      const auto response = kind == Campaign::kPreElection ? MessageType::kPreVoteResp : MessageType::kVoteResp;
      Send({.type = response, .to = id_, .term = request.term});
      continue;
    }
    LogLine(LogLevel::kInfo, id_, " [logterm: ", last.term, ", index: ", last.index, "] sent ",
            MessageTypeName(request.type), " request to ", voter, " at term ", term_);
    Message m = request;
    m.to = voter;
    Send(std::move(m));
  }
}

tracker::Tally Raft::Poll(NodeId id, MessageType type, bool granted) {
  LogLine(LogLevel::kInfo, id_, " received ", MessageTypeName(type), granted ? "" : " rejection", " from ", id,
          " at term ", term_);
  tracker_.RecordVote(id, granted);
  return tracker_.TallyVotes();
}

bool Raft::IgnoresVote(const Message& m) {
  const bool transfer = m.context == kTransferContext;
  if (liveness_ && state_ == StateType::kLeader) {
    if (LeaderSupported()) return true;  // F3
    if (fortification_.any_bound()) return false;
  } else if (bond_.epoch != 0) {
    // F5: the leader of our term gave the transferee our release.
    if (transfer && m.type == MessageType::kVote && m.term == term_ + 1) {
      AcceptRelease(m.hlc);
      return false;
    }
    if (!Bound()) return false;
    LogLine(LogLevel::kInfo, id_, " ignored ", MessageTypeName(m.type), " from ", m.from, " while bound to ",
            bond_.lead);
    TellLeaderOfBond();
    return true;
  }
  if (transfer) return false;
  const bool in_lease = check_quorum_ && lead_ != kNone && election_elapsed_ < election_timeout_;
  if (in_lease) {
    LogLine(LogLevel::kInfo, id_, " ignored ", MessageTypeName(m.type), " from ", m.from, " at term ", term_,
            ": lease is not expired (remaining ticks: ", election_timeout_ - election_elapsed_, ")");
  }
  return in_lease;
}

void Raft::HandleVoteRequest(const Message& m) {
  const auto response = m.type == MessageType::kVote ? MessageType::kVoteResp : MessageType::kPreVoteResp;
  if (!CaughtUpSinceStart()) return;  // S2: no answer yet; the candidate asks again
  // We may vote if we have not voted in this term and know no leader in it, repeat a vote, or pre-vote for a term to
  // come.
  const bool can_vote =
      vote_ == m.from || (vote_ == kNone && lead_ == kNone) || (m.type == MessageType::kPreVote && m.term > term_);
  // A learner votes too: it may be a voter of a configuration that it does not know yet, without which there is no
  // quorum.
  const bool grant = can_vote && log_.IsUpToDate({.term = m.log_term, .index = m.index});
  const EntryId last = log_.LastId();
  LogLine(LogLevel::kInfo, id_, " [logterm: ", last.term, ", index: ", last.index, ", vote: ", vote_, "] ",
          grant ? "cast " : "rejected ", MessageTypeName(m.type), grant ? " for " : " from ", m.from,
          " [logterm: ", m.log_term, ", index: ", m.index, "] at term ", term_);
  Message answer{.type = response, .to = m.from, .term = term_, .reject = !grant};
  // With the term of the request: a pre-candidate ignores answers of lower terms than it asked for.
  if (grant) answer.term = m.term;
  if (synced_conf_changes_ && log_.committed() > 0) {
    answer.index = log_.committed();
    answer.log_term = log_.Term(answer.index).value_or(0);
  }
  Send(std::move(answer));
  if (!grant) return;
  if (m.type == MessageType::kVote) {
    election_elapsed_ = 0;
    vote_ = m.from;
  }
}

// S3: a voter that was removed may have to be asked for its vote by those who do not know that its removal is
// committed; it may have a longer log than they, and no right to campaign. Its answer tells them.
bool Raft::LearnCommitFromVote(const Message& m) {
  if (m.index <= log_.committed() || !log_.MaybeCommit({.term = m.log_term, .index = m.index})) return false;
  LogLine(LogLevel::kInfo, id_, " learned from a vote of ", m.from, " that ", m.index, " is committed");
  if (!log_.HasUnappliedConfChange()) return false;
  BecomeFollower(term_, kNone);  // this campaign asks the wrong voters
  return true;
}

void Raft::HandleVoteResponse(const Message& m) {
  if (synced_conf_changes_ && LearnCommitFromVote(m)) return;
  const auto expected = state_ == StateType::kPreCandidate ? MessageType::kPreVoteResp : MessageType::kVoteResp;
  if (m.type != expected) return;
  if (m.type == MessageType::kVoteResp && !m.reject) lease_floor_ = std::max(lease_floor_, m.hlc);
  const tracker::Tally tally = Poll(m.from, m.type, !m.reject);
  LogLine(LogLevel::kInfo, id_, " has received ", tally.granted, " ", MessageTypeName(m.type), " votes and ",
          tally.rejected, " vote rejections");
  if (tally.result == quorum::VoteResult::kLost) {
    // At our term: a pre-vote's answer bears one that is not.
    BecomeFollower(term_, kNone);
  } else if (tally.result == quorum::VoteResult::kWon) {
    if (state_ == StateType::kPreCandidate) {
      RunCampaign(Campaign::kElection);
    } else {
      BecomeLeader();
      BroadcastAppend();
      if (liveness_) FortifyAll();
    }
  }
}

}  // namespace insula::raft
