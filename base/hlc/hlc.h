// Hybrid logical clock (Kulkarni et al. 2014): timestamps that follow physical time and respect causality.
//
// A Timestamp is 64 bits: 52 bits of microseconds since 1970, 12 bits of counter. Nodes carry it on every message to each
// other and never advance from a pod.
#ifndef INSULA_BASE_HLC_HLC_H_
#define INSULA_BASE_HLC_HLC_H_

#include <compare>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/runtime/time.h"

namespace insula {

struct Timestamp {
  uint64_t bits = 0;

  static constexpr int kLogicalBits = 12;
  static constexpr Timestamp Max() { return Timestamp{~uint64_t{0}}; }
  static constexpr Timestamp FromMicros(uint64_t micros, uint32_t logical = 0) { return Timestamp{(micros << kLogicalBits) | logical}; }

  uint64_t micros() const { return bits >> kLogicalBits; }
  uint32_t logical() const { return static_cast<uint32_t>(bits & ((1u << kLogicalBits) - 1)); }
  bool empty() const { return bits == 0; }
  Timestamp Next() const { return Timestamp{bits + 1}; }
  Timestamp Prev() const { return Timestamp{bits - 1}; }
  Timestamp AddMicros(int64_t micros) const { return Timestamp{bits + (static_cast<uint64_t>(micros) << kLogicalBits)}; }
  std::string ToString() const;  // "seconds.micros,logical"

  auto operator<=>(const Timestamp&) const = default;
};

class HybridClock {
 public:
  // `max_offset`: how far other nodes' clocks may be from ours; a message from further ahead is refused.
  HybridClock(const Clock* clock, Duration max_offset) : clock_(clock), max_offset_(max_offset) {}

  // A timestamp above all that this clock gave or saw.
  Timestamp Now();
  // What Now would be at least, without advancing.
  Timestamp Peek() const;
  // Takes note of a timestamp from another node. kOutOfRange, and no effect, if it is more than max_offset ahead of our
  // physical clock: one of the two is broken.
  absl::Status Update(Timestamp seen);
  // Never give a timestamp at or below `floor` (the persisted upper bound after a restart).
  void RaiseTo(Timestamp floor);

  Duration max_offset() const { return max_offset_; }
  WallTime Physical() const { return clock_->Wall(); }

 private:
  const Clock* clock_;
  Duration max_offset_;
  Timestamp last_;
};

inline constexpr Duration kDefaultMaxOffset = std::chrono::milliseconds(250);

}  // namespace insula

#endif  // INSULA_BASE_HLC_HLC_H_
