#include "kv/multiraft/log_engine.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/async/task_group.h"
#include "base/check.h"
#include "base/runtime/random.h"
#include "base/sim/disk.h"
#include "base/sim/simulation.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/raft/storage.h"

namespace insula::kv {
namespace {

constexpr char kPath[] = "/data/log";

raft::Entry MakeEntry(uint64_t index, uint64_t term, std::string data) { return {.term = term, .index = index, .data = std::move(data)}; }

// One simulated host; what runs in it ends with it.
class LogTest : public testing::Test {
 protected:
  explicit LogTest(uint64_t seed = 1) : sim_(seed), host_(sim_.AddProcess("n1")) {
    options_.path = kPath;
    options_.store_id = 7;
  }

  absl::Status TryOpen() {
    log_.reset();
    Runtime runtime = host_->runtime();
    CHECK_OK(runtime.files->CreateDirs(kPath));
    CHECK_OK(runtime.files->SyncDir("/data"));
    CHECK_OK(runtime.files->SyncDir("/"));
    auto opened = LogEngine::Open(runtime, options_);
    if (opened.ok()) log_ = *std::move(opened);
    return opened.status();
  }
  void Open() {
    absl::Status s = TryOpen();
    ASSERT_TRUE(s.ok()) << s;
  }
  void Write(LogBatch batch) {
    absl::Status s = sim_.Run(host_, [&](Context ctx) { return log_->AppendAndWait(ctx, std::move(batch)); }, 60s);
    ASSERT_TRUE(s.ok()) << s;
  }
  void WriteEntries(RangeId range, std::vector<raft::Entry> entries) {
    LogBatch batch;
    if (!log_->Has(range)) batch.SetReplica(range, 1);
    batch.AppendEntries(range, entries);
    Write(std::move(batch));
  }
  // "first: data data …", or the error.
  std::string Show(RangeId range, uint64_t max_bytes = ~0ull) {
    uint64_t lo = log_->TruncatedIndex(range) + 1, hi = log_->LastIndex(range) + 1;
    std::string out = StrCat(lo, ":");
    if (lo == hi) return out;
    auto entries = log_->Entries(range, lo, hi, max_bytes);
    if (!entries.ok()) return std::string(entries.status().ToString());
    uint64_t expect = lo;
    for (const raft::Entry& e : *entries) {
      EXPECT_EQ(e.index, expect++);
      EXPECT_EQ(*log_->Term(range, e.index), e.term);
      StrAppend(&out, " ", e.data.view(), "/", e.term);
    }
    return out;
  }
  void CrashAndOpen() {
    log_.reset();
    host_->Crash(CrashKind::kHost);
    host_->Restart();
    Open();
  }
  std::string Segment(uint64_t n) {
    std::string digits = std::to_string(n);
    return std::string(kPath) + "/" + std::string(16 - digits.size(), '0') + digits + ".log";
  }

  Simulation sim_;
  SimProcess* host_;
  LogOptions options_;
  std::unique_ptr<LogEngine> log_;
};

TEST_F(LogTest, WhatWasWrittenIsThereAfterACrash) {
  Open();
  LogBatch batch;
  batch.SetReplica(1, 3);
  batch.AppendEntries(1, {MakeEntry(1, 1, "a"), MakeEntry(2, 1, ""), MakeEntry(3, 2, "c")});
  batch.SetHardState(1, {.term = 2, .vote = 3, .commit = 2, .lead = 3, .lead_epoch = 9});
  batch.SetMeta("hlc", "77");
  Write(std::move(batch));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Show(1), "1: a/1 /1 c/2");
    EXPECT_EQ(Show(1, 1), "1: a/1");
    EXPECT_EQ(log_->HardState(1), (raft::HardState{.term = 2, .vote = 3, .commit = 2, .lead = 3, .lead_epoch = 9}));
    EXPECT_EQ(log_->Replica(1), 3u);
    EXPECT_EQ(log_->Meta("hlc"), "77");
    EXPECT_EQ(log_->Term(1, 4).status().code(), absl::StatusCode::kNotFound);
    CrashAndOpen();
  }
}

TEST_F(LogTest, AnEntryReplacesEverythingFromItsIndexOn) {
  Open();
  WriteEntries(1, {MakeEntry(1, 1, "a"), MakeEntry(2, 1, "b"), MakeEntry(3, 1, "c")});
  WriteEntries(1, {MakeEntry(2, 2, "B")});
  EXPECT_EQ(Show(1), "1: a/1 B/2");
  CrashAndOpen();
  EXPECT_EQ(Show(1), "1: a/1 B/2");
}

