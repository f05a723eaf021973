#include "kv/store/store_pool.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/log/log.h"

namespace insula::kv {
namespace {

constexpr Duration kOwnFor = std::chrono::seconds(1);  // how long what was counted serves
// What a store carries has changed noticeably if one of these has, by this share and this much.
constexpr double kDriftShare = 0.05;
constexpr double kDriftRanges = 1, kDriftBytes = 64 << 20, kDriftPerSecond = 50;

// From here on a disk's pressure is news with each heartbeat; it is less than what opens a gate (kv/server/write_gate.h).
constexpr double kPressed = 0.2;

// How long rates take to follow by half (kv/replica/range_load.h), and when what is still missing does not matter.
constexpr double kHalfLifeSeconds = 10, kForgetMovedSeconds = 60;
// A deadline noticed later than this was slept through: whoever slept has not watched.
constexpr Duration kLate = std::chrono::seconds(5);

double SecondsBetween(MonoTime from, MonoTime to) { return std::chrono::duration<double>(to - from).count(); }

bool Differs(double a, double b, double least) { return std::abs(a - b) > std::max(least, kDriftShare * std::max(a, b)); }

}  // namespace

void StorePool::Urgent() {
  ++urgent_;
  changed_.NotifyAll();
}

void StorePool::SetMember(const v1::NodeRecord& record) {
  auto [it, fresh] = entries_.try_emplace(record.store_id());
  Entry& e = it->second;
  if (fresh && record.store_id() != self_ && !hears_(record.store_id())) e.silent_since = executor_->Now();
  const bool other = fresh || e.record.state() != record.state() || e.record.locality() != record.locality();
  e.record = record;
  auto locality = placement::ParseLocality(record.locality());
  if (!locality.ok()) LOG_WARNING("a node's locality is not one", {"node", record.node_id()}, {"why", locality.status()});
  e.view.locality = locality.ok() ? *std::move(locality) : placement::Locality();
  if (record.store_id() == self_ && other) SayNow();
  if (other) Urgent();
}

void StorePool::Meet(uint64_t node, StoreId store) {
  if (store == self_ || entries_.contains(store)) return;
  v1::NodeRecord record;
  record.set_node_id(node);
  record.set_store_id(store);
  SetMember(record);
}

void StorePool::SupportChanged(StoreId store) {
  auto it = entries_.find(store);
  if (it == entries_.end() || store == self_) return;
  Entry& e = it->second;
  const bool hears = hears_(store);
  if (hears == !e.silent_since.has_value()) return;
  e.silent_since = hears ? std::nullopt : std::optional(executor_->Now());
  e.dead = false;
  Urgent();  // one that is back may be of use; one that is silent must get nothing
}

void StorePool::TakeFigures(const v1::StoreLoad& load, placement::StoreView* view) const {
  view->capacity_bytes = load.capacity_bytes();
  view->available_bytes = load.available_bytes();
  view->used_bytes = static_cast<double>(load.used_bytes());
  view->ranges = static_cast<double>(load.ranges());
  view->leases = static_cast<double>(load.leases());
  view->batches_per_second = load.batches_per_second();
  view->writes_per_second = load.writes_per_second();
  view->stopped = {load.stopped_replicas().begin(), load.stopped_replicas().end()};
}

bool StorePool::Drifted(const Entry& e) const {
  const placement::StoreView &a = e.view, &b = e.seen;
  return Differs(a.ranges, b.ranges, kDriftRanges) || Differs(a.leases, b.leases, kDriftRanges) || Differs(a.used_bytes, b.used_bytes, kDriftBytes) ||
         Differs(a.batches_per_second, b.batches_per_second, kDriftPerSecond) || Differs(a.writes_per_second, b.writes_per_second, kDriftPerSecond);
}

void StorePool::Heard(const v1::StoreLoad& load) {
  if (load.store_id() == self_) return;
  Meet(load.node_id(), load.store_id());
  Entry& e = entries_[load.store_id()];
  if (e.load.at() > load.at()) return;
  const bool first = e.heard == MonoTime{};
  const bool other = e.load.draining() != load.draining() || e.load.decommissioning() != load.decommissioning();
  if (e.record.locality() != load.locality()) {
    v1::NodeRecord record = e.record;
    record.set_locality(load.locality());
    SetMember(record);
  }
  e.load = load;
  e.heard = executor_->Now();
  const std::map<RangeId, ReplicaId> stopped = std::move(e.view.stopped);
  TakeFigures(load, &e.view);
  const bool stopped_more = !std::includes(stopped.begin(), stopped.end(), e.view.stopped.begin(), e.view.stopped.end());
  if (first || other || stopped_more) {
    Urgent();
  } else if (Drifted(e)) {
    ++drifted_;
    changed_.NotifyAll();
  }
}

void StorePool::SayNow() {
  ++say_version_;
  own_at_ = MonoTime{};
}

void StorePool::Done(const placement::Action& action, const placement::RangeView& range) {
  placement::ClusterView figures;
  for (auto& [id, e] : entries_) figures.stores[id] = std::move(e.view);
  const placement::ClusterView before = figures;
  placement::Apply(action, range, &figures);
  const MonoTime now = executor_->Now();
  for (auto& [id, e] : entries_) {
    const placement::StoreView& was = before.stores.at(id);
    e.view = std::move(figures.stores[id]);
    std::erase_if(e.moved, [&](const Moved& m) { return SecondsBetween(m.at, now) > kForgetMovedSeconds; });
    const Moved moved{.at = now, .batches = e.view.batches_per_second - was.batches_per_second, .writes = e.view.writes_per_second - was.writes_per_second};
    if (id != self_ && (moved.batches != 0 || moved.writes != 0)) e.moved.push_back(moved);
    e.view.batches_per_second = was.batches_per_second;
    e.view.writes_per_second = was.writes_per_second;
  }
  own_at_ = MonoTime{};  // this store counts anew
}

void StorePool::RefreshOwn() {
  const MonoTime now = executor_->Now();
  if (own_at_ != MonoTime{} && now - own_at_ < kOwnFor) return;
  own_at_ = now;
  own_load_.Clear();
  own_(&own_load_);
  auto it = entries_.find(self_);
  if (it == entries_.end()) return;
  TakeFigures(own_load_, &it->second.view);
  if (Drifted(it->second)) {
    ++drifted_;
    changed_.NotifyAll();
  }
}

const v1::StoreLoad* StorePool::LoadFor(StoreId to) {
  const MonoTime now = executor_->Now();
  Said& said = said_[to];
  const double pressure = pressure_();
  const bool pressed = pressure >= kPressed;
  if (said.version == say_version_ && !pressed && !said.pressed && now - said.at < options_.say_every) return nullptr;
  RefreshOwn();
  own_load_.set_write_pressure(pressure);
  said = {.at = now, .version = say_version_, .pressed = pressed};
  return &own_load_;
}

double StorePool::WritePressureOf(StoreId store) const {
  if (store == self_) return pressure_();
  auto it = entries_.find(store);
  if (it == entries_.end() || it->second.silent_since || executor_->Now() - it->second.heard > 2 * options_.say_every) return 0;
  return it->second.load.write_pressure();
}

const v1::StoreLoad* StorePool::Load(StoreId store) {
  if (store == self_) {
    RefreshOwn();
    return &own_load_;
  }
  auto it = entries_.find(store);
  return it == entries_.end() || it->second.heard == MonoTime{} ? nullptr : &it->second.load;
}

placement::Liveness StorePool::LivenessOf(StoreId store) const {
  if (store == self_) return placement::Liveness::kLive;
  auto it = entries_.find(store);
  if (it == entries_.end()) return placement::Liveness::kSilent;
  if (!it->second.silent_since) return placement::Liveness::kLive;
  return it->second.dead ? placement::Liveness::kDead : placement::Liveness::kSilent;
}

placement::ClusterView StorePool::View() {
  RefreshOwn();
  const MonoTime now = executor_->Now();
  placement::ClusterView view;
  for (const auto& [id, e] : entries_) {
    const v1::StoreLoad& load = id == self_ ? own_load_ : e.load;
    placement::StoreView& s = view.stores[id] = e.view;
    s.node_id = e.record.node_id();
    s.store_id = id;
    s.liveness = LivenessOf(id);
    s.state = e.record.state();
    if (s.state == v1::NODE_ACTIVE && load.decommissioning()) s.state = v1::NODE_DECOMMISSIONING;
    if (s.state == v1::NODE_ACTIVE && load.draining()) s.state = v1::NODE_DRAINING;
    for (const Moved& m : e.moved) {
      const double missing = std::exp2(-SecondsBetween(m.at, now) / kHalfLifeSeconds);
      s.batches_per_second = std::max(0.0, s.batches_per_second + m.batches * missing);
      s.writes_per_second = std::max(0.0, s.writes_per_second + m.writes * missing);
    }
    s.fresh = id == self_ || (e.heard != MonoTime{} && now - e.heard < options_.fresh_for);
  }
  return view;
}

std::optional<MonoTime> StorePool::NextDeath() const {
  std::optional<MonoTime> next;
  for (const auto& [id, e] : entries_) {
    if (!e.silent_since || e.dead || e.record.state() == v1::NODE_DECOMMISSIONED) continue;
    const MonoTime at = *e.silent_since + options_.dead_after;
    if (!next || at < *next) next = at;
  }
  return next;
}

void StorePool::NoticeDeaths() {
  for (auto& [id, e] : entries_) {
    if (!e.silent_since || e.dead) continue;
    const MonoTime now = executor_->Now(), deadline = *e.silent_since + options_.dead_after;
    if (now < deadline) continue;
    if (now - deadline > kLate) {  // V1
      e.silent_since = now;
      continue;
    }
    e.dead = true;
    if (e.record.state() == v1::NODE_DECOMMISSIONED) continue;
    LOG_WARNING("a store is given up: its replicas are made anew elsewhere", {"store", id}, {"silent_s", std::chrono::duration_cast<std::chrono::seconds>(options_.dead_after).count()});
    Urgent();
  }
}

void StorePool::MarkSeen() {
  for (auto& [id, e] : entries_) e.seen = e.view;
}

}  // namespace insula::kv
