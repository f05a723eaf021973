// What a driver relies on, one behaviour at a time.
#include "kv/raft/raw_node.h"

#include "base/strings.h"
#include "gtest/gtest.h"
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

TEST(RawNode, ElectsALeaderAfterTheTimeoutAndReplicates) {
  SmallGroup g(Voters({1, 2, 3}));
  for (int i = 0; i < 10; ++i) g[2].Tick();
  g.Settle();
  ASSERT_EQ(g.Leader(), 2u);
  ASSERT_TRUE(g[2].Propose("a").ok());
  ASSERT_TRUE(g[1].Propose("b").ok());  // forwarded
  g.Settle();
  for (NodeId id : {1, 2, 3}) EXPECT_EQ(g.nodes[id].applied, (std::vector<std::string>{"a", "b"})) << id;
}

TEST(RawNode, ASingleReplicaNeedsNobody) {
  SmallGroup g(Voters({1}));
  g.Elect(1);
  ASSERT_TRUE(g[1].Propose("a").ok());
  g.Settle();
  EXPECT_EQ(g.nodes[1].applied, (std::vector<std::string>{"a"}));
  EXPECT_TRUE(g.wire.empty());
}

TEST(RawNode, ProposalsWithoutALeaderAreDropped) {
  SmallGroup g(Voters({1, 2, 3}));
  EXPECT_TRUE(IsProposalDropped(g[1].Propose("a")));
  EXPECT_TRUE(IsProposalDropped(g[1].ProposeConfChange(Change("v4"))));
}

TEST(RawNode, AMinorityCommitsNothing) {
  SmallGroup g(Voters({1, 2, 3}));
  g.Elect(1);
  g.cut = {2, 3};
  ASSERT_TRUE(g[1].Propose("a").ok());
  g.Settle();
  EXPECT_TRUE(g.nodes[1].applied.empty());
  g.cut = {};
  g.TickAll();
  EXPECT_EQ(g.nodes[3].applied, (std::vector<std::string>{"a"}));
}

TEST(RawNode, ACandidateBehindIsNotElected) {
  SmallGroup g(Voters({1, 2, 3}));
  g.Elect(1);
  g.cut = {3};
  ASSERT_TRUE(g[1].Propose("a").ok());
  g.Settle();
  g.cut = {1};
  ASSERT_TRUE(g[3].Campaign().ok());
  g.Settle();
  EXPECT_NE(g.raft(3).state(), StateType::kLeader);
  g.Elect(2);
  EXPECT_EQ(g.nodes[3].applied, (std::vector<std::string>{"a"}));
}

TEST(RawNode, AnUncommittedTailIsReplacedByTheNextLeader) {
  SmallGroup g(Voters({1, 2, 3}));
  g.Elect(1);
  g.cut = {1};
  ASSERT_TRUE(g[1].Propose("lost").ok());
  g.Settle();
  g.Elect(2);
  ASSERT_TRUE(g[2].Propose("kept").ok());
  g.Settle();
  g.cut = {};
  g.TickAll(2);
  EXPECT_EQ(g.nodes[1].applied, (std::vector<std::string>{"kept"}));
  EXPECT_EQ(g.raft(1).log().LastIndex(), g.raft(2).log().LastIndex());
}

TEST(RawNode, AVoteIsGivenOncePerTermAcrossRestarts) {
  SmallGroup g(Voters({1, 2, 3}));
  g.cut = {3};
  g.Elect(1);
  ASSERT_EQ(g.raft(2).hard_state().vote, 1u);
  g.nodes[2].applied_index = 5;
  g.Start(2);
  Message m{.type = MessageType::kVote, .to = 2, .from = 3, .term = g.raft(2).term(), .log_term = 9, .index = 100};
  ASSERT_TRUE(g[2].Step(m).ok());
  Ready rd = g[2].TakeReady();
  ASSERT_EQ(rd.messages.size(), 1u);
  EXPECT_TRUE(rd.messages[0].reject);
}

TEST(RawNode, LeadershipIsTransferredToACaughtUpReplica) {
  SmallGroup g(Voters({1, 2, 3}));
  g.Elect(1);
  g.cut = {3};
  ASSERT_TRUE(g[1].Propose("a").ok());
  g.Settle();
  g.cut = {};
  g[2].TransferLeader(3);  // through a follower, to one that is behind
  g.Settle();
  g.TickAll();
  EXPECT_EQ(g.Leader(), 3u);
  EXPECT_EQ(g.nodes[3].applied, (std::vector<std::string>{"a"}));
}

