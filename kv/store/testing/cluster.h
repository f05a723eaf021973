// Stores in the simulator, with a state machine that keeps what commands say and nothing else: for tests of consensus and of stores,
// below kv/replica. Three found the cluster; more may join it, without a range at first. With `real_replicas` the state machines are
// kv/replica's, without a way to other ranges: for changes of replicas.
//
//   TestCluster cluster(seed);
//   cluster.StartAll();
//   auto r = cluster.Write(range, "key", "value");          // at whoever leads, as a client would
//   cluster.Node(2).Crash(); … Restart
//   cluster.CheckReplicasAgree();
#ifndef INSULA_KV_STORE_TESTING_CLUSTER_H_
#define INSULA_KV_STORE_TESTING_CLUSTER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/sim/simulation.h"
#include "kv/api/sender.h"
#include "kv/multiraft/range_state.h"
#include "kv/storage/model_engine.h"
#include "kv/store/store.h"

namespace insula::kv {

// Notes what it is told; proposes nothing.
class TestMachine : public RangeStateMachine {
 public:
  explicit TestMachine(RangeGroup* group) : group(group) {}
  void AfterApply(const Applied& applied) override { ++applied_commands; }
  void AfterSplit(const SplitTrigger& split, RangeStateMachine* right) override { splits.push_back(split.right.range_id()); }
  void LeaseAcquired(const Lease& l) override;
  void LeaseLost() override;
  void SnapshotApplied() override { ++snapshots; }

  RangeGroup* group;
  Lease lease;
  uint64_t applied_commands = 0;
  int snapshots = 0;
  std::vector<RangeId> splits;
};

struct TestOptions {
  TruncationOptions truncation;
  uint64_t log_segment_bytes = 64 << 10;
  uint64_t log_cache_bytes = 32 << 20;
  Duration max_offset = kDefaultMaxOffset;
  int nodes = 3;
  // Makes the replicas, and a way to them for the store's own work; empty: test machines, and none.
  std::function<std::unique_ptr<RangeStateMachine>(SimProcess& process, Store* store, RangeGroup* group)> factory;
  std::function<Sender*(Store* store)> sender;
  bool real_replicas = false;  // a factory of kv/replica's, without a way to other ranges
  Duration learner_patience = std::chrono::seconds(120);      // real_replicas
  Duration consistency_interval = Duration::zero();           // replicas are compared by hand only
  SnapshotOptions snapshots{.bytes_per_second = 0, .chunk_bytes = 256 << 10, .bytes_in_memory = 1 << 20};
};

class TestCluster {
 public:
  static constexpr int kMembers = 3;  // that found the cluster

  explicit TestCluster(uint64_t seed, TestOptions options = {});
  ~TestCluster();

  Simulation& sim() { return sim_; }
  SimProcess& Node(int i) { return *nodes_[i]; }  // 0-based
  int nodes() const { return options_.nodes; }
  storage::ModelDisk& disk(int i) { return disks_[i]; }
  // Null while the node is down or still starting.
  Store* store(int i);
  // Why the last Start of a node failed, or why it ended itself.
  const absl::Status& trouble(int i) const { return trouble_[i]; }

  absl::Status Init(int i);
  void InitAll();
  // Initialises if need be, starts all nodes and waits until they are ready.
  void StartAll();
  void Start(int i);
  void Crash(int i);
  // Crashes it, empties its disk, and makes its store anew under its number, as a mistaken administrator might. To be started.
  absl::Status LoseDisk(int i);
  void Restart(int i);
  bool WaitReady(int i, Duration limit = std::chrono::seconds(60));

  // The store that holds a valid lease of `range` now; -1: none.
  int Leaseholder(RangeId range);
  // As a client does it: tries the nodes until one leads. Result: OK (done for sure), kAborted (not done), kUnknown.
  absl::Status Write(RangeId range, const std::string& key, const std::string& value, Duration limit = std::chrono::seconds(30));
  Task<absl::Status> WriteOn(Context ctx, int node, RangeId range, std::string key, std::string value, bool acquire);
  // Splits `range` at `key`, as its leaseholder. The new range's id is `right`.
  absl::Status Split(RangeId range, RangeId right, const std::string& key, Duration limit = std::chrono::seconds(30));
  // The two steps of a merge, as leaseholders of kv/replica do them. The first: nothing is written to `right` any more, and every replica
  // has all of it in its log. The second: its left neighbour takes it in.
  struct FrozenRight {
    v1::RangeDescriptor descriptor;
    uint64_t applied = 0;
    mvcc::Stats stats;
    Timestamp served;
    std::string merge_id;
  };
  absl::StatusOr<FrozenRight> Freeze(RangeId right, Duration limit = std::chrono::seconds(30));
  absl::Status MergeFrozen(RangeId left, const FrozenRight& right, Duration limit = std::chrono::seconds(30));
  absl::Status Merge(RangeId left, RangeId right);
  // Changes the replicas of `range` as a client would, wherever it is led, until it is done or refused (real_replicas). Nodes are named.
  absl::Status Change(RangeId range, std::vector<int> add, std::vector<int> remove, Duration limit = std::chrono::seconds(60));
  absl::Status TransferLease(RangeId range, int to, Duration limit = std::chrono::seconds(30));
  // The newest descriptor of `range` that a running store has applied; empty: none has any.
  v1::RangeDescriptor Descriptor(RangeId range);
  // Whether the store of node `i` has a replica by that descriptor.
  bool IsMember(int i, RangeId range) { return ReplicaOn(Descriptor(range), static_cast<StoreId>(i + 1)) != nullptr; }
  // Whether nothing is left on store `i` of a range that it is not part of: no group, no row, and a tombstone.
  bool IsClean(int i, RangeId range);
  // What store `i` shows of `key`; nullopt: nothing.
  std::optional<std::string> Read(int i, const std::string& key);
  // Waits until all replicas of `range` (by its newest descriptor) on running nodes have applied the same index.
  bool WaitCaughtUp(RangeId range, Duration limit = std::chrono::seconds(60));
  // Where each replica stands, for messages of failed tests.
  std::string Progress(RangeId range);
  // All rows of `range`, one string per node.
  std::string Dump(int i, RangeId range);
  void CheckReplicasAgree(RangeId range);
  // Fails the test if two stores hold a valid lease of one range. Cheap; called by Watch after events.
  void CheckLeases(const std::vector<RangeId>& ranges);

 private:
  struct NodeRoot;
  bool CatchesUp(RangeId range, Duration limit);
  absl::Status Admin(RangeId range, const v1::BatchRequest& batch, Duration limit);
  std::shared_ptr<void> Boot(SimProcess& process, int i);

  Simulation sim_;
  TestOptions options_;
  std::vector<SimProcess*> nodes_;
  std::vector<storage::ModelDisk> disks_;
  std::vector<absl::Status> trouble_;
  bool initialised_ = false;
};

// Where the test machine keeps `key`: a version at timestamp 1 that each write replaces.
std::string TestRow(const std::string& key);

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_TESTING_CLUSTER_H_
