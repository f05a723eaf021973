#include "kv/api/testing/memory_database.h"

#include <gtest/gtest.h>

#include "base/pgerror/pg_error.h"
#include "kv/api/testing/test_loop.h"

namespace insula::kv {
namespace {

class MemoryDatabaseTest : public testing::Test {
 protected:
  std::unique_ptr<Txn> Begin(Isolation isolation = Isolation::kReadCommitted) { return db_.Begin({.isolation = isolation}); }
  std::optional<std::string> Get(Txn& txn, std::string key, ReadOptions options = {}) {
    auto got = loop_.Run(txn.Get(loop_.ctx(), key, options));
    EXPECT_TRUE(got.ok()) << got.status();
    return got.ok() ? *got : std::nullopt;
  }
  void Commit(Txn& txn) { EXPECT_TRUE(loop_.Run(txn.Commit(loop_.ctx())).ok()); }
  void Write(std::string key, std::string value) {
    auto txn = Begin();
    txn->Put(key, value);
    Commit(*txn);
  }
  std::string Scan(Txn& txn, ScanSpec spec) {
    std::string out;
    std::optional<ScanSpec> next = spec;
    while (next) {
      auto page = loop_.Run(txn.Scan(loop_.ctx(), *next));
      EXPECT_TRUE(page.ok());
      for (const auto& row : page->rows()) out += std::string(row.key) + "=" + std::string(row.value) + " ";
      next = page->rest();
      if (next) out += "| ";
    }
    return out;
  }

