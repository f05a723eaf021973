// Meta ranges that are split while others look things up: over replicas in one process (dist_sender_lookup.cc, kv/replica/replica_address.cc).
#include <gtest/gtest.h>

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

class MetaTest : public testing::Test {
 protected:
  ~MetaTest() override { loop_.RunUntilIdle(); }

  v1::BatchResponse Send(ClientDatabase& db, const v1::BatchRequest& batch) { return loop_.Run(db.sender().Send(ctx_, batch)); }
  void Split(ClientDatabase& db, const std::string& key) {
    v1::BatchResponse response = Send(db, SplitBatch(key));
    EXPECT_FALSE(response.has_error()) << keys::Pretty(key) << response.error().ShortDebugString();
  }
  void Write(ClientDatabase& db, const std::string& key, const std::string& value) {
    v1::BatchRequest batch = NewBatch();
    batch.add_requests()->mutable_put()->set_key(key);
    batch.mutable_requests(0)->mutable_put()->set_value(value);
    v1::BatchResponse response = Send(db, batch);
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
  }
  void Remove(ClientDatabase& db, const std::string& key) {
    v1::BatchRequest batch = NewBatch();
    batch.add_requests()->mutable_delete_()->set_key(key);
    v1::BatchResponse response = Send(db, batch);
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
  }

  static void ExpectIs(const absl::StatusOr<v1::RangeDescriptor>& located, const v1::RangeDescriptor& range, const std::string& key) {
    ASSERT_TRUE(located.ok()) << keys::Pretty(key) << located.status();
    EXPECT_EQ(located->range_id(), range.range_id()) << keys::Pretty(key);
    EXPECT_EQ(located->start_key(), range.start_key()) << keys::Pretty(key);
    EXPECT_EQ(located->end_key(), range.end_key()) << keys::Pretty(key);
    EXPECT_EQ(located->generation(), range.generation()) << keys::Pretty(key);
  }
  // A client that knows nothing yet finds the range of each key as it is.
  void CheckAddresses(LocalCluster& cluster, const std::set<std::string>& keys) {
    for (const std::string& key : keys) {
      auto fresh = cluster.NewDatabase();
      if (keys::IsMetaKey(key)) CheckLookups(cluster, *fresh, {key});
      ExpectIs(loop_.Run(fresh->sender().Locate(ctx_, key)), cluster.group_of(key).descriptor(), key);
    }
  }
  // Looked up anew by a client that has split or located much.
  void CheckLookups(LocalCluster& cluster, ClientDatabase& db, const std::set<std::string>& keys) {
    for (const std::string& key : keys) {
      v1::BatchRequest batch = NewBatch();
      batch.add_requests()->mutable_range_lookup()->set_key(key);
      v1::BatchResponse response = Send(db, batch);
      ASSERT_FALSE(response.has_error()) << response.error().ShortDebugString();
      ASSERT_EQ(response.responses(0).range_lookup().ranges_size(), 1) << keys::Pretty(key);
      ExpectIs(response.responses(0).range_lookup().ranges(0), cluster.group_of(key).descriptor(), key);
    }
  }

  TestLoop loop_;
  Context ctx_ = loop_.ctx();
};

