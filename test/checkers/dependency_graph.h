// Which transaction has to come before which, and why.
//
//   ww  `to` overwrote (or appended after) what `from` wrote        wr  `to` read what `from` wrote
//   rw  `to` overwrote what `from` read                             process, realtime  `from` ended before `to` began
//
// Between two transactions there is one edge in each direction: the one whose dependency ranks highest, as a cycle that could use
// a weaker one is a worse anomaly with the stronger one. Edges from a transaction to itself are dropped.
#ifndef INSULA_TEST_CHECKERS_DEPENDENCY_GRAPH_H_
#define INSULA_TEST_CHECKERS_DEPENDENCY_GRAPH_H_

#include <cstdint>
#include <span>
#include <vector>

namespace insula::checkers {

enum class Dependency : uint8_t { kWw, kWr, kRw, kProcess, kRealtime };

using DependencySet = uint8_t;
constexpr DependencySet SetOf(Dependency d) { return static_cast<DependencySet>(1u << static_cast<unsigned>(d)); }

struct Edge {
  int from = 0;
  int to = 0;
  Dependency type = Dependency::kWw;
  // What data dependencies are about: `before` was written or read by `from`, `after` written by `to` (wr: read by it).
  int64_t key = 0;
  int64_t before = 0;
  int64_t after = 0;
};

class DependencyGraph {
 public:
  explicit DependencyGraph(int nodes) : nodes_(nodes) {}

  void Add(const Edge& edge) {
    if (edge.from != edge.to) edges_.push_back(edge);
  }
  // After the last Add. `ranking`: all five dependencies, strongest first.
  void Finish(const std::vector<Dependency>& ranking);

  int nodes() const { return nodes_; }
  bool empty() const { return edges_.empty(); }
  // Sorted by target.
  std::span<const Edge> From(int node) const {
    const auto i = static_cast<size_t>(node);
    return std::span<const Edge>(edges_).subspan(starts_[i], starts_[i + 1] - starts_[i]);
  }
  // Only these nodes (ascending), renumbered in their order, and the edges between them.
  DependencyGraph Induced(const std::vector<int>& keep) const;

 private:
  void Index();

  int nodes_;
  std::vector<Edge> edges_;      // Finish sorts them by (from, to)
  std::vector<size_t> starts_;   // by node, one more than nodes
};

// Strongly connected components over the edges in `allowed`: the component's number by node. Components are numbered in reverse
// topological order: an edge never leads to a component with a higher number. Tarjan's algorithm, without recursion.
std::vector<int> Components(const DependencyGraph& graph, DependencySet allowed);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_DEPENDENCY_GRAPH_H_
