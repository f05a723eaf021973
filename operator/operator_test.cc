#include "operator/operator.h"

#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "base/async/testing/test_loop.h"

namespace insula::ops {
namespace {

namespace pb = insula::tenant::v1;

// A registry in memory that can be made to lose compare-and-sets.
class FakeRegistry : public TenantRegistry {
 public:
  TenantRecord& Add(TenantId id, std::string name, int64_t idle_ms) {
    TenantRecord& record = records_[id];
    record.set_id(id);
    record.set_name(name);
    record.set_state(pb::SUSPENDED);
    record.set_idle_timeout_ms(idle_ms);
    record.set_revision(1);
    return record;
  }
  Task<void> Run(Context ctx, std::function<void(TenantId)> on_change) override {
    on_change_ = on_change;
    loaded_.Set();
    for (auto& [id, record] : records_) on_change(id);
    absl::Status ended = co_await never_.Wait(ctx);
    EXPECT_FALSE(ended.ok());
  }
  Task<absl::Status> WaitLoaded(const Context& ctx) override { return loaded_.Wait(ctx); }
  const TenantRecord* Find(TenantId id) const override {
    auto it = records_.find(id);
    return it == records_.end() ? nullptr : &it->second;
  }
  std::vector<const TenantRecord*> All() const override {
    std::vector<const TenantRecord*> all;
    for (auto& [id, record] : records_) all.push_back(&record);
    return all;
  }
  Task<absl::StatusOr<TenantRecord>> Fetch(const Context&, std::string cluster) override {
    for (auto& [id, record] : records_) {
      if (cluster == std::to_string(id) || cluster == record.name() || cluster == record.name() + "-" + std::to_string(id)) co_return record;
    }
    co_return absl::NotFoundError("no such tenant");
  }
  Task<absl::StatusOr<TenantRecord>> Update(const Context& ctx, TenantRecord record) override {
    if (before_update) before_update();
    TenantRecord& present = records_.at(record.id());
    if (present.revision() != record.revision()) co_return absl::AbortedError("revision");
    // A registry that answers after a while lets others in between.
    EXPECT_TRUE((co_await ctx.Yield()).ok());
    record.set_revision(record.revision() + 1);
    if (record.state() == pb::ACTIVE) generations.push_back(record.generation());
    present = record;
    on_change_(record.id());
    co_return record;
  }
  Task<absl::Status> Purge(const Context&, TenantId id) override {
    records_.erase(id);
    on_change_(id);
    co_return absl::OkStatus();
  }

  std::function<void()> before_update;
  std::vector<uint64_t> generations;
  std::map<TenantId, TenantRecord> records_;

 private:
  std::function<void(TenantId)> on_change_ = [](TenantId) {};
  Event loaded_, never_;
};

class FakeRuntime : public PodRuntime {
 public:
  void SetOnExit(OnExit on_exit) override { on_exit_ = std::move(on_exit); }
  Task<absl::StatusOr<std::vector<Pod>>> Adopt(const Context&) override { co_return adopted; }
  Task<absl::StatusOr<Pod>> StartPod(const Context& ctx) override {
    ++starts;
    if (failing_starts > 0) {
      --failing_starts;
      co_return absl::UnavailableError("no room");
    }
    absl::Status slept = co_await Sleep(ctx, std::chrono::milliseconds(50));
    if (!slept.ok()) co_return slept;
    Pod pod;
    pod.set_id("p" + std::to_string(++last_));
    pod.set_state(v1::PREWARMED);
    living.insert(pod.id());
    co_return pod;
  }
  Task<absl::StatusOr<v1::StampResponse>> Stamp(const Context&, Pod pod, v1::StampRequest request) override {
    EXPECT_FALSE(stamped.contains(pod.id())) << "stamped twice: " << pod.id();
    stamped[pod.id()] = request;
    if (failing_stamps > 0) {
      --failing_stamps;
      co_return absl::UnavailableError("broken pod");
    }
    v1::StampResponse response;
    response.set_address("127.0.0.1:" + pod.id());
    co_return response;
  }
  Task<absl::StatusOr<bool>> CloseGate(const Context&, Pod pod, bool force) override {
    if (busy && !force) co_return false;
    closed.insert(pod.id());
    if (at_close) at_close();
    co_return true;
  }
  Task<absl::Status> OpenGate(const Context&, Pod pod) override {
    closed.erase(pod.id());
    ++reopened;
    co_return absl::OkStatus();
  }
  Task<absl::Status> WatchActivity(Context ctx, Pod pod, std::function<void(const v1::ActivityResponse&)> on_change) override {
    v1::ActivityResponse activity;
    activity.set_connections(connections);
    on_change(activity);
    tell_ = on_change;
    co_return co_await never_.Wait(ctx);
  }
  Task<absl::Status> Stop(const Context&, std::string pod_id, Duration) override {
    Exit(pod_id);
    co_return absl::OkStatus();
  }
  void Exit(const std::string& id) {
    if (living.erase(id) != 0) on_exit_(id, "killed");
  }
  void SetConnections(uint32_t n) {
    connections = n;
    v1::ActivityResponse activity;
    activity.set_connections(n);
    tell_(activity);
  }

