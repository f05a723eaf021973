// Locks without writes: that they outlive a lease that is handed over and a split, and are found to be lost when they are.
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

std::string K(std::string_view key) { return StrCat("\xfe", key); }
constexpr ReadOptions kForUpdate = {.lock = LockStrength::kExclusive};
constexpr ReadOptions kForShare = {.lock = LockStrength::kShared};

class LocksTest : public testing::Test {
 protected:
  ~LocksTest() override {
    db_.reset();
    loop_.RunUntilIdle();
  }

  std::unique_ptr<Txn> Begin(Isolation isolation = Isolation::kReadCommitted) { return db_->Begin({.isolation = isolation}); }
  void Get(Txn& txn, std::string_view key, ReadOptions options) {
    auto value = loop_.Run(txn.Get(ctx_, K(key), options));
    EXPECT_TRUE(value.ok()) << value.status();
  }
  void Put(std::string_view key, std::string value) {
    auto txn = Begin();
    txn->Put(K(key), std::move(value));
    EXPECT_EQ(Commit(*txn), "");
  }
  std::string Commit(Txn& txn) { return CodeOf(loop_.Run(txn.Commit(ctx_))); }
  std::string Read(std::string_view key) {
    auto value = loop_.Run(Begin()->Get(ctx_, K(key)));
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? value->value_or("(none)") : "(error)";
  }
  // Whether another transaction would have to wait for the key.
  bool IsLocked(std::string_view key, LockStrength lock = LockStrength::kExclusive) {
    auto other = Begin();
    auto value = loop_.Run(other->Get(ctx_, K(key), {.lock = lock, .wait = WaitPolicy::kError}));
    EXPECT_TRUE(value.ok() || CodeOf(value.status()) == "55P03") << value.status();
    EXPECT_TRUE(loop_.Run(other->Rollback(ctx_)).ok());
    return !value.ok();
  }
  void HandOver(std::string_view key) {
    auto replica = ReplicaOf(cluster_.group_of(K(key)));
    absl::Status moved = loop_.Run(replica->TransferLease(ctx_, 2));
    EXPECT_TRUE(moved.ok()) << moved;
    EXPECT_EQ(replica->lock_table().key_count(), 0u);
  }
  void Split(std::string_view key) {
    auto response = loop_.Run(db_->sender().Send(ctx_, SplitBatch(K(key))));
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
  }
  void ExpectClean() {
    loop_.RunFor(10s);
    EXPECT_EQ(cluster_.replicated_locks(), 0u);
    EXPECT_EQ(cluster_.records(), 0u);
    EXPECT_EQ(cluster_.lock_table_keys(), 0u);
  }
  static std::string CodeOf(const absl::Status& status) { return status.ok() ? "" : ToPgError(status).sqlstate; }

  TestLoop loop_;
  const Context& ctx_ = loop_.ctx();
  LocalCluster cluster_{&loop_, {K("g"), K("p")}};
  std::unique_ptr<ClientDatabase> db_ = cluster_.NewDatabase();
};

TEST_F(LocksTest, LocksTravelWithALeaseThatIsHandedOver) {
  for (Isolation isolation : {Isolation::kReadCommitted, Isolation::kSnapshot, Isolation::kSerializable}) {
    Put("a", "0");
    Put("b", "0");
    auto holder = Begin(isolation), sharer = Begin(isolation);
    Get(*holder, "a", kForUpdate);
    Get(*holder, "b", kForShare);
    Get(*sharer, "b", kForShare);
    HandOver("a");
    EXPECT_TRUE(IsLocked("a"));
    EXPECT_TRUE(IsLocked("b"));
    EXPECT_FALSE(IsLocked("b", LockStrength::kShared));
    HandOver("a");  // and once more
    EXPECT_TRUE(IsLocked("a"));
    holder->Put(K("a"), "1");
    EXPECT_EQ(Commit(*holder), "");
    EXPECT_EQ(Read("a"), "1");
    EXPECT_TRUE(IsLocked("b")) << "the other still has it";
    EXPECT_TRUE(loop_.Run(sharer->Rollback(ctx_)).ok());
    EXPECT_FALSE(IsLocked("b"));
    ExpectClean();
  }
}

