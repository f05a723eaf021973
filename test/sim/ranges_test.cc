// Ranges of a whole simulated cluster come and go by themselves: keyspaces before their tenants, and addresses after their ranges.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/client/database.h"
#include "kv/keys/keys.h"
#include "tenant/tenant.h"
#include "test/sim/cluster.h"

namespace insula::simtest {
namespace {

class RangesTest : public testing::Test {
 protected:
  RangesTest() { log::SetLevel(log::Level::kOff); }

  void Boot(uint64_t seed) {
    cluster_.emplace(ClusterOptions{.seed = seed});
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

  std::optional<SimCluster> cluster_;
};

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
    for (uint64_t keyspace = 2; keyspace < FirstShared(); keyspace += 7) {
      auto range = Locate(KeyspacePrefix(keyspace) + "x");
      ASSERT_TRUE(range.ok()) << range.status();
      EXPECT_EQ(range->start_key(), KeyspacePrefix(keyspace));
      EXPECT_EQ(range->end_key(), KeyspacePrefix(keyspace + 1));
    }
  }
}

}  // namespace
}  // namespace insula::simtest
