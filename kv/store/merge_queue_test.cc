#include "kv/store/merge_queue.h"

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
constexpr Duration kRest = std::chrono::minutes(10);

// Ranges without consensus, and the queue of the store that holds them.
class MergeQueueTest : public testing::Test {
 protected:
  MergeQueueTest() {
    cluster_.on_applied = [this](LocalGroup& group) { queue_.Look(group); };
    tasks_.Spawn(queue_.Run(tasks_.ctx()));
  }
  ~MergeQueueTest() override {
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
  void Split(const std::string& key) {
    v1::BatchResponse response = loop_.Run(db_->sender().Send(loop_.ctx(), SplitBatch(key)));
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
  }
  bool Together(uint64_t a, uint64_t b) { return cluster_.group_of(Key(a)).range_id() == cluster_.group_of(Key(b)).range_id(); }
  void AddReplica(const std::string& key, StoreId store) {
    v1::BatchRequest batch = NewBatch();
    auto* change = batch.add_requests()->mutable_admin_change_replicas();
    change->set_key(key);
    change->add_add()->set_store_id(store);
    change->mutable_add(0)->set_node_id(store);
    v1::BatchResponse response = loop_.Run(db_->sender().Send(loop_.ctx(), batch));
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
  }
  RangeGroup* Neighbour(RangeId range, bool left) {
    if (far_apart_) return nullptr;
    const v1::RangeDescriptor& from = cluster_.group(range).descriptor();
    for (RangeId id = 1; id < 1000; ++id) {
      LocalGroup* other = cluster_.find(id);
      if (other != nullptr && (left ? other->descriptor().end_key() == from.start_key() : other->descriptor().start_key() == from.end_key())) return other;
    }
    return nullptr;
  }

  TestLoop loop_;
  bool far_apart_ = false;  // neighbours are on no common store, as far as the queue knows
  bool takes_ = true;
  LocalCluster cluster_{&loop_, {KeyspacePrefix(kKeyspace), KeyspacePrefix(kKeyspace + 1)}};
  std::unique_ptr<ClientDatabase> db_ = cluster_.NewDatabase();
  MergeQueue queue_{&loop_,
                    {.enabled = true, .rest = kRest},
                    {.max_bytes = 10'000, .max_batches_per_second = 100},
                    {.sender = [this] { return &db_->sender(); },
                     .find = [this](RangeId range) { return cluster_.find(range); },
                     .left = [this](RangeId range) { return Neighbour(range, true); },
                     .right = [this](RangeId range) { return Neighbour(range, false); },
                     .takes = [this](StoreId) { return takes_; }}};
  TaskGroup tasks_{loop_.ctx()};
};

TEST_F(MergeQueueTest, SmallNeighboursOfOneKeyspaceBecomeOneAfterARestAndThenNothingIsAsked) {
  const size_t ranges = cluster_.range_count();
  Put(Key(1), 10);
  Split(Key(100));
  Split(Key(200));
  Put(Key(101), 10);
  Put(Key(201), 10);
  loop_.RunFor(kRest / 2);
  EXPECT_FALSE(Together(1, 201)) << "a split stands for a while";
  loop_.RunFor(4 * kRest);
  EXPECT_TRUE(Together(1, 201));
  EXPECT_EQ(cluster_.range_count(), ranges);
  EXPECT_EQ(cluster_.group_of(Key(1)).descriptor().start_key(), KeyspacePrefix(kKeyspace));
  EXPECT_EQ(cluster_.group_of(Key(1)).descriptor().end_key(), KeyspacePrefix(kKeyspace + 1));
  EXPECT_EQ(queue_.size(), 0u);
  const uint64_t calls = cluster_.calls;
  loop_.RunFor(std::chrono::hours(24));
  EXPECT_EQ(cluster_.calls, calls);
}

TEST_F(MergeQueueTest, WhatWouldSoonBeSplitAgainStaysApart) {
  Put(Key(1), 2'400);
  Put(Key(2), 2'400);  // more than a quarter, two together
  Split(Key(100));
  Put(Key(101), 10);
  loop_.RunFor(5 * kRest);
  EXPECT_FALSE(Together(1, 101));
  EXPECT_EQ(queue_.counters().merged, 0u);
  EXPECT_EQ(queue_.size(), 0u);
}

TEST_F(MergeQueueTest, BusyRangesStayApartUntilTheyAreQuiet) {
  Split(Key(100));
  Put(Key(1), 10);
  Put(Key(101), 10);
  for (int second = 0; second < 15 * 60; ++second) {
    for (int n = 0; n < 40; ++n) {
      auto txn = db_->Begin({.read_only = true});
      ASSERT_TRUE(loop_.Run(txn->Get(loop_.ctx(), Key(static_cast<uint64_t>(1 + n % 2 * 100)), {})).ok());
    }
    loop_.RunFor(1s);
  }
  EXPECT_GT(queue_.counters().looks, 0u);
  EXPECT_EQ(queue_.counters().merged, 0u);
  Put(Key(1), 10);
  loop_.RunFor(2 * kRest);
  EXPECT_EQ(queue_.counters().merged, 1u);
}

TEST_F(MergeQueueTest, ARangeOnOtherStoresGoesToThoseOfItsLeftNeighbourFirst) {
  for (const bool far : {false, true}) {
    for (const uint64_t written : {1, 101}) {  // either side may be the one that is looked at
      far_apart_ = far;
      Split(Key(100));
      AddReplica(Key(100), 2);
      ASSERT_EQ(cluster_.group_of(Key(101)).descriptor().replicas_size(), 2);
      const uint64_t moved = queue_.counters().moved;
      Put(Key(written), 10);
      loop_.RunFor(4 * kRest);
      EXPECT_TRUE(Together(1, 101)) << far << written;
      EXPECT_EQ(queue_.counters().moved, moved + 1);
      EXPECT_EQ(cluster_.group_of(Key(101)).descriptor().replicas_size(), 1);
      EXPECT_EQ(queue_.size(), 0u);
    }
  }
}

TEST_F(MergeQueueTest, NothingIsMovedToAStoreThatTakesNoReplicas) {
  takes_ = false;
  Split(Key(100));
  AddReplica(Key(100), 2);
  Put(Key(1), 10);
  loop_.RunFor(4 * kRest);
  EXPECT_FALSE(Together(1, 101));
  EXPECT_EQ(queue_.counters().moved, 0u);
  EXPECT_EQ(queue_.counters().failures, 0u);
  EXPECT_EQ(cluster_.group_of(Key(101)).descriptor().replicas_size(), 2);
}

TEST_F(MergeQueueTest, KeyspacesStayApart) {
  const size_t ranges = cluster_.range_count();
  Put(KeyspacePrefix(kKeyspace) + "a", 1);
  Put(KeyspacePrefix(kKeyspace + 1) + "a", 1);
  loop_.RunFor(5 * kRest);
  EXPECT_EQ(cluster_.range_count(), ranges);
}

}  // namespace
}  // namespace insula::kv
