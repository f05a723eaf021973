#include "kv/raft/confchange/changer.h"

#include "base/runtime/random.h"
#include "gtest/gtest.h"

namespace insula::raft::confchange {
namespace {

std::vector<ConfChangeSingle> Changes(std::string_view text) {
  std::vector<ConfChangeSingle> changes;
  EXPECT_TRUE(ParseConfChanges(text, &changes)) << text;
  return changes;
}

tracker::Tracker With(std::string_view voters) {
  tracker::Tracker t(10, 0);
  for (const ConfChangeSingle& c : Changes(voters)) {
    auto next = Changer(t, 5).Simple({c});
    EXPECT_TRUE(next.ok()) << next.status().ToString();
    t.config = next->config;
    t.progress = next->progress;
  }
  return t;
}

TEST(ConfChange, EncodesAndDecodes) {
  const ConfChangeV2 change{
      .transition = ConfChangeTransition::kJointExplicit, .changes = Changes("v1 r300 l7"), .context = "why"};
  ConfChangeV2 back;
  ASSERT_TRUE(DecodeConfChange(EncodeConfChange(change), &back));
  EXPECT_EQ(back, change);
  EXPECT_EQ(EncodeConfChange(ConfChangeV2{}), "");
  ASSERT_TRUE(DecodeConfChange("", &back));
  EXPECT_TRUE(back.LeavesJoint());
  const std::string bytes = EncodeConfChange(change);
  for (size_t n = 1; n < bytes.size(); ++n) EXPECT_FALSE(DecodeConfChange(bytes.substr(0, n), &back)) << n;
  EXPECT_FALSE(DecodeConfChange("\x02" + bytes.substr(1), &back));
}

TEST(ConfChange, ParsesAndPrints) {
  EXPECT_EQ(ConfChangesToString(Changes("v1 l2\nr3 u4")), "v1 l2 r3 u4");
  std::vector<ConfChangeSingle> out;
  EXPECT_FALSE(ParseConfChanges("x1", &out));
  EXPECT_FALSE(ParseConfChanges("v1x", &out));
}

TEST(ConfChange, ApplyChoosesTheProtocol) {
  tracker::Tracker t = With("v1 v2");
  auto simple = Changer(t, 5).Apply({.changes = Changes("v3")});
  ASSERT_TRUE(simple.ok());
  EXPECT_EQ(simple->config.ToString(), "voters=(1 2 3)");
  auto joint = Changer(t, 5).Apply({.changes = Changes("v3 r1")});
  ASSERT_TRUE(joint.ok());
  EXPECT_EQ(joint->config.ToString(), "voters=(2 3)&&(1 2) autoleave");
  auto asked = Changer(t, 5).Apply({.transition = ConfChangeTransition::kJointExplicit, .changes = Changes("v3")});
  ASSERT_TRUE(asked.ok());
  EXPECT_EQ(asked->config.ToString(), "voters=(1 2 3)&&(1 2)");
  EXPECT_FALSE(Changer(t, 5).Apply({}).ok());
}

// Random changes never break the invariants (checked inside), simple ones change one voter at most, and every reachable
// configuration restores to itself.
TEST(ConfChange, RandomWalkKeepsTheInvariants) {
  SeededRandom random(4);
  for (int walk = 0; walk < 200; ++walk) {
    tracker::Tracker t = With("v1");
    for (int step = 0; step < 30; ++step) {
      std::vector<ConfChangeSingle> changes(random.Uniform(4));
      for (auto& c : changes) c = {static_cast<ConfChangeType>(random.Uniform(4)), random.Uniform(6)};
      const Changer changer(t, random.Uniform(20));
      absl::StatusOr<Next> next = random.Chance(0.4)   ? changer.Simple(changes)
                                  : random.Chance(0.5) ? changer.EnterJoint(random.Chance(0.5), changes)
                                                       : changer.LeaveJoint();
      if (!next.ok()) continue;
      ASSERT_FALSE(next->config.voters.incoming.empty());
      t.config = next->config;
      t.progress = next->progress;
      auto restored = Restore(tracker::Tracker(10, 0), 7, t.config.ToConfState());
      ASSERT_TRUE(restored.ok()) << restored.status().ToString();
      ASSERT_EQ(restored->config, t.config);
    }
  }
}

}  // namespace
}  // namespace insula::raft::confchange
