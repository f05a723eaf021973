// Transactions that append to lists and read them, across ranges. Checked: the dependencies that the lists tell have no cycle.
#include <algorithm>
#include <utility>

#include "base/async/wait.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "test/sim/history.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr uint64_t kRanges = 3;
constexpr uint64_t kListsPerRange = 3;
constexpr uint64_t kClients = 5;

std::vector<uint64_t> ParseList(std::string_view text) {
  std::vector<uint64_t> list;
  while (!text.empty()) {
    size_t comma = text.find(',');
    list.push_back(static_cast<uint64_t>(ParseNumber(text.substr(0, comma)).value_or(0)));
    text.remove_prefix(std::min(comma, text.size() - 1) + 1);
  }
  return list;
}

class Append : public Workload {
 public:
  explicit Append(const WorkloadEnv& env) : Workload(env) {}

  void Start() override {
    for (uint64_t i = 0; i < kClients; ++i) {
      SpawnClient(i, 40ms, [this](Context ctx, SeededRandom& random) { return RunOne(ctx, random); });
    }
  }

  std::string RandomKey(Random& random) override { return Key(random.Uniform(kRanges), random.Uniform(kListsPerRange)); }

  Task<absl::Status> Check(Context ctx) override {
    std::map<std::string, std::vector<uint64_t>> lists;
    CO_RETURN_IF_ERROR(co_await TransactUntilDone(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      lists.clear();
      for (uint64_t r = 0; r < kRanges; ++r) {
        CO_ASSIGN_OR_RETURN(auto rows, co_await ReadAll(limited, txn, StrCat(Prefix(r), "list/")));
        for (auto& [name, text] : rows) lists[StrCat(Prefix(r), "list/", name)] = ParseList(text);
      }
      co_return absl::OkStatus();
    }));
    for (const std::string& problem : CheckLists(history_, lists, env_.real_time)) Violation(problem);
    co_return absl::OkStatus();
  }

 private:
  std::string Key(uint64_t range, uint64_t list) const { return StrCat(Prefix(range), "list/", range, "-", list); }

  ListTxn Plan(SeededRandom& random) {
    ListTxn plan;
    plan.name = StrCat("t", ++last_txn_);
    const uint64_t steps = 1 + random.Uniform(4);
    for (uint64_t i = 0; i < steps; ++i) {
      ListTxn::Step step{.append = random.Chance(0.5), .list = RandomKey(random)};
      if (step.append) step.element = ++last_element_;
      plan.steps.push_back(std::move(step));
    }
    return plan;
  }

  Task<void> RunOne(Context ctx, SeededRandom& random) {
    ListTxn txn = Plan(random);
    txn.begin = sim().elapsed();
    const bool lock = random.Chance(0.3), by_scan = random.Chance(0.3), slow = random.Chance(0.2);
    absl::Status done = co_await Transact(ctx, {}, [&](const Context& limited, kv::Txn& t) -> Task<absl::Status> {
      for (ListTxn::Step& step : txn.steps) {
        CO_RETURN_IF_ERROR(co_await RunStep(limited, t, step, lock, by_scan));
        if (slow) CO_RETURN_IF_ERROR(co_await Sleep(limited, Duration(random.Uniform(300'000'000))));
      }
      co_return absl::OkStatus();
    });
    switch (Note(done)) {
      case Outcome::kDone:
        txn.fate = ListTxn::Fate::kCommitted;
        txn.end = sim().elapsed();
        break;
      case Outcome::kRefused:
        txn.fate = ListTxn::Fate::kAborted;
        break;
      case Outcome::kUnknown:
        break;
    }
    history_.push_back(std::move(txn));
  }

  Task<absl::Status> RunStep(const Context& ctx, kv::Txn& txn, ListTxn::Step& step, bool lock, bool by_scan) {
    std::optional<std::string> text;
    if (by_scan && !step.append) {
      CO_ASSIGN_OR_RETURN(auto rows, co_await ReadAll(ctx, txn, step.list));
      if (auto it = rows.find(""); it != rows.end()) text = it->second;
    } else {
      const bool locks = lock && step.append;
      CO_ASSIGN_OR_RETURN(text, co_await txn.Get(ctx, step.list, {.lock = locks ? kv::LockStrength::kExclusive : kv::LockStrength::kNone}));
    }
    if (step.append) {
      txn.Put(step.list, text ? StrCat(*text, ",", step.element) : StrCat(step.element));
    } else {
      step.read = ParseList(text.value_or(""));
    }
    co_return absl::OkStatus();
  }

  std::vector<ListTxn> history_;
  uint64_t last_txn_ = 0;
  uint64_t last_element_ = 0;
};

}  // namespace

std::unique_ptr<Workload> MakeAppend(const WorkloadEnv& env) { return std::make_unique<Append>(env); }

}  // namespace insula::simtest
