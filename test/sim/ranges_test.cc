// Ranges of a whole simulated cluster come and go by themselves: keyspaces before their tenants, and addresses after their ranges.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/client/database.h"
#include "kv/keys/keys.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/tenant.h"
#include "test/sim/cluster.h"

namespace insula::simtest {
namespace {

class RangesTest : public testing::Test {
 protected:
  RangesTest() { log::SetLevel(log::Level::kOff); }

  void Boot(uint64_t seed, kv::SplitOptions split = {.max_bytes = 0, .max_batches_per_second = 0}, kv::MergeOptions merge = {.enabled = false}) {
    cluster_.emplace(ClusterOptions{.seed = seed, .merge = merge, .split = split});
    ASSERT_TRUE(cluster_->Start().ok());
  }
  Simulation& sim() { return cluster_->sim(); }

  absl::StatusOr<kv::v1::RangeDescriptor> Locate(const std::string& key) {
    kv::v1::RangeDescriptor found;
    absl::Status done = sim().Run(
        cluster_->client(),
        [&](Context ctx) -> Task<absl::Status> {
          cluster_->database()->sender().cache().Evict(key);
          CO_ASSIGN_OR_RETURN(found, co_await cluster_->database()->sender().Locate(ctx, key));
          co_return absl::OkStatus();
        },
        60s);
    if (!done.ok()) return done;
    return found;
  }

  // As if so many more tenants were made.
  void GiveKeyspaces(int64_t count) {
    absl::Status done = sim().Run(
        cluster_->client(),
        [&](Context ctx) -> Task<absl::Status> { co_return (co_await cluster_->database()->Increment(ctx, kv::keys::KeyspaceCounter(), count)).status(); }, 60s);
    ASSERT_TRUE(done.ok()) << done;
  }

  // The first keyspace that shares its range with later ones.
  uint64_t FirstShared() {
    auto last = Locate("\xfe\xff\xff");
    EXPECT_TRUE(last.ok()) << last.status();
    return last.ok() ? KeyspaceOf(last->start_key()).value_or(0) : 0;
  }

  // Entries that all stores have proposed.
  uint64_t Proposals() {
    uint64_t sum = 0;
    for (int i = 0; i < SimCluster::kNodes; ++i) {
      const std::string metrics = cluster_->Metrics(i);
      const std::string name = "\ninsula_kv_raft_proposals_total";
      const size_t at = metrics.find(name);
      EXPECT_NE(at, std::string::npos);
      sum += std::strtoull(metrics.c_str() + metrics.find(' ', at + 1) + 1, nullptr, 10);
    }
    return sum;
  }

  absl::Status Put(const std::string& key, const std::string& value) {
    return sim().Run(
        cluster_->client(),
        [&](Context ctx) -> Task<absl::Status> {
          auto txn = cluster_->database()->Begin({});
          txn->Put(key, value);
          co_return co_await txn->Commit(ctx);
        },
        60s);
  }

  // The ranges of a keyspace, as addresses tell.
  std::vector<kv::v1::RangeDescriptor> RangesOf(uint64_t keyspace) {
    std::vector<kv::v1::RangeDescriptor> ranges;
    std::string at = KeyspacePrefix(keyspace);
    while (at < KeyspacePrefix(keyspace + 1)) {
      auto range = Locate(at);
      EXPECT_TRUE(range.ok()) << range.status();
      if (!range.ok()) break;
      EXPECT_EQ(range->start_key(), at);
      at = range->end_key();
      ranges.push_back(*std::move(range));
    }
    return ranges;
  }

