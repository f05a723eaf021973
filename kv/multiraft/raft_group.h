// One range's consensus group on one store: the RangeGroup that kv/replica sees, driving a raft::RawNode by its contract.
//
//                    ┌──────────── ProcessReady (loop of MultiRaft, when dirty) ────────────┐
//   Step, Propose ──►│ RawNode ─► messages ─► other stores (at once)                        │
//                    │         ─► append    ─► log engine ─► responses (when durable)       │
//                    │         ─► apply     ─► engine batch ─► state machine ─► proposals   │
//                    └───────────────────────────────────────────────────────────────────────┘
//
//   life of a group
//     uninitialized (made by a message; knows its id only) ──snapshot──► initialized ──stop / damage──► stopped
//                                                                            └─applies its own removal─► removed ──► destroyed by its store
//
// Invariants:
//   A1  state_ is what the engine holds; both change in the same step of the loop.
//   A2  Entries apply in order, each once; what waits (a split, a full engine) holds back what follows (apply_busy_).
//   A3  lease_.sequence is not 0 exactly while LeaseAcquired was told and LeaseLost was not.
//   A4  A removed replica applies nothing more: it gives its vote and its log to those who may need them until its store is told that
//       a majority does without (kv/raft/raw_node.h, rule 11).
//
// Thread safety: loop thread only.
#ifndef INSULA_KV_MULTIRAFT_RAFT_GROUP_H_
#define INSULA_KV_MULTIRAFT_RAFT_GROUP_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "kv/multiraft/log_engine.h"
#include "kv/multiraft/range_group.h"
#include "kv/multiraft/range_state.h"
#include "kv/raft/config.h"
#include "kv/multiraft/snapshot_rows.h"
#include "kv/raft/raw_node.h"
#include "kv/storage/engine.h"
#include "proto/kv/api.pb.h"
#include "proto/kv/raft.pb.h"

namespace insula::kv {

class MultiRaft;

// A snapshot that arrived whole and waits for consensus to ask for its installation.
struct StagedSnapshot {
  StagedSnapshot(v1::RangeDescriptor range, StagedRows staged) : descriptor(std::move(range)), rows(std::move(staged)) {}
  v1::RangeDescriptor descriptor;
  StagedRows rows;
  RangeState state;
  bool taken = false;  // consensus wants it
  Event done;
  absl::Status result = absl::UnknownError("the snapshot is being installed");
};

class RaftGroup final : public RangeGroup, public std::enable_shared_from_this<RaftGroup>, private raft::Storage, private raft::StoreLivenessView {
 public:
  RaftGroup(MultiRaft* host, RangeId range, ReplicaId replica);
  ~RaftGroup() override;

  // -- Life --
  // What the engine holds of the range; makes the state machine.
  void Initialize(v1::RangeDescriptor descriptor, RangeState state);
  // Begins to take part. The log engine has the replica.
  void StartConsensus();
  // No callback comes any more; proposals end with kUnknown (kUnavailable for new ones).
  void Stop(const absl::Status& why);
  // This replica is no good: as Stop, and whoever it leads is set free.
  void StopDamaged(const absl::Status& why) override;
  // Stopped for good, while the store lives on: ends what its state machine runs.
  Task<void> Close();
  // At the store's end: the state machine goes, and with it whatever of it still holds this group.
  void Dismantle() { machine_.reset(); }
  bool initialized() const { return initialized_; }
  bool stopped() const { return stopped_; }
  const absl::Status& stop_reason() const { return stop_reason_; }

  // -- RangeGroup --
  RangeId range_id() const override { return range_; }
  ReplicaId replica_id() const override { return replica_; }
  uint64_t node_id() const override;
  StoreId store_id() const override;
  const v1::RangeDescriptor& descriptor() const override { return descriptor_; }
  const mvcc::Stats& stats() const override { return state_.stats; }
  uint64_t applied_index() const override { return state_.applied_index; }
  storage::Engine& engine() override;
  HybridClock& clock() override;
  LeaseCheck CheckLease(Timestamp t) override;
  Task<absl::StatusOr<LeaseCheck>> AcquireLease(Context ctx, Timestamp t) override;
  Task<absl::StatusOr<ApplyResult>> Propose(Context ctx, Command command) override;
  bool ProposalsPileUp() const override;
  Task<absl::Status> AwaitProposalRoom(Context ctx) override;
  Task<absl::StatusOr<ApplyResult>> ProposeChange(Context ctx, Command command) override;
  bool IsCaughtUp(ReplicaId replica) const override;
  Task<absl::Status> AwaitCaughtUp(Context ctx, ReplicaId replica) override;
  Task<absl::Status> Evict(Context ctx, StoreId store, ReplicaId next_replica, v1::RangeDescriptor held) override;
  Task<absl::Status> TransferLease(Context ctx, StoreId store) override;
  Task<absl::Status> AwaitReplicated(Context ctx, uint64_t index) override;
  absl::Status disk_status() const override;
  RangeStateMachine* state_machine() const override { return machine_.get(); }

