#include "kv/server/write_gate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <vector>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/metrics/metrics.h"
#include "kv/api/testing/test_loop.h"

namespace insula::kv {
namespace {

constexpr uint64_t kBatch = 100 << 10;

// A disk that takes `speed` bytes a second, and is about to stop when `room` bytes are behind.
class WriteGateTest : public testing::Test {
 protected:
  double Pressure() {
    ++looks_;
    Drain();
    return backlog_ / room_;
  }
  void Drain() {
    backlog_ = std::max(0.0, backlog_ - speed_ * std::chrono::duration<double>(loop_.Now() - drained_).count());
    drained_ = loop_.Now();
  }
  void Wrote(uint64_t bytes) {
    Drain();
    backlog_ += static_cast<double>(bytes);
    worst_ = std::max(worst_, backlog_ / room_);
  }
  // Writes one batch each `interval` for as long as the test runs, one at a time.
  void Load(FairQueue::Flow* flow, uint64_t* written, Duration interval) {
    tasks_.SpawnFn([=, this]() -> Task<void> {
      while (true) {
        if (!gate_.TryPass(flow, kBatch) && !(co_await gate_.Wait(tasks_.ctx(), flow, kBatch, 0)).ok()) co_return;
        Wrote(kBatch);
        *written += kBatch;
        if (!(co_await Sleep(tasks_.ctx(), interval)).ok()) co_return;
      }
    });
  }
  // At the end of each test: nobody is left behind.
  void End() {
    tasks_.Cancel();
    loop_.RunUntilIdle();
    EXPECT_EQ(gate_.queued(), 0u);
  }

