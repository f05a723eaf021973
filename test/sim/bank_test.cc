#include "test/sim/bank.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/log/log.h"

namespace insula::simtest {
namespace {

// 200 seeds in shards of 25, so that they run side by side and a failure names its seed.
class BankSeeds : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { log::SetLevel(log::Level::kOff); }
};

TEST_P(BankSeeds, KeepItsSumUnderFaults) {
  for (uint64_t seed = 1000 + 25 * static_cast<uint64_t>(GetParam()); seed < 1025 + 25 * static_cast<uint64_t>(GetParam()); ++seed) {
    BankResult result = RunBank({.seed = seed});
    for (auto& violation : result.violations) ADD_FAILURE() << "FAILED seed=" << seed << ": " << violation;
    EXPECT_GE(result.virtual_seconds, 20) << seed;
    EXPECT_GE(result.crashes, 1u) << seed;
    EXPECT_GE(result.partitions, 1u) << seed;
    EXPECT_GT(result.committed, 0u) << seed;
    EXPECT_GT(result.audits, 0u) << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, BankSeeds, testing::Range(0, 8));

TEST(Bank, TheSameSeedGivesTheSameTraceTwice) {
  log::SetLevel(log::Level::kOff);
  for (uint64_t seed : {7, 8, 9}) {
    BankResult a = RunBank({.seed = seed}), b = RunBank({.seed = seed});
    EXPECT_EQ(a.trace_hash, b.trace_hash) << seed;
    EXPECT_EQ(a.committed, b.committed) << seed;
  }
  EXPECT_NE(RunBank({.seed = 7}).trace_hash, RunBank({.seed = 8}).trace_hash);
}

TEST(Bank, RunsWithoutFaultsToo) {
  BankResult result = RunBank({.seed = 1, .faults = false});
  EXPECT_TRUE(result.violations.empty());
  EXPECT_EQ(result.unknown, 0u);
  EXPECT_GT(result.committed, 500u);
}

}  // namespace
}  // namespace insula::simtest
