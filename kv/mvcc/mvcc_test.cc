#include "kv/mvcc/mvcc.h"

#include <memory>
#include <string>
#include <vector>

#include "base/runtime/random.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/mvcc/value.h"
#include "kv/storage/data_key.h"
#include "kv/storage/model_engine.h"
#include "kv/storage/varint.h"

namespace insula::kv::mvcc {
namespace {

using storage::ReadWriter;
using Kind = Outcome::Kind;

v1::Transaction Txn(const std::string& id, uint64_t ts, uint32_t sequence = 0, uint32_t epoch = 0) {
  v1::Transaction txn;
  txn.mutable_meta()->set_id(id);
  txn.mutable_meta()->set_anchor_key("a");
  txn.mutable_meta()->set_write_ts(ts);
  txn.mutable_meta()->set_sequence(sequence);
  txn.mutable_meta()->set_epoch(epoch);
  txn.set_read_ts(ts);
  return txn;
}

class Mvcc : public testing::Test {
 protected:
  Mvcc() : random_(1), engine_(*storage::OpenModelEngine(&random_, &disk_)) {}
  ~Mvcc() override {
    Stats counted;
    auto reader = engine_->NewReader();
    EXPECT_TRUE(ComputeStats(*reader, "", "", &counted).ok());
    std::string a, b;
    AppendStats(&a, stats_);
    AppendStats(&b, counted);
    EXPECT_EQ(a, b) << "statistics are not exact";
  }

  WriteParams At(uint64_t ts, const v1::Transaction* txn = nullptr, uint32_t sequence = 0) {
    return {.ts = Timestamp{ts}, .txn = txn, .sequence = sequence, .stats = &delta_};
  }
  // Runs `write` on a batch and keeps it if it went well.
  template <typename F>
  Outcome Do(F write) {
    delta_ = Stats{};
    storage::WriteBatch batch;
    {
      ReadWriter rw(engine_->NewReader());
      if (Outcome o = write(rw); !o.ok()) return o;
      batch = rw.ToBatch();
    }
    stats_ += delta_;
    EXPECT_TRUE(engine_->Write(batch).ok());
    return Outcome::Ok();
  }
  Kind Put(const std::string& key, const std::string& value, WriteParams p) {
    return Do([&](ReadWriter& rw) { return mvcc::Put(rw, key, value, p); }).kind();
  }
  Kind Del(const std::string& key, WriteParams p, bool* existed = nullptr) {
    return Do([&](ReadWriter& rw) { return mvcc::Delete(rw, key, p, existed); }).kind();
  }
  Kind Resolve(const std::string& key, const v1::Transaction& txn, v1::TxnStatus status, uint64_t ts, std::vector<std::pair<uint32_t, uint32_t>> ignored = {}) {
    ResolveParams p{.txn = txn.meta(), .status = status, .ignored = std::move(ignored), .stats = &delta_};
    p.txn.set_write_ts(ts);
    return Do([&](ReadWriter& rw) { return ResolveKey(rw, key, p, nullptr); }).kind();
  }
  // "value", "-" if there is none, or how the read ended.
  std::string Read(const std::string& key, ReadParams p) {
    auto reader = engine_->NewReader();
    GetResult out;
    Outcome o = mvcc::Get(*reader, key, p, &out);
    if (!o.ok()) return o.ToString();
    return out.found ? out.value : "-";
  }
  std::string Read(const std::string& key, uint64_t ts, const v1::Transaction* txn = nullptr) { return Read(key, ReadParams{.ts = Timestamp{ts}, .txn = txn}); }
  std::string ScanAll(const std::string& start, const std::string& end, ReadParams p, bool reverse = false, ScanLimits limits = {}) {
    auto reader = engine_->NewReader();
    ScanResult out;
    Outcome o = mvcc::Scan(*reader, start, end, reverse, p, limits, &out);
    if (!o.ok()) return o.ToString();
    std::string text;
    RowsCursor cursor(out.rows);
    std::string_view key, value;
    while (cursor.Next(&key, &value)) StrAppend(&text, key, "=", value, " ");
    EXPECT_TRUE(cursor.ok());
    if (out.resume) StrAppend(&text, "resume ", *out.resume);
    return text;
  }

