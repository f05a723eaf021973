// What clients do to the cluster while it suffers, and how one knows that they were served right.
//
//   Prepare ─► Start: clients as tasks of the client's process, until Stop ─► ended() ─► Check: what is there at the end
//
// Each workload has keyspaces of its own, so several run side by side. Outcomes are threefold:
//   kDone     acknowledged: it must be there, and later operations see it
//   kRefused  certainly not applied: no trace of it may ever appear
//   kUnknown  either, but wholly and at most once
#ifndef INSULA_TEST_SIM_WORKLOAD_H_
#define INSULA_TEST_SIM_WORKLOAD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/random.h"
#include "kv/api/txn.h"
#include "test/sim/cluster.h"

namespace insula::simtest {

enum class Outcome { kDone, kRefused, kUnknown };
Outcome OutcomeOf(const absl::Status& status);

struct WorkloadEnv {
  SimCluster* cluster = nullptr;
  uint64_t seed = 0;
  uint64_t first_keyspace = 0;  // of kKeyspaces
  // Clocks stay within the bound: what was acknowledged before an operation began is seen by it, on whatever node.
  bool real_time = true;
};

class Workload {
 public:
  static constexpr uint64_t kKeyspaces = 4;

  virtual ~Workload() = default;

  // While there are no faults yet.
  virtual Task<absl::Status> Prepare(Context) { co_return absl::OkStatus(); }
  virtual void Start() = 0;
  // Once all clients have ended and the faults are over.
  virtual Task<absl::Status> Check(Context ctx) = 0;
  // Where to split, and what the ghost locks and writes without ever committing.
  virtual std::string RandomKey(Random& random) = 0;

  void Stop() { stopping_ = true; }
  bool ended() const { return running_ == 0; }
  uint64_t done() const { return done_; }
  const std::vector<std::string>& violations() const { return violations_; }
  // What happened, by name, for the run's summary.
  const std::map<std::string, uint64_t>& counts() const { return counts_; }

 protected:
  using Client = std::function<Task<void>(Context ctx, SeededRandom& random)>;
  using Body = std::function<Task<absl::Status>(const Context& ctx, kv::Txn& txn)>;

  explicit Workload(const WorkloadEnv& env) : env_(env) {}

  Simulation& sim() { return env_.cluster->sim(); }
  // Of the client's host on which `ctx` runs.
  kv::ClientDatabase& database(const Context& ctx);
  // Prefix of the `i`-th of the workload's keyspaces: a range of its own, to begin with.
  std::string Prefix(uint64_t i) const;
  // Runs `step` again and again, with pauses of up to `pause` between, until Stop. Clients take turns with the hosts.
  void SpawnClient(uint64_t number, Duration pause, Client step) {
    SpawnClientOn(env_.cluster->client(static_cast<int>(number % SimCluster::kClients)), number, pause, std::move(step));
  }
  void SpawnClientOn(SimProcess* process, uint64_t number, Duration pause, Client step);
  // `body` in one transaction: committed if it returns OK, else rolled back.
  Task<absl::Status> Transact(const Context& ctx, kv::TxnOptions options, Body body) { return TransactOn(ctx, &database(ctx), options, std::move(body)); }
  Task<absl::Status> TransactOn(const Context& ctx, kv::Database* database, kv::TxnOptions options, Body body);
  // The same until it is committed. For Prepare and Check, where no fault is in the way for long.
  Task<absl::Status> TransactUntilDone(const Context& ctx, kv::TxnOptions options, Body body);
  // Rows under `prefix`, without it.
  Task<absl::StatusOr<std::map<std::string, std::string>>> ReadAll(const Context& ctx, kv::Txn& txn, std::string prefix, uint64_t page_rows = 100);

  void Violation(std::string what) {
    if (violations_.size() < 20) violations_.push_back(std::move(what));
  }
  void Count(std::string_view what, uint64_t n = 1) { counts_[std::string(what)] += n; }
  Outcome Note(const absl::Status& status, std::string_view of = "");  // counts it (`of`: apart from the others), and what is done
  bool stopping() const { return stopping_; }

  const WorkloadEnv env_;

 private:
  uint64_t running_ = 0;
  uint64_t done_ = 0;
  bool stopping_ = false;
  std::vector<std::string> violations_;
  std::map<std::string, uint64_t> counts_;
};

std::optional<int64_t> ParseNumber(std::string_view text);

// In the order in which seeds choose among them.
const std::vector<std::string>& WorkloadNames();
// Null: there is none of that name.
std::unique_ptr<Workload> MakeWorkload(std::string_view name, const WorkloadEnv& env);

// One file each.
std::unique_ptr<Workload> MakeBank(const WorkloadEnv& env);      // transfers keep the sum
std::unique_ptr<Workload> MakeRegister(const WorkloadEnv& env);  // one key at a time is linearizable
std::unique_ptr<Workload> MakeAppend(const WorkloadEnv& env);    // lists tell the order of transactions
std::unique_ptr<Workload> MakeCounter(const WorkloadEnv& env);   // nothing counts twice
std::unique_ptr<Workload> MakeScan(const WorkloadEnv& env);      // a long scan is one snapshot
std::unique_ptr<Workload> MakeLarge(const WorkloadEnv& env);     // beyond all buffers, and still all or nothing
std::unique_ptr<Workload> MakeTenants(const WorkloadEnv& env);   // walls, and zombies behind them
std::unique_ptr<Workload> MakeLevels(const WorkloadEnv& env);    // isolation levels, savepoints, locks without writes
std::unique_ptr<Workload> MakeOutcome(const WorkloadEnv& env);   // what was told of a commit holds

}  // namespace insula::simtest

#endif  // INSULA_TEST_SIM_WORKLOAD_H_
