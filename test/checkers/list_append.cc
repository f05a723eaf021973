#include "test/checkers/list_append.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "base/strings.h"

namespace insula::checkers {
namespace {

using KeyAndElement = std::pair<int64_t, int64_t>;

// One key's elements in the order in which the database appended them, as far as reads tell.
struct Versions {
  std::vector<int64_t> order;
  absl::flat_hash_map<int64_t, size_t> position;                 // looked up only
  absl::flat_hash_map<int64_t, std::vector<int>> readers;        // looked up only; by last element read, kNil: the empty list
  const MicroOp* longest = nullptr;
  int longest_reader = -1;
  int appends = 0;           // by transactions that may have happened
  int64_t only_append = 0;
};

bool IsPrefix(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  return a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin());
}

std::optional<int64_t> Duplicate(const std::vector<int64_t>& list) {
  std::vector<int64_t> sorted = list;
  std::sort(sorted.begin(), sorted.end());
  const auto it = std::adjacent_find(sorted.begin(), sorted.end());
  return it == sorted.end() ? std::nullopt : std::optional(*it);
}

class ListAppendCheck {
 public:
  ListAppendCheck(const TxnHistory& history, const TxnCheckOptions& options)
      : history_(history), options_(options), graph_(static_cast<int>(history.txns().size())) {}

  TxnCheckResult Run() {
    if (std::string error = IndexWriters(); !error.empty()) {
      TxnCheckResult result;
      result.error = error;
      return result;
    }
    FindDirtyReads(history_, &findings_);
    FindLostUpdates(history_, &findings_);
    FindListInternal(history_, &findings_);
    IndexVersions();
    CheckReads();
    FindDirtyUpdates();
    BuildGraph();
    FindAndExplainCycles(
        history_, graph_, options_,
        [this](const Edge& e, const std::string& a, const std::string& b) { return Explain(e, a, b); }, &findings_);
    return findings_.Conclude(options_);
  }

 private:
  const Txn& TxnAt(int txn) const { return history_.txns()[static_cast<size_t>(txn)]; }
  int TxnCount() const { return static_cast<int>(history_.txns().size()); }

  std::optional<int> Writer(int64_t key, int64_t element) const {
    const auto it = writers_.find({key, element});
    return it == writers_.end() ? std::nullopt : std::optional(it->second);
  }

  // Returns why the history cannot be checked, if it cannot.
  std::string IndexWriters() {
    for (int i = 0; i < TxnCount(); ++i) {
      for (const MicroOp& op : TxnAt(i).ops) {
        if (op.kind == MicroOp::Kind::kWrite) return "a write of a register in a history of lists";
        if (op.kind != MicroOp::Kind::kAppend) continue;
        if (!writers_.try_emplace({op.key, op.value}, i).second) {
          return StrCat("element ", history_.ElementName(op.value), " was appended to key ", history_.KeyName(op.key), " twice");
        }
      }
    }
    return "";
  }

  void IndexVersions() {
    for (int i = 0; i < TxnCount(); ++i) {
      if (TxnAt(i).aborted()) continue;
      for (const MicroOp& op : TxnAt(i).ops) {
        Versions& v = versions_[op.key];
        if (op.kind == MicroOp::Kind::kAppend) {
          ++v.appends;
          v.only_append = op.value;
        } else if (op.known) {
          auto& readers = v.readers[op.list.empty() ? kNil : op.list.back()];
          if (readers.empty() || readers.back() != i) readers.push_back(i);
          if (v.longest == nullptr || op.list.size() > v.longest->list.size()) {
            v.longest = &op;
            v.longest_reader = i;
          }
        }
      }
    }
    for (auto& [key, v] : versions_) {
      if (v.longest != nullptr && !v.longest->list.empty()) {
        for (int64_t element : v.longest->list) {
          if (v.position.try_emplace(element, v.order.size()).second) v.order.push_back(element);
        }
      } else if (v.appends == 1) {  // there is only one order of one element
        v.position[v.only_append] = 0;
        v.order.push_back(v.only_append);
      }
    }
  }

