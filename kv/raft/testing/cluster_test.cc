// Whole clusters under faults, from seeds: what is promised holds, and is seen to break when a rule is broken.
#include "kv/raft/testing/cluster.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "gtest/gtest.h"

namespace insula::raft::testing {
namespace {

Cluster::Stats& operator+=(Cluster::Stats& a, const Cluster::Stats& b) {
  a.elections += b.elections;
  a.acknowledged += b.acknowledged;
  a.served += b.served;
  a.crashes += b.crashes;
  a.partitions += b.partitions;
  a.conf_changes += b.conf_changes;
  a.snapshots += b.snapshots;
  a.transfers += b.transfers;
  a.slept += b.slept;
  return a;
}

Cluster::Stats RunSeeds(ClusterOptions options, uint64_t first, uint64_t count) {
  Cluster::Stats all;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    options.seed = seed;
    // RAFT_TRACE=seed prints that run.
    if (const char* traced = std::getenv("RAFT_TRACE")) options.trace = StrCat(seed) == traced;
    Cluster cluster(options);
    cluster.Run();
    all += cluster.stats();
    for (const std::string& v : cluster.violations()) ADD_FAILURE() << "FAILED seed=" << seed << ": " << v;
    if (::testing::Test::HasFailure()) break;
  }
  std::printf(
      "elections %d, acknowledged %d, served %d, crashes %d, partitions %d, configurations %d, snapshots %d, transfers "
      "%d\n",
      all.elections, all.acknowledged, all.served, all.crashes, all.partitions, all.conf_changes, all.snapshots,
      all.transfers);
  return all;
}

void ExpectBusy(const Cluster::Stats& s) {
  if (::testing::Test::HasFailure()) return;
  EXPECT_GT(s.elections, 50);
  EXPECT_GT(s.acknowledged, 1000);
  EXPECT_GT(s.crashes, 50);
  EXPECT_GT(s.partitions, 50);
  EXPECT_GT(s.conf_changes, 20);
  EXPECT_GT(s.snapshots, 10);
  EXPECT_GT(s.transfers, 10);
}

TEST(RaftCluster, PlainRaftWithAsynchronousStorageIsSafeAndRecovers) {
  ExpectBusy(RunSeeds({.fortified = false, .async = true}, 1, 150));
}

TEST(RaftCluster, PlainRaftWithSynchronousStorageIsSafeAndRecovers) {
  ExpectBusy(RunSeeds({.fortified = false, .async = false}, 1000, 150));
}

TEST(RaftCluster, LeasesNeverOverlapWithAsynchronousStorage) {
  const auto stats = RunSeeds({.fortified = true, .async = true}, 2000, 300);
  ExpectBusy(stats);
  EXPECT_GT(stats.served, 5000);
  EXPECT_EQ(stats.slept, 300);
}

TEST(RaftCluster, LeasesNeverOverlapWithSynchronousStorage) {
  const auto stats = RunSeeds({.fortified = true, .async = false}, 3000, 200);
  ExpectBusy(stats);
  EXPECT_GT(stats.served, 2500);
  EXPECT_EQ(stats.slept, 200);
}

TEST(RaftCluster, WithoutFaultsOneLeaderKeepsItsLease) {
  ClusterOptions options{.faults = false, .conf_changes = false, .chaos_ms = 10'000};
  const auto stats = RunSeeds(options, 4000, 5);
  EXPECT_GT(stats.served, 5 * 300);
}

// ---- The checks see ----

// The first violation that begins (after its time) with one of `kinds`.
std::string FirstViolation(ClusterOptions options, const std::vector<std::string>& kinds) {
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    options.seed = seed;
    Cluster cluster(options);
    cluster.Run();
    for (const std::string& v : cluster.violations()) {
      for (const std::string& kind : kinds) {
        if (v.find(StrCat("ms: ", kind)) != v.npos) return StrCat("seed ", seed, " ", v);
      }
    }
  }
  return "";
}

void ExpectCaught(const ClusterOptions& options, const std::vector<std::string>& kinds) {
  const std::string violation = FirstViolation(options, kinds);
  EXPECT_FALSE(violation.empty()) << "the checks do not see it";
  std::printf("caught: %s\n", violation.c_str());
}

TEST(RaftClusterMutations, AVoteThatIsNotWrittenDownIsCaught) {
  ExpectCaught({.fortified = false, .conf_changes = false, .mutation = Mutation::kForgetVote}, {"R1"});
}

TEST(RaftClusterMutations, ADiskThatDoesNotSyncIsCaught) {
  // By a check here, or by the algorithm itself.
  const ClusterOptions options{.fortified = false, .conf_changes = false, .mutation = Mutation::kSyncLies};
  EXPECT_DEATH(
      {
        const std::string violation = FirstViolation(options, {"R1", "R2", "R3"});
        CHECK(violation.empty()) << violation;
      },
      "was the log lost|ms: R");
}

TEST(RaftClusterMutations, ABondThatIsNotWrittenDownIsCaught) {
  ExpectCaught({.mutation = Mutation::kForgetBond}, {"C1", "C2"});
}

TEST(RaftClusterMutations, ServingWithoutTheMaximumOffsetIsCaught) {
  ExpectCaught({.mutation = Mutation::kServeToTheEnd}, {"C1"});
}

TEST(RaftClusterMutations, ASupporterThatBreaksItsPromiseIsCaught) {
  ExpectCaught({.mutation = Mutation::kWithdrawEarly}, {"C1", "C2"});
}

TEST(RaftClusterMutations, ASupporterThatForgetsItsPromiseIsCaught) {
  ExpectCaught({.mutation = Mutation::kForgetSupport}, {"C1", "C2"});
}

TEST(RaftClusterMutations, MessagesWithoutClocksAreCaught) { ExpectCaught({.mutation = Mutation::kNoHlc}, {"C2"}); }

}  // namespace
}  // namespace insula::raft::testing
