#include "kv/multiraft/conf_change.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "kv/multiraft/range_state.h"

namespace insula::kv {
namespace {

// "1 2 3- 4+ l5 l6-": voters 1 and 2, 3 outgoing, 4 incoming, 5 a learner, 6 about to be one.
v1::RangeDescriptor Range(std::string_view text) {
  v1::RangeDescriptor range;
  v1::ReplicaDescriptor* r = nullptr;
  bool learner = false;
  for (char c : text) {
    if (c == 'l') learner = true;
    if (c >= '0' && c <= '9') {
      r = range.add_replicas();
      r->set_replica_id(static_cast<uint64_t>(c - '0'));
      r->set_store_id(r->replica_id());
      r->set_learner(learner);
      learner = false;
    }
    if (c == '+') r->set_incoming(true);
    if (c == '-') r->set_outgoing(true);
  }
  return range;
}

std::string Change(std::string_view from, std::string_view to) {
  auto change = ConfChangeBetween(Range(from), Range(to));
  if (!change.ok()) return std::string(change.status().message());
  if (change->LeavesJoint()) return "leave";
  bool auto_leave = false;
  const std::string changes = raft::ConfChangesToString(change->changes);
  if (!change->EntersJoint(&auto_leave)) return changes;
  return (auto_leave ? "auto joint " : "joint ") + changes;
}

TEST(ConfChange, EachStepIsTheChangeThatItsDescriptorsTell) {
  EXPECT_EQ(Change("1 2 3", "1 2 3 l4"), "l4");
  EXPECT_EQ(Change("1 2 3 l4", "1 2 3"), "r4");
  EXPECT_EQ(Change("1 2 3 l4", "1 2 3- 4+"), "joint r3 v4");
  EXPECT_EQ(Change("1 2 3 l4", "1 2 3 4+"), "joint v4");
  EXPECT_EQ(Change("1 2 3", "1 2 3-"), "joint r3");
  EXPECT_EQ(Change("1 2 3", "1 2 l3-"), "joint l3");
  EXPECT_EQ(Change("1 2 3 l4 l5", "1- 2 3 4+"), "joint r1 v4 r5");
  EXPECT_EQ(Change("1 2 3- 4+", "1 2 4"), "leave");
  EXPECT_EQ(Change("1 2 l3- 4+", "1 2 l3 4"), "leave");
}

TEST(ConfChange, WhatIsNoSingleStepIsRefused) {
  for (const auto& [from, to] : std::initializer_list<std::pair<const char*, const char*>>{{"1 2 3", "1 2 3"},
                                                                                           {"1 2 3", "1 2 3 l4 l5"},
                                                                                           {"1 2 3- 4+", "1 2 3"},
                                                                                           {"1 2 3- 4+", "1 2 3 4"},
                                                                                           {"1 2 3- 4+", "1 2 3 4+"},
                                                                                           {"1 2 3", "1 2+ 3"},
                                                                                           {"1", "1-"}}) {
    EXPECT_FALSE(ConfChangeBetween(Range(from), Range(to)).ok()) << from << " to " << to;
  }
}

TEST(ConfChange, BothHalvesOfAJointConfigurationAreTold) {
  raft::ConfState conf = ConfStateOf(Range("1 2 3- 4+ l5 l6-"));
  EXPECT_EQ(conf.voters, (std::vector<raft::NodeId>{1, 2, 4}));
  EXPECT_EQ(conf.voters_outgoing, (std::vector<raft::NodeId>{1, 2, 3, 6}));
  EXPECT_EQ(conf.learners, (std::vector<raft::NodeId>{5}));
  EXPECT_EQ(conf.learners_next, (std::vector<raft::NodeId>{6}));
  EXPECT_TRUE(ConfStateOf(Range("1 2 l3")).voters_outgoing.empty());
}

}  // namespace
}  // namespace insula::kv
