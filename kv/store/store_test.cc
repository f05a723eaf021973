#include "kv/store/store.h"

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/log/log.h"
#include "base/sim/disk.h"
#include "base/sim/net.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/store/bootstrap.h"
#include "kv/store/testing/cluster.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr RangeId kRange = 5;  // keyspace 4
std::string Key(const std::string& name) { return KeyspacePrefix(4) + name; }

class StoreTest : public testing::Test {
 protected:
  StoreTest() { log::SetLevel(log::Level::kOff); }
};

TEST_F(StoreTest, InitialRangesCoverAllKeysAndHoldNoTwoKeyspaces) {
  auto ranges = InitialRanges({{1, 1}, {2, 2}, {3, 3}});
  ASSERT_EQ(ranges.size(), 67u);
  EXPECT_EQ(ranges.front().start_key(), "");
  EXPECT_EQ(ranges.back().end_key(), "");
  for (size_t i = 0; i + 1 < ranges.size(); ++i) {
    EXPECT_EQ(ranges[i].end_key(), ranges[i + 1].start_key());
    EXPECT_EQ(ranges[i].range_id(), i + 1);
    EXPECT_EQ(ranges[i].replicas_size(), 3);
  }
  EXPECT_EQ(ranges[2].start_key(), KeyspacePrefix(2));
  EXPECT_EQ(ranges[66].start_key(), KeyspacePrefix(66));
}

TEST_F(StoreTest, AWriteReachesAllReplicasAndSurvivesARestartOfAll) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  ASSERT_TRUE(cluster.Write(kRange, Key("b"), "2").ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cluster.Read(i, Key("a")), "1");
  cluster.CheckReplicasAgree(kRange);
  for (int i = 0; i < 3; ++i) cluster.Crash(i);
  for (int i = 0; i < 3; ++i) cluster.Restart(i);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(cluster.WaitReady(i)) << cluster.trouble(i);
  ASSERT_TRUE(cluster.Write(kRange, Key("c"), "3").ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(cluster.Read(i, Key("a")), "1");
    EXPECT_EQ(cluster.Read(i, Key("b")), "2");
    EXPECT_EQ(cluster.Read(i, Key("c")), "3");
  }
}

TEST_F(StoreTest, TheFirstRequestElectsALeaderAtOnce) {
  TestCluster cluster(2);
  cluster.StartAll();
  cluster.sim().RunFor(3s);
  MonoTime begin = cluster.sim().now();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  EXPECT_LT(cluster.sim().now() - begin, 60ms);
}

TEST_F(StoreTest, GroupsThatNobodyAsksSleep) {
  TestCluster cluster(3);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  ASSERT_TRUE(cluster.Write(kRange + 1, KeyspacePrefix(5) + "a", "1").ok());
  cluster.sim().RunFor(10s);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cluster.store(i)->multiraft().awake_groups(), 0u) << i;
  // And the lease is still there: it costs nothing to keep.
  EXPECT_GE(cluster.Leaseholder(kRange), 0);
  MonoTime begin = cluster.sim().now();
  ASSERT_TRUE(cluster.Write(kRange, Key("b"), "1").ok());
  EXPECT_LT(cluster.sim().now() - begin, 20ms);
}

// Ten frames a second and other store (heartbeats and their answers, and what they make happen), the liveness timer and the clock's bound: that is all.
TEST_F(StoreTest, AtRestStoresSpeakToEachOtherAndNothingElseGoesOn) {
  TestCluster cluster(4);
  cluster.StartAll();
  for (RangeId range = kRange; range < kRange + 10; ++range) ASSERT_TRUE(cluster.Write(range, KeyspacePrefix(range - 1) + "a", "1").ok());
  cluster.sim().RunFor(3min);  // flushes, and the log forgets
  auto messages = [&] {
    uint64_t sum = 0;
    for (int i = 0; i < 3; ++i) {
      for (uint64_t n : cluster.store(i)->multiraft().metrics().messages_sent) sum += n;
    }
    return sum;
  };
  auto frames = [&](int i) { return cluster.store(i)->multiraft().metrics().stream_frames_sent; };
  const uint64_t before = messages(), first = frames(0), events = cluster.sim().events();
  cluster.sim().RunFor(60s);
  EXPECT_EQ(messages(), before);
  EXPECT_LE(frames(0) - first, 60u * 2 * 10 + 20);
  EXPECT_LT(cluster.sim().events() - events, 8550u) << "something is looked at again and again";  // 8,400; a look a second on each would be 180
}

