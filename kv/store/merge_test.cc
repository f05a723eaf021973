// Merges below kv/replica: every store ends up with one range, whatever crashes in between, and no log brings the other back.
#include <map>
#include <set>
#include <string>

#include "base/log/log.h"
#include "base/sim/net.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/multiraft/redo.h"
#include "kv/storage/data_key.h"
#include "kv/store/testing/cluster.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr RangeId kLeft = 5;  // keyspace 4
constexpr RangeId kRight = 1000;
std::string Key(const std::string& name) { return KeyspacePrefix(4) + name; }

class MergeTest : public testing::Test {
 protected:
  MergeTest() { log::SetLevel(log::Level::kOff); }

  static void Prepare(TestCluster& cluster) {
    cluster.StartAll();
    ASSERT_TRUE(cluster.Write(kLeft, Key("a"), "1").ok());
    ASSERT_TRUE(cluster.Write(kLeft, Key("x"), "2").ok());
    ASSERT_TRUE(cluster.Split(kLeft, kRight, Key("m")).ok());
    ASSERT_TRUE(cluster.Write(kLeft, Key("b"), "3").ok());
    ASSERT_TRUE(cluster.Write(kRight, Key("y"), "4").ok());
  }

  // One range, with all that was written to both, on every store; and the logs have forgotten the other.
  static void CheckMerged(TestCluster& cluster) {
    ASSERT_TRUE(cluster.Write(kLeft, Key("z"), "5").ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(kLeft)) << cluster.Progress(kLeft);
    for (int i = 0; i < TestCluster::kMembers; ++i) {
      Store* store = cluster.store(i);
      ASSERT_NE(store, nullptr);
      EXPECT_EQ(store->Find(kRight), nullptr) << i;
      EXPECT_EQ(store->FindByKey(Key("y"))->range_id(), kLeft) << i;
      EXPECT_EQ(store->Find(kLeft)->descriptor().end_key(), KeyspacePrefix(5)) << i;
      EXPECT_EQ(store->LocalRanges(Key(""), KeyspacePrefix(5)).size(), 1u) << i;
      for (auto [key, value] : {std::pair("a", "1"), {"x", "2"}, {"b", "3"}, {"y", "4"}, {"z", "5"}}) EXPECT_EQ(cluster.Read(i, Key(key)), value) << i;
    }
    cluster.CheckReplicasAgree(kLeft);
    cluster.sim().RunFor(5s);
    ASSERT_TRUE(cluster.Write(kLeft, Key("z"), "6").ok());  // the lazy records before it are durable
    cluster.sim().RunFor(1s);
    for (int i = 0; i < TestCluster::kMembers; ++i) {
      EXPECT_FALSE(cluster.store(i)->log().Has(kRight)) << i;
      EXPECT_EQ(cluster.store(i)->log().NextReplica(kRight), kNoNextReplica) << i;
    }
  }
};

TEST_F(MergeTest, AMergeMakesOneRangeEverywhere) {
  TestCluster cluster(1);
  Prepare(cluster);
  ASSERT_TRUE(cluster.Merge(kLeft, kRight).ok());
  CheckMerged(cluster);
  for (int i = 0; i < TestCluster::kMembers; ++i) cluster.Crash(i);
  for (int i = 0; i < TestCluster::kMembers; ++i) cluster.Restart(i);
  for (int i = 0; i < TestCluster::kMembers; ++i) ASSERT_TRUE(cluster.WaitReady(i)) << cluster.trouble(i);
  CheckMerged(cluster);
}

