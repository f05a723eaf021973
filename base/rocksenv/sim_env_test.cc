#include "base/rocksenv/sim_env.h"

#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>

#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/sim/simulation.h"
#include "base/strings.h"

namespace insula {
namespace {

// A process that holds nothing but a database.
struct Store {
  explicit Store(SimProcess& p) : env(MakeSimEnv(&p)) {
    CHECK_OK(p.runtime().files->CreateDirs("data/state"));
    CHECK_OK(p.runtime().files->SyncDir(""));
    CHECK_OK(p.runtime().files->SyncDir("data"));
    rocksdb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = 64 << 10;
    options.level0_file_num_compaction_trigger = 2;
    PrepareForSimulation(&options, env.get());
    rocksdb::DB* raw = nullptr;
    rocksdb::Status status = rocksdb::DB::Open(options, "data/state", &raw);
    CHECK(status.ok()) << status.ToString();
    db.reset(raw);
  }

  void Put(const std::string& key, const std::string& value) {
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    rocksdb::Status status = db->Put(options, key, value);
    CHECK(status.ok()) << status.ToString();
  }
  void StartFlush() {
    rocksdb::FlushOptions options;
    options.wait = false;
    rocksdb::Status status = db->Flush(options);
    CHECK(status.ok()) << status.ToString();
  }
  std::string Get(const std::string& key) {
    std::string value;
    rocksdb::Status status = db->Get(rocksdb::ReadOptions(), key, &value);
    return status.ok() ? value : status.ToString();
  }

  std::shared_ptr<rocksdb::Env> env;
  std::unique_ptr<rocksdb::DB> db;
};

std::shared_ptr<void> BootStore(SimProcess& p) { return std::make_shared<Store>(p); }

TEST(SimEnv, ACrashKeepsWhatWasFlushedAndLosesTheRest) {
  Simulation sim(11);
  SimProcess* p = sim.AddProcess("n1");
  p->Boot(BootStore);
  auto store = [&] { return p->root<Store>(); };
  for (int i = 0; i < 100; ++i) store()->Put(StrCat("a", i), "flushed");
  store()->StartFlush();
  EXPECT_EQ(store()->Get("a7"), "flushed");
  sim.RunFor(1s);
  store()->Put("b", "not flushed");
  EXPECT_EQ(store()->Get("b"), "not flushed");
  p->Crash();
  p->Restart();
  EXPECT_EQ(store()->Get("a7"), "flushed");
  EXPECT_EQ(store()->Get("b"), "NotFound: ");
}

TEST(SimEnv, ACrashInTheMiddleOfAFlushIsSurvived) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Simulation sim(seed);
    SimProcess* p = sim.AddProcess("n1");
    p->Boot(BootStore);
    p->root<Store>()->Put("a", "1");
    p->root<Store>()->StartFlush();
    sim.RunFor(sim.Between(0ms, 6ms));
    p->Crash();
    p->Restart();
    std::string found = p->root<Store>()->Get("a");
    EXPECT_TRUE(found == "1" || found == "NotFound: ") << "seed " << seed << ": " << found;
  }
}

TEST(SimEnv, FlushesAndCompactionsRunAsEvents) {
  Simulation sim(12);
  SimProcess* p = sim.AddProcess("n1");
  p->Boot(BootStore);
  Store* store = p->root<Store>();
  std::string files;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 200; ++i) store->Put(StrCat("k", i), StrCat("value ", round, std::string(500, 'x')));
    sim.RunFor(100ms);
  }
  EXPECT_EQ(store->Get("k5").substr(0, 7), "value 9");
  ASSERT_TRUE(store->db->GetProperty("rocksdb.num-files-at-level1", &files));
  EXPECT_NE(files, "0") << "nothing was compacted";
  EXPECT_GT(sim.events(), 5u) << "jobs are events";
}

TEST(SimEnv, TheSameSeedGivesTheSameTrace) {
  auto run = [](uint64_t seed) {
    Simulation sim(seed);
    SimProcess* p = sim.AddProcess("n1");
    p->Boot(BootStore);
    for (int i = 0; i < 500; ++i) {
      p->root<Store>()->Put(StrCat("k", sim.random().Uniform(50)), std::string(500, 'x'));
      if (i % 100 == 50) {
        p->Crash();
        p->Restart();
      }
      sim.RunFor(1ms);
    }
    return sim.trace_hash();
  };
  EXPECT_EQ(run(5), run(5));
  EXPECT_NE(run(5), run(6));
}

TEST(SimEnv, AFullDiskIsReportedAndNotFatal) {
  Simulation sim(13);
  SimProcess* p = sim.AddProcess("n1");
  p->Boot(BootStore);
  p->disk().faults.capacity = p->disk().BytesUsed() + 10;
  p->root<Store>()->Put("a", std::string(1000, 'x'));
  p->root<Store>()->StartFlush();
  sim.RunFor(1s);
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  EXPECT_FALSE(p->root<Store>()->db->Put(options, "b", "x").ok());
  p->disk().faults.capacity = ~uint64_t{0};
  p->Restart();
  p->root<Store>()->Put("c", "works again");
  EXPECT_EQ(p->root<Store>()->Get("c"), "works again");
}

}  // namespace
}  // namespace insula