TEST_F(MetaTest, SplitsOfAllLevelsSideBySideLeaveEveryRangeToBeFound) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    LocalCluster cluster(&loop_, {}, seed);
    cluster.latency = 1ms;
    auto db = cluster.NewDatabase({}, [&random](const v1::BatchRequest&) { return CallFate{.delay = Duration(random.Uniform(20'000'000))}; });
    std::set<std::string> keys;
    while (keys.size() < 64) {
      const std::string key = K(random.Uniform(26 * 26));
      const uint64_t where = random.Uniform(5);
      keys.insert(where < 3 ? key : where == 3 ? keys::Meta2Key(key) : keys::LookupStart(key));
    }
    keys.insert(keys::Meta2Start());
    keys.insert(keys::SystemKey(keys::SystemTable::kTenant, 7));
    TaskGroup meanwhile(ctx_);
    meanwhile.SpawnFn([&]() -> Task<void> {
      while ((co_await Sleep(meanwhile.ctx(), std::chrono::milliseconds(1 + random.Uniform(10)))).ok()) {
        const std::string key = K(random.Uniform(26 * 26));
        LocalGroup& group = cluster.group_of(random.Chance(0.5) ? key : keys::Meta2Key(key));
        group.apply_delay = std::chrono::milliseconds(random.Uniform(4));
        if (random.Chance(0.3)) group.ChangeLease();
      }
    });
    TaskGroup splits(ctx_);
    for (const std::string& key : keys) {
      splits.SpawnFn([this, &db, key]() -> Task<void> {
        v1::BatchResponse response = co_await db->sender().Send(ctx_, SplitBatch(key));
        EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
      });
    }
    loop_.Await(splits);
    meanwhile.Cancel();
    loop_.Await(meanwhile);
    loop_.RunFor(std::chrono::minutes(5));
    EXPECT_EQ(cluster.pending_addresses(), 0u) << "seed " << seed;
    EXPECT_EQ(cluster.group_of(keys::Meta1Key("")).range_id(), keys::kMetaRange);
    EXPECT_EQ(cluster.range_count(), 3 + keys.size());
    for (const std::string& key : {std::string(), keys::Meta1Key(""), keys::SystemStart(), std::string("\xfe"), std::string("\xfe\xff")}) keys.insert(key);
    CheckAddresses(cluster, keys);
    CheckLookups(cluster, *db, keys);
    const uint64_t calls = cluster.calls;
    loop_.RunFor(std::chrono::hours(1));
    EXPECT_EQ(cluster.calls, calls) << "at rest nothing is sent";
    EXPECT_EQ(loop_.timers(), 0u);
    if (HasFailure()) return;
  }
}

TEST_F(MetaTest, TheAddressBehindTheEndOfAMetaRangeIsFound) {
  LocalCluster cluster(&loop_, {});
  auto db = cluster.NewDatabase();
  std::set<std::string> keys;
  for (uint64_t i = 100; i < 130; ++i) keys.insert(K(i));
  for (const std::string& key : keys) Split(*db, key);
  // What looks for K(110) begins in the left one, where nothing is; what looks for K(120) begins where it is.
  Split(*db, keys::Meta2Key(K(111)));
  Split(*db, keys::LookupStart(K(120)));
  EXPECT_EQ(cluster.group_of(keys::LookupStart(K(110))).range_id(), keys::kMetaRange);
  EXPECT_NE(cluster.group_of(keys::Meta2Key(K(111))).range_id(), keys::kMetaRange);
  CheckAddresses(cluster, keys);
  CheckLookups(cluster, *db, keys);
  // And what comes along, from one meta range and the next.
  auto fresh = cluster.NewDatabase();
  ASSERT_TRUE(loop_.Run(fresh->sender().Locate(ctx_, K(108))).ok());
  for (uint64_t i = 108; i < 114; ++i) {
    const v1::RangeDescriptor* known = fresh->sender().cache().Find(K(i));
    ASSERT_NE(known, nullptr) << i;
    EXPECT_EQ(known->start_key(), K(i));
  }
}

TEST_F(MetaTest, AClientThatKnowsMetaRangesFromBeforeIsSetRight) {
  LocalCluster cluster(&loop_, {});
  auto db = cluster.NewDatabase();
  auto old = cluster.NewDatabase();
  ASSERT_TRUE(loop_.Run(old->sender().Locate(ctx_, K(1))).ok());
  std::set<std::string> keys;
  for (uint64_t i = 0; i < 60; i += 2) keys.insert(K(i));
  uint64_t at = 0;
  for (const std::string& key : keys) {
    Split(*db, key);
    if (++at % 5 == 0) Split(*db, keys::Meta2Key(key));
    old->sender().cache().Evict(key);
    ExpectIs(loop_.Run(old->sender().Locate(ctx_, key)), cluster.group_of(key).descriptor(), key);
    CheckLookups(cluster, *old, {key, keys::Meta2Key(key)});
  }
  // Scans and writes of rows that lie in several.
  v1::BatchRequest scan = NewBatch();
  scan.add_requests()->mutable_scan()->set_key(keys::Meta2Start());
  scan.mutable_requests(0)->mutable_scan()->set_end_key(keys::SystemStart());
  v1::BatchResponse rows = Send(*old, scan);
  ASSERT_FALSE(rows.has_error());
  EXPECT_EQ(rows.responses(0).scan().row_count(), 2 + keys.size());
}

