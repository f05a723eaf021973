// All consensus groups of one store: who has something to do, who sleeps, what goes where.
//
//   other stores ──► StoreStreams ──► Step ──┐
//   proposals, requests ─────────────────────┼─► dirty groups ─► ready loop ─► RaftGroup::ProcessReady
//   log engine, ticks ───────────────────────┘                                   │ messages, appends, applies
//
//   asleep ──a message or request that leaves it NeedsTicks()──► awake: ticked every 50 ms ──NeedsTicks() no more──► asleep
//                                                                 awake ──only silent followers are behind──► rests (multiraft_rest.cc)
//
// A sleeping group costs its memory: no timer, no message. When a store loses support, groups with recent traffic and its leader
// there try an election at once; sleeping ones when they are next asked for something. Elections are rate-limited.
//
// The log is forgotten only behind a flush of the state engine (truncation.h).
// Thread safety: loop thread only.
#ifndef INSULA_KV_MULTIRAFT_MULTIRAFT_H_
#define INSULA_KV_MULTIRAFT_MULTIRAFT_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/hlc/hlc.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "kv/metrics/store_metrics.h"
#include "kv/multiraft/incarnations.h"
#include "kv/multiraft/liveness_driver.h"
#include "kv/multiraft/log_engine.h"
#include "kv/multiraft/raft_group.h"
#include "kv/multiraft/range_group.h"
#include "kv/multiraft/snapshot.h"
#include "kv/multiraft/store_streams.h"
#include "kv/multiraft/truncation.h"
#include "kv/storage/engine.h"
#include "proto/kv/raft.pb.h"

namespace insula::kv {

struct MultiRaftOptions {
  uint64_t node_id = 0;
  StoreId store_id = 0;
  std::vector<StoreId> stores;
  StoreResolver resolver;
  PeerCheck peer_check;
  RangeStateMachineFactory factory;
  Duration tick = std::chrono::milliseconds(50);
  int election_ticks = 20;
  int heartbeat_ticks = 4;
  Duration recent = std::chrono::seconds(30);  // traffic within it makes a group try an election when its leader's store dies
  int elections_per_second = 200;
  SnapshotOptions snapshots;
  TruncationOptions truncation;
  StoreMetrics* metrics = StoreMetrics::Nowhere();  // outlives it
};

// What a store does when ranges come and go (kv/store).
class RangeLifecycle {
 public:
  virtual ~RangeLifecycle() = default;
  // An entry at `index` of `left` is about to split it. Until the right side's beginnings and a redo record are durable in the log.
  virtual Task<absl::Status> PrepareSplit(const Context& ctx, const SplitTrigger& split, uint64_t index) = 0;
  // Adds the rows of both sides' descriptors and of the right side's state. Fails on damage only.
  virtual absl::Status AddSplitRows(const SplitTrigger& split, storage::WriteBatch* batch) = 0;
  // The rows are written and left has its new descriptor: makes the right side's group. Null if it is there already.
  virtual RaftGroup* FinishSplit(const SplitTrigger& split) = 0;
  // An entry at `index` of the merge's left side is about to take the right side in. Until this store's replica of that has applied what
  // belongs to the merge, and a redo record is durable.
  virtual Task<absl::Status> PrepareMerge(const Context& ctx, const MergeTrigger& merge, uint64_t index) = 0;
  // Adds the rows of the merged range's descriptor, and takes away what the right side had as a range. Fails on damage only.
  virtual absl::Status AddMergeRows(const MergeTrigger& merge, storage::WriteBatch* batch) = 0;
  // The rows are written: the right side's replica goes. The log forgets it behind the engine's next flush.
  virtual void FinishMerge(const MergeTrigger& merge) = 0;
  // Ranges here that have ended, as `newer` has keys of theirs: a snapshot of it takes their place.
  virtual std::vector<v1::RangeDescriptor> EndedBy(const v1::RangeDescriptor& newer) = 0;
  // Their rows are gone: the replicas go.
  virtual void ForgetEnded(RangeId range) = 0;
  // The range's replica here takes no part any more.
  virtual void ReplicaStopped(RangeId range) = 0;
  // A message for a range that is not here. Null: drop it.
  virtual std::shared_ptr<RaftGroup> CreateForMessage(const v1::RaftEnvelope& envelope) = 0;
  // A message for a replica of a range with a higher id than the one here has: that one was removed, and another is to come.
  virtual void ReplicaReplaced(const v1::RaftEnvelope& envelope) {}
  // `from` says that replicas of a range are gone for good: the ones here, if any, go too, and those of ranges that it had taken in, and
  // `from` is told so.
  virtual void ReplicaGone(StoreId from, v1::ReplicaGone gone) {}
  // Whether `range` may be here, as far as the other ranges here are concerned: those that it has ended do not count.
  virtual absl::Status MayHold(const v1::RangeDescriptor& range) = 0;
  // `group` has another descriptor, or its first (`old` has no range id then).
  virtual void DescriptorReplaced(RaftGroup* group, const v1::RangeDescriptor& old) = 0;
  // `group` applied an entry that may have changed what the range holds.
  virtual void Wrote(RaftGroup* group) {}
  // `group` holds its range's lease from now on.
  virtual void LeaseAcquired(RaftGroup* group) {}
  // `group` has just applied an entry with this check id (command.h).
  virtual void Check(RaftGroup* group, const std::string& id) {}
  // Support between this store and these began or ended, in either direction.
  virtual void SupportChanged(const std::set<StoreId>& stores) {}
  // What goes along with liveness messages (store_streams.h), and what came along.
  virtual const v1::StoreLoad* LoadFor(StoreId to) { return nullptr; }
  virtual void LoadHeard(const v1::StoreLoad& load) {}
  // The store cannot go on.
  virtual void Fatal(absl::Status why) = 0;
};

class MultiRaft : private StoreStreams::Receiver {
 public:
  // All must outlive it. Registers handlers with `transport`, which must not listen yet.
  MultiRaft(const Runtime& runtime, Transport* transport, HybridClock* clock, MultiRaftOptions options);
  ~MultiRaft() override;

