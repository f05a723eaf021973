// Replicas that are compared: what differs is found and stops itself, and nothing else does.
#include "kv/store/consistency.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/runtime/random.h"
#include "base/sim/net.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/api/request.h"
#include "kv/replica/replica.h"
#include "kv/storage/data_key.h"
#include "kv/store/testing/cluster.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr RangeId kRange = 5;  // keyspace 4
std::string Key(const std::string& name) { return KeyspacePrefix(4) + name; }

v1::BatchRequest BatchFor(RangeId range) {
  v1::BatchRequest batch;
  batch.mutable_header()->set_version(kBatchVersion);
  batch.mutable_header()->set_range_id(range);
  return batch;
}

// A store's way to its own replicas, and no further.
class OwnReplicas : public Sender {
 public:
  explicit OwnReplicas(Store* store) : store_(store) {}
  Task<v1::BatchResponse> Send(const Context& ctx, v1::BatchRequest batch) override {
    auto group = store_->FindByKey(batch.requests(0).check_consistency().key());
    co_return co_await ReplicaOf(*group)->Execute(ctx, std::move(batch));
  }

 private:
  Store* store_;
};

// Three stores with real replicas, whose senders reach nobody.
class ConsistencyTest : public testing::Test {
 protected:
  ConsistencyTest() { log::SetLevel(log::Level::kOff); }

  void Begin(uint64_t seed, Duration interval = Duration::zero()) {
    probes_ = fault::ProbeHits();
    TestOptions options;
    options.consistency_interval = interval;
    options.factory = [](SimProcess& process, Store* store, RangeGroup* group) {
      return MakeReplica(group, {.executor = process.runtime().executor, .checks = &store->checks()});
    };
    options.sender = [this](Store* store) { return (senders_[store] = std::make_unique<OwnReplicas>(store)).get(); };
    cluster_.emplace(seed, options);
    cluster_->StartAll();
  }
  ~ConsistencyTest() override { cluster_.reset(); }

  uint64_t Hits(const std::string& probe) { return fault::ProbeHits()[probe] - probes_[probe]; }

  static Task<absl::Status> ExecuteOn(Context ctx, std::shared_ptr<Replica> replica, v1::BatchRequest batch, std::shared_ptr<v1::BatchResponse> response) {
    *response = co_await replica->Execute(ctx, std::move(batch));
    co_return absl::OkStatus();
  }
  // At whoever leads the range; nullopt: nobody did, or it went down meanwhile.
  std::optional<v1::BatchResponse> Run(RangeId range, v1::BatchRequest batch, Duration limit = 40s) {
    for (int turn = 0; turn < 400; ++turn) {
      int node = cluster_->Leaseholder(range);
      if (node < 0) node = turn % TestCluster::kMembers;
      auto group = cluster_->store(node) == nullptr ? nullptr : cluster_->store(node)->Find(range);
      if (group == nullptr || !group->initialized() || group->stopped()) {
        cluster_->sim().RunFor(20ms);
        continue;
      }
      auto response = std::make_shared<v1::BatchResponse>();  // of one that goes on when nobody waits any more
      absl::Status s = cluster_->sim().Run(
          &cluster_->Node(node), [&](Context ctx) { return ExecuteOn(std::move(ctx), ReplicaOf(*group), batch, response); }, limit);
      if (!s.ok()) return std::nullopt;
      if (!response->has_error()) return *response;
      if (!response->error().has_not_leaseholder() && !response->error().has_unavailable()) return *response;
      cluster_->sim().RunFor(20ms);
    }
    return std::nullopt;
  }
  void Put(const std::string& name, const std::string& value, RangeId range = kRange) {
    auto batch = BatchFor(range);
    batch.add_requests()->mutable_put()->set_key(Key(name));
    batch.mutable_requests(0)->mutable_put()->set_value(value);
    auto response = Run(range, batch);
    ASSERT_TRUE(response.has_value() && !response->has_error()) << (response ? response->ShortDebugString() : "no answer");
  }
  v1::CheckConsistencyResponse Compare(RangeId range = kRange) {
    auto batch = BatchFor(range);
    batch.add_requests()->mutable_check_consistency()->set_key(Key("a"));
    auto response = Run(range, batch);
    if (!response.has_value() || response->has_error()) {
      ADD_FAILURE() << (response ? response->ShortDebugString() : "no answer");
      return {};
    }
    return response->responses(0).check_consistency();
  }
  // Changes the newest version of `name` in one store's engine, behind everybody's back.
  void Flip(int node, const std::string& name) {
    storage::Engine& engine = cluster_->store(node)->engine();
    storage::WriteBatch batch;
    {
      auto reader = engine.NewReader();
      auto it = reader->NewIterator({.cf = storage::ColumnFamily::kData, .lower = "", .upper = ""});
      it->Seek(storage::DataKey(Key(name), Timestamp::Max()));
      ASSERT_TRUE(it->Valid() && storage::UserKey(it->key()) == Key(name));
      std::string value(it->value());
      value.back() ^= 1;
      batch.Put(storage::ColumnFamily::kData, it->key(), value);
    }
    ASSERT_TRUE(engine.Write(batch).ok());
  }
  static int Problems(const v1::CheckConsistencyResponse& check) {
    int n = 0;
    for (const auto& replica : check.replicas()) n += replica.problem().empty() ? 0 : 1;
    return n;
  }
  int Follower() { return (cluster_->Leaseholder(kRange) + 1) % TestCluster::kMembers; }