  std::vector<Pod> adopted;
  std::set<std::string> living, closed;
  std::map<std::string, v1::StampRequest> stamped;
  std::function<void()> at_close;
  int starts = 0, failing_starts = 0, failing_stamps = 0, reopened = 0;
  uint32_t connections = 0;
  bool busy = false;

 private:
  OnExit on_exit_ = [](std::string, std::string) {};
  std::function<void(const v1::ActivityResponse&)> tell_ = [](const v1::ActivityResponse&) {};
  Event never_;
  int last_ = 0;
};

class FakeStamps : public StampFactory {
 public:
  absl::StatusOr<v1::StampRequest> Make(const TenantRecord& record) override {
    v1::StampRequest stamp;
    stamp.set_tenant_id(record.id());
    stamp.set_generation(record.generation());
    return stamp;
  }
};

// The operator's parts, with their loops running.
class OperatorTest : public testing::Test {
 protected:
  OperatorTest() {
    runtime_.SetOnExit([this](std::string id, std::string how) { lives_.OnPodExit(id, how); });
    tasks_.Spawn(registry_.Run(tasks_.ctx(), [this](TenantId id) { lives_.OnRecordChanged(id); }));
    tasks_.Spawn(pool_.Run(tasks_.ctx()));
  }
  ~OperatorTest() override {
    tasks_.Cancel();
    loop_.RunFor(1s);
  }
  absl::StatusOr<v1::EnsurePodResponse> Ensure(TenantId id) { return loop_.Run(lives_.EnsurePod(loop_.ctx(), id)); }
  pb::TenantState State(TenantId id) { return registry_.records_.at(id).state(); }