TEST_F(StoreTest, AKilledLeaseholderCostsASecondOrTwoAndNothingElse) {
  for (uint64_t seed = 10; seed < 15; ++seed) {
    TestCluster cluster(seed);
    cluster.StartAll();
    ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
    int leader = cluster.Leaseholder(kRange);
    ASSERT_GE(leader, 0);
    cluster.Crash(leader);
    MonoTime begin = cluster.sim().now();
    absl::Status s = cluster.Write(kRange, Key("b"), "2");
    ASSERT_TRUE(s.ok()) << s;
    EXPECT_LT(cluster.sim().now() - begin, 3s) << "seed " << seed;
    int next = cluster.Leaseholder(kRange);
    ASSERT_NE(next, leader);
    EXPECT_EQ(cluster.Read(next, Key("a")), "1");
    cluster.Restart(leader);
    ASSERT_TRUE(cluster.WaitReady(leader)) << cluster.trouble(leader);
    ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
    cluster.CheckReplicasAgree(kRange);
  }
}

TEST_F(StoreTest, ALeaderCutOffFromItsQuorumServesNoMore) {
  TestCluster cluster(20);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  int leader = cluster.Leaseholder(kRange);
  cluster.sim().net().Isolate(cluster.Node(leader).name());
  cluster.sim().RunFor(1500ms);
  Store* s = cluster.store(leader);
  EXPECT_FALSE(s->Find(kRange)->CheckLease(s->clock().Peek()).valid());
  ASSERT_TRUE(cluster.Write(kRange, Key("b"), "2").ok());
  EXPECT_NE(cluster.Leaseholder(kRange), leader);
  cluster.sim().net().HealAll();
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  cluster.CheckReplicasAgree(kRange);
}

TEST_F(StoreTest, ALeaseIsHandedOverOnRequest) {
  TestCluster cluster(21);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  int from = cluster.Leaseholder(kRange), to = (from + 1) % 3;
  MonoTime begin = cluster.sim().now();
  absl::Status s = cluster.sim().Run(&cluster.Node(from), [&](Context ctx) { return cluster.store(from)->Find(kRange)->TransferLease(ctx, static_cast<StoreId>(to + 1)); }, 5s);
  ASSERT_TRUE(s.ok()) << s;
  ASSERT_TRUE(cluster.sim().RunUntil([&] { return cluster.Leaseholder(kRange) == to; }, 5s));
  EXPECT_LT(cluster.sim().now() - begin, 200ms);
  Store* store = cluster.store(to);
  LeaseCheck lease = store->Find(kRange)->CheckLease(store->clock().Peek());
  EXPECT_GE(lease.lease.start, cluster.store(from)->multiraft().served());
}

TEST_F(StoreTest, ReplicasThatAreFarBehindGetASnapshot) {
  TestOptions options;
  options.truncation = {.flush_log_bytes = 4 << 10, .check_interval = 50ms, .tail_entries = 4, .keep_bytes = 1 << 10};
  TestCluster cluster(30, options);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("first"), "1").ok());
  int behind = (cluster.Leaseholder(kRange) + 1) % 3;
  cluster.Crash(behind);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("k", i)), std::string(100, 'v')).ok());
  cluster.sim().RunFor(2s);
  ASSERT_GT(cluster.store(cluster.Leaseholder(kRange))->log().TruncatedIndex(kRange), 100u);
  cluster.Restart(behind);
  ASSERT_TRUE(cluster.WaitReady(behind)) << cluster.trouble(behind);
  ASSERT_TRUE(cluster.Write(kRange, Key("last"), "1").ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  EXPECT_GE(cluster.store(behind)->multiraft().snapshots().installed(), 1u);
  EXPECT_GE(static_cast<TestMachine*>(cluster.store(behind)->Find(kRange)->state_machine())->snapshots, 1);
  cluster.CheckReplicasAgree(kRange);
  // And again after it restarts.
  cluster.Crash(behind);
  cluster.Restart(behind);
  ASSERT_TRUE(cluster.WaitReady(behind)) << cluster.trouble(behind);
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  cluster.CheckReplicasAgree(kRange);
}

// Its leader sleeps on, as the bond outlives the restart; what was committed need not have been durable.
TEST_F(StoreTest, AFollowerThatRestartsAtOnceLearnsWhatItHasForgotten) {
  TestCluster cluster(34);
  cluster.StartAll();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(cluster.Write(kRange, Key("a"), StrCat(i)).ok());
    cluster.sim().RunFor(300ms);
    const int follower = (cluster.Leaseholder(kRange) + 1 + i % 2) % 3;
    cluster.Crash(follower);
    cluster.Restart(follower);
    ASSERT_TRUE(cluster.WaitReady(follower)) << cluster.trouble(follower);
    ASSERT_TRUE(cluster.WaitCaughtUp(kRange, 10s)) << i << ": " << cluster.Progress(kRange);
    cluster.CheckReplicasAgree(kRange);
  }
}