  // Each read by itself: duplicates, elements out of nowhere; and against the key's longest read.
  void CheckReads() {
    std::set<int64_t> told;  // keys whose incompatible reads are reported
    for (int i = 0; i < TxnCount(); ++i) {
      if (TxnAt(i).aborted()) continue;
      for (const MicroOp& op : TxnAt(i).ops) {
        if (op.kind != MicroOp::Kind::kRead || op.list.empty()) continue;
        const Versions& v = versions_[op.key];
        const bool prefix = IsPrefix(op.list, v.longest->list);
        if (!prefix && told.insert(op.key).second) {
          findings_.Add("incompatible-order", [&] {
            return StrCat("T1 and T2 read key ", history_.KeyName(op.key), " in orders that exclude each other\n  ",
                          history_.Describe(i, "T1"), "\n  ", history_.Describe(v.longest_reader, "T2"));
          });
        }
        if (!prefix || &op == v.longest || op.list.size() > v.order.size()) CheckDuplicates(i, op);
        if (options_.all_writes_known) CheckWritten(i, op);
      }
    }
  }

  void CheckDuplicates(int txn, const MicroOp& op) {
    const auto duplicate = Duplicate(op.list);
    if (!duplicate) return;
    findings_.Add("duplicate-elements", [&] {
      return StrCat("T1 read ", history_.ElementName(*duplicate), " more than once in key ", history_.KeyName(op.key), "\n  ",
                    history_.Describe(txn, "T1"));
    });
  }

  void CheckWritten(int txn, const MicroOp& op) {
    for (int64_t element : op.list) {
      if (Writer(op.key, element)) continue;
      findings_.Add("unwritten-read", [&] {
        return StrCat("T1 read ", history_.ElementName(element), " in key ", history_.KeyName(op.key), ", which nobody appended\n  ",
                      history_.Describe(txn, "T1"));
      });
    }
  }

  // Along each key's order: an aborted append, then (with only lost ones between) a committed one.
  void FindDirtyUpdates() {
    for (const auto& [key, v] : versions_) {
      int aborted = -1;  // the last aborted writer that no committed one has followed
      for (int64_t element : v.order) {
        const auto writer = Writer(key, element);
        if (!writer) continue;
        if (TxnAt(*writer).aborted()) {
          aborted = *writer;
        } else if (TxnAt(*writer).committed()) {
          if (aborted >= 0) {
            findings_.Add("dirty-update", [&, key = key] {
              return StrCat("T2 appended to key ", history_.KeyName(key), " on top of what T1 appended, which aborted\n  ",
                            history_.Describe(aborted, "T1"), "\n  ", history_.Describe(*writer, "T2"));
            });
          }
          aborted = -1;
        }
      }
    }
  }

  void BuildGraph() {
    for (int i = 0; i < TxnCount(); ++i) {
      if (TxnAt(i).aborted()) continue;
      for (const MicroOp& op : TxnAt(i).ops) {
        if (op.kind == MicroOp::Kind::kAppend) {
          AddOverwrites(i, op);
        } else if (!op.list.empty()) {
          const int64_t last = op.list.back();
          if (const auto writer = Writer(op.key, last); writer && !TxnAt(*writer).aborted()) {
            graph_.Add({.from = *writer, .to = i, .type = Dependency::kWr, .key = op.key, .before = last, .after = last});
          }
        }
      }
    }
    const SessionOrder order = NeededOrder(options_);
    if (order == SessionOrder::kRealtime) AddRealtimeEdges(history_, &graph_);
    if (order == SessionOrder::kProcess) AddProcessEdges(history_, &graph_);
    graph_.Finish({Dependency::kWw, Dependency::kWr, Dependency::kRw, Dependency::kProcess, Dependency::kRealtime});
  }

