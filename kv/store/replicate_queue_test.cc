#include "kv/store/replicate_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/async/task_group.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/testing/test_loop.h"

namespace insula::kv {
namespace {

constexpr StoreId kSelf = 1;

// Ranges whose replicas change as they are told to, after a while; and the way to them.
class World : public PlacedRanges, public Sender {
 public:
  struct Range {
    v1::RangeDescriptor descriptor;
    bool leads = true;
    bool leader_is_live = true;
    double batches = 0;      // a second
    StoreId leader = kSelf;  // since a transfer
    Duration led{};          // for how long
  };

  void Add(RangeId id, std::vector<StoreId> stores, bool leads = true) {
    Range& range = ranges[id];
    range.leads = leads;
    range.descriptor.set_range_id(id);
    range.descriptor.set_start_key(StrCat("k", id));
    range.descriptor.set_generation(1);
    for (StoreId s : stores) AddReplica(s, &range.descriptor);
  }

  // PlacedRanges
  std::vector<RangeId> Ranges() override {
    std::vector<RangeId> out;
    for (const auto& [id, r] : ranges) out.push_back(id);
    return out;
  }
  std::optional<Look> LookAt(RangeId id) override {
    ++looks;
    auto it = ranges.find(id);
    if (it == ranges.end()) return std::nullopt;
    const Range& r = it->second;
    return Look{.view = {.descriptor = &r.descriptor, .leaseholder = r.leads ? kSelf : 0, .bytes = 1e6, .batches_per_second = r.batches}, .leads = r.leads, .leader_is_live = r.leads || r.leader_is_live};
  }
  Task<absl::Status> AskForLease(Context, RangeId id) override {
    woken.push_back(id);
    if (nobody_elects) co_return absl::UnavailableError("no quorum");
    ranges[id].leads = ranges[id].leader_is_live = true;
    co_return absl::OkStatus();
  }

  // Sender
  Task<v1::BatchResponse> Send(const Context& ctx, v1::BatchRequest batch) override {
    const v1::Request& request = batch.requests(0);
    v1::BatchResponse response;
    const bool change = request.has_admin_change_replicas();
    (change ? changes_now : transfers_now) += 1;
    most_changes = std::max(most_changes, changes_now);
    most_transfers = std::max(most_transfers, transfers_now);
    absl::Status slept = co_await Sleep(ctx, latency);
    (change ? changes_now : transfers_now) -= 1;
    if (!slept.ok() || fail) {
      *response.mutable_error() = ToKvError(UnavailableKvError("not now"));
      ++failed;
      co_return response;
    }
    change ? Change(request.admin_change_replicas(), &response) : Transfer(request.admin_transfer_lease());
    if (!response.has_error()) response.add_responses();
    co_return response;
  }

  std::map<RangeId, Range> ranges;
  std::vector<RangeId> woken;
  std::vector<std::string> done;
  Duration latency = std::chrono::milliseconds(100);
  bool nobody_elects = false;
  bool fail = false;
  int failed = 0, looks = 0;
  int changes_now = 0, transfers_now = 0, most_changes = 0, most_transfers = 0;

 private:
  static void AddReplica(StoreId s, v1::RangeDescriptor* d) {
    auto* r = d->add_replicas();
    r->set_store_id(s);
    r->set_node_id(s);
    d->set_next_replica_id(d->next_replica_id() + 1);
    r->set_replica_id(d->next_replica_id());
  }
  Range* Find(const std::string& key) {
    for (auto& [id, r] : ranges) {
      if (r.descriptor.start_key() == key) return &r;
    }
    return nullptr;
  }
  void Change(const v1::AdminChangeReplicasRequest& request, v1::BatchResponse* response) {
    Range* range = Find(request.key());
    ASSERT_NE(range, nullptr);
    if (request.expected_generation() != range->descriptor.generation()) {
      *response->mutable_error() = ToKvError(UnavailableKvError("it has changed"));
      return;
    }
    v1::RangeDescriptor& d = range->descriptor;
    d.set_generation(d.generation() + 1);
    for (const auto& t : request.remove()) {
      for (int i = 0; i < d.replicas_size(); ++i) {
        if (d.replicas(i).store_id() == t.store_id()) d.mutable_replicas()->DeleteSubrange(i--, 1);
      }
    }
    for (const auto& t : request.add()) AddReplica(t.store_id(), &d);
    for (auto& r : *d.mutable_replicas()) r.clear_learner();
    done.push_back(StrCat("range ", d.range_id(), " +", request.add_size() > 0 ? request.add(0).store_id() : 0, " -", request.remove_size() > 0 ? request.remove(0).store_id() : 0));
  }
  void Transfer(const v1::AdminTransferLeaseRequest& request) {
    Range* range = Find(request.key());
    ASSERT_NE(range, nullptr);
    range->leads = request.store_id() == kSelf;
    range->leader_is_live = true;
    range->leader = request.store_id();
    range->led = Duration();
    done.push_back(StrCat("range ", range->descriptor.range_id(), " lease to ", request.store_id()));
  }
};

class ReplicateQueueTest : public testing::Test {
 protected:
  ReplicateQueueTest()
      : pool_(&loop_, kSelf, {}, [this](v1::StoreLoad* load) { FillOwn(load); }, [this](StoreId s) { return !silent_.contains(s); }),
        queue_(&loop_, {}, &pool_, &world_, [this]() -> Sender* { return way_ ? &world_ : nullptr; }) {
    loop_.RunFor(1s);
  }
  ~ReplicateQueueTest() override {
    if (tasks_) tasks_->Cancel();
    loop_.RunUntilIdle();
  }

