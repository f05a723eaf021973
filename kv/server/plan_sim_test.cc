// Three whole nodes, a tenant with a plan whose pod keeps to nothing and floods all of them at once (with batches for a range that is nowhere:
// they cost what all do, and no node leads it), and a tenant without a plan that reads now and then. What the first one gets is counted by its
// pod, from the answers.
#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/async/task_group.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "kv/client/stream_channel.h"
#include "kv/server/testing/sim_nodes.h"
#include "proto/kv/api.pb.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/cost_model.h"
#include "tenant/tenant.h"

namespace insula::kv::simnodes {
namespace {

namespace pb = insula::tenant::v1;

constexpr uint64_t kNowhere = 1'000'000;
constexpr int64_t kRate = 300, kBurst = 900, kBaseline = 30;

// The pods of both tenants.
struct PodsRoot {
  PodsRoot(SimProcess& p, std::vector<TenantId> tenants) {
    for (TenantId id : tenants) {
      transports[id] = p.MakeTransport({.common_name = StrCat(id), .organizational_unit = "Tenants", .uris = {StrCat("insula://tenant/", id, "/generation/1")}, .address = ""});
      channels[id] = std::make_unique<StreamChannel>(p.context(), transports[id].get());
      databases[id] = MakeDatabase(p.context(), p.runtime(), transports[id].get(), {.sender = {.bootstrap = {AddressOf(1), AddressOf(2), AddressOf(3)}}, .coordinator = {}});
    }
  }
  std::map<TenantId, std::unique_ptr<Transport>> transports;
  std::map<TenantId, std::unique_ptr<StreamChannel>> channels;
  std::map<TenantId, std::unique_ptr<ClientDatabase>> databases;
};

class PlanTest : public SimNodes {
 protected:
  PlanTest() { pods_ = sim_.AddProcess("pods"); }
  ~PlanTest() override {
    if (pods_->alive()) pods_->Crash();
  }

  template <typename Response, typename Request>
  absl::StatusOr<Response> Ask(std::string method, Request request, bool as_admin = true) {
    absl::StatusOr<Response> response = absl::UnknownError("no answer");
    absl::Status ran = sim_.Run(
        client_,
        [&](Context ctx) -> Task<absl::Status> {
          Transport& transport = as_admin ? *client_->root<ClientRoot>()->admin : *client_->root<ClientRoot>()->system;
          response = co_await CallUnary<Response>(ctx.WithTimeout(10s), transport, AddressOf(1), StrCat("/insula.tenant.v1.", method), request);
          co_return absl::OkStatus();
        },
        60s);
    EXPECT_TRUE(ran.ok()) << ran;
    return response;
  }
  // An active tenant of generation 1.
  pb::TenantRecord MakeTenant(std::string name) {
    pb::CreateTenantRequest create;
    create.set_name(std::move(name));
    create.set_scram_verifier("SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy");
    auto created = Ask<pb::TenantResponse>("TenantAdmin/Create", create);
    EXPECT_TRUE(created.ok()) << created.status();
    pb::UpdateTenantRequest update;
    update.set_expected_revision(created->tenant().revision());
    *update.mutable_record() = created->tenant();
    update.mutable_record()->set_state(pb::ACTIVE);
    update.mutable_record()->set_generation(1);
    auto updated = Ask<pb::TenantResponse>("Registry/Update", update, /*as_admin=*/false);
    // Who asks a node that does not lead as a node is not passed on.
    for (uint64_t id = 1; !updated.ok() && id <= kFounders; ++id) updated = UpdateAt(id, update);
    EXPECT_TRUE(updated.ok()) << updated.status();
    return updated->tenant();
  }
  absl::StatusOr<pb::TenantResponse> UpdateAt(uint64_t node, const pb::UpdateTenantRequest& update) {
    absl::StatusOr<pb::TenantResponse> response = absl::UnknownError("no answer");
    (void)sim_.Run(
        client_,
        [&](Context ctx) -> Task<absl::Status> {
          response = co_await CallUnary<pb::TenantResponse>(ctx.WithTimeout(10s), *client_->root<ClientRoot>()->system, AddressOf(node), "/insula.tenant.v1.Registry/Update", update);
          co_return absl::OkStatus();
        },
        60s);
    return response;
  }
  absl::StatusOr<pb::TenantResponse> SetPlan(int64_t rate, int64_t burst, int64_t baseline) {
    pb::SetPlanRequest request;
    request.set_cluster("flood");
    request.mutable_plan()->set_rate_ru(rate);
    request.mutable_plan()->set_burst_ru(burst);
    request.mutable_plan()->set_baseline_ru(baseline);
    return Ask<pb::TenantResponse>("TenantAdmin/SetPlan", request);
  }

