// Transactions from the client's side down to the engine, over several ranges in one process.
#include "kv/client/database.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "base/async/task_group.h"
#include "base/pgerror/pg_error.h"
#include "base/runtime/random.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/testing/local_cluster.h"

namespace insula::kv {
namespace {

std::string K(std::string_view key) { return StrCat("\xfe", key); }

class DatabaseTest : public testing::Test {
 protected:
  ~DatabaseTest() override {
    db_.reset();
    loop_.RunUntilIdle();
  }

  std::unique_ptr<Txn> Begin(Isolation isolation = Isolation::kSerializable) { return db_->Begin({.isolation = isolation}); }
  std::optional<std::string> Get(Txn& txn, std::string_view key, ReadOptions options = {}) {
    auto value = loop_.Run(txn.Get(ctx_, K(key), options));
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : std::nullopt;
  }
  void Commit(Txn& txn) {
    absl::Status status = loop_.Run(txn.Commit(ctx_));
    EXPECT_TRUE(status.ok()) << status;
  }
  void Put(std::string_view key, std::string_view value) {
    auto txn = Begin();
    txn->Put(K(key), std::string(value));
    Commit(*txn);
  }
  std::string Read(std::string_view key) { return Get(*Begin(), key).value_or("(none)"); }
  static std::string CodeOf(const absl::Status& status) { return status.ok() ? "" : ToPgError(status).sqlstate; }
  template <typename F>
  void RunAll(int workers, F fn) {  // fn(worker) -> Task<void>
    TaskGroup group(ctx_);
    for (int w = 0; w < workers; ++w) group.SpawnFn([fn, w]() -> Task<void> { co_await fn(w); });
    loop_.Await(group);
  }
  std::string ScanAll(Txn& txn, std::string from, std::string to, bool reverse, uint64_t page_rows) {
    std::string out;
    std::optional<ScanSpec> spec = ScanSpec{.start = K(from), .end = K(to), .reverse = reverse, .max_rows = page_rows};
    while (spec) {
      auto page = loop_.Run(txn.Scan(ctx_, *spec));
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) return "error";
      EXPECT_TRUE(page_rows == 0 || page->rows().size() <= page_rows);
      for (const auto& row : page->rows()) StrAppend(&out, row.key.substr(1), "=", row.value, " ");
      spec = page->rest();
    }
    return out;
  }

