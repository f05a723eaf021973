#include "kv/concurrency/sequencer.h"

#include <gtest/gtest.h>

#include "base/async/task_group.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/testing/test_loop.h"

namespace insula::kv {
namespace {

// Records of transactions as a map: a push waits until its pushee is in it.
class FakePusher : public Pusher {
 public:
  explicit FakePusher(LockTable* table) : table_(table) {}

  Task<absl::StatusOr<v1::Transaction>> Push(const Context& ctx, v1::PushTxnRequest push) override {
    ++pushes;
    last = push;
    while (true) {
      auto it = ended.find(push.pushee().id());
      if (it != ended.end()) {
        v1::Transaction txn;
        *txn.mutable_meta() = push.pushee();
        txn.set_status(it->second);
        co_return txn;
      }
      if (!fail.ok()) co_return fail;
      if (!push.wait()) co_return LockConflictError(push.key(), false);
      CO_RETURN_IF_ERROR(co_await changed.Wait(ctx));
    }
  }
  Task<absl::Status> Resolve(const Context& ctx, v1::Transaction txn, std::vector<std::string> keys, Timestamp) override {
    resolved_as = txn;
    for (const auto& key : keys) {
      StrAppend(&resolved, key, " ");
      table_->Release(key, "", txn.meta().id(), [](std::string_view) {});
    }
    co_return absl::OkStatus();
  }

  Timestamp Now() override { return Timestamp{1000}; }

  std::map<std::string, v1::TxnStatus> ended;
  Condition changed;
  absl::Status fail;
  int pushes = 0;
  v1::PushTxnRequest last;
  std::string resolved;
  v1::Transaction resolved_as;

 private:
  LockTable* table_;
};

class SequencerTest : public testing::Test {
 protected:
  v1::TxnMeta Txn(std::string id) {
    v1::TxnMeta meta;
    meta.set_id(id);
    meta.set_write_ts(10);
    return meta;
  }
  Sequencer::Spec Writing(const v1::TxnMeta* txn, std::string_view key) {
    return {.txn = txn, .latches = {{.key = key, .write = true}}, .locks = {{.key = key, .access = LockStrength::kExclusive}}};
  }

  TestLoop loop_;
  LockTable table_;
  FakePusher pusher_{&table_};
  Sequencer sequencer_{&loop_, &table_, &pusher_};
  v1::TxnMeta a_ = Txn("A"), b_ = Txn("B");
};

TEST_F(SequencerTest, NothingInTheWayNeedsNoWaiting) {
  Sequencer::Ticket ticket(Writing(&a_, "k"));
  EXPECT_TRUE(sequencer_.TrySequence(ticket));
  EXPECT_FALSE(ticket.waited());
  Sequencer::Ticket other(Writing(&b_, "k"));
  EXPECT_FALSE(sequencer_.TrySequence(other)) << "latched";
}

TEST_F(SequencerTest, AWaiterWithoutLatchesIsLetInByTheRelease) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{1});
  Sequencer::Ticket ticket(Writing(&b_, "k"));
  ASSERT_FALSE(sequencer_.TrySequence(ticket));
  absl::Status status = absl::UnknownError("not done");
  TaskGroup group(loop_.ctx());
  group.SpawnFn([&]() -> Task<void> { status = co_await sequencer_.Sequence(loop_.ctx(), ticket); });
  loop_.RunUntilIdle();
  EXPECT_EQ(sequencer_.latches().size(), 0u) << "no latch is held while it waits";
  table_.Release("k", "", "A", [](std::string_view) {});
  loop_.RunUntilIdle();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(pusher_.pushes, 0);
  EXPECT_TRUE(ticket.waited());
}

