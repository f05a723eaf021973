#include "test/checkers/txn_check.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "absl/container/flat_hash_map.h"
#include "test/checkers/cycles.h"

namespace insula::checkers {
namespace {

// Anomalies that make the answer unknown instead of wrong.
const Names& UnknownAnomalies() {
  static const auto& names = *new Names{"empty-transaction-graph", "cycle-search-timeout"};
  return names;
}

Names ForbiddenBy(const TxnCheckOptions& options) {
  Names models = options.consistency_models;
  if (models.empty() && options.anomalies.empty()) models = {"strict-serializable"};
  Names forbidden = AnomaliesForbiddenBy(models);
  forbidden.merge(AnomaliesImplying(options.anomalies));
  return forbidden;
}

bool EndsWith(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && std::string_view(text).substr(text.size() - end.size()) == end;
}

// "A cycle exists somewhere" is of no interest when a case that is shown rules out the same model.
void DropCoveredCycleExists(std::map<std::string, std::vector<std::string>>* anomalies) {
  constexpr std::string_view kExists = "-cycle-exists";
  Names shown;
  for (const auto& [name, cases] : *anomalies) {
    if (!EndsWith(name, kExists)) shown.insert(name);
  }
  const Names ruled_out = ModelsRuledOutBy(shown);
  std::erase_if(*anomalies, [&](const auto& entry) {
    return EndsWith(entry.first, kExists) && ruled_out.count(entry.first.substr(0, entry.first.size() - kExists.size())) > 0;
  });
}

// Positions of the history at which something happens, in order: (position, transaction, whether it begins).
struct Moment {
  int position;
  int txn;
  bool begins;
};

std::vector<Moment> Moments(const TxnHistory& history) {
  std::vector<Moment> moments;
  for (size_t i = 0; i < history.txns().size(); ++i) {
    const Txn& t = history.txns()[i];
    if (t.invoked_at >= 0) moments.push_back({t.invoked_at, static_cast<int>(i), true});
    if (t.completed_at >= 0) moments.push_back({t.completed_at, static_cast<int>(i), false});
  }
  std::sort(moments.begin(), moments.end(), [](const Moment& a, const Moment& b) { return a.position < b.position; });
  return moments;
}

using KeyAndValue = std::pair<int64_t, int64_t>;

}  // namespace

std::string VerdictName(Verdict verdict) {
  return verdict == Verdict::kValid ? "true" : verdict == Verdict::kInvalid ? "false" : "unknown";
}

std::string TxnCheckResult::ToString() const {
  std::string out = StrCat("valid: ", VerdictName(verdict), "\n");
  if (!error.empty()) StrAppend(&out, error, "\n");
  if (!weakest_ruled_out.empty()) StrAppend(&out, "not: ", StrJoin(weakest_ruled_out, ", "), "\n");
  for (const auto& [name, cases] : anomalies) {
    for (const std::string& text : cases) StrAppend(&out, "\n", name, "\n", text, "\n");
  }
  return out;
}

void TxnFindings::Add(const std::string& anomaly, const std::function<std::string()>& describe) {
  auto& cases = cases_[anomaly];
  if (cases.size() < kCasesShown) cases.push_back(describe());
}

TxnCheckResult TxnFindings::Conclude(const TxnCheckOptions& options) const {
  TxnCheckResult result;
  const Names forbidden = ForbiddenBy(options);
  bool invalid = false;
  for (const auto& [name, cases] : cases_) {
    result.found.insert(name);
    const bool bad = forbidden.count(name) > 0;
    invalid = invalid || bad;
    if (bad || UnknownAnomalies().count(name) > 0) result.anomalies[name] = cases;
  }
  DropCoveredCycleExists(&result.anomalies);
  result.verdict = invalid ? Verdict::kInvalid : result.anomalies.empty() ? Verdict::kValid : Verdict::kUnknown;
  result.ruled_out = ModelsRuledOutBy(result.found);
  result.weakest_ruled_out = WeakestModels(result.ruled_out);
  return result;
}

SessionOrder NeededOrder(const TxnCheckOptions& options) {
  bool process = false;
  for (const std::string& name : ForbiddenBy(options)) {
    if (name == "G1-realtime") continue;  // a union of others, no cycle of its own
    if (EndsWith(name, "-realtime")) return SessionOrder::kRealtime;
    process = process || (EndsWith(name, "-process") && name != "G1-process");
  }
  return std::max(process ? SessionOrder::kProcess : SessionOrder::kNone, options.least_order);
}

void AddRealtimeEdges(const TxnHistory& history, DependencyGraph* graph) {
  std::vector<std::vector<int>> before(history.txns().size());  // by transaction: those that ended before it began
  std::set<int> ended;  // committed; what ends before one of them began is left out
  for (const Moment& m : Moments(history)) {
    auto& mine = before[static_cast<size_t>(m.txn)];
    if (m.begins) {
      mine.assign(ended.begin(), ended.end());
      for (int from : mine) graph->Add({.from = from, .to = m.txn, .type = Dependency::kRealtime});
    } else if (history.txns()[static_cast<size_t>(m.txn)].committed()) {
      for (int from : mine) ended.erase(from);
      ended.insert(m.txn);
    }
  }
}

void AddProcessEdges(const TxnHistory& history, DependencyGraph* graph) {
  std::map<std::string, int> last;
  for (const Moment& m : Moments(history)) {
    const Txn& t = history.txns()[static_cast<size_t>(m.txn)];
    if (m.begins || !t.committed()) continue;
    const auto [it, first] = last.try_emplace(t.process, m.txn);
    if (!first) graph->Add({.from = it->second, .to = m.txn, .type = Dependency::kProcess});
    it->second = m.txn;
  }
}

void FindDirtyReads(const TxnHistory& history, TxnFindings* findings) {
  absl::flat_hash_map<KeyAndValue, int> aborted;       // looked up only
  absl::flat_hash_map<KeyAndValue, int> intermediate;  // looked up only
  for (size_t i = 0; i < history.txns().size(); ++i) {
    const Txn& t = history.txns()[i];
    std::map<int64_t, int64_t> last;  // by key: what this transaction wrote last
    for (const MicroOp& op : t.ops) {
      if (op.kind == MicroOp::Kind::kRead) continue;
      if (t.aborted()) aborted[{op.key, op.value}] = static_cast<int>(i);
      const auto [it, first] = last.try_emplace(op.key, op.value);
      if (!first) intermediate[{op.key, it->second}] = static_cast<int>(i);
      it->second = op.value;
    }
  }
  if (aborted.empty() && intermediate.empty()) return;
  for (size_t i = 0; i < history.txns().size(); ++i) {
    const int reader = static_cast<int>(i);
    if (!history.txns()[i].committed()) continue;
    for (const MicroOp& op : history.txns()[i].ops) {
      if (op.kind != MicroOp::Kind::kRead || !op.known) continue;
      auto report = [&](const char* anomaly, int64_t element, int writer, const char* what) {
        findings->Add(anomaly, [&] {
          return StrCat("T1 read ", history.ElementName(element), " of key ", history.KeyName(op.key), ", ", what, "\n  ",
                        history.Describe(reader, "T1"), "\n  ", history.Describe(writer, "T2"));
        });
      };
      auto check_aborted = [&](int64_t element) {
        const auto it = aborted.find({op.key, element});
        if (it != aborted.end()) report("G1a", element, it->second, "which T2 wrote, which aborted");
      };
      if (op.value != kNil) check_aborted(op.value);
      for (int64_t element : op.list) check_aborted(element);
      const int64_t version = op.list.empty() ? op.value : op.list.back();
      const auto it = intermediate.find({op.key, version});
      if (version != kNil && it != intermediate.end() && it->second != reader) {
        report("G1b", version, it->second, "which was not T2's last write to it");
      }
    }
  }
}

void FindLostUpdates(const TxnHistory& history, TxnFindings* findings) {
  // Versions as lists: a register's is its only element.
  std::map<std::pair<int64_t, std::vector<int64_t>>, std::vector<int>> updates;
  for (size_t i = 0; i < history.txns().size(); ++i) {
    const Txn& t = history.txns()[i];
    if (!t.committed()) continue;
    std::map<int64_t, const MicroOp*> reads;  // by key: the first read, if it came before any write
    std::set<int64_t> written;
    for (const MicroOp& op : t.ops) {
      if (op.kind == MicroOp::Kind::kRead) {
        if (op.known && written.count(op.key) == 0) reads.try_emplace(op.key, &op);
      } else if (written.insert(op.key).second && reads.count(op.key) > 0) {
        const MicroOp& read = *reads[op.key];
        std::vector<int64_t> version = read.list;
        if (version.empty() && read.value != kNil) version = {read.value};
        updates[{op.key, std::move(version)}].push_back(static_cast<int>(i));
      }
    }
  }
  for (const auto& [version, txns] : updates) {
    if (txns.size() < 2) continue;
    findings->Add("lost-update", [&] {
      std::string out = StrCat("these read the same version of key ", history.KeyName(version.first), " and wrote the next");
      for (size_t i = 0; i < std::min(txns.size(), kCasesShown); ++i) {
        StrAppend(&out, "\n  ", history.Describe(txns[i], StrCat("T", i + 1)));
      }
      return out;
    });
  }
}

std::string ExplainOrderEdge(const TxnHistory& history, const Edge& edge, const std::string& a, const std::string& b) {
  const Txn& from = history.txns()[static_cast<size_t>(edge.from)];
  const Txn& to = history.txns()[static_cast<size_t>(edge.to)];
  if (edge.type == Dependency::kProcess) return StrCat("process ", from.process, " executed ", a, " before ", b);
  return StrCat(a, " had ended (at ", from.completed_at, ") when ", b, " began (at ", to.invoked_at, ")");
}

void FindAndExplainCycles(const TxnHistory& history, const DependencyGraph& graph, const TxnCheckOptions& options,
                          const ExplainEdge& explain, TxnFindings* findings) {
  if (graph.empty()) {
    findings->Add("empty-transaction-graph", [] { return "no transaction could be related to another"; });
    return;
  }
  const CycleSearch search = FindCycles(graph, options.search_budget);
  for (const std::string& name : search.exists) {
    findings->Add(name, [] { return "dependencies of such a kind form a cycle somewhere"; });
  }
  for (const std::string& name : search.gave_up) {
    findings->Add("cycle-search-timeout", [&] { return StrCat("the search for ", name, " gave up"); });
  }
  for (const Cycle& cycle : search.cycles) {
    findings->Add(cycle.type, [&] {
      const size_t n = cycle.steps.size();
      auto name = [&](size_t i) { return StrCat("T", i % n + 1); };
      std::string out = "Let";
      for (size_t i = 0; i < n; ++i) StrAppend(&out, "\n  ", history.Describe(cycle.steps[i].from, name(i)));
      StrAppend(&out, "\nThen");
      for (size_t i = 0; i < n; ++i) {
        StrAppend(&out, "\n  ", i + 1 < n ? "" : "but ", name(i), " < ", name(i + 1), ": ",
                  explain(cycle.steps[i], name(i), name(i + 1)));
      }
      return out;
    });
  }
}

}  // namespace insula::checkers
