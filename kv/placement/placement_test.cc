#include "kv/placement/placement.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "base/runtime/random.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/placement/balance.h"

namespace insula::kv::placement {
namespace {

using Kind = Action::Kind;
using Why = Action::Why;

Locality Place(std::string_view text) { return ParseLocality(text).value(); }

StoreView Store(StoreId id, std::string_view locality = "", double ranges = 10) {
  StoreView s;
  s.node_id = s.store_id = id;
  s.locality = Place(locality);
  s.liveness = Liveness::kLive;
  s.fresh = true;
  s.capacity_bytes = 1ull << 40;
  s.available_bytes = 1ull << 39;
  s.ranges = ranges;
  return s;
}

ClusterView Cluster(int stores) {
  ClusterView view;
  for (int i = 1; i <= stores; ++i) view.stores[static_cast<StoreId>(i)] = Store(static_cast<StoreId>(i));
  return view;
}

v1::RangeDescriptor Range(RangeId id, const std::vector<StoreId>& stores) {
  v1::RangeDescriptor d;
  d.set_range_id(id);
  for (StoreId s : stores) {
    auto* r = d.add_replicas();
    r->set_node_id(s);
    r->set_store_id(s);
    r->set_replica_id(static_cast<uint64_t>(d.replicas_size()));
  }
  return d;
}

Action Chosen(const ClusterView& cluster, const v1::RangeDescriptor& d, StoreId leaseholder = 1, const Options& options = {}) {
  return Decide(cluster, {.descriptor = &d, .leaseholder = leaseholder, .bytes = 1e6}, options);
}

// ---- Locality ----

TEST(Locality, ParsesTiersAndRefusesWhatIsNone) {
  EXPECT_EQ(Place("region=eu,zone=a"), (Locality{{"region", "eu"}, {"zone", "a"}}));
  EXPECT_TRUE(Place("").empty());
  for (const char* bad : {"region", "=eu", "region=", "region=eu,", "region=eu,,zone=a", "region=eu,region=us", "re gion=eu"}) EXPECT_FALSE(ParseLocality(bad).ok()) << bad;
}

TEST(Locality, DistanceIsTheShareOfTiersThatDiffer) {
  EXPECT_EQ(Distance(Place("region=eu,zone=a"), Place("region=eu,zone=a")), 0);
  EXPECT_EQ(Distance(Place("region=eu,zone=a"), Place("region=eu,zone=b")), 0.5);
  EXPECT_EQ(Distance(Place("region=eu,zone=a"), Place("region=us,zone=a")), 1);
  EXPECT_EQ(Distance(Place(""), Place("")), 0);
  EXPECT_EQ(Distance(Place("region=eu"), Place("")), 1);
}

// ---- Replicas ----

TEST(Placement, NothingIsDoneWhereAllIsWell) { EXPECT_EQ(Chosen(Cluster(4), Range(1, {1, 2, 3})), Action{}); }

TEST(Placement, ADeadStoresReplicaIsReplaced) {
  ClusterView c = Cluster(4);
  c.stores[3].liveness = Liveness::kDead;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), (Action{.kind = Kind::kChange, .why = Why::kDead, .add = {4}, .remove = {3}}));
  c.stores[3].liveness = Liveness::kSilent;  // not for long enough
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{});
}

TEST(Placement, ADeadReplicaThatCannotBeReplacedStays) {
  ClusterView c = Cluster(3);
  c.stores[3].liveness = Liveness::kDead;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{});
}

TEST(Placement, ADeadReplicaTooManyGoesWithoutAnother) {
  ClusterView c = Cluster(5);
  c.stores[3].liveness = Liveness::kDead;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3, 4})), (Action{.kind = Kind::kChange, .why = Why::kDead, .remove = {3}}));
}

