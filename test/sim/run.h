// One seed, one run: a cluster, one or two workloads, and the faults that the seed chose.
//
//   start ─► prepare ─► work under faults ─► heal ─► work must go on ─► stop ─► check what is there ─► replicas are alike
//
// A run that fails says why in `violations`. RunApart runs it in a process of its own, so that a failed CHECK (or a run that never
// ends) is a violation like any other.
#ifndef INSULA_TEST_SIM_RUN_H_
#define INSULA_TEST_SIM_RUN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "base/fault/mutation.h"
#include "test/sim/faults.h"

namespace insula::simtest {

struct RunOptions {
  uint64_t seed = 0;
  std::string workload;  // "": the seed chooses
  std::set<Fault> faults = DefaultFaults();  // that the seed may choose; without any, there is no crash and no partition either
  Duration fault_time = std::chrono::seconds(20);  // of work under faults
  std::optional<fault::Mutation> mutation;  // a deliberate bug (base/fault/mutation.h)
  std::optional<bool> rocks = std::nullopt;                // the state engine is RocksDB; nullopt: the seed chooses, one in 20
  std::ostream* trace = nullptr;            // RunSeed only
};

struct RunResult {
  uint64_t seed = 0;
  std::string workloads;  // "bank+append"
  std::vector<std::string> violations;
  uint64_t trace_hash = 0;
  double virtual_seconds = 0;
  std::map<std::string, uint64_t> faults;  // Faults::Counts
  std::map<std::string, uint64_t> counts;  // of the workloads: "bank: done"
  std::map<std::string, uint64_t> probes;  // hits of every probe
  bool ok() const { return violations.empty(); }
};

RunResult RunSeed(const RunOptions& options);

// Runs all of `runs`, each in a process of its own, at most `jobs` at a time; `done` gets each result as it comes (in any order),
// and says whether to go on.
void RunApart(const std::vector<RunOptions>& runs, int jobs, const std::function<bool(size_t index, RunResult result)>& done);

}  // namespace insula::simtest

#endif  // INSULA_TEST_SIM_RUN_H_