  std::map<std::string, uint64_t> probes_;
  std::map<Store*, std::unique_ptr<OwnReplicas>> senders_;
  std::optional<TestCluster> cluster_;
};

v1::RangeDescriptor OfStores(std::vector<StoreId> voters, std::vector<StoreId> learners = {}) {
  v1::RangeDescriptor range;
  for (StoreId id : voters) range.add_replicas()->set_store_id(id);
  for (StoreId id : learners) {
    auto* replica = range.add_replicas();
    replica->set_store_id(id);
    replica->set_learner(true);
  }
  return range;
}

TEST(JudgeTest, OnlyAMajorityOfAllVotersIsRight) {
  const v1::RangeDescriptor three = OfStores({1, 2, 3});
  EXPECT_TRUE(Judge(three, {{1, "x"}, {2, "x"}, {3, "x"}}).consistent);
  ChecksumVerdict verdict = Judge(three, {{1, "x"}, {2, "y"}, {3, "x"}});
  EXPECT_FALSE(verdict.consistent);
  EXPECT_EQ(verdict.majority, "x");
  EXPECT_EQ(verdict.divergent, std::vector<StoreId>{2});
  for (const auto& sums : {std::map<StoreId, std::string>{{1, "x"}, {2, "y"}, {3, "z"}}, {{1, "x"}, {3, "y"}}}) {
    verdict = Judge(three, sums);
    EXPECT_FALSE(verdict.consistent);
    EXPECT_EQ(verdict.majority, "");
    EXPECT_TRUE(verdict.divergent.empty()) << "nobody knows who is right";
  }
  EXPECT_TRUE(Judge(three, {{1, "x"}}).consistent);
  // Learners are judged, and judge nobody.
  EXPECT_EQ(Judge(OfStores({1, 2, 3}, {4, 5}), {{1, "x"}, {2, "x"}, {3, "y"}, {4, "y"}, {5, "y"}}).divergent, (std::vector<StoreId>{3, 4, 5}));
}

