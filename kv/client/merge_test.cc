// Merges from the client's side down to the engine, over ranges without consensus in one process.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/async/task_group.h"
#include "base/pgerror/pg_error.h"
#include "base/runtime/random.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/testing/local_cluster.h"
#include "kv/keys/keys.h"
#include "kv/replica/gc_threshold.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr uint64_t kKeyspace = 9;
std::string K(std::string_view key) { return KeyspacePrefix(kKeyspace).append(key); }

class MergeTest : public testing::Test {
 protected:
  MergeTest() { Ask(SplitBatch(K("m"))); }
  ~MergeTest() override {
    db_.reset();
    loop_.RunUntilIdle();
  }

  v1::BatchResponse Try(const v1::BatchRequest& batch) { return loop_.Run(db_->sender().Send(ctx_, batch)); }
  void Ask(const v1::BatchRequest& batch) {
    v1::BatchResponse response = Try(batch);
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
  }
  void Put(std::string_view key, std::string value) {
    auto txn = db_->Begin({});
    txn->Put(K(key), std::move(value));
    absl::Status done = loop_.Run(txn->Commit(ctx_));
    EXPECT_TRUE(done.ok()) << done;
  }
  std::string Read(std::string_view key) {
    auto txn = db_->Begin({.read_only = true});
    auto got = loop_.Run(txn->Get(ctx_, K(key), {}));
    EXPECT_TRUE(got.ok()) << got.status();
    return got.ok() && *got ? **got : "(none)";
  }
  bool IsOne() { return cluster_.group_of(K("a")).range_id() == cluster_.group_of(K("z")).range_id(); }

  TestLoop loop_;
  Context ctx_ = loop_.ctx();
  LocalCluster cluster_{&loop_, {KeyspacePrefix(kKeyspace), KeyspacePrefix(kKeyspace + 1)}};
  std::unique_ptr<ClientDatabase> db_ = cluster_.NewDatabase();
};

TEST_F(MergeTest, TwoNeighboursBecomeOneRangeAndItsAddressFollows) {
  Put("b", "1");
  Put("x", "2");
  ASSERT_FALSE(IsOne());
  const auto left = cluster_.group_of(K("b")).stats(), right = cluster_.group_of(K("x")).stats();
  Ask(MergeBatch(K("b")));
  ASSERT_TRUE(IsOne());
  EXPECT_EQ(cluster_.group_of(K("b")).stats().versions, left.versions + right.versions);
  EXPECT_EQ(cluster_.group_of(K("b")).stats().total_bytes, left.total_bytes + right.total_bytes);
  EXPECT_EQ(Read("b") + Read("x"), "12");
  Put("x", "3");
  EXPECT_EQ(Read("x"), "3");
  EXPECT_EQ(cluster_.pending_addresses(), 0u);
  auto fresh = cluster_.NewDatabase();
  for (const std::string& key : {K("b"), K("m"), K("x")}) {
    auto located = loop_.Run(fresh->sender().Locate(ctx_, key));
    ASSERT_TRUE(located.ok());
    EXPECT_EQ(located->start_key(), KeyspacePrefix(kKeyspace));
    EXPECT_EQ(located->end_key(), KeyspacePrefix(kKeyspace + 1));
    EXPECT_EQ(located->range_id(), cluster_.group_of(K("b")).range_id());
  }
  v1::BatchRequest read;
  read.mutable_header()->set_version(kBatchVersion);
  read.add_requests()->mutable_get()->set_key(keys::Meta2Key(K("m")));
  EXPECT_FALSE(Try(read).responses(0).get().has_value()) << "the old row is gone";
  const uint64_t calls = cluster_.calls;
  loop_.RunFor(std::chrono::hours(1));
  EXPECT_EQ(cluster_.calls, calls);
}

TEST_F(MergeTest, AClientThatKnowsOldAddressesIsSetRight) {
  Put("b", "1");
  Put("x", "2");
  auto other = cluster_.NewDatabase();
  ASSERT_TRUE(loop_.Run(other->sender().Locate(ctx_, K("x"))).ok());
  Ask(MergeBatch(K("b")));
  auto txn = other->Begin({});
  auto got = loop_.Run(txn->Get(ctx_, K("x"), {}));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(**got, "2");
}

