// What versions cost: bazel run //kv/mvcc:mvcc_benchmark
//
// One row with many versions in RocksDB on a temporary folder: reading the newest and the oldest, writing one more, reading the row before in a
// scan that passes it, and what garbage collection takes for all of them.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/real/real_world.h"
#include "kv/mvcc/mvcc.h"
#include "kv/storage/rocks_engine.h"

namespace insula::kv::mvcc {
namespace {

constexpr uint64_t kPage = 1000;  // versions removed in one batch

class Bench {
 public:
  explicit Bench(const std::string& folder) {
    auto engine = storage::OpenRocksEngine(world_.executor(), folder, {});
    CHECK(engine.ok()) << engine.status().ToString();
    engine_ = *std::move(engine);
  }

  double MicrosEach(int times, const std::function<void(int)>& what) {
    const MonoTime begin = world_.executor()->Now();
    for (int i = 0; i < times; ++i) what(i);
    return std::chrono::duration<double, std::micro>(world_.executor()->Now() - begin).count() / times;
  }
  void Write(const std::string& key, uint64_t ts) {
    storage::ReadWriter rw(engine_->NewReader());
    CHECK(Put(rw, key, std::string(100, 'v'), {.ts = Timestamp{ts}}).ok());
    CHECK(engine_->Write(rw.ToBatch()).ok());
  }
  void Read(const std::string& key, uint64_t ts) {
    GetResult result;
    CHECK(Get(*engine_->NewReader(), key, {.ts = Timestamp{ts}}, &result).ok() && result.found);
  }
  void ScanAll(uint64_t ts) {
    ScanResult result;
    CHECK(Scan(*engine_->NewReader(), "a", "z", false, {.ts = Timestamp{ts}}, {}, &result).ok() && result.row_count == 3);
  }
  // Batches that it took.
  int Collect(uint64_t threshold) {
    int batches = 0;
    for (GarbagePosition at{.key = "a"};; ++batches) {
      storage::ReadWriter rw(engine_->NewReader());
      Stats stats;
      GarbageResult result;
      CHECK(CollectGarbage(rw, at, "z", Timestamp{threshold}, kPage, &stats, &result).ok());
      CHECK(engine_->Write(rw.ToBatch()).ok());
      if (!result.resume) return batches + 1;
      at = *std::move(result.resume);
    }
  }

 private:
  RealWorld world_;
  std::unique_ptr<storage::Engine> engine_;
};

void Measure(const std::string& folder, uint64_t versions) {
  Bench bench(folder);
  bench.Write("before", 1);
  bench.Write("later", 1);
  const double put = bench.MicrosEach(static_cast<int>(versions), [&](int i) { bench.Write("ever", static_cast<uint64_t>(i) + 1); });
  const double newest = bench.MicrosEach(1000, [&](int) { bench.Read("ever", versions + 1); });
  const double oldest = bench.MicrosEach(1000, [&](int) { bench.Read("ever", 1); });
  const double scan = bench.MicrosEach(100, [&](int) { bench.ScanAll(versions + 1); });
  int batches = 0;
  const double collect = bench.MicrosEach(1, [&](int) { batches = bench.Collect(versions); });
  const double after = bench.MicrosEach(1000, [&](int) { bench.Read("ever", versions + 1); });
  const double scan_after = bench.MicrosEach(100, [&](int) { bench.ScanAll(versions + 1); });
  std::printf("%8llu versions: put %.1f µs, read newest %.1f µs, oldest %.1f µs, scan of 3 rows %.1f µs; collected in %d batches of %llu, %.1f ms (%.2f µs each); then read %.1f µs, scan %.1f µs\n",
              static_cast<unsigned long long>(versions), put, newest, oldest, scan, batches, static_cast<unsigned long long>(kPage), collect / 1000, collect / static_cast<double>(versions), after, scan_after);
}

int Main() {
  for (uint64_t versions : {1, 100, 1000, 10'000, 50'000}) {
    std::string folder = (std::filesystem::temp_directory_path() / "mvcc-benchmark-XXXXXX").string();
    CHECK(mkdtemp(folder.data()) != nullptr);
    Measure(folder, versions);
    std::filesystem::remove_all(folder);
  }
  return 0;
}

}  // namespace
}  // namespace insula::kv::mvcc

int main() { return insula::kv::mvcc::Main(); }
