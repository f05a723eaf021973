// Majorities, and majorities of two configurations at once (joint consensus).
//
//   majority of (1 2 3) with acknowledged indexes 5, 7, none:   0 5 7 -> committed 5
//   joint: the smaller of what both halves have committed; a vote is won when both halves have won.
//
// An empty majority agrees with everything (it commits infinity, it wins every vote), so an empty second half makes a
// joint configuration behave as its first half.
//
// Thread safety: values.
#ifndef INSULA_KV_RAFT_QUORUM_QUORUM_H_
#define INSULA_KV_RAFT_QUORUM_QUORUM_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "kv/raft/message.h"

namespace insula::raft {

// A small ordered set.
class NodeSet {
 public:
  NodeSet() = default;
  NodeSet(std::initializer_list<NodeId> ids) {
    for (NodeId id : ids) insert(id);
  }
  explicit NodeSet(const std::vector<NodeId>& ids) {
    for (NodeId id : ids) insert(id);
  }

  void insert(NodeId id) {
    auto it = std::lower_bound(ids_.begin(), ids_.end(), id);
    if (it == ids_.end() || *it != id) ids_.insert(it, id);
  }
  void erase(NodeId id) {
    auto it = std::lower_bound(ids_.begin(), ids_.end(), id);
    if (it != ids_.end() && *it == id) ids_.erase(it);
  }
  bool contains(NodeId id) const { return std::binary_search(ids_.begin(), ids_.end(), id); }
  bool empty() const { return ids_.empty(); }
  size_t size() const { return ids_.size(); }
  void clear() { ids_.clear(); }
  auto begin() const { return ids_.begin(); }
  auto end() const { return ids_.end(); }
  const std::vector<NodeId>& ids() const { return ids_; }
  bool operator==(const NodeSet&) const = default;

  std::string ToString() const;  // "(1 2 3)"

 private:
  std::vector<NodeId> ids_;
};

namespace quorum {

inline constexpr uint64_t kInfinity = std::numeric_limits<uint64_t>::max();

enum class VoteResult : uint8_t { kPending, kLost, kWon };
std::string_view VoteResultName(VoteResult result);  // "VoteWon"

// The largest value that a majority of `voters` has reached. `acked(id)` is an std::optional<uint64_t>; nothing counts
// as 0.
template <typename Acked>
uint64_t MajorityCommitted(const NodeSet& voters, Acked&& acked) {
  const size_t n = voters.size();
  if (n == 0) return kInfinity;
  uint64_t on_stack[9];
  std::vector<uint64_t> on_heap;
  uint64_t* values = on_stack;
  if (n > std::size(on_stack)) {
    on_heap.resize(n);
    values = on_heap.data();
  }
  size_t i = 0;
  for (NodeId id : voters) values[i++] = std::optional<uint64_t>(acked(id)).value_or(0);
  // A majority is n/2+1; so many values are at or above the one that (n-1)/2 values precede.
  const size_t at = n - (n / 2 + 1);
  std::nth_element(values, values + at, values + n);
  return values[at];
}

// `vote(id)` is an std::optional<bool>: granted, refused, or not yet known.
template <typename Vote>
VoteResult MajorityVote(const NodeSet& voters, Vote&& vote) {
  if (voters.empty()) return VoteResult::kWon;
  size_t yes = 0, missing = 0;
  for (NodeId id : voters) {
    std::optional<bool> v = vote(id);
    if (!v) {
      ++missing;
    } else if (*v) {
      ++yes;
    }
  }
  const size_t needed = voters.size() / 2 + 1;
  if (yes >= needed) return VoteResult::kWon;
  return yes + missing >= needed ? VoteResult::kPending : VoteResult::kLost;
}

// Two majorities that must agree; `outgoing` is empty outside of a configuration change.
struct JointConfig {
  NodeSet incoming;
  NodeSet outgoing;

  bool operator==(const JointConfig&) const = default;
  bool joint() const { return !outgoing.empty(); }
  bool contains(NodeId id) const { return incoming.contains(id) || outgoing.contains(id); }
  NodeSet All() const;
  std::string ToString() const;  // "(1 2 3)&&(1)"

  template <typename Acked>
  uint64_t Committed(Acked&& acked) const {
    return std::min(MajorityCommitted(incoming, acked), MajorityCommitted(outgoing, acked));
  }
  template <typename Vote>
  VoteResult Tally(Vote&& vote) const {
    return Both(MajorityVote(incoming, vote), MajorityVote(outgoing, vote));
  }
  static VoteResult Both(VoteResult a, VoteResult b);
};

}  // namespace quorum
}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_QUORUM_QUORUM_H_
