// What a range holds, kept exactly: every write adds its difference in the same batch.
#ifndef INSULA_KV_MVCC_STATS_H_
#define INSULA_KV_MVCC_STATS_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace insula::kv::mvcc {

struct Stats {
  int64_t live_keys = 0;    // keys whose newest version (provisional ones count) is not a deletion
  int64_t live_bytes = 0;   // of those: key and value
  int64_t versions = 0;     // all of them, deletions too
  int64_t total_bytes = 0;  // of all versions: key, timestamp, header, value
  int64_t intents = 0;      // keys with a provisional version
  int64_t locks = 0;        // rows of the `lock` column family

  Stats& operator+=(const Stats& d);
  Stats& operator-=(const Stats& d);
  bool operator==(const Stats&) const = default;
  bool empty() const { return *this == Stats{}; }
};

// "live keys 3, …", for people.
std::string ToString(const Stats& stats);

// Six zigzag varints, behind a version byte.
void AppendStats(std::string* out, const Stats& stats);
[[nodiscard]] bool TakeStats(std::string_view* in, Stats* stats);

}  // namespace insula::kv::mvcc

#endif  // INSULA_KV_MVCC_STATS_H_