TEST(RawNode, ATransferThatFailsIsGivenUp) {
  SmallGroup g(Voters({1, 2, 3}));
  g.Elect(1);
  g.cut = {3};
  ASSERT_TRUE(g[1].Propose("b").ok());
  g.Settle();
  g[1].TransferLeader(3);
  EXPECT_TRUE(IsProposalDropped(g[1].Propose("a")));
  g.TickAll(10);
  EXPECT_EQ(g.raft(1).lead_transferee(), kNone);
  EXPECT_TRUE(g[1].Propose("a").ok());
}

TEST(RawNode, CheckQuorumDeposesALeaderThatHearsNobody) {
  SmallGroup g(Voters({1, 2, 3}), [](Config* c) { c->check_quorum = true; });
  g.Elect(1);
  g.cut = {2, 3};
  for (int i = 0; i < 20; ++i) {
    g[1].Tick();
    g.Settle();
  }
  EXPECT_EQ(g.raft(1).state(), StateType::kFollower);
}

TEST(RawNode, PreVoteKeepsAReturningReplicaFromDisturbing) {
  SmallGroup g(Voters({1, 2, 3}), [](Config* c) { c->pre_vote = c->check_quorum = true; });
  g.Elect(1);
  const uint64_t term = g.raft(1).term();
  g.cut = {3};
  for (int i = 0; i < 50; ++i) g[3].Tick();
  g.Settle();
  g.cut = {};
  g.TickAll(3);
  EXPECT_EQ(g.Leader(), 1u);
  EXPECT_EQ(g.raft(3).term(), term);
}

TEST(RawNode, ReadIndexWaitsForAQuorumToConfirm) {
  SmallGroup g(Voters({1, 2, 3}));
  g.Elect(1);
  ASSERT_TRUE(g[1].Propose("a").ok());
  g.Settle();
  g[1].ReadIndex("here");
  EXPECT_TRUE(g.nodes[1].reads.empty());
  g[2].ReadIndex("there");
  g.Settle();
  ASSERT_EQ(g.nodes[1].reads.size(), 1u);
  EXPECT_EQ(g.nodes[1].reads[0].request, "here");
  EXPECT_EQ(g.nodes[1].reads[0].index, g.raft(1).log().committed());
  ASSERT_EQ(g.nodes[2].reads.size(), 1u);
  EXPECT_EQ(g.nodes[2].reads[0].request, "there");
  g.cut = {2, 3};
  g[1].ReadIndex("alone");
  g.Settle();
  EXPECT_EQ(g.nodes[1].reads.size(), 1u);
}

TEST(RawNode, ReadIndexBeforeTheFirstCommitOfATermWaits) {
  SmallGroup g(Voters({1, 2, 3}));
  g.drop = [](const Message& m) { return m.type == MessageType::kAppResp; };
  g.Elect(1);
  g[1].ReadIndex("early");
  g.Settle();
  EXPECT_TRUE(g.nodes[1].reads.empty());
  g.drop = nullptr;
  g.TickAll(2);
  ASSERT_EQ(g.nodes[1].reads.size(), 1u);
  EXPECT_EQ(g.nodes[1].reads[0].index, 6u);
}

TEST(RawNode, ReadsByLeaseAskNobody) {
  SmallGroup g(Voters({1, 2, 3}), [](Config* c) {
    c->check_quorum = true;
    c->read_only_option = ReadOnlyOption::kLeaseBased;
  });
  g.Elect(1);
  g.cut = {2, 3};
  g[1].ReadIndex("r");
  g.Work(1);
  EXPECT_EQ(g.nodes[1].reads.size(), 1u);
}

TEST(RawNode, UncommittedPayloadIsBounded) {
  SmallGroup g(Voters({1, 2, 3}), [](Config* c) { c->max_uncommitted_size = 100; });
  g.Elect(1);
  g.cut = {2, 3};
  EXPECT_TRUE(g[1].Propose(std::string(1000, 'x')).ok());  // the first may be of any size
  EXPECT_TRUE(IsProposalDropped(g[1].Propose("y")));
  g.Settle();
  g.cut = {};
  g.TickAll(2);
  EXPECT_TRUE(g[1].Propose("y").ok());
}

