// The table of nodes, what a node remembers of it, and whose word counts. Whole nodes: nodes_sim_test.cc.
#include "kv/server/membership.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/sim/simulation.h"
#include "kv/api/testing/memory_database.h"
#include "kv/api/testing/test_loop.h"
#include "kv/keys/keys.h"
#include "kv/server/members.h"
#include "kv/server/node_store.h"

namespace insula::kv {
namespace {

v1::NodeRecord Record(uint64_t node, std::string address, v1::NodeState state = v1::NODE_ACTIVE) {
  v1::NodeRecord record;
  record.set_version(1);
  record.set_node_id(node);
  record.set_store_id(node);
  record.set_address(std::move(address));
  record.set_state(state);
  return record;
}

// ---- Rows ----

class NodeStoreTest : public testing::Test {
 protected:
  absl::Status Register(uint64_t node, std::string address) { return loop_.Run(store_.Register(loop_.ctx(), Record(node, std::move(address)))).status(); }
  absl::StatusCode Set(uint64_t node, v1::NodeState state) { return loop_.Run(store_.SetState(loop_.ctx(), node, state)).status().code(); }
  std::map<uint64_t, v1::NodeRecord> All() {
    std::map<uint64_t, v1::NodeRecord> out;
    const std::vector<v1::NodeRecord> records = loop_.Run(store_.List(loop_.ctx())).value();
    for (const auto& record : records) out[record.node_id()] = record;
    return out;
  }

