// One replica of a consensus group, as its driver sees it: a pure state machine with no clock, thread, socket or disk.
//
// The driver's contract, with synchronous storage (Config::async_storage_writes = false). Whenever HasReady():
//   1. `Ready rd = TakeReady()`.
//   2. Write rd.entries (they replace everything from their first index on), then rd.hard_state, then rd.snapshot, to
//      the log, in one atomic write; sync it if rd.must_sync.
//   3. Send rd.messages (only now: they promise what was just written). For a kSnap whose sending ends,
//      ReportSnapshot; for a peer that cannot be reached, ReportUnreachable.
//   4. Apply rd.snapshot, then rd.committed_entries, to the state machine. For each kConfChange or kConfChangeV2
//      entry call ApplyConfChange, or RejectConfChange to leave it without effect (all replicas alike), and keep the
//      ConfState it returns with the applied index.
//   5. Advance().
//
// With asynchronous storage (true), there is no Advance, and steps 2 and 4 arrive as messages among rd.messages (the
// other fields of Ready are for looking only, except read_states and soft_state):
//   1. `Ready rd = TakeReady()`; send messages to other replicas at once.
//   2. A message to kLocalAppendThread (at most one per Ready): queue it for the log writer. The writer works in
//      order; it writes entries, then the hard state (m.term, m.vote, m.commit, m.lead, m.lead_epoch; none if m.term
//      is 0), then the snapshot, atomically; if m.responses is not empty it syncs (this and all before) and then
//      delivers them: those to this replica through Step, those to others by network.
//   3. A message to kLocalApplyThread: apply m.entries, in order, as in 4 above, then deliver m.responses through
//      Step. Apply work never waits for append work; a snapshot is installed in the state machine by the log writer
//      before its responses are delivered, and entries at or below its index that still come to be applied are skipped.
//      Messages of several Readies, and of several groups, may be written together, as long as each queue keeps its
//      order.
//
// Either way:
//   6. Step every message that arrives from other replicas; messages may be lost, doubled, reordered.
//   7. Tick() at regular intervals while NeedsTicks(). Groups that do not may sleep: no timer, no message.
//   8. With Config::liveness: OnSupportChange() when a store that holds one of the group's replicas gained or lost
//      support, in either direction (a mere extension of the expiry is not a change). Then, if MayCampaign() and the
//      range is wanted, Campaign(). An answer to a kFortifyResp for a replica that no longer exists here:
//      ReleaseFor().
//   9. Serving without a round trip: only while leading, after applying an entry of the own term, and while max(now,
//      request timestamp) < LeadSupportUntil() - maximum clock offset; timestamps start above lease_floor().
//  10. A kSnap is stepped when the state that it stands for has arrived. A first replica (bootstrap, split) starts with
//      a hard state whose term is not below that of its log's start, and commit at it. Config::applied is what survived
//      in the state machine, even if that is above the hard state's commit index or an earlier Config::applied.
//  11. A removed replica is destroyed only when its removal is applied by a majority of those who remain: until then
//      they may need its vote, or what it knows.
//
// Order within one Ready and across Readies is the driver's to keep; everything else (when to batch, whom to send to
// first) is free. Thread safety: none; one thread.
#ifndef INSULA_KV_RAFT_RAW_NODE_H_
#define INSULA_KV_RAFT_RAW_NODE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kv/raft/config.h"
#include "kv/raft/message.h"
#include "kv/raft/tracker/progress.h"
#include "kv/raft/tracker/tracker.h"

namespace insula::raft {

class Raft;

enum class StateType : uint8_t { kFollower, kCandidate, kLeader, kPreCandidate };
std::string_view StateTypeName(StateType state);  // "StateFollower"

// State that need not survive a crash.
struct SoftState {
  NodeId lead = kNone;
  StateType state = StateType::kFollower;

