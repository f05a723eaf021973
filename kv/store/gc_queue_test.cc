#include "kv/store/gc_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/async/task_group.h"
#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/database.h"
#include "kv/client/dist_sender.h"
#include "kv/client/testing/local_cluster.h"
#include "kv/keys/keys.h"
#include "kv/replica/testing/local_group.h"
#include "kv/store/protected_timestamps.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr RangeId kTenantRange = 4, kOtherRange = 5;  // keyspaces 2 and 3
constexpr RangeId kLastRange = 5;

// Ranges without consensus, and the queue of the store that holds them.
class GcQueueTest : public testing::Test {
 protected:
  GcQueueTest() { StartQueue({.default_ttl = 60s}); }
  ~GcQueueTest() override {
    tasks_.reset();
    loop_.RunUntilIdle();
  }

  void StartQueue(GcOptions options) {
    queue_ = std::make_unique<GcQueue>(&loop_, options, [this] { return &db_->sender(); }, [this](RangeId range) { return range <= kLastRange ? &cluster_.group(range) : nullptr; });
    for (RangeId range = 1; range <= kLastRange; ++range) cluster_.group(range).on_applied = [this, range] { queue_->Wrote(range); };
    tasks_ = std::make_unique<TaskGroup>(loop_.ctx());
    tasks_->Spawn(queue_->Run(tasks_->ctx()));
  }

  static std::string Key(std::string_view name, uint64_t keyspace = 2) { return KeyspacePrefix(keyspace).append(name); }

  void Put(std::string key, std::string value) {
    auto txn = db_->Begin({});
    txn->Put(std::move(key), std::move(value));
    absl::Status done = loop_.Run(txn->Commit(loop_.ctx()));
    EXPECT_TRUE(done.ok()) << done.ToString();
  }
  void Delete(std::string key) {
    auto txn = db_->Begin({});
    txn->Delete(std::move(key));
    EXPECT_TRUE(loop_.Run(txn->Commit(loop_.ctx())).ok());
  }
  v1::BatchResponse ReadAt(std::string key, Timestamp ts) {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(kBatchVersion);
    batch.mutable_header()->set_timestamp(ts.bits);
    batch.add_requests()->mutable_get()->set_key(std::move(key));
    return loop_.Run(db_->sender().Send(loop_.ctx(), std::move(batch)));
  }
  std::string Read(std::string key) {
    auto txn = db_->Begin({.read_only = true});
    auto got = loop_.Run(txn->Get(loop_.ctx(), std::move(key), {}));
    EXPECT_TRUE(got.ok()) << got.status().ToString();
    return got.ok() && *got ? **got : "(none)";
  }
  int64_t Versions(RangeId range = kTenantRange) { return cluster_.group(range).stats().versions; }
  Timestamp Now() { return cluster_.group(1).clock().Now(); }
  void SetTtl(uint64_t keyspace, int seconds) { Put(keys::GcTtlSetting(keyspace), StrCat(seconds)); }

  TestLoop loop_;
  LocalCluster cluster_{&loop_, {KeyspacePrefix(2), KeyspacePrefix(3)}};
  std::unique_ptr<ClientDatabase> db_ = cluster_.NewDatabase();
  std::unique_ptr<GcQueue> queue_;
  std::unique_ptr<TaskGroup> tasks_;
};

TEST_F(GcQueueTest, OldVersionsGoWhenTheirTimeIsOverAndNotBefore) {
  for (int i = 0; i < 50; ++i) Put(Key("a"), StrCat(i));
  Put(Key("b"), "1");
  Delete(Key("b"));
  const Timestamp written = Now();
  loop_.RunFor(50s);
  EXPECT_EQ(Versions(), 52);
  EXPECT_EQ(ReadAt(Key("a"), written).responses(0).get().value(), "49");
  loop_.RunFor(100s);
  EXPECT_EQ(Versions(), 1);
  EXPECT_EQ(Read(Key("a")), "49");
  EXPECT_EQ(Read(Key("b")), "(none)");
  EXPECT_TRUE(ReadAt(Key("a"), written).error().has_too_old()) << "no reader below the threshold is served";
  EXPECT_EQ(queue_->counters().removed, 51u);
}

TEST_F(GcQueueTest, AtRestTheQueueIsEmptyAndNothingRuns) {
  for (int i = 0; i < 50; ++i) Put(Key("a"), StrCat(i));
  Put(Key("inserted", 3), "only");
  loop_.RunFor(3h);
  EXPECT_EQ(queue_->size(), 0u);
  const uint64_t calls = cluster_.calls, walks = queue_->counters().walks;
  loop_.RunFor(48h);
  EXPECT_EQ(cluster_.calls, calls);
  EXPECT_EQ(queue_->counters().walks, walks);
  EXPECT_EQ(Versions(), 1);
}