// Of what lies in the middle of the log: entries that a follower misses.
void DamageOldEntries(TestCluster& cluster, int node) {
  SimDisk& disk = cluster.Node(node).disk();
  for (auto& [path, size] : disk.Files()) {
    for (uint64_t at = 2000; path.ends_with(".log") && at + 2000 < size; at += 97) ASSERT_TRUE(disk.FlipBit(path, at, 3));
  }
}

TEST_F(StoreTest, AReplicaThatMeetsDamageStopsAloneAndItsRangeGoesOn) {
  TestCluster cluster(30, {.log_segment_bytes = 1 << 20, .log_cache_bytes = 0});
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  const int leader = cluster.Leaseholder(kRange), down = (leader + 1) % 3;
  cluster.Crash(down);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(cluster.Write(kRange, Key("b"), std::string(200, 'x')).ok());
  ASSERT_EQ(cluster.Leaseholder(kRange), leader);
  DamageOldEntries(cluster, leader);
  cluster.Restart(down);
  ASSERT_TRUE(cluster.sim().RunUntil([&] { return cluster.store(leader)->Find(kRange)->stopped(); }, 20s));
  EXPECT_EQ(cluster.store(leader)->Find(kRange)->stop_reason().code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(cluster.Write(kRange, Key("c"), "3").ok());
  EXPECT_NE(cluster.Leaseholder(kRange), leader);
  ASSERT_NE(cluster.store(leader), nullptr);
  EXPECT_TRUE(cluster.trouble(leader).ok()) << cluster.trouble(leader);
  ASSERT_TRUE(cluster.Write(kRange + 1, KeyspacePrefix(5) + "other", "1").ok()) << "the store's other ranges go on";
}

TEST_F(StoreTest, AStoreWhoseDiskDoesNotReadEndsItself) {
  TestCluster cluster(31, {.log_cache_bytes = 0});
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  const int leader = cluster.Leaseholder(kRange), down = (leader + 1) % 3;
  cluster.Crash(down);
  ASSERT_TRUE(cluster.Write(kRange, Key("b"), "2").ok());
  cluster.Node(leader).disk().faults.read_error_chance = 1;
  cluster.Restart(down);
  ASSERT_TRUE(cluster.sim().RunUntil([&] { return !cluster.trouble(leader).ok(); }, 20s));
  EXPECT_EQ(cluster.trouble(leader).code(), absl::StatusCode::kUnavailable) << cluster.trouble(leader);
  cluster.Node(leader).disk().faults.read_error_chance = 0;
  cluster.Crash(leader);
  cluster.Restart(leader);
  ASSERT_TRUE(cluster.WaitReady(leader)) << cluster.trouble(leader);
  ASSERT_TRUE(cluster.WaitReady(down)) << cluster.trouble(down);
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  EXPECT_EQ(cluster.Read(leader, Key("b")), "2");
  cluster.CheckReplicasAgree(kRange);
}

// A transaction that is pushed above uncertain reads is served ahead of all clocks.
TEST_F(StoreTest, WhatIsServedAheadOfAllClocksStopsNoNodeAndRaisesNoClock) {
  TestCluster cluster(32);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  const int leader = cluster.Leaseholder(kRange), behind = (leader + 1) % 3;
  cluster.Node(behind).JumpClock(-200ms);
  for (int i = 0; i < 20; ++i) {
    Store* store = cluster.store(leader);
    store->multiraft().NoteServed(store->clock().Peek().AddMicros(250'000));
    ASSERT_TRUE(cluster.Write(kRange, Key("b"), "2").ok());
  }
  const Timestamp served = cluster.store(leader)->multiraft().served();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(cluster.trouble(i).ok()) << cluster.trouble(i);
    EXPECT_LT(cluster.store(i)->clock().Peek(), served.AddMicros(-200'000)) << i;
  }
  absl::Status s = cluster.sim().Run(&cluster.Node(leader), [&](Context ctx) { return cluster.store(leader)->Find(kRange)->TransferLease(ctx, static_cast<StoreId>(behind + 1)); }, 5s);
  ASSERT_TRUE(s.ok()) << s;
  ASSERT_TRUE(cluster.sim().RunUntil([&] { return cluster.Leaseholder(kRange) == behind; }, 5s));
  Store* next = cluster.store(behind);
  EXPECT_GE(next->Find(kRange)->CheckLease(next->clock().Peek()).lease.start, served);
}

TEST_F(StoreTest, ANodeWhoseClockIsFarFromThoseOfMostOthersStopsItself) {
  for (bool behind : {true, false}) {
    TestCluster cluster(33);
    cluster.StartAll();
    ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
    const int odd = (cluster.Leaseholder(kRange) + 1) % 3;
    cluster.Node(odd).JumpClock(behind ? -400ms : 400ms);
    cluster.sim().RunFor(3s);
    EXPECT_EQ(cluster.trouble(odd).code(), absl::StatusCode::kFailedPrecondition) << (behind ? "behind: " : "ahead: ") << cluster.trouble(odd);
    for (int i = 0; i < 3; ++i) {
      if (i == odd) continue;
      EXPECT_TRUE(cluster.trouble(i).ok()) << cluster.trouble(i);
      const HybridClock& clock = cluster.store(i)->clock();
      EXPECT_LT(clock.Peek().micros(), static_cast<uint64_t>(clock.Physical().time_since_epoch().count()) + 250'000) << "not adopted";
    }
    ASSERT_TRUE(cluster.Write(kRange, Key("b"), "2").ok());
  }
}

TEST_F(StoreTest, ASplitMakesTwoRangesEverywhere) {
  TestCluster cluster(40);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  ASSERT_TRUE(cluster.Write(kRange, Key("z"), "2").ok());
  ASSERT_TRUE(cluster.Split(kRange, 1000, Key("m")).ok());
  ASSERT_TRUE(cluster.Write(1000, Key("y"), "3").ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  ASSERT_TRUE(cluster.WaitCaughtUp(1000));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(cluster.store(i)->Find(kRange)->descriptor().end_key(), Key("m"));
    EXPECT_EQ(cluster.store(i)->FindByKey(Key("z"))->range_id(), 1000u);
    EXPECT_EQ(cluster.store(i)->FindByKey(Key("a"))->range_id(), kRange);
    EXPECT_EQ(cluster.store(i)->LocalRanges(Key("a"), Key("z")).size(), 2u);
    EXPECT_EQ(cluster.Read(i, Key("y")), "3");
    EXPECT_EQ(cluster.Read(i, Key("z")), "2");
  }
  cluster.CheckReplicasAgree(kRange);
  cluster.CheckReplicasAgree(1000);
  // The right side's lease starts above what the left side served.
  int holder = cluster.Leaseholder(1000);
  ASSERT_GE(holder, 0);
  EXPECT_GT(cluster.store(holder)->Find(1000)->CheckLease({}).lease.start.bits, 0u);
}

// Else whoever missed the split, and got the left side alone by a snapshot, would have nothing of the right side.
TEST_F(StoreTest, TheRightSideOfASplitHasALeaderBeforeAnybodyAsks) {
  TestOptions options;
  options.truncation = {.flush_log_bytes = 4 << 10, .check_interval = 50ms, .tail_entries = 2, .keep_bytes = 1 << 10};
  TestCluster cluster(41, options);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("z"), "1").ok());
  const int behind = (cluster.Leaseholder(kRange) + 1) % 3;
  cluster.Crash(behind);
  ASSERT_TRUE(cluster.Split(kRange, 1000, Key("m")).ok());
  EXPECT_TRUE(cluster.sim().RunUntil([&] { return cluster.Leaseholder(1000) >= 0; }, 10s));
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("k", i)), std::string(100, 'v')).ok());
  cluster.Restart(behind);
  ASSERT_TRUE(cluster.WaitReady(behind)) << cluster.trouble(behind);
  EXPECT_TRUE(cluster.sim().RunUntil([&] { return cluster.Read(behind, Key("z")) == "1" && cluster.store(behind)->Find(1000) != nullptr; }, 60s));
}

