#include "test/checkers/rw_register.h"

#include <map>
#include <optional>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "base/strings.h"
#include "test/checkers/version_order.h"

namespace insula::checkers {
namespace {

using KeyAndValue = std::pair<int64_t, int64_t>;

class RwRegisterCheck {
 public:
  RwRegisterCheck(const TxnHistory& history, const TxnCheckOptions& options)
      : history_(history), options_(options), graph_(static_cast<int>(history.txns().size())) {}

  TxnCheckResult Run() {
    if (std::string error = IndexOps(); !error.empty()) {
      TxnCheckResult result;
      result.error = error;
      return result;
    }
    FindDirtyReads(history_, &findings_);
    FindLostUpdates(history_, &findings_);
    FindRegisterInternal(history_, &findings_);
    if (options_.all_writes_known) CheckWritten();
    BuildGraph();
    FindAndExplainCycles(
        history_, graph_, options_,
        [this](const Edge& e, const std::string& a, const std::string& b) { return Explain(e, a, b); }, &findings_);
    return findings_.Conclude(options_);
  }

 private:
  const Txn& TxnAt(int txn) const { return history_.txns()[static_cast<size_t>(txn)]; }
  int TxnCount() const { return static_cast<int>(history_.txns().size()); }

  // Returns why the history cannot be checked, if it cannot.
  std::string IndexOps() {
    for (int i = 0; i < TxnCount(); ++i) {
      for (const MicroOp& op : TxnAt(i).ops) {
        if (op.kind == MicroOp::Kind::kAppend || !op.list.empty()) return "lists in a history of registers";
        if (op.kind == MicroOp::Kind::kWrite) all_writes_.try_emplace({op.key, op.value}, i);
      }
      externals_.push_back(ExternalsOf(TxnAt(i)));
    }
    for (int i = 0; i < TxnCount(); ++i) {
      for (const auto& [key, e] : externals_[static_cast<size_t>(i)]) {
        if (e.reads) readers_[{key, e.read}].push_back(i);
        if (e.writes) writers_[{key, e.written}].push_back(i);
      }
    }
    // C2: a lost transaction counts when something of it was read.
    std::set<int> happened;
    for (const auto& [version, writers] : writers_) {
      if (readers_.count(version) > 0) happened.insert(writers.begin(), writers.end());
    }
    for (auto& [version, writers] : writers_) {
      std::erase_if(writers, [&](int w) { return !TxnAt(w).committed() && happened.count(w) == 0; });
    }
    for (const auto& [version, readers] : readers_) {
      const auto it = writers_.find(version);
      if (it == writers_.end() || it->second.size() < 2) continue;
      return StrCat("key ", history_.KeyName(version.first), " = ", history_.ElementName(version.second),
                    " was written by more than one transaction");
    }
    return "";
  }

  void CheckWritten() {
    for (int i = 0; i < TxnCount(); ++i) {
      if (!TxnAt(i).committed()) continue;
      for (const MicroOp& op : TxnAt(i).ops) {
        if (op.kind != MicroOp::Kind::kRead || !op.known || op.value == kNil || all_writes_.count({op.key, op.value}) > 0) continue;
        findings_.Add("unwritten-read", [&] {
          return StrCat("T1 read ", history_.Describe(op), ", which nobody wrote\n  ", history_.Describe(i, "T1"));
        });
      }
    }
  }

  void BuildGraph() {
    for (const auto& [version, readers] : readers_) {
      const auto it = writers_.find(version);
      if (version.second == kNil || it == writers_.end()) continue;
      for (int writer : it->second) {
        for (int reader : readers) Link(writer, reader, Dependency::kWr, version.first, version.second, version.second);
      }
    }
    for (const auto& [key, pairs] : InferVersionOrder(history_, externals_, options_, &findings_)) {
      for (const auto& [earlier, later] : pairs) AddOverwrites(key, earlier, later);
    }
    const SessionOrder order = NeededOrder(options_);
    if (order == SessionOrder::kRealtime) AddRealtimeEdges(history_, &graph_);
    if (order == SessionOrder::kProcess) AddProcessEdges(history_, &graph_);
    // Who read a value surely came after it was written; who overwrote it, only if the order of versions was inferred rightly.
    graph_.Finish({Dependency::kWr, Dependency::kWw, Dependency::kRw, Dependency::kProcess, Dependency::kRealtime});
  }

  void AddOverwrites(int64_t key, int64_t earlier, int64_t later) {
    const auto next = writers_.find({key, later});
    if (next == writers_.end()) return;
    for (int writer : next->second) {
      if (const auto it = writers_.find({key, earlier}); it != writers_.end()) {
        for (int from : it->second) Link(from, writer, Dependency::kWw, key, earlier, later);
      }
      if (const auto it = readers_.find({key, earlier}); it != readers_.end()) {
        for (int from : it->second) Link(from, writer, Dependency::kRw, key, earlier, later);
      }
    }
  }

  void Link(int from, int to, Dependency type, int64_t key, int64_t before, int64_t after) {
    graph_.Add({.from = from, .to = to, .type = type, .key = key, .before = before, .after = after});
  }

  std::string Explain(const Edge& e, const std::string& a, const std::string& b) const {
    const std::string key = history_.KeyName(e.key);
    const std::string before = history_.ElementName(e.before);
    const std::string after = history_.ElementName(e.after);
    switch (e.type) {
      case Dependency::kWw: return StrCat(a, " wrote ", key, " = ", before, ", ", b, " the later version ", after);
      case Dependency::kWr: return StrCat(b, " read ", key, " = ", before, ", which ", a, " wrote");
      case Dependency::kRw: return StrCat(a, " read ", key, " = ", before, ", ", b, " wrote the later version ", after);
      default: return ExplainOrderEdge(history_, e, a, b);
    }
  }

  const TxnHistory& history_;
  const TxnCheckOptions& options_;
  DependencyGraph graph_;
  TxnFindings findings_;
  std::vector<std::map<int64_t, External>> externals_;  // by transaction
  std::map<KeyAndValue, std::vector<int>> readers_;
  std::map<KeyAndValue, std::vector<int>> writers_;
  absl::flat_hash_map<KeyAndValue, int> all_writes_;  // looked up only; aborted and intermediate ones too
};

}  // namespace

void FindRegisterInternal(const TxnHistory& history, TxnFindings* findings) {
  for (size_t i = 0; i < history.txns().size(); ++i) {
    if (!history.txns()[i].committed()) continue;
    std::map<int64_t, int64_t> expected;
    for (const MicroOp& op : history.txns()[i].ops) {
      const auto [it, first] = expected.try_emplace(op.key, op.value);
      if (op.kind != MicroOp::Kind::kRead) {
        it->second = op.value;
      } else if (!first && it->second != op.value) {
        findings->Add("internal", [&] {
          return StrCat("T1 read ", history.Describe(op), ", which contradicts what it did before\n  ",
                        history.Describe(static_cast<int>(i), "T1"));
        });
        break;
      }
    }
  }
}

TxnCheckResult CheckRwRegister(const TxnHistory& history, const TxnCheckOptions& options) {
  return RwRegisterCheck(history, options).Run();
}

}  // namespace insula::checkers
