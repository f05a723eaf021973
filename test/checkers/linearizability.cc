#include "test/checkers/linearizability.h"

#include <algorithm>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "base/strings.h"

namespace insula::checkers {
namespace {

constexpr int kUnset = -2;

// Two independent 64-bit sums of a configuration's linearized operations: equal sums are taken for equal sets.
struct Fingerprint {
  uint64_t a = 0;
  uint64_t b = 0;
  void Toggle(uint64_t seed) {
    a ^= Mix(seed * 2 + 1);
    b ^= Mix(seed * 2 + 0x8000000000000001ULL);
  }
  static uint64_t Mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15ULL;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
  }
  template <typename H>
  friend H AbslHashValue(H h, const Fingerprint& f) {
    return H::combine(std::move(h), f.a, f.b);
  }
  bool operator==(const Fingerprint&) const = default;
};

using Used = std::vector<uint16_t>;  // by kind of crashed operation: how many took effect

bool NoMoreThan(const Used& x, const Used& y) {
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] > y[i]) return false;
  }
  return true;
}

class Search {
 public:
  Search(const std::vector<Operation>& operations, Model* model, const LinearizabilityOptions& options)
      : operations_(operations), model_(model), options_(options) {
    NumberKinds();
    BuildEntries();
  }

  LinearizabilityResult Run() {
    const auto deadline = std::chrono::steady_clock::now() + options_.time_limit;
    frames_.push_back({.cursor = next_[0], .state = 0});
    Remember(0);
    while (!frames_.empty()) {
      if (left_ == 0) return Result(Verdict::kValid, "");
      if (configurations_ >= static_cast<int64_t>(options_.most_configurations)) return Result(Verdict::kUnknown, "too many configurations");
      if ((++steps_ & 0xFFF) == 0 && std::chrono::steady_clock::now() > deadline) return Result(Verdict::kUnknown, "out of time");
      if (!Advance()) Backtrack();
    }
    return Result(Verdict::kInvalid, Explain());
  }

 private:
  // Completed operations are a linked list of their beginnings and ends, in order; linearized ones are taken out of it. Entry 0 is
  // the list's head; entry `end_` ends it.
  struct Entry {
    int op = -1;
    bool begins = false;
    int position = 0;
    int partner = 0;  // its end's entry
  };

  // One configuration on the way: what was linearized to come to it, and what is to be tried from here.
  struct Frame {
    int cursor = 0;        // the next entry to try
    size_t kind = 0;       // then: the next kind of crashed operations
    int state = 0;
    int linearized = -1;   // entry of a completed operation,
    int crashed = -1;      // or kind of a crashed one
  };

  void NumberKinds() {
    std::map<std::tuple<std::string, Value, Value, bool, bool>, int> numbers;
    for (const Operation& op : operations_) {
      const bool crashed = !op.completed_at;
      const auto [it, added] =
          numbers.try_emplace({op.f, op.input, op.output, op.failed, crashed}, static_cast<int>(numbers.size()));
      kind_.push_back(it->second);
      if (added) example_.push_back(&op);
    }
    // Kinds of crashed operations: their beginnings, earliest first.
    std::map<int, std::vector<int>> crashed;
    for (size_t i = 0; i < operations_.size(); ++i) {
      if (!operations_[i].completed_at) crashed[kind_[i]].push_back(operations_[i].invoked_at);
    }
    for (auto& [kind, positions] : crashed) {
      std::sort(positions.begin(), positions.end());
      crashed_kinds_.push_back(kind);
      crashed_at_.push_back(std::move(positions));
    }
    used_.assign(crashed_kinds_.size(), 0);
  }

  void BuildEntries() {
    std::vector<Entry> sorted;
    for (size_t i = 0; i < operations_.size(); ++i) {
      const Operation& op = operations_[i];
      if (!op.completed_at) continue;
      sorted.push_back({.op = static_cast<int>(i), .begins = true, .position = op.invoked_at});
      sorted.push_back({.op = static_cast<int>(i), .begins = false, .position = *op.completed_at});
      ++left_;
    }
    std::sort(sorted.begin(), sorted.end(), [](const Entry& x, const Entry& y) {
      return x.position != y.position ? x.position < y.position : x.begins && !y.begins;
    });
    entries_.push_back({});
    std::vector<int> begins(operations_.size(), 0);
    for (Entry& e : sorted) {
      const int at = static_cast<int>(entries_.size());
      if (e.begins) begins[static_cast<size_t>(e.op)] = at;
      if (!e.begins) entries_[static_cast<size_t>(begins[static_cast<size_t>(e.op)])].partner = at;
      entries_.push_back(e);
    }
    end_ = static_cast<int>(entries_.size());
    for (int i = 0; i <= end_; ++i) {
      next_.push_back(std::min(i + 1, end_));
      previous_.push_back(std::max(i - 1, 0));
    }
  }

