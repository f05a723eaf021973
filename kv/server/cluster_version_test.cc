#include "kv/server/cluster_version.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/sim/simulation.h"
#include "base/strings.h"
#include "kv/api/testing/memory_database.h"
#include "kv/keys/keys.h"
#include "proto/kv/version.pb.h"

namespace insula::kv {
namespace {

constexpr uint32_t kOld = kFirstClusterVersion, kNew = kFirstClusterVersion + 1;
constexpr char kFolder[] = "/store", kFile[] = "/store/VERSION";

TEST(DecideVersion, WhatAllMembersSupportIsAskedForAndWhatAllHavePromisedIsActive) {
  const std::set<uint64_t> members = {1, 2, 3};
  using Here = std::map<uint64_t, VersionOf>;
  EXPECT_EQ(DecideVersion(Here{}, {}, 1), (VersionDecision{1, 1})) << "nobody is known to be a member";
  EXPECT_EQ(DecideVersion(Here{{1, {2, 2}}, {2, {2, 2}}}, members, 1), (VersionDecision{1, 1})) << "one is not here";
  EXPECT_EQ(DecideVersion(Here{{1, {2, 1}}, {2, {1, 1}}, {3, {2, 1}}}, members, 1), (VersionDecision{1, 1})) << "one is old";
  EXPECT_EQ(DecideVersion(Here{{1, {2, 1}}, {2, {2, 1}}, {3, {3, 1}}}, members, 1), (VersionDecision{2, 1}));
  EXPECT_EQ(DecideVersion(Here{{1, {2, 2}}, {2, {2, 1}}, {3, {3, 2}}}, members, 1), (VersionDecision{2, 1})) << "one has not promised yet";
  EXPECT_EQ(DecideVersion(Here{{1, {2, 2}}, {2, {2, 2}}, {3, {3, 2}}}, members, 1), (VersionDecision{2, 2}));
  EXPECT_EQ(DecideVersion(Here{{1, {1, 1}}, {2, {2, 2}}, {3, {3, 2}}}, members, 2), (VersionDecision{2, 2})) << "it never falls";
  EXPECT_EQ(DecideVersion(Here{{1, {2, 2}}, {2, {2, 2}}, {3, {2, 2}}, {4, {1, 1}}}, members, 1), (VersionDecision{2, 2})) << "the fourth is no member";
}

// One node's part; all nodes share one database, and a test says who leads.
struct NodeParts : private SystemLeadership {
  NodeParts(SimProcess& p, uint64_t id, uint32_t supports, Database* database, const int* leader, std::function<void(absl::Status)> on_fatal)
      : id(id),
        leader(leader),
        client(p.MakeTransport(Identity(id))),
        server(p.MakeTransport(Identity(id))),
        gate(p.runtime().files, kFile, supports),
        service(database, this, [] { return std::set<uint64_t>{1, 2, 3}; }),
        follower(id, this, client.get(), Address(id), &gate, std::move(on_fatal)) {
    service.Register(server.get());
    EXPECT_TRUE(server->Listen(Address(id)).ok());
  }
  ~NodeParts() override { server.reset(); }

  static PeerIdentity Identity(uint64_t id) { return {.common_name = StrCat("node-", id), .organizational_unit = "Nodes", .uris = {}, .address = ""}; }
  static std::string Address(uint64_t id) { return StrCat("n", id, ":26257"); }
  void LeadershipMoved() { moved.NotifyAll(); }

  Task<absl::StatusOr<Leader>> Find(const Context&) override {
    if (*leader == 0) co_return absl::UnavailableError("nobody leads");
    co_return Leader{.here = Term() != 0, .address = Address(static_cast<uint64_t>(*leader))};
  }
  uint64_t Term() const override { return static_cast<uint64_t>(*leader) == id ? 1 : 0; }
  Condition& changed() override { return moved; }

  const uint64_t id;
  const int* leader;
  Condition moved;
  std::unique_ptr<Transport> client;
  std::unique_ptr<Transport> server;
  VersionGate gate;
  VersionService service;
  VersionFollower follower;
};

class ClusterVersionTest : public testing::Test {
 protected:
  ClusterVersionTest() : sim_(7) {
    for (int i = 0; i < 3; ++i) hosts_[static_cast<size_t>(i)] = sim_.AddProcess(StrCat("n", i + 1));
  }
  ~ClusterVersionTest() override {
    for (SimProcess* host : hosts_) {
      if (host->alive()) host->Crash();
    }
  }