  // -- For MultiRaft --
  void Step(raft::Message message, StoreId from);
  void ProcessReady();
  void Tick();
  bool NeedsTicks() const;
  bool idle() const { return proposals_.empty() && !apply_busy_ && apply_queue_.empty(); }
  bool HasReplicaOn(StoreId store) const { return ReplicaOn(descriptor_, store) != nullptr; }
  // Support began or ended, or may have while this group slept.
  void OnSupportChange();
  // Tries to be elected, if nobody seems to lead. True if there is nothing left to do.
  bool TryElection();
  void Undelivered(StoreId store);
  bool LeaderLooksAlive() const;
  uint64_t leader_node() const;  // 0: not known
  bool holds_lease() const { return lease_.sequence != 0; }
  raft::BasicStatus status() const { return node_ ? node_->GetBasicStatus() : raft::BasicStatus{}; }
  MonoTime last_active() const { return last_active_; }
  const RangeState& state() const { return state_; }
  std::optional<StoreId> StoreOf(raft::NodeId replica) const;
  // How far the log may be forgotten, given what the engine has on disk.
  uint64_t TruncationIndex(uint64_t flushed, bool keep_tail) const;
  // Offers a snapshot. Its `done` is set when it is installed or will not be.
  void OfferSnapshot(std::shared_ptr<StagedSnapshot> staged, raft::Message message, StoreId from);
  void ReportSnapshot(raft::NodeId replica, bool ok);
  // Until no files are being taken in for it: also after Stop.
  Task<absl::Status> AwaitIngest(Context ctx);
  // Everything up to `index` is committed, as a merge says that takes this range in.
  void LearnCommitted(uint64_t index);
  bool applied_to_start() const { return !initialized_ || removed_ || state_.applied_index >= start_commit_; }
  // Not a member any more, as far as it has applied.
  bool removed() const { return removed_; }
  // `store` says that it holds no replica of `range`, which is this one or was taken in, with an id below `next_replica`.
  void NoteEvicted(StoreId store, RangeId range, ReplicaId next_replica);

  // Set by MultiRaft.
  bool in_dirty_list = false;
  bool awake = false;

 private:
  void StopUnreadable();
  Task<void> ReleaseFollowers(uint64_t term);
  struct Proposal {
    uint64_t id = 0;
    uint64_t term = 0;
    size_t bytes = 0;
    MonoTime at{};    // when it was proposed
    Command command;  // as proposed, without decoding it again
    Event done;
    absl::StatusOr<ApplyResult> result = absl::UnknownError("not decided");
  };
  struct ApplyWork {
    raft::Message message;
    size_t next = 0;
  };

  // raft::Storage
  absl::StatusOr<raft::InitialState> ReadInitialState() const override;
  absl::StatusOr<std::vector<raft::Entry>> Entries(uint64_t lo, uint64_t hi, uint64_t max_bytes) const override;
  absl::StatusOr<uint64_t> Term(uint64_t index) const override;
  uint64_t FirstIndex() const override;
  uint64_t LastIndex() const override;
  absl::StatusOr<raft::SnapshotPtr> GetSnapshot(raft::NodeId to) override;
  // raft::StoreLivenessView
  Given SupportFor(raft::NodeId replica) const override;
  Received SupportFrom(raft::NodeId replica) const override;
  bool Expired(uint64_t expiration) const override;
  uint64_t Hlc() const override;
  void ObserveHlc(uint64_t hlc) override;

