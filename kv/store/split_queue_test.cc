#include "kv/store/split_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/async/task_group.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/database.h"
#include "kv/client/testing/local_cluster.h"
#include "kv/keys/keys.h"
#include "kv/replica/testing/local_group.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr uint64_t kKeyspace = 7;

// Ranges without consensus, and the queue of the store that holds them.
class SplitQueueTest : public testing::Test {
 protected:
  SplitQueueTest() {
    cluster_.on_applied = [this](LocalGroup& group) { queue_.Look(group); };
    tasks_.Spawn(queue_.Run(tasks_.ctx()));
  }
  ~SplitQueueTest() override {
    tasks_.Cancel();
    loop_.RunUntilIdle();
  }

  static std::string Key(uint64_t i) {
    const std::string digits = StrCat(i);
    return KeyspacePrefix(kKeyspace) + std::string(6 - digits.size(), '0') + digits;
  }
  void Put(std::string key, size_t bytes) {
    auto txn = db_->Begin({});
    txn->Put(std::move(key), std::string(bytes, 'v'));
    absl::Status done = loop_.Run(txn->Commit(loop_.ctx()));
    EXPECT_TRUE(done.ok()) << done;
  }

  TestLoop loop_;
  LocalCluster cluster_{&loop_, {KeyspacePrefix(kKeyspace), KeyspacePrefix(kKeyspace + 1)}};
  std::unique_ptr<ClientDatabase> db_ = cluster_.NewDatabase();
  SplitQueue queue_{&loop_, {.max_bytes = 10'000, .max_batches_per_second = 0}, [this] { return &db_->sender(); }, [this](RangeId range) { return cluster_.find(range); }};
  TaskGroup tasks_{loop_.ctx()};
};

TEST_F(SplitQueueTest, ARangeThatHasGrownIsCutInTheMiddleOfItsBytes) {
  for (uint64_t i = 0; i < 10; ++i) Put(Key(i), 100);
  for (uint64_t i = 10; i < 20; ++i) Put(Key(i), 850);
  loop_.RunFor(10s);
  ASSERT_EQ(queue_.counters().by_size, 0u);
  const size_t ranges = cluster_.range_count();
  Put(Key(20), 850);
  loop_.RunFor(10s);
  EXPECT_EQ(queue_.counters().by_size, 1u);
  EXPECT_EQ(cluster_.range_count(), ranges + 1);
  LocalGroup& left = cluster_.group_of(Key(0));
  LocalGroup& right = cluster_.group_of(Key(20));
  EXPECT_NE(left.range_id(), right.range_id());
  EXPECT_EQ(right.descriptor().start_key(), Key(15));
  EXPECT_GT(left.stats().total_bytes, 4500);
  EXPECT_GT(right.stats().total_bytes, 4500);
  EXPECT_EQ(left.stats().versions + right.stats().versions, 21);
  EXPECT_EQ(queue_.size(), 0u);
}

TEST_F(SplitQueueTest, WhatGrowsIsCutAgainAndAgainAndStaysWithinItsKeyspace) {
  for (uint64_t i = 0; i < 400; ++i) Put(Key(i * 7919 % 1000), 300);
  loop_.RunFor(1min);
  EXPECT_EQ(queue_.size(), 0u);
  EXPECT_GT(queue_.counters().by_size, 12u);
  for (uint64_t i = 0; i < 1000; ++i) {
    LocalGroup& group = cluster_.group_of(Key(i));
    EXPECT_LE(group.stats().total_bytes, 10'000);
    EXPECT_GE(group.descriptor().start_key(), KeyspacePrefix(kKeyspace));
    EXPECT_LE(group.descriptor().end_key(), KeyspacePrefix(kKeyspace + 1));
  }
  EXPECT_EQ(cluster_.pending_addresses(), 0u);
  const uint64_t calls = cluster_.calls;
  loop_.RunFor(std::chrono::hours(1));
  EXPECT_EQ(cluster_.calls, calls) << "at rest nothing is asked";
}

TEST_F(SplitQueueTest, ARangeOfOneRowIsLeftWholeUntilItHasAnother) {
  Put(Key(5), 20'000);
  loop_.RunFor(1min);
  EXPECT_EQ(queue_.counters().by_size, 0u);
  EXPECT_EQ(queue_.counters().failures, 0u);
  EXPECT_EQ(queue_.size(), 0u);
  Put(Key(6), 6'000);
  loop_.RunFor(1min);
  EXPECT_EQ(queue_.counters().by_size, 1u);
  EXPECT_EQ(cluster_.group_of(Key(6)).descriptor().start_key(), Key(6));
}

TEST_F(SplitQueueTest, TheSystemRangeIsCutBehindItsCounters) {
  for (uint64_t i = 0; i < 30; ++i) Put(keys::SystemKey(keys::SystemTable::kUsage, i), 1000);
  loop_.RunFor(1min);
  EXPECT_GE(queue_.counters().by_size, 3u);
  EXPECT_EQ(queue_.counters().failures, 0u);
  // The middle of what lies below is no place.
  for (uint64_t i = 0; i < 30; ++i) Put(keys::SystemKey(keys::SystemTable::kNodeAddress, i), 1000);
  loop_.RunFor(1min);
  EXPECT_EQ(queue_.counters().failures, 0u);
  EXPECT_EQ(queue_.size(), 0u);
  for (const std::string& key : {keys::SystemKey(keys::SystemTable::kNodeAddress, 29), keys::RangeIdCounter(), keys::KeyspaceCounter(), keys::TenantCounter()}) {
    EXPECT_EQ(cluster_.group_of(key).range_id(), keys::kSystemRange);
  }
  EXPECT_EQ(cluster_.group_of(keys::TenantCounter()).descriptor().end_key(), keys::SystemKey(keys::SystemTable::kUsage, 0));
  queue_.Busy(keys::kSystemRange, keys::RangeIdCounter());
  EXPECT_EQ(queue_.size(), 0u);
}

TEST_F(SplitQueueTest, MetaRangesAreCutAndRangeOneKeepsWhatTheyAreFoundBy) {
  for (uint64_t i = 0; i < 240; ++i) {
    v1::BatchResponse split = loop_.Run(db_->sender().Send(loop_.ctx(), SplitBatch(Key(i * 37 % 240))));
    ASSERT_FALSE(split.has_error()) << split.ShortDebugString();
  }
  loop_.RunFor(1min);
  EXPECT_GE(queue_.counters().by_size, 2u);
  EXPECT_EQ(queue_.counters().failures, 0u);
  EXPECT_EQ(cluster_.group_of(keys::Meta1Key("")).range_id(), keys::kMetaRange);
  EXPECT_NE(cluster_.group_of(keys::Meta2Key("")).range_id(), keys::kMetaRange);
  EXPECT_EQ(cluster_.pending_addresses(), 0u);
  auto fresh = cluster_.NewDatabase();
  for (uint64_t i = 0; i < 240; ++i) {
    auto found = loop_.Run(fresh->sender().Locate(loop_.ctx(), Key(i) + "x"));
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->start_key(), Key(i));
  }
  // A meta range of meta1 alone is whole, however much is asked of it.
  queue_.Busy(keys::kMetaRange, keys::Meta1Key(keys::Meta2Key("a")));
  EXPECT_EQ(queue_.size(), 0u);
}

TEST_F(SplitQueueTest, ARowWhoseKeyIsTooLongForAnAddressIsNoPlaceToCut) {
  for (uint64_t i = 0; i < 6; ++i) Put(Key(1) + std::string(kMaxKeyBytes - Key(1).size(), static_cast<char>('a' + i)), 100);
  loop_.RunFor(1min);
  EXPECT_EQ(queue_.counters().by_size + queue_.counters().failures, 0u);
  Put(Key(2), 30'000);
  loop_.RunFor(1min);
  EXPECT_EQ(queue_.counters().failures, 0u);
  EXPECT_EQ(cluster_.group_of(Key(2)).descriptor().start_key(), Key(2));
  EXPECT_EQ(cluster_.pending_addresses(), 0u);
  v1::BatchResponse split = loop_.Run(db_->sender().Send(loop_.ctx(), SplitBatch(Key(1) + std::string(kMaxKeyBytes - Key(1).size(), 'c'))));
  EXPECT_TRUE(split.error().has_invalid()) << split.ShortDebugString();
}

TEST_F(SplitQueueTest, ABusyRangeIsCutWhereItSays) {
  for (uint64_t i = 0; i < 10; ++i) Put(Key(i), 10);
  queue_.Busy(cluster_.group_of(Key(0)).range_id(), Key(4));
  loop_.RunFor(10s);
  EXPECT_EQ(queue_.counters().by_load, 1u);
  EXPECT_EQ(cluster_.group_of(Key(4)).descriptor().start_key(), Key(4));
}

TEST_F(SplitQueueTest, ASplitThatCannotBeIsTriedAgainAndThenLeftToTheNextWrite) {
  cluster_.group(keys::kSystemRange).leader = false;  // no range id to be had
  Put(Key(1), 6'000);
  Put(Key(2), 6'000);
  loop_.RunFor(std::chrono::hours(1));
  EXPECT_GT(queue_.counters().failures, 0u);
  EXPECT_EQ(queue_.size(), 0u);
  cluster_.group(keys::kSystemRange).leader = true;
  Put(Key(3), 10);
  loop_.RunFor(1min);
  EXPECT_EQ(queue_.counters().by_size, 1u);
  EXPECT_EQ(cluster_.group_of(Key(3)).descriptor().start_key(), Key(2)) << "where the sides are nearest to equal";
}

}  // namespace
}  // namespace insula::kv