TEST_F(LogTest, TruncationResetAndTombstone) {
  Open();
  WriteEntries(1, {MakeEntry(1, 1, "a"), MakeEntry(2, 1, "b"), MakeEntry(3, 1, "c")});
  WriteEntries(2, {MakeEntry(1, 1, "x")});
  WriteEntries(3, {MakeEntry(1, 1, "y")});
  LogBatch batch;
  batch.Truncate(1, 2, 1);
  batch.Reset(2, 50, 4);
  batch.Tombstone(3, 6);
  Write(std::move(batch));
  WriteEntries(2, {MakeEntry(51, 4, "z")});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Show(1), "3: c/1");
    EXPECT_EQ(*log_->Term(1, 2), 1u);
    EXPECT_EQ(log_->Term(1, 1).status().code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ(Show(2), "51: z/4");
    EXPECT_FALSE(log_->Has(3));
    EXPECT_EQ(log_->NextReplica(3), 6u);
    EXPECT_EQ(log_->Ranges(), (std::vector<RangeId>{1, 2}));
    CrashAndOpen();
  }
}

TEST_F(LogTest, RedoRecordsStayOpenUntilDone) {
  Open();
  uint64_t a = log_->NextRedoId(), b = log_->NextRedoId();
  LogBatch batch;
  batch.Redo(a, "split");
  batch.Redo(b, "snapshot");
  Write(std::move(batch));
  LogBatch done;
  done.RedoDone(a);
  Write(std::move(done));
  CrashAndOpen();
  ASSERT_EQ(log_->open_redos().size(), 1u);
  EXPECT_EQ(log_->open_redos().at(b), "snapshot");
  EXPECT_GT(log_->NextRedoId(), b);
}

TEST_F(LogTest, OneSyncCarriesAllRangesThatAreReady) {
  Open();
  int done = 0;
  const int kRanges = 200;
  for (int i = 1; i <= kRanges; ++i) {
    LogBatch batch;
    batch.SetReplica(i, 1);
    batch.AppendEntries(i, {MakeEntry(1, 1, "x")});
    log_->Append(std::move(batch), [&](absl::Status s) {
      EXPECT_TRUE(s.ok());
      ++done;
    });
  }
  ASSERT_TRUE(sim_.RunUntil([&] { return done == kRanges; }, 10s));
  EXPECT_LE(log_->stats().syncs, 2u);
  EXPECT_EQ(log_->stats().batches, static_cast<uint64_t>(kRanges));
}

TEST_F(LogTest, WhoWaitsForWhatWasAppendedMakesNoWrite) {
  Open();
  std::string order;
  auto note = [&](const char* what) { return [&order, what](absl::Status s) { order += StrCat(what, s.ok() ? " " : "! "); }; };
  LogBatch first;
  first.SetReplica(1, 1);
  first.AppendEntries(1, {MakeEntry(1, 1, "a")});
  log_->AfterAppended(note("nothing"));
  log_->Append(std::move(first), note("first"));
  LogBatch commit;
  commit.SetHardState(1, {.term = 1, .vote = 1, .commit = 1});
  log_->AppendLazily(std::move(commit));
  log_->AfterAppended(note("behind-first"));
  EXPECT_EQ(order, "");
  sim_.RunFor(1s);
  EXPECT_EQ(order, "nothing first behind-first ");
  const uint64_t syncs = log_->stats().syncs;
  LogBatch later;
  later.SetHardState(1, {.term = 1, .vote = 1, .commit = 2});
  log_->AppendLazily(std::move(later));
  log_->AfterAppended(note("nothing-new"));
  sim_.RunFor(1s);
  EXPECT_EQ(order, "nothing first behind-first nothing-new ");
  EXPECT_EQ(log_->stats().syncs, syncs);
  // Not before one that was appended while the last was being written.
  order.clear();
  LogBatch second, third;
  second.AppendEntries(1, {MakeEntry(2, 1, "b")});
  third.AppendEntries(1, {MakeEntry(3, 1, "c")});
  log_->Append(std::move(second), [&](absl::Status s) {
    order += "second ";
    log_->Append(std::move(third), note("third"));
    log_->AfterAppended(note("behind-third"));
  });
  log_->AfterAppended(note("behind-second"));
  sim_.RunFor(1s);
  EXPECT_EQ(order, "second behind-second third behind-third ");
}

