#include "sql/types/numeric.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/pgerror/pg_error.h"
#include "base/runtime/random.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

Numeric N(std::string_view s) {
  auto v = Numeric::Parse(s);
  EXPECT_TRUE(v.ok()) << s << " " << v.status();
  return v.ok() ? *v : Numeric::NaN();
}

std::string Show(const absl::StatusOr<Numeric>& v) {
  if (v.ok()) return v->ToString();
  PgErrorFields e = ToPgError(v.status());
  return e.sqlstate + " " + e.message;
}

TEST(NumericTest, Text) {
  for (std::string_view s : {"0", "-1", "1.50", "0.000", "-0.5", "123456789012345678", "1234567890123456789", "NaN", "Infinity",
                             "-Infinity", "0.00000000000000000000000001", "99999999999999999999999999999999.99"}) {
    EXPECT_EQ(N(s).ToString(), s);
  }
  EXPECT_EQ(N(" 1e3 ").ToString(), "1000");
  EXPECT_EQ(N("1.5e-3").ToString(), "0.0015");
  EXPECT_EQ(N("+.5").ToString(), "0.5");
  EXPECT_EQ(N("1e20").ToString(), "100000000000000000000");
  EXPECT_EQ(N("-inf").ToString(), "-Infinity");
  for (std::string_view s : {"", "x", "1x", "1..2", "--1", "1e", "1e+-5", "0x1", "1_000"}) {
    EXPECT_EQ(Show(Numeric::Parse(s)), StrCat("22P02 invalid input syntax for type numeric: \"", s, "\""));
  }
  EXPECT_EQ(Show(Numeric::Parse("1e131073")), "22003 value overflows numeric format");
}

TEST(NumericTest, ScalesOfResults) {
  EXPECT_EQ(Show(Numeric::Add(N("1.10"), N("2.205"))), "3.305");
  EXPECT_EQ(Show(Numeric::Subtract(N("1"), N("1.00"))), "0.00");
  EXPECT_EQ(Show(Numeric::Multiply(N("1.10"), N("2.0"))), "2.200");
  EXPECT_EQ(Show(Numeric::Divide(N("1"), N("3"))), "0.33333333333333333333");
  EXPECT_EQ(Show(Numeric::Divide(N("10"), N("4"))), "2.5000000000000000");
  EXPECT_EQ(Show(Numeric::Divide(N("1"), N("0"))), "22012 division by zero");
  EXPECT_EQ(Show(Numeric::Modulo(N("-7.5"), N("2"))), "-1.5");
  EXPECT_EQ(Show(Numeric::DivideTruncate(N("-7.5"), N("2"))), "-3");
  EXPECT_EQ(N("2.5").Round(0).ToString(), "3");
  EXPECT_EQ(N("-2.5").Round(0).ToString(), "-3");
  EXPECT_EQ(N("1250").Round(-2).ToString(), "1300");
  EXPECT_EQ(N("1.5").Round(3).ToString(), "1.500");
  EXPECT_EQ(N("-1.99").Truncate(1).ToString(), "-1.9");
  EXPECT_EQ(N("-1.5").Floor().ToString(), "-2");
  EXPECT_EQ(N("-1.5").Ceil().ToString(), "-1");
}

TEST(NumericTest, Specials) {
  EXPECT_EQ(Show(Numeric::Add(N("Infinity"), N("-Infinity"))), "NaN");
  EXPECT_EQ(Show(Numeric::Multiply(N("Infinity"), N("0"))), "NaN");
  EXPECT_EQ(Show(Numeric::Divide(N("1"), N("Infinity"))), "0");
  EXPECT_TRUE(N("NaN") == N("NaN"));
  EXPECT_TRUE(N("Infinity") < N("NaN"));
  EXPECT_TRUE(N("-Infinity") < N("-1e100"));
  EXPECT_EQ(Show(Numeric::Power(N("1"), N("NaN"))), "1");
  EXPECT_EQ(Show(Numeric::Power(N("0"), N("-1"))), "2201F zero raised to a negative power is undefined");
}

TEST(NumericTest, Transcendental) {
  EXPECT_EQ(Show(Numeric::Sqrt(N("2"))), "1.414213562373095");
  EXPECT_EQ(Show(Numeric::Exp(N("1"))), "2.7182818284590452");
  EXPECT_EQ(Show(Numeric::Ln(N("2"))), "0.6931471805599453");
  EXPECT_EQ(Show(Numeric::Log10(N("2"))), "0.3010299956639812");
  EXPECT_EQ(Show(Numeric::Log(N("2"), N("64"))), "6.0000000000000000");
  EXPECT_EQ(Show(Numeric::Power(N("2"), N("0.5"))), "1.4142135623730950");
  EXPECT_EQ(Show(Numeric::Power(N("2"), N("-3"))), "0.1250000000000000");
  EXPECT_EQ(Show(Numeric::Sqrt(N("-1"))), "2201F cannot take square root of a negative number");
  EXPECT_EQ(Show(Numeric::Ln(N("0"))), "2201E cannot take logarithm of zero");
  EXPECT_EQ(Show(Numeric::Factorial(20)), "2432902008176640000");
}