TEST_F(MergeTest, KeyspacesAndEndsAreNotMerged) {
  auto merged = Try(MergeBatch(K("x")));
  EXPECT_TRUE(merged.error().has_invalid()) << merged.error().ShortDebugString();
  merged = Try(MergeBatch(KeyspacePrefix(kKeyspace + 1) + "a"));
  EXPECT_TRUE(merged.error().has_invalid()) << merged.error().ShortDebugString();
  EXPECT_EQ(Read("x"), "(none)") << "and nothing is frozen by that";
}

TEST_F(MergeTest, WhatWasReadAtTheRightSideIsNotWrittenBelowAfterwards) {
  Put("x", "1");
  auto reader = db_->Begin({});
  auto writer = db_->Begin({});
  ASSERT_TRUE(loop_.Run(writer->Get(ctx_, K("y"), {})).ok());  // its timestamp
  loop_.RunFor(10ms);
  auto got = loop_.Run(reader->Get(ctx_, K("x"), {}));
  ASSERT_TRUE(got.ok());
  loop_.RunFor(1s);  // what is served by the right side until it ends is above the reader's uncertainty
  Ask(MergeBatch(K("b")));
  writer->Put(K("x"), "2");
  absl::Status wrote = loop_.Run(writer->Commit(ctx_));
  EXPECT_TRUE(wrote.ok()) << wrote;
  got = loop_.Run(reader->Get(ctx_, K("x"), {}));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(**got, "1") << "a snapshot stays what it was";
}

TEST_F(MergeTest, UnreplicatedLocksOfTheRightSideAreStillHeld) {
  Put("x", "1");
  auto holder = db_->Begin({});
  ASSERT_TRUE(loop_.Run(holder->Get(ctx_, K("x"), {.lock = LockStrength::kExclusive})).ok());
  Ask(MergeBatch(K("b")));
  auto other = db_->Begin({});
  auto blocked = loop_.Run(other->Get(ctx_, K("x"), {.lock = LockStrength::kExclusive, .wait = WaitPolicy::kError}));
  EXPECT_FALSE(blocked.ok());
  holder->Put(K("x"), "2");
  absl::Status done = loop_.Run(holder->Commit(ctx_));
  EXPECT_TRUE(done.ok()) << done;
  EXPECT_EQ(Read("x"), "2");
}

// Nobody has heard of it yet: whoever took it for aborted would take its intents away, and it would commit without them.
TEST_F(MergeTest, ATransactionThatBeginsAfterAMergeIsNotTakenForAnAbortedOne) {
  Put("x", "1");
  Ask(MergeBatch(K("b")));
  for (const char* anchor : {"b", "x"}) {
    v1::BatchRequest query = NewBatch();
    query.add_requests()->mutable_query_txn()->set_key(K(anchor));
    query.mutable_requests(0)->mutable_query_txn()->set_txn_id(std::string(16, 't'));
    v1::BatchResponse response = Try(query);
    ASSERT_FALSE(response.has_error()) << response.error().ShortDebugString();
    EXPECT_FALSE(response.responses(0).query_txn().found()) << anchor;
  }
}

TEST_F(MergeTest, ATransactionThatWasAbortedAtTheRightSideDoesNotReadOnWithoutWhatItWroteThere) {
  Put("x", "0");
  auto other = cluster_.NewDatabase();
  auto cleared = db_->Begin({});
  ASSERT_TRUE(loop_.Run(cleared->DeleteRange(ctx_, K("x"), K("y"))).ok());
  cluster_.group_of(K("x")).ChangeLease();  // no record of it can be made any more
  EXPECT_EQ(Read("x"), "0");
  Ask(MergeBatch(K("b")));
  auto present = loop_.Run(cleared->InsertMany(ctx_, {{K("x"), "1"}}));
  ASSERT_FALSE(present.ok()) << "a row is there that it has deleted";
  EXPECT_EQ(ToPgError(present.status()).sqlstate, "40001");
}

