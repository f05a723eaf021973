// Transactions as one replica sees them live and end: heartbeats, pushes, deadlocks, and when a client is told.
#include <gtest/gtest.h>

#include <string>

#include "base/async/task_group.h"
#include "kv/mvcc/mvcc.h"
#include "kv/replica/testing/replica_fixture.h"
#include "kv/txn/record.h"

namespace insula::kv {
namespace {

using ReplicaTxnTest = ReplicaFixture;

TEST_F(ReplicaTxnTest, AnAbandonedTransactionIsEndedByWhoMeetsIt) {
  auto txn = NewTxn("gone");
  auto write = In(txn);
  write.mutable_header()->set_can_forward_read_ts(true);
  AddPut(write, kA, "never");
  AddGet(write, kB, v1::LOCK_EXCLUSIVE);
  Step(txn, write);
  Put(kA, "mine");  // waits until the other has expired
  EXPECT_EQ(Get(kA), "mine");
  auto commit = In(txn);
  AddEnd(commit, true, false)->add_lock_spans()->set_key(kA);
  EXPECT_TRUE(Run(commit).error().has_txn_aborted());
  EXPECT_EQ(replica_->lock_table().key_count(), 0u);
}

TEST_F(ReplicaTxnTest, HeartbeatsKeepATransactionAlive) {
  auto txn = NewTxn("alive");
  auto write = In(txn);
  write.mutable_header()->set_can_forward_read_ts(true);
  AddPut(write, kA, "1");
  Step(txn, write);
  TaskGroup group(loop_.ctx());
  bool done = false;
  group.SpawnFn([&]() -> Task<void> {
    auto other = Batch();
    AddPut(other, kA, "2");
    auto response = co_await replica_->Execute(loop_.ctx(), other);
    EXPECT_FALSE(response.has_error());
    done = true;
  });
  for (int i = 0; i < 12; ++i) {
    auto beat = In(txn);
    beat.add_requests()->mutable_heartbeat_txn()->set_key(kA);
    EXPECT_EQ(Ok(beat).responses(0).heartbeat_txn().status(), v1::PENDING);
    (void)loop_.Run(Sleep(loop_.ctx(), 1s));
  }
  EXPECT_FALSE(done);
  auto end = In(txn);
  AddEnd(end, false, false)->add_lock_spans()->set_key(kA);
  Ok(end);
  loop_.RunUntilIdle();
  EXPECT_TRUE(done);
  EXPECT_EQ(Get(kA), "2");
}

// Its first batch is under way, so a heartbeat makes a record as of now; whatever others were told of the transaction before that holds.
TEST_F(ReplicaTxnTest, ARecordThatAHeartbeatMadeTooLateDoesNotUndoAnAbort) {
  auto client = NewTxn("t");
  auto known = client;
  auto write = In(known);
  AddPut(write, kA, "1");
  Step(known, write);
  group_->ChangeLease();
  auto push = Batch();
  auto* request = push.add_requests()->mutable_push_txn();
  request->set_key(kA);
  *request->mutable_pushee() = known.meta();
  request->set_kind(v1::PUSH_ABORT);
  ASSERT_EQ(Ok(push).responses(0).push_txn().pushee().status(), v1::ABORTED);
  auto beat = In(client);
  beat.add_requests()->mutable_heartbeat_txn()->set_key(kA);
  EXPECT_EQ(Ok(beat).responses(0).heartbeat_txn().status(), v1::PENDING);
  auto commit = In(known);
  AddEnd(commit, true, false)->add_lock_spans()->set_key(kA);
  EXPECT_TRUE(Run(commit).error().has_txn_aborted());
}

// The answer to its first batch was lost, and before it was sent again somebody took the transaction for dead: it did not begin after that.
TEST_F(ReplicaTxnTest, ATransactionWhoseFirstBatchIsRepeatedBeganWithTheFirstCopy) {
  for (const bool locks : {false, true}) {
    const std::string key = locks ? kB : kA;
    auto client = NewTxn(locks ? "locks" : "writes");
    client.mutable_meta()->set_anchor_key(key);
    auto batch = In(client);
    if (locks) {
      auto* lock = batch.add_requests()->mutable_lock();
      lock->set_key(key);
      lock->set_strength(v1::LOCK_EXCLUSIVE);
      lock->set_replicated(true);
    } else {
      AddPut(batch, key, "1");
    }
    const v1::TxnMeta first = Ok(batch).txn().meta();
    loop_.RunFor(10s);
    auto push = Batch();
    auto* request = push.add_requests()->mutable_push_txn();
    request->set_key(key);
    *request->mutable_pushee() = client.meta();
    request->mutable_pushee()->set_min_ts(first.min_ts());
    request->mutable_pushee()->set_write_ts(first.write_ts());
    request->set_kind(v1::PUSH_ABORT);
    ASSERT_EQ(Ok(push).responses(0).push_txn().pushee().status(), v1::ABORTED);
    Step(client, batch);
    EXPECT_EQ(client.meta().min_ts(), first.min_ts());
    auto commit = In(client);
    AddEnd(commit, true, false)->add_lock_spans()->set_key(key);
    EXPECT_TRUE(Run(commit).error().has_txn_aborted());
  }
}

// Its start was given by a node whose clock is ahead of this one's.
TEST_F(ReplicaTxnTest, AnEndIsRememberedOfATransactionThatBeginsInTheFuture) {
  const Timestamp start = clock_.Now().AddMicros(200'000);
  for (const bool pushed : {true, false}) {
    auto txn = NewTxn(pushed ? "pushed" : "ended");
    txn.set_read_ts(start.bits);
    txn.mutable_meta()->set_min_ts(start.bits);
    txn.mutable_meta()->set_write_ts(start.bits);
    if (pushed) {
      auto push = Batch();
      auto* request = push.add_requests()->mutable_push_txn();
      request->set_key(kA);
      *request->mutable_pushee() = txn.meta();
      request->mutable_pusher()->set_priority(1);
      request->set_kind(v1::PUSH_ABORT);
      ASSERT_EQ(Ok(push).responses(0).push_txn().pushee().status(), v1::ABORTED);
    } else {
      auto end = In(txn);
      AddEnd(end, false, false);
      Ok(end);
    }
    auto beat = In(txn);
    beat.add_requests()->mutable_heartbeat_txn()->set_key(kA);
    EXPECT_EQ(Ok(beat).responses(0).heartbeat_txn().status(), v1::ABORTED) << pushed;
  }
}

TEST_F(ReplicaTxnTest, ADeadlockEndsTheYoungest) {
  auto first = NewTxn("first"), second = NewTxn("second");
  second.mutable_meta()->set_anchor_key(kB);
  auto lock = [&](v1::Transaction& txn, const char* key) {
    auto batch = In(txn);
    AddGet(batch, key, v1::LOCK_EXCLUSIVE);
    return batch;
  };
  Step(first, lock(first, kA));
  Step(second, lock(second, kB));
  v1::BatchResponse r1, r2;
  TaskGroup group(loop_.ctx());
  group.SpawnFn([&]() -> Task<void> { r1 = co_await replica_->Execute(loop_.ctx(), lock(first, kB)); });
  group.SpawnFn([&]() -> Task<void> {
    r2 = co_await replica_->Execute(loop_.ctx(), lock(second, kA));
    auto end = In(second);
    auto* e = end.add_requests()->mutable_end_txn();
    e->add_lock_spans()->set_key(kB);
    (void)co_await replica_->Execute(loop_.ctx(), end);
  });
  loop_.Await(group);
  EXPECT_FALSE(r1.has_error()) << r1.error().ShortDebugString();
  EXPECT_TRUE(r2.error().has_deadlock()) << r2.error().ShortDebugString();
}

// P5: a commit that a reader of the future pushed up is told when the clock has got there, and so is what was read there.
TEST_F(ReplicaTxnTest, NoAnswerTellsOfATimestampThatTheClockHasNotReached) {
  const Timestamp ahead = clock_.Now().AddMicros(200'000);
  auto read_ahead = Batch();
  read_ahead.mutable_header()->set_timestamp(ahead.bits);
  AddGet(read_ahead, kA);
  TaskGroup group(loop_.ctx());
  Timestamp read_told, committed, commit_told, put_told;
  group.SpawnFn([&]() -> Task<void> {
    EXPECT_FALSE((co_await replica_->Execute(loop_.ctx(), read_ahead)).has_error());
    read_told = clock_.Peek();
  });
  loop_.RunUntilIdle();
  EXPECT_TRUE(read_told.empty());
  group.SpawnFn([&]() -> Task<void> {
    auto commit = In(NewTxn("t"));
    commit.mutable_header()->set_can_forward_read_ts(true);
    AddPut(commit, kA, "1");
    AddEnd(commit, true, true);
    auto response = co_await replica_->Execute(loop_.ctx(), commit);
    EXPECT_FALSE(response.has_error()) << response.error().ShortDebugString();
    committed = Timestamp{response.responses(1).end_txn().commit_ts()};
    commit_told = clock_.Peek();
  });
  loop_.RunUntilIdle();
  EXPECT_EQ(group_->proposals, 1) << "it is committed";
  EXPECT_TRUE(commit_told.empty()) << "and not told";
  auto put = Batch();
  AddPut(put, kA, "2", 0, 0);
  group.SpawnFn([&]() -> Task<void> {
    EXPECT_FALSE((co_await replica_->Execute(loop_.ctx(), put)).has_error());
    put_told = clock_.Peek();
  });
  (void)loop_.Run(Sleep(loop_.ctx(), 300ms));
  EXPECT_GT(committed, ahead);
  EXPECT_GE(read_told.micros(), ahead.micros());
  EXPECT_GE(commit_told.micros(), committed.micros());
  EXPECT_GE(put_told.micros(), committed.micros());
}

TEST_F(ReplicaTxnTest, WhoGivesUpWaitingForACommitsAnswerKnowsNothing) {
  auto commit = In(NewTxn("t"));
  commit.mutable_header()->mutable_txn()->set_read_ts(clock_.Now().AddMicros(200'000).bits);
  AddPut(commit, kA, "1");
  AddEnd(commit, true, true);
  for (const char* times : {"first", "repeated"}) {
    auto response = loop_.Run(replica_->Execute(loop_.ctx().WithTimeout(50ms), commit));
    EXPECT_TRUE(response.error().has_ambiguous()) << times << ": " << response.error().ShortDebugString();
  }
}

}  // namespace
}  // namespace insula::kv