  TestLoop loop_;
  const Context& ctx_ = loop_.ctx();
  LocalCluster cluster_{&loop_, {K("g"), K("p")}};
  std::unique_ptr<ClientDatabase> db_ = cluster_.NewDatabase();
};

TEST_F(DatabaseTest, APointReadAndACommitInOneRangeTakeOneRoundTripEach) {
  Put("a", "1");
  auto txn = Begin(Isolation::kReadCommitted);
  uint64_t before = db_->sender().round_trips();
  EXPECT_EQ(Get(*txn, "a"), "1");
  EXPECT_EQ(db_->sender().round_trips(), before + 1);
  const int proposals = cluster_.group_of(K("a")).proposals;
  txn->Put(K("a"), "2");
  txn->Put(K("b"), "2");
  before = db_->sender().round_trips();
  Commit(*txn);
  EXPECT_EQ(db_->sender().round_trips(), before + 1);
  EXPECT_EQ(cluster_.last_call, "put put end_txn");
  EXPECT_EQ(cluster_.group_of(K("a")).proposals, proposals + 1);
  EXPECT_GT(txn->commit_timestamp(), Timestamp());
  EXPECT_EQ(cluster_.records(), 0u);
}

TEST_F(DatabaseTest, ReadsSeeOwnWrites) {
  Put("a", "1");
  auto txn = Begin();
  txn->Put(K("a"), "2");
  txn->Delete(K("b"));
  EXPECT_EQ(Get(*txn, "a"), "2");
  EXPECT_EQ(Get(*txn, "b"), std::nullopt);
  EXPECT_EQ(Read("a"), "1") << "others do not";
  auto many = loop_.Run(txn->GetMany(ctx_, {K("c"), K("a")}));
  ASSERT_TRUE(many.ok());
  EXPECT_EQ((*many)[0], std::nullopt);
  EXPECT_EQ((*many)[1], "2");
}

TEST_F(DatabaseTest, ScansMergeTheBufferInBothDirectionsAndOverRanges) {
  for (const char* key : {"a", "c", "h", "k", "q", "s"}) Put(key, "old");
  auto txn = Begin();
  txn->Put(K("b"), "new");
  txn->Put(K("h"), "new");
  txn->Delete(K("k"));
  txn->Put(K("z"), "new");
  const std::string forward = "a=old b=new c=old h=new q=old s=old z=new ";
  const std::string backward = "z=new s=old q=old h=new c=old b=new a=old ";
  for (uint64_t rows : {0, 1, 2, 3, 100}) {
    EXPECT_EQ(ScanAll(*txn, "a", "zz", false, rows), forward) << rows;
    EXPECT_EQ(ScanAll(*txn, "a", "zz", true, rows), backward) << rows;
  }
}

TEST_F(DatabaseTest, ACommitOverSeveralRangesLeavesNothingBehind) {
  auto txn = Begin();
  txn->Put(K("a"), "1");
  txn->Put(K("h"), "2");
  txn->Put(K("q"), "3");
  Commit(*txn);
  EXPECT_EQ(Read("a") + Read("h") + Read("q"), "123");
  loop_.RunUntilIdle();
  EXPECT_EQ(cluster_.replicated_locks(), 0u);
  EXPECT_EQ(cluster_.records(), 0u);
}

TEST_F(DatabaseTest, RollbackToASavepointTakesBackBufferedAndFlushedWrites) {
  db_ = cluster_.NewDatabase({.max_buffer_bytes = 1});
  for (bool flush : {false, true}) {
    auto txn = Begin();
    txn->Put(K("a"), "1");
    if (flush) {
      EXPECT_TRUE(loop_.Run(txn->FlushIfLarge(ctx_)).ok());
    }
    Txn::Savepoint savepoint = txn->CreateSavepoint();
    txn->Put(K("a"), "2");
    txn->Put(K("b"), "2");
    if (flush) {
      EXPECT_TRUE(loop_.Run(txn->FlushIfLarge(ctx_)).ok());
      EXPECT_GT(cluster_.replicated_locks(), 0u);
    }
    EXPECT_EQ(Get(*txn, "a"), "2");
    EXPECT_TRUE(loop_.Run(txn->RollbackTo(ctx_, savepoint)).ok());
    EXPECT_EQ(Get(*txn, "a"), "1");
    EXPECT_EQ(Get(*txn, "b"), std::nullopt);
    txn->Put(K("c"), "3");
    Commit(*txn);
    EXPECT_EQ(Read("a") + Read("b") + Read("c"), "1(none)3");
    auto clear = Begin();
    for (const char* key : {"a", "b", "c"}) clear->Delete(K(key));
    Commit(*clear);
    EXPECT_EQ(cluster_.replicated_locks(), 0u);
  }
}

TEST_F(DatabaseTest, ALostAnswerToACommitIsSettled) {
  for (bool one_phase : {true, false}) {
    for (bool applied : {true, false}) {
      auto txn = Begin();
      txn->Put(K("a"), applied ? "applied" : "sent again");
      if (!one_phase) txn->Put(K("q"), "x");
      cluster_.only_commits = true;
      (applied ? cluster_.lose_answer : cluster_.lose_request) = true;
      Commit(*txn);
      EXPECT_FALSE(cluster_.lose_answer || cluster_.lose_request);
      EXPECT_EQ(Read("a"), applied ? "applied" : "sent again");
    }
  }
}

TEST_F(DatabaseTest, AnUnknownOutcomeThatCannotBeSettledIs08007) {
  Put("a", "0");
  auto txn = Begin();
  EXPECT_EQ(Get(*txn, "a"), "0");
  txn->Put(K("a"), "1");
  cluster_.only_commits = true;
  cluster_.lose_answer = true;
  Context short_ctx = ctx_.WithTimeout(5s);
  cluster_.group_of(K("a")).apply_delay_turns = 1;
  // After the commit is applied nobody leads any more, as far as this client can tell.
  TaskGroup group(ctx_);
  absl::Status status;
  group.SpawnFn([&]() -> Task<void> { status = co_await txn->Commit(short_ctx); });
  while (cluster_.lose_answer) loop_.Run(Sleep(ctx_, 1us)).IgnoreError();
  cluster_.group_of(K("a")).leader = false;
  loop_.Run(Sleep(ctx_, 10s)).IgnoreError();
  EXPECT_EQ(CodeOf(status), "08007") << status;
  cluster_.group_of(K("a")).leader = true;
}

TEST_F(DatabaseTest, SerializableRefusesWriteSkewAndSnapshotAllowsIt) {
  for (auto isolation : {Isolation::kSerializable, Isolation::kSnapshot}) {
    Put("a", "0");
    Put("h", "0");
    auto t1 = Begin(isolation), t2 = Begin(isolation);
    EXPECT_EQ(*Get(*t1, "a") + *Get(*t1, "h"), "00");
    EXPECT_EQ(*Get(*t2, "a") + *Get(*t2, "h"), "00");
    t1->Put(K("a"), "1");
    t2->Put(K("h"), "1");
    absl::Status s1 = loop_.Run(t1->Commit(ctx_)), s2 = loop_.Run(t2->Commit(ctx_));
    if (isolation == Isolation::kSnapshot) {
      EXPECT_TRUE(s1.ok() && s2.ok()) << s1 << s2;
    } else {
      EXPECT_TRUE(s1.ok() != s2.ok()) << s1 << s2;
      EXPECT_EQ(CodeOf(s1.ok() ? s2 : s1), "40001");
    }
  }
}

TEST_F(DatabaseTest, SnapshotRefusesLostUpdates) {
  Put("a", "0");
  auto t1 = Begin(Isolation::kSnapshot), t2 = Begin(Isolation::kSnapshot);
  EXPECT_EQ(Get(*t1, "a"), "0");
  EXPECT_EQ(Get(*t2, "a"), "0");
  t1->Put(K("a"), "1");
  t2->Put(K("a"), "2");
  Commit(*t1);
  EXPECT_EQ(CodeOf(loop_.Run(t2->Commit(ctx_))), "40001");
  EXPECT_EQ(Read("a"), "1");
}

TEST_F(DatabaseTest, ReadCommittedTakesANewSnapshotPerStatement) {
  Put("a", "0");
  auto txn = Begin(Isolation::kReadCommitted);
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  EXPECT_EQ(Get(*txn, "a"), "0");
  Put("a", "1");
  EXPECT_EQ(Get(*txn, "a"), "0") << "the same statement";
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  EXPECT_EQ(Get(*txn, "a"), "1");
  auto repeatable = Begin();
  EXPECT_EQ(Get(*repeatable, "a"), "1");
  Put("a", "2");
  EXPECT_TRUE(loop_.Run(repeatable->BeginStatement(ctx_)).ok());
  EXPECT_EQ(Get(*repeatable, "a"), "1");
}

// pgbench's TPC-B: everybody updates the same few rows by locking reads. Not one error, not one update lost.
TEST_F(DatabaseTest, ReadCommittedUpdatesOfHotRowsNeverFail) {
  constexpr int kClients = 8, kTransactions = 25;
  Put("branch", "0");
  Put("teller", "0");
  Put("zaccount", "0");  // in another range: two phases
  SeededRandom random(5);
  int done = 0;
  RunAll(kClients, [&](int client) -> Task<void> {
    for (int i = 0; i < kTransactions; ++i) {
      auto txn = db_->Begin({.isolation = Isolation::kReadCommitted});
      for (const char* key : {"zaccount", "teller", "branch"}) {
        if (key[0] == 'z' && i % 3 != 0) continue;
        EXPECT_TRUE((co_await txn->BeginStatement(ctx_)).ok());
        auto value = co_await txn->Get(ctx_, K(key), {.lock = LockStrength::kExclusive});
        EXPECT_TRUE(value.ok()) << value.status();
        if (!value.ok()) co_return;
        (void)co_await Sleep(ctx_, std::chrono::microseconds(random.Uniform(2000)));
        txn->Put(K(key), StrCat(std::stoi(**value) + 1));
      }
      EXPECT_TRUE((co_await txn->BeginStatement(ctx_)).ok());
      auto inserted = co_await txn->InsertMany(ctx_, {{K(StrCat("history", client, "/", i)), "x"}});
      EXPECT_TRUE(inserted.ok() && !*inserted) << inserted.status();
      absl::Status committed = co_await txn->Commit(ctx_);
      EXPECT_TRUE(committed.ok()) << committed;
      done += committed.ok();
    }
  });
  EXPECT_EQ(done, kClients * kTransactions);
  EXPECT_EQ(Read("branch"), StrCat(kClients * kTransactions));
  EXPECT_EQ(Read("teller"), StrCat(kClients * kTransactions));
  loop_.RunUntilIdle();
  EXPECT_EQ(cluster_.lock_table_keys(), 0u);
  EXPECT_EQ(cluster_.replicated_locks(), 0u);
}

TEST_F(DatabaseTest, ADeadlockOverTwoRangesIs40P01ForOneAndNothingForTheOther) {
  auto t1 = Begin(Isolation::kReadCommitted), t2 = Begin(Isolation::kReadCommitted);
  const ReadOptions lock{.lock = LockStrength::kExclusive};
  Get(*t1, "a", lock);
  Get(*t2, "q", lock);
  absl::Status s1, s2;
  RunAll(2, [&](int worker) -> Task<void> {
    if (worker == 0) {
      s1 = (co_await t1->Get(ctx_, K("q"), lock)).status();
    } else {
      s2 = (co_await t2->Get(ctx_, K("a"), lock)).status();
    }
  });
  EXPECT_TRUE(s1.ok()) << s1;
  EXPECT_EQ(CodeOf(s2), "40P01") << s2;
  EXPECT_EQ(CodeOf(loop_.Run(t2->Commit(ctx_))), "40P01");
  t1->Put(K("a"), "1");
  Commit(*t1);
}

TEST_F(DatabaseTest, NowaitSkipLockedAndTimeouts) {
  Put("a", "1");
  Put("b", "2");
  auto holder = Begin(), other = Begin(Isolation::kReadCommitted);
  Get(*holder, "a", {.lock = LockStrength::kExclusive});
  auto nowait = loop_.Run(other->Get(ctx_, K("a"), {.lock = LockStrength::kShared, .wait = WaitPolicy::kError}));
  EXPECT_EQ(CodeOf(nowait.status()), "55P03");
  auto timeout = loop_.Run(other->Get(ctx_, K("a"), {.lock = LockStrength::kShared, .lock_timeout = 100ms}));
  EXPECT_EQ(CodeOf(timeout.status()), "55P03");
  auto page = loop_.Run(other->Scan(ctx_, {.start = K("a"), .end = K("c"), .options = {.lock = LockStrength::kExclusive, .wait = WaitPolicy::kSkipLocked}}));
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->rows().size(), 1u);
  EXPECT_EQ(page->rows()[0].value, "2");
}