  // From those who wrote and who read the version before this append.
  void AddOverwrites(int txn, const MicroOp& op) {
    const Versions& v = versions_[op.key];
    const auto at = v.position.find(op.value);
    int64_t previous = v.order.empty() ? kNil : v.order.back();  // one that was never read came after all that were
    if (at != v.position.end()) previous = at->second == 0 ? kNil : v.order[at->second - 1];
    if (previous != kNil) {
      if (const auto writer = Writer(op.key, previous); writer && !TxnAt(*writer).aborted()) {
        graph_.Add({.from = *writer, .to = txn, .type = Dependency::kWw, .key = op.key, .before = previous, .after = op.value});
      }
    }
    const auto readers = v.readers.find(previous);
    if (readers == v.readers.end()) return;
    for (int reader : readers->second) {
      graph_.Add({.from = reader, .to = txn, .type = Dependency::kRw, .key = op.key, .before = previous, .after = op.value});
    }
  }

  std::string Explain(const Edge& e, const std::string& a, const std::string& b) const {
    const std::string key = history_.KeyName(e.key);
    const std::string before = history_.ElementName(e.before);
    const std::string after = history_.ElementName(e.after);
    switch (e.type) {
      case Dependency::kWw: return StrCat(b, " appended ", after, " to ", key, " after ", a, " had appended ", before);
      case Dependency::kWr: return StrCat(b, " read ", before, " in ", key, ", which ", a, " appended");
      case Dependency::kRw: return StrCat(a, " read ", key, " without ", after, ", which ", b, " appended next");
      default: return ExplainOrderEdge(history_, e, a, b);
    }
  }

  const TxnHistory& history_;
  const TxnCheckOptions& options_;
  DependencyGraph graph_;
  TxnFindings findings_;
  absl::flat_hash_map<KeyAndElement, int> writers_;  // looked up only
  std::map<int64_t, Versions> versions_;
};

// What a transaction knows of a list: all of it, or only how it ends.
struct Expected {
  bool whole = false;
  std::vector<int64_t> elements;
};

bool Agrees(const Expected& expected, const std::vector<int64_t>& read) {
  if (expected.whole) return expected.elements == read;
  return read.size() >= expected.elements.size() &&
         std::equal(expected.elements.rbegin(), expected.elements.rend(), read.rbegin());
}

void FindInternalIn(const TxnHistory& history, int txn, TxnFindings* findings) {
  std::map<int64_t, Expected> expected;
  for (const MicroOp& op : history.txns()[static_cast<size_t>(txn)].ops) {
    if (op.kind != MicroOp::Kind::kRead) {
      expected[op.key].elements.push_back(op.value);
      continue;
    }
    const auto it = expected.find(op.key);
    if (it != expected.end() && !Agrees(it->second, op.list)) {
      findings->Add("internal", [&] {
        return StrCat("T1 read ", history.Describe(op), ", which contradicts what it did before\n  ", history.Describe(txn, "T1"));
      });
      return;
    }
    expected[op.key] = {.whole = true, .elements = op.list};
  }
}

void FindFutureReadIn(const TxnHistory& history, int txn, TxnFindings* findings) {
  const auto& ops = history.txns()[static_cast<size_t>(txn)].ops;
  std::set<KeyAndElement> to_come;
  for (size_t i = ops.size(); i-- > 0;) {
    const MicroOp& op = ops[i];
    if (op.kind != MicroOp::Kind::kRead) {
      to_come.insert({op.key, op.value});
      continue;
    }
    if (to_come.empty()) continue;
    for (int64_t element : op.list) {
      if (to_come.count({op.key, element}) == 0) continue;
      findings->Add("future-read", [&] {
        return StrCat("T1 read ", history.Describe(op), " before it appended ", history.ElementName(element), "\n  ",
                      history.Describe(txn, "T1"));
      });
      return;
    }
  }
}

}  // namespace

void FindListInternal(const TxnHistory& history, TxnFindings* findings) {
  for (size_t i = 0; i < history.txns().size(); ++i) {
    if (!history.txns()[i].committed()) continue;
    FindInternalIn(history, static_cast<int>(i), findings);
    FindFutureReadIn(history, static_cast<int>(i), findings);
  }
}

TxnCheckResult CheckListAppend(const TxnHistory& history, const TxnCheckOptions& options) {
  return ListAppendCheck(history, options).Run();
}

}  // namespace insula::checkers