  bool operator==(const SoftState&) const = default;
};

// A read index request that may be served once `index` is applied.
struct ReadState {
  uint64_t index = 0;
  std::string request;
};

// Everything there is to do, in one batch. See the contract above.
struct Ready {
  std::optional<SoftState> soft_state;  // if changed
  std::optional<HardState> hard_state;  // if changed
  std::vector<ReadState> read_states;
  std::vector<Entry> entries;            // to be written
  SnapshotPtr snapshot;                  // to be installed; null: none
  std::vector<Entry> committed_entries;  // to be applied
  std::vector<Message> messages;         // to be sent
  bool must_sync = false;
};

struct BasicStatus {
  NodeId id = kNone;
  HardState hard_state;
  SoftState soft_state;
  uint64_t applied = 0;
  uint64_t last_index = 0;
  NodeId lead_transferee = kNone;
};

struct Status {
  BasicStatus basic;
  tracker::Config config;
  std::map<NodeId, tracker::Progress> progress;  // leader only
};

// A proposal that was not taken: no leader, a transfer in progress, too much uncommitted, or a configuration change
// that the lease does not allow now (fortify.h F7). Try again later. (A change that does not fit the configuration, or
// comes while another is not applied, is appended as an empty entry instead, and the status is ok.)
absl::Status ProposalDroppedError();
bool IsProposalDropped(const absl::Status& status);

class RawNode {
 public:
  // Reads the initial state from config.storage. CHECK-fails on an invalid config.
  explicit RawNode(const Config& config);
  ~RawNode();

  // -- Input --
  void Tick();
  absl::Status Campaign();
  absl::Status Propose(std::string data);
  absl::Status ProposeConfChange(const ConfChangeV2& change);
  // For the outside suites: the older entry type, one change.
  absl::Status ProposeConfChangeV1(const ConfChangeSingle& change);
  // Takes effect of a committed change. Returns the new configuration, to be persisted with the applied index.
  ConfState ApplyConfChange(const ConfChangeV2& change);
  // Instead, if the driver refuses it, at every replica alike. Returns the present configuration.
  ConfState RejectConfChange() const;
  // A message from another replica, or a response of the local storage. kInvalidArgument for messages that never
  // travel, kNotFound for a response from a replica that is not in the configuration, or ProposalDroppedError.
  absl::Status Step(Message message);
  // Entries up to `index` are known to be committed, from somebody who cannot err; what of them is here can be applied.
  void LearnCommitted(uint64_t index);
  void ReportUnreachable(NodeId id);
  void ReportSnapshot(NodeId id, bool ok);
  // Asks the leader to hand over to `transferee`.
  void TransferLeader(NodeId transferee);
  absl::Status ForgetLeader();
  // Answered by a ReadState with the same request bytes, or not at all (leader lost): ask again.
  void ReadIndex(std::string request);

  // -- Output --
  bool HasReady() const;
  Ready TakeReady();
  // Synchronous storage only: the last Ready is written, sent and applied.
  void Advance();

  // -- Leases and sleep (fortify.h) --
  void OnSupportChange();
  // The timestamp until which a quorum, in both halves of a joint configuration, neither elects nor follows anyone
  // else; 0 when not leading, or before an entry of the own term is committed. Ask again for each request: it may fall.
  uint64_t LeadSupportUntil();
  // Every timestamp that an earlier leader served lies at or below it, once this replica leads.
  uint64_t lease_floor() const;
  // Whether a Campaign() now would not be refused for a promise given to a leader.
  bool MayCampaign() const;
  // False when time alone has nothing to do here: a leader with everyone alive bound and caught up, a follower that is
  // bound, a replica without a vote. (When it turns true because support lapsed, an idle group may go on sleeping until
  // it is wanted.)
  bool NeedsTicks() const;
  // Whether it has been bound to its leader since before the start, and has not heard of it since: that one may sleep.
  bool GreetsLeader() const;
  // The answer for `fortify_resp`, addressed to a replica that was removed from this store. `hlc` as
  // StoreLivenessView::Hlc.
  static Message ReleaseFor(const Message& fortify_resp, uint64_t hlc);

  // -- Looking --
  BasicStatus GetBasicStatus() const;
  Status GetStatus() const;
  const Raft& raft() const { return *raft_; }
  Raft& raft() { return *raft_; }

 private:
  static bool ChangesConfig(const std::vector<Entry>& entries);
  bool NeedsAppendMessage(const Ready& ready) const;
  bool NeedsAppendResponse(const Ready& ready) const;
  Message AppendMessage(const Ready& ready) const;
  Message AppendResponse(const Ready& ready) const;
  Message ApplyMessage(const Ready& ready) const;
  Message ApplyResponse(const Ready& ready) const;
  void Accept(const Ready& ready);

  std::unique_ptr<Raft> raft_;
  const bool async_;
  SoftState previous_soft_;
  HardState previous_hard_;
  std::vector<Message> steps_on_advance_;  // synchronous storage: what the storage would answer
};

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_RAW_NODE_H_