TEST_F(MergeTest, TheMergedRangesLeaseStartsAboveWhatTheRightSideServed) {
  TestCluster cluster(2);
  Prepare(cluster);
  auto frozen = cluster.Freeze(kRight);
  ASSERT_TRUE(frozen.ok());
  frozen->served = frozen->served.AddMicros(100'000);
  ASSERT_TRUE(cluster.MergeFrozen(kLeft, *frozen).ok());
  const int leader = cluster.Leaseholder(kLeft);
  cluster.Crash(leader);
  ASSERT_TRUE(cluster.Write(kLeft, Key("c"), "1").ok());
  Store* next = cluster.store(cluster.Leaseholder(kLeft));
  EXPECT_GE(next->Find(kLeft)->CheckLease({}).lease.start, frozen->served);
}

TEST_F(MergeTest, AMergeSurvivesACrashAtAnyStep) {
  for (uint64_t round = 0; round < 60; ++round) {
    TestCluster cluster(300 + round);
    Prepare(cluster);
    auto frozen = cluster.Freeze(kRight);
    ASSERT_TRUE(frozen.ok()) << frozen.status();
    const int victim = static_cast<int>(round % 3);
    cluster.Node(victim).CrashAfterSteps(1 + cluster.sim().random().Uniform(60));
    absl::Status merged = cluster.MergeFrozen(kLeft, *frozen);
    cluster.sim().RunFor(std::chrono::milliseconds(cluster.sim().random().Uniform(200)));
    cluster.Crash(victim);
    cluster.Restart(victim);
    ASSERT_TRUE(cluster.WaitReady(victim)) << cluster.trouble(victim);
    ASSERT_TRUE(cluster.Write(kLeft, Key("c"), "7").ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(kLeft)) << "round " << round;
    const bool happened = cluster.store(0)->Find(kLeft)->descriptor().end_key() == KeyspacePrefix(5);
    EXPECT_TRUE(happened || !merged.ok()) << "round " << round;
    if (happened) {
      CheckMerged(cluster);
    } else {
      ASSERT_TRUE(cluster.Write(kRight, Key("w"), "8").ok());
      ASSERT_TRUE(cluster.WaitCaughtUp(kRight));
    }
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

TEST_F(MergeTest, AllMayCrashRightBehindAMerge) {
  for (uint64_t round = 0; round < 30; ++round) {
    TestCluster cluster(400 + round);
    Prepare(cluster);
    auto frozen = cluster.Freeze(kRight);
    ASSERT_TRUE(frozen.ok()) << frozen.status();
    ASSERT_TRUE(cluster.MergeFrozen(kLeft, *frozen).ok());
    cluster.sim().RunFor(std::chrono::microseconds(cluster.sim().random().Uniform(20'000)));
    for (int i = 0; i < TestCluster::kMembers; ++i) cluster.Crash(i);
    for (int i = 0; i < TestCluster::kMembers; ++i) cluster.Restart(i);
    for (int i = 0; i < TestCluster::kMembers; ++i) ASSERT_TRUE(cluster.WaitReady(i)) << "round " << round << ": " << cluster.trouble(i);
    CheckMerged(cluster);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

// Its right side has nobody left to tell it what is committed.
TEST_F(MergeTest, AReplicaThatWasAwayHearsOfItsRightSideByTheMergeItself) {
  for (uint64_t round = 0; round < 10; ++round) {
    TestCluster cluster(500 + round);
    Prepare(cluster);
    auto frozen = cluster.Freeze(kRight);
    ASSERT_TRUE(frozen.ok()) << frozen.status();
    const int away = (cluster.Leaseholder(kLeft) + 1 + static_cast<int>(round % 2)) % 3;
    cluster.Crash(away);
    ASSERT_TRUE(cluster.MergeFrozen(kLeft, *frozen).ok());
    ASSERT_TRUE(cluster.Write(kLeft, Key("w"), "1").ok());
    cluster.sim().RunFor(2s);
    cluster.Restart(away);
    ASSERT_TRUE(cluster.WaitReady(away)) << cluster.trouble(away);
    CheckMerged(cluster);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

TEST_F(MergeTest, AReplicaThatGoesInTheMiddleOfAMergeLeavesTheOtherSideWholeOrNothingOfIt) {
  int stayed = 0, went = 0;
  for (uint64_t round = 0; round < 80; ++round) {
    SCOPED_TRACE(StrCat("round ", round));
    TestCluster cluster(800 + round);
    Prepare(cluster);
    auto frozen = cluster.Freeze(kRight);
    ASSERT_TRUE(frozen.ok()) << frozen.status();
    Random& random = cluster.sim().random();
    const int goes = (cluster.Leaseholder(kLeft) + 1 + static_cast<int>(round % 2)) % 3;
    const bool crashes = round % 4 != 0;
    // At whatever moment of the merge, and with or without a crash soon after.
    cluster.sim().At(Duration(random.Uniform(8'000'000)), [&] {
      Store* store = cluster.store(goes);
      cluster.Node(goes).Spawn([store](Context ctx) -> Task<void> { (void)co_await store->DestroyReplica(ctx, kLeft, store->Find(kLeft)->replica_id() + 1); });
      if (crashes) cluster.Node(goes).CrashAfterSteps(1 + random.Uniform(30));
    });
    ASSERT_TRUE(cluster.MergeFrozen(kLeft, *frozen).ok());
    cluster.sim().RunFor(2s);
    cluster.Crash(goes);
    cluster.Restart(goes);
    ASSERT_TRUE(cluster.WaitReady(goes)) << cluster.trouble(goes);
    cluster.sim().RunFor(2s);
    Store& store = *cluster.store(goes);
    for (RangeId range : {kLeft, kRight}) EXPECT_TRUE(store.RangeProblem(range).ok()) << store.RangeProblem(range);
    if (store.Find(kLeft) != nullptr) continue;  // it crashed before any of it was on disk
    EXPECT_TRUE(store.log().open_redos().empty());
    EXPECT_EQ(store.Find(kRight) == nullptr, store.log().NextReplica(kRight) == kNoNextReplica);
    EXPECT_EQ(cluster.Read(goes, Key("y")).has_value(), store.Find(kRight) != nullptr);
    ++(store.Find(kRight) != nullptr ? stayed : went);
  }
  EXPECT_GT(stayed, 5);
  EXPECT_GT(went, 5);
}

TEST_F(MergeTest, AReplicaThatSleptThroughAMergeGetsOneSnapshotForBoth) {
  TestOptions options;
  options.truncation = {.flush_log_bytes = 4 << 10, .check_interval = 50ms, .tail_entries = 2, .keep_bytes = 1 << 10};
  for (uint64_t round = 0; round < 20; ++round) {
    TestCluster cluster(600 + round, options);
    Prepare(cluster);
    auto frozen = cluster.Freeze(kRight);
    ASSERT_TRUE(frozen.ok()) << frozen.status();
    const int away = (cluster.Leaseholder(kLeft) + 1 + static_cast<int>(round % 2)) % 3;
    cluster.Crash(away);
    ASSERT_TRUE(cluster.MergeFrozen(kLeft, *frozen).ok());
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(cluster.Write(kLeft, Key(StrCat("k", i)), std::string(100, 'v')).ok());
    cluster.sim().RunFor(2s);
    cluster.Restart(away);
    ASSERT_TRUE(cluster.WaitReady(away)) << cluster.trouble(away);
    if (round >= 5) {  // and dies on the way
      cluster.Node(away).CrashAfterSteps(1 + cluster.sim().random().Uniform(100));
      cluster.sim().RunFor(2s);
      cluster.Restart(away);
      ASSERT_TRUE(cluster.WaitReady(away)) << cluster.trouble(away);
    }
    ASSERT_TRUE(cluster.Write(kLeft, Key("w"), "1").ok());
    CheckMerged(cluster);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

TEST_F(MergeTest, AMergedRangeIsSplitAgainWhereItWasJoined) {
  for (uint64_t round = 0; round < 10; ++round) {
    TestCluster cluster(700 + round);
    Prepare(cluster);
    const int victim = static_cast<int>(round % 3);
    for (RangeId right = kRight; right < kRight + 5; ++right) {
      if (right % 2 == 0) cluster.Node(victim).CrashAfterSteps(1 + cluster.sim().random().Uniform(400));
      auto frozen = cluster.Freeze(right);
      absl::Status merged = frozen.ok() ? cluster.MergeFrozen(kLeft, *frozen) : frozen.status();
      cluster.Crash(victim);
      cluster.Restart(victim);
      ASSERT_TRUE(cluster.WaitReady(victim)) << cluster.trouble(victim);
      ASSERT_TRUE(cluster.Write(kLeft, Key("c"), "7").ok());
      ASSERT_TRUE(cluster.WaitCaughtUp(kLeft));
      if (cluster.store(0)->Find(kLeft)->descriptor().end_key() != KeyspacePrefix(5)) {
        ASSERT_FALSE(merged.ok());
        ASSERT_TRUE(cluster.Merge(kLeft, right).ok());
      }
      ASSERT_TRUE(cluster.Split(kLeft, right + 1, Key("m")).ok());
      ASSERT_TRUE(cluster.Write(right + 1, Key("y"), "4").ok());
    }
    ASSERT_TRUE(cluster.Merge(kLeft, kRight + 5).ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(kLeft));
    CheckMerged(cluster);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

// Four nodes and real replicas: ranges merge, are split again and move, and one of the first three nodes sleeps through all of it.
class MergeAndMoveTest : public MergeTest {
 protected:
  static constexpr RangeId kSplitOff = 2000;
  static TestOptions Options(bool forgets) {
    TestOptions options;
    options.nodes = 4;
    options.real_replicas = true;
    if (forgets) options.truncation = {.flush_log_bytes = 4 << 10, .check_interval = 50ms, .tail_entries = 2, .keep_bytes = 1 << 10};
    return options;
  }
  // Who slept holds what its ranges hold, and nothing else.
  static void CheckHolds(TestCluster& cluster, int node, const std::map<RangeId, std::set<int>>& on) {
    for (const auto& [range, nodes] : on) {
      ASSERT_TRUE(cluster.Write(range, cluster.Descriptor(range).start_key() + "!settled", "1").ok());
      if (!nodes.contains(node)) {
        ASSERT_TRUE(cluster.sim().RunUntil([&] { return cluster.IsClean(node, range); }, 200s)) << cluster.Progress(range);
        continue;
      }
      ASSERT_TRUE(cluster.WaitCaughtUp(range)) << cluster.Progress(range);
      cluster.CheckReplicasAgree(range);
    }
    ASSERT_TRUE(cluster.sim().RunUntil([&] { return cluster.IsClean(node, kRight); }, 200s));
    auto reader = cluster.store(node)->engine().NewReader();
    auto it = reader->NewIterator({.cf = storage::ColumnFamily::kData, .lower = storage::DataKeyBound(Key("")), .upper = storage::DataKeyBound(KeyspacePrefix(5))});
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      auto group = cluster.store(node)->FindByKey(storage::UserKey(it->key()));
      ASSERT_TRUE(group != nullptr && on.contains(group->range_id())) << storage::UserKey(it->key());
    }
  }

  // Merges while one of the followers, the other one in each second round, is away: `*away`.
  void MergeWithout(TestCluster& cluster, uint64_t round, int* away) {
    Prepare(cluster);
    auto frozen = cluster.Freeze(kRight);
    ASSERT_TRUE(frozen.ok()) << frozen.status();
    *away = (cluster.Leaseholder(kLeft) + 1 + static_cast<int>(round % 2)) % 3;
    cluster.Crash(*away);
    ASSERT_TRUE(cluster.MergeFrozen(kLeft, *frozen).ok());
  }
};

TEST_F(MergeAndMoveTest, WhoLosesItsLeftSideBeforeItHasAppliedTheMergeKeepsNothingOfTheRightSide) {
  for (uint64_t round = 0; round < 12; ++round) {
    SCOPED_TRACE(StrCat("round ", round));
    TestCluster cluster(900 + round, Options(round % 2 == 1));
    int away = -1;
    MergeWithout(cluster, round, &away);
    if (HasFatalFailure()) return;
    ASSERT_TRUE(cluster.Change(kLeft, {3}, {away}).ok());
    cluster.Restart(away);
    ASSERT_TRUE(cluster.WaitReady(away)) << cluster.trouble(away);
    if (round >= 6) {  // and dies on the way
      cluster.Node(away).CrashAfterSteps(1 + cluster.sim().random().Uniform(40));
      cluster.sim().RunFor(3s);
      cluster.Restart(away);
      ASSERT_TRUE(cluster.WaitReady(away)) << cluster.trouble(away);
    }
    std::set<int> on = {0, 1, 2, 3};
    on.erase(away);
    CheckHolds(cluster, away, {{kLeft, on}});
    ASSERT_FALSE(HasFailure());
  }
}

TEST_F(MergeAndMoveTest, WhoSleptThroughAMergeAndASplitTakesBothSidesInWhicheverComesFirst) {
  for (uint64_t round = 0; round < 24; ++round) {
    SCOPED_TRACE(StrCat("round ", round));
    TestCluster cluster(1000 + round, Options(round % 2 == 1));
    int away = -1;
    MergeWithout(cluster, round, &away);
    if (HasFatalFailure()) return;
    ASSERT_TRUE(cluster.Split(kLeft, kSplitOff, Key("m")).ok());
    ASSERT_TRUE(cluster.Write(kSplitOff, Key("y"), "9").ok());
    for (int i = 0; i < 60; ++i) {  // logs that do not reach back
      if (round % 4 >= 2) ASSERT_TRUE(cluster.Write(kLeft, Key(StrCat("k", i)), std::string(100, 'v')).ok());
      if (round % 8 >= 4) ASSERT_TRUE(cluster.Write(kSplitOff, Key(StrCat("p", i)), std::string(100, 'v')).ok());
    }
    cluster.sim().RunFor(1s);
    std::set<int> left = {0, 1, 2}, right = {0, 1, 2};
    if (round % 3 == 1) {
      ASSERT_TRUE(cluster.Change(kLeft, {3}, {away}).ok());
      left = {0, 1, 2, 3};
      left.erase(away);
    }
    if (round % 3 == 2) {
      ASSERT_TRUE(cluster.Change(kSplitOff, {3}, {away}).ok());
      right = {0, 1, 2, 3};
      right.erase(away);
    }
    cluster.Restart(away);
    ASSERT_TRUE(cluster.WaitReady(away)) << cluster.trouble(away);
    CheckHolds(cluster, away, {{kLeft, left}, {kSplitOff, right}});
    ASSERT_FALSE(HasFailure());
  }
}

// A range that was split and then taken in, both shortly before a crash: nothing of the split is left to be done.
TEST_F(MergeAndMoveTest, ASplitWhoseLeftSideHasEndedDoesNotKeepTheRightSide) {
  for (uint64_t round = 0; round < 20; ++round) {
    SCOPED_TRACE(StrCat("round ", round));
    TestCluster cluster(1100 + round, Options(/*forgets=*/false));
    Prepare(cluster);
    ASSERT_TRUE(cluster.Split(kRight, kSplitOff, Key("s")).ok());
    ASSERT_TRUE(cluster.Merge(kLeft, kRight).ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(kLeft));
    cluster.sim().RunFor(std::chrono::milliseconds(5 * round));
    ASSERT_TRUE(cluster.Write(kLeft, Key("c"), "7").ok());  // the lazy records before it are durable
    cluster.sim().RunFor(5ms);
    const int away = (cluster.Leaseholder(kSplitOff) + 1 + static_cast<int>(round % 2)) % 3;
    cluster.Crash(away);
    cluster.Restart(away);
    ASSERT_TRUE(cluster.WaitReady(away)) << cluster.trouble(away);
    ASSERT_TRUE(cluster.Change(kSplitOff, {3}, {away}).ok());
    std::set<int> right = {0, 1, 2, 3};
    right.erase(away);
    CheckHolds(cluster, away, {{kLeft, {0, 1, 2}}, {kSplitOff, right}});
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace insula::kv
