// One range on one store: takes batches for its keys and answers them, as long as it holds the lease.
//
//   Execute ─► in the range? ─► lease? ─► timestamps ─► latches and locks ─► evaluate ─► propose ─► effects ─► answer
//                  │              │ no                      ▲                   │ locked, too old, uncertain     ▲
//                  │ no           ▼                         └───────────────────┘                                │
//                  ▼        NotLeaseholder                                        nothing written: lease? ───────┘
//             RangeMismatch
//
// Invariants:
//   P1  Latches are held from before evaluation until the proposal's fate is known; the caller's cancellation does not cut that short.
//       So no batch is evaluated against a state that an entry under way will change.
//   P2  Nothing is served at a timestamp that CheckLease did not call valid under the lease that the batch was evaluated under.
//   P3  The lock table, the caches and the push queue are of the present lease: they are emptied when it is lost, and start
//       at its low-water mark.
//   P4  A read-only batch never makes a log entry.
//   P5  No answer tells of a timestamp that this node's clock has not reached (docs/decisions/0008): who hears it may ask anywhere else,
//       and is within everybody's uncertainty there.
// Timestamps: the first leaseholder of a transaction (or of a READ COMMITTED statement) chooses its read timestamp. While a batch is
// tried again here, its reads move up only where nobody has seen anything at the old timestamp: no transaction, can_forward_read_ts, or
// a locking READ COMMITTED batch, which takes the newest version in any case.
// Unreplicated locks live in the leaseholder's memory. When the lease is handed over (TransferLease) or the range is split, they are
// made replicated ones first, and whoever serves the key next meets them there. A lease that is lost loses them; holders find out at
// commit.
// Loop thread only.
#ifndef INSULA_KV_REPLICA_REPLICA_H_
#define INSULA_KV_REPLICA_REPLICA_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "kv/api/sender.h"
#include "kv/api/version.h"
#include "kv/concurrency/lock_table.h"
#include "kv/concurrency/sequencer.h"
#include "kv/metrics/store_metrics.h"
#include "kv/multiraft/range_group.h"
#include "kv/replica/aborted.h"
#include "kv/replica/checks.h"
#include "kv/replica/declare.h"
#include "kv/replica/evaluator.h"
#include "kv/replica/frozen.h"
#include "kv/replica/range_load.h"
#include "kv/replica/removed.h"
#include "kv/txn/intent_resolver.h"
#include "kv/txn/push_queue.h"
#include "kv/txn/timestamp_cache.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// Of a node: range ids that it has taken from the counter. What is left when it ends is never given: gaps happen, repeats do not.
struct RangeIdStock {
  RangeId next = 0;
  RangeId end = 0;
  bool filling = false;
  Condition filled;  // or that failed
};

struct ReplicaDeps {
  Executor* executor = nullptr;
  // To other ranges (and this one): pushes, cleaning up, addressing. Null: those do not happen (unit tests).
  Sender* sender = nullptr;
  std::shared_ptr<RangeIdStock> range_ids = nullptr;  // null: each is taken when it is needed
  // Where a node is reached; empty: not known.
  std::function<std::string(uint64_t node_id)> node_address = [](uint64_t) { return std::string(); };
  // Descriptors of this store's ranges that overlap [key, end_key) (empty end_key: the single key), to set a caller right.
  std::function<std::vector<v1::RangeDescriptor>(std::string_view key, std::string_view end_key)> local_ranges =
      [](std::string_view, std::string_view) { return std::vector<v1::RangeDescriptor>(); };
  // The range is asked for more than `load_split` allows, and `key` halves that.
  std::function<void(uint64_t range_id, std::string key)> on_busy = [](uint64_t, std::string) {};
  LoadSplitOptions load_split = {};
  // This replica's lease came (true) or went (false), as far as it knows. Not called inside a call into the replica's group.
  std::function<void(uint64_t range_id, bool held)> on_lease = [](uint64_t, bool) {};
  // What the cluster is at (kv/api/version.h).
  std::function<uint32_t()> cluster_version = [] { return kNewestClusterVersion; };
  SequencerOptions sequencer = {};
  ReplicaChecks* checks = nullptr;        // null: replicas are not compared (unit tests)
  std::shared_ptr<StoreMetrics> metrics = nullptr;  // where the replica counts; null: nowhere
  Duration lease_wait = 2s;             // how long a batch waits for somebody to lead
  Duration learner_patience = 120s;     // how long a new replica may take until it follows closely; then it is taken away again
  Duration deadlock_interval = 50ms;    // between questions about who waits for a waiting pusher; doubles up to 1 s
};