TEST_F(DatabaseTest, AnUnfinishedTransactionThatIsDroppedLetsGo) {
  {
    auto txn = Begin();
    Get(*txn, "a", {.lock = LockStrength::kExclusive});
    txn->Put(K("a"), "never");
  }
  auto other = Begin();
  MonoTime before = loop_.Now();
  Get(*other, "a", {.lock = LockStrength::kExclusive});
  EXPECT_LT(loop_.Now() - before, 1s);
  EXPECT_EQ(Read("a"), "(none)");
}

TEST_F(DatabaseTest, ALongTransactionIsKeptAlive) {
  auto txn = Begin(Isolation::kReadCommitted);
  Get(*txn, "a", {.lock = LockStrength::kExclusive});
  absl::Status waiter;
  bool done = false;
  TaskGroup group(ctx_);
  group.SpawnFn([&]() -> Task<void> {
    auto other = db_->Begin({.isolation = Isolation::kReadCommitted});
    auto value = co_await other->Get(ctx_, K("a"), {.lock = LockStrength::kExclusive});
    waiter = value.status();
    done = true;
    EXPECT_EQ(value.ok() ? value->value_or("") : "", "mine");
    EXPECT_TRUE((co_await other->Rollback(ctx_)).ok());
  });
  (void)loop_.Run(Sleep(ctx_, 20s));
  EXPECT_FALSE(done);
  EXPECT_EQ(cluster_.records(), 2u) << "who waits long is kept alive, too";
  txn->Put(K("a"), "mine");
  Commit(*txn);
  loop_.Await(group);
  EXPECT_TRUE(done && waiter.ok()) << waiter;
  EXPECT_EQ(cluster_.records(), 0u);
}

