#include "kv/server/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "base/runtime/random.h"

namespace insula::kv {
namespace {

struct Work : FairQueue::Item {
  int flow = 0;
  int number = 0;
};

class FairQueueTest : public testing::Test {
 protected:
  FairQueueTest() {
    for (int i = 0; i < 4; ++i) flows_.push_back(std::make_unique<FairQueue::Flow>(static_cast<uint64_t>(i)));
  }
  void Push(int flow, int64_t cost, int priority = 0) {
    work_.emplace_back();
    work_.back().flow = flow;
    work_.back().number = static_cast<int>(work_.size());
    queue_.Push(flows_[static_cast<size_t>(flow)].get(), &work_.back(), cost, priority);
  }
  int PopFlow() {
    auto* work = static_cast<Work*>(queue_.Pop());
    return work == nullptr ? -1 : work->flow;
  }

  std::vector<std::unique_ptr<FairQueue::Flow>> flows_;
  FairQueue queue_;
  std::deque<Work> work_;
};

TEST_F(FairQueueTest, SharesByWeight) {
  flows_[0]->set_weight(1);
  flows_[1]->set_weight(3);
  for (int i = 0; i < 1000; ++i) {
    Push(0, 10);
    Push(1, 10);
  }
  std::map<int, int> served;
  for (int i = 0; i < 400; ++i) ++served[PopFlow()];
  EXPECT_NEAR(served[0], 100, 2);
  EXPECT_NEAR(served[1], 300, 2);
}

TEST_F(FairQueueTest, DearItemsCountForWhatTheyCost) {
  for (int i = 0; i < 1000; ++i) {
    Push(0, 100);
    Push(1, 10);
  }
  std::map<int, int64_t> served;
  for (int i = 0; i < 440; ++i) {
    int flow = PopFlow();
    served[flow] += flow == 0 ? 100 : 10;
  }
  EXPECT_NEAR(static_cast<double>(served[0]), static_cast<double>(served[1]), 100);
}

// F2: however long the others have been at it, whoever comes waits for one item of each.
TEST_F(FairQueueTest, WhoComesBackWaitsForOneItemOfEachOther) {
  for (int i = 0; i < 5000; ++i) Push(0, 7);
  for (int i = 0; i < 5000; ++i) Push(1, 70);
  for (int i = 0; i < 1000; ++i) PopFlow();
  for (int round = 0; round < 20; ++round) {
    Push(2, 5);
    int before = 0;
    while (PopFlow() != 2) ++before;
    EXPECT_LE(before, 2) << round;
    for (int i = 0; i < 50; ++i) PopFlow();
  }
}

TEST_F(FairQueueTest, APauseGivesNoCredit) {
  for (int i = 0; i < 100; ++i) Push(0, 10);
  for (int i = 0; i < 50; ++i) PopFlow();
  for (int i = 0; i < 100; ++i) Push(1, 10);
  int ones = 0;
  for (int i = 0; i < 40; ++i) ones += PopFlow();
  EXPECT_NEAR(ones, 20, 1) << "half, not all until it has caught up";
}

TEST_F(FairQueueTest, WhoWorksAloneRunsUpNoDebt) {
  for (int i = 0; i < 10'000; ++i) queue_.Charge(flows_[0].get(), 1000);
  for (int i = 0; i < 100; ++i) {
    Push(0, 10);
    Push(1, 10);
  }
  // At most the last item of its past counts.
  int zeros = 0;
  for (int i = 0; i < 150; ++i) zeros += PopFlow() == 0 ? 1 : 0;
  EXPECT_GE(zeros, 50);
}

TEST_F(FairQueueTest, WhatIsChargedAfterwardsIsPaidForNext) {
  Push(0, 10);
  Push(0, 10);
  Push(1, 10);
  Push(1, 10);
  EXPECT_EQ(PopFlow(), 0);
  queue_.Charge(flows_[0].get(), 100);
  EXPECT_EQ(PopFlow(), 1);
  EXPECT_EQ(PopFlow(), 1);
  EXPECT_EQ(PopFlow(), 0);
  EXPECT_EQ(PopFlow(), -1);
}

TEST_F(FairQueueTest, WithinAFlowPriorityThenArrival) {
  Push(0, 1, 0);
  Push(0, 1, 5);
  Push(0, 1, 5);
  Push(0, 1, -1);
  std::vector<int> order;
  while (auto* work = static_cast<Work*>(queue_.Pop())) order.push_back(work->number);
  EXPECT_EQ(order, (std::vector<int>{2, 3, 1, 4}));
}

TEST_F(FairQueueTest, ItemsLeaveWithTheirOwner) {
  auto gone = std::make_unique<Work>();
  queue_.Push(flows_[0].get(), gone.get(), 1, 0);
  Push(1, 1);
  gone.reset();
  EXPECT_EQ(queue_.size(), 1u);
  EXPECT_EQ(queue_.waiting_flows(), 1u);
  EXPECT_EQ(PopFlow(), 1);
  Push(2, 1);
  EXPECT_EQ(static_cast<Work*>(queue_.Drop(flows_[2].get()))->flow, 2);
  EXPECT_EQ(queue_.Drop(flows_[2].get()), nullptr);
  EXPECT_TRUE(queue_.empty());
}

// F1 over random work: two flows that have both waited all along are never further apart than one item of each.
TEST_F(FairQueueTest, RandomWorkStaysFair) {
  SeededRandom random(3);
  std::vector<int64_t> weights = {1, 2, 5, 9};
  for (size_t i = 0; i < 4; ++i) flows_[i]->set_weight(static_cast<uint32_t>(weights[i]));
  constexpr int64_t kDearest = 1000;
  for (int i = 0; i < 4; ++i) {
    for (int n = 0; n < 3; ++n) Push(i, 1 + static_cast<int64_t>(random.Uniform(kDearest)));
  }
  std::vector<double> served(4, 0);
  for (int step = 0; step < 50'000; ++step) {
    auto* work = static_cast<Work*>(queue_.Pop());
    ASSERT_NE(work, nullptr);
    served[static_cast<size_t>(work->flow)] += static_cast<double>(work->cost());
    queue_.Push(flows_[static_cast<size_t>(work->flow)].get(), work, 1 + static_cast<int64_t>(random.Uniform(kDearest)), 0);
    for (size_t a = 0; a < 4; ++a) {
      for (size_t b = a + 1; b < 4; ++b) {
        double wa = static_cast<double>(weights[a]), wb = static_cast<double>(weights[b]);
        ASSERT_LE(std::abs(served[a] / wa - served[b] / wb), kDearest / wa + kDearest / wb + step * 0.01) << step;
      }
    }
  }
  while (queue_.Pop() != nullptr) {
  }
}

}  // namespace
}  // namespace insula::kv
