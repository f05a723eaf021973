// Triples of rows, one row in each range, that are always written (or deleted) together, and long scans over all of them.
//
// Checked: a scan in pages, forward or backward, with pauses, is one snapshot: of every triple it sees all three rows alike or none.
#include <algorithm>
#include <array>
#include <utility>

#include "base/async/wait.h"
#include "base/encoding/ordered.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "test/sim/workload.h"

namespace insula::simtest {
namespace {

constexpr uint64_t kRanges = 3;
constexpr uint64_t kTriples = 30;
constexpr uint64_t kWriters = 3;
constexpr uint64_t kScanners = 3;

class Scan : public Workload {
 public:
  explicit Scan(const WorkloadEnv& env) : Workload(env) {}

  void Start() override {
    for (uint64_t i = 0; i < kWriters; ++i) {
      SpawnClient(i, 30ms, [this, i, n = uint64_t{0}](Context ctx, SeededRandom& random) mutable { return Write(ctx, random, StrCat(i, "-", n++)); });
    }
    for (uint64_t i = 0; i < kScanners; ++i) {
      SpawnClient(kWriters + i, 100ms, [this](Context ctx, SeededRandom& random) { return Look(ctx, random); });
    }
  }

  std::string RandomKey(Random& random) override { return Key(random.Uniform(kRanges), random.Uniform(kTriples)); }

  Task<absl::Status> Check(Context ctx) override {
    co_return co_await TransactUntilDone(ctx, {.read_only = true}, [this](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      std::map<std::string, Seen> seen;
      for (uint64_t r = 0; r < kRanges; ++r) {
        CO_ASSIGN_OR_RETURN(auto rows, co_await ReadAll(limited, txn, StrCat(Prefix(r), "triple/")));
        for (auto& [name, value] : rows) seen[name][r] = value;
      }
      Compare(seen, "the last scan");
      co_return absl::OkStatus();
    });
  }

 private:
  using Seen = std::array<std::string, kRanges>;  // of one triple; "" where there was no row

  std::string Key(uint64_t range, uint64_t triple) const { return StrCat(Prefix(range), "triple/", triple < 10 ? "0" : "", triple); }

  Task<void> Write(Context ctx, SeededRandom& random, std::string value) {
    const uint64_t first = random.Uniform(kTriples), count = 1 + random.Uniform(3);
    const bool remove = random.Chance(0.2), whole = remove && random.Chance(0.3);
    absl::Status done = co_await Transact(ctx, {}, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      for (uint64_t r = 0; r < kRanges; ++r) {
        const uint64_t end = std::min(first + count, kTriples);
        if (whole) CO_RETURN_IF_ERROR((co_await txn.DeleteRange(limited, Key(r, first), PrefixEnd(Key(r, end - 1)))).status());
        for (uint64_t t = first; t < end && !whole; ++t) {
          if (remove) {
            txn.Delete(Key(r, t));
          } else {
            txn.Put(Key(r, t), value);
          }
        }
      }
      co_return co_await txn.FlushIfLarge(limited);
    });
    (void)Note(done);
  }

  Task<void> Look(Context ctx, SeededRandom& random) {
    const uint64_t level = random.Uniform(3);
    kv::TxnOptions options{.isolation = level == 0 ? kv::Isolation::kSerializable : level == 1 ? kv::Isolation::kSnapshot : kv::Isolation::kReadCommitted, .read_only = true};
    const bool reverse = random.Chance(0.4);
    const uint64_t page = 1 + random.Uniform(10);
    const Duration pause = random.Chance(0.3) ? Duration(random.Uniform(200'000'000)) : Duration(0);
    std::map<std::string, Seen> seen;
    absl::Status done = co_await Transact(ctx, options, [&](const Context& limited, kv::Txn& txn) -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await txn.BeginStatement(limited));
      for (uint64_t r = 0; r < kRanges; ++r) CO_RETURN_IF_ERROR(co_await ScanRange(limited, txn, reverse ? kRanges - 1 - r : r, reverse, page, pause, &seen));
      co_return absl::OkStatus();
    });
    if (!done.ok()) co_return;
    Count("scans");
    Compare(seen, level == 0 ? "a serializable scan" : level == 1 ? "a scan of a snapshot" : "a statement's scan");
  }

  Task<absl::Status> ScanRange(const Context& ctx, kv::Txn& txn, uint64_t range, bool reverse, uint64_t page_rows, Duration pause, std::map<std::string, Seen>* seen) {
    const std::string prefix = StrCat(Prefix(range), "triple/");
    std::optional<kv::ScanSpec> spec = kv::ScanSpec();
    spec->start = prefix;
    spec->end = PrefixEnd(prefix);
    spec->reverse = reverse;
    spec->max_rows = page_rows;
    std::string last;
    while (spec) {
      CO_ASSIGN_OR_RETURN(kv::ScanPage page, co_await txn.Scan(ctx, *spec));
      for (const auto& row : page.rows()) {
        std::string name(row.key.substr(prefix.size()));
        if (!last.empty() && (reverse ? name >= last : name <= last)) Violation(StrCat("a scan gave row ", name, " after row ", last));
        last = name;
        (*seen)[name][range] = std::string(row.value);
      }
      spec = page.rest();
      if (pause > Duration(0)) CO_RETURN_IF_ERROR(co_await Sleep(ctx, pause));
    }
    co_return absl::OkStatus();
  }

  void Compare(const std::map<std::string, Seen>& seen, std::string_view who) {
    for (const auto& [name, rows] : seen) {
      if (rows[0] != rows[1] || rows[1] != rows[2]) Violation(StrCat(who, " saw triple ", name, " as \"", rows[0], "\", \"", rows[1], "\", \"", rows[2], "\""));
    }
  }
};

}  // namespace

std::unique_ptr<Workload> MakeScan(const WorkloadEnv& env) { return std::make_unique<Scan>(env); }

}  // namespace insula::simtest
