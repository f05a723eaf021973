// Ranges are cut and joined while they are worked with: on request, and (in half of the seeds that have any of it) by the stores themselves,
// which then think of a few thousand bytes as large.
//
//   SplitNemesis::Tune(seed, &cluster_options);
//   SplitNemesis nemesis(&cluster, seed, random_key);
//   nemesis.Begin(); … nemesis.End();
//
// It draws from a random source of its own, so that what else a seed chooses does not depend on it. None of what it asks for has to
// succeed; what was asked for and what was answered is counted.
#ifndef INSULA_TEST_SIM_SPLIT_NEMESIS_H_
#define INSULA_TEST_SIM_SPLIT_NEMESIS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/runtime/random.h"
#include "test/sim/cluster.h"

namespace insula::simtest {

class SplitNemesis {
 public:
  // Whether ranges are cut and joined in a run of `seed`.
  static bool In(uint64_t seed);
  static void Tune(uint64_t seed, ClusterOptions* options);

  SplitNemesis(SimCluster* cluster, uint64_t seed, std::function<std::string(Random&)> random_key);
  void Begin() { Next(); }
  // Nothing new is begun.
  void End() { ended_ = true; }
  std::map<std::string, uint64_t> Counts() const { return *counts_; }

 private:
  void Next();
  void Ask(bool merge, std::string key);

  SimCluster* cluster_;
  SeededRandom random_;
  std::function<std::string(Random&)> random_key_;
  Duration interval_;
  std::shared_ptr<std::map<std::string, uint64_t>> counts_ = std::make_shared<std::map<std::string, uint64_t>>();
  bool ended_ = false;
};

}  // namespace insula::simtest

#endif  // INSULA_TEST_SIM_SPLIT_NEMESIS_H_
