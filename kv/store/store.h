// All replicas of one disk: opening and closing it, replicas that come and go, and what finishes their steps after a crash.
//
//   InitStore(…)                                     // once, explicitly (bootstrap.h)
//   Store store(runtime, &transport, engines, options);   // registers its handlers; then transport.Listen
//   CO_RETURN_IF_ERROR(co_await store.Start(ctx));   // redo records, applied indexes, then consensus
//   store.Find(range_id)->state_machine() …
//   co_await store.Stop(ctx);                        // flushed: the next start is quick
//
// What makes log and state engine agree about the past (the barriers):
//   B1  The log forgets only what a finished flush of the state engine covers (kv/multiraft/truncation.h).
//   B2  Each step of a replica's life is announced by a redo record before it touches anything (kv/multiraft/redo.h).
//   B3  A range's hard state says at least what the engine shows as applied, before consensus starts.
//   B4  A split never overwrites the term or vote of its right side.
//   B5  No two initialized replicas of a store hold the same key; what a replica that is being destroyed held counts until it is cleared.
//   B6  Of a range there is one replica here at a time, and ids only rise: what was destroyed does not come back, whoever writes to it.
//
// Thread safety: loop thread only.
#ifndef INSULA_KV_STORE_STORE_H_
#define INSULA_KV_STORE_STORE_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/hlc/hlc.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "kv/api/sender.h"
#include "kv/metrics/store_metrics.h"
#include "kv/multiraft/log_engine.h"
#include "kv/multiraft/multiraft.h"
#include "kv/multiraft/range_group.h"
#include "kv/multiraft/redo.h"
#include "kv/replica/range_load.h"
#include "kv/storage/engine.h"
#include "kv/store/consistency.h"
#include "kv/store/disk_space.h"
#include "kv/store/gc_queue.h"
#include "kv/store/merge_queue.h"
#include "kv/store/replicate_queue.h"
#include "kv/store/split_queue.h"
#include "kv/store/store_files.h"
#include "kv/store/store_pool.h"
#include "proto/kv/api.pb.h"
#include "proto/kv/status.pb.h"

namespace insula::kv {

// Below it, per second, it is as if nobody had asked: rates fade, but never end.
inline constexpr double kLeastRate = 0.01;

struct StoreOptions {
  std::string path;
  uint64_t node_id = 0;  // must be those that the store was initialised with
  StoreId store_id = 0;
  std::string cluster_id;  // empty: whatever the store says
  Duration max_offset = kDefaultMaxOffset;
  StoreResolver resolver;              // addresses of the other stores
  PeerCheck peer_check;                // empty: a node certificate of that store's node
  RangeStateMachineFactory factory;    // makes the replicas
  std::function<void(absl::Status)> on_fatal;  // the store cannot go on: end the process
  uint64_t log_segment_bytes = 16 << 20;
  uint64_t log_cache_bytes = 32 << 20;
  TruncationOptions truncation;
  SnapshotOptions snapshots;
  Duration clock_patience = std::chrono::seconds(30);
  Duration presplit_rest = std::chrono::seconds(1);  // between two looks at how many are free
  uint64_t presplit_least_free = 32;  // fewer keyspaces with a range of their own than this: split off a block
  uint64_t presplit_block = 64;
  GcOptions gc;
  ConsistencyOptions consistency;
  std::shared_ptr<StoreMetrics> metrics = nullptr;  // where the store counts; null: its own
  SplitOptions split;
  MergeOptions merge;
  StorePoolOptions pool;
  ReplicateOptions replicate;
  std::string locality;  // kv/placement/locality.h
  std::string address = {};  // of this node, for the others
  std::function<void(const v1::StoreLoad&)> load_heard = nullptr;  // of another store; empty: nobody else looks
  std::function<v1::RangeDescriptor()> meta_range = nullptr;       // goes along with loads; empty: not known
  std::function<absl::StatusOr<DiskSpace>()> disk_space = nullptr;  // empty: not known
};

class Store : private RangeLifecycle, private PlacedRanges {
 public:
  // `transport` must not listen yet; all outlive the store.
  Store(const Runtime& runtime, Transport* transport, storage::EngineFactory engines, StoreOptions options);
  ~Store() override;

  // kFailedPrecondition, with what to do, for a folder that is not initialised, is another store's or newer; kUnavailable when another
  // process has it open; kDataLoss when it is damaged beyond single replicas.
  Task<absl::Status> Start(const Context& ctx);
  // Ends all work, flushes, and closes. Idempotent.
  Task<absl::Status> Stop(const Context& ctx);

  // A way to all ranges, for the store's own background work (splitting off keyspaces, garbage). Until it is set, that rests.
  void SetSender(Sender* sender);

  // Members of the cluster, as they become known or change; a store of a DECOMMISSIONED node is left alone. After Start.
  void SetMembers(const std::vector<v1::NodeRecord>& members);
  // Gives all leases away and takes none, or does so no more. For this run only.
  void SetDraining(bool draining);
  bool draining() const { return draining_; }
  // How near the disks are to holding writes back that this store, as leaseholder, has written to within the last second: the highest of
  // what their stores say, and its own. From 0; at 1 one of them holds writes back, and all that its loop serves with them.
  double WritePressure() const;

