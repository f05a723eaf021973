// Followers that do not answer, though their store lives: what that costs, and that they are heard when they do.
#include <cstdlib>
#include <map>
#include <string>
#include <utility>

#include "base/log/log.h"
#include "base/sim/net.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/metrics/store_metrics.h"
#include "kv/multiraft/log_engine.h"
#include "kv/multiraft/range_state.h"
#include "kv/storage/engine.h"
#include "kv/store/store.h"
#include "kv/store/testing/cluster.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr RangeId kRange = 5;  // keyspace 4
std::string Key(const std::string& name) { return KeyspacePrefix(4) + name; }

class SilentTest : public testing::Test {
 protected:
  SilentTest() { log::SetLevel(std::getenv("INSULA_TEST_LOG") != nullptr ? log::Level::kDebug : log::Level::kOff); }

  static uint64_t MessagesOf(TestCluster& cluster, int node) {
    uint64_t sum = 0;
    for (uint64_t n : cluster.store(node)->metrics().messages_sent) sum += n;
    return sum;
  }
  static int Follower(TestCluster& cluster, RangeId range) { return (cluster.Leaseholder(range) + 1) % 3; }
  static bool AllSleep(TestCluster& cluster) {
    for (int i = 0; i < 3; ++i) {
      if (cluster.store(i)->multiraft().awake_groups() > 0) return false;
    }
    return true;
  }
};

TEST_F(SilentTest, ARangeRestsForAFollowerThatHasStopped) {
  TestCluster cluster(1);
  cluster.StartAll();
  ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  const int leader = cluster.Leaseholder(kRange), stopped = Follower(cluster, kRange);
  cluster.store(stopped)->Find(kRange)->StopDamaged(absl::DataLossError("said the test"));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("b", i)), "1").ok());
  EXPECT_TRUE(cluster.sim().RunUntil([&] { return AllSleep(cluster); }, 5s)) << cluster.Progress(kRange);
  cluster.sim().RunFor(60s);
  const uint64_t before = MessagesOf(cluster, leader);
  cluster.sim().RunFor(60s);
  EXPECT_LT(MessagesOf(cluster, leader) - before, 20u);
  EXPECT_EQ(cluster.store(leader)->multiraft().resting_groups(), 1u);
  EXPECT_EQ(cluster.Leaseholder(kRange), leader);
  // It serves as ever.
  const MonoTime begin = cluster.sim().now();
  ASSERT_TRUE(cluster.Write(kRange, Key("c"), "1").ok());
  EXPECT_LT(cluster.sim().now() - begin, 60ms);
  EXPECT_TRUE(cluster.sim().RunUntil([&] { return AllSleep(cluster); }, 5s));
  // Its store starts anew.
  cluster.Crash(stopped);
  cluster.Restart(stopped);
  ASSERT_TRUE(cluster.WaitReady(stopped));
  EXPECT_TRUE(cluster.WaitCaughtUp(kRange, 5s));
  EXPECT_TRUE(cluster.sim().RunUntil([&] { return AllSleep(cluster); }, 10s));
  EXPECT_EQ(cluster.store(leader)->multiraft().resting_groups(), 0u);
  cluster.CheckReplicasAgree(kRange);
}

TEST_F(SilentTest, ARangeRestsForAFollowerThatCannotBeMadeAndIsToldWhenItCan) {
  TestCluster cluster(2);
  cluster.StartAll();
  for (const char* k : {"a", "z"}) ASSERT_TRUE(cluster.Write(kRange, Key(k), k).ok());
  ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
  // What has stopped holds the keys that the split gives to another range.
  const int stopped = Follower(cluster, kRange);
  cluster.store(stopped)->Find(kRange)->StopDamaged(absl::DataLossError("said the test"));
  ASSERT_TRUE(cluster.Split(kRange, 1000, Key("m")).ok());
  ASSERT_TRUE(cluster.Write(1000, Key("z2"), "1").ok());
  EXPECT_TRUE(cluster.sim().RunUntil([&] { return AllSleep(cluster); }, 10s)) << cluster.Progress(1000);
  cluster.sim().RunFor(90s);
  uint64_t before = 0, after = 0;
  for (int i = 0; i < 3; ++i) before += MessagesOf(cluster, i);
  cluster.sim().RunFor(60s);
  for (int i = 0; i < 3; ++i) after += MessagesOf(cluster, i);
  EXPECT_LT(after - before, 40u);
  ASSERT_EQ(cluster.store(stopped)->Find(1000), nullptr);
  // It goes: long before the next heartbeat comes, the other is made of what was kept.
  absl::Status gone = cluster.sim().Run(
      &cluster.Node(stopped), [&](Context ctx) -> Task<absl::Status> { co_return co_await cluster.store(stopped)->DestroyReplica(ctx, kRange, 100); }, 10s);
  ASSERT_TRUE(gone.ok()) << gone;
  EXPECT_TRUE(cluster.sim().RunUntil([&] { return cluster.Read(stopped, Key("z2")).has_value(); }, 2s)) << cluster.Progress(1000);
  EXPECT_TRUE(cluster.WaitCaughtUp(1000, 5s));
  cluster.CheckReplicasAgree(1000);
}