TEST_F(SequencerTest, AfterADelayTheHolderIsPushedAndWhatItLeftResolved) {
  pusher_.ended["A"] = v1::ABORTED;
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{1});
  table_.AddDiscovered("j", a_, true, LockStrength::kExclusive);
  std::string released;
  sequencer_.set_on_release([&](std::string_view key) { StrAppend(&released, key); });
  Sequencer::Ticket ticket(Writing(&b_, "k"));
  EXPECT_TRUE(loop_.Run(sequencer_.Sequence(loop_.ctx(), ticket)).ok());
  EXPECT_EQ(pusher_.pushes, 1);
  EXPECT_EQ(pusher_.last.kind(), v1::PUSH_ABORT);
  EXPECT_EQ(pusher_.resolved, "j ");
  EXPECT_EQ(released, "k");
  EXPECT_EQ(table_.txn_count(), 0u);
}

TEST_F(SequencerTest, ADiscoveredIntentOfAFinishedTransactionNeedsNoPush) {
  // A savepoint took its second and third write back.
  v1::Transaction a;
  *a.mutable_meta() = a_;
  a.mutable_meta()->set_write_ts(12);
  a.set_status(v1::COMMITTED);
  a.add_ignored()->set_from(2);
  a.mutable_ignored(0)->set_to(3);
  sequencer_.OnFinished(a);
  Sequencer::Ticket ticket(Writing(&b_, "k"));
  ASSERT_TRUE(sequencer_.TrySequence(ticket));
  EXPECT_TRUE(loop_.Run(sequencer_.WaitForDiscovered(loop_.ctx(), ticket, {{"k", a_, LockStrength::kExclusive, true}})).ok());
  EXPECT_EQ(pusher_.pushes, 0);
  EXPECT_EQ(pusher_.resolved, "k ");
  EXPECT_EQ(pusher_.resolved_as.SerializeAsString(), a.SerializeAsString());
}

TEST_F(SequencerTest, ADeadlockEndsTheWait) {
  pusher_.fail = DeadlockError();
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{1});
  Sequencer::Ticket ticket(Writing(&b_, "k"));
  absl::Status status = loop_.Run(sequencer_.Sequence(loop_.ctx(), ticket));
  ASSERT_TRUE(GetKvError(status).has_value());
  EXPECT_TRUE(GetKvError(status)->has_deadlock());
}

TEST_F(SequencerTest, TheLockTimeoutIsAConflictThatTimedOut) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{1});
  auto spec = Writing(&b_, "k");
  spec.lock_timeout = 200ms;
  Sequencer::Ticket ticket(spec);
  absl::Status status = loop_.Run(sequencer_.Sequence(loop_.ctx(), ticket));
  ASSERT_TRUE(GetKvError(status).has_value());
  EXPECT_TRUE(GetKvError(status)->lock_conflict().timed_out());
  EXPECT_EQ(GetKvError(status)->lock_conflict().key(), "k");
}

TEST_F(SequencerTest, NowaitTellsALiveHolderFromADeadOne) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{1});
  auto spec = Writing(&b_, "k");
  spec.policy = v1::WAIT_ERROR;
  {
    Sequencer::Ticket ticket(spec);
    absl::Status status = loop_.Run(sequencer_.Sequence(loop_.ctx(), ticket));
    ASSERT_TRUE(GetKvError(status).has_value());
    EXPECT_TRUE(GetKvError(status)->has_lock_conflict());
    EXPECT_FALSE(GetKvError(status)->lock_conflict().timed_out());
  }
  pusher_.ended["A"] = v1::ABORTED;
  Sequencer::Ticket ticket(spec);
  EXPECT_TRUE(loop_.Run(sequencer_.Sequence(loop_.ctx(), ticket)).ok());
}

TEST_F(SequencerTest, CancellingAWaiterLeavesNothingBehind) {
  table_.Acquire("k", a_, LockStrength::kExclusive, Timestamp{1});
  {
    Context ctx = loop_.ctx().WithTimeout(500ms);
    Sequencer::Ticket ticket(Writing(&b_, "k"));
    EXPECT_EQ(loop_.Run(sequencer_.Sequence(ctx, ticket)).code(), absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_EQ(table_.DebugString(), "k: A/exclusive\n");
  EXPECT_EQ(sequencer_.latches().size(), 0u);
}

}  // namespace
}  // namespace insula::kv
