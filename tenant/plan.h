// A tenant's plan: what it may spend in the whole cluster, in request units.
//
//   rate ─┬─ baseline     every node has a part of it and asks nobody: never withheld      (purse.h)
//         └─ the rest     goes into one bucket of `burst`, lent to the nodes in slices     (lender.h)
//
// A tenant without a plan is limited by its part of each node alone (NodeShare).
#ifndef INSULA_TENANT_PLAN_H_
#define INSULA_TENANT_PLAN_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/cost_model.h"

namespace insula {

// A plan as the record keeps it: what it leaves open (0) is filled in, a burst of ten seconds and a baseline of a tenth of the rate.
// kInvalidArgument: which number is wrong, and what it must be.
absl::StatusOr<tenant::v1::Plan> CompletePlan(tenant::v1::Plan plan);
// Whether the plan says nothing: no limit.
bool IsNoPlan(const tenant::v1::Plan& plan);

struct PlanLimits {
  MilliRu rate = 0;      // per second, with the baseline
  MilliRu burst = 0;
  MilliRu baseline = 0;  // per second; below the rate
  uint64_t revision = 0; // of the record that says so
  // What the bucket earns in a second.
  MilliRu lent_rate() const { return rate - baseline; }
};
// Of a complete plan.
PlanLimits LimitsOf(const tenant::v1::Plan& plan, uint64_t revision);

}  // namespace insula

#endif  // INSULA_TENANT_PLAN_H_
