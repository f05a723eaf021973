#include "kv/server/tenant_gate.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/async/task_group.h"
#include "base/status_macros.h"
#include "kv/api/testing/test_loop.h"

namespace insula::kv {
namespace {

namespace pb = insula::tenant::v1;

class TenantGateTest : public testing::Test {
 protected:
  TenantGateTest() {
    record_.set_id(7);
    record_.set_keyspace_id(300);
    record_.set_state(pb::ACTIVE);
    record_.set_generation(3);
  }
  absl::StatusCode Admit(uint64_t generation, uint64_t lease = 5, uint64_t range = 1) {
    return loop_.Run(gate_.Admit(loop_.ctx(), {.role = Role::kTenant, .tenant = 7, .generation = generation}, range, lease)).status().code();
  }

  TestLoop loop_;
  pb::TenantRecord record_;
  int reads_ = 0;
  std::function<void()> during_read_;
  TenantGate gate_{[this](const Context& ctx, TenantId id) -> Task<absl::StatusOr<pb::TenantRecord>> {
    ++reads_;
    pb::TenantRecord read = record_;
    CO_RETURN_IF_ERROR(co_await ctx.Yield());
    if (auto during = std::exchange(during_read_, nullptr)) during();
    CO_RETURN_IF_ERROR(ctx.status());
    if (id != 7) co_return absl::NotFoundError("");
    co_return read;
  }};
};

TEST_F(TenantGateTest, ReadsTheRegistryOncePerRangeAndLease) {
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);
  EXPECT_EQ(reads_, 1);
  EXPECT_EQ(Admit(3, /*lease=*/6), absl::StatusCode::kOk);
  EXPECT_EQ(Admit(3, 6, /*range=*/2), absl::StatusCode::kOk);
  EXPECT_EQ(reads_, 3);
}

TEST_F(TenantGateTest, AZombieIsRefusedOnceTheNextGenerationWasSeen) {
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);
  record_.set_generation(4);
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);  // as if before the resume
  EXPECT_EQ(Admit(4), absl::StatusCode::kOk);
  EXPECT_EQ(Admit(3), absl::StatusCode::kFailedPrecondition);
}

TEST_F(TenantGateTest, AZombieIsRefusedAfterTheLeaseMovedToANodeThatKnewTheOldGeneration) {
  EXPECT_EQ(Admit(3, /*lease=*/5), absl::StatusCode::kOk);
  record_.set_generation(4);  // seen by another node, under lease 6
  EXPECT_EQ(Admit(3, /*lease=*/7), absl::StatusCode::kFailedPrecondition);
}

TEST_F(TenantGateTest, SuspendedDroppedAndUnknownTenantsAreRefused) {
  record_.set_state(pb::SUSPENDED);
  EXPECT_EQ(Admit(3), absl::StatusCode::kFailedPrecondition);
  record_.set_state(pb::DROPPING);
  gate_.Learn(record_);
  EXPECT_EQ(Admit(3), absl::StatusCode::kPermissionDenied);
  auto unknown = loop_.Run(gate_.Admit(loop_.ctx(), {.role = Role::kTenant, .tenant = 8, .generation = 1}, 1, 1));
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(TenantGateTest, SuspensionIsMetAtOnceWhereverTheTenantIsRemembered) {
  std::vector<absl::Status> refused;
  gate_.SetOnRefused([&](TenantId tenant, const absl::Status& why) {
    EXPECT_EQ(tenant, 7u);
    refused.push_back(why);
  });
  for (uint64_t range = 1; range <= 3; ++range) EXPECT_EQ(Admit(3, 5, range), absl::StatusCode::kOk);
  record_.set_state(pb::SUSPENDED);
  gate_.Learn(record_);
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].code(), absl::StatusCode::kFailedPrecondition);
  for (uint64_t range = 1; range <= 3; ++range) EXPECT_EQ(Admit(3, 5, range), absl::StatusCode::kFailedPrecondition);
}

TEST_F(TenantGateTest, AResumeEndsTheOldGenerationOnRangesThatTheNewOneHasNotTouched) {
  EXPECT_EQ(Admit(3, 5, 1), absl::StatusCode::kOk);
  EXPECT_EQ(Admit(3, 5, 2), absl::StatusCode::kOk);
  record_.set_generation(4);
  EXPECT_EQ(Admit(4, 5, 1), absl::StatusCode::kOk);
  int refused = 0;
  gate_.SetOnRefused([&](TenantId, const absl::Status&) { ++refused; });
  gate_.Learn(record_);
  EXPECT_EQ(refused, 0) << "the new generation has its place";
  EXPECT_EQ(Admit(3, 5, 2), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Admit(4, 5, 2), absl::StatusCode::kOk);
}