  void SetUp() override {
    StartFounders();
    flood_ = MakeTenant("flood");
    quiet_ = MakeTenant("quiet");
    auto plan = SetPlan(kRate, kBurst, kBaseline);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const std::vector<TenantId> tenants{flood_.id(), quiet_.id()};
    pods_->Boot([tenants](SimProcess& p) -> std::shared_ptr<void> { return std::make_shared<PodsRoot>(p, tenants); });
    sim_.RunFor(10s);  // the leader has earned the burst
  }

  // One batch after another to `node`, each after the answer to the last.
  void Send(const pb::TenantRecord& tenant, uint64_t node, int batches = INT_MAX) {
    pods_->Spawn([this, tenant, node, batches](Context ctx) -> Task<void> {
      v1::BatchRequest batch = NewBatch();
      batch.mutable_header()->set_range_id(kNowhere);
      batch.add_requests()->mutable_get()->set_key(KeyspacePrefix(tenant.keyspace_id()) + "a");
      for (int i = 0; i < batches && ctx.status().ok(); ++i) {
        CallResult result = co_await pods_->root<PodsRoot>()->channels.at(tenant.id())->Call(ctx, AddressOf(node), batch);
        Count& count = counts_[{tenant.id(), node}];
        const bool refused = result.response.error().has_unavailable();
        if (result.status.ok() && !refused) {
          count.cost += CostOf(CostModel(), {.read_requests = 1}) + CostOfReadBytes(CostModel(), result.response.ByteSizeLong());
          ++count.answers;
          continue;
        }
        count.refused += refused ? 1 : 0;
        if (!(co_await Sleep(ctx, 100ms)).ok()) co_return;
      }
    });
  }
  // A read each 10 ms, where its rows are.
  void Read(const pb::TenantRecord& tenant) {
    pods_->Spawn([this, tenant](Context ctx) -> Task<void> {
      while (ctx.status().ok()) {
        const MonoTime sent = sim_.now();
        auto txn = pods_->root<PodsRoot>()->databases.at(tenant.id())->Begin({});
        auto row = co_await txn->Get(ctx, KeyspacePrefix(tenant.keyspace_id()) + "a");
        Count& count = counts_[{tenant.id(), 0}];
        row.ok() ? ++count.answers : ++count.refused;
        count.longest = std::max(count.longest, sim_.now() - sent);
        (void)co_await txn->Rollback(ctx);
        if (!(co_await Sleep(ctx, 10ms)).ok()) co_return;
      }
    });
  }
  void Flood() {
    for (uint64_t node = 1; node <= kFounders; ++node) {
      for (int i = 0; i < 30; ++i) Send(flood_, node);
    }
  }

  // Request units a second of the flood, from now on.
  double RateFor(Duration time) {
    const double before = Spent();
    sim_.RunFor(time);
    return (Spent() - before) / std::chrono::duration<double>(time).count();
  }
  double Spent() {
    double spent = 0;
    for (auto& [who, count] : counts_) spent += who.first == flood_.id() ? static_cast<double>(count.cost) / kMilliRuPerRu : 0;
    return spent;
  }
  double SpentAt(uint64_t node) { return static_cast<double>(counts_[{flood_.id(), node}].cost) / kMilliRuPerRu; }
  // Of `name`, over all tenants.
  double Metric(uint64_t node, const std::string& name) {
    if (!hosts_[node].process->alive()) return 0;
    const std::string all = hosts_[node].process->root<NodeRoot>()->metrics.Render();
    double sum = 0;
    const std::string line = StrCat("\n", name, "{");
    for (size_t at = all.find(line); at != std::string::npos; at = all.find(line, at + 1)) sum += std::stod(all.substr(all.find(' ', at)));
    return sum;
  }
  // The node that lends.
  uint64_t Lender() {
    std::map<uint64_t, double> before;
    for (uint64_t id = 1; id <= kFounders; ++id) before[id] = Metric(id, "insula_kv_plan_lent_request_units_total");
    sim_.RunFor(2s);
    uint64_t lender = 0;
    for (uint64_t id = 1; id <= kFounders; ++id) {
      if (Metric(id, "insula_kv_plan_lent_request_units_total") <= before[id]) continue;
      EXPECT_EQ(lender, 0u) << "two lend";
      lender = id;
    }
    return lender;
  }
  void Restart(uint64_t node) { Boot(node, Founders(), {}); }

