// The configuration in force, each replica's progress, and the votes of an election.
//
// Invariants (confchange/ checks them after each change):
//   T1  Every replica of the configuration has a progress, and no other has.
//   T2  learners and voters are disjoint.
//   T3  learners_next holds only outgoing voters; their progress is not yet a learner's.
//   T4  Outside of a joint configuration: no outgoing voters, no learners_next, no auto_leave.
//
// Thread safety: value.
#ifndef INSULA_KV_RAFT_TRACKER_TRACKER_H_
#define INSULA_KV_RAFT_TRACKER_TRACKER_H_

#include <map>
#include <string>
#include <vector>

#include "kv/raft/message.h"
#include "kv/raft/quorum/quorum.h"
#include "kv/raft/tracker/progress.h"

namespace insula::raft::tracker {

struct Config {
  quorum::JointConfig voters;
  NodeSet learners;
  NodeSet learners_next;
  bool auto_leave = false;

  bool joint() const { return voters.joint(); }
  bool operator==(const Config&) const = default;
  std::string ToString() const;  // "voters=(1 2)&&(1) learners=(3) autoleave"
  ConfState ToConfState() const;
};

using ProgressMap = std::map<NodeId, Progress>;
std::string ProgressMapToString(const ProgressMap& progress);  // one "id: progress" per line

struct Tally {
  int granted = 0;
  int rejected = 0;
  quorum::VoteResult result = quorum::VoteResult::kPending;
};

class Tracker {
 public:
  Tracker(int max_inflight_msgs, uint64_t max_inflight_bytes)
      : max_inflight_msgs_(max_inflight_msgs), max_inflight_bytes_(max_inflight_bytes) {}

  Inflights NewInflights() const { return Inflights(max_inflight_msgs_, max_inflight_bytes_); }

  Progress* Find(NodeId id);
  const Progress* Find(NodeId id) const { return const_cast<Tracker*>(this)->Find(id); }
  bool IsSingleton() const { return config.voters.incoming.size() == 1 && config.voters.outgoing.empty(); }
  // The largest index that a quorum holds.
  uint64_t Committed() const;
  // Whether a quorum was heard of since the flags were cleared.
  bool QuorumActive() const;
  // Every replica's id in order.
  std::vector<NodeId> Ids() const;

  void ResetVotes() { votes.clear(); }
  // The first vote of each replica counts.
  void RecordVote(NodeId id, bool granted) { votes.emplace(id, granted); }
  Tally TallyVotes() const;

  Config config;
  ProgressMap progress;
  std::map<NodeId, bool> votes;

 private:
  int max_inflight_msgs_;
  uint64_t max_inflight_bytes_;
};

}  // namespace insula::raft::tracker

#endif  // INSULA_KV_RAFT_TRACKER_TRACKER_H_