  TestLoop loop_;
  MemoryDatabase db_;
};

TEST_F(MemoryDatabaseTest, ReadCommittedTakesASnapshotPerStatement) {
  Write("a", "1");
  auto txn = Begin();
  ASSERT_TRUE(loop_.Run(txn->BeginStatement(loop_.ctx())).ok());
  Write("a", "2");
  EXPECT_EQ(Get(*txn, "a"), "1");
  ASSERT_TRUE(loop_.Run(txn->BeginStatement(loop_.ctx())).ok());
  EXPECT_EQ(Get(*txn, "a"), "2");
}

TEST_F(MemoryDatabaseTest, LockingReadsSeeTheNewestVersion) {
  Write("a", "1");
  auto txn = Begin();
  ASSERT_TRUE(loop_.Run(txn->BeginStatement(loop_.ctx())).ok());
  Write("a", "2");
  EXPECT_EQ(Get(*txn, "a", {.lock = LockStrength::kExclusive}), "2");
  EXPECT_EQ(db_.locked_keys(), 1u);
  Commit(*txn);
  EXPECT_EQ(db_.locked_keys(), 0u);
}

TEST_F(MemoryDatabaseTest, SnapshotConflictsAreFound) {
  Write("a", "1");
  auto txn = Begin(Isolation::kSnapshot);
  EXPECT_EQ(Get(*txn, "a"), "1");
  Write("a", "2");
  txn->Put("a", "3");
  EXPECT_EQ(ToPgError(loop_.Run(txn->Commit(loop_.ctx()))).sqlstate, "40001");
}

TEST_F(MemoryDatabaseTest, SerializableChecksWhatWasRead) {
  auto a = Begin(Isolation::kSerializable), b = Begin(Isolation::kSerializable);
  EXPECT_EQ(Scan(*a, {.start = "x", .end = "y"}), "");
  EXPECT_EQ(Scan(*b, {.start = "x", .end = "y"}), "");
  a->Put("x1", "a");
  b->Put("x2", "b");
  Commit(*a);
  EXPECT_EQ(ToPgError(loop_.Run(b->Commit(loop_.ctx()))).sqlstate, "40001");
}

TEST_F(MemoryDatabaseTest, ScansMergeTheBufferAndPage) {
  Write("a", "1");
  Write("b", "2");
  Write("c", "3");
  auto txn = Begin();
  txn->Put("bb", "x");
  txn->Delete("c");
  EXPECT_EQ(Scan(*txn, {.start = "a", .end = "z", .max_rows = 2}), "a=1 b=2 | bb=x ");
  EXPECT_EQ(Scan(*txn, {.start = "a", .end = "z", .reverse = true, .max_rows = 1}), "bb=x | b=2 | a=1 ");
}

TEST_F(MemoryDatabaseTest, SavepointsUndoWrites) {
  auto txn = Begin();
  txn->Put("a", "1");
  auto savepoint = txn->CreateSavepoint();
  txn->Put("a", "2");
  txn->Put("b", "2");
  ASSERT_TRUE(loop_.Run(txn->RollbackTo(loop_.ctx(), savepoint)).ok());
  EXPECT_EQ(Scan(*txn, {.start = "a", .end = "z"}), "a=1 ");
}

TEST_F(MemoryDatabaseTest, InsertManyRefusesPresentKeysAndWaitsForOthers) {
  auto a = Begin();
  ASSERT_EQ(*loop_.Run(a->InsertMany(loop_.ctx(), {{"k1", "a"}, {"k2", "a"}})), std::nullopt);
  EXPECT_EQ(*loop_.Run(a->InsertMany(loop_.ctx(), {{"k3", "a"}, {"k2", "a"}})), std::optional<size_t>(1));
  EXPECT_EQ(Get(*a, "k3"), std::nullopt);

  auto b = Begin();
  std::optional<absl::StatusOr<std::optional<size_t>>> result;
  TaskGroup group(loop_.ctx());
  group.SpawnFn([&]() -> Task<void> { result.emplace(co_await b->InsertMany(group.ctx(), {{"k1", "b"}})); });
  loop_.RunUntilIdle();
  EXPECT_FALSE(result.has_value());
  Commit(*a);
  loop_.RunUntilIdle();
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(**result, std::optional<size_t>(0));
}

TEST_F(MemoryDatabaseTest, DeadlocksAreBroken) {
  auto a = Begin(), b = Begin();
  ReadOptions lock{.lock = LockStrength::kExclusive};
  Get(*a, "x", lock);
  Get(*b, "y", lock);
  absl::Status a_status, b_status;
  TaskGroup group(loop_.ctx());
  group.SpawnFn([&]() -> Task<void> { a_status = (co_await a->Get(group.ctx(), "y", lock)).status(); });
  group.SpawnFn([&]() -> Task<void> { b_status = (co_await b->Get(group.ctx(), "x", lock)).status(); });
  loop_.RunUntilIdle();
  EXPECT_TRUE(a_status.ok());
  EXPECT_EQ(ToPgError(b_status).sqlstate, "40P01");
}

TEST_F(MemoryDatabaseTest, LockPolicies) {
  auto a = Begin(), b = Begin();
  Write("x", "1");
  Write("y", "2");
  Get(*a, "x", {.lock = LockStrength::kExclusive});
  EXPECT_EQ(Scan(*b, {.start = "a", .end = "z", .options = {.lock = LockStrength::kExclusive, .wait = WaitPolicy::kSkipLocked}}), "y=2 ");
  ReadOptions nowait{.lock = LockStrength::kShared, .wait = WaitPolicy::kError};
  EXPECT_EQ(ToPgError(loop_.Run(b->Get(loop_.ctx(), "x", nowait)).status()).sqlstate, "55P03");
  ReadOptions timeout{.lock = LockStrength::kExclusive, .lock_timeout = 5ms};
  EXPECT_EQ(ToPgError(loop_.Run(b->Get(loop_.ctx(), "x", timeout)).status()).sqlstate, "55P03");
}

TEST_F(MemoryDatabaseTest, FencesStopStatements) {
  auto txn = Begin();
  txn->SetFence("version", std::nullopt);
  EXPECT_EQ(Get(*txn, "a"), std::nullopt);
  txn->Put("version", "mine");
  EXPECT_EQ(Get(*txn, "a"), std::nullopt);
  auto late = Begin();
  late->SetFence("version", std::nullopt);
  Commit(*txn);
  EXPECT_EQ(loop_.Run(late->Get(loop_.ctx(), "a")).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(MemoryDatabaseTest, CountersCount) {
  EXPECT_EQ(*loop_.Run(db_.Increment(loop_.ctx(), "n", 5)), 5);
  EXPECT_EQ(*loop_.Run(db_.Increment(loop_.ctx(), "n", -2)), 3);
  EXPECT_EQ(*loop_.Run(db_.Increment(loop_.ctx(), "n", 0)), 3);
}

TEST_F(MemoryDatabaseTest, DeleteRangeCounts) {
  Write("a", "1");
  Write("b", "1");
  auto txn = Begin();
  txn->Put("c", "1");
  EXPECT_EQ(*loop_.Run(txn->DeleteRange(loop_.ctx(), "a", "z")), 3u);
  Commit(*txn);
  EXPECT_TRUE(db_.Dump("").empty());
}

}  // namespace
}  // namespace insula::kv