TEST_F(ConsistencyTest, ReplicasThatAreAlikeAreFoundToBe) {
  Begin(1);
  for (int i = 0; i < 20; ++i) Put(StrCat("a", i), StrCat("value ", i));
  v1::CheckConsistencyResponse check = Compare();
  EXPECT_TRUE(check.consistent()) << check.ShortDebugString();
  ASSERT_EQ(check.replicas_size(), 3);
  for (const auto& replica : check.replicas()) {
    EXPECT_EQ(replica.checksum(), check.replicas(0).checksum());
    EXPECT_FALSE(replica.checksum().empty());
    EXPECT_EQ(replica.problem(), "");
    EXPECT_EQ(replica.wrong_stats(), "");
  }
  EXPECT_GT(check.index(), 20u);
  const std::string before = check.replicas(0).checksum();
  Put("a0", "another");
  EXPECT_NE(Compare().replicas(0).checksum(), before);
}

TEST_F(ConsistencyTest, AReplicaThatDiffersStopsItselfAndStaysThatWay) {
  for (bool leader : {false, true}) {
    SCOPED_TRACE(leader);
    Begin(leader ? 2 : 3);
    for (int i = 0; i < 20; ++i) Put(StrCat("a", i), StrCat("value ", i));
    ASSERT_TRUE(cluster_->WaitCaughtUp(kRange));
    const int bad = leader ? cluster_->Leaseholder(kRange) : Follower();
    Flip(bad, "a7");
    v1::CheckConsistencyResponse check = Compare();
    EXPECT_FALSE(check.consistent());
    for (const auto& replica : check.replicas()) EXPECT_EQ(replica.stopped(), replica.store_id() == static_cast<StoreId>(bad) + 1) << check.ShortDebugString();
    EXPECT_TRUE(cluster_->store(bad)->Find(kRange)->stopped());
    EXPECT_EQ(cluster_->store(bad)->metrics().consistency_divergences, 1u);
    // The others go on, with the right value.
    Put("b", "after");
    const int next = cluster_->Leaseholder(kRange);
    EXPECT_NE(next, bad);
    // A restart does not bring it back, nor does it vote.
    cluster_->Crash(bad);
    cluster_->Restart(bad);
    ASSERT_TRUE(cluster_->WaitReady(bad)) << cluster_->trouble(bad);
    EXPECT_EQ(cluster_->store(bad)->Find(kRange), nullptr);
    EXPECT_TRUE(absl::IsDataLoss(cluster_->store(bad)->RangeProblem(kRange))) << cluster_->store(bad)->RangeProblem(kRange);
    v1::NodeStatusResponse status;
    cluster_->store(bad)->FillStatus(true, &status);
    int told = 0;
    for (const auto& row : status.range_list()) told += row.range_id() == kRange && !row.problem().empty() ? 1 : 0;
    EXPECT_EQ(told, 1);
    Put("c", "after");
    check = Compare();
    EXPECT_TRUE(check.consistent());
    EXPECT_EQ(Problems(check), 1);
    cluster_->sim().RunFor(20s);
    EXPECT_EQ(cluster_->store(bad)->Find(kRange), nullptr) << "messages of its group do not make it anew";
  }
}

// The row cannot be read any more, as on a disk that has lost it.
TEST_F(ConsistencyTest, AReplicaThatCannotReadARowStopsItself) {
  for (bool leader : {false, true}) {
    SCOPED_TRACE(leader);
    Begin(leader ? 6 : 7);
    for (int i = 0; i < 20; ++i) Put(StrCat("a", i), StrCat("value ", i));
    ASSERT_TRUE(cluster_->WaitCaughtUp(kRange));
    const int bad = leader ? cluster_->Leaseholder(kRange) : Follower();
    {
      auto reader = cluster_->store(bad)->engine().NewReader();
      auto it = reader->NewIterator({.cf = storage::ColumnFamily::kData, .lower = "", .upper = ""});
      it->Seek(storage::DataKey(Key("a7"), Timestamp::Max()));
      ASSERT_TRUE(it->Valid() && storage::UserKey(it->key()) == Key("a7"));
      cluster_->disk(bad).damaged.emplace(storage::ColumnFamily::kData, std::string(it->key()));
    }
    // What lies elsewhere is served; a leaseholder that is asked for this row finds out, and another one answers.
    auto get = [&](const std::string& name) -> std::string {
      auto batch = BatchFor(kRange);
      batch.add_requests()->mutable_get()->set_key(Key(name));
      auto response = Run(kRange, batch);
      return response && !response->has_error() ? response->responses(0).get().value() : "no answer";
    };
    EXPECT_EQ(get("a3"), "value 3");
    EXPECT_FALSE(cluster_->store(bad)->Find(kRange)->stopped());
    EXPECT_EQ(get("a7"), "value 7");
    EXPECT_EQ(cluster_->store(bad)->Find(kRange)->stopped(), leader);
    // A follower does when replicas are compared.
    v1::CheckConsistencyResponse check = Compare();
    EXPECT_TRUE(check.consistent());
    EXPECT_EQ(Problems(check), 1) << check.ShortDebugString();
    EXPECT_TRUE(cluster_->store(bad)->Find(kRange)->stopped());
    EXPECT_TRUE(absl::IsDataLoss(cluster_->store(bad)->RangeProblem(kRange))) << cluster_->store(bad)->RangeProblem(kRange);
    Put("b", "after");
    EXPECT_EQ(get("b"), "after");
  }
}