TEST(RawNode, AppendsAreSentInBoundedMessagesAndWindows) {
  SmallGroup g(Voters({1, 2, 3}), [](Config* c) {
    c->max_size_per_msg = 0;  // one entry each
    c->max_inflight_msgs = 3;
  });
  g.Elect(1);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(g[1].Propose(StrCat("e", i)).ok());
  g.Work(1);
  int to_2 = 0;
  for (const Message& m : g.wire) {
    if (m.type != MessageType::kApp || m.to != 2) continue;
    EXPECT_LE(m.entries.size(), 1u);
    ++to_2;
  }
  EXPECT_EQ(to_2, 3);
  g.Settle();
  EXPECT_EQ(g.nodes[2].applied.size(), 20u);
}

TEST(RawNode, AFollowerBehindTheLogGetsASnapshot) {
  SmallGroup g(Voters({1, 2, 3}));
  g.Elect(1);
  g.cut = {3};
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(g[1].Propose(StrCat("e", i)).ok());
  g.Settle();
  ASSERT_TRUE(g.nodes[1].storage.Compact(10).ok());
  g.cut = {};
  g.TickAll(3);
  EXPECT_EQ(g.nodes[3].applied_index, g.nodes[1].applied_index);
  ASSERT_TRUE(g[1].Propose("after").ok());
  g.Settle();
  EXPECT_EQ(g.nodes[3].applied, (std::vector<std::string>{"after"}));
}

TEST(RawNode, AFailedSnapshotIsTriedAgain) {
  SmallGroup g(Voters({1, 2, 3}));
  g.Elect(1);
  g.cut = {3};
  ASSERT_TRUE(g[1].Propose("a").ok());
  g.Settle();
  ASSERT_TRUE(g.nodes[1].storage.Compact(7).ok());
  g.cut = {};
  int snapshots = 0;
  g.drop = [&](const Message& m) { return m.type == MessageType::kSnap && ++snapshots == 1; };
  g.TickAll(3);
  EXPECT_EQ(snapshots, 1);
  g[1].ReportSnapshot(3, /*ok=*/false);
  g.TickAll(2);
  EXPECT_EQ(snapshots, 2);
  EXPECT_EQ(g.nodes[3].applied_index, g.nodes[1].applied_index);
}

TEST(RawNode, AReplicaIsAddedThroughAJointConfigurationAndLeavesIt) {
  SmallGroup g(Voters({1, 2, 3}));
  g.Elect(1);
  g.Add(4, {});
  ASSERT_TRUE(g[1].ProposeConfChange(Change("v4 r3")).ok());
  g.Settle();
  g.TickAll(2);
  EXPECT_EQ(g.nodes[1].conf, Voters({1, 2, 4}));
  EXPECT_EQ(g.nodes[4].conf, Voters({1, 2, 4}));
  ASSERT_TRUE(g[1].Propose("x").ok());
  g.Settle();
  EXPECT_EQ(g.nodes[4].applied, (std::vector<std::string>{"x"}));
}

TEST(RawNode, OnlyOneConfigurationChangeAtATime) {
  SmallGroup g(Voters({1, 2, 3}));
  g.Elect(1);
  ASSERT_TRUE(g[1].ProposeConfChange(Change("l4")).ok());
  ASSERT_TRUE(g[1].ProposeConfChange(Change("l5")).ok());  // becomes an empty entry
  g.Settle();
  EXPECT_EQ(g.nodes[1].conf, Voters({1, 2, 3}, {4}));
}

TEST(RawNode, ARejectedConfigurationChangeLeavesNoTrace) {
  SmallGroup g(Voters({1}));
  g.Elect(1);
  ASSERT_TRUE(g[1].ProposeConfChange(Change("v2")).ok());
  Ready rd = g[1].TakeReady();
  g.nodes[1].storage.Append(rd.entries);
  g[1].Advance();
  rd = g[1].TakeReady();
  ASSERT_EQ(rd.committed_entries.size(), 1u);
  EXPECT_EQ(g[1].RejectConfChange(), Voters({1}));
  g[1].Advance();
  EXPECT_TRUE(g[1].ProposeConfChange(Change("v3")).ok());
}

