// Replication: entries, commit indexes and snapshots, on both sides.
#include <algorithm>

#include "base/check.h"
#include "base/fault/mutation.h"
#include "kv/raft/raft.h"

namespace insula::raft {

namespace {
uint64_t PayloadsSize(const std::vector<Entry>& entries) {
  uint64_t size = 0;
  for (const Entry& e : entries) size += PayloadSize(e);
  return size;
}
}  // namespace

// ---- Leader ----

bool Raft::MaybeSendAppend(NodeId to, bool even_if_empty) {
  tracker::Progress* pr = tracker_.Find(to);
  if (pr->IsPaused()) return false;
  const uint64_t previous = pr->next - 1;
  auto previous_term = log_.Term(previous);
  if (!previous_term.ok()) return MaybeSendSnapshot(to, pr);  // compacted

  std::vector<Entry> entries;
  // With a full window only an empty message goes out, to find out whether the window was lost.
  if (pr->state != tracker::ProgressState::kReplicate || !pr->inflights.Full()) {
    auto read = log_.EntriesFrom(pr->next, max_size_per_msg_);
    if (!read.ok()) return MaybeSendSnapshot(to, pr);
    entries = std::move(*read);
  }
  if (entries.empty() && !even_if_empty) return false;
  const uint64_t count = entries.size(), bytes = PayloadsSize(entries);
  Send({.type = MessageType::kApp,
        .to = to,
        .log_term = *previous_term,
        .index = previous,
        .entries = std::move(entries),
        .commit = log_.committed()});
  pr->OnSent(count, bytes);
  pr->sent_commit = log_.committed();
  return true;
}

bool Raft::MaybeSendSnapshot(NodeId to, tracker::Progress* pr) {
  if (!pr->recent_active) {
    LogLine(LogLevel::kDebug, "ignore sending snapshot to ", to, " since it is not recently active");
    return false;
  }
  auto snapshot = log_.storage()->GetSnapshot(to);
  if (!snapshot.ok()) {
    CHECK(IsNotReady(snapshot.status())) << "snapshot: " << snapshot.status().ToString();
    LogLine(LogLevel::kDebug, id_, " failed to send snapshot to ", to, " because snapshot is temporarily unavailable");
    return false;
  }
  CHECK(*snapshot && !(*snapshot)->empty()) << "an empty snapshot";
  const SnapshotMetadata& meta = (*snapshot)->metadata;
  LogLine(LogLevel::kDebug, id_, " [firstindex: ", log_.FirstIndex(), ", commit: ", log_.committed(),
          "] sent snapshot[index: ", meta.index, ", term: ", meta.term, "] to ", to, " [", pr->ToString(), "]");
  pr->BecomeSnapshot(meta.index);
  LogLine(LogLevel::kDebug, id_, " paused sending replication messages to ", to, " [", pr->ToString(), "]");
  Send({.type = MessageType::kSnap, .to = to, .snapshot = *snapshot});
  return true;
}

void Raft::SendHeartbeat(NodeId to, const std::string& context) {
  tracker::Progress* pr = tracker_.Find(to);
  // Not past what the follower is known to have: its log may end, or differ, behind that.
  const uint64_t commit = std::min(pr->match, log_.committed());
  Send({.type = MessageType::kHeartbeat, .to = to, .commit = commit, .context = context});
  pr->sent_commit = commit;
}

void Raft::BroadcastAppend() {
  for (NodeId id : tracker_.Ids()) {
    if (id != id_) SendAppend(id);
  }
}

void Raft::BroadcastHeartbeat(const std::string& context) {
  for (NodeId id : tracker_.Ids()) {
    if (id != id_) SendHeartbeat(id, context);
  }
}

bool Raft::AppendEntries(std::vector<Entry>& entries) {
  if (!ReserveUncommitted(entries)) {
    LogLine(LogLevel::kWarn, id_,
            " appending new entries would exceed the limit of uncommitted data; dropping proposal");
    return false;
  }
  uint64_t last = log_.LastIndex();
  for (Entry& e : entries) {
    e.term = term_;
    e.index = ++last;
  }
  last = log_.Append(std::move(entries));
  // The leader acknowledges to itself, like a follower: when the entries are durable.
  Send({.type = MessageType::kAppResp, .to = id_, .index = last});
  return true;
}

bool Raft::MaybeCommit() { return log_.MaybeCommit({.term = term_, .index = fault::On(fault::Mutation::kCountQuorumWrongly) ? tracker_.Find(id_)->match : tracker_.Committed()}); }

bool Raft::CommittedInCurrentTerm() const {
  auto term = log_.Term(log_.committed());
  return term.ok() && *term == term_;
}

bool Raft::ReserveUncommitted(const std::vector<Entry>& entries) {
  const uint64_t size = PayloadsSize(entries);
  // One proposal of any size is let in when nothing else waits, and empty ones always.
  if (uncommitted_size_ > 0 && size > 0 && uncommitted_size_ + size > max_uncommitted_size_) return false;
  uncommitted_size_ += size;
  return true;
}

void Raft::ReleaseUncommitted(const std::vector<Entry>& entries) {
  // Entries of before this leadership were never counted.
  uncommitted_size_ -= std::min(uncommitted_size_, PayloadsSize(entries));
}

// ---- Both ----

void Raft::AppliedTo(uint64_t index, uint64_t size) {
  log_.AppliedTo(std::max(index, log_.applied()), size);
  MaybeLeaveJoint();
  const bool called = called_in_term_ == term_ && state_ == StateType::kFollower && lead_ == kNone;
  if (called && Promotable() && MayCampaign()) Hup(Campaign::kTransfer);
}

void Raft::AppliedSnapshot(const Snapshot& snapshot) {
  const uint64_t index = snapshot.metadata.index;
  log_.unstable().StableSnapshotTo(index);
  AppliedTo(index, 0);
}

// ---- Follower ----

void Raft::HandleAppend(Message& m) {
  const EntryId previous{.term = m.log_term, .index = m.index};
  if (previous.index < log_.committed()) {
    Send({.type = MessageType::kAppResp, .to = m.from, .index = log_.committed()});
    return;
  }
  if (auto last = log_.MaybeAppend(previous, std::move(m.entries), m.commit)) {
    Send({.type = MessageType::kAppResp, .to = m.from, .index = *last});
    return;
  }
  LogLine(LogLevel::kDebug, id_, " [logterm: ", log_.Term(m.index).value_or(0), ", index: ", m.index,
          "] rejected MsgApp [logterm: ", m.log_term, ", index: ", m.index, "] from ", m.from);
  // A hint that skips all indexes at which the logs cannot agree: the leader's term there is at most m.log_term, so
  // neither can ours be above it. With the hint's term, the leader does the same in its own log.
  const EntryId hint = log_.FindConflictByTerm(std::min(m.index, log_.LastIndex()), m.log_term);
  Send({.type = MessageType::kAppResp,
        .to = m.from,
        .log_term = hint.term,
        .index = m.index,
        .reject = true,
        .reject_hint = hint.index});
}

void Raft::HandleHeartbeat(const Message& m) {
  log_.CommitTo(m.commit);
  Send({.type = MessageType::kHeartbeatResp, .to = m.from, .context = m.context});
}

void Raft::HandleSnapshot(const Message& m) {
  CHECK(m.snapshot != nullptr) << "kSnap without a snapshot";
  const uint64_t index = m.snapshot->metadata.index;
  const bool restored = Restore(m.snapshot);
  LogLine(LogLevel::kInfo, id_, " [commit: ", log_.committed(), "] ", restored ? "restored" : "ignored",
          " snapshot [index: ", index, ", term: ", m.snapshot->metadata.term, "]");
  Send({.type = MessageType::kAppResp, .to = m.from, .index = restored ? log_.LastIndex() : log_.committed()});
}

bool Raft::Restore(const SnapshotPtr& snapshot) {
  const SnapshotMetadata& meta = snapshot->metadata;
  if (meta.index <= log_.committed()) return false;
  CHECK(state_ == StateType::kFollower);
  // A snapshot of a configuration without us would leave us unable to follow any further.
  const ConfState& cs = meta.conf_state;
  auto has_us = [this](const std::vector<NodeId>& ids) { return std::find(ids.begin(), ids.end(), id_) != ids.end(); };
  if (!has_us(cs.voters) && !has_us(cs.learners) && !has_us(cs.voters_outgoing)) {
    LogLine(LogLevel::kWarn, id_, " attempted to restore snapshot but it is not in the ConfState; should never happen");
    return false;
  }
  if (log_.Matches({.term = meta.term, .index = meta.index})) {
    // We have the entries: no need to throw the log away.
    log_.CommitTo(meta.index);
    return false;
  }
  if (log_.HasConfChangeBeingApplied()) {
    // It would be applied to the snapshot's configuration, which is past it. The leader sends again.
    LogLine(LogLevel::kInfo, id_, " ignoring snapshot while a configuration change is being applied");
    return false;
  }
  log_.Restore(snapshot);
  tracker_.config = {};
  tracker_.progress.clear();
  auto next = confchange::Restore(tracker_, log_.LastIndex(), cs);
  CHECK_OK(next.status());
  SwitchToConfig(std::move(*next));
  const EntryId last = log_.LastId();
  LogLine(LogLevel::kInfo, id_, " [commit: ", log_.committed(), ", lastindex: ", last.index, ", lastterm: ", last.term,
          "] restored snapshot [index: ", meta.index, ", term: ", meta.term, "]");
  return true;
}

}  // namespace insula::raft
