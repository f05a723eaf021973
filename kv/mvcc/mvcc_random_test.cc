// Random histories against a reference that keeps, per key, a list of versions and at most one provisional history.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/runtime/random.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/mvcc/mvcc.h"
#include "kv/storage/model_engine.h"

namespace insula::kv::mvcc {
namespace {

using storage::ReadWriter;
using Kind = Outcome::Kind;
using Value = std::optional<std::string>;

struct RefIntent {
  std::string txn;
  uint64_t ts = 0;
  std::vector<std::pair<uint32_t, Value>> writes;  // by rising sequence
};
struct RefKey {
  std::map<uint64_t, Value> committed;
  std::optional<RefIntent> intent;
};

struct RefTxn {
  v1::Transaction proto;
  uint32_t next_sequence = 1;
};

bool Visible(const v1::Transaction& txn, uint32_t sequence) {
  for (const auto& r : txn.ignored()) {
    if (sequence >= r.from() && sequence <= r.to()) return false;
  }
  return sequence <= txn.meta().sequence();
}

class Reference {
 public:
  // "locked" or the value ("-": none).
  std::string Get(const std::string& key, uint64_t ts, const v1::Transaction* txn) const {
    auto it = keys.find(key);
    if (it == keys.end()) return "-";
    const RefKey& k = it->second;
    if (k.intent) {
      if (txn != nullptr && k.intent->txn == txn->meta().id()) {
        for (auto w = k.intent->writes.rbegin(); w != k.intent->writes.rend(); ++w) {
          if (Visible(*txn, w->first)) return w->second.value_or("-");
        }
      } else if (k.intent->ts <= ts) {
        return "locked";
      }
    }
    auto v = k.committed.upper_bound(ts);
    if (v == k.committed.begin()) return "-";
    return std::prev(v)->second.value_or("-");
  }
  std::string Scan(const std::string& start, const std::string& end, bool reverse, uint64_t ts, const v1::Transaction* txn, uint64_t max_rows) const {
    std::vector<std::string> names;
    for (const auto& [name, k] : keys) {
      if (name >= start && name < end) names.push_back(name);
    }
    if (reverse) std::reverse(names.begin(), names.end());
    std::string out;
    uint64_t rows = 0;
    for (const std::string& name : names) {
      std::string v = Get(name, ts, txn);
      if (v == "locked") return "locked";
      if (v == "-") continue;
      StrAppend(&out, name, "=", v, " ");
      if (++rows == max_rows) break;
    }
    return out;
  }
  Kind Write(const std::string& key, Value value, uint64_t ts, RefTxn* txn, uint32_t sequence) {
    RefKey& k = keys[key];
    if (k.intent && (txn == nullptr || k.intent->txn != txn->proto.meta().id())) return Kind::kLocked;
    if (!k.committed.empty() && k.committed.rbegin()->first >= ts) return Kind::kWriteTooOld;
    if (txn == nullptr) {
      k.committed[ts] = value;
      return Kind::kOk;
    }
    if (!k.intent) k.intent = RefIntent{txn->proto.meta().id(), ts, {}};
    k.intent->ts = std::max(k.intent->ts, ts);
    std::erase_if(k.intent->writes, [&](const auto& w) {
      for (const auto& r : txn->proto.ignored()) {
        if (w.first >= r.from() && w.first <= r.to()) return true;
      }
      return false;
    });
    k.intent->writes.emplace_back(sequence, value);
    return Kind::kOk;
  }
  void Resolve(const std::string& key, const v1::Transaction& txn, v1::TxnStatus status, uint64_t ts) {
    auto it = keys.find(key);
    if (it == keys.end() || !it->second.intent || it->second.intent->txn != txn.meta().id()) return;
    RefKey& k = it->second;
    if (status == v1::PENDING) {
      k.intent->ts = std::max(k.intent->ts, ts);
      return;
    }
    if (status == v1::COMMITTED) {
      for (auto w = k.intent->writes.rbegin(); w != k.intent->writes.rend(); ++w) {
        bool ignored = false;
        for (const auto& r : txn.ignored()) ignored |= w->first >= r.from() && w->first <= r.to();
        if (ignored) continue;
        k.committed[ts] = w->second;
        break;
      }
    }
    k.intent.reset();
  }
  std::map<std::string, RefKey> keys;
};

class History {
 public:
  explicit History(uint64_t seed) : random_(seed), engine_(*storage::OpenModelEngine(&random_, &disk_)) {}

