// What the checkers of transactional histories share: what is asked, what is answered, and what can be seen without a graph.
//
//   events ── TxnHistory ──┬── anomalies inside a transaction, of aborted and intermediate writes... ──┐
//                          └── versions of each key ── dependency graph ── cycles ────────────────────┴── TxnCheckResult
//
// Invariants, which tests hold:
//   C1  Sound: an anomaly is only reported when every execution that could have given this history has it.
//   C2  A lost transaction (outcome unknown) is taken to have happened only when somebody saw what it wrote.
//   C3  The answer is "unknown", not "valid", when no dependency could be inferred at all or a search gave up.
#ifndef INSULA_TEST_CHECKERS_TXN_CHECK_H_
#define INSULA_TEST_CHECKERS_TXN_CHECK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "test/checkers/consistency_model.h"
#include "test/checkers/dependency_graph.h"
#include "test/checkers/txn_history.h"

namespace insula::checkers {

enum class Verdict { kValid, kInvalid, kUnknown };

// "true", "false", "unknown"
std::string VerdictName(Verdict verdict);

// Orders beyond data, each including the ones before it.
enum class SessionOrder { kNone, kProcess, kRealtime };

struct TxnCheckOptions {
  // What should hold. With neither models nor anomalies: strict-serializable.
  Names consistency_models;
  Names anomalies;  // these, and what implies them, are forbidden too

  // The history holds all writes that there ever were, so a read of anything else is an anomaly (unwritten-read).
  bool all_writes_known = false;

  // Registers only: what the order of a key's values may be inferred from.
  bool writes_follow_reads = false;   // within a transaction
  bool sequential_keys = false;       // each key by itself is sequentially consistent
  bool linearizable_keys = false;     // each key by itself is linearizable

  SessionOrder least_order = SessionOrder::kNone;  // to look at, whatever is asked

  int64_t search_budget = 30'000'000;  // visited edges per component and kind of cycle
};

struct TxnCheckResult {
  Verdict verdict = Verdict::kUnknown;
  // Of those that were asked for: each kind with its cases in readable text (at most kCasesShown of them).
  std::map<std::string, std::vector<std::string>> anomalies;
  Names found;        // all kinds that were found, asked for or not
  Names ruled_out;    // all models (canonical names) that cannot hold
  Names weakest_ruled_out;  // the weakest of them (friendly names)
  std::string error;  // why nothing could be checked

  std::string ToString() const;
};

inline constexpr size_t kCasesShown = 8;

// Collects anomalies while a checker runs, then draws the conclusion.
class TxnFindings {
 public:
  // `describe` is called only for the cases that are shown.
  void Add(const std::string& anomaly, const std::function<std::string()>& describe);
  TxnCheckResult Conclude(const TxnCheckOptions& options) const;
  bool Has(const std::string& anomaly) const { return cases_.count(anomaly) > 0; }

 private:
  std::map<std::string, std::vector<std::string>> cases_;
};

// Which order beyond data the asked models need, or least_order if that is more.
SessionOrder NeededOrder(const TxnCheckOptions& options);

// a -> b: a committed before b began, without what follows from other edges.
void AddRealtimeEdges(const TxnHistory& history, DependencyGraph* graph);
// a -> b: both committed, b is the next of the same process.
void AddProcessEdges(const TxnHistory& history, DependencyGraph* graph);

// G1a: committed reads of what aborted transactions wrote. G1b: of what is not the last write of its transaction to the key.
// Lost updates: two committed transactions that read the same version of a key and both write it.
void FindDirtyReads(const TxnHistory& history, TxnFindings* findings);
void FindLostUpdates(const TxnHistory& history, TxnFindings* findings);

// Finds cycles and explains them; `explain(edge, a, b)` says why a comes before b, as a sentence that begins with a or b.
using ExplainEdge = std::function<std::string(const Edge&, const std::string& a, const std::string& b)>;
void FindAndExplainCycles(const TxnHistory& history, const DependencyGraph& graph, const TxnCheckOptions& options,
                          const ExplainEdge& explain, TxnFindings* findings);
// For real-time and process edges.
std::string ExplainOrderEdge(const TxnHistory& history, const Edge& edge, const std::string& a, const std::string& b);

}  // namespace insula::checkers

#endif  // INSULA_TEST_CHECKERS_TXN_CHECK_H_
