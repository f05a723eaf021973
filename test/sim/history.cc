#include "test/sim/history.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/strings.h"

namespace insula::simtest {
namespace {

std::string Show(Duration t) { return t == kNever ? "?" : StrCat(std::chrono::duration_cast<std::chrono::microseconds>(t).count() / 1000, " ms"); }

// All operations on one value: in any linearization they stand together, the write first.
struct Cluster {
  bool written = false;
  Duration write_begin{};
  Duration first_end = kNever;
  Duration last_begin = Duration::min();
  bool forward() const { return first_end < last_begin; }
  Duration low() const { return std::min(first_end, last_begin); }
  Duration high() const { return std::max(first_end, last_begin); }
};

// Dependencies between transactions, and whether they go round.
class Graph {
 public:
  explicit Graph(size_t nodes) : next_(nodes) {}
  size_t AddNode() {
    next_.emplace_back();
    return next_.size() - 1;
  }
  void AddEdge(size_t from, size_t to, const char* why) {
    if (from != to) next_[from].emplace_back(to, why);
  }

  // A cycle as (node, edge to the next), empty if there is none: what is left when all that nothing precedes is taken away again
  // and again, followed until it comes round.
  std::vector<std::pair<size_t, const char*>> FindCycle() const {
    std::vector<size_t> before(next_.size(), 0), free;
    for (const auto& edges : next_) {
      for (auto [to, why] : edges) ++before[to];
    }
    for (size_t i = 0; i < next_.size(); ++i) {
      if (before[i] == 0) free.push_back(i);
    }
    size_t taken = 0;
    while (!free.empty()) {
      size_t node = free.back();
      free.pop_back();
      ++taken;
      for (auto [to, why] : next_[node]) {
        if (--before[to] == 0) free.push_back(to);
      }
    }
    if (taken == next_.size()) return {};
    return ShortestCycle(before);
  }

 private:
  // Among the nodes that are left; a breadth-first search from each of the first few finds a short one to show.
  std::vector<std::pair<size_t, const char*>> ShortestCycle(const std::vector<size_t>& left) const {
    std::vector<std::pair<size_t, const char*>> best;
    int searches = 0;
    for (size_t start = 0; start < next_.size() && searches < 200; ++start) {
      if (left[start] == 0) continue;
      ++searches;
      std::vector<std::pair<size_t, const char*>> from(next_.size(), {SIZE_MAX, nullptr});
      std::vector<size_t> queue = {start};
      for (size_t at = 0; at < queue.size() && from[start].first == SIZE_MAX; ++at) {
        for (auto [to, why] : next_[queue[at]]) {
          if (left[to] == 0 || from[to].first != SIZE_MAX) continue;
          from[to] = {queue[at], why};
          queue.push_back(to);
        }
      }
      if (from[start].first == SIZE_MAX) continue;
      std::vector<std::pair<size_t, const char*>> cycle;
      for (size_t node = start; cycle.empty() || node != start; node = from[node].first) cycle.emplace_back(from[node].first, from[node].second);
      std::reverse(cycle.begin(), cycle.end());
      if (best.empty() || cycle.size() < best.size()) best = std::move(cycle);
    }
    return best;
  }

  std::vector<std::vector<std::pair<size_t, const char*>>> next_;
};

class ListChecker {
 public:
  ListChecker(const std::vector<ListTxn>& txns, const std::map<std::string, std::vector<uint64_t>>& final_lists, bool real_time)
      : txns_(txns), lists_(final_lists), graph_(txns.size()), real_time_(real_time) {}

  std::vector<std::string> Run() {
    FindWriters();
    for (const auto& [list, elements] : lists_) CheckFinal(list, elements);
    for (const ListTxn& txn : txns_) {
      if (txn.fate == ListTxn::Fate::kCommitted) CheckReads(txn);
    }
    if (!problems_.empty()) return std::move(problems_);  // without a version order there are no dependencies
    AddDependencies();
    if (real_time_) AddRealTime();
    ShowCycle(graph_.FindCycle());
    return std::move(problems_);
  }

 private:
  void Problem(std::string what) {
    if (problems_.size() < 10) problems_.push_back(std::move(what));
  }
  const std::vector<uint64_t>& Final(const std::string& list) const {
    static const std::vector<uint64_t> none;
    auto it = lists_.find(list);
    return it == lists_.end() ? none : it->second;
  }

  void FindWriters() {
    for (size_t i = 0; i < txns_.size(); ++i) {
      for (const auto& step : txns_[i].steps) {
        if (step.append) writers_[{step.list, step.element}] = i;
      }
    }
    for (const auto& [written, i] : writers_) {
      if (txns_[i].fate != ListTxn::Fate::kCommitted) continue;
      const auto& elements = Final(written.first);
      if (std::find(elements.begin(), elements.end(), written.second) == elements.end()) {
        Problem(StrCat("element ", written.second, " of list ", Name(written.first), " was acknowledged (", txns_[i].name, ") and is lost"));
      }
    }
  }

  void CheckFinal(const std::string& list, const std::vector<uint64_t>& elements) {
    std::set<uint64_t> seen;
    for (uint64_t element : elements) {
      if (!seen.insert(element).second) Problem(StrCat("element ", element, " is in list ", Name(list), " twice"));
      auto writer = writers_.find({list, element});
      if (writer == writers_.end()) {
        Problem(StrCat("element ", element, " of list ", Name(list), " was never appended"));
      } else if (txns_[writer->second].fate == ListTxn::Fate::kAborted) {
        Problem(StrCat("element ", element, " of list ", Name(list), " is of ", txns_[writer->second].name, ", which was refused"));
      }
    }
  }

