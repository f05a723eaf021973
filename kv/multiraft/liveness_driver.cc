#include "kv/multiraft/liveness_driver.h"

#include <algorithm>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/raft_convert.h"
#include "kv/storage/varint.h"

namespace insula::kv {
namespace {

constexpr char kLivenessMeta[] = "liveness";
constexpr char kClockMeta[] = "clock-bound";
constexpr char kFormat = 1;

Timestamp After(Timestamp t, Duration d) {
  return t.AddMicros(std::chrono::duration_cast<std::chrono::microseconds>(d).count());
}

LogBatch ClockBoundBatch(Timestamp bound) {
  std::string value(1, kFormat);
  AppendFixed64(&value, bound.bits);
  LogBatch batch;
  batch.SetMeta(kClockMeta, value);
  return batch;
}

}  // namespace

std::string EncodeLivenessState(const LivenessState& state) {
  std::string out(1, kFormat);
  storage::AppendVarint(&out, state.starts);
  storage::AppendVarint(&out, state.given.size());
  for (const auto& [store, record] : state.given) {
    storage::AppendVarint(&out, store);
    storage::AppendVarint(&out, record.epoch);
    out.push_back(record.withdrawn ? 1 : 0);
  }
  return out;
}

absl::Status DecodeLivenessState(std::string_view bytes, LivenessState* state) {
  *state = LivenessState();
  absl::Status damaged = absl::DataLossError("store liveness state is damaged");
  if (bytes.empty() || bytes[0] != kFormat) return damaged;
  bytes.remove_prefix(1);
  uint64_t count;
  if (!storage::TakeVarint(&bytes, &state->starts) || !storage::TakeVarint(&bytes, &count)) return damaged;
  for (; count > 0; --count) {
    uint64_t store;
    SupportRecord record;
    if (!storage::TakeVarint(&bytes, &store) || !storage::TakeVarint(&bytes, &record.epoch) || bytes.empty())
      return damaged;
    record.withdrawn = bytes[0] != 0;
    bytes.remove_prefix(1);
    state->given[store] = record;
  }
  return bytes.empty() ? absl::OkStatus() : damaged;
}

Task<absl::Status> LivenessDriver::WaitForClock(Context ctx, const LogEngine& log, HybridClock* clock,
                                                Duration patience) {
  std::optional<std::string> value = log.Meta(kClockMeta);
  if (!value.has_value()) co_return absl::OkStatus();
  if (value->size() != 9 || (*value)[0] != kFormat) co_return absl::DataLossError("the clock's upper bound is damaged");
  Timestamp bound{ReadFixed64(value->data() + 1)};
  // All the way: a clock that is raised ahead of its physical one gives timestamps that nobody's physical clock has reached, beyond the
  // uncertainty of readers whose clock is behind.
  while (clock->Physical().time_since_epoch().count() < static_cast<int64_t>(bound.micros())) {
    Duration left = std::chrono::microseconds(static_cast<int64_t>(bound.micros()) - clock->Physical().time_since_epoch().count());
    if (left > patience) {
      co_return absl::FailedPreconditionError(
          StrCat("this node's clock is ", std::chrono::duration_cast<std::chrono::seconds>(left).count(),
                 " s behind what it was when this store last ran: check the time synchronisation"));
    }
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, std::min<Duration>(left, std::chrono::milliseconds(100))));
  }
  clock->RaiseTo(bound);
  co_return absl::OkStatus();
}

LogBatch LivenessDriver::ShrinkClockBound(HybridClock* clock) { return ClockBoundBatch(clock->Now()); }

LivenessDriver::LivenessDriver(const Runtime& runtime, StoreId self, HybridClock* clock, LogEngine* log,
                               StoreStreams* streams, StoreMetrics* metrics, std::function<void(const std::set<StoreId>&)> changed)
    : runtime_(runtime),
      self_(self),
      clock_(clock),
      log_(log),
      streams_(streams),
      metrics_(metrics),
      changed_(std::move(changed)),
      tasks_(Context::Background(runtime.executor)) {}