  void Step(int step) {
    now_ += random_.Uniform(3);
    switch (random_.Uniform(10)) {
      case 0:
      case 1:
      case 2: DoWrite(); break;
      case 3: DoResolve(); break;
      case 4: DoRollback(); break;
      case 5: DoBegin(); break;
      case 6: DoCollect(); break;
      default: break;
    }
    Check(step);
  }

 private:
  std::string Key() { return std::string(1 + random_.Uniform(2), "abc"[random_.Uniform(3)]); }
  RefTxn* SomeTxn() { return txns_.empty() || random_.Chance(0.3) ? nullptr : &txns_[random_.Uniform(txns_.size())]; }

  void DoBegin() {
    if (txns_.size() >= 3) return;
    RefTxn t;
    t.proto.mutable_meta()->set_id(StrCat("txn", next_id_++));
    t.proto.mutable_meta()->set_write_ts(++now_);
    txns_.push_back(std::move(t));
  }

  template <typename F>
  Kind Do(F write) {
    Stats d;
    storage::WriteBatch batch;
    {
      ReadWriter rw(engine_->NewReader());
      Outcome o = write(rw, &d);
      if (!o.ok()) return o.kind();
      batch = rw.ToBatch();
    }
    stats_ += d;
    EXPECT_TRUE(engine_->Write(batch).ok());
    return Kind::kOk;
  }

  void DoWrite() {
    RefTxn* txn = SomeTxn();
    std::string key = Key();
    Value value = random_.Chance(0.3) ? Value() : Value(StrCat("v", random_.Uniform(100)));
    if (txn != nullptr && random_.Chance(0.2)) txn->proto.mutable_meta()->set_write_ts(std::max(txn->proto.meta().write_ts(), now_));
    // Nobody writes below the threshold.
    if (txn != nullptr) txn->proto.mutable_meta()->set_write_ts(std::max(txn->proto.meta().write_ts(), threshold_));
    uint64_t ts = txn != nullptr ? txn->proto.meta().write_ts() : std::max(threshold_, now_ + 1 - random_.Uniform(3));
    uint32_t sequence = txn != nullptr ? txn->next_sequence : 0;
    if (txn != nullptr) {
      txn->next_sequence += 1 + static_cast<uint32_t>(random_.Uniform(2));
      txn->proto.mutable_meta()->set_sequence(txn->next_sequence - 1);
    }
    Kind got = Do([&](ReadWriter& rw, Stats* stats) {
      WriteParams p{.ts = Timestamp{ts}, .txn = txn ? &txn->proto : nullptr, .sequence = sequence, .stats = stats};
      return value ? Put(rw, key, *value, p) : Delete(rw, key, p, nullptr);
    });
    EXPECT_EQ(got, reference_.Write(key, value, ts, txn, sequence)) << key << " at " << ts;
  }

  // Undoes a suffix of the transaction's writes, as a savepoint does.
  void DoRollback() {
    RefTxn* txn = SomeTxn();
    if (txn == nullptr || txn->next_sequence < 2) return;
    auto* range = txn->proto.add_ignored();
    range->set_from(1 + static_cast<uint32_t>(random_.Uniform(txn->next_sequence - 1)));
    range->set_to(txn->next_sequence - 1);
  }

