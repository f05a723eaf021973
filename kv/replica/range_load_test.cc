#include "kv/replica/range_load.h"

#include <string>

#include "base/runtime/random.h"
#include "base/strings.h"
#include "gtest/gtest.h"

namespace insula::kv {
namespace {

constexpr LoadSplitOptions kOptions = {.batches_per_second = 100};

std::string Key(uint64_t i) {
  std::string digits = StrCat(i);
  return StrCat("k", std::string(6 - digits.size(), '0'), digits);
}

// Requests at `rate` for `duration`, each for the key (or span) that `next` gives.
template <typename Next>
std::optional<std::string> Ask(LoadSplitter& splitter, MonoTime& now, double rate, Duration duration, Next next) {
  DecayedRate measured;
  const MonoTime end = now + duration;
  while (now < end) {
    now += std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / rate));
    measured.Add(now);
    auto [key, end_key] = next();
    if (auto split = splitter.Note(now, measured.PerSecond(now), key, end_key)) return split;
  }
  return std::nullopt;
}

TEST(DecayedRate, FollowsWhatComesAndFadesWithoutATimer) {
  DecayedRate rate(std::chrono::seconds(10));
  MonoTime now{std::chrono::seconds(1000)};
  for (int i = 0; i < 60'000; ++i) rate.Add(now += std::chrono::milliseconds(1));
  EXPECT_NEAR(rate.PerSecond(now), 1000, 40);
  EXPECT_NEAR(rate.PerSecond(now + std::chrono::seconds(10)), 500, 20);
  EXPECT_LT(rate.PerSecond(now + std::chrono::minutes(10)), 0.001);
}

TEST(LoadSplitter, CutsWhereTheLoadHalves) {
  SeededRandom random(1);
  MonoTime now{std::chrono::seconds(1000)};
  LoadSplitter splitter(kOptions, 7);
  // Three quarters of the requests go to a tenth of the keys.
  auto split = Ask(splitter, now, 500, std::chrono::minutes(2),
                   [&] { return std::pair(Key(random.Chance(0.75) ? 8000 + random.Uniform(1000) : random.Uniform(8000)), std::string()); });
  ASSERT_TRUE(split.has_value());
  EXPECT_GT(*split, Key(8000));
  EXPECT_LT(*split, Key(8700));
}

TEST(LoadSplitter, AHotKeyAloneIsNotCut) {
  MonoTime now{std::chrono::seconds(1000)};
  LoadSplitter splitter(kOptions, 7);
  EXPECT_FALSE(Ask(splitter, now, 500, std::chrono::minutes(5), [] { return std::pair(Key(5), std::string()); }).has_value());
}

TEST(LoadSplitter, SpansThatWouldBeCutCountAgainstAKey) {
  SeededRandom random(1);
  MonoTime now{std::chrono::seconds(1000)};
  LoadSplitter splitter(kOptions, 7);
  EXPECT_FALSE(Ask(splitter, now, 500, std::chrono::minutes(5), [&] {
                 return std::pair(Key(random.Uniform(1000)), Key(9000));
               }).has_value());
}

TEST(LoadSplitter, ARangeThatIsAskedForLittleIsLeftAlone) {
  SeededRandom random(1);
  MonoTime now{std::chrono::seconds(1000)};
  LoadSplitter splitter(kOptions, 7);
  EXPECT_FALSE(Ask(splitter, now, 50, std::chrono::minutes(10), [&] { return std::pair(Key(random.Uniform(1000)), std::string()); }).has_value());
}

TEST(LoadSplitter, RestsAfterASplit) {
  SeededRandom random(1);
  MonoTime now{std::chrono::seconds(1000)};
  LoadSplitter splitter(kOptions, 7);
  auto any = [&] { return std::pair(Key(random.Uniform(1000)), std::string()); };
  ASSERT_TRUE(Ask(splitter, now, 500, std::chrono::minutes(1), any).has_value());
  EXPECT_FALSE(Ask(splitter, now, 500, std::chrono::seconds(59), any).has_value());
  EXPECT_TRUE(Ask(splitter, now, 500, std::chrono::seconds(60), any).has_value());
}

}  // namespace
}  // namespace insula::kv
