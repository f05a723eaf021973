// Commits over several ranges: how long they take, and that they happen as a whole or not at all whatever becomes of their pieces.
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "base/async/task_group.h"
#include "base/pgerror/pg_error.h"
#include "base/runtime/random.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/api/testing/test_loop.h"
#include "kv/client/database.h"
#include "kv/client/testing/local_cluster.h"

namespace insula::kv {
namespace {

constexpr Duration kLatency = 1ms, kConsensus = 10ms;
constexpr Duration kOneRound = kLatency + kConsensus;

std::string K(std::string_view key) { return StrCat("\xfe", key); }

class ParallelCommitTest : public testing::Test {
 protected:
  ~ParallelCommitTest() override {
    db_.reset();
    loop_.RunUntilIdle();
  }

  std::unique_ptr<Txn> Begin(Isolation isolation) { return db_->Begin({.isolation = isolation}); }
  std::optional<std::string> Get(Txn& txn, std::string_view key, ReadOptions options = {}) {
    auto value = loop_.Run(txn.Get(ctx_, K(key), options));
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : std::nullopt;
  }
  void Commit(Txn& txn) {
    absl::Status status = loop_.Run(txn.Commit(ctx_));
    EXPECT_TRUE(status.ok()) << status;
  }
  void PutAll(std::string value) {
    auto txn = Begin(Isolation::kReadCommitted);
    for (const char* key : kKeys) txn->Put(K(key), value);
    Commit(*txn);
    loop_.RunUntilIdle();
  }
  // The values of the three keys, each locked by a transaction of its own: whatever stands in the way is waited for.
  std::string ReadAll() {
    std::string all;
    for (const char* key : kKeys) StrAppend(&all, Get(*Begin(Isolation::kReadCommitted), key, {.lock = LockStrength::kExclusive}).value_or("-"), " ");
    return all;
  }
  void Slow() {
    cluster_.latency = kLatency;
    for (const char* key : kKeys) cluster_.group_of(K(key)).apply_delay = kConsensus;
  }
  Duration TimeToCommit(Txn& txn) {
    MonoTime before = loop_.Now();
    Commit(txn);
    return loop_.Now() - before;
  }
  void ExpectClean() {
    loop_.RunFor(20s);
    EXPECT_EQ(cluster_.replicated_locks(), 0u);
    EXPECT_EQ(cluster_.records(), 0u);
    EXPECT_EQ(cluster_.lock_table_keys(), 0u);
  }
  static std::string CodeOf(const absl::Status& status) { return status.ok() ? "" : ToPgError(status).sqlstate; }

