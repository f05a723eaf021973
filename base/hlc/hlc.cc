#include "base/hlc/hlc.h"

#include <algorithm>
#include <cstdio>

#include "base/strings.h"

namespace insula {
namespace {
uint64_t PhysicalBits(const Clock& clock) {
  return static_cast<uint64_t>(clock.Wall().time_since_epoch().count()) << Timestamp::kLogicalBits;
}
}  // namespace

std::string Timestamp::ToString() const {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%llu.%06llu,%u", static_cast<unsigned long long>(micros() / 1000000),
                static_cast<unsigned long long>(micros() % 1000000), logical());
  return buffer;
}

Timestamp HybridClock::Now() {
  last_.bits = std::max(last_.bits + 1, PhysicalBits(*clock_));
  return last_;
}

Timestamp HybridClock::Peek() const { return Timestamp{std::max(last_.bits + 1, PhysicalBits(*clock_))}; }

absl::Status HybridClock::Update(Timestamp seen) {
  Timestamp bound = Timestamp{PhysicalBits(*clock_)}.AddMicros(std::chrono::duration_cast<std::chrono::microseconds>(max_offset_).count());
  if (seen > bound) {
    return absl::OutOfRangeError(StrCat("timestamp ", seen.ToString(), " is more than the maximum clock offset ahead of this node's clock at ",
                                        Timestamp{PhysicalBits(*clock_)}.ToString(), "; check the nodes' time synchronisation"));
  }
  last_ = std::max(last_, seen);
  return absl::OkStatus();
}

void HybridClock::RaiseTo(Timestamp floor) { last_ = std::max(last_, floor); }

}  // namespace insula
