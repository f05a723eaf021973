#include "test/checkers/cycles.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "test/checkers/tarjan.h"

namespace insula::checkers {
namespace {

constexpr DependencySet kWw = SetOf(Dependency::kWw);
constexpr DependencySet kWr = SetOf(Dependency::kWr);
constexpr DependencySet kRw = SetOf(Dependency::kRw);
constexpr DependencySet kProcess = SetOf(Dependency::kProcess);
constexpr DependencySet kRealtime = SetOf(Dependency::kRealtime);

enum class Shape { kWrites, kInformation, kSingle, kNonadjacent, kAdjacent };

struct Spec {
  std::string type;
  Shape shape;
  DependencySet order = 0;  // process or real-time edges, at least one of which is needed; 0: none allowed

  DependencySet Base() const { return static_cast<DependencySet>(kWw | (shape == Shape::kWrites ? 0 : kWr) | order); }
  DependencySet Allowed() const { return static_cast<DependencySet>(Base() | (UsesRw() ? kRw : 0)); }
  bool UsesRw() const { return shape != Shape::kWrites && shape != Shape::kInformation; }
  // A cycle is searched for from each edge of this kind.
  DependencySet Start() const { return UsesRw() ? kRw : shape == Shape::kInformation ? kWr : kWw; }
};

// Worst first.
const std::vector<Spec>& Specs() {
  static const auto& specs = *[] {
    auto* out = new std::vector<Spec>;
    const std::pair<std::string, Shape> shapes[] = {{"G0", Shape::kWrites},
                                                    {"G1c", Shape::kInformation},
                                                    {"G-single-item", Shape::kSingle},
                                                    {"G-nonadjacent-item", Shape::kNonadjacent},
                                                    {"G2-item", Shape::kAdjacent}};
    const std::pair<std::string, DependencySet> variants[] = {{"", 0}, {"-process", kProcess}, {"-realtime", kRealtime}};
    for (const auto& [suffix, order] : variants) {
      for (const auto& [name, shape] : shapes) out->push_back({.type = name + suffix, .shape = shape, .order = order});
    }
    return out;
  }();
  return specs;
}

// Where a walk is in fulfilling its spec.
//   bit 0: its last edge is rw   bit 1: it has the second rw that the shape needs   bit 2: it has its process or real-time edge
using WalkState = int;
constexpr int kStates = 8;

std::optional<WalkState> Step(const Spec& spec, WalkState state, Dependency type) {
  const bool needs_second = spec.shape == Shape::kAdjacent && !(state & 2);  // the edge after the first has to be rw too
  if (type != Dependency::kRw) {
    if (needs_second) return std::nullopt;
    return (state & ~1) | (SetOf(type) & spec.order ? 4 : 0);
  }
  if (spec.shape == Shape::kAdjacent) return state | 3;
  if (spec.shape == Shape::kNonadjacent && !(state & 1)) return state | 3;
  return std::nullopt;
}

bool Closes(const Spec& spec, WalkState state) {
  if (spec.order && !(state & 4)) return false;
  if (spec.shape == Shape::kNonadjacent) return (state & 2) && !(state & 1);
  if (spec.shape == Shape::kAdjacent) return state & 2;
  return true;
}

class ComponentSearch {
 public:
  ComponentSearch(const DependencyGraph& graph, int64_t budget)
      : graph_(graph),
        budget_(budget),
        stamp_(static_cast<size_t>(graph.nodes()) * kStates, 0),
        arrived_by_(stamp_.size()) {}