  TestLoop loop_;
  MemoryDatabase database_;
  RegistryTerm term_{&database_, [] { return 1; }};
  NodeStore store_{&database_, &term_};
};

TEST_F(NodeStoreTest, ARowSaysWhatTheNodeSaidLast) {
  ASSERT_TRUE(Register(1, "a:1").ok());
  ASSERT_TRUE(Register(2, "b:1").ok());
  ASSERT_TRUE(Register(2, "b:2").ok());
  ASSERT_EQ(All().size(), 2u);
  EXPECT_EQ(All()[2].address(), "b:2");
}

TEST_F(NodeStoreTest, OnlyTheArrowsOfThePictureLeadSomewhere) {
  const std::vector<v1::NodeState> states = {v1::NODE_ACTIVE, v1::NODE_DRAINING, v1::NODE_DECOMMISSIONING, v1::NODE_DECOMMISSIONED};
  // Rows: from; columns: to.
  const char* may[] = {"yyyn", "yyyn", "ynyy", "nnny"};
  uint64_t node = 10;
  for (size_t from = 0; from < 4; ++from) {
    for (size_t to = 0; to < 4; ++to) {
      ASSERT_TRUE(Register(++node, "x:1").ok());
      if (from == 1) ASSERT_EQ(Set(node, states[1]), absl::StatusCode::kOk);
      if (from >= 2) ASSERT_EQ(Set(node, states[2]), absl::StatusCode::kOk);
      if (from == 3) ASSERT_EQ(Set(node, states[3]), absl::StatusCode::kOk);
      EXPECT_EQ(Set(node, states[to]), may[from][to] == 'y' ? absl::StatusCode::kOk : absl::StatusCode::kFailedPrecondition) << from << " to " << to;
    }
  }
  EXPECT_EQ(Set(999, v1::NODE_DRAINING), absl::StatusCode::kNotFound);
}

TEST_F(NodeStoreTest, ARestartEndsDrainingAndNothingElse) {
  for (uint64_t node : {1, 2, 3}) ASSERT_TRUE(Register(node, "x:1").ok());
  Set(1, v1::NODE_DRAINING);
  Set(2, v1::NODE_DECOMMISSIONING);
  Set(3, v1::NODE_DECOMMISSIONING);
  Set(3, v1::NODE_DECOMMISSIONED);
  EXPECT_TRUE(Register(1, "x:2").ok());
  EXPECT_TRUE(Register(2, "x:2").ok());
  EXPECT_EQ(Register(3, "x:2").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(All()[1].state(), v1::NODE_ACTIVE);
  EXPECT_EQ(All()[2].state(), v1::NODE_DECOMMISSIONING);
  EXPECT_EQ(All()[3].state(), v1::NODE_DECOMMISSIONED);
}

TEST_F(NodeStoreTest, ReplicasAreCountedByTheAddressesOfRanges) {
  auto txn = database_.Begin({});
  for (const auto& [end, stores] : std::map<std::string, std::vector<uint64_t>>{{"b", {1, 2, 3}}, {"c", {1, 4, 3}}, {"", {1, 2, 4}}}) {
    v1::RangeDescriptor range;
    for (uint64_t s : stores) range.add_replicas()->set_node_id(s);
    txn->Put(keys::Meta2Key(end), range.SerializeAsString());
  }
  // A meta range's is in meta1; where range 1's was before there were two levels something old may be left.
  for (const auto& [key, node] : std::map<std::string, uint64_t>{{keys::Meta1Key(keys::SystemStart()), 2}, {keys::Meta2Key(keys::SystemStart()), 5}}) {
    v1::RangeDescriptor range;
    range.add_replicas()->set_node_id(node);
    txn->Put(key, range.SerializeAsString());
  }
  ASSERT_TRUE(loop_.Run(txn->Commit(loop_.ctx())).ok());
  auto counted = loop_.Run(store_.CountReplicas(loop_.ctx()));
  ASSERT_TRUE(counted.ok()) << counted.status();
  EXPECT_EQ(counted->by_node, (std::map<uint64_t, uint64_t>{{1, 3}, {2, 3}, {3, 2}, {4, 2}}));
  EXPECT_EQ(counted->most, 3u);
}

// ---- What a node remembers ----

class MembersTest : public testing::Test {
 protected:
  MembersTest() : sim_(1), host_(sim_.AddProcess("n1")) { Renew({{1, "a:1"}, {2, "b:1"}}); }

  void Renew(std::map<uint64_t, std::string> given) {
    members_ = std::make_unique<Members>(host_->runtime(), "/NODES", 1, std::move(given));
    members_->Load();
  }
  static v1::StoreLoad Load(uint64_t node, std::string address) {
    v1::StoreLoad load;
    load.set_node_id(node);
    load.set_store_id(node);
    load.set_address(std::move(address));
    return load;
  }
  static PeerIdentity Node(std::string name) { return {.common_name = std::move(name), .organizational_unit = "Nodes", .uris = {}, .address = ""}; }

  Simulation sim_;
  SimProcess* host_;
  std::unique_ptr<Members> members_;
};

TEST_F(MembersTest, TheNewestWordOfWhoKnowsBestCounts) {
  members_->Learn({Record(1, "a:1"), Record(2, "b:0"), Record(3, "c:1")});
  EXPECT_EQ(members_->AddressOf(2), "b:1") << "the first rows may be older than what the operator said";
  EXPECT_EQ(members_->AddressOf(3), "c:1");
  members_->Learn({Record(1, "a:1"), Record(2, "b:2"), Record(3, "c:1")});
  EXPECT_EQ(members_->AddressOf(2), "b:2") << "a row that changes is news";
  members_->Heard(Load(2, "b:3"));
  EXPECT_EQ(members_->AddressOf(2), "b:3");
  EXPECT_EQ(members_->AddressOf(9), "");
}

TEST_F(MembersTest, WhatWasKnownIsThereAfterARestart) {
  members_->Learn({Record(1, "a:1"), Record(4, "d:1"), Record(5, "e:1", v1::NODE_DECOMMISSIONED)});
  v1::RangeDescriptor meta;
  meta.set_range_id(keys::kMetaRange);
  meta.set_generation(7);
  members_->HeardMeta(meta);
  sim_.RunFor(std::chrono::seconds(1));
  Renew({{1, "a:9"}});
  EXPECT_EQ(members_->AddressOf(4), "d:1");
  EXPECT_EQ(members_->AddressOf(1), "a:9");
  EXPECT_EQ(members_->meta_range().generation(), 7u);
  EXPECT_EQ(members_->Addresses(), (std::vector<std::string>{"a:9", "b:1", "d:1"}));
  EXPECT_FALSE(members_->CheckPeer(Node("node-5"), 5).ok());
}

TEST_F(MembersTest, NodesSpeakForTheirOwnStoresUnlessTheyHaveLeft) {
  EXPECT_TRUE(members_->CheckPeer(Node("node-2"), 2).ok());
  EXPECT_TRUE(members_->CheckPeer(Node("node-7"), 7).ok()) << "it joined while this one was away";
  EXPECT_FALSE(members_->CheckPeer(Node("node-2"), 3).ok());
  EXPECT_FALSE(members_->CheckPeer({.common_name = "2", .organizational_unit = "Tenants", .uris = {}, .address = ""}, 2).ok());
  members_->Learn({Record(1, "a:1"), Record(2, "b:1", v1::NODE_DECOMMISSIONED)});
  absl::Status refused = members_->CheckPeer(Node("node-2"), 2);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.message().find("decommissioned"), absl::string_view::npos);
}

TEST_F(MembersTest, OlderWordsAboutTheFirstRangeAreIgnored) {
  v1::RangeDescriptor meta;
  meta.set_range_id(keys::kMetaRange);
  for (uint64_t generation : {3, 5, 4}) {
    meta.set_generation(generation);
    members_->HeardMeta(meta);
  }
  meta.set_range_id(keys::kSystemRange);
  meta.set_generation(9);
  members_->HeardMeta(meta);
  EXPECT_EQ(members_->meta_range().generation(), 5u);
}

}  // namespace
}  // namespace insula::kv