  // What a committed transaction saw is a beginning of the list as it was in the end (its own appends at their place).
  void CheckReads(const ListTxn& txn) {
    for (const auto& step : txn.steps) {
      if (step.append) continue;
      const auto& elements = Final(step.list);
      if (step.read.size() > elements.size() || !std::equal(step.read.begin(), step.read.end(), elements.begin())) {
        Problem(StrCat(txn.name, " read list ", Name(step.list), " as what it never was: ", ShowList(step.read), " of ", ShowList(elements)));
      }
    }
  }

  void AddDependencies() {
    for (const auto& [list, elements] : lists_) {
      for (size_t i = 1; i < elements.size(); ++i) graph_.AddEdge(writers_.at({list, elements[i - 1]}), writers_.at({list, elements[i]}), "ww");
    }
    for (size_t i = 0; i < txns_.size(); ++i) {
      if (txns_[i].fate != ListTxn::Fate::kCommitted) continue;
      for (const auto& step : txns_[i].steps) {
        if (step.append) continue;
        const auto& elements = Final(step.list);
        const size_t n = step.read.size();
        if (n > 0) graph_.AddEdge(writers_.at({step.list, elements[n - 1]}), i, "wr");
        if (n < elements.size()) graph_.AddEdge(i, writers_.at({step.list, elements[n]}), "rw");
      }
    }
  }

  // One node per end, in order, each after the transaction and before all that began later.
  void AddRealTime() {
    std::vector<std::pair<Duration, size_t>> ends;
    for (size_t i = 0; i < txns_.size(); ++i) {
      if (txns_[i].fate == ListTxn::Fate::kCommitted) ends.emplace_back(txns_[i].end, i);
    }
    std::sort(ends.begin(), ends.end());
    std::vector<size_t> marks;
    for (const auto& [end, txn] : ends) {
      size_t mark = graph_.AddNode();
      graph_.AddEdge(txn, mark, "ended");
      if (!marks.empty()) graph_.AddEdge(marks.back(), mark, "before");
      marks.push_back(mark);
    }
    for (size_t i = 0; i < txns_.size(); ++i) {
      if (txns_[i].fate == ListTxn::Fate::kAborted) continue;
      auto before = std::lower_bound(ends.begin(), ends.end(), std::pair(txns_[i].begin, size_t{0}));
      if (before != ends.begin()) graph_.AddEdge(marks[static_cast<size_t>(before - ends.begin()) - 1], i, "began");
    }
  }

  void ShowCycle(const std::vector<std::pair<size_t, const char*>>& cycle) {
    if (cycle.empty()) return;
    std::string text = "transactions depend on one another in a circle:";
    for (const auto& [node, why] : cycle) {
      if (node >= txns_.size()) continue;
      const ListTxn& txn = txns_[node];
      StrAppend(&text, " ", txn.name, " [", Show(txn.begin), ", ", Show(txn.end), "] -", why, "->");
    }
    Problem(std::move(text));
  }

  static std::string Name(const std::string& list) { return list.substr(list.rfind('/') + 1); }
  static std::string ShowList(const std::vector<uint64_t>& elements) {
    std::string text = "(";
    for (size_t i = elements.size() > 12 ? elements.size() - 12 : 0; i < elements.size(); ++i) StrAppend(&text, " ", elements[i]);
    return text + " )";
  }

  const std::vector<ListTxn>& txns_;
  const std::map<std::string, std::vector<uint64_t>>& lists_;
  std::map<std::pair<std::string, uint64_t>, size_t> writers_;
  Graph graph_;
  const bool real_time_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> CheckRegister(const std::vector<RegisterOp>& ops) {
  std::vector<std::string> problems;
  std::map<std::string, Cluster> clusters;
  clusters[""] = {.written = true, .write_begin = Duration::min(), .first_end = Duration::min(), .last_begin = Duration::min()};
  std::set<std::string> read;
  for (const RegisterOp& op : ops) {
    if (!op.write) read.insert(op.value);
  }
  for (const RegisterOp& op : ops) {
    if (op.end == kNever && !read.contains(op.value)) continue;  // as if it never took effect
    Cluster& c = clusters[op.value];
    if (op.write) {
      c.written = true;
      c.write_begin = op.begin;
    }
    c.first_end = std::min(c.first_end, op.end);
    c.last_begin = std::max(c.last_begin, op.begin);
  }
  for (const auto& [value, c] : clusters) {
    if (!c.written) {
      problems.push_back(StrCat("\"", value, "\" was read and never written"));
    } else if (c.first_end < c.write_begin) {
      problems.push_back(StrCat("\"", value, "\" was read before it was written, at ", Show(c.first_end)));
    }
  }
  for (const auto& [value, a] : clusters) {
    if (!a.forward()) continue;
    for (const auto& [other, b] : clusters) {
      if (value == other) continue;
      const bool overlap = b.forward() && value < other && a.low() < b.high() && b.low() < a.high();
      const bool inside = !b.forward() && a.low() < b.low() && b.high() < a.high();
      if (overlap || inside) {
        problems.push_back(StrCat("\"", value, "\" was there at ", Show(a.low()), " and at ", Show(a.high()), ", \"", other, "\" ", overlap ? "at " : "came and went between ", Show(b.low()),
                                  " and ", Show(b.high())));
      }
    }
  }
  return problems;
}

std::vector<std::string> CheckLists(const std::vector<ListTxn>& txns, const std::map<std::string, std::vector<uint64_t>>& final_lists, bool real_time) {
  return ListChecker(txns, final_lists, real_time).Run();
}

}  // namespace insula::simtest