TEST_F(DatabaseTest, InsertManyTellsTheFirstThatExists) {
  Put("c", "there");
  auto txn = Begin(Isolation::kReadCommitted);
  auto result = loop_.Run(txn->InsertMany(ctx_, {{K("a"), "1"}, {K("c"), "1"}, {K("d"), "1"}}));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(*result, std::optional<size_t>(1));
  EXPECT_FALSE(txn->has_writes());
  result = loop_.Run(txn->InsertMany(ctx_, {{K("a"), "1"}, {K("h"), "1"}, {K("a"), "2"}}));
  EXPECT_EQ(*result, std::optional<size_t>(2)) << "twice in one statement";
  result = loop_.Run(txn->InsertMany(ctx_, {{K("a"), "1"}, {K("d"), "1"}}));
  EXPECT_EQ(*result, std::nullopt);
  result = loop_.Run(txn->InsertMany(ctx_, {{K("a"), "2"}}));
  EXPECT_EQ(*result, std::optional<size_t>(0)) << "its own row";
  Commit(*txn);
  EXPECT_EQ(Read("a") + Read("d"), "11");
}

TEST_F(DatabaseTest, LargeInsertsGoOutAsIntentsAndAreTakenBackWhenOneExists) {
  db_ = cluster_.NewDatabase({.write_through_bytes = 100, .flush_batch_bytes = 200});
  Put("row050", "there");
  auto rows = [](std::string prefix) {
    std::vector<KeyValue> out;
    for (int i = 0; i < 100; ++i) {
      std::string number = StrCat(1000 + i).substr(1);
      out.push_back({K(StrCat(prefix, number)), StrCat("value", i)});
    }
    return out;
  };
  auto txn = Begin(Isolation::kReadCommitted);
  auto result = loop_.Run(txn->InsertMany(ctx_, rows("row")));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*result, std::optional<size_t>(50));
  EXPECT_EQ(Get(*txn, "row001"), std::nullopt) << "nothing of it was written";
  result = loop_.Run(txn->InsertMany(ctx_, rows("qow")));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*result, std::nullopt);
  EXPECT_EQ(Get(*txn, "qow099"), "value99");
  Commit(*txn);
  loop_.RunUntilIdle();
  EXPECT_EQ(Read("qow007"), "value7");
  EXPECT_EQ(Read("row001"), "(none)");
  EXPECT_EQ(cluster_.replicated_locks(), 0u);
  EXPECT_EQ(cluster_.records(), 0u);
}

TEST_F(DatabaseTest, DeleteRangeTakesBufferedAndStoredRowsOfAllRanges) {
  for (const char* key : {"a", "h", "q"}) Put(key, "1");
  auto txn = Begin(Isolation::kReadCommitted);
  txn->Put(K("b"), "1");
  txn->Delete(K("h"));
  auto deleted = loop_.Run(txn->DeleteRange(ctx_, K("a"), K("z")));
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(*deleted, 3u);
  EXPECT_EQ(ScanAll(*txn, "a", "z", false, 0), "");
  txn->Put(K("c"), "after");
  Commit(*txn);
  EXPECT_EQ(ScanAll(*Begin(), "a", "z", false, 0), "c=after ");
}

