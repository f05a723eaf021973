#include "kv/server/admission.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "kv/api/error.h"

namespace insula::kv {
namespace {
constexpr Duration kForgetInterval = std::chrono::seconds(10);
}

struct Admission::Share {
  Share(TenantId tenant, const AdmissionOptions& options, ServerMetrics* metrics, MonoTime now)
      : tenant(tenant),
        flow(tenant),
        writes(tenant),
        bucket(options.rate_ru * kMilliRuPerRu, options.burst_ru * kMilliRuPerRu, now),
        throttled(metrics->throttled->With({StrCat(tenant)})),
        writes_held_back(metrics->writes_held_back->With({StrCat(tenant)})),
        pushed_back(metrics->pushed_back->With({StrCat(tenant)})),
        request_units(metrics->request_units->With({StrCat(tenant)})) {
    SetWeight(options.weight);
  }
  void SetWeight(uint32_t weight) {
    flow.set_weight(weight);
    writes.set_weight(weight);
  }

  const TenantId tenant;
  FairQueue::Flow flow;    // in what the loop does
  FairQueue::Flow writes;  // in what the disk takes
  TokenBucket bucket;
  uint64_t bytes = 0;
  size_t batches = 0;
  size_t streams = 0;
  std::shared_ptr<PlanGate::Account> plan;  // null: none
  metrics::Counter* throttled;
  metrics::Counter* writes_held_back;
  metrics::Counter* pushed_back;
  metrics::Counter* request_units;
};

struct Admission::Waiter : FairQueue::Item {
  Event done;
  absl::Status status;
  Share* share = nullptr;
};

Admission::Admission(Executor* executor, ServerMetrics* metrics, AdmissionOptions options, WriteGate::Pressure disk, Borrowing borrowing)
    : executor_(executor),
      metrics_(metrics),
      options_(std::move(options)),
      last_forgetting_(executor->Now()),
      writes_(executor, metrics, std::move(disk), options_.writes),
      plans_(executor, metrics, std::move(borrowing)),
      tasks_(Context::Background(executor)) {
  tasks_.Spawn(Turns());
}
Admission::~Admission() = default;

// ------------------------------------------------------------------------------------------------------------------ bounds

Admission::Stream::~Stream() {
  if (admission_ != nullptr) --share_->streams;
}

absl::StatusOr<Admission::Stream> Admission::OpenStream(TenantId tenant) {
  ForgetIdle();
  std::shared_ptr<Share>& share = shares_[tenant];
  if (share == nullptr) share = std::make_shared<Share>(tenant, options_, metrics_, executor_->Now());
  if (share->streams >= options_.tenant_streams) return PushBack(*share, "streams open to");
  ++share->streams;
  return Stream(this, share);
}

// Tenants that are gone leave nothing behind, once their bucket has nothing to remember.
void Admission::ForgetIdle() {
  const MonoTime now = executor_->Now();
  if (now - last_forgetting_ < kForgetInterval) return;
  last_forgetting_ = now;
  std::erase_if(shares_, [this, now](auto& entry) {
    Share& share = *entry.second;
    if (share.streams > 0 || share.batches > 0 || !share.bucket.full(now) || (share.plan != nullptr && !plans_.Settled(share.plan))) return false;
    if (on_forgotten_) on_forgotten_(entry.first);
    return true;
  });
}

absl::Status Admission::PushBack(Share& share, const char* what) {
  share.pushed_back->Increment();
  return UnavailableKvError(StrCat("the tenant has too many ", what, " this node; try again later"), options_.retry_after);
}

absl::StatusOr<Admission::Batch> Admission::Begin(const std::shared_ptr<Share>& share, uint64_t bytes, bool finishing) {
  const uint64_t reserve = finishing ? 5 : 4;  // quarters
  if (share->batches >= options_.tenant_batches * reserve / 4) return PushBack(*share, "requests under way on");
  // A batch alone always passes: messages are bounded.
  if (share->bytes > 0 && share->bytes + bytes > options_.tenant_bytes * reserve / 4) return PushBack(*share, "bytes under way on");
  if (share->bytes + bytes > options_.guaranteed_bytes && bytes_ + bytes > options_.node_bytes * reserve / 4) return PushBack(*share, "bytes under way for");
  ++share->batches;
  share->bytes += bytes;
  bytes_ += bytes;
  metrics_->in_flight_bytes->Set(static_cast<double>(bytes_));
  Batch batch;
  batch.admission_ = this;
  batch.share_ = share;
  batch.bytes_ = bytes;
  return batch;
}

void Admission::Batch::SetBytes(uint64_t bytes) {
  share_->bytes += bytes - bytes_;
  admission_->bytes_ += bytes - bytes_;
  bytes_ = bytes;
  admission_->metrics_->in_flight_bytes->Set(static_cast<double>(admission_->bytes_));
}

Admission::Batch::~Batch() {
  if (admission_ == nullptr) return;
  SetBytes(0);
  --share_->batches;
}

// ------------------------------------------------------------------------------------------------------------------- turns

void Admission::Spent(MilliRu cost) {
  spent_ += cost;
  if (turn_open_) return;
  turn_open_ = true;
  opened_.NotifyAll();
}

void Admission::ChargeSystem(MilliRu cost) {
  system_spent_ += cost;
  Spent(0);
}

bool Admission::TryAdmit(Share& share, MilliRu cost) {
  if (share.flow.size() > 0 || used() >= options_.turn) return false;
  const bool paid = share.bucket.Take(cost, executor_->Now());
  if (!paid && (!queue_.empty() || used() >= options_.turn / 2)) return false;
  queue_.Charge(&share.flow, cost);
  share.request_units->Increment(static_cast<double>(cost) / kMilliRuPerRu);
  Spent(cost);
  return true;
}

Task<absl::Status> Admission::Wait(Context ctx, std::shared_ptr<Share> share, MilliRu cost, int priority) {
  const MonoTime since = executor_->Now();
  Waiter waiter;
  waiter.share = share.get();
  queue_.Push(&share->flow, &waiter, cost, priority);
  share->throttled->Increment();
  metrics_->queued->Set(static_cast<double>(queue_.size()));
  Spent(0);
  absl::Status ended = co_await waiter.done.Wait(ctx);
  if (waiter.queued()) queue_.Remove(&waiter);
  metrics_->queued->Set(static_cast<double>(queue_.size()));
  metrics_->queue_wait->Observe(std::chrono::duration<double>(executor_->Now() - since).count());
  // Admitted and cancelled in the same moment: it is paid for, and finds out by itself.
  co_return waiter.done.is_set() ? waiter.status : ended;
}

void Admission::Charge(Share& share, Purse::Pot pot, MilliRu cost) {
  if (cost <= 0) return;
  if (share.plan != nullptr) plans_.Charge(share.plan, pot, cost);
  share.bucket.Charge(cost, executor_->Now());
  queue_.Charge(&share.flow, cost);
  share.request_units->Increment(static_cast<double>(cost) / kMilliRuPerRu);
  Spent(cost);
}

void Admission::EndTurn() {
  spent_ = 0;
  system_spent_ = 0;
  while (spent_ < options_.turn) {
    auto* waiter = static_cast<Waiter*>(queue_.Pop());
    if (waiter == nullptr) break;
    spent_ += waiter->cost();
    waiter->share->bucket.Charge(waiter->cost(), executor_->Now());
    waiter->share->request_units->Increment(static_cast<double>(waiter->cost()) / kMilliRuPerRu);
    waiter->done.Set();
  }
  turn_open_ = spent_ > 0 || !queue_.empty();
}

// What was ready when a turn opened, and what it made ready in passing, runs before the turn ends.
Task<void> Admission::Turns() {
  const Context& ctx = tasks_.ctx();
  while (true) {
    while (!turn_open_) {
      if (!(co_await opened_.Wait(ctx)).ok()) co_return;
    }
    if (!(co_await ctx.Yield()).ok()) co_return;
    EndTurn();
  }
}

// ------------------------------------------------------------------------------------------------------------------- plans

bool Admission::TryPlan(Share& share, MilliRu cost, bool finishing, Purse::Pot* pot) {
  if (share.plan == nullptr) return true;
  *pot = plans_.TryPass(share.plan, cost, finishing);
  return *pot != Purse::Pot::kNone;
}

Task<absl::Status> Admission::WaitForPlan(Context ctx, std::shared_ptr<Share> share, MilliRu cost, bool finishing, int priority, Purse::Pot* pot) {
  // It may have been taken away in the moment between.
  if (share->plan == nullptr) co_return absl::OkStatus();
  co_return co_await plans_.Wait(std::move(ctx), share->plan, cost, finishing, priority, pot);
}

void Admission::SetPlan(const insula::tenant::v1::TenantRecord& record) {
  auto it = shares_.find(record.id());
  if (it != shares_.end()) plans_.SetPlan(&it->second->plan, record.id(), record);
}

// ------------------------------------------------------------------------------------------------------------------ writes

bool Admission::TryWrite(Share& share, uint64_t bytes) { return writes_.TryPass(&share.writes, bytes); }

Task<absl::Status> Admission::WaitToWrite(Context ctx, std::shared_ptr<Share> share, uint64_t bytes, int priority) {
  share->writes_held_back->Increment();
  co_return co_await writes_.Wait(ctx, &share->writes, bytes, priority);
}

void Admission::ChargeWrite(Share& share, uint64_t bytes) { writes_.Charge(&share.writes, bytes); }

// ----------------------------------------------------------------------------------------------------------------- tenants

void Admission::SetShare(TenantId tenant, const insula::tenant::v1::NodeShare& wanted) {
  auto it = shares_.find(tenant);
  if (it == shares_.end()) return;
  Share& share = *it->second;
  // Above this nobody is ever held back; it keeps sums from overflowing.
  constexpr uint64_t kMostRu = uint64_t{1} << 32;
  auto or_default = [kMostRu](uint64_t value, int64_t fallback) { return value == 0 ? fallback : static_cast<int64_t>(std::min(value, kMostRu)); };
  share.SetWeight(wanted.weight() == 0 ? options_.weight : wanted.weight());
  share.bucket.SetLimits(or_default(wanted.rate_ru(), options_.rate_ru) * kMilliRuPerRu, or_default(wanted.burst_ru(), options_.burst_ru) * kMilliRuPerRu, executor_->Now());
}

void Admission::TurnAway(TenantId tenant, const absl::Status& why) {
  auto it = shares_.find(tenant);
  if (it == shares_.end()) return;
  std::shared_ptr<Share> share = it->second;
  while (auto* waiter = static_cast<Waiter*>(queue_.Drop(&share->flow))) {
    waiter->status = why;
    waiter->done.Set();
  }
  writes_.TurnAway(&share->writes, why);
  if (share->plan != nullptr) plans_.TurnAway(*share->plan, why);
}

}  // namespace insula::kv
