// What a leader does with messages.
#include <algorithm>

#include "base/check.h"
#include "kv/raft/raft.h"

namespace insula::raft {

absl::Status Raft::StepLeader(Message& m) {
  switch (m.type) {
    case MessageType::kBeat:
      BroadcastHeartbeat(read_only_.LastContext());
      return absl::OkStatus();
    case MessageType::kCheckQuorum:
      HandleCheckQuorum();
      return absl::OkStatus();
    case MessageType::kProp:
      return HandleProposal(m);
    case MessageType::kReadIndex:
      HandleReadIndex(m);
      return absl::OkStatus();
    case MessageType::kForgetLeader:
      return absl::OkStatus();
    default:
      break;
  }
  tracker::Progress* pr = tracker_.Find(m.from);
  if (pr == nullptr) {
    LogLine(LogLevel::kDebug, id_, " no progress available for ", m.from);
    return absl::OkStatus();
  }
  switch (m.type) {
    case MessageType::kAppResp:
      HandleAppendResponse(m, pr);
      break;
    case MessageType::kHeartbeatResp:
      HandleHeartbeatResponse(m, pr);
      break;
    case MessageType::kSnapStatus:
      HandleSnapshotStatus(m, pr);
      break;
    case MessageType::kUnreachable:
      // What is on its way is probably lost; go back to finding out.
      if (pr->state == tracker::ProgressState::kReplicate) pr->BecomeProbe();
      LogLine(LogLevel::kDebug, id_, " failed to send message to ", m.from, " because it is unreachable [",
              pr->ToString(), "]");
      break;
    case MessageType::kTransferLeader:
      HandleTransferRequest(m.from, *pr);
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

absl::Status Raft::HandleProposal(Message& m) {
  CHECK(!m.entries.empty()) << "an empty proposal";
  if (tracker_.Find(id_) == nullptr) return ProposalDroppedError();  // removed; still leading for a while
  if (lead_transferee_ != kNone) {
    LogLine(LogLevel::kDebug, id_, " [term ", term_, "] transfer leadership to ", lead_transferee_,
            " is in progress; dropping proposal");
    return ProposalDroppedError();
  }
  for (size_t i = 0; i < m.entries.size(); ++i) {
    Entry& e = m.entries[i];
    if (e.type == EntryType::kNormal) continue;
    bool drop = false;
    if (const char* objection = ObjectionTo(e, &drop)) {
      LogLine(LogLevel::kInfo, id_, drop ? " dropping" : " ignoring", " conf change at config ",
              tracker_.config.ToString(), ": ", objection);
      if (drop) return ProposalDroppedError();
      e = Entry();
    } else {
      pending_conf_index_ = log_.LastIndex() + i + 1;
    }
  }
  if (!AppendEntries(m.entries)) return ProposalDroppedError();
  BroadcastAppend();
  return absl::OkStatus();
}

void Raft::HandleCheckQuorum() {
  if (!tracker_.QuorumActive() && !(liveness_ && LeaderSupported())) {
    LogLine(LogLevel::kWarn, id_, " stepped down to follower since quorum is not active");
    BecomeFollower(term_, kNone);
  }
  for (auto& [id, pr] : tracker_.progress) {
    if (id != id_) pr.recent_active = false;
  }
}

void Raft::HandleRejectedAppend(const Message& m, tracker::Progress* pr) {
  LogLine(LogLevel::kDebug, id_, " received MsgAppResp(rejected, hint: (index ", m.reject_hint, ", term ", m.log_term,
          ")) from ", m.from, " for index ", m.index);
  uint64_t next_probe = m.reject_hint;
  // The follower's log has term m.log_term at the hint; where ours is above that, the logs differ. Skipping those
  // indexes makes finding the point of agreement linear in terms instead of entries.
  if (m.log_term > 0) next_probe = log_.FindConflictByTerm(m.reject_hint, m.log_term).index;
  if (!pr->MaybeDecrease(m.index, next_probe)) return;
  LogLine(LogLevel::kDebug, id_, " decreased progress of ", m.from, " to [", pr->ToString(), "]");
  if (pr->state == tracker::ProgressState::kReplicate) pr->BecomeProbe();
  SendAppend(m.from);
}

void Raft::HandleAppendResponse(const Message& m, tracker::Progress* pr) {
  pr->recent_active = true;
  pr->acked_commit = std::max(pr->acked_commit, m.commit);
  if (liveness_ && MaybeFinishTransfer(m.from, *pr)) return;
  if (m.reject) {
    HandleRejectedAppend(m, pr);
    return;
  }
  // An answer that tells nothing new still ends a probe. (In kSnapshot it does not: what was asked for lies further
  // on.)
  const bool ends_probe = pr->match == m.index && pr->state == tracker::ProgressState::kProbe;
  if (!pr->MaybeUpdate(m.index) && !ends_probe) return;
  switch (pr->state) {
    case tracker::ProgressState::kProbe:
      pr->BecomeReplicate();
      break;
    case tracker::ProgressState::kSnapshot:
      // The follower has come so far (by our snapshot, or another's) that our log can serve it.
      if (pr->match + 1 >= log_.FirstIndex()) {
        LogLine(LogLevel::kDebug, id_, " recovered from needing snapshot, resumed sending replication messages to ",
                m.from, " [", pr->ToString(), "]");
        pr->BecomeProbe();
        pr->BecomeReplicate();
      }
      break;
    case tracker::ProgressState::kReplicate:
      pr->inflights.FreeUpTo(m.index);
      break;
  }
  if (MaybeCommit()) {
    ReleasePendingReads();
    BroadcastAppend();
  } else if (m.from != id_ && pr->CanBumpCommit(log_.committed())) {
    SendAppend(m.from);  // sooner than the next heartbeat would tell it
  }
  if (m.from == id_) return;
  // The window may have opened by more than one message.
  while (MaybeSendAppend(m.from, /*even_if_empty=*/false)) {
  }
  MaybeFinishTransfer(m.from, *pr);
}

bool Raft::MaybeFinishTransfer(NodeId id, const tracker::Progress& pr) {
  if (id != lead_transferee_ || pr.match != log_.LastIndex()) return false;
  // It could not campaign without having applied the newest configuration; and with leases there is no way back (F5).
  if (liveness_ && pr.acked_commit < pending_conf_index_) return false;
  LogLine(LogLevel::kInfo, id_, " sends MsgTimeoutNow to ", id);
  SendTimeoutNow(id);
  return true;
}

void Raft::HandleHeartbeatResponse(const Message& m, tracker::Progress* pr) {
  pr->recent_active = true;
  pr->acked_commit = std::max(pr->acked_commit, m.commit);
  pr->paused_by_flow = false;
  if (liveness_ && MaybeFinishTransfer(m.from, *pr)) return;
  // It is alive. If it lacks entries, whatever we sent last may be lost: with a full window, an empty message brings an
  // answer that opens it. In kProbe, a message brings the answer that ends it. (In kSnapshot nothing is sent.)
  if (pr->match < log_.LastIndex() || pr->state == tracker::ProgressState::kProbe) SendAppend(m.from);
  if (read_only_option_ != ReadOnlyOption::kSafe || m.context.empty()) return;
  for (auto& request : read_only_.Acknowledge(m.from, m.context, tracker_.config.voters)) {
    ConfirmRead(request.message, request.index);
  }
}

void Raft::HandleSnapshotStatus(const Message& m, tracker::Progress* pr) {
  if (pr->state != tracker::ProgressState::kSnapshot) return;
  if (m.reject) pr->pending_snapshot = 0;  // so that the probe starts at what it is known to have
  pr->BecomeProbe();
  LogLine(LogLevel::kDebug, id_, m.reject ? " snapshot failed" : " snapshot succeeded",
          ", resumed sending replication messages to ", m.from, " [", pr->ToString(), "]");
  // Arrived: its kAppResp comes next. Failed: try again after a heartbeat, not at once.
  pr->paused_by_flow = true;
}

void Raft::HandleTransferRequest(NodeId transferee, const tracker::Progress& pr) {
  if (pr.is_learner) {
    LogLine(LogLevel::kDebug, id_, " is learner. Ignored transferring leadership");
    return;
  }
  if (lead_transferee_ == transferee) return;  // under way
  AbortLeaderTransfer();
  if (transferee == id_) return;
  LogLine(LogLevel::kInfo, id_, " [term ", term_, "] starts to transfer leadership to ", transferee);
  // It has one election timeout to finish.
  election_elapsed_ = 0;
  lead_transferee_ = transferee;
  if (!MaybeFinishTransfer(transferee, pr)) SendAppend(transferee);
}

void Raft::SendTimeoutNow(NodeId to) {
  Send({.type = MessageType::kTimeoutNow, .to = to});
  if (liveness_) BecomeFollower(term_, kNone);  // F5: irrevocable, for the transferee's votes rest on it
}

}  // namespace insula::raft
