// Changes of a range's replicas over whole stores: under writes, crashes at every step, partitions, and with replicas that slept.
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/log/log.h"
#include "base/sim/net.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/multiraft/conf_change.h"
#include "kv/multiraft/range_state.h"
#include "kv/store/store.h"
#include "kv/store/testing/cluster.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr RangeId kRange = 5;  // keyspace 4
std::string Key(const std::string& name) { return KeyspacePrefix(4) + name; }

TestOptions Options(int nodes = 5) {
  TestOptions options;
  options.nodes = nodes;
  options.real_replicas = true;
  return options;
}

class ReplicasTest : public testing::Test {
 protected:
  ReplicasTest() { log::SetLevel(std::getenv("INSULA_TEST_LOG") != nullptr ? log::Level::kDebug : log::Level::kOff); }

  // Stores by node (0-based) that vote by the newest descriptor; anything unfinished fails the test.
  static std::set<int> Voters(TestCluster& cluster, RangeId range = kRange) {
    std::set<int> voters;
    const v1::RangeDescriptor descriptor = cluster.Descriptor(range);
    for (const auto& r : descriptor.replicas()) {
      EXPECT_FALSE(r.learner() || r.incoming() || r.outgoing()) << descriptor.ShortDebugString();
      voters.insert(static_cast<int>(r.store_id()) - 1);
    }
    return voters;
  }
  // The range ends up on exactly these, all alike, and nothing of it lies anywhere else.
  static void ExpectSettles(TestCluster& cluster, const std::set<int>& on, RangeId range = kRange) {
    ASSERT_TRUE(cluster.Write(range, cluster.Descriptor(range).start_key() + "!settled", "1").ok());
    EXPECT_EQ(Voters(cluster, range), on);
    ASSERT_TRUE(cluster.WaitCaughtUp(range));
    cluster.CheckReplicasAgree(range);
    for (int i = 0; i < cluster.nodes(); ++i) {
      if (on.contains(i) || cluster.store(i) == nullptr) continue;
      EXPECT_TRUE(cluster.sim().RunUntil([&] { return cluster.IsClean(i, range); }, 120s)) << "node " << i + 1 << "\n" << cluster.Progress(range);
    }
  }
  // One that does not lead.
  static int Follower(TestCluster& cluster, RangeId range = kRange) {
    for (int i : Voters(cluster, range)) {
      if (i != cluster.Leaseholder(range)) return i;
    }
    return -1;
  }
};

TEST_F(ReplicasTest, AReplicaMovesToAStoreThatNeverHadTheRange) {
  TestCluster cluster(1, Options());
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  const int leader = cluster.Leaseholder(kRange), gone = Follower(cluster);
  const uint64_t before = cluster.Descriptor(kRange).generation();
  absl::Status s = cluster.Change(kRange, {3}, {gone});
  ASSERT_TRUE(s.ok()) << s;
  std::set<int> on = {0, 1, 2, 3};
  on.erase(gone);
  ExpectSettles(cluster, on);
  EXPECT_EQ(cluster.Read(3, Key("a")), "1");
  EXPECT_FALSE(cluster.Read(gone, Key("a")).has_value());
  EXPECT_EQ(cluster.Descriptor(kRange).generation(), before + 3);  // learner, both halves, the new one
  EXPECT_EQ(cluster.Leaseholder(kRange), leader);
  // Nothing runs on for it.
  cluster.sim().RunFor(10s);
  for (int i = 0; i < cluster.nodes(); ++i) EXPECT_EQ(cluster.store(i)->multiraft().awake_groups(), 0u) << i;
}

TEST_F(ReplicasTest, ReplicasAreAddedAndTakenAwayByThemselves) {
  TestCluster cluster(2, Options());
  cluster.StartAll();
  ASSERT_TRUE(cluster.Change(kRange, {3, 4}, {}).ok());
  ExpectSettles(cluster, {0, 1, 2, 3, 4});
  const int a = Follower(cluster);
  ASSERT_TRUE(cluster.Change(kRange, {}, {a}).ok());
  EXPECT_EQ(Voters(cluster).size(), 4u);
  // Asked again, there is nothing to do.
  const uint64_t generation = cluster.Descriptor(kRange).generation();
  ASSERT_TRUE(cluster.Change(kRange, {4}, {a}).ok());
  EXPECT_EQ(cluster.Descriptor(kRange).generation(), generation);
}