TEST_F(ConsistencyTest, WithoutAMajorityNobodyIsStopped) {
  Begin(4);
  Put("a", "1");
  ASSERT_TRUE(cluster_->WaitCaughtUp(kRange));
  cluster_->Crash((cluster_->Leaseholder(kRange) + 2) % 3);
  Put("b", "1");
  ASSERT_TRUE(cluster_->WaitCaughtUp(kRange));
  v1::CheckConsistencyResponse check = Compare();
  EXPECT_TRUE(check.consistent());
  EXPECT_EQ(Problems(check), 1) << "the one that is down";
  Flip(Follower(), "a");
  check = Compare();
  EXPECT_FALSE(check.consistent());
  for (int i = 0; i < 3; ++i) {
    if (cluster_->store(i) != nullptr) EXPECT_FALSE(cluster_->store(i)->Find(kRange)->stopped());
  }
}

TEST_F(ConsistencyTest, StatisticsThatDoNotFitAreTold) {
  Begin(5);
  Put("a", "1");
  const int node = cluster_->Leaseholder(kRange);
  absl::Status proposed = cluster_->sim().Run(
      &cluster_->Node(node),
      [&](Context ctx) -> Task<absl::Status> {
        auto group = cluster_->store(node)->Find(kRange);
        Command command;
        command.lease_sequence = group->CheckLease(group->clock().Peek()).lease.sequence;
        command.stats_delta.live_keys = 3;
        co_return (co_await group->Propose(ctx, std::move(command))).status();
      },
      5s);
  ASSERT_TRUE(proposed.ok()) << proposed;
  v1::CheckConsistencyResponse check = Compare();
  EXPECT_TRUE(check.consistent()) << "they are all wrong";
  for (const auto& replica : check.replicas()) EXPECT_NE(replica.wrong_stats().find("4 live keys"), std::string::npos) << replica.wrong_stats();
}