  TestLoop loop_;
  metrics::Registry registry_;
  ServerMetrics metrics_{&registry_};
  double speed_ = 20e6, room_ = 200e6, backlog_ = 0, worst_ = 0;
  MonoTime drained_ = loop_.Now();
  int looks_ = 0;
  WriteGate gate_{&loop_, &metrics_, [this] { return Pressure(); }};
  FairQueue::Flow a_{1}, b_{2};
  TaskGroup tasks_{loop_.ctx()};
};

TEST_F(WriteGateTest, AFastDiskHoldsNobodyBack) {
  speed_ = 200e6;
  uint64_t written = 0;
  for (int i = 0; i < 10; ++i) Load(&a_, &written, 10ms);
  loop_.RunFor(20s);
  EXPECT_FALSE(gate_.rate());
  EXPECT_GT(static_cast<double>(written), 1900e6);
  EXPECT_LE(looks_, 81) << "asked four times a second";
  End();
}

TEST_F(WriteGateTest, ASlowDiskIsNeverOverrunAndIsUsed) {
  uint64_t written = 0;
  for (int i = 0; i < 10; ++i) Load(&a_, &written, 10ms);  // 100 MB/s
  loop_.RunFor(60s);
  EXPECT_TRUE(gate_.rate());
  EXPECT_LT(worst_, 0.9);
  EXPECT_GT(static_cast<double>(written), 0.8 * speed_ * 60) << "held back more than the disk needs";
  End();
}

TEST_F(WriteGateTest, ItOpensWhenTheDiskHasCaughtUp) {
  uint64_t written = 0;
  for (int i = 0; i < 10; ++i) Load(&a_, &written, 10ms);
  loop_.RunFor(20s);
  ASSERT_TRUE(gate_.rate());
  speed_ = 1e9;
  loop_.RunFor(20s);
  EXPECT_FALSE(gate_.rate());
  EXPECT_EQ(metrics_.write_limit->value(), 0);
  const uint64_t before = written;
  loop_.RunFor(5s);
  EXPECT_GT(static_cast<double>(written - before), 450e6);
  End();
}

TEST_F(WriteGateTest, AQuietTenantHardlyWaitsBehindAFlood) {
  uint64_t flood = 0, quiet = 0;
  for (int i = 0; i < 20; ++i) Load(&a_, &flood, 10ms);  // 200 MB/s
  Load(&b_, &quiet, 100ms);  // 1 MB/s
  loop_.RunFor(60s);
  EXPECT_TRUE(gate_.rate());
  EXPECT_GT(static_cast<double>(quiet), 0.75 * 60e6) << "its share is more than it asks for";
  End();
}

TEST_F(WriteGateTest, WeightsShareTheDisk) {
  uint64_t a = 0, b = 0;
  a_.set_weight(1);
  b_.set_weight(3);
  for (int i = 0; i < 20; ++i) {
    Load(&a_, &a, 10ms);
    Load(&b_, &b, 10ms);
  }
  loop_.RunFor(5s);  // until the gate is in the way
  const uint64_t a_before = a, b_before = b;
  loop_.RunFor(60s);
  EXPECT_NEAR(static_cast<double>(b - b_before) / static_cast<double>(a - a_before), 3, 0.2);
  End();
}

TEST_F(WriteGateTest, SomethingAlwaysPasses) {
  speed_ = 1;
  backlog_ = 2 * room_;
  uint64_t written = 0;
  Load(&a_, &written, 0ms);
  loop_.RunFor(60s);
  EXPECT_NEAR(static_cast<double>(written), 60 * (1 << 20), 2 << 20) << "one MiB a second, at the worst";
  End();
}

TEST_F(WriteGateTest, ABatchLargerThanAllThatIsSavedUpPassesAndIsPaidFor) {
  backlog_ = room_;
  speed_ = 1;
  TaskGroup waits(loop_.ctx());
  std::vector<Duration> done;
  const MonoTime begin = loop_.Now();
  for (int i = 0; i < 3; ++i) {
    waits.SpawnFn([&]() -> Task<void> {
      if (!gate_.TryPass(&a_, 10 << 20)) EXPECT_TRUE((co_await gate_.Wait(loop_.ctx(), &a_, 10 << 20, 0)).ok());
      done.push_back(loop_.Now() - begin);
    });
  }
  loop_.RunFor(60s);
  ASSERT_EQ(done.size(), 3u);
  EXPECT_GE(done[2] - done[1], 9s) << "at one MiB a second";
  End();
}

TEST_F(WriteGateTest, ATenantTurnedAwayLeavesAndSoDoesOneWhoseTimeIsUp) {
  backlog_ = room_;
  speed_ = 1;
  ASSERT_FALSE(gate_.TryPass(&a_, kBatch));
  std::optional<absl::Status> away, late;
  TaskGroup waits(loop_.ctx());
  waits.SpawnFn([&]() -> Task<void> { away = co_await gate_.Wait(loop_.ctx(), &a_, kBatch, 0); });
  waits.SpawnFn([&]() -> Task<void> { late = co_await gate_.Wait(loop_.ctx().WithTimeout(1ms), &b_, kBatch, 0); });
  loop_.RunUntilIdle();
  gate_.TurnAway(&a_, absl::UnavailableError("suspended"));
  loop_.RunFor(2ms);
  ASSERT_TRUE(away && late);
  EXPECT_EQ(away->message(), "suspended");
  EXPECT_EQ(late->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(gate_.queued(), 0u);
}

TEST_F(WriteGateTest, AtRestThereIsNoTimer) {
  uint64_t written = 0;
  for (int i = 0; i < 10; ++i) Load(&a_, &written, 1ms);
  loop_.RunFor(20s);
  ASSERT_TRUE(gate_.rate());
  End();
  loop_.RunFor(1s);
  EXPECT_EQ(loop_.timers(), 0u);
  const int looks = looks_;
  loop_.RunFor(3600s);
  EXPECT_EQ(looks_, looks);
  EXPECT_TRUE(gate_.TryPass(&a_, kBatch)) << "what was held back an hour ago";
  EXPECT_FALSE(gate_.rate());
}

}  // namespace
}  // namespace insula::kv