  SeededRandom random_;
  storage::ModelDisk disk_;
  std::unique_ptr<storage::Engine> engine_;
  Stats stats_, delta_;
};

std::string Rows(const std::vector<std::string>& keys) {
  std::string rows;
  for (const std::string& key : keys) {
    storage::AppendString(&rows, key);
    storage::AppendString(&rows, "new");
  }
  return rows;
}

TEST_F(Mvcc, RowsGoWhereNothingLives) {
  auto insert = [&](std::vector<std::string> keys, uint64_t ts) { return Do([&](ReadWriter& rw) { return InsertRows(rw, keys.front(), keys.back() + "~", Rows(keys), At(ts)); }); };
  EXPECT_EQ(Put("b", "1", At(10)), Kind::kOk);
  EXPECT_EQ(Put("d", "1", At(10)), Kind::kOk);
  EXPECT_EQ(Del("d", At(20)), Kind::kOk);
  EXPECT_TRUE(insert({"a", "aa", "c", "d", "e"}, 30).ok());
  EXPECT_EQ(ScanAll("a", "z", ReadParams{.ts = Timestamp{30}}), "a=new aa=new b=1 c=new d=new e=new ");
  EXPECT_EQ(Read("d", 29), "-");
  Outcome exists = insert({"f", "g", "h"}, 40);
  EXPECT_TRUE(exists.ok());
  exists = insert({"eb", "g", "h"}, 50);
  EXPECT_EQ(exists.kind(), Kind::kConditionFailed);
  EXPECT_EQ(exists.key(), "g");
  EXPECT_EQ(Read("eb", 60), "-") << "all or none";
  EXPECT_EQ(Del("g", At(70)), Kind::kOk);
  EXPECT_EQ(insert({"g"}, 70).kind(), Kind::kWriteTooOld);
  auto txn = Txn("t", 80, 1);
  EXPECT_EQ(Put("m", "mine", At(80, &txn, 1)), Kind::kOk);
  EXPECT_EQ(insert({"l", "n"}, 90).kind(), Kind::kLocked) << "a lock anywhere in the span is in the way";
  EXPECT_EQ(Resolve("m", txn, v1::ABORTED, 80), Kind::kOk);
  EXPECT_TRUE(insert({"l", "n"}, 90).ok());
}

TEST_F(Mvcc, AnAbsentKeyIsKnownWithoutSeekingWhereTheLastLookSaidSo) {
  EXPECT_EQ(Put("c", "1", At(10)), Kind::kOk);
  EXPECT_EQ(Del("e", At(10)), Kind::kOk);
  ReadWriter rw(engine_->NewReader());
  AbsenceCursor cursor;
  EXPECT_TRUE(cursor.IsAbsent(rw, "a"));
  EXPECT_TRUE(cursor.IsAbsent(rw, "b"));
  EXPECT_FALSE(cursor.IsAbsent(rw, "c"));
  EXPECT_TRUE(cursor.IsAbsent(rw, "d"));
  EXPECT_FALSE(cursor.IsAbsent(rw, "e")) << "a deletion is a version";
  EXPECT_TRUE(cursor.IsAbsent(rw, "x"));
  EXPECT_FALSE(cursor.IsAbsent(rw, "c")) << "out of order";
  EXPECT_TRUE(cursor.IsAbsent(rw, "b"));
  delta_ = Stats{};
  WriteParams p = At(20);
  p.absence = &cursor;
  EXPECT_TRUE(ConditionalPut(rw, "b", "new", std::nullopt, p).ok());
  EXPECT_FALSE(cursor.IsAbsent(rw, "b")) << "this batch writes it";
  EXPECT_TRUE(ConditionalPut(rw, "bb", "new", std::nullopt, p).ok());
  EXPECT_EQ(ConditionalPut(rw, "c", "new", std::nullopt, p).kind(), Kind::kConditionFailed);
}

TEST_F(Mvcc, ClearingTakesEverythingAwayInSteps) {
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(Put(StrCat("k", 1000 + i), "v", At(10)), Kind::kOk);
  EXPECT_EQ(Put("k1003", "again", At(20)), Kind::kOk);
  EXPECT_EQ(Del("k1005", At(20)), Kind::kOk);
  EXPECT_EQ(Put("a", "stays", At(10)), Kind::kOk);
  EXPECT_EQ(Put("l", "stays", At(10)), Kind::kOk);
  auto txn = Txn("t", 30, 1);
  EXPECT_EQ(Put("k1900", "mine", At(30, &txn, 1)), Kind::kOk);
  ClearResult result;
  auto clear = [&](std::string from, uint64_t max) { return Do([&](ReadWriter& rw) { return ClearSpan(rw, from, "l", max, &delta_, &result); }); };
  EXPECT_TRUE(clear("k", 500).ok());
  EXPECT_EQ(result.versions, 500u);
  ASSERT_TRUE(result.resume.has_value());
  EXPECT_EQ(*result.resume, "k1498") << "two keys had two versions";
  EXPECT_EQ(Read("k1003", 100), "-");
  EXPECT_EQ(Read("k1003", 15), "-") << "as if it had never been";
  EXPECT_EQ(Read("k1498", 100), "v");
  EXPECT_EQ(clear(*result.resume, 10'000).kind(), Kind::kLocked) << "what is provisional may be a part of a commit";
  EXPECT_EQ(Resolve("k1900", txn, v1::COMMITTED, 30), Kind::kOk);
  EXPECT_TRUE(clear("k1498", 10'000).ok());
  EXPECT_FALSE(result.resume.has_value());
  EXPECT_EQ(ScanAll("", "z", ReadParams{.ts = Timestamp{100}}), "a=stays l=stays ");
  EXPECT_TRUE(clear("k", 10).ok());
  EXPECT_EQ(result.versions, 0u);
}

TEST_F(Mvcc, ReadsSeeTheNewestVersionAtOrBelowTheirTimestamp) {
  EXPECT_EQ(Put("a", "1", At(10)), Kind::kOk);
  EXPECT_EQ(Put("a", "2", At(20)), Kind::kOk);
  EXPECT_EQ(Del("a", At(30)), Kind::kOk);
  EXPECT_EQ(Put("a", "", At(40)), Kind::kOk);
  EXPECT_EQ(Read("a", 9), "-");
  EXPECT_EQ(Read("a", 10), "1");
  EXPECT_EQ(Read("a", 29), "2");
  EXPECT_EQ(Read("a", 30), "-");
  EXPECT_EQ(Read("a", 40), "");
  EXPECT_EQ(Read("b", 40), "-");
}

TEST_F(Mvcc, WritesBelowAVersionAreTooOldAndTellWhere) {
  ASSERT_EQ(Put("a", "1", At(10)), Kind::kOk);
  Outcome o = Do([&](ReadWriter& rw) { return mvcc::Put(rw, "a", "x", At(10)); });
  EXPECT_EQ(o.kind(), Kind::kWriteTooOld);
  EXPECT_EQ(o.timestamp().bits, 10u);
  EXPECT_EQ(Put("a", "x", At(5)), Kind::kWriteTooOld);
  EXPECT_EQ(Put("a", "x", At(11)), Kind::kOk);
  // A write above, that was read below, the newest version.
  WriteParams p = At(20);
  p.read_ts = Timestamp{10};
  EXPECT_EQ(Put("a", "y", p), Kind::kWriteTooOld);
  p.read_ts = Timestamp{11};
  EXPECT_EQ(Put("a", "y", p), Kind::kOk);
}

TEST_F(Mvcc, IntentsBlockOthersAtOrAboveThemAndShowTheirOwner) {
  v1::Transaction t = Txn("t1", 20, 1), other = Txn("t2", 30);
  ASSERT_EQ(Put("a", "0", At(10)), Kind::kOk);
  ASSERT_EQ(Put("a", "1", At(20, &t, 1)), Kind::kOk);
  EXPECT_EQ(Read("a", 20, &t), "1");
  EXPECT_EQ(Read("a", 5, &t), "1");  // whatever the timestamp
  EXPECT_EQ(Read("a", 19), "0");
  EXPECT_EQ(Read("a", 20).substr(0, 6), "locked");
  EXPECT_EQ(Read("a", 30, &other).substr(0, 6), "locked");
  EXPECT_EQ(Put("a", "x", At(30)), Kind::kLocked);
  EXPECT_EQ(Put("a", "x", At(30, &other, 1)), Kind::kLocked);
  // Reads that skip, reads of committed versions only.
  EXPECT_EQ(Read("a", ReadParams{.ts = Timestamp{30}, .skip_locked = true}), "-");
  EXPECT_EQ(Read("a", ReadParams{.ts = Timestamp{30}, .ignore_locks = true}), "0");
  EXPECT_EQ(Resolve("a", t, v1::COMMITTED, 25), Kind::kOk);
  EXPECT_EQ(Read("a", 24), "0");
  EXPECT_EQ(Read("a", 25), "1");
  EXPECT_EQ(stats_.locks, 0);
}

TEST_F(Mvcc, SequencesHistoryAndRolledBackSavepoints) {
  v1::Transaction t = Txn("t1", 20);
  ASSERT_EQ(Put("a", "0", At(10)), Kind::kOk);
  ASSERT_EQ(Put("a", "1", At(20, &t, 1)), Kind::kOk);
  ASSERT_EQ(Put("a", "2", At(20, &t, 2)), Kind::kOk);
  ASSERT_EQ(Del("a", At(20, &t, 4)), Kind::kOk);
  auto read_as = [&](uint32_t sequence, std::vector<std::pair<int, int>> ignored) {
    v1::Transaction r = Txn("t1", 20, sequence);
    for (auto [from, to] : ignored) {
      r.add_ignored()->set_from(from);
      r.mutable_ignored(r.ignored_size() - 1)->set_to(to);
    }
    return Read("a", 20, &r);
  };
  EXPECT_EQ(read_as(5, {}), "-");
  EXPECT_EQ(read_as(3, {}), "2");
  EXPECT_EQ(read_as(1, {}), "1");
  EXPECT_EQ(read_as(0, {}), "0");
  EXPECT_EQ(read_as(5, {{3, 5}}), "2");
  EXPECT_EQ(read_as(5, {{2, 5}}), "1");
  EXPECT_EQ(read_as(5, {{1, 5}}), "0");
  // The same write again is the same; another value under its number is an error.
  EXPECT_EQ(Put("a", "2", At(20, &t, 2)), Kind::kOk);
  EXPECT_EQ(Put("a", "other", At(20, &t, 2)), Kind::kError);
  EXPECT_EQ(Resolve("a", t, v1::COMMITTED, 20, {{3, 5}}), Kind::kOk);
  EXPECT_EQ(Read("a", 20), "2");
}

TEST_F(Mvcc, ACommitThatRolledEverythingBackLeavesWhatWasThere) {
  v1::Transaction t = Txn("t1", 20);
  ASSERT_EQ(Put("a", "0", At(10)), Kind::kOk);
  ASSERT_EQ(Put("a", "1", At(20, &t, 3)), Kind::kOk);
  EXPECT_EQ(Resolve("a", t, v1::COMMITTED, 20, {{1, 5}}), Kind::kOk);
  EXPECT_EQ(Read("a", 30), "0");
}

TEST_F(Mvcc, AnEpochVoidsTheIntentsOfEarlierOnes) {
  v1::Transaction e0 = Txn("t1", 20, 5, 0), e1 = Txn("t1", 30, 1, 1);
  ASSERT_EQ(Put("a", "0", At(10)), Kind::kOk);
  ASSERT_EQ(Put("a", "old", At(20, &e0, 5)), Kind::kOk);
  EXPECT_EQ(Read("a", 30, &e1), "0");
  ASSERT_EQ(Put("b", "old", At(20, &e0, 5)), Kind::kOk);
  ASSERT_EQ(Put("a", "new", At(30, &e1, 1)), Kind::kOk);
  EXPECT_EQ(Read("a", 30, &e1), "new");
  EXPECT_EQ(Put("a", "late", At(20, &e0, 6)), Kind::kStaleTxn);
  EXPECT_EQ(Read("a", 20, &e0).substr(0, 5), "stale");
  EXPECT_EQ(Resolve("a", e1, v1::COMMITTED, 30), Kind::kOk);
  EXPECT_EQ(Resolve("b", e1, v1::COMMITTED, 30), Kind::kOk);  // of epoch 0: never part of it
  EXPECT_EQ(Read("a", 30), "new");
  EXPECT_EQ(Read("b", 30), "-");
}

TEST_F(Mvcc, UncertainValuesEndAReadUnlessTheirLocalTimestampClearsThem) {
  ASSERT_EQ(Put("a", "1", At(10)), Kind::kOk);
  ASSERT_EQ(Put("a", "2", At(25)), Kind::kOk);
  auto read = [&](const std::string& key, uint64_t ts, uint64_t limit, uint64_t local) {
    return Read(key, ReadParams{.ts = Timestamp{ts}, .uncertainty_limit = Timestamp{limit}, .local_limit = Timestamp{local}}).substr(0, 9);
  };
  EXPECT_EQ(read("a", 20, 30, 0), "uncertain");
  EXPECT_EQ(read("a", 20, 24, 0), "1");
  EXPECT_EQ(read("a", 20, 30, 22), "1");  // written after this clock was observed
  EXPECT_EQ(read("a", 20, 30, 25), "uncertain");
  // Written under a clock behind its timestamp: may be from before.
  WriteParams p = At(25);
  p.local_now = Timestamp{21};
  ASSERT_EQ(Put("b", "2", p), Kind::kOk);
  EXPECT_EQ(read("b", 20, 30, 22), "uncertain");
  EXPECT_EQ(read("b", 20, 30, 20), "-");
}

TEST_F(Mvcc, APushedIntentKeepsTheClockItWasWrittenUnder) {
  v1::Transaction t = Txn("t1", 20);
  ASSERT_EQ(Put("a", "1", At(20, &t, 1)), Kind::kOk);
  EXPECT_EQ(Resolve("a", t, v1::PENDING, 28), Kind::kOk);
  EXPECT_EQ(Read("a", 27), "-");
  EXPECT_EQ(Read("a", ReadParams{.ts = Timestamp{19}, .uncertainty_limit = Timestamp{30}}).substr(0, 6), "locked");
  EXPECT_EQ(Read("a", ReadParams{.ts = Timestamp{19}, .uncertainty_limit = Timestamp{30}, .local_limit = Timestamp{19}}), "-");
  EXPECT_EQ(Resolve("a", t, v1::COMMITTED, 28), Kind::kOk);
  EXPECT_EQ(Read("a", ReadParams{.ts = Timestamp{21}, .uncertainty_limit = Timestamp{30}, .local_limit = Timestamp{21}}).substr(0, 9), "uncertain");
  EXPECT_EQ(Read("a", 28), "1");
}

TEST_F(Mvcc, ExclusiveSinceFindsOutThatALockWasLost) {
  ASSERT_EQ(Put("a", "1", At(10)), Kind::kOk);
  v1::Transaction t = Txn("t1", 20), other = Txn("t2", 21);
  WriteParams p = At(30, &t, 1);
  p.exclusive_since = Timestamp{10};
  ASSERT_EQ(Put("a", "2", p), Kind::kOk);
  ASSERT_EQ(Resolve("a", t, v1::ABORTED, 30), Kind::kOk);
  ASSERT_EQ(Put("a", "x", At(12)), Kind::kOk);
  EXPECT_EQ(Put("a", "2", p), Kind::kLockLost);
  ASSERT_EQ(Put("b", "x", At(25, &other, 1)), Kind::kOk);
  EXPECT_EQ(Put("b", "2", p), Kind::kLockLost);
  ASSERT_EQ(Resolve("b", other, v1::ABORTED, 0), Kind::kOk);
}

TEST_F(Mvcc, ConditionalPutInitPutAndIncrement) {
  auto cput = [&](std::optional<std::string> value, std::optional<std::string> expected, WriteParams p) {
    return Do([&](ReadWriter& rw) { return ConditionalPut(rw, "a", value, expected, p); });
  };
  EXPECT_EQ(cput("1", std::nullopt, At(10)).kind(), Kind::kOk);
  Outcome o = cput("2", std::nullopt, At(20));
  ASSERT_EQ(o.kind(), Kind::kConditionFailed);
  EXPECT_EQ(o.actual(), "1");
  EXPECT_EQ(cput(std::nullopt, "1", At(20)).kind(), Kind::kOk);
  EXPECT_EQ(Read("a", 20), "-");
  v1::Transaction t = Txn("t1", 30, 9);
  EXPECT_EQ(cput("3", std::nullopt, At(30, &t, 1)).kind(), Kind::kOk);
  EXPECT_EQ(cput("3", std::nullopt, At(30, &t, 1)).kind(), Kind::kOk);  // repeated: judged as before it
  EXPECT_EQ(cput("4", "3", At(30, &t, 2)).kind(), Kind::kOk);
  ASSERT_EQ(Resolve("a", t, v1::COMMITTED, 30), Kind::kOk);
  auto init = [&](const std::string& v, uint64_t ts) { return Do([&](ReadWriter& rw) { return InitPut(rw, "a", v, At(ts)); }).kind(); };
  EXPECT_EQ(init("4", 40), Kind::kOk);
  EXPECT_EQ(init("5", 40), Kind::kConditionFailed);
  int64_t value = 0;
  auto increment = [&](int64_t by, WriteParams p) { return Do([&](ReadWriter& rw) { return Increment(rw, "n", by, p, &value); }).kind(); };
  EXPECT_EQ(increment(5, At(10)), Kind::kOk);
  EXPECT_EQ(increment(-7, At(20)), Kind::kOk);
  EXPECT_EQ(value, -2);
  EXPECT_EQ(increment(INT64_MIN, At(30)), Kind::kError);
  v1::Transaction u = Txn("t2", 40);
  EXPECT_EQ(increment(1, At(40, &u, 1)), Kind::kOk);
  EXPECT_EQ(increment(1, At(40, &u, 1)), Kind::kOk);
  EXPECT_EQ(value, -1);  // counted once
  ASSERT_EQ(Resolve("n", u, v1::COMMITTED, 40), Kind::kOk);
}

TEST_F(Mvcc, ScansBothWaysWithLimitsAndResume) {
  for (int i = 0; i < 6; ++i) ASSERT_EQ(Put(StrCat("k", i), StrCat("v", i), At(10)), Kind::kOk);
  for (int ts = 11; ts < 40; ++ts) ASSERT_EQ(Put("k2", "many", At(ts)), Kind::kOk);
  ASSERT_EQ(Del("k3", At(12)), Kind::kOk);
  ReadParams p{.ts = Timestamp{20}};
  EXPECT_EQ(ScanAll("k", "l", p), "k0=v0 k1=v1 k2=many k4=v4 k5=v5 ");
  EXPECT_EQ(ScanAll("k", "l", p, true), "k5=v5 k4=v4 k2=many k1=v1 k0=v0 ");
  EXPECT_EQ(ScanAll("k1", "k5", p, false, {.max_rows = 2}), "k1=v1 k2=many resume k2" + std::string(1, '\0'));
  EXPECT_EQ(ScanAll("k1", "k5", p, true, {.max_rows = 2}), "k4=v4 k2=many resume k2");
  EXPECT_EQ(ScanAll("k1", "k3", p, false, {.max_rows = 2}), "k1=v1 k2=many ");  // nothing is left
  EXPECT_EQ(ScanAll("k", "l", p, false, {.max_bytes = 1}).substr(0, 6), "k0=v0 ");
  EXPECT_EQ(ScanAll("k", "", ReadParams{.ts = Timestamp{10}}, true, {.max_rows = 1}).substr(0, 6), "k5=v5 ");
}

TEST_F(Mvcc, ScansNameTheLocksInTheirWay) {
  v1::Transaction t = Txn("t1", 15), own = Txn("t2", 20, 9);
  for (const char* k : {"a", "b", "c", "d"}) ASSERT_EQ(Put(k, "0", At(10)), Kind::kOk);
  ASSERT_EQ(Put("b", "1", At(15, &t, 1)), Kind::kOk);
  ASSERT_EQ(Put("d", "1", At(15, &t, 2)), Kind::kOk);
  ASSERT_EQ(Put("e", "new", At(20, &own, 1)), Kind::kOk);
  auto reader = engine_->NewReader();
  ScanResult out;
  Outcome o = mvcc::Scan(*reader, "a", "z", false, ReadParams{.ts = Timestamp{20}, .txn = &own}, {}, &out);
  ASSERT_EQ(o.kind(), Kind::kLocked);
  ASSERT_EQ(o.locks().size(), 2u);
  EXPECT_EQ(o.locks()[0].key, "b");
  EXPECT_EQ(o.locks()[1].key, "d");
  EXPECT_EQ(o.locks()[0].holder.txn.id(), "t1");
  // With a limit that is reached before it, a lock does not matter.
  EXPECT_EQ(ScanAll("a", "z", ReadParams{.ts = Timestamp{20}}, false, {.max_rows = 1}).substr(0, 4), "a=0 ");
  EXPECT_EQ(ScanAll("a", "z", ReadParams{.ts = Timestamp{20}, .txn = &own, .skip_locked = true}), "a=0 c=0 e=new ");
  EXPECT_EQ(ScanAll("a", "z", ReadParams{.ts = Timestamp{20}, .txn = &own, .skip_locked = true}, true), "e=new c=0 a=0 ");
  std::function<bool(std::string_view)> skip = [](std::string_view key) { return key == "a"; };
  EXPECT_EQ(ScanAll("a", "z", ReadParams{.ts = Timestamp{20}, .txn = &own, .skip_locked = true, .skip = &skip}), "c=0 e=new ");
}

TEST_F(Mvcc, RefreshFindsVersionsAndIntentsOfOthersOnly) {
  v1::Transaction t = Txn("t1", 30, 9), other = Txn("t2", 25);
  ASSERT_EQ(Put("a", "0", At(10)), Kind::kOk);
  ASSERT_EQ(Put("b", "0", At(20)), Kind::kOk);
  ASSERT_EQ(Put("c", "mine", At(25, &t, 1)), Kind::kOk);
  auto refresh = [&](const std::string& start, const std::string& end, uint64_t from, uint64_t to) {
    auto reader = engine_->NewReader();
    return Refresh(*reader, start, end, Timestamp{from}, Timestamp{to}, &t).kind();
  };
  EXPECT_EQ(refresh("a", "z", 20, 30), Kind::kOk);
  EXPECT_EQ(refresh("a", "z", 19, 30), Kind::kWriteTooOld);
  EXPECT_EQ(refresh("b", "", 15, 30), Kind::kWriteTooOld);
  EXPECT_EQ(refresh("a", "", 15, 30), Kind::kOk);
  ASSERT_EQ(Put("d", "x", At(27, &other, 1)), Kind::kOk);
  EXPECT_EQ(refresh("a", "z", 20, 30), Kind::kLocked);
  EXPECT_EQ(refresh("a", "z", 20, 26), Kind::kOk);
}

TEST_F(Mvcc, SharedAndExclusiveReplicatedLocks) {
  v1::Transaction t1 = Txn("t1", 20), t2 = Txn("t2", 21);
  ASSERT_EQ(Put("a", "0", At(10)), Kind::kOk);
  auto lock = [&](const v1::Transaction& t, LockStrength s) { return Do([&](ReadWriter& rw) { return AcquireLock(rw, "a", s, At(30, &t)); }).kind(); };
  EXPECT_EQ(lock(t1, LockStrength::kShared), Kind::kOk);
  EXPECT_EQ(lock(t2, LockStrength::kShared), Kind::kOk);
  EXPECT_EQ(lock(t1, LockStrength::kExclusive), Kind::kLocked);
  EXPECT_EQ(Read("a", 40), "0");  // locks without a write hide nothing from plain reads
  EXPECT_EQ(Read("a", ReadParams{.ts = Timestamp{40}, .lock = LockStrength::kShared}), "0");
  EXPECT_EQ(Read("a", ReadParams{.ts = Timestamp{40}, .lock = LockStrength::kExclusive}).substr(0, 6), "locked");
  EXPECT_EQ(Put("a", "1", At(40, &t1, 1)), Kind::kLocked);
  EXPECT_EQ(Resolve("a", t2, v1::COMMITTED, 30), Kind::kOk);
  EXPECT_EQ(lock(t1, LockStrength::kExclusive), Kind::kOk);
  EXPECT_EQ(Put("a", "1", At(40, &t1, 1)), Kind::kOk);
  EXPECT_EQ(Resolve("a", t1, v1::COMMITTED, 40), Kind::kOk);
  EXPECT_EQ(Read("a", 40), "1");
}

TEST_F(Mvcc, AnIntentAboveTheCommitIsALateCopyAndGoes) {
  v1::Transaction t = Txn("t1", 20);
  ASSERT_EQ(Put("a", "first", At(20, &t, 1)), Kind::kOk);
  ASSERT_EQ(Put("a", "second", At(20, &t, 2)), Kind::kOk);
  ASSERT_EQ(Resolve("a", t, v1::COMMITTED, 20), Kind::kOk);
  ASSERT_EQ(Put("a", "first", At(20, &t, 1)), Kind::kWriteTooOld);
  ASSERT_EQ(Put("a", "first", At(21, &t, 1)), Kind::kOk);
  ASSERT_EQ(Resolve("a", t, v1::COMMITTED, 20), Kind::kOk);
  EXPECT_EQ(Read("a", 30), "second");
  EXPECT_EQ(stats_.intents, 0);
  EXPECT_EQ(stats_.versions, 1);
}

TEST_F(Mvcc, OnePhaseCommitsLeaveNoLocks) {
  v1::Transaction t = Txn("t1", 20);
  ASSERT_EQ(Do([&](ReadWriter& rw) { return AcquireLock(rw, "a", LockStrength::kExclusive, At(20, &t)); }).kind(), Kind::kOk);
  WriteParams p = At(20, &t, 1);
  p.one_phase = true;
  EXPECT_EQ(Put("a", "1", p), Kind::kOk);
  EXPECT_EQ(Read("a", 20), "1");
  EXPECT_EQ(stats_.locks, 0);
  EXPECT_EQ(Put("a", "2", p), Kind::kWriteTooOld);
}

TEST_F(Mvcc, DeleteRangeAndResolveSpanGoInSteps) {
  v1::Transaction t = Txn("t1", 20);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(Put(StrCat("k", i), "v", At(10)), Kind::kOk);
  DeleteRangeResult out;
  ASSERT_EQ(Do([&](ReadWriter& rw) { return DeleteRange(rw, "k", "l", 3, At(20, &t, 1), &out); }).kind(), Kind::kOk);
  EXPECT_EQ(out.deleted, 3u);
  ASSERT_TRUE(out.resume.has_value());
  ASSERT_EQ(Do([&](ReadWriter& rw) { return DeleteRange(rw, *out.resume, "l", 3, At(20, &t, 2), &out); }).kind(), Kind::kOk);
  EXPECT_EQ(out.deleted, 2u);
  EXPECT_FALSE(out.resume.has_value());
  EXPECT_EQ(stats_.intents, 5);
  ResolveParams p{.txn = t.meta(), .status = v1::COMMITTED, .stats = &delta_};
  uint64_t changed;
  std::optional<std::string> resume;
  ASSERT_EQ(Do([&](ReadWriter& rw) { return ResolveSpan(rw, "k", "l", p, 2, &changed, &resume); }).kind(), Kind::kOk);
  EXPECT_EQ(changed, 2u);
  ASSERT_EQ(resume, "k2");
  ASSERT_EQ(Do([&](ReadWriter& rw) { return ResolveSpan(rw, *resume, "l", p, 0, &changed, &resume); }).kind(), Kind::kOk);
  EXPECT_EQ(changed, 3u);
  EXPECT_FALSE(resume.has_value());
  EXPECT_EQ(ScanAll("k", "l", ReadParams{.ts = Timestamp{30}}), "");
  EXPECT_EQ(stats_.live_keys, 0);
}

TEST_F(Mvcc, QueryIntentKnowsEpochSequenceAndTimestamp) {
  v1::Transaction t = Txn("t1", 20, 3);
  ASSERT_EQ(Put("a", "1", At(20, &t, 3)), Kind::kOk);
  auto query = [&](v1::Transaction q) {
    bool found = false;
    auto reader = engine_->NewReader();
    EXPECT_TRUE(QueryIntent(*reader, "a", q.meta(), LockStrength::kNone, &found).ok());
    return found;
  };
  EXPECT_TRUE(query(Txn("t1", 20, 3)));
  EXPECT_FALSE(query(Txn("t1", 20, 4)));
  EXPECT_FALSE(query(Txn("t1", 19, 3)));
  EXPECT_FALSE(query(Txn("t1", 20, 3, 1)));
  EXPECT_FALSE(query(Txn("t2", 20, 3)));
  ASSERT_EQ(Resolve("a", t, v1::ABORTED, 0), Kind::kOk);
}

TEST_F(Mvcc, ReplicatedLocksTellSinceWhenTheyAreHeld) {
  v1::Transaction t = Txn("t1", 20, 0);
  WriteParams p = At(20, &t);
  p.exclusive_since = Timestamp{15};
  ASSERT_EQ(Do([&](ReadWriter& rw) { return AcquireLock(rw, "a", LockStrength::kShared, p); }).kind(), Kind::kOk);
  auto since = [&](std::string id, LockStrength strength) {
    std::optional<Timestamp> held;
    auto reader = engine_->NewReader();
    EXPECT_TRUE(HeldSince(*reader, "a", id, strength, &held).ok());
    return held;
  };
  auto locked = [&](LockStrength strength) {
    bool found = false;
    auto reader = engine_->NewReader();
    EXPECT_TRUE(QueryIntent(*reader, "a", t.meta(), strength, &found).ok());
    return found;
  };
  EXPECT_EQ(since("t1", LockStrength::kShared), Timestamp{15});
  EXPECT_EQ(since("t1", LockStrength::kExclusive), std::nullopt);
  EXPECT_EQ(since("t2", LockStrength::kShared), std::nullopt);
  EXPECT_TRUE(locked(LockStrength::kShared));
  EXPECT_FALSE(locked(LockStrength::kExclusive));
  EXPECT_FALSE(locked(LockStrength::kNone)) << "no intent";
  ASSERT_EQ(Put("a", "1", At(20, &t, 1)), Kind::kOk);
  EXPECT_EQ(since("t1", LockStrength::kExclusive), Timestamp()) << "an intent says enough";
  ASSERT_EQ(Resolve("a", t, v1::ABORTED, 0), Kind::kOk);
}

TEST_F(Mvcc, GarbageIsWhatNobodyAboveTheThresholdCanSee) {
  for (uint64_t ts : {10, 20, 30}) ASSERT_EQ(Put("a", StrCat("v", ts), At(ts)), Kind::kOk);
  ASSERT_EQ(Put("b", "x", At(10)), Kind::kOk);
  ASSERT_EQ(Del("b", At(20)), Kind::kOk);
  auto collect = [&](const std::string& key, uint64_t threshold) {
    GarbageResult result;
    EXPECT_TRUE(Do([&](ReadWriter& rw) { return CollectGarbage(rw, {key}, key + '\0', Timestamp{threshold}, 100, &delta_, &result); }).ok());
    EXPECT_FALSE(result.resume);
    return result.removed;
  };
  EXPECT_EQ(collect("a", 25), 1u);
  EXPECT_EQ(Read("a", 25), "v20");
  EXPECT_EQ(Read("a", 30), "v30");
  EXPECT_EQ(collect("b", 15), 0u);
  EXPECT_EQ(collect("b", 20), 2u);
}

TEST_F(Mvcc, GarbageOfASpanGoesInStepsAndLeavesIntentsAlone) {
  for (int i = 0; i < 30; ++i) {
    for (uint64_t ts : {10, 20, 30}) ASSERT_EQ(Put(StrCat("k", 10 + i), "v", At(ts)), Kind::kOk);
  }
  v1::Transaction t = Txn("t1", 35, 1);
  ASSERT_EQ(Put("k15", "intent", At(35, &t, 1)), Kind::kOk);
  std::optional<GarbagePosition> from = GarbagePosition{"k"};
  uint64_t removed = 0;
  int steps = 0;
  while (from) {
    GarbageResult result;
    ASSERT_TRUE(Do([&](ReadWriter& rw) { return CollectGarbage(rw, *from, "l", Timestamp{40}, 10, &delta_, &result); }).ok());
    EXPECT_LE(result.removed, 10u);
    removed += result.removed;
    from = result.resume;
    ++steps;
  }
  EXPECT_EQ(removed, 60u);
  EXPECT_GE(steps, 5);
  EXPECT_EQ(Read("k15", 40, &t), "intent");
  ASSERT_EQ(Resolve("k15", t, v1::ABORTED, 0), Kind::kOk);
  EXPECT_EQ(Read("k15", 30), "v");
  EXPECT_EQ(Read("k39", 40), "v");
}

TEST_F(Mvcc, GarbageOfOneKeyGoesInStepsThatLookAtEachVersionOnce) {
  for (uint64_t ts = 1; ts <= 1000; ++ts) ASSERT_EQ(Put("hot", StrCat("v", ts), At(ts)), Kind::kOk);
  ASSERT_EQ(Put("next", "v", At(5)), Kind::kOk);
  ASSERT_EQ(Put("next", "w", At(6)), Kind::kOk);
  std::optional<GarbagePosition> from = GarbagePosition{"hot"};
  uint64_t removed = 0;
  int steps = 0;
  while (from) {
    GarbageResult result;
    ASSERT_TRUE(Do([&](ReadWriter& rw) { return CollectGarbage(rw, *from, "", Timestamp{900}, 100, &delta_, &result); }).ok());
    EXPECT_LE(result.removed, 100u);
    removed += result.removed;
    from = result.resume;
    ++steps;
    for (uint64_t ts : {900, 901, 1000}) EXPECT_EQ(Read("hot", ts), StrCat("v", ts));
  }
  EXPECT_EQ(removed, 900u);
  EXPECT_LE(steps, 10);
  EXPECT_EQ(Read("hot", 899), "-");
  EXPECT_EQ(stats_.versions, 102);
}

TEST_F(Mvcc, ADeletionGoesAfterWhatItHides) {
  for (uint64_t ts = 1; ts <= 25; ++ts) ASSERT_EQ(Put("a", StrCat("v", ts), At(ts)), Kind::kOk);
  ASSERT_EQ(Del("a", At(30)), Kind::kOk);
  for (int walk = 0; walk < 2; ++walk) {
    std::optional<GarbagePosition> from = GarbagePosition{"a"};
    while (from) {
      GarbageResult result;
      ASSERT_TRUE(Do([&](ReadWriter& rw) { return CollectGarbage(rw, *from, "", Timestamp{50}, 10, &delta_, &result); }).ok());
      from = result.resume;
      EXPECT_EQ(Read("a", 50), "-") << "walk " << walk;
    }
    EXPECT_EQ(stats_.versions, walk == 0 ? 1 : 0);
  }
}

TEST_F(Mvcc, AWalkThatGoesOnInAKeyThatIsGoneTakesTheNextOneAsNew) {
  ASSERT_EQ(Put("b", "v", At(10)), Kind::kOk);
  GarbageResult result;
  ASSERT_TRUE(Do([&](ReadWriter& rw) { return CollectGarbage(rw, {"a", Timestamp{7}}, "", Timestamp{50}, 10, &delta_, &result); }).ok());
  EXPECT_EQ(result.removed, 0u);
  EXPECT_EQ(Read("b", 50), "v");
}

TEST_F(Mvcc, DamageIsAnErrorAndNotAnAnswer) {
  storage::WriteBatch batch;
  batch.Put(storage::ColumnFamily::kData, storage::DataKey("a", Timestamp{10}), "\x0fgarbage");
  batch.Put(storage::ColumnFamily::kLock, "b", "garbage");
  ASSERT_TRUE(engine_->Write(batch).ok());
  auto reader = engine_->NewReader();
  GetResult out;
  EXPECT_EQ(mvcc::Get(*reader, "a", ReadParams{.ts = Timestamp{20}}, &out).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(mvcc::Get(*reader, "b", ReadParams{.ts = Timestamp{20}}, &out).status().code(), absl::StatusCode::kDataLoss);
  storage::WriteBatch fix;
  fix.Delete(storage::ColumnFamily::kData, storage::DataKey("a", Timestamp{10}));
  fix.Delete(storage::ColumnFamily::kLock, "b");
  reader.reset();
  ASSERT_TRUE(engine_->Write(fix).ok());
}

TEST(LockRecord, ComesBackAndPeeks) {
  LockRecord record;
  LockHolder& h = record.holders.emplace_back();
  h.txn = Txn(std::string(16, 'x'), 20, 4, 2).meta();
  h.intent = Intent{Timestamp{20}, 4, {{2, "two"}, {3, std::nullopt}}};
  std::string bytes = EncodeLockRecord(record);
  EXPECT_EQ(PeekOnlyHolder(bytes), std::string(16, 'x'));
  LockRecord back;
  ASSERT_TRUE(DecodeLockRecord(bytes, &back).ok());
  EXPECT_EQ(EncodeLockRecord(back), bytes);
  ASSERT_EQ(back.holders[0].intent->history.size(), 2u);
  EXPECT_EQ(back.holders[0].intent->history[0].value, "two");
  EXPECT_FALSE(back.holders[0].intent->history[1].value.has_value());
  for (size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_FALSE(DecodeLockRecord(bytes.substr(0, cut), &back).ok()) << cut;
  record.holders.push_back(record.holders[0]);
  EXPECT_EQ(PeekOnlyHolder(EncodeLockRecord(record)), "");
}

}  // namespace
}  // namespace insula::kv::mvcc
