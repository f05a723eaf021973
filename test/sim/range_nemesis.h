// What happens to ranges while they are worked with: they are cut and joined, on request and (in half of the seeds that have any of it) by
// the stores themselves, which then think of a few thousand bytes as large; their replicas and leases move between five nodes, as
// operators and queues would have it; and in some seeds the stores' own queues move them, while nodes stay away for longer than a store is
// waited for, or give their leases away. In some seeds it happens to the ranges of addresses, too.
//
//   RangeNemesis::Tune(seed, &cluster_options);
//   RangeNemesis nemesis(&cluster, seed, random_key);
//   nemesis.Begin(); … nemesis.End();
//
// It draws from a random source of its own, so that what else a seed chooses does not depend on it. None of what it asks for has to
// succeed; what was asked for and what was answered is counted.
#ifndef INSULA_TEST_SIM_RANGE_NEMESIS_H_
#define INSULA_TEST_SIM_RANGE_NEMESIS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/runtime/random.h"
#include "proto/kv/api.pb.h"
#include "test/sim/cluster.h"

namespace insula::simtest {

class RangeNemesis {
 public:
  static void Tune(uint64_t seed, ClusterOptions* options);

  RangeNemesis(SimCluster* cluster, uint64_t seed, std::function<std::string(Random&)> random_key);

  void Begin();
  // Nothing new is begun.
  void End() { ended_ = true; }
  std::map<std::string, uint64_t> Counts() const { return *counts_; }

 private:
  // Makes a request (or none) of the range that holds `key`, as it is known to the clients.
  using Make = std::function<void(const std::string& key, const kv::v1::RangeDescriptor& range, SeededRandom& random, kv::v1::Request* request)>;
  struct Action {
    std::string name;
    uint64_t weight;  // how often it is chosen, against the others
    Make make;
  };
  void AddCuts();
  void AddMoves();
  void Next();
  // One node after the other is away for a while, or drained.
  void LoseOne();
  void Ask(const Action& action, std::string key, uint64_t seed);

  SimCluster* cluster_;
  SeededRandom random_;
  std::function<std::string(Random&)> random_key_;
  Duration interval_;
  bool places_ = false;
  std::vector<Action> actions_;  // none: the seed has nothing of it
  std::shared_ptr<std::map<std::string, uint64_t>> counts_ = std::make_shared<std::map<std::string, uint64_t>>();
  bool ended_ = false;
};

}  // namespace insula::simtest

#endif  // INSULA_TEST_SIM_RANGE_NEMESIS_H_