  const StoreIdent& ident() const { return ident_; }
  HybridClock& clock() { return clock_; }
  bool started() const { return started_; }
  // All replicas have applied what was known to be committed at the start.
  bool ready() const;

  // Null: not here.
  std::shared_ptr<RaftGroup> Find(RangeId range) const { return multiraft_.Find(range); }
  std::shared_ptr<RaftGroup> FindByKey(std::string_view key) const;
  // Descriptors of the ranges here that overlap [key, end_key) (empty: the single key), in key order.
  std::vector<v1::RangeDescriptor> LocalRanges(std::string_view key, std::string_view end_key) const;
  // Why a range that should be here is not: damage found at the start.
  absl::Status RangeProblem(RangeId range) const;
  // Replicas that were found damaged at the start.
  uint64_t damaged_count() const { return damaged_.size(); }
  uint64_t lease_count() const;
  // ranges, leases, ready, supported_stores, now, and with `ranges` one row for each.
  void FillStatus(bool ranges, v1::NodeStatusResponse* out) const;
  // The ranges led here that are asked for most, at most `limit` (0: 20).
  void FillHotRanges(size_t limit, v1::HotRangesResponse* out) const;
  // Takes a replica off this store for good: replicas with ids below `next_replica` never come back. Returns when nothing is left of it.
  Task<absl::Status> DestroyReplica(const Context& ctx, RangeId range, ReplicaId next_replica);
  // kResourceExhausted while the disk is full.
  absl::Status disk_status() const;

  MultiRaft& multiraft() { return multiraft_; }
  const MultiRaft& multiraft() const { return multiraft_; }
  storage::Engine& engine() { return *engine_; }
  LogEngine& log() { return *log_; }
  const GcQueue& gc() const { return gc_; }
  ConsistencyChecker& checks() { return checks_; }
  StoreMetrics& metrics() { return *options_.metrics; }
  SplitQueue& splits() { return splits_; }
  const MergeQueue& merges() const { return merges_; }
  StorePool& pool() { return pool_; }
  const ReplicateQueue& replicate() const { return replicate_; }

 private:
  // store_start.cc
  absl::Status OpenFiles();
  Task<absl::Status> FinishRedos(const Context& ctx);
  absl::Status FinishSnapshotRedo(uint64_t id, const Redo& redo, LogBatch* batch);
  absl::Status FinishSplitRedo(uint64_t id, const Redo& redo, LogBatch* batch);
  absl::Status FinishMergeRedo(uint64_t id, const Redo& redo, LogBatch* batch);
  absl::Status CloseMergeRedo(uint64_t id, const Redo& redo, LogBatch* batch);
  Task<absl::Status> FinishDestroyRedo(const Context& ctx, uint64_t id, const Redo& redo);
  absl::Status CloseOlderRedos(uint64_t id, RangeId range, LogBatch* batch);
  Task<absl::Status> LoadRanges(const Context& ctx);
  // kDataLoss: this replica cannot take part. Adds to `batch` what its hard state must say.
  absl::Status CheckRange(const LoadedRange& range, LogBatch* batch);

  // RangeLifecycle: store_lifecycle.cc
  Task<absl::Status> PrepareSplit(const Context& ctx, const SplitTrigger& split, uint64_t index) override;
  absl::Status AddSplitRows(const SplitTrigger& split, storage::WriteBatch* batch) override;
  RaftGroup* FinishSplit(const SplitTrigger& split) override;
  // store_merge.cc
  Task<absl::Status> PrepareMerge(const Context& ctx, const MergeTrigger& merge, uint64_t index) override;
  absl::Status AddMergeRows(const MergeTrigger& merge, storage::WriteBatch* batch) override;
  void FinishMerge(const MergeTrigger& merge) override;
  std::vector<v1::RangeDescriptor> EndedBy(const v1::RangeDescriptor& newer) override;
  void ForgetEnded(RangeId range) override;
  void ReplicaStopped(RangeId range) override;
  Task<void> ForgetMerged(RangeId range, uint64_t redo);
  const v1::RangeDescriptor* DescriptorHere(RangeId range) const;
  void LearnFrozen(RangeId range);
  bool IsAwaited(RangeId ended);
  // store_status.cc
  void FillRangeStatus(const RaftGroup& group, v1::RangeStatus* row) const;
  // store_placement.cc
  void StartPlacement();
  void SayStopped(v1::StoreLoad* load) const;
  ReplicaId ReplicaIdHere(const v1::RangeDescriptor& descriptor) const;
  void CountOwn();
  bool TakesReplicas(StoreId store);
  void FillLoad(v1::StoreLoad* load);
  void SupportChanged(const std::set<StoreId>& stores) override;
  const v1::StoreLoad* LoadFor(StoreId to) override { return started_ ? pool_.LoadFor(to) : nullptr; }
  void LoadHeard(const v1::StoreLoad& load) override;
  std::vector<RangeId> Ranges() override;
  std::optional<Look> LookAt(RangeId range) override;
  Task<absl::Status> AskForLease(Context ctx, RangeId range) override;
  // store_lifecycle.cc
  std::shared_ptr<RaftGroup> CreateForMessage(const v1::RaftEnvelope& envelope) override;
  void ReplicaReplaced(const v1::RaftEnvelope& envelope) override;
  void ReplicaGone(StoreId from, v1::ReplicaGone gone) override;
  absl::Status MayHold(const v1::RangeDescriptor& range) override;
  void DescriptorReplaced(RaftGroup* group, const v1::RangeDescriptor& old) override;
  void Wrote(RaftGroup* group) override;
  void LeaseAcquired(RaftGroup* group) override;
  void Check(RaftGroup* group, const std::string& id) override { checks_.Applied(group, id); }
  void Fatal(absl::Status why) override;
  RangeState RightState(const SplitTrigger& split) const;
  // The ranges here that hold keys of `range` look for their leader, or elect one.
  void WakeOverlapping(const v1::RangeDescriptor& range);
  // The ranges beside a range, if they are on this store. Null: not.
  std::shared_ptr<RaftGroup> LeftOf(RangeId range) const;
  std::shared_ptr<RaftGroup> RightOf(RangeId range) const;
  Task<absl::Status> RemoveReplicasBelow(const Context& ctx, RangeId range, ReplicaId next_replica);
  // Below it, replicas of `range` are gone for good.
  ReplicaId NextReplica(RangeId range) const;
  Task<absl::Status> RemoveEndedBy(const Context& ctx, const v1::RangeDescriptor& newer);
  Task<absl::Status> Destroy(const Context& ctx, RangeId range, ReplicaId next_replica, v1::RangeDescriptor held);
  Task<absl::Status> FlushAtLast(const Context& ctx, RangeId range);
  Task<void> AnswerGone(StoreId from, v1::ReplicaGone gone);
  Task<void> Replace(RangeId range, ReplicaId replica);

