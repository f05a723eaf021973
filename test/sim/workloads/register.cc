// Single keys: read, written blindly, and compared and set, by clients on several hosts. Checked (test/checkers): each key by itself is
// linearizable, as a register with compare-and-set.
//
// Besides, keys are read at timestamps a little ahead of the present, and again later: a read at one timestamp stays what it was.
#include <set>
#include <utility>

#include "base/async/wait.h"
#include "base/hlc/hlc.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "test/checkers/linearizability.h"
#include "test/checkers/models.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

using checkers::Operation;
using checkers::Value;

constexpr uint64_t kRanges = 2;  // Hurry reads over both
constexpr uint64_t kKeysPerRange = SimCluster::kClients + 1;
constexpr uint64_t kClients = 5;
constexpr checkers::LinearizabilityOptions kSearch{.time_limit = std::chrono::hours(1), .most_configurations = 5'000'000};  // not by time: runs repeat
constexpr uint64_t kHasty = 4;
constexpr Duration kPatience = 100ms;
constexpr uint64_t kMostAheadMicros = 500'000;  // of a node's clock; nodes refuse more than 750 ms

Value Content(const std::optional<std::string>& value) { return value ? Value::Text(Value::Kind::kString, *value) : Value(); }

class Register : public Workload {
 public:
  explicit Register(const WorkloadEnv& env) : Workload(env) {}

  void Start() override {
    for (uint64_t i = 0; i < kClients; ++i) {
      SpawnClient(i, 30ms, [this, i, n = uint64_t{0}](Context ctx, SeededRandom& random) mutable { return Step(ctx, random, i, StrCat(i, "-", n++)); });
    }
    // Who waits for nobody goes on where others are stuck.
    for (uint64_t i = 0; i < kHasty; ++i) {
      SpawnClient(kClients + 1 + i, 20ms, [this, number = kClients + 1 + i, n = uint64_t{0}](Context ctx, SeededRandom& random) mutable {
        return Hurry(ctx.WithTimeout(kPatience), random, number, n++);
      });
    }
    SpawnClient(kClients, 100ms, [this](Context ctx, SeededRandom& random) { return LookTwice(ctx, random); });
  }

  std::string RandomKey(Random& random) override { return Key(random.Uniform(kRanges), random.Uniform(kKeysPerRange)); }

