#include "sql/rowenc/key_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/runtime/random.h"
#include "sql/types/array.h"
#include "sql/types/datetime.h"
#include "sql/types/io.h"

namespace insula::sql {
namespace {

Vector One(SqlType type, const Datum& v) {
  Vector out(type);
  out.Append(v);
  return out;
}

std::string Encode(SqlType type, const Datum& v, Direction d) {
  std::string out, from_datum;
  AppendKeyValue(One(type, v), 0, d, &out);
  AppendKeyDatum(type, v, d, &from_datum);
  EXPECT_EQ(out, from_datum);
  return out;
}

int Sign(int v) { return v < 0 ? -1 : v > 0 ? 1 : 0; }

// K1, K2, K3 for all pairs of values, in both directions.
void CheckAll(SqlType type, const std::vector<Datum>& values) {
  ASSERT_TRUE(IsKeyEncodable(type.oid));
  for (Direction d : {Direction::kAscending, Direction::kDescending}) {
    for (const Datum& a : values) {
      std::string ea = Encode(type, a, d);
      for (const Datum& b : values) {
        std::string eb = Encode(type, b, d);
        int want = Sign(CompareDatums(type.oid, a, b)) * (d == Direction::kAscending ? 1 : -1);
        EXPECT_EQ(Sign(ea.compare(eb)), want) << TextOut({}, type, a) << " vs. " << TextOut({}, type, b);
        if (want != 0) {
          EXPECT_FALSE(eb.starts_with(ea)) << TextOut({}, type, a) << " is a prefix of " << TextOut({}, type, b);
        }
      }
      std::string more = ea + "rest";
      std::string_view in = more, skip = more;
      Vector out(type);
      out.Resize(1);
      ASSERT_TRUE(TakeKeyValue(&in, type, d, &out, 0).ok());
      EXPECT_EQ(in, "rest");
      ASSERT_TRUE(TakeKeyValue(&skip, type, d, nullptr, 0).ok());
      EXPECT_EQ(skip, "rest");
      if (IsExactInKey(One(type, a), 0)) {
        EXPECT_EQ(TextOut({}, type, out.Get(0)), TextOut({}, type, a));
      } else if (type.oid != oid::kInterval) {
        EXPECT_EQ(CompareDatums(type.oid, out.Get(0), a), 0);
      }
      for (size_t n = 0; n < ea.size(); ++n) {  // a cut key never decodes
        std::string_view cut = std::string_view(ea).substr(0, n);
        EXPECT_FALSE(TakeKeyValue(&cut, type, d, &out, 0).ok());
      }
    }
  }
}

std::vector<Datum> FromText(SqlType type, std::initializer_list<std::string_view> texts) {
  std::vector<Datum> out;
  for (auto t : texts) {
    auto v = TextIn({}, type, t);
    EXPECT_TRUE(v.ok()) << v.status();
    out.push_back(*v);
  }
  return out;
}

TEST(KeyCodecTest, Integers) {
  std::vector<Datum> values;
  for (int64_t v : {INT64_MIN, INT64_MIN + 1, int64_t{-65537}, int64_t{-256}, int64_t{-255}, int64_t{-1}, int64_t{0}, int64_t{1}, int64_t{255},
                    int64_t{256}, int64_t{65536}, INT64_MAX - 1, INT64_MAX}) {
    values.push_back(Datum::Int(v));
  }
  CheckAll({oid::kInt8, -1}, values);
}

TEST(KeyCodecTest, BooleansFloatsDates) {
  CheckAll({oid::kBool, -1}, {Datum::Bool(false), Datum::Bool(true)});
  std::vector<Datum> floats;
  double inf = std::numeric_limits<double>::infinity();
  for (double v : {-inf, -1e300, -1.5, -1e-300, -0.0, 0.0, 1e-300, 2.5, 1e300, inf, std::nan("")}) floats.push_back(Datum::Float(v));
  CheckAll({oid::kFloat8, -1}, floats);
  CheckAll({oid::kDate, -1}, FromText({oid::kDate, -1}, {"-infinity", "0044-03-15 BC", "1999-12-31", "2000-01-01", "2024-02-29", "infinity"}));
  CheckAll({oid::kTimetz, -1}, FromText({oid::kTimetz, -1}, {"00:00+00", "12:00+02", "10:00+00", "11:00+01", "23:59:59-11"}));
}

TEST(KeyCodecTest, NumericsOrderByValueWhateverTheirScale) {
  CheckAll({oid::kNumeric, -1},
           FromText({oid::kNumeric, -1}, {"-Infinity", "-1e30", "-123456789012345678901234567890.5", "-100", "-99.999", "-10", "-1.5", "-1.50", "-1",
                                          "-0.1", "-0.01", "-0.001", "0", "0.00", "0.001", "0.0099", "0.01", "0.1", "0.10", "1", "1.0", "1.5", "1.51",
                                          "9.99", "10", "11", "99", "100", "101", "1e30", "123456789012345678901234567890", "Infinity", "NaN"}));
}

TEST(KeyCodecTest, RandomNumerics) {
  SeededRandom random(7);
  std::vector<Datum> values;
  for (int i = 0; i < 60; ++i) {
    int64_t mantissa = static_cast<int64_t>(random.Next64() >> (1 + random.Uniform(60)));
    values.push_back(Datum::Num(Numeric::FromScaled(random.Chance(0.5) ? -mantissa : mantissa, static_cast<int>(random.Uniform(20)))));
  }
  CheckAll({oid::kNumeric, -1}, values);
}

TEST(KeyCodecTest, Strings) {
  using std::string_literals::operator""s;
  std::vector<Datum> texts;
  for (const std::string& s : {""s, "\0"s, "\0\0"s, "\0a"s, "\1"s, "a"s, "a\0"s, "a\0b"s, "a\1"s, "ab"s, "b"s, "\xc3\xa4"s, "\xff"s}) {
    texts.push_back(Datum::Bytes(s));
  }
  CheckAll({oid::kBytea, -1}, texts);
  CheckAll({oid::kText, -1}, texts);
  CheckAll({oid::kBpchar, CharTypmod(5)}, FromText({oid::kBpchar, CharTypmod(5)}, {"", "a", "ab", "a b", "b    ", "äöü"}));
  CheckAll({oid::kUuid, -1}, FromText({oid::kUuid, -1}, {"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001",
                                                          "ffffffff-ffff-ffff-ffff-ffffffffffff"}));
}

TEST(KeyCodecTest, IntervalsOrderByLength) {
  CheckAll({oid::kInterval, -1}, FromText({oid::kInterval, -1}, {"-1 year", "-1 day", "-1 second", "0", "1 microsecond", "23 hours", "1 day", "24 hours",
                                                                  "29 days", "1 month", "30 days", "31 days", "1 year", "360 days"}));
}

TEST(KeyCodecTest, Arrays) {
  SqlType type{oid::kInt4Array, -1};
  CheckAll(type, FromText(type, {"{}", "{1}", "{1,2}", "{1,NULL}", "{NULL}", "{2}", "{{1,2},{3,4}}", "{1,2,3,4}", "[0:1]={1,2}"}));
  SqlType texts{oid::kTextArray, -1};
  CheckAll(texts, FromText(texts, {"{}", "{a}", "{a,b}", "{ab}", "{\"\"}", "{NULL}"}));
}

TEST(KeyCodecTest, TypesWithoutOrderAreRefused) {
  EXPECT_FALSE(IsKeyEncodable(oid::kJson));
  EXPECT_FALSE(IsKeyEncodable(oid::kJsonb));
  EXPECT_FALSE(IsKeyEncodable(oid::kRecord));
  EXPECT_FALSE(IsKeyEncodable(oid::kJsonbArray));
}

}  // namespace
}  // namespace insula::sql
