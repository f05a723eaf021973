// A whole cluster in memory, in virtual time, from one seed: stores with skewed clocks, disks that lose what was not
// synced, a network that loses, doubles, delays and reorders, crashes, pauses, partitions, membership changes,
// leadership transfers. One group, with one replica per store at most; store liveness is the real one
// (kv/multiraft/liveness.h).
//
// Checked at every step:
//   R1, R3, R4 of raft.h, and R2 now and then; no acknowledged proposal is lost;
//   C1  at no instant do two replicas hold a lease (serve at their own clock's now);
//   C2  whatever is served in a term lies at or below the lease floor of every later term;
// and at the end, when faults have stopped:
//   C3  the group elects a leader with a lease, takes proposals, and all members catch up;
//   C4  then it falls asleep: nobody needs ticks, and no message of the group is sent.
//
// Mutations break a rule that the algorithm relies on, to show that the checks see.
//
// Thread safety: none.
#ifndef INSULA_KV_RAFT_TESTING_CLUSTER_H_
#define INSULA_KV_RAFT_TESTING_CLUSTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "base/runtime/random.h"
#include "kv/multiraft/liveness.h"
#include "kv/raft/memory_storage.h"
#include "kv/raft/raft.h"
#include "kv/raft/raw_node.h"

namespace insula::raft::testing {

enum class Mutation : uint8_t {
  kNone,
  kForgetVote,     // the hard state is written without the vote
  kForgetBond,     // ... without the bond
  kSyncLies,       // a sync reports success and does nothing
  kServeToTheEnd,  // serve until LeadSupportUntil, without the maximum offset
  kWithdrawEarly,  // a supporter breaks its promise before the expiry
  kForgetSupport,  // a supporter forgets what it promised when it restarts
  kNoHlc,          // messages do not carry the clock
};

struct ClusterOptions {
  uint64_t seed = 1;
  bool fortified = true;
  bool async = true;
  int stores = 5;
  int voters = 3;
  bool faults = true;
  bool conf_changes = true;
  uint64_t chaos_ms = 20'000;
  Mutation mutation = Mutation::kNone;
  bool trace = false;  // what the replicas say, to stderr
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);
  ~Cluster();

  // Faults for chaos_ms, then peace, then the checks of the end. Stops at the first violation.
  void Run();

  const std::vector<std::string>& violations() const { return violations_; }

  struct Stats {
    int elections = 0;
    int acknowledged = 0;
    int served = 0;
    int crashes = 0;
    int partitions = 0;
    int conf_changes = 0;
    int snapshots = 0;
    int transfers = 0;
    int slept = 0;
  };
  const Stats& stats() const { return stats_; }

 private:
  using StoreId = kv::StoreId;
  static constexpr uint64_t kMs = 1000;
  static constexpr uint64_t kMaxOffsetMs = 250;

  // The state machine: a digest of all that was applied.
  struct State {
    uint64_t applied = 0;
    uint64_t term = 0;  // of the entry at `applied`
    uint64_t digest = 0;
    ConfState conf;
  };

  struct DiskWrite {
    std::optional<HardState> hard_state;
    std::vector<Entry> entries;
  };

  class GroupStorage : public MemoryStorage {
   public:
    absl::StatusOr<InitialState> ReadInitialState() const override { return InitialState{hard_state(), state->conf}; }
    absl::StatusOr<SnapshotPtr> GetSnapshot(NodeId to) override;
    State* state = nullptr;
  };

  struct Store;
  class View;

  class Tracer : public LogSink {
   public:
    explicit Tracer(Cluster* cluster) : cluster_(cluster) {}
    bool Wants(LogLevel level) const override { return cluster_->options_.trace; }
    void Line(LogLevel level, std::string_view text) override;

   private:
    Cluster* cluster_;
  };

  struct Replica {
    NodeId id = kNone;
    State state;    // of the state engine, in memory
    State flushed;  // ... after a crash
    MemoryStorage durable;
    GroupStorage current;
    std::vector<DiskWrite> unsynced;
    std::unique_ptr<View> view;
    std::unique_ptr<RawNode> raw;  // null while the store is down
    std::deque<Message> append_queue;
    std::deque<Message> apply_queue;
    bool appending = false;
    bool applying = false;
    std::set<std::string> proposed;  // here, since the start
    uint64_t durable_term = 0;
    uint64_t led_term = 0;
  };