TEST_F(MergeTest, TheHigherGcThresholdHolds) {
  Put("x", "1");
  loop_.RunFor(10s);
  const Timestamp old = cluster_.group_of(K("x")).clock().Now();
  Put("x", "2");
  loop_.RunFor(10s);
  v1::BatchRequest gc;
  gc.mutable_header()->set_version(kBatchVersion);
  auto* request = gc.add_requests()->mutable_gc();
  request->set_key(K("m"));
  request->set_threshold(cluster_.group_of(K("x")).clock().Now().AddMicros(-1'000'000).bits);
  request->set_policy_at(cluster_.group_of(K("x")).clock().Now().bits);
  Ask(gc);
  Ask(MergeBatch(K("b")));
  v1::BatchRequest read;
  read.mutable_header()->set_version(kBatchVersion);
  read.mutable_header()->set_timestamp(old.bits);
  read.add_requests()->mutable_get()->set_key(K("x"));
  EXPECT_TRUE(Try(read).error().has_too_old());
  cluster_.group_of(K("b")).ChangeLease();
  EXPECT_TRUE(Try(read).error().has_too_old());
}

TEST_F(MergeTest, ASideThatIsFrozenAndForgottenSetsItselfFree) {
  Put("b", "1");
  Put("x", "2");
  // The left side's leaseholder asked, and does not come to its entry.
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  auto* subsume = batch.add_requests()->mutable_subsume();
  subsume->set_key(K("m"));
  *subsume->mutable_left() = cluster_.group_of(K("b")).descriptor();
  *subsume->mutable_right() = cluster_.group_of(K("x")).descriptor();
  subsume->set_merge_id(std::string(16, 'i'));
  Ask(batch);
  auto early = db_->Begin({.read_only = true});
  EXPECT_FALSE(loop_.Run(early->Get(ctx_.WithTimeout(1s), K("x"), {})).ok()) << "it serves nothing while it is in doubt";
  Put("x", "3");
  EXPECT_EQ(Read("x"), "3");
  EXPECT_FALSE(IsOne());
  Ask(MergeBatch(K("b")));
  EXPECT_TRUE(IsOne());
}

// Frozen by an attempt that then dies, at any moment; whoever leads either side next finds out.
TEST_F(MergeTest, LeasesThatMoveInTheMiddleLeaveOneRangeOrTwoThatServe) {
  SeededRandom random(1);
  cluster_.latency = 1ms;
  for (int round = 0; round < 150; ++round) {
    SCOPED_TRACE(StrCat("round ", round));
    Put("b", StrCat(round));
    Put("x", StrCat(round));
    for (const char* key : {"b", "x"}) {
      cluster_.group_of(K(key)).apply_delay = std::chrono::milliseconds(random.Uniform(3));
      cluster_.group_of(K(key)).lose_answer = random.Chance(0.1);
    }
    TaskGroup meanwhile(ctx_);
    meanwhile.SpawnFn([&]() -> Task<void> {
      for (int i = 0; i < 3; ++i) {
        if (!(co_await Sleep(meanwhile.ctx(), Duration(random.Uniform(8'000'000)))).ok()) co_return;
        cluster_.group_of(K(random.Chance(0.5) ? "b" : "x")).ChangeLease();
      }
    });
    (void)loop_.Run(db_->sender().Send(ctx_.WithTimeout(20s), MergeBatch(K("b"))));  // done or not
    meanwhile.Cancel();
    loop_.Await(meanwhile);
    for (const char* key : {"b", "x"}) cluster_.group_of(K(key)).lose_answer = false;
    EXPECT_EQ(Read("b"), StrCat(round));
    EXPECT_EQ(Read("x"), StrCat(round));
    loop_.RunFor(1min);
    EXPECT_EQ(cluster_.pending_addresses(), 0u);
    if (IsOne()) Ask(SplitBatch(K("m")));
    ASSERT_FALSE(HasFailure());
  }
  cluster_.latency = Duration::zero();
  loop_.RunFor(1min);
  const uint64_t calls = cluster_.calls;
  loop_.RunFor(1h);
  EXPECT_EQ(cluster_.calls, calls);
}