  struct Count {
    MilliRu cost = 0;
    uint64_t answers = 0;
    uint64_t refused = 0;
    Duration longest{};
  };
  SimProcess* pods_;
  pb::TenantRecord flood_, quiet_;
  std::map<std::pair<TenantId, uint64_t>, Count> counts_;  // by tenant and node
};

TEST_F(PlanTest, AFloodThroughAllNodesGetsItsRateInTotalAndNobodyElseIsTouched) {
  Read(quiet_);
  sim_.RunFor(5s);  // finds its range
  Count& quiet = counts_[{quiet_.id(), 0}];
  quiet.longest = Duration::zero();
  sim_.RunFor(20s);
  const Duration alone = std::exchange(quiet.longest, Duration::zero());

  const double before = Spent();
  Flood();
  const double first = RateFor(2s);
  EXPECT_GT(first, 1.3 * kRate) << "what it had saved up";
  sim_.RunFor(8s);
  const double rate = RateFor(30s);
  EXPECT_NEAR(rate, kRate, 0.1 * kRate);
  EXPECT_LE(Spent() - before, 40 * kRate + kBurst + kBaseline + 100 * 0.6);
  for (uint64_t node = 1; node <= kFounders; ++node) {
    EXPECT_NEAR(SpentAt(node) / Spent(), 1.0 / kFounders, 0.1) << node;
    EXPECT_EQ((counts_[{flood_.id(), node}].refused), 0u) << "it waits, and hears no error";
  }
  EXPECT_EQ(quiet.refused, 0u);
  EXPECT_GT(quiet.answers, 3'000u);
  EXPECT_LE(quiet.longest, alone + 5ms);
}

TEST_F(PlanTest, WhatIsSpentOnOneNodeAloneMayBeAllOfIt) {
  for (int i = 0; i < 30; ++i) Send(flood_, 2);
  sim_.RunFor(20s);
  EXPECT_NEAR(RateFor(20s), kRate, 0.1 * kRate);
  // A plan that changes counts on every node; one that cannot be is refused, and says why.
  auto refused = SetPlan(100, 50, 0);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("a plan's burst of 50 RU must not be less than a second of its rate, 100"), std::string_view::npos) << refused.status();
  ASSERT_TRUE(SetPlan(100, 0, 0).ok());
  sim_.RunFor(15s);  // a second of the old rate may be left
  EXPECT_NEAR(RateFor(20s), 100, 10);
  ASSERT_TRUE(SetPlan(0, 0, 0).ok());
  sim_.RunFor(1s);
  EXPECT_GT(RateFor(5s), 10 * kRate) << "unlimited";
}

TEST_F(PlanTest, WhenTheLenderDiesNothingIsLentTwiceAndNobodyIsStopped) {
  Flood();
  sim_.RunFor(15s);
  const uint64_t lender = Lender();
  ASSERT_NE(lender, 0u);
  double before = Spent();
  hosts_[lender].process->Crash();
  double least = 1e9;
  for (int i = 0; i < 10; ++i) least = std::min(least, RateFor(1s));
  EXPECT_GT(least, 0.5 * kBaseline * (kFounders - 1) / kFounders) << "the baseline of the nodes that are left goes on";
  // What slices were left, and what the new one has earned: no second burst.
  EXPECT_LE(Spent() - before, 10 * kRate + kRate);
  sim_.RunFor(5s);
  EXPECT_NEAR(RateFor(20s), kRate, 0.1 * kRate) << "through the nodes that are left";
  Restart(lender);
  ASSERT_TRUE(WaitReady(lender));
  sim_.RunFor(10s);
  EXPECT_NEAR(RateFor(20s), kRate, 0.1 * kRate);
}

TEST_F(PlanTest, WithoutAnyLenderThereIsTheBaselineAndThenTheRateAgain) {
  Flood();
  sim_.RunFor(15s);
  // One node alone: no quorum, no registry.
  hosts_[1].process->Crash();
  hosts_[2].process->Crash();
  sim_.RunFor(5s);
  const double alone = RateFor(20s);
  EXPECT_GE(alone, 0.9 * kBaseline / kFounders);
  EXPECT_LE(alone, 1.1 * kBaseline);
  for (uint64_t node : {1u, 2u}) Restart(node);
  for (uint64_t node : {1u, 2u}) ASSERT_TRUE(WaitReady(node));
  sim_.RunFor(15s);
  EXPECT_NEAR(RateFor(20s), kRate, 0.1 * kRate);
}

// What a node has forgotten of a tenant that was away it reads again.
TEST_F(PlanTest, ATenantThatComesBackHasItsPlanStill) {
  Flood();
  sim_.RunFor(5s);
  pods_->Crash();
  sim_.RunFor(40s);
  pods_->Restart();
  for (uint64_t node = 1; node <= kFounders; ++node) Send(quiet_, node, 1);
  sim_.RunFor(1s);
  Flood();
  sim_.RunFor(10s);
  EXPECT_NEAR(RateFor(10s), kRate, 0.1 * kRate);
}

TEST_F(PlanTest, ANodeThatDiesTakesNoMoreThanItsSliceAlong) {
  Flood();
  sim_.RunFor(15s);
  const uint64_t lender = Lender();
  const uint64_t other = lender == 1 ? 2 : 1;
  hosts_[other].process->Crash();
  sim_.RunFor(2s);
  const double rate = RateFor(20s);
  EXPECT_NEAR(rate, kRate, 0.1 * kRate) << "the others have all of it soon";
}

}  // namespace
}  // namespace insula::kv::simnodes