TEST_F(ReplicasTest, WhatMakesNoSenseIsRefused) {
  TestCluster cluster(3, Options());
  cluster.StartAll();
  EXPECT_FALSE(cluster.Change(kRange, {}, {0, 1, 2}).ok());
  EXPECT_FALSE(cluster.Change(kRange, {3, 3}, {}).ok());
  EXPECT_FALSE(cluster.Change(kRange, {3}, {3}).ok());
  EXPECT_FALSE(cluster.TransferLease(kRange, 4).ok());
  EXPECT_EQ(cluster.Descriptor(kRange).generation(), 1u);
}

TEST_F(ReplicasTest, TheLeaseholdersReplicaGoesAfterItsLease) {
  TestCluster cluster(4, Options());
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  const int leader = cluster.Leaseholder(kRange);
  absl::Status s = cluster.Change(kRange, {4}, {leader});
  ASSERT_TRUE(s.ok()) << s;
  std::set<int> on = {0, 1, 2, 4};
  on.erase(leader);
  ExpectSettles(cluster, on);
  EXPECT_NE(cluster.Leaseholder(kRange), leader);
}

TEST_F(ReplicasTest, ARangeOfOneReplicaMoves) {
  TestCluster cluster(5, Options());
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  const int leader = cluster.Leaseholder(kRange);
  std::vector<int> others;
  for (int i : {0, 1, 2}) {
    if (i != leader) others.push_back(i);
  }
  ASSERT_TRUE(cluster.Change(kRange, {}, others).ok());
  ExpectSettles(cluster, {leader});
  absl::Status s = cluster.Change(kRange, {3}, {leader});
  ASSERT_TRUE(s.ok()) << s;
  ExpectSettles(cluster, {3});
  EXPECT_EQ(cluster.Read(3, Key("a")), "1");
}

TEST_F(ReplicasTest, AllReplicasMoveAndComeBack) {
  TestCluster cluster(6, Options(6));
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  absl::Status s = cluster.Change(kRange, {3, 4, 5}, {0, 1, 2});
  ASSERT_TRUE(s.ok()) << s;
  ExpectSettles(cluster, {3, 4, 5});
  s = cluster.Change(kRange, {0, 1, 2}, {3, 4, 5});
  ASSERT_TRUE(s.ok()) << s;
  ExpectSettles(cluster, {0, 1, 2});
  const v1::RangeDescriptor range = cluster.Descriptor(kRange);
  for (const auto& r : range.replicas()) EXPECT_GT(r.replica_id(), 6u);
  for (int i : {0, 1, 2}) EXPECT_EQ(cluster.Read(i, Key("a")), "1");
}

TEST_F(ReplicasTest, NoWriteIsLostWhileReplicasAndLeasesMove) {
  TestOptions options = Options();
  options.truncation = {.flush_log_bytes = 8 << 10, .check_interval = 100ms, .tail_entries = 8, .keep_bytes = 2 << 10};
  TestCluster cluster(7, options);
  cluster.StartAll();
  std::map<std::string, std::string> written;
  int n = 0;
  auto write = [&] {
    const std::string key = Key(StrCat("k", n % 50));
    ASSERT_TRUE(cluster.Write(kRange, key, StrCat(n)).ok());
    written[key] = StrCat(n++);
  };
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 10; ++i) write();
    std::set<int> voters = Voters(cluster);
    std::vector<int> out;
    for (int i = 0; i < 5; ++i) {
      if (!voters.contains(i)) out.push_back(i);
    }
    const int leaves = *std::next(voters.begin(), round % 3), comes = out[static_cast<size_t>(round) % out.size()];
    // Writes go on while it is under way; they are load: one may be refused as the lease moves.
    bool ended = false;
    for (int i = 1; i < 40; ++i) {
      cluster.sim().At(i * 20ms, [&cluster, &ended, i] {
        const int node = cluster.Leaseholder(kRange);
        if (!ended && node >= 0) cluster.Node(node).Spawn([&cluster, node, i](Context ctx) -> Task<void> { (void)co_await cluster.WriteOn(ctx, node, kRange, Key("busy"), StrCat(i), false); });
      });
    }
    absl::Status s = cluster.Change(kRange, {comes}, {leaves});
    ASSERT_TRUE(s.ok()) << "round " << round << ": " << s << "\n" << cluster.Progress(kRange);
    ended = true;
    write();
    voters = Voters(cluster);
    const int to = *std::next(voters.begin(), (round + 1) % 3);
    s = cluster.TransferLease(kRange, to);
    ASSERT_TRUE(s.ok()) << "round " << round << ": " << s;
    write();
    cluster.CheckLeases({kRange});
  }
  ExpectSettles(cluster, Voters(cluster));
  for (const auto& [key, value] : written) {
    for (int i : Voters(cluster)) EXPECT_EQ(cluster.Read(i, key), value) << keys::Pretty(key);
  }
}

