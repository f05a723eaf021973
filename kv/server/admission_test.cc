#include "kv/server/admission.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/check.h"
#include "base/metrics/metrics.h"
#include "kv/api/error.h"
#include "kv/api/testing/test_loop.h"

namespace insula::kv {
namespace {

// A loop on a processor that takes time: Burn moves the clock while something runs, as work does on a real node.
class BusyLoop : public Executor, private Clock {
 public:
  BusyLoop() : ctx_(Context::Background(this)) {}
  const Context& ctx() const { return ctx_; }
  void Burn(Duration time) { now_ += time; }
  // Runs until `end`; time without work is skipped.
  void RunUntil(MonoTime end) {
    while (now_ < end) {
      while (!timers_.empty() && timers_.begin()->first.first <= now_) {
        auto fn = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        fn();
      }
      if (HasReady()) {
        DrainReady(1);
      } else {
        now_ = timers_.empty() ? end : std::min(end, timers_.begin()->first.first);
      }
    }
  }
  void Post(Function) override { CHECK(false) << "nobody posts"; }
  TimerId StartTimer(MonoTime when, Function fn) override {
    timers_.emplace(std::pair(when, ++last_timer_), std::move(fn));
    return last_timer_;
  }
  void CancelTimer(TimerId id) override {
    std::erase_if(timers_, [id](const auto& t) { return t.first.second == id; });
  }
  void RunBlocking(Function, Function) override { CHECK(false) << "nothing blocks"; }
  const Clock& clock() const override { return *this; }

 protected:
  void WakeUp() override {}

 private:
  MonoTime Mono() const override { return now_; }
  WallTime Wall() const override { return WallTime(std::chrono::duration_cast<std::chrono::microseconds>(now_.time_since_epoch())); }
  MonoTime now_{};
  TimerId last_timer_ = 0;
  std::map<std::pair<MonoTime, TimerId>, Function> timers_;
  Context ctx_;
};

constexpr MilliRu kCost = kMilliRuPerRu;  // of each batch in these tests
constexpr Duration kWork = 50us;          // and what it takes the loop

// Tenants that send batches to one node.
class Crowd {
 public:
  explicit Crowd(AdmissionOptions options = {}) : admission_(&loop_, &metrics_, std::move(options)), tasks_(loop_.ctx()) {}
  ~Crowd() { tasks_.Cancel(); }

  struct Tenant {
    std::optional<Admission::Stream> stream;
    uint64_t served = 0;
    uint64_t refused = 0;
    std::vector<Duration> waits;
    Duration longest() const { return waits.empty() ? Duration::zero() : *std::max_element(waits.begin(), waits.end()); }
  };
  Tenant& At(TenantId id) {
    Tenant& tenant = tenants_[id];
    if (!tenant.stream) tenant.stream.emplace(*admission_.OpenStream(id));
    return tenant;
  }
  // One batch each `interval`, whether those before were served or not; who was busy meanwhile finds several.
  void Send(TenantId id, Duration interval) {
    At(id);
    tasks_.SpawnFn([this, id, interval]() -> Task<void> {
      MonoTime due = loop_.Now();
      while (true) {
        for (; due <= loop_.Now(); due += interval) tasks_.SpawnFn([this, id, due]() -> Task<void> { (void)co_await One(id, due); });
        if (!(co_await Sleep(tasks_.ctx(), due - loop_.Now())).ok()) co_return;
      }
    });
  }
  // So many at a time, one after another without a pause.
  void Saturate(TenantId id, int clients) {
    At(id);
    for (int i = 0; i < clients; ++i) {
      tasks_.SpawnFn([this, id]() -> Task<void> {
        while (tasks_.ctx().status().ok()) {
          // Who is refused comes back later.
          if (!co_await One(id, loop_.Now()) && !(co_await Sleep(tasks_.ctx(), 20ms)).ok()) co_return;
          if (!(co_await tasks_.ctx().Yield()).ok()) co_return;
        }
      });
    }
  }
  void RunFor(Duration time) { loop_.RunUntil(loop_.Now() + time); }

