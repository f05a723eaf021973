#include "kv/server/tenant_gate.h"

#include <gtest/gtest.h>

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
  TenantGate gate_{[this](const Context&, TenantId id) -> Task<absl::StatusOr<pb::TenantRecord>> {
    ++reads_;
    if (id != 7) co_return absl::NotFoundError("");
    co_return record_;
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
  EXPECT_EQ(Admit(3), absl::StatusCode::kPermissionDenied);
  auto unknown = loop_.Run(gate_.Admit(loop_.ctx(), {.role = Role::kTenant, .tenant = 8, .generation = 1}, 1, 1));
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(TenantGateTest, ForgettingReadsAgain) {
  EXPECT_EQ(Admit(3), absl::StatusCode::kOk);
  record_.set_state(pb::DROPPING);
  gate_.Forget(7);
  EXPECT_EQ(Admit(3), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace insula::kv
