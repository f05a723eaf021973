#include "kv/txn/timestamp_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace insula::kv {

void TimestampCache::Reset(Timestamp low_water) {
  young_ = Generation();
  old_ = Generation();
  low_water_ = low_water;
}

void TimestampCache::RaiseLowWater(Timestamp ts) { low_water_ = std::max(low_water_, ts); }

Timestamp TimestampCache::highest() const { return std::max({low_water_, young_.highest, old_.highest}); }

TimestampCache::Owner TimestampCache::OwnerOf(std::string_view txn_id) {
  Owner owner{};
  if (!txn_id.empty()) std::memcpy(owner.data(), txn_id.data(), std::min(txn_id.size(), sizeof(owner)));
  return owner;
}

void TimestampCache::Raise(Entry& entry, Timestamp ts, const Owner& owner) {
  if (ts > entry.ts) {
    entry = {ts, owner};
  } else if (ts == entry.ts && owner != entry.owner) {
    entry.owner = {};
  }
}

void TimestampCache::Note(Timestamp ts) {
  if (young_.size() >= options_.max_entries) {
    auto age = std::chrono::microseconds(ts.micros() > young_.first.micros() ? ts.micros() - young_.first.micros() : 0);
    if (age >= options_.min_age || young_.size() >= 16 * options_.max_entries) {
      RaiseLowWater(old_.highest);
      old_ = std::exchange(young_, Generation());
    }
  }
  if (young_.first.empty()) young_.first = ts;
  young_.highest = std::max(young_.highest, ts);
}

void TimestampCache::AddPoint(std::string_view key, Timestamp ts, std::string_view txn_id) {
  if (ts <= low_water_) return;
  Note(ts);
  auto [it, inserted] = young_.points.try_emplace(key, Entry{ts, OwnerOf(txn_id)});
  if (!inserted) Raise(it->second, ts, OwnerOf(txn_id));
}

void TimestampCache::AddRange(std::string_view key, std::string_view end_key, Timestamp ts, std::string_view txn_id) {
  if (ts <= low_water_) return;
  Note(ts);
  auto& steps = young_.steps;
  auto at = [&steps](std::string_view k) {  // the step that begins at `k`, made from the one that covers it
    auto it = steps.lower_bound(k);
    if (it != steps.end() && it->first == k) return it;
    Entry value;
    if (it != steps.begin()) value = std::prev(it)->second;
    return steps.emplace_hint(it, std::string(k), value);
  };
  if (!end_key.empty()) at(end_key);
  const Owner owner = OwnerOf(txn_id);
  for (auto it = at(key); it != steps.end() && (end_key.empty() || it->first < end_key); ++it) Raise(it->second, ts, owner);
}

Timestamp TimestampCache::MaxIn(const Generation& g, std::string_view key, const Owner& asker) {
  Timestamp max;
  if (auto it = g.points.find(key); it != g.points.end()) max = Seen(it->second, asker);
  if (auto it = g.steps.upper_bound(key); it != g.steps.begin()) max = std::max(max, Seen(std::prev(it)->second, asker));
  return max;
}

Timestamp TimestampCache::MaxRangeIn(const Generation& g, std::string_view key, std::string_view end_key, const Owner& asker) {
  Timestamp max = MaxIn(g, key, asker);
  for (const auto* map : {&g.points, &g.steps}) {
    for (auto it = map->lower_bound(key); it != map->end() && (end_key.empty() || it->first < end_key); ++it) {
      max = std::max(max, Seen(it->second, asker));
    }
  }
  return max;
}

Timestamp TimestampCache::Max(std::string_view key, std::string_view txn_id) const {
  const Owner asker = OwnerOf(txn_id);
  return std::max({low_water_, MaxIn(young_, key, asker), MaxIn(old_, key, asker)});
}

Timestamp TimestampCache::MaxInRange(std::string_view key, std::string_view end_key, std::string_view txn_id) const {
  const Owner asker = OwnerOf(txn_id);
  return std::max({low_water_, MaxRangeIn(young_, key, end_key, asker), MaxRangeIn(old_, key, end_key, asker)});
}

}  // namespace insula::kv