  std::optional<SimCluster> cluster_;
};

std::string Row(uint64_t keyspace, uint64_t i) {
  const std::string digits = StrCat(i);
  return KeyspacePrefix(keyspace) + std::string(6 - digits.size(), '0') + digits;
}

TEST_F(RangesTest, KeyspacesGetRangesAsTenantsComeAndThenTheClusterIsAsQuietAsBefore) {
  Boot(1);
  GiveKeyspaces(1);  // somebody leads the system range
  sim().RunFor(60s);
  uint64_t before = sim().events();
  sim().RunFor(60s);
  const uint64_t quiet = sim().events() - before;
  for (int i = 0; i < 10; ++i) {
    GiveKeyspaces(30);
    sim().RunFor(3s);
  }
  sim().RunFor(60s);
  EXPECT_GE(FirstShared(), 2 + 301 + 32u);
  // All is written that there is to write: what goes on is between stores, not for ranges.
  sim().RunFor(60s);
  before = sim().events();
  sim().RunFor(60s);
  EXPECT_LT(sim().events() - before, quiet + quiet / 20) << "before: " << quiet;
}

// No split of a block waits until the range that another one has made has found a leader, and none looks up what it knows.
TEST_F(RangesTest, KeyspacesAreSplitOffFasterThanTenantsAreMade) {
  Boot(3);
  GiveKeyspaces(1);
  sim().RunFor(10s);
  const MonoTime begin = sim().now();
  const uint64_t before = FirstShared();
  const uint64_t entries_before = Proposals();
  GiveKeyspaces(320);
  auto done = [&] {
    const uint64_t next = FirstShared();
    auto first = Locate(KeyspacePrefix(next - 64));  // of its block it is the last
    return next >= 2 + 320 + 32 && first.ok() && first->end_key() == KeyspacePrefix(next - 63);
  };
  while (!done() && sim().now() - begin < 60s) sim().RunFor(50ms);
  const uint64_t made = FirstShared() - before;
  const Duration each = (sim().now() - begin) / static_cast<int64_t>(made);
  const double entries = static_cast<double>(Proposals() - entries_before) / static_cast<double>(made);
  RecordProperty("microseconds_each", StrCat(std::chrono::duration_cast<std::chrono::microseconds>(each).count()));
  RecordProperty("entries_each", StrCat(entries));
  EXPECT_LT(each, 4ms);
  EXPECT_LT(entries, 4.5) << "a block notes once that the addresses of several splits are written";
  auto first = Locate(KeyspacePrefix(FirstShared() - 64));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_GE(first->generation(), 64u) << "the splits of a block are entries of one log";
}

TEST_F(RangesTest, WhoeverLeadsTheSystemRangeNextGoesOnWithTheKeyspaces) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Boot(seed);
    GiveKeyspaces(1);
    sim().RunFor(5s);
    for (int round = 0; round < 6; ++round) {
      GiveKeyspaces(40);
      const int victim = round % SimCluster::kNodes;
      cluster_->node(victim)->CrashAfterSteps(1 + sim().random().Uniform(3000));
      sim().RunFor(2s);
      cluster_->Crash(victim);
      cluster_->Restart(victim);
      sim().RunFor(2s);
    }
    GiveKeyspaces(1);  // wakes whoever leads now
    sim().RunFor(120s);
    EXPECT_GE(FirstShared(), 2 + 242 + 32u) << "seed " << seed;
    // Every range has its own address.
    for (uint64_t keyspace = 2; keyspace < FirstShared(); ++keyspace) {
      auto range = Locate(KeyspacePrefix(keyspace) + "x");
      ASSERT_TRUE(range.ok()) << range.status();
      EXPECT_EQ(range->start_key(), KeyspacePrefix(keyspace));
      EXPECT_EQ(range->end_key(), KeyspacePrefix(keyspace + 1));
    }
  }
}

