// RocksDB against the model: the same operations must give the same answers.
#include "kv/storage/engine.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/async/blocking.h"
#include "base/async/task_group.h"
#include "base/rocksenv/sim_env.h"
#include "base/runtime/files.h"
#include "base/runtime/random.h"
#include "base/sim/simulation.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/storage/data_key.h"
#include "kv/storage/model_engine.h"
#include "kv/storage/read_writer.h"
#include "kv/storage/rocks_engine.h"

namespace insula::kv::storage {
namespace {

class Folder {
 public:
  Folder() {
    std::string pattern = testing::TempDir() + "/engineXXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A simulated process for the waiting; RocksDB itself is on the real disk.
struct World {
  Simulation sim{1};
  SimProcess* process = sim.AddProcess("n1");
  Executor* executor() { return &process->executor(); }
};

void RunIn(World& world, std::function<Task<void>(Context)> body) {
  absl::Status s = world.sim.Run(
      world.process,
      [&](Context ctx) -> Task<absl::Status> {
        co_await body(ctx);
        co_return absl::OkStatus();
      },
      1h);
  ASSERT_TRUE(s.ok()) << s;
}

RocksOptions Small() { return {.block_cache_bytes = 1 << 20, .write_buffer_bytes = 256 << 10}; }

// Random keys that collide, nest and hold zero bytes.
std::string RandomUserKey(Random& r) {
  std::string key;
  for (uint64_t n = 1 + r.Uniform(3); n > 0; --n) key.push_back("\0a\x01\xff"[r.Uniform(4)]);
  return key;
}
std::string RandomKey(Random& r, ColumnFamily cf) {
  return cf == ColumnFamily::kData ? DataKey(RandomUserKey(r), Timestamp{1 + r.Uniform(5)}) : RandomUserKey(r);
}
std::string RandomBound(Random& r, ColumnFamily cf) {
  if (r.Chance(0.3)) return "";
  return cf == ColumnFamily::kData ? DataKeyBound(RandomUserKey(r)) : RandomUserKey(r);
}

std::string Walk(Iterator& it, SeededRandom r, ColumnFamily cf, bool stop_early) {
  std::string trace;
  auto note = [&] {
    if (it.Valid()) {
      StrAppend(&trace, it.key(), "=", it.value(), ";");
    } else {
      trace.append("end;");
    }
  };
  for (int i = 0; i < 12; ++i) {
    switch (it.Valid() ? r.Uniform(7) : r.Uniform(4)) {
      case 0: it.Seek(RandomKey(r, cf)); break;
      case 1: it.SeekForPrev(RandomKey(r, cf)); break;
      case 2: it.SeekToFirst(); break;
      case 3: it.SeekToLast(); break;
      case 4:
      case 5: it.Next(); break;
      case 6: it.Prev(); break;
    }
    note();
    if (stop_early && !it.Valid()) break;
  }
  return trace;
}

// What a reader shows of `seed`'s questions.
std::string Ask(Reader& reader, uint64_t seed) {
  SeededRandom r(seed);
  std::string trace;
  ColumnFamily cf = static_cast<ColumnFamily>(r.Uniform(3));
  std::string value;
  auto found = reader.Get(cf, RandomKey(r, cf), &value);
  EXPECT_TRUE(found.ok()) << found.status();
  StrAppend(&trace, *found, *found ? value : "", "|");
  auto it = reader.NewIterator({.cf = cf, .lower = RandomBound(r, cf), .upper = RandomBound(r, cf)});
  trace += Walk(*it, r, cf, false);
  // Within one user key only, as its contract says.
  std::string user = RandomUserKey(r);
  Iterator& point = reader.point_iterator();
  for (point.Seek(DataKey(user, Timestamp{1 + r.Uniform(5)})); point.Valid() && UserKey(point.key()) == user; point.Next()) StrAppend(&trace, point.key(), "=", point.value());
  EXPECT_TRUE(it->status().ok());
  return trace;
}

WriteBatch RandomBatch(Random& r) {
  WriteBatch batch;
  for (uint64_t n = r.Uniform(6); n > 0; --n) {
    ColumnFamily cf = static_cast<ColumnFamily>(r.Uniform(3));
    switch (r.Uniform(8)) {
      case 0: {
        std::string a = RandomBound(r, cf), b = RandomBound(r, cf);
        if (a.empty() || b.empty()) break;
        if (DataKeyLess{cf}(b, a)) std::swap(a, b);
        batch.DeleteRange(cf, a, b);
        break;
      }
      case 1:
      case 2: batch.Delete(cf, RandomKey(r, cf)); break;
      default: batch.Put(cf, RandomKey(r, cf), StrCat("v", r.Uniform(1000)));
    }
  }
  return batch;
}

struct IngestedSpan {
  ColumnFamily cf;
  std::string start, end;
  WriteBatch rows;
};

// Up to two spans per column family that do not overlap, with rows or without.
std::vector<IngestedSpan> RandomSpans(Random& r) {
  std::vector<IngestedSpan> spans;
  for (int i = 0; i < kColumnFamilies; ++i) {
    const ColumnFamily cf = static_cast<ColumnFamily>(i);
    const DataKeyLess less{cf};
    std::set<std::string, DataKeyLess> bounds(less);
    while (bounds.size() < 4) {
      std::string bound = RandomBound(r, cf);
      if (!bound.empty()) bounds.insert(std::move(bound));
    }
    for (auto it = bounds.begin(); it != bounds.end(); ++it) {
      IngestedSpan span{.cf = cf, .start = *it, .end = *++it, .rows = {}};
      std::set<std::string, DataKeyLess> keys(less);
      for (uint64_t n = r.Uniform(20); n > 0; --n) {
        std::string key = RandomKey(r, cf);
        if (!less(key, span.start) && less(key, span.end)) keys.insert(std::move(key));
      }
      for (const std::string& key : keys) span.rows.Put(cf, key, StrCat("i", r.Uniform(1000)));
      if (r.Chance(0.8)) spans.push_back(std::move(span));
    }
  }
  return spans;
}

Task<absl::Status> TakeIn(const Context& ctx, Engine& engine, const std::vector<IngestedSpan>& spans) {
  std::unique_ptr<Ingestion> in = engine.NewIngestion();
  for (const IngestedSpan& span : spans) {
    in->Begin(span.cf, span.start, span.end);
    if (span.rows.empty()) continue;
    CO_RETURN_IF_ERROR(co_await in->Add(ctx, span.rows));
  }
  co_return co_await engine.Ingest(ctx, *in);
}

size_t FilesIn(const std::string& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

TEST(Engine, RocksAgreesWithTheModelOnRandomOperations) {
  World world;
  RunIn(world, [&](Context ctx) -> Task<void> {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      Folder folder;
      SeededRandom r(seed);
      ModelDisk disk;
      auto model = *OpenModelEngine(&r, &disk, {.flush_time = Duration::zero()});
      auto opened = OpenRocksEngine(world.executor(), folder.path() + "/db", Small());
      EXPECT_TRUE(opened.ok()) << opened.status();
      if (!opened.ok()) co_return;
      auto rocks = *std::move(opened);
      struct Pair {
        std::unique_ptr<Reader> model, rocks;
      };
      std::vector<Pair> snapshots;
      for (int step = 0; step < 1500; ++step) {
        WriteBatch batch = RandomBatch(r);
        EXPECT_TRUE(model->Write(batch).ok());
        EXPECT_TRUE(rocks->Write(batch).ok());
        uint64_t question = r.Next64();
        EXPECT_EQ(Ask(*model->NewReader(), question), Ask(*rocks->NewReader(), question)) << "seed " << seed << " step " << step;
        if (r.Chance(0.02)) snapshots.push_back({model->NewSnapshot(), rocks->NewSnapshot()});
        if (!snapshots.empty() && r.Chance(0.3)) {
          Pair& p = snapshots[r.Uniform(snapshots.size())];
          EXPECT_EQ(Ask(*p.model, question), Ask(*p.rocks, question)) << "snapshot, seed " << seed << " step " << step;
        }
        if (snapshots.size() > 5) snapshots.erase(snapshots.begin());
        if (r.Chance(0.01)) {
          EXPECT_TRUE((co_await rocks->Flush(ctx)).ok());
          EXPECT_TRUE((co_await model->Flush(ctx)).ok());
          const std::vector<IngestedSpan> spans = RandomSpans(r);
          EXPECT_TRUE((co_await TakeIn(ctx, *rocks, spans)).ok());
          EXPECT_TRUE((co_await TakeIn(ctx, *model, spans)).ok());
        }
        // The same batch under construction.
        ReadWriter mw(model->NewReader()), rw(rocks->NewReader());
        for (int i = 0; i < 5; ++i) {
          ColumnFamily cf = static_cast<ColumnFamily>(r.Uniform(3));
          std::string key = RandomKey(r, cf);
          if (r.Chance(0.3)) {
            mw.Delete(cf, key);
            rw.Delete(cf, key);
          } else {
            mw.Put(cf, key, "new");
            rw.Put(cf, key, "new");
          }
          EXPECT_EQ(Ask(mw, question + i), Ask(rw, question + i)) << "seed " << seed << " step " << step;
        }
        EXPECT_EQ(mw.ToBatch().bytes(), rw.ToBatch().bytes());
        EXPECT_GE(rw.bytes() + WriteBatch().bytes().size(), rw.ToBatch().bytes().size());
        EXPECT_LE(rw.bytes(), rw.ToBatch().bytes().size() + 5 * 16);
        if (testing::Test::HasFailure()) co_return;
      }
      snapshots.clear();
    }
  });
}

TEST(Engine, ReadWriterShowsWhatWritingItsBatchWouldGive) {
  World world;
  SeededRandom r(7);
  ModelDisk disk;
  auto model = *OpenModelEngine(&r, &disk);
  for (int step = 0; step < 400; ++step) {
    ASSERT_TRUE(model->Write(RandomBatch(r)).ok());
    std::vector<std::string> before;
    WriteBatch batch;
    {
      ReadWriter rw(model->NewReader());
      for (int i = 0; i < 6; ++i) {
        ColumnFamily cf = static_cast<ColumnFamily>(r.Uniform(3));
        if (r.Chance(0.4)) {
          rw.Delete(cf, RandomKey(r, cf));
        } else {
          rw.Put(cf, RandomKey(r, cf), StrCat("n", i));
        }
      }
      for (uint64_t q = 0; q < 8; ++q) before.push_back(Ask(rw, q + step * 100));
      batch = rw.ToBatch();
    }
    ASSERT_TRUE(model->Write(batch).ok());
    for (uint64_t q = 0; q < 8; ++q) ASSERT_EQ(before[q], Ask(*model->NewReader(), q + step * 100)) << step;
  }
}

// Readers that come after a range deletion use iterators that were made before it.
TEST(Engine, AClearedSpanIsGoneForAllReaders) {
  World world;
  Folder folder;
  auto opened = OpenRocksEngine(world.executor(), folder.path() + "/db", Small());
  ASSERT_TRUE(opened.ok()) << opened.status();
  std::unique_ptr<Engine> engine = *std::move(opened);
  auto finds = [&](const std::string& key) {
    auto reader = engine->NewReader();
    Iterator& it = reader->point_iterator();
    it.Seek(DataKeyBound(key));
    return it.Valid() && UserKey(it.key()) == key;
  };
  WriteBatch rows;
  for (int i = 0; i < 300; ++i) rows.Put(ColumnFamily::kData, DataKey(StrCat("k", 100 + i), Timestamp{10}), "v");
  ASSERT_TRUE(engine->Write(rows).ok());
  EXPECT_TRUE(finds("k150"));
  ReadWriter rw(engine->NewReader());
  rw.ClearSpan(ColumnFamily::kData, DataKeyBound("k120"), DataKeyBound("k300"));
  EXPECT_FALSE(rw.empty());
  ASSERT_TRUE(engine->Write(rw.ToBatch()).ok());
  EXPECT_TRUE(finds("k119"));
  EXPECT_FALSE(finds("k120"));
  EXPECT_FALSE(finds("k150"));
  EXPECT_TRUE(finds("k300"));
  RunIn(world, [&](Context ctx) -> Task<void> { EXPECT_TRUE((co_await engine->Flush(ctx)).ok()); });
  EXPECT_FALSE(finds("k150"));
  WriteBatch again;
  again.Put(ColumnFamily::kData, DataKey("k150", Timestamp{20}), "v");
  ASSERT_TRUE(engine->Write(again).ok());
  EXPECT_TRUE(finds("k150"));
}

TEST(Engine, RocksKeepsWhatWasFlushedAndRefusesNewerFormats) {
  World world;
  Folder folder;
  std::string path = folder.path() + "/db";
  RunIn(world, [&](Context ctx) -> Task<void> {
    {
      auto engine = *OpenRocksEngine(world.executor(), path, Small());
      WriteBatch batch;
      batch.Put(ColumnFamily::kData, DataKey("a", Timestamp{5}), "1");
      batch.Put(ColumnFamily::kRange, "r", "2");
      EXPECT_TRUE(engine->Write(batch).ok());
      EXPECT_TRUE((co_await engine->Flush(ctx)).ok());
      WriteBatch later;
      later.Put(ColumnFamily::kRange, "later", "3");
      EXPECT_TRUE(engine->Write(later).ok());
      // Closed without a flush: as in a crash, `later` may go.
    }
    auto engine = *OpenRocksEngine(world.executor(), path, Small());
    std::string value;
    EXPECT_TRUE(*engine->NewReader()->Get(ColumnFamily::kData, DataKey("a", Timestamp{5}), &value));
    EXPECT_EQ(value, "1");
    EXPECT_TRUE(*engine->NewReader()->Get(ColumnFamily::kRange, "r", &value));
    EXPECT_EQ(value, "2");
    EXPECT_FALSE(*engine->NewReader()->Get(ColumnFamily::kRange, "later", &value));
  });
  SeededRandom r(1);
  ModelDisk disk;
  disk.format_version = 9;
  EXPECT_EQ(OpenModelEngine(&r, &disk).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Engine, WhatTheDiskHasDamagedIsMetAsDamage) {
  World world;
  Folder folder;
  const std::string path = folder.path() + "/db";
  RunIn(world, [&](Context ctx) -> Task<void> {
    {
      auto engine = *OpenRocksEngine(world.executor(), path, Small());
      WriteBatch batch;
      for (int i = 0; i < 2000; ++i) batch.Put(ColumnFamily::kData, DataKey(StrCat("k", 10000 + i), Timestamp{5}), std::string(100, static_cast<char>('a' + i % 26)));
      EXPECT_TRUE(engine->Write(batch).ok());
      EXPECT_TRUE((co_await engine->Flush(ctx)).ok());
    }
    int tables = 0;
    for (const auto& file : std::filesystem::directory_iterator(path)) {
      if (file.path().extension() != ".sst" || file.file_size() < 10'000) continue;  // smaller: not the rows
      std::fstream table(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      const auto at = static_cast<std::streamoff>(file.file_size() / 3);  // among the rows
      table.seekg(at);
      const char byte = static_cast<char>(table.get() ^ 1);
      table.seekp(at);
      table.put(byte);
      ++tables;
    }
    EXPECT_GT(tables, 0);
    auto engine = *OpenRocksEngine(world.executor(), path, Small());
    auto reader = engine->NewReader();
    const uint64_t before = engine->damage_met();
    int found = 0, damaged = 0;
    for (int i = 0; i < 2000; ++i) {
      std::string value;
      auto got = reader->Get(ColumnFamily::kData, DataKey(StrCat("k", 10000 + i), Timestamp{5}), &value);
      found += got.ok() && *got && value == std::string(100, static_cast<char>('a' + i % 26)) ? 1 : 0;
      damaged += absl::IsDataLoss(got.status()) ? 1 : 0;
    }
    EXPECT_EQ(found + damaged, 2000) << "nothing that is wrong, and nothing is missing";
    EXPECT_GT(found, 0);
    EXPECT_GT(damaged, 0);
    EXPECT_GE(engine->damage_met(), before + static_cast<uint64_t>(damaged));
    const uint64_t met = engine->damage_met();
    auto it = reader->NewIterator({.cf = ColumnFamily::kData, .lower = "", .upper = ""});
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
    }
    EXPECT_TRUE(absl::IsDataLoss(it->status())) << it->status();
    EXPECT_GT(engine->damage_met(), met);
  });
}

TEST(Engine, SaysHowNearItIsToHoldingWritesBack) {
  Folder folder;
  World world;
  auto engine = OpenRocksEngine(world.executor(), folder.path(), Small());
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_EQ((*engine)->figures().write_pressure, 0);
  RunIn(world, [&](Context ctx) -> Task<void> {
    for (uint64_t i = 1; i <= 3; ++i) {  // one more, and a compaction takes them
      WriteBatch batch;
      batch.Put(ColumnFamily::kData, DataKey("a", Timestamp{i}), "v");
      EXPECT_TRUE((*engine)->Write(batch).ok());
      EXPECT_TRUE((co_await (*engine)->Flush(ctx)).ok());
    }
  });
  EXPECT_EQ((*engine)->figures().level0_files, 3u);
  EXPECT_NEAR((*engine)->figures().write_pressure, 3.0 / 20, 1e-9) << "twenty files, and RocksDB slows writes down";
}

// Garbage collection leaves one tombstone a version, which every scan would walk over until the file is compacted for another reason.
TEST(Engine, ManyDeletionsInARowAreCompactedAwayWhenTheyAreFlushed) {
  World world;
  auto* files = world.process->runtime().files;
  ASSERT_TRUE(files->CreateDirs("data/state").ok());
  ASSERT_TRUE(files->SyncDir("").ok());
  ASSERT_TRUE(files->SyncDir("data").ok());
  RocksOptions options;
  options.env = MakeSimEnv(world.process);
  options.prepare = PrepareForSimulation;
  auto engine = OpenRocksEngine(world.executor(), "data/state", options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  constexpr uint64_t kVersions = 10'000;
  for (const bool collected : {false, true}) {
    RunIn(world, [&](Context ctx) -> Task<void> {
      WriteBatch batch;
      for (uint64_t i = 1; i <= kVersions; ++i) {
        const std::string key = DataKey("row", Timestamp{i});
        if (collected) batch.Delete(ColumnFamily::kData, key);
        if (!collected) batch.Put(ColumnFamily::kData, key, "version");
      }
      EXPECT_TRUE((*engine)->Write(batch).ok());
      EXPECT_TRUE((co_await (*engine)->Flush(ctx)).ok());
    });
    world.sim.RunFor(1s);  // compactions are events
    EXPECT_EQ((*engine)->figures().level0_files, collected ? 0u : 1u);
  }
  EXPECT_EQ((*engine)->ApproximateSize("", ""), 0u);
}

TEST(Engine, WhatIsTakenInTakesThePlaceOfItsSpansAndLasts) {
  World world;
  Folder folder;
  const std::string path = folder.path() + "/db";
  RunIn(world, [&](Context ctx) -> Task<void> {
    SeededRandom r(5);
    ModelDisk disk;
    for (bool rocks : {false, true}) {
      auto open = [&] { return rocks ? *OpenRocksEngine(world.executor(), path, Small()) : *OpenModelEngine(&r, &disk); };
      std::unique_ptr<Engine> engine = open();
      WriteBatch before;
      for (const char* key : {"a", "b", "c", "d"}) before.Put(ColumnFamily::kLock, key, "old");
      EXPECT_TRUE(engine->Write(before).ok());
      IngestedSpan lock{.cf = ColumnFamily::kLock, .start = "b", .end = "d", .rows = {}}, range{.cf = ColumnFamily::kRange, .start = "r", .end = "s", .rows = {}};
      lock.rows.Put(ColumnFamily::kLock, "bb", "new");
      range.rows.Put(ColumnFamily::kRange, "r", "new");
      const std::vector<IngestedSpan> spans = {lock, range};
      EXPECT_EQ((co_await TakeIn(ctx, *engine, spans)).code(), absl::StatusCode::kFailedPrecondition) << "what is there is not flushed";
      EXPECT_TRUE((co_await engine->Flush(ctx)).ok());
      WriteBatch elsewhere;
      elsewhere.Put(ColumnFamily::kLock, "z", "not flushed");
      EXPECT_TRUE(engine->Write(elsewhere).ok());
      auto snapshot = engine->NewSnapshot();
      absl::Status taken = co_await TakeIn(ctx, *engine, spans);
      EXPECT_TRUE(taken.ok()) << taken;
      std::string value;
      EXPECT_TRUE(*snapshot->Get(ColumnFamily::kLock, "b", &value)) << "a snapshot is of its moment";
      EXPECT_FALSE(*snapshot->Get(ColumnFamily::kRange, "r", &value));
      snapshot.reset();
      engine.reset();
      engine = open();
      auto reader = engine->NewReader();
      std::string found;
      auto it = reader->NewIterator({.cf = ColumnFamily::kLock, .lower = "", .upper = "e"});
      for (it->SeekToFirst(); it->Valid(); it->Next()) StrAppend(&found, it->key(), "=", it->value(), " ");
      EXPECT_EQ(found, "a=old bb=new d=old ");
      EXPECT_TRUE(*reader->Get(ColumnFamily::kRange, "r", &value));
    }
  });
}

TEST(Engine, WhatIsNotTakenInLeavesNoFileBehind) {
  World world;
  Folder folder;
  const std::string path = folder.path() + "/db";
  RunIn(world, [&](Context ctx) -> Task<void> {
    {
      auto engine = *OpenRocksEngine(world.executor(), path, Small());
      auto in = engine->NewIngestion();
      in->Begin(ColumnFamily::kLock, "a", "b");
      WriteBatch rows;
      rows.Put(ColumnFamily::kLock, "a", "v");
      EXPECT_TRUE((co_await in->Add(ctx, rows)).ok());
      EXPECT_EQ(FilesIn(path + "/ingest"), 1u);
      in.reset();
      // Removed on the pool: the next piece of work there comes after.
      EXPECT_TRUE(co_await Blocking<bool>(ctx, [] { return true; }));
      EXPECT_EQ(FilesIn(path + "/ingest"), 0u);
      // As a process that dies leaves it.
      std::ofstream(path + "/ingest/7-1.sst") << "half";
    }
    auto engine = *OpenRocksEngine(world.executor(), path, Small());
    EXPECT_EQ(FilesIn(path + "/ingest"), 0u);
  });
}

TEST(ModelEngine, ACrashKeepsAPrefixAtOrAfterTheLastFlush) {
  World world;
  RunIn(world, [&](Context ctx) -> Task<void> {
    SeededRandom r(3);
    std::vector<bool> seen(11);
    for (int round = 0; round < 200; ++round) {
      ModelDisk disk;
      {
        auto engine = *OpenModelEngine(&r, &disk, {.flush_time = Duration::zero()});
        for (int i = 0; i < 10; ++i) {
          WriteBatch batch;
          batch.Put(ColumnFamily::kRange, StrCat("k", i), "v");
          batch.Put(ColumnFamily::kLock, StrCat("k", i), "v");
          EXPECT_TRUE(engine->Write(batch).ok());
          if (i == 4) EXPECT_TRUE((co_await engine->Flush(ctx)).ok());
        }
      }
      auto engine = *OpenModelEngine(&r, &disk);
      int kept = 0;
      std::string value;
      while (kept < 10 && *engine->NewReader()->Get(ColumnFamily::kRange, StrCat("k", kept), &value)) ++kept;
      EXPECT_GE(kept, 5);
      for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(*engine->NewReader()->Get(ColumnFamily::kRange, StrCat("k", i), &value), i < kept);
        EXPECT_EQ(*engine->NewReader()->Get(ColumnFamily::kLock, StrCat("k", i), &value), i < kept);
      }
      seen[kept] = true;
    }
    for (int kept = 5; kept <= 10; ++kept) EXPECT_TRUE(seen[kept]) << kept;
  });
}

TEST(ModelEngineDeathTest, AReaderUsedAfterAWriteIsCaught) {
  SeededRandom r(3);
  ModelDisk disk;
  auto engine = *OpenModelEngine(&r, &disk);
  auto reader = engine->NewReader();
  WriteBatch batch;
  batch.Put(ColumnFamily::kRange, "a", "b");
  ASSERT_TRUE(engine->Write(batch).ok());
  std::string value;
  EXPECT_DEATH((void)reader->Get(ColumnFamily::kRange, "a", &value), "take a snapshot");
}

}  // namespace
}  // namespace insula::kv::storage
