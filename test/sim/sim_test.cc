// The promises of README.md under faults: fixed seeds, some of them twice.
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/async/task.h"
#include "base/strings.h"
#include "kv/api/txn.h"
#include "tenant/tenant.h"
#include "test/sim/cluster.h"
#include "test/sim/faults.h"
#include "test/sim/run.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr uint64_t kSeeds = 320;
constexpr uint64_t kSeedsPerBatch = 20;
constexpr uint64_t kTwice = 20;  // each so manieth seed is run twice

std::vector<RunOptions> Seeds(uint64_t first, uint64_t count) {
  std::vector<RunOptions> runs;
  for (uint64_t seed = first; seed < first + count; ++seed) runs.push_back({.seed = seed, .workload = "", .mutation = std::nullopt});
  return runs;
}

// What all runs of this process did together, said at its end: kinds of faults, and rare paths, that were never reached.
class Summary : public testing::Environment {
 public:
  void Add(const RunResult& result) {
    ++runs_;
    for (const auto& [name, n] : result.faults) numbers_["fault"][name] += n;
    for (const auto& [name, n] : result.probes) numbers_["rare path"][name] += n;
  }
  void TearDown() override {
    for (const auto& [kind, numbers] : numbers_) {
      for (const auto& [name, n] : numbers) {
        if (n == 0) std::cout << "never in " << runs_ << " runs: " << kind << " '" << name << "'\n";
      }
    }
  }

 private:
  uint64_t runs_ = 0;
  std::map<std::string, std::map<std::string, uint64_t>> numbers_;
};
Summary* const summary = static_cast<Summary*>(testing::AddGlobalTestEnvironment(new Summary));

uint64_t CountOf(const RunResult& result, const char* fault) {
  auto it = result.faults.find(fault);
  return it == result.faults.end() ? 0 : it->second;
}

// What `first` and the seeds behind it did; those that are run twice, and those that failed, give the same trace again.
void RunBatch(uint64_t first) {
  const std::vector<RunOptions> runs = Seeds(first, kSeedsPerBatch);
  std::vector<RunOptions> again;
  std::map<uint64_t, std::set<uint64_t>> traces;  // by seed
  uint64_t crashes = 0, partitions = 0;
  RunApart(runs, 1, [&](size_t i, const RunResult& result) {
    traces[result.seed].insert(result.trace_hash);
    summary->Add(result);
    for (const auto& violation : result.violations) ADD_FAILURE() << "FAILED seed=" << result.seed << " (" << result.workloads << "): " << violation;
    EXPECT_GE(result.virtual_seconds, 20) << result.seed;
    crashes += CountOf(result, "crash") + CountOf(result, "crash at a step");
    partitions += CountOf(result, "partition");
    if (result.seed % kTwice == 0 || !result.ok()) again.push_back(runs[i]);
    return true;
  });
  EXPECT_EQ(traces.size(), kSeedsPerBatch);
  EXPECT_FALSE(again.empty());
  RunApart(again, 1, [&](size_t, const RunResult& result) {
    traces[result.seed].insert(result.trace_hash);
    return true;
  });
  EXPECT_GE(crashes, kSeedsPerBatch);
  EXPECT_GE(partitions, kSeedsPerBatch / 2);
  for (const auto& [seed, hashes] : traces) EXPECT_EQ(hashes.size(), 1u) << "seed " << seed << " gives another trace when it is run again";
}

// A fixed batch of seeds, in parts that run side by side.
class FixedSeeds : public testing::TestWithParam<uint64_t> {};

TEST_P(FixedSeeds, HoldEveryPromise) { RunBatch(1 + GetParam() * kSeedsPerBatch); }

// Seeds that nobody has run before: each run of this test looks a bit further. One that fails is a bug that the fixed seeds do not know.
TEST(FreshSeeds, HoldEveryPromise) {
  std::random_device entropy;
  const uint64_t first = (uint64_t{1} << 32) + entropy();
  std::cout << "fresh seeds: " << first << " to " << first + kSeedsPerBatch - 1 << "\n";
  RunBatch(first);
}

INSTANTIATE_TEST_SUITE_P(Batches, FixedSeeds, testing::Range<uint64_t>(0, kSeeds / kSeedsPerBatch));

// Without faults nothing is of unknown fate, and a lot gets done.
class EachWorkload : public testing::TestWithParam<std::string> {};

TEST_P(EachWorkload, RunsWithoutFaults) {
  RunApart({{.seed = 7, .workload = GetParam(), .faults = {}, .mutation = std::nullopt}}, 1, [&](size_t, const RunResult& result) {
    for (const auto& violation : result.violations) ADD_FAILURE() << violation;
    EXPECT_EQ(result.counts.count(StrCat(GetParam(), ": unknown")), 0u);
    auto done = result.counts.find(StrCat(GetParam(), ": done"));
    EXPECT_TRUE(done != result.counts.end() && done->second > 100);
    return true;
  });
}

INSTANTIATE_TEST_SUITE_P(All, EachWorkload, testing::ValuesIn(WorkloadNames()), [](const auto& info) { return info.param; });

// The ghost is to die a while after it has taken its locks; when the faults end before, it would keep them with heartbeats for ever.
TEST(Faults, NoGhostOutlivesThem) {
  ClusterOptions options;
  options.seed = 3;
  SimCluster cluster(options);
  ASSERT_TRUE(cluster.Start().ok());
  const std::string key = StrCat(KeyspacePrefix(20), "key");
  FaultPlan plan;
  plan.enabled = {Fault::kClientDies};
  plan.interval = std::chrono::milliseconds(100);
  Faults faults(&cluster, plan, [&](Random&) { return key; });
  auto put = [&](Context ctx) -> Task<absl::Status> {
    auto txn = cluster.database()->Begin({});
    txn->Put(key, "free");
    co_return co_await txn->Commit(ctx);
  };
  ASSERT_TRUE(cluster.sim().Run(cluster.client(), put, std::chrono::seconds(60)).ok());
  faults.Begin();
  const uint64_t seen = faults.count(Fault::kClientDies);
  ASSERT_TRUE(cluster.sim().RunUntil([&] { return faults.count(Fault::kClientDies) > seen; }, std::chrono::seconds(60)));
  cluster.sim().RunFor(std::chrono::milliseconds(30));
  faults.End();
  EXPECT_TRUE(cluster.sim().Run(cluster.client(), put, std::chrono::seconds(30)).ok());
}

TEST(RunApart, ADeadRunIsAViolationThatSaysWhy) {
  RunApart({{.seed = 1, .workload = "no such workload", .mutation = std::nullopt}}, 1, [](size_t, const RunResult& result) {
    EXPECT_EQ(result.violations.size(), 1u);
    EXPECT_TRUE(!result.ok() && result.violations[0].starts_with("the run died (signal ")) << result.violations[0];
    return true;
  });
}

}  // namespace
}  // namespace insula::simtest