TEST_F(MergeTest, ABankKeepsItsSumWhileItsRangesComeAndGo) {
  constexpr int kAccounts = 26, kEach = 100, kClients = 6;
  SeededRandom random(7);
  auto account = [](uint64_t i) { return K(std::string(1, static_cast<char>('a' + i))); };
  for (int i = 0; i < kAccounts; ++i) Put(std::string(1, static_cast<char>('a' + i)), StrCat(kEach));
  cluster_.latency = 1ms;
  bool stop = false;
  uint64_t committed = 0, splits = 0, merges = 0;
  TaskGroup tasks(ctx_);
  for (int c = 0; c < kClients; ++c) {
    tasks.SpawnFn([&]() -> Task<void> {
      while (!stop) {
        auto txn = db_->Begin({.isolation = Isolation::kSerializable});
        const std::string from = account(random.Uniform(kAccounts)), to = account(random.Uniform(kAccounts));
        if (from == to) continue;
        ReadOptions lock{.lock = random.Chance(0.5) ? LockStrength::kExclusive : LockStrength::kNone};
        auto a = co_await txn->Get(ctx_, from, lock);
        auto b = a.ok() ? co_await txn->Get(ctx_, to, lock) : a;
        if (!a.ok() || !b.ok()) {
          (void)co_await txn->Rollback(ctx_);
          continue;
        }
        txn->Put(from, StrCat(std::stoi(**a) - 1));
        txn->Put(to, StrCat(std::stoi(**b) + 1));
        committed += (co_await txn->Commit(ctx_)).ok() ? 1 : 0;
      }
    });
  }
  tasks.SpawnFn([&]() -> Task<void> {
    while (!stop) {
      if (!(co_await Sleep(ctx_, Duration(random.Uniform(50'000'000)))).ok()) co_return;
      const bool split = random.Chance(0.5);
      const std::string key = account(random.Uniform(kAccounts));
      v1::BatchResponse response = co_await db_->sender().Send(ctx_, split ? SplitBatch(key) : MergeBatch(key));
      if (!response.has_error()) ++(split ? splits : merges);
      if (random.Chance(0.1)) cluster_.group_of(key).ChangeLease();
    }
  });
  loop_.RunFor(30s);
  stop = true;
  loop_.Await(tasks);
  EXPECT_GT(committed, 500u);
  EXPECT_GT(splits, 50u);
  EXPECT_GT(merges, 50u);
  int sum = 0;
  for (int i = 0; i < kAccounts; ++i) sum += std::stoi(Read(std::string(1, static_cast<char>('a' + i))));
  EXPECT_EQ(sum, kAccounts * kEach);
  loop_.RunFor(2min);
  EXPECT_EQ(cluster_.pending_addresses(), 0u);
  EXPECT_EQ(cluster_.replicated_locks(), 0u);
}

// Whoever leads the right side next knows that it is frozen, and asks on.
TEST_F(MergeTest, AFrozenSideStaysSoWithANewLeaseAndServesAgainOnceItKnows) {
  Put("x", "2");
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  auto* subsume = batch.add_requests()->mutable_subsume();
  subsume->set_key(K("m"));
  *subsume->mutable_left() = cluster_.group_of(K("b")).descriptor();
  *subsume->mutable_right() = cluster_.group_of(K("x")).descriptor();
  subsume->set_merge_id(std::string(16, 'i'));
  Ask(batch);
  cluster_.group_of(K("b")).leader = false;  // nobody there to ask
  cluster_.group_of(K("x")).ChangeLease();
  auto early = db_->Begin({.read_only = true});
  EXPECT_FALSE(loop_.Run(early->Get(ctx_.WithTimeout(20s), K("x"), {})).ok());
  cluster_.group_of(K("b")).leader = true;
  EXPECT_EQ(Read("x"), "2");
}

}  // namespace
}  // namespace insula::kv
