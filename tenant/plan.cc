#include "tenant/plan.h"

#include <algorithm>

#include "base/strings.h"

namespace insula {
namespace {

constexpr int64_t kLeastRate = 2;  // a baseline of one, and one to lend
constexpr int64_t kMostRate = 1'000'000'000;
constexpr int64_t kMostBurst = 1'000'000'000'000;
constexpr int64_t kBurstSeconds = 10;
constexpr int64_t kBaselinePart = 10;

absl::Status Wrong(const char* what, int64_t value, std::string_view must) { return absl::InvalidArgumentError(StrCat("a plan's ", what, " of ", value, " RU", must)); }

}  // namespace

bool IsNoPlan(const tenant::v1::Plan& plan) { return plan.rate_ru() == 0 && plan.burst_ru() == 0 && plan.baseline_ru() == 0; }

absl::StatusOr<tenant::v1::Plan> CompletePlan(tenant::v1::Plan plan) {
  const int64_t rate = plan.rate_ru();
  if (rate < kLeastRate || rate > kMostRate) return Wrong("rate", rate, StrCat("/s must be from ", kLeastRate, " to ", kMostRate));
  if (plan.burst_ru() == 0) plan.set_burst_ru(rate * kBurstSeconds);
  if (plan.burst_ru() < rate) return Wrong("burst", plan.burst_ru(), StrCat(" must not be less than a second of its rate, ", rate));
  if (plan.burst_ru() > kMostBurst) return Wrong("burst", plan.burst_ru(), StrCat(" must not be more than ", kMostBurst));
  if (plan.baseline_ru() == 0) plan.set_baseline_ru(std::max<int64_t>(1, rate / kBaselinePart));
  if (plan.baseline_ru() < 0) return Wrong("baseline", plan.baseline_ru(), "/s must not be negative");
  if (plan.baseline_ru() >= rate) return Wrong("baseline", plan.baseline_ru(), StrCat("/s must be less than its rate, ", rate));
  return plan;
}

PlanLimits LimitsOf(const tenant::v1::Plan& plan, uint64_t revision) {
  return {.rate = plan.rate_ru() * kMilliRuPerRu, .burst = plan.burst_ru() * kMilliRuPerRu, .baseline = plan.baseline_ru() * kMilliRuPerRu, .revision = revision};
}

}  // namespace insula
