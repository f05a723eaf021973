#include "base/hlc/hlc.h"

#include <gtest/gtest.h>

namespace insula {
namespace {

class FixedClock : public Clock {
 public:
  MonoTime Mono() const override { return MonoTime(); }
  WallTime Wall() const override { return WallTime(std::chrono::microseconds(micros)); }
  uint64_t micros = 1000000;
};

TEST(HybridClock, NeverRepeatsAndFollowsPhysicalTime) {
  FixedClock physical;
  HybridClock hlc(&physical, 250ms);
  Timestamp a = hlc.Now(), b = hlc.Now();
  EXPECT_LT(a, b);
  EXPECT_EQ(a.micros(), 1000000u);
  EXPECT_EQ(b.logical(), 1u);
  physical.micros = 900000;  // jumps back
  EXPECT_LT(b, hlc.Now());
  physical.micros = 2000000;
  EXPECT_EQ(hlc.Now(), Timestamp::FromMicros(2000000));
}

TEST(HybridClock, StaysAboveWhatItSaw) {
  FixedClock physical;
  HybridClock hlc(&physical, 250ms);
  Timestamp seen = Timestamp::FromMicros(1200000, 7);
  ASSERT_TRUE(hlc.Update(seen).ok());
  EXPECT_GT(hlc.Now(), seen);
}

TEST(HybridClock, RefusesTimestampsBeyondTheOffset) {
  FixedClock physical;
  HybridClock hlc(&physical, 250ms);
  EXPECT_EQ(hlc.Update(Timestamp::FromMicros(1300000)).code(), absl::StatusCode::kOutOfRange);
  EXPECT_LT(hlc.Now(), Timestamp::FromMicros(1250000));
}

TEST(Timestamp, CounterOverflowCarriesIntoMicroseconds) {
  EXPECT_EQ(Timestamp::FromMicros(5, 4095).Next(), Timestamp::FromMicros(6));
}

}  // namespace
}  // namespace insula
