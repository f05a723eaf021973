// Messages in: what their term means, and what followers and candidates do with them.
#include "base/check.h"
#include "kv/raft/raft.h"

namespace insula::raft {

absl::Status Raft::Step(Message m) {
  if (liveness_ && m.hlc != 0 && m.from != id_) ObserveHlc(m.hlc);
  switch (m.type) {
    // These carry the term of a leadership, which may be over: the rules below are not for them.
    case MessageType::kFortifyResp:
      HandleFortifyResp(m);
      return absl::OkStatus();
    case MessageType::kDeFortify:
      HandleDeFortify(m);
      return absl::OkStatus();
    case MessageType::kDeFortifyResp:
      HandleDeFortifyResp(m);
      return absl::OkStatus();
    // A commit index on disk stays there, whatever the term is by now.
    case MessageType::kStorageAppendResp:
      log_.CommitSyncedTo(m.commit);
      break;
    default:
      break;
  }
  if (m.term > term_) {
    if (CheckHigherTerm(m) == TermCheck::kDone) return absl::OkStatus();
  } else if (m.term != 0 && m.term < term_) {
    HandleLowerTerm(m);
    return absl::OkStatus();
  }
  switch (m.type) {
    case MessageType::kHup:
      Hup(pre_vote_ ? Campaign::kPreElection : Campaign::kElection);
      return absl::OkStatus();
    case MessageType::kStorageAppendResp:
      HandleStorageAppendResp(m);
      return absl::OkStatus();
    case MessageType::kStorageApplyResp:
      HandleStorageApplyResp(m);
      return absl::OkStatus();
    case MessageType::kVote:
    case MessageType::kPreVote:
      HandleVoteRequest(m);
      return absl::OkStatus();
    default:
      break;
  }
  switch (state_) {
    case StateType::kLeader:
      return StepLeader(m);
    case StateType::kFollower:
      return StepFollower(m);
    case StateType::kCandidate:
    case StateType::kPreCandidate:
      return StepCandidate(m);
  }
  return absl::OkStatus();
}

bool Raft::FromLeaderOfTerm(MessageType type) const {
  return type == MessageType::kApp || type == MessageType::kHeartbeat || type == MessageType::kSnap ||
         type == MessageType::kFortify || type == MessageType::kTimeoutNow;
}

Raft::TermCheck Raft::CheckHigherTerm(const Message& m) {
  const bool vote = m.type == MessageType::kVote || m.type == MessageType::kPreVote;
  if (vote) {
    if (IgnoresVote(m)) return TermCheck::kDone;
  } else if (state_ != StateType::kLeader && !FromLeaderOfTerm(m.type) && Bound()) {
    return TermCheck::kDone;  // F1
  }
  // A pre-vote is for a term that may never be; and a granted one answers our own.
  if (m.type == MessageType::kPreVote) return TermCheck::kGoOn;
  if (m.type == MessageType::kPreVoteResp && !m.reject) return TermCheck::kGoOn;
  LogLine(LogLevel::kInfo, id_, " [term: ", term_, "] received a ", MessageTypeName(m.type),
          " message with higher term from ", m.from, " [term: ", m.term, "]");
  const bool leads = FromLeaderOfTerm(m.type) && m.type != MessageType::kTimeoutNow;
  BecomeFollower(m.term, leads ? m.from : kNone);
  return TermCheck::kGoOn;
}

void Raft::HandleLowerTerm(Message& m) {
  const bool from_stale_leader =
      m.type == MessageType::kHeartbeat || m.type == MessageType::kApp || m.type == MessageType::kFortify;
  if ((check_quorum_ || pre_vote_) && from_stale_leader) {
    // We may have raised our term while cut off, and with these options our vote requests do not depose a leader that
    // others follow. Telling it our term does, and lets us take part again.
    Send({.type = MessageType::kAppResp, .to = m.from});
  } else if (m.type == MessageType::kPreVote) {
    // So that a pre-candidate that is behind learns the term, or two of them could wait for each other.
    Send({.type = MessageType::kPreVoteResp, .to = m.from, .term = term_, .reject = true});
  } else if (m.type == MessageType::kStorageAppendResp) {
    // The entries that were written may have been overwritten since by a newer leader's, which are on their way to
    // disk: do not take them for stable (a later response will tell). A snapshot holds in every term.
    if (m.snapshot) AppliedSnapshot(*m.snapshot);
  } else {
    LogLine(LogLevel::kInfo, id_, " [term: ", term_, "] ignored a ", MessageTypeName(m.type),
            " message with lower term from ", m.from, " [term: ", m.term, "]");
  }
}

void Raft::HandleStorageAppendResp(const Message& m) {
  if (m.index != 0) log_.unstable().StableTo({.term = m.log_term, .index = m.index});
  if (m.snapshot) AppliedSnapshot(*m.snapshot);
}

void Raft::HandleStorageApplyResp(const Message& m) {
  if (m.entries.empty()) return;
  const uint64_t index = m.entries.back().index;
  ReleaseUncommitted(m.entries);
  AppliedTo(index, EntriesSize(m.entries));
}

void Raft::HandleLeaderMessage(Message& m) {
  greets_leader_ = false;
  switch (m.type) {
    case MessageType::kApp:
      HandleAppend(m);
      break;
    case MessageType::kHeartbeat:
      HandleHeartbeat(m);
      break;
    case MessageType::kSnap:
      HandleSnapshot(m);
      break;
    case MessageType::kFortify:
      HandleFortify(m);
      break;
    default:
      CHECK(false) << MessageTypeName(m.type);
  }
}

absl::Status Raft::ForwardToLeader(Message& m) {
  if (lead_ == kNone) {
    LogLine(LogLevel::kInfo, id_, " no leader at term ", term_, "; dropping ", MessageTypeName(m.type));
    return ProposalDroppedError();
  }
  m.to = lead_;
  Send(std::move(m));
  return absl::OkStatus();
}

absl::Status Raft::StepFollower(Message& m) {
  switch (m.type) {
    case MessageType::kProp:
      if (disable_proposal_forwarding_) return ProposalDroppedError();
      return ForwardToLeader(m);
    case MessageType::kTransferLeader:
    case MessageType::kReadIndex:
      // Without a leader these are lost; the caller asks again.
      (void)ForwardToLeader(m);
      break;
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
    case MessageType::kFortify:
      election_elapsed_ = 0;
      lead_ = m.from;
      HandleLeaderMessage(m);
      break;
    case MessageType::kForgetLeader:
      if (read_only_option_ == ReadOnlyOption::kLeaseBased) {
        LogLine(LogLevel::kError, "ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
      } else if (lead_ != kNone && !Bound()) {
        LogLine(LogLevel::kInfo, id_, " forgetting leader ", lead_, " at term ", term_);
        lead_ = kNone;
      }
      break;
    case MessageType::kTimeoutNow:
      LogLine(LogLevel::kInfo, id_, " [term ", term_, "] received MsgTimeoutNow from ", m.from,
              " and starts an election to get leadership.");
      if (liveness_) AcceptRelease(m.hlc);
      // Never with a pre-vote: the leader itself asks for it.
      Hup(Campaign::kTransfer);
      // Nobody leads any more, so if it is too early, then as soon as we can (F5).
      if (liveness_ && state_ == StateType::kFollower) called_in_term_ = term_;
      break;
    case MessageType::kReadIndexResp:
      if (m.entries.size() == 1) read_states_.push_back({m.index, m.entries.front().data.str()});
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

absl::Status Raft::StepCandidate(Message& m) {
  switch (m.type) {
    case MessageType::kProp:
      LogLine(LogLevel::kInfo, id_, " no leader at term ", term_, "; dropping proposal");
      return ProposalDroppedError();
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
    case MessageType::kFortify:
      BecomeFollower(m.term, m.from);  // it leads the term that we wanted
      HandleLeaderMessage(m);
      break;
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
      HandleVoteResponse(m);
      break;
    case MessageType::kTimeoutNow:
      LogLine(LogLevel::kDebug, id_, " [term ", term_, " state ", StateTypeName(state_),
              "] ignored MsgTimeoutNow from ", m.from);
      if (liveness_ && state_ == StateType::kPreCandidate) AcceptRelease(m.hlc);
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

}  // namespace insula::raft
