#include "kv/server/plan_gate.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/async/task_group.h"
#include "base/metrics/metrics.h"
#include "base/status_macros.h"
#include "kv/api/testing/test_loop.h"
#include "kv/server/admission.h"

namespace insula::kv {
namespace {

namespace pb = insula::tenant::v1;
constexpr MilliRu kCost = kMilliRuPerRu;  // of each batch in these tests

// One node's admission, and a lender behind a network that takes a millisecond each way.
class PlanGateTest : public testing::Test {
 protected:
  PlanGateTest() {
    record_.set_id(7);
    record_.set_revision(5);
    record_.mutable_plan()->set_rate_ru(110);
    record_.mutable_plan()->set_burst_ru(200);
    record_.mutable_plan()->set_baseline_ru(10);
    admission_.SetOnForgotten([this](TenantId tenant) { forgotten_.push_back(tenant); });
  }
  ~PlanGateTest() override { tasks_.Cancel(); }

  Task<absl::StatusOr<Loan>> Ask(Context ctx, TenantId tenant, PlanLimits limits, MilliRu wanted) {
    ++asked_;
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, 2ms));
    if (!reachable_) {
      CO_RETURN_IF_ERROR(co_await Sleep(ctx, 60s));
    }
    auto& lender = lenders_[tenant];
    if (!lender) lender.emplace(limits, loop_.Now() - 100s);
    lender->SetLimits(limits, loop_.Now());
    co_return lender->Lend(1, wanted, loop_.Now());
  }
  // `clients` of the tenant send one batch after another.
  void Flood(Admission::Stream& stream, int clients, int* served) {
    for (int i = 0; i < clients; ++i) {
      tasks_.SpawnFn([this, &stream, served]() -> Task<void> {
        while (tasks_.ctx().status().ok()) {
          if (!(co_await One(stream, false)).ok()) co_return;
          ++*served;
          if (!(co_await tasks_.ctx().Yield()).ok()) co_return;
        }
      });
    }
  }
  Task<absl::Status> One(Admission::Stream& stream, bool finishing, MilliRu more = 0) {
    auto batch = stream.Begin(1000, finishing);
    if (!batch.ok()) co_return batch.status();
    if (!batch->TryPlan(kCost, finishing)) CO_RETURN_IF_ERROR(co_await batch->AdmitPlan(tasks_.ctx(), kCost, finishing, 0));
    batch->Charge(more);
    co_return absl::OkStatus();
  }

  TestLoop loop_;
  metrics::Registry registry_;
  ServerMetrics metrics_{&registry_};
  std::map<TenantId, std::optional<Lender>> lenders_;
  int asked_ = 0;
  bool reachable_ = true;
  std::vector<TenantId> forgotten_;
  pb::TenantRecord record_;
  Admission admission_{&loop_,
                       &metrics_,
                       {},
                       [] { return 0.0; },
                       {.ask = [this](Context ctx, TenantId tenant, PlanLimits limits, MilliRu wanted) { return Ask(std::move(ctx), tenant, limits, wanted); },
                        .nodes = [] { return 1u; }}};
  TaskGroup tasks_{loop_.ctx()};
};

