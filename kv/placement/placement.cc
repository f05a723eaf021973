#include "kv/placement/placement.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "base/strings.h"
#include "kv/placement/balance.h"

namespace insula::kv::placement {
namespace {

using Why = Action::Why;
using Kind = Action::Kind;

constexpr double kAlike = 1e-9;  // differences of diversity below it are none

// Splitmix64: spreads what ties leave open.
uint64_t Mix(uint64_t range, uint64_t store) {
  uint64_t x = range * 0x9e3779b97f4a7c15u + store * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

bool IsLive(const StoreView* s) { return s != nullptr && s->liveness == Liveness::kLive; }
bool IsDead(const StoreView* s) { return s != nullptr && s->liveness == Liveness::kDead; }
// A store that is to hold nothing.
bool IsLeaving(const StoreView* s) { return s != nullptr && (s->state == v1::NODE_DECOMMISSIONING || s->state == v1::NODE_DECOMMISSIONED); }
double FreeShare(const StoreView& s) { return s.capacity_bytes == 0 ? 1 : static_cast<double>(s.available_bytes) / static_cast<double>(s.capacity_bytes); }

class Decider {
 public:
  Decider(const ClusterView& cluster, const RangeView& range, const Options& options)
      : cluster_(cluster), range_(range), options_(options), replicas_(Sharing(), ReplicaFigures()), leases_(Sharing(), LeaseFigures()) {
    for (const auto& r : range.descriptor->replicas()) {
      joint_ = joint_ || r.incoming() || r.outgoing();
      (r.learner() && !r.outgoing() ? learners_ : voters_).push_back(r.store_id());
    }
  }

  Action Run() const {
    if (range_.descriptor->replicas().empty() || !QuorumStays({}, {})) return {};
    if (joint_) return range_.settled ? Action{.kind = Kind::kFinishChange, .why = Why::kUnfinished} : Action{};
    if (!learners_.empty()) return range_.settled ? Action{.kind = Kind::kChange, .why = Why::kUnfinished, .remove = {learners_.front()}} : Action{};
    for (auto step : {&Decider::ReplaceDead, &Decider::AddMissing, &Decider::ReplaceLeaving, &Decider::RemoveSurplus, &Decider::MoveUnwantedLease, &Decider::Spread,
                      &Decider::Rebalance, &Decider::RebalanceLease}) {
      Action action = (this->*step)();
      if (action.kind != Kind::kNone) return action;
    }
    return {};
  }

  StoreId BestLease() const {
    const StoreView* best = nullptr;
    for (StoreId id : voters_) {
      const StoreView* s = cluster_.Find(id);
      if (id == range_.leaseholder || !TakesLease(s)) continue;
      if (best == nullptr || LeaseOrder(*s) < LeaseOrder(*best)) best = s;
    }
    return best == nullptr ? 0 : best->store_id;
  }

  bool HasTarget(StoreId without) const { return !Targets({without}).empty(); }
  bool QuorumStays(const std::vector<StoreId>& add, const std::vector<StoreId>& remove) const {
    auto live = [&](const std::vector<StoreId>& stores) { return static_cast<size_t>(std::count_if(stores.begin(), stores.end(), [&](StoreId s) { return TakesPart(s); })); };
    const std::vector<StoreId> next = After(add, remove);
    return live(voters_) * 2 > voters_.size() && live(next) * 2 > next.size();  // P1
  }

 private:
  std::vector<StoreId> After(const std::vector<StoreId>& add, const std::vector<StoreId>& remove) const {
    std::vector<StoreId> next;
    for (StoreId s : voters_) {
      if (std::find(remove.begin(), remove.end(), s) == remove.end()) next.push_back(s);
    }
    next.insert(next.end(), add.begin(), add.end());
    return next;
  }

  // -- Stores --
  // The range's replica there has stopped itself.
  bool HasStopped(const StoreView* s) const {
    if (s == nullptr || s->stopped.empty()) return false;
    auto it = s->stopped.find(range_.descriptor->range_id());
    if (it == s->stopped.end()) return false;
    return std::any_of(range_.descriptor->replicas().begin(), range_.descriptor->replicas().end(),
                       [&](const auto& r) { return r.store_id() == s->store_id && (it->second == 0 || it->second == r.replica_id()); });
  }
  bool TakesPart(StoreId id) const { return IsLive(cluster_.Find(id)) && !HasStopped(cluster_.Find(id)); }

  std::vector<const StoreView*> Sharing() const {
    std::vector<const StoreView*> out;
    for (const auto& [id, s] : cluster_.stores) {
      if (IsLive(&s) && s.fresh && s.state == v1::NODE_ACTIVE) out.push_back(&s);
    }
    return out;
  }
  std::vector<Figure> ReplicaFigures() const {
    return {{.of = [](const StoreView& s) { return s.ranges; }, .moved = 1, .margin = options_.ranges_margin, .least = options_.ranges_least},
            {.of = [](const StoreView& s) { return s.used_bytes; }, .moved = range_.bytes, .margin = options_.bytes_margin, .least = options_.bytes_least},
            {.of = [](const StoreView& s) { return s.writes_per_second; }, .moved = range_.writes_per_second, .margin = options_.writes_margin, .least = options_.writes_least}};
  }
  std::vector<Figure> LeaseFigures() const {
    return {{.of = [](const StoreView& s) { return s.leases; }, .moved = 1, .margin = options_.leases_margin, .least = options_.leases_least},
            {.of = [](const StoreView& s) { return s.batches_per_second; }, .moved = range_.batches_per_second, .margin = options_.batches_margin, .least = options_.batches_least}};
  }

  // P2. Stores that may get a replica, apart from those of `without`'s nodes: these are to go.
  std::vector<const StoreView*> Targets(const std::vector<StoreId>& without) const {
    std::vector<const StoreView*> out;
    for (const StoreView* s : Sharing()) {
      const bool room = FreeShare(*s) >= options_.least_free && (s->capacity_bytes == 0 || static_cast<double>(s->available_bytes) > 2 * range_.bytes);
      bool taken = false;
      for (const auto& r : range_.descriptor->replicas()) {
        const bool goes = std::find(without.begin(), without.end(), r.store_id()) != without.end();
        taken = taken || r.store_id() == s->store_id || (r.node_id() == s->node_id && !goes);
      }
      if (room && !taken) out.push_back(s);
    }
    return out;
  }

  double DiversityOf(const std::vector<StoreId>& stores) const {
    static const Locality* const kNowhere = new Locality();
    std::vector<const Locality*> places;
    for (StoreId id : stores) {
      const StoreView* s = cluster_.Find(id);
      places.push_back(s == nullptr ? kNowhere : &s->locality);
    }
    return placement::Diversity(places);
  }

  // Smaller is better: what has little comes first, in steps of a band.
  std::pair<int64_t, uint64_t> TargetOrder(const StoreView& s) const {
    return {static_cast<int64_t>(std::clamp(replicas_.Excess(s) * 2, -1e6, 1e6)), Mix(range_.descriptor->range_id(), s.store_id)};
  }

  // The best store for one more replica beside those of After(add, remove).
  const StoreView* BestTarget(const std::vector<StoreId>& add, const std::vector<StoreId>& remove) const {
    const StoreView* best = nullptr;
    double best_diversity = 0;
    for (const StoreView* s : Targets(remove)) {
      if (std::any_of(add.begin(), add.end(), [&](StoreId a) { return a == s->store_id || cluster_.Find(a)->node_id == s->node_id; })) continue;
      std::vector<StoreId> next = After(add, remove);
      next.push_back(s->store_id);
      const double diversity = DiversityOf(next);
      if (best != nullptr && diversity < best_diversity - kAlike) continue;
      if (best == nullptr || diversity > best_diversity + kAlike || TargetOrder(*s) < TargetOrder(*best)) {
        best = s;
        best_diversity = diversity;
      }
    }
    return best;
  }

  // -- Replicas --
  Action Replace(StoreId store, Why why) const {
    if (store == range_.leaseholder) {
      StoreId to = BestLease();
      return to == 0 ? Action{} : Action{.kind = Kind::kTransferLease, .why = why, .lease_to = to};
    }
    const StoreView* target = BestTarget({}, {store});
    if (target == nullptr || !QuorumStays({target->store_id}, {store})) return {};
    return {.kind = Kind::kChange, .why = why, .add = {target->store_id}, .remove = {store}};
  }

  Action ReplaceDead() const {
    size_t dead = 0, staying = 0;
    for (const auto& [id, s] : cluster_.stores) {
      if (IsLeaving(&s)) continue;
      ++staying;
      dead += IsDead(&s) ? 1 : 0;
    }
    const bool cut_off = dead * 2 >= staying;  // P5
    for (StoreId id : voters_) {
      const StoreView* s = cluster_.Find(id);
      if (HasStopped(s)) {
        if (Action action = ReplaceStopped(id); action.kind != Kind::kNone) return action;
        continue;
      }
      if (!IsDead(s) || (cut_off && !IsLeaving(s))) continue;
      if (voters_.size() > static_cast<size_t>(options_.replicas) && QuorumStays({}, {id})) return {.kind = Kind::kChange, .why = Why::kDead, .remove = {id}};
      if (Action action = Replace(id, Why::kDead); action.kind != Kind::kNone) return action;
    }
    return {};
  }

  // Where no other store can take one, the same makes another: it goes first, and is missed then.
  Action ReplaceStopped(StoreId id) const {
    const bool surplus = voters_.size() > static_cast<size_t>(options_.replicas);
    if (Action action = surplus ? Action{} : Replace(id, Why::kStopped); action.kind != Kind::kNone) return action;
    return QuorumStays({}, {id}) ? Action{.kind = Kind::kChange, .why = Why::kStopped, .remove = {id}} : Action{};
  }

  Action AddMissing() const {
    const size_t have = voters_.size();
    size_t goal = std::min(static_cast<size_t>(options_.replicas), have + Targets({}).size());
    if (goal % 2 == 0) --goal;
    Action action{.kind = Kind::kChange, .why = Why::kTooFew};
    while (have + action.add.size() < goal) {
      const StoreView* target = BestTarget(action.add, {});
      if (target == nullptr) break;
      action.add.push_back(target->store_id);
    }
    return action.add.empty() || !QuorumStays(action.add, {}) ? Action{} : action;
  }

  Action ReplaceLeaving() const {
    for (StoreId id : voters_) {
      if (!IsLeaving(cluster_.Find(id))) continue;
      if (Action action = Replace(id, Why::kDecommission); action.kind != Kind::kNone) return action;
    }
    return {};
  }

  Action RemoveSurplus() const {
    if (voters_.size() <= static_cast<size_t>(options_.replicas)) return {};
    struct Candidate {
      StoreId store;
      int worth;  // live and wanted
      double diversity, excess;
    };
    std::optional<Candidate> least;
    for (StoreId id : voters_) {
      const StoreView* s = cluster_.Find(id);
      if (id == range_.leaseholder || !QuorumStays({}, {id})) continue;
      Candidate c{.store = id, .worth = IsDead(s) || HasStopped(s) ? 0 : IsLeaving(s) ? 1 : !IsLive(s) ? 2 : 3, .diversity = DiversityOf(After({}, {id})), .excess = s == nullptr ? 0 : replicas_.Excess(*s)};
      const bool better = !least || c.worth < least->worth || (c.worth == least->worth && (c.diversity > least->diversity + kAlike || (c.diversity > least->diversity - kAlike && c.excess > least->excess)));
      if (better) least = c;
    }
    return least ? Action{.kind = Kind::kChange, .why = Why::kTooMany, .remove = {least->store}} : Action{};
  }

  bool AllWell() const {
    return std::all_of(voters_.begin(), voters_.end(), [&](StoreId id) {
      const StoreView* s = cluster_.Find(id);
      return IsLive(s) && s->fresh && !IsLeaving(s);
    });
  }

  Action Move(StoreId from, StoreId to, Why why) const {
    if (!QuorumStays({to}, {from})) return {};
    if (from != range_.leaseholder) return {.kind = Kind::kChange, .why = why, .add = {to}, .remove = {from}};
    const StoreId lease = BestLease();  // whoever gets it moves the replica
    return lease == 0 ? Action{} : Action{.kind = Kind::kTransferLease, .why = why, .lease_to = lease, .replica_to = to};
  }

  Action Spread() const {
    if (!AllWell()) return {};
    const double present = DiversityOf(voters_);
    StoreId from = 0, to = 0;
    double best = present;
    for (StoreId id : voters_) {
      const StoreView* target = BestTarget({}, {id});
      if (target == nullptr) continue;
      const double diversity = DiversityOf(After({target->store_id}, {id}));
      // As good from where the lease is not: that is one step less.
      if (diversity > best + kAlike || (diversity > present + kAlike && diversity > best - kAlike && from == range_.leaseholder)) {
        best = diversity;
        from = id;
        to = target->store_id;
      }
    }
    return from == 0 ? Action{} : Move(from, to, Why::kDiversity);
  }

  Action Rebalance() const {
    if (!AllWell()) return {};
    const double present = DiversityOf(voters_);
    StoreId from = 0, to = 0;
    double best = 0;
    // The replica with the lease last: where another one can go, that is a step less.
    std::vector<StoreId> sources = voters_;
    std::partition(sources.begin(), sources.end(), [&](StoreId id) { return id != range_.leaseholder; });
    for (StoreId id : sources) {
      if (id == range_.leaseholder && from != 0) break;
      const StoreView* source = cluster_.Find(id);
      const bool full = FreeShare(*source) < options_.least_free / 2;
      for (const StoreView* target : Targets({id})) {
        if (DiversityOf(After({target->store_id}, {id})) < present - kAlike) continue;  // P3
        if (!replicas_.Improves(*source, *target) && !full) continue;
        // Whoever has most gives to whoever has least.
        const double gain = replicas_.Gap(*source, *target) + (full ? 1e3 : 0);
        const bool tie = gain > best - kAlike && from != 0 && Mix(range_.descriptor->range_id(), target->store_id) < Mix(range_.descriptor->range_id(), to);
        if (gain > best + kAlike || tie) {
          best = gain;
          from = id;
          to = target->store_id;
        }
      }
    }
    return from == 0 ? Action{} : Move(from, to, Why::kLoad);
  }

  // -- Leases --
  bool TakesLease(const StoreView* s) const { return IsLive(s) && s->fresh && s->state == v1::NODE_ACTIVE && !HasStopped(s); }
  // How far the quorum is that commits what `s` proposes.
  double QuorumDistance(const StoreView& s) const {
    std::vector<double> distances;
    for (StoreId id : voters_) {
      const StoreView* other = cluster_.Find(id);
      if (id != s.store_id && IsLive(other)) distances.push_back(Distance(s.locality, other->locality));
    }
    const size_t needed = voters_.size() / 2;
    if (needed == 0 || distances.size() < needed) return 0;
    std::sort(distances.begin(), distances.end());
    return distances[needed - 1];
  }
  // Smaller is better: half a band apart counts as alike, then whoever's quorum is near.
  std::tuple<int64_t, double, uint64_t> LeaseOrder(const StoreView& s) const {
    return {static_cast<int64_t>(std::clamp(leases_.Excess(s) * 2, -1e6, 1e6)), QuorumDistance(s), Mix(range_.descriptor->range_id(), s.store_id)};
  }

  Action MoveUnwantedLease() const {
    const StoreView* holder = cluster_.Find(range_.leaseholder);
    if (holder == nullptr || holder->state == v1::NODE_ACTIVE) return {};
    const StoreId to = BestLease();
    return to == 0 ? Action{} : Action{.kind = Kind::kTransferLease, .why = Why::kLeaseUnwanted, .lease_to = to};
  }

  // Leases of ranges that nobody asks for may lie where they are.
  Action RebalanceLease() const {
    const StoreView* holder = cluster_.Find(range_.leaseholder);
    if (holder == nullptr || !AllWell() || range_.batches_per_second <= 0) return {};
    const StoreView* best = nullptr;
    for (StoreId id : voters_) {
      const StoreView* s = cluster_.Find(id);
      if (id == range_.leaseholder || !TakesLease(s) || !leases_.Improves(*holder, *s)) continue;
      if (best == nullptr || LeaseOrder(*s) < LeaseOrder(*best)) best = s;
    }
    return best == nullptr ? Action{} : Action{.kind = Kind::kTransferLease, .why = Why::kLoad, .lease_to = best->store_id};
  }

  const ClusterView& cluster_;
  const RangeView& range_;
  const Options& options_;
  Balance replicas_;
  Balance leases_;
  std::vector<StoreId> voters_, learners_;
  bool joint_ = false;
};

}  // namespace

std::string_view ToString(Why why) {
  switch (why) {
    case Why::kNone: return "nothing to do";
    case Why::kUnfinished: return "a change was cut short";
    case Why::kDead: return "a store is dead";
    case Why::kStopped: return "a replica has stopped itself";
    case Why::kTooFew: return "too few replicas";
    case Why::kDecommission: return "a node is to be empty";
    case Why::kTooMany: return "too many replicas";
    case Why::kLeaseUnwanted: return "a node wants no leases";
    case Why::kDiversity: return "replicas are too close together";
    case Why::kLoad: return "load";
  }
  return "";
}

std::string Describe(const Action& action) {
  std::string out;
  switch (action.kind) {
    case Kind::kNone: return "nothing";
    case Kind::kFinishChange: out = "finish the change"; break;
    case Kind::kTransferLease: out = StrCat("lease to store ", action.lease_to); break;
    case Kind::kChange:
      out = "replica";
      if (!action.remove.empty()) StrAppend(&out, " from store ", StrJoin(action.remove, ", "));
      if (!action.add.empty()) StrAppend(&out, " to store ", StrJoin(action.add, ", "));
      break;
  }
  return StrCat(out, " (", ToString(action.why), ")");
}

Action Decide(const ClusterView& cluster, const RangeView& range, const Options& options) { return Decider(cluster, range, options).Run(); }

StoreId BestLease(const ClusterView& cluster, const RangeView& range, const Options& options) { return Decider(cluster, range, options).BestLease(); }

std::string WhatStandsInTheWay(const ClusterView& cluster, const RangeView& range, StoreId store, const Options& options) {
  const auto& replicas = range.descriptor->replicas();
  if (std::none_of(replicas.begin(), replicas.end(), [&](const auto& r) { return r.store_id() == store; })) return "";
  Decider decider(cluster, range, options);
  if (!decider.QuorumStays({}, {})) return "fewer than a quorum of its replicas can be reached";
  if (!decider.HasTarget(store)) return "no other node can take its replica";
  return "";
}

void Apply(const Action& action, const RangeView& range, ClusterView* cluster) {
  auto shift = [&](StoreId store, double sign) {
    auto it = cluster->stores.find(store);
    if (it == cluster->stores.end()) return;
    it->second.ranges += sign;
    it->second.used_bytes += sign * range.bytes;
    it->second.writes_per_second += sign * range.writes_per_second;
  };
  auto lease = [&](StoreId store, double sign) {
    auto it = cluster->stores.find(store);
    if (it == cluster->stores.end()) return;
    it->second.leases += sign;
    it->second.batches_per_second += sign * range.batches_per_second;
  };
  for (StoreId s : action.add) shift(s, 1);
  for (StoreId s : action.remove) shift(s, -1);
  if (action.kind != Kind::kTransferLease) return;
  lease(range.leaseholder, -1);
  lease(action.lease_to, 1);
  if (action.replica_to == 0) return;
  shift(action.replica_to, 1);
  shift(range.leaseholder, -1);
}

}  // namespace insula::kv::placement