TEST_F(LogTest, ATornEndIsCutAndReported) {
  bool seen_torn = false;
  for (uint64_t round = 0; round < 60; ++round) {
    Open();
    uint64_t before = log_->LastIndex(1);
    std::string shown = Show(1);
    if (before == 0) {
      WriteEntries(1, {MakeEntry(1, 1, "first")});
      before = 1;
      shown = Show(1);
    }
    // A write that the crash meets on its way.
    LogBatch batch;
    batch.AppendEntries(1, {MakeEntry(before + 1, 1, StrCat("r", round, std::string(round * 40, 'p'))), MakeEntry(before + 2, 1, "tail")});
    bool acked = false;
    log_->Append(std::move(batch), [&](absl::Status s) { acked = s.ok(); });
    sim_.RunFor(std::chrono::microseconds(sim_.random().Uniform(600)));
    CrashAndOpen();
    EXPECT_TRUE(log_->recovery().damage.empty());
    seen_torn |= log_->recovery().torn_bytes > 0;
    // Whole or not at all, and there if it was said to be.
    uint64_t after = log_->LastIndex(1);
    EXPECT_TRUE(after == before + 2 || (after == before && !acked)) << "round " << round << ": " << before << " -> " << after;
    EXPECT_EQ(Show(1).substr(0, shown.size()), shown);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_TRUE(seen_torn);
}

TEST_F(LogTest, ADamagedPayloadStopsItsRangeOnly) {
  Open();
  WriteEntries(1, {MakeEntry(1, 1, std::string(100, 'a'))});
  WriteEntries(2, {MakeEntry(1, 1, "other")});
  WriteEntries(1, {MakeEntry(2, 1, "b")});
  log_.reset();
  // The first payload lies behind segment, frame and two record headers.
  ASSERT_TRUE(host_->disk().FlipBit(Segment(1), kSegmentHeaderSize + kFrameHeaderSize + 2 * kRecordHeaderSize + 50, 3));
  CrashAndOpen();
  EXPECT_EQ(log_->Damage(1).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(log_->Entries(1, 1, 2, 100).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(log_->Damage(2).ok());
  EXPECT_EQ(Show(2), "1: other/1");
  ASSERT_EQ(log_->recovery().damage.size(), 1u);
  EXPECT_EQ(log_->recovery().torn_bytes, 0u);
}

TEST_F(LogTest, DamageToWhatWasTruncatedDoesNotMatter) {
  Open();
  WriteEntries(1, {MakeEntry(1, 1, std::string(100, 'a')), MakeEntry(2, 1, "b")});
  LogBatch batch;
  batch.Truncate(1, 1, 1);
  Write(std::move(batch));
  log_.reset();
  ASSERT_TRUE(host_->disk().FlipBit(Segment(1), kSegmentHeaderSize + kFrameHeaderSize + 2 * kRecordHeaderSize + 50, 3));
  CrashAndOpen();
  EXPECT_TRUE(log_->Damage(1).ok());
  EXPECT_EQ(Show(1), "2: b/1");
}

TEST_F(LogTest, EveryFlippedBitInTheMiddleIsFoundOut) {
  Open();
  WriteEntries(1, {MakeEntry(1, 1, "aaaa"), MakeEntry(2, 1, "bbbb")});
  WriteEntries(2, {MakeEntry(1, 1, "cccc")});
  uint64_t middle = log_->stats().total_bytes;
  WriteEntries(3, {MakeEntry(1, 1, "dddd")});
  log_.reset();
  for (uint64_t at = 0; at < middle; ++at) {
    ASSERT_TRUE(host_->disk().FlipBit(Segment(1), at, static_cast<int>(at % 8)));
    absl::Status s = TryOpen();
    if (s.ok()) {
      EXPECT_FALSE(log_->recovery().damage.empty()) << "offset " << at;
      EXPECT_EQ(Show(3), "1: dddd/1");
    } else {
      EXPECT_TRUE(s.code() == absl::StatusCode::kDataLoss || s.code() == absl::StatusCode::kFailedPrecondition) << s;
    }
    log_.reset();
    ASSERT_TRUE(host_->disk().FlipBit(Segment(1), at, static_cast<int>(at % 8)));
  }
  Open();
  EXPECT_TRUE(log_->recovery().damage.empty());
}

TEST_F(LogTest, AFullDiskStopsWritesUntilThereIsRoomAndLosesNothing) {
  Open();
  WriteEntries(1, {MakeEntry(1, 1, "a")});
  host_->disk().faults.capacity = host_->disk().BytesUsed() + 30;
  bool done = false;
  LogBatch batch;
  batch.AppendEntries(1, {MakeEntry(2, 1, std::string(500, 'b'))});
  log_->Append(std::move(batch), [&](absl::Status s) { done = s.ok(); });
  ASSERT_TRUE(sim_.RunUntil([&] { return log_->disk_full(); }, 10s));
  sim_.RunFor(5s);
  EXPECT_FALSE(done);
  EXPECT_EQ(log_->LastIndex(1), 1u);
  host_->disk().faults.capacity = ~0ull;
  ASSERT_TRUE(sim_.RunUntil([&] { return done; }, 10s));
  EXPECT_FALSE(log_->disk_full());
  std::string shown = Show(1);
  // What the failed attempts left behind may come to light in the crash, and is not taken for anything.
  CrashAndOpen();
  EXPECT_EQ(Show(1), shown);
  EXPECT_TRUE(log_->recovery().damage.empty());
}

TEST_F(LogTest, AWriteErrorMovesToANewSegmentAndTwoEndIt) {
  Open();
  WriteEntries(1, {MakeEntry(1, 1, "a")});
  absl::Status failure;
  log_->OnFailure([&](absl::Status s) { failure = s; });
  host_->disk().faults.write_error_chance = 1;
  absl::Status result;
  bool called = false;
  LogBatch batch;
  batch.AppendEntries(1, {MakeEntry(2, 1, "b")});
  log_->Append(std::move(batch), [&](absl::Status s) {
    result = s;
    called = true;
  });
  int told = 0;
  log_->AfterAppended([&](absl::Status s) { told += s.ok() ? 0 : 1; });
  ASSERT_TRUE(sim_.RunUntil([&] { return called; }, 10s));
  EXPECT_FALSE(result.ok());
  log_->AfterAppended([&](absl::Status s) { told += s.ok() ? 0 : 1; });
  sim_.RunFor(1s);
  EXPECT_EQ(told, 2);
  EXPECT_FALSE(failure.ok());
  EXPECT_FALSE(log_->failure().ok());
  host_->disk().faults.write_error_chance = 0;
  CrashAndOpen();
  EXPECT_EQ(Show(1).substr(0, 6), "1: a/1");
}

TEST_F(LogTest, ForeignAndNewerLogsAreRefused) {
  Open();
  WriteEntries(1, {MakeEntry(1, 1, "a")});
  options_.store_id = 8;
  absl::Status s = TryOpen();
  EXPECT_EQ(s.code(), absl::StatusCode::kFailedPrecondition) << s;
  SegmentHeader newer{.format = 2, .number = 1};
  EXPECT_EQ(DecodeSegmentHeader(EncodeSegmentHeader(newer), &newer).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(LogTest, WhatIsReadFromTheCacheAndFromTheDiskIsCounted) {
  options_.cache_bytes = 500;
  Open();
  for (uint64_t i = 1; i <= 10; ++i) WriteEntries(1, {MakeEntry(i, 1, std::string(100, 'x'))});
  const LogStats before = log_->stats();
  EXPECT_LE(before.cached_bytes, 500u);
  EXPECT_GT(before.cached_bytes, 300u);
  ASSERT_EQ(log_->Entries(1, 1, 11, 1 << 20)->size(), 10u);
  const LogStats after = log_->stats();
  const uint64_t cached = after.entries_from_cache - before.entries_from_cache;
  EXPECT_EQ(cached + after.entries_from_disk - before.entries_from_disk, 10u);
  EXPECT_TRUE(cached >= 3 && cached <= 5) << cached;
}

TEST_F(LogTest, AReadThatFailsIsNoDamage) {
  options_.segment_bytes = 2000;
  options_.garbage_bytes = 4000;
  options_.cache_bytes = 0;
  Open();
  WriteEntries(1, {MakeEntry(1, 1, "keep"), MakeEntry(2, 1, "me")});
  uint64_t index = 0;
  auto write_and_forget = [&](int times) {
    for (int i = 0; i < times; ++i) {
      WriteEntries(2, {MakeEntry(index + 1, 1, std::string(100, 'x'))});
      LogBatch forget;
      forget.Truncate(2, ++index, 1);
      Write(std::move(forget));
    }
  };
  write_and_forget(5);
  host_->disk().faults.read_error_chance = 1;
  EXPECT_EQ(log_->Entries(1, 1, 3, 1000).status().code(), absl::StatusCode::kUnavailable);
  write_and_forget(100);
  EXPECT_GT(log_->stats().segments, 5u) << "what cannot be moved stays";
  EXPECT_TRUE(log_->Damage(1).ok()) << log_->Damage(1);
  host_->disk().faults.read_error_chance = 0.3;  // now and then is nothing to notice
  write_and_forget(50);
  EXPECT_LT(log_->stats().segments, 5u);
  host_->disk().faults.read_error_chance = 0;
  EXPECT_EQ(Show(1), "1: keep/1 me/1");
  CrashAndOpen();
  EXPECT_EQ(Show(1), "1: keep/1 me/1");
}

TEST_F(LogTest, OldSegmentsGoAndLiveRecordsMove) {
  options_.segment_bytes = 2000;
  options_.garbage_bytes = 4000;
  options_.cache_bytes = 300;  // moved entries are read back from the disk
  Open();
  LogBatch first;
  first.SetReplica(1, 1);
  first.AppendEntries(1, {MakeEntry(1, 1, "keep"), MakeEntry(2, 1, "me")});
  first.SetHardState(1, {.term = 1, .vote = 1, .commit = 1});
  first.SetMeta("name", "value");
  uint64_t redo = log_->NextRedoId();
  first.Redo(redo, "open");
  first.Tombstone(9, 4);
  Write(std::move(first));
  uint64_t index = 0;
  for (int i = 0; i < 200; ++i) {
    LogBatch batch;
    if (i == 0) batch.SetReplica(2, 1);
    batch.AppendEntries(2, {MakeEntry(index + 1, 1, std::string(100, 'x'))});
    ++index;
    if (index > 3) batch.Truncate(2, index - 3, 1);
    Write(std::move(batch));
  }
  EXPECT_LT(log_->stats().segments, 10u);
  EXPECT_GT(log_->stats().rewritten_bytes, 0u);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Show(1), "1: keep/1 me/1");
    EXPECT_EQ(log_->HardState(1).vote, 1u);
    EXPECT_EQ(log_->Meta("name"), "value");
    EXPECT_EQ(log_->open_redos().at(redo), "open");
    EXPECT_EQ(log_->NextReplica(9), 4u);
    EXPECT_EQ(log_->LastIndex(2), index);
    EXPECT_EQ(log_->TruncatedIndex(2), index - 3);
    CrashAndOpen();
  }
}

// Random batches against a model of what they mean, with crashes at any moment, small segments and full disks.
class LogModel {
 public:
  struct Range {
    ReplicaId replica = 0, next_replica = 0;
    raft::HardState hs;
    uint64_t truncated = 0, truncated_term = 0;
    std::map<uint64_t, std::pair<uint64_t, std::string>> entries;
    uint64_t last() const { return entries.empty() ? truncated : entries.rbegin()->first; }
  };
  std::map<RangeId, Range> ranges;

  std::string Show() const {
    std::string out;
    for (const auto& [id, r] : ranges) {
      StrAppend(&out, id, "#", r.replica, "!", r.next_replica, " hs", r.hs.term, ",", r.hs.commit, " t", r.truncated, "/", r.truncated_term);
      for (const auto& [i, e] : r.entries) StrAppend(&out, " ", i, "=", e.second, "/", e.first);
      out += "\n";
    }
    return out;
  }
};

std::string ShowLog(LogEngine& log, const std::vector<RangeId>& ranges) {
  std::string out;
  for (RangeId id : ranges) {
    raft::HardState hs = log.HardState(id);
    StrAppend(&out, id, "#", log.Replica(id), "!", log.NextReplica(id), " hs", hs.term, ",", hs.commit, " t", log.TruncatedIndex(id), "/", log.TruncatedTerm(id));
    uint64_t lo = log.TruncatedIndex(id) + 1, hi = log.LastIndex(id) + 1;
    if (lo < hi) {
      auto entries = log.Entries(id, lo, hi, ~0ull);
      EXPECT_TRUE(entries.ok()) << entries.status();
      if (entries.ok()) {
        for (const raft::Entry& e : *entries) StrAppend(&out, " ", e.index, "=", e.data.view(), "/", e.term);
      }
    }
    out += "\n";
  }
  return out;
}

class LogRandomTest : public LogTest, public testing::WithParamInterface<int> {
 protected:
  LogRandomTest() : LogTest(static_cast<uint64_t>(1000 + GetParam())) {}

  LogBatch RandomBatch(LogModel* model) {
    Random& r = sim_.random();
    LogBatch batch;
    RangeId id = 1 + r.Uniform(4);
    LogModel::Range& m = model->ranges[id];
    if (m.replica == 0) {
      m.replica = std::max<ReplicaId>(m.next_replica, 1);
      m.next_replica = m.replica;
      batch.SetReplica(id, m.replica);
    }
    switch (r.Uniform(10)) {
      case 0: {
        m.hs = {.term = m.hs.term + 1, .vote = 1, .commit = m.last()};
        batch.SetHardState(id, m.hs);
        break;
      }
      case 1: {
        if (m.entries.empty()) break;
        uint64_t to = m.truncated + 1 + r.Uniform(m.last() - m.truncated);
        m.truncated_term = m.entries[to].first;
        m.truncated = to;
        m.entries.erase(m.entries.begin(), m.entries.upper_bound(to));
        batch.Truncate(id, to, m.truncated_term);
        break;
      }
      case 2: {
        if (!r.Chance(0.3)) break;
        m.truncated = m.last() + r.Uniform(5);
        m.truncated_term = 50;
        m.entries.clear();
        batch.Reset(id, m.truncated, 50);
        break;
      }
      case 3: {
        if (!r.Chance(0.3)) break;
        ReplicaId next = m.replica + 1;
        m = LogModel::Range();
        m.next_replica = next;
        batch.Tombstone(id, next);
        break;
      }
      default: {
        uint64_t at = m.last() + 1;
        if (r.Chance(0.3)) at -= std::min<uint64_t>(r.Uniform(3), m.last() - m.truncated);
        m.entries.erase(m.entries.lower_bound(at), m.entries.end());
        std::vector<raft::Entry> entries;
        for (uint64_t n = 1 + r.Uniform(4); n > 0; --n, ++at) {
          std::string data = StrCat("d", r.Uniform(1000), std::string(r.Uniform(60), '.'));
          uint64_t term = 60 + step_ / 50;
          m.entries[at] = {term, data};
          entries.push_back(MakeEntry(at, term, data));
        }
        batch.AppendEntries(id, entries);
      }
    }
    return batch;
  }
  int step_ = 0;
};

TEST_P(LogRandomTest, ACrashKeepsAPrefixOfTheBatchesAtOrAfterTheLastAcknowledged) {
  options_.segment_bytes = 1500;
  options_.garbage_bytes = 2000;
  options_.cache_bytes = 2000;
  Open();
  LogModel model;
  std::vector<std::string> states = {model.Show()};  // after each batch
  std::vector<LogModel> models = {model};
  size_t acked = 0;
  for (step_ = 0; step_ < 300; ++step_) {
    LogBatch batch = RandomBatch(&model);
    if (!batch.empty()) {
      states.push_back(model.Show());
      models.push_back(model);
      size_t number = states.size() - 1;
      if (sim_.random().Chance(0.1)) {
        log_->AppendLazily(std::move(batch));
      } else {
        log_->Append(std::move(batch), [&acked, number](absl::Status s) {
          if (s.ok()) acked = std::max(acked, number);
        });
      }
    }
    if (sim_.random().Chance(0.6)) sim_.RunFor(std::chrono::microseconds(sim_.random().Uniform(1500)));
    if (sim_.random().Chance(0.03)) host_->disk().faults.capacity = host_->disk().BytesUsed() + sim_.random().Uniform(300);
    if (sim_.random().Chance(0.1)) host_->disk().faults.capacity = ~0ull;
    if (!sim_.random().Chance(0.06)) continue;
    CrashAndOpen();
    ASSERT_TRUE(log_->recovery().damage.empty()) << log_->recovery().damage[0];
    size_t found = states.size();
    for (size_t i = acked; i < states.size() && found == states.size(); ++i) {
      std::vector<RangeId> ids;
      for (const auto& [id, r] : models[i].ranges) ids.push_back(id);
      if (ShowLog(*log_, ids) == states[i]) found = i;
    }
    ASSERT_LT(found, states.size()) << "step " << step_ << ": no state at or after " << acked << " of " << states.size() - 1 << " matches\n" << ShowLog(*log_, {1, 2, 3, 4}) << "acknowledged:\n" << states[acked];
    model = models[found];
    states = {states[found]};
    models = {model};
    acked = 0;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LogRandomTest, testing::Range(0, 40));

}  // namespace
}  // namespace insula::kv