TEST(Placement, AReplicaThatStoppedIsReplacedElsewhereOrWhereItWas) {
  ClusterView c = Cluster(4);
  c.stores[3].stopped = {{1, 3}};
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), (Action{.kind = Kind::kChange, .why = Why::kStopped, .add = {4}, .remove = {3}}));
  EXPECT_EQ(Chosen(c, Range(2, {1, 2, 3})), Action{}) << "another range's";
  c.stores[3].stopped = {{1, 2}};
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{}) << "the one that was there before";
  c.stores[3].stopped = {{1, 0}};
  c.stores.erase(4);
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), (Action{.kind = Kind::kChange, .why = Why::kStopped, .remove = {3}}));
  EXPECT_EQ(Chosen(c, Range(1, {1, 2})), (Action{.kind = Kind::kChange, .why = Why::kTooFew, .add = {3}}));
}

TEST(Placement, AReplicaThatStoppedIsNoPartOfAQuorum) {
  ClusterView c = Cluster(4);
  c.stores[2].liveness = Liveness::kSilent;
  c.stores[3].stopped = {{1, 3}};
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{}) << "one of three takes part";
  c = Cluster(3);
  c.stores[2].stopped = {{1, 2}};
  c.stores[1].state = v1::NODE_DRAINING;
  const Action lease = Chosen(c, Range(1, {1, 2, 3}));
  EXPECT_NE(lease.lease_to, StoreId{2});
}

TEST(Placement, WithoutAQuorumNothingIsDone) {
  ClusterView c = Cluster(6);
  c.stores[2].liveness = c.stores[3].liveness = Liveness::kDead;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{});
}

TEST(Placement, WhoeverIsCutOffReplacesNothing) {
  ClusterView c = Cluster(4);
  c.stores[3].liveness = c.stores[4].liveness = Liveness::kDead;
  c.stores[5] = Store(5);
  EXPECT_NE(Chosen(c, Range(1, {1, 2, 3})), Action{});
  c.stores[6] = Store(6);
  c.stores[6].liveness = Liveness::kDead;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{});  // three of six look dead
}

TEST(Placement, StoresThatAreUnfitGetNothing) {
  for (auto spoil : std::vector<std::function<void(StoreView&)>>{[](StoreView& s) { s.fresh = false; }, [](StoreView& s) { s.liveness = Liveness::kSilent; }, [](StoreView& s) { s.state = v1::NODE_DRAINING; },
                                                                 [](StoreView& s) { s.state = v1::NODE_DECOMMISSIONING; }, [](StoreView& s) { s.available_bytes = s.capacity_bytes / 20; }, [](StoreView& s) { s.node_id = 1; }}) {
    ClusterView c = Cluster(4);
    c.stores[3].liveness = Liveness::kDead;
    spoil(c.stores[4]);
    EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{});
  }
}

TEST(Placement, ReplicasAreAddedToAnOddNumber) {
  EXPECT_EQ(Chosen(Cluster(2), Range(1, {1})), Action{});  // two are no better than one
  EXPECT_EQ(Chosen(Cluster(3), Range(1, {1})).add.size(), 2u);
  EXPECT_EQ(Chosen(Cluster(3), Range(1, {1, 2})), (Action{.kind = Kind::kChange, .why = Why::kTooFew, .add = {3}}));
  EXPECT_EQ(Chosen(Cluster(5), Range(1, {1, 2, 3}), 1, {.replicas = 5}).add.size(), 2u);
}

TEST(Placement, OfTooManyTheOneMissedLeastGoes) {
  ClusterView c = Cluster(4);
  c.stores[2].locality = Place("region=us");
  c.stores[1].locality = c.stores[3].locality = c.stores[4].locality = Place("region=eu");
  c.stores[4].ranges = 30;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3, 4})), (Action{.kind = Kind::kChange, .why = Why::kTooMany, .remove = {4}}));
  c.stores[2].state = v1::NODE_DECOMMISSIONING;
  EXPECT_NE(Chosen(c, Range(1, {1, 2, 3, 4}), 1).remove, std::vector<StoreId>{1});  // never the leaseholder's
}