TEST_F(RangesTest, MetaRangesAreSplitAndMovedAndEveryClientFindsItsWay) {
  constexpr uint64_t kKeyspace = 30, kOther = 29;
  constexpr uint64_t kTenant = 7;
  cluster_.emplace(ClusterOptions{.seed = 2, .joining_nodes = 2});
  ASSERT_TRUE(cluster_->Start().ok());
  auto send = [&](kv::v1::BatchRequest batch) {
    absl::Status done = sim().Run(
        cluster_->client(),
        [&](Context ctx) -> Task<absl::Status> {
          kv::v1::BatchResponse response = co_await cluster_->database()->sender().Send(ctx, batch);
          co_return response.has_error() ? kv::FromKvError(response.error()) : absl::OkStatus();
        },
        60s);
    EXPECT_TRUE(done.ok()) << done;
  };
  tenant::v1::TenantRecord record;
  record.set_id(kTenant);
  record.set_keyspace_id(kKeyspace);
  record.set_state(tenant::v1::ACTIVE);
  record.set_generation(1);
  ASSERT_TRUE(Put(kv::keys::SystemKey(kv::keys::SystemTable::kTenant, kTenant), record.SerializeAsString()).ok());
  for (uint64_t i = 0; i < 30; ++i) send(kv::SplitBatch(Row(kKeyspace, i)));
  const std::vector<std::string> metas = {kv::keys::Meta2Start(), kv::keys::Meta2Key(KeyspacePrefix(kOther)), kv::keys::Meta2Key(Row(kKeyspace, 4)), kv::keys::LookupStart(Row(kKeyspace, 11)),
                                          kv::keys::Meta2Key(Row(kKeyspace, 20))};
  for (const std::string& key : metas) send(kv::SplitBatch(key));
  // And system tables, above the counters.
  send(kv::SplitBatch(kv::keys::SystemKey(kv::keys::SystemTable::kTenant)));
  // The leases lie on different nodes; one meta range goes to the nodes that joined.
  for (size_t i = 0; i < metas.size(); ++i) {
    kv::v1::BatchRequest transfer = kv::NewBatch();
    transfer.add_requests()->mutable_admin_transfer_lease()->set_key(metas[i]);
    transfer.mutable_requests(0)->mutable_admin_transfer_lease()->set_store_id(1 + i % 3);
    send(std::move(transfer));
  }
  for (uint64_t store : {uint64_t{4}, uint64_t{5}}) {
    kv::v1::BatchRequest move = kv::NewBatch();
    auto* change = move.add_requests()->mutable_admin_change_replicas();
    change->set_key(metas[3]);
    change->add_add()->set_node_id(store);
    change->mutable_add(0)->set_store_id(store);
    change->add_remove()->set_node_id(store - 3);
    change->mutable_remove(0)->set_store_id(store - 3);
    send(std::move(move));
  }
  sim().RunFor(5s);
  SimProcess* pod = sim().AddProcess("pod");
  const PeerIdentity identity = {.common_name = StrCat(kTenant), .organizational_unit = "Tenants", .uris = {StrCat("insula://tenant/", kTenant, "/generation/1")}, .address = ""};
  auto check = [&](SimProcess* process) {
    absl::Status found = sim().Run(
        process,
        [&](Context ctx) -> Task<absl::Status> {
          for (uint64_t i = 0; i < 30; ++i) {
            SimCluster::DatabaseOf(process)->sender().cache().Evict(Row(kKeyspace, i));
            CO_ASSIGN_OR_RETURN(auto range, co_await SimCluster::DatabaseOf(process)->sender().Locate(ctx, Row(kKeyspace, i) + "x"));
            EXPECT_EQ(range.start_key(), Row(kKeyspace, i));
            auto txn = SimCluster::DatabaseOf(process)->Begin({});
            txn->Put(Row(kKeyspace, i), "v");
            CO_RETURN_IF_ERROR(co_await txn->Commit(ctx));
          }
          co_return absl::OkStatus();
        },
        60s);
    EXPECT_TRUE(found.ok()) << found;
  };
  pod->Boot([&](SimProcess& p) { return cluster_->MakeClient(p, identity); });
  check(pod);
  check(cluster_->client());
  // A node that has just started, and whoever leads then.
  for (int node = 0; node < 2; ++node) {
    cluster_->Crash(node);
    check(pod);
    cluster_->Restart(node);
    sim().RunFor(5s);
  }
  check(cluster_->client());
  sim().RunFor(1s);  // followers hear of the last write a moment after the client
  EXPECT_EQ(cluster_->CompareReplicas(), "");
}

