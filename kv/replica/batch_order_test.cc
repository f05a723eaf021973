// What requests of one batch see of each other: each what the earlier ones wrote, and the last write of a key is its version.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/encoding/ordered.h"
#include "base/runtime/random.h"
#include "base/strings.h"
#include "kv/mvcc/mvcc.h"
#include "kv/replica/testing/replica_fixture.h"
#include "kv/storage/data_key.h"

namespace insula::kv {
namespace {

constexpr char kStart[] = "\xfe";

std::string K(std::string_view name) { return StrCat(kStart, name); }
std::string Counter(int64_t v) {
  std::string out;
  AppendFixed64(&out, static_cast<uint64_t>(v));
  return out;
}

class BatchOrderTest : public ReplicaFixture {
 protected:
  v1::BatchRequest InTxn(std::string name, v1::Isolation isolation) {
    v1::BatchRequest batch = Batch();
    v1::TxnMeta* meta = batch.mutable_header()->mutable_txn()->mutable_meta();
    name.resize(16, '.');
    meta->set_id(name);
    meta->set_anchor_key(K("a"));
    meta->set_isolation(isolation);
    meta->set_sequence(1000);
    batch.mutable_header()->set_can_forward_read_ts(true);
    return batch;
  }
  static void AddPut(v1::BatchRequest& batch, std::string key, std::string value) {
    auto* put = batch.add_requests()->mutable_put();
    put->set_key(std::move(key));
    put->set_value(std::move(value));
    put->set_sequence(static_cast<uint32_t>(batch.requests_size()));
  }
  static void AddGet(v1::BatchRequest& batch, std::string key) { batch.add_requests()->mutable_get()->set_key(std::move(key)); }
  static void AddEnd(v1::BatchRequest& batch, bool one_phase) {
    auto* end = batch.add_requests()->mutable_end_txn();
    end->set_commit(true);
    end->set_one_phase(one_phase);
    auto* span = end->add_lock_spans();
    span->set_key(kStart);
    span->set_end_key(kEnd);
  }
  // Versions of each key. Fails the test if two of one key have the same timestamp, or the statistics do not fit.
  std::map<std::string, int> CountVersions() {
    std::map<std::string, int> out;
    auto reader = engine_->NewReader();
    auto it = reader->NewIterator({.cf = storage::ColumnFamily::kData, .lower = "", .upper = ""});
    for (it->SeekToFirst(); it->Valid(); it->Next()) ++out[std::string(storage::UserKey(it->key()))];
    mvcc::Stats counted;
    EXPECT_TRUE(mvcc::ComputeStats(*reader, kStart, kEnd, &counted).ok());
    std::string want, have;
    mvcc::AppendStats(&want, counted);
    mvcc::AppendStats(&have, group_->stats());
    EXPECT_EQ(want, have) << "statistics";
    return out;
  }
};

TEST_F(BatchOrderTest, TheLastWriteOfAKeyWinsAndLeavesOneVersion) {
  for (int txn = 0; txn < 2; ++txn) {
    auto batch = txn != 0 ? InTxn("t", v1::SERIALIZABLE) : Batch();
    AddPut(batch, K("a"), "first");
    AddPut(batch, K("b"), "other");
    AddPut(batch, K("a"), "a longer second");
    AddGet(batch, K("a"));
    if (txn != 0) AddEnd(batch, /*one_phase=*/true);
    auto response = Run(batch);
    ASSERT_FALSE(response.has_error()) << response.error().ShortDebugString();
    EXPECT_EQ(response.responses(3).get().value(), "a longer second");
    EXPECT_EQ(CountVersions()[K("a")], 1 + txn);
  }
}

TEST_F(BatchOrderTest, ConditionsAndCountersSeeEarlierWritesOfTheirBatch) {
  auto batch = Batch();
  AddPut(batch, K("n"), Counter(5));
  for (int by : {2, 3}) {
    auto* increment = batch.add_requests()->mutable_increment();
    increment->set_key(K("n"));
    increment->set_by(by);
  }
  batch.add_requests()->mutable_delete_()->set_key(K("n"));
  auto* expects_none = batch.add_requests()->mutable_conditional_put();
  expects_none->set_key(K("n"));
  expects_none->set_value("x");
  AddGet(batch, K("n"));
  auto response = Run(batch);
  ASSERT_FALSE(response.has_error()) << response.error().ShortDebugString();
  EXPECT_EQ(response.responses(1).increment().value(), 7);
  EXPECT_EQ(response.responses(2).increment().value(), 10);
  EXPECT_TRUE(response.responses(3).delete_().existed());
  EXPECT_EQ(response.responses(5).get().value(), "x");
  EXPECT_EQ(CountVersions()[K("n")], 1);

  auto fails = Batch();
  AddPut(fails, K("n"), "y");
  auto* expects_x = fails.add_requests()->mutable_conditional_put();
  expects_x->set_key(K("n"));
  expects_x->set_expected("x");
  expects_x->set_value("z");
  response = Run(fails);
  ASSERT_TRUE(response.error().has_condition_failed()) << response.ShortDebugString();
  EXPECT_EQ(response.error().condition_failed().actual(), "y");
  EXPECT_EQ(CountVersions()[K("n")], 1) << "a batch that fails leaves nothing";
}

// Reads of the batch are at its timestamp, its writes above what others have read: its own are seen all the same.
TEST_F(BatchOrderTest, OwnWritesThatWereMovedAboveTheReadsAreSeen) {
  auto ahead = Batch();
  ahead.mutable_header()->set_timestamp(clock_.Now().AddMicros(200'000).bits);
  AddGet(ahead, K("a"));
  ASSERT_FALSE(Run(ahead).has_error());
  auto fixed = Batch();
  fixed.mutable_header()->set_timestamp(clock_.Now().bits);
  AddPut(fixed, K("a"), "1");
  AddGet(fixed, K("a"));
  AddPut(fixed, K("a"), "2");
  auto* scan = fixed.add_requests()->mutable_scan();
  scan->set_key(K("a"));
  scan->set_end_key(K("b"));
  scan->set_reverse(true);
  auto response = Run(fixed);
  ASSERT_FALSE(response.has_error()) << response.error().ShortDebugString();
  EXPECT_EQ(response.responses(1).get().value(), "1");
  EXPECT_GT(response.responses(1).get().timestamp(), fixed.header().timestamp());
  EXPECT_EQ(response.responses(3).scan().row_count(), 1u);
  EXPECT_EQ(CountVersions()[K("a")], 1);
}

TEST_F(BatchOrderTest, ALockTakenAfterTheWriteOfItsKeyIsNoLostLock) {
  auto batch = InTxn("t", v1::SNAPSHOT);
  AddPut(batch, K("a"), "1");
  auto* lock = batch.add_requests()->mutable_lock();
  lock->set_key(K("a"));
  lock->set_strength(v1::LOCK_EXCLUSIVE);
  lock->set_replicated(true);
  AddPut(batch, K("a"), "2");
  AddEnd(batch, /*one_phase=*/true);
  auto response = Run(batch);
  ASSERT_FALSE(response.has_error()) << response.error().ShortDebugString();
  EXPECT_EQ(CountVersions()[K("a")], 1);
  EXPECT_EQ(group_->stats().locks, 0);
}

// -- Against a model --

using Model = std::map<std::string, std::string>;

class Random {
 public:
  Random(uint64_t seed, Model* model) : random_(seed), model_(model) {}

  // Adds a request to `batch` and what it is to be answered; false: the batch fails with it, whatever else it holds.
  bool Add(v1::BatchRequest& batch) {
    const std::string key = K(std::string(1, "abc"[random_.Uniform(3)]));
    const uint32_t sequence = static_cast<uint32_t>(batch.requests_size()) + 1;
    v1::Request& request = *batch.add_requests();
    answers_.emplace_back();
    switch (random_.Uniform(8)) {
      case 0:
      case 1: return Put(*request.mutable_put(), key, sequence);
      case 2: return Delete(*request.mutable_delete_(), key, sequence);
      case 3: return ConditionalPut(*request.mutable_conditional_put(), key, sequence);
      case 4: return Increment(*request.mutable_increment(), key, sequence);
      case 5: return DeleteRange(*request.mutable_delete_range(), key, sequence);
      case 6: return Scan(*request.mutable_scan(), key);
      default: return Get(*request.mutable_get(), key);
    }
  }
  const std::vector<std::string>& answers() const { return answers_; }
  SeededRandom& random() { return random_; }

 private:
  std::string Value() { return random_.Chance(0.6) ? Counter(static_cast<int64_t>(random_.Uniform(50))) : StrCat("v", random_.Uniform(1000)); }
  std::string Present(const std::string& key) const {
    auto it = model_->find(key);
    return it == model_->end() ? "-" : it->second;
  }
  bool Put(v1::PutRequest& put, const std::string& key, uint32_t sequence) {
    put.set_key(key);
    put.set_value((*model_)[key] = Value());
    put.set_sequence(sequence);
    return true;
  }
  bool Delete(v1::DeleteRequest& request, const std::string& key, uint32_t sequence) {
    request.set_key(key);
    request.set_sequence(sequence);
    answers_.back() = model_->erase(key) != 0 ? "there" : "not there";
    return true;
  }
  bool ConditionalPut(v1::ConditionalPutRequest& put, const std::string& key, uint32_t sequence) {
    put.set_key(key);
    put.set_sequence(sequence);
    const bool holds = random_.Chance(0.9);
    if (holds == model_->contains(key)) put.set_expected(holds ? (*model_)[key] : "something else");
    if (random_.Chance(0.8)) {
      put.set_value((*model_)[key] = Value());
    } else {
      model_->erase(key);
    }
    return holds;
  }
  bool Increment(v1::IncrementRequest& increment, const std::string& key, uint32_t sequence) {
    increment.set_key(key);
    increment.set_sequence(sequence);
    increment.set_by(static_cast<int64_t>(random_.Uniform(9)));
    if (!model_->contains(key)) (*model_)[key] = Counter(0);
    std::string& present = (*model_)[key];
    if (present.size() != 8) return false;
    const int64_t sum = static_cast<int64_t>(ReadFixed64(present.data())) + increment.by();
    present = Counter(sum);
    answers_.back() = StrCat(sum);
    return true;
  }
  bool DeleteRange(v1::DeleteRangeRequest& request, const std::string& key, uint32_t sequence) {
    request.set_key(key);
    request.set_end_key(K("c"));
    request.set_sequence(sequence);
    if (request.key() >= request.end_key()) request.set_end_key(K("d"));
    auto from = model_->lower_bound(request.key()), to = model_->lower_bound(request.end_key());
    answers_.back() = StrCat(std::distance(from, to));
    model_->erase(from, to);
    return true;
  }
  bool Scan(v1::ScanRequest& scan, const std::string& key) {
    scan.set_key(key);
    scan.set_end_key(K("d"));
    scan.set_reverse(random_.Chance(0.5));
    std::vector<std::string> rows;
    for (auto it = model_->lower_bound(key); it != model_->end(); ++it) rows.push_back(StrCat(it->first, "=", it->second, " "));
    if (scan.reverse()) std::reverse(rows.begin(), rows.end());
    for (const std::string& row : rows) answers_.back() += row;
    return true;
  }
  bool Get(v1::GetRequest& get, const std::string& key) {
    get.set_key(key);
    answers_.back() = Present(key);
    return true;
  }

  SeededRandom random_;
  Model* model_;
  std::vector<std::string> answers_;
};

std::string AnswerOf(const v1::Response& response) {
  switch (response.value_case()) {
    case v1::Response::kGet: return response.get().has_value() ? response.get().value() : "-";
    case v1::Response::kDelete: return response.delete_().existed() ? "there" : "not there";
    case v1::Response::kIncrement: return StrCat(response.increment().value());
    case v1::Response::kDeleteRange: return StrCat(response.delete_range().deleted());
    case v1::Response::kScan: {
      std::string out;
      mvcc::RowsCursor cursor(response.scan().rows());
      std::string_view key, value;
      while (cursor.Next(&key, &value)) StrAppend(&out, key, "=", value, " ");
      return out;
    }
    default: return "";
  }
}

TEST_F(BatchOrderTest, BatchesOfAnyRequestsOnFewKeysAgreeWithAModel) {
  Model model;
  int failed = 0;
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    Model after = model;
    Random random(seed, &after);
    if (random.random().Chance(0.2)) {  // somebody reads ahead: writes are moved above that
      auto ahead = Batch();
      ahead.mutable_header()->set_timestamp(clock_.Now().AddMicros(static_cast<int64_t>(random.random().Uniform(200'000))).bits);
      AddGet(ahead, K("a"));
      ASSERT_FALSE(Run(ahead).has_error());
    }
    const uint64_t way = random.random().Uniform(3);  // no transaction, one phase, intents
    const v1::Isolation isolations[] = {v1::SERIALIZABLE, v1::SNAPSHOT, v1::READ_COMMITTED};
    auto batch = way == 0 ? Batch() : InTxn(StrCat("t", seed), isolations[random.random().Uniform(3)]);
    bool good = true;
    for (uint64_t i = 0, n = 1 + random.random().Uniform(9); i < n && good; ++i) good = random.Add(batch);
    if (way == 1) AddEnd(batch, /*one_phase=*/true);
    auto before = CountVersions();
    auto response = Run(batch);
    ASSERT_EQ(!response.has_error(), good) << "seed " << seed << ": " << batch.ShortDebugString() << "\n" << response.ShortDebugString();
    if (good) {
      for (size_t i = 0; i < random.answers().size(); ++i) {
        ASSERT_EQ(AnswerOf(response.responses(static_cast<int>(i))), random.answers()[i]) << "seed " << seed << " request " << i << ": " << batch.ShortDebugString();
      }
      model = after;
    } else {
      ++failed;
    }
    if (way == 2) {
      auto end = InTxn(StrCat("t", seed), batch.header().txn().meta().isolation());
      if (good) *end.mutable_header()->mutable_txn()->mutable_meta() = batch.header().txn().meta();
      end.mutable_header()->mutable_txn()->mutable_meta()->set_write_ts(response.txn().meta().write_ts());
      end.mutable_header()->mutable_txn()->mutable_meta()->set_min_ts(response.txn().meta().min_ts());
      end.mutable_header()->mutable_txn()->set_read_ts(response.txn().read_ts());
      AddEnd(end, /*one_phase=*/false);
      end.mutable_requests(0)->mutable_end_txn()->set_commit(good);
      auto ended = Run(end);
      ASSERT_FALSE(ended.has_error()) << "seed " << seed << ": " << ended.ShortDebugString();
    }
    auto now = CountVersions();
    for (const auto& [key, count] : now) ASSERT_LE(count, before[key] + (good ? 1 : 0)) << "seed " << seed;
    auto scan = Batch();
    scan.add_requests()->mutable_scan()->set_key(kStart);
    scan.mutable_requests(0)->mutable_scan()->set_end_key(kEnd);
    std::string all;
    for (const auto& [key, value] : model) StrAppend(&all, key, "=", value, " ");
    ASSERT_EQ(AnswerOf(Run(scan).responses(0)), all) << "seed " << seed;
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
  EXPECT_GT(failed, 100);
}

}  // namespace
}  // namespace insula::kv