TEST(Placement, ANodeThatLeavesGivesItsReplicasAway) {
  ClusterView c = Cluster(4);
  c.stores[2].state = v1::NODE_DECOMMISSIONING;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), (Action{.kind = Kind::kChange, .why = Why::kDecommission, .add = {4}, .remove = {2}}));
  // Its lease first: whoever has the lease does not take itself away.
  Action action = Chosen(c, Range(1, {1, 2, 3}), 2);
  EXPECT_EQ(action.kind, Kind::kTransferLease);
  EXPECT_TRUE(action.lease_to == 1 || action.lease_to == 3);
  // Nowhere to go.
  c.stores.erase(4);
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{});
}

TEST(Placement, WhatWasCutShortIsFinishedOnceItIsClearThatNobodyElseDoes) {
  v1::RangeDescriptor d = Range(1, {1, 2, 3, 4});
  d.mutable_replicas(3)->set_learner(true);
  const ClusterView c = Cluster(4);
  RangeView view{.descriptor = &d, .leaseholder = 1, .settled = false};
  EXPECT_EQ(Decide(c, view, {}), Action{});
  view.settled = true;
  EXPECT_EQ(Decide(c, view, {}), (Action{.kind = Kind::kChange, .why = Why::kUnfinished, .remove = {4}}));
  d.mutable_replicas(3)->set_learner(false);
  d.mutable_replicas(3)->set_incoming(true);
  EXPECT_EQ(Decide(c, view, {}), (Action{.kind = Kind::kFinishChange, .why = Why::kUnfinished}));
}

TEST(Placement, DiversityComesBeforeLoad) {
  ClusterView c;
  c.stores[1] = Store(1, "region=eu,zone=a");
  c.stores[2] = Store(2, "region=eu,zone=a");
  c.stores[3] = Store(3, "region=eu,zone=b");
  c.stores[4] = Store(4, "region=eu,zone=c", 500);  // has much already
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3}), 1), (Action{.kind = Kind::kChange, .why = Why::kDiversity, .add = {4}, .remove = {2}}));
  EXPECT_EQ(Chosen(c, Range(1, {1, 3, 4}), 1), Action{});
}

TEST(Placement, AReplacementKeepsTheRegionsApart) {
  ClusterView c;
  for (StoreId i = 1; i <= 9; ++i) c.stores[i] = Store(i, StrCat("region=r", (i - 1) / 3));
  c.stores[4].ranges = 500;
  c.stores[6].liveness = Liveness::kDead;
  for (RangeId r = 1; r <= 20; ++r) {
    Action action = Chosen(c, Range(r, {1, 6, 7}));
    ASSERT_EQ(action.remove, std::vector<StoreId>{6});
    EXPECT_EQ(action.add, std::vector<StoreId>{5}) << "the same region, and not the fuller store";
  }
}

TEST(Placement, LoadMovesToAnEmptyStoreAndNotBack) {
  ClusterView c = Cluster(4);
  for (StoreId i = 1; i <= 3; ++i) c.stores[i].ranges = 67;
  c.stores[4].ranges = 0;
  Action action = Chosen(c, Range(1, {1, 2, 3}));
  EXPECT_EQ(action.why, Why::kLoad);
  EXPECT_EQ(action.add, std::vector<StoreId>{4});
  EXPECT_NE(action.remove, std::vector<StoreId>{1});
  c.stores[4].ranges = 49;  // within the band: as it should be
  for (StoreId i = 1; i <= 3; ++i) c.stores[i].ranges = 51;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{});
}

TEST(Placement, AStoreWithAFullDiskGivesAway) {
  ClusterView c = Cluster(4);
  c.stores[2].available_bytes = c.stores[2].capacity_bytes / 50;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), (Action{.kind = Kind::kChange, .why = Why::kLoad, .add = {4}, .remove = {2}}));
}

TEST(Placement, NothingMovesForLoadWhileAReplicaIsAway) {
  ClusterView c = Cluster(4);
  for (StoreId i = 1; i <= 3; ++i) c.stores[i].ranges = 67;
  c.stores[4].ranges = 0;
  c.stores[2].liveness = Liveness::kSilent;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{});
}

// ---- Leases ----