TEST_F(ReplicasTest, ALearnerThatDoesNotFollowIsTakenAwayAgain) {
  TestOptions options = Options();
  options.learner_patience = 3s;
  TestCluster cluster(8, options);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  cluster.Crash(3);
  EXPECT_FALSE(cluster.Change(kRange, {3}, {Follower(cluster)}, 4s).ok());
  cluster.sim().RunFor(10s);  // what was asked for last is over, too
  ExpectSettles(cluster, {0, 1, 2});
  cluster.Restart(3);
  ASSERT_TRUE(cluster.WaitReady(3));
  ExpectSettles(cluster, {0, 1, 2});
  ASSERT_TRUE(cluster.Change(kRange, {3}, {}).ok());
  ExpectSettles(cluster, {0, 1, 2, 3});
}

TEST_F(ReplicasTest, TheReplicaOfALostStoreIsReplaced) {
  TestCluster cluster(9, Options());
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  const int lost = Follower(cluster);
  cluster.Crash(lost);
  cluster.sim().RunFor(5s);
  absl::Status s = cluster.Change(kRange, {3}, {lost});
  ASSERT_TRUE(s.ok()) << s;
  // Another one may fail now.
  const int next = Follower(cluster);
  cluster.Crash(next);
  ASSERT_TRUE(cluster.Write(kRange, Key("b"), "2").ok());
  cluster.Restart(next);
  ASSERT_TRUE(cluster.WaitReady(next));
  std::set<int> on = {0, 1, 2, 3};
  on.erase(lost);
  ExpectSettles(cluster, on);
  // The lost one was only away: it learns that it is not wanted any more.
  cluster.Restart(lost);
  ASSERT_TRUE(cluster.WaitReady(lost));
  ExpectSettles(cluster, on);
}

TEST_F(ReplicasTest, AReplicaThatSleptThroughItsRemovalWakesAndGoes) {
  for (bool crash : {true, false}) {
    TestCluster cluster(10, Options());
    cluster.StartAll();
    ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
    const int sleeper = Follower(cluster);
    if (crash) {
      cluster.Crash(sleeper);
    } else {
      cluster.sim().net().Isolate(cluster.Node(sleeper).name());
    }
    cluster.sim().RunFor(2s);
    // Nobody whom it knows is left.
    absl::Status s = cluster.Change(kRange, {3}, {sleeper});
    ASSERT_TRUE(s.ok()) << s;
    s = cluster.TransferLease(kRange, 3);
    ASSERT_TRUE(s.ok()) << s;
    for (int i : {0, 1, 2}) {
      if (i != sleeper) ASSERT_TRUE(cluster.Change(kRange, i == (sleeper + 1) % 3 ? std::vector<int>{4} : std::vector<int>{}, {i}).ok());
    }
    for (int i : {0, 1, 2}) {
      if (i != sleeper) ASSERT_TRUE(cluster.sim().RunUntil([&] { return cluster.IsClean(i, kRange); }, 60s));
    }
    cluster.sim().net().HealAll();
    cluster.Restart(sleeper);
    ASSERT_TRUE(cluster.WaitReady(sleeper));
    ExpectSettles(cluster, {3, 4});
  }
}