class Replica : public std::enable_shared_from_this<Replica>, private Pusher {
 public:
  Replica(RangeGroup* group, ReplicaDeps deps);
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;
  ~Replica() override;

  // Answers `batch`; never fails otherwise than in the answer's error. Keeps the replica's memory alive.
  Task<v1::BatchResponse> Execute(Context ctx, v1::BatchRequest batch);

  RangeId range_id() const { return range_id_; }
  RangeLoadFigures load() const;

  // After anything that raised the generation of the range's descriptor: its address is written in the background, by whoever holds the
  // lease, for as long as it takes (replica_address.cc). Does nothing where there is nothing to write. Splits and new leases call it.
  void PublishSoon();
  // The same, and waits until it is done. Unavailable: not yet, or by another leaseholder.
  Task<absl::Status> AwaitPublished(const Context& ctx);

  // Hands the lease to the replica on `store`, unreplicated locks included; requests wait meanwhile. Returns when this replica does not
  // lead any more, or why not.
  Task<absl::Status> TransferLease(Context ctx, StoreId store);

  // From the group (through the adapter that MakeReplica gives it).
  void LeaseAcquired(const Lease& lease);
  void LeaseLost();
  void AfterSplit(const SplitTrigger& split);
  void AfterMerge(const MergeTrigger& merge);
  void AfterApply(const RangeStateMachine::Applied& applied);
  void SnapshotApplied();
  // The group goes: whatever still runs here ends with an error.
  void Close();
  // Once closed: until nothing runs in the background any more.
  Task<void> AwaitEnd();

  const LockTable& lock_table() const { return locks_; }
  void VerifyInvariants() const { locks_.VerifyInvariants(); }

 private:
  // One batch on its way through.
  struct Work {
    const v1::BatchRequest* batch = nullptr;
    v1::BatchResponse* response = nullptr;
    bool has_txn = false;
    bool one_phase = false;
    uint32_t flags = 0;  // of all requests together
    v1::Transaction txn;
    EvalTimestamps ts;
    Timestamp first_now;       // the clock when the batch came
    uint64_t first_lease = 0;  // and the lease
    LeaseCheck lease;
    Declared declared;
    std::string declared_end;  // where the range ended then
    int attempts = 0;

    // What is moved above it cannot be from before the reads began.
    Timestamp push_above() const { return ts.observed.empty() ? std::max(ts.limit, ts.read) : ts.read; }
  };

  // replica_execute.cc
  Task<absl::Status> Run(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response);
  absl::Status CheckBounds(const v1::BatchRequest& batch) const;
  absl::Status Mismatch(std::string_view key, std::string_view end_key) const;
  absl::Status CheckLease(Work& work, Timestamp t);
  Task<absl::Status> EnsureLease(const Context& ctx, Work& work, Timestamp t);
  absl::Status ChooseTimestamps(Work& work);
  void RaiseForReads(Work& work) const;
  void NoteLoad(const Work& work);
  bool GrewSince(const Work& work) const;
  bool IsAborted(std::string_view txn_id) const { return aborted_.contains(txn_id) || sequencer_.IsAborted(txn_id); }
  void Observe(Work& work) const;
  bool ForwardRead(Work& work, Timestamp to) const;
  Task<absl::Status> TryAgain(const Context& ctx, Work& work, Sequencer::Ticket& ticket, EvalResult result);
  Task<absl::Status> Propose(Command command);
  Task<absl::Status> ProposeNow(Command command);
  bool ReadsBelow(const Work& work, Timestamp threshold) const;
  void Apply(const Work& work, Effects& effects);
  void ApplyEnded(Effects::Ended& ended, Timestamp now);
  void Released(std::string_view key, Timestamp ts);
  void FinishResponse(Work& work);
  void NameNodes(v1::RangeLookupResponse* lookup) const;
  void CountError(const v1::Error& error);

