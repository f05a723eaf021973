#include "kv/raft/tracker/tracker.h"

#include "gtest/gtest.h"

namespace insula::raft::tracker {
namespace {

TEST(Inflights, BoundsMessagesAndBytes) {
  Inflights window(3, 100);
  window.Add(1, 10);
  window.Add(2, 10);
  EXPECT_FALSE(window.Full());
  window.Add(5, 10);
  EXPECT_TRUE(window.Full());
  window.FreeUpTo(1);
  EXPECT_EQ(window.count(), 2u);
  EXPECT_FALSE(window.Full());
  window.Add(6, 90);  // past the byte limit by one message
  EXPECT_EQ(window.bytes(), 110u);
  EXPECT_TRUE(window.Full());
  window.FreeUpTo(5);
  EXPECT_EQ(window.count(), 1u);
  EXPECT_EQ(window.bytes(), 90u);
  window.FreeUpTo(99);
  EXPECT_EQ(window.count(), 0u);
  EXPECT_EQ(window.bytes(), 0u);
}

TEST(Inflights, RunsForeverInBoundedMemory) {
  Inflights window(4, 0);
  for (uint64_t i = 1; i <= 10000; ++i) {
    window.Add(i, 1);
    if (i > 2) window.FreeUpTo(i - 2);
    ASSERT_EQ(window.count(), i > 2 ? 2u : i);
  }
}

Progress Replicating(uint64_t match, int window = 2) {
  Progress pr;
  pr.inflights = Inflights(window, 0);
  pr.match = match;
  pr.next = match + 1;
  pr.BecomeReplicate();
  return pr;
}

TEST(Progress, AProbeWaitsForItsAnswer) {
  Progress pr;
  pr.next = 5;
  pr.BecomeProbe();
  EXPECT_EQ(pr.next, 1u);  // only what is known to be there counts
  EXPECT_FALSE(pr.IsPaused());
  pr.OnSent(3, 30);
  EXPECT_TRUE(pr.IsPaused());
  EXPECT_EQ(pr.next, 1u);
  EXPECT_TRUE(pr.MaybeUpdate(3));
  EXPECT_FALSE(pr.IsPaused());
  EXPECT_EQ(pr.next, 4u);
  EXPECT_FALSE(pr.MaybeUpdate(2));
  EXPECT_EQ(pr.match, 3u);
}

TEST(Progress, AStreamRunsAheadUntilItsWindowIsFull) {
  Progress pr = Replicating(3);
  pr.OnSent(2, 20);
  EXPECT_EQ(pr.next, 6u);
  EXPECT_FALSE(pr.IsPaused());
  pr.OnSent(1, 10);
  EXPECT_TRUE(pr.IsPaused());
  EXPECT_EQ(pr.ToString(), "StateReplicate match=3 next=7 paused inactive inflight=2[full]");
}

TEST(Progress, OldRejectionsAreIgnored) {
  Progress pr = Replicating(5);
  EXPECT_FALSE(pr.MaybeDecrease(/*rejected=*/5, /*hint=*/2));
  pr.OnSent(4, 4);
  EXPECT_TRUE(pr.MaybeDecrease(/*rejected=*/8, /*hint=*/6));
  EXPECT_EQ(pr.next, 6u);  // right after match: it holds that for sure

  Progress probe;
  probe.match = 1;
  probe.next = 10;
  EXPECT_FALSE(probe.MaybeDecrease(/*rejected=*/7, /*hint=*/3));
  EXPECT_TRUE(probe.MaybeDecrease(/*rejected=*/9, /*hint=*/4));
  EXPECT_EQ(probe.next, 5u);
  EXPECT_TRUE(probe.MaybeDecrease(/*rejected=*/4, /*hint=*/0));
  EXPECT_EQ(probe.next, 2u);  // never at or below match
}

TEST(Progress, AfterASnapshotTheProbeStartsBehindIt) {
  Progress pr = Replicating(2);
  pr.BecomeSnapshot(10);
  EXPECT_TRUE(pr.IsPaused());
  EXPECT_EQ(pr.ToString(), "StateSnapshot match=2 next=11 paused pendingSnap=10 inactive");
  pr.BecomeProbe();
  EXPECT_EQ(pr.next, 11u);
  pr.BecomeSnapshot(20);
  pr.pending_snapshot = 0;  // it failed
  pr.BecomeProbe();
  EXPECT_EQ(pr.next, 3u);
}

TEST(Progress, TheCommitIndexIsSentOnceAsFarAsItCanBeTaken) {
  Progress pr = Replicating(5);
  pr.sent_commit = 3;
  EXPECT_TRUE(pr.CanBumpCommit(5));
  pr.sent_commit = 5;
  EXPECT_FALSE(pr.CanBumpCommit(5));
  EXPECT_FALSE(pr.CanBumpCommit(9));  // the follower has nothing past 5 to commit
}

Tracker ThreeVoters() {
  Tracker t(10, 0);
  for (NodeId id : {1, 2, 3}) {
    t.config.voters.incoming.insert(id);
    t.progress[id] = Progress();
  }
  return t;
}

TEST(Tracker, CountsTheVotesOfVotersOnly) {
  Tracker t = ThreeVoters();
  t.config.learners.insert(4);
  t.progress[4].is_learner = true;
  t.RecordVote(4, true);
  t.RecordVote(1, true);
  t.RecordVote(1, false);  // the first counts
  Tally tally = t.TallyVotes();
  EXPECT_EQ(tally.granted, 1);
  EXPECT_EQ(tally.rejected, 0);
  EXPECT_EQ(tally.result, quorum::VoteResult::kPending);
  t.RecordVote(3, true);
  EXPECT_EQ(t.TallyVotes().result, quorum::VoteResult::kWon);
}

TEST(Tracker, QuorumIsActiveWhenAMajorityWasHeardOf) {
  Tracker t = ThreeVoters();
  t.progress[1].recent_active = true;
  EXPECT_FALSE(t.QuorumActive());
  t.progress[2].recent_active = true;
  EXPECT_TRUE(t.QuorumActive());
}

TEST(Tracker, PrintsItsConfiguration) {
  Tracker t = ThreeVoters();
  t.config.voters.outgoing = NodeSet{1, 5};
  t.config.learners_next = NodeSet{5};
  t.config.learners = NodeSet{7};
  t.config.auto_leave = true;
  EXPECT_EQ(t.config.ToString(), "voters=(1 2 3)&&(1 5) learners=(7) learners_next=(5) autoleave");
  const ConfState s = t.config.ToConfState();
  EXPECT_EQ(s.voters, (std::vector<NodeId>{1, 2, 3}));
  EXPECT_EQ(s.voters_outgoing, (std::vector<NodeId>{1, 5}));
}

}  // namespace
}  // namespace insula::raft::tracker