// A follower that hears of a commit, and of nothing else, has nothing to sync before it answers.
TEST_F(StoreTest, AWriteIsSyncedOncePerReplica) {
  constexpr uint64_t kWrites = 40;
  TestCluster cluster(44);
  cluster.StartAll();
  auto write = [&](uint64_t i) {
    ASSERT_TRUE(cluster.Write(kRange, Key("z"), StrCat(i)).ok());
    cluster.sim().RunFor(20ms);
  };
  for (uint64_t i = 0; i < 5; ++i) write(i);
  auto syncs = [&] {
    uint64_t sum = 0;
    for (int i = 0; i < 3; ++i) sum += cluster.store(i)->log().stats().syncs;
    return sum;
  };
  const uint64_t before = syncs();
  for (uint64_t i = 0; i < kWrites; ++i) write(i);
  EXPECT_GE(syncs() - before, 3 * kWrites);
  EXPECT_LE(syncs() - before, 3 * kWrites + kWrites / 4) << "and now and then one for liveness";
}

// Its replicas have forgotten their votes and what they acknowledged: with the one that missed a write they would be a majority without it.
TEST_F(StoreTest, AStoreThatIsMadeAnewUnderItsOldNumberIsRefused) {
  TestCluster cluster(46);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  const int stays = cluster.Leaseholder(kRange), lost = (stays + 1) % 3, behind = (stays + 2) % 3;
  cluster.Crash(behind);
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "2").ok());
  cluster.Crash(stays);
  ASSERT_TRUE(cluster.LoseDisk(lost).ok());
  cluster.Start(lost);
  cluster.Restart(behind);
  EXPECT_TRUE(cluster.sim().RunUntil([&] { return cluster.trouble(lost).code() == absl::StatusCode::kFailedPrecondition; }, 20s)) << cluster.trouble(lost);
  EXPECT_NE(cluster.trouble(lost).message().find("another disk"), std::string::npos) << cluster.trouble(lost);
  EXPECT_TRUE(cluster.trouble(behind).ok()) << cluster.trouble(behind);
  EXPECT_FALSE(cluster.Write(kRange, Key("b"), "3", 5s).ok()) << "no majority remembers what was acknowledged";
  cluster.Restart(stays);
  ASSERT_TRUE(cluster.WaitReady(stays)) << cluster.trouble(stays);
  EXPECT_TRUE(cluster.Write(kRange, Key("b"), "4").ok());
  EXPECT_TRUE(cluster.sim().RunUntil([&] { return cluster.Read(behind, Key("a")) == "2"; }, 20s));
}

