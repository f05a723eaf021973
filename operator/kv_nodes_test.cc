#include "operator/kv_nodes.h"

#include <gtest/gtest.h>

namespace insula::ops {
namespace {

TEST(KvNodes, FollowsTheTableAndNeverEndsEmpty) {
  KvNodes nodes(nullptr, {{1, "a:1"}, {2, "b:1"}});
  EXPECT_EQ(nodes.Address(0), "a:1");
  EXPECT_EQ(nodes.Address(3), "b:1");
  kv::v1::WatchNodesResponse table;
  auto add = [&](uint64_t id, const std::string& address, kv::v1::NodeState state) {
    auto* node = table.add_nodes();
    node->set_node_id(id);
    node->set_address(address);
    node->set_state(state);
  };
  add(1, "a:1", kv::v1::NODE_DECOMMISSIONED);
  add(2, "b:2", kv::v1::NODE_DECOMMISSIONING);
  add(4, "d:1", kv::v1::NODE_ACTIVE);
  nodes.Learn(table);
  ASSERT_EQ(nodes.All().size(), 2u);
  EXPECT_EQ(nodes.All()[0].address(), "b:2");
  EXPECT_EQ(nodes.All()[1].node_id(), 4u);
  nodes.Learn({});
  EXPECT_EQ(nodes.size(), 2u);
}

}  // namespace
}  // namespace insula::ops