TEST_F(PlanGateTest, WithoutAPlanNobodyIsAsked) {
  auto stream = *admission_.OpenStream(7);
  auto batch = *stream.Begin(1000, false);
  for (int i = 0; i < 100'000; ++i) EXPECT_TRUE(batch.TryPlan(kCost, false));
  loop_.RunFor(1s);
  EXPECT_EQ(asked_, 0);
  EXPECT_EQ(registry_.Render().find("insula_kv_plan_waits_total{"), std::string::npos) << "not even a series";
}

TEST_F(PlanGateTest, AFloodGetsTheBurstAndThenTheRate) {
  auto stream = *admission_.OpenStream(7);
  admission_.SetPlan(record_);
  int served = 0;
  Flood(stream, 50, &served);
  loop_.RunFor(1s);
  EXPECT_NEAR(served, 100 + 110 + 10, 60) << "all of the burst but a second, or what of that was needed";
  const int burst = served;
  loop_.RunFor(100s);
  EXPECT_NEAR(served - burst, 100 * 110, 120);
  EXPECT_LE(served, 200 + 101 * 110 + 10 + 2);
  EXPECT_LE(asked_, 101 * 5) << "four slices a second";
  EXPECT_GT(metrics_.plan_waits->With({"7"})->value(), 0);
  EXPECT_NEAR(metrics_.plan_baseline->With({"7"})->value(), 101 * 10, 15);
  EXPECT_NEAR(metrics_.plan_borrowed->With({"7"})->value(), served - 101 * 10, 40);
}

TEST_F(PlanGateTest, AtRestNothingRuns) {
  auto stream = *admission_.OpenStream(7);
  admission_.SetPlan(record_);
  for (int i = 0; i < 60; ++i) tasks_.SpawnFn([&]() -> Task<void> { (void)co_await One(stream, false); });
  loop_.RunFor(10s);
  EXPECT_EQ(tasks_.size(), 0u);
  EXPECT_EQ(admission_.plans().busy(), 0u);
  EXPECT_EQ(loop_.timers(), 0u);
  const int asked = asked_;
  EXPECT_GE(asked, 1);
  loop_.RunFor(1h);
  EXPECT_EQ(asked_, asked);
}

// P2
TEST_F(PlanGateTest, WithoutALenderItGoesOnAtItsBaselineAndRecovers) {
  auto stream = *admission_.OpenStream(7);
  admission_.SetPlan(record_);
  int served = 0;
  Flood(stream, 50, &served);
  loop_.RunFor(10s);
  reachable_ = false;
  loop_.RunFor(2s);  // what was lent goes
  int before = served;
  loop_.RunFor(60s);
  EXPECT_NEAR(served - before, 600, 12);
  EXPECT_GT(metrics_.plan_not_answered->value(), 10);
  EXPECT_LT(metrics_.plan_not_answered->value(), 40);
  reachable_ = true;
  loop_.RunFor(4s);
  before = served;
  loop_.RunFor(20s);
  EXPECT_NEAR(served - before, 20 * 110, 220);
}

// What a pod does not say before: a batch that reads a thousand times what it seemed to.
TEST_F(PlanGateTest, WhoeverSpendsMoreThanItSaidFallsToItsBaselineUntilItIsPaid) {
  auto stream = *admission_.OpenStream(7);
  admission_.SetPlan(record_);
  int served = 0;
  Flood(stream, 50, &served);
  loop_.RunFor(10s);
  tasks_.SpawnFn([&]() -> Task<void> { (void)co_await One(stream, /*finishing=*/true, 1000 * kCost); });
  loop_.RunFor(100ms);
  int before = served;
  loop_.RunFor(8s);
  EXPECT_NEAR(served - before, 80, 9) << "the baseline, while ten seconds of the rest pay";
  loop_.RunFor(4s);
  before = served;
  loop_.RunFor(10s);
  EXPECT_NEAR(served - before, 1100, 110);
}

TEST_F(PlanGateTest, WhatEndsTransactionsGoesFirstAndWaitsOnlyFarInDebt) {
  auto stream = *admission_.OpenStream(7);
  admission_.SetPlan(record_);
  reachable_ = false;
  int served = 0;
  Flood(stream, 5, &served);
  loop_.RunFor(1s);
  int finished = 0;
  for (int i = 0; i < 200; ++i) {
    tasks_.SpawnFn([&]() -> Task<void> {
      if ((co_await One(stream, /*finishing=*/true)).ok()) ++finished;
    });
  }
  loop_.RunUntilIdle();
  EXPECT_EQ(finished, 110) << "a second of the rate";
  const int before = served;
  loop_.RunFor(5s);
  EXPECT_NEAR(finished, 160, 1);
  EXPECT_EQ(served, before) << "nothing else passes before";
  EXPECT_EQ(admission_.plans().queued(), 200u - static_cast<size_t>(finished) + 5u);
}

TEST_F(PlanGateTest, APlanThatChangesCountsAtOnce) {
  auto stream = *admission_.OpenStream(7);
  admission_.SetPlan(record_);
  int served = 0;
  Flood(stream, 50, &served);
  loop_.RunFor(10s);
  record_.mutable_plan()->set_rate_ru(1100);
  record_.mutable_plan()->set_burst_ru(1100);
  record_.mutable_plan()->set_baseline_ru(100);
  record_.set_revision(6);
  admission_.SetPlan(record_);
  loop_.RunFor(1s);
  int before = served;
  loop_.RunFor(10s);
  EXPECT_NEAR(served - before, 11'000, 1'100);
  // One that cannot be changes nothing (records are checked before they are written).
  record_.mutable_plan()->set_burst_ru(-1);
  record_.set_revision(7);
  admission_.SetPlan(record_);
  before = served;
  loop_.RunFor(10s);
  EXPECT_NEAR(served - before, 11'000, 1'100);
}

TEST_F(PlanGateTest, WhosePlanIsTakenAwayWaitsNoLonger) {
  auto stream = *admission_.OpenStream(7);
  admission_.SetPlan(record_);
  reachable_ = false;
  std::vector<absl::Status> ended(100, absl::UnknownError("waits"));
  for (size_t i = 0; i < ended.size(); ++i) {
    tasks_.SpawnFn([&, i]() -> Task<void> { ended[i] = co_await One(stream, false); });
  }
  loop_.RunUntilIdle();
  EXPECT_GT(admission_.plans().queued(), 80u);
  record_.clear_plan();
  record_.set_revision(6);
  admission_.SetPlan(record_);
  loop_.RunUntilIdle();
  for (auto& status : ended) EXPECT_TRUE(status.ok()) << status;
  loop_.RunFor(10s);
  EXPECT_EQ(admission_.plans().busy(), 0u);
}

TEST_F(PlanGateTest, WhoIsTurnedAwayOrCancelledLeaves) {
  auto stream = *admission_.OpenStream(7);
  auto other = *admission_.OpenStream(8);
  admission_.SetPlan(record_);
  record_.set_id(8);
  admission_.SetPlan(record_);
  reachable_ = false;
  std::map<int, absl::Status> ended;
  auto cancelled = std::make_unique<TaskGroup>(loop_.ctx());
  for (auto* s : {&stream, &other}) {
    while (s->Begin(10, false)->TryPlan(kCost, false)) {
    }
  }
  tasks_.SpawnFn([&]() -> Task<void> { ended[7] = co_await One(stream, false); });
  tasks_.SpawnFn([&]() -> Task<void> { ended[8] = co_await One(other, false); });
  cancelled->SpawnFn([&]() -> Task<void> { (void)co_await One(other, false); });
  loop_.RunUntilIdle();
  EXPECT_EQ(admission_.plans().queued(), 3u);
  cancelled.reset();
  admission_.TurnAway(7, absl::FailedPreconditionError("suspended"));
  loop_.RunUntilIdle();
  EXPECT_EQ(ended[7], absl::FailedPreconditionError("suspended"));
  EXPECT_FALSE(ended.contains(8));
  EXPECT_EQ(admission_.plans().queued(), 1u);
  loop_.RunFor(10s);
  EXPECT_TRUE(ended[8].ok());
  EXPECT_EQ(admission_.plans().busy(), 0u);
}

// A6: who is forgotten is told of, so that whoever comes back gets its plan again; and nobody shakes off a debt by going away.
TEST_F(PlanGateTest, NobodyLosesItsPlanOrItsDebtByGoingAway) {
  {
    auto stream = *admission_.OpenStream(7);
    admission_.SetPlan(record_);
    tasks_.SpawnFn([&]() -> Task<void> { (void)co_await One(stream, true, 1000 * kCost); });
    loop_.RunUntilIdle();
  }
  loop_.RunFor(30s);
  auto other = *admission_.OpenStream(8);
  EXPECT_EQ(forgotten_, std::vector<TenantId>());
  EXPECT_EQ(admission_.tenants(), 2u);
  {
    auto stream = *admission_.OpenStream(7);
    int served = 0;
    Flood(stream, 50, &served);
    loop_.RunFor(200s);  // paid
    tasks_.Cancel();
    loop_.RunUntilIdle();
  }
  loop_.RunFor(30s);
  auto third = *admission_.OpenStream(9);  // what is owed is paid now
  loop_.RunFor(30s);
  auto fourth = *admission_.OpenStream(10);
  EXPECT_EQ(forgotten_, std::vector<TenantId>{7});
}

}  // namespace
}  // namespace insula::kv
