#include "test/checkers/workloads.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"

namespace insula::checkers {
namespace {

constexpr size_t kErrorsShown = 8;

class Errors {
 public:
  void Add(std::string text) {
    any_ = true;
    if (shown_.size() < kErrorsShown) shown_.push_back(std::move(text));
  }
  WorkloadResult Conclude() && {
    return {.verdict = any_ ? Verdict::kInvalid : Verdict::kValid, .errors = std::move(shown_)};
  }

 private:
  bool any_ = false;
  std::vector<std::string> shown_;
};

bool IsOk(const Event& e, std::string_view f) { return e.type == Event::Type::kOk && e.f == f; }

WorkloadResult Unknown(std::string why) { return {.verdict = Verdict::kUnknown, .errors = {std::move(why)}}; }

// ---- bank ----

int64_t Total(const Value& balances) {
  int64_t total = 0;
  for (size_t i = 1; i < balances.items.size(); i += 2) total += balances.items[i].number;
  return total;
}

// What is wrong with one read of all balances; empty: nothing.
std::string BankError(const Value& balances, const std::set<Value>& accounts, int64_t total, const BankOptions& options) {
  bool negative = false;
  for (size_t i = 0; i < balances.items.size(); i += 2) {
    if (accounts.count(balances.items[i]) == 0) return StrCat("unexpected account ", balances.items[i].ToString());
  }
  for (size_t i = 1; i < balances.items.size(); i += 2) {
    if (!balances.items[i].is_int()) return StrCat("account ", balances.items[i - 1].ToString(), " has no balance");
    negative = negative || balances.items[i].number < 0;
  }
  if (Total(balances) != total) return StrCat("the total is ", Total(balances), ", not ", total);
  if (negative && !options.allow_negative_balances) return "a negative balance";
  return "";
}

// ---- counter ----

struct CounterBounds {
  int64_t lower = 0;  // what was surely added
  int64_t upper = 0;  // what may have been added
};

}  // namespace

WorkloadResult CheckBank(const std::vector<Event>& events, const BankOptions& options) {
  Errors errors;
  std::set<Value> accounts;
  std::optional<int64_t> total = options.total_amount;
  for (size_t i = 0; i < events.size(); ++i) {
    if (!IsOk(events[i], "read")) continue;
    const Value& balances = events[i].value;
    if (balances.kind != Value::Kind::kMap) return Unknown(StrCat("event ", i, ": a read without balances"));
    if (accounts.empty()) {
      for (size_t k = 0; k < balances.items.size(); k += 2) accounts.insert(balances.items[k]);
    }
    if (!total) total = Total(balances);
    if (std::string error = BankError(balances, accounts, *total, options); !error.empty()) {
      errors.Add(StrCat("event ", i, ": ", error, ": ", balances.ToString()));
    }
  }
  return std::move(errors).Conclude();
}

WorkloadResult CheckCounter(const std::vector<Event>& events) {
  Errors errors;
  std::vector<OperationSpan> by_event(events.size());
  for (const OperationSpan& span : PairEvents(events)) {
    if (span.invoked >= 0) by_event[static_cast<size_t>(span.invoked)] = span;
    if (span.completed >= 0) by_event[static_cast<size_t>(span.completed)] = span;
  }
  CounterBounds now;
  std::map<int, int64_t> lower_at;  // by invocation of a read
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& e = events[i];
    const OperationSpan span = by_event[i];
    const bool failed = span.completed >= 0 && events[static_cast<size_t>(span.completed)].type == Event::Type::kFail;
    if (failed || !e.is_client()) continue;
    if (e.type == Event::Type::kInvoke) {
      if (e.f == "read") lower_at[static_cast<int>(i)] = now.lower;
      // An increment may count from now on; so may a decrement, which lowers what is sure.
      if (e.f == "add") (e.value.number >= 0 ? now.upper : now.lower) += e.value.number;
    } else if (IsOk(e, "add")) {
      (e.value.number >= 0 ? now.lower : now.upper) += e.value.number;
    } else if (IsOk(e, "read") && e.value.is_int()) {
      const auto it = lower_at.find(span.invoked);
      const int64_t lower = it == lower_at.end() ? now.lower : it->second;
      if (e.value.number < lower || e.value.number > now.upper) {
        errors.Add(StrCat("event ", i, ": read ", e.value.number, ", not between ", lower, " and ", now.upper));
      }
    }
  }
  return std::move(errors).Conclude();
}

WorkloadResult CheckSet(const std::vector<Event>& events) {
  std::set<Value> tried;
  std::set<Value> acknowledged;
  const Value* last_read = nullptr;
  for (const Event& e : events) {
    if (e.f == "add" && e.type == Event::Type::kInvoke) tried.insert(e.value);
    if (IsOk(e, "add")) acknowledged.insert(e.value);
    if (IsOk(e, "read")) last_read = &e.value;
  }
  if (last_read == nullptr || !last_read->is_collection()) return Unknown("the set was never read");
  const std::set<Value> read(last_read->items.begin(), last_read->items.end());
  Errors errors;
  for (const Value& v : acknowledged) {
    if (read.count(v) == 0) errors.Add(StrCat("lost: ", v.ToString()));
  }
  for (const Value& v : read) {
    if (tried.count(v) == 0) errors.Add(StrCat("unexpected: ", v.ToString()));
  }
  return std::move(errors).Conclude();
}

namespace {

// Positions in the history, -1: none.
struct SetElement {
  int known = -1;         // when it was acknowledged or first read
  int last_present = -1;  // the latest beginning of a read that had it
  int last_absent = -1;   // and that had it not
};

}  // namespace