  void Unlink(int entry) {
    next_[static_cast<size_t>(previous_[static_cast<size_t>(entry)])] = next_[static_cast<size_t>(entry)];
    previous_[static_cast<size_t>(next_[static_cast<size_t>(entry)])] = previous_[static_cast<size_t>(entry)];
  }
  void Relink(int entry) {
    next_[static_cast<size_t>(previous_[static_cast<size_t>(entry)])] = entry;
    previous_[static_cast<size_t>(next_[static_cast<size_t>(entry)])] = entry;
  }

  int Step(int state, int kind) {
    const auto [it, added] = steps_known_.try_emplace({state, kind}, kUnset);
    if (!added) return it->second;
    const int next = model_->Step(state, *example_[static_cast<size_t>(kind)]);
    steps_known_[{state, kind}] = next;
    return next;
  }

  // Notes the configuration at hand; false if it (or a better one) was tried before.
  bool Remember(int state) {
    Fingerprint key = linearized_;
    key.Toggle(0x5000000000000000ULL + static_cast<uint64_t>(state));
    std::vector<Used>& tried = tried_[key];
    for (const Used& used : tried) {
      if (NoMoreThan(used, used_)) return false;
    }
    std::erase_if(tried, [&](const Used& used) { return NoMoreThan(used_, used); });
    tried.push_back(used_);
    ++configurations_;
    return true;
  }

  // Tries what is next from the top frame, and goes on to a new one if it can.
  bool Advance() {
    Frame& top = frames_.back();
    while (top.cursor != end_ && entries_[static_cast<size_t>(top.cursor)].begins) {
      const int entry = top.cursor;
      top.cursor = next_[static_cast<size_t>(entry)];
      if (Linearize(entry)) return true;
    }
    // The cursor is at the first end: what began after it has to wait.
    const int horizon = top.cursor == end_ ? 0 : entries_[static_cast<size_t>(top.cursor)].position;
    while (frames_.back().kind < crashed_kinds_.size()) {
      const size_t kind = frames_.back().kind++;
      if (TakeCrashed(kind, horizon)) return true;
    }
    return false;
  }

  bool Linearize(int entry) {
    const Entry& e = entries_[static_cast<size_t>(entry)];
    const int state = Step(frames_.back().state, kind_[static_cast<size_t>(e.op)]);
    if (state == Model::kIllegal) return false;
    linearized_.Toggle(static_cast<uint64_t>(e.op));
    if (!Remember(state)) {
      linearized_.Toggle(static_cast<uint64_t>(e.op));
      return false;
    }
    Unlink(entry);
    Unlink(e.partner);
    --left_;
    frames_.push_back({.cursor = next_[0], .state = state, .linearized = entry});
    NoteProgress();
    return true;
  }

  bool TakeCrashed(size_t kind, int horizon) {
    const std::vector<int>& at = crashed_at_[kind];
    if (used_[kind] >= at.size() || at[used_[kind]] > horizon) return false;
    const int before = frames_.back().state;
    const int state = Step(before, crashed_kinds_[kind]);
    if (state == Model::kIllegal || state == before) return false;
    ++used_[kind];
    if (!Remember(state)) {
      --used_[kind];
      return false;
    }
    frames_.push_back({.cursor = next_[0], .state = state, .crashed = static_cast<int>(kind)});
    return true;
  }

  void Backtrack() {
    const Frame frame = frames_.back();
    frames_.pop_back();
    if (frame.crashed >= 0) --used_[static_cast<size_t>(frame.crashed)];
    if (frame.linearized < 0) return;
    const Entry& e = entries_[static_cast<size_t>(frame.linearized)];
    linearized_.Toggle(static_cast<uint64_t>(e.op));
    Relink(e.partner);
    Relink(frame.linearized);
    ++left_;
  }

  void NoteProgress() {
    const int done = static_cast<int>(frames_.size());
    if (left_ >= least_left_) return;
    least_left_ = left_;
    longest_.clear();
    for (int i = std::max(1, done - 8); i < done; ++i) {
      const Frame& f = frames_[static_cast<size_t>(i)];
      const int op = f.linearized >= 0 ? entries_[static_cast<size_t>(f.linearized)].op : -1;
      longest_.push_back({op, f.crashed, f.state});
    }
    stuck_.clear();
    for (int entry = next_[0]; entry != end_ && entries_[static_cast<size_t>(entry)].begins; entry = next_[static_cast<size_t>(entry)]) {
      stuck_.push_back(entries_[static_cast<size_t>(entry)].op);
    }
  }

  static std::string Describe(const Operation& op) {
    std::string out = StrCat("process ", op.process, " ", op.invoked_at, "..");
    StrAppend(&out, op.completed_at ? StrCat(*op.completed_at) : "?", ": ", op.f, " ", op.input.ToString());
    StrAppend(&out, op.failed ? " -> no" : op.completed_at ? StrCat(" -> ", op.output.ToString()) : " (crashed)");
    return out;
  }

