// Replicas and leases go where they should be, on whole nodes in the simulator, while somebody writes: a node joins and gets its share, one
// leaves, one dies, one is drained. What was acknowledged is there, and nobody waits for long.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/strings.h"
#include "kv/server/testing/sim_nodes.h"
#include "kv/storage/data_key.h"
#include "proto/kv/status.pb.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

using namespace simnodes;

class PlacementTest : public SimNodes {
 protected:
  // Writes rows one after the other, over many ranges, until StopWriting.
  void StartWriting() {
    writing_ = true;
    stopped_ = false;
    client_->Spawn([this](Context ctx) -> Task<void> {
      for (int i = written_; writing_ && !ctx.done(); ++i) {
        const MonoTime begin = sim_.now();
        auto txn = client_->root<ClientRoot>()->database->Begin({});
        txn->Put(Key(i), StrCat("v", i));
        absl::Status done = co_await txn->Commit(ctx);
        longest_ = std::max<Duration>(longest_, sim_.now() - begin);
        if (done.ok()) {
          written_ = i + 1;
        } else {
          refused_.push_back(done.ToString());
        }
        if (!(co_await Sleep(ctx, 5ms)).ok()) co_return;
      }
      stopped_ = true;
    });
  }
  void StopWriting() {
    writing_ = false;
    EXPECT_TRUE(sim_.RunUntil([&] { return stopped_; }, 60s));
    EXPECT_EQ(refused_, std::vector<std::string>());
    EXPECT_GT(written_, 100);
  }
  static std::string Key(int i) { return KeyspacePrefix(2 + static_cast<uint64_t>(i) % 20) + StrCat("row", i); }
  void CheckWritten() {
    int missing = 0;
    absl::Status read = sim_.Run(
        client_,
        [&](Context ctx) -> Task<absl::Status> {
          for (int i = 0; i < written_; ++i) {
            auto txn = client_->root<ClientRoot>()->database->Begin({});
            CO_ASSIGN_OR_RETURN(auto value, co_await txn->Get(ctx, Key(i)));
            missing += value != StrCat("v", i) ? 1 : 0;
          }
          co_return absl::OkStatus();
        },
        10min);
    EXPECT_TRUE(read.ok()) << read;
    EXPECT_EQ(missing, 0);
  }

  // Replicas by node, as the leaseholders see it; nullopt while some range has no leaseholder or not three replicas that vote.
  std::optional<std::map<uint64_t, int>> Replicas(size_t ranges = 67) {
    std::map<uint64_t, int> count;
    std::set<uint64_t> led;
    for (auto& [id, host] : hosts_) {
      if (!host.process->alive() || !host.ended.ok()) continue;
      v1::NodeStatusRequest request;
      request.set_include_ranges(true);
      v1::NodeStatusResponse status;
      node(id)->FillStatus(request, &status);
      for (const auto& r : status.range_list()) {
        if (!r.leaseholder() || !led.insert(r.range_id()).second) continue;
        if (r.replica_nodes_size() != 3 || r.learner_nodes_size() != 0) return std::nullopt;
        for (uint64_t n : r.replica_nodes()) ++count[n];
      }
    }
    return led.size() >= ranges ? std::optional(count) : std::nullopt;
  }
  // Of all nodes together; "name " or "name{label} ".
  double Metric(const std::string& name) {
    double sum = 0;
    for (auto& [id, host] : hosts_) {
      if (!host.process->alive()) continue;
      const std::string all = host.process->root<NodeRoot>()->metrics.Render();
      if (size_t at = all.find("\n" + name); at != std::string::npos) sum += std::stod(all.substr(at + 1 + name.size()));
    }
    return sum;
  }
  // Every range is asked for once, so that somebody leads it.
  void WakeAll() {
    for (uint64_t k = 2; k <= 66; ++k) ASSERT_TRUE(Put(KeyspacePrefix(k) + "wake", "x").ok());
  }

