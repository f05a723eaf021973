// Transactions beyond the buffers: loads of many rows over two ranges that spill as intents on their way, replaced and cleared as a
// whole. Checked: a load is there with all its rows or with none, whoever looks and whenever.
#include <memory>
#include <set>
#include <utility>

#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr uint64_t kRanges = 2;
constexpr uint64_t kLoaders = 2;
constexpr uint64_t kSlots = 4;  // of loads

class Large : public Workload {
 public:
  explicit Large(const WorkloadEnv& env) : Workload(env) {}

  void Start() override {
    for (uint64_t i = 0; i < kLoaders; ++i) {
      SpawnClient(i, 200ms, [this, i, n = uint64_t{0}](Context ctx, SeededRandom& random) mutable { return Load(ctx, random, StrCat(i, "-", n++)); });
    }
    SpawnClient(kLoaders, 150ms, [this](Context ctx, SeededRandom& random) { return Look(ctx, random.Uniform(kSlots)); });
  }

  std::string RandomKey(Random& random) override { return RowKey(random.Uniform(kRanges), random.Uniform(kSlots), random.Uniform(200)); }

  Task<absl::Status> Check(Context ctx) override {
    std::set<std::string> markers;
    CO_RETURN_IF_ERROR(co_await TransactUntilDone(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      markers.clear();
      for (uint64_t slot = 0; slot < kSlots; ++slot) CO_RETURN_IF_ERROR(co_await LookAt(limited, txn, slot));
      CO_ASSIGN_OR_RETURN(auto rows, co_await ReadAll(limited, txn, StrCat(Prefix(0), "loaded/")));
      for (auto& [id, value] : rows) markers.insert(id);
      co_return absl::OkStatus();
    }));
    for (const auto& id : acknowledged_) {
      if (!markers.contains(id)) Violation(StrCat("load ", id, " was acknowledged and is lost"));
    }
    for (const auto& id : refused_) {
      if (markers.contains(id)) Violation(StrCat("load ", id, " was refused and is there"));
    }
    co_return absl::OkStatus();
  }

 private:
  std::string SlotPrefix(uint64_t range, uint64_t slot) const { return StrCat(Prefix(range), "row/", slot, "/"); }
  std::string RowKey(uint64_t range, uint64_t slot, uint64_t row) const { return StrCat(SlotPrefix(range, slot), row + 1000); }

  // Clears a slot and fills it with rows that say which load they are of, and of how many rows.
  Task<void> Load(Context ctx, SeededRandom& random, std::string id) {
    const uint64_t slot = random.Uniform(kSlots), rows = 20 + random.Uniform(180);
    const std::string value = StrCat(id, "/", rows, "/", std::string(random.Uniform(150), 'x'));
    const bool insert = random.Chance(0.5);
    absl::Status done = co_await Transact(ctx, {}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      for (uint64_t r = 0; r < kRanges; ++r) {
        CO_RETURN_IF_ERROR((co_await txn.DeleteRange(limited, SlotPrefix(r, slot), PrefixEnd(SlotPrefix(r, slot)))).status());
      }
      std::vector<kv::KeyValue> batch;
      for (uint64_t i = 0; i < rows; ++i) {
        std::string key = RowKey(i % kRanges, slot, i);
        if (insert) {
          batch.push_back({std::move(key), value});
        } else {
          txn.Put(std::move(key), value);
        }
        if (i % 25 != 24 && i + 1 != rows) continue;
        if (insert) {
          CO_RETURN_IF_ERROR(co_await txn.InsertAhead(limited, std::exchange(batch, {}), taken_));
        }
        CO_RETURN_IF_ERROR(co_await txn.FlushIfLarge(limited));
      }
      txn.Put(StrCat(Prefix(0), "loaded/", id), "");
      co_return absl::OkStatus();
    });
    Outcome outcome = Note(done);
    if (outcome == Outcome::kDone) acknowledged_.insert(id);
    if (outcome == Outcome::kRefused) refused_.insert(id);
  }

  Task<void> Look(Context ctx, uint64_t slot) {
    absl::Status done = co_await Transact(ctx, {.read_only = true}, [&](const Context& limited, kv::Txn& txn) { return LookAt(limited, txn, slot); });
    if (done.ok()) Count("looks");
  }

  Task<absl::Status> LookAt(const Context& ctx, kv::Txn& txn, uint64_t slot) {
    uint64_t found = 0, wanted = 0;
    std::string load;
    for (uint64_t r = 0; r < kRanges; ++r) {
      CO_ASSIGN_OR_RETURN(auto rows, co_await ReadAll(ctx, txn, SlotPrefix(r, slot), 40));
      for (auto& [key, value] : rows) {
        const size_t slash = value.find('/');
        std::string id = value.substr(0, slash);
        if (found > 0 && id != load) Violation(StrCat("slot ", slot, " holds rows of loads ", load, " and ", id));
        load = id;
        wanted = static_cast<uint64_t>(ParseNumber(value.substr(slash + 1, value.find('/', slash + 1) - slash - 1)).value_or(0));
        ++found;
      }
    }
    if (found != wanted) Violation(StrCat("slot ", slot, " holds ", found, " of the ", wanted, " rows of load ", load));
    co_return absl::OkStatus();
  }

  std::set<std::string> acknowledged_, refused_;
  const std::shared_ptr<const kv::RowTaken> taken_ = std::make_shared<kv::RowTaken>([this](const kv::KeyValue&) {
    Violation("a row is there in a slot that the transaction has cleared");
    return absl::AlreadyExistsError("a row is there");
  });
};

}  // namespace

std::unique_ptr<Workload> MakeLarge(const WorkloadEnv& env) { return std::make_unique<Large>(env); }

}  // namespace insula::simtest
