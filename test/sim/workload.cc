#include "test/sim/workload.h"

#include <charconv>
#include <utility>

#include "base/async/wait.h"
#include "base/check.h"
#include "base/encoding/ordered.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "tenant/tenant.h"

namespace insula::simtest {
namespace {

struct Maker {
  const char* name;
  std::unique_ptr<Workload> (*make)(const WorkloadEnv& env);
};
constexpr Maker kMakers[] = {
    {"bank", MakeBank}, {"register", MakeRegister}, {"append", MakeAppend}, {"counter", MakeCounter},
    {"scan", MakeScan}, {"large", MakeLarge},       {"tenants", MakeTenants}, {"levels", MakeLevels},
    {"outcome", MakeOutcome},
};

constexpr Duration kTransactionLimit = 10s;

}  // namespace

Outcome OutcomeOf(const absl::Status& status) {
  if (status.ok()) return Outcome::kDone;
  return ToPgError(status).sqlstate == sqlstate::kTransactionResolutionUnknown ? Outcome::kUnknown : Outcome::kRefused;
}

std::optional<int64_t> ParseNumber(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

const std::vector<std::string>& WorkloadNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Maker& maker : kMakers) out.emplace_back(maker.name);
    return out;
  }();
  return names;
}

std::unique_ptr<Workload> MakeWorkload(std::string_view name, const WorkloadEnv& env) {
  for (const Maker& maker : kMakers) {
    if (name == maker.name) return maker.make(env);
  }
  return nullptr;
}

std::string Workload::Prefix(uint64_t i) const { return KeyspacePrefix(env_.first_keyspace + i); }

kv::ClientDatabase& Workload::database(const Context& ctx) {
  for (int i = 0; i < SimCluster::kClients; ++i) {
    SimProcess* host = env_.cluster->client(i);
    if (&host->executor() == &ctx.executor()) return *SimCluster::DatabaseOf(host);
  }
  CHECK(false) << "not a client's host";
  return *env_.cluster->database();
}

void Workload::SpawnClientOn(SimProcess* process, uint64_t number, Duration pause, Client step) {
  ++running_;
  process->Spawn([this, number, pause, step = std::move(step)](Context ctx) -> Task<void> {
    struct Leave {
      uint64_t* running;
      ~Leave() { --*running; }  // also when its process dies
    } leave{&running_};
    SeededRandom random(env_.seed * 1000003 + env_.first_keyspace * 1009 + number);
    while (!stopping_) {
      co_await step(ctx, random);
      Duration rest = 1ms + Duration(random.Uniform(static_cast<uint64_t>(pause.count()) + 1));
      if (!(co_await Sleep(ctx, rest)).ok()) break;
    }
  });
}

Outcome Workload::Note(const absl::Status& status, std::string_view of) {
  const Outcome outcome = OutcomeOf(status);
  if (outcome == Outcome::kDone) ++done_;
  Count(StrCat(of, outcome == Outcome::kDone ? "done" : outcome == Outcome::kRefused ? "refused" : "unknown"));
  return outcome;
}

Task<absl::Status> Workload::TransactOn(const Context& parent, kv::Database* database, kv::TxnOptions options, Body body) {
  Context ctx = parent.WithTimeout(kTransactionLimit);
  auto txn = database->Begin(options);
  absl::Status done = co_await body(ctx, *txn);
  if (done.ok()) co_return co_await txn->Commit(ctx);
  absl::Status rolled_back = co_await txn->Rollback(ctx);
  if (!rolled_back.ok() && !ctx.done()) sim().Note("workload", StrCat("rollback: ", rolled_back.ToString()));
  co_return done;
}

Task<absl::Status> Workload::TransactUntilDone(const Context& ctx, kv::TxnOptions options, Body body) {
  while (true) {
    absl::Status done = co_await Transact(ctx, options, body);
    if (done.ok()) co_return done;
    if (!ctx.status().ok()) co_return absl::DeadlineExceededError(StrCat("not committed in time; last: ", done.ToString()));
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, 50ms));
  }
}

Task<absl::StatusOr<std::map<std::string, std::string>>> Workload::ReadAll(const Context& ctx, kv::Txn& txn, std::string prefix, uint64_t page_rows) {
  std::map<std::string, std::string> rows;
  std::optional<kv::ScanSpec> spec = kv::ScanSpec();
  spec->start = prefix;
  spec->end = PrefixEnd(prefix);
  spec->max_rows = page_rows;
  while (spec) {
    CO_ASSIGN_OR_RETURN(kv::ScanPage page, co_await txn.Scan(ctx, *spec));
    for (const auto& row : page.rows()) rows[std::string(row.key.substr(prefix.size()))] = std::string(row.value);
    spec = page.rest();
  }
  co_return rows;
}

}  // namespace insula::simtest