WorkloadResult CheckSetFull(const std::vector<Event>& events) {
  std::map<Value, SetElement> elements;
  std::vector<int> invoked(events.size(), -1);
  for (const OperationSpan& span : PairEvents(events)) {
    if (span.completed >= 0) invoked[static_cast<size_t>(span.completed)] = span.invoked;
  }
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& e = events[i];
    if (!e.is_client()) continue;
    const int now = static_cast<int>(i);
    if (e.f == "add") {
      if (e.type == Event::Type::kInvoke) elements[e.value] = {};
      if (e.type == Event::Type::kOk && elements[e.value].known < 0) elements[e.value].known = now;
    } else if (IsOk(e, "read")) {
      const std::set<Value> read(e.value.items.begin(), e.value.items.end());
      for (auto& [value, element] : elements) {
        const bool present = read.count(value) > 0;
        if (present && element.known < 0) element.known = now;
        int& last = present ? element.last_present : element.last_absent;
        last = std::max(last, invoked[i]);
      }
    }
  }
  Errors errors;
  bool stable = false;
  for (const auto& [value, element] : elements) {
    if (element.last_present >= 0 && element.last_absent < element.last_present) {
      stable = true;
    } else if (element.known >= 0 && element.last_absent > element.last_present && element.known < element.last_absent) {
      errors.Add(StrCat("lost: ", value.ToString()));
    }
  }
  WorkloadResult result = std::move(errors).Conclude();
  if (result.verdict == Verdict::kValid && !stable) return Unknown("no element was ever seen to stay");
  return result;
}

namespace {

bool IsRead(const Value& micro_op) { return micro_op.items[0].Named("r") || micro_op.items[0].Named("read"); }

bool AreMicroOps(const Value& v) {
  return v.kind == Value::Kind::kList && !v.items.empty() && std::all_of(v.items.begin(), v.items.end(), [](const Value& op) {
           return op.kind == Value::Kind::kList && op.items.size() >= 2;
         });
}

using Snapshot = std::map<Value, Value>;

// Whether a saw something that b did not. Empty: they saw different values of one key.
std::optional<bool> SawMore(const Snapshot& a, const Snapshot& b) {
  bool more = false;
  for (const auto& [key, value] : a) {
    const Value& other = b.at(key);
    if (value == other) continue;
    if (!value.is_nil() && !other.is_nil()) return std::nullopt;
    more = more || other.is_nil();
  }
  return more;
}

}  // namespace

WorkloadResult CheckLongFork(const std::vector<Event>& events, size_t group_size) {
  std::set<Value> written;
  std::map<std::vector<Value>, std::set<Snapshot>> groups;  // by the keys that they read
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& e = events[i];
    if (!AreMicroOps(e.value)) continue;
    const auto& ops = e.value.items;
    if (e.type == Event::Type::kInvoke && ops.size() == 1 && !IsRead(ops[0]) && !written.insert(ops[0].items[1]).second) {
      return Unknown(StrCat("key ", ops[0].items[1].ToString(), " is written more than once"));
    }
    if (e.type != Event::Type::kOk || !std::all_of(ops.begin(), ops.end(), IsRead)) continue;
    Snapshot snapshot;
    for (const Value& op : ops) snapshot[op.items[1]] = op.items.size() > 2 ? op.items[2] : Value();
    if (group_size == 0) group_size = snapshot.size();
    if (snapshot.size() != group_size) return Unknown(StrCat("event ", i, ": a read of ", snapshot.size(), " keys, not ", group_size));
    std::vector<Value> keys;
    for (const auto& [key, value] : snapshot) keys.push_back(key);
    groups[keys].insert(std::move(snapshot));
  }
  Errors errors;
  for (const auto& [keys, snapshots] : groups) {
    for (auto a = snapshots.begin(); a != snapshots.end(); ++a) {
      for (auto b = std::next(a); b != snapshots.end(); ++b) {
        const auto a_more = SawMore(*a, *b);
        const auto b_more = SawMore(*b, *a);
        if (!a_more || !b_more) return Unknown("a key has two values");
        if (*a_more && *b_more) errors.Add(StrCat("two reads saw each something that the other did not, of ", Value::List(keys).ToString()));
      }
    }
  }
  return std::move(errors).Conclude();
}

WorkloadResult CheckComments(const std::vector<Event>& events) {
  std::set<Value> ended;
  std::map<Value, std::set<Value>> before;  // by write: those that had ended when it began
  Errors errors;
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& e = events[i];
    if (e.f == "write" && e.type == Event::Type::kInvoke) before[e.value] = ended;
    if (IsOk(e, "write")) ended.insert(e.value);
  }
  for (size_t i = 0; i < events.size(); ++i) {
    if (!IsOk(events[i], "read")) continue;
    const std::set<Value> seen(events[i].value.items.begin(), events[i].value.items.end());
    for (const Value& v : seen) {
      const auto it = before.find(v);
      if (it == before.end()) continue;
      for (const Value& earlier : it->second) {
        if (seen.count(earlier) == 0) {
          errors.Add(StrCat("event ", i, ": saw ", v.ToString(), " without ", earlier.ToString(), ", which was there before it"));
        }
      }
    }
  }
  return std::move(errors).Conclude();
}

WorkloadResult CheckSequential(const std::vector<Event>& events) {
  Errors errors;
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& e = events[i];
    if (!IsOk(e, "read")) continue;
    if (e.value.items.size() != 2 || !e.value.items[1].is_collection()) return Unknown(StrCat("event ", i, ": a read without keys"));
    bool found = false;
    for (const Value& v : e.value.items[1].items) {
      if (found && v.is_nil()) errors.Add(StrCat("event ", i, ": an older insert is missing: ", e.value.ToString()));
      found = found || !v.is_nil();
    }
  }
  return std::move(errors).Conclude();
}

}  // namespace insula::checkers