TEST_F(TenantGateTest, AChangeThatMeansNothingHereForgetsNothing) {
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);
  record_.set_wake_sequence(9);
  record_.mutable_node_share()->set_weight(5);
  uint32_t weight = 0;
  gate_.SetOnRecord([&](const pb::TenantRecord& record) { weight = record.node_share().weight(); });
  gate_.Learn(record_);
  EXPECT_EQ(weight, 5u);
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);
  EXPECT_EQ(reads_, 1);
}

TEST_F(TenantGateTest, AfterAGapTheFullStateCounts) {
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);
  gate_.LearnAll({{7, record_}});
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);
  EXPECT_EQ(reads_, 1);
  int refused = 0;
  gate_.SetOnRefused([&](TenantId, const absl::Status&) { ++refused; });
  gate_.LearnAll({});
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);
  EXPECT_EQ(reads_, 2) << "the registry itself has the last word";
}

// G2: the registry changes while a read of it is under way.
TEST_F(TenantGateTest, WhatWasReadBeforeAChangeIsNotRemembered) {
  during_read_ = [this] {
    record_.set_state(pb::SUSPENDED);
    gate_.Learn(record_);
  };
  EXPECT_EQ(Admit(3), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(reads_, 2);
}

// G3: neither a herd nor a zombie that never gives up is the registry's trouble.
TEST_F(TenantGateTest, TheRegistryIsReadOnceHoweverManyAsk) {
  TaskGroup tasks(loop_.ctx());
  int served = 0;
  for (int i = 0; i < 100; ++i) {
    tasks.SpawnFn([&]() -> Task<void> {
      served += (co_await gate_.Admit(loop_.ctx(), {.role = Role::kTenant, .tenant = 7, .generation = 3}, 1, 5)).ok() ? 1 : 0;
    });
  }
  loop_.RunUntilIdle();
  EXPECT_EQ(served, 100);
  EXPECT_EQ(reads_, 1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Admit(2), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(reads_, 1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Admit(2, 6, static_cast<uint64_t>(100 + i)), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(reads_, 2);
  loop_.RunFor(TenantGate::kRefusalLife);
  EXPECT_EQ(Admit(2, 6, 100), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(reads_, 3);
}

TEST_F(TenantGateTest, ARefusalDoesNotHoldForTheNextGeneration) {
  record_.set_state(pb::SUSPENDED);
  EXPECT_EQ(Admit(3), absl::StatusCode::kFailedPrecondition);
  record_.set_state(pb::ACTIVE);
  record_.set_generation(4);
  EXPECT_EQ(Admit(4), absl::StatusCode::kOk);
  EXPECT_EQ(Admit(3), absl::StatusCode::kFailedPrecondition);
}

TEST_F(TenantGateTest, AZombiesRefusalIsNotThePresentGenerations) {
  record_.set_generation(4);
  EXPECT_EQ(Admit(3), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Admit(4), absl::StatusCode::kOk);
  EXPECT_EQ(Admit(3), absl::StatusCode::kFailedPrecondition);
}

TEST_F(TenantGateTest, AReaderThatGivesUpDoesNotTakeTheOthersAlong) {
  Context impatient = loop_.ctx().WithCancel();
  std::map<int, absl::Status> ended;
  TaskGroup tasks(loop_.ctx());
  during_read_ = [impatient] {
    impatient.Cancel();
  };
  tasks.SpawnFn([&]() -> Task<void> { ended[1] = (co_await gate_.Admit(impatient, {.role = Role::kTenant, .tenant = 7, .generation = 3}, 1, 5)).status(); });
  tasks.SpawnFn([&]() -> Task<void> { ended[2] = (co_await gate_.Admit(loop_.ctx(), {.role = Role::kTenant, .tenant = 7, .generation = 3}, 1, 5)).status(); });
  loop_.RunUntilIdle();
  EXPECT_EQ(ended[1].code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(ended[2].ok()) << ended[2];
}

TEST_F(TenantGateTest, ForgettingReadsAgain) {
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);
  record_.set_state(pb::DROPPING);
  gate_.Forget(7);
  EXPECT_EQ(Admit(3), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace insula::kv