TEST_F(DatabaseTest, AFenceIsCheckedWithReadsAndAtCommit) {
  Put("catalog", "v1");
  auto txn = Begin(Isolation::kReadCommitted);
  txn->SetFence(K("catalog"), "v0");
  EXPECT_EQ(loop_.Run(txn->Get(ctx_, K("a"))).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(cluster_.last_call, "check get") << "no round trip of its own";
  txn->SetFence(K("catalog"), "v1");
  EXPECT_EQ(Get(*txn, "a"), std::nullopt) << "the transaction goes on";
  for (const char* key : {"a", "q"}) {  // one phase; two
    auto writer = Begin(Isolation::kReadCommitted);
    writer->SetFence(K("catalog"), Read("catalog"));
    writer->Put(K(key), "1");
    Put("catalog", StrCat("changed before ", key));
    absl::Status status = loop_.Run(writer->Commit(ctx_));
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_FALSE(IsPgError(status));
    EXPECT_EQ(Read(key), "(none)");
    auto again = Begin(Isolation::kReadCommitted);
    again->SetFence(K("catalog"), Read("catalog"));
    again->Put(K(key), "1");
    Commit(*again);
  }
}

// A write of the fence's key that a savepoint took back does not count: the fence is checked as ever.
TEST_F(DatabaseTest, AFenceWhoseOwnChangeWasRolledBackIsCheckedAgain) {
  for (bool flushed : {false, true}) {
    for (const char* key : {"a", "q"}) {  // one phase; several ranges
      db_ = cluster_.NewDatabase({.max_buffer_bytes = flushed ? size_t{1} : size_t{1} << 20});
      Put("catalog", "v1");
      Put(key, "before");
      auto txn = Begin(Isolation::kReadCommitted);
      txn->SetFence(K("catalog"), "v1");
      EXPECT_EQ(Get(*txn, "catalog", {.lock = LockStrength::kExclusive}), "v1");
      Txn::Savepoint savepoint = txn->CreateSavepoint();
      txn->Put(K("catalog"), "v2");
      EXPECT_TRUE(loop_.Run(txn->FlushIfLarge(ctx_)).ok());
      EXPECT_TRUE(loop_.Run(txn->RollbackTo(ctx_, savepoint)).ok());
      EXPECT_EQ(CodeOf(loop_.Run(Begin()->Get(ctx_, K("catalog"), {.lock = LockStrength::kShared, .wait = WaitPolicy::kError})).status()), "55P03")
          << "the lock stays";
      EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
      EXPECT_EQ(Get(*txn, key), "before");
      txn->Put(K(key), "after");
      Commit(*txn);
      EXPECT_EQ(Read("catalog") + Read(key), "v1after");
      if (flushed) continue;
      // The lock is lost, and another changes the catalog: that is found out.
      auto loser = Begin(Isolation::kReadCommitted);
      loser->SetFence(K("catalog"), "v1");
      EXPECT_EQ(Get(*loser, "catalog", {.lock = LockStrength::kExclusive}), "v1");
      savepoint = loser->CreateSavepoint();
      loser->Put(K("catalog"), "v2");
      EXPECT_TRUE(loop_.Run(loser->RollbackTo(ctx_, savepoint)).ok());
      cluster_.group_of(K("catalog")).ChangeLease();
      Put("catalog", "v3");
      EXPECT_TRUE(loop_.Run(loser->BeginStatement(ctx_)).ok());
      EXPECT_EQ(loop_.Run(loser->Get(ctx_, K(key))).status().code(), absl::StatusCode::kFailedPrecondition);
      loser->Put(K(key), "never");
      EXPECT_FALSE(loop_.Run(loser->Commit(ctx_)).ok());
      EXPECT_EQ(Read("catalog") + Read(key), "v3after");
    }
  }
}

// 40 MB in one transaction, over three ranges: nothing that is sent, replicated or kept in a record grows with it.
TEST_F(DatabaseTest, ALargeTransactionIsBoundedEverywhere) {
  db_ = cluster_.NewDatabase({.max_buffer_bytes = 1 << 20, .write_through_bytes = 64 << 10, .flush_batch_bytes = 256 << 10});
  auto txn = Begin(Isolation::kReadCommitted);
  const std::string value(4000, 'v');
  int rows = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 50; ++i, ++rows) txn->Put(K(StrCat(std::string(1, "bhq"[rows % 3]), "put", rows)), value);
    std::vector<KeyValue> inserted;
    for (int i = 0; i < 50; ++i, ++rows) inserted.push_back({K(StrCat(std::string(1, "bhq"[rows % 3]), "insert", rows)), value});
    auto result = loop_.Run(txn->InsertMany(ctx_, std::move(inserted)));
    ASSERT_TRUE(result.ok() && !*result) << result.status();
    ASSERT_TRUE(loop_.Run(txn->FlushIfLarge(ctx_)).ok());
  }
  Commit(*txn);
  EXPECT_LT(cluster_.largest_call, 700u << 10);
  for (const char* key : {"b", "h", "q"}) EXPECT_LT(cluster_.group_of(K(key)).largest_entry, 9u << 20) << "a commit resolves 2,000 keys itself";
  loop_.RunFor(10s);
  EXPECT_EQ(cluster_.replicated_locks(), 0u);
  EXPECT_EQ(cluster_.records(), 0u);
  int found = 0;
  std::optional<ScanSpec> spec = ScanSpec{.start = K("a"), .end = K("z")};
  auto reader = Begin();
  while (spec) {
    auto page = loop_.Run(reader->Scan(ctx_, *spec));
    ASSERT_TRUE(page.ok()) << page.status();
    found += static_cast<int>(page->rows().size());
    spec = page->rest();
  }
  EXPECT_EQ(found, rows);
}

