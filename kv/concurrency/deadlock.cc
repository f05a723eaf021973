#include "kv/concurrency/deadlock.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

namespace insula::kv {

std::optional<std::string> DeadlockVictim(const WaitEdge& push, const std::vector<WaitEdge>& edges) {
  // Shortest path pushee -> ... -> pusher, breadth first; `via` is the edge by which a transaction was reached.
  std::multimap<std::string_view, const WaitEdge*> by_waiter;
  for (const WaitEdge& edge : edges) by_waiter.emplace(edge.waiter, &edge);
  std::map<std::string_view, const WaitEdge*> via;
  std::deque<std::string_view> queue = {push.holder};
  via[push.holder] = nullptr;
  while (!queue.empty() && via.find(push.waiter) == via.end()) {
    std::string_view at = queue.front();
    queue.pop_front();
    auto [from, to] = by_waiter.equal_range(at);
    for (auto it = from; it != to; ++it) {
      if (via.emplace(it->second->holder, it->second).second) queue.push_back(it->second->holder);
    }
  }
  auto last = via.find(push.waiter);
  if (last == via.end()) return std::nullopt;
  std::pair<Timestamp, std::string> victim(push.waiter_min_ts, push.waiter);
  for (const WaitEdge* edge = last->second; edge != nullptr; edge = via[edge->waiter]) {
    victim = std::max(victim, std::pair(edge->waiter_min_ts, edge->waiter));
  }
  return victim.second;
}

std::vector<WaitEdge> Deduplicate(std::vector<WaitEdge> edges, size_t limit) {
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  if (edges.size() > limit) edges.resize(limit);
  return edges;
}

}  // namespace insula::kv