  void MarkDirty();
  void MarkActive();
  void Route(raft::Message message);
  void Deliver(std::vector<raft::Message> responses);
  // raft_group_apply.cc
  void HandleAppend(raft::Message message);
  void DrainAppends();
  bool PromisesMore(const raft::Message& m);
  Task<void> InstallSnapshot(raft::Message message, std::shared_ptr<StagedSnapshot> staged);
  bool AnnounceEnded(const StagedSnapshot& staged, std::map<RangeId, uint64_t>* ended, LogBatch* batch);
  void ClearSplitOff(StagedSnapshot* staged);
  Task<absl::Status> IngestSnapshot(const Context& ctx, StagedSnapshot* staged, const std::map<RangeId, uint64_t>& announced);
  absl::Status WriteSnapshot(const StagedSnapshot& staged, const std::map<RangeId, uint64_t>& announced);
  void DrainApply();
  enum class Applied { kDone, kWaits };
  Applied ApplyEntry(const raft::Entry& entry);
  Applied ApplyCommand(const raft::Entry& entry);
  void StopAtEntry(const raft::Entry& entry, const absl::Status& why);
  Applied CommitApplied(const raft::Entry& entry, const RangeState& next, storage::WriteBatch batch);
  Task<void> ApplySplit(raft::Entry entry, std::shared_ptr<Proposal> mine, Command command, RangeState next, storage::WriteBatch batch);
  Task<bool> WriteTrigger(const raft::Entry& entry, v1::RangeDescriptor descriptor, RangeState next, storage::WriteBatch batch);
  void EndTrigger(const raft::Entry& entry, const std::shared_ptr<Proposal>& mine);
  // raft_group_merge.cc
  Task<void> ApplyMerge(raft::Entry entry, std::shared_ptr<Proposal> mine, Command command, RangeState next, storage::WriteBatch batch);
  Task<void> RetryApply();
  std::shared_ptr<Proposal> TakeProposal(const raft::Entry& entry);
  void Resolve(const std::shared_ptr<Proposal>& proposal, absl::StatusOr<ApplyResult> result);
  void FailProposals(const absl::Status& why);
  // raft_group_change.cc
  Applied ApplyConfChange(const raft::Entry& entry);
  void DescriptorChanged(const v1::RangeDescriptor& next);
  // raft_group_lease.cc
  void UpdateLease();
  absl::StatusOr<std::shared_ptr<Proposal>> StartProposal(Command command, const raft::ConfChangeV2* change);
  Task<absl::StatusOr<ApplyResult>> AwaitProposal(Context ctx, std::shared_ptr<Proposal> proposal);

  MultiRaft* const host_;
  const RangeId range_;
  const ReplicaId replica_;
  bool initialized_ = false;
  bool removed_ = false;
  bool stopped_ = false;
  absl::Status stop_reason_;
  mutable absl::Status unreadable_;  // why consensus did not get entries of its log
  v1::RangeDescriptor descriptor_;
  RangeState state_;
  std::map<raft::NodeId, StoreId> learned_stores_;  // of replicas that wrote to us, when the descriptor does not tell
  std::unique_ptr<RangeStateMachine> machine_;
  std::unique_ptr<raft::RawNode> node_;
  uint64_t start_commit_ = 0;

  Lease lease_;
  uint64_t next_lease_index_ = 0;
  raft::NodeId known_leader_ = 0;
  Condition lease_changed_;
  Condition progress_changed_;              // of followers, maybe
  std::map<std::pair<StoreId, RangeId>, ReplicaId> evicted_;  // who said so, and below which id
  Condition evicted_changed_;
  MonoTime last_active_{};

  uint64_t next_proposal_ = 0;
  std::map<uint64_t, std::shared_ptr<Proposal>> proposals_;  // by log index
  size_t proposed_bytes_ = 0;
  Condition proposals_ended_;

  std::deque<ApplyWork> apply_queue_;
  bool apply_busy_ = false;
  bool draining_apply_ = false;
  uint64_t conf_applied_at_ = 0;
  raft::ConfState conf_applied_;
  Condition apply_idle_;
  std::deque<raft::Message> appends_;
  std::optional<raft::HardState> promised_;  // as it went into the log last, without a commit index; nullopt: not known
  bool unsynced_promise_ = false;            // some of that goes along with the next write only
  bool installing_ = false;
  bool ingesting_ = false;
  Condition ingest_ended_;
  std::shared_ptr<StagedSnapshot> staged_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_RAFT_GROUP_H_