TEST_F(LocksTest, ALeaseThatIsLostLosesThem) {
  Put("a", "0");
  auto holder = Begin();
  Get(*holder, "a", kForUpdate);
  cluster_.group_of(K("a")).ChangeLease();
  EXPECT_FALSE(IsLocked("a"));
  holder->Put(K("a"), "1");
  EXPECT_EQ(Commit(*holder), "40001");
  // Lost and taken anew by the same transaction, then handed over: what it decided under the first is void all the same.
  auto again = Begin();
  Get(*again, "a", kForUpdate);
  cluster_.group_of(K("a")).ChangeLease();
  EXPECT_FALSE(IsLocked("a"));
  Get(*again, "a", kForUpdate);
  HandOver("a");
  again->Put(K("a"), "1");
  EXPECT_EQ(Commit(*again), "40001");
  EXPECT_EQ(Read("a"), "0");
  ExpectClean();
}

TEST_F(LocksTest, LocksOfBothSidesSurviveASplit) {
  for (const char* key : {"a", "d"}) Put(key, "0");
  auto holder = Begin(), other = Begin();
  Get(*holder, "a", kForUpdate);
  Get(*holder, "d", kForUpdate);
  Get(*other, "e", kForShare);
  Split("c");
  EXPECT_NE(cluster_.group_of(K("a")).range_id(), cluster_.group_of(K("d")).range_id());
  for (const char* key : {"a", "d", "e"}) EXPECT_TRUE(IsLocked(key)) << key;
  EXPECT_FALSE(IsLocked("e", LockStrength::kShared));
  holder->Put(K("a"), "1");
  holder->Put(K("d"), "1");
  EXPECT_EQ(Commit(*holder), "");
  EXPECT_EQ(Read("a") + Read("d"), "11");
  // A lock without a write, whose holder commits elsewhere in one phase.
  other->Put(K("f"), "1");
  EXPECT_EQ(Commit(*other), "");
  ExpectClean();
}

TEST_F(LocksTest, SavepointsKeepLocks) {
  auto txn = Begin();
  Txn::Savepoint savepoint = txn->CreateSavepoint();
  Get(*txn, "a", kForUpdate);
  EXPECT_TRUE(loop_.Run(txn->RollbackTo(ctx_, savepoint)).ok());
  EXPECT_TRUE(IsLocked("a"));
  EXPECT_EQ(Commit(*txn), "");
  EXPECT_FALSE(IsLocked("a"));
}

TEST_F(LocksTest, ALockIsWaitedForAsLongAsItsHolderLives) {
  auto holder = Begin();
  Get(*holder, "a", kForUpdate);
  auto waiter = Begin();
  std::optional<absl::Status> outcome;
  TaskGroup group(ctx_);
  group.SpawnFn([&]() -> Task<void> { outcome = (co_await waiter->Get(ctx_, K("a"), kForUpdate)).status(); });
  loop_.RunFor(std::chrono::hours(4));
  EXPECT_FALSE(outcome.has_value()) << *outcome;
  EXPECT_EQ(Commit(*holder), "");
  loop_.RunFor(1s);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->ok()) << *outcome;
}

// Otherwise a rewrite that has read a table would miss the row, and the row would be gone with the old storage.
TEST_F(LocksTest, ACommitWaitsForWhoeverIsAboutToChangeItsFence) {
  for (int way = 0; way < 4; ++way) {
    const bool several_ranges = (way & 1) != 0, reads_first = (way & 2) != 0;
    SCOPED_TRACE(StrCat("several ranges ", several_ranges, ", reads first ", reads_first));
    Put("catalog", "v1");
    auto change = Begin();
    Get(*change, "catalog", kForUpdate);
    auto writer = Begin();
    writer->SetFence(K("catalog"), "v1");
    if (reads_first) Get(*writer, "other", {});  // sees the fence hold, which says nothing about who is about to change it
    writer->Put(K("late"), "1");
    if (several_ranges) writer->Put(K("q"), "1");
    std::optional<absl::Status> outcome;
    TaskGroup group(ctx_);
    group.SpawnFn([&]() -> Task<void> { outcome = co_await writer->Commit(ctx_); });
    loop_.RunFor(500ms);
    EXPECT_FALSE(outcome.has_value()) << *outcome;
    change->Put(K("catalog"), "v2");
    EXPECT_EQ(Commit(*change), "");
    loop_.RunFor(500ms);
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->code(), absl::StatusCode::kFailedPrecondition) << *outcome;
    EXPECT_EQ(Read("late"), "(none)");
  }
}

}  // namespace
}  // namespace insula::kv