TEST_F(ReplicasTest, ARemovedReplicaComesBackWithAHigherIdThoughTheOldOneSlept) {
  TestCluster cluster(11, Options());
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  const int sleeper = Follower(cluster);
  cluster.Crash(sleeper);
  cluster.sim().RunFor(2s);
  ASSERT_TRUE(cluster.Change(kRange, {3}, {sleeper}).ok());
  cluster.Restart(sleeper);
  absl::Status s = cluster.Change(kRange, {sleeper}, {3});
  ASSERT_TRUE(s.ok()) << s;
  ExpectSettles(cluster, {0, 1, 2});
  EXPECT_EQ(cluster.Read(sleeper, Key("a")), "1");
}

// By hand, as the leaseholder would: into the joint configuration, and no further.
absl::Status EnterJoint(TestCluster& cluster, int node, int comes, int goes) {
  return cluster.sim().Run(
      &cluster.Node(node),
      [&, node](Context ctx) -> Task<absl::Status> {
        auto group = cluster.store(node)->Find(kRange);
        for (bool joint : {false, true}) {
          Command command;
          command.lease_sequence = group->CheckLease(group->clock().Peek()).lease.sequence;
          v1::RangeDescriptor next = group->descriptor();
          next.set_generation(next.generation() + 1);
          if (!joint) {
            auto* learner = next.add_replicas();
            learner->set_node_id(static_cast<uint64_t>(comes + 1));
            learner->set_store_id(static_cast<uint64_t>(comes + 1));
            learner->set_replica_id(next.next_replica_id());
            learner->set_learner(true);
            next.set_next_replica_id(next.next_replica_id() + 1);
          }
          for (auto& r : *next.mutable_replicas()) {
            if (joint && r.learner()) r.set_incoming(true);
            if (joint && r.learner()) r.clear_learner();
            if (joint && r.store_id() == static_cast<StoreId>(goes + 1)) r.set_outgoing(true);
          }
          command.change = ReplicaChange{next};
          absl::Status s = (co_await group->ProposeChange(ctx, std::move(command))).status();
          if (!s.ok()) co_return s;
          if (!joint) s = co_await group->AwaitCaughtUp(ctx, next.next_replica_id() - 1);
          if (!s.ok()) co_return s;
        }
        co_return absl::OkStatus();
      },
      20s);
}

TEST_F(ReplicasTest, ALeaseholderThatFindsAJointConfigurationLeavesIt) {
  for (uint64_t seed = 20; seed < 28; ++seed) {
    TestCluster cluster(seed, Options());
    cluster.StartAll();
    ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
    const int leader = cluster.Leaseholder(kRange);
    // Every other time it is the leader itself that goes: it cannot end its own vote.
    const int goes = seed % 2 == 0 ? Follower(cluster) : leader;
    absl::Status s = EnterJoint(cluster, leader, 3, goes);
    ASSERT_TRUE(s.ok()) << s;
    EXPECT_TRUE(IsJoint(cluster.Descriptor(kRange)));
    // As long as it is joint, both halves have to agree; and a learner or one that goes gets no lease.
    if (goes != leader) EXPECT_FALSE(cluster.TransferLease(kRange, goes, 2s).ok());
    cluster.Crash(leader);
    ASSERT_TRUE(cluster.Write(kRange, Key("b"), "2").ok());
    ASSERT_TRUE(cluster.sim().RunUntil([&] { return !IsJoint(cluster.Descriptor(kRange)); }, 30s)) << cluster.Progress(kRange);
    cluster.Restart(leader);
    ASSERT_TRUE(cluster.WaitReady(leader));
    std::set<int> on = {0, 1, 2, 3};
    on.erase(goes);
    ExpectSettles(cluster, on);
  }
}

// The change is asked for again until it is done, whoever crashes at whatever moment of it.
class ReplicasCrashTest : public ReplicasTest, public testing::WithParamInterface<int> {};