  static constexpr const char* kKeys[] = {"a", "h", "q"};  // each in a range of its own
  TestLoop loop_;
  const Context& ctx_ = loop_.ctx();
  LocalCluster cluster_{&loop_, {K("g"), K("p")}};
  std::unique_ptr<ClientDatabase> db_ = cluster_.NewDatabase();
};

TEST_F(ParallelCommitTest, ACommitOverThreeRangesTakesOneRoundInsteadOfTwo) {
  PutAll("0");
  for (Isolation isolation : {Isolation::kSerializable, Isolation::kSnapshot, Isolation::kReadCommitted}) {
    for (size_t in_flight : {1000, 2}) {  // three writes: in parallel; one too many: in two phases
      db_ = cluster_.NewDatabase({.max_in_flight = in_flight});
      auto txn = Begin(isolation);
      EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
      for (const char* key : kKeys) Get(*txn, key, {.lock = LockStrength::kExclusive});
      for (const char* key : kKeys) txn->Put(K(key), "1");
      Slow();
      EXPECT_EQ(TimeToCommit(*txn), in_flight == 2 ? 2 * kOneRound : kOneRound);
      EXPECT_EQ(ReadAll(), "1 1 1 ");
      EXPECT_GT(txn->commit_timestamp(), Timestamp());
      ExpectClean();
    }
  }
}

TEST_F(ParallelCommitTest, AFenceIsAskedForBeforeTheRound) {
  PutAll("0");
  auto txn = Begin(Isolation::kReadCommitted);
  txn->SetFence(K("catalog"), std::nullopt);
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  Get(*txn, "a", {.lock = LockStrength::kExclusive});
  txn->Put(K("a"), "1");
  txn->Put(K("q"), "1");
  Slow();
  EXPECT_EQ(TimeToCommit(*txn), kLatency + kOneRound);
  cluster_.latency = Duration::zero();
  // If the catalog has changed the commit fails.
  auto late = Begin(Isolation::kReadCommitted);
  late->SetFence(K("catalog"), std::nullopt);
  EXPECT_TRUE(loop_.Run(late->BeginStatement(ctx_)).ok());
  Get(*late, "a", {.lock = LockStrength::kExclusive});
  auto change = Begin(Isolation::kReadCommitted);
  change->Put(K("catalog"), "v2");
  Commit(*change);
  Get(*Begin(Isolation::kReadCommitted), "q");  // somebody reads what is to be written: the write goes above
  late->Put(K("a"), "2");
  late->Put(K("q"), "2");
  EXPECT_EQ(loop_.Run(late->Commit(ctx_)).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadAll(), "1 0 1 ");
  ExpectClean();
}

TEST_F(ParallelCommitTest, LocksWithoutWritesAreReplicatedInTheSameRound) {
  PutAll("0");
  auto txn = Begin(Isolation::kReadCommitted);
  EXPECT_TRUE(loop_.Run(txn->BeginStatement(ctx_)).ok());
  Get(*txn, "q", {.lock = LockStrength::kShared});
  Get(*txn, "h", {.lock = LockStrength::kExclusive});
  txn->Put(K("a"), "1");
  Slow();
  EXPECT_EQ(TimeToCommit(*txn), kOneRound);
  ExpectClean();
  // A lock that was lost is found out.
  cluster_.latency = Duration::zero();
  auto loser = Begin(Isolation::kReadCommitted);
  Get(*loser, "q", {.lock = LockStrength::kShared});
  cluster_.group_of(K("q")).ChangeLease();
  loser->Put(K("a"), "2");
  EXPECT_EQ(CodeOf(loop_.Run(loser->Commit(ctx_))), "40001");
  EXPECT_EQ(ReadAll(), "1 0 0 ");
  ExpectClean();
}

TEST_F(ParallelCommitTest, AWriteThatIsMovedAboveTheRecordIsCommittedThere) {
  for (Isolation isolation : {Isolation::kSerializable, Isolation::kReadCommitted}) {
    PutAll("0");
    auto txn = Begin(isolation);
    Get(*txn, "a");
    Get(*Begin(Isolation::kSerializable), "h");
    txn->Put(K("a"), "1");
    txn->Put(K("h"), "1");
    txn->Put(K("q"), "1");
    Commit(*txn);
    EXPECT_EQ(ReadAll(), "1 1 1 ");
    ExpectClean();
  }
}

// The coordinator crashes while it commits: each piece was received and answered, received only, or lost.
TEST_F(ParallelCommitTest, ACrashedCoordinatorsCommitIsWholeOrNothing) {
  for (Isolation isolation : {Isolation::kSerializable, Isolation::kReadCommitted}) {
    for (int combination = 0; combination < 27; ++combination) {
      PutAll("old");
      std::map<std::string, int> fate_of = {{K("a"), combination % 3}, {K("h"), combination / 3 % 3}, {K("q"), combination / 9}};
      bool committing = false;
      auto doomed = cluster_.NewDatabase({}, [&](const v1::BatchRequest& batch) -> CallFate {
        if (!committing) return {};
        const int fate = batch.requests(0).has_put() ? fate_of.at(batch.requests(0).put().key()) : 2;
        return {.received = fate != 2, .answered = fate == 0};
      });
      auto txn = doomed->Begin({.isolation = isolation});
      for (const char* key : kKeys) EXPECT_TRUE(loop_.Run(txn->Get(ctx_, K(key))).ok());
      for (const char* key : kKeys) txn->Put(K(key), "new");
      committing = true;
      Context life = ctx_.WithCancel();
      bool acknowledged = false;
      TaskGroup group(ctx_);
      group.SpawnFn([&]() -> Task<void> { acknowledged = (co_await txn->Commit(life)).ok(); });
      loop_.RunFor(100ms);
      EXPECT_EQ(acknowledged, combination == 0);
      const bool all_received = fate_of[K("a")] != 2 && fate_of[K("h")] != 2 && fate_of[K("q")] != 2;
      MonoTime before = loop_.Now();
      EXPECT_EQ(ReadAll(), all_received ? "new new new " : "old old old ") << combination;
      EXPECT_LT(loop_.Now() - before, 7s) << "found out as soon as it has expired";
      life.Cancel();
      loop_.RunFor(20s);
      txn.reset();
      ExpectClean();
      if (HasFailure()) return;
    }
  }
}

// A lease moves at some moment of the commit: the answer is true in any case.
TEST_F(ParallelCommitTest, LeasesThatMoveWhileItIsStaging) {
  for (const char* moved : kKeys) {
    for (Duration at : {500us, 5000us, 10500us, 11500us, 20000us, 30000us}) {
      for (bool again : {false, true}) {
        cluster_.latency = Duration::zero();
        for (const char* key : kKeys) cluster_.group_of(K(key)).apply_delay = Duration::zero();
        PutAll("old");
        auto txn = Begin(again ? Isolation::kSerializable : Isolation::kReadCommitted);
        for (const char* key : kKeys) Get(*txn, key, {.lock = LockStrength::kExclusive});
        for (const char* key : kKeys) txn->Put(K(key), "new");
        Slow();
        std::optional<absl::Status> done;
        TaskGroup group(ctx_);
        group.SpawnFn([&]() -> Task<void> { done = co_await txn->Commit(ctx_); });
        loop_.RunFor(at);
        cluster_.group_of(K(moved)).ChangeLease();
        if (again) {
          loop_.RunFor(3ms);
          cluster_.group_of(K("a")).ChangeLease();
        }
        loop_.RunFor(10s);
        ASSERT_TRUE(done.has_value());
        EXPECT_TRUE(done->ok() || CodeOf(*done) == "40001") << *done;
        EXPECT_EQ(ReadAll(), done->ok() ? "new new new " : "old old old ") << moved << " " << at.count() << *done;
        ExpectClean();
      }
    }
  }
}

// Pieces arrive so late that others have taken the transaction for abandoned, and settle it at the same time as its coordinator goes on.
TEST_F(ParallelCommitTest, RecoveryRacesItsCoordinator) {
  int commits = 0, refusals = 0;
  for (Isolation isolation : {Isolation::kSerializable, Isolation::kReadCommitted}) {
    for (Duration first : {0s, 4s, 6s}) {
      for (Duration second : {0s, 5s, 7s}) {
        for (Duration third : {0s, 6s}) {
          for (bool answered : {true, false}) {
            PutAll("old");
            std::map<std::string, Duration> delay_of = {{K("a"), first}, {K("h"), second}, {K("q"), third}};
            std::map<std::string, int> sent;
            bool committing = false;
            auto slow = cluster_.NewDatabase({}, [&](const v1::BatchRequest& batch) -> CallFate {
              if (!committing) return {};
              if (batch.requests(0).has_heartbeat_txn()) return {.received = false};
              if (!batch.requests(0).has_put()) return {.delay = 500ms};
              const std::string& key = batch.requests(0).put().key();
              if (++sent[key] > 1) return {.delay = 100ms};
              if (!answered && key == K("a")) cluster_.lose_answer = true;
              return {.delay = delay_of.at(key)};
            });
            auto txn = slow->Begin({.isolation = isolation});
            for (const char* key : kKeys) EXPECT_TRUE(loop_.Run(txn->Get(ctx_, K(key))).ok());
            for (const char* key : kKeys) txn->Put(K(key), "new");
            committing = true;
            std::optional<absl::Status> done;
            std::string seen;
            TaskGroup group(ctx_);
            group.SpawnFn([&]() -> Task<void> { done = co_await txn->Commit(ctx_); });
            group.SpawnFn([&]() -> Task<void> {
              if (!(co_await Sleep(ctx_, 1s)).ok()) co_return;
              for (const char* key : {"q", "a", "h"}) {
                auto reader = db_->Begin({.isolation = Isolation::kReadCommitted});
                auto value = co_await reader->Get(ctx_, K(key), {.lock = LockStrength::kExclusive});
                EXPECT_TRUE(value.ok()) << value.status();
                if (value.ok()) StrAppend(&seen, value->value_or("-"), " ");
              }
            });
            loop_.RunFor(60s);
            cluster_.lose_answer = false;
            ASSERT_TRUE(done.has_value());
            EXPECT_TRUE(done->ok() || CodeOf(*done) == "40001") << *done;
            EXPECT_EQ(ReadAll(), done->ok() ? "new new new " : "old old old ")
                << first.count() << " " << second.count() << " " << third.count() << " " << *done << ", seen: " << seen;
            (done->ok() ? commits : refusals) += 1;
            ExpectClean();
            if (HasFailure()) return;
          }
        }
      }
    }
  }
  EXPECT_GT(commits, 5);
  EXPECT_GT(refusals, 5);
}

// Nobody meets what is left: the next lease of the record's range finds out by itself.
TEST_F(ParallelCommitTest, AStagingRecordThatIsLeftBehindIsSettledByTheNextLease) {
  PutAll("old");
  bool committing = false;
  auto doomed = cluster_.NewDatabase({}, [&](const v1::BatchRequest& batch) -> CallFate {
    return {.received = !committing || batch.requests(0).has_put()};
  });
  auto txn = doomed->Begin({.isolation = Isolation::kSerializable});
  EXPECT_TRUE(loop_.Run(txn->Get(ctx_, K("a"))).ok());
  for (const char* key : kKeys) txn->Put(K(key), "new");
  committing = true;
  Commit(*txn);
  loop_.RunFor(20s);
  EXPECT_EQ(cluster_.records(), 1u);
  cluster_.group_of(K("a")).ChangeLease();
  ExpectClean();
  EXPECT_EQ(ReadAll(), "new new new ");
}

// It was given no timestamp before its commit: what it is told of that is all that it knows.
TEST_F(ParallelCommitTest, ABlindWriteWhoseAnswersAreLostIsToldToHaveHappened) {
  int commits = 0;
  auto db = cluster_.NewDatabase({}, [&](const v1::BatchRequest& batch) -> CallFate {
    const bool commit = batch.requests(batch.requests_size() - 1).has_end_txn();
    if (!commit) return {};
    return {.received = ++commits == 1, .breaks = true};
  });
  auto txn = db->Begin({});
  txn->Put(K("a"), "blind");
  absl::Status committed = loop_.Run(txn->Commit(loop_.ctx()));
  EXPECT_TRUE(committed.ok()) << committed;
  EXPECT_GT(commits, 1);
}

// A write that was applied in its place is sent again as its answer was lost, and another lease would have it higher up, where the
// transaction's read does not hold: given up there, it may have been found committed where it was.
TEST_F(ParallelCommitTest, ACommitThatIsGivenUpAfterItWasStagedIsSettledAtItsRecord) {
  for (bool recovered : {true, false}) {
    PutAll("old");
    int writes = 0;
    auto db = cluster_.NewDatabase({}, [&](const v1::BatchRequest& batch) -> CallFate {
      const v1::Request& last = batch.requests(batch.requests_size() - 1);
      if (last.has_end_txn() && !last.end_txn().commit()) return {.delay = 30s};
      if (!last.has_put() || last.put().key() != K("q")) return {};
      return ++writes == 1 ? CallFate{.breaks = true} : CallFate{.delay = 100ms};
    });
    auto txn = db->Begin({.isolation = Isolation::kSerializable});
    EXPECT_EQ(Get(*txn, "a"), "old");
    auto other = Begin(Isolation::kSerializable);
    other->Put(K("a"), "other");
    Commit(*other);
    txn->Put(K("h"), "new");
    txn->Put(K("q"), "new");
    std::optional<absl::Status> done;
    TaskGroup group(ctx_);
    group.SpawnFn([&]() -> Task<void> { done = co_await txn->Commit(ctx_); });
    loop_.RunFor(50ms);
    ASSERT_FALSE(done.has_value());
    cluster_.group_of(K("q")).ChangeLease();
    const Duration later = recovered ? 60s : 500ms;
    loop_.RunFor(60ms);
    if (recovered) EXPECT_EQ(ReadAll(), "other new new ");
    loop_.RunFor(later);
    ASSERT_TRUE(done.has_value());
    EXPECT_EQ(writes, 2);
    EXPECT_TRUE(done->ok() || CodeOf(*done) == "40001") << *done;
    EXPECT_EQ(ReadAll(), done->ok() ? "other new new " : "other old old ") << *done;
    loop_.RunFor(60s);
    ExpectClean();
  }
}

// Transfers between ranges by clients whose calls are slow (slower than transactions expire), lost or unanswered, and who crash; leases
// move and ranges are split meanwhile. The sum stays, what was acknowledged is there, what was refused is not.
class RandomFatesTest : public ParallelCommitTest, public testing::WithParamInterface<int> {
 protected:
  static constexpr int kClients = 6, kTransfers = 12;