TEST_F(RangesTest, ARangeThatGrowsIsSplitAndNoKeyspaceIsTouchedByAnother) {
  constexpr uint64_t kKeyspace = 30;
  Boot(3, {.max_bytes = 20'000, .max_batches_per_second = 0});
  for (uint64_t i = 0; i < 300; ++i) ASSERT_TRUE(Put(Row(kKeyspace, i * 7919 % 1000), std::string(500, 'v')).ok());
  sim().RunFor(30s);
  auto ranges = RangesOf(kKeyspace);
  EXPECT_GE(ranges.size(), 8u);
  EXPECT_LE(ranges.size(), 32u);
  EXPECT_EQ(ranges.back().end_key(), KeyspacePrefix(kKeyspace + 1));
  EXPECT_EQ(RangesOf(kKeyspace - 1).size(), 1u);
  for (uint64_t i = 0; i < 300; i += 17) {
    absl::Status read = sim().Run(
        cluster_->client(),
        [&](Context ctx) -> Task<absl::Status> {
          auto txn = cluster_->database()->Begin({.read_only = true});
          CO_ASSIGN_OR_RETURN(auto got, co_await txn->Get(ctx, Row(kKeyspace, i * 7919 % 1000), {}));
          co_return got && got->size() == 500 ? absl::OkStatus() : absl::DataLossError("a row is not there");
        },
        60s);
    EXPECT_TRUE(read.ok()) << i << ": " << read;
  }
  EXPECT_EQ(cluster_->CompareReplicas(), "");
}

TEST_F(RangesTest, ABusyRangeIsSplitWhereItsLoadHalves) {
  constexpr uint64_t kKeyspace = 31;
  Boot(4, {.max_bytes = 0, .max_batches_per_second = 50});
  for (uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(Put(Row(kKeyspace, i), "v").ok());
  EXPECT_EQ(RangesOf(kKeyspace).size(), 1u) << "not yet";
  uint64_t asked = 0;
  for (const MonoTime end = sim().now() + 90s; sim().now() < end;) {
    ASSERT_TRUE(Put(Row(kKeyspace, 20 + asked++ * 13 % 60), "w").ok());
  }
  sim().RunFor(5s);
  auto ranges = RangesOf(kKeyspace);
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_GT(ranges[1].start_key(), Row(kKeyspace, 30));
  EXPECT_LT(ranges[1].start_key(), Row(kKeyspace, 70));
}

TEST_F(RangesTest, RangesThatHaveBecomeSmallAreMergedOnAllNodesAndNothingGoesOn) {
  constexpr uint64_t kKeyspace = 32;
  Boot(5, {.max_bytes = 40'000, .max_batches_per_second = 0}, {.enabled = true, .rest = 5s});
  ASSERT_TRUE(Put(Row(kKeyspace, 1), "v").ok());
  for (uint64_t at : {200, 400, 600, 800}) {
    absl::Status split = sim().Run(
        cluster_->client(),
        [&](Context ctx) -> Task<absl::Status> {
          kv::v1::BatchResponse response = co_await cluster_->database()->sender().Send(ctx, kv::SplitBatch(Row(kKeyspace, at)));
          co_return response.has_error() ? kv::FromKvError(response.error()) : absl::OkStatus();
        },
        60s);
    ASSERT_TRUE(split.ok()) << split;
  }
  for (uint64_t i = 0; i < 1000; i += 50) ASSERT_TRUE(Put(Row(kKeyspace, i), "v").ok());
  EXPECT_EQ(RangesOf(kKeyspace).size(), 5u);
  sim().RunFor(120s);
  auto ranges = RangesOf(kKeyspace);
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_EQ(ranges[0].end_key(), KeyspacePrefix(kKeyspace + 1));
  for (uint64_t i = 0; i < 1000; i += 50) ASSERT_TRUE(Put(Row(kKeyspace, i), "w").ok());
  sim().RunFor(10s);
  EXPECT_EQ(cluster_->CompareReplicas(), "");
}

}  // namespace
}  // namespace insula::simtest