// A page is under way while another read moves the snapshot: what it brings holds at the new one.
TEST_F(DatabaseTest, APageThatWasUnderWayWhenTheSnapshotMovedIsReadAnew) {
  for (const char* key : {"a", "h", "q"}) Put(key, "old");
  Duration answer_delay = Duration::zero();
  auto slow = cluster_.NewDatabase({}, [&](const v1::BatchRequest& batch) -> CallFate {
    return {.answer_delay = batch.requests(0).has_scan() ? std::exchange(answer_delay, Duration::zero()) : Duration::zero()};
  });
  auto txn = slow->Begin({.isolation = Isolation::kSerializable});
  EXPECT_EQ(Get(*txn, "a"), "old");
  answer_delay = 100ms;
  std::string scanned;
  TaskGroup group(ctx_);
  group.SpawnFn([&]() -> Task<void> {
    auto page = co_await txn->Scan(ctx_, {.start = K("h"), .end = K("i")});
    EXPECT_TRUE(page.ok()) << page.status();
    if (page.ok()) scanned = std::string(page->rows()[0].value);
  });
  loop_.RunFor(10ms);
  Put("h", "new");
  Put("q", "new");
  const Timestamp before = txn->read_timestamp();
  EXPECT_EQ(Get(*txn, "q"), "new") << "it may be from before the transaction began";
  EXPECT_GT(txn->read_timestamp(), before);
  loop_.RunFor(1s);
  EXPECT_EQ(scanned, "new");
  txn->Put(K("z"), "1");
  Commit(*txn);
}

TEST_F(DatabaseTest, TwoWhoShareALockAndBothWantItAloneAreADeadlock) {
  Put("a", "0");
  auto t1 = Begin(Isolation::kReadCommitted), t2 = Begin(Isolation::kReadCommitted);
  Get(*t1, "a", {.lock = LockStrength::kShared});
  (void)loop_.Run(Sleep(ctx_, 10ms));
  Get(*t2, "a", {.lock = LockStrength::kShared});
  absl::Status s1, s2;
  RunAll(2, [&](int worker) -> Task<void> {
    auto& txn = worker == 0 ? *t1 : *t2;
    (worker == 0 ? s1 : s2) = (co_await txn.Get(ctx_, K("a"), {.lock = LockStrength::kExclusive})).status();
  });
  EXPECT_TRUE(s1.ok()) << s1;
  EXPECT_EQ(CodeOf(s2), "40P01") << s2;
}

TEST_F(DatabaseTest, OfABatchThatWritesKeysTwiceTheLastWriteOfEachStays) {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(1);
  for (const char* kv : {"a1", "h1", "q1", "a2", "h2", "a3"}) {
    batch.add_requests()->mutable_put()->set_key(K(std::string_view(kv, 1)));
    batch.mutable_requests(batch.requests_size() - 1)->mutable_put()->set_value(kv);
  }
  auto response = loop_.Run(db_->sender().Send(ctx_, batch));
  EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
  EXPECT_EQ(Read("a") + Read("h") + Read("q"), "a3h2q1");
}

TEST_F(DatabaseTest, ALeaseThatMovesCosts40001AtMost) {
  Put("a", "0");
  auto txn = Begin(Isolation::kReadCommitted);
  EXPECT_EQ(Get(*txn, "a", {.lock = LockStrength::kExclusive}), "0");
  cluster_.group_of(K("a")).ChangeLease();
  txn->Put(K("a"), "1");
  EXPECT_EQ(CodeOf(loop_.Run(txn->Commit(ctx_))), "40001");
  EXPECT_EQ(Read("a"), "0");
  auto blind = Begin();
  cluster_.group_of(K("a")).ChangeLease();
  blind->Put(K("a"), "2");
  Commit(*blind);
}

