#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/async/blocking.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/real/real_world.h"
#include "base/status_macros.h"

namespace insula {
namespace {

TEST(Loop, RunMainGivesTheStatusOfItsTask) {
  auto loop = MakeRealExecutor();
  EXPECT_TRUE(loop->RunMain([](Context) -> Task<absl::Status> { co_return absl::OkStatus(); }).ok());
  EXPECT_EQ(loop->RunMain([](Context) -> Task<absl::Status> { co_return absl::AbortedError("x"); }), absl::AbortedError("x"));
}

TEST(Loop, TimersRunInTheOrderOfTheirTimes) {
  auto loop = MakeRealExecutor();
  std::string order;
  EXPECT_TRUE(loop->RunMain([&](Context ctx) -> Task<absl::Status> {
    MonoTime now = loop->Now();
    Event last;
    loop->StartTimer(now + 20ms, [&] { order += 'b'; });
    TimerId never = loop->StartTimer(now + 15ms, [&] { order += 'x'; });
    loop->StartTimer(now + 30ms, [&] {
      order += 'c';
      last.Set();
    });
    loop->StartTimer(now + 10ms, [&] {
      order += 'a';
      loop->CancelTimer(never);
    });
    CO_RETURN_IF_ERROR(co_await last.Wait(ctx));
    EXPECT_GE(loop->Now() - now, 30ms);
    co_return absl::OkStatus();
  }).ok());
  EXPECT_EQ(order, "abc");
}

TEST(Loop, PostsOfOneThreadKeepTheirOrder) {
  auto loop = MakeRealExecutor();
  constexpr int kThreads = 4, kPosts = 5000;
  std::vector<std::vector<int>> seen(kThreads);
  std::vector<std::thread> threads;
  EXPECT_TRUE(loop->RunMain([&](Context ctx) -> Task<absl::Status> {
    Event all;
    int count = 0;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kPosts; ++i) {
          loop->Post([&, t, i] {
            seen[t].push_back(i);
            if (++count == kThreads * kPosts) all.Set();
          });
        }
      });
    }
    co_return co_await all.Wait(ctx);
  }).ok());
  for (auto& thread : threads) thread.join();
  for (const auto& one : seen) {
    ASSERT_EQ(one.size(), size_t{kPosts});
    EXPECT_TRUE(std::is_sorted(one.begin(), one.end()));
  }
}

TEST(Loop, BlockingWorkRunsOffTheLoopAndComesBack) {
  auto loop = MakeRealExecutor();
  std::thread::id here = std::this_thread::get_id(), there;
  EXPECT_TRUE(loop->RunMain([&](Context ctx) -> Task<absl::Status> {
    there = co_await Blocking<std::thread::id>(ctx, [] { return std::this_thread::get_id(); });
    EXPECT_EQ(std::this_thread::get_id(), here);
    co_return absl::OkStatus();
  }).ok());
  EXPECT_NE(there, here);
}

TEST(Loop, MoreBlockingWorkThanThreadsAllGetsDone) {
  auto loop = MakeRealExecutor({.blocking_threads = 2});
  std::atomic<int> ran = 0;
  EXPECT_TRUE(loop->RunMain([&](Context ctx) -> Task<absl::Status> {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 50; ++i) tasks.push_back(Blocking<int>(ctx, [&ran, i] {
      ++ran;
      return i;
    }));
    auto results = co_await WhenAll(ctx, std::move(tasks));
    EXPECT_EQ(results[49], 49);
    co_return absl::OkStatus();
  }).ok());
  EXPECT_EQ(ran, 50);
}

TEST(Loop, SignalsAreAwaited) {
  auto loop = MakeRealExecutor();
  EXPECT_TRUE(loop->RunMain([&](Context ctx) -> Task<absl::Status> {
    TaskGroup group(ctx);
    int got = 0;
    group.SpawnFn([&]() -> Task<void> {
      auto number = co_await loop->WaitForSignal(ctx);
      got = number.ok() ? *number : -1;
    });
    CO_RETURN_IF_ERROR(co_await ctx.Yield());
    raise(SIGTERM);
    co_await group.Wait();
    EXPECT_EQ(got, SIGTERM);
    // And an end of the context ends the wait.
    EXPECT_EQ((co_await loop->WaitForSignal(ctx.WithTimeout(1ms))).status().code(), absl::StatusCode::kDeadlineExceeded);
    co_return absl::OkStatus();
  }).ok());
}

TEST(Loop, YieldLetsTimersIn) {
  auto loop = MakeRealExecutor();
  EXPECT_TRUE(loop->RunMain([&](Context ctx) -> Task<absl::Status> {
    Context soon = ctx.WithTimeout(5ms);
    while (!soon.done()) {
      absl::Status s = co_await soon.Yield();
      if (!s.ok()) break;
    }
    co_return absl::OkStatus();
  }).ok());
}

TEST(KernelRandom, DoesNotRepeat) {
  auto a = MakeKernelRandom();
  auto b = MakeKernelRandom();
  EXPECT_NE(a->Bytes(64), b->Bytes(64));
  EXPECT_NE(a->Bytes(300), a->Bytes(300));
}

}  // namespace
}  // namespace insula
