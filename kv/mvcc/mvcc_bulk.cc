// Whole spans at once: rows into keys that are expected to be free, and clearing.
#include <utility>

#include "kv/mvcc/mvcc.h"
#include "kv/mvcc/mvcc_internal.h"

namespace insula::kv::mvcc {

using internal::ColumnFamily;
using internal::KeyBuffer;
using internal::LiveBytes;
using internal::VersionBytes;
using storage::DataKeyBound;
using storage::UserKey;
using storage::VersionTimestamp;

namespace {

// Fewer versions than this go one by one: a range deletion costs later reads a little, for as long as it has not been compacted away.
constexpr size_t kFewVersions = 256;

Outcome NoLocks(storage::Reader& reader, std::string_view start, std::string_view end) {
  std::vector<FoundLock> locks;
  if (Outcome o = FindLocks(reader, start, end, kMaxFoundLocks, &locks); !o.ok()) return o;
  return locks.empty() ? Outcome::Ok() : Outcome::Locked(std::move(locks));
}

// What one key's versions are in the statistics.
class Cleared {
 public:
  // Versions newest first. False: damaged.
  bool Add(std::string_view key, std::string_view encoded) {
    ValueView value;
    if (!ParseValue(encoded, &value)) return false;
    stats_.versions += 1;
    stats_.total_bytes += VersionBytes(key, encoded.size());
    if (key == last_key_ && !first_) return true;
    first_ = false;
    last_key_.assign(key);
    if (value.deletion) return true;
    stats_.live_keys += 1;
    stats_.live_bytes += LiveBytes(key, value.value.size());
    return true;
  }
  const Stats& stats() const { return stats_; }
  const std::string& last_key() const { return last_key_; }

 private:
  Stats stats_;
  std::string last_key_;
  bool first_ = true;
};

}  // namespace

Outcome InsertRows(storage::ReadWriter& rw, std::string_view start, std::string_view end, std::string_view rows, const WriteParams& params) {
  if (params.txn != nullptr || params.ts.empty()) return Outcome::Error(absl::InvalidArgumentError("rows are inserted outside transactions, at a timestamp"));
  if (Outcome o = NoLocks(rw, start, end); !o.ok()) return o;
  // What is there, while the rows pass by: in the common case nothing, and one seek finds that out.
  auto it = rw.NewIterator({.cf = ColumnFamily::kData, .lower = DataKeyBound(start), .upper = DataKeyBound(end)});
  it->SeekToFirst();
  const Timestamp local = !params.local_now.empty() && params.local_now < params.ts ? params.local_now : Timestamp{};
  Stats d;
  std::string encoded;
  KeyBuffer buffer;
  RowsCursor cursor(rows);
  std::string_view key, value;
  while (cursor.Next(&key, &value)) {
    if (it->Valid() && UserKey(it->key()) < key) it->Seek(buffer.Set(key, Timestamp::Max()));
    if (it->Valid() && UserKey(it->key()) == key) {
      ValueView present;
      if (!ParseValue(it->value(), &present)) return internal::DamagedVersion(key);
      if (!present.deletion) return Outcome::ConditionFailed(key, std::string(present.value));
      Timestamp newest = VersionTimestamp(it->key());
      if (newest >= params.ts) return Outcome::At(Outcome::Kind::kWriteTooOld, key, newest);
    }
    EncodeValue(value, local, &encoded);
    rw.Put(ColumnFamily::kData, buffer.Set(key, params.ts), encoded);
    d += Stats{.live_keys = 1, .live_bytes = LiveBytes(key, value.size()), .versions = 1, .total_bytes = VersionBytes(key, encoded.size())};
  }
  if (!cursor.ok()) return Outcome::Error(absl::InvalidArgumentError("rows to insert do not parse"));
  if (absl::Status s = it->status(); !s.ok()) return Outcome::Error(s);
  if (params.stats != nullptr) *params.stats += d;
  return Outcome::Ok();
}

Outcome ClearSpan(storage::ReadWriter& rw, std::string_view start, std::string_view end, uint64_t max_versions, Stats* stats, ClearResult* out) {
  Cleared cleared;
  std::vector<std::string> few;
  out->resume.reset();
  {
    auto it = rw.NewIterator({.cf = ColumnFamily::kData, .lower = DataKeyBound(start), .upper = DataKeyBound(end)});
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      std::string_view key = UserKey(it->key());
      if (static_cast<uint64_t>(cleared.stats().versions) >= max_versions && key != cleared.last_key()) {
        out->resume = std::string(key);  // whole keys only
        break;
      }
      if (!cleared.Add(key, it->value())) return internal::DamagedVersion(key);
      if (few.size() <= kFewVersions) few.emplace_back(it->key());
    }
    if (absl::Status s = it->status(); !s.ok()) return Outcome::Error(s);
  }
  const std::string_view to = out->resume ? std::string_view(*out->resume) : end;
  if (Outcome o = NoLocks(rw, start, to); !o.ok()) return o;
  out->versions = static_cast<uint64_t>(cleared.stats().versions);
  if (few.size() <= kFewVersions) {
    for (const std::string& version : few) rw.Delete(ColumnFamily::kData, version);
  } else {
    rw.ClearSpan(ColumnFamily::kData, DataKeyBound(start), DataKeyBound(to));
  }
  if (stats != nullptr) *stats -= cleared.stats();
  return Outcome::Ok();
}

}  // namespace insula::kv::mvcc
