// At which timestamps keys of a range were read: no later write may go below, or the reads would have been wrong.
//
//   reads:  a@7 (txn 1)     [c, f)@9 (txn 2)          low-water mark 5
//   Max(a)=7   Max(b)=5   Max(d)=9   for txn 2 itself Max(d)=8: its own reads do not push its writes past them
//
// Bounded: entries live in two generations; when the younger is full and old enough, the older is dropped and the low-water mark
// rises to the highest timestamp in it. So the cache may say too much (a write moves up needlessly), never too little.
// A lease's start is the low-water mark of what was read under earlier leases.
// The same structure remembers released locks and ended transactions. Thread safety: none.
#ifndef INSULA_KV_TXN_TIMESTAMP_CACHE_H_
#define INSULA_KV_TXN_TIMESTAMP_CACHE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/container/btree_map.h"
#include "base/hlc/hlc.h"
#include "base/runtime/time.h"

namespace insula::kv {

class TimestampCache {
 public:
  struct Options {
    size_t max_entries = 8192;     // per generation
    Duration min_age = 10s;        // a generation is not dropped before
  };

  TimestampCache() : TimestampCache(Options()) {}
  explicit TimestampCache(Options options) : options_(options) {}

  // Forgets everything; nothing below or at `low_water` may be written.
  void Reset(Timestamp low_water);
  void RaiseLowWater(Timestamp ts);

  // `txn_id` (empty: nobody's) read `key`, or [key, end_key); an empty end_key of AddRange is the end of all keys.
  void AddPoint(std::string_view key, Timestamp ts, std::string_view txn_id);
  void AddRange(std::string_view key, std::string_view end_key, Timestamp ts, std::string_view txn_id);

  // A write of `txn_id` must be above this.
  Timestamp Max(std::string_view key, std::string_view txn_id) const;
  Timestamp MaxInRange(std::string_view key, std::string_view end_key, std::string_view txn_id) const;
  Timestamp low_water() const { return low_water_; }
  // At or above all timestamps in it.
  Timestamp highest() const;
  size_t size() const { return young_.size() + old_.size(); }

 private:
  // A transaction by its id; zero: several, or none.
  using Owner = std::array<uint64_t, 2>;
  struct Entry {
    Timestamp ts;
    Owner owner{};
  };
  struct Generation {
    absl::btree_map<std::string, Entry, std::less<>> points;
    absl::btree_map<std::string, Entry, std::less<>> steps;  // an entry holds from its key to the next one's
    Timestamp highest;
    Timestamp first;  // when it began, by the first timestamp that came
    size_t size() const { return points.size() + steps.size(); }
  };

  static Owner OwnerOf(std::string_view txn_id);
  static void Raise(Entry& entry, Timestamp ts, const Owner& owner);
  static Timestamp Seen(const Entry& entry, const Owner& asker) {
    return entry.owner == asker && asker != Owner{} ? entry.ts.Prev() : entry.ts;
  }
  static Timestamp MaxIn(const Generation& g, std::string_view key, const Owner& asker);
  static Timestamp MaxRangeIn(const Generation& g, std::string_view key, std::string_view end_key, const Owner& asker);
  void Note(Timestamp ts);

  Options options_;
  Timestamp low_water_;
  Generation young_;
  Generation old_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_TXN_TIMESTAMP_CACHE_H_
