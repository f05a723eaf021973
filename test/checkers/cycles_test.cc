#include "test/checkers/cycles.h"

#include <functional>
#include <optional>
#include <random>

#include "gtest/gtest.h"

namespace insula::checkers {
namespace {

constexpr auto kWw = Dependency::kWw;
constexpr auto kWr = Dependency::kWr;
constexpr auto kRw = Dependency::kRw;
constexpr auto kProcess = Dependency::kProcess;
constexpr auto kRealtime = Dependency::kRealtime;
constexpr int64_t kBudget = 1'000'000;

DependencyGraph Graph(int nodes, const std::vector<Edge>& edges) {
  DependencyGraph graph(nodes);
  for (const Edge& e : edges) graph.Add(e);
  graph.Finish({kWw, kWr, kRw, kProcess, kRealtime});
  return graph;
}

// A ring of these dependencies.
DependencyGraph Ring(const std::vector<Dependency>& types) {
  std::vector<Edge> edges;
  const int n = static_cast<int>(types.size());
  for (int i = 0; i < n; ++i) edges.push_back({.from = i, .to = (i + 1) % n, .type = types[static_cast<size_t>(i)]});
  return Graph(n, edges);
}

Names TypesOf(const CycleSearch& search) {
  Names out;
  for (const Cycle& c : search.cycles) out.insert(c.type);
  return out;
}

Names Types(const DependencyGraph& graph) { return TypesOf(FindCycles(graph, kBudget)); }

TEST(Cycles, EachAnomalyHasItsName) {
  EXPECT_EQ(Types(Ring({kWw, kWw})), Names{"G0"});
  EXPECT_EQ(Types(Ring({kWw, kWr})), Names{"G1c"});
  EXPECT_EQ(Types(Ring({kWr, kWr, kWw})), Names{"G1c"});
  EXPECT_EQ(Types(Ring({kRw, kWr})), Names{"G-single-item"});
  EXPECT_EQ(Types(Ring({kRw, kWr, kRw, kWw})), Names{"G-nonadjacent-item"});
  EXPECT_EQ(Types(Ring({kRw, kRw})), Names{"G2-item"});
  EXPECT_EQ(Types(Ring({kRw, kWr, kRw})), Names{"G2-item"});  // the last rw and the first are next to each other
  EXPECT_EQ(Types(Ring({kRw, kRw, kWw, kRw, kWw})), Names{"G2-item"});
  EXPECT_EQ(Types(Ring({kWw, kProcess})), Names{"G0-process"});
  EXPECT_EQ(Types(Ring({kWr, kRealtime})), Names{"G1c-realtime"});
  EXPECT_EQ(Types(Ring({kRw, kRealtime})), Names{"G-single-item-realtime"});
  EXPECT_EQ(Types(Ring({kRw, kProcess, kRw, kProcess})), Names{"G-nonadjacent-item-process"});
  EXPECT_EQ(Types(Ring({kRw, kRw, kRealtime})), Names{"G2-item-realtime"});
}

TEST(Cycles, NoneInWhatHasAnOrder) {
  std::vector<Edge> edges;
  for (int i = 0; i < 20; ++i) {
    for (int j = i + 1; j < 20; ++j) edges.push_back({.from = i, .to = j, .type = static_cast<Dependency>((i + j) % 5)});
  }
  const auto search = FindCycles(Graph(20, edges), kBudget);
  EXPECT_TRUE(search.cycles.empty());
  EXPECT_TRUE(search.exists.empty());
}

TEST(Cycles, TheShortestOneIsShown) {
  auto edges = std::vector<Edge>{{.from = 0, .to = 1, .type = kWw}, {.from = 1, .to = 2, .type = kWw},
                                 {.from = 2, .to = 3, .type = kWw}, {.from = 3, .to = 0, .type = kWw},
                                 {.from = 3, .to = 2, .type = kWw}};
  const auto search = FindCycles(Graph(4, edges), kBudget);
  ASSERT_EQ(search.cycles.size(), 1u);
  EXPECT_EQ(search.cycles[0].steps.size(), 2u);
}

TEST(Cycles, OneEdgePerPairAndTheStrongestWins) {
  // 0 -> 1 is rw and ww: with ww, the ring is G0.
  EXPECT_EQ(Types(Graph(2, {{.from = 0, .to = 1, .type = kRw}, {.from = 0, .to = 1, .type = kWw}, {.from = 1, .to = 0, .type = kWw}})),
            Names{"G0"});
}

TEST(Cycles, EachComponentIsSearched) {
  EXPECT_EQ(Types(Graph(4, {{.from = 0, .to = 1, .type = kRw}, {.from = 1, .to = 0, .type = kRw},
                            {.from = 1, .to = 2, .type = kWw},
                            {.from = 2, .to = 3, .type = kWr}, {.from = 3, .to = 2, .type = kWw}})),
            (Names{"G1c", "G2-item"}));
}

TEST(Cycles, ASearchWithoutBudgetSaysSoAndStillKnowsThatThereIsOne) {
  const auto search = FindCycles(Ring({kRw, kWr, kWr, kWr, kWr, kWr}), 3);
  EXPECT_TRUE(search.cycles.empty());
  EXPECT_EQ(search.gave_up.count("G-single-item"), 1u);
  EXPECT_EQ(search.exists, Names{"PL-SI-cycle-exists"});
}

// ---- against all simple cycles of small random graphs ----

std::string Classify(const std::vector<Edge>& steps) {
  int rw = 0;
  int wr = 0;
  int data = 0;
  bool adjacent = false;
  bool process = false;
  bool realtime = false;
  for (size_t i = 0; i < steps.size(); ++i) {
    const Dependency type = steps[i].type;
    rw += type == kRw;
    wr += type == kWr;
    data += type == kRw || type == kWr || type == kWw;
    adjacent = adjacent || (type == kRw && steps[(i + 1) % steps.size()].type == kRw);
    process = process || type == kProcess;
    realtime = realtime || type == kRealtime;
  }
  if (data == 0) return "";  // real orders have no cycles; random graphs may
  std::string name = rw == 1 ? "G-single-item" : rw > 1 ? (adjacent ? "G2-item" : "G-nonadjacent-item") : wr > 0 ? "G1c" : "G0";
  if (process && realtime) return "";
  return name + (process ? "-process" : realtime ? "-realtime" : "");
}

Names TypesOfAllSimpleCycles(const DependencyGraph& graph) {
  Names types;
  std::vector<Edge> path;
  std::vector<bool> on_path(static_cast<size_t>(graph.nodes()), false);
  std::function<void(int, int)> walk = [&](int first, int at) {
    for (const Edge& e : graph.From(at)) {
      if (e.to < first) continue;
      path.push_back(e);
      if (e.to == first) {
        types.insert(Classify(path));
      } else if (!on_path[static_cast<size_t>(e.to)]) {
        on_path[static_cast<size_t>(e.to)] = true;
        walk(first, e.to);
        on_path[static_cast<size_t>(e.to)] = false;
      }
      path.pop_back();
    }
  };
  for (int first = 0; first < graph.nodes(); ++first) walk(first, first);
  types.erase("");
  return types;
}

TEST(Cycles, FoundTypesAreThoseOfTheSimpleCyclesOfRandomGraphs) {
  std::mt19937 random(1);
  int with_cycles = 0;
  for (int round = 0; round < 4000; ++round) {
    const int n = 2 + static_cast<int>(random() % 6);
    const int edges = static_cast<int>(random() % static_cast<unsigned>(n + 4));
    // Order edges only forwards, as time has no cycles; data edges anywhere.
    const Dependency order = random() % 2 ? kProcess : kRealtime;
    DependencyGraph graph(n);
    for (int i = 0; i < edges; ++i) {
      const int a = static_cast<int>(random() % static_cast<unsigned>(n));
      const int b = static_cast<int>(random() % static_cast<unsigned>(n));
      const bool is_order = random() % 4 == 0;
      const Dependency data = static_cast<Dependency>(random() % 3);
      graph.Add({.from = is_order ? std::min(a, b) : a, .to = is_order ? std::max(a, b) : b, .type = is_order ? order : data});
    }
    graph.Finish({kWw, kWr, kRw, kProcess, kRealtime});
    const Names all = TypesOfAllSimpleCycles(graph);
    const CycleSearch search = FindCycles(graph, kBudget);
    with_cycles += all.empty() ? 0 : 1;
    for (const std::string& type : TypesOf(search)) EXPECT_EQ(all.count(type), 1u) << "round " << round << ": " << type;
    const Names covered = AnomaliesImpliedBy(TypesOf(search));
    for (const std::string& type : all) EXPECT_EQ(covered.count(type), 1u) << "round " << round << ": missed " << type;
    for (const Cycle& cycle : search.cycles) {
      EXPECT_EQ(Classify(cycle.steps), cycle.type) << "round " << round;
      for (size_t i = 0; i < cycle.steps.size(); ++i) {
        EXPECT_EQ(cycle.steps[i].to, cycle.steps[(i + 1) % cycle.steps.size()].from);
      }
    }
    EXPECT_EQ(search.exists.empty(), all.empty()) << "round " << round;
  }
  EXPECT_GT(with_cycles, 500);
}

}  // namespace
}  // namespace insula::checkers
