// A simulated KV cluster: three real nodes (kv/server/node.h: Raft, MVCC, transactions) on simulated hosts, and hosts of clients.
//
//   n1, n2, n3    Node over the model engine, or over RocksDB on the simulated disk; crash and restart keep what the disks kept
//   n4, …         the same, of nodes that joined: they hold no range until one moves there
//   client, …     the workloads' hosts: databases with a node's identity, so that they reach any key; never crash. More than one, as what
//                 one of them knows of leaseholders another may not
//   ghost         like it, but dies in the middle of its transactions: what it leaves must not stay in the way
//
// A node that ends by itself (its disk failed, its clock is wrong, it cannot start) is brought back after a while, as a supervisor
// would; one whose disk was damaged on purpose may refuse for good, and then stays down.
#ifndef INSULA_TEST_SIM_CLUSTER_H_
#define INSULA_TEST_SIM_CLUSTER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/random.h"
#include "base/sim/net.h"
#include "base/sim/simulation.h"
#include "kv/api/version.h"
#include "kv/client/database.h"
#include "kv/multiraft/snapshot.h"
#include "kv/storage/model_engine.h"
#include "kv/store/merge_queue.h"
#include "kv/store/replicate_queue.h"
#include "kv/store/split_queue.h"
#include "kv/store/store_pool.h"
#include "proto/kv/status.pb.h"
#include "test/sim/channel.h"

namespace insula::simtest {

struct ClusterOptions {
  uint64_t seed = 0;
  kv::CoordinatorOptions coordinator;
  Duration trouble_limit = kv::DistSenderOptions().trouble_limit;  // how long clients' batches bear trouble
  // Of the stores; small ones reach truncation, segments' ends and snapshots within a run.
  uint64_t log_segment_bytes = 16 << 20;
  uint64_t log_cache_bytes = 32 << 20;
  kv::SnapshotOptions snapshots;
  Duration truncation_interval = std::chrono::seconds(60);
  uint64_t truncation_tail = 256;
  bool rocks = false;                 // the state engine is RocksDB
  uint64_t write_buffer_bytes = 4 << 20;  // RocksDB's; a good deal more than its empty tables take, or every write makes it flush
  // How long after a write a range's replicas are compared by their leaseholder; zero: not.
  Duration consistency_interval = Duration::zero();
  kv::MergeOptions merge = {.enabled = false};
  kv::SplitOptions split = {.max_bytes = 0, .max_batches_per_second = 0};  // by themselves: not unless a test says so
  kv::ReplicateOptions replicate = {.enabled = false};
  kv::StorePoolOptions pool;
  int joining_nodes = 0;  // besides the three that found the cluster
  std::set<int> old_nodes = {};  // run the first version's program until they are upgraded
};

class SimCluster {
 public:
  static constexpr int kNodes = 3;  // that found the cluster
  static constexpr int kClients = 2;

  explicit SimCluster(const ClusterOptions& options);
  ~SimCluster();

  Simulation& sim() { return sim_; }
  SimProcess* node(int i) { return hosts_[static_cast<size_t>(i)].process; }  // 0…nodes() - 1
  int nodes() const { return static_cast<int>(hosts_.size()); }
  SimProcess* client(int i = 0) { return clients_[static_cast<size_t>(i)]; }
  static std::string AddressOf(int i);
  // Initialises the stores and starts everything.
  absl::Status Start();
  // Of the first client.
  kv::ClientDatabase* database();
  // Of the ghost's; null while it is dead.
  kv::ClientDatabase* ghost_database();
  // What happens to the batches of the client, the ghost and of pods.
  ChannelFaults& channel_faults() { return channel_faults_; }
  // A database for `process` with an identity of its own, kept by what Boot gets.
  std::shared_ptr<void> MakeClient(SimProcess& process, PeerIdentity identity);
  static kv::ClientDatabase* DatabaseOf(SimProcess* process);
  static kv::BatchChannel* ChannelOf(SimProcess* process);
  static Transport* TransportOf(SimProcess* process);

