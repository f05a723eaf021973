#include "test/sim/bank.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/async/task_group.h"
#include "base/encoding/ordered.h"
#include "base/pgerror/pg_error.h"
#include "base/sim/disk.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "tenant/tenant.h"
#include "test/sim/cluster.h"

namespace insula::simtest {
namespace {

constexpr int kRanges = 3;
constexpr int kAccountsPerRange = 5;
constexpr int64_t kInitialBalance = 100;
constexpr int kTellers = 6;
constexpr Duration kFaultTime = std::chrono::seconds(20);
constexpr Duration kHealTime = std::chrono::seconds(60);

std::string RangePrefix(int range) { return KeyspacePrefix(static_cast<uint64_t>(range) + 2); }
std::string AccountKey(int range, int account) { return StrCat(RangePrefix(range), "account/", account); }
std::string MarkerKey(int range, const std::string& id) { return StrCat(RangePrefix(range), "marker/", id); }

std::optional<int64_t> ParseBalance(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class Bank {
 public:
  explicit Bank(const BankOptions& options) : options_(options), cluster_(options.seed) {}

  BankResult Run() {
    Simulation& sim = cluster_.sim();
    sim.set_trace(options_.trace);
    absl::Status up = cluster_.Start();
    if (up.ok()) up = sim.Run(cluster_.client(), [this](Context ctx) { return OpenAccounts(ctx); }, 60s);
    if (!up.ok()) {
      Violation(StrCat("the cluster did not come up: ", up.ToString()));
      return Finish();
    }
    for (int i = 0; i < kTellers; ++i) cluster_.client()->Spawn([this, i](Context ctx) { return Teller(ctx, i); });
    cluster_.client()->Spawn([this](Context ctx) { return Auditor(ctx); });
    if (options_.faults) PlanFaults();
    sim.RunFor(kFaultTime);
    stop_faults_ = true;
    cluster_.Heal();
    healed_ = true;
    uint64_t before = result_.committed;
    if (!sim.RunUntil([&] { return result_.committed >= before + 10; }, kHealTime)) Violation("no progress within a minute after all faults ended");
    stopping_ = true;
    if (!sim.RunUntil([&] { return running_ == 0; }, kHealTime)) Violation("tellers do not end within a minute after all faults ended");
    absl::Status checked = sim.Run(cluster_.client(), [this](Context ctx) { return FinalCheck(ctx); }, kHealTime);
    if (!checked.ok()) Violation(StrCat("the final check failed: ", checked.ToString()));
    return Finish();
  }

 private:
  BankResult Finish() {
    result_.trace_hash = cluster_.sim().trace_hash();
    result_.virtual_seconds = std::chrono::duration<double>(cluster_.sim().elapsed()).count();
    return std::move(result_);
  }
  void Violation(std::string what) { result_.violations.push_back(std::move(what)); }

  Task<absl::Status> OpenAccounts(Context ctx) {
    while (true) {
      auto txn = cluster_.database()->Begin({});
      for (int r = 0; r < kRanges; ++r) {
        for (int a = 0; a < kAccountsPerRange; ++a) txn->Put(AccountKey(r, a), StrCat(kInitialBalance));
      }
      absl::Status committed = co_await txn->Commit(ctx);
      if (committed.ok() || ToPgError(committed).sqlstate != sqlstate::kSerializationFailure) co_return committed;
      CO_RETURN_IF_ERROR(co_await Sleep(ctx, 50ms));
    }
  }

  Task<void> Teller(Context ctx, int teller) {
    ++running_;
    SeededRandom random(options_.seed * 1000003 + static_cast<uint64_t>(teller));
    for (int n = 0; !stopping_; ++n) {
      std::string id = StrCat(teller, "-", n);
      absl::Status done = co_await Transfer(ctx, random, id);
      if (done.ok()) {
        ++result_.committed;
        acknowledged_.insert(id);
      } else {
        std::string state = ToPgError(done).sqlstate;
        bool unknown = state == sqlstate::kTransactionResolutionUnknown;
        if (unknown) ++result_.unknown;
        if (!unknown) refused_.insert(id);
        ++result_.retried;
      }
      absl::Status slept = co_await Sleep(ctx, std::chrono::milliseconds(1 + random.Uniform(40)));
      if (!slept.ok()) break;
    }
    --running_;
  }

  // Moves an amount between two accounts, and leaves a marker in both ranges. OK: acknowledged as committed.
  Task<absl::Status> Transfer(const Context& parent, SeededRandom& random, const std::string& id) {
    Context ctx = parent.WithTimeout(10s);
    int from_range = static_cast<int>(random.Uniform(kRanges));
    int to_range = random.Chance(0.5) ? from_range : static_cast<int>(random.Uniform(kRanges));
    std::string from = AccountKey(from_range, static_cast<int>(random.Uniform(kAccountsPerRange)));
    std::string to = AccountKey(to_range, static_cast<int>(random.Uniform(kAccountsPerRange)));
    if (from == to) to = AccountKey((to_range + 1) % kRanges, 0);
    kv::ReadOptions lock{.lock = random.Chance(0.5) ? kv::LockStrength::kExclusive : kv::LockStrength::kNone};
    auto txn = cluster_.database()->Begin({.isolation = kv::Isolation::kSerializable});
    absl::Status done = co_await Move(ctx, *txn, from, to, lock, static_cast<int64_t>(random.Uniform(20)));
    if (done.ok()) {
      txn->Put(MarkerKey(from_range, id), "");
      txn->Put(MarkerKey(to_range, id), "");
      done = co_await txn->Commit(ctx);
    } else {
      absl::Status rolled_back = co_await txn->Rollback(ctx);
      if (!rolled_back.ok() && !ctx.done()) cluster_.sim().Note("bank", StrCat("rollback: ", rolled_back.ToString()));
    }
    co_return done;
  }

  Task<absl::Status> Move(const Context& ctx, kv::Txn& txn, std::string from, std::string to, kv::ReadOptions lock, int64_t amount) {
    CO_ASSIGN_OR_RETURN(auto from_text, co_await txn.Get(ctx, from, lock));
    CO_ASSIGN_OR_RETURN(auto to_text, co_await txn.Get(ctx, to, lock));
    if (!from_text || !to_text) {
      Violation(StrCat("an account has vanished: ", from_text ? to : from));
      co_return absl::DataLossError("account");
    }
    auto from_balance = ParseBalance(*from_text), to_balance = ParseBalance(*to_text);
    if (!from_balance || !to_balance) co_return absl::DataLossError("balance");
    amount = std::min(amount, *from_balance);
    txn.Put(from, StrCat(*from_balance - amount));
    txn.Put(to, StrCat(*to_balance + amount));
    co_return absl::OkStatus();
  }

  Task<void> Auditor(Context ctx) {
    ++running_;
    while (!stopping_) {
      auto txn = cluster_.database()->Begin({.isolation = kv::Isolation::kSerializable, .read_only = true});
      auto total = co_await Total(ctx.WithTimeout(10s), *txn);
      // Serializable reads count when the commit confirms them.
      absl::Status done = total.ok() ? co_await txn->Commit(ctx.WithTimeout(10s)) : total.status();
      if (done.ok()) {
        ++result_.audits;
        if (*total != kRanges * kAccountsPerRange * kInitialBalance) Violation(StrCat("an audit found a total of ", *total));
      } else if (!ctx.done()) {
        absl::Status rolled_back = co_await txn->Rollback(ctx.WithTimeout(1s));
        if (!rolled_back.ok()) cluster_.sim().Note("bank", StrCat("rollback: ", rolled_back.ToString()));
      }
      if (!(co_await Sleep(ctx, 100ms)).ok()) break;
    }
    --running_;
  }

  Task<absl::StatusOr<int64_t>> Total(Context ctx, kv::Txn& txn) {
    int64_t total = 0;
    for (int r = 0; r < kRanges; ++r) {
      std::optional<kv::ScanSpec> spec = kv::ScanSpec();
      spec->start = StrCat(RangePrefix(r), "account/");
      spec->end = PrefixEnd(spec->start);
      spec->max_rows = 2;  // pages
      while (spec) {
        CO_ASSIGN_OR_RETURN(kv::ScanPage page, co_await txn.Scan(ctx, *spec));
        for (auto& row : page.rows()) {
          auto balance = ParseBalance(row.value);
          if (!balance || *balance < 0) Violation(StrCat("a balance reads ", row.value));
          total += balance.value_or(0);
        }
        spec = page.rest();
      }
    }
    co_return total;
  }

  Task<absl::Status> FinalCheck(Context ctx) {
    std::map<std::string, int> markers;
    auto txn = cluster_.database()->Begin({.read_only = true});
    CO_ASSIGN_OR_RETURN(int64_t total, co_await Total(ctx, *txn));
    if (total != kRanges * kAccountsPerRange * kInitialBalance) Violation(StrCat("the final total is ", total));
    for (int r = 0; r < kRanges; ++r) {
      std::optional<kv::ScanSpec> spec = kv::ScanSpec();
      spec->start = StrCat(RangePrefix(r), "marker/");
      spec->end = PrefixEnd(spec->start);
      size_t prefix = spec->start.size();
      while (spec) {
        CO_ASSIGN_OR_RETURN(kv::ScanPage page, co_await txn->Scan(ctx, *spec));
        for (auto& row : page.rows()) ++markers[std::string(row.key.substr(prefix))];
        spec = page.rest();
      }
    }
    for (auto& id : acknowledged_) {
      if (!markers.contains(id)) Violation(StrCat("transfer ", id, " was acknowledged and is lost"));
    }
    for (auto& id : refused_) {
      if (markers.contains(id)) Violation(StrCat("transfer ", id, " was refused and is there"));
    }
    co_return co_await txn->Commit(ctx);
  }

  // -- Faults, at least one crash and one partition in every history --

  void PlanFaults() {
    Random& random = cluster_.sim().random();
    cluster_.sim().At(2s + random.Uniform(3000) * 1ms, [this] { CrashOne(); });
    cluster_.sim().At(7s + random.Uniform(3000) * 1ms, [this] { PartitionOne(); });
    NextFault();
  }

  void NextFault() {
    Random& random = cluster_.sim().random();
    cluster_.sim().At((200 + random.Uniform(3000)) * 1ms, [this] {
      if (stop_faults_) return;
      Fault();
      NextFault();
    });
  }

  void Fault() {
    Random& random = cluster_.sim().random();
    int node = static_cast<int>(random.Uniform(SimCluster::kNodes));
    switch (random.Uniform(8)) {
      case 0:
      case 1:
        return CrashOne();
      case 2:
        return PartitionOne();
      case 3:
        return OneWay(node);
      case 4:
        cluster_.sim().net().SetDefaultLink({.slow_chance = 0.05, .loss_chance = 0.02, .break_chance = 0.002});
        return Later(2s, [this] { cluster_.sim().net().SetDefaultLink(LinkProfile()); });
      case 5:
        cluster_.node(node)->disk().faults.stall_chance = 0.3;
        return Later(2s, [this, node] { cluster_.node(node)->disk().faults = DiskFaults(); });
      case 6:
        if (cluster_.alive(node)) cluster_.node(node)->Pause();
        return Later(1500ms, [this, node] {
          if (cluster_.node(node)->paused()) cluster_.node(node)->Resume();
        });
      case 7:
        return CrashAll();
    }
  }

  void Later(Duration after, std::function<void()> fn) {
    cluster_.sim().At(after, [this, fn = std::move(fn)] {
      if (!healed_) fn();
    });
  }

  void CrashOne() {
    Random& random = cluster_.sim().random();
    int node = static_cast<int>(random.Uniform(SimCluster::kNodes));
    if (!cluster_.alive(node)) return;
    ++result_.crashes;
    if (random.Chance(0.5)) {
      cluster_.Crash(node);
    } else {
      cluster_.node(node)->CrashAfterSteps(1 + random.Uniform(500));
    }
    cluster_.sim().At((100 + random.Uniform(4000)) * 1ms, [this, node] { cluster_.Restart(node); });
  }

  void CrashAll() {
    for (int i = 0; i < SimCluster::kNodes; ++i) {
      if (cluster_.alive(i)) ++result_.crashes;
      cluster_.Crash(i);
      cluster_.sim().At((100 + cluster_.sim().random().Uniform(1000)) * 1ms, [this, i] { cluster_.Restart(i); });
    }
  }

  void PartitionOne() {
    int node = static_cast<int>(cluster_.sim().random().Uniform(SimCluster::kNodes));
    ++result_.partitions;
    for (int other = 0; other < SimCluster::kNodes; ++other) {
      if (other != node) cluster_.sim().net().Block(cluster_.node(node)->name(), cluster_.node(other)->name());
    }
    Later((500 + cluster_.sim().random().Uniform(4000)) * 1ms, [this] { cluster_.sim().net().HealAll(); });
  }

  void OneWay(int node) {
    ++result_.partitions;
    int other = (node + 1) % SimCluster::kNodes;
    cluster_.sim().net().BlockOneWay(cluster_.node(node)->name(), cluster_.node(other)->name());
    Later(3s, [this] { cluster_.sim().net().HealAll(); });
  }

  BankOptions options_;
  BankResult result_;
  std::set<std::string> acknowledged_, refused_;
  int running_ = 0;
  bool stopping_ = false, stop_faults_ = false, healed_ = false;
  SimCluster cluster_;  // last: its processes' tasks use the rest
};

}  // namespace

BankResult RunBank(const BankOptions& options) { return Bank(options).Run(); }

}  // namespace insula::simtest
