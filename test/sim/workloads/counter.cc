// Counters: added to outside of transactions, within them, and as sequences.
//
// Checked: an addition that was acknowledged counts once, one of unknown fate at most once, one that was refused not at all; and a
// sequence never gives the same number twice, nor a smaller one to who came later.
#include <algorithm>
#include <set>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/request.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr uint64_t kCounters = 4;  // in two ranges
constexpr uint64_t kClients = 4;

class Counter : public Workload {
 public:
  explicit Counter(const WorkloadEnv& env) : Workload(env), tallies_(2 * kCounters) {}

  void Start() override {
    for (uint64_t i = 0; i < kClients; ++i) {
      SpawnClient(i, 30ms, [this](Context ctx, SeededRandom& random) { return Step(ctx, random); });
    }
  }

  std::string RandomKey(Random& random) override { return Key(random.Uniform(2 * kCounters)); }

  Task<absl::Status> Check(Context ctx) override {
    for (uint64_t i = 0; i < tallies_.size(); ++i) {
      int64_t value = 0;
      CO_RETURN_IF_ERROR(co_await TransactUntilDone(ctx, {}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
        CO_ASSIGN_OR_RETURN(value, co_await Read(limited, txn, i));
        co_return absl::OkStatus();
      }));
      const Tally& tally = tallies_[i];
      if (value < tally.acknowledged || value > tally.acknowledged + tally.unknown) {
        Violation(StrCat("counter ", i, " is ", value, "; acknowledged ", tally.acknowledged, ", of unknown fate ", tally.unknown));
      }
    }
    co_return absl::OkStatus();
  }

 private:
  struct Tally {
    int64_t acknowledged = 0;
    int64_t unknown = 0;
  };

  // The first half is added to directly, which keeps numbers in the server's own encoding; the second half by transactions.
  std::string Key(uint64_t i) const { return StrCat(Prefix(i % 2), "counter/", i); }
  std::string SequenceKey() const { return StrCat(Prefix(2), "sequence"); }

  Task<void> Step(Context ctx, SeededRandom& random) {
    switch (random.Uniform(3)) {
      case 0:
        return Add(ctx, random.Uniform(kCounters));
      case 1:
        return AddInTransaction(ctx, kCounters + random.Uniform(kCounters), random.Chance(0.5));
      default:
        return TakeNumber(ctx);
    }
  }

  void Tell(uint64_t i, Outcome outcome) {
    if (outcome == Outcome::kDone) ++tallies_[i].acknowledged;
    if (outcome == Outcome::kUnknown) ++tallies_[i].unknown;
  }

  // Not repeated by anybody if its fate is unknown: nothing tells the second from the first.
  Task<void> Add(Context parent, uint64_t i) {
    Context ctx = parent.WithTimeout(10s);
    kv::v1::BatchRequest batch;
    batch.mutable_header()->set_version(kv::kBatchVersion);
    auto* increment = batch.add_requests()->mutable_increment();
    increment->set_key(Key(i));
    increment->set_by(1);
    kv::v1::BatchResponse response = co_await database(ctx).sender().Send(ctx, std::move(batch));
    if (!response.has_error()) {
      Tell(i, Note(absl::OkStatus()));
    } else if (response.error().has_ambiguous()) {
      Count("unknown");
      Tell(i, Outcome::kUnknown);
    } else {
      Count("refused");
    }
  }

  Task<absl::StatusOr<int64_t>> Read(const Context& ctx, kv::Txn& txn, uint64_t i) {
    if (i < kCounters) {
      // What Increment keeps is its own; adding nothing tells.
      kv::v1::BatchRequest batch;
      batch.mutable_header()->set_version(kv::kBatchVersion);
      auto* increment = batch.add_requests()->mutable_increment();
      increment->set_key(Key(i));
      increment->set_by(0);
      kv::v1::BatchResponse response = co_await database(ctx).sender().Send(ctx, std::move(batch));
      if (response.has_error()) co_return absl::UnavailableError(response.error().message());
      co_return response.responses(0).increment().value();
    }
    CO_ASSIGN_OR_RETURN(auto text, co_await txn.Get(ctx, Key(i), {.lock = kv::LockStrength::kNone}));
    co_return text ? ParseNumber(*text).value_or(-1) : 0;
  }

  Task<void> AddInTransaction(Context ctx, uint64_t i, bool lock) {
    absl::Status done = co_await Transact(ctx, {}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_ASSIGN_OR_RETURN(auto text, co_await txn.Get(limited, Key(i), {.lock = lock ? kv::LockStrength::kExclusive : kv::LockStrength::kNone}));
      txn.Put(Key(i), StrCat((text ? ParseNumber(*text).value_or(0) : 0) + 1));
      co_return absl::OkStatus();
    });
    Tell(i, Note(done));
  }

  // Repeated while its fate is unknown: gaps are allowed, repetitions are not.
  Task<void> TakeNumber(Context ctx) {
    const int64_t given_before = highest_given_;
    auto number = co_await database(ctx).Increment(ctx.WithTimeout(10s), SequenceKey(), 1);
    if (!number.ok()) co_return;
    Note(absl::OkStatus());
    if (!given_.insert(*number).second) Violation(StrCat("the sequence gave ", *number, " twice"));
    if (*number <= given_before) Violation(StrCat("the sequence gave ", *number, " after it had given ", given_before));
    highest_given_ = std::max(highest_given_, *number);
  }

  std::vector<Tally> tallies_;
  std::set<int64_t> given_;
  int64_t highest_given_ = 0;
};

}  // namespace

std::unique_ptr<Workload> MakeCounter(const WorkloadEnv& env) { return std::make_unique<Counter>(env); }

}  // namespace insula::simtest
