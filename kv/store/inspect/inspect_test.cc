// Stores on a real disk, looked at sound and damaged in every way that a file can be: what is told, and that not a byte of them changes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/real/file_lock.h"
#include "base/real/real_world.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/mvcc/mvcc.h"
#include "kv/mvcc/value.h"
#include "kv/storage/data_key.h"
#include "kv/storage/rocks_engine.h"
#include "kv/store/bootstrap.h"
#include "kv/store/inspect/check.h"
#include "kv/store/inspect/log_scan.h"
#include "kv/store/inspect/rows.h"
#include "kv/store/inspect/store_view.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

namespace fs = std::filesystem;
using storage::ColumnFamily;

constexpr RangeId kRange = 3;  // keyspace 2
const Timestamp kEarly = Timestamp::FromMicros(1'000'000), kLate = Timestamp::FromMicros(2'000'000);
std::string Key(const std::string& name) { return KeyspacePrefix(keys::kFirstKeyspace) + name; }

std::string Slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}
void Spill(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes; }
void Flip(const fs::path& path, size_t at) {
  std::string bytes = Slurp(path);
  ASSERT_LT(at, bytes.size());
  bytes[at] ^= 0x10;
  Spill(path, bytes);
}

std::map<std::string, std::string> AllFiles(const std::string& dir) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) out[entry.path().string()] = entry.is_regular_file() ? Slurp(entry.path()) : "(folder)";
  return out;
}

class InspectTest : public testing::Test {
 protected:
  using Use = std::function<Task<absl::Status>(Context, LogEngine&, storage::Engine&)>;

  void SetUp() override {
    dir_ = StrCat(testing::TempDir(), "/inspect_", getpid(), "_", testing::UnitTest::GetInstance()->current_test_info()->name());
    store_ = dir_ + "/store";
    fs::create_directories(dir_);
    const StoreIdent ident{.cluster_id = "c0ffee", .node_id = 1, .store_id = 1, .members = {{1, 1}}};
    Run([&](Context ctx) -> Task<absl::Status> { co_return co_await InitStore(ctx, world_.runtime(), Engines(), store_, ident); });
    Change([this](Context ctx, LogEngine& log, storage::Engine& engine) { return Fill(std::move(ctx), log, engine); });
  }
  void TearDown() override { fs::remove_all(dir_); }

  storage::EngineFactory Engines() { return storage::RocksEngineFactory(world_.executor()); }
  void Run(std::function<Task<absl::Status>(Context)> main) {
    absl::Status s = world_.executor()->RunMain(std::move(main));
    ASSERT_TRUE(s.ok()) << s.ToString();
  }
  // As a node has them open.
  void Change(Use use) {
    Run([&](Context ctx) -> Task<absl::Status> {
      CO_ASSIGN_OR_RETURN(auto log, LogEngine::Open(world_.runtime(), {.path = StoreLogDir(store_), .store_id = 1}));
      CO_ASSIGN_OR_RETURN(auto engine, Engines()(StoreStateDir(store_)));
      CO_RETURN_IF_ERROR(co_await use(ctx, *log, *engine));
      co_return co_await engine->Flush(ctx);
    });
  }

  // Entries 11 (empty), 12 (two keys), 13 (another key) of range 3; applied up to 12, and a key of it is locked.
  Task<absl::Status> Fill(Context ctx, LogEngine& log, storage::Engine& engine) {
    auto command = [](std::initializer_list<std::pair<std::string, std::string>> rows, Timestamp ts, storage::WriteBatch* batch) {
      Command c;
      for (const auto& [key, value] : rows) mvcc::PutCommitted(batch, key, value, ts, &c.stats_delta);
      c.write_set = batch->bytes();
      return EncodeCommand(c);
    };
    storage::WriteBatch first, second;
    const std::string applied = command({{Key("apple"), "first needle"}, {Key("pear"), "other"}}, kEarly, &first);
    const std::string pending = command({{Key("apple"), "second needle"}}, kLate, &second);
    for (const raft::Entry& entry : {raft::Entry{.term = 6, .index = 11, .data = {}}, raft::Entry{.term = 6, .index = 12, .data = applied}, raft::Entry{.term = 6, .index = 13, .data = pending}}) {
      LogBatch batch;
      batch.AppendEntries(kRange, {entry});
      batch.SetHardState(kRange, {.term = 6, .vote = 1, .commit = std::min<uint64_t>(entry.index, 12)});
      CO_RETURN_IF_ERROR(co_await log.AppendAndWait(ctx, std::move(batch)));
    }
    mvcc::LockRecord lock;
    lock.holders.emplace_back();
    lock.holders[0].txn.set_id("0123456789abcdef");
    lock.holders[0].intent = mvcc::Intent{.ts = kLate, .sequence = 1, .history = {}};
    std::string value;
    mvcc::EncodeValue("written", {}, &value);
    first.Put(ColumnFamily::kLock, Key("pear"), mvcc::EncodeLockRecord(lock));
    first.Put(ColumnFamily::kData, storage::DataKey(Key("pear"), kLate), value);
    CO_RETURN_IF_ERROR(engine.Write(first));
    co_return SetState(engine, [](RangeState* state) { state->applied_index = 12, state->applied_term = 6; });
  }