  void DoResolve() {
    if (txns_.empty()) return;
    size_t i = random_.Uniform(txns_.size());
    RefTxn& txn = txns_[i];
    v1::TxnStatus status = random_.Chance(0.2) ? v1::PENDING : random_.Chance(0.7) ? v1::COMMITTED : v1::ABORTED;
    uint64_t ts = txn.proto.meta().write_ts();
    for (auto& [name, k] : reference_.keys) {
      if (k.intent && k.intent->txn == txn.proto.meta().id()) ts = std::max(ts, k.intent->ts);
    }
    if (random_.Chance(0.3)) ts = std::max(ts, now_ + 1);
    ResolveParams p{.txn = txn.proto.meta(), .status = status};
    p.txn.set_write_ts(ts);
    for (const auto& r : txn.proto.ignored()) p.ignored.emplace_back(r.from(), r.to());
    Kind got = Do([&](ReadWriter& rw, Stats* stats) {
      p.stats = stats;
      uint64_t changed;
      std::optional<std::string> resume;
      return ResolveSpan(rw, "a", "z", p, 0, &changed, &resume);
    });
    EXPECT_EQ(got, Kind::kOk);
    std::vector<std::string> names;
    for (const auto& [name, k] : reference_.keys) names.push_back(name);
    for (const std::string& name : names) reference_.Resolve(name, txn.proto, status, ts);
    if (status == v1::PENDING) {
      txn.proto.mutable_meta()->set_write_ts(ts);
    } else {
      txns_.erase(txns_.begin() + i);
    }
  }

  // One step of a walk for garbage; the reference keeps all versions, so that whoever reads at or above the threshold must not notice.
  void DoCollect() {
    if (!walk_) {
      walk_ = GarbagePosition{"a"};
      threshold_ = std::max(threshold_, now_ - std::min<uint64_t>(now_, random_.Uniform(12)));
    }
    GarbageResult result;
    Kind got = Do([&](ReadWriter& rw, Stats* stats) { return CollectGarbage(rw, *walk_, "z", Timestamp{threshold_}, 1 + random_.Uniform(4), stats, &result); });
    EXPECT_EQ(got, Kind::kOk);
    walk_ = result.resume;
  }

  void Check(int step) {
    auto reader = engine_->NewReader();
    for (int i = 0; i < 3; ++i) {
      RefTxn* reader_txn = SomeTxn();
      const v1::Transaction* txn = reader_txn ? &reader_txn->proto : nullptr;
      uint64_t ts = std::max(threshold_, now_ + 2 - std::min<uint64_t>(now_, random_.Uniform(12)));
      ReadParams p{.ts = Timestamp{ts}, .txn = txn};
      std::string key = Key();
      GetResult got;
      Outcome o = Get(*reader, key, p, &got);
      EXPECT_EQ(o.kind() == Kind::kLocked ? "locked" : got.found ? got.value : "-", reference_.Get(key, ts, txn)) << "step " << step << " " << key << "@" << ts;
      std::string start = Key(), end = Key() + "z";
      bool reverse = random_.Chance(0.5);
      uint64_t max_rows = random_.Uniform(4);
      ScanResult rows;
      o = Scan(*reader, start, end, reverse, p, {.max_rows = max_rows}, &rows);
      std::string text;
      RowsCursor cursor(rows.rows);
      std::string_view k, v;
      while (cursor.Next(&k, &v)) StrAppend(&text, k, "=", v, " ");
      EXPECT_EQ(o.kind() == Kind::kLocked ? "locked" : text, reference_.Scan(start, end, reverse, ts, txn, max_rows))
          << "step " << step << " [" << start << ", " << end << ") @" << ts << " reverse " << reverse << " max " << max_rows;
    }
    Stats counted;
    EXPECT_TRUE(ComputeStats(*reader, "", "", &counted).ok());
    std::string a, b;
    AppendStats(&a, stats_);
    AppendStats(&b, counted);
    EXPECT_EQ(a, b) << "statistics, step " << step;
  }

  SeededRandom random_;
  storage::ModelDisk disk_;
  std::unique_ptr<storage::Engine> engine_;
  Reference reference_;
  std::vector<RefTxn> txns_;
  Stats stats_;
  uint64_t now_ = 10;
  uint64_t threshold_ = 1;
  std::optional<GarbagePosition> walk_;  // where it goes on
  int next_id_ = 1;
};

TEST(MvccRandom, AgreesWithTheReference) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    History history(seed);
    for (int step = 0; step < 400; ++step) {
      history.Step(step);
      ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace insula::kv::mvcc