  // False: refused.
  Task<bool> One(TenantId id, MonoTime came) {
    Tenant& tenant = At(id);
    auto batch = tenant.stream->Begin(1000, /*finishing=*/false);
    if (!batch.ok()) {
      ++tenant.refused;
      // A refusal costs less than a batch, not nothing.
      loop_.Burn(5us);
      co_return false;
    }
    if (!batch->TryAdmit(kCost) && !(co_await batch->Admit(tasks_.ctx(), kCost, 0)).ok()) co_return true;
    tenant.waits.push_back(loop_.Now() - came);
    loop_.Burn(kWork);
    ++tenant.served;
    co_return true;
  }

  BusyLoop loop_;
  metrics::Registry registry_;
  ServerMetrics metrics_{&registry_};
  Admission admission_;
  std::map<TenantId, Tenant> tenants_;
  TaskGroup tasks_;
};

TEST(Admission, ALoneTenantGetsTheWholeNode) {
  Crowd crowd;
  crowd.Saturate(7, 500);
  crowd.RunFor(10s);
  // The loop can do 20,000 a second, five times the rate that passes without queueing.
  EXPECT_GE(crowd.At(7).served, 199'000u);
  EXPECT_EQ(crowd.At(7).refused, 0u);
}

TEST(Admission, ATenantBelowTheNodesCapacityNeverWaits) {
  Crowd crowd;
  crowd.Send(7, 100us);  // 10,000 a second: more than its rate, half of what the loop can do
  crowd.RunFor(5s);
  EXPECT_EQ(crowd.metrics_.queue_wait->count(), 0u);
  EXPECT_GE(crowd.At(7).served, 49'000u);
}

// One floods with a hundred times the load of the other, and five times what the node can do.
TEST(Admission, AFloodDoesNotSlowTheQuiet) {
  Crowd crowd;
  crowd.Send(7, 10us);   // 100,000 a second
  crowd.Send(8, 1ms);    // 1,000 a second
  crowd.RunFor(3s);
  Crowd::Tenant& quiet = crowd.At(8);
  EXPECT_GE(quiet.served, 2'980u);
  EXPECT_EQ(quiet.refused, 0u);
  EXPECT_LE(quiet.longest(), 10ms) << "until the loop looks, until the turn ends, and the flood's refusals between";
  std::sort(quiet.waits.begin(), quiet.waits.end());
  EXPECT_LE(quiet.waits[quiet.waits.size() / 2], 6ms);
  // And the flood gets what is left, in bounded memory.
  EXPECT_GE(crowd.At(7).served, 25'000u);
  EXPECT_GT(crowd.At(7).refused, 0u);
  EXPECT_LE(crowd.admission_.queued(), AdmissionOptions().tenant_batches + 1);
  EXPECT_GT(crowd.metrics_.throttled->With({"7"})->value(), 0);
  EXPECT_GT(crowd.metrics_.pushed_back->With({"7"})->value(), 0);
  EXPECT_EQ(crowd.metrics_.pushed_back->With({"8"})->value(), 0);
}

TEST(Admission, SharesABusyNodeByWeight) {
  Crowd crowd;
  insula::tenant::v1::NodeShare share;
  for (auto [tenant, weight] : std::map<TenantId, uint32_t>{{7, 100}, {8, 200}, {9, 700}}) {
    crowd.At(tenant);
    share.set_weight(weight);
    crowd.admission_.SetShare(tenant, share);
    crowd.Saturate(tenant, 300);
  }
  crowd.RunFor(10s);
  double all = 200'000;
  EXPECT_NEAR(static_cast<double>(crowd.At(7).served) / all, 0.1, 0.02);
  EXPECT_NEAR(static_cast<double>(crowd.At(8).served) / all, 0.2, 0.02);
  EXPECT_NEAR(static_cast<double>(crowd.At(9).served) / all, 0.7, 0.02);
}

TEST(Admission, NobodyStarvesAmongHundreds) {
  Crowd crowd;
  for (TenantId tenant = 100; tenant < 400; ++tenant) crowd.Saturate(tenant, tenant == 100 ? 500 : 2);
  crowd.RunFor(10s);
  for (TenantId tenant = 100; tenant < 400; ++tenant) {
    EXPECT_GE(crowd.At(tenant).served, 500u) << tenant;  // an equal share is 666
    // One of each other, two of its own, and a turn.
    EXPECT_LE(crowd.At(tenant).longest(), tenant == 100 ? Duration(20s) : Duration(60ms)) << tenant;
  }
}

// A4: whatever is ready on the loop besides comes to its turn soon.
TEST(Admission, TheSystemsOwnWorkDoesNotWaitForAFlood) {
  Crowd crowd;
  crowd.Send(7, 10us);
  Duration longest{};
  int beats = 0;
  crowd.tasks_.SpawnFn([&]() -> Task<void> {
    while (true) {
      MonoTime due = crowd.loop_.Now() + 10ms;
      if (!(co_await Sleep(crowd.tasks_.ctx(), 10ms)).ok()) co_return;
      longest = std::max(longest, crowd.loop_.Now() - due);
      ++beats;
      crowd.admission_.ChargeSystem(kCost);
      crowd.loop_.Burn(kWork);
    }
  });
  crowd.RunFor(1500ms);
  EXPECT_GE(beats, 80);
  EXPECT_LE(longest, 10ms);
}

TEST(Admission, TheSystemTakesAtMostHalfOfATurnFromTenants) {
  Crowd crowd;
  crowd.Saturate(7, 100);
  crowd.tasks_.SpawnFn([&]() -> Task<void> {
    while (true) {
      crowd.admission_.ChargeSystem(100 * kCost);
      crowd.loop_.Burn(100us);
      if (!(co_await crowd.tasks_.ctx().Yield()).ok()) co_return;
    }
  });
  crowd.RunFor(2s);
  EXPECT_GE(crowd.At(7).served, 10'000u);
}

// ----------------------------------------------------------------------------------------------------------- one at a time

class AdmissionTest : public testing::Test {
 protected:
  AdmissionTest() { options_.turn = 10 * kCost; }
  Admission& admission() {
    if (!admission_) admission_.emplace(&loop_, &metrics_, options_);
    return *admission_;
  }
  // Fills the turn that is open now.
  void FillTurn(Admission::Batch& batch) {
    while (batch.TryAdmit(kCost)) {
    }
  }

  TestLoop loop_;
  metrics::Registry registry_;
  ServerMetrics metrics_{&registry_};
  AdmissionOptions options_;
  std::optional<Admission> admission_;
};

TEST_F(AdmissionTest, ACancelledBatchLeavesTheQueue) {
  auto stream = *admission().OpenStream(7);
  auto batch = *stream.Begin(10, false);
  FillTurn(batch);
  Context ctx = loop_.ctx().WithCancel();
  std::vector<absl::Status> ended(2, absl::UnknownError("not ended"));
  TaskGroup tasks(loop_.ctx());
  // The first takes a whole turn.
  for (size_t i : {0u, 1u}) {
    tasks.SpawnFn([&, i]() -> Task<void> { ended[i] = co_await batch.Admit(i == 0 ? loop_.ctx() : ctx, 1000 * kCost, 0); });
  }
  tasks.SpawnFn([&]() -> Task<void> {
    EXPECT_EQ(admission().queued(), 2u);
    ctx.Cancel();
    co_return;
  });
  loop_.RunUntilIdle();
  EXPECT_TRUE(ended[0].ok());
  EXPECT_EQ(ended[1].code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(admission().queued(), 0u);
}

TEST_F(AdmissionTest, AFrameThatIsDestroyedLeavesTheQueue) {
  auto stream = *admission().OpenStream(7);
  auto batch = *stream.Begin(10, false);
  FillTurn(batch);
  {
    TaskGroup tasks(loop_.ctx());
    auto waiting = std::make_unique<TaskGroup>(loop_.ctx());
    waiting->SpawnFn([&]() -> Task<void> { (void)co_await batch.Admit(loop_.ctx(), kCost, 0); });
    tasks.SpawnFn([&]() -> Task<void> {
      EXPECT_EQ(admission().queued(), 1u);
      waiting.reset();
      EXPECT_EQ(admission().queued(), 0u);
      co_return;
    });
    loop_.RunUntilIdle();
  }
}

TEST_F(AdmissionTest, WhoIsTurnedAwayHearsWhyAtOnce) {
  auto stream = *admission().OpenStream(7);
  auto other = *admission().OpenStream(8);
  auto batch = *stream.Begin(10, false);
  auto others = *other.Begin(10, false);
  FillTurn(batch);
  std::map<int, absl::Status> ended;
  TaskGroup tasks(loop_.ctx());
  tasks.SpawnFn([&]() -> Task<void> { ended[7] = co_await batch.Admit(loop_.ctx(), kCost, 0); });
  tasks.SpawnFn([&]() -> Task<void> { ended[8] = co_await others.Admit(loop_.ctx(), kCost, 0); });
  tasks.SpawnFn([&]() -> Task<void> {
    admission().TurnAway(7, absl::FailedPreconditionError("suspended"));
    co_return;
  });
  loop_.RunUntilIdle();
  EXPECT_EQ(ended[7], absl::FailedPreconditionError("suspended"));
  EXPECT_TRUE(ended[8].ok());
}

TEST_F(AdmissionTest, BoundsPushBackWithATimeToWait) {
  options_.tenant_batches = 4;
  options_.tenant_bytes = 1000;
  options_.tenant_streams = 2;
  options_.node_bytes = 1500;
  options_.guaranteed_bytes = 100;
  auto stream = *admission().OpenStream(7);
  auto second = *admission().OpenStream(7);
  EXPECT_EQ(GetKvError(admission().OpenStream(7).status())->unavailable().retry_after_us(), 20'000);
  auto one = *stream.Begin(900, false);
  auto refused = stream.Begin(200, false);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(GetKvError(refused.status())->has_unavailable());
  EXPECT_TRUE(stream.Begin(200, /*finishing=*/true).ok()) << "what ends a transaction may use the reserve";
  // The node's bound holds for those who have much only.
  auto other = *admission().OpenStream(8);
  auto big = *other.Begin(600, false);
  EXPECT_FALSE(other.Begin(100, false).ok());
  auto third = *admission().OpenStream(9);
  EXPECT_TRUE(third.Begin(100, false).ok());
  EXPECT_FALSE(third.Begin(101, false).ok());
  // What is released can be used again.
  { auto gone = std::move(one); }
  EXPECT_EQ(admission().bytes(), 600u);
  std::vector<Admission::Batch> held;
  for (int i = 0; i < 4; ++i) held.push_back(*stream.Begin(10, false));
  EXPECT_FALSE(stream.Begin(10, false).ok());
  held[0].SetBytes(5000);
  EXPECT_EQ(admission().bytes(), 5630u);
  held.clear();
  EXPECT_EQ(admission().bytes(), 600u);
}

TEST_F(AdmissionTest, OneBatchAlwaysPassesHoweverLarge) {
  options_.tenant_bytes = 1000;
  auto stream = *admission().OpenStream(7);
  EXPECT_TRUE(stream.Begin(50'000, false).ok());
}

TEST_F(AdmissionTest, WhoIsPastTheBucketLeavesRoomForOthers) {
  options_.rate_ru = 1;
  options_.burst_ru = 1;
  auto stream = *admission().OpenStream(7);
  auto batch = *stream.Begin(10, false);
  int admitted = 0;
  while (batch.TryAdmit(kCost)) ++admitted;
  EXPECT_EQ(admitted, 5) << "half a turn";
  auto other = *admission().OpenStream(8);
  auto paid = *other.Begin(10, false);
  EXPECT_TRUE(paid.TryAdmit(kCost)) << "tokens are worth the rest of it";
}

TEST_F(AdmissionTest, TenantsThatAreGoneAreForgotten) {
  for (TenantId tenant = 10; tenant < 1010; ++tenant) {
    auto stream = *admission().OpenStream(tenant);
    auto batch = *stream.Begin(10, false);
    EXPECT_TRUE(batch.TryAdmit(1));
    loop_.RunFor(1ms);
  }
  loop_.RunFor(30s);
  auto stream = *admission().OpenStream(7);
  EXPECT_EQ(admission().tenants(), 1u);
}

TEST_F(AdmissionTest, RequestUnitsAreCountedByTenant) {
  auto stream = *admission().OpenStream(7);
  auto batch = *stream.Begin(10, false);
  EXPECT_TRUE(batch.TryAdmit(1500));
  batch.Charge(500);
  EXPECT_DOUBLE_EQ(metrics_.request_units->With({"7"})->value(), 2.0);
}

}  // namespace
}  // namespace insula::kv
