#include "kv/raft/quorum/quorum.h"

#include "base/strings.h"

namespace insula::raft {

std::string NodeSet::ToString() const { return StrCat("(", StrJoin(ids_, " "), ")"); }

namespace quorum {

std::string_view VoteResultName(VoteResult result) {
  switch (result) {
    case VoteResult::kPending:
      return "VotePending";
    case VoteResult::kLost:
      return "VoteLost";
    case VoteResult::kWon:
      return "VoteWon";
  }
  return "?";
}

NodeSet JointConfig::All() const {
  NodeSet all = incoming;
  for (NodeId id : outgoing) all.insert(id);
  return all;
}

std::string JointConfig::ToString() const {
  return joint() ? StrCat(incoming.ToString(), "&&", outgoing.ToString()) : incoming.ToString();
}

VoteResult JointConfig::Both(VoteResult a, VoteResult b) {
  if (a == b) return a;
  if (a == VoteResult::kLost || b == VoteResult::kLost) return VoteResult::kLost;
  return VoteResult::kPending;  // one half has won, the other does not know yet
}

}  // namespace quorum
}  // namespace insula::raft