  // A program of that version, on a host that may have run another before.
  void Start(int node, uint32_t supports) {
    const auto i = static_cast<size_t>(node - 1);
    const bool first = supports_[i] == 0;
    supports_[i] = supports;
    if (!first) {
      hosts_[i]->Crash(CrashKind::kHost);
      hosts_[i]->Restart();
      return;
    }
    hosts_[i]->Boot([this, i](SimProcess& p) -> std::shared_ptr<void> {
      EXPECT_TRUE(p.runtime().files->CreateDirs(kFolder).ok() && p.runtime().files->SyncDir("/").ok());
      auto fatal = [this, i](absl::Status why) { fatal_[i] = std::move(why); };
      auto parts = std::make_shared<NodeParts>(p, i + 1, supports_[i], &database_, &leader_, fatal);
      if (absl::Status loaded = parts->gate.Load(); !loaded.ok()) {
        fatal(loaded);
        return parts;
      }
      p.Spawn([follower = &parts->follower](Context ctx) { return follower->Run(ctx); });
      return parts;
    });
  }
  const VersionGate& gate(int node) { return hosts_[static_cast<size_t>(node - 1)]->root<NodeParts>()->gate; }
  void Lead(int node) {
    leader_ = node;
    for (SimProcess* host : hosts_) {
      if (host->alive() && host->root<NodeParts>() != nullptr) host->root<NodeParts>()->LeadershipMoved();
    }
  }
  bool AllAt(uint32_t version) {
    for (int node = 1; node <= 3; ++node) {
      if (gate(node).active() != version) return false;
    }
    return true;
  }
  uint32_t Row() {
    auto rows = database_.Dump(keys::SystemKey(keys::SystemTable::kClusterVersion));
    if (rows.empty()) return kFirstClusterVersion;
    v1::ClusterVersionRecord record;
    EXPECT_TRUE(record.ParseFromString(rows.begin()->second));
    return record.active();
  }

  MemoryDatabase database_;
  int leader_ = 1;
  std::array<uint32_t, 3> supports_{};  // of the program that runs; 0: none ever did
  std::array<absl::Status, 3> fatal_;
  Simulation sim_;
  std::array<SimProcess*, 3> hosts_{};
};

TEST_F(ClusterVersionTest, ItIsRaisedWhenTheLastNodeIsNewAndNotBefore) {
  Start(1, kNew);
  Start(2, kOld);
  Start(3, kNew);
  sim_.RunFor(10s);
  EXPECT_TRUE(AllAt(kOld));
  EXPECT_EQ(Row(), kOld);
  EXPECT_EQ(gate(1).promised(), kOld) << "nobody may be asked to give up the way back before all can";
  Start(2, kNew);
  EXPECT_TRUE(sim_.RunUntil([&] { return AllAt(kNew); }, 5s));
  EXPECT_EQ(Row(), kNew);
  EXPECT_TRUE(gate(2).IsActive(kNew) && gate(2).IsActive(kOld) && !gate(2).IsActive(kNew + 1));
}

TEST_F(ClusterVersionTest, AMemberThatIsAwayHoldsItBack) {
  Start(1, kNew);
  Start(2, kNew);
  sim_.RunFor(10s);
  EXPECT_EQ(Row(), kOld);
  Start(3, kNew);
  EXPECT_TRUE(sim_.RunUntil([&] { return AllAt(kNew); }, 5s));
}

TEST_F(ClusterVersionTest, LeadersMayChangeInTheMiddle) {
  Start(1, kNew);
  Start(2, kNew);
  Lead(0);
  Start(3, kNew);
  sim_.RunFor(5s);
  EXPECT_EQ(Row(), kOld);
  for (int i = 0; i < 40; ++i) {
    Lead(1 + i % 3);
    sim_.RunFor(std::chrono::milliseconds(7 * i));
  }
  EXPECT_TRUE(sim_.RunUntil([&] { return AllAt(kNew); }, 10s));
}

TEST_F(ClusterVersionTest, WhatWasPromisedIsKeptAndAnOlderProgramDoesNotStart) {
  for (int node = 1; node <= 3; ++node) Start(node, kNew);
  EXPECT_TRUE(sim_.RunUntil([&] { return AllAt(kNew); }, 5s));
  Lead(0);
  Start(2, kNew);
  EXPECT_EQ(gate(2).active(), kNew) << "without having heard from anybody";
  Start(3, kOld);
  EXPECT_TRUE(absl::IsFailedPrecondition(fatal_[2])) << fatal_[2];
}

TEST_F(ClusterVersionTest, WhoIsToldOfAVersionBeyondItsOwnStopsItself) {
  for (int node = 1; node <= 3; ++node) Start(node, kNew);
  EXPECT_TRUE(sim_.RunUntil([&] { return AllAt(kNew); }, 5s));
  // A store that has never heard of it, as of a node that joins.
  ASSERT_TRUE(hosts_[2]->runtime().files->Remove(kFile).ok());
  ASSERT_TRUE(hosts_[2]->runtime().files->SyncDir(kFolder).ok());
  Start(3, kOld);
  EXPECT_TRUE(sim_.RunUntil([&] { return !fatal_[2].ok(); }, 5s));
  EXPECT_TRUE(absl::IsFailedPrecondition(fatal_[2])) << fatal_[2];
  EXPECT_EQ(Row(), kNew);
}

TEST_F(ClusterVersionTest, ADamagedFileIsNotTakenForANewOne) {
  for (const char* text : {"", "insula cluster version 1\n2\n", "insula cluster version 1\n1\n2\n", "insula cluster version 1\n2\n1\nx", "insula cluster version 2\n1\n1\n"}) {
    Start(1, kNew);
    ASSERT_TRUE(hosts_[0]->runtime().files->WriteFileAtomically(kFile, text).ok());
    VersionGate gate(hosts_[0]->runtime().files, kFile, kNew);
    EXPECT_TRUE(absl::IsDataLoss(gate.Load())) << text;
  }
}

}  // namespace
}  // namespace insula::kv