TEST_F(StoreTest, ALeaderThatCannotReadWhatItIsToSendMakesWay) {
  TestOptions options;
  options.truncation = {.flush_log_bytes = 4 << 10, .check_interval = 50ms, .tail_entries = 2, .keep_bytes = 1 << 10};
  TestCluster cluster(47, options);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  const int leader = cluster.Leaseholder(kRange), behind = (leader + 1) % 3;
  cluster.Crash(behind);
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("k", i)), std::string(100, 'v')).ok());
  cluster.sim().RunFor(1s);
  cluster.disk(leader).damaged.emplace(storage::ColumnFamily::kData, TestRow(Key("k30")));
  cluster.Restart(behind);
  ASSERT_TRUE(cluster.WaitReady(behind)) << cluster.trouble(behind);
  // Not only when the snapshot's time is over, and it may be sent again.
  EXPECT_TRUE(cluster.sim().RunUntil([&] { return cluster.Read(behind, Key("k59")).has_value(); }, 15s)) << cluster.Progress(kRange);
  EXPECT_TRUE(cluster.Write(kRange, Key("b"), "2").ok());
  EXPECT_TRUE(absl::IsDataLoss(cluster.store(leader)->RangeProblem(kRange))) << cluster.store(leader)->RangeProblem(kRange);
}

// An outbox holds less than the largest entry; and whoever is behind has to be sent several.
TEST_F(StoreTest, TheLargestEntriesAreReplicated) {
  TestCluster cluster(45);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("small"), "1").ok());
  const int behind = (cluster.Leaseholder(kRange) + 1) % 3;
  cluster.Crash(behind);
  for (char c : {'a', 'b', 'c'}) ASSERT_TRUE(cluster.Write(kRange, Key("large"), std::string(kMaxCommandBytes - 4096, c)).ok());
  cluster.Restart(behind);
  ASSERT_TRUE(cluster.WaitReady(behind)) << cluster.trouble(behind);
  ASSERT_TRUE(cluster.Write(kRange, Key("small"), "2").ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(cluster.sim().RunUntil([&] { return cluster.Read(i, Key("small")) == "2"; }, 60s)) << cluster.Progress(kRange);
    EXPECT_EQ(cluster.Read(i, Key("large")).value_or("").substr(0, 3), "ccc");
  }
  absl::Status refused = cluster.Write(kRange, Key("large"), std::string(kMaxCommandBytes, 'd'), 1s);
  EXPECT_FALSE(refused.ok());
  EXPECT_TRUE(cluster.Write(kRange, Key("small"), "3").ok()) << "and nothing waits behind it";
}

// Each split is in the range that the one before made: a store that missed them cannot apply the next before it has made that range's replica,
// and that one's leader is to tell it then, not at its next tick.
TEST_F(StoreTest, AStoreThatMissedOneSplitAfterTheOtherIsSoonThere) {
  constexpr int kSplits = 50;
  TestCluster cluster(42);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("z"), "1").ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  const int behind = (cluster.Leaseholder(kRange) + 1) % 3;
  cluster.sim().net().Isolate(cluster.Node(behind).name());
  cluster.sim().RunFor(2s);
  for (int i = 0; i < kSplits; ++i) ASSERT_TRUE(cluster.Split(i == 0 ? kRange : 1000 + i - 1, 1000 + i, Key(StrCat("m", 100 + i))).ok());
  cluster.sim().net().HealAll();
  Store& store = *cluster.store(behind);
  const uint64_t elections = store.multiraft().metrics().elections;
  ASSERT_TRUE(cluster.sim().RunUntil([&] { return store.Find(1000) != nullptr; }, 10s));
  const MonoTime begun = cluster.sim().now();
  ASSERT_TRUE(cluster.sim().RunUntil([&] { return store.Find(1000 + kSplits - 1) != nullptr; }, 60s));
  EXPECT_LT(cluster.sim().now() - begun, kSplits * 20ms);
  EXPECT_LT(store.multiraft().metrics().elections - elections, kSplits);
  auto all_sleep = [&] {
    for (int i = 0; i < 3; ++i) {
      if (cluster.store(i)->multiraft().awake_groups() > 0) return false;
    }
    return true;
  };
  EXPECT_TRUE(cluster.sim().RunUntil(all_sleep, 10s));
}

