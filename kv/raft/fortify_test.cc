// The rules of fortify.h, one at a time. The whole, under faults, is in testing/cluster_test.cc.
#include "kv/raft/fortify.h"

#include "gtest/gtest.h"
#include "kv/raft/raw_node.h"
#include "kv/raft/testing/small_group.h"

namespace insula::raft {
namespace {

using testing::SmallGroup;

ConfState Voters(std::vector<NodeId> ids, std::vector<NodeId> learners = {}) {
  return {.voters = std::move(ids), .learners = std::move(learners)};
}

ConfChangeV2 Change(std::string_view text, ConfChangeTransition transition = ConfChangeTransition::kAuto) {
  ConfChangeV2 change{.transition = transition};
  EXPECT_TRUE(ParseConfChanges(text, &change.changes));
  return change;
}

class FortifyTest : public ::testing::Test {
 protected:
  explicit FortifyTest(ConfState conf = Voters({1, 2, 3}, {4})) : g_(std::move(conf), nullptr, /*leases=*/true) {}

  // As a driver does when stores gained or lost support.
  void SupportChanged() {
    for (auto& [id, n] : g_.nodes) n.raw->OnSupportChange();
  }

  SmallGroup g_;
};

TEST_F(FortifyTest, ALeaderIsSupportedUntilItsQuorumExpires) {
  EXPECT_EQ(g_[1].LeadSupportUntil(), 0u);
  g_.Elect(1);
  EXPECT_EQ(g_[1].LeadSupportUntil(), 5000u);
  g_.liveness.by_for[{2, 1}].expiration = 7000;
  EXPECT_EQ(g_[1].LeadSupportUntil(), 5000u);
  g_.liveness.by_for[{3, 1}].expiration = 6000;
  EXPECT_EQ(g_[1].LeadSupportUntil(), 6000u);  // two of three reach 6000
  EXPECT_EQ(g_[2].LeadSupportUntil(), 0u);
}

TEST_F(FortifyTest, SupportOfAnotherEpochDoesNotCount) {
  g_.Elect(1);
  for (NodeId id : {1, 2, 3}) g_.liveness.by_for[{id, 1}].epoch = 2;
  EXPECT_EQ(g_[1].LeadSupportUntil(), 0u);
  SupportChanged();
  g_.Settle();
  EXPECT_EQ(g_[1].LeadSupportUntil(), 5000u);  // bound anew
  EXPECT_EQ(g_.raft(2).hard_state().lead_epoch, 2u);
}

TEST_F(FortifyTest, F1ABoundReplicaNeitherVotesNorCampaigns) {
  g_.Elect(1);
  const uint64_t term = g_.raft(1).term();
  EXPECT_TRUE(g_.raft(2).Bound());
  EXPECT_TRUE(g_.raft(4).Bound());  // learners, too
  EXPECT_FALSE(g_[2].MayCampaign());
  for (int i = 0; i < 100; ++i) g_[2].Tick();
  ASSERT_TRUE(g_[2].Campaign().ok());
  g_.Settle();
  EXPECT_EQ(g_.raft(2).state(), StateType::kFollower);
  for (auto type : {MessageType::kVote, MessageType::kPreVote}) {
    ASSERT_TRUE(g_[2].Step({.type = type, .to = 2, .from = 3, .term = term + 5, .log_term = 9, .index = 100}).ok());
    g_.Work(2);
    for (const Message& m : g_.wire) EXPECT_EQ(m.type, MessageType::kFortifyResp);  // it tells its leader (F4)
    g_.wire.clear();
    EXPECT_EQ(g_.raft(2).term(), term);
  }
}

TEST_F(FortifyTest, F1ABoundReplicaTakesAHigherTermFromALeaderOnly) {
  g_.Elect(1);
  const uint64_t term = g_.raft(1).term();
  for (auto type : {MessageType::kAppResp, MessageType::kVoteResp, MessageType::kHeartbeatResp}) {
    ASSERT_TRUE(g_[2].Step({.type = type, .to = 2, .from = 3, .term = term + 5, .reject = true}).ok());
    EXPECT_EQ(g_.raft(2).term(), term);
    EXPECT_TRUE(g_.raft(2).Bound());
  }
  ASSERT_TRUE(g_[2].Step({.type = MessageType::kHeartbeat, .to = 2, .from = 3, .term = term + 5}).ok());
  EXPECT_EQ(g_.raft(2).term(), term + 5);
  EXPECT_FALSE(g_.raft(2).Bound());
}

TEST_F(FortifyTest, WhenSupportLapsesAReplicaCampaignsAtOnce) {
  g_.Elect(1);
  g_.cut = {1};
  for (NodeId id : {2, 3, 4}) g_.liveness.Withdraw(id, 1);
  SupportChanged();
  EXPECT_TRUE(g_[2].MayCampaign());
  ASSERT_TRUE(g_[2].Campaign().ok());
  g_.Settle();
  EXPECT_EQ(g_.Leader(), 2u);
  EXPECT_EQ(g_[2].LeadSupportUntil(), 5000u);
}

TEST_F(FortifyTest, F2TheBondIsDurableBeforeItIsAnswered) {
  SmallGroup g(Voters({1, 2, 3}), [](Config* c) { c->async_storage_writes = true; }, /*leases=*/true);
  g.Elect(1);
  EXPECT_EQ(g.nodes[2].storage.hard_state().lead, 1u);
  EXPECT_EQ(g.nodes[2].storage.hard_state().lead_epoch, 1u);
  // A new epoch: the answer is held back with the write.
  for (NodeId id : {1, 2, 3}) g.liveness.by_for[{id, 1}].epoch = 2;
  for (auto& [id, n] : g.nodes) {
    n.raw->OnSupportChange();
    n.hold_appends = true;
  }
  g.Settle();
  EXPECT_EQ(g[1].LeadSupportUntil(), 0u);
  EXPECT_EQ(g.nodes[2].storage.hard_state().lead_epoch, 1u);
  g.RunAppends(2);
  g.RunAppends(1);
  g.Settle();
  EXPECT_EQ(g.nodes[2].storage.hard_state().lead_epoch, 2u);
  EXPECT_EQ(g[1].LeadSupportUntil(), 5000u);
}

TEST_F(FortifyTest, F2TheBondSurvivesARestart) {
  g_.Elect(1);
  g_.Start(2);
  EXPECT_TRUE(g_.raft(2).Bound());
  EXPECT_EQ(g_.raft(2).lead(), 1u);
  EXPECT_FALSE(g_[2].MayCampaign());
}

TEST_F(FortifyTest, F9ASleepingLeaderTellsARestartedFollowerAgainWhatIsCommitted) {
  g_.Elect(1);
  ASSERT_TRUE(g_[1].Propose("x").ok());
  g_.Settle();
  g_.TickAll(3);
  ASSERT_FALSE(g_[1].NeedsTicks());
  ASSERT_EQ(g_.nodes[2].applied, std::vector<std::string>{"x"});
  // The entry is on its disk; that it is committed is not, nor that it was applied.
  SmallGroup::Node& node = g_.nodes[2];
  HardState forgotten = g_.raft(2).hard_state();
  forgotten.commit = node.applied_index = 5;
  node.storage.SetHardState(forgotten);
  node.applied.clear();
  g_.Start(2);
  ASSERT_TRUE(g_[2].NeedsTicks());
  int lost = 0;
  g_.drop = [&](const Message& m) { return m.from == 2 && ++lost <= 1; };
  for (int i = 0; i < 10 && g_[2].NeedsTicks(); ++i) {  // only those are ticked that ask for it
    g_[2].Tick();
    g_.Settle();
  }
  EXPECT_FALSE(g_[2].NeedsTicks());
  g_.TickAll(3);
  EXPECT_EQ(node.applied, std::vector<std::string>{"x"});
  EXPECT_FALSE(g_[1].NeedsTicks());
  EXPECT_GT(lost, 1);
}

TEST_F(FortifyTest, F3ALeaderWithSupportIsNotDisturbed) {
  g_.Elect(1);
  const uint64_t term = g_.raft(1).term();
  const Message vote{.type = MessageType::kVote, .to = 1, .from = 3, .term = term + 1, .log_term = 9, .index = 100};
  ASSERT_TRUE(g_[1].Step(vote).ok());
  EXPECT_EQ(g_.raft(1).state(), StateType::kLeader);
  g_.liveness.now = 5001;
  ASSERT_TRUE(g_[1].Step(vote).ok());
  EXPECT_EQ(g_.raft(1).state(), StateType::kFollower);
  EXPECT_EQ(g_.raft(1).term(), term + 1);
}

TEST_F(FortifyTest, F3ARestartedLeaderIsBoundToItsFormerSelf) {
  g_.Elect(1);
  g_.Start(1);
  EXPECT_FALSE(g_[1].MayCampaign());
  EXPECT_EQ(g_.raft(1).lead(), kNone);
  g_.liveness.Withdraw(1, 1);
  g_[1].OnSupportChange();
  EXPECT_TRUE(g_[1].MayCampaign());
}

TEST_F(FortifyTest, F4ALeaderThatStepsDownReleasesEveryoneEvenThroughLoss) {
  g_.Elect(1);
  int lost = 0;
  g_.drop = [&](const Message& m) { return m.type == MessageType::kDeFortify && ++lost <= 5; };
  const uint64_t term = g_.raft(1).term();
  // Something makes it step down: a higher term.
  ASSERT_TRUE(g_[1].Step({.type = MessageType::kAppResp, .to = 1, .from = 3, .term = term + 1}).ok());
  EXPECT_EQ(g_.raft(1).state(), StateType::kFollower);
  EXPECT_TRUE(g_[1].NeedsTicks());
  g_.Settle();
  EXPECT_TRUE(g_.raft(3).Bound());
  for (int i = 0; i < 3; ++i) {
    g_[1].Tick();
    g_.Settle();
  }
  for (NodeId id : {2, 3, 4}) EXPECT_FALSE(g_.raft(id).Bound()) << id;
  EXPECT_GT(lost, 5);
}

TEST_F(FortifyTest, F4AForgottenBondIsFoundWhenItStandsInTheWay) {
  g_.Elect(1);
  // 1 crashes and comes back within the interval: the others stay bound to its former self.
  g_.Start(1);
  g_.liveness.Withdraw(1, 1);
  g_[1].OnSupportChange();
  EXPECT_TRUE(g_.raft(2).Bound());
  g_.liveness.Withdraw(3, 1);
  g_[3].OnSupportChange();
  g_.drop = [](const Message& m) { return m.type == MessageType::kPreVote && m.to == 1; };
  ASSERT_TRUE(g_[3].Campaign().ok());
  g_.Settle();  // 2 refuses, tells 1, and is released
  EXPECT_FALSE(g_.raft(2).Bound());
  g_.Elect(3);
}

TEST_F(FortifyTest, F4AReplicaThatIsGoneCanBeAnsweredFor) {
  g_.Elect(1);
  g_.nodes[1].raw = nullptr;
  ASSERT_TRUE(g_[2].Campaign().ok());
  g_.Work(2);
  ASSERT_EQ(g_.wire.size(), 1u);
  const Message release = RawNode::ReleaseFor(g_.wire[0], 3000);
  EXPECT_EQ(release.to, 2u);
  EXPECT_EQ(release.from, 1u);
  ASSERT_TRUE(g_[2].Step(release).ok());
  EXPECT_TRUE(g_[2].MayCampaign());
  EXPECT_GE(g_.nodes[2].view->observed, 3000u);
}

TEST_F(FortifyTest, F4AReleaseIsNotUndoneByALateFortify) {
  g_.Elect(1);
  const uint64_t term = g_.raft(1).term();
  ASSERT_TRUE(g_[2].Step({.type = MessageType::kDeFortify, .to = 2, .from = 1, .term = term, .hlc = 1}).ok());
  EXPECT_FALSE(g_.raft(2).Bound());
  ASSERT_TRUE(g_[2].Step({.type = MessageType::kFortify, .to = 2, .from = 1, .term = term}).ok());
  EXPECT_FALSE(g_.raft(2).Bound());
}

TEST_F(FortifyTest, F5ATransferTakesOneRoundAndEndsTheLeaseAtOnce) {
  g_.Elect(1);
  g_.nodes[1].view->observed = 4000;  // served up to there
  g_[1].TransferLeader(3);
  EXPECT_EQ(g_.raft(1).state(), StateType::kFollower);
  EXPECT_EQ(g_[1].LeadSupportUntil(), 0u);
  // The releases are lost; the votes do without.
  g_.drop = [](const Message& m) { return m.type == MessageType::kDeFortify; };
  g_.Settle();
  EXPECT_EQ(g_.Leader(), 3u);
  EXPECT_EQ(g_[3].LeadSupportUntil(), 5000u);
  EXPECT_GE(g_[3].lease_floor(), 4000u);
}

// Clients ask the former leader first, and so it wants the lease back before it has heard of the one that it voted for.
TEST_F(FortifyTest, WhoeverHasJustVotedForAnotherDoesNotCampaignAtOnce) {
  g_.Elect(1);
  g_[1].TransferLeader(3);
  g_.drop = [](const Message& m) { return m.to == 1 && m.type != MessageType::kVote; };
  g_.Settle();
  ASSERT_EQ(g_.Leader(), 3u);
  const uint64_t term = g_.raft(3).term();
  ASSERT_EQ(g_.raft(1).term(), term);
  (void)g_[1].Campaign();
  EXPECT_EQ(g_.raft(1).state(), StateType::kFollower);
  // The new leader may be lost.
  for (int i = 0; i < Config().heartbeat_tick; ++i) g_[1].Tick();
  (void)g_[1].Campaign();
  EXPECT_EQ(g_.raft(1).state(), StateType::kPreCandidate);
}

TEST_F(FortifyTest, F5ATransferOfAnEarlierTermReleasesNobody) {
  g_.Elect(1);
  const uint64_t term = g_.raft(1).term();
  Message vote{.type = MessageType::kVote, .to = 2, .from = 3, .term = term + 2, .log_term = 9, .index = 100};
  vote.context = kTransferContext;
  ASSERT_TRUE(g_[2].Step(vote).ok());
  EXPECT_TRUE(g_.raft(2).Bound());
  EXPECT_EQ(g_.raft(2).term(), term);
}

TEST_F(FortifyTest, F6VotesCarryTheClock) {
  g_.Elect(1);
  g_.cut = {1};
  for (NodeId id : {2, 3, 4}) g_.liveness.Withdraw(id, 1);
  g_.nodes[3].view->observed = 6000;
  SupportChanged();
  ASSERT_TRUE(g_[2].Campaign().ok());
  g_.Settle();
  ASSERT_EQ(g_.Leader(), 2u);
  EXPECT_GE(g_[2].lease_floor(), 6000u);
  EXPECT_GE(g_.nodes[2].view->observed, 6000u);
}

TEST_F(FortifyTest, F7NoChangeWhileAnEarlierLeaseReachesFurther) {
  g_.Elect(1);
  ASSERT_EQ(g_[1].LeadSupportUntil(), 5000u);
  for (NodeId id : {1, 2, 3}) g_.liveness.by_for[{id, 1}].expiration = 4000;  // as after a change of voters
  EXPECT_TRUE(IsProposalDropped(g_[1].ProposeConfChange(Change("r3"))));
  g_.liveness.by_for[{1, 1}].expiration = g_.liveness.by_for[{2, 1}].expiration = 5000;
  EXPECT_TRUE(g_[1].ProposeConfChange(Change("r3")).ok());
}

TEST_F(FortifyTest, F7AJointConfigurationIsLeftOnlyWithItsOwnSupport) {
  g_.Elect(1);
  ASSERT_EQ(g_[1].LeadSupportUntil(), 5000u);
  g_.Add(5, {});
  g_.Add(6, {});
  // Both newcomers' stores are not there yet.
  ASSERT_TRUE(g_[1].ProposeConfChange(Change("v5 v6 r2 r3")).ok());
  g_.Settle();
  EXPECT_EQ(g_.raft(1).tracker().config.ToString(), "voters=(1 5 6)&&(1 2 3) learners=(4) autoleave");
  EXPECT_EQ(g_[1].LeadSupportUntil(), 0u);  // not in the incoming half
  g_.liveness.SetAll({1, 2, 3, 4, 5, 6}, 1, 6000);
  SupportChanged();
  g_.TickAll(3);
  EXPECT_EQ(g_.raft(1).tracker().config.ToString(), "voters=(1 5 6) learners=(4)");
  EXPECT_EQ(g_[1].LeadSupportUntil(), 6000u);
}

TEST_F(FortifyTest, F7ALeaderDoesNotRemoveItself) {
  g_.Elect(1);
  EXPECT_TRUE(IsProposalDropped(g_[1].ProposeConfChange(Change("r1"))));
  EXPECT_TRUE(IsProposalDropped(g_[1].ProposeConfChange(Change("l1"))));
  // Through a joint configuration it hands over first.
  ASSERT_TRUE(g_[1].ProposeConfChange(Change("r1 l2", ConfChangeTransition::kJointImplicit)).ok());
  g_.Settle();
  g_.TickAll(2);
  EXPECT_EQ(g_.Leader(), 3u);
  EXPECT_EQ(g_.raft(3).tracker().config.ToString(), "voters=(3) learners=(2 4)");
}

TEST_F(FortifyTest, AQuietGroupSleeps) {
  g_.Elect(1);
  for (NodeId id : {1, 2, 3, 4}) EXPECT_FALSE(g_[id].NeedsTicks()) << id;
  ASSERT_TRUE(g_[1].Propose("a").ok());
  EXPECT_TRUE(g_[1].NeedsTicks());
  g_.Settle();
  EXPECT_FALSE(g_[1].NeedsTicks());
  // A dead store does not keep it awake; one that comes back does, until it has caught up.
  g_.cut = {3};
  g_.liveness.by_for[{3, 1}].expiration = 900;
  ASSERT_TRUE(g_[1].Propose("b").ok());
  g_.Settle();
  EXPECT_FALSE(g_[1].NeedsTicks());
  g_.cut = {};
  g_.liveness.by_for[{3, 1}].expiration = 5000;
  SupportChanged();
  EXPECT_TRUE(g_[1].NeedsTicks());
  g_.TickAll(3);
  EXPECT_FALSE(g_[1].NeedsTicks());
  EXPECT_EQ(g_.nodes[3].applied.size(), 2u);
}

TEST_F(FortifyTest, ALostCommitMessageKeepsTheLeaderAwake) {
  g_.Elect(1);
  g_.drop = [](const Message& m) { return m.to == 2 && m.type == MessageType::kApp && m.entries.empty(); };
  ASSERT_TRUE(g_[1].Propose("a").ok());
  g_.Settle();
  EXPECT_TRUE(g_.nodes[2].applied.empty());
  EXPECT_TRUE(g_[1].NeedsTicks());
  g_.TickAll(2);
  EXPECT_EQ(g_.nodes[2].applied.size(), 1u);
  EXPECT_FALSE(g_[1].NeedsTicks());
}

}  // namespace
}  // namespace insula::raft