absl::StatusOr<std::unique_ptr<LivenessDriver>> LivenessDriver::Make(
    const Runtime& runtime, StoreId self, std::vector<StoreId> peers, HybridClock* clock, LogEngine* log,
    StoreStreams* streams, StoreMetrics* metrics, std::function<void(const std::set<StoreId>&)> changed) {
  std::unique_ptr<LivenessDriver> driver(new LivenessDriver(runtime, self, clock, log, streams, metrics, std::move(changed)));
  if (std::optional<std::string> value = log->Meta(kLivenessMeta); value.has_value())
    RETURN_IF_ERROR(DecodeLivenessState(*value, &driver->durable_));
  driver->manager_ =
      std::make_unique<SupportManager>(SupportManager::Options{.self = self}, driver->durable_, clock->Now());
  for (StoreId peer : peers) {
    if (peer != self) driver->manager_->AddPeer(peer);
  }
  return driver;
}

void LivenessDriver::Start() { tasks_.Spawn(Run()); }

void LivenessDriver::CountLost(StoreId store) {
  const SupportManager::Received received = manager_->SupportFrom(store);
  const std::pair<bool, bool> now(manager_->SupportFor(store).supported, !received.expiration.empty() && clock_->Peek() <= received.expiration);
  std::pair<bool, bool>& before = support_[store];
  metrics_->support_lost += static_cast<uint64_t>(before.first && !now.first) + static_cast<uint64_t>(before.second && !now.second);
  before = now;
}

void LivenessDriver::Receive(const LivenessMessage& message) {
  if (message.type == LivenessMessage::Type::kHeartbeat) metrics_->heartbeats_received += 1;
  manager_->Receive(message, clock_->Now());
  Drain();
}

void LivenessDriver::RemovePeer(StoreId store) {
  manager_->RemovePeer(store);
  Drain();
}

void LivenessDriver::AddPeer(StoreId store) {
  if (store == self_) return;
  manager_->AddPeer(store);
  Drain();
}

void LivenessDriver::Write(const LivenessWrite& write) {
  write.ApplyTo(&durable_);
  LogBatch batch;
  batch.SetMeta(kLivenessMeta, EncodeLivenessState(durable_));
  log_->Append(std::move(batch),
               [this, alive = std::weak_ptr<bool>(alive_), sequence = write.sequence](absl::Status s) {
                 if (alive.expired() || !s.ok()) return;  // a log that failed ends the store
                 manager_->Written(sequence, clock_->Now());
                 Drain();
               });
}

void LivenessDriver::Drain() {
  for (;;) {
    SupportManager::Output out = manager_->TakeOutput();
    if (out.messages.empty() && !out.write.has_value() && out.changed.empty()) return;
    if (out.write.has_value()) Write(*out.write);
    for (const LivenessMessage& m : out.messages) {
      if (m.to == self_) {
        manager_->Receive(m, clock_->Now());
        continue;
      }
      if (m.type == LivenessMessage::Type::kHeartbeat) metrics_->heartbeats_sent += 1;
      v1::LivenessMessage proto;
      ToProto(m, &proto);
      streams_->Send(m.to, std::move(proto));
    }
    if (out.changed.empty()) continue;
    for (StoreId store : out.changed) CountLost(store);
    changed_(out.changed);
  }
}

void LivenessDriver::KeepClockBound() {
  Timestamp now = clock_->Now();
  if (writing_bound_ || (bound_ > After(now, kClockBoundLeast) && !manager_->WantsLogSync(now))) return;
  writing_bound_ = true;
  Timestamp next = After(now, kClockBoundAhead);
  log_->Append(ClockBoundBatch(next), [this, alive = std::weak_ptr<bool>(alive_), next](absl::Status s) {
    if (alive.expired()) return;
    writing_bound_ = false;
    if (s.ok()) bound_ = std::max(bound_, next);
  });
}

Task<void> LivenessDriver::Run() {
  for (;;) {
    Timestamp now = clock_->Now();
    if (log_->last_sync() != seen_sync_) {
      seen_sync_ = log_->last_sync();
      manager_->LogSynced(now);
    }
    manager_->Tick(now);
    Drain();
    KeepClockBound();
    Timestamp next = manager_->NextTick();
    auto wait = std::chrono::microseconds(next > now ? static_cast<int64_t>(next.micros() - now.micros()) : 0);
    auto bounded = std::clamp<Duration>(wait, std::chrono::milliseconds(1), std::chrono::milliseconds(200));
    if (!(co_await Sleep(tasks_.ctx(), bounded)).ok()) co_return;
  }
}

}  // namespace insula::kv
