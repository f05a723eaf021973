#include "kv/txn/timestamp_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "base/runtime/random.h"
#include "base/strings.h"

namespace insula::kv {
namespace {

Timestamp T(uint64_t bits) { return Timestamp{bits}; }

TEST(TimestampCache, PointsRangesAndTheLowWaterMark) {
  TimestampCache cache;
  cache.Reset(T(5));
  cache.AddPoint("a", T(7), "1");
  cache.AddRange("c", "f", T(9), "2");
  cache.AddPoint("z", T(4), "1");
  EXPECT_EQ(cache.Max("a", ""), T(7));
  EXPECT_EQ(cache.Max("b", ""), T(5));
  EXPECT_EQ(cache.Max("d", ""), T(9));
  EXPECT_EQ(cache.Max("f", ""), T(5));
  EXPECT_EQ(cache.Max("z", ""), T(5));
  EXPECT_EQ(cache.MaxInRange("a", "c", ""), T(7));
  EXPECT_EQ(cache.MaxInRange("b", "c", ""), T(5));
  EXPECT_EQ(cache.MaxInRange("e", "z", ""), T(9));
  EXPECT_EQ(cache.highest(), T(9));
}

TEST(TimestampCache, OwnReadsDoNotPushOwnWrites) {
  TimestampCache cache;
  cache.AddPoint("a", T(7), "1");
  EXPECT_EQ(cache.Max("a", "1"), T(6));
  EXPECT_EQ(cache.Max("a", "2"), T(7));
  cache.AddPoint("a", T(7), "2");
  EXPECT_EQ(cache.Max("a", "1"), T(7)) << "somebody else read it at the same time";
  cache.AddRange("a", "", T(9), "1");
  EXPECT_EQ(cache.Max("b", "1"), T(8));
  EXPECT_EQ(cache.Max("b", "2"), T(9));
}

TEST(TimestampCache, WhatIsForgottenRaisesTheLowWaterMark) {
  TimestampCache cache({.max_entries = 10, .min_age = Duration::zero()});
  for (uint64_t i = 1; i <= 100; ++i) cache.AddPoint(StrCat("k", i), T(1000 + i), "");
  EXPECT_LE(cache.size(), 20u);
  for (uint64_t i = 1; i <= 100; ++i) EXPECT_GE(cache.Max(StrCat("k", i), ""), T(1000 + i));
  EXPECT_LT(cache.low_water(), T(1100));
}

TEST(TimestampCache, YoungEntriesAreKept) {
  TimestampCache cache({.max_entries = 10, .min_age = 10s});
  for (uint64_t i = 1; i <= 100; ++i) cache.AddPoint(StrCat("k", i), Timestamp::FromMicros(1000 + i), "");
  EXPECT_EQ(cache.low_water(), T(0));
  EXPECT_EQ(cache.size(), 100u);
}

// Against a plain list of everything that was read.
TEST(TimestampCache, NeverSaysTooLittle) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    TimestampCache cache({.max_entries = 50, .min_age = Duration::zero()});
    struct Read {
      std::string key, end, txn;
      Timestamp ts;
    };
    std::vector<Read> reads;
    auto key = [&] { return std::string(1, static_cast<char>('a' + random.Uniform(20))); };
    for (int step = 0; step < 400; ++step) {
      Read r{key(), "", StrCat(random.Uniform(3)), T(1 + step + random.Uniform(20))};
      if (random.Chance(0.5)) {
        r.end = r.key + key();
        cache.AddRange(r.key, r.end, r.ts, r.txn);
      } else {
        cache.AddPoint(r.key, r.ts, r.txn);
      }
      reads.push_back(r);
      std::string k = key(), asker = StrCat(random.Uniform(3));
      Timestamp others;
      for (const Read& read : reads) {
        bool covers = read.end.empty() ? read.key == k : read.key <= k && k < read.end;
        if (covers && read.txn != asker) others = std::max(others, read.ts);
      }
      EXPECT_GE(cache.Max(k, asker), others) << "seed " << seed << " step " << step;
      EXPECT_GE(cache.MaxInRange("a", k + "z", asker), cache.Max(k, asker));
    }
  }
}

}  // namespace
}  // namespace insula::kv
