// What nodes count moves when something happens: a cluster with contention, a crash and time to rest.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <sstream>
#include <string>

#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/txn.h"
#include "tenant/tenant.h"
#include "test/sim/cluster.h"

namespace insula::simtest {
namespace {

// Sums over the series of each name, of all nodes together; of histograms the counts.
std::map<std::string, double> Scrape(SimCluster& cluster) {
  std::map<std::string, double> out;
  for (int i = 0; i < SimCluster::kNodes; ++i) {
    std::istringstream text(cluster.Metrics(i));
    for (std::string line; std::getline(text, line);) {
      if (line.empty() || line[0] == '#') continue;
      const std::string name = line.substr(0, line.find_first_of("{ "));
      out[name] += std::atof(line.c_str() + line.rfind(' '));
    }
  }
  return out;
}

std::string Key(int i) { return KeyspacePrefix(20) + StrCat("k", i); }

// Some clients that all want the same few keys, in transactions that take a while.
Task<absl::Status> Contend(Context ctx, kv::Database* database, int clients, int rounds) {
  TaskGroup group(ctx);
  for (int c = 0; c < clients; ++c) {
    group.SpawnFn([=, &group]() -> Task<void> {
      for (int i = 0; i < rounds; ++i) {
        auto txn = database->Begin({.isolation = kv::Isolation::kReadCommitted});
        (void)co_await txn->Get(group.ctx(), Key(i % 2), {.lock = kv::LockStrength::kExclusive});
        if (c % 2 == 0) (void)co_await Sleep(group.ctx(), 60ms);
        txn->Put(Key(i % 2), StrCat(c, " ", i));
        txn->Put(Key(10 + c), StrCat(i));
        (void)co_await txn->Commit(group.ctx());
        auto blind = database->Begin({.isolation = kv::Isolation::kSerializable});
        blind->Put(Key(5), StrCat(c, " ", i));
        (void)co_await blind->Commit(group.ctx());
      }
    });
  }
  co_await group.Wait();
  co_return absl::OkStatus();
}

TEST(NodeMetrics, MoveWhenSomethingHappens) {
  ClusterOptions options;
  options.seed = 1;
  options.truncation_interval = 5s;
  options.consistency_interval = 3s;
  SimCluster cluster(options);
  ASSERT_TRUE(cluster.Start().ok());
  auto work = [&](int rounds) {
    return cluster.sim().Run(cluster.client(), [&](Context ctx) { return Contend(std::move(ctx), cluster.database(), 8, rounds); }, 120s);
  };
  ASSERT_TRUE(work(10).ok());
  const auto before = Scrape(cluster);
  cluster.sim().RunFor(20s);  // garbage, comparisons, flushes
  const auto rested = Scrape(cluster);
  const int follower = (cluster.LeaderOf(Key(0)) + 1) % SimCluster::kNodes;  // it is sent messages that it does not take
  cluster.Crash(follower);
  ASSERT_TRUE(work(5).ok());
  cluster.sim().RunFor(3s);
  ASSERT_TRUE(work(5).ok());
  cluster.Restart(follower);
  cluster.sim().RunFor(5s);
  ASSERT_TRUE(work(5).ok());
  const auto after = Scrape(cluster);
  for (const char* name : {"insula_kv_batches_total", "insula_kv_replica_batches_total", "insula_kv_evaluations_total", "insula_kv_latch_waits_total",
                           "insula_kv_latch_wait_seconds_count", "insula_kv_lock_waits_total", "insula_kv_lock_wait_seconds_count", "insula_kv_txn_pushes_total",
                           "insula_kv_txn_commits_total", "insula_kv_raft_proposals_total", "insula_kv_raft_round_seconds_count", "insula_kv_raft_applied_entries_total",
                           "insula_kv_raft_elections_total", "insula_kv_leases_acquired_total", "insula_kv_raft_messages_sent_total",
                           "insula_kv_raft_message_bytes_sent_total", "insula_kv_liveness_heartbeats_sent_total", "insula_kv_liveness_heartbeats_received_total",
                           "insula_kv_store_frames_sent_total", "insula_kv_store_frame_bytes_sent_total",
                           "insula_kv_log_sync_seconds_count", "insula_kv_log_batches_per_sync_count", "insula_kv_log_syncs_total", "insula_kv_log_batches_total",
                           "insula_kv_log_written_bytes_total", "insula_kv_log_segments", "insula_kv_log_bytes", "insula_kv_ranges", "insula_kv_leases"}) {
    EXPECT_GT(before.at(name), 0) << name;
  }
  for (const char* name : {"insula_kv_state_flushes_total", "insula_kv_state_flush_seconds_count", "insula_kv_queue_processed_total", "insula_kv_queue_seconds_count",
                           "insula_kv_gc_versions_removed_total", "insula_kv_consistency_bytes_total"}) {
    EXPECT_GT(rested.at(name), 0) << name;
  }
  for (const char* name : {"insula_kv_liveness_support_lost_total", "insula_kv_raft_messages_dropped_total"}) EXPECT_GT(after.at(name), 0) << name;
  for (const char* name : {"insula_kv_consistency_divergences_total", "insula_kv_consistency_wrong_stats_total", "insula_kv_ranges_stopped", "insula_kv_disk_full"}) {
    EXPECT_EQ(after.at(name), 0) << name;
  }
  // Whoever waited has got what it waited for.
  EXPECT_EQ(after.at("insula_kv_latch_waiters"), 0);
  EXPECT_EQ(after.at("insula_kv_lock_waiters"), 0);
  EXPECT_GE(after.at("insula_kv_evaluations_total"), after.at("insula_kv_raft_proposals_total") / 2);
}

double WritePressureAt(SimCluster& cluster, int node) {
  const std::string text = cluster.Metrics(node), name = "\ninsula_kv_write_pressure ";
  const size_t at = text.find(name);
  return at == std::string::npos ? -1 : std::atof(text.c_str() + at + name.size());
}

// What a leaseholder lets tenants write goes by the disks of all replicas (kv/server/write_gate.h).
TEST(NodeMetrics, ADiskThatDoesNotKeepUpIsHeardOfWhereItIsWrittenTo) {
  ClusterOptions options;
  options.seed = 2;
  SimCluster cluster(options);
  ASSERT_TRUE(cluster.Start().ok());
  auto write_for = [&](Duration time) {
    const MonoTime until = cluster.sim().now() + time;
    for (int i = 0; cluster.sim().now() < until; ++i) {
      auto put = [&](Context ctx) -> Task<absl::Status> {
        auto txn = cluster.database()->Begin({});
        txn->Put(Key(0), StrCat(i));
        co_return co_await txn->Commit(ctx);
      };
      ASSERT_TRUE(cluster.sim().Run(cluster.client(), put, 10s).ok());
    }
  };
  write_for(1s);
  const int leader = cluster.LeaderOf(Key(0));
  ASSERT_GE(leader, 0);
  const int pressed = (leader + 1) % SimCluster::kNodes;
  EXPECT_EQ(WritePressureAt(cluster, leader), 0);
  cluster.SetWritePressure(pressed, 0.9);
  write_for(2s);
  EXPECT_EQ(WritePressureAt(cluster, leader), 0.9);
  EXPECT_EQ(WritePressureAt(cluster, pressed), 0.9);
  cluster.SetWritePressure(pressed, 0);
  write_for(2s);
  EXPECT_EQ(WritePressureAt(cluster, leader), 0);
  cluster.SetWritePressure(pressed, 0.9);
  cluster.Crash(pressed);
  write_for(10s);
  EXPECT_EQ(WritePressureAt(cluster, leader), 0) << "nobody waits for one that is gone";
}

}  // namespace
}  // namespace insula::simtest