  // Statistics are counted anew first.
  static absl::Status SetState(storage::Engine& engine, const std::function<void(RangeState*)>& change) {
    ASSIGN_OR_RETURN(std::optional<LoadedRange> range, LoadRange(*engine.NewReader(), kRange));
    mvcc::Outcome o = mvcc::ComputeStats(*engine.NewReader(), range->descriptor.start_key(), range->descriptor.end_key(), &range->state.stats);
    if (!o.ok()) return o.status();
    change(&range->state);
    storage::WriteBatch batch;
    PutRangeState(&batch, kRange, range->state);
    return engine.Write(batch);
  }

  absl::Status OpenStatus(const std::string& path) {
    absl::Status status;
    Run([&](Context) -> Task<absl::Status> {
      status = StoreView::Open(world_.runtime(), IsFileLocked, path).status();
      co_return absl::OkStatus();
    });
    return status;
  }
  // Looks at the store, checks it into report_, and sees that nothing of it has changed.
  void Look(const std::function<void(StoreView&)>& look = [](StoreView&) {}) {
    const auto before = AllFiles(store_);
    Run([&](Context) -> Task<absl::Status> {
      auto view = StoreView::Open(world_.runtime(), IsFileLocked, store_);
      if (!view.ok()) co_return view.status();
      look(**view);
      report_ = CheckStore(**view);
      co_return (*view)->StillUnused();
    });
    const auto after = AllFiles(store_);
    EXPECT_EQ(after.size(), before.size());
    for (const auto& [path, bytes] : before) EXPECT_TRUE(after.contains(path) && after.at(path) == bytes) << path << " is not what it was";
  }
  // The findings, a line each.
  std::string Told() const {
    std::string out;
    for (const Finding& f : report_.findings) StrAppend(&out, f.severity == Finding::Severity::kDamage ? "damage: " : "note: ", f.where, ": ", f.what, "\n");
    return out;
  }
  bool Tells(const std::string& text) const { return Told().find(text) != std::string::npos; }

  // Each time that the log is opened it goes on in a new one: the first is of the initialisation, the second of Fill.
  std::string Segment(int number = 2) const { return StrCat(StoreLogDir(store_), "/", std::string(15, '0'), number, ".log"); }
  // Where a payload with `text` lies in a file.
  static size_t Find(const std::string& path, const std::string& text) {
    const size_t at = Slurp(path).find(text);
    EXPECT_NE(at, std::string::npos) << text;
    return at;
  }

  RealWorld world_;
  std::string dir_, store_;
  CheckReport report_;
};

