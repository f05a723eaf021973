#include "sql/session/session_value.h"

#include "base/runtime/random.h"
#include "gtest/gtest.h"

namespace insula::sql {
namespace {

TEST(SessionValue, RoundTrip) {
  SessionValue v{"app", "defaultdb", {{"timezone", "UTC"}, {"search_path", "a, b"}}, {{"p", "select $1", {23, 0}, false}, {"", "", {}, true}}};
  auto back = SessionValue::Decode(v.Encode());
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, v);
}

TEST(SessionValue, RefusesGarbage) {
  SessionValue v{"app", "defaultdb", {{"timezone", "UTC"}}, {{"p", "select $1", {23}, false}}};
  std::string good = v.Encode();
  for (size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(SessionValue::Decode(good.substr(0, n)).ok()) << n;
  EXPECT_FALSE(SessionValue::Decode(good + "x").ok());
  std::string other = good;
  other[0] = 2;
  EXPECT_EQ(SessionValue::Decode(other).status().code(), absl::StatusCode::kUnimplemented);
  SeededRandom random(5);
  for (int i = 0; i < 5000; ++i) {
    std::string noise = good;
    noise[random.Uniform(noise.size())] = static_cast<char>(random.Next64());
    (void)SessionValue::Decode(noise);
  }
}

}  // namespace
}  // namespace insula::sql
