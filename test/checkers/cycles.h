// Finds cycles in a dependency graph and says which anomaly each is.
//
//   anomaly             | its edges
//   --------------------+----------------------------------------------------------
//   G0                  | ww
//   G1c                 | ww, wr; at least one wr
//   G-single-item       | ww, wr and exactly one rw
//   G-nonadjacent-item  | ww, wr and at least two rw, no two of them next to each other
//   G2-item             | ww, wr and at least two rw, two of them next to each other
//   ...-process         | the same with at least one process edge
//   ...-realtime        | the same with at least one real-time edge
//
// Each strongly connected component is searched for the worst anomalies first; what a found one implies is not searched for.
// Of each kind one cycle per component is reported, the shortest that was come by.
//
// Whether cycles of a class exist at all is decided exactly, by components ("PL-SI-cycle-exists"). Showing one can be expensive
// in a large component: each search has a budget of visited edges, and one that gives up says so.
// Not promised: a cycle that only exists by visiting a transaction twice (two smaller cycles that share it) is not reported as
// one anomaly; the smaller cycles are.
#ifndef INSULA_TEST_CHECKERS_CYCLES_H_
#define INSULA_TEST_CHECKERS_CYCLES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "test/checkers/consistency_model.h"
#include "test/checkers/dependency_graph.h"

namespace insula::checkers {

struct Cycle {
  std::string type;
  std::vector<Edge> steps;  // each begins where the one before ends; the last ends where the first begins
};

struct CycleSearch {
  std::vector<Cycle> cycles;
  Names exists;    // "PL-3-cycle-exists"...: the weakest models that the mere existence of cycles rules out
  Names gave_up;   // anomalies whose search ran out of its budget
};

// `budget`: visited edges per component and kind of anomaly.
CycleSearch FindCycles(const DependencyGraph& graph, int64_t budget);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_CYCLES_H_