  // replica_answer.cc
  static Timestamp Acknowledged(const Work& work, Timestamp settled);
  Task<absl::Status> AwaitClock(const Context& ctx, Timestamp ts, bool applied);

  // replica_push.cc
  Task<absl::StatusOr<v1::Transaction>> Push(const Context& ctx, v1::PushTxnRequest push) override;
  Task<absl::Status> Resolve(const Context& ctx, v1::Transaction txn, std::vector<std::string> keys, Timestamp pushed_at) override;
  Timestamp Now() override { return group_ == nullptr ? Timestamp() : group_->clock().Now(); }
  Task<absl::Status> WaitAtRecord(const Context& ctx, const v1::PushTxnRequest& push, Timestamp expires);
  Task<absl::Status> AskWhoWaits(const Context& ctx, const v1::TxnMeta& pusher, PushQueue::Entry& entry);

  // replica_cleanup.cc
  Task<void> ForgetRecord(std::string anchor, std::string txn_id);
  Task<void> SweepOutcomes();
  Task<void> SweepAborted();
  Task<void> FinishRecords(uint64_t lease_sequence, std::string from);
  Task<void> EndStale(v1::Transaction unfinished, uint64_t lease_sequence);

  // replica_tidy.cc
  Task<void> Tidy(uint64_t lease_sequence);
  Task<absl::Status> TidyRecords(uint64_t lease_sequence);
  Task<absl::Status> TidyLocks(uint64_t lease_sequence);
  Task<absl::Status> EndAbandoned(v1::TxnMeta txn, std::vector<v1::Span> spans);

  void LoadAbortedTxns();

  // replica_locks.cc
  absl::Status KeepTxn(storage::ReadWriter& rw, const v1::TxnMeta& meta);
  absl::StatusOr<size_t> KeepLocks(std::string_view from, Command* command);

  // replica_admin.cc
  Task<absl::Status> RunAdmin(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response);

  // replica_check.cc
  Task<absl::Status> CheckConsistency(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response);
  // replica_change.cc
  using DescriptorEdit = std::function<absl::StatusOr<bool>(v1::RangeDescriptor* next)>;
  Task<absl::Status> AdminChangeReplicas(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response);
  Task<absl::Status> AdminTransferLease(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response);
  Task<absl::Status> ChangeReplicas(const Context& ctx, const v1::AdminChangeReplicasRequest& request);
  Task<absl::Status> AddLearners(const Context& ctx, const v1::AdminChangeReplicasRequest& request);
  Task<absl::Status> RemoveLearners(const Context& ctx, const std::set<StoreId>& stores);
  Task<absl::Status> SwitchVoters(const Context& ctx, const v1::AdminChangeReplicasRequest& request);
  Task<absl::Status> LeaveJoint(const Context& ctx);
  Task<absl::Status> HandOver(const Context& ctx, const std::set<StoreId>& going);
  Task<absl::Status> ChangeStep(Context ctx, DescriptorEdit edit);
  Task<absl::Status> HoldLease(const Context& ctx);
  void FinishChangeSoon();
  Task<void> FinishChange(uint64_t lease_sequence);
  void EvictRemoved();
  Task<void> EvictOne(RemovedReplica removed, uint64_t lease_sequence);
  Task<absl::Status> ForgetRemoved(const RemovedReplica& gone);