TEST_F(InspectTest, ShowsWhatASoundStoreHolds) {
  Look([&](StoreView& view) {
    EXPECT_EQ(view.format(), kStoreFormat);
    EXPECT_EQ(view.ident().cluster_id, "c0ffee");
    EXPECT_TRUE(view.log_status().ok() && view.state_status().ok());
    EXPECT_TRUE(view.cuts().empty() && view.Redos().empty());
    EXPECT_EQ(view.Ranges()->size(), keys::kInitialKeyspaces + 3);
    EXPECT_FALSE(view.state().Tables().empty());

    const RangeView range = view.Range(kRange);
    EXPECT_EQ(range.replica, 1u);
    EXPECT_EQ(range.hard_state, (raft::HardState{.term = 6, .vote = 1, .commit = 12}));
    EXPECT_EQ(range.truncated_index, kFirstIndex);
    EXPECT_EQ(range.last_index, 13u);
    EXPECT_GT(range.entry_bytes, 0u);
    ASSERT_TRUE(range.loaded.has_value());
    EXPECT_EQ(range.loaded->state.applied_index, 12u);
    EXPECT_EQ(range.loaded->state.stats.versions, 3);
    EXPECT_EQ(range.loaded->state.stats.intents, 1);
    EXPECT_TRUE(view.RowsOf(range.loaded->descriptor).ok());

    auto entries = view.log().Entries(kRange, 11, 14, 1 << 20);
    ASSERT_TRUE(entries.ok() && entries->size() == 3);
    EXPECT_EQ(Explain((*entries)[0]).type, "empty");
    const EntryView entry = Explain((*entries)[1]);
    EXPECT_TRUE(entry.damage.ok());
    EXPECT_EQ(entry.type, "command");
    EXPECT_EQ(entry.changes, (std::vector<std::string>{"put data /Keyspace/2/apple @ 1.000000,0 (13 bytes)", "put data /Keyspace/2/pear @ 1.000000,0 (6 bytes)"}));

    std::vector<KeyView> found;
    auto reader = view.state().NewReader();
    auto next = VisitKeys(*reader, Key(""), Key("z"), 1, [&](KeyView key) { found.push_back(std::move(key)); });
    ASSERT_TRUE(next.ok() && next->has_value());
    EXPECT_EQ(**next, Key("pear"));
    next = VisitKeys(*reader, **next, Key("z"), 10, [&](KeyView key) { found.push_back(std::move(key)); });
    ASSERT_TRUE(next.ok() && !next->has_value() && found.size() == 2);
    EXPECT_EQ(found[0].versions.size(), 1u);
    EXPECT_EQ(found[0].versions[0].value, "first needle");
    ASSERT_TRUE(found[1].lock.has_value() && found[1].versions.size() == 2);
    EXPECT_TRUE(found[1].versions[0].provisional);
    EXPECT_FALSE(found[1].versions[1].provisional);
  });
  EXPECT_EQ(Told(), "");
  EXPECT_EQ(report_.ranges, keys::kInitialKeyspaces + 3);
  EXPECT_EQ(report_.entries, 3u);
  EXPECT_GE(report_.versions, 3u);
}

TEST_F(InspectTest, ATornEndIsNormalAndIsNotCut) {
  std::string frame = "INFR then garbage";
  Spill(Segment(), Slurp(Segment()) + frame);
  const size_t size = Slurp(Segment()).size();
  Look([&](StoreView& view) { EXPECT_EQ(view.cuts(), (std::map<std::string, uint64_t>{{Segment(), size - frame.size()}})); });
  EXPECT_EQ(report_.damages(), 0u) << Told();
  EXPECT_TRUE(Tells(StrCat("note: ", Segment(), " at ", size - frame.size(), ": the last write was cut short"))) << Told();

  // A frame whose records are cut in the middle, too; and a segment of which nothing but a piece of its header was written.
  std::string text = Slurp(Segment());
  Spill(Segment(), text.substr(0, size - frame.size() - 10));
  Look();
  EXPECT_EQ(report_.damages(), 0u) << Told();
  EXPECT_TRUE(Tells("the last write was cut short")) << Told();
  Spill(Segment(), text.substr(0, size - frame.size()));
  Spill(Segment(3), "INSUL");
  Look();
  EXPECT_EQ(report_.damages(), 0u) << Told();
  EXPECT_TRUE(Tells(StrCat("note: ", Segment(3), " at 0"))) << Told();
  Spill(Segment(), text);
  Look();
  EXPECT_EQ(report_.damages(), 0u) << Told();
  EXPECT_TRUE(Tells(StrCat("note: ", Segment(), " at ", size - frame.size(), ": the last write was cut short"))) << Told();
}

TEST_F(InspectTest, ADamagedEntryConcernsItsRangeOnly) {
  Flip(Segment(), Find(Segment(), "first needle"));
  Look([&](StoreView& view) {
    EXPECT_TRUE(view.log_status().ok());
    EXPECT_TRUE(absl::IsDataLoss(view.Range(kRange).log_damage));
    EXPECT_TRUE(view.Range(kRange + 1).log_damage.ok());
    EXPECT_TRUE(view.Range(kRange).loaded.has_value());
  });
  EXPECT_TRUE(Tells(StrCat("damage: ", Segment(), " at "))) << Told();
  EXPECT_TRUE(Tells("the entry 12 of range 3 is damaged")) << Told();
  for (const Finding& f : report_.findings) EXPECT_NE(f.advice.find("start node 1"), std::string::npos) << f.what;
}

TEST_F(InspectTest, ASegmentThatLostItsEndIsDamageUnlessItIsTheLast) {
  const std::string text = Slurp(Segment(1));
  Spill(Segment(1), text.substr(0, text.size() - 10));
  Look([](StoreView& view) { EXPECT_TRUE(absl::IsDataLoss(view.log_status())); });
  EXPECT_TRUE(Tells(StrCat("damage: ", Segment(1), " at ", text.size() - 10, ": the file has lost its end"))) << Told();
  EXPECT_EQ(report_.damages(), 2u) << Told();
}

