// Tarjan's strongly connected components over any graph of numbered nodes, without recursion.
#ifndef INSULA_TEST_CHECKERS_TARJAN_H_
#define INSULA_TEST_CHECKERS_TARJAN_H_

#include <algorithm>
#include <vector>

namespace insula::checkers {

// `successors(node, visit)` calls visit(next) for each edge. Returns the component's number by node; an edge never leads to a
// component with a higher number.
template <typename Successors>
std::vector<int> Tarjan(int nodes, Successors successors) {
  struct Frame {
    int node;
    std::vector<int> next;  // not visited yet
  };
  const auto n = static_cast<size_t>(nodes);
  std::vector<int> component(n, -1);
  std::vector<int> order(n, -1);
  std::vector<int> low(n, 0);
  std::vector<int> open;  // visited, component not known
  std::vector<Frame> path;
  int visited = 0;
  int components = 0;
  auto enter = [&](int node) {
    const auto v = static_cast<size_t>(node);
    order[v] = low[v] = visited++;
    open.push_back(node);
    Frame frame{.node = node, .next = {}};
    successors(node, [&](int to) {
      if (component[static_cast<size_t>(to)] < 0) frame.next.push_back(to);
    });
    path.push_back(std::move(frame));
  };
  for (int start = 0; start < nodes; ++start) {
    if (order[static_cast<size_t>(start)] >= 0) continue;
    enter(start);
    while (!path.empty()) {
      const auto v = static_cast<size_t>(path.back().node);
      if (!path.back().next.empty()) {
        const int to = path.back().next.back();
        path.back().next.pop_back();
        const auto w = static_cast<size_t>(to);
        if (order[w] < 0) {
          enter(to);
        } else if (component[w] < 0) {
          low[v] = std::min(low[v], order[w]);
        }
        continue;
      }
      if (low[v] == order[v]) {
        int node = -1;
        do {
          node = open.back();
          open.pop_back();
          component[static_cast<size_t>(node)] = components;
        } while (node != static_cast<int>(v));
        ++components;
      }
      path.pop_back();
      if (!path.empty()) {
        const auto parent = static_cast<size_t>(path.back().node);
        low[parent] = std::min(low[parent], low[v]);
      }
    }
  }
  return component;
}

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_TARJAN_H_