TEST_P(ReplicasCrashTest, AChangeSurvivesACrashOfAnyPartyAtAnyStep) {
  const uint64_t seed = static_cast<uint64_t>(GetParam());
  TestOptions options = Options();
  options.truncation = {.flush_log_bytes = 8 << 10, .check_interval = 100ms, .tail_entries = 8, .keep_bytes = 2 << 10};
  if (seed % 2 == 1) options.snapshots = {.bytes_per_second = 0, .chunk_bytes = 100, .bytes_in_memory = 200};
  TestCluster cluster(seed, options);
  cluster.StartAll();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("k", i)), StrCat(i)).ok());
  const int goes = Follower(cluster), comes = 3;
  const int victims[] = {cluster.Leaseholder(kRange), comes, goes};
  SimProcess& victim = cluster.Node(victims[seed % 3]);
  victim.CrashAfterSteps(1 + cluster.sim().random().Uniform(victims[seed % 3] == comes ? 150 : 400));
  for (int t = 1; t < 40; ++t) {
    cluster.sim().At(t * 700ms, [&] {
      for (int i = 0; i < cluster.nodes(); ++i) cluster.Restart(i);
    });
  }
  absl::Status s = cluster.Change(kRange, {comes}, {goes});
  ASSERT_TRUE(s.ok()) << s << "\n" << cluster.Progress(kRange);
  victim.CrashAfterSteps(0);
  cluster.sim().RunFor(10ms);  // it may be about to crash at this very moment
  for (int i = 0; i < cluster.nodes(); ++i) {
    cluster.Restart(i);
    ASSERT_TRUE(cluster.WaitReady(i)) << cluster.trouble(i);
  }
  std::set<int> on = {0, 1, 2, 3};
  on.erase(goes);
  ExpectSettles(cluster, on);
  ASSERT_FALSE(HasFatalFailure()) << cluster.Progress(kRange);
  for (int i = 0; i < 20; ++i) {
    for (int node : on) EXPECT_EQ(cluster.Read(node, Key(StrCat("k", i))), StrCat(i));
  }
  // And once more after everybody has started anew: what is on disk says the same.
  for (int i = 0; i < cluster.nodes(); ++i) cluster.Crash(i);
  for (int i = 0; i < cluster.nodes(); ++i) cluster.Restart(i);
  for (int i = 0; i < cluster.nodes(); ++i) ASSERT_TRUE(cluster.WaitReady(i)) << cluster.trouble(i);
  ExpectSettles(cluster, on);
}

// INSULA_CHAOS_SEEDS=N runs N of them instead of as many as fit a test run.
int Seeds(int usual) {
  const char* n = std::getenv("INSULA_CHAOS_SEEDS");
  return n != nullptr ? std::atoi(n) : usual;
}
INSTANTIATE_TEST_SUITE_P(Seeds, ReplicasCrashTest, testing::Range(2000, 2000 + Seeds(45)));

TEST_F(ReplicasTest, SnapshotsKeepToTheirRate) {
  TestOptions options = Options();
  options.snapshots.bytes_per_second = 1 << 20;
  TestCluster cluster(30, options);
  cluster.StartAll();
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("k", i)), std::string(100 << 10, 'x')).ok());
  MonoTime begin = cluster.sim().now();
  ASSERT_TRUE(cluster.Change(kRange, {3}, {}).ok());
  EXPECT_GT(cluster.sim().now() - begin, 2500ms);
  EXPECT_LT(cluster.sim().now() - begin, 8s);
  ExpectSettles(cluster, {0, 1, 2, 3});
}

TEST_F(ReplicasTest, ASnapshotIsGoneOnWithWhereItsStreamBroke) {
  for (size_t in_memory : {size_t{0}, size_t{64} << 20}) {
    TestOptions options = Options();
    options.snapshots = {.bytes_per_second = 1 << 20, .chunk_bytes = 64 << 10, .bytes_in_memory = in_memory};
    TestCluster cluster(30, options);
    cluster.StartAll();
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("k", i)), std::string(100 << 10, static_cast<char>('a' + i % 26))).ok());
    for (auto at : {1500ms, 3000ms}) {
      cluster.sim().At(at, [&] {
        for (int i = 0; i < 3; ++i) cluster.sim().net().BreakConnections(cluster.Node(i).name(), cluster.Node(3).name());
      });
    }
    absl::Status s = cluster.Change(kRange, {3}, {});
    ASSERT_TRUE(s.ok()) << s;
    uint64_t resumed = 0, sent = 0;
    for (int i = 0; i < 3; ++i) {
      resumed += cluster.store(i)->metrics().snapshots_resumed;
      sent += cluster.store(i)->metrics().snapshot_bytes_sent;
    }
    EXPECT_GE(resumed, 1u);
    EXPECT_LT(sent, 5u << 20) << "what had arrived was sent again";
    ExpectSettles(cluster, {0, 1, 2, 3});
    EXPECT_EQ(cluster.Read(3, Key("k7")), std::string(100 << 10, 'h'));
  }
}