  void FillOwn(v1::StoreLoad* load) {
    load->set_store_id(kSelf);
    load->set_node_id(kSelf);
    load->set_ranges(Count(kSelf));
    load->set_draining(draining_);
    for (const auto& [id, r] : world_.ranges) {
      if (!r.leads || !tell_leases_) continue;
      load->set_leases(load->leases() + 1);
      load->set_batches_per_second(load->batches_per_second() + r.batches);
    }
  }
  void AddStores(int count) {
    for (int i = 1; i <= count; ++i) Member(static_cast<StoreId>(i), v1::NODE_ACTIVE);
  }
  void Member(StoreId id, v1::NodeState state) {
    v1::NodeRecord record;
    record.set_node_id(id);
    record.set_store_id(id);
    record.set_state(state);
    pool_.SetMember(record);
    known_.insert(id);
  }
  // Stores say what they carry, every few seconds.
  void Hear(StoreId id, uint64_t ranges) {
    v1::StoreLoad load;
    load.set_node_id(id);
    load.set_store_id(id);
    load.set_ranges(ranges);
    load.set_at(++at_);
    for (const auto& [range, replica] : stopped_[id]) (*load.mutable_stopped_replicas())[range] = replica;
    for (const auto& [range, r] : world_.ranges) {
      if (!tell_leases_ || r.leader != id) continue;
      load.set_leases(load.leases() + 1);
      load.set_batches_per_second(load.batches_per_second() + r.batches * (1 - std::exp2(-std::chrono::duration<double>(r.led).count() / 10)));  // range_load.h
    }
    pool_.Heard(load);
    known_.insert(id);
  }
  void Start() {
    tasks_ = std::make_unique<TaskGroup>(loop_.ctx());
    tasks_->Spawn(queue_.Run(tasks_->ctx()));
  }
  void Pass(Duration time) {
    for (Duration passed{}; passed < time; passed += 5s) {
      for (StoreId id : std::set<StoreId>(known_)) {
        if (id != kSelf && !silent_.contains(id)) Hear(id, load_.contains(id) ? load_[id] : world_.ranges.size());
      }
      loop_.RunFor(5s);
      for (auto& [id, r] : world_.ranges) r.led += 5s;
    }
  }
  void Silence(StoreId id) {
    silent_.insert(id);
    pool_.SupportChanged(id);
  }
  uint64_t Count(StoreId store) {
    uint64_t count = 0;
    for (const auto& [id, r] : world_.ranges) count += StoresOf(id).contains(store) ? 1 : 0;
    return count;
  }
  std::set<StoreId> StoresOf(RangeId id) {
    std::set<StoreId> out;
    for (const auto& r : world_.ranges[id].descriptor.replicas()) out.insert(r.store_id());
    return out;
  }