  absl::Status Decommission(uint64_t ask, std::vector<uint64_t> nodes, bool* done, std::vector<v1::DecommissionProgress>* progress) {
    v1::DecommissionRequest request;
    for (uint64_t n : nodes) request.add_node_ids(n);
    return sim_.Run(
        client_,
        [&, ask](Context ctx) -> Task<absl::Status> {
          CO_ASSIGN_OR_RETURN(auto stream, co_await client_->root<ClientRoot>()->admin->Open(ctx, hosts_[ask].address, "/insula.kv.v1.Node/Decommission"));
          CO_RETURN_IF_ERROR(co_await stream->Send(ctx, request.SerializeAsString()));
          CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
          while (true) {
            CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
            if (!message) co_return absl::OkStatus();
            progress->emplace_back().ParseFromString(*message);
            *done = *done || progress->back().done();
          }
        },
        10min);
  }

  bool writing_ = false, stopped_ = false;
  int written_ = 0;
  Duration longest_ = Duration::zero();
  std::vector<std::string> refused_;
};

TEST_F(PlacementTest, ThreeNodesShareTheLeasesAndNothingMovesAnyMore) {
  StartFounders();
  WakeAll();
  StartWriting();
  sim_.RunFor(120s);
  for (uint64_t id = 1; id <= kFounders; ++id) EXPECT_NEAR(static_cast<double>(Leases(id)), 67.0 / 3, 8) << id;
  const double moves = Moves();
  sim_.RunFor(5min);
  EXPECT_EQ(Moves(), moves);
  StopWriting();
  // A node that is away for a while changes nothing for good.
  hosts_[2].process->Crash(CrashKind::kProcess);
  sim_.RunFor(7min);
  Boot(2, Founders(), {});
  ASSERT_TRUE(WaitReady(2));
  WakeAll();
  StartWriting();
  sim_.RunFor(120s);
  const double back = Moves();
  sim_.RunFor(3min);
  EXPECT_EQ(Moves(), back);
  StopWriting();
  CheckWritten();
  auto replicas = Replicas();
  ASSERT_TRUE(replicas);
  EXPECT_EQ(*replicas, (std::map<uint64_t, int>{{1, 67}, {2, 67}, {3, 67}}));
}

TEST_F(PlacementTest, AJoinedNodeGetsItsShare) {
  StartFounders();
  WakeAll();
  StartWriting();
  Join(4);
  EXPECT_TRUE(Until([&] {
    auto replicas = Replicas();
    return replicas && (*replicas)[4] >= 46;
  }, 10min));
  sim_.RunFor(60s);
  StopWriting();
  CheckWritten();
  // And it rests there.
  auto before = Replicas();
  sim_.RunFor(120s);
  EXPECT_EQ(Replicas(), before);
}

TEST_F(PlacementTest, ADecommissionedNodeEndsEmptyAndTheOthersHaveAll) {
  StartFounders();
  WakeAll();
  Join(4);
  ASSERT_TRUE(Until([&] {
    auto all_know = [&](uint64_t id) { return Nodes(id)[4].live(); };
    return all_know(1) && all_know(2) && all_know(3);
  }));
  StartWriting();
  bool done = false;
  std::vector<v1::DecommissionProgress> progress;
  // Whoever is asked may lose its lead: then another one goes on.
  for (int tries = 0; tries < 10 && !done; ++tries) {
    absl::Status ended = Decommission(1, {2}, &done, &progress);
    EXPECT_TRUE(ended.ok() || absl::IsUnavailable(ended)) << ended;
  }
  ASSERT_TRUE(done);
  EXPECT_NE(progress.front().waiting_for(), "");
  EXPECT_TRUE(Until([&] { return !hosts_[2].ended.ok(); }, 30s)) << "it is told so, and ends";
  hosts_[2].process->Crash();
  StopWriting();
  WakeAll();
  EXPECT_TRUE(Until([&] {
    auto replicas = Replicas();
    return replicas && !replicas->contains(2);
  }));
  CheckWritten();
}