  std::string Explain() const {
    std::string out = "no order fits. The longest one ends with";
    for (const auto& step : longest_) {
      const Operation& op = step.op >= 0 ? operations_[static_cast<size_t>(step.op)]
                                         : *example_[static_cast<size_t>(crashed_kinds_[static_cast<size_t>(step.crashed)])];
      StrAppend(&out, "\n  ", Describe(op), ", state ", model_->Describe(step.state));
    }
    StrAppend(&out, "\nand none of these can follow");
    for (int op : stuck_) StrAppend(&out, "\n  ", Describe(operations_[static_cast<size_t>(op)]));
    return out;
  }

  LinearizabilityResult Result(Verdict verdict, std::string explanation) const {
    return {.verdict = verdict, .configurations = configurations_, .explanation = std::move(explanation)};
  }

  struct LongestStep {
    int op;
    int crashed;
    int state;
  };

  const std::vector<Operation>& operations_;
  Model* const model_;
  const LinearizabilityOptions& options_;

  std::vector<int> kind_;                    // by operation; equal ones are of one kind
  std::vector<const Operation*> example_;    // by kind
  std::vector<int> crashed_kinds_;
  std::vector<std::vector<int>> crashed_at_;  // like crashed_kinds_

  std::vector<Entry> entries_;
  std::vector<int> next_;
  std::vector<int> previous_;
  int end_ = 0;
  int left_ = 0;  // completed operations that are not linearized

  std::vector<Frame> frames_;
  Fingerprint linearized_;
  Used used_;
  absl::flat_hash_map<Fingerprint, std::vector<Used>> tried_;           // looked up only
  absl::flat_hash_map<std::pair<int, int>, int> steps_known_;          // looked up only
  int64_t configurations_ = 0;
  uint64_t steps_ = 0;

  int least_left_ = 1 << 30;
  std::vector<LongestStep> longest_;
  std::vector<int> stuck_;
};

bool SaysNothing(const Operation& op) {
  const bool read = op.f == "read" || op.f == "get" || op.f == "r";
  return read && (!op.completed_at || op.failed);
}

}  // namespace

LinearizabilityResult CheckLinearizable(const std::vector<Operation>& operations, Model* model,
                                        const LinearizabilityOptions& options) {
  return Search(operations, model, options).Run();
}

std::vector<std::vector<Operation>> Partition(std::vector<Operation> operations) {
  std::map<Value, std::vector<Operation>> by_key;
  for (Operation& op : operations) by_key[op.key.value_or(Value())].push_back(std::move(op));
  std::vector<std::vector<Operation>> out;
  for (auto& [key, list] : by_key) out.push_back(std::move(list));
  return out;
}

std::vector<Operation> OperationsFromEvents(const std::vector<Event>& events, FailMeans fail_means) {
  std::vector<Operation> operations;
  for (const OperationSpan& span : PairEvents(events)) {
    const int first = span.invoked >= 0 ? span.invoked : span.completed;
    const Event& asked = events[static_cast<size_t>(first)];
    Operation op{.f = asked.f, .input = asked.value, .output = Value(), .invoked_at = first, .completed_at = std::nullopt,
                 .key = asked.key, .process = asked.process.ToString()};
    if (span.completed >= 0) {
      const Event& answered = events[static_cast<size_t>(span.completed)];
      if (answered.type == Event::Type::kFail) {
        if (fail_means == FailMeans::kDidNotHappen || asked.f != "cas") continue;
        op.failed = true;
      }
      if (answered.type != Event::Type::kInfo) {
        // An operation without a beginning took effect at its end.
        op.completed_at = span.completed;
        if (!op.failed) op.output = answered.value;
      }
    }
    if (!SaysNothing(op)) operations.push_back(std::move(op));
  }
  return operations;
}

int OperationRecorder::Invoke(const std::string& process, const std::string& f, Value input, std::optional<Value> key) {
  recorded_.push_back({.operation = {.f = f,
                                     .input = std::move(input),
                                     .output = Value(),
                                     .invoked_at = next_position_++,
                                     .completed_at = std::nullopt,
                                     .key = std::move(key),
                                     .process = process}});
  return static_cast<int>(recorded_.size()) - 1;
}

void OperationRecorder::Return(int operation, Value output) {
  Operation& op = recorded_.at(static_cast<size_t>(operation)).operation;
  op.output = std::move(output);
  op.completed_at = next_position_++;
}

void OperationRecorder::Fail(int operation) { recorded_.at(static_cast<size_t>(operation)).happened = false; }

std::vector<Operation> OperationRecorder::Operations() const {
  std::vector<Operation> out;
  for (const Recorded& r : recorded_) {
    if (r.happened && !SaysNothing(r.operation)) out.push_back(r.operation);
  }
  return out;
}

}  // namespace insula::checkers
