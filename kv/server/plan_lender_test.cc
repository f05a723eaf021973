#include "kv/server/plan_lender.h"

#include <gtest/gtest.h>

#include "base/async/task_group.h"
#include "base/metrics/metrics.h"
#include "kv/api/testing/test_loop.h"

namespace insula::kv {
namespace {

namespace pb = insula::tenant::v1;

class FakeLeadership : public SystemLeadership {
 public:
  Task<absl::StatusOr<Leader>> Find(const Context&) override { co_return Leader{.here = true, .address = ""}; }
  uint64_t Term() const override { return term; }
  Condition& changed() override { return changed_; }
  void Lead(uint64_t next) {
    term = next;
    changed_.NotifyAll();
  }
  uint64_t term = 7;

 private:
  Condition changed_;
};

class PlanLenderTest : public testing::Test {
 protected:
  PlanLenderTest() {
    tasks_.Spawn(lender_.Run(tasks_.ctx()));
    loop_.RunUntilIdle();
  }
  ~PlanLenderTest() override { tasks_.Cancel(); }

  pb::BorrowRequest Request(TenantId tenant = 2, uint64_t revision = 1) {
    pb::BorrowRequest request;
    request.set_version(1);
    request.set_tenant_id(tenant);
    request.set_revision(revision);
    request.mutable_plan()->set_rate_ru(110);
    request.mutable_plan()->set_burst_ru(1000);
    request.mutable_plan()->set_baseline_ru(10);
    request.set_wanted_mru(INT64_MAX / 2);
    return request;
  }
  // All that there is now.
  int64_t Drain(TenantId tenant = 2) {
    int64_t lent = 0;
    while (true) {
      auto loan = lender_.Lend(1, Request(tenant));
      EXPECT_TRUE(loan.ok()) << loan.status();
      if (!loan.ok() || loan->amount_mru() == 0) return lent;
      lent += loan->amount_mru();
    }
  }

  TestLoop loop_;
  metrics::Registry registry_;
  ServerMetrics metrics_{&registry_};
  FakeLeadership leadership_;
  PlanLender lender_{&loop_, &leadership_, nullptr, &metrics_};
  TaskGroup tasks_{loop_.ctx()};
};

TEST_F(PlanLenderTest, EarnsSinceItLeadsAndNotSinceItIsAsked) {
  loop_.RunFor(5s);
  EXPECT_EQ(Drain(2), 500'000);
  loop_.RunFor(100s);
  EXPECT_EQ(Drain(2), 1'000'000);
  EXPECT_EQ(Drain(3), 1'000'000) << "each for itself";
  EXPECT_EQ(metrics_.plan_lent->With({"2"})->value(), 1500);
}

TEST_F(PlanLenderTest, ANewTermBeginsWithNothing) {
  loop_.RunFor(100s);
  EXPECT_EQ(Drain(), 1'000'000);
  leadership_.Lead(0);
  loop_.RunFor(50s);
  EXPECT_EQ(lender_.Lend(1, Request()).status().code(), absl::StatusCode::kUnavailable);
  leadership_.Lead(9);
  loop_.RunUntilIdle();
  EXPECT_EQ(Drain(), 0) << "what another has lent meanwhile is not known";
  loop_.RunFor(3s);
  EXPECT_EQ(Drain(), 300'000);
  // The lease was away for a moment, and nobody else had it.
  leadership_.Lead(0);
  loop_.RunFor(1s);
  leadership_.Lead(9);
  EXPECT_EQ(Drain(), 100'000);
}

TEST_F(PlanLenderTest, AtRestNothingIsRemembered) {
  loop_.RunFor(100s);
  for (TenantId tenant = 2; tenant < 100; ++tenant) Drain(tenant);
  EXPECT_EQ(lender_.lenders(), 98u);
  EXPECT_EQ(loop_.timers(), 0u);
  loop_.RunFor(100s);
  EXPECT_EQ(Drain(2), 1'000'000);
  EXPECT_EQ(lender_.lenders(), 1u);
  EXPECT_EQ(Drain(50), 1'000'000) << "and one that was forgotten has what it had";
}

TEST_F(PlanLenderTest, RefusesWhatCannotBe) {
  auto request = Request();
  request.set_wanted_mru(-1);
  EXPECT_EQ(lender_.Lend(1, request).status().code(), absl::StatusCode::kInvalidArgument);
  request = Request();
  request.mutable_plan()->set_burst_ru(-1);
  EXPECT_EQ(lender_.Lend(1, request).status().code(), absl::StatusCode::kInvalidArgument);
  request = Request();
  request.set_version(2);
  EXPECT_EQ(lender_.Lend(1, request).status().code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace insula::kv