TEST_F(ConsistencyTest, LongReadsGiveTheLoopBackAndRest) {
  Begin(6);
  for (int i = 0; i < 20; ++i) Put(StrCat("a", i), std::string(100'000, 'x'));
  ASSERT_TRUE(cluster_->WaitCaughtUp(kRange));
  const MonoTime from = cluster_->sim().now();
  EXPECT_TRUE(Compare().consistent());
  const double seconds = ToSeconds(cluster_->sim().now() - from);
  EXPECT_GT(seconds, 0.1) << "2 MB at 16 MB a second, less what is read after the last rest";
  EXPECT_LT(seconds, 0.3);
}

// Crashes lose checks, snapshots and splits come between: a check may end without a result, but never with a wrong one.
TEST_F(ConsistencyTest, NothingThatGoesOnInAClusterLooksLikeADifference) {
  uint64_t compared = 0;
  for (uint64_t seed = 20; seed < 32; ++seed) {
    Begin(seed);
    SeededRandom random(seed);
    std::map<RangeId, std::string> ranges = {{kRange, ""}};
    for (int step = 0; step < 60; ++step) {
      const RangeId range = std::next(ranges.begin(), static_cast<long>(random.Uniform(ranges.size())))->first;
      switch (random.Uniform(8)) {
        case 0: cluster_->Crash(static_cast<int>(random.Uniform(3))); break;
        case 1:
          for (int i = 0; i < 3; ++i) cluster_->Restart(i);
          break;
        case 2:
          for (int i = 0; i < 3; ++i) {
            if (Store* s = cluster_->store(i); s != nullptr) {
              (void)cluster_->sim().Run(&cluster_->Node(i), [s](Context ctx) -> Task<absl::Status> { co_return co_await s->multiraft().FlushAndTruncate(ctx); }, 5s);
            }
          }
          break;
        case 3: {
          if (ranges.size() > 3) break;
          const RangeId right = 200 + seed * 10 + ranges.size();
          const std::string at = StrCat("s", 900 - 100 * ranges.size());  // each below the last
          auto warm = BatchFor(kRange);
          warm.add_requests()->mutable_get()->set_key(Key(""));
          (void)Run(kRange, warm, 5s);
          if (cluster_->Split(kRange, right, Key(at), 10s).ok()) ranges[right] = at;
          break;
        }
        case 4:
        case 5: {
          auto batch = BatchFor(range);
          batch.add_requests()->mutable_check_consistency()->set_key(range == kRange ? Key("") : Key(ranges[range]));
          auto response = Run(range, batch, 15s);
          if (!response.has_value() || response->has_error()) break;
          const auto& check = response->responses(0).check_consistency();
          EXPECT_TRUE(check.consistent()) << "seed " << seed << " step " << step << ": " << check.ShortDebugString();
          for (const auto& replica : check.replicas()) EXPECT_EQ(replica.wrong_stats(), "") << "seed " << seed << " step " << step;
          compared += static_cast<uint64_t>(check.replicas_size() - Problems(check));
          break;
        }
        default: {
          auto batch = BatchFor(range);
          batch.add_requests()->mutable_put()->set_key(range == kRange ? Key(StrCat("a", random.Uniform(50))) : Key(ranges[range] + "x"));
          batch.mutable_requests(0)->mutable_put()->set_value(random.Bytes(random.Uniform(300)));
          (void)Run(range, batch, 5s);
        }
      }
      if (cluster_->store(0) == nullptr && cluster_->store(1) == nullptr) cluster_->Restart(0);
    }
    EXPECT_EQ(Hits("replicas were found to differ"), 0u) << "seed " << seed;
    EXPECT_EQ(Hits("a range's statistics did not fit its rows"), 0u) << "seed " << seed;
    if (HasFailure()) return;
    cluster_.reset();
  }
  EXPECT_GT(compared, 100u);
}

TEST_F(ConsistencyTest, WhatWasWrittenIsComparedOnceAndThenLeftAlone) {
  Begin(7, 10s);
  Put("a", "1");
  cluster_->sim().RunFor(60s);
  uint64_t processed = 0;
  for (int i = 0; i < 3; ++i) processed += cluster_->store(i)->metrics().queue(QueueKind::kConsistency).processed;
  EXPECT_EQ(processed, 1u);
  cluster_->sim().RunFor(60s);
  const uint64_t applied = cluster_->store(0)->Find(kRange)->applied_index();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cluster_->store(i)->metrics().queue(QueueKind::kConsistency).pending, 0) << i;
  cluster_->sim().RunFor(600s);
  EXPECT_EQ(cluster_->store(0)->Find(kRange)->applied_index(), applied) << "at rest nothing happens";
  Flip(Follower(), "a");
  Put("b", "1");
  cluster_->sim().RunFor(60s);
  EXPECT_EQ(Hits("a replica that differed stopped itself"), 1u);
}

}  // namespace
}  // namespace insula::kv
