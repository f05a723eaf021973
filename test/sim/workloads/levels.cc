// What each isolation level allows and what none does.
//
//   pairs       two switches of which one is to stay on; each turned off after a look at both: write skew breaks it.
//               SERIALIZABLE never; SNAPSHOT and READ COMMITTED may (counted)
//   tallies     read, add one, write back: no level loses an update (READ COMMITTED: under a lock)
//   savepoints  what was rolled back is never seen, whatever of it had been sent already
//   children    rows that need a parent, looked at under a lock that writes nothing: no child without its parent
#include <array>
#include <utility>

#include "base/async/wait.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr uint64_t kPairs = 3;
constexpr uint64_t kClients = 6;
constexpr uint64_t kParents = 3;
constexpr std::array kLevels = {kv::Isolation::kSerializable, kv::Isolation::kSnapshot, kv::Isolation::kReadCommitted};
constexpr std::array kLevelNames = {"serializable", "snapshot", "read committed"};

class Levels : public Workload {
 public:
  explicit Levels(const WorkloadEnv& env) : Workload(env) {}

  Task<absl::Status> Prepare(Context ctx) override {
    co_return co_await TransactUntilDone(ctx, {}, [this](const Context&, kv::Txn& txn) -> Task<absl::Status> {
      for (uint64_t level = 0; level < kLevels.size(); ++level) {
        for (uint64_t pair = 0; pair < kPairs; ++pair) {
          for (uint64_t side : {0, 1}) txn.Put(SwitchKey(level, pair, side), "on");
        }
      }
      for (uint64_t parent = 0; parent < kParents; ++parent) txn.Put(ParentKey(parent), "p");
      co_return absl::OkStatus();
    });
  }

  void Start() override {
    for (uint64_t i = 0; i < kClients; ++i) {
      SpawnClient(i, 30ms, [this](Context ctx, SeededRandom& random) { return Step(ctx, random); });
    }
  }

  std::string RandomKey(Random& random) override { return SwitchKey(random.Uniform(kLevels.size()), random.Uniform(kPairs), random.Uniform(2)); }