TEST_F(InspectTest, DamageThatNothingNeedsIsToldAsSuch) {
  Change([](Context ctx, LogEngine& log, storage::Engine&) -> Task<absl::Status> {
    LogBatch batch;
    batch.Truncate(kRange, 12, 6);
    co_return co_await log.AppendAndWait(ctx, std::move(batch));
  });
  Flip(Segment(), Find(Segment(), "first needle"));
  Look();
  EXPECT_EQ(report_.damages(), 0u) << Told();
  EXPECT_TRUE(Tells("the entry 12 of range 3 is damaged")) << Told();
  EXPECT_TRUE(Tells("nothing needs it any more")) << Told();
}

TEST_F(InspectTest, DamageInTheMiddleOfTheLogIsNamedAndTheRestIsLookedAt) {
  const std::string text = Slurp(Segment());
  const size_t second = FindFrame(text, kSegmentHeaderSize + 1, 0), third = FindFrame(text, second + 1, 0);
  ASSERT_NE(third, std::string::npos);
  Flip(Segment(), second + 5);
  Flip(Segment(), Find(Segment(), "second needle"));
  Look([&](StoreView& view) {
    EXPECT_TRUE(absl::IsDataLoss(view.log_status())) << view.log_status().ToString();
    EXPECT_TRUE(view.state_status().ok());
    EXPECT_TRUE(view.Range(kRange).loaded.has_value());
  });
  EXPECT_TRUE(Tells(StrCat("damage: ", Segment(), " at ", second, ": the header of a frame is damaged; ", third - second, " bytes"))) << Told();
  EXPECT_TRUE(Tells("the entry 13 of range 3 is damaged")) << Told();
  EXPECT_EQ(report_.findings[0].advice.find("keep a copy"), 0u);
}

TEST_F(InspectTest, ADamagedFileOfTheStateEngineIsNamed) {
  std::string table;
  Look([&](StoreView& view) {
    for (const auto& t : view.state().Tables()) {
      if (t.family == "data") table = t.path;
    }
  });
  ASSERT_FALSE(table.empty());
  Flip(table, 20);
  Look();
  EXPECT_TRUE(Tells("damage: " + table)) << Told();
  fs::remove(table);
  Look([&](StoreView& view) { EXPECT_TRUE(view.log_status().ok()); });
  EXPECT_GT(report_.damages(), 0u);
  EXPECT_TRUE(Tells(fs::path(table).stem())) << Told();
}

TEST_F(InspectTest, AStateEngineThatCannotBeReadLeavesTheLog) {
  fs::remove(store_ + "/state/CURRENT");
  Look([&](StoreView& view) {
    EXPECT_TRUE(absl::IsNotFound(view.state_status())) << view.state_status().ToString();
    EXPECT_TRUE(view.log_status().ok());
    EXPECT_EQ(view.Ranges()->size(), keys::kInitialKeyspaces + 3);
  });
  EXPECT_TRUE(Tells("no file CURRENT")) << Told();
  EXPECT_EQ(report_.entries, 3u);
}

TEST_F(InspectTest, StatisticsThatDoNotFitAreFound) {
  Change([](Context, LogEngine&, storage::Engine& engine) -> Task<absl::Status> { co_return SetState(engine, [](RangeState* state) { ++state->stats.live_keys; }); });
  Look();
  EXPECT_EQ(report_.damages(), 1u) << Told();
  EXPECT_TRUE(Tells("damage: range 3: its statistics do not fit its rows. Kept: 3 live keys")) << Told();
}

TEST_F(InspectTest, RangesThatOverlapRowsOutsideAndOpenStepsAreFound) {
  Change([](Context ctx, LogEngine& log, storage::Engine& engine) -> Task<absl::Status> {
    storage::WriteBatch batch;
    CO_ASSIGN_OR_RETURN(auto range, LoadRange(*engine.NewReader(), kRange + 1));
    range->descriptor.set_start_key(Key("m"));
    PutDescriptor(&batch, range->descriptor);
    // Range 6 is not here any more, a row of it is.
    for (auto field : {keys::RangeField::kAppliedState, keys::RangeField::kDescriptor}) batch.Delete(ColumnFamily::kRange, keys::RangeIdKey(6, field));
    std::string value;
    mvcc::EncodeValue("left over", {}, &value);
    batch.Put(ColumnFamily::kData, storage::DataKey(KeyspacePrefix(5) + "x", kEarly), value);
    CO_RETURN_IF_ERROR(engine.Write(batch));
    LogBatch steps;
    steps.Tombstone(6, 2);
    steps.Redo(log.NextRedoId(), EncodeRedo({.kind = Redo::Kind::kSplit, .range = 8, .index = 10, .right = 99}));
    co_return co_await log.AppendAndWait(ctx, std::move(steps));
  });
  Look();
  EXPECT_TRUE(Tells("damage: range 4: [/Keyspace/2/m, /Keyspace/4) overlaps range 3 [/Keyspace/2, /Keyspace/3)")) << Told();
  EXPECT_TRUE(Tells("note: [/Keyspace/5, /Keyspace/6): no range of this store has these keys, yet there are rows of them; the first is data /Keyspace/5/x @ 1.000000,0")) << Told();
  EXPECT_TRUE(Tells("split of range 8 by entry 10; its right side becomes range 99 was under way")) << Told();
}