  // The stores of the cluster as far as they are known, for store liveness. Before Open.
  void SetStores(std::vector<StoreId> stores) { options_.stores = std::move(stores); }
  // Another one: support is asked of it from now on. Once open; again does nothing. Whoever speaks to us and whoever has a replica of a
  // range here is made known without further ado.
  void AddStore(StoreId store);
  // One that left the cluster for good.
  void RemoveStore(StoreId store);
  // Once the engines are open. Groups may be added then.
  absl::Status Open(storage::Engine* engine, LogEngine* log, RangeLifecycle* lifecycle);
  // Begins to work: groups added before and after take part.
  void Start();
  // Ends all work; the groups go.
  void Stop(const absl::Status& why);

  void Add(std::shared_ptr<RaftGroup> group);
  void Remove(RangeId range, const absl::Status& why);
  std::shared_ptr<RaftGroup> Find(RangeId range) const;
  const std::map<RangeId, std::shared_ptr<RaftGroup>>& groups() const { return groups_; }
  // Flushes the state engine, then forgets what the log need not hold any more.
  Task<absl::Status> FlushAndTruncate(const Context& ctx) { return truncation_->Run(ctx); }
  Truncation& truncation() { return *truncation_; }

  // -- For groups --
  const Runtime& runtime() const { return runtime_; }
  const MultiRaftOptions& options() const { return options_; }
  StoreMetrics& metrics() { return *options_.metrics; }
  storage::Engine& engine() { return *engine_; }
  LogEngine& log() { return *log_; }
  HybridClock& clock() { return *clock_; }
  LivenessDriver& liveness() { return *liveness_; }
  const LivenessDriver& liveness() const { return *liveness_; }
  RangeLifecycle& lifecycle() { return *lifecycle_; }
  SnapshotTransfer& snapshots() { return snapshots_; }
  const Context& ctx() const { return tasks_.ctx(); }
  void Spawn(Task<void> task) { tasks_.Spawn(std::move(task)); }
  void MarkDirty(RaftGroup* group);
  void Wake(RaftGroup* group);
  // Something happened that may make a silent follower of `range` answer, or is to be seen to by ticks.
  void EndRest(RangeId range) { resting_.erase(range); }
  // Tries elections now and again until somebody leads, or a few seconds have passed.
  void WantElection(RaftGroup* group, Duration delay);
  bool TakeElectionPermit();
  void SendRaft(RaftGroup* group, raft::Message message);
  void SendGone(StoreId to, v1::ReplicaGone gone) { streams_.Send(to, std::move(gone)); }
  // Some store began or ceased to support or to be supported.
  Condition& support_changed() { return support_changed_; }
  void NoteServed(Timestamp t) { served_ = std::max(served_, t); }
  Timestamp served() const { return served_; }
  // Of other stores' leaders: what they may have served.
  void NoteHeard(Timestamp t) { heard_ = std::max(heard_, t); }
  Timestamp heard() const { return heard_; }
  size_t awake_groups() const { return awake_.size(); }
  size_t resting_groups() const { return resting_.size(); }
  // A message for `group` out of the ordinary way (snapshots).
  std::shared_ptr<RaftGroup> FindOrCreate(const v1::RaftEnvelope& envelope);
  // A message came before the split that is to make its replica was applied here: it is kept, the newest of each range, and
  // TakeEarly delivers it. Otherwise that replica would hear nothing until its leader's next tick, and where one split follows the other,
  // each in the range that the last one made, a store that is behind would come no nearer than by one of them per tick.
  void KeepEarly(const v1::RaftEnvelope& envelope);
  void TakeEarly(RaftGroup* group);
  // A replica has gone, or holds less than before: those that could not be made, as it held their keys, may be now.
  void RetryEarly();