  std::optional<Cycle> Find(const Spec& spec, bool* gave_up) {
    component_ = Components(graph_, spec.Allowed());
    base_ = Components(graph_, spec.Base());
    int64_t left = budget_;
    std::vector<Edge> best;
    int found = 0;
    for (int node = 0; node < graph_.nodes() && found < kEnough && best.size() != 2; ++node) {
      for (const Edge& start : graph_.From(node)) {
        if (!(SetOf(start.type) & spec.Start()) || !SameComponent(start.from, start.to)) continue;
        // With a single rw the rest is a path over base edges, which never leads to a higher component.
        if (spec.shape == Shape::kSingle && Base(start.to) < Base(start.from)) continue;
        std::vector<Edge> steps = Close(spec, start, &left);
        if (left <= 0) {
          *gave_up = best.empty();
          return Result(spec, std::move(best));
        }
        if (steps.empty()) continue;
        ++found;
        if (best.empty() || steps.size() < best.size()) best = std::move(steps);
      }
    }
    return Result(spec, std::move(best));
  }

 private:
  static constexpr int kEnough = 64;  // cycles to choose the shortest of

  int Base(int node) const { return base_[static_cast<size_t>(node)]; }
  bool SameComponent(int a, int b) const { return component_[static_cast<size_t>(a)] == component_[static_cast<size_t>(b)]; }
  static size_t At(int node, WalkState state) { return static_cast<size_t>(node) * kStates + static_cast<size_t>(state); }

  static std::optional<Cycle> Result(const Spec& spec, std::vector<Edge> steps) {
    if (steps.empty()) return std::nullopt;
    return Cycle{.type = spec.type, .steps = std::move(steps)};
  }

  // The shortest way from the end of `start` back to its beginning that makes a cycle of `spec`; empty: there is none.
  std::vector<Edge> Close(const Spec& spec, const Edge& start, int64_t* left) {
    ++round_;
    struct Position {
      int node;
      WalkState state;
    };
    std::vector<Position> queue;
    const WalkState first = SetOf(start.type) & kRw ? 1 : 0;
    queue.push_back({start.to, first});
    stamp_[At(start.to, first)] = round_;
    for (size_t head = 0; head < queue.size(); ++head) {
      const Position at = queue[head];
      for (const Edge& e : graph_.From(at.node)) {
        if (--*left <= 0) return {};
        if (!(SetOf(e.type) & spec.Allowed()) || !SameComponent(e.to, start.from)) continue;
        if (spec.shape == Shape::kSingle && Base(e.to) < Base(start.from)) continue;
        const auto state = Step(spec, at.state, e.type);
        if (!state || stamp_[At(e.to, *state)] == round_) continue;
        stamp_[At(e.to, *state)] = round_;
        arrived_by_[At(e.to, *state)] = {e, at.state};
        if (e.to != start.from) {
          queue.push_back({e.to, *state});
        } else if (Closes(spec, *state)) {
          std::vector<Edge> steps = Walk(start, first, *state);
          if (IsSimple(steps)) return steps;
        }
      }
    }
    return {};
  }