TEST_F(InspectTest, ALogThatEndsBeforeTheStateIsDamage) {
  Change([](Context, LogEngine&, storage::Engine& engine) -> Task<absl::Status> { co_return SetState(engine, [](RangeState* state) { state->applied_index = 20; }); });
  Look();
  EXPECT_TRUE(Tells("damage: range 3: the log holds entries 11 to 13, the state is applied up to 20")) << Told();
}

TEST_F(InspectTest, NewerFormatsAreRefusedOrTold) {
  // A segment of a later program, whole and well-formed.
  std::string text = Slurp(Segment());
  Spill(Segment(), EncodeSegmentHeader({.format = kLogFormat + 1, .number = 2, .store_id = 1, .previous_length = Slurp(Segment(1)).size()}) + text.substr(kSegmentHeaderSize));
  Look([](StoreView& view) { EXPECT_TRUE(absl::IsFailedPrecondition(view.log_status())) << view.log_status().ToString(); });
  EXPECT_TRUE(Tells("log segment of format 2; this program knows 1")) << Told();
  EXPECT_EQ(report_.findings[0].advice, "use the program that wrote it, or a newer one");

  std::string ident = Slurp(StoreFile(store_));
  ident.replace(ident.find("format 1"), 8, "format 2");
  Spill(StoreFile(store_), ident);
  absl::Status s = OpenStatus(store_);
  EXPECT_TRUE(absl::IsFailedPrecondition(s) && s.message().find("format 2; this program knows 1") != std::string::npos) << s.ToString();
}

TEST_F(InspectTest, WhatIsNoStoreIsRefusedWithAdvice) {
  auto expect = [&](const std::string& path, absl::StatusCode code, const std::string& text) {
    absl::Status s = OpenStatus(path);
    EXPECT_EQ(s.code(), code) << s.ToString();
    EXPECT_NE(s.message().find(text), std::string::npos) << s.ToString();
  };
  expect(dir_ + "/nowhere", absl::StatusCode::kNotFound, "does not exist");
  expect(StoreFile(store_), absl::StatusCode::kFailedPrecondition, "is a file");
  expect(dir_, absl::StatusCode::kFailedPrecondition, "name one of " + store_);
  expect(StoreLogDir(store_), absl::StatusCode::kFailedPrecondition, "holds no store");
  fs::create_directories(dir_ + "/other");
  Spill(dir_ + "/other/STORE", "somebody else's");
  expect(dir_ + "/other", absl::StatusCode::kFailedPrecondition, "not Insula's");
  Flip(StoreFile(store_), Find(StoreFile(store_), "c0ffee"));
  expect(store_ + "/", absl::StatusCode::kDataLoss, "is damaged");
}

TEST_F(InspectTest, AStoreInUseIsRefusedAndOneThatIsOpenedMeanwhileIsTold) {
  FileSystem& files = *world_.runtime().files;
  auto lock = files.LockFile(StoreLockFile(store_));
  ASSERT_TRUE(lock.ok());
  absl::Status s = OpenStatus(store_);
  EXPECT_TRUE(absl::IsUnavailable(s) && s.message().find("in use by a node") != std::string::npos) << s.ToString();
  lock->reset();

  Run([&](Context) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto view, StoreView::Open(world_.runtime(), IsFileLocked, store_));
    EXPECT_TRUE(view->StillUnused().ok());
    // A node starts: nothing stands in its way.
    CO_ASSIGN_OR_RETURN(auto held, files.LockFile(StoreLockFile(store_)));
    EXPECT_TRUE(absl::IsUnavailable(view->StillUnused()));
    CO_ASSIGN_OR_RETURN(auto engine, Engines()(StoreStateDir(store_)));
    engine.reset();
    held.reset();
    EXPECT_TRUE(absl::IsUnavailable(view->StillUnused())) << "one that came and went";
    co_return absl::OkStatus();
  });
}

}  // namespace
}  // namespace insula::kv
