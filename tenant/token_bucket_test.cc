#include "tenant/token_bucket.h"

#include <gtest/gtest.h>

#include "base/runtime/random.h"

namespace insula {
namespace {

MonoTime At(Duration d) { return MonoTime(d); }

TEST(TokenBucket, GivesTheBurstAndThenTheRate) {
  TokenBucket bucket(1000, 500, At(0s));
  EXPECT_TRUE(bucket.Take(500, At(0s)));
  EXPECT_FALSE(bucket.Take(1, At(0s)));
  EXPECT_EQ(bucket.UntilAvailable(At(0s)), 1ms);
  EXPECT_FALSE(bucket.Take(1, At(999us)));
  EXPECT_TRUE(bucket.Take(1, At(1ms)));
  EXPECT_EQ(bucket.Available(At(10s)), 500) << "never above the burst";
  EXPECT_TRUE(bucket.full(At(10s)));
}

TEST(TokenBucket, DebtIsPaidFirst) {
  TokenBucket bucket(100, 1000, At(0s));
  EXPECT_TRUE(bucket.Take(1500, At(0s))) << "dearer than the burst passes once";
  EXPECT_EQ(bucket.Available(At(0s)), -500);
  EXPECT_EQ(bucket.UntilAvailable(At(0s)), 5s + 10ms);
  EXPECT_FALSE(bucket.Take(1, At(5s)));
  EXPECT_TRUE(bucket.Take(1, At(5s + 10ms)));
  bucket.Charge(50, At(5s + 10ms));
  EXPECT_EQ(bucket.Available(At(5s + 10ms)), -50);
}

TEST(TokenBucket, DebtIsNeverDeeperThanABurst) {
  TokenBucket bucket(100, 1000, At(0s));
  for (int i = 0; i < 1000; ++i) bucket.Charge(1000, At(0s));
  EXPECT_EQ(bucket.Available(At(0s)), -1000);
  EXPECT_TRUE(bucket.full(At(20s)));
}

TEST(TokenBucket, DebtMayBeDeeperWhereTheOwnerSaysSo) {
  TokenBucket bucket(100, 1000, At(0s), 50'000);
  bucket.Charge(20'000, At(0s));
  EXPECT_EQ(bucket.Available(At(0s)), -19'000);
  EXPECT_EQ(bucket.Available(At(190s)), 0);
  bucket.Charge(1'000'000, At(190s));
  EXPECT_EQ(bucket.Available(At(190s)), -50'000);
  bucket.SetLimits(100, 1000, At(190s), 10'000);
  EXPECT_EQ(bucket.Available(At(190s)), -10'000);
}

TEST(TokenBucket, AskingOftenNeitherLosesNorMakesTokens) {
  SeededRandom random(5);
  TokenBucket asked(333, 1'000'000, At(0s)), left_alone(333, 1'000'000, At(0s));
  asked.Charge(1'000'000, At(0s));
  left_alone.Charge(1'000'000, At(0s));
  Duration t{};
  for (int i = 0; i < 100'000; ++i) {
    t += Duration(static_cast<int64_t>(random.Uniform(100'000)));
    asked.Available(At(t));
  }
  EXPECT_EQ(asked.Available(At(t)), left_alone.Available(At(t)));
  EXPECT_EQ(asked.Available(At(t)), t.count() * 333 / 1'000'000'000);
}

TEST(TokenBucket, TimeThatGoesBackAndHugeStepsAreHarmless) {
  TokenBucket bucket(1'000'000'000, 10, At(5s));
  EXPECT_TRUE(bucket.Take(10, At(5s)));
  EXPECT_EQ(bucket.Available(At(1s)), 0);
  EXPECT_EQ(bucket.Available(MonoTime::max()), 10);
  for (int i = 0; i < 10; ++i) bucket.Charge(INT64_MAX / 2, MonoTime::max());
  EXPECT_EQ(bucket.Available(MonoTime::max()), -10);
  EXPECT_GT(bucket.UntilAvailable(MonoTime::max()), 0s);
}

TEST(TokenBucket, NewLimitsCutWhatIsThere) {
  TokenBucket bucket(1000, 500, At(0s));
  bucket.SetLimits(10, 100, At(0s));
  EXPECT_EQ(bucket.Available(At(0s)), 100);
  EXPECT_TRUE(bucket.Take(100, At(0s)));
  EXPECT_EQ(bucket.UntilAvailable(At(0s)), 100ms);
}

}  // namespace
}  // namespace insula
