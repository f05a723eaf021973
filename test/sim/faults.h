// What goes wrong in a run. Each seed switches a random subset of the faults on, and says how often they come ("swarm testing": runs
// with few kinds of faults reach what runs with all of them drown).
//
//   FaultPlan::OfSeed ─► Faults::Begin: one crash and one partition at least, then now and then one of the enabled ─► End: all healed
//
// Time-limited faults undo themselves after a while. Counted by kind; what the network and the disks did is counted where it was done.
#ifndef INSULA_TEST_SIM_FAULTS_H_
#define INSULA_TEST_SIM_FAULTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/runtime/random.h"
#include "proto/kv/api.pb.h"
#include "test/sim/cluster.h"

namespace insula::simtest {

enum class Fault {
  // Messages.
  kDelay,           // packets take up to 200 ms
  kLoss,            // packets are lost and sent again after 200 ms
  kReorder,         // some connections are slower than others
  kStreamBreak,     // connections break
  kAnswerLost,      // a batch is served, its answer is lost
  kLateBatch,       // a batch arrives when its sender has given it up
  kDuplicate,       // a second copy of a batch that may be repeated arrives late
  // Partitions.
  kPartition,       // one node from everybody
  kPartialPartition,  // two nodes from one another
  kOneWay,          // one direction between two nodes
  kClientPartition, // some clients from one node
  kIsland,          // a leader and some clients from everybody else: they go on asking it, while the others find the next leader
  // Clocks.
  kSkew,            // within the bound, from the start, with drift
  kJump,            // within the bound
  kJumpBeyond,      // a node that is behind stops itself, one that is ahead is refused by the others
  // Processes.
  kCrash,
  kCrashAtStep,     // between any two awaits
  kCrashAll,
  kPause,
  kClientDies,      // with locks and intents of an unfinished transaction
  // Disks.
  kSlowDisk,
  kStall,
  kFreeze,
  kFullDisk,
  kWriteError,
  kReadError,       // while a store is opened, or of old entries
  kBitFlip,         // in what was synced, while the node is down; one node per run
  // Not faults, but in the way.
  kSplit,
  kTransfer,        // of a lease, as planned
  kOldVersion,      // some nodes run an older program, and are upgraded one by one
};
inline constexpr int kFaultKinds = 30;
std::string_view NameOf(Fault fault);

// What a seed may choose from if nothing else is said: all but those that README.md says are off, and why.
std::set<Fault> DefaultFaults();
// "default", "all", "none" or names ("crash,bit flip"), the first two perhaps less some ("all,-bit flip"); nullopt: there is none of some name.
std::optional<std::set<Fault>> ParseFaults(std::string_view text);

struct FaultPlan {
  std::set<Fault> enabled;
  Duration interval = std::chrono::milliseconds(1500);  // between faults, about
  bool Has(Fault fault) const { return enabled.contains(fault); }
  // Of those that are `allowed`; what else the seed chooses does not depend on them.
  static FaultPlan OfSeed(uint64_t seed, const std::set<Fault>& allowed);
  // Which nodes begin with an older program.
  std::set<int> OldNodes(uint64_t seed) const;
};

class Faults {
 public:
  // `random_key`: where to split, and what the ghost takes. All outlive it.
  Faults(SimCluster* cluster, FaultPlan plan, std::function<std::string(Random&)> random_key);

  void Begin();
  void End();

  // By kind, and what came of it by name ("torn writes").
  std::map<std::string, uint64_t> Counts() const;
  uint64_t count(Fault fault) const {
    auto it = counts_.find(fault);
    return it == counts_.end() ? 0 : it->second;
  }

 private:
  Random& random() { return cluster_->sim().random(); }
  Duration Between(Duration low, Duration high) { return cluster_->sim().Between(low, high); }
  int RandomNode() { return static_cast<int>(random().Uniform(static_cast<uint64_t>(cluster_->nodes()))); }
  void Next();
  void Inject(Fault fault);
  void InjectNetwork(Fault fault);
  void InjectIsland();
  void InjectClock(Fault fault);
  void InjectDisk(Fault fault, int node);
  // Unless all was healed meanwhile.
  void Later(Duration after, std::function<void()> fn);
  void SetLink();
  void Crash(int node, bool at_step);
  void CrashAll();
  void Partition(const std::vector<std::pair<std::string, std::string>>& links, bool one_way, Duration lasts);
  void JumpClock(int node, Duration by, Duration back_after);
  void FlipBit(int node);
  void HauntOnce();
  // A request about the range of a random key.
  void Administrate(const std::function<void(std::string key, kv::v1::Request* request)>& fill);
  // Each with `chance`.
  std::vector<std::string> SomeClients(double chance);

  SimCluster* cluster_;
  const FaultPlan plan_;
  std::function<std::string(Random&)> random_key_;
  std::map<Fault, uint64_t> counts_;
  std::set<Fault> link_faults_;  // in force
  std::vector<Duration> offset_;  // of each node's clock
  int damaged_ = -1;
  bool island_ = false;  // there is one, or was a moment ago
  bool ended_ = false;
};

}  // namespace insula::simtest

#endif  // INSULA_TEST_SIM_FAULTS_H_
