// Addresses follow splits, whatever comes between: over replicas and the meta range in one process (kv/replica/replica_address.cc).
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/async/task_group.h"
#include "base/runtime/random.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/testing/local_cluster.h"
#include "kv/keys/keys.h"

namespace insula::kv {
namespace {

std::string K(uint64_t i) { return StrCat("\xfe", std::string(1, static_cast<char>('a' + i / 26 % 26)), std::string(1, static_cast<char>('a' + i % 26))); }

class AddressTest : public testing::Test {
 protected:
  ~AddressTest() override { loop_.RunUntilIdle(); }

  // All of `keys` at once.
  void SplitAll(ClientDatabase& db, const std::set<std::string>& keys) {
    TaskGroup group(ctx_);
    for (const std::string& key : keys) {
      group.SpawnFn([this, &db, key]() -> Task<void> {
        v1::BatchResponse response = co_await db.sender().Send(ctx_, SplitBatch(key));
        EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
      });
    }
    loop_.Await(group);
  }

  // A client that knows nothing yet finds each range as it is, at once.
  void CheckAddresses(LocalCluster& cluster, std::set<std::string> starts) {
    starts.insert("\xfe");
    for (const std::string& key : starts) {
      auto fresh = cluster.NewDatabase();
      auto located = loop_.Run(fresh->sender().Locate(ctx_, key));
      ASSERT_TRUE(located.ok()) << located.status();
      const v1::RangeDescriptor& range = cluster.group_of(key).descriptor();
      EXPECT_EQ(located->range_id(), range.range_id()) << keys::Pretty(key);
      EXPECT_EQ(located->start_key(), range.start_key()) << keys::Pretty(key);
      EXPECT_EQ(located->end_key(), range.end_key()) << keys::Pretty(key);
      EXPECT_EQ(located->generation(), range.generation()) << keys::Pretty(key);
    }
  }

  // Nothing is sent any more, and nothing waits for its time to come.
  void CheckRest(LocalCluster& cluster) {
    const uint64_t calls = cluster.calls;
    loop_.RunFor(std::chrono::hours(1));
    EXPECT_EQ(cluster.calls, calls);
    EXPECT_EQ(loop_.timers(), 0u);
  }

  TestLoop loop_;
  Context ctx_ = loop_.ctx();
};

TEST_F(AddressTest, SplitsSideBySideAndLeasesThatMoveLeaveNoAddressBehind) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    LocalCluster cluster(&loop_, {}, seed);
    cluster.latency = std::chrono::milliseconds(1);
    auto db = cluster.NewDatabase({}, [&random](const v1::BatchRequest&) { return CallFate{.delay = Duration(random.Uniform(20'000'000))}; });
    std::set<std::string> keys;
    while (keys.size() < 64) keys.insert(K(random.Uniform(26 * 26)));
    // Entries take their time, so that one of a split comes between another's publishing and its note; and leases move.
    TaskGroup meanwhile(ctx_);
    meanwhile.SpawnFn([&]() -> Task<void> {
      while ((co_await Sleep(meanwhile.ctx(), std::chrono::milliseconds(1 + random.Uniform(10)))).ok()) {
        LocalGroup& group = cluster.group_of(K(random.Uniform(26 * 26)));
        group.apply_delay = std::chrono::milliseconds(random.Uniform(4));
        if (random.Chance(0.3)) group.ChangeLease();
      }
    });
    SplitAll(*db, keys);
    meanwhile.Cancel();
    loop_.Await(meanwhile);
    loop_.RunFor(std::chrono::minutes(5));
    EXPECT_EQ(cluster.pending_addresses(), 0u) << "seed " << seed;
    CheckAddresses(cluster, keys);
    CheckRest(cluster);
    if (HasFailure()) return;
  }
}

TEST_F(AddressTest, AChainOfSplitsWhileTheMetaRangeIsAwayConvergesWithAFewCallsForEach) {
  LocalCluster cluster(&loop_, {});
  auto db = cluster.NewDatabase();
  SplitAll(*db, {K(60)});  // whoever splits knows where range ids are to be had
  loop_.RunFor(std::chrono::seconds(1));
  cluster.group(keys::kMetaRange).leader = false;
  std::set<std::string> keys = {K(60)};
  // Each splits what the last one left (the client knows where that is): nobody's left neighbour has an address yet.
  for (uint64_t i = 50; i > 30; --i) {
    keys.insert(K(i));
    SplitAll(*db, {K(i)});
  }
  EXPECT_EQ(cluster.pending_addresses(), 21u);
  cluster.group(keys::kMetaRange).leader = true;
  const uint64_t calls = cluster.calls;
  // The rightmost come first, and must not have to wait for the others.
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    cluster.group_of(*key).ChangeLease();
    loop_.RunFor(std::chrono::milliseconds(10));
  }
  loop_.RunFor(std::chrono::minutes(2));
  EXPECT_EQ(cluster.pending_addresses(), 0u);
  EXPECT_LT(cluster.calls - calls, 21 * 8u);
  CheckAddresses(cluster, keys);
  CheckRest(cluster);
}

TEST_F(AddressTest, ARangeOfOneKeyHasAnAddress) {
  LocalCluster cluster(&loop_, {});
  auto db = cluster.NewDatabase();
  const std::string next = keys::Next(K(10));
  SplitAll(*db, {K(10)});
  SplitAll(*db, {next});
  SplitAll(*db, {K(11)});
  loop_.RunFor(std::chrono::minutes(5));
  EXPECT_EQ(cluster.pending_addresses(), 0u);
  CheckAddresses(cluster, {K(10), next, K(11)});
}

TEST_F(AddressTest, AnAddressThatComesBackFromThePastMisleadsNobodyAndGoesWithTheNext) {
  LocalCluster cluster(&loop_, {});
  auto db = cluster.NewDatabase();
  SplitAll(*db, {K(100)});
  v1::RangeDescriptor past = cluster.group_of(K(0)).descriptor();
  past.set_range_id(77);  // long gone
  past.set_end_key(K(50));
  past.set_generation(1);
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  auto* put = batch.add_requests()->mutable_put();
  put->set_key(keys::Meta2Key(past.end_key()));
  put->set_value(past.SerializeAsString());
  ASSERT_FALSE(loop_.Run(db->sender().Send(ctx_, batch)).has_error());
  CheckAddresses(cluster, {K(100)});
  SplitAll(*db, {K(60)});
  CheckAddresses(cluster, {K(60), K(100)});
  v1::BatchRequest read;
  read.mutable_header()->set_version(kBatchVersion);
  read.add_requests()->mutable_get()->set_key(keys::Meta2Key(past.end_key()));
  v1::BatchResponse response = loop_.Run(db->sender().Send(ctx_, read));
  ASSERT_FALSE(response.has_error());
  EXPECT_FALSE(response.responses(0).get().has_value());
}

}  // namespace
}  // namespace insula::kv
