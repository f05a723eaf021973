#include "kv/replica/replica.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/async/task_group.h"
#include "base/fault/probe.h"
#include "base/hlc/hlc.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "kv/mvcc/mvcc.h"
#include "kv/replica/address.h"
#include "kv/replica/testing/replica_fixture.h"
#include "kv/storage/varint.h"
#include "kv/txn/record.h"

namespace insula::kv {
namespace {

using ReplicaTest = ReplicaFixture;

TEST_F(ReplicaTest, AGroupThatAMessageMadeHasNoReplicaYet) {
  LocalGroup uninitialized(v1::RangeDescriptor(), engine_.get(), &clock_);
  EXPECT_EQ(ReplicaOf(uninitialized), nullptr);
}

// The row that holds them is read and written anew for each: two at a time must not forget one of them.
TEST_F(ReplicaTest, SharedReplicatedLocksOfOneKeyAtTheSameTimeAreAllKept) {
  Put(kA, "1");
  std::vector<v1::Transaction> txns;
  for (int i = 0; i < 3; ++i) txns.push_back(NewTxn(StrCat("t", i)));
  int answered = 0;
  TaskGroup group(loop_.ctx());
  for (v1::Transaction& txn : txns) {
    group.SpawnFn([&]() -> Task<void> {
      auto batch = In(txn);
      auto* lock = batch.add_requests()->mutable_lock();
      lock->set_key(kA);
      lock->set_strength(v1::LOCK_SHARED);
      lock->set_replicated(true);
      auto response = co_await replica_->Execute(loop_.ctx(), batch);
      EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
      ++answered;
    });
  }
  loop_.RunFor(100ms);
  EXPECT_EQ(answered, 3);
  auto reader = engine_->NewReader();
  std::vector<mvcc::FoundLock> held;
  ASSERT_TRUE(mvcc::FindLocks(*reader, kA, {}, 10, &held).ok());
  EXPECT_EQ(held.size(), 3u);
  EXPECT_EQ(group_->stats().locks, 1);
}

TEST_F(ReplicaTest, PlainReadsAndWrites) {
  EXPECT_EQ(Get(kA), "(none)");
  Put(kA, "1");
  EXPECT_EQ(Get(kA), "1");
  EXPECT_EQ(group_->proposals, 1) << "reads make no log entry";
}

TEST_F(ReplicaTest, RefusesOtherRangesKeysAndSaysWhere) {
  auto batch = Batch();
  AddGet(batch, "\x04x");
  auto response = Run(batch);
  ASSERT_TRUE(response.error().has_range_mismatch());
  EXPECT_EQ(response.error().range_mismatch().current(0).range_id(), 7u);
}

TEST_F(ReplicaTest, WithoutTheLeaseNothingIsServed) {
  group_->leader = false;
  auto batch = Batch();
  AddGet(batch, kA);
  auto response = Run(batch);
  ASSERT_TRUE(response.error().has_not_leaseholder());
  EXPECT_EQ(response.error().not_leaseholder().leaseholder_node(), 2u);
}

TEST_F(ReplicaTest, OnePhaseCommitLeavesNeitherIntentNorRecord) {
  auto txn = NewTxn("t");
  auto batch = In(txn);
  batch.mutable_header()->set_can_forward_read_ts(true);
  AddPut(batch, kA, "1");
  AddPut(batch, kB, "2");
  AddEnd(batch, true, true);
  auto response = Ok(batch);
  EXPECT_EQ(response.responses(2).end_txn().status(), v1::COMMITTED);
  EXPECT_TRUE(response.responses(2).end_txn().one_phase_committed());
  EXPECT_EQ(group_->proposals, 1);
  EXPECT_EQ(group_->stats().intents, 0);
  EXPECT_EQ(Get(kB), "2");
  auto reader = engine_->NewReader();
  EXPECT_FALSE(LoadRecord(*reader, kA, txn.meta().id())->has_value());
  EXPECT_TRUE(LoadOutcome(*reader, kA, txn.meta().id())->has_value());
}

TEST_F(ReplicaTest, ARepeatedCommitIsAnsweredAsTheFirstTime) {
  auto txn = NewTxn("t");
  auto batch = In(txn);
  batch.mutable_header()->set_can_forward_read_ts(true);
  AddPut(batch, kA, "1");
  AddEnd(batch, true, true);
  group_->lose_answer = true;
  EXPECT_TRUE(Run(batch).error().has_ambiguous());
  Put(kA, "somebody else's");
  auto again = Ok(batch);
  EXPECT_EQ(again.responses(1).end_txn().status(), v1::COMMITTED);
  EXPECT_EQ(Get(kA), "somebody else's") << "it was not applied twice";
}

TEST_F(ReplicaTest, QueryOutcomeSettlesAnUnknownCommitForGood) {
  auto txn = NewTxn("t");
  auto query = Batch();
  query.add_requests()->mutable_query_outcome()->set_key(kA);
  query.mutable_requests(0)->mutable_query_outcome()->set_txn_id(txn.meta().id());
  EXPECT_FALSE(Ok(query).responses(0).query_outcome().committed());
  auto batch = In(txn);
  batch.mutable_header()->set_can_forward_read_ts(true);
  AddPut(batch, kA, "late");
  AddEnd(batch, true, true);
  EXPECT_TRUE(Run(batch).error().has_txn_aborted());
  EXPECT_EQ(Get(kA), "(none)");
}

TEST_F(ReplicaTest, AWriteGoesAboveWhatOthersHaveRead) {
  Put(kA, "0");
  auto reader = NewTxn("r"), writer = NewTxn("w");
  auto begin = In(writer);
  AddGet(begin, kB);
  Step(writer, begin);
  auto read = In(reader);
  AddGet(read, kA);
  Step(reader, read);
  ASSERT_GT(reader.read_ts(), writer.read_ts());
  auto write = In(writer);
  AddPut(write, kA, "1");
  Step(writer, write);
  EXPECT_GT(writer.meta().write_ts(), reader.read_ts());
  auto commit = In(writer);
  AddEnd(commit, true, false);
  auto response = Run(commit);
  EXPECT_EQ(response.error().txn_retry().reason(), v1::Error::TxnRetry::PUSHED) << "its read of b must be refreshed first";
}

TEST_F(ReplicaTest, OnePhaseCommitRefreshesItsReads) {
  for (bool conflict : {false, true}) {
    auto txn = NewTxn(conflict ? "x" : "y");
    auto read = In(txn);
    AddGet(read, kB);
    Step(txn, read);
    if (conflict) Put(kB, "changed");
    Get(kA);  // moves the write up
    auto commit = In(txn);
    commit.mutable_header()->set_refresh_from(txn.read_ts());
    commit.mutable_header()->add_refresh_spans()->set_key(kB);
    AddPut(commit, kA, "1");
    AddEnd(commit, true, true);
    auto response = Run(commit);
    EXPECT_EQ(response.has_error(), conflict) << response.ShortDebugString();
    if (conflict) {
      EXPECT_EQ(response.error().txn_retry().reason(), v1::Error::TxnRetry::READ_REFRESH_FAILED);
    }
  }
}

TEST_F(ReplicaTest, ReadsOutsideTheRangeAreNotCheckedHere) {
  auto txn = NewTxn("x");
  auto commit = In(txn);
  commit.mutable_header()->set_refresh_from(txn.read_ts());
  commit.mutable_header()->add_refresh_spans()->set_key(kB);
  v1::Span* beyond = commit.mutable_header()->add_refresh_spans();
  beyond->set_key(kB);
  beyond->set_end_key(group_->descriptor().end_key() + '\0');
  AddPut(commit, kA, "1");
  AddEnd(commit, true, true);
  EXPECT_TRUE(Run(commit).error().has_range_mismatch());
}

TEST_F(ReplicaTest, WhatAnEarlierLeaseWroteIsUncertainWhereItsClockWasAhead) {
  const Timestamp ahead = clock_.Now().AddMicros(100'000);
  storage::ReadWriter rw(engine_->NewReader());
  mvcc::WriteParams params;
  params.ts = ahead;
  ASSERT_TRUE(mvcc::Put(rw, kA, "acknowledged", params).ok());
  ASSERT_TRUE(engine_->Write(rw.ToBatch()).ok());
  (void)group_->CheckLease(ahead);
  group_->ChangeLease();
  EXPECT_EQ(Get(kA), "acknowledged");
}

TEST_F(ReplicaTest, ALostLockIsFoundOutAtCommit) {
  Put(kA, "0");
  auto txn = NewTxn("t", v1::READ_COMMITTED);
  auto lock = In(txn);
  lock.mutable_header()->set_can_forward_read_ts(true);
  AddGet(lock, kA, v1::LOCK_EXCLUSIVE);
  Step(txn, lock);
  const uint64_t since = txn.read_ts();
  group_->ChangeLease();
  auto commit = In(txn);
  AddPut(commit, kA, "1", since);
  AddEnd(commit, true, true);
  EXPECT_EQ(Run(commit).error().txn_retry().reason(), v1::Error::TxnRetry::LOCK_LOST);
  EXPECT_EQ(Get(kA), "0");
}

TEST_F(ReplicaTest, LockersTakeTurnsAndSeeTheNewestValue) {
  Put(kA, "0");
  TaskGroup group(loop_.ctx());
  std::string seen;
  for (int i = 0; i < 8; ++i) {
    group.SpawnFn([this, i, &seen]() -> Task<void> {
      auto txn = NewTxn(StrCat("t", i), v1::READ_COMMITTED);
      auto lock = In(txn);
      lock.mutable_header()->set_can_forward_read_ts(true);
      AddGet(lock, kA, v1::LOCK_EXCLUSIVE);
      auto response = co_await replica_->Execute(loop_.ctx(), lock);
      EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
      Absorb(txn, response);
      std::string value = response.responses(0).get().value();
      StrAppend(&seen, value, " ");
      auto commit = In(txn);
      AddPut(commit, kA, StrCat(std::stoi(value) + 1), txn.read_ts());
      AddEnd(commit, true, true);
      response = co_await replica_->Execute(loop_.ctx(), commit);
      EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
    });
  }
  loop_.Await(group);
  EXPECT_EQ(seen, "0 1 2 3 4 5 6 7 ");
  EXPECT_EQ(Get(kA), "8");
  EXPECT_EQ(replica_->lock_table().key_count(), 0u);
}

TEST_F(ReplicaTest, ClearingWaitsForWhoIsNotDoneAndLeavesNothing) {
  Put(kA, "old");
  auto txn = NewTxn("t", v1::READ_COMMITTED);
  auto write = In(txn);
  write.mutable_header()->set_can_forward_read_ts(true);
  AddPut(write, kB, "mine");
  Step(txn, write);
  bool cleared = false;
  TaskGroup group(loop_.ctx());
  group.SpawnFn([&]() -> Task<void> {
    auto clear = Batch();
    clear.add_requests()->mutable_clear_range()->set_key(kA);
    clear.mutable_requests(0)->mutable_clear_range()->set_end_key(kC);
    auto response = co_await replica_->Execute(loop_.ctx(), clear);
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
    EXPECT_EQ(response.responses(0).clear_range().versions(), 2u);
    cleared = true;
  });
  (void)loop_.Run(Sleep(loop_.ctx(), 100ms));
  EXPECT_FALSE(cleared) << "the intent may become a part of a commit";
  txn.mutable_meta()->set_sequence(1);
  txn.set_read_ts(txn.meta().write_ts());
  auto commit = In(txn);
  AddEnd(commit, true, false)->add_lock_spans()->set_key(kB);
  EXPECT_EQ(Ok(commit).responses(0).end_txn().status(), v1::COMMITTED);
  loop_.RunUntilIdle();
  EXPECT_TRUE(cleared);
  EXPECT_EQ(Get(kA), "(none)");
  EXPECT_EQ(Get(kB), "(none)");
  EXPECT_EQ(group_->stats().total_bytes, 0);
}

TEST_F(ReplicaTest, RowsAreInsertedAboveWhatWasReadThere) {
  auto get = Batch();
  AddGet(get, kB);
  const Timestamp read{Ok(get).timestamp()};
  auto insert = Batch();
  auto* rows = insert.add_requests()->mutable_insert_rows();
  rows->set_key(kA);
  rows->set_end_key(kC);
  for (const char* key : {kA, kB}) {
    storage::AppendString(rows->mutable_rows(), key);
    storage::AppendString(rows->mutable_rows(), "row");
  }
  auto response = Ok(insert);
  EXPECT_GT(Timestamp{response.timestamp()}, read);
  EXPECT_EQ(group_->proposals, 1) << "one entry for all rows";
  EXPECT_EQ(Get(kB), "row");
  EXPECT_TRUE(Run(insert).error().has_condition_failed());
}

TEST_F(ReplicaTest, TwoPhasesLeaveIntentsThatTheCommitResolves) {
  auto txn = NewTxn("t");
  auto write = In(txn);
  write.mutable_header()->set_can_forward_read_ts(true);
  AddPut(write, kA, "1");
  AddPut(write, kB, "2", 0, 2);
  Step(txn, write);
  EXPECT_EQ(group_->stats().intents, 2);
  txn.mutable_meta()->set_sequence(2);
  txn.set_read_ts(txn.meta().write_ts());
  auto commit = In(txn);
  auto* end = AddEnd(commit, true, false);
  end->add_lock_spans()->set_key(kA);
  end->add_lock_spans()->set_key(kB);
  EXPECT_EQ(Ok(commit).responses(0).end_txn().status(), v1::COMMITTED);
  EXPECT_EQ(group_->stats().intents, 0);
  EXPECT_EQ(Get(kA), "1");
}

TEST_F(ReplicaTest, AReaderWaitsForASerializableIntentAndMovesAWeakOne) {
  for (auto isolation : {v1::SERIALIZABLE, v1::READ_COMMITTED}) {
    const std::string key = isolation == v1::SERIALIZABLE ? kA : kB;
    auto txn = NewTxn(isolation == v1::SERIALIZABLE ? "s" : "w", isolation);
    auto write = In(txn);
    write.mutable_header()->set_can_forward_read_ts(true);
    AddPut(write, key, "new");
    Step(txn, write);
    std::string seen = "(waiting)";
    TaskGroup group(loop_.ctx());
    group.SpawnFn([&]() -> Task<void> {
      auto read = Batch();
      AddGet(read, key);
      auto response = co_await replica_->Execute(loop_.ctx(), read);
      EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
      seen = response.responses(0).get().value();
    });
    (void)loop_.Run(Sleep(loop_.ctx(), 100ms));
    EXPECT_EQ(seen, isolation == v1::SERIALIZABLE ? "(waiting)" : "");
    txn.mutable_meta()->set_sequence(1);
    txn.set_read_ts(txn.meta().write_ts());
    auto commit = In(txn);
    AddEnd(commit, true, false)->add_lock_spans()->set_key(key);
    Ok(commit);
    loop_.RunUntilIdle();
    EXPECT_EQ(seen, isolation == v1::SERIALIZABLE ? "new" : "");
    EXPECT_EQ(Get(key), "new");
  }
}

TEST_F(ReplicaTest, NowaitAndSkipLocked) {
  Put(kA, "a");
  Put(kB, "b");
  auto holder = NewTxn("h"), other = NewTxn("o", v1::READ_COMMITTED);
  auto lock = In(holder);
  AddGet(lock, kA, v1::LOCK_EXCLUSIVE);
  Step(holder, lock);
  auto nowait = In(other);
  nowait.mutable_header()->set_wait_policy(v1::WAIT_ERROR);
  AddGet(nowait, kA, v1::LOCK_SHARED);
  EXPECT_TRUE(Run(nowait).error().has_lock_conflict());
  auto skip = In(other);
  skip.mutable_header()->set_wait_policy(v1::WAIT_SKIP_LOCKED);
  auto* scan = skip.add_requests()->mutable_scan();
  scan->set_key(kA);
  scan->set_end_key(kC);
  scan->set_lock(v1::LOCK_EXCLUSIVE);
  auto response = Ok(skip);
  EXPECT_EQ(response.responses(0).scan().row_count(), 1u);
  EXPECT_NE(response.responses(0).scan().rows().find(kB), std::string::npos);
}

TEST_F(ReplicaTest, AFullDiskStopsWritesOnly) {
  Put(kA, "1");
  group_->disk = absl::ResourceExhaustedError("no space left on /data");
  auto batch = Batch();
  AddPut(batch, kA, "2");
  EXPECT_TRUE(Run(batch).error().has_full());
  EXPECT_EQ(Get(kA), "1");
}

TEST_F(ReplicaTest, ABatchWhoseLeaseWentBeforeItAppliedIsEvaluatedAgain) {
  group_->next_proposal_error = absl::AbortedError("leadership was lost");
  Put(kA, "1");
  EXPECT_EQ(Get(kA), "1");
  EXPECT_EQ(group_->proposals, 1);
}

TEST_F(ReplicaTest, GarbageGoesAndReadsBelowTheThresholdAreRefused) {
  Put(kA, "1");
  const Timestamp before = clock_.Now();
  Put(kA, "2");
  Put(kB, "1");
  auto removal = Batch();
  removal.add_requests()->mutable_delete_()->set_key(kB);
  Ok(removal);
  const Timestamp threshold = clock_.Now();
  Put(kA, "3");
  auto read_at = [&](Timestamp ts) {
    auto read = Batch();
    read.mutable_header()->set_timestamp(ts.bits);
    AddGet(read, kA);
    return Run(read);
  };
  EXPECT_EQ(read_at(before).responses(0).get().value(), "1");
  auto gc = Batch();
  gc.add_requests()->mutable_gc()->set_key("\xfe");
  gc.mutable_requests(0)->mutable_gc()->set_threshold(clock_.Now().AddMicros(1'000'000).bits);
  EXPECT_TRUE(Run(gc).error().has_invalid()) << "not of the future";
  gc.mutable_requests(0)->mutable_gc()->set_threshold(threshold.bits);
  EXPECT_TRUE(Run(gc).error().has_invalid()) << "not without a look at what is protected";
  gc.mutable_requests(0)->mutable_gc()->set_policy_at(clock_.Now().bits);
  auto response = Ok(gc);
  EXPECT_EQ(response.responses(0).gc().removed(), 3u) << "a's first version, b and its deletion";
  EXPECT_EQ(Ok(gc).responses(0).gc().removed(), 0u);
  EXPECT_EQ(group_->stats().versions, 2);
  for (bool moved : {false, true}) {
    if (moved) group_->ChangeLease();  // the threshold is durable
    EXPECT_TRUE(read_at(before).error().has_too_old());
    EXPECT_EQ(read_at(threshold).responses(0).get().value(), "2");
    EXPECT_EQ(Get(kA), "3");
    // A transaction from before cannot tell what was deleted since.
    auto txn = NewTxn("old");
    txn.set_read_ts(before.bits);
    txn.mutable_meta()->set_min_ts(before.bits);
    auto refresh = In(txn);
    refresh.mutable_header()->mutable_txn()->set_read_ts(clock_.Now().bits);
    refresh.add_requests()->mutable_refresh()->set_key(kB);
    refresh.mutable_requests(0)->mutable_refresh()->set_from(before.bits);
    EXPECT_TRUE(Run(refresh).error().has_too_old());
  }
}

TEST_F(ReplicaTest, ChecksHoldWithTheCommit) {
  Put(kB, "v1");
  for (std::string expected : {"v1", "v0"}) {
    auto txn = NewTxn("t" + expected);
    auto batch = In(txn);
    batch.mutable_header()->set_can_forward_read_ts(true);
    batch.add_requests()->mutable_check()->set_key(kB);
    batch.mutable_requests(0)->mutable_check()->set_expected(expected);
    AddPut(batch, kA, expected);
    AddEnd(batch, true, true);
    auto response = Run(batch);
    EXPECT_EQ(response.error().has_condition_failed(), expected == "v0");
  }
  EXPECT_EQ(Get(kA), "v1");
}

// Transfers between accounts by serializable transactions, all at once, some of them over and over: the sum stays.
TEST_F(ReplicaTest, ConcurrentTransfersKeepTheSum) {
  constexpr int kAccounts = 5, kWorkers = 6, kTransfers = 30;
  auto account = [](uint64_t i) { return StrCat("\xfe", "acc", i); };
  for (int i = 0; i < kAccounts; ++i) Put(account(i), "100");
  int commits = 0, retries = 0;
  TaskGroup group(loop_.ctx());
  for (int w = 0; w < kWorkers; ++w) {
    group.SpawnFn([&, w]() -> Task<void> {
      for (int t = 0; t < kTransfers; ++t) {
        for (int attempt = 0;; ++attempt) {
          std::string from = account(random_.Uniform(kAccounts)), to = account(random_.Uniform(kAccounts));
          if (from == to) continue;
          auto txn = NewTxn(StrCat(w, "-", t, "-", attempt));
          txn.mutable_meta()->set_anchor_key(from);
          auto read = In(txn);
          const bool locking = random_.Chance(0.5);
          AddGet(read, from, locking ? v1::LOCK_EXCLUSIVE : v1::LOCK_NONE);
          AddGet(read, to, locking ? v1::LOCK_EXCLUSIVE : v1::LOCK_NONE);
          read.mutable_header()->set_can_forward_read_ts(true);
          auto seen = co_await replica_->Execute(loop_.ctx(), read);
          bool ok = !seen.has_error();
          if (ok) {
            Absorb(txn, seen);
            (void)co_await Sleep(loop_.ctx(), std::chrono::microseconds(random_.Uniform(3000)));
            auto commit = In(txn);
            commit.mutable_header()->set_refresh_from(txn.read_ts());
            for (const auto& key : {from, to}) commit.mutable_header()->add_refresh_spans()->set_key(key);
            AddPut(commit, from, StrCat(std::stoi(seen.responses(0).get().value()) - 1), locking ? txn.read_ts() : 0, 1);
            AddPut(commit, to, StrCat(std::stoi(seen.responses(1).get().value()) + 1), locking ? txn.read_ts() : 0, 2);
            AddEnd(commit, true, true);
            auto done = co_await replica_->Execute(loop_.ctx(), commit);
            ok = !done.has_error();
            EXPECT_TRUE(ok || done.error().has_txn_retry()) << done.error().ShortDebugString();
            EXPECT_FALSE(locking && done.error().txn_retry().reason() == v1::Error::TxnRetry::LOCK_LOST);
          } else {
            EXPECT_TRUE(seen.error().has_deadlock() || seen.error().has_txn_retry()) << seen.error().ShortDebugString();
          }
          if (ok) {
            ++commits;
            break;
          }
          ++retries;
          auto end = In(txn);
          auto* e = end.add_requests()->mutable_end_txn();
          e->add_lock_spans()->set_key(from);
          e->add_lock_spans()->set_key(to);
          (void)co_await replica_->Execute(loop_.ctx(), end);
          (void)co_await Sleep(loop_.ctx(), std::chrono::microseconds(random_.Uniform(5000)));
        }
      }
    });
  }
  loop_.Await(group);
  EXPECT_EQ(commits, kWorkers * kTransfers);
  EXPECT_GT(retries, 0) << "the test should have conflicts";
  int sum = 0;
  for (int i = 0; i < kAccounts; ++i) sum += std::stoi(Get(account(i)));
  EXPECT_EQ(sum, 100 * kAccounts);
  EXPECT_EQ(replica_->lock_table().key_count(), 0u) << replica_->lock_table().DebugString();
}

TEST_F(ReplicaTest, APutThatMayFindTheSameValueWritesOnce) {
  auto put = [](const std::string& value) {
    auto batch = Batch();
    auto* p = batch.add_requests()->mutable_conditional_put();
    p->set_key(kA);
    p->set_value(value);
    p->set_or_same(true);
    return batch;
  };
  EXPECT_FALSE(Run(put("1")).has_error());
  const size_t proposals = group_->proposals;
  EXPECT_FALSE(Run(put("1")).has_error());
  EXPECT_EQ(group_->proposals, proposals) << "nothing to write";
  auto other = Run(put("2"));
  EXPECT_TRUE(other.error().has_condition_failed());
  EXPECT_EQ(other.error().condition_failed().actual(), "1");
  EXPECT_EQ(Get(kA), "1");
  // That it found the value is a read: nobody writes below it.
  v1::Transaction txn = NewTxn("t");
  auto mine = In(txn);
  AddPut(mine, kB, "x");
  Absorb(txn, Ok(mine));
  EXPECT_FALSE(Run(put("1")).has_error());
  auto below = In(txn);
  AddPut(below, kA, "x", 0, 2);
  EXPECT_GT(Ok(below).txn().meta().write_ts(), txn.meta().write_ts());
  for (int wrong = 0; wrong < 2; ++wrong) {
    auto batch = put("1");
    auto* p = batch.mutable_requests(0)->mutable_conditional_put();
    wrong == 0 ? p->clear_value() : p->set_expected("1");
    EXPECT_TRUE(Run(batch).error().has_invalid());
  }
}

TEST_F(ReplicaTest, LocksAreListedWithWhoHoldsAndWhoWaits) {
  constexpr int kKeys = 1100;  // more than one answer names
  auto key = [](int i) { return StrCat("\xfe", "row", 10000 + i); };
  v1::Transaction reader = NewTxn("reader"), writer = NewTxn("writer"), waiter = NewTxn("waiter");
  for (int i = 0; i < kKeys; ++i) {
    auto batch = In(reader);
    AddGet(batch, key(i), i % 2 == 0 ? v1::LOCK_EXCLUSIVE : v1::LOCK_SHARED);
    Absorb(reader, Ok(batch));
  }
  auto write = In(writer);
  AddPut(write, key(kKeys), "1");
  Absorb(writer, Ok(write));
  TaskGroup waits(loop_.ctx());
  waits.SpawnFn([&]() -> Task<void> {
    auto batch = In(waiter);
    AddGet(batch, key(0), v1::LOCK_EXCLUSIVE);
    batch.mutable_header()->set_lock_timeout_us(200'000);
    EXPECT_TRUE((co_await replica_->Execute(loop_.ctx(), batch)).error().has_lock_conflict());
  });
  (void)loop_.Run(Sleep(loop_.ctx(), 5ms));
  auto list = [&](const std::string& from) {
    auto batch = Batch();
    batch.add_requests()->mutable_query_locks()->set_key(from);
    batch.mutable_requests(0)->mutable_query_locks()->set_end_key(kEnd);
    return Ok(batch).responses(0).query_locks();
  };
  v1::QueryLocksResponse first = list(key(0));
  ASSERT_EQ(first.locks_size(), 1000);
  EXPECT_EQ(first.locks(0).key(), key(0));
  EXPECT_EQ(first.locks(0).holder().id(), reader.meta().id());
  EXPECT_EQ(first.locks(0).strength(), v1::LOCK_EXCLUSIVE);
  EXPECT_FALSE(first.locks(0).replicated());
  EXPECT_EQ(first.locks(0).waiters(), 1u);
  EXPECT_EQ(first.locks(1).strength(), v1::LOCK_SHARED);
  EXPECT_EQ(first.locks(1).waiters(), 0u);
  ASSERT_TRUE(first.has_resume());
  v1::QueryLocksResponse rest = list(first.resume().key());
  ASSERT_EQ(rest.locks_size(), kKeys - 1000 + 1);
  EXPECT_FALSE(rest.has_resume());
  EXPECT_EQ(rest.locks(0).key(), key(1000));
  EXPECT_EQ(rest.locks(kKeys - 1000).key(), key(kKeys));
  EXPECT_TRUE(rest.locks(kKeys - 1000).replicated());
  EXPECT_EQ(rest.locks(kKeys - 1000).holder().id(), writer.meta().id());
  loop_.Await(waits);
}

TEST_F(ReplicaTest, SaysWhatItHoldsAndWhoLeads) {
  auto ask = Batch();
  ask.add_requests()->mutable_range_stats()->set_key(kA);
  ask.add_requests()->mutable_lease_info()->set_key(kA);
  const v1::RangeStatsResponse before = Ok(ask).responses(0).range_stats();
  auto write = Batch();
  AddPut(write, kA, std::string(1000, 'x'));
  Ok(write);
  v1::Transaction txn = NewTxn("t");
  auto intent = In(txn);
  AddPut(intent, kB, "1");
  Ok(intent);
  const v1::BatchResponse answer = Ok(ask);
  const v1::RangeStatsResponse& stats = answer.responses(0).range_stats();
  EXPECT_EQ(stats.live_keys(), before.live_keys() + 2);
  EXPECT_GE(stats.live_bytes(), before.live_bytes() + 1000);
  EXPECT_GE(stats.total_bytes(), stats.live_bytes());
  EXPECT_EQ(stats.intents(), before.intents() + 1);
  EXPECT_EQ(answer.responses(1).lease_info().node_id(), group_->node_id());
  EXPECT_EQ(answer.responses(1).lease_info().sequence(), group_->CheckLease({}).lease.sequence);
}

// After a lease has come, the outcomes of ten minutes are looked through for transactions to finish: beside what is asked, and not before it.
TEST_F(ReplicaTest, ANewLeaseServesBeforeItHasLookedThroughAllOutcomes) {
  constexpr int kOutcomes = 50'000, kBatches = 20;
  Put(kA, "1");
  storage::WriteBatch rows;
  for (int i = 0; i < kOutcomes; ++i) {
    std::string id = StrCat("txn", i);
    id.resize(16, '.');
    rows.Put(storage::ColumnFamily::kRange, keys::AnchorKey(kA, keys::AnchorField::kOutcome, id), "an outcome");
  }
  ASSERT_TRUE(engine_->Write(rows).ok());
  const std::string probe = "what a lease is to finish is looked for bit by bit";
  const uint64_t before = fault::ProbeHits()[probe];
  group_->ChangeLease();
  for (int i = 0; i < kBatches; ++i) EXPECT_EQ(Get(kA), "1");
  EXPECT_GE(fault::ProbeHits()[probe], before + 1);
  EXPECT_LT(fault::ProbeHits()[probe], before + kBatches / 2) << "it does not take turns with what is asked";
}

// What is larger than a message would never reach the other replicas, and everything behind it would wait for ever.
TEST_F(ReplicaTest, ABatchThatWritesOrReadsMoreThanAMessageHoldsIsRefused) {
  const std::string large(20 << 20, 'x');
  auto refused = [&](const v1::BatchResponse& response, std::string_view what, int index) {
    EXPECT_TRUE(response.error().has_invalid()) << response.error().ShortDebugString().substr(0, 200);
    EXPECT_EQ(response.error().request_index(), index);
    EXPECT_NE(response.error().message().find(what), std::string::npos) << response.error().message();
  };
  auto put = [&](const std::string& key) {
    auto batch = Batch();
    AddPut(batch, key, large);
    return batch;
  };
  auto both = put(kA);
  AddPut(both, kB, large);
  refused(Run(both), "writes more than", 1);
  EXPECT_EQ(Get(kA), "(none)");
  ASSERT_FALSE(Run(put(kA)).has_error());
  ASSERT_FALSE(Run(put(kB)).has_error());
  auto gets = Batch();
  for (const auto& key : {kA, kB}) gets.add_requests()->mutable_get()->set_key(key);
  refused(Run(gets), "reads more than", 1);
  auto scans = Batch();
  for (int i = 0; i < 2; ++i) {
    scans.add_requests()->mutable_scan()->set_key(kA);
    scans.mutable_requests(i)->mutable_scan()->set_end_key(kB);
  }
  refused(Run(scans), "reads more than", 1);
  // With a bound of its own a scan ends there, and says where to go on.
  scans.mutable_header()->set_max_bytes(1);
  auto bounded = Run(scans);
  ASSERT_FALSE(bounded.has_error());
  EXPECT_EQ(bounded.responses(0).scan().row_count(), 1u);
  EXPECT_EQ(bounded.responses(1).scan().row_count(), 0u);
  EXPECT_EQ(bounded.responses(1).scan().resume().key(), kA);
  auto longest = Batch();
  AddPut(longest, kA, std::string(kMaxValueBytes, 'x'));
  EXPECT_FALSE(Run(longest).has_error());
  AddPut(longest, kA, std::string(kMaxValueBytes + 1, 'x'));
  longest.mutable_requests()->DeleteSubrange(0, 1);
  EXPECT_TRUE(Run(longest).error().has_invalid());
}

TEST_F(ReplicaTest, ANoteOfBeforeThereWereTwoLevelsSaysNothingOfRangeOnesAddress) {
  std::string old = EncodePublished(5);
  old[0] = 1;
  storage::WriteBatch rows;
  for (RangeId range : {keys::kMetaRange, RangeId{9}}) rows.Put(storage::ColumnFamily::kRange, PublishedKey(range), old);
  rows.Put(storage::ColumnFamily::kRange, PublishedKey(10), EncodePublished(6));
  ASSERT_TRUE(engine_->Write(rows).ok());
  auto reader = engine_->NewReader();
  EXPECT_EQ(*LoadPublished(*reader, keys::kMetaRange), 1u);
  EXPECT_EQ(*LoadPublished(*reader, 9), 5u);
  EXPECT_EQ(*LoadPublished(*reader, 10), 6u);
  EXPECT_EQ(*LoadPublished(*reader, 11), 1u) << "the generation that a cluster begins with";
  old[0] = 9;
  rows.Put(storage::ColumnFamily::kRange, PublishedKey(9), old);
  ASSERT_TRUE(engine_->Write(rows).ok());
  EXPECT_FALSE(LoadPublished(*engine_->NewReader(), 9).ok());
}

}  // namespace
}  // namespace insula::kv
