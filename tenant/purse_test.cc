#include "tenant/purse.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "base/runtime/random.h"

namespace insula {
namespace {

using Pot = Purse::Pot;
MonoTime At(Duration d) { return MonoTime(d); }

constexpr PlanLimits kLimits{.rate = 130'000, .burst = 500'000, .baseline = 30'000, .revision = 1};  // 100 RU/s are lent, 30 are not

Loan Of(MilliRu amount, uint32_t borrowers = 3, Duration ask_after = 0s) { return {.amount = amount, .borrowers = borrowers, .ask_after = ask_after}; }

TEST(Purse, WhoLivesWithinTheBaselineNeverAsks) {
  Purse purse(kLimits, 3, At(0s));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(purse.Take(900, false, At(i * 100ms)), Pot::kBaseline) << i;  // 9 RU/s of 10
    EXPECT_EQ(purse.Wanted(0, At(i * 100ms)), std::nullopt);
  }
}

TEST(Purse, PastTheBaselineBorrowsAndSpends) {
  Purse purse(kLimits, 3, At(0s));
  EXPECT_EQ(purse.Take(9'500, false, At(0s)), Pot::kBaseline);
  EXPECT_EQ(purse.Take(3'000, false, At(0s)), Pot::kBaseline) << "something is left: into debt";
  EXPECT_EQ(purse.Take(3'000, false, At(0s)), Pot::kNone);
  EXPECT_EQ(purse.UntilAvailable(At(0s)), 250'100us) << "2.5 RU of debt at 10 a second, and the first thousandth";
  EXPECT_EQ(purse.Wanted(3'000, At(0s)), 3'000);
  purse.Lent(Of(5'000), At(1ms));
  EXPECT_EQ(purse.UntilAvailable(At(1ms)), 0s);
  EXPECT_EQ(purse.Take(3'000, false, At(1ms)), Pot::kSlice);
  EXPECT_EQ(purse.Take(3'000, false, At(1ms)), Pot::kSlice);
  EXPECT_EQ(purse.slice(At(1ms)), -1'000);
  EXPECT_EQ(purse.Take(3'000, false, At(1ms)), Pot::kNone);
  // 6 RU in a millisecond count as in ten: 600 RU/s; and the debt.
  EXPECT_EQ(purse.Wanted(0, At(2ms)), 601'000);
}

TEST(Purse, AsksAheadAtHalfOfTheSliceAndNotBeforeItMay) {
  Purse purse(kLimits, 3, At(0s));
  (void)purse.Take(10'000, false, At(0s));
  purse.Lent(Of(10'000, 3, 250ms), At(0s));
  EXPECT_EQ(purse.Take(4'000, false, At(10ms)), Pot::kSlice);
  EXPECT_EQ(purse.Wanted(0, At(400ms)), std::nullopt);
  EXPECT_EQ(purse.Take(4'000, false, At(20ms)), Pot::kSlice);
  EXPECT_EQ(purse.Wanted(0, At(249ms)), std::nullopt);
  EXPECT_EQ(purse.Wanted(1'000'000, At(249ms)), std::nullopt);
  EXPECT_EQ(purse.Wanted(0, At(250ms)), 8'000 * 4 - 2'000) << "what it spends in a second, less what it has";
}

TEST(Purse, WhatIsNotSpentLapses) {
  Purse purse(kLimits, 3, At(0s));
  (void)purse.Take(10'000, false, At(0s));
  purse.Lent(Of(10'000), At(0s));
  EXPECT_EQ(purse.slice(At(5s) - 1ns), 10'000);
  EXPECT_EQ(purse.slice(At(5s)), 0);
  EXPECT_TRUE(purse.at_rest(At(5s)));
  EXPECT_EQ(purse.Wanted(0, At(60s)), std::nullopt) << "at rest nothing is asked";
}

TEST(Purse, TheBaselineIsDividedAmongThoseWhoSpend) {
  Purse purse(kLimits, 3, At(0s));
  (void)purse.Take(10'000, false, At(0s));
  EXPECT_EQ(purse.baseline(At(10s)), 10'000) << "among all nodes, as long as nothing is known";
  purse.Lent(Of(1'000, 1), At(10s));
  EXPECT_EQ(purse.baseline(At(14s)), 30'000) << "alone";
  EXPECT_EQ(purse.slice(At(15s)), 0);
  EXPECT_EQ(purse.baseline(At(15s)), 10'000) << "what the lender said is not true for ever";
}

TEST(Purse, WithoutALenderTheBaselineStays) {
  Purse purse(kLimits, 3, At(0s));
  purse.Lent(Of(1, 1), At(0s));
  MilliRu spent = 0;
  for (Duration t = 0s; t < 60s; t += 10ms) {
    if (purse.Wanted(1'000, At(t))) purse.NotAnswered(At(t));
    while (purse.Take(1'000, false, At(t)) != Pot::kNone) spent += 1'000;
  }
  EXPECT_NEAR(static_cast<double>(spent), 60 * 30'000, 31'000) << "all of it here, as this node was told to be the only one";
}

TEST(Purse, ALenderThatDoesNotAnswerIsAskedMoreAndMoreRarely) {
  Purse purse(kLimits, 3, At(0s));
  int asked = 0;
  for (Duration t = 0s; t < 60s; t += 10ms) {
    if (!purse.Wanted(1'000, At(t))) continue;
    ++asked;
    purse.NotAnswered(At(t));
  }
  EXPECT_LE(asked, 34);
  purse.Lent(Of(1'000), At(60s));
  EXPECT_EQ(purse.ask_at(), At(60s));
}

// A pod that asks for little and then reads much.
TEST(Purse, WhatCostMoreThanForeseenIsPaidByItsOwnPot) {
  Purse purse(kLimits, 1, At(0s));
  Pot pot = purse.Take(1'000, false, At(0s));
  ASSERT_EQ(pot, Pot::kBaseline);
  purse.Charge(pot, 300'000, At(0s));
  EXPECT_EQ(purse.UntilAvailable(At(0s)) / 1ms, 9033);
  purse.Lent(Of(10'000, 1), At(0s));
  pot = purse.Take(1'000, false, At(0s));
  ASSERT_EQ(pot, Pot::kSlice);
  purse.Charge(pot, 100'000, At(0s));
  EXPECT_EQ(purse.slice(At(0s)), -91'000);
  EXPECT_EQ(purse.Take(1'000, false, At(1s)), Pot::kNone) << "both are in debt";
  // The debt does not lapse, and goes with the next slices.
  EXPECT_EQ(purse.slice(At(60s)), -91'000);
  EXPECT_FALSE(purse.at_rest(At(60s)));
  EXPECT_GE(purse.Wanted(0, At(60s)), 91'000) << "and is paid without anybody waiting";
  EXPECT_EQ(purse.Take(1'000, false, At(60s)), Pot::kBaseline) << "past the limit there is the baseline";
  purse.Lent(Of(91'001), At(60s));
  EXPECT_EQ(purse.slice(At(60s)), 1);
  // What was refused was work, too.
  purse.Charge(Pot::kNone, 500, At(60s));
  EXPECT_EQ(purse.slice(At(60s)), -499);
}

TEST(Purse, NoDebtIsLongerThanAnHour) {
  Purse purse(kLimits, 1, At(0s));
  purse.Charge(Pot::kSlice, INT64_MAX / 4, At(0s));
  purse.Charge(Pot::kBaseline, INT64_MAX / 4, At(0s));
  EXPECT_EQ(purse.slice(At(0s)), -130'000ll * 3600);
  EXPECT_EQ(purse.baseline(At(0s)), -30'000ll * 3600);
}

// U2
TEST(Purse, WhatEndsTransactionsHasAReserve) {
  Purse purse(kLimits, 1, At(0s));
  (void)purse.Take(30'000, false, At(0s));
  EXPECT_EQ(purse.Take(2'000, false, At(0s)), Pot::kNone);
  int passed = 0;
  while (purse.Take(2'000, true, At(0s)) == Pot::kSlice) ++passed;
  EXPECT_EQ(passed, 65) << "a second of the rate";
}

TEST(Purse, AnOlderPlanIsNotHeeded) {
  Purse purse(kLimits, 1, At(0s));
  PlanLimits next{.rate = 20'000, .burst = 30'000, .baseline = 10'000, .revision = 3};
  purse.SetLimits(next, 1, At(0s));
  EXPECT_EQ(purse.baseline(At(0s)), 10'000);
  purse.SetLimits(kLimits, 1, At(0s));
  EXPECT_EQ(purse.limits().rate, 20'000);
}

// U1 with L1: some nodes, a lender that is lost and found, batches that cost more than they say, and floods. What was spent never exceeds
// the plan by more than the bounds that the headers name, and a flood gets what the plan says.
TEST(Purse, NodesTogetherSpendWhatThePlanSaysAndNoMore) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    constexpr int kNodes = 3;
    constexpr MilliRu kDearest = 5'000;
    Lender lender(kLimits, At(-100s));
    std::vector<Purse> purses;
    for (int i = 0; i < kNodes; ++i) purses.emplace_back(kLimits, kNodes, At(0s));
    MilliRu spent = 0;
    bool reachable = true;
    Duration unreachable_time = 0s;
    constexpr Duration kTime = 60s;
    for (Duration t = 0s; t < kTime; t += 1ms) {
      if (seed % 2 == 0 && random.Uniform(5000) == 0) reachable = !reachable;
      if (!reachable) unreachable_time += 1ms;
      for (int i = 0; i < kNodes; ++i) {
        Purse& purse = purses[static_cast<size_t>(i)];
        if (auto wanted = purse.Wanted(10'000, At(t))) {
          reachable ? purse.Lent(lender.Lend(static_cast<uint64_t>(i), *wanted, At(t)), At(t)) : purse.NotAnswered(At(t));
        }
        while (true) {
          const Pot pot = purse.Take(1'000, false, At(t));
          if (pot == Pot::kNone) break;
          const auto more = static_cast<MilliRu>(random.Uniform(kDearest));
          purse.Charge(pot, more, At(t));
          spent += 1'000 + more;
        }
      }
    }
    const auto seconds = static_cast<double>(kTime.count()) / 1e9, without = static_cast<double>(unreachable_time.count()) / 1e9;
    // The burst, each node's second of the baseline, and a batch of each in debt.
    const double bound = 130'000 * seconds + 500'000 + 30'000 + kNodes * 2 * (1'000 + kDearest);
    EXPECT_LE(static_cast<double>(spent), bound) << "seed " << seed;
    // Retries, and the lender's reserve.
    EXPECT_GE(static_cast<double>(spent), 0.9 * (30'000 * seconds + 100'000 * (seconds - 2 * without - 2))) << "seed " << seed << " without " << without;
  }
}

}  // namespace
}  // namespace insula
