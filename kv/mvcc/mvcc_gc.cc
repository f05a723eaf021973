#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kv/mvcc/mvcc.h"
#include "kv/mvcc/mvcc_internal.h"

namespace insula::kv::mvcc {

using internal::ColumnFamily;
using internal::KeyBuffer;
using internal::LiveBytes;
using internal::VersionBytes;
using storage::UserKey;
using storage::VersionTimestamp;

namespace {

constexpr int kStepsBeforeSeek = 8;

// A walk over `data` and `lock` side by side. Each version is looked at once, whatever the number of versions of its key.
class Collector {
 public:
  Collector(storage::ReadWriter& rw, const GarbagePosition& from, std::string_view end, Timestamp threshold, uint64_t max_versions)
      : rw_(rw), from_(from), threshold_(threshold), max_versions_(max_versions) {
    std::string lower = from.below.empty() ? storage::DataKeyBound(from.key) : storage::DataKey(from.key, from.below.Prev());
    versions_ = rw.NewIterator({.cf = ColumnFamily::kData, .lower = std::move(lower), .upper = end.empty() ? "" : storage::DataKeyBound(end)});
    locks_ = rw.NewIterator({.cf = ColumnFamily::kLock, .lower = from.key, .upper = std::string(end)});
  }

  Outcome Run(Stats* stats, GarbageResult* out) {
    locks_->SeekToFirst();
    bool first = true;
    for (versions_->SeekToFirst(); versions_->Valid(); versions_->Next(), ++looked_at_) {
      const std::string_view user_key = UserKey(versions_->key());
      const bool full = garbage_.size() >= max_versions_ || looked_at_ >= 10 * max_versions_;
      if (first || user_key != key_) {
        EndKey();
        if (full) {
          out->resume = {std::string(user_key), {}};
          break;
        }
        if (Outcome o = BeginKey(user_key, first && !from_.below.empty() && user_key == from_.key); !o.ok()) return o;
        first = false;
      } else if (full && covered_) {
        out->resume = {key_, VersionTimestamp(versions_->key()).Next()};
        deletion_.reset();  // what it hides is not all gone
        break;
      }
      if (Outcome o = OneVersion(); !o.ok()) return o;
      if (!versions_->Valid()) break;  // a seek led past the end
    }
    if (!out->resume) EndKey();
    for (auto* it : {versions_.get(), locks_.get()}) {
      if (absl::Status s = it->status(); !s.ok()) return Outcome::Error(s);
    }
    versions_.reset();
    locks_.reset();
    for (const std::string& version : garbage_) rw_.Delete(ColumnFamily::kData, version);
    out->removed = garbage_.size();
    if (stats != nullptr) {
      stats->versions -= static_cast<int64_t>(garbage_.size());
      stats->total_bytes -= bytes_;  // none of them was the live one
    }
    return Outcome::Ok();
  }

 private:
  // `covered`: an earlier walk passed the newest version at or below the threshold.
  Outcome BeginKey(std::string_view user_key, bool covered) {
    key_.assign(user_key);
    covered_ = covered;
    above_ = 0;
    provisional_ = Timestamp{};
    while (locks_->Valid() && locks_->key() < user_key) locks_->Next();
    if (!locks_->Valid() || locks_->key() != user_key) return Outcome::Ok();
    if (absl::Status s = DecodeLockRecord(locks_->value(), &record_); !s.ok()) return Outcome::Error(s);
    if (const LockHolder* holder = record_.intent_holder(); holder != nullptr) provisional_ = holder->intent->ts;
    return Outcome::Ok();
  }

  Outcome OneVersion() {
    Timestamp ts = VersionTimestamp(versions_->key());
    if (ts > threshold_ && ++above_ == kStepsBeforeSeek) {
      KeyBuffer buffer;
      versions_->Seek(buffer.Set(key_, threshold_));
      if (!versions_->Valid()) return Outcome::Ok();
      if (UserKey(versions_->key()) != key_) {
        EndKey();
        if (Outcome o = BeginKey(UserKey(versions_->key()), false); !o.ok()) return o;
      }
      ts = VersionTimestamp(versions_->key());
    }
    if (ts > threshold_ || ts == provisional_) return Outcome::Ok();
    ValueView value;
    if (!ParseValue(versions_->value(), &value)) return internal::DamagedVersion(key_);
    const int64_t size = VersionBytes(key_, versions_->value().size());
    if (covered_) {
      Remove(std::string(versions_->key()), size);
    } else if (value.deletion) {
      deletion_ = {std::string(versions_->key()), size};
    }
    covered_ = true;
    return Outcome::Ok();
  }