TEST(RawNode, MessagesFromStrangersAreRefused) {
  SmallGroup g(Voters({1, 2, 3}));
  EXPECT_EQ(g[1].Step({.type = MessageType::kAppResp, .to = 1, .from = 9, .term = 1}).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(g[1].Step({.type = MessageType::kHup, .to = 1, .from = 2}).code(), absl::StatusCode::kInvalidArgument);
}

TEST(RawNode, WithAsynchronousStorageAFollowerAcknowledgesOnlyWhatIsWritten) {
  SmallGroup g(Voters({1, 2, 3}), [](Config* c) { c->async_storage_writes = true; });
  g.Elect(1);
  g.nodes[2].hold_appends = g.nodes[3].hold_appends = true;
  ASSERT_TRUE(g[1].Propose("a").ok());
  g.Settle();
  EXPECT_TRUE(g.nodes[1].applied.empty());
  g.RunAppends(2);
  g.Settle();
  EXPECT_EQ(g.nodes[1].applied, (std::vector<std::string>{"a"}));
  EXPECT_EQ(g.nodes[3].applied.size(), 0u);
}

// ---- synced_conf_changes ----

TEST(RawNode, S1AConfigurationChangeWaitsForItsCommitIndexOnDisk) {
  SmallGroup g(Voters({1, 2, 3}), [](Config* c) { c->async_storage_writes = c->synced_conf_changes = true; });
  g.Elect(1);
  ASSERT_TRUE(g[1].ProposeConfChange(Change("l4")).ok());
  g.Work(1);
  // The followers write the entry; their answers commit it at the leader, whose own disk is slow.
  g.nodes[1].hold_appends = true;
  g.Settle();
  EXPECT_GT(g.raft(1).log().committed(), 6u);
  EXPECT_EQ(g.nodes[1].conf, Voters({1, 2, 3}));
  g.RunAppends(1);
  g.Settle();
  EXPECT_EQ(g.nodes[1].conf, Voters({1, 2, 3}, {4}));
  EXPECT_GE(g.nodes[1].storage.hard_state().commit, 7u);
}

TEST(RawNode, S1SynchronousStorageIsToldToSync) {
  SmallGroup g(Voters({1}), [](Config* c) { c->synced_conf_changes = true; });
  g.Elect(1);
  ASSERT_TRUE(g[1].ProposeConfChange(Change("l2")).ok());
  Ready rd = g[1].TakeReady();
  g.nodes[1].storage.Append(rd.entries);
  g[1].Advance();
  rd = g[1].TakeReady();
  ASSERT_EQ(rd.committed_entries.size(), 1u);
  EXPECT_TRUE(rd.must_sync);
}

TEST(RawNode, S2AReplicaVotesOnlyWhenItHasAppliedWhatWasCommitted) {
  SmallGroup g(Voters({1, 2, 3}), [](Config* c) { c->synced_conf_changes = true; });
  g.Elect(1);
  ASSERT_TRUE(g[1].Propose("a").ok());
  g.Settle();
  g.nodes[2].applied_index = 5;  // the state engine lost what it had not flushed
  g.Start(2);
  EXPECT_FALSE(g[2].MayCampaign());
  const Message vote{.type = MessageType::kVote, .to = 2, .from = 3, .term = 9, .log_term = 9, .index = 100};
  ASSERT_TRUE(g[2].Step(vote).ok());
  Ready rd = g[2].TakeReady();
  EXPECT_TRUE(rd.messages.empty());
  g.nodes[2].storage.SetHardState(*rd.hard_state);
  g.nodes[2].applied_index = 7;
  g[2].Advance();
  ASSERT_TRUE(g[2].Step(vote).ok());
  rd = g[2].TakeReady();
  ASSERT_EQ(rd.messages.size(), 1u);
  EXPECT_FALSE(rd.messages[0].reject);
}

TEST(RawNode, S3ARemovedVoterTellsThatItsRemovalIsCommitted) {
  SmallGroup g(Voters({1, 2}), [](Config* c) {
    c->synced_conf_changes = c->pre_vote = true;
    c->step_down_on_removal = true;
  });
  g.Elect(1);
  // 1 removes itself. Its last words do not reach 2, which has the entry and does not know that it is committed.
  ASSERT_TRUE(g[1].ProposeConfChange(Change("r1")).ok());
  ASSERT_TRUE(g[1].Propose("tail").ok());
  g.drop = [](const Message& m) { return m.from == 1 && (m.commit >= 7 || m.index >= 7); };
  g.Settle();
  EXPECT_EQ(g.nodes[1].conf, Voters({2}));
  EXPECT_EQ(g.nodes[2].conf, Voters({1, 2}));
  EXPECT_GT(g.raft(1).log().LastIndex(), g.raft(2).log().LastIndex());
  g.drop = nullptr;
  ASSERT_TRUE(g[2].Campaign().ok());
  g.Settle();
  EXPECT_EQ(g.nodes[2].conf, Voters({2}));
  g.Elect(2);
}

}  // namespace
}  // namespace insula::raft