  Task<absl::Status> Check(Context ctx) override {
    for (uint64_t level = 0; level < kLevels.size(); ++level) {
      int64_t value = 0;
      CO_RETURN_IF_ERROR(co_await TransactUntilDone(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
        CO_ASSIGN_OR_RETURN(auto text, co_await txn.Get(limited, TallyKey(level)));
        value = text ? ParseNumber(*text).value_or(-1) : 0;
        co_return absl::OkStatus();
      }));
      if (value < added_[level] || value > added_[level] + unknown_[level]) {
        Violation(StrCat("updates were lost or doubled (", kLevelNames[level], "): ", value, " counted, ", added_[level], " acknowledged, ", unknown_[level], " of unknown fate"));
      }
    }
    co_return co_await TransactUntilDone(ctx, {.read_only = true}, [this](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await LookForLeftovers(limited, txn));
      co_return co_await LookForOrphans(limited, txn);
    });
  }

 private:
  std::string SwitchKey(uint64_t level, uint64_t pair, uint64_t side) const { return StrCat(Prefix(side), "switch/", level, "-", pair); }
  std::string TallyKey(uint64_t level) const { return StrCat(Prefix(2), "tally/", level); }
  std::string NoteKey(uint64_t side, uint64_t note) const { return StrCat(Prefix(side), "note/", note); }
  std::string ParentKey(uint64_t parent) const { return StrCat(Prefix(0), "parent/", parent); }
  std::string ChildPrefix(uint64_t parent) const { return StrCat(Prefix(1), "child/", parent, "/"); }

  Task<void> Step(Context ctx, SeededRandom& random) {
    const uint64_t level = random.Uniform(kLevels.size());
    switch (random.Uniform(6)) {
      case 0:
        return TurnOff(ctx, random, level);
      case 1:
        return TurnOn(ctx, random, level);
      case 2:
        return AddOne(ctx, random, level);
      case 3:
        return Regret(ctx, random, level);
      case 4:
        return AddChild(ctx, random);
      default:
        return random.Chance(0.5) ? RemoveParent(ctx, random) : Look(ctx);
    }
  }

  Task<void> TurnOff(Context ctx, SeededRandom& random, uint64_t level) {
    const uint64_t pair = random.Uniform(kPairs), side = random.Uniform(2);
    bool both_off = false;
    absl::Status done = co_await Transact(ctx, {.isolation = kLevels[level]}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await txn.BeginStatement(limited));
      CO_ASSIGN_OR_RETURN(auto values, co_await txn.GetMany(limited, {SwitchKey(level, pair, 0), SwitchKey(level, pair, 1)}));
      both_off = values[0] == "off" && values[1] == "off";
      CO_RETURN_IF_ERROR(co_await Sleep(limited, Duration(random.Uniform(30'000'000))));
      if (values[1 - side] == "on") txn.Put(SwitchKey(level, pair, side), "off");
      co_return absl::OkStatus();
    });
    if (!both_off || !done.ok()) {
      Note(done);
      co_return;
    }
    Count(StrCat("write skew (", kLevelNames[level], ")"));
    if (level == 0) Violation(StrCat("write skew under SERIALIZABLE: both switches of pair ", pair, " are off"));
  }

  Task<void> TurnOn(Context ctx, SeededRandom& random, uint64_t level) {
    const uint64_t pair = random.Uniform(kPairs);
    Note(co_await Transact(ctx, {.isolation = kLevels[level]}, [&](const Context&, kv::Txn& txn) -> Task<absl::Status> {
      for (uint64_t side : {0, 1}) txn.Put(SwitchKey(level, pair, side), "on");
      co_return absl::OkStatus();
    }));
  }

  Task<void> AddOne(Context ctx, SeededRandom& random, uint64_t level) {
    const bool lock = level == 2 || random.Chance(0.3);
    Outcome outcome = Note(co_await Transact(ctx, {.isolation = kLevels[level]}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await txn.BeginStatement(limited));
      CO_ASSIGN_OR_RETURN(auto text, co_await txn.Get(limited, TallyKey(level), {.lock = lock ? kv::LockStrength::kExclusive : kv::LockStrength::kNone}));
      txn.Put(TallyKey(level), StrCat((text ? ParseNumber(*text).value_or(0) : 0) + 1));
      co_return absl::OkStatus();
    }));
    if (outcome == Outcome::kDone) ++added_[level];
    if (outcome == Outcome::kUnknown) ++unknown_[level];
  }

  // Writes, and takes a part back; before or after it was sent to the nodes.
  Task<void> Regret(Context ctx, SeededRandom& random, uint64_t level) {
    const uint64_t note = random.Uniform(4);
    const bool again = random.Chance(0.5);
    Note(co_await Transact(ctx, {.isolation = kLevels[level]}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await txn.BeginStatement(limited));
      txn.Put(NoteKey(0, note), "kept");
      CO_RETURN_IF_ERROR(co_await txn.FlushIfLarge(limited));
      kv::Txn::Savepoint savepoint = txn.CreateSavepoint();
      txn.Put(NoteKey(0, note), "regretted");
      txn.Put(NoteKey(1, note), "regretted");
      CO_RETURN_IF_ERROR(co_await txn.FlushIfLarge(limited));
      CO_RETURN_IF_ERROR(co_await txn.RollbackTo(limited, savepoint));
      CO_ASSIGN_OR_RETURN(auto seen, co_await txn.Get(limited, NoteKey(0, note)));
      if (seen != "kept") Violation(StrCat("after a rollback to a savepoint the transaction itself reads \"", seen.value_or("nothing"), "\""));
      if (again) txn.Put(NoteKey(1, note), "kept");
      co_return absl::OkStatus();
    }));
  }

  Task<void> AddChild(Context ctx, SeededRandom& random) {
    const uint64_t parent = random.Uniform(kParents), child = random.Uniform(20);
    const kv::Isolation level = random.Chance(0.5) ? kv::Isolation::kReadCommitted : kv::Isolation::kSnapshot;
    Note(co_await Transact(ctx, {.isolation = level}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await txn.BeginStatement(limited));
      CO_ASSIGN_OR_RETURN(auto there, co_await txn.Get(limited, ParentKey(parent), {.lock = kv::LockStrength::kShared}));
      CO_RETURN_IF_ERROR(co_await Sleep(limited, Duration(random.Uniform(50'000'000))));
      if (there) {
        txn.Put(StrCat(ChildPrefix(parent), child), "c");
      } else {
        txn.Put(ParentKey(parent), "p");
      }
      co_return absl::OkStatus();
    }));
  }

  // Locks the parent, clears its children as it finds them, then removes it.
  Task<void> RemoveParent(Context ctx, SeededRandom& random) {
    const uint64_t parent = random.Uniform(kParents);
    Note(co_await Transact(ctx, {.isolation = kv::Isolation::kReadCommitted}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await txn.BeginStatement(limited));
      CO_ASSIGN_OR_RETURN(auto there, co_await txn.Get(limited, ParentKey(parent), {.lock = kv::LockStrength::kExclusive}));
      if (!there) co_return absl::OkStatus();
      CO_RETURN_IF_ERROR(co_await txn.BeginStatement(limited));
      CO_ASSIGN_OR_RETURN(auto children, co_await ReadAll(limited, txn, ChildPrefix(parent)));
      for (auto& [name, value] : children) txn.Delete(StrCat(ChildPrefix(parent), name));
      CO_RETURN_IF_ERROR(co_await Sleep(limited, Duration(random.Uniform(50'000'000))));
      txn.Delete(ParentKey(parent));
      co_return absl::OkStatus();
    }));
  }

  Task<void> Look(Context ctx) {
    absl::Status looked = co_await Transact(ctx, {.isolation = kv::Isolation::kSnapshot, .read_only = true}, [this](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await LookForLeftovers(limited, txn));
      co_return co_await LookForOrphans(limited, txn);
    });
    Count(looked.ok() ? "looks" : "looks that failed");
  }

  Task<absl::Status> LookForLeftovers(const Context& ctx, kv::Txn& txn) {
    for (uint64_t side : {0, 1}) {
      CO_ASSIGN_OR_RETURN(auto notes, co_await ReadAll(ctx, txn, StrCat(Prefix(side), "note/")));
      for (auto& [note, text] : notes) {
        if (text != "kept") Violation(StrCat("what was rolled back to a savepoint is there: note ", note, " reads \"", text, "\""));
      }
    }
    co_return absl::OkStatus();
  }

  Task<absl::Status> LookForOrphans(const Context& ctx, kv::Txn& txn) {
    for (uint64_t parent = 0; parent < kParents; ++parent) {
      CO_ASSIGN_OR_RETURN(auto children, co_await ReadAll(ctx, txn, ChildPrefix(parent)));
      CO_ASSIGN_OR_RETURN(auto there, co_await txn.Get(ctx, ParentKey(parent)));
      if (!there && !children.empty()) Violation(StrCat("parent ", parent, " is gone and has ", children.size(), " children"));
    }
    co_return absl::OkStatus();
  }

  std::array<int64_t, kLevels.size()> added_{}, unknown_{};
};

}  // namespace

std::unique_ptr<Workload> MakeLevels(const WorkloadEnv& env) { return std::make_unique<Levels>(env); }

}  // namespace insula::simtest
