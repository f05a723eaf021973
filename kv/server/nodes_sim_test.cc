// Whole nodes in the simulator that come, change and go: joining, what each hears of the others, states, loads, and the commands.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/strings.h"
#include "kv/server/testing/sim_nodes.h"
#include "proto/kv/status.pb.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

using namespace simnodes;
using NodesTest = SimNodes;

TEST_F(NodesTest, AllHearOfAllAndOfWhatTheyCarry) {
  StartFounders();
  for (uint64_t id = 1; id <= kFounders; ++id) {
    EXPECT_TRUE(Until([&] {
      auto nodes = Nodes(id);
      bool all = nodes.size() == kFounders;
      for (auto& [other, m] : nodes) all = all && m.live() && m.replicas() == 67 && m.record().build() == "sim" && m.record().locality() == StrCat("region=r", other);
      return all;
    })) << "as node " << id << " sees it";
  }
}

TEST_F(NodesTest, ANodeJoinsThroughAnyMemberAndAllHearOfIt) {
  StartFounders();
  Join(4);
  for (uint64_t id = 1; id <= 4; ++id) {
    EXPECT_TRUE(Until([&] {
      auto nodes = Nodes(id);
      return nodes.size() == 4 && nodes[4].live() && nodes[4].record().address() == AddressOf(4) && nodes[1].live() && nodes[2].live() && nodes[3].live();
    })) << "as node " << id << " sees it";
  }
}

TEST_F(NodesTest, ANumberThatIsTakenIsRefusedAndAForeignCertificateToo) {
  StartFounders();
  Join(4);
  sim_.RunFor(5s);
  AddHost(24);
  // Host 24 says that it is node 4, with a certificate of node 4: there is one, with its store.
  absl::Status taken = sim_.Run(
      hosts_[24].process,
      [&](Context ctx) -> Task<absl::Status> {
        auto transport = hosts_[24].process->MakeTransport(Certificate("Nodes", "node-4"));
        co_return co_await JoinNodeStore(ctx.WithTimeout(10s), hosts_[24].process->runtime(), transport.get(), Engines(24), "/store", 4, {AddressOf(1)}, "");
      },
      60s);
  EXPECT_EQ(taken.code(), absl::StatusCode::kAlreadyExists) << taken;
  v1::JoinRequest request;
  request.set_node_id(5);
  // Whoever leads says so, and which node does is open. The others take it for a call that was passed on by a node that thinks they lead, and
  // cannot tell whether that one is a member by now: no word that would be final for who asks.
  int denied = 0;
  for (uint64_t id = 1; id <= 4; ++id) {
    const absl::StatusCode code = Call<v1::JoinResponse>(id, "Join", request, /*as_admin=*/false).status().code();
    EXPECT_TRUE(code == absl::StatusCode::kPermissionDenied || code == absl::StatusCode::kUnavailable) << absl::StatusCodeToString(code);
    denied += code == absl::StatusCode::kPermissionDenied ? 1 : 0;
  }
  EXPECT_EQ(denied, 1) << "node 99 is no member";
}

TEST_F(NodesTest, AfterARestartAJoinedNodeFindsTheOthersByItself) {
  StartFounders();
  Join(4);
  ASSERT_TRUE(Until([&] { return Nodes(4).size() == 4; }));
  sim_.RunFor(5s);
  hosts_[4].process->Crash(CrashKind::kProcess);
  sim_.RunFor(3s);
  Boot(4, {}, {"gone:1"});  // whom it was told of at first is not there any more
  ASSERT_TRUE(WaitReady(4));
  EXPECT_TRUE(Until([&] { return Nodes(1)[4].live() && Nodes(4)[1].live(); }));
}

