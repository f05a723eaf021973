#include "tenant/lender.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/runtime/random.h"

namespace insula {
namespace {

MonoTime At(Duration d) { return MonoTime(d); }

constexpr PlanLimits kLimits{.rate = 110'000, .burst = 500'000, .baseline = 10'000, .revision = 1};  // 100 RU/s are lent
constexpr MilliRu kAll = INT64_MAX / 4;

TEST(Lender, BeginsWithNothingAndEarnsUpToTheBurst) {
  Lender lender(kLimits, At(10s));
  EXPECT_EQ(lender.available(At(10s)), 0);
  EXPECT_EQ(lender.Lend(1, kAll, At(10s)).amount, 0);
  EXPECT_EQ(lender.available(At(12s)), 200'000);
  EXPECT_FALSE(lender.at_rest(At(12s)));
  EXPECT_EQ(lender.available(At(100s)), 500'000);
  EXPECT_TRUE(lender.at_rest(At(100s)));
}

// L2
TEST(Lender, WhileThereIsPlentyGivesASecondAtATimeAtOnce) {
  Lender lender(kLimits, At(0s));
  MilliRu lent = 0;
  for (int i = 0; i < 4; ++i) {
    Loan loan = lender.Lend(1, kAll, At(100s));
    EXPECT_EQ(loan.amount, 100'000);
    EXPECT_EQ(loan.ask_after, 0s);
    EXPECT_EQ(loan.borrowers, 1u);
    lent += loan.amount;
  }
  EXPECT_EQ(lender.Lend(1, 3, At(100s)).amount, 3) << "no more than is wanted";
  Loan scarce = lender.Lend(1, kAll, At(100s));
  EXPECT_EQ(scarce.amount, 25'000);
  EXPECT_EQ(scarce.ask_after, 250ms);
}

TEST(Lender, WhoComesTooEarlyHearsWhenToComeBack) {
  Lender lender(kLimits, At(0s));
  Loan nothing = lender.Lend(1, kAll, At(0s));
  EXPECT_EQ(nothing.amount, 0);
  EXPECT_EQ(nothing.ask_after, 250ms);
  EXPECT_EQ(lender.Lend(1, kAll, At(250ms)).amount, 25'000);
  // Little is earned soon.
  EXPECT_EQ(lender.Lend(1, 100, At(250ms)).ask_after, 1ms);
}

struct Borrower {
  MonoTime next{};
  MilliRu lent = 0;
};
// All of `nodes` take whatever they can get, for `time`, over a network that takes `trip`.
std::map<uint64_t, MilliRu> Flood(Lender& lender, std::vector<uint64_t> nodes, MonoTime begin, Duration time, Duration trip) {
  std::map<uint64_t, Borrower> all;
  for (uint64_t node : nodes) all[node].next = begin;
  for (MonoTime now = begin; now < begin + time; now += 1ms) {
    for (auto& [id, borrower] : all) {
      if (now < borrower.next) continue;
      Loan loan = lender.Lend(id, kAll, now);
      borrower.lent += loan.amount;
      borrower.next = now + trip + loan.ask_after;
    }
  }
  std::map<uint64_t, MilliRu> lent;
  for (auto& [id, borrower] : all) lent[id] = borrower.lent;
  return lent;
}

// L3
TEST(Lender, NodesThatAllWantMoreGetTheSame) {
  Lender lender(kLimits, At(0s));
  auto lent = Flood(lender, {1, 2, 3, 4}, At(100s), 100s, 2ms);
  MilliRu sum = 0;
  for (auto& [node, amount] : lent) {
    EXPECT_NEAR(static_cast<double>(amount), 10'500'000.0 / 4, 200'000) << node;
    sum += amount;
  }
  EXPECT_LE(sum, 500'000 + 100 * 100'000);
  EXPECT_GE(sum, 100 * 100'000) << "nothing that is earned stays away from who wants it";
}

TEST(Lender, WhatSomeDoNotAskForGoesToTheOthers) {
  Lender lender(kLimits, At(0s));
  MonoTime next = At(100s);
  MilliRu greedy = 0;
  for (MonoTime now = At(100s); now < At(200s); now += 1ms) {
    // Two others ask for next to nothing, and are counted.
    if (now.time_since_epoch() % 2s == 0s) {
      lender.Lend(2, 10, now);
      lender.Lend(3, 10, now);
    }
    if (now < next) continue;
    Loan loan = lender.Lend(1, kAll, now);
    EXPECT_LE(loan.amount, 100'000);
    greedy += loan.amount;
    next = now + 2ms + loan.ask_after;
  }
  EXPECT_GE(greedy, 95 * 100'000);
}

TEST(Lender, ANodeThatIsGoneIsCountedForAWhile) {
  Lender lender(kLimits, At(0s));
  lender.Lend(2, 1, At(100s));
  EXPECT_EQ(lender.Lend(1, kAll, At(100s)).borrowers, 2u);
  EXPECT_EQ(lender.Lend(1, kAll, At(105s)).borrowers, 2u);
  EXPECT_EQ(lender.Lend(1, kAll, At(105s + 1ms)).borrowers, 1u);
}

// L1, over leaders that come and go, nodes that ask as they please, and plans that change: against a bucket that is told of each loan.
TEST(Lender, NeverLendsMoreThanThePlanSays) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SeededRandom random(seed);
    Duration t = std::chrono::seconds(static_cast<int64_t>(random.Uniform(20)));
    const MonoTime begin = At(t);
    auto lender = std::make_unique<Lender>(kLimits, At(0s));
    std::vector<std::pair<MonoTime, MilliRu>> loans;
    for (int i = 0; i < 2000; ++i) {
      t += std::chrono::microseconds(random.Uniform(random.Uniform(10) == 0 ? 2'000'000 : 20'000));
      if (random.Uniform(100) == 0) lender = std::make_unique<Lender>(kLimits, At(t));
      const MilliRu wanted = random.Uniform(3) == 0 ? kAll : static_cast<MilliRu>(random.Uniform(50'000));
      loans.emplace_back(At(t), lender->Lend(1 + random.Uniform(4), wanted, At(t)).amount);
    }
    // Any stretch of time: as the bucket is a bucket, those from the beginning say it for all (level >= 0 throughout).
    MilliRu level = 500'000;
    MonoTime last = begin;
    for (auto& [when, amount] : loans) {
      level = std::min<MilliRu>(500'000, level + (when - last).count() * 100'000 / 1'000'000'000 + 1);
      last = when;
      level -= amount;
      ASSERT_GE(level, 0) << "seed " << seed;
    }
  }
}

TEST(Lender, TheNewestPlanCounts) {
  Lender lender(kLimits, At(0s));
  PlanLimits smaller{.rate = 20'000, .burst = 30'000, .baseline = 10'000, .revision = 3};
  lender.SetLimits(smaller, At(100s));
  EXPECT_EQ(lender.available(At(100s)), 30'000);
  PlanLimits older = kLimits;
  older.revision = 2;
  lender.SetLimits(older, At(100s));
  EXPECT_EQ(lender.available(At(1000s)), 30'000);
}

}  // namespace
}  // namespace insula
