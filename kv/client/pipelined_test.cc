// Large transactions: what is flushed early goes out while the statement goes on, in bounded memory, and whoever depends on it waits.
#include <gtest/gtest.h>

#include <optional>

#include "base/async/task_group.h"
#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/database.h"
#include "kv/client/testing/local_cluster.h"

namespace insula::kv {
namespace {

constexpr Duration kRound = 100ms;

std::string K(std::string_view key) { return StrCat("\xfe", key); }
std::string Row(int i) { return K(StrCat("r", 1000 + i)); }

bool Has(const v1::BatchRequest& batch, v1::Request::ValueCase kind) {
  return std::any_of(batch.requests().begin(), batch.requests().end(), [&](const v1::Request& r) { return r.value_case() == kind; });
}

class PipelinedTest : public testing::Test {
 protected:
  PipelinedTest() {
    db_ = cluster_.NewDatabase({.max_buffer_bytes = 2000, .write_through_bytes = 50}, [this](const v1::BatchRequest& batch) {
      const bool writes = Has(batch, v1::Request::kPut) || Has(batch, v1::Request::kConditionalPut);
      return fate_ ? fate_(batch) : CallFate{.answer_delay = writes && !Has(batch, v1::Request::kEndTxn) ? kRound : Duration::zero()};
    });
    auto txn = Begin();
    txn->Put(K("a"), "old");
    txn->Put(K("b"), "old");
    EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
  }
  ~PipelinedTest() override {
    db_.reset();
    loop_.RunUntilIdle();
  }
  std::unique_ptr<Txn> Begin(Isolation isolation = Isolation::kSerializable) { return db_->Begin({.isolation = isolation}); }
  std::optional<std::string> Get(Txn& txn, const std::string& key) {
    auto value = loop_.Run(txn.Get(ctx_, key, {}));
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : std::nullopt;
  }
  // Enough for a flush.
  absl::Status PutSome(Txn& txn, int from, std::string_view value = "v") {
    for (int i = from; i < from + 10; ++i) txn.Put(Row(i), std::string(value));
    return loop_.Run(txn.FlushIfLarge(ctx_));
  }
  // As many, each to be new.
  absl::Status InsertSome(Txn& txn, int from, std::string_view value = "v") {
    std::vector<KeyValue> rows;
    for (int i = from; i < from + 10; ++i) rows.push_back({Row(i), std::string(value)});
    if (absl::Status inserted = loop_.Run(txn.InsertAhead(ctx_, std::move(rows), taken_)); !inserted.ok()) return inserted;
    return loop_.Run(txn.FlushIfLarge(ctx_));
  }
  static std::string Message(const absl::Status& status) { return std::string(status.message()); }
  void PutOne(const std::string& key, std::string value) {
    auto txn = Begin();
    txn->Put(key, std::move(value));
    EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
  }
  MonoTime Now() const { return loop_.Now(); }