  CallFate Fate(int client, const v1::BatchRequest& batch) {
    if (crashed_[client]) return {.received = false};
    if (!random_.Chance(0.1) || batch.requests(0).has_query_outcome()) return {.delay = std::chrono::microseconds(random_.Uniform(2000))};
    switch (random_.Uniform(4)) {
      case 0:
        return {.delay = std::chrono::milliseconds(random_.Uniform(9000))};
      case 1:
        return {.received = false};
      case 2:
        return {.answered = false};
      default:
        return {.answer_delay = std::chrono::milliseconds(random_.Uniform(9000))};
    }
  }

  Task<absl::Status> Transfer(const Context& ctx, Txn& txn, std::string from, std::string to, std::string marker, ReadOptions options) {
    absl::Status begun = co_await txn.BeginStatement(ctx);
    if (!begun.ok()) co_return begun;
    auto a = co_await txn.Get(ctx, K(from), options);
    if (!a.ok()) co_return a.status();
    auto b = co_await txn.Get(ctx, K(to), options);
    if (!b.ok()) co_return b.status();
    txn.Put(K(from), StrCat(std::stoi(**a) - 1));
    txn.Put(K(to), StrCat(std::stoi(**b) + 1));
    txn.Put(K(StrCat(from[0], "marker", marker)), "x");
    txn.Put(K(StrCat(to[0], "marker", marker)), "x");
    co_return co_await txn.Commit(ctx);
  }