  std::vector<Edge> Walk(const Edge& start, WalkState first, WalkState last) const {
    std::vector<Edge> steps;
    int node = start.from;
    WalkState state = last;
    do {
      const Arrival& arrival = arrived_by_[At(node, state)];
      steps.push_back(arrival.edge);
      node = arrival.edge.from;
      state = arrival.before;
    } while (node != start.to || state != first);
    steps.push_back(start);
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  static bool IsSimple(const std::vector<Edge>& steps) {
    std::vector<int> nodes;
    for (const Edge& e : steps) nodes.push_back(e.from);
    std::sort(nodes.begin(), nodes.end());
    return std::adjacent_find(nodes.begin(), nodes.end()) == nodes.end();
  }

  struct Arrival {
    Edge edge;
    WalkState before = 0;
  };

  const DependencyGraph& graph_;
  const int64_t budget_;
  std::vector<int> component_;  // over all edges that the spec allows
  std::vector<int> base_;       // over those that are not rw
  int round_ = 0;
  std::vector<int> stamp_;          // by node and state: the round that came by
  std::vector<Arrival> arrived_by_;
};

// ---- does any cycle of a class exist? ----

struct ExistsSpec {
  std::string model;       // canonical; ruled out by such a cycle
  DependencySet edges;
  bool one_rw_between;     // rw edges are allowed too, if no two are next to each other
};

const std::vector<ExistsSpec>& ExistsSpecs() {
  static const auto& specs = *new std::vector<ExistsSpec>{
      {"PL-1", kWw, false},
      {"PL-2", kWw | kWr, false},
      {"PL-SI", kWw | kWr, true},
      {"PL-3", kWw | kWr | kRw, false},
      {"strong-session-PL-1", kWw | kProcess, false},
      {"strong-session-PL-2", kWw | kWr | kProcess, false},
      {"strong-session-snapshot-isolation", kWw | kWr | kProcess, true},
      {"strong-session-serializable", kWw | kWr | kRw | kProcess, false},
      {"strong-PL-1", kWw | kRealtime, false},
      {"strong-PL-2", kWw | kWr | kRealtime, false},
      {"strong-snapshot-isolation", kWw | kWr | kRealtime, true},
      {"PL-SS", kWw | kWr | kRw | kRealtime, false},
  };
  return specs;
}

bool HasCycle(const DependencyGraph& graph, const ExistsSpec& spec) {
  // Two copies of the graph: in the second one, the last edge was rw.
  const int n = graph.nodes();
  const auto component = Tarjan(spec.one_rw_between ? 2 * n : n, [&](int place, auto&& visit) {
    const bool after_rw = place >= n;
    for (const Edge& e : graph.From(after_rw ? place - n : place)) {
      if (SetOf(e.type) & spec.edges) visit(e.to);
      if (spec.one_rw_between && !after_rw && e.type == Dependency::kRw) visit(n + e.to);
    }
  });
  std::vector<int> members(component.size(), 0);
  for (int c : component) {
    if (++members[static_cast<size_t>(c)] > 1) return true;  // no edge leads from a node to itself
  }
  return false;
}

Names CyclesThatExist(const DependencyGraph& graph) {
  Names out;
  Names ruled_out;
  for (const ExistsSpec& spec : ExistsSpecs()) {
    if (ruled_out.count(spec.model) > 0 || !HasCycle(graph, spec)) continue;
    out.insert(StrCat(spec.model, "-cycle-exists"));
    ruled_out.merge(ModelsRuledOutByModels({spec.model}));
  }
  return out;
}

void SearchComponent(const DependencyGraph& graph, const std::vector<int>& nodes, int64_t budget, CycleSearch* out) {
  out->exists.merge(CyclesThatExist(graph));
  ComponentSearch search(graph, budget);
  Names implied;
  for (const Spec& spec : Specs()) {
    if (implied.count(spec.type) > 0) continue;
    bool gave_up = false;
    auto cycle = search.Find(spec, &gave_up);
    if (gave_up) out->gave_up.insert(spec.type);
    if (!cycle) continue;
    implied.merge(AnomaliesImpliedBy({spec.type}));
    for (Edge& e : cycle->steps) {
      e.from = nodes[static_cast<size_t>(e.from)];
      e.to = nodes[static_cast<size_t>(e.to)];
    }
    out->cycles.push_back(*std::move(cycle));
  }
}

}  // namespace

CycleSearch FindCycles(const DependencyGraph& graph, int64_t budget) {
  const auto component = Components(graph, kWw | kWr | kRw | kProcess | kRealtime);
  std::vector<std::vector<int>> members;
  for (int node = 0; node < graph.nodes(); ++node) {
    const auto c = static_cast<size_t>(component[static_cast<size_t>(node)]);
    if (members.size() <= c) members.resize(c + 1);
    members[c].push_back(node);
  }
  CycleSearch out;
  for (const auto& nodes : members) {
    if (nodes.size() > 1) SearchComponent(graph.Induced(nodes), nodes, budget, &out);
  }
  return out;
}

}  // namespace insula::checkers
