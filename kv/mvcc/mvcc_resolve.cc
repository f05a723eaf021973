#include <algorithm>
#include <utility>

#include "base/check.h"
#include "kv/mvcc/mvcc.h"
#include "kv/mvcc/mvcc_internal.h"

namespace insula::kv::mvcc {
namespace {

using internal::ColumnFamily;
using internal::KeyBuffer;
using internal::LiveBytes;
using internal::VersionBytes;
using internal::Versions;

bool Ignored(const ResolveParams& params, uint32_t sequence) {
  for (const auto& [from, to] : params.ignored) {
    if (sequence >= from && sequence <= to) return true;
  }
  return false;
}

// What a commit leaves of an intent: the newest write that was not rolled back. Nothing: all were.
struct Final {
  bool any = false;
  bool live = false;
  std::string value;
};
Final FinalValue(const Intent& intent, const Versions& versions, const ResolveParams& params) {
  if (!Ignored(params, intent.sequence)) return {true, versions.provisional_live, versions.provisional_value};
  for (auto it = intent.history.rbegin(); it != intent.history.rend(); ++it) {
    if (!Ignored(params, it->sequence)) return {true, it->value.has_value(), it->value.value_or("")};
  }
  return {};
}

void AddLive(std::string_view key, bool live, size_t size, int64_t sign, Stats* stats) {
  if (!live) return;
  stats->live_keys += sign;
  stats->live_bytes += sign * LiveBytes(key, size);
}

// Takes the provisional version away; the newest committed one is the newest again.
void RemoveProvisional(storage::ReadWriter& rw, std::string_view key, const Versions& versions, Stats* stats) {
  KeyBuffer buffer;
  rw.Delete(ColumnFamily::kData, buffer.Set(key, versions.provisional_ts));
  stats->versions -= 1;
  stats->total_bytes -= VersionBytes(key, versions.provisional_bytes);
  AddLive(key, versions.provisional_live, versions.provisional_value.size(), -1, stats);
  AddLive(key, versions.committed_live, versions.committed_value.size(), +1, stats);
}

// Puts the version at `ts` in the place of the provisional one. When it moves up, it keeps the clock reading that it was written
// under, and readers that observed a later clock know that it may be from before their start.
void ReplaceProvisional(storage::ReadWriter& rw, std::string_view key, const Versions& versions, Timestamp ts, bool live, std::string_view value, Stats* stats) {
  KeyBuffer buffer;
  Timestamp local = versions.provisional_local;
  if (ts != versions.provisional_ts) {
    if (local.empty() && ts > versions.provisional_ts) local = versions.provisional_ts;
    rw.Delete(ColumnFamily::kData, buffer.Set(key, versions.provisional_ts));
  }
  std::string encoded;
  EncodeValue(live ? std::optional<std::string_view>(value) : std::nullopt, local, &encoded);
  rw.Put(ColumnFamily::kData, buffer.Set(key, ts), encoded);
  stats->total_bytes += VersionBytes(key, encoded.size()) - VersionBytes(key, versions.provisional_bytes);
  AddLive(key, versions.provisional_live, versions.provisional_value.size(), -1, stats);
  AddLive(key, live, value.size(), +1, stats);
}

Outcome ResolveIntent(storage::ReadWriter& rw, std::string_view key, const LockHolder& own, const ResolveParams& params, Stats* stats) {
  // An intent of another epoch than the one that committed was never part of it, nor was one above the commit: that is a late copy of a
  // write, made when the transaction was over.
  const bool committed = params.status == v1::COMMITTED && own.txn.epoch() == params.txn.epoch() && own.intent->ts.bits <= params.txn.write_ts();
  stats->intents -= 1;
  // It stands as it is, as most do: no look at versions, only the lock goes.
  if (committed && Timestamp{params.txn.write_ts()} == own.intent->ts && !Ignored(params, own.intent->sequence)) return Outcome::Ok();
  Versions versions;
  if (Outcome o = internal::LoadVersions(rw, key, own.intent->ts, &versions); !o.ok()) return o;
  Final final = committed ? FinalValue(*own.intent, versions, params) : Final{};
  if (!final.any) {
    RemoveProvisional(rw, key, versions, stats);
    return Outcome::Ok();
  }
  ReplaceProvisional(rw, key, versions, Timestamp{params.txn.write_ts()}, final.live, final.value, stats);
  return Outcome::Ok();
}

Outcome PushIntent(storage::ReadWriter& rw, std::string_view key, LockRecord* record, LockHolder* own, const ResolveParams& params, Stats* stats, bool* changed) {
  Timestamp to{params.txn.write_ts()};
  if (!own->intent.has_value() || own->intent->ts >= to) return Outcome::Ok();
  Versions versions;
  if (Outcome o = internal::LoadVersions(rw, key, own->intent->ts, &versions); !o.ok()) return o;
  if (!params.pending_since.empty()) {
    Timestamp local = versions.provisional_local.empty() ? versions.provisional_ts : versions.provisional_local;
    versions.provisional_local = std::max(local, std::min(params.pending_since, to));
  }
  ReplaceProvisional(rw, key, versions, to, versions.provisional_live, versions.provisional_value, stats);
  own->intent->ts = to;
  own->txn.set_write_ts(to.bits);
  internal::StoreLock(rw, key, *record);
  *changed = true;
  return Outcome::Ok();
}

}  // namespace

Outcome ResolveKey(storage::ReadWriter& rw, std::string_view key, const ResolveParams& params, bool* changed) {
  bool ignored_changed;
  if (changed == nullptr) changed = &ignored_changed;
  *changed = false;
  LockRecord record;
  bool locked;
  if (Outcome o = internal::LoadLock(rw, key, &record, &locked); !o.ok() || !locked) return o;
  LockHolder* own = record.Find(params.txn.id());
  if (own == nullptr) return Outcome::Ok();
  Stats d;
  if (params.status == v1::PENDING || params.status == v1::STAGING) {
    if (Outcome o = PushIntent(rw, key, &record, own, params, &d, changed); !o.ok()) return o;
  } else {
    if (own->intent.has_value()) {
      if (Outcome o = ResolveIntent(rw, key, *own, params, &d); !o.ok()) return o;
    }
    std::erase_if(record.holders, [&](const LockHolder& h) { return &h == own; });
    internal::StoreLock(rw, key, record);
    if (record.holders.empty()) d.locks -= 1;
    *changed = true;
  }
  if (params.stats != nullptr) *params.stats += d;
  return Outcome::Ok();
}

Outcome ResolveSpan(storage::ReadWriter& rw, std::string_view start, std::string_view end, const ResolveParams& params, uint64_t max_keys, uint64_t* changed,
                    std::optional<std::string>* resume) {
  *changed = 0;
  resume->reset();
  std::vector<std::string> keys;
  {
    auto it = rw.NewIterator({.cf = ColumnFamily::kLock, .lower = std::string(start), .upper = std::string(end)});
    LockRecord record;
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      std::string_view only = PeekOnlyHolder(it->value());
      if (only.empty()) {
        if (absl::Status s = DecodeLockRecord(it->value(), &record); !s.ok()) return Outcome::Error(s);
        if (record.Find(params.txn.id()) == nullptr) continue;
      } else if (only != params.txn.id()) {
        continue;
      }
      if (max_keys != 0 && keys.size() == max_keys) {
        *resume = std::string(it->key());
        break;
      }
      keys.emplace_back(it->key());
    }
    if (absl::Status s = it->status(); !s.ok()) return Outcome::Error(s);
  }
  for (const std::string& key : keys) {
    bool one;
    if (Outcome o = ResolveKey(rw, key, params, &one); !o.ok()) return o;
    *changed += one ? 1 : 0;
  }
  return Outcome::Ok();
}

}  // namespace insula::kv::mvcc