 private:
  struct Election {
    MonoTime next;
    MonoTime give_up;
    std::optional<MonoTime> asked;  // the others for their votes, last
  };
  // What time and messages of their own do to it.
  struct Standing {
    uint64_t term = 0, last_index = 0, commit = 0, generation = 0;
    bool operator==(const Standing&) const = default;
  };
  struct Awake {
    Standing standing;
    MonoTime since{};  // it has been like that
    std::map<ReplicaId, int> heard;  // messages, since then
  };
  struct Rest {
    Standing standing;
    std::set<ReplicaId> silent;
    Duration pause{};
    MonoTime next{};  // time to ask them
  };
  static Standing StandingOf(const RaftGroup& group);
  bool StillRests(const RaftGroup& group, const Rest& rest) const;
  // It has just been ticked. True: it rests from now on.
  bool BeginsToRest(RaftGroup* group, Awake& awake, MonoTime now);
  void AskTheSilent(MonoTime now);
  std::optional<MonoTime> NextAsking() const;
  void Heard(RangeId range, ReplicaId from);
  Task<void> DeliverEarly();
  void ReceiveMessages(v1::StoreMessages messages) override;
  void Undelivered(StoreId store, const std::vector<RangeId>& ranges) override;
  void ReceiveRaft(v1::RaftEnvelope envelope);
  bool IsSameStore(const v1::StoreMessages& messages);
  bool ClockIsSane(const v1::StoreMessages& messages);
  void ClockRefused(StoreId by, uint64_t our_wall_us, uint64_t its_wall_us);
  void StopIfClockIsWrong();
  bool IsTooFarAhead(Timestamp t) const;
  void OnSupportChanged(const std::set<StoreId>& stores);
  Task<void> SupportChanged(std::set<StoreId> stores);
  Task<void> Bury(std::shared_ptr<RaftGroup> group);
  Task<void> ReadyLoop();
  Task<void> Ticker();
  void TryElections(MonoTime now);
  bool Elects(RaftGroup* group, Election& e, MonoTime now);

  Runtime runtime_;
  HybridClock* clock_;
  MultiRaftOptions options_;
  storage::Engine* engine_ = nullptr;
  LogEngine* log_ = nullptr;
  RangeLifecycle* lifecycle_ = nullptr;
  StoreStreams streams_;
  SnapshotTransfer snapshots_;
  std::unique_ptr<LivenessDriver> liveness_;
  std::unique_ptr<Truncation> truncation_;
  std::map<RangeId, std::shared_ptr<RaftGroup>> groups_;
  std::deque<std::weak_ptr<RaftGroup>> dirty_;
  Condition has_dirty_;
  std::map<RangeId, Awake> awake_;
  std::map<RangeId, Rest> resting_;
  std::map<RangeId, Election> elections_;
  std::map<RangeId, v1::RaftEnvelope> early_;
  std::deque<RangeId> early_order_;  // of their first arrival
  bool delivering_early_ = false;
  Condition has_awake_;
  Condition support_changed_;
  Timestamp served_;
  Timestamp heard_;
  double election_permits_ = 0;
  MonoTime permits_at_{};
  std::optional<Incarnations> incarnations_;
  std::set<StoreId> clocks_ahead_;              // stores whose clocks were too far ahead of ours when they were last heard of
  std::map<StoreId, MonoTime> clocks_behind_;   // and too far behind, as they say: when they last said so
  bool started_ = false;
  TaskGroup tasks_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_MULTIRAFT_H_