  TestLoop loop_;
  std::set<StoreId> silent_;
  std::set<StoreId> known_;  // that speak, as long as they are not silent
  std::map<StoreId, uint64_t> load_;
  std::map<StoreId, std::map<RangeId, ReplicaId>> stopped_;
  bool way_ = true;
  bool draining_ = false;
  bool tell_leases_ = false;
  uint64_t at_ = 0;
  StorePool pool_;
  World world_;
  ReplicateQueue queue_;
  std::unique_ptr<TaskGroup> tasks_;
};

TEST_F(ReplicateQueueTest, AtRestNothingIsSetAndNobodyLooks) {
  AddStores(3);
  for (RangeId r = 1; r <= 500; ++r) world_.Add(r, {1, 2, 3});
  Start();
  Pass(30s);
  const int looks = world_.looks;
  const uint64_t walks = queue_.counters().walks;
  Pass(std::chrono::hours(1));
  EXPECT_EQ(world_.looks, looks);
  EXPECT_EQ(queue_.counters().walks, walks);
  EXPECT_EQ(loop_.timers(), 0u);
  EXPECT_TRUE(world_.done.empty());
}

TEST_F(ReplicateQueueTest, AStoreIsGivenUpAfterItsTimeAndNotBefore) {
  AddStores(4);
  for (RangeId r = 1; r <= 20; ++r) world_.Add(r, {1, 2, 3});
  load_[4] = 20;
  Start();
  Pass(10s);
  Silence(3);
  Pass(290s);
  EXPECT_TRUE(world_.done.empty());
  Pass(60s);
  EXPECT_EQ(world_.done.size(), 20u);
  for (RangeId r = 1; r <= 20; ++r) EXPECT_EQ(StoresOf(r), (std::set<StoreId>{1, 2, 4}));
  EXPECT_EQ(world_.most_changes, 1) << "one change at a time";
}

TEST_F(ReplicateQueueTest, AReplicaThatStoppedIsReplacedAsSoonAsItsStoreSaysSo) {
  AddStores(4);
  for (RangeId id = 1; id <= 3; ++id) world_.Add(id, {1, 2, 3});
  Start();
  Pass(10s);
  EXPECT_TRUE(world_.done.empty());
  stopped_[3] = {{2, 3}};
  Pass(5s);
  EXPECT_EQ(world_.done, std::vector<std::string>{"range 2 +4 -3"});
  Pass(60s);  // the store says so for a while yet: of a replica that nobody counts on any more
  EXPECT_EQ(world_.done.size(), 1u);
}

TEST_F(ReplicateQueueTest, AReplicaThatStoppedIsMadeAnewWhereThereIsNoOtherStore) {
  AddStores(3);
  world_.Add(1, {1, 2, 3});
  Start();
  stopped_[3] = {{1, 3}};
  Pass(5s);
  ASSERT_FALSE(world_.done.empty());
  EXPECT_EQ(world_.done[0], "range 1 +0 -3");
  stopped_.clear();
  Pass(10s);
  EXPECT_EQ(world_.done, (std::vector<std::string>{"range 1 +0 -3", "range 1 +3 -0"}));
}

TEST_F(ReplicateQueueTest, AStoreThatComesBackInTimeKeepsItsReplicas) {
  AddStores(4);
  for (RangeId r = 1; r <= 20; ++r) world_.Add(r, {1, 2, 3});
  load_[4] = 20;
  Start();
  for (int i = 0; i < 4; ++i) {  // four minutes away, four times: never five in a row
    Silence(3);
    Pass(240s);
    silent_.erase(3);
    pool_.SupportChanged(3);
    Pass(20s);
  }
  EXPECT_TRUE(world_.done.empty());
}

TEST_F(ReplicateQueueTest, SleepingRangesOfADeadStoreAreFoundAndOthersAreLeftAlone) {
  AddStores(4);
  load_[4] = 20;
  for (RangeId r = 1; r <= 20; ++r) {
    // Led by the store that dies, or by another one that lives.
    world_.Add(r, r <= 10 ? std::vector<StoreId>{1, 2, 3} : std::vector<StoreId>{1, 2, 4}, /*leads=*/false);
  }
  Start();
  Pass(10s);
  for (RangeId r = 1; r <= 10; ++r) world_.ranges[r].leader_is_live = false;
  for (RangeId r = 16; r <= 20; ++r) world_.ranges[r].leader_is_live = false;  // asleep, but with nothing on the dead store
  Silence(3);
  Pass(400s);
  EXPECT_EQ(world_.woken.size(), 10u);
  for (RangeId r = 1; r <= 10; ++r) EXPECT_EQ(StoresOf(r), (std::set<StoreId>{1, 2, 4})) << r;
}

TEST_F(ReplicateQueueTest, WhereADeadStoreCannotBeReplacedNobodyIsWoken) {
  AddStores(3);
  for (RangeId r = 1; r <= 20; ++r) world_.Add(r, {1, 2, 3}, /*leads=*/false);
  Start();
  Pass(10s);
  for (auto& [id, r] : world_.ranges) r.leader_is_live = false;
  Silence(3);
  Pass(600s);
  EXPECT_EQ(world_.woken.size(), 0u);
  EXPECT_TRUE(world_.done.empty());
}

TEST_F(ReplicateQueueTest, LeasesFollowTheLoadAndWhatWasMovedCountsBeforeItIsHeardOf) {
  AddStores(3);
  tell_leases_ = true;
  // All 30 ranges are led here, each asked for 200 times a second: 10 for each store is what is wanted.
  for (RangeId r = 1; r <= 30; ++r) {
    world_.Add(r, {1, 2, 3});
    world_.ranges[r].batches = 200;
  }
  Start();
  Pass(120s);
  EXPECT_GE(world_.done.size(), 17u);
  EXPECT_LE(world_.done.size(), 20u) << "not one too many, though the others' rates lag behind";
  const size_t done = world_.done.size();
  Pass(std::chrono::minutes(1));
  EXPECT_EQ(world_.done.size(), done);
}

TEST_F(ReplicateQueueTest, AStoreThatSpeaksIsKnown) {
  AddStores(3);
  world_.Add(1, {1, 2, 3});
  Start();
  Hear(4, 0);
  load_[4] = 0;
  Pass(10s);
  Member(2, v1::NODE_DECOMMISSIONING);
  Pass(20s);
  EXPECT_EQ(StoresOf(1), (std::set<StoreId>{1, 3, 4}));
}

TEST_F(ReplicateQueueTest, ANodeThatLeavesEndsEmpty) {
  AddStores(4);
  for (RangeId r = 1; r <= 20; ++r) world_.Add(r, {1, 2, 3});
  load_[4] = 20;
  Start();
  Pass(10s);
  Member(2, v1::NODE_DECOMMISSIONING);
  Pass(30s);
  for (RangeId r = 1; r <= 20; ++r) EXPECT_EQ(StoresOf(r), (std::set<StoreId>{1, 3, 4}));
}

TEST_F(ReplicateQueueTest, ADrainingStoreGivesItsLeasesAwaySideBySide) {
  AddStores(3);
  for (RangeId r = 1; r <= 100; ++r) world_.Add(r, {1, 2, 3});
  Start();
  Pass(10s);
  draining_ = true;
  pool_.SayNow();
  queue_.WalkNow();
  Pass(5s);
  EXPECT_EQ(queue_.counters().transfers, 100u);
  EXPECT_GT(world_.most_transfers, 8);
  EXPECT_LE(world_.most_transfers, 16);
}

TEST_F(ReplicateQueueTest, ADrainingStoreAsksForNoLease) {
  AddStores(4);
  load_[4] = 20;
  for (RangeId r = 1; r <= 20; ++r) {
    world_.Add(r, {1, 2, 3}, /*leads=*/false);
    world_.ranges[r].leader_is_live = false;
  }
  draining_ = true;
  Start();
  Pass(30s);
  EXPECT_TRUE(world_.woken.empty());
}

TEST_F(ReplicateQueueTest, RangesThatNobodyLeadsLeaveANodeThatIsToBeEmpty) {
  AddStores(4);
  load_[4] = 20;
  for (RangeId r = 1; r <= 20; ++r) {
    world_.Add(r, {1, 2, 3}, /*leads=*/false);
    world_.ranges[r].leader_is_live = false;
  }
  Start();
  Pass(10s);
  EXPECT_TRUE(world_.woken.empty());
  Member(2, v1::NODE_DECOMMISSIONING);
  Pass(30s);
  for (RangeId r = 1; r <= 20; ++r) EXPECT_EQ(StoresOf(r), (std::set<StoreId>{1, 3, 4}));
}

TEST_F(ReplicateQueueTest, ARangeThatGotNoLeaderIsComeBackTo) {
  AddStores(4);
  load_[4] = 20;
  world_.Add(1, {1, 2, 3}, /*leads=*/false);
  world_.ranges[1].leader_is_live = false;
  world_.nobody_elects = true;
  Start();
  Member(2, v1::NODE_DECOMMISSIONING);
  Pass(60s);
  EXPECT_GE(world_.woken.size(), 2u);
  EXPECT_LE(world_.woken.size(), 5u);
  world_.nobody_elects = false;
  Pass(120s);
  EXPECT_EQ(StoresOf(1), (std::set<StoreId>{1, 3, 4}));
  // Where nobody ever leads it is given up.
  world_.Add(2, {1, 2, 3}, /*leads=*/false);
  world_.ranges[2].leader_is_live = false;
  world_.nobody_elects = true;
  Member(3, v1::NODE_DECOMMISSIONING);
  Pass(3600s);
  const size_t tried = world_.woken.size();
  Pass(3600s);
  EXPECT_EQ(world_.woken.size(), tried);
}

TEST_F(ReplicateQueueTest, AStoreThatJoinsIsFilledUntilAllCarryAlike) {
  AddStores(3);
  for (RangeId r = 1; r <= 60; ++r) world_.Add(r, {1, 2, 3});
  Start();
  Pass(10s);
  EXPECT_TRUE(world_.done.empty());
  Member(4, v1::NODE_ACTIVE);
  for (int i = 0; i < 60; ++i) {
    // The others do the same with what they lead: it is this store that they relieve.
    for (auto& [id, r] : world_.ranges) {
      if (r.leads || Count(kSelf) <= 45 || StoresOf(id).contains(4)) continue;
      r.descriptor.clear_replicas();
      for (StoreId s : {2, 3, 4}) r.descriptor.add_replicas()->set_store_id(s);
    }
    for (StoreId s = 2; s <= 4; ++s) load_[s] = Count(s);
    Pass(5s);
  }
  for (StoreId s = 1; s <= 4; ++s) EXPECT_NEAR(static_cast<double>(Count(s)), 45, 4) << s;
  EXPECT_LE(world_.done.size(), 80u);  // leases for the sake of replicas on this store included
}

TEST_F(ReplicateQueueTest, WhatFailsIsTriedAgainMoreAndMoreSeldom) {
  AddStores(4);
  world_.Add(1, {1, 2, 3});
  load_[4] = 1;
  world_.fail = true;
  Start();
  Member(2, v1::NODE_DECOMMISSIONING);
  Pass(20s);
  const int soon = world_.failed;
  EXPECT_GE(soon, 3);
  Pass(60s);
  EXPECT_LE(world_.failed, soon + 3);
  world_.fail = false;
  Pass(60s);
  EXPECT_EQ(StoresOf(1), (std::set<StoreId>{1, 3, 4}));
}

TEST_F(ReplicateQueueTest, ALearnerThatNobodyTakesCareOfGoes) {
  AddStores(4);
  world_.Add(1, {1, 2, 3, 4});
  world_.ranges[1].descriptor.mutable_replicas(3)->set_learner(true);
  Start();
  Pass(25s);
  EXPECT_TRUE(world_.done.empty()) << "somebody may be at it";
  Pass(20s);
  EXPECT_EQ(StoresOf(1), (std::set<StoreId>{1, 2, 3}));
}

TEST_F(ReplicateQueueTest, WithoutAWayToTheRangesItWaits) {
  way_ = false;
  AddStores(4);
  load_[4] = 1;
  world_.Add(1, {1, 2, 3});
  Start();
  Member(2, v1::NODE_DECOMMISSIONING);
  Pass(60s);
  EXPECT_EQ(world_.failed, 0);
  EXPECT_EQ(world_.looks, 0);
  way_ = true;
  queue_.WalkNow();
  Pass(10s);
  EXPECT_EQ(StoresOf(1), (std::set<StoreId>{1, 3, 4}));
}

// ---- The pool alone ----

TEST_F(ReplicateQueueTest, LoadsGoAlongEveryFewSecondsOrWhenTheStateChanges) {
  AddStores(3);
  EXPECT_NE(pool_.LoadFor(2), nullptr);
  int said = 0;
  for (int i = 0; i < 100; ++i) {  // heartbeats
    loop_.RunFor(200ms);
    said += pool_.LoadFor(2) != nullptr ? 1 : 0;
  }
  EXPECT_EQ(said, 4);
  draining_ = true;
  pool_.SayNow();
  const v1::StoreLoad* load = pool_.LoadFor(2);
  ASSERT_NE(load, nullptr);
  EXPECT_TRUE(load->draining());
  EXPECT_EQ(pool_.LoadFor(2), nullptr);
}

TEST_F(ReplicateQueueTest, WhoeverSleptHasNotWatched) {
  AddStores(3);
  Silence(3);
  loop_.RunFor(std::chrono::minutes(10));  // and nothing ran meanwhile
  pool_.NoticeDeaths();
  EXPECT_EQ(pool_.LivenessOf(3), placement::Liveness::kSilent);
  loop_.RunFor(std::chrono::minutes(5));
  pool_.NoticeDeaths();
  EXPECT_EQ(pool_.LivenessOf(3), placement::Liveness::kDead);
}

TEST_F(ReplicateQueueTest, OldFiguresDoNotCount) {
  AddStores(3);
  Hear(2, 10);
  EXPECT_TRUE(pool_.View().stores[2].fresh);
  EXPECT_FALSE(pool_.View().stores[3].fresh);
  loop_.RunFor(31s);
  EXPECT_FALSE(pool_.View().stores[2].fresh);
}

}  // namespace
}  // namespace insula::kv