TEST_F(PlacementTest, WhatADeadNodeHeldIsMadeAnewElsewhere) {
  dead_after_ = 20s;
  StartFounders();
  WakeAll();
  Join(4);
  ASSERT_TRUE(Until([&] { return Replicas() && (*Replicas())[4] >= 46; }, 10min));
  StartWriting();
  hosts_[3].process->Crash(CrashKind::kHost);
  EXPECT_TRUE(Until([&] {
    auto replicas = Replicas();
    return replicas && !replicas->contains(3);
  }, 10min));
  StopWriting();
  CheckWritten();
}

TEST_F(PlacementTest, AReplicaThatDiffersIsMadeAnewOnItsStore) {
  compare_after_ = 10s;
  StartFounders();
  WakeAll();
  const std::string key = KeyspacePrefix(5) + "row";
  ASSERT_TRUE(Put(key, "value").ok());
  sim_.RunFor(5s);
  hosts_[3].process->Crash(CrashKind::kProcess);
  // All that was written is there when it comes back, but for one bit.
  storage::ModelDisk& disk = hosts_[3].disk;
  for (const storage::WriteBatch& batch : disk.unflushed) storage::ApplyToMaps(batch, &disk.flushed);
  disk.unflushed.clear();
  int flipped = 0;
  for (auto& [at, value] : disk.flushed[static_cast<size_t>(storage::ColumnFamily::kData)]) {
    if (storage::UserKey(at) != key) continue;
    value.back() ^= 1;
    ++flipped;
  }
  ASSERT_EQ(flipped, 1);
  Boot(3, Founders(), {});
  ASSERT_TRUE(WaitReady(3));
  ASSERT_TRUE(Put(KeyspacePrefix(5) + "other", "value").ok());
  EXPECT_TRUE(Until([&] { return Metric("insula_kv_consistency_divergences_total ") == 1; }, 5min)) << "it is found";
  EXPECT_TRUE(Until([&] { return Metric("insula_kv_placement_actions_total{reason=\"stopped\"} ") >= 1; }, 5min)) << "it is replaced";
  EXPECT_TRUE(Until([&] {
    auto replicas = Replicas();
    return replicas && (*replicas)[3] == 67 && Metric("insula_kv_ranges_stopped ") == 0;
  }, 5min));
  ASSERT_TRUE(Put(KeyspacePrefix(5) + "another", "value").ok());
  sim_.RunFor(60s);
  EXPECT_EQ(Metric("insula_kv_consistency_divergences_total "), 1) << "compared once more, they are alike";
}

TEST_F(PlacementTest, WhileANodeIsDrainedNobodyWaits) {
  StartFounders();
  WakeAll();
  StartWriting();
  sim_.RunFor(5s);
  for (uint64_t id = 1; id <= kFounders; ++id) {
    longest_ = Duration::zero();
    absl::Status drained = sim_.Run(hosts_[id].process, [&](Context ctx) -> Task<absl::Status> { co_return co_await node(id)->Drain(ctx.WithTimeout(5s)); }, 10s);
    EXPECT_TRUE(drained.ok()) << drained;
    EXPECT_EQ(Leases(id), 0u);
    sim_.RunFor(1s);
    EXPECT_LT(longest_, 100ms) << "node " << id;
    // It ends, and comes back.
    hosts_[id].process->Crash(CrashKind::kProcess);
    sim_.RunFor(1s);
    Boot(id, Founders(), {});
    ASSERT_TRUE(WaitReady(id));
    sim_.RunFor(5s);
  }
  StopWriting();
  CheckWritten();
}

TEST_F(PlacementTest, ANodeThatIsKeptAfterAllStaysAndWorks) {
  StartFounders();
  WakeAll();
  Join(4);
  ASSERT_TRUE(Until([&] { return SetState(1, 3, v1::NODE_DECOMMISSIONING).ok(); }));
  ASSERT_TRUE(Until([&] { return Replicas() && (*Replicas())[3] < 60; }, 5min));
  ASSERT_TRUE(Until([&] { return SetState(1, 3, v1::NODE_ACTIVE).ok(); }));
  EXPECT_TRUE(Until([&] { return Replicas() && (*Replicas())[3] >= 46; }, 10min)) << "it gets its share again";
}

}  // namespace
}  // namespace insula::kv
