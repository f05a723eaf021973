#include "base/encoding/ordered.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/runtime/random.h"

namespace insula {
namespace {

template <typename T, typename Append, typename Take>
void CheckOrderAndRoundTrip(const std::vector<T>& sorted, Append append, Take take) {
  for (Direction d : {Direction::kAscending, Direction::kDescending}) {
    std::string previous;
    for (size_t i = 0; i < sorted.size(); ++i) {
      std::string key;
      append(&key, sorted[i], d);
      if (i > 0) EXPECT_EQ(previous < key, d == Direction::kAscending) << i;
      previous = key;
      key += "tail";
      std::string_view in = key;
      auto back = take(&in, d);
      ASSERT_TRUE(back.ok()) << back.status();
      EXPECT_EQ(*back, sorted[i]);
      EXPECT_EQ(in, "tail");
    }
  }
}

TEST(Ordered, IntegersKeepTheirOrder) {
  std::vector<int64_t> values = {INT64_MIN, INT64_MIN + 1, -70000, -65536, -257, -256, -255, -2, -1, 0, 1, 2, 255, 256, 65535, 65536, INT64_MAX - 1, INT64_MAX};
  CheckOrderAndRoundTrip(values, [](auto* o, auto v, auto d) { AppendInt64(o, v, d); }, [](auto* i, auto d) { return TakeInt64(i, d); });
}

TEST(Ordered, StringsWithZerosKeepTheirOrder) {
  using namespace std::string_literals;
  std::vector<std::string> values = {"", "\0"s, "\0\0"s, "\0\1"s, "\1"s, "a", "a\0"s, "a\0b"s, "a\1"s, "ab", "b", "\xff", "\xff\xff"};
  CheckOrderAndRoundTrip(values, [](auto* o, auto& v, auto d) { AppendBytes(o, v, d); }, [](auto* i, auto d) { return TakeBytes(i, d); });
}

TEST(Ordered, DoublesKeepTheirOrderAndNanIsLast) {
  double inf = std::numeric_limits<double>::infinity();
  std::vector<double> values = {-inf, -1e300, -1.5, -1e-300, 0, 1e-300, 1, 1.5, 1e300, inf};
  CheckOrderAndRoundTrip(values, [](auto* o, auto v, auto d) { AppendDouble(o, v, d); }, [](auto* i, auto d) { return TakeDouble(i, d); });
  std::string nan, top, zero, minus_zero;
  AppendDouble(&nan, -std::nan(""));
  AppendDouble(&top, inf);
  EXPECT_LT(top, nan);
  AppendDouble(&zero, 0.0);
  AppendDouble(&minus_zero, -0.0);
  EXPECT_EQ(zero, minus_zero);
}

TEST(Ordered, RandomBytesNeverCrashTheDecoders) {
  SeededRandom random(7);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = random.Bytes(random.Uniform(12));
    for (Direction d : {Direction::kAscending, Direction::kDescending}) {
      std::string_view a = bytes, b = bytes, c = bytes, e = bytes;
      (void)TakeInt64(&a, d).ok();
      (void)TakeUint64(&b, d).ok();
      (void)TakeBytes(&c, d).ok();
      (void)TakeDouble(&e, d).ok();
    }
  }
}

TEST(Ordered, PrefixEndIsTheNextSibling) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd("a\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff\xff"), "");
}

}  // namespace
}  // namespace insula