  // Faults.
  void Crash(int i, CrashKind kind = CrashKind::kAny);
  // Not before a node has stayed away for as long as it is to.
  void Restart(int i);
  // Crashes the node; until `away` has passed, or all is healed, nothing brings it back.
  void SendAway(int i, Duration away);
  // The node wants no leases, or wants some again; until it restarts.
  void SetDraining(int i, bool draining);
  bool alive(int i) { return node(i)->alive(); }
  void CrashGhost();
  void RestartGhost();
  // The state engine's part of a full disk.
  void SetFull(int i, bool full);
  // What the state engine says of its disk (not RocksDB).
  void SetWritePressure(int i, double pressure) { hosts_[static_cast<size_t>(i)].disk.write_pressure = pressure; }
  // From now on the node may refuse to start for good: its disk was damaged.
  void MarkDamaged(int i) { hosts_[static_cast<size_t>(i)].damaged = true; }
  bool damaged(int i) const { return hosts_[static_cast<size_t>(i)].damaged; }
  bool retired(int i) const { return hosts_[static_cast<size_t>(i)].retired; }
  // The newest program, from the next start on, which is now.
  void Upgrade(int i);
  bool old(int i) const { return hosts_[static_cast<size_t>(i)].supports < kv::kNewestClusterVersion; }
  bool AnyOld() const;
  // Whether every node that runs has heard that the cluster is at the newest version.
  bool AllAtNewestVersion() const;
  bool AnyAtNewestVersion() const;
  // That no node relies on more than every node's program supports; what is wrong goes to `wrongs`.
  void CheckVersions();
  // What was seen that must never be.
  void NoteWrong(std::string what) {
    if (wrongs_.size() < 10) wrongs_.push_back(std::move(what));
  }
  const std::vector<std::string>& wrongs() const { return wrongs_; }
  // Ends all faults: every node runs (but those that are damaged for good), every link works, disks are quick, clocks are right.
  void Heal();

  // Nodes that ended by themselves: why. Anything but full and failing disks, wrong clocks and damage is a violation.
  const std::vector<std::string>& ends() const { return ends_; }
  // Empty: the state engines of all sound nodes hold the same versions and locks of each range that they are a part of, and nothing
  // else. Else what differs.
  std::string CompareReplicas();
  // The ranges that anything ever happened to: their first keys.
  std::vector<std::string> UsedRanges();
  // The node that leads the range of `key`, as it says itself; -1: none does.
  int LeaderOf(std::string_view key);
  // A row of the node's state engine (not RocksDB) cannot be read any more. False: it holds none. The node counts as damaged.
  bool DamageRow(int i, Random& random);
  // What a sound node says of replicas that take no part.
  std::vector<std::string> Problems();
  // What a node that is alive answers to whoever scrapes it.
  std::string Metrics(int i);
  // Of each range whose replicas have not applied the same, as each node sees it: for reports of what stands still.
  std::string DescribeLaggards();

 private:
  struct NodeHost {
    SimProcess* process = nullptr;
    kv::storage::ModelDisk disk;
    std::unique_ptr<SeededRandom> engine_random;
    kv::storage::Engine* engine = nullptr;  // RocksDB only: of the process that runs, once it is open
    bool damaged = false;
    bool retired = false;
    MonoTime away_until{};
    uint32_t supports = kv::kNewestClusterVersion;
  };
  void BootNode(int i);
  void Ended(int i, const char* how, const absl::Status& why);
  kv::storage::EngineFactory Engines(int i);
  absl::StatusOr<std::unique_ptr<kv::storage::Engine>> OpenRocks(NodeHost* host, const std::string& path);
  std::optional<kv::storage::ModelMaps> StateOf(int i) const;
  kv::v1::NodeStatusResponse StatusOf(int i);
  struct RangeOnNodes {
    kv::v1::RangeStatus range;  // the newest that any node tells of
    std::map<int, kv::v1::RangeStatus> replicas;
  };
  std::map<uint64_t, RangeOnNodes> Ranges();

  const ClusterOptions options_;
  Simulation sim_;
  ChannelFaults channel_faults_;
  std::vector<NodeHost> hosts_;
  std::vector<SimProcess*> clients_;
  SimProcess* ghost_ = nullptr;
  std::vector<std::string> ends_;
  std::vector<std::string> wrongs_;
};

}  // namespace insula::simtest

#endif  // INSULA_TEST_SIM_CLUSTER_H_
