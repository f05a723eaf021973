// What a leader knows about one replica's log, and how it sends to it.
//
//           rejected                                accepted                  snapshot needed
//   probe  <---------- replicate         probe ---------------> replicate     probe ----------> snapshot
//                                                                             snapshot, done --> probe
//
//   state     | sends
//   ----------+------------------------------------------------------------------
//   probe     | one message at a time, as it does not know where the logs agree
//   replicate | a stream; assumes that what was sent arrives
//   snapshot  | nothing, until the snapshot is installed or has failed
//
// Invariants:
//   P1  match < next, and match only rises (within one term of leadership).
//   P2  In probe and snapshot, nothing is in the window of inflights.
//   P3  In snapshot, next == pending_snapshot + 1.
//
// Thread safety: value.
#ifndef INSULA_KV_RAFT_TRACKER_PROGRESS_H_
#define INSULA_KV_RAFT_TRACKER_PROGRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "kv/raft/tracker/inflights.h"

namespace insula::raft::tracker {

enum class ProgressState : uint8_t { kProbe, kReplicate, kSnapshot };
std::string_view ProgressStateName(ProgressState state);  // "StateProbe"

struct Progress {
  uint64_t match = 0;  // the follower has everything up to here, durably
  uint64_t next = 0;   // what to send next; everything between is on its way
  // The highest commit index sent, as far as the follower can have taken it from what was sent. Not above next - 1.
  uint64_t sent_commit = 0;
  // The highest commit index that it said it has (only with leases do followers say).
  uint64_t acked_commit = 0;
  ProgressState state = ProgressState::kProbe;
  uint64_t pending_snapshot = 0;  // its index, in kSnapshot
  // Any message came from it since the last look (check quorum).
  bool recent_active = false;
  // Sending entries waits for an answer or a heartbeat: a probe is out, or the window is full.
  bool paused_by_flow = false;
  bool is_learner = false;
  Inflights inflights;

  void BecomeProbe();
  void BecomeReplicate();
  void BecomeSnapshot(uint64_t snapshot_index);

  // A message with `entries` entries of `bytes` bytes was sent.
  void OnSent(uint64_t entries, uint64_t bytes);
  // Whether a message that carries nothing but commit index `index` would tell the follower something.
  bool CanBumpCommit(uint64_t index) const { return index > sent_commit && sent_commit < next - 1; }
  // The follower acknowledged up to `index`; false if that is old news.
  bool MaybeUpdate(uint64_t index);
  // The follower rejected entries after `rejected` and proposes to go on after `hint`; false if the rejection is
  // outdated.
  bool MaybeDecrease(uint64_t rejected, uint64_t hint);
  bool IsPaused() const { return state == ProgressState::kSnapshot || paused_by_flow; }

  std::string ToString() const;  // "StateProbe match=0 next=1 paused"

 private:
  void Enter(ProgressState new_state);
  void ClampSentCommit();
};

}  // namespace insula::raft::tracker

#endif  // INSULA_KV_RAFT_TRACKER_PROGRESS_H_