  // A deletion goes with the last of what it hides, never before.
  void EndKey() {
    if (deletion_) Remove(std::move(deletion_->first), deletion_->second);
    deletion_.reset();
  }

  void Remove(std::string version, int64_t size) {
    garbage_.push_back(std::move(version));
    bytes_ += size;
  }

  storage::ReadWriter& rw_;
  const GarbagePosition& from_;
  const Timestamp threshold_;
  const uint64_t max_versions_;
  std::unique_ptr<storage::Iterator> versions_, locks_;
  uint64_t looked_at_ = 0;
  std::string key_;
  bool covered_ = false;  // a version at or below the threshold was passed: all older ones are invisible
  int above_ = 0;         // versions of the key above the threshold, so far
  Timestamp provisional_;
  LockRecord record_;
  std::optional<std::pair<std::string, int64_t>> deletion_;  // of the present key, and its bytes
  std::vector<std::string> garbage_;
  int64_t bytes_ = 0;
};

}  // namespace

Outcome CollectGarbage(storage::ReadWriter& rw, const GarbagePosition& from, std::string_view end, Timestamp threshold, uint64_t max_versions, Stats* stats,
                       GarbageResult* out) {
  return Collector(rw, from, end, threshold, max_versions).Run(stats, out);
}

Outcome StatsCounter::AddVersion(std::string_view user_key, std::string_view encoded) {
  ValueView value;
  if (!ParseValue(encoded, &value)) return internal::DamagedVersion(user_key);
  stats_.versions += 1;
  stats_.total_bytes += VersionBytes(user_key, encoded.size());
  if (key_ == user_key) return Outcome::Ok();
  key_.emplace(user_key);
  if (value.deletion) return Outcome::Ok();
  stats_.live_keys += 1;
  stats_.live_bytes += LiveBytes(user_key, value.value.size());
  return Outcome::Ok();
}

Outcome StatsCounter::AddLock(std::string_view encoded) {
  LockRecord record;
  if (absl::Status s = DecodeLockRecord(encoded, &record); !s.ok()) return Outcome::Error(s);
  stats_.locks += 1;
  stats_.intents += record.intent_holder() != nullptr ? 1 : 0;
  return Outcome::Ok();
}

Outcome ComputeStats(storage::Reader& reader, std::string_view start, std::string_view end, Stats* out) {
  *out = Stats{};
  std::string resume;
  return ComputeStatsPart(reader, start, end, std::numeric_limits<int64_t>::max(), out, &resume);
}

Outcome ComputeStatsPart(storage::Reader& reader, std::string_view start, std::string_view end, int64_t max_versions, Stats* out, std::string* resume) {
  resume->clear();
  StatsCounter counter;
  std::string key;
  int64_t versions = 0;
  auto it = reader.NewIterator({.cf = ColumnFamily::kData, .lower = storage::DataKeyBound(start), .upper = end.empty() ? "" : storage::DataKeyBound(end)});
  for (it->SeekToFirst(); it->Valid(); it->Next(), ++versions) {
    const std::string_view user_key = UserKey(it->key());
    if (versions >= max_versions && user_key != key) {
      resume->assign(user_key);
      break;
    }
    if (max_versions != std::numeric_limits<int64_t>::max()) key.assign(user_key);
    if (Outcome o = counter.AddVersion(user_key, it->value()); !o.ok()) return o;
  }
  if (absl::Status s = it->status(); !s.ok()) return Outcome::Error(s);
  auto locks = reader.NewIterator({.cf = ColumnFamily::kLock, .lower = std::string(start), .upper = resume->empty() ? std::string(end) : *resume});
  for (locks->SeekToFirst(); locks->Valid(); locks->Next()) {
    if (Outcome o = counter.AddLock(locks->value()); !o.ok()) return o;
  }
  *out += counter.stats();
  absl::Status s = locks->status();
  return s.ok() ? Outcome::Ok() : Outcome::Error(s);
}

}  // namespace insula::kv::mvcc