TEST_F(DatabaseTest, KeysThatAreTooLongAreRefusedWithTheNextOperation) {
  auto txn = Begin();
  txn->Put(std::string(20'000, 'k'), "v");
  EXPECT_EQ(CodeOf(loop_.Run(txn->Commit(ctx_))), "54000");
}

TEST_F(DatabaseTest, ACancelledReadIs57014AndTheTransactionCanBeRolledBack) {
  auto holder = Begin(), txn = Begin();
  Get(*holder, "a", {.lock = LockStrength::kExclusive});
  Context cancelled = ctx_.WithTimeout(1s);
  EXPECT_EQ(CodeOf(loop_.Run(txn->Get(cancelled, K("a"), {.lock = LockStrength::kExclusive})).status()), "57014");
  EXPECT_TRUE(loop_.Run(txn->Rollback(ctx_)).ok());
}

TEST_F(DatabaseTest, IncrementsCountWithoutTransactions) {
  EXPECT_EQ(*loop_.Run(db_->Increment(ctx_, K("seq"), 1)), 1);
  cluster_.lose_answer = true;
  int64_t next = *loop_.Run(db_->Increment(ctx_, K("seq"), 1));
  EXPECT_GT(next, 1) << "gaps happen, repeats do not";
  EXPECT_EQ(*loop_.Run(db_->Increment(ctx_, K("seq"), 10)), next + 10);
}

// One transaction at a time, random operations, against a plain map: buffer, flushes, savepoints, pages, ranges.
TEST_F(DatabaseTest, RandomOperationsAgreeWithAMap) {
  const auto taken = std::make_shared<RowTaken>([](const KeyValue& row) { return absl::AlreadyExistsError(StrCat(row.key, "=", row.value)); });
  for (uint64_t seed = 1; seed <= 15; ++seed) {
    SeededRandom random(seed);
    db_ = cluster_.NewDatabase({.max_buffer_bytes = 600, .write_through_bytes = 200, .flush_batch_bytes = 150});
    std::map<std::string, std::string> committed;
    {
      auto wipe = Begin();
      ASSERT_TRUE(loop_.Run(wipe->DeleteRange(ctx_, K("a"), K("z"))).ok());
      Commit(*wipe);
    }
    auto key = [&] { return StrCat(std::string(1, static_cast<char>('a' + random.Uniform(24))), random.Uniform(3)); };
    for (int t = 0; t < 12; ++t) {
      auto txn = Begin(static_cast<Isolation>(random.Uniform(3)));
      auto mine = committed;
      std::vector<std::pair<Txn::Savepoint, std::map<std::string, std::string>>> savepoints;
      for (uint64_t op = random.Uniform(25); op > 0; --op) {
        switch (random.Uniform(9)) {
          case 0:
          case 1: {
            std::string k = key(), v = StrCat("v", op, std::string(random.Uniform(60), '.'));
            txn->Put(K(k), v);
            mine[k] = v;
            break;
          }
          case 2: {
            std::string k = key();
            txn->Delete(K(k));
            mine.erase(k);
            break;
          }
          case 3: {
            std::string k = key();
            auto options = ReadOptions{.lock = static_cast<LockStrength>(random.Uniform(3))};
            auto value = Get(*txn, k, options);
            EXPECT_EQ(value.value_or("(none)"), mine.count(k) ? mine[k] : "(none)") << "seed " << seed << " " << k;
            break;
          }
          case 4: {
            std::string from = key(), to = key();
            if (from > to) std::swap(from, to);
            bool reverse = random.Chance(0.5);
            std::vector<std::string> expected;
            for (auto it = mine.lower_bound(from); it != mine.end() && it->first < to; ++it) expected.push_back(StrCat(it->first, "=", it->second, " "));
            if (reverse) std::reverse(expected.begin(), expected.end());
            EXPECT_EQ(ScanAll(*txn, from, to, reverse, random.Uniform(6)), StrJoin(expected, "")) << "seed " << seed;
            break;
          }
          case 5:
            EXPECT_TRUE(loop_.Run(txn->FlushIfLarge(ctx_)).ok());
            break;
          case 6: {
            if (savepoints.empty() || random.Chance(0.5)) {
              savepoints.emplace_back(txn->CreateSavepoint(), mine);
            } else {
              ASSERT_TRUE(loop_.Run(txn->RollbackTo(ctx_, savepoints.back().first)).ok());
              mine = savepoints.back().second;
            }
            break;
          }
          case 7: {
            std::vector<KeyValue> rows;
            std::optional<size_t> exists;
            auto after = mine;
            for (uint64_t n = 1 + random.Uniform(8); n > 0; --n) {
              std::string k = key(), v = StrCat("i", op, std::string(random.Uniform(60), '.'));
              if (after.count(k) && !exists) exists = rows.size();
              after[k] = v;
              rows.push_back({K(k), v});
            }
            if (random.Chance(0.5)) {
              const Txn::Savepoint before = txn->CreateSavepoint();
              absl::Status inserted = loop_.Run(txn->InsertAhead(ctx_, rows, taken));
              if (inserted.ok() && (exists || random.Chance(0.3))) inserted = loop_.Run(txn->AwaitInserts(ctx_));
              EXPECT_EQ(inserted.message(), exists ? StrCat(rows[*exists].key, "=", rows[*exists].value) : "") << "seed " << seed << " " << inserted;
              if (exists) {
                ASSERT_TRUE(loop_.Run(txn->RollbackTo(ctx_, before)).ok());
              } else {
                mine = after;
              }
              break;
            }
            auto result = loop_.Run(txn->InsertMany(ctx_, rows));
            ASSERT_TRUE(result.ok()) << "seed " << seed << " " << result.status();
            EXPECT_EQ(*result, exists) << "seed " << seed;
            if (!exists) mine = after;
            break;
          }
          case 8: {
            if (!random.Chance(0.3)) break;
            std::string from = key(), to = key();
            if (from > to) std::swap(from, to);
            uint64_t expected = 0;
            for (auto it = mine.lower_bound(from); it != mine.end() && it->first < to; ++expected) it = mine.erase(it);
            auto deleted = loop_.Run(txn->DeleteRange(ctx_, K(from), K(to)));
            ASSERT_TRUE(deleted.ok()) << deleted.status();
            EXPECT_EQ(*deleted, expected) << "seed " << seed;
            break;
          }
        }
      }
      if (random.Chance(0.7)) {
        absl::Status status = loop_.Run(txn->Commit(ctx_));
        ASSERT_TRUE(status.ok()) << "seed " << seed << " " << status;
        committed = mine;
      } else if (random.Chance(0.5)) {
        ASSERT_TRUE(loop_.Run(txn->Rollback(ctx_)).ok());
      }
    }
    std::vector<std::string> expected;
    for (const auto& [k, v] : committed) expected.push_back(StrCat(k, "=", v, " "));
    EXPECT_EQ(ScanAll(*Begin(), "a", "z", false, 7), StrJoin(expected, "")) << "seed " << seed;
    loop_.RunUntilIdle();
    EXPECT_EQ(cluster_.replicated_locks(), 0u) << "seed " << seed;
    EXPECT_EQ(cluster_.records(), 0u) << "seed " << seed;
  }
}

// Transfers over all ranges at all levels, with lost messages and leases that move: the sum stays, and errors are retryable ones.
TEST_F(DatabaseTest, TransfersUnderFaultsKeepTheSum) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SeededRandom random(seed);
    const std::vector<std::string> accounts = {"b1", "c1", "h1", "i1", "q1", "r1"};
    {
      auto setup = Begin();
      for (const auto& a : accounts) setup->Put(K(a), "100");
      Commit(*setup);
    }
    cluster_.only_commits = false;
    bool stop = false;
    TaskGroup faults(ctx_);
    faults.SpawnFn([&]() -> Task<void> {
      while (!stop) {
        (void)co_await Sleep(ctx_, std::chrono::milliseconds(1 + random.Uniform(20)));
        switch (random.Uniform(4)) {
          case 0:
            cluster_.lose_request = true;
            break;
          case 1:
            cluster_.lose_answer = true;
            break;
          case 2:
            cluster_.group_of(K(accounts[random.Uniform(accounts.size())])).ChangeLease();
            break;
          default:
            break;
        }
      }
    });
    int commits = 0, failures = 0;
    RunAll(6, [&](int worker) -> Task<void> {
      const Isolation isolation = worker % 3 == 0 ? Isolation::kSerializable : worker % 3 == 1 ? Isolation::kSnapshot : Isolation::kReadCommitted;
      const bool locking = isolation == Isolation::kReadCommitted || worker >= 3;
      for (int i = 0; i < 30; ++i) {
        std::string from = accounts[random.Uniform(accounts.size())], to = accounts[random.Uniform(accounts.size())];
        if (from == to) continue;
        auto txn = db_->Begin({.isolation = isolation});
        ReadOptions options{.lock = locking ? LockStrength::kExclusive : LockStrength::kNone};
        absl::Status status = co_await txn->BeginStatement(ctx_);
        auto a = co_await txn->Get(ctx_, K(from), options);
        status = a.status();
        if (status.ok()) {
          auto b = co_await txn->Get(ctx_, K(to), options);
          status = b.status();
          if (status.ok()) {
            (void)co_await Sleep(ctx_, std::chrono::microseconds(random.Uniform(3000)));
            txn->Put(K(from), StrCat(std::stoi(**a) - 1));
            txn->Put(K(to), StrCat(std::stoi(**b) + 1));
            status = co_await txn->Commit(ctx_);
          }
        }
        commits += status.ok();
        failures += !status.ok();
        const std::string code = CodeOf(status);
        EXPECT_TRUE(status.ok() || code == "40001" || code == "40P01") << "seed " << seed << " " << status;
      }
    });
    stop = true;
    loop_.Await(faults);
    cluster_.lose_answer = cluster_.lose_request = false;
    EXPECT_GT(commits, 20) << "seed " << seed;
    auto check = Begin();
    int sum = 0;
    for (const auto& a : accounts) sum += std::stoi(*Get(*check, a));
    EXPECT_EQ(sum, 100 * static_cast<int>(accounts.size())) << "seed " << seed << ": " << commits << " commits, " << failures << " failures";
  }
}

}  // namespace
}  // namespace insula::kv