TEST_F(GcQueueTest, AHotRowGoesInBoundedSteps) {
  StartQueue({.default_ttl = 60s, .versions_per_batch = 100});
  for (int i = 0; i < 2000; ++i) Put(Key("hot"), StrCat(i));
  cluster_.group(kTenantRange).largest_entry = 0;
  const uint64_t before = queue_->counters().batches;
  loop_.RunFor(10min);
  EXPECT_EQ(Versions(), 1);
  EXPECT_GE(queue_->counters().batches - before, 20u);
  EXPECT_LE(cluster_.group(kTenantRange).largest_entry, 100 * 40u);
  EXPECT_EQ(Read(Key("hot")), "1999");
}

TEST_F(GcQueueTest, ALittleGarbageWaitsUntilAWalkIsWorthIt) {
  for (int i = 0; i < 300; ++i) Put(Key(StrCat("row", i)), "1");
  Put(Key("row7"), "2");
  loop_.RunFor(5min);
  EXPECT_EQ(Versions(), 301);
  loop_.RunFor(10min);
  EXPECT_EQ(Versions(), 300);
}

TEST_F(GcQueueTest, FewLargeVersionsAmongManySmallOnesAreWorthAWalk) {
  for (int i = 0; i < 300; ++i) Put(Key(StrCat("row", i)), "1");
  Put(Key("row7"), std::string(100'000, 'x'));
  Put(Key("row7"), "2");
  EXPECT_EQ(Versions(), 302);
  loop_.RunFor(3min);
  EXPECT_EQ(Versions(), 300);
}

TEST_F(GcQueueTest, GarbageOfARangeThatIsWrittenToNoMoreGoesAfterARestartToo) {
  for (int i = 0; i < 50; ++i) Put(Key("a"), StrCat(i));
  StartQueue({.default_ttl = 60s});  // knows nothing of what was written
  loop_.RunFor(1h);
  EXPECT_EQ(Versions(), 50);
  for (RangeId range = 1; range <= kLastRange; ++range) queue_->Found(range);
  EXPECT_LE(queue_->size(), 2u) << "those without garbage are left alone";
  loop_.RunFor(5min);
  EXPECT_EQ(Versions(), 1);
  loop_.RunFor(1h);
  EXPECT_EQ(queue_->size(), 0u);
}

TEST_F(GcQueueTest, ARangeThatCannotBeCollectedIsTriedAgain) {
  for (int i = 0; i < 10; ++i) Put(Key("a"), StrCat(i));
  Put(keys::GcTtlSetting(2), "a while");  // does not parse
  loop_.RunFor(2h);
  EXPECT_EQ(Versions(), 10);
  SetTtl(2, 60);
  loop_.RunFor(10min);
  EXPECT_EQ(Versions(), 1);
}

TEST_F(GcQueueTest, EachKeyspaceHasItsOwnTime) {
  SetTtl(3, 600);
  for (uint64_t keyspace : {2, 3}) {
    for (int i = 0; i < 10; ++i) Put(Key("a", keyspace), StrCat(i));
  }
  loop_.RunFor(3min);
  EXPECT_EQ(Versions(kTenantRange), 1);
  EXPECT_EQ(Versions(kOtherRange), 10);
  loop_.RunFor(20min);
  EXPECT_EQ(Versions(kOtherRange), 1);
}

TEST_F(GcQueueTest, AShorterTimeIsNoticedWhileTheRangeIsWrittenTo) {
  SetTtl(2, 36000);
  for (int i = 0; i < 10; ++i) Put(Key("a"), StrCat(i));
  loop_.RunFor(10min);
  EXPECT_EQ(Versions(), 10);
  SetTtl(2, 60);
  loop_.RunFor(2min);
  Put(Key("a"), "last");
  loop_.RunFor(3min);
  EXPECT_LE(Versions(), 2);
  EXPECT_EQ(Read(Key("a")), "last");
}

TEST_F(GcQueueTest, ASettingThatDoesNotParseStopsCollecting) {
  Put(keys::GcTtlSetting(2), "a while");
  for (int i = 0; i < 10; ++i) Put(Key("a"), StrCat(i));
  loop_.RunFor(30min);
  EXPECT_EQ(Versions(), 10);
  EXPECT_GT(queue_->counters().failures, 0u);
}

TEST_F(GcQueueTest, AProtectedTimestampKeepsWhatItSees) {
  for (int i = 0; i < 10; ++i) Put(Key("a"), StrCat(i));
  const Timestamp protected_at = Now();
  for (int i = 10; i < 20; ++i) Put(Key("a"), StrCat(i));
  v1::Span span;
  span.set_key(KeyspacePrefix(2));
  span.set_end_key(KeyspacePrefix(4));
  ASSERT_TRUE(loop_.Run(ProtectTimestamp(loop_.ctx(), db_->sender(), "backup-1", {span}, protected_at, "a test")).ok());
  loop_.RunFor(1h);
  EXPECT_EQ(ReadAt(Key("a"), protected_at).responses(0).get().value(), "9");
  EXPECT_EQ(Versions(), 11) << "older than what is protected goes";
  ASSERT_TRUE(loop_.Run(UnprotectTimestamp(loop_.ctx(), db_->sender(), "backup-1")).ok());
  loop_.RunFor(1h);
  EXPECT_EQ(Versions(), 1);
  EXPECT_TRUE(ReadAt(Key("a"), protected_at).error().has_too_old());
  // What is gone cannot be protected, and leaves no row.
  absl::Status late = loop_.Run(ProtectTimestamp(loop_.ctx(), db_->sender(), "backup-2", {span}, protected_at, "a test"));
  EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition) << late.ToString();
  EXPECT_EQ(Read(keys::SystemKey(keys::SystemTable::kProtectedTimestamp, "backup-2")), "(none)");
}

TEST_F(GcQueueTest, WhatWasDecidedBeforeATimestampWasProtectedIsRefusedByItsRanges) {
  Put(Key("a"), "1");
  const Timestamp protected_at = Now();
  Put(Key("a"), "2");
  loop_.RunFor(1s);
  v1::BatchRequest gc;
  gc.mutable_header()->set_version(kBatchVersion);
  gc.add_requests()->mutable_gc()->set_key(Key(""));
  gc.mutable_requests(0)->mutable_gc()->set_threshold(Now().bits);
  gc.mutable_requests(0)->mutable_gc()->set_policy_at(Now().bits);
  loop_.RunFor(1s);
  v1::Span span;
  span.set_key(Key("a"));
  ASSERT_TRUE(loop_.Run(ProtectTimestamp(loop_.ctx(), db_->sender(), "backup", {span}, protected_at, "a test")).ok());
  for (bool moved : {false, true}) {
    if (moved) cluster_.group(kTenantRange).ChangeLease();  // and with it what the leaseholder was told
    v1::BatchResponse refused = loop_.Run(db_->sender().Send(loop_.ctx(), gc));
    EXPECT_TRUE(refused.error().has_invalid()) << refused.ShortDebugString();
    EXPECT_EQ(ReadAt(Key("a"), protected_at).responses(0).get().value(), "1");
  }
}

TEST_F(GcQueueTest, ATransactionOlderThanTheThresholdIsToldToTryAgain) {
  for (int i = 0; i < 10; ++i) Put(Key("a"), StrCat(i));
  auto old = db_->Begin({.isolation = Isolation::kSerializable});
  auto first = loop_.Run(old->Get(loop_.ctx(), Key("a"), {}));
  ASSERT_TRUE(first.ok());
  for (int i = 10; i < 20; ++i) Put(Key("a"), StrCat(i));
  loop_.RunFor(10min);
  EXPECT_EQ(Versions(), 1);
  auto again = loop_.Run(old->Get(loop_.ctx(), Key("a"), {}));
  ASSERT_FALSE(again.ok()) << "it must not read another row than before";
  EXPECT_EQ(ToPgError(again.status()).sqlstate, sqlstate::kSerializationFailure);
  EXPECT_EQ(ToPgError(again.status()).message, "snapshot too old");
  EXPECT_TRUE(loop_.Run(old->Rollback(loop_.ctx())).ok());
  EXPECT_EQ(Read(Key("a")), "19");
}

// What a coordinator that vanished left: intents in two ranges and a record.
TEST_F(GcQueueTest, WhatAbandonedTransactionsLeftIsCleanedUp) {
  Put(Key("a"), "1");
  v1::Transaction txn;
  txn.mutable_meta()->set_id(std::string(16, 'x'));
  txn.mutable_meta()->set_anchor_key(Key("a"));
  auto send = [&](std::string key, bool heartbeat) {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(kBatchVersion);
    *batch.mutable_header()->mutable_txn() = txn;
    if (heartbeat) {
      batch.add_requests()->mutable_heartbeat_txn()->set_key(std::move(key));
    } else {
      auto* put = batch.add_requests()->mutable_put();
      put->set_key(std::move(key));
      put->set_value("2");
      put->set_sequence(1);
    }
    v1::BatchResponse response = loop_.Run(db_->sender().Send(loop_.ctx(), std::move(batch)));
    EXPECT_FALSE(response.has_error()) << response.ShortDebugString();
    txn.set_read_ts(response.txn().read_ts());
    txn.mutable_meta()->set_min_ts(response.txn().meta().min_ts());
    txn.mutable_meta()->set_write_ts(response.txn().meta().write_ts());
  };
  send(Key("a"), false);
  send(Key("b", 3), false);
  send(Key("a"), true);
  EXPECT_EQ(cluster_.replicated_locks(), 2u);
  EXPECT_EQ(cluster_.records(), 1u);
  loop_.RunFor(30min);
  EXPECT_EQ(cluster_.replicated_locks(), 0u);
  EXPECT_EQ(cluster_.records(), 0u);
  EXPECT_EQ(Read(Key("a")), "1");
  EXPECT_EQ(Read(Key("b", 3)), "(none)");
}

}  // namespace
}  // namespace insula::kv