TEST_F(NodesTest, ANodeThatMovesIsFoundAgain) {
  StartFounders();
  ASSERT_TRUE(Until([&] { return Nodes(1)[2].live(); }));
  hosts_[2].process->Crash(CrashKind::kProcess);
  sim_.RunFor(2s);
  hosts_[2].address = "n2:30000";
  Boot(2, Founders(), {});
  ASSERT_TRUE(WaitReady(2));
  EXPECT_TRUE(Until([&] { return Nodes(1)[2].record().address() == "n2:30000" && Nodes(1)[2].live() && Nodes(3)[2].live(); }));
}

TEST_F(NodesTest, StatesAreKnownEverywhereAndAnywhereSet) {
  StartFounders();
  Join(4);
  for (uint64_t ask = 1; ask <= 4; ++ask) {
    ASSERT_TRUE(Until([&] { return SetState(ask, 4, ask % 2 == 1 ? v1::NODE_DECOMMISSIONING : v1::NODE_ACTIVE).ok(); }));
    for (uint64_t id = 1; id <= 4; ++id) EXPECT_TRUE(Until([&] { return Nodes(id)[4].record().state() == (ask % 2 == 1 ? v1::NODE_DECOMMISSIONING : v1::NODE_ACTIVE); }, 10s)) << id;
  }
}

TEST_F(NodesTest, ADecommissionedNodeEndsAndIsRefusedForGood) {
  StartFounders();
  Join(4);
  ASSERT_TRUE(Until([&] { return SetState(1, 4, v1::NODE_DECOMMISSIONING).ok(); }));
  ASSERT_TRUE(Until([&] { return SetState(1, 4, v1::NODE_DECOMMISSIONED).ok(); }));
  ASSERT_TRUE(Until([&] { return !hosts_[4].ended.ok(); }, 10s));
  EXPECT_NE(hosts_[4].ended.message().find("decommissioned"), absl::string_view::npos) << hosts_[4].ended;
  hosts_[4].process->Crash(CrashKind::kProcess);
  EXPECT_TRUE(Until([&] { return !Nodes(1)[4].live(); }));
  Boot(4, Founders(), {});
  EXPECT_TRUE(Until([&] { return !hosts_[4].ended.ok(); }, 30s));
  EXPECT_FALSE(Nodes(1)[4].live());
  EXPECT_EQ(SetState(1, 4, v1::NODE_ACTIVE).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(NodesTest, TooFewWouldRemain) {
  StartFounders();
  ASSERT_TRUE(Until([&] { return Nodes(1).size() == 3 && Nodes(1)[2].live() && Nodes(1)[3].live() && Nodes(2)[1].live() && Nodes(3)[1].live(); }));
  absl::Status refused = absl::UnknownError("no answer");
  ASSERT_TRUE(Until([&] {
    v1::DecommissionRequest request;
    request.add_node_ids(3);
    refused = Call<v1::DecommissionProgress>(1, "Decommission", request).status();
    return !absl::IsUnavailable(refused);
  }));
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_NE(refused.message().find("only 2 nodes would remain (1, 2)"), absl::string_view::npos) << refused;
  EXPECT_EQ(Nodes(1)[3].record().state(), v1::NODE_ACTIVE);
}

TEST_F(NodesTest, HotRangesAreThoseThatAreAskedFor) {
  StartFounders();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Put(KeyspacePrefix(7) + StrCat("k", i), "v").ok());
  uint64_t hottest = 0;
  double batches = 0;
  for (uint64_t id = 1; id <= kFounders; ++id) {
    auto hot = Call<v1::HotRangesResponse>(id, "HotRanges", v1::HotRangesRequest());
    ASSERT_TRUE(hot.ok()) << hot.status();
    if (hot->ranges_size() > 0 && hot->ranges(0).batches_per_second() > batches) {
      batches = hot->ranges(0).batches_per_second();
      hottest = hot->ranges(0).range_id();
      EXPECT_TRUE(hot->ranges(0).leaseholder());
    }
  }
  EXPECT_EQ(hottest, 8u) << "keyspace 7";
}

}  // namespace
}  // namespace insula::kv
