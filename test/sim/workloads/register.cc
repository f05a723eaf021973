// Single keys: read, written blindly, and compared and set. Checked: each key by itself is linearizable.
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "test/sim/history.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr uint64_t kRanges = 2;
constexpr uint64_t kKeysPerRange = 3;
constexpr uint64_t kClients = 5;

class Register : public Workload {
 public:
  explicit Register(const WorkloadEnv& env) : Workload(env) {}

  void Start() override {
    for (uint64_t i = 0; i < kClients; ++i) {
      SpawnClient(i, 30ms, [this, i, n = uint64_t{0}](Context ctx, SeededRandom& random) mutable { return Step(ctx, random, i, StrCat(i, "-", n++)); });
    }
  }

  std::string RandomKey(Random& random) override { return Key(random.Uniform(kRanges), random.Uniform(kKeysPerRange)); }

  Task<absl::Status> Check(Context ctx) override {
    for (uint64_t r = 0; r < kRanges; ++r) {
      for (uint64_t k = 0; k < kKeysPerRange; ++k) {
        std::string key = Key(r, k);
        RegisterOp op{.value = "", .begin = sim().elapsed()};
        CO_RETURN_IF_ERROR(co_await TransactUntilDone(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
          CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(limited, key));
          op.value = value.value_or("");
          co_return absl::OkStatus();
        }));
        op.end = sim().elapsed();
        history_[key].push_back(op);
      }
    }
    if (!env_.real_time) co_return absl::OkStatus();  // clocks were beyond what linearizability is promised for
    for (const auto& [key, ops] : history_) {
      for (const std::string& problem : CheckRegister(ops)) Violation(StrCat("register ", key.substr(key.rfind('/') + 1), " is not linearizable: ", problem));
    }
    co_return absl::OkStatus();
  }

 private:
  std::string Key(uint64_t range, uint64_t key) const { return StrCat(Prefix(range), "register/", range, "-", key); }

  Task<void> Step(Context ctx, SeededRandom& random, uint64_t client, std::string fresh) {
    std::string key = RandomKey(random);
    RegisterOp op{.client = client, .value = "", .begin = sim().elapsed()};
    const uint64_t kind = random.Uniform(4);
    if (kind < 2) {
      op.write = kind == 1;
      if (op.write) op.value = fresh;
      absl::Status done = co_await Transact(ctx, {.read_only = !op.write}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
        if (op.write) {
          txn.Put(key, fresh);
          co_return absl::OkStatus();
        }
        CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(limited, key));
        op.value = value.value_or("");
        co_return absl::OkStatus();
      });
      Record(key, op, Note(done));
      co_return;
    }
    co_await CompareAndSet(ctx, key, op, fresh, kind == 3, random.Chance(0.3));
  }

  // Sets what it read; sometimes gives up, and has only read then.
  Task<void> CompareAndSet(Context ctx, std::string key, RegisterOp read, std::string fresh, bool lock, bool only_looks) {
    absl::Status done = co_await Transact(ctx, {}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_ASSIGN_OR_RETURN(auto value, co_await txn.Get(limited, key, {.lock = lock ? kv::LockStrength::kExclusive : kv::LockStrength::kNone}));
      read.value = value.value_or("");
      if (!only_looks) txn.Put(key, fresh);
      co_return absl::OkStatus();
    });
    Outcome outcome = Note(done);
    // A read of a transaction of unknown fate proves nothing.
    if (outcome == Outcome::kDone) Record(key, read, outcome);
    if (only_looks) co_return;
    RegisterOp write = read;
    write.write = true;
    write.value = fresh;
    Record(key, write, outcome);
  }

  void Record(const std::string& key, RegisterOp op, Outcome outcome) {
    if (outcome == Outcome::kRefused || (!op.write && outcome != Outcome::kDone)) return;
    op.end = outcome == Outcome::kDone ? sim().elapsed() : kNever;
    history_[key].push_back(std::move(op));
  }

  std::map<std::string, std::vector<RegisterOp>> history_;
};

}  // namespace

std::unique_ptr<Workload> MakeRegister(const WorkloadEnv& env) { return std::make_unique<Register>(env); }

}  // namespace insula::simtest
