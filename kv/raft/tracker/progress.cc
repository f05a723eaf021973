#include "kv/raft/tracker/progress.h"

#include <algorithm>

#include "base/strings.h"

namespace insula::raft::tracker {

std::string_view ProgressStateName(ProgressState state) {
  switch (state) {
    case ProgressState::kProbe:
      return "StateProbe";
    case ProgressState::kReplicate:
      return "StateReplicate";
    case ProgressState::kSnapshot:
      return "StateSnapshot";
  }
  return "?";
}

void Progress::Enter(ProgressState new_state) {
  state = new_state;
  paused_by_flow = false;
  pending_snapshot = 0;
  inflights.Reset();
}

void Progress::ClampSentCommit() { sent_commit = std::min(sent_commit, next - 1); }

void Progress::BecomeProbe() {
  // After a snapshot was sent, it is what the follower most probably has.
  const uint64_t after_snapshot = state == ProgressState::kSnapshot ? pending_snapshot + 1 : 0;
  Enter(ProgressState::kProbe);
  next = std::max(match + 1, after_snapshot);
  ClampSentCommit();
}

void Progress::BecomeReplicate() {
  Enter(ProgressState::kReplicate);
  next = match + 1;
}

void Progress::BecomeSnapshot(uint64_t snapshot_index) {
  Enter(ProgressState::kSnapshot);
  pending_snapshot = snapshot_index;
  next = snapshot_index + 1;
  sent_commit = snapshot_index;  // a snapshot is committed
}

void Progress::OnSent(uint64_t entries, uint64_t bytes) {
  if (state == ProgressState::kProbe) {
    if (entries > 0) paused_by_flow = true;
    return;
  }
  if (state != ProgressState::kReplicate) return;
  if (entries > 0) {
    next += entries;  // optimistic
    inflights.Add(next - 1, bytes);
  }
  // With a full window, an empty message (a ping) is still sent once per heartbeat.
  paused_by_flow = inflights.Full();
}

bool Progress::MaybeUpdate(uint64_t index) {
  if (index <= match) return false;
  match = index;
  next = std::max(next, index + 1);
  paused_by_flow = false;
  return true;
}

bool Progress::MaybeDecrease(uint64_t rejected, uint64_t hint) {
  if (state == ProgressState::kReplicate) {
    if (rejected <= match) return false;  // reordered: it has acknowledged more since
    next = match + 1;
    ClampSentCommit();
    return true;
  }
  // A probe is sent for next - 1; any other rejection answers an older one.
  if (next - 1 != rejected) return false;
  next = std::max(std::min(rejected, hint + 1), match + 1);
  ClampSentCommit();
  paused_by_flow = false;
  return true;
}

std::string Progress::ToString() const {
  std::string out = StrCat(ProgressStateName(state), " match=", match, " next=", next);
  if (is_learner) StrAppend(&out, " learner");
  if (IsPaused()) StrAppend(&out, " paused");
  if (pending_snapshot > 0) StrAppend(&out, " pendingSnap=", pending_snapshot);
  if (!recent_active) StrAppend(&out, " inactive");
  if (inflights.count() > 0) {
    StrAppend(&out, " inflight=", inflights.count());
    if (inflights.Full()) StrAppend(&out, "[full]");
  }
  return out;
}

}  // namespace insula::raft::tracker
