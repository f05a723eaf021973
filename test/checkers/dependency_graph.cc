#include "test/checkers/dependency_graph.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "test/checkers/tarjan.h"

namespace insula::checkers {

void DependencyGraph::Finish(const std::vector<Dependency>& ranking) {
  CHECK_EQ(ranking.size(), 5u);
  std::array<int, 5> rank{};
  for (size_t i = 0; i < ranking.size(); ++i) rank[static_cast<size_t>(ranking[i])] = static_cast<int>(i);
  auto rank_of = [&](const Edge& e) { return rank[static_cast<size_t>(e.type)]; };
  std::stable_sort(edges_.begin(), edges_.end(), [&](const Edge& a, const Edge& b) {
    if (a.from != b.from) return a.from < b.from;
    if (a.to != b.to) return a.to < b.to;
    return rank_of(a) < rank_of(b);
  });
  const auto same = [](const Edge& a, const Edge& b) { return a.from == b.from && a.to == b.to; };
  edges_.erase(std::unique(edges_.begin(), edges_.end(), same), edges_.end());
  Index();
}

void DependencyGraph::Index() {
  starts_.assign(static_cast<size_t>(nodes_) + 1, 0);
  for (const Edge& e : edges_) ++starts_[static_cast<size_t>(e.from) + 1];
  for (size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
}

DependencyGraph DependencyGraph::Induced(const std::vector<int>& keep) const {
  DependencyGraph out(static_cast<int>(keep.size()));
  auto renumbered = [&](int node) {
    const auto it = std::lower_bound(keep.begin(), keep.end(), node);
    return it != keep.end() && *it == node ? static_cast<int>(it - keep.begin()) : -1;
  };
  for (size_t i = 0; i < keep.size(); ++i) {
    for (Edge e : From(keep[i])) {
      e.from = static_cast<int>(i);
      e.to = renumbered(e.to);
      if (e.to >= 0) out.edges_.push_back(e);
    }
  }
  out.Index();
  return out;
}

std::vector<int> Components(const DependencyGraph& graph, DependencySet allowed) {
  return Tarjan(graph.nodes(), [&](int node, auto&& visit) {
    for (const Edge& e : graph.From(node)) {
      if (SetOf(e.type) & allowed) visit(e.to);
    }
  });
}

}  // namespace insula::checkers