  TestLoop loop_;
  FakeRegistry registry_;
  FakeRuntime runtime_;
  FakeStamps stamps_;
  PodTable pods_;
  Pool pool_{2, &runtime_, &pods_};
  TenantLives lives_{loop_.ctx(), &registry_, &runtime_, &pods_, &pool_, &stamps_};
  TaskGroup tasks_{loop_.ctx()};
};

TEST_F(OperatorTest, KeepsThePoolFull) {
  loop_.RunFor(1s);
  EXPECT_EQ(pods_.Count(v1::PREWARMED), 2u);
  EXPECT_EQ(runtime_.starts, 2);
  runtime_.Exit("p1");
  loop_.RunFor(1s);
  EXPECT_EQ(pods_.Count(v1::PREWARMED), 2u);
}

TEST_F(OperatorTest, BacksOffWhenPodsDoNotStart) {
  runtime_.failing_starts = 1000000;
  loop_.RunFor(60s);
  EXPECT_GT(runtime_.starts, 6);
  EXPECT_LT(runtime_.starts, 40);
  runtime_.failing_starts = 0;
  loop_.RunFor(20s);
  EXPECT_EQ(pods_.Count(v1::PREWARMED), 2u);
}

TEST_F(OperatorTest, WakesOnceHoweverManyAsk) {
  registry_.Add(7, "acme", 10000);
  loop_.RunFor(1s);
  TaskGroup callers(loop_.ctx());
  std::set<std::string> pods;
  for (int i = 0; i < 10; ++i) {
    callers.SpawnFn([&]() -> Task<void> { pods.insert((co_await lives_.EnsurePod(callers.ctx(), 7))->pod().id()); });
  }
  loop_.RunFor(1s);
  ASSERT_EQ(callers.size(), 0u);
  EXPECT_EQ(pods.size(), 1u);
  EXPECT_EQ(registry_.generations, std::vector<uint64_t>{1});
  EXPECT_EQ(State(7), pb::ACTIVE);
  loop_.RunFor(1s);
  EXPECT_EQ(pods_.Count(v1::PREWARMED), 2u);  // replenished
}

TEST_F(OperatorTest, UnknownTenantsAreNotFound) { EXPECT_EQ(Ensure(99).status().code(), absl::StatusCode::kNotFound); }

TEST_F(OperatorTest, AnEmptyPoolStartsAPodCold) {
  registry_.Add(7, "acme", 10000);
  registry_.Add(8, "b", 10000);
  registry_.Add(9, "c", 10000);
  EXPECT_TRUE(Ensure(7).ok());
  EXPECT_TRUE(Ensure(8).ok());
  EXPECT_TRUE(Ensure(9).ok());
}

TEST_F(OperatorTest, AFailedStampIsReportedAndThePodIsNeverUsedAgain) {
  registry_.Add(7, "acme", 10000);
  loop_.RunFor(1s);
  runtime_.failing_stamps = 1;
  EXPECT_FALSE(Ensure(7).ok());
  loop_.RunFor(1s);
  auto again = Ensure(7);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(registry_.generations, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(runtime_.stamped.size(), 2u);  // two pods; Stamp checks that none is stamped twice
  EXPECT_EQ(pods_.Count(v1::PREWARMED) + pods_.Count(v1::READY) + pods_.Count(v1::STAMPING), runtime_.living.size());
}

TEST_F(OperatorTest, SuspendsAfterTheIdleTimeAndNotBefore) {
  registry_.Add(7, "acme", 10000);
  ASSERT_TRUE(Ensure(7).ok());
  runtime_.SetConnections(1);
  loop_.RunFor(60s);
  EXPECT_EQ(State(7), pb::ACTIVE);
  runtime_.SetConnections(0);
  loop_.RunFor(9s);
  EXPECT_EQ(State(7), pb::ACTIVE);
  loop_.RunFor(2s);
  EXPECT_EQ(State(7), pb::SUSPENDED);
  EXPECT_TRUE(pods_.OfTenant(7).empty());
}

TEST_F(OperatorTest, AGateThatStaysOpenKeepsTheTenant) {
  registry_.Add(7, "acme", 1000);
  ASSERT_TRUE(Ensure(7).ok());
  runtime_.busy = true;
  loop_.RunFor(10s);
  EXPECT_EQ(State(7), pb::ACTIVE);
  EXPECT_EQ(pods_.OfTenant(7).size(), 1u);
}

TEST_F(OperatorTest, ALostCompareAndSetReopensTheGate) {
  registry_.Add(7, "acme", 1000);
  ASSERT_TRUE(Ensure(7).ok());
  // Somebody else wakes the tenant between the closing of the gate and the compare-and-set.
  runtime_.at_close = [&] { registry_.records_.at(7).set_revision(registry_.records_.at(7).revision() + 1); };
  loop_.RunFor(1500ms);
  EXPECT_EQ(State(7), pb::ACTIVE);
  EXPECT_GE(runtime_.reopened, 1);
  EXPECT_TRUE(runtime_.closed.empty());
  EXPECT_EQ(pods_.OfTenant(7).size(), 1u);
}

TEST_F(OperatorTest, ADeadPodOfAnActiveTenantIsReplacedUnderANewGeneration) {
  registry_.Add(7, "acme", 10000);
  std::string first = Ensure(7)->pod().id();
  runtime_.connections = 1;
  runtime_.Exit(first);
  loop_.RunFor(2s);
  auto pods = pods_.OfTenant(7);
  ASSERT_EQ(pods.size(), 1u);
  EXPECT_NE(pods[0].id(), first);
  EXPECT_EQ(registry_.generations, (std::vector<uint64_t>{1, 2}));
}

TEST_F(OperatorTest, SuspendByCommandEndsBusyTenantsAndIsIdempotent) {
  registry_.Add(7, "acme", 10000);
  ASSERT_TRUE(Ensure(7).ok());
  runtime_.busy = true;
  for (int i = 0; i < 2; ++i) {
    auto record = loop_.Run(lives_.Suspend(loop_.ctx(), 7));
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(record->state(), pb::SUSPENDED);
  }
  EXPECT_TRUE(pods_.OfTenant(7).empty());
}

TEST_F(OperatorTest, DropStopsPodsAndPurges) {
  registry_.Add(7, "acme", 10000);
  ASSERT_TRUE(Ensure(7).ok());
  ASSERT_TRUE(loop_.Run(lives_.Drop(loop_.ctx(), 7)).ok());
  EXPECT_TRUE(pods_.OfTenant(7).empty());
  EXPECT_EQ(registry_.Find(7), nullptr);
  EXPECT_EQ(Ensure(7).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(OperatorTest, AdoptedPodsServeOnAndAreWatched) {
  registry_.Add(7, "acme", 1000).set_state(pb::ACTIVE);
  Pod pod;
  pod.set_id("old");
  pod.set_tenant_id(7);
  pod.set_state(v1::READY);
  runtime_.living.insert("old");
  lives_.TakeOver({pod});
  EXPECT_EQ(Ensure(7)->pod().id(), "old");
  EXPECT_TRUE(registry_.generations.empty());
  loop_.RunFor(3s);
  EXPECT_EQ(State(7), pb::SUSPENDED);
}

TEST_F(OperatorTest, ActiveTenantsWithoutAPodCountAsSuspended) {
  registry_.Add(7, "acme", 10000).set_state(pb::ACTIVE);
  loop_.RunFor(1s);
  lives_.SettleOrphans();
  loop_.RunFor(1s);
  EXPECT_EQ(State(7), pb::SUSPENDED);
}

TEST(PodTable, FeedTellsWhatChangedSince) {
  PodTable table;
  Pod pod;
  pod.set_id("a");
  pod.set_state(v1::PREWARMED);
  table.Put(pod);
  uint64_t seen = table.version();
  EXPECT_TRUE(table.Since(seen).changed.empty());
  ASSERT_TRUE(table.Pluck().has_value());
  EXPECT_FALSE(table.Pluck().has_value());
  ASSERT_EQ(table.Since(seen).changed.size(), 1u);
  EXPECT_EQ(table.Since(seen).changed[0].state(), v1::STAMPING);
  table.Remove("a");
  EXPECT_EQ(table.Since(seen).removed, std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace insula::ops