TEST(Placement, ADrainingStoreGivesItsLeasesAway) {
  ClusterView c = Cluster(3);
  c.stores[1].state = v1::NODE_DRAINING;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})).kind, Kind::kTransferLease);
  c.stores[2].state = v1::NODE_DRAINING;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), (Action{.kind = Kind::kTransferLease, .why = Why::kLeaseUnwanted, .lease_to = 3}));
  c.stores[3].liveness = Liveness::kSilent;
  EXPECT_EQ(Chosen(c, Range(1, {1, 2, 3})), Action{});
}

TEST(Placement, LeasesOfBusyRangesSpread) {
  ClusterView c = Cluster(3);
  c.stores[1].leases = 60;
  const v1::RangeDescriptor d = Range(1, {1, 2, 3});
  RangeView view{.descriptor = &d, .leaseholder = 1, .batches_per_second = 5};
  EXPECT_EQ(Decide(c, view, {}).kind, Kind::kTransferLease);
  view.batches_per_second = 0;  // nobody asks: it may sleep where it is
  EXPECT_EQ(Decide(c, view, {}), Action{});
}

TEST(Placement, TheLeaseGoesWhereAQuorumIsNear) {
  ClusterView c;
  c.stores[1] = Store(1, "region=us");
  c.stores[2] = Store(2, "region=asia");
  c.stores[3] = Store(3, "region=eu,zone=a");
  c.stores[4] = Store(4, "region=eu,zone=b");
  c.stores[5] = Store(5, "region=eu,zone=c");
  c.stores[1].state = v1::NODE_DRAINING;
  for (RangeId r = 1; r <= 10; ++r) {
    const v1::RangeDescriptor d = Range(r, {1, 2, 3, 4, 5});
    EXPECT_GE(BestLease(c, {.descriptor = &d, .leaseholder = 1}, {.replicas = 5}), 3u);
  }
}

TEST(Placement, SaysWhatStandsInTheWay) {
  ClusterView c = Cluster(3);
  const v1::RangeDescriptor d = Range(1, {1, 2, 3});
  const RangeView view{.descriptor = &d, .leaseholder = 1};
  EXPECT_EQ(WhatStandsInTheWay(c, view, 9, {}), "");
  EXPECT_EQ(WhatStandsInTheWay(c, view, 2, {}), "no other node can take its replica");
  c.stores[2].liveness = c.stores[3].liveness = Liveness::kDead;
  EXPECT_EQ(WhatStandsInTheWay(c, view, 2, {}), "fewer than a quorum of its replicas can be reached");
}

// ---- Random clusters ----

struct World {
  ClusterView view;
  std::map<RangeId, v1::RangeDescriptor> ranges;
  std::map<RangeId, RangeView> views;

  void Do(const Action& action, RangeId id) {
    RangeView& range = views[id];
    if (action.kind == Kind::kTransferLease) {
      // What is expected to follow is not there yet, in a view that is exact.
      Action lease = action;
      lease.replica_to = 0;
      Apply(lease, range, &view);
      range.leaseholder = action.lease_to;
      return;
    }
    Apply(action, range, &view);
    std::vector<StoreId> stores;
    for (const auto& r : ranges[id].replicas()) {
      if (std::find(action.remove.begin(), action.remove.end(), r.store_id()) == action.remove.end()) stores.push_back(r.store_id());
    }
    stores.insert(stores.end(), action.add.begin(), action.add.end());
    ranges[id] = Range(id, stores);
    range.descriptor = &ranges[id];
  }
};

double DiversityOf(const ClusterView& view, const std::vector<StoreId>& stores) {
  std::vector<const Locality*> places;
  for (StoreId s : stores) places.push_back(&view.stores.at(s).locality);
  return Diversity(places);
}

std::vector<StoreId> StoresOf(const v1::RangeDescriptor& d) {
  std::vector<StoreId> out;
  for (const auto& r : d.replicas()) out.push_back(r.store_id());
  return out;
}

