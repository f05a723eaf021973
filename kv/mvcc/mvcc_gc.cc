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

Outcome CollectGarbage(storage::ReadWriter& rw, std::string_view key, Timestamp threshold, Stats* stats, uint64_t* removed) {
  *removed = 0;
  LockRecord record;
  bool locked;
  if (Outcome o = internal::LoadLock(rw, key, &record, &locked); !o.ok()) return o;
  const LockHolder* holder = locked ? record.intent_holder() : nullptr;
  Timestamp provisional = holder != nullptr ? holder->intent->ts : Timestamp{};
  std::vector<std::string> garbage;
  int64_t bytes = 0;
  bool covered = false;  // a version at or below the threshold was passed: all older ones are invisible
  storage::Iterator& it = rw.point_iterator();
  KeyBuffer buffer;
  for (it.Seek(buffer.Set(key, threshold)); it.Valid() && UserKey(it.key()) == key; it.Next()) {
    if (VersionTimestamp(it.key()) == provisional) continue;
    ValueView value;
    if (!ParseValue(it.value(), &value)) return internal::DamagedVersion(key);
    bool keep = !covered && !value.deletion;
    covered = true;
    if (keep) continue;
    garbage.emplace_back(it.key());
    bytes += VersionBytes(key, it.value().size());
  }
  if (absl::Status s = it.status(); !s.ok()) return Outcome::Error(s);
  for (const std::string& version : garbage) rw.Delete(ColumnFamily::kData, version);
  *removed = garbage.size();
  if (stats != nullptr) {
    stats->versions -= static_cast<int64_t>(garbage.size());
    stats->total_bytes -= bytes;  // none of them was the live one
  }
  return Outcome::Ok();
}

Outcome CollectGarbageIn(storage::ReadWriter& rw, std::string_view start, std::string_view end, Timestamp threshold, uint64_t max_versions, Stats* stats,
                         GarbageResult* out) {
  // First the keys that have garbage, then their locks and versions: most have none.
  std::vector<std::string> keys;
  std::string key;
  uint64_t looked_at = 0, garbage = 0;
  bool first = true, covered = false, listed = false;
  auto it = rw.NewIterator({.cf = ColumnFamily::kData, .lower = storage::DataKeyBound(start), .upper = end.empty() ? "" : storage::DataKeyBound(end)});
  for (it->SeekToFirst(); it->Valid(); it->Next(), ++looked_at) {
    std::string_view user_key = UserKey(it->key());
    if (first || user_key != key) {
      if (garbage >= max_versions || looked_at >= 10 * max_versions) {
        out->resume = std::string(user_key);
        break;
      }
      key.assign(user_key);
      first = covered = listed = false;
    }
    if (VersionTimestamp(it->key()) > threshold) continue;
    ValueView value;
    if (!ParseValue(it->value(), &value)) return internal::DamagedVersion(user_key);
    const bool keep = !covered && !value.deletion;
    covered = true;
    if (keep) continue;
    ++garbage;
    if (!listed) keys.push_back(key);
    listed = true;
  }
  if (absl::Status s = it->status(); !s.ok()) return Outcome::Error(s);
  it.reset();
  for (const std::string& k : keys) {
    uint64_t removed = 0;
    if (Outcome o = CollectGarbage(rw, k, threshold, stats, &removed); !o.ok()) return o;
    out->removed += removed;
  }
  return Outcome::Ok();
}

Outcome ComputeStats(storage::Reader& reader, std::string_view start, std::string_view end, Stats* out) {
  *out = Stats{};
  auto it = reader.NewIterator({.cf = ColumnFamily::kData, .lower = storage::DataKeyBound(start), .upper = end.empty() ? "" : storage::DataKeyBound(end)});
  std::string key;
  bool first = true;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    ValueView value;
    std::string_view user_key = UserKey(it->key());
    if (!ParseValue(it->value(), &value)) return internal::DamagedVersion(user_key);
    out->versions += 1;
    out->total_bytes += VersionBytes(user_key, it->value().size());
    if (!first && user_key == key) continue;
    first = false;
    key.assign(user_key);
    if (value.deletion) continue;
    out->live_keys += 1;
    out->live_bytes += LiveBytes(user_key, value.value.size());
  }
  if (absl::Status s = it->status(); !s.ok()) return Outcome::Error(s);
  auto locks = reader.NewIterator({.cf = ColumnFamily::kLock, .lower = std::string(start), .upper = std::string(end)});
  LockRecord record;
  for (locks->SeekToFirst(); locks->Valid(); locks->Next()) {
    if (absl::Status s = DecodeLockRecord(locks->value(), &record); !s.ok()) return Outcome::Error(s);
    out->locks += 1;
    if (record.intent_holder() != nullptr) out->intents += 1;
  }
  absl::Status s = locks->status();
  return s.ok() ? Outcome::Ok() : Outcome::Error(s);
}

}  // namespace insula::kv::mvcc
