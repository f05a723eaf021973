// Transactions that append to lists and read them, across ranges, by clients on several hosts. Checked (test/checkers/list_append.h): the
// dependencies that the lists tell have no cycle, real time included.
#include <algorithm>
#include <utility>

#include "base/async/wait.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "test/checkers/list_append.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

using checkers::MicroOp;

constexpr uint64_t kRanges = 3;
constexpr uint64_t kListsPerRange = 3;
constexpr uint64_t kClients = 5;

std::vector<int64_t> ParseList(std::string_view text) {
  std::vector<int64_t> list;
  while (!text.empty()) {
    size_t comma = text.find(',');
    list.push_back(ParseNumber(text.substr(0, comma)).value_or(0));
    text.remove_prefix(std::min(comma, text.size() - 1) + 1);
  }
  return list;
}

class Append : public Workload {
 public:
  explicit Append(const WorkloadEnv& env) : Workload(env) {}

  void Start() override {
    for (uint64_t i = 0; i < kClients; ++i) {
      SpawnClient(i, 40ms, [this, i](Context ctx, SeededRandom& random) { return RunOne(ctx, random, static_cast<int>(i)); });
    }
  }

  std::string RandomKey(Random& random) override { return Key(static_cast<int64_t>(random.Uniform(kRanges * kListsPerRange))); }

  Task<absl::Status> Check(Context ctx) override {
    std::vector<MicroOp> last;
    for (int64_t list = 0; list < static_cast<int64_t>(kRanges * kListsPerRange); ++list) last.push_back(MicroOp::Read(list));
    const int txn_number = history_.Begin(kClients, last);
    CO_RETURN_IF_ERROR(co_await TransactUntilDone(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      for (MicroOp& op : last) CO_RETURN_IF_ERROR(co_await RunStep(limited, txn, op, false, false));
      co_return absl::OkStatus();
    }));
    history_.Commit(txn_number, last);
    LookForLost(last);
    checkers::TxnCheckOptions options;
    options.consistency_models = {env_.real_time ? "strict-serializable" : "serializable"};
    options.all_writes_known = true;
    const checkers::TxnCheckResult result = checkers::CheckListAppend(history_, options);
    if (result.verdict != checkers::Verdict::kValid) Violation(StrCat("the lists are not serializable: ", result.ToString()));
    co_return absl::OkStatus();
  }

 private:
  static uint64_t RangeOf(int64_t list) { return static_cast<uint64_t>(list) / kListsPerRange; }
  std::string Key(int64_t list) const { return StrCat(Prefix(RangeOf(list)), "list/", list); }

  // With clocks beyond their bound real time proves nothing, and yet nothing acknowledged may go.
  void LookForLost(const std::vector<MicroOp>& last) {
    for (const checkers::Txn& txn : history_.txns()) {
      for (const MicroOp& op : txn.ops) {
        if (!txn.committed() || op.kind != MicroOp::Kind::kAppend) continue;
        const auto& there = last[static_cast<size_t>(op.key)].list;
        if (std::find(there.begin(), there.end(), op.value) == there.end()) Violation(StrCat("element ", op.value, " of list ", op.key, " was acknowledged and is lost"));
      }
    }
  }

  std::vector<MicroOp> Plan(SeededRandom& random) {
    std::vector<MicroOp> plan;
    const uint64_t steps = 1 + random.Uniform(4);
    for (uint64_t i = 0; i < steps; ++i) {
      const bool append = random.Chance(0.5);
      const auto list = static_cast<int64_t>(random.Uniform(kRanges * kListsPerRange));
      plan.push_back(append ? MicroOp::Append(list, ++last_element_) : MicroOp::Read(list));
    }
    return plan;
  }

  Task<void> RunOne(Context ctx, SeededRandom& random, int client) {
    std::vector<MicroOp> ops = Plan(random);
    const int number = history_.Begin(client, ops);
    const bool lock = random.Chance(0.3), by_scan = random.Chance(0.3), slow = random.Chance(0.2);
    absl::Status done = co_await Transact(ctx, {}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      for (MicroOp& op : ops) {
        CO_RETURN_IF_ERROR(co_await RunStep(limited, txn, op, lock, by_scan));
        if (slow) CO_RETURN_IF_ERROR(co_await Sleep(limited, Duration(random.Uniform(300'000'000))));
      }
      co_return absl::OkStatus();
    });
    switch (Note(done)) {
      case Outcome::kDone:
        history_.Commit(number, std::move(ops));
        break;
      case Outcome::kRefused:
        history_.Abort(number);
        break;
      case Outcome::kUnknown:
        history_.Lose(number);
        break;
    }
  }

  Task<absl::Status> RunStep(const Context& ctx, kv::Txn& txn, MicroOp& op, bool lock, bool by_scan) {
    const bool append = op.kind == MicroOp::Kind::kAppend;
    const std::string key = Key(op.key);
    std::optional<std::string> text;
    if (by_scan && !append) {
      CO_ASSIGN_OR_RETURN(auto rows, co_await ReadAll(ctx, txn, key));
      if (auto it = rows.find(""); it != rows.end()) text = it->second;
    } else {
      CO_ASSIGN_OR_RETURN(text, co_await txn.Get(ctx, key, {.lock = lock && append ? kv::LockStrength::kExclusive : kv::LockStrength::kNone}));
    }
    if (append) {
      txn.Put(key, text ? StrCat(*text, ",", op.value) : StrCat(op.value));
    } else {
      op = MicroOp::ReadList(op.key, ParseList(text.value_or("")));
    }
    co_return absl::OkStatus();
  }

  checkers::TxnHistory history_;
  int64_t last_element_ = 0;
};

}  // namespace

std::unique_ptr<Workload> MakeAppend(const WorkloadEnv& env) { return std::make_unique<Append>(env); }

}  // namespace insula::simtest
