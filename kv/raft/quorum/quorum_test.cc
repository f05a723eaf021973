#include "kv/raft/quorum/quorum.h"

#include <map>
#include <optional>

#include "base/runtime/random.h"
#include "gtest/gtest.h"

namespace insula::raft::quorum {
namespace {

using Indexes = std::map<NodeId, uint64_t>;
using Votes = std::map<NodeId, bool>;

auto Acked(const Indexes& m) {
  return [&m](NodeId id) { return m.count(id) ? std::optional(m.at(id)) : std::nullopt; };
}
auto Vote(const Votes& m) {
  return [&m](NodeId id) { return m.count(id) ? std::optional(m.at(id)) : std::nullopt; };
}

TEST(NodeSet, KeepsIdsInOrderAndOnce) {
  NodeSet s{3, 1, 2, 3};
  EXPECT_EQ(s.ToString(), "(1 2 3)");
  s.erase(2);
  s.erase(9);
  EXPECT_EQ(s.ids(), (std::vector<NodeId>{1, 3}));
  EXPECT_TRUE(s.contains(1));
  EXPECT_FALSE(s.contains(2));
}

TEST(Quorum, MajorityIsWhatMoreThanHalfHaveReached) {
  EXPECT_EQ(MajorityCommitted(NodeSet{}, Acked({})), kInfinity);
  EXPECT_EQ(MajorityCommitted(NodeSet{1}, Acked({{1, 7}})), 7u);
  EXPECT_EQ(MajorityCommitted(NodeSet{1, 2}, Acked({{1, 7}})), 0u);
  EXPECT_EQ(MajorityCommitted(NodeSet{1, 2, 3}, Acked({{1, 7}, {3, 5}})), 5u);
  EXPECT_EQ(MajorityCommitted(NodeSet{1, 2, 3, 4}, Acked({{1, 7}, {2, 6}, {3, 5}, {4, 4}})), 5u);
}

TEST(Quorum, AJointConfigurationNeedsBothHalves) {
  const JointConfig c{.incoming = {1, 2, 3}, .outgoing = {3, 4, 5}};
  EXPECT_EQ(c.Committed(Acked({{1, 9}, {2, 9}, {3, 9}})), 0u);
  EXPECT_EQ(c.Committed(Acked({{1, 9}, {3, 8}, {4, 4}})), 4u);
  EXPECT_EQ(c.Tally(Vote({{1, true}, {2, true}})), VoteResult::kPending);
  EXPECT_EQ(c.Tally(Vote({{1, true}, {2, true}, {3, true}, {4, true}})), VoteResult::kWon);
  EXPECT_EQ(c.Tally(Vote({{1, true}, {2, true}, {4, false}, {5, false}})), VoteResult::kLost);
  EXPECT_EQ(c.ToString(), "(1 2 3)&&(3 4 5)");
  EXPECT_EQ(c.All().ToString(), "(1 2 3 4 5)");
}

// Against the definition, in the plainest words.
TEST(Quorum, AgreesWithCountingByHand) {
  SeededRandom random(17);
  for (int round = 0; round < 5000; ++round) {
    NodeSet voters;
    Indexes indexes;
    Votes votes;
    const uint64_t n = random.Uniform(12);
    for (uint64_t i = 0; i < n; ++i) {
      const NodeId id = 1 + random.Uniform(15);
      voters.insert(id);
      if (random.Chance(0.7)) indexes[id] = random.Uniform(8);
      if (random.Chance(0.6)) votes[id] = random.Chance(0.5);
    }
    auto reached = [&](uint64_t index) {
      size_t count = 0;
      for (NodeId id : voters) count += (indexes.count(id) ? indexes[id] : 0) >= index;
      return 2 * count > voters.size();
    };
    const uint64_t committed = MajorityCommitted(voters, Acked(indexes));
    if (voters.empty()) {
      EXPECT_EQ(committed, kInfinity);
    } else {
      EXPECT_TRUE(reached(committed));
      EXPECT_FALSE(reached(committed + 1));
    }

    size_t yes = 0, no = 0;
    for (NodeId id : voters) (votes.count(id) ? (votes[id] ? yes : no) : no) += votes.count(id);
    const VoteResult result = MajorityVote(voters, Vote(votes));
    const bool won = voters.empty() || 2 * yes > voters.size();
    const bool can_win = 2 * (voters.size() - no) > voters.size();
    EXPECT_EQ(result, won ? VoteResult::kWon : can_win ? VoteResult::kPending : VoteResult::kLost);

    // A joint configuration with an empty or an equal second half is the first half.
    for (const JointConfig& c : {JointConfig{voters, {}}, JointConfig{{}, voters}, JointConfig{voters, voters}}) {
      EXPECT_EQ(c.Committed(Acked(indexes)), committed);
      EXPECT_EQ(c.Tally(Vote(votes)), result);
    }
  }
}

}  // namespace
}  // namespace insula::raft::quorum
