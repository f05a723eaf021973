// How much is asked of one range, and where it could be cut so that each half is asked for about half of it.
//
//   batch ─► rate, decayed ──at the threshold──► a few keys by chance from what comes (a reservoir), and for each of them:
//                                                how many of the later requests lie left of it, right of it, or across it
//            after a while: the key with the evenest sides and the fewest across ─► split there; else look again later
//
// Nothing here has a timer: rates fade by the time between two looks. A range that is asked for little keeps no keys.
// One key that is hot by itself has no such cut; then nothing is proposed.
// Thread safety: none.
#ifndef INSULA_KV_REPLICA_RANGE_LOAD_H_
#define INSULA_KV_REPLICA_RANGE_LOAD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime/time.h"

namespace insula::kv {

// Events per second, of late: each counts half after `half_life`.
class DecayedRate {
 public:
  explicit DecayedRate(Duration half_life = std::chrono::seconds(10)) : half_life_(half_life) {}
  void Add(MonoTime now);
  double PerSecond(MonoTime now) const;

 private:
  double At(MonoTime now) const;
  Duration half_life_;
  double weight_ = 0;
  MonoTime at_{};
};

struct LoadSplitOptions {
  double batches_per_second = 0;                    // from here on a range is to be split; 0: never
  Duration observe = std::chrono::seconds(10);      // how long before it is known where
  Duration cooldown = std::chrono::seconds(60);     // after a split or a new lease, or when there was no good key
  uint64_t least_requests = 200;                    // seen meanwhile
};

class LoadSplitter {
 public:
  LoadSplitter(LoadSplitOptions options, uint64_t seed) : options_(options), random_(seed * 2 + 1) {}

  bool enabled() const { return options_.batches_per_second > 0; }
  // A request for [key, end_key) (empty end_key: the single key) while the range's rate is `rate`. A key to split at, once it is known.
  std::optional<std::string> Note(MonoTime now, double rate, std::string_view key, std::string_view end_key);
  // The range is not what it was (a split, a merge): begins anew, after the cooldown.
  void Reset(MonoTime now);

 private:
  struct Sample {
    std::string key;
    uint64_t left = 0, right = 0, across = 0;
  };
  uint64_t Uniform(uint64_t bound);
  void Count(std::string_view key, std::string_view end_key);
  std::optional<std::string> Best() const;

  LoadSplitOptions options_;
  uint64_t random_;
  std::vector<Sample> samples_;
  uint64_t seen_ = 0;
  MonoTime since_{};   // sampling; {}: not
  MonoTime not_before_{};
};

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_RANGE_LOAD_H_
