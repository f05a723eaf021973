// The bank: transfers between accounts in several ranges.
//
// Checked: every snapshot shows the same total; no balance is negative; what was acknowledged is there at the end, what was refused
// is not.
#include <algorithm>
#include <set>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr uint64_t kRanges = 3;
constexpr uint64_t kAccountsPerRange = 5;
constexpr int64_t kInitialBalance = 100;
constexpr int64_t kTotal = kRanges * kAccountsPerRange * kInitialBalance;
constexpr uint64_t kTellers = 6;

class Bank : public Workload {
 public:
  explicit Bank(const WorkloadEnv& env) : Workload(env) {}

  Task<absl::Status> Prepare(Context ctx) override {
    co_return co_await TransactUntilDone(ctx, {}, [this](const Context&, kv::Txn& txn) -> Task<absl::Status> {
      for (uint64_t r = 0; r < kRanges; ++r) {
        for (uint64_t a = 0; a < kAccountsPerRange; ++a) txn.Put(AccountKey(r, a), StrCat(kInitialBalance));
      }
      co_return absl::OkStatus();
    });
  }

  void Start() override {
    for (uint64_t i = 0; i < kTellers; ++i) {
      SpawnClient(i, 40ms, [this, i, n = uint64_t{0}](Context ctx, SeededRandom& random) mutable { return Transfer(ctx, random, StrCat(i, "-", n++)); });
    }
    SpawnClient(kTellers, 200ms, [this](Context ctx, SeededRandom& random) { return Audit(ctx, random); });
  }

  std::string RandomKey(Random& random) override { return AccountKey(random.Uniform(kRanges), random.Uniform(kAccountsPerRange)); }

  Task<absl::Status> Check(Context ctx) override {
    std::set<std::string> markers;
    CO_RETURN_IF_ERROR(co_await TransactUntilDone(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      markers.clear();
      CO_ASSIGN_OR_RETURN(int64_t total, co_await Total(limited, txn, 2));
      if (total != kTotal) Violation(StrCat("the final total is ", total));
      for (uint64_t r = 0; r < kRanges; ++r) {
        CO_ASSIGN_OR_RETURN(auto rows, co_await ReadAll(limited, txn, StrCat(Prefix(r), "marker/")));
        for (auto& [id, value] : rows) markers.insert(id);
      }
      co_return absl::OkStatus();
    }));
    for (auto& id : acknowledged_) {
      if (!markers.contains(id)) Violation(StrCat("transfer ", id, " was acknowledged and is lost"));
    }
    for (auto& id : refused_) {
      if (markers.contains(id)) Violation(StrCat("transfer ", id, " was refused and is there"));
    }
    co_return absl::OkStatus();
  }

 private:
  std::string AccountKey(uint64_t range, uint64_t account) const { return StrCat(Prefix(range), "account/", account); }
  std::string MarkerKey(uint64_t range, const std::string& id) const { return StrCat(Prefix(range), "marker/", id); }

  // Moves an amount between two accounts, and leaves a marker in both ranges.
  Task<void> Transfer(Context ctx, SeededRandom& random, std::string id) {
    uint64_t from_range = random.Uniform(kRanges);
    uint64_t to_range = random.Chance(0.5) ? from_range : random.Uniform(kRanges);
    std::string from = AccountKey(from_range, random.Uniform(kAccountsPerRange));
    std::string to = AccountKey(to_range, random.Uniform(kAccountsPerRange));
    if (from == to) to = AccountKey((to_range + 1) % kRanges, 0);
    kv::ReadOptions lock{.lock = random.Chance(0.5) ? kv::LockStrength::kExclusive : kv::LockStrength::kNone};
    const auto amount = static_cast<int64_t>(random.Uniform(20));
    absl::Status done = co_await Transact(ctx, {}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await Move(limited, txn, from, to, lock, amount));
      txn.Put(MarkerKey(from_range, id), "");
      txn.Put(MarkerKey(to_range, id), "");
      co_return absl::OkStatus();
    });
    Outcome outcome = Note(done);
    if (outcome == Outcome::kDone) acknowledged_.insert(id);
    if (outcome == Outcome::kRefused) refused_.insert(id);
  }

  Task<absl::Status> Move(const Context& ctx, kv::Txn& txn, std::string from, std::string to, kv::ReadOptions lock, int64_t amount) {
    CO_ASSIGN_OR_RETURN(auto from_text, co_await txn.Get(ctx, from, lock));
    CO_ASSIGN_OR_RETURN(auto to_text, co_await txn.Get(ctx, to, lock));
    if (!from_text || !to_text) {
      Violation("an account has vanished");
      co_return absl::DataLossError("account");
    }
    auto from_balance = ParseNumber(*from_text), to_balance = ParseNumber(*to_text);
    if (!from_balance || !to_balance) {
      Violation(StrCat("a balance reads ", from_balance ? *to_text : *from_text));
      co_return absl::DataLossError("balance");
    }
    amount = std::min(amount, *from_balance);
    txn.Put(from, StrCat(*from_balance - amount));
    txn.Put(to, StrCat(*to_balance + amount));
    co_return absl::OkStatus();
  }

  Task<void> Audit(Context ctx, SeededRandom& random) {
    int64_t total = 0;
    // Serializable reads count when the commit confirms them.
    absl::Status done = co_await Transact(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_ASSIGN_OR_RETURN(total, co_await Total(limited, txn, 1 + random.Uniform(4)));
      co_return absl::OkStatus();
    });
    if (!done.ok()) co_return;
    Count("audits");
    if (total != kTotal) Violation(StrCat("an audit found a total of ", total));
  }

  Task<absl::StatusOr<int64_t>> Total(const Context& ctx, kv::Txn& txn, uint64_t page_rows) {
    int64_t total = 0;
    for (uint64_t r = 0; r < kRanges; ++r) {
      CO_ASSIGN_OR_RETURN(auto rows, co_await ReadAll(ctx, txn, StrCat(Prefix(r), "account/"), page_rows));
      for (auto& [account, text] : rows) {
        auto balance = ParseNumber(text);
        if (!balance || *balance < 0) Violation(StrCat("a balance reads ", text));
        total += balance.value_or(0);
      }
    }
    co_return total;
  }

  std::set<std::string> acknowledged_, refused_;
};

}  // namespace

std::unique_ptr<Workload> MakeBank(const WorkloadEnv& env) { return std::make_unique<Bank>(env); }

}  // namespace insula::simtest