TEST(NumericTest, Conversions) {
  EXPECT_EQ(*N("2.5").ToInt32(), 3);
  EXPECT_EQ(ToPgError(N("2147483648").ToInt32().status()).message, "integer out of range");
  EXPECT_EQ(*N("9223372036854775807").ToInt64(), INT64_MAX);
  EXPECT_EQ(ToPgError(N("9223372036854775808").ToInt64().status()).message, "bigint out of range");
  EXPECT_EQ(ToPgError(N("NaN").ToInt64().status()).message, "cannot convert NaN to bigint");
  EXPECT_EQ(N("0.1").ToDouble(), 0.1);
  EXPECT_EQ(Numeric::FromDouble(0.1).ToString(), "0.1");
  EXPECT_EQ(Numeric::FromFloat(0.1f).ToString(), "0.1");
  EXPECT_EQ(Numeric(INT64_MIN).ToString(), "-9223372036854775808");
}

TEST(NumericTest, Typmod) {
  auto typmod = [](int p, int s) { return ((p << 16) | (s & 0x7ff)) + 4; };
  EXPECT_EQ(Show(N("123.456").ApplyTypmod(typmod(5, 2))), "123.46");
  EXPECT_EQ(Show(N("999.995").ApplyTypmod(typmod(5, 2))), "22003 numeric field overflow");
  EXPECT_EQ(ToPgError(N("1e3").ApplyTypmod(typmod(5, 2)).status()).detail,
            "A field with precision 5, scale 2 must round to an absolute value less than 10^3.");
  EXPECT_EQ(Show(N("12345").ApplyTypmod(typmod(3, -2))), "12300");
  EXPECT_EQ(Show(N("NaN").ApplyTypmod(typmod(5, 2))), "NaN");
}

// Every operation agrees with the laws of arithmetic, through both representations (small and big).
TEST(NumericTest, RandomLaws) {
  SeededRandom random(42);
  auto any = [&] {
    int digits = 1 + static_cast<int>(random.Uniform(40));
    std::string s = random.Chance(0.5) ? "-" : "";
    for (int i = 0; i < digits; ++i) s.push_back(static_cast<char>('0' + random.Uniform(10)));
    if (random.Chance(0.6)) {
      s.push_back('.');
      for (size_t i = 0; i < random.Uniform(20); ++i) s.push_back(static_cast<char>('0' + random.Uniform(10)));
    }
    return N(s);
  };
  for (int i = 0; i < 3000; ++i) {
    Numeric a = any(), b = any(), c = any();
    Numeric sum = *Numeric::Add(a, b);
    EXPECT_TRUE(*Numeric::Subtract(sum, b) == a) << a.ToString() << " " << b.ToString();
    EXPECT_TRUE(*Numeric::Multiply(a, *Numeric::Add(b, c)) == *Numeric::Add(*Numeric::Multiply(a, b), *Numeric::Multiply(a, c)));
    if (!b.IsZero()) {
      Numeric q = *Numeric::DivideTruncate(a, b), r = *Numeric::Modulo(a, b);
      EXPECT_TRUE(*Numeric::Add(*Numeric::Multiply(q, b), r) == a);
      EXPECT_TRUE(r.Abs() < b.Abs());
      EXPECT_TRUE(r.IsZero() || r.IsNegative() == a.IsNegative());
    }
    std::string wire;
    a.SendBinary(&wire);
    EXPECT_EQ(Show(Numeric::ReceiveBinary(wire)), a.ToString());
    EXPECT_EQ(Show(Numeric::FromParts(a.ToParts())), a.ToString());
    EXPECT_EQ(a.Hash(), a.Round(a.scale() + 7).Hash());
    EXPECT_EQ(Numeric::Compare(a, b), -Numeric::Compare(b, a));
  }
}

TEST(NumericTest, BinaryInputIsChecked) {
  EXPECT_FALSE(Numeric::ReceiveBinary("").ok());
  EXPECT_FALSE(Numeric::ReceiveBinary(std::string("\0\1\0\0\0\0\0\0", 8)).ok());             // a digit is missing
  EXPECT_FALSE(Numeric::ReceiveBinary(std::string("\0\1\0\0\0\0\0\0\x27\x10", 10)).ok());    // digit 10000
  EXPECT_FALSE(Numeric::ReceiveBinary(std::string("\0\0\0\0\x12\x34\0\0", 8)).ok());         // sign
}

}  // namespace
}  // namespace insula::sql