  // replica_split.cc
  // Latches over the whole range, for whatever changes it as a whole.
  struct WholeRange {
    std::string start, end;
    std::optional<Sequencer::Ticket> ticket;  // over [start, end) and all rows of records; views into the above
  };
  Task<absl::Status> LatchWhole(const Context& ctx, WholeRange& whole);
  Task<absl::Status> LeadWhole(const Context& ctx, WholeRange& whole, Work& work);
  Task<absl::StatusOr<mvcc::Stats>> CountStats(const Context& ctx, std::string start, std::string end);
  Task<absl::Status> AdminSplit(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response);

  // replica_merge.cc
  Task<absl::Status> WakeNeighbour(const Context& ctx, std::string key);
  Task<absl::Status> AdminMerge(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response);
  Task<absl::Status> Subsume(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response);
  Task<absl::Status> Freeze(Frozen frozen);
  Task<void> FindFate(std::string merge_id, Duration wait);
  void LoadFrozenState();
  absl::Status CheckServing() const;
  static absl::Status CaughtUp(const absl::Status& awaited);

  // replica_address.cc
  Task<absl::Status> WriteAddress(const Context& ctx, v1::RangeDescriptor range);
  Task<absl::StatusOr<bool>> WriteSplitAddresses(const Context& ctx, v1::RangeDescriptor before, v1::RangeDescriptor left, v1::RangeDescriptor right);
  void SplitWritten();
  Task<absl::Status> PublishSplit(const Context& ctx, v1::RangeDescriptor before, v1::RangeDescriptor left, v1::RangeDescriptor right);
  Task<absl::Status> PublishAddress(Context ctx);
  Task<void> PublishUntilDone();
  bool AddressPending() const;

  RangeGroup* group_;  // null once closed
  ReplicaDeps deps_;
  StoreMetrics* const metrics_;
  RangeId range_id_;
  Lease lease_;  // the last one acquired here; sequence 0: none
  LockTable locks_;
  Sequencer sequencer_;
  TimestampCache reads_;
  TimestampCache releases_;
  TimestampCache markers_;
  PushQueue pushes_;
  DecayedRate batches_, writes_;  // since the lease came
  MonoTime settled_since_{};      // the lease, a split or a merge came
  LoadSplitter splitter_;
  Timestamp gc_threshold_;     // of the present lease
  Timestamp gc_policy_floor_;  // of the present lease: see GcRequest.hold
  Timestamp marked_;           // no transaction of which markers_ says something began later
  Timestamp observed_floor_;   // when it last took a neighbour in: what transactions observed before says nothing about those keys
  AbortedTxns aborted_;           // of the present lease
  size_t sweep_aborted_at_ = 0;   // so many are worth a look at how old they are
  std::optional<Frozen> frozen_;  // it is about to be taken in; of the present lease
  bool tidying_ = false;
  uint64_t outcomes_written_ = 0;
  std::string outcome_cursor_;  // where the last sweep ended
  bool sweeping_ = false;
  bool publishing_ = false;     // PublishUntilDone runs
  int splits_writing_ = 0;      // that write this range's address themselves
  Condition address_changed_;   // or may be published now
  Condition address_tried_;
  bool changing_ = false;                // AdminChangeReplicas runs
  uint64_t finishing_ = 0;               // the lease that FinishChange runs for
  std::set<std::pair<RangeId, ReplicaId>> evicting_;  // removed replicas that EvictOne tells so
  Context ctx_;
  std::unique_ptr<IntentResolver> resolver_;
  TaskGroup background_;
};

// The state machine that a group is to drive, with its Replica inside.
std::unique_ptr<RangeStateMachine> MakeReplica(RangeGroup* group, ReplicaDeps deps);
// The replica of a group whose state machine MakeReplica made.
std::shared_ptr<Replica> ReplicaOf(const RangeGroup& group);

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_REPLICA_H_