// However often a range is asked for, its replica campaigns now and then only: elections of all ranges of a store share a rate.
TEST_F(StoreTest, ElectionsThatCannotBeWonAreNotTriedWithoutAPause) {
  TestCluster cluster(43);
  cluster.StartAll();
  cluster.Crash(1);
  cluster.Crash(2);
  MultiRaft& multiraft = cluster.store(0)->multiraft();
  cluster.sim().RunFor(5s);  // all support has lapsed
  const uint64_t before = multiraft.metrics().elections;
  for (int i = 0; i < 1000; ++i) {
    multiraft.WantElection(multiraft.Find(kRange).get(), Duration::zero());
    cluster.sim().RunFor(1ms);
  }
  EXPECT_GT(multiraft.metrics().elections, before);
  EXPECT_LE(multiraft.metrics().elections - before, 11u);
}

TEST_F(StoreTest, ASplitSurvivesACrashAtAnyStep) {
  for (uint64_t round = 0; round < 40; ++round) {
    TestCluster cluster(100 + round);
    cluster.StartAll();
    ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
    ASSERT_TRUE(cluster.Write(kRange, Key("z"), "2").ok());
    int victim = static_cast<int>(round % 3);
    cluster.Node(victim).CrashAfterSteps(1 + cluster.sim().random().Uniform(60));
    absl::Status split = cluster.Split(kRange, 1000, Key("m"));
    cluster.sim().RunFor(200ms);
    cluster.Crash(victim);
    cluster.Restart(victim);
    ASSERT_TRUE(cluster.WaitReady(victim)) << cluster.trouble(victim);
    ASSERT_TRUE(cluster.Write(kRange, Key("b"), "3").ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
    bool happened = cluster.store(0)->Find(1000) != nullptr;
    EXPECT_TRUE(happened || !split.ok());
    if (!happened) continue;
    ASSERT_TRUE(cluster.Write(1000, Key("y"), "4").ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(1000)) << "round " << round;
    cluster.CheckReplicasAgree(kRange);
    cluster.CheckReplicasAgree(1000);
    EXPECT_TRUE(cluster.store(victim)->log().open_redos().empty() || !HasFailure());
  }
}

TEST_F(StoreTest, AReplicaThatSleptThroughASplitGetsBothSidesBySnapshot) {
  TestOptions options;
  options.truncation = {.flush_log_bytes = 4 << 10, .check_interval = 50ms, .tail_entries = 2, .keep_bytes = 1 << 10};
  TestCluster cluster(50, options);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  int behind = (cluster.Leaseholder(kRange) + 1) % 3;
  cluster.Crash(behind);
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("k", i)), std::string(100, 'v')).ok());
  ASSERT_TRUE(cluster.Split(kRange, 1000, Key("k3")).ok());
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("b", i)), std::string(100, 'w')).ok());
    ASSERT_TRUE(cluster.Write(1000, Key(StrCat("x", i)), std::string(100, 'w')).ok());
  }
  cluster.sim().RunFor(2s);
  cluster.Restart(behind);
  ASSERT_TRUE(cluster.WaitReady(behind)) << cluster.trouble(behind);
  ASSERT_TRUE(cluster.Write(kRange, Key("end"), "1").ok());
  ASSERT_TRUE(cluster.Write(1000, Key("zend"), "1").ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  ASSERT_TRUE(cluster.WaitCaughtUp(1000));
  EXPECT_GE(cluster.store(behind)->multiraft().snapshots().installed(), 2u);
  cluster.CheckReplicasAgree(kRange);
  cluster.CheckReplicasAgree(1000);
}