// A replica that applied its own removal and was damaged before it could go: its successor on this store is not taken for it.
TEST_F(SilentTest, ADamagedReplicaThatItsDescriptorDoesNotNameIsNamedAllTheSame) {
  for (const bool log_knows : {true, false}) {
    TestCluster cluster(3);
    cluster.StartAll();
    ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
    const int leader = cluster.Leaseholder(kRange), damaged = Follower(cluster, kRange);
    const StoreId store = static_cast<StoreId>(damaged) + 1;
    const ReplicaId removed = ReplicaOn(cluster.Descriptor(kRange), store)->replica_id();
    if (!log_knows) {
      LogBatch forget;
      forget.SetReplica(kRange, 0);
      absl::Status s = cluster.sim().Run(
          &cluster.Node(damaged),
          [&](Context ctx) -> Task<absl::Status> { co_return co_await cluster.store(damaged)->log().AppendAndWait(ctx, std::move(forget)); }, 5s);
      ASSERT_TRUE(s.ok()) << s;
    }
    absl::Status s = cluster.sim().Run(
        &cluster.Node(damaged),
        [&](Context ctx) -> Task<absl::Status> {
          storage::Engine& engine = cluster.store(damaged)->engine();
          auto loaded = LoadRange(*engine.NewReader(), kRange);
          v1::RangeDescriptor without = (*loaded)->descriptor;
          for (int i = without.replicas_size() - 1; i >= 0; --i) {
            if (without.replicas(i).store_id() == store) without.mutable_replicas()->DeleteSubrange(i, 1);
          }
          without.set_next_replica_id(removed + 1);
          (*loaded)->state.applied_index += 1000;  // of entries that its log has not
          storage::WriteBatch rows;
          PutDescriptor(&rows, without);
          PutRangeState(&rows, kRange, (*loaded)->state);
          CO_RETURN_IF_ERROR(engine.Write(rows));
          co_return co_await engine.Flush(ctx);
        },
        5s);
    ASSERT_TRUE(s.ok()) << s;
    cluster.Crash(damaged);
    cluster.Restart(damaged);
    ASSERT_TRUE(cluster.WaitReady(damaged));
    ASSERT_EQ(cluster.store(damaged)->damaged_count(), 1u);
    const std::map<RangeId, ReplicaId> said = {{kRange, removed}};
    auto heard = [&] { return cluster.store(leader)->pool().View().Find(store)->stopped; };
    EXPECT_TRUE(cluster.sim().RunUntil([&] { return heard().size() == 1; }, 30s));
    EXPECT_EQ(heard(), said);
  }
}

// Whoever answers is seen to at once, whatever the others do.
TEST_F(SilentTest, AFollowerThatAnswersIsNotForgottenForOneThatDoesNot) {
  for (uint64_t seed = 10; seed < 20; ++seed) {
    TestCluster cluster(seed);
    cluster.StartAll();
    ASSERT_TRUE(cluster.Write(kRange, Key("a"), "1").ok());
    ASSERT_TRUE(cluster.WaitCaughtUp(kRange));
    const int leader = cluster.Leaseholder(kRange), silent = Follower(cluster, kRange), other = 3 - leader - silent;
    cluster.store(silent)->Find(kRange)->StopDamaged(absl::DataLossError("said the test"));
    // It has less and less of a connection, while the range is written to and while it rests.
    for (int round = 0; round < 5; ++round) {
      for (int i = 0; i < 5; ++i) ASSERT_TRUE(cluster.Write(kRange, Key(StrCat("b", round, "-", i)), "1").ok());
      cluster.sim().net().BreakConnections(cluster.Node(leader).name(), cluster.Node(other).name());
      cluster.sim().RunFor(3s);
      auto group = cluster.store(other)->Find(kRange);
      EXPECT_EQ(group->applied_index(), cluster.store(leader)->Find(kRange)->applied_index()) << "seed " << seed << "\n" << cluster.Progress(kRange);
      cluster.sim().RunFor(3s);
    }
    EXPECT_TRUE(cluster.sim().RunUntil([&] { return AllSleep(cluster); }, 10s)) << cluster.Progress(kRange);
  }
}

}  // namespace
}  // namespace insula::kv