  // A split that is being applied, by (left range, index).
  struct OpenSplit {
    uint64_t redo = 0;        // 0: none is needed
    RangeId right = 0;
    bool right_gone = false;  // this store's replica of the right side was removed before it came to be
  };

  // What this store carries, as it was last counted.
  struct Own {
    bool counted = false;
    std::tuple<uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, size_t> happened;  // what had happened by then
    uint64_t ranges = 0;
    uint64_t leases = 0;
    int64_t bytes = 0;
    double batches_per_second = 0;
    double writes_per_second = 0;
    std::map<RangeId, ReplicaId> stopped;
  };

  // presplit.cc
  Task<void> PresplitLoop();
  bool PresplitDue() const;
  Task<absl::Status> PresplitOnce(const Context& ctx);
  Task<absl::StatusOr<uint64_t>> FirstSharedKeyspace(const Context& ctx);
  Task<absl::StatusOr<std::vector<v1::RangeDescriptor>>> RangesFrom(const Context& ctx, std::string key, uint64_t more);
  Task<absl::Status> SplitOff(const Context& ctx, uint64_t from, uint64_t end);
  Task<absl::Status> SplitAt(const Context& ctx, uint64_t keyspace);
  Task<absl::Status> FinishBlock(const Context& ctx, uint64_t next);

  Runtime runtime_;
  Transport* transport_;
  storage::EngineFactory engines_;
  StoreOptions options_;
  HybridClock clock_;
  StoreIdent ident_;
  Sender* sender_ = nullptr;
  bool started_ = false;
  bool fatal_ = false;
  bool draining_ = false;
  std::unique_ptr<AppendFile> lock_;
  std::unique_ptr<storage::Engine> engine_;
  std::unique_ptr<LogEngine> log_;
  MultiRaft multiraft_;
  std::map<std::string, RangeId, std::less<>> by_start_;           // initialized replicas, the damaged too
  std::map<RangeId, v1::RangeDescriptor> damaged_;                 // replicas that cannot take part
  uint64_t stops_ = 0;  // of replicas, since the start
  std::map<RangeId, absl::Status> problems_;                       // why
  std::map<std::pair<RangeId, uint64_t>, OpenSplit> open_splits_;
  std::map<RangeId, uint64_t> merge_redos_;                        // by right range
  Condition merge_progress_;                                       // something was applied, for merges that wait for it
  std::map<RangeId, ReplicaId> entombing_;                         // tombstones that are being written
  std::map<RangeId, v1::RangeDescriptor> destroying_;              // what they held; without a range id: nothing
  GcQueue gc_;
  ConsistencyChecker checks_;
  ConsistencyQueue comparisons_;
  SplitQueue splits_;
  MergeQueue merges_;
  Own own_;
  DecayedRate writes_;                                             // entries applied here that write, of all ranges
  std::map<StoreId, MonoTime> written_to_;                         // where what this store leads was written last, by store
  StorePool pool_;
  ReplicateQueue replicate_;
  uint64_t presplit_seen_ = 0;                                     // applied index of the system range at the last look
  bool presplit_whole_ = false;                                    // no block is cut short
  Condition presplit_wanted_;                                      // there may be a reason to look
  TaskGroup tasks_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_STORE_H_