  TestLoop loop_;
  const Context& ctx_ = loop_.ctx();
  LocalCluster cluster_{&loop_, {}};
  Fates fate_;
  std::unique_ptr<ClientDatabase> db_;
  const std::shared_ptr<const RowTaken> taken_ =
      std::make_shared<RowTaken>([](const KeyValue& row) { return absl::AlreadyExistsError(StrCat(row.key.substr(1), "=", row.value, " is taken")); });
};

TEST_F(PipelinedTest, AStatementGoesOnWhileItsWritesAreUnderWay) {
  auto txn = Begin();
  EXPECT_EQ(Get(*txn, K("a")), "old");
  const MonoTime begin = Now();
  EXPECT_TRUE(PutSome(*txn, 0).ok());
  EXPECT_EQ(Now(), begin) << "the first flush is not waited for";
  EXPECT_EQ(Get(*txn, K("b")), "old");
  EXPECT_EQ(Now(), begin) << "nor by who reads something else";
  EXPECT_TRUE(PutSome(*txn, 10).ok());
  EXPECT_EQ(Now(), begin + kRound) << "one at a time is under way";
  EXPECT_EQ(Get(*txn, Row(12)), "v");
  EXPECT_EQ(Now(), begin + 2 * kRound) << "what is under way is seen once it is there";
  EXPECT_TRUE(PutSome(*txn, 20).ok());
  EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
  EXPECT_GE(Now(), begin + 3 * kRound) << "a commit waits for all";
  auto after = Begin();
  for (int i : {0, 9, 10, 19, 20, 29}) EXPECT_EQ(Get(*after, Row(i)), "v") << i;
}

TEST_F(PipelinedTest, ASavepointTakesBackWhatIsUnderWay) {
  auto txn = Begin();
  EXPECT_EQ(Get(*txn, K("a")), "old");
  EXPECT_TRUE(PutSome(*txn, 0, "first").ok());
  const Txn::Savepoint before = txn->CreateSavepoint();
  EXPECT_TRUE(PutSome(*txn, 0, "second").ok());
  EXPECT_TRUE(PutSome(*txn, 10, "second").ok());
  EXPECT_TRUE(loop_.Run(txn->RollbackTo(ctx_, before)).ok());
  EXPECT_EQ(Get(*txn, Row(3)), "first");
  EXPECT_EQ(Get(*txn, Row(13)), std::nullopt);
  EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
  auto after = Begin();
  EXPECT_EQ(Get(*after, Row(3)), "first");
  EXPECT_EQ(Get(*after, Row(13)), std::nullopt);
}

TEST_F(PipelinedTest, AFlushThatFailsFailsTheTransactionAndASavepointMendsIt) {
  for (bool mend : {false, true}) {
    auto txn = Begin();
    EXPECT_EQ(loop_.Run(txn->Get(ctx_, Row(15), {.lock = LockStrength::kExclusive})).value(), std::nullopt);
    EXPECT_TRUE(PutSome(*txn, 0, "kept").ok());
    EXPECT_EQ(Get(*txn, Row(1)), "kept");
    const Txn::Savepoint before = txn->CreateSavepoint();
    EXPECT_EQ(loop_.Run(txn->Get(ctx_, Row(15), {.lock = LockStrength::kExclusive})).value(), std::nullopt);
    // The lock is lost, and somebody else writes the row.
    cluster_.group_of(Row(15)).ChangeLease();
    auto other = Begin();
    other->Put(Row(15), "other");
    EXPECT_TRUE(loop_.Run(other->Commit(ctx_)).ok());
    EXPECT_TRUE(PutSome(*txn, 10).ok()) << "it is not known yet";
    absl::Status next = loop_.Run(txn->Get(ctx_, Row(15), {})).status();
    ASSERT_FALSE(next.ok());
    EXPECT_EQ(ToPgError(next).sqlstate, sqlstate::kSerializationFailure);
    if (mend) {
      EXPECT_TRUE(loop_.Run(txn->RollbackTo(ctx_, before)).ok());
      EXPECT_EQ(Get(*txn, Row(1)), "kept");
      EXPECT_EQ(Get(*txn, Row(12)), std::nullopt);
    }
    EXPECT_TRUE(loop_.Run(txn->Rollback(ctx_)).ok());
    auto after = Begin();
    EXPECT_EQ(Get(*after, Row(1)), std::nullopt);
    EXPECT_EQ(Get(*after, Row(15)), "other");
    auto reset = Begin();
    reset->Delete(Row(15));
    EXPECT_TRUE(loop_.Run(reset->Commit(ctx_)).ok());
  }
}

TEST_F(PipelinedTest, OneThatIsGivenUpLeavesNothing) {
  auto txn = Begin();
  EXPECT_EQ(Get(*txn, K("a")), "old");
  EXPECT_TRUE(PutSome(*txn, 0).ok());
  txn.reset();
  loop_.RunFor(20s);
  EXPECT_EQ(cluster_.replicated_locks(), 0u);
  EXPECT_EQ(Get(*Begin(), Row(0)), std::nullopt);
}

TEST_F(PipelinedTest, ReadCommittedReadsAfterWhatIsUnderWay) {
  auto txn = Begin(Isolation::kReadCommitted);
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  EXPECT_EQ(Get(*txn, K("a")), "old");
  MonoTime begin = Now();
  EXPECT_TRUE(PutSome(*txn, 0).ok());
  EXPECT_EQ(Now(), begin);
  EXPECT_EQ(Get(*txn, K("b")), "old");
  EXPECT_EQ(Now(), begin) << "what is read elsewhere is not under way";
  EXPECT_EQ(Get(*txn, Row(3)), "v");
  EXPECT_EQ(Now(), begin + kRound);
  EXPECT_TRUE(PutSome(*txn, 10).ok());
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  EXPECT_EQ(Now(), begin + 2 * kRound) << "the next statement, too";
  EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
}

// READ COMMITTED writes above what is newest; what the statement reads stays where it began.
TEST_F(PipelinedTest, AFlushLeavesTheSnapshotOfItsStatementAlone) {
  PutOne(Row(5), "old");
  auto txn = Begin(Isolation::kReadCommitted);
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  EXPECT_EQ(Get(*txn, K("a")), "old");
  auto other = Begin();
  other->Put(K("a"), "new");
  other->Put(K("b"), "new");
  other->Delete(Row(5));
  EXPECT_TRUE(loop_.Run(other->Commit(ctx_)).ok());
  EXPECT_TRUE(InsertSome(*txn, 0).ok());
  EXPECT_TRUE(loop_.Run(txn->AwaitInserts(ctx_)).ok()) << "the row was deleted before it was inserted";
  EXPECT_EQ(Get(*txn, K("b")), "old");
  EXPECT_EQ(Get(*txn, Row(5)), "v");
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  EXPECT_EQ(Get(*txn, K("b")), "new");
  EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
}

TEST_F(PipelinedTest, ALargeInsertGoesOnWhileItsRowsAreUnderWay) {
  for (Isolation isolation : {Isolation::kSerializable, Isolation::kSnapshot, Isolation::kReadCommitted}) {
    auto txn = Begin(isolation);
    EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
    EXPECT_EQ(Get(*txn, K("a")), "old");
    const MonoTime begin = Now();
    EXPECT_TRUE(InsertSome(*txn, 0).ok());
    EXPECT_EQ(Get(*txn, K("b")), "old");
    EXPECT_EQ(Now(), begin);
    EXPECT_TRUE(InsertSome(*txn, 10).ok());
    EXPECT_EQ(Now(), begin + kRound) << "one at a time is under way";
    EXPECT_EQ(Get(*txn, Row(12)), "v");
    EXPECT_EQ(Now(), begin + 2 * kRound);
    EXPECT_TRUE(InsertSome(*txn, 20).ok());
    EXPECT_TRUE(loop_.Run(txn->AwaitInserts(ctx_)).ok());
    EXPECT_EQ(Now(), begin + 3 * kRound);
    EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
    auto after = Begin();
    for (int i : {0, 9, 10, 19, 20, 29}) EXPECT_EQ(Get(*after, Row(i)), "v") << i;
    EXPECT_TRUE(loop_.Run(after->DeleteRange(ctx_, Row(0), Row(99))).ok());
    EXPECT_TRUE(loop_.Run(after->Commit(ctx_)).ok());
  }
}

TEST_F(PipelinedTest, OfTheRowsThatAreTakenTheFirstOneInOrderOfWritingIsTold) {
  PutOne(Row(2), "other");
  PutOne(Row(15), "other");
  PutOne(Row(17), "other");
  enum { kNextInsert, kAwait, kCommit, kRead };
  for (Isolation isolation : {Isolation::kSerializable, Isolation::kReadCommitted}) {
    for (auto tells : {kNextInsert, kAwait, kCommit, kRead}) {
      auto txn = Begin(isolation);
      EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
      EXPECT_EQ(Get(*txn, K("a")), "old");
      EXPECT_TRUE(InsertSome(*txn, 20).ok());
      EXPECT_TRUE(loop_.Run(txn->AwaitInserts(ctx_)).ok());
      // Rising keys go out first: 2 is found before 17 and 15 are.
      std::vector<KeyValue> rows;
      for (int i : {19, 17, 15, 12, 2, 1}) rows.push_back({Row(i), "mine"});
      EXPECT_TRUE(loop_.Run(txn->InsertAhead(ctx_, rows, taken_)).ok()) << "it is not known yet";
      absl::Status told;
      if (tells == kNextInsert) {
        EXPECT_TRUE(InsertSome(*txn, 30, std::string(100, 'v')).ok());
        told = InsertSome(*txn, 40, std::string(100, 'v'));
      } else if (tells == kAwait) {
        told = loop_.Run(txn->AwaitInserts(ctx_));
      } else if (tells == kCommit) {
        told = loop_.Run(txn->Commit(ctx_));
      } else {
        for (int i = 0; i < 10; ++i) txn->Put(K(StrCat("filler", i)), "x");
        EXPECT_TRUE(loop_.Run(txn->FlushIfLarge(ctx_)).ok());
        told = loop_.Run(txn->Get(ctx_, Row(12))).status();
      }
      EXPECT_EQ(Message(told), "r1017=mine is taken") << tells;
      EXPECT_EQ(Message(loop_.Run(txn->Get(ctx_, K("a"))).status()), tells == kCommit ? Message(told) : "r1017=mine is taken");
      EXPECT_TRUE(loop_.Run(txn->Rollback(ctx_)).ok());
    }
  }
  EXPECT_EQ(Get(*Begin(), Row(12)), std::nullopt);
}

TEST_F(PipelinedTest, ASavepointMendsARefusedInsertAndKeepsWhatCameBefore) {
  PutOne(Row(15), "other");
  for (bool before_the_savepoint : {false, true}) {
    auto txn = Begin(Isolation::kReadCommitted);
    EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
    EXPECT_EQ(Get(*txn, K("a")), "old");
    txn->Put(Row(50), "kept");
    const Txn::Savepoint first = txn->CreateSavepoint();
    EXPECT_TRUE(loop_.Run(txn->InsertAhead(ctx_, {{Row(1), std::string(300, 'x')}, {Row(2), "x"}}, taken_)).ok());
    const Txn::Savepoint second = txn->CreateSavepoint();
    EXPECT_TRUE(InsertSome(*txn, 10).ok());
    EXPECT_EQ(Message(loop_.Run(txn->AwaitInserts(ctx_))), "r1015=v is taken");
    EXPECT_TRUE(loop_.Run(txn->RollbackTo(ctx_, before_the_savepoint ? first : second)).ok());
    EXPECT_EQ(Get(*txn, Row(12)), std::nullopt);
    EXPECT_EQ(Get(*txn, Row(2)), before_the_savepoint ? std::nullopt : std::optional<std::string>("x"));
    EXPECT_TRUE(loop_.Run(txn->InsertAhead(ctx_, {{Row(12), "again"}}, taken_)).ok());
    EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
    auto after = Begin();
    EXPECT_EQ(Get(*after, Row(50)), "kept");
    EXPECT_EQ(Get(*after, Row(2)), before_the_savepoint ? std::nullopt : std::optional<std::string>("x"));
    EXPECT_EQ(Get(*after, Row(12)), "again");
    EXPECT_EQ(Get(*after, Row(15)), "other");
    for (int i : {1, 2, 12, 50}) after->Delete(Row(i));
    EXPECT_TRUE(loop_.Run(after->Commit(ctx_)).ok());
  }
}

// What the transaction itself wrote to a key before and after counts as in that order, also if all of it goes out together.
TEST_F(PipelinedTest, InsertsMeetOwnWritesInTheirOrder) {
  PutOne(Row(1), "old");
  PutOne(Row(2), "old");
  for (bool refused : {false, true}) {
    auto txn = Begin();
    EXPECT_EQ(Get(*txn, K("a")), "old");
    txn->Delete(Row(1));
    std::vector<KeyValue> rows{{Row(1), "new"}, {Row(3), std::string(300, 'x')}};
    if (refused) rows.push_back({Row(2), "new"});
    EXPECT_TRUE(loop_.Run(txn->InsertAhead(ctx_, rows, taken_)).ok());
    txn->Put(Row(3), "newer");
    EXPECT_EQ(Message(loop_.Run(txn->InsertAhead(ctx_, {{Row(1), "twice"}}, taken_))), refused ? "r1002=new is taken" : "r1001=twice is taken");
    if (refused) continue;
    EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
    EXPECT_EQ(Get(*Begin(), Row(1)), "new");
    EXPECT_EQ(Get(*Begin(), Row(3)), "newer");
    PutOne(Row(1), "old");
    auto clear = Begin();
    clear->Delete(Row(3));
    EXPECT_TRUE(loop_.Run(clear->Commit(ctx_)).ok());
  }
  // In flight, with another key that is refused later in the order.
  auto txn = Begin();
  txn->Delete(Row(1));
  EXPECT_TRUE(loop_.Run(txn->InsertAhead(ctx_, {{Row(1), std::string(300, 'x')}, {Row(4), "x"}}, taken_)).ok());
  txn->Put(Row(4), "y");
  EXPECT_TRUE(loop_.Run(txn->InsertAhead(ctx_, {{Row(2), "x"}}, taken_)).ok());
  EXPECT_EQ(Message(loop_.Run(txn->AwaitInserts(ctx_))), "r1002=x is taken");
}

TEST_F(PipelinedTest, ARowThatGoesWhileItIsLookedForIsNotTaken) {
  PutOne(Row(5), "other");
  int refused = 0;
  fate_ = [&](const v1::BatchRequest& batch) -> CallFate {
    if (!Has(batch, v1::Request::kGet) || batch.requests(0).get().lock() != v1::LOCK_EXCLUSIVE) return {};
    ++refused;
    return {.delay = kRound};
  };
  auto txn = Begin(Isolation::kReadCommitted);
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  EXPECT_EQ(Get(*txn, K("a")), "old");
  absl::Status done = absl::UnknownError("not done");
  TaskGroup group(ctx_);
  group.SpawnFn([&]() -> Task<void> {
    std::vector<KeyValue> rows;
    for (int i = 0; i < 10; ++i) rows.push_back({Row(i), std::string(50, 'v')});
    done = co_await txn->InsertAhead(ctx_, std::move(rows), taken_);
    if (done.ok()) done = co_await txn->AwaitInserts(ctx_);
  });
  loop_.RunFor(kRound / 2);
  EXPECT_EQ(refused, 1);
  auto other = Begin();
  other->Delete(Row(5));
  EXPECT_TRUE(loop_.Run(other->Commit(ctx_)).ok());
  loop_.Await(group);
  EXPECT_TRUE(done.ok()) << done;
  EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
  EXPECT_EQ(Get(*Begin(), Row(5)), std::string(50, 'v'));
}

TEST_F(PipelinedTest, WhoeverGivesUpAnInsertLeavesNothing) {
  auto txn = Begin(Isolation::kReadCommitted);
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  EXPECT_EQ(Get(*txn, K("a")), "old");
  EXPECT_TRUE(InsertSome(*txn, 0).ok());
  Context patience = ctx_.WithTimeout(kRound / 4);
  EXPECT_FALSE(loop_.Run(txn->AwaitInserts(patience)).ok());
  EXPECT_TRUE(loop_.Run(txn->Rollback(ctx_)).ok());
  txn = Begin();
  EXPECT_EQ(Get(*txn, K("a")), "old");
  EXPECT_TRUE(InsertSome(*txn, 0).ok());
  txn.reset();
  loop_.RunFor(20s);
  EXPECT_EQ(cluster_.replicated_locks(), 0u);
  EXPECT_EQ(cluster_.lock_table_keys(), 0u);
  EXPECT_EQ(Get(*Begin(), Row(0)), std::nullopt);
}

// 10 MB in rows of 120 bytes, 1,024 at a time, 2 ms away: how long that takes, but for what the rows cost where they are made and stored.
TEST(LargeInsertTest, RoundTripsAreNotPaidOneAfterAnother) {
  for (Isolation isolation : {Isolation::kReadCommitted, Isolation::kSerializable}) {
    TestLoop loop;
    LocalCluster cluster{&loop, {}};
    auto db = cluster.NewDatabase();
    cluster.latency = 2ms;
    cluster.group_of(K("row")).apply_delay = 1ms;
    const auto taken = std::make_shared<RowTaken>([](const KeyValue&) { return absl::AlreadyExistsError(""); });
    auto txn = db->Begin({.isolation = isolation});
    EXPECT_TRUE(loop.Run(txn->BeginStatement(loop.ctx())).ok());
    const MonoTime begin = loop.Now();
    for (int b = 0, n = 1'000'000; b < 85; ++b) {
      std::vector<KeyValue> rows;
      for (int i = 0; i < 1024; ++i) rows.push_back({K(StrCat("row", n++)), std::string(110, 'x')});
      ASSERT_TRUE(loop.Run(txn->InsertAhead(loop.ctx(), std::move(rows), taken)).ok());
      ASSERT_TRUE(loop.Run(txn->FlushIfLarge(loop.ctx())).ok());
    }
    EXPECT_TRUE(loop.Run(txn->AwaitInserts(loop.ctx())).ok());
    EXPECT_TRUE(loop.Run(txn->Commit(loop.ctx())).ok());
    // 25 ms; it was 233 ms when each batch was waited for.
    EXPECT_LT(loop.Now() - begin, 50ms);
    db.reset();
    loop.RunUntilIdle();
  }
}

// The snapshot moves up once everything read so far is found unchanged; a read that is answered meanwhile was made at the old one.
TEST_F(PipelinedTest, WhatIsReadDuringARefreshIsRefreshedToo) {
  fate_ = [](const v1::BatchRequest& batch) { return CallFate{.answer_delay = Has(batch, v1::Request::kRefresh) ? kRound : Duration::zero()}; };
  auto txn = Begin();
  EXPECT_EQ(Get(*txn, K("unchanged")), std::nullopt);
  auto other = Begin();
  other->Put(K("a"), "new");
  other->Put(K("b"), "new");
  EXPECT_TRUE(loop_.Run(other->Commit(ctx_)).ok());
  absl::StatusOr<std::optional<std::string>> a, b;
  TaskGroup group(ctx_);
  // The locking read finds something newer than the snapshot; that moves, slowly.
  group.SpawnFn([&]() -> Task<void> { b = co_await txn->Get(ctx_, K("b"), {.lock = LockStrength::kExclusive}); });
  group.SpawnFn([&]() -> Task<void> {
    EXPECT_TRUE((co_await Sleep(ctx_, kRound / 2)).ok());
    a = co_await txn->Get(ctx_, K("a"), {});
  });
  loop_.Await(group);
  const bool torn = a.ok() && b.ok() && **a != **b;
  EXPECT_FALSE(torn) << "a=" << a->value_or("-") << " b=" << b->value_or("-");
}

}  // namespace
}  // namespace insula::kv