TEST_F(StoreTest, StartRefusesWhatIsNotItsStore) {
  TestCluster cluster(60);
  // Not initialised.
  cluster.Start(0);
  ASSERT_TRUE(cluster.sim().RunUntil([&] { return !cluster.trouble(0).ok(); }, 5s));
  EXPECT_EQ(cluster.trouble(0).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(cluster.trouble(0).ToString().find("initialise"), std::string::npos) << cluster.trouble(0);
  StoreIdent ident{.cluster_id = "c", .node_id = 1, .store_id = 1, .members = {{1, 1}}};
  std::string text = EncodeStoreIdent(ident);
  EXPECT_EQ(*DecodeStoreIdent(text), ident);
  for (size_t i = 13; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] ^= 1;
    EXPECT_FALSE(DecodeStoreIdent(damaged).ok()) << i;
  }
  std::string newer = text;
  newer.replace(newer.find("format 1"), 8, "format 2");
  EXPECT_EQ(DecodeStoreIdent(newer).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DecodeStoreIdent("something else\n").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(StoreTest, InitRefusesASecondTimeAndStrangers) {
  TestCluster cluster(61);
  cluster.InitAll();
  auto init = [&](StoreIdent ident, std::string dir) {
    auto engines = [&](const std::string&) { return storage::OpenModelEngine(&cluster.Node(0).random(), &cluster.disk(0)); };
    return cluster.sim().Run(&cluster.Node(0), [&](Context ctx) -> Task<absl::Status> { co_return co_await InitStore(ctx, cluster.Node(0).runtime(), engines, dir, ident); }, 5s);
  };
  std::vector<StoreMember> members = {{1, 1}, {2, 2}, {3, 3}};
  EXPECT_EQ(init({.cluster_id = "c", .node_id = 1, .store_id = 1, .members = members}, "/data/store").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(init({.cluster_id = "c", .node_id = 9, .store_id = 9, .members = members}, "/data/other").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(init({.cluster_id = "c", .node_id = 1, .store_id = 1, .members = {{1, 1}, {2, 2}}}, "/data/other").code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(StoreTest, AFullDiskRefusesWritesAndLosesNothing) {
  TestCluster cluster(70);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  for (int i = 0; i < 3; ++i) cluster.Node(i).disk().faults.capacity = cluster.Node(i).disk().BytesUsed();
  int leader = cluster.Leaseholder(kRange);
  absl::Status first = cluster.sim().Run(&cluster.Node(leader), [&](Context ctx) { return cluster.WriteOn(ctx, leader, kRange, Key("b"), "2", false); }, 3s);
  EXPECT_FALSE(first.ok());
  ASSERT_TRUE(cluster.sim().RunUntil([&] { return !cluster.store(leader)->disk_status().ok(); }, 10s));
  EXPECT_EQ(cluster.store(leader)->disk_status().code(), absl::StatusCode::kResourceExhausted);
  for (int i = 0; i < 3; ++i) cluster.Node(i).disk().faults.capacity = ~0ull;
  cluster.sim().RunFor(3s);
  ASSERT_TRUE(cluster.Write(kRange, Key("c"), "3").ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cluster.Read(i, Key("a")), "1");
  cluster.CheckReplicasAgree(kRange);
}

TEST_F(StoreTest, ADestroyedReplicaIsGoneForGood) {
  TestCluster cluster(71);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  int other = (cluster.Leaseholder(kRange) + 1) % 3;
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  ReplicaId id = cluster.store(other)->Find(kRange)->replica_id();
  absl::Status s = cluster.sim().Run(&cluster.Node(other), [&](Context ctx) -> Task<absl::Status> { co_return co_await cluster.store(other)->DestroyReplica(ctx, kRange, id + 3); }, 5s);
  ASSERT_TRUE(s.ok()) << s;
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(cluster.Write(kRange, Key("b"), "2").ok());
    cluster.sim().RunFor(3s);
    EXPECT_EQ(cluster.store(other)->Find(kRange), nullptr);
    EXPECT_EQ(cluster.Read(other, Key("a")), std::nullopt);
    cluster.Crash(other);
    cluster.Restart(other);
    ASSERT_TRUE(cluster.WaitReady(other)) << cluster.trouble(other);
  }
}

// Writes of rising numbers to a few keys, under crashes, partitions and slow disks; what was acknowledged must be there in the end, on
// all replicas alike, and no two stores may ever serve the same range.
class StoreChaosTest : public StoreTest, public testing::WithParamInterface<int> {};

TEST_P(StoreChaosTest, NoAcknowledgedWriteIsLostAndLeasesNeverOverlap) {
  TestOptions options;
  options.truncation = {.flush_log_bytes = 8 << 10, .check_interval = 100ms, .tail_entries = 8, .keep_bytes = 2 << 10};
  options.log_segment_bytes = 8 << 10;
  TestCluster cluster(static_cast<uint64_t>(GetParam()), options);
  cluster.StartAll();
  ASSERT_FALSE(HasFatalFailure());
  Simulation& sim = cluster.sim();
  Random& random = sim.random();
  const std::vector<RangeId> ranges = {kRange, kRange + 1, kRange + 2};
  auto key_of = [](RangeId range, uint64_t k) { return KeyspacePrefix(range - 1) + StrCat("k", k); };
  std::map<std::string, std::vector<int>> possible;  // per key: the last acknowledged value (-1: none), then those that may have happened since
  bool was_split = false;
  int acknowledged = 0;
  for (int step = 0; step < 120; ++step) {
    switch (random.Uniform(14)) {
      case 0: cluster.Crash(static_cast<int>(random.Uniform(3))); break;
      case 1:
      case 2:
        for (int i = 0; i < 3; ++i) cluster.Restart(i);
        break;
      case 3: sim.net().Isolate(cluster.Node(static_cast<int>(random.Uniform(3))).name()); break;
      case 4: sim.net().BlockOneWay(cluster.Node(static_cast<int>(random.Uniform(3))).name(), cluster.Node(static_cast<int>(random.Uniform(3))).name()); break;
      case 5:
      case 6: sim.net().HealAll(); break;
      case 7: {
        SimProcess& node = cluster.Node(static_cast<int>(random.Uniform(3)));
        if (node.alive()) node.CrashAfterSteps(1 + random.Uniform(2000));
        break;
      }
      case 8: {
        auto& faults = cluster.Node(static_cast<int>(random.Uniform(3))).disk().faults;
        faults.stall_chance = random.Chance(0.5) ? 0.01 : 0;
        break;
      }
      case 9:
        if (!was_split && random.Chance(0.5)) was_split = cluster.Split(kRange, 1000, key_of(kRange, 5), 3s).ok();
        break;
      default: break;
    }
    for (int w = 0; w < 4; ++w) {
      RangeId range = ranges[random.Uniform(ranges.size())];
      std::string key = key_of(range, random.Uniform(10));
      if (range == kRange && key >= key_of(kRange, 5)) {
        bool split = false;
        for (int i = 0; i < 3; ++i) split |= cluster.store(i) != nullptr && cluster.store(i)->Find(1000) != nullptr;
        if (split) range = 1000;
      }
      int value = step * 10 + w;
      absl::Status s = cluster.Write(range, key, StrCat(value), 1s);
      if (s.ok()) {
        possible[key] = {value};
        ++acknowledged;
      } else if (s.code() == absl::StatusCode::kUnknown) {
        if (possible[key].empty()) possible[key] = {-1};
        possible[key].push_back(value);
      }
      cluster.CheckLeases(ranges);
      ASSERT_FALSE(HasFailure()) << "step " << step;
    }
    sim.RunFor(std::chrono::milliseconds(random.Uniform(400)));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(cluster.trouble(i).ok()) << "node " << i + 1 << " at step " << step << ": " << cluster.trouble(i);
  }
  sim.net().HealAll();
  for (int i = 0; i < 3; ++i) {
    cluster.Node(i).disk().faults.stall_chance = 0;
    cluster.Crash(i);  // also ends what CrashAfterSteps planned
    cluster.Restart(i);
  }
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(cluster.WaitReady(i)) << cluster.trouble(i);
  EXPECT_GT(acknowledged, 20);
  std::vector<RangeId> all = ranges;
  for (RangeId range : ranges) ASSERT_TRUE(cluster.Write(range, key_of(range, 0) + "end", "x").ok()) << "range " << range;
  for (RangeId range : ranges) ASSERT_TRUE(cluster.WaitCaughtUp(range)) << "range " << range;
  // A store that missed the split, and got the left side by a snapshot, has the right one as soon as that is led.
  bool split_anywhere = false;
  for (int i = 0; i < 3; ++i) split_anywhere |= cluster.store(i)->Find(1000) != nullptr;
  if (split_anywhere) {
    ASSERT_TRUE(cluster.Write(1000, key_of(kRange, 9) + "end", "x").ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(1000));
    all.push_back(1000);
  }
  for (RangeId range : all) cluster.CheckReplicasAgree(range);
  for (const auto& [key, values] : possible) {
    auto shown = cluster.Read(0, key);
    bool fits = false;
    for (int v : values) fits |= v < 0 ? !shown.has_value() : shown == StrCat(v);
    EXPECT_TRUE(fits) << keys::Pretty(key) << " shows " << shown.value_or("nothing") << ", last acknowledged " << values.front();
  }
}

// INSULA_CHAOS_SEEDS=N runs N of them instead of 30.
int Seeds() {
  const char* n = std::getenv("INSULA_CHAOS_SEEDS");
  return n != nullptr ? std::atoi(n) : 30;
}
INSTANTIATE_TEST_SUITE_P(Seeds, StoreChaosTest, testing::Range(1000, 1000 + Seeds()));

}  // namespace
}  // namespace insula::kv
