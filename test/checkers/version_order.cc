#include "test/checkers/version_order.h"

#include <algorithm>

#include "base/strings.h"
#include "test/checkers/tarjan.h"

namespace insula::checkers {
namespace {

using Externals = std::vector<std::map<int64_t, External>>;

void Order(VersionOrder* order, int64_t key, int64_t earlier, int64_t later) {
  if (earlier != later) (*order)[key].insert({earlier, later});
}

VersionOrder NilFirst(const Externals& externals) {
  VersionOrder order;
  for (const auto& of_txn : externals) {
    for (const auto& [key, e] : of_txn) {
      if (e.writes) Order(&order, key, kNil, e.written);
      if (e.reads) Order(&order, key, kNil, e.read);
    }
  }
  return order;
}

VersionOrder WritesFollowReads(const Externals& externals) {
  VersionOrder order;
  for (const auto& of_txn : externals) {
    for (const auto& [key, e] : of_txn) {
      if (e.reads && e.writes && e.read != kNil) Order(&order, key, e.read, e.written);
    }
  }
  return order;
}

// What happens to one key, in the order of the history.
struct Moment {
  int position;
  int txn;
  bool begins;
};

std::map<int64_t, std::vector<Moment>> MomentsByKey(const TxnHistory& history, const Externals& externals) {
  std::map<int64_t, std::vector<Moment>> moments;
  for (size_t i = 0; i < externals.size(); ++i) {
    const Txn& t = history.txns()[i];
    for (const auto& [key, e] : externals[i]) {
      if (t.invoked_at >= 0) moments[key].push_back({t.invoked_at, static_cast<int>(i), true});
      if (t.completed_at >= 0) moments[key].push_back({t.completed_at, static_cast<int>(i), false});
    }
  }
  for (auto& [key, list] : moments) {
    std::sort(list.begin(), list.end(), [](const Moment& a, const Moment& b) { return a.position < b.position; });
  }
  return moments;
}

VersionOrder ByProcess(const TxnHistory& history, const Externals& externals) {
  VersionOrder order;
  for (const auto& [key, moments] : MomentsByKey(history, externals)) {
    std::map<std::string, int> last;
    for (const Moment& m : moments) {
      const Txn& t = history.txns()[static_cast<size_t>(m.txn)];
      if (m.begins || !t.committed()) continue;
      const auto [it, first] = last.try_emplace(t.process, m.txn);
      if (!first) {
        Order(&order, key, externals[static_cast<size_t>(it->second)].at(key).Last(),
              externals[static_cast<size_t>(m.txn)].at(key).First());
      }
      it->second = m.txn;
    }
  }
  return order;
}

VersionOrder ByRealtime(const TxnHistory& history, const Externals& externals) {
  VersionOrder order;
  std::vector<std::vector<int>> before(externals.size());  // by transaction, of the key at hand: those that ended before it began
  for (const auto& [key, moments] : MomentsByKey(history, externals)) {
    std::set<int> ended;
    for (const Moment& m : moments) {
      auto& mine = before[static_cast<size_t>(m.txn)];
      if (m.begins) {
        mine.assign(ended.begin(), ended.end());
        for (int from : mine) {
          Order(&order, key, externals[static_cast<size_t>(from)].at(key).Last(),
                externals[static_cast<size_t>(m.txn)].at(key).First());
        }
      } else if (history.txns()[static_cast<size_t>(m.txn)].committed()) {
        for (int from : mine) ended.erase(from);
        ended.insert(m.txn);
      }
      if (!m.begins) mine.clear();
    }
    for (const Moment& m : moments) before[static_cast<size_t>(m.txn)].clear();
  }
  return order;
}

// Versions of one key that precede each other; empty: there are none.
std::vector<int64_t> VersionsInCycle(const std::set<std::pair<int64_t, int64_t>>& order) {
  std::vector<int64_t> versions;
  for (const auto& [a, b] : order) versions.insert(versions.end(), {a, b});
  std::sort(versions.begin(), versions.end());
  versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
  auto number = [&](int64_t v) { return static_cast<int>(std::lower_bound(versions.begin(), versions.end(), v) - versions.begin()); };
  const auto component = Tarjan(static_cast<int>(versions.size()), [&](int node, auto&& visit) {
    const int64_t v = versions[static_cast<size_t>(node)];
    for (auto it = order.lower_bound({v, kNil}); it != order.end() && it->first == v; ++it) visit(number(it->second));
  });
  std::map<int, std::vector<int64_t>> members;
  for (size_t i = 0; i < versions.size(); ++i) members[component[i]].push_back(versions[i]);
  for (const auto& [c, list] : members) {
    if (list.size() > 1) return list;
  }
  return {};
}

// Adds `more` to `order`, unless the two contradict each other.
void Merge(const TxnHistory& history, const char* source, const VersionOrder& more, VersionOrder* order, TxnFindings* findings) {
  VersionOrder merged = *order;
  for (const auto& [key, pairs] : more) merged[key].insert(pairs.begin(), pairs.end());
  bool cyclic = false;
  for (const auto& [key, pairs] : merged) {
    const auto cycle = VersionsInCycle(pairs);
    if (cycle.empty()) continue;
    cyclic = true;
    findings->Add("cyclic-versions", [&, key = key] {
      std::string out = StrCat("versions of key ", history.KeyName(key), " precede each other (", source, "):");
      for (int64_t v : cycle) StrAppend(&out, " ", history.ElementName(v));
      return out;
    });
  }
  if (!cyclic) *order = std::move(merged);
}

}  // namespace

std::map<int64_t, External> ExternalsOf(const Txn& txn) {
  std::map<int64_t, External> out;
  if (txn.aborted()) return out;
  for (const MicroOp& op : txn.ops) {
    if (op.kind == MicroOp::Kind::kRead) {
      if (!txn.committed() || !op.known) continue;
      External& e = out[op.key];
      if (e.reads || e.writes) continue;
      e.reads = true;
      e.read = op.value;
    } else {
      External& e = out[op.key];
      e.writes = true;
      e.written = op.value;
    }
  }
  return out;
}

VersionOrder InferVersionOrder(const TxnHistory& history, const Externals& externals, const TxnCheckOptions& options,
                               TxnFindings* findings) {
  VersionOrder order;
  Merge(history, "nil comes first", NilFirst(externals), &order, findings);
  if (options.writes_follow_reads) {
    Merge(history, "writes follow reads", WritesFollowReads(externals), &order, findings);
  }
  if (options.sequential_keys) Merge(history, "keys are sequential", ByProcess(history, externals), &order, findings);
  if (options.linearizable_keys) Merge(history, "keys are linearizable", ByRealtime(history, externals), &order, findings);
  return order;
}

}  // namespace insula::checkers
