#include "tenant/plan.h"

#include <gtest/gtest.h>

namespace insula {
namespace {

tenant::v1::Plan Make(int64_t rate, int64_t burst, int64_t baseline) {
  tenant::v1::Plan plan;
  plan.set_rate_ru(rate);
  plan.set_burst_ru(burst);
  plan.set_baseline_ru(baseline);
  return plan;
}

std::string Refusal(int64_t rate, int64_t burst, int64_t baseline) {
  auto complete = CompletePlan(Make(rate, burst, baseline));
  EXPECT_EQ(complete.status().code(), absl::StatusCode::kInvalidArgument) << rate << " " << burst << " " << baseline;
  return std::string(complete.status().message());
}

TEST(Plan, FillsInWhatIsLeftOpen) {
  auto plan = CompletePlan(Make(500, 0, 0));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->burst_ru(), 5000);
  EXPECT_EQ(plan->baseline_ru(), 50);
  EXPECT_EQ(CompletePlan(Make(2, 0, 0))->baseline_ru(), 1) << "never nothing";
  auto as_said = CompletePlan(Make(500, 500, 499));
  ASSERT_TRUE(as_said.ok());
  EXPECT_EQ(as_said->burst_ru(), 500);
  EXPECT_EQ(as_said->baseline_ru(), 499);
}

TEST(Plan, SaysWhichNumberIsWrong) {
  EXPECT_EQ(Refusal(-5, 0, 0), "a plan's rate of -5 RU/s must be from 2 to 1000000000");
  EXPECT_EQ(Refusal(0, 100, 0), "a plan's rate of 0 RU/s must be from 2 to 1000000000");
  EXPECT_EQ(Refusal(1, 0, 0), "a plan's rate of 1 RU/s must be from 2 to 1000000000");
  EXPECT_EQ(Refusal(INT64_MAX, 0, 0), "a plan's rate of 9223372036854775807 RU/s must be from 2 to 1000000000");
  EXPECT_EQ(Refusal(100, 99, 0), "a plan's burst of 99 RU must not be less than a second of its rate, 100");
  EXPECT_EQ(Refusal(100, -1, 0), "a plan's burst of -1 RU must not be less than a second of its rate, 100");
  EXPECT_EQ(Refusal(100, INT64_MAX, 0), "a plan's burst of 9223372036854775807 RU must not be more than 1000000000000");
  EXPECT_EQ(Refusal(100, 0, -1), "a plan's baseline of -1 RU/s must not be negative");
  EXPECT_EQ(Refusal(100, 0, 100), "a plan's baseline of 100 RU/s must be less than its rate, 100");
}

TEST(Plan, NothingSaidIsNoPlan) {
  EXPECT_TRUE(IsNoPlan(tenant::v1::Plan()));
  EXPECT_FALSE(IsNoPlan(Make(0, 1, 0)));
  EXPECT_FALSE(IsNoPlan(Make(-1, 0, 0)));
}

TEST(Plan, LimitsAreThousandths) {
  PlanLimits limits = LimitsOf(*CompletePlan(Make(500, 600, 20)), 7);
  EXPECT_EQ(limits.rate, 500'000);
  EXPECT_EQ(limits.burst, 600'000);
  EXPECT_EQ(limits.baseline, 20'000);
  EXPECT_EQ(limits.lent_rate(), 480'000);
  EXPECT_EQ(limits.revision, 7u);
}

}  // namespace
}  // namespace insula