// The best that three stores out of those that are fit can have.
double BestDiversity(const ClusterView& view) {
  std::vector<StoreId> fit;
  for (const auto& [id, s] : view.stores) {
    if (s.liveness == Liveness::kLive && s.state == v1::NODE_ACTIVE) fit.push_back(id);
  }
  double best = 0;
  for (size_t i = 0; i < fit.size(); ++i) {
    for (size_t j = i + 1; j < fit.size(); ++j) {
      for (size_t k = j + 1; k < fit.size(); ++k) best = std::max(best, DiversityOf(view, {fit[i], fit[j], fit[k]}));
    }
  }
  return best;
}

World RandomWorld(Random& random) {
  World w;
  const uint64_t stores = 4 + random.Uniform(6), regions = 1 + random.Uniform(3), zones = 1 + random.Uniform(3);
  for (StoreId id = 1; id <= stores; ++id) w.view.stores[id] = Store(id, StrCat("region=", random.Uniform(regions), ",zone=", random.Uniform(zones)), 0);
  for (RangeId id = 1; id <= 120; ++id) {
    std::set<StoreId> on;
    // Founded on the first three or four stores; the others joined since.
    while (on.size() < 3) on.insert(1 + random.Uniform(random.Uniform(4) == 0 ? stores : std::min<uint64_t>(4, stores)));
    w.ranges[id] = Range(id, {on.begin(), on.end()});
    w.views[id] = {.descriptor = &w.ranges[id],
                   .leaseholder = *on.begin(),
                   .bytes = static_cast<double>(random.Uniform(128 << 20)),
                   .batches_per_second = random.Uniform(3) == 0 ? static_cast<double>(random.Uniform(400)) : 0,
                   .writes_per_second = random.Uniform(3) == 0 ? static_cast<double>(random.Uniform(300)) : 0};
    for (StoreId s : on) {
      StoreView& store = w.view.stores[s];
      store.ranges += 1;
      store.used_bytes += w.views[id].bytes;
      store.writes_per_second += w.views[id].writes_per_second;
    }
    w.view.stores[*on.begin()].leases += 1;
    w.view.stores[*on.begin()].batches_per_second += w.views[id].batches_per_second;
  }
  return w;
}

// One step for every range, in a random order; how many there were.
int Round(World& w, Random& random, uint64_t seed) {
  int steps = 0;
  std::vector<RangeId> order;
  for (const auto& [id, d] : w.ranges) order.push_back(id);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.Uniform(i)]);
  for (RangeId id : order) {
    const Action action = Decide(w.view, w.views[id], {});
    if (action.kind == Kind::kNone) continue;
    ++steps;
    const std::vector<StoreId> before = StoresOf(w.ranges[id]);
    const bool healthy = std::all_of(before.begin(), before.end(), [&](StoreId s) { return w.view.stores[s].liveness == Liveness::kLive && w.view.stores[s].state == v1::NODE_ACTIVE; });
    const double was = DiversityOf(w.view, before);
    w.Do(action, id);
    const std::vector<StoreId> after = StoresOf(w.ranges[id]);
    EXPECT_EQ(std::set<StoreId>(after.begin(), after.end()).size(), after.size()) << "seed " << seed;
    if (healthy) EXPECT_GE(DiversityOf(w.view, after), was - 1e-9) << "seed " << seed << ": " << Describe(action);
    for (StoreId s : action.add) EXPECT_TRUE(w.view.stores[s].liveness == Liveness::kLive && w.view.stores[s].state == v1::NODE_ACTIVE) << "seed " << seed;
    EXPECT_NE(std::count(after.begin(), after.end(), w.views[id].leaseholder), 0) << "seed " << seed << ": " << Describe(action);
  }
  return steps;
}

// Until nothing is left to do; the number of steps. Fails where it does not end.
int Converge(World& w, Random& random, uint64_t seed) {
  int all = 0;
  for (int round = 0; round < 40; ++round) {
    const int steps = Round(w, random, seed);
    all += steps;
    if (steps == 0) return all;
  }
  ADD_FAILURE() << "seed " << seed << " does not come to rest";
  return all;
}

