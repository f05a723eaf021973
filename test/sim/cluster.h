// A simulated KV cluster: three real nodes (kv/server/node.h: Raft, MVCC, transactions) on simulated hosts, and a client host.
//
//   n1, n2, n3    Node over the model engine; crash and restart keep what the disks kept
//   client        DistSender and Database with a node's identity, so that workloads reach any key
#ifndef INSULA_TEST_SIM_CLUSTER_H_
#define INSULA_TEST_SIM_CLUSTER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/sim/net.h"
#include "base/sim/simulation.h"
#include "kv/api/txn.h"
#include "kv/storage/model_engine.h"

namespace insula::simtest {

class SimCluster {
 public:
  static constexpr int kNodes = 3;

  explicit SimCluster(uint64_t seed);
  ~SimCluster();

  Simulation& sim() { return sim_; }
  SimProcess* node(int i) { return nodes_[static_cast<size_t>(i)].process; }  // 0…2
  SimProcess* client() { return client_; }
  // Initialises the stores and starts everything. Not OK: the cluster did not come up within a virtual minute.
  absl::Status Start();
  // Of the client process; never crashed.
  kv::Database* database();

  // Faults.
  void Crash(int i);
  void Restart(int i);
  bool alive(int i) { return nodes_[static_cast<size_t>(i)].process->alive(); }
  // Ends all faults: every node runs, every link works, disks are quick.
  void Heal();

 private:
  struct NodeHost {
    SimProcess* process = nullptr;
    kv::storage::ModelDisk disk;
    std::unique_ptr<SeededRandom> engine_random;
    bool booted = false;
  };
  void BootNode(int i);

  Simulation sim_;
  std::vector<NodeHost> nodes_;
  SimProcess* client_ = nullptr;
};

}  // namespace insula::simtest

#endif  // INSULA_TEST_SIM_CLUSTER_H_
