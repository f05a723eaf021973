#include "kv/txn/push.h"

#include <gtest/gtest.h>

#include "kv/txn/push_queue.h"
#include "kv/txn/record.h"

namespace insula::kv {
namespace {

constexpr uint64_t kStart = 1'000'000;  // microseconds
Timestamp At(uint64_t seconds) { return Timestamp::FromMicros(kStart + seconds * 1'000'000); }

v1::PushTxnRequest Push(v1::PushKind kind) {
  v1::PushTxnRequest push;
  push.set_kind(kind);
  push.mutable_pushee()->set_id("pushee");
  push.mutable_pushee()->set_min_ts(At(0).bits);
  push.mutable_pushee()->set_write_ts(At(0).bits);
  push.mutable_pusher()->set_id("pusher");
  push.set_push_to(At(1).bits);
  return push;
}

v1::Transaction Record(v1::TxnStatus status) {
  v1::Transaction record;
  *record.mutable_meta() = Push(v1::PUSH_ABORT).pushee();
  record.set_status(status);
  return record;
}

PushDecision Decide(const v1::PushTxnRequest& push, std::optional<v1::Transaction> record, bool can_be_created = true, Timestamp now = At(1)) {
  return DecidePush(push, record, can_be_created, Timestamp(), now);
}

TEST(Push, AFinishedTransactionIsDone) {
  EXPECT_EQ(Decide(Push(v1::PUSH_TOUCH), Record(v1::COMMITTED)).kind, PushDecision::kDone);
  EXPECT_EQ(Decide(Push(v1::PUSH_ABORT), Record(v1::ABORTED)).kind, PushDecision::kDone);
}

TEST(Push, WithoutARecordThatMayEverBeItIsAborted) {
  auto decision = Decide(Push(v1::PUSH_TOUCH), std::nullopt, /*can_be_created=*/false);
  EXPECT_EQ(decision.kind, PushDecision::kDone);
  EXPECT_EQ(decision.pushee.status(), v1::ABORTED);
}

TEST(Push, ALiveOneIsWaitedForUntilItExpires) {
  auto decision = Decide(Push(v1::PUSH_ABORT), std::nullopt);
  EXPECT_EQ(decision.kind, PushDecision::kWait);
  EXPECT_EQ(decision.expires, At(5));
  EXPECT_EQ(Decide(Push(v1::PUSH_TOUCH), std::nullopt, true, At(6)).kind, PushDecision::kAbort);
  auto beating = Record(v1::PENDING);
  beating.set_last_heartbeat(At(4).bits);
  EXPECT_EQ(Decide(Push(v1::PUSH_ABORT), beating, true, At(6)).kind, PushDecision::kWait);
  EXPECT_EQ(Decide(Push(v1::PUSH_ABORT), beating, true, At(10)).kind, PushDecision::kAbort);
}

TEST(Push, AReaderMovesAWeaklyIsolatedWriterOnly) {
  auto push = Push(v1::PUSH_TIMESTAMP);
  EXPECT_EQ(Decide(push, std::nullopt).kind, PushDecision::kWait);
  push.mutable_pushee()->set_isolation(v1::READ_COMMITTED);
  auto decision = Decide(push, Record(v1::PENDING));
  EXPECT_EQ(decision.kind, PushDecision::kMove);
  EXPECT_EQ(decision.pushee.meta().write_ts(), At(1).bits);
  EXPECT_EQ(DecidePush(push, std::nullopt, true, At(2), At(1)).kind, PushDecision::kDone) << "it was moved that far already";
}

TEST(Push, HigherPriorityWins) {
  auto push = Push(v1::PUSH_ABORT);
  push.mutable_pusher()->set_priority(1);
  EXPECT_EQ(Decide(push, std::nullopt).kind, PushDecision::kAbort);
  push.set_kind(v1::PUSH_TIMESTAMP);
  EXPECT_EQ(Decide(push, std::nullopt).kind, PushDecision::kMove);
}

TEST(Push, AStagingTransactionIsWaitedForAndRecoveredOnceItHasExpired) {
  auto push = Push(v1::PUSH_ABORT);
  EXPECT_EQ(Decide(push, Record(v1::STAGING), true, At(100)).kind, PushDecision::kRecover);
  push.mutable_pusher()->set_priority(1);  // nobody ends or moves it: it may be committed already
  for (auto kind : {v1::PUSH_ABORT, v1::PUSH_TIMESTAMP, v1::PUSH_TOUCH}) {
    push.set_kind(kind);
    EXPECT_EQ(Decide(push, Record(v1::STAGING)).kind, PushDecision::kWait);
  }
}

v1::TxnMeta Txn(std::string id, uint64_t min_ts) {
  v1::TxnMeta meta;
  meta.set_id(id);
  meta.set_min_ts(min_ts);
  return meta;
}

// Three records at three leaseholders: a waits for b, b for c, c for a. Edges travel until the youngest sees the cycle, and nobody
// else ever gives up.
TEST(PushQueue, EdgesTravelUntilTheYoungestSeesTheCycle) {
  PushQueue at_a, at_b, at_c;
  v1::TxnMeta a = Txn("a", 1), b = Txn("b", 3), c = Txn("c", 2);
  PushQueue::Entry ab(&at_b, b, &a), bc(&at_c, c, &b), ca(&at_a, a, &c);
  bool found = false;
  for (int round = 0; round < 3 && !found; ++round) {
    EXPECT_FALSE(ab.SetEdges(at_a.EdgesTo("a")));
    EXPECT_FALSE(ca.SetEdges(at_c.EdgesTo("c")));
    found = bc.SetEdges(at_b.EdgesTo("b"));
  }
  EXPECT_TRUE(found);
}

TEST(PushQueue, APusherThatLeavesIsForgotten) {
  PushQueue queue;
  v1::TxnMeta a = Txn("a", 1), b = Txn("b", 2);
  {
    PushQueue::Entry entry(&queue, b, &a);
    EXPECT_EQ(queue.EdgesTo("b").size(), 1u);
  }
  EXPECT_TRUE(queue.empty());
  PushQueue::Entry plain(&queue, b, nullptr);
  EXPECT_TRUE(queue.EdgesTo("b").empty()) << "no transaction waits";
}

}  // namespace
}  // namespace insula::kv