TEST_F(ReplicasTest, ASnapshotForAReplicaThatIsDestroyedMeanwhileLeavesNothing) {
  for (uint64_t seed = 31; seed < 39; ++seed) {
    TestOptions options = Options();
    options.snapshots.bytes_per_second = 1 << 20;
    options.learner_patience = std::chrono::milliseconds(600 + 400 * (seed - 31));
    if (seed % 2 == 0) options.snapshots.bytes_in_memory = 0;
    TestCluster cluster(seed, options);
    cluster.StartAll();
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("k", i)), std::string(100 << 10, 'x')).ok());
    // Patience ends while the snapshot is on its way, or just behind it.
    absl::Status s = cluster.Change(kRange, {3}, {}, 1s + options.learner_patience / 2);
    cluster.sim().RunFor(10s);
    ExpectSettles(cluster, Voters(cluster));
    s = cluster.Change(kRange, {}, {3});
    ASSERT_TRUE(s.ok()) << s;
    ExpectSettles(cluster, {0, 1, 2});
  }
}

TEST_F(ReplicasTest, ASplitLeavesAloneWhatWasRemovedFromItsRightSide) {
  // Node 3 is behind when the range splits; by the time it learns of the split, its replica of the right side is gone for good.
  TestCluster cluster(40, Options());
  cluster.StartAll();
  for (const char* k : {"a", "m", "z"}) ASSERT_TRUE(cluster.Write(kRange, Key(k), k).ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  const int behind = Follower(cluster);
  cluster.sim().net().Isolate(cluster.Node(behind).name());
  cluster.sim().RunFor(2s);
  absl::Status s = cluster.Split(kRange, 1000, Key("m"));
  ASSERT_TRUE(s.ok()) << s;
  s = cluster.Change(1000, {3}, {behind});
  ASSERT_TRUE(s.ok()) << s;
  cluster.sim().net().HealAll();
  std::set<int> right = {0, 1, 2, 3};
  right.erase(behind);
  ExpectSettles(cluster, {0, 1, 2});
  ExpectSettles(cluster, right, 1000);
  EXPECT_FALSE(cluster.Read(behind, Key("z")).has_value());
  EXPECT_EQ(cluster.Read(behind, Key("a")), "a");
}

TEST_F(ReplicasTest, WhatSplitFromARemovedReplicaStaysThroughACrash) {
  // The engine has flushed nothing when the left side's replica goes, so on disk the split is in its log alone.
  for (uint64_t steps = 1; steps < 16; ++steps) {
    SCOPED_TRACE(StrCat("crash after ", steps, " steps"));
    TestCluster cluster(41, Options());
    cluster.StartAll();
    for (const char* k : {"a", "m"}) ASSERT_TRUE(cluster.Write(kRange, Key(k), k).ok());
    ASSERT_TRUE(cluster.Split(kRange, 1000, Key("m")).ok());
    ASSERT_TRUE(cluster.Write(1000, Key("z"), "z").ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(1000));
    const int goes = Follower(cluster);
    cluster.sim().net().Isolate(cluster.Node(goes).name());
    cluster.sim().RunFor(2s);
    absl::Status s = cluster.Change(kRange, {3}, {goes});
    ASSERT_TRUE(s.ok()) << s;
    cluster.sim().net().HealAll();
    ASSERT_TRUE(cluster.sim().RunUntil([&] { return cluster.store(goes)->Find(kRange) == nullptr; }, 60s));
    cluster.Node(goes).CrashAfterSteps(steps);
    ASSERT_TRUE(cluster.sim().RunUntil([&] { return !cluster.Node(goes).alive(); }, 60s));
    cluster.Restart(goes);
    ASSERT_TRUE(cluster.WaitReady(goes)) << cluster.trouble(goes);
    std::set<int> left = {0, 1, 2, 3};
    left.erase(goes);
    ExpectSettles(cluster, left);
    ExpectSettles(cluster, {0, 1, 2}, 1000);
    for (const char* k : {"m", "z"}) EXPECT_EQ(cluster.Read(goes, Key(k)), k);
  }
}

TEST_F(ReplicasTest, AReplicaWhoseStateWentWithItsLeftSideTakesNoPartUntilItIsReplaced) {
  int lost = 0;
  for (uint64_t seed = 42; seed < 62 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    TestCluster cluster(seed, Options());
    cluster.StartAll();
    ASSERT_TRUE(cluster.Write(kRange, Key("a"), "a").ok());
    ASSERT_TRUE(cluster.Split(kRange, 1000, Key("m")).ok());
    ASSERT_TRUE(cluster.Write(1000, Key("z"), "z").ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(1000));
    const int loses = Follower(cluster);
    cluster.Crash(loses);
    cluster.sim().RunFor(2s);
    cluster.Restart(loses);
    ASSERT_TRUE(cluster.sim().RunUntil([&] { return cluster.store(loses) != nullptr; }, 60s));
    if (cluster.store(loses)->Find(1000) != nullptr) continue;  // the engine had kept the split
    ++lost;
    // Before it has split again, as if the left side's log were damaged there.
    auto destroy = [&](Context ctx) -> Task<absl::Status> { co_return co_await cluster.store(loses)->DestroyReplica(ctx, kRange, 4); };
    absl::Status s = cluster.sim().Run(&cluster.Node(loses), destroy, 5s);
    ASSERT_TRUE(s.ok()) << s;
    for (int turn = 0; turn < 2; ++turn) {
      for (const char* k : {"x", "z"}) ASSERT_TRUE(cluster.Write(1000, Key(k), k).ok());
      cluster.sim().RunFor(5s);
      ASSERT_EQ(cluster.store(loses)->Find(1000), nullptr);
      cluster.Crash(loses);
      cluster.Restart(loses);
      ASSERT_TRUE(cluster.WaitReady(loses)) << cluster.trouble(loses);
    }
    s = cluster.Change(1000, {3}, {loses});
    ASSERT_TRUE(s.ok()) << s;
    s = cluster.Change(1000, {loses}, {3});
    ASSERT_TRUE(s.ok()) << s;
    ExpectSettles(cluster, {0, 1, 2}, 1000);
    for (const char* k : {"x", "z"}) EXPECT_EQ(cluster.Read(loses, Key(k)), k);
  }
  EXPECT_GT(lost, 3);
}

// ------------------------------------------------------------------------------------------------------------------- at random

class ReplicasChaosTest : public ReplicasTest, public testing::WithParamInterface<int> {
 protected:
  struct Writes {
    std::map<std::string, std::vector<int>> possible;  // per key: the last acknowledged value (-1: none), then those that may have happened since
    int acknowledged = 0;
    int next = 0;
  };
  static void WriteOne(TestCluster& cluster, Writes* writes) {
    const std::string key = Key(StrCat("k", cluster.sim().random().Uniform(10)));
    const int value = writes->next++;
    absl::Status s = cluster.Write(kRange, key, StrCat(value), 1s);
    if (s.ok()) {
      writes->possible[key] = {value};
      ++writes->acknowledged;
    } else if (s.code() == absl::StatusCode::kUnknown) {
      if (writes->possible[key].empty()) writes->possible[key] = {-1};
      writes->possible[key].push_back(value);
    }
  }
  static void Disturb(TestCluster& cluster) {
    Simulation& sim = cluster.sim();
    Random& random = sim.random();
    SimProcess& one = cluster.Node(static_cast<int>(random.Uniform(5)));
    switch (random.Uniform(12)) {
      case 0: if (one.alive()) one.Crash(); break;
      case 1:
        if (one.alive()) one.CrashAfterSteps(1 + random.Uniform(1500));
        break;
      case 2:
      case 3:
      case 4:
        for (int i = 0; i < 5; ++i) cluster.Restart(i);
        break;
      case 5: sim.net().Isolate(one.name()); break;
      case 6: sim.net().BlockOneWay(one.name(), cluster.Node(static_cast<int>(random.Uniform(5))).name()); break;
      case 7:
      case 8: sim.net().HealAll(); break;
      default: break;
    }
  }
  static void Move(TestCluster& cluster) {
    Random& random = cluster.sim().random();
    const v1::RangeDescriptor range = cluster.Descriptor(kRange);
    std::vector<int> in, out;
    for (int i = 0; i < 5; ++i) (ReplicaOn(range, static_cast<StoreId>(i + 1)) != nullptr ? in : out).push_back(i);
    if (in.empty()) return;
    std::vector<int> add, remove;
    if (!out.empty() && random.Chance(0.7)) add.push_back(out[random.Uniform(out.size())]);
    if (in.size() + add.size() > 3 || random.Chance(0.3)) remove.push_back(in[random.Uniform(in.size())]);
    if (in.size() + add.size() - remove.size() < 2) return;
    if (random.Chance(0.3)) {
      (void)cluster.TransferLease(kRange, in[random.Uniform(in.size())], 1s);
    } else {
      (void)cluster.Change(kRange, add, remove, std::chrono::milliseconds(200 + random.Uniform(4000)));
    }
  }
};

TEST_P(ReplicasChaosTest, NoAcknowledgedWriteIsLostAndNothingIsLeftBehind) {
  TestOptions options = Options();
  options.truncation = {.flush_log_bytes = 8 << 10, .check_interval = 100ms, .tail_entries = 8, .keep_bytes = 2 << 10};
  options.log_segment_bytes = 8 << 10;
  options.learner_patience = 3s;
  TestCluster cluster(static_cast<uint64_t>(GetParam()), options);
  cluster.StartAll();
  ASSERT_FALSE(HasFatalFailure());
  Writes writes;
  for (int step = 0; step < 60; ++step) {
    Disturb(cluster);
    if (cluster.sim().random().Chance(0.5)) Move(cluster);
    for (int w = 0; w < 3; ++w) WriteOne(cluster, &writes);
    cluster.CheckLeases({kRange});
    cluster.sim().RunFor(std::chrono::milliseconds(cluster.sim().random().Uniform(300)));
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(cluster.trouble(i).ok()) << "node " << i + 1 << " at step " << step << ": " << cluster.trouble(i);
    ASSERT_FALSE(HasFailure()) << "step " << step;
  }
  cluster.sim().net().HealAll();
  for (int i = 0; i < 5; ++i) {
    cluster.Node(i).CrashAfterSteps(0);
    cluster.sim().RunFor(10ms);  // it may be about to crash at this very moment
    cluster.Restart(i);
  }
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(cluster.WaitReady(i)) << cluster.trouble(i);
  EXPECT_GT(writes.acknowledged, 10);
  // A change that was cut short leaves a learner behind, maybe: the next one takes it away, and everything is as it should be.
  ASSERT_TRUE(cluster.Write(kRange, Key("end"), "x").ok()) << cluster.Progress(kRange);
  ASSERT_TRUE(cluster.sim().RunUntil([&] { return !IsJoint(cluster.Descriptor(kRange)); }, 60s)) << cluster.Progress(kRange);
  absl::Status s = cluster.Change(kRange, {0, 1, 2}, {3, 4});
  ASSERT_TRUE(s.ok()) << s << "\n" << cluster.Progress(kRange);
  ExpectSettles(cluster, {0, 1, 2});
  ASSERT_FALSE(HasFatalFailure()) << cluster.Progress(kRange);
  for (const auto& [key, values] : writes.possible) {
    auto shown = cluster.Read(0, key);
    bool fits = false;
    for (int v : values) fits |= v < 0 ? !shown.has_value() : shown == StrCat(v);
    EXPECT_TRUE(fits) << keys::Pretty(key) << " shows " << shown.value_or("nothing") << ", last acknowledged " << values.front();
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, ReplicasChaosTest, testing::Range(3000, 3000 + Seeds(40)));

}  // namespace
}  // namespace insula::kv
