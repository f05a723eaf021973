// Changes of a range's replicas beside what else happens to ranges, over ranges without consensus in one process. That the replicas
// themselves come and go is kv/store's replicas_test.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "base/async/task_group.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/testing/local_cluster.h"
#include "kv/multiraft/conf_change.h"
#include "kv/replica/removed.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr uint64_t kKeyspace = 9;
std::string K(std::string_view key) { return KeyspacePrefix(kKeyspace).append(key); }

class ReplicasTest : public testing::Test {
 protected:
  ReplicasTest() { Ask(SplitBatch(K("m"))); }
  ~ReplicasTest() override {
    db_.reset();
    loop_.RunUntilIdle();
  }

  // A replica more of the range that holds `key`, on store `store`.
  static v1::BatchRequest AddTo(std::string key, uint64_t store) {
    v1::BatchRequest batch = NewBatch();
    auto* change = batch.add_requests()->mutable_admin_change_replicas();
    change->set_key(std::move(key));
    change->add_add()->set_node_id(store);
    change->mutable_add(0)->set_store_id(store);
    return batch;
  }
  static v1::BatchRequest RemoveFrom(std::string key, uint64_t store) {
    v1::BatchRequest batch = NewBatch();
    auto* change = batch.add_requests()->mutable_admin_change_replicas();
    change->set_key(std::move(key));
    change->add_remove()->set_node_id(store);
    change->mutable_remove(0)->set_store_id(store);
    return batch;
  }
  v1::BatchResponse Try(const v1::BatchRequest& batch, Duration limit = 30s) { return loop_.Run(db_->sender().Send(ctx_.WithTimeout(limit), batch)); }
  void Ask(const v1::BatchRequest& batch) {
    v1::BatchResponse response = Try(batch);
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
  }
  const v1::RangeDescriptor& RangeOf(std::string_view key) { return cluster_.group_of(K(key)).descriptor(); }

  TestLoop loop_;
  Context ctx_ = loop_.ctx();
  LocalCluster cluster_{&loop_, {KeyspacePrefix(kKeyspace), KeyspacePrefix(kKeyspace + 1)}};
  std::unique_ptr<ClientDatabase> db_ = cluster_.NewDatabase();
};

TEST_F(ReplicasTest, AddressesFollowAChange) {
  Ask(AddTo(K("x"), 2));
  ASSERT_EQ(RangeOf("x").replicas_size(), 2);
  loop_.RunFor(1s);
  EXPECT_EQ(cluster_.pending_addresses(), 0u);
  auto located = loop_.Run(cluster_.NewDatabase()->sender().Locate(ctx_, K("x")));
  ASSERT_TRUE(located.ok());
  EXPECT_EQ(located->SerializeAsString(), RangeOf("x").SerializeAsString());
  Ask(RemoveFrom(K("x"), 2));
  EXPECT_EQ(RangeOf("x").replicas_size(), 1);
  loop_.RunFor(1s);
  EXPECT_EQ(cluster_.group_of(K("x")).evicted.at(2), 3u);
  EXPECT_TRUE(LoadRemoved(*cluster_.group_of(K("x")).engine().NewReader(), RangeOf("x").range_id())->empty());
}

TEST_F(ReplicasTest, ALearnerThatASplitBroughtAlongGoesWhenNobodyWantsIt) {
  cluster_.group_of(K("x")).behind = {2};
  TaskGroup group(ctx_);
  group.SpawnFn([&]() -> Task<void> {
    v1::BatchResponse added = co_await db_->sender().Send(group.ctx(), AddTo(K("x"), 2));
    EXPECT_FALSE(added.has_error()) << added.error().ShortDebugString();
  });
  loop_.RunFor(1s);
  ASSERT_EQ(RangeOf("x").replicas_size(), 2);
  Ask(SplitBatch(K("y")));
  cluster_.group_of(K("x")).behind.clear();
  loop_.RunFor(1s);
  EXPECT_TRUE(IsSettled(RangeOf("x"))) << RangeOf("x").ShortDebugString();
  EXPECT_EQ(RangeOf("x").replicas_size(), 2);
  ASSERT_EQ(RangeOf("y").replicas_size(), 2);
  EXPECT_TRUE(RangeOf("y").replicas(1).learner());
  loop_.RunFor(20s);
  EXPECT_EQ(RangeOf("y").replicas_size(), 1);
  EXPECT_EQ(RangeOf("x").replicas_size(), 2);
  const uint64_t calls = cluster_.calls;
  loop_.RunFor(std::chrono::hours(1));
  EXPECT_EQ(cluster_.calls, calls);
}

TEST_F(ReplicasTest, ARangeThatIsFrozenForAMergeDoesNotChange) {
  v1::BatchRequest batch = NewBatch();
  auto* subsume = batch.add_requests()->mutable_subsume();
  subsume->set_key(K("m"));
  *subsume->mutable_left() = RangeOf("b");
  *subsume->mutable_right() = RangeOf("x");
  subsume->set_merge_id(std::string(16, 'i'));
  Ask(batch);
  const uint64_t generation = RangeOf("x").generation();
  EXPECT_TRUE(Try(AddTo(K("x"), 2), 1s).has_error());
  EXPECT_EQ(RangeOf("x").generation(), generation) << "whoever takes it in counts on what it froze";
  Ask(AddTo(K("x"), 2));  // it sets itself free
  EXPECT_EQ(RangeOf("x").replicas_size(), 2);
}

TEST_F(ReplicasTest, ARangeThatIsTakenInLeavesItsRemovedReplicasToBeToldByTheMergedOne) {
  LocalGroup& left = cluster_.group_of(K("b"));
  LocalGroup& right = cluster_.group_of(K("x"));
  const v1::RangeDescriptor before = RangeOf("x");
  v1::ReplicaDescriptor gone;
  gone.set_store_id(7);
  gone.set_replica_id(3);
  storage::WriteBatch rows;
  PutRemoved(&rows, right.range_id(), {MakeRemoved(before, gone)});
  ASSERT_TRUE(right.engine().Write(rows).ok());
  left.evicts = false;  // the store is away
  Ask(MergeBatch(K("b")));
  ASSERT_EQ(RangeOf("b").range_id(), RangeOf("x").range_id());
  loop_.RunFor(1min);
  ASSERT_EQ(LoadRemoved(*left.engine().NewReader(), left.range_id())->size(), 1u);
  EXPECT_EQ(left.evicted.at(7), 4u);
  EXPECT_EQ(left.evicted_from.at(7).range_id(), before.range_id());
  EXPECT_EQ(left.evicted_from.at(7).start_key(), before.start_key());
  EXPECT_EQ(left.evicted_from.at(7).end_key(), before.end_key());
  EXPECT_EQ(left.evicted_from.at(7).generation(), before.generation());
  left.evicts = true;
  loop_.RunFor(2min);
  EXPECT_TRUE(LoadRemoved(*left.engine().NewReader(), left.range_id())->empty());
}

}  // namespace
}  // namespace insula::kv
