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
    db_ = cluster_.NewDatabase({.max_buffer_bytes = 2000}, [this](const v1::BatchRequest& batch) {
      return fate_ ? fate_(batch) : CallFate{.answer_delay = Has(batch, v1::Request::kPut) && !Has(batch, v1::Request::kEndTxn) ? kRound : Duration::zero()};
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
  MonoTime Now() const { return loop_.Now(); }

  TestLoop loop_;
  const Context& ctx_ = loop_.ctx();
  LocalCluster cluster_{&loop_, {}};
  Fates fate_;
  std::unique_ptr<ClientDatabase> db_;
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
  EXPECT_EQ(Now(), begin + kRound);
  EXPECT_TRUE(PutSome(*txn, 10).ok());
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  EXPECT_EQ(Now(), begin + 2 * kRound) << "the next statement, too";
  EXPECT_TRUE(loop_.Run(txn->Commit(ctx_)).ok());
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
