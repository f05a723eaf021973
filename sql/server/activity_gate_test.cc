#include "sql/server/activity_gate.h"

#include "base/async/task_group.h"
#include "base/async/testing/test_loop.h"
#include "base/pgerror/pg_error.h"
#include "gtest/gtest.h"

namespace insula::sql {
namespace {

struct ActivityGateTest : ::testing::Test {
  TestLoop loop;
  ActivityGate gate{&loop.clock()};
};

TEST_F(ActivityGateTest, ClosesOnlyWhenNothingIsActive) {
  gate.StatementStarted();
  EXPECT_FALSE(gate.Close(false));
  EXPECT_TRUE(gate.is_open());
  gate.StatementEnded();
  gate.TransactionOpened();
  EXPECT_FALSE(gate.Close(false));
  EXPECT_TRUE(gate.Close(true));
  gate.TransactionClosed();
  EXPECT_TRUE(gate.Open());
  EXPECT_TRUE(gate.Close(false));
  EXPECT_FALSE(gate.is_open());
}

TEST_F(ActivityGateTest, MessagesWaitAtAClosedGate) {
  TaskGroup group(loop.ctx());
  absl::Status entered = absl::UnknownError("waiting");
  ASSERT_TRUE(gate.Close(false));
  group.SpawnFn([&]() -> Task<void> { entered = co_await gate.Enter(group.ctx()); });
  loop.RunUntilIdle();
  EXPECT_EQ(entered.code(), absl::StatusCode::kUnknown);
  gate.Open();
  loop.RunUntilIdle();
  EXPECT_TRUE(entered.ok());
  gate.Close(false);
  group.SpawnFn([&]() -> Task<void> { entered = co_await gate.Enter(group.ctx()); });
  gate.Stop();
  loop.RunUntilIdle();
  EXPECT_EQ(ToPgError(entered).sqlstate, "57P01");
  EXPECT_FALSE(gate.Open());
}

TEST_F(ActivityGateTest, WatchersHearOfChangesOnly) {
  TaskGroup group(loop.ctx());
  int heard = 0;
  uint64_t version = gate.version();
  group.SpawnFn([&]() -> Task<void> {
    absl::Status s = co_await gate.WaitForChange(group.ctx(), version);
    if (s.ok()) ++heard;
  });
  loop.RunUntilIdle();
  EXPECT_EQ(heard, 0);
  EXPECT_EQ(loop.timers(), 0u) << "a watcher at rest sets no timer";
  gate.ConnectionOpened();
  loop.RunUntilIdle();
  EXPECT_EQ(heard, 1);
  EXPECT_EQ(gate.activity().connections, 1u);
}

}  // namespace
}  // namespace insula::sql