TEST(PlacementRandom, ConvergesStaysAndSpreads) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SeededRandom random(seed);
    World w = RandomWorld(random);
    const int steps = Converge(w, random, seed);
    // A range has three replicas: each moves at most a few times.
    EXPECT_LE(steps, 5 * static_cast<int>(w.ranges.size())) << "seed " << seed;
    const double best = BestDiversity(w.view);
    for (const auto& [id, d] : w.ranges) EXPECT_GE(DiversityOf(w.view, StoresOf(d)), best - 1e-9) << "seed " << seed << " range " << id;
    if (HasFailure()) return;
  }
}

TEST(PlacementRandom, DeadAndLeavingStoresEndEmpty) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SeededRandom random(seed);
    World w = RandomWorld(random);
    if (w.view.stores.size() < 6) continue;
    Converge(w, random, seed);
    const StoreId dead = 1 + random.Uniform(w.view.stores.size());
    StoreId leaving = 1 + random.Uniform(w.view.stores.size());
    if (leaving == dead) leaving = leaving % w.view.stores.size() + 1;
    w.view.stores[dead].liveness = Liveness::kDead;
    w.view.stores[leaving].state = v1::NODE_DECOMMISSIONING;
    for (auto& [id, range] : w.views) {
      if (range.leaseholder != dead) continue;  // somebody else was elected
      for (StoreId s : StoresOf(w.ranges[id])) {
        if (s != dead) range.leaseholder = s;
      }
    }
    Converge(w, random, seed);
    for (const auto& [id, d] : w.ranges) {
      for (StoreId s : StoresOf(d)) EXPECT_TRUE(s != dead && s != leaving) << "seed " << seed << " range " << id;
      EXPECT_EQ(d.replicas_size(), 3) << "seed " << seed;
    }
    if (HasFailure()) return;
  }
}

TEST(PlacementRandom, AnEmptyStoreThatJoinsIsFilled) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SeededRandom random(seed);
    World w;
    for (StoreId id = 1; id <= 4; ++id) w.view.stores[id] = Store(id, "", id == 4 ? 0 : 67);
    for (RangeId id = 1; id <= 67; ++id) {
      w.ranges[id] = Range(id, {1, 2, 3});
      w.views[id] = {.descriptor = &w.ranges[id], .leaseholder = 1 + id % 3};
    }
    Converge(w, random, seed);
    for (StoreId id = 1; id <= 4; ++id) {
      EXPECT_NEAR(w.view.stores[id].ranges, 67 * 3 / 4.0, 4) << "seed " << seed << " store " << id;
    }
  }
}

// One of the four is alone in its zone, so that every range has a replica there; the fifth gets as much as each of the others has.
TEST(PlacementRandom, WhoHasToKeepMoreDoesNotKeepTheOthersApart) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SeededRandom random(seed);
    World w;
    for (StoreId id = 1; id <= 5; ++id) w.view.stores[id] = Store(id, id == 4 ? "region=r,zone=b" : "region=r,zone=a", 0);
    for (RangeId id = 1; id <= 67; ++id) {
      std::set<StoreId> on = {4};
      while (on.size() < 3) on.insert(1 + random.Uniform(3));
      w.ranges[id] = Range(id, {on.begin(), on.end()});
      w.views[id] = {.descriptor = &w.ranges[id], .leaseholder = 1 + id % 5};
      if (!on.contains(w.views[id].leaseholder)) w.views[id].leaseholder = 4;
      for (StoreId s : on) w.view.stores[s].ranges += 1;
      w.view.stores[w.views[id].leaseholder].leases += 1;
    }
    const int steps = Converge(w, random, seed);
    // The fifth's share, and a few that went somewhere else on the way or for their lease.
    EXPECT_LE(steps, 134) << "seed " << seed;
    EXPECT_EQ(w.view.stores[4].ranges, 67);
    double least = 67, most = 0;
    for (StoreId id : {1, 2, 3, 5}) {
      least = std::min(least, w.view.stores[id].ranges);
      most = std::max(most, w.view.stores[id].ranges);
    }
    EXPECT_LE(most - least, 6) << "seed " << seed << ": two bands and the one that would be moved";
    EXPECT_GE(w.view.stores[5].ranges, 67 * 2 / 4.0 - 4) << "seed " << seed;
  }
}

}  // namespace
}  // namespace insula::kv::placement
