#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/testing/test_loop.h"
#include "base/async/wait.h"

namespace insula {
namespace {

class AsyncTest : public testing::Test {
 protected:
  TestLoop executor_;
  Context ctx_ = executor_.ctx();
};

Task<int> Add(int a, int b) { co_return a + b; }

TEST_F(AsyncTest, TasksStartWhenAwaitedAndReturnTheirValue) {
  TaskGroup group(ctx_);
  int sum = 0;
  group.SpawnFn([&]() -> Task<void> { sum = co_await Add(1, co_await Add(2, 3)); });
  EXPECT_EQ(sum, 0);
  executor_.RunUntilIdle();
  EXPECT_EQ(sum, 6);
  EXPECT_EQ(group.size(), 0u);
}

TEST_F(AsyncTest, WaitersAreServedFirstComeFirstServed) {
  Semaphore semaphore(1);
  TaskGroup group(ctx_);
  std::string order;
  for (char c : {'a', 'b', 'c'}) {
    group.SpawnFn([&, c]() -> Task<void> {
      EXPECT_TRUE((co_await semaphore.Acquire(ctx_)).ok());
      order += c;
      EXPECT_TRUE((co_await ctx_.Yield()).ok());
      semaphore.Release();
    });
  }
  executor_.RunUntilIdle();
  EXPECT_EQ(order, "abc");
}

TEST_F(AsyncTest, CancellingAContextWakesItsDescendantsAndNoOther) {
  Event event;
  Context parent = ctx_.WithCancel();
  Context child = parent.WithTimeout(1s);
  TaskGroup group(ctx_);
  absl::Status in_child, outside = absl::UnknownError("still waiting");
  group.SpawnFn([&]() -> Task<void> { in_child = co_await event.Wait(child); });
  group.SpawnFn([&]() -> Task<void> { outside = co_await event.Wait(ctx_); });
  executor_.RunUntilIdle();
  parent.Cancel();
  executor_.RunUntilIdle();
  EXPECT_EQ(in_child.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(outside.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(executor_.timers(), 0u);
}

TEST_F(AsyncTest, DeadlinesEndWaits) {
  Event event;
  TaskGroup group(ctx_);
  absl::Status status;
  group.SpawnFn([&]() -> Task<void> { status = co_await event.Wait(ctx_.WithTimeout(10ms)); });
  executor_.RunUntilIdle();
  executor_.RunFor(9ms);
  EXPECT_TRUE(status.ok());
  executor_.RunFor(2ms);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(AsyncTest, SleepReportsOnlyTheOuterContextsEnd) {
  TaskGroup group(ctx_);
  std::vector<absl::Status> results;
  Context cancelled = ctx_.WithCancel();
  group.SpawnFn([&]() -> Task<void> { results.push_back(co_await Sleep(ctx_, 5ms)); });
  group.SpawnFn([&]() -> Task<void> { results.push_back(co_await Sleep(cancelled, 1h)); });
  executor_.RunUntilIdle();
  executor_.RunFor(5ms);
  cancelled.Cancel();
  executor_.RunUntilIdle();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_TRUE(results[0].ok());
  EXPECT_EQ(results[1].code(), absl::StatusCode::kCancelled);
}

TEST_F(AsyncTest, ChannelsBoundTheirProducersAndDrainAfterClose) {
  Channel<int> channel(2);
  TaskGroup group(ctx_);
  std::vector<int> got;
  int pushed = 0;
  group.SpawnFn([&]() -> Task<void> {
    for (int i = 0; i < 4; ++i) {
      EXPECT_TRUE((co_await channel.Push(ctx_, i)).ok());
      ++pushed;
    }
    channel.Close();
  });
  executor_.RunUntilIdle();
  EXPECT_EQ(pushed, 2);
  group.SpawnFn([&]() -> Task<void> {
    while (true) {
      auto value = co_await channel.Pop(ctx_);
      if (!value.ok() || !value->has_value()) break;
      got.push_back(**value);
    }
  });
  executor_.RunUntilIdle();
  EXPECT_EQ(got, (std::vector<int>{0, 1, 2, 3}));
}

struct CountsDestruction {
  int* count;
  ~CountsDestruction() { ++*count; }
};

TEST_F(AsyncTest, DestroyingAGroupDestroysSuspendedFramesAtAnyAwait) {
  Event event;
  int destroyed = 0;
  bool resumed = false;
  {
    TaskGroup group(ctx_);
    group.SpawnFn([&]() -> Task<void> {
      CountsDestruction witness{&destroyed};
      absl::Status s = co_await event.Wait(ctx_);
      resumed = true;
    });
    executor_.RunUntilIdle();
    event.Set();  // ready, but not run yet
  }
  executor_.RunUntilIdle();
  EXPECT_EQ(destroyed, 1);
  EXPECT_FALSE(resumed);
}

TEST_F(AsyncTest, WhenAllKeepsOrder) {
  TaskGroup group(ctx_);
  std::vector<int> out;
  group.SpawnFn([&]() -> Task<void> {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(Add(i, 10));
    out = co_await WhenAll(ctx_, std::move(tasks));
  });
  executor_.RunUntilIdle();
  EXPECT_EQ(out, (std::vector<int>{10, 11, 12, 13, 14}));
}

}  // namespace
}  // namespace insula