  Task<absl::Status> Check(Context ctx) override {
    for (uint64_t r = 0; r < kRanges; ++r) {
      for (uint64_t k = 0; k < kKeysPerRange; ++k) {
        std::string key = Key(r, k);
        Operation read = Begin("the last look");
        CO_RETURN_IF_ERROR(co_await TransactUntilDone(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
          CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(limited, key));
          read.output = Content(value);
          co_return absl::OkStatus();
        }));
        Read(key, std::move(read));
      }
    }
    if (!env_.real_time) co_return absl::OkStatus();  // clocks were beyond what linearizability is promised for
    for (auto& [key, operations] : history_) {
      const auto result = checkers::CheckLinearizable(WithoutUnseen(std::move(operations)), checkers::NewModel("cas-register").get(), kSearch);
      if (result.verdict != checkers::Verdict::kValid) Violation(StrCat("register ", key.substr(key.rfind('/') + 1), " is not linearizable: ", result.explanation));
    }
    co_return absl::OkStatus();
  }

 private:
  std::string Key(uint64_t range, uint64_t key) const { return StrCat(Prefix(range), "register/", range, "-", key); }

  // Each host has a key in each range that no other host writes, and the last key everybody does: when a node and one of the hosts are cut off
  // from all others, no write that waits there for a quorum is in the way of who reads there what the other host writes.
  std::string KeyToWrite(Random& random, uint64_t client) {
    const uint64_t own = client % SimCluster::kClients;
    return Key(random.Uniform(kRanges), random.Chance(0.5) ? own : kKeysPerRange - 1);
  }

  // A write of unknown fate that nobody saw is as if it had never taken effect; each one that stays would make the search longer.
  static std::vector<Operation> WithoutUnseen(std::vector<Operation> operations) {
    std::set<Value> seen;
    for (const Operation& op : operations) {
      if (op.f == "read") seen.insert(op.output);
      if (op.f == "cas") seen.insert(op.input.items[0]);
    }
    std::erase_if(operations, [&](const Operation& op) { return !op.completed_at && !seen.contains(op.f == "cas" ? op.input.items[1] : op.input); });
    return operations;
  }

  Operation Begin(const std::string& client) {
    Operation op;
    op.process = client;
    op.invoked_at = ++position_;
    return op;
  }
  void Read(const std::string& key, Operation op) {
    op.f = "read";
    op.completed_at = ++position_;
    history_[key].push_back(std::move(op));
  }
  void Wrote(const std::string& key, Operation op, Outcome outcome) {
    if (outcome == Outcome::kRefused) return;
    if (outcome == Outcome::kDone) op.completed_at = ++position_;
    history_[key].push_back(std::move(op));
  }

  Task<void> Step(Context ctx, SeededRandom& random, uint64_t client, std::string fresh) {
    std::string key = KeyToWrite(random, client);
    switch (random.Uniform(4)) {
      case 0:
        return ReadOne(ctx, RandomKey(random), StrCat(client));
      case 1:
        return WriteOne(ctx, std::move(key), StrCat(client), std::move(fresh));
      default: {
        const bool lock = random.Chance(0.5), only_looks = random.Chance(0.3);
        return CompareAndSet(ctx, std::move(key), StrCat(client), std::move(fresh), lock, only_looks);
      }
    }
  }

  // Those without patience hear nothing for certain, even where all is well.
  static std::string_view KindOf(std::string_view client) { return client.starts_with("hasty") ? "hasty " : ""; }

  Task<void> Hurry(Context ctx, SeededRandom& random, uint64_t number, uint64_t n) {
    const std::string client = StrCat("hasty-", number);
    if (random.Chance(0.3)) return WriteOne(std::move(ctx), KeyToWrite(random, number), client, StrCat(client, "-", n));
    const uint64_t range = random.Uniform(kRanges), k = random.Uniform(kKeysPerRange);
    // Half of them begin in the other range: its leaseholder's clock is the snapshot's, and this range's may be ahead.
    return ReadOne(std::move(ctx), Key(range, k), client, random.Chance(0.5) ? Key(1 - range, k) : std::string());
  }

  // `first`: read before it, in the same transaction; empty: none.
  Task<void> ReadOne(Context ctx, std::string key, std::string client, std::string first = "") {
    Operation op = Begin(client);
    absl::Status done = co_await Transact(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      if (!first.empty()) CO_RETURN_IF_ERROR((co_await txn.Get(limited, first)).status());
      CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(limited, key));
      op.output = Content(value);
      co_return absl::OkStatus();
    });
    if (Note(done, KindOf(client)) == Outcome::kDone) Read(key, std::move(op));
  }

  Task<void> WriteOne(Context ctx, std::string key, std::string client, std::string fresh) {
    Operation op = Begin(client);
    op.f = "write";
    op.input = Content(fresh);
    absl::Status done = co_await Transact(ctx, {}, [&](const Context&, kv::Txn& txn) -> Task<absl::Status> {
      txn.Put(key, fresh);
      co_return absl::OkStatus();
    });
    Wrote(key, std::move(op), Note(done, KindOf(client)));
  }

  // Sets what it read; sometimes gives up, and has only read then.
  Task<void> CompareAndSet(Context ctx, std::string key, std::string client, std::string fresh, bool lock, bool only_looks) {
    Operation op = Begin(client);
    absl::Status done = co_await Transact(ctx, {}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(limited, key, {.lock = lock ? kv::LockStrength::kExclusive : kv::LockStrength::kNone}));
      op.output = Content(value);
      if (!only_looks) txn.Put(key, fresh);
      co_return absl::OkStatus();
    });
    const Outcome outcome = Note(done);
    if (only_looks) {
      if (outcome == Outcome::kDone) Read(key, std::move(op));
      co_return;
    }
    op.f = "cas";
    op.input = Value::List({std::exchange(op.output, Value()), Content(fresh)});
    Wrote(key, std::move(op), outcome);
  }

  Task<absl::StatusOr<kv::v1::BatchResponse>> ReadAt(const Context& ctx, std::string key, Timestamp ts) {
    kv::v1::BatchRequest batch = kv::NewBatch();
    batch.mutable_header()->set_timestamp(ts.bits);
    batch.add_requests()->mutable_get()->set_key(std::move(key));
    kv::v1::BatchResponse response = co_await database(ctx).sender().Send(ctx, std::move(batch));
    if (response.has_error()) co_return absl::UnavailableError(response.error().message());
    co_return response;
  }

  Task<void> LookTwice(Context parent, SeededRandom& random) {
    Context ctx = parent.WithTimeout(10s);
    std::string key = RandomKey(random);
    const uint64_t ahead = random.Uniform(kMostAheadMicros);
    const Duration pause(random.Uniform(1'000'000'000));
    auto now = co_await ReadAt(ctx, key, Timestamp());
    if (!now.ok()) co_return;
    const Timestamp ts = Timestamp{now->now()}.AddMicros(static_cast<int64_t>(ahead));
    auto first = co_await ReadAt(ctx, key, ts);
    if (!first.ok() || !(co_await Sleep(ctx, pause)).ok()) co_return;
    auto second = co_await ReadAt(ctx, key, ts);
    if (!second.ok()) co_return;  // its versions may have gone meanwhile
    Count("looks");
    const auto &a = first->responses(0).get(), &b = second->responses(0).get();
    if (a.has_value() != b.has_value() || a.value() != b.value()) {
      Violation(StrCat("register ", key.substr(key.rfind('/') + 1), " at ", ts.ToString(), " was \"", a.value(), "\", and \"", b.value(), "\" when it was read again"));
    }
  }

  std::map<std::string, std::vector<Operation>> history_;
  int position_ = 0;
};

}  // namespace

std::unique_ptr<Workload> MakeRegister(const WorkloadEnv& env) { return std::make_unique<Register>(env); }

}  // namespace insula::simtest