TEST_F(MetaTest, AnAddressThatComesBackFromThePastAtTheEndOfAMetaRangeMisleadsNobody) {
  LocalCluster cluster(&loop_, {});
  auto db = cluster.NewDatabase();
  Split(*db, K(100));
  Split(*db, keys::Meta2Key(K(70)));
  v1::RangeDescriptor past = cluster.group_of(K(0)).descriptor();
  past.set_range_id(77);  // long gone
  past.set_end_key(K(50));
  past.set_generation(1);
  Write(*db, keys::Meta2Key(past.end_key()), past.SerializeAsString());
  CheckAddresses(cluster, {K(0), K(49), K(50), K(100)});
  // The same of a meta range.
  past = cluster.group_of(keys::Meta2Key(K(80))).descriptor();
  past.set_range_id(78);
  past.set_end_key(keys::Meta2Key(K(90)));
  past.set_generation(1);
  Write(*db, keys::Meta1Key(past.end_key()), past.SerializeAsString());
  CheckAddresses(cluster, {keys::Meta2Key(K(80)), K(80), K(100)});
  Split(*db, keys::Meta2Key(K(75)));
  CheckAddresses(cluster, {keys::Meta2Key(K(72)), keys::Meta2Key(K(80)), K(80), K(100)});
  v1::BatchRequest read = NewBatch();
  read.add_requests()->mutable_get()->set_key(keys::Meta1Key(past.end_key()));
  EXPECT_FALSE(Send(*db, read).responses(0).get().has_value()) << "it goes with the next address";
}

TEST_F(MetaTest, AStoreFromBeforeHasNothingInMeta1OrAnOldWord) {
  for (bool nothing : {true, false}) {
    LocalCluster cluster(&loop_, {});
    auto db = cluster.NewDatabase();
    if (nothing) Remove(*db, keys::Meta1Key(""));
    // Where the address of range 1 was.
    Write(*db, keys::Meta2Key(keys::SystemStart()), cluster.group(keys::kMetaRange).descriptor().SerializeAsString());
    std::set<std::string> keys = {"", keys::Meta1Key(""), keys::SystemStart(), "\xfe"};
    CheckAddresses(cluster, keys);
    for (uint64_t i = 0; i < 40; i += 2) {
      Split(*db, K(i));
      keys.insert(K(i));
      if (i % 10 == 0) {
        Split(*db, keys::Meta2Key(K(i)));
        keys.insert(keys::Meta2Key(K(i)));
      }
      CheckAddresses(cluster, keys);
    }
    EXPECT_EQ(cluster.pending_addresses(), 0u);
  }
}

TEST_F(MetaTest, WhatMustStayTogetherIsNotCut) {
  LocalCluster cluster(&loop_, {});
  auto db = cluster.NewDatabase();
  const size_t ranges = cluster.range_count();
  for (const std::string& key : {keys::Meta1Key(keys::Meta2Key(K(1))), keys::Meta1Key(""), keys::RangeIdCounter(), keys::SystemKey(keys::SystemTable::kNodeAddress, 1)}) {
    v1::BatchResponse response = Send(*db, SplitBatch(key));
    EXPECT_TRUE(response.error().has_invalid()) << keys::Pretty(key) << response.ShortDebugString();
  }
  EXPECT_EQ(cluster.range_count(), ranges);
}

TEST_F(MetaTest, BusyAddressesAreCutWhereTheLoadIs) {
  LocalCluster cluster(&loop_, {}, 1, {.batches_per_second = 10, .observe = 2s, .cooldown = 1s, .least_requests = 50});
  auto db = cluster.NewDatabase();
  for (uint64_t i = 0; i < 40; ++i) Split(*db, K(i));
  loop_.RunFor(1min);
  std::vector<std::string> where;
  cluster.on_busy = [&](RangeId range, std::string key) {
    EXPECT_EQ(range, keys::kMetaRange);
    where.push_back(std::move(key));
  };
  for (int i = 0; i < 400; ++i) {
    v1::BatchRequest batch = NewBatch();
    batch.add_requests()->mutable_range_lookup()->set_key(K(static_cast<uint64_t>(i * 7 % 40)));
    EXPECT_FALSE(Send(*db, batch).has_error());
    loop_.RunFor(10ms);
  }
  ASSERT_FALSE(where.empty());
  EXPECT_GT(where[0], keys::Meta2Key(K(5)));
  EXPECT_LT(where[0], keys::Meta2Key(K(35)));
  Split(*db, where[0]);
  CheckAddresses(cluster, {K(0), K(20), K(39)});
}

}  // namespace
}  // namespace insula::kv