  struct Store {
    StoreId id = 0;
    uint64_t skew_us = 0;
    uint64_t hlc = 0;
    uint64_t served = 0;  // the highest timestamp served here
    bool up = true;
    uint64_t incarnation = 0;
    uint64_t paused_until = 0;
    kv::LivenessState liveness_disk;
    std::unique_ptr<kv::SupportManager> liveness;
    std::unique_ptr<Replica> replica;
  };

  struct Event {
    uint64_t at;
    uint64_t sequence;
    StoreId store;         // 0: the world
    uint64_t incarnation;  // of the store
    std::function<void()> run;
    bool operator<(const Event& other) const { return std::tie(at, sequence) > std::tie(other.at, other.sequence); }
  };

  // Time and randomness.
  void After(uint64_t delay_us, std::function<void()> run) { Push(delay_us, 0, std::move(run)); }
  void OnStore(Store* s, uint64_t delay_us, std::function<void()> run) { Push(delay_us, s->id, std::move(run)); }
  void Push(uint64_t delay_us, StoreId store, std::function<void()> run);
  void RunUntil(uint64_t end_us);
  uint64_t Hlc(Store* s);

  // Stores.
  void StartStore(Store* s);
  void Crash(Store* s);
  void TickStore(Store* s);
  void TickReplica(Store* s);
  void HandleLiveness(Store* s);
  Store* StoreOf(NodeId replica) { return &stores_.at(home_.at(replica)); }

  // Replicas.
  void CreateReplica(Store* s, NodeId id);
  void StartReplica(Store* s);
  void DestroyReplica(Store* s);
  void Pump(Store* s);
  void HandleReady(Store* s);
  void WriteOne(Replica* r, const HardState* state, const std::vector<Entry>& entries, const SnapshotPtr& snapshot);
  void SyncDisk(Replica* r);
  void RunAppends(Store* s);
  void RunApplies(Store* s);
  void Apply(Store* s, const std::vector<Entry>& entries);
  void ApplyEntry(Store* s, const Entry& e);
  void Compact(Store* s);

  // Network.
  void Send(Message m, StoreId from);
  void SendLiveness(const kv::LivenessMessage& m, uint64_t hlc);
  std::optional<uint64_t> Transit(StoreId from, StoreId to);
  void Deliver(Store* s, Message m);
  bool Blocked(StoreId from, StoreId to) const;

  // What the world does to them.
  void ClientTurn();
  void FaultTurn();
  void MemberTurn();
  void CollectRemoved(double chance);
  void WantLeader();
  void FinishConfChange();
  void Propose(Store* s);

  // Checks.
  void Violation(std::string text);
  void Look(Store* s);
  bool HoldsLease(Store* s, uint64_t timestamp);
  void CheckLeases();
  void CheckLogs();
  void CheckEnd();

  const ClusterOptions options_;
  Tracer tracer_{this};
  SeededRandom random_;
  uint64_t now_us_ = 1'000'000'000;
  uint64_t sequence_ = 0;
  std::priority_queue<Event> events_;
  std::map<StoreId, Store> stores_;
  std::map<NodeId, StoreId> home_;
  std::set<NodeId> destroyed_;
  NodeId next_replica_ = 1;
  bool chaos_ = true;
  std::map<std::pair<StoreId, StoreId>, uint64_t> blocked_until_;
  int next_value_ = 1;
  uint64_t messages_sent_ = 0;

  std::map<uint64_t, NodeId> leaders_;                           // by term
  std::map<uint64_t, uint64_t> floors_;                          // lease floors by term
  std::map<uint64_t, uint64_t> served_;                          // the highest timestamp by term
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> committed_;  // index -> term, hash of the entry
  std::map<std::string, uint64_t> acknowledged_;                 // value -> index
  std::set<std::string> applied_values_;
  ConfState newest_conf_;
  std::set<NodeId> members_ever_;
  uint64_t newest_conf_index_ = 0;
  std::vector<std::string> violations_;
  Stats stats_;
};

}  // namespace insula::raft::testing

#endif  // INSULA_KV_RAFT_TESTING_CLUSTER_H_
