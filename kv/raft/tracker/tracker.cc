#include "kv/raft/tracker/tracker.h"

#include <optional>

#include "base/strings.h"

namespace insula::raft::tracker {

std::string Config::ToString() const {
  std::string out = StrCat("voters=", voters.ToString());
  if (!learners.empty()) StrAppend(&out, " learners=", learners.ToString());
  if (!learners_next.empty()) StrAppend(&out, " learners_next=", learners_next.ToString());
  if (auto_leave) StrAppend(&out, " autoleave");
  return out;
}

ConfState Config::ToConfState() const {
  return ConfState{.voters = voters.incoming.ids(),
                   .learners = learners.ids(),
                   .voters_outgoing = voters.outgoing.ids(),
                   .learners_next = learners_next.ids(),
                   .auto_leave = auto_leave};
}

std::string ProgressMapToString(const ProgressMap& progress) {
  std::string out;
  for (const auto& [id, pr] : progress) StrAppend(&out, id, ": ", pr.ToString(), "\n");
  return out;
}

Progress* Tracker::Find(NodeId id) {
  auto it = progress.find(id);
  return it == progress.end() ? nullptr : &it->second;
}

uint64_t Tracker::Committed() const {
  return config.voters.Committed([this](NodeId id) -> std::optional<uint64_t> {
    const Progress* pr = Find(id);
    return pr ? std::optional(pr->match) : std::nullopt;
  });
}

bool Tracker::QuorumActive() const {
  return config.voters.Tally([this](NodeId id) -> std::optional<bool> {
    const Progress* pr = Find(id);
    return pr && !pr->is_learner ? std::optional(pr->recent_active) : std::nullopt;
  }) == quorum::VoteResult::kWon;
}

std::vector<NodeId> Tracker::Ids() const {
  std::vector<NodeId> ids;
  ids.reserve(progress.size());
  for (const auto& [id, pr] : progress) ids.push_back(id);
  return ids;
}

Tally Tracker::TallyVotes() const {
  Tally tally;
  for (const auto& [id, pr] : progress) {
    auto vote = votes.find(id);
    if (pr.is_learner || vote == votes.end()) continue;
    ++(vote->second ? tally.granted : tally.rejected);
  }
  tally.result = config.voters.Tally([this](NodeId id) -> std::optional<bool> {
    auto vote = votes.find(id);
    return vote == votes.end() ? std::nullopt : std::optional(vote->second);
  });
  return tally;
}

}  // namespace insula::raft::tracker
