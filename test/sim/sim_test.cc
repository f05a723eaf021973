#include <gtest/gtest.h>

#include "base/strings.h"
#include "test/sim/run.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr uint64_t kSeedsPerBatch = 25;

std::vector<RunOptions> Seeds(uint64_t first, uint64_t count) {
  std::vector<RunOptions> runs;
  for (uint64_t seed = first; seed < first + count; ++seed) runs.push_back({.seed = seed, .workload = "", .mutation = std::nullopt});
  return runs;
}

// A fixed batch of 200 seeds, in parts that run side by side.
class FixedSeeds : public testing::TestWithParam<uint64_t> {};

TEST_P(FixedSeeds, HoldEveryPromise) {
  RunApart(Seeds(1 + GetParam() * kSeedsPerBatch, kSeedsPerBatch), 1, [](size_t, const RunResult& result) {
    for (const auto& violation : result.violations) ADD_FAILURE() << "FAILED seed=" << result.seed << " (" << result.workloads << "): " << violation;
    auto count = [&](const char* fault) {
      auto it = result.faults.find(fault);
      return it == result.faults.end() ? 0 : it->second;
    };
    EXPECT_GE(result.virtual_seconds, 20) << result.seed;
    EXPECT_GE(count("crash") + count("crash at a step"), 1u) << result.seed;
    EXPECT_GE(count("partition"), 1u) << result.seed;
    return true;
  });
}

INSTANTIATE_TEST_SUITE_P(Batches, FixedSeeds, testing::Range<uint64_t>(0, 8));

TEST(Simulation, TheSameSeedGivesTheSameTraceTwice) {
  std::vector<RunOptions> runs = Seeds(1001, 6);
  std::vector<uint64_t> hashes(2 * runs.size());
  for (size_t n = runs.size(), i = 0; i < n; ++i) runs.push_back(runs[i]);
  RunApart(runs, 1, [&](size_t i, const RunResult& result) {
    hashes[i] = result.trace_hash;
    return true;
  });
  for (size_t i = 0; i < hashes.size() / 2; ++i) {
    EXPECT_NE(hashes[i], 0u);
    EXPECT_EQ(hashes[i], hashes[i + hashes.size() / 2]) << "seed " << runs[i].seed;
    if (i > 0) EXPECT_NE(hashes[i], hashes[i - 1]);
  }
}

// Without faults nothing is of unknown fate, and a lot gets done.
class EachWorkload : public testing::TestWithParam<std::string> {};

TEST_P(EachWorkload, RunsWithoutFaults) {
  RunApart({{.seed = 7, .workload = GetParam(), .faults = false, .mutation = std::nullopt}}, 1, [&](size_t, const RunResult& result) {
    for (const auto& violation : result.violations) ADD_FAILURE() << violation;
    EXPECT_EQ(result.counts.count(StrCat(GetParam(), ": unknown")), 0u);
    auto done = result.counts.find(StrCat(GetParam(), ": done"));
    EXPECT_TRUE(done != result.counts.end() && done->second > 100);
    return true;
  });
}

INSTANTIATE_TEST_SUITE_P(All, EachWorkload, testing::ValuesIn(WorkloadNames()), [](const auto& info) { return info.param; });

TEST(RunApart, ADeadRunIsAViolationThatSaysWhy) {
  RunApart({{.seed = 1, .workload = "no such workload", .mutation = std::nullopt}}, 1, [](size_t, const RunResult& result) {
    EXPECT_EQ(result.violations.size(), 1u);
    EXPECT_TRUE(!result.ok() && result.violations[0].starts_with("the run died (signal ")) << result.violations[0];
    return true;
  });
}

}  // namespace
}  // namespace insula::simtest
