#include "kv/raft/read_only.h"

#include <algorithm>
#include <optional>

namespace insula::raft {

void ReadOnly::Add(uint64_t commit, Message message, NodeId self) {
  const std::string context = message.entries.front().data.str();
  for (const Waiting& w : queue_) {
    if (w.context == context) return;
  }
  queue_.push_back({context, {std::move(message), commit}, {self}});
}

std::vector<ReadOnly::Request> ReadOnly::Acknowledge(NodeId from, std::string_view context,
                                                     const quorum::JointConfig& voters) {
  auto it = std::find_if(queue_.begin(), queue_.end(), [&](const Waiting& w) { return w.context == context; });
  if (it == queue_.end()) return {};
  it->acks.insert(from);
  auto vote = [&](NodeId id) { return it->acks.contains(id) ? std::optional(true) : std::nullopt; };
  if (voters.Tally(vote) != quorum::VoteResult::kWon) return {};
  std::vector<Request> confirmed;
  for (auto w = queue_.begin(); w != it + 1; ++w) confirmed.push_back(std::move(w->request));
  queue_.erase(queue_.begin(), it + 1);
  return confirmed;
}

}  // namespace insula::raft