  Task<void> Client(int client) {
    auto db = cluster_.NewDatabase({}, [this, client](const v1::BatchRequest& batch) { return Fate(client, batch); });
    const Isolation isolation = static_cast<Isolation>(client % 3);
    const ReadOptions options{.lock = client >= 3 || isolation == Isolation::kReadCommitted ? LockStrength::kExclusive : LockStrength::kNone};
    for (int i = 0; i < kTransfers; ++i) {
      const std::string from = kAccounts[random_.Uniform(6)], to = kAccounts[random_.Uniform(6)];
      if (from == to) continue;
      crashed_[client] = false;
      auto txn = db->Begin({.isolation = isolation});
      const std::string marker = StrCat(client, "/", i);
      Context patience = ctx_.WithTimeout(std::chrono::milliseconds(500 + random_.Uniform(12'000)));
      TaskGroup crash(patience);
      if (random_.Chance(0.2)) {
        crash.SpawnFn([&]() -> Task<void> {
          if (!(co_await Sleep(patience, std::chrono::microseconds(random_.Uniform(10'000)))).ok()) co_return;
          crashed_[client] = true;
        });
      }
      absl::Status done = co_await Transfer(patience, *txn, from, to, marker, options);
      crash.Cancel();
      co_await crash.Wait();
      const std::string code = CodeOf(done);
      if (done.ok()) {
        acknowledged_.push_back({from, to, marker});
      } else if (code != "08007" && !crashed_[client]) {
        refused_.push_back({from, to, marker});
      }
      (void)co_await txn->Rollback(ctx_.WithTimeout(1s));
    }
    ++ended_;
  }

  Task<void> Trouble() {
    char next_split = 'b';
    while (ended_ < kClients) {
      if (!(co_await Sleep(ctx_, std::chrono::milliseconds(random_.Uniform(400)))).ok()) co_return;
      const std::string& account = kAccounts[random_.Uniform(6)];
      auto& group = cluster_.group_of(K(account));
      switch (random_.Uniform(4)) {
        case 0:
          group.ChangeLease();
          break;
        case 1:
          (void)co_await ReplicaOf(group)->TransferLease(ctx_.WithTimeout(1s), 2);
          break;
        case 2: {
          if (next_split > 'x' || !random_.Chance(0.3)) break;
          (void)co_await db_->sender().Send(ctx_.WithTimeout(5s), SplitBatch(K(StrCat(next_split++, "account5"))));
          break;
        }
        default:
          break;
      }
    }
  }

  const std::vector<std::string> kAccounts = {"baccount1", "caccount2", "haccount1", "kaccount6", "qaccount1", "raccount7"};
  struct Moved {
    std::string from, to, marker;
  };
  SeededRandom random_{static_cast<uint64_t>(GetParam())};
  std::map<int, bool> crashed_;
  std::vector<Moved> acknowledged_, refused_;
  int ended_ = 0;
};

TEST_P(RandomFatesTest, TransfersAreWholeAndAnswersTrue) {
  {
    auto setup = Begin(Isolation::kSerializable);
    for (const std::string& account : kAccounts) setup->Put(K(account), "100");
    Commit(*setup);
  }
  cluster_.latency = 200us;
  TaskGroup group(ctx_);
  for (int c = 0; c < kClients; ++c) group.SpawnFn([this, c]() -> Task<void> { co_await Client(c); });
  group.SpawnFn([this]() -> Task<void> { co_await Trouble(); });
  loop_.RunFor(3600s);
  ASSERT_EQ(ended_, kClients);
  int sum = 0;
  for (const std::string& account : kAccounts) sum += std::stoi(Get(*Begin(Isolation::kSerializable), account).value_or("0"));
  EXPECT_EQ(sum, 600);
  auto markers = [&](const Moved& m) {
    auto reader = Begin(Isolation::kSerializable);
    return Get(*reader, StrCat(m.from[0], "marker", m.marker)).has_value() + Get(*reader, StrCat(m.to[0], "marker", m.marker)).has_value();
  };
  for (const Moved& m : acknowledged_) EXPECT_EQ(markers(m), 2) << m.marker << " was acknowledged";
  for (const Moved& m : refused_) EXPECT_EQ(markers(m), 0) << m.marker << " was refused";
  EXPECT_GT(acknowledged_.size(), 5u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomFatesTest, testing::Range(1, 41));

}  // namespace
}  // namespace insula::kv
