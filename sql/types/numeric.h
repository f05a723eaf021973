// numeric: an exact decimal number of any size, with PostgreSQL's rules for scales.
//
// A value is mantissa × 10^-scale; `scale` is the display scale (1.50 has 2), which does not take part in comparison or hashing.
// Values whose mantissa fits 18 decimal digits, nearly all, live in 16 bytes without allocation, and their arithmetic is
// int64/int128 arithmetic; larger ones own an array of base-10^9 limbs.
//
//   ASSIGN_OR_RETURN(Numeric a, Numeric::Parse("1.50"));
//   ASSIGN_OR_RETURN(Numeric q, Numeric::Divide(a, Numeric(3)));      // 0.50000000000000000000
//
// NaN equals itself and sorts above +Infinity. Limits as in PostgreSQL: 131072 digits before the point, 16383 after.
// Thread safety: a value type.
#ifndef INSULA_SQL_TYPES_NUMERIC_H_
#define INSULA_SQL_TYPES_NUMERIC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace insula::sql {

namespace internal {
class BigInt;
}

class Numeric {
 public:
  enum class Kind : uint8_t { kSmall, kBig, kNaN, kPositiveInfinity, kNegativeInfinity };
  static constexpr int kMaxScale = 16383;
  static constexpr int kMaxWeightDigits = 131072;

  Numeric() : small_(0), scale_(0), kind_(Kind::kSmall) {}
  explicit Numeric(int64_t v);
  Numeric(const Numeric& o);
  Numeric(Numeric&& o) noexcept : small_(o.small_), scale_(o.scale_), kind_(o.kind_) { o.kind_ = Kind::kSmall; o.small_ = 0; }
  Numeric& operator=(const Numeric& o);
  Numeric& operator=(Numeric&& o) noexcept {
    std::swap(small_, o.small_);
    std::swap(scale_, o.scale_);
    std::swap(kind_, o.kind_);
    return *this;
  }
  ~Numeric() { if (kind_ == Kind::kBig) Free(); }

  static Numeric NaN() { return Numeric(Kind::kNaN); }
  static Numeric PositiveInfinity() { return Numeric(Kind::kPositiveInfinity); }
  static Numeric NegativeInfinity() { return Numeric(Kind::kNegativeInfinity); }
  // mantissa × 10^-scale, any int64, 0 <= scale <= kMaxScale.
  static Numeric FromScaled(int64_t mantissa, int scale);
  static Numeric FromInt128(__int128 v, int scale = 0);

  // Text input as numeric_in: spaces around, sign, exponent, NaN, Infinity. 22P02 / 22003.
  static absl::StatusOr<Numeric> Parse(std::string_view text);
  // Casts from floats keep 15 (double) or 6 (float) digits, as PostgreSQL does.
  static Numeric FromDouble(double v);
  static Numeric FromFloat(float v);

  std::string ToString() const;
  void AppendTo(std::string* out) const;
  // 22003 when out of range ("integer out of range"), 0A000 for NaN and infinities.
  absl::StatusOr<int64_t> ToInt64() const;
  absl::StatusOr<int64_t> ToInt32() const;
  absl::StatusOr<int64_t> ToInt16() const;
  double ToDouble() const;  // ±Infinity when too large

  bool IsNaN() const { return kind_ == Kind::kNaN; }
  bool IsInfinite() const { return kind_ == Kind::kPositiveInfinity || kind_ == Kind::kNegativeInfinity; }
  bool IsFinite() const { return kind_ <= Kind::kBig; }
  bool IsZero() const { return kind_ == Kind::kSmall && small_ == 0; }
  bool IsNegative() const;
  bool IsIntegral() const;  // finite with no fraction other than zeros
  Kind kind() const { return kind_; }
  int scale() const { return scale_; }
  int min_scale() const;    // least scale that holds the value
  // If kind is kSmall, the mantissa, |.| < 10^18: for tight loops.
  int64_t small_mantissa() const { return small_; }

  static int Compare(const Numeric& a, const Numeric& b);
  friend bool operator==(const Numeric& a, const Numeric& b) { return Compare(a, b) == 0; }
  friend bool operator<(const Numeric& a, const Numeric& b) { return Compare(a, b) < 0; }
  uint64_t Hash() const;  // equal values hash equal, whatever their scale

  // 22003 "value overflows numeric format" when the result has too many digits; 22012 for division by zero.
  static absl::StatusOr<Numeric> Add(const Numeric& a, const Numeric& b);
  static absl::StatusOr<Numeric> Subtract(const Numeric& a, const Numeric& b);
  static absl::StatusOr<Numeric> Multiply(const Numeric& a, const Numeric& b);
  static absl::StatusOr<Numeric> Divide(const Numeric& a, const Numeric& b);
  static absl::StatusOr<Numeric> Modulo(const Numeric& a, const Numeric& b);
  static absl::StatusOr<Numeric> DivideTruncate(const Numeric& a, const Numeric& b);  // div(): integer quotient
  static absl::StatusOr<Numeric> Gcd(const Numeric& a, const Numeric& b);
  static absl::StatusOr<Numeric> Lcm(const Numeric& a, const Numeric& b);
  // a / b rounded to `scale` digits; for averages and deviations.
  static absl::StatusOr<Numeric> DivideToScale(const Numeric& a, const Numeric& b, int scale);
  // Scale of a / b as PostgreSQL selects it (at least 16 significant digits).
  static int SelectDivScale(const Numeric& a, const Numeric& b);

  Numeric Negate() const;
  Numeric Abs() const;
  int Sign() const;
  Numeric Round(int scale) const;     // half away from zero; negative scale rounds before the point
  Numeric Truncate(int scale) const;
  Numeric Ceil() const;
  Numeric Floor() const;
  Numeric TrimScale() const;
  // numeric(p,s): rounds, then 22003 "numeric field overflow" with PostgreSQL's detail.
  absl::StatusOr<Numeric> ApplyTypmod(int32_t typmod) const;

  // numeric_math.cc. Result scales and errors (2201E, 2201F) as PostgreSQL's.
  static absl::StatusOr<Numeric> Sqrt(const Numeric& a);
  // The root of a finite value >= 0, rounded to `scale` digits.
  static absl::StatusOr<Numeric> SqrtToScale(const Numeric& a, int scale);
  static absl::StatusOr<Numeric> Exp(const Numeric& a);
  static absl::StatusOr<Numeric> Ln(const Numeric& a);
  static absl::StatusOr<Numeric> Log10(const Numeric& a);
  static absl::StatusOr<Numeric> Log(const Numeric& base, const Numeric& a);
  static absl::StatusOr<Numeric> Power(const Numeric& base, const Numeric& exponent);
  static absl::StatusOr<Numeric> Factorial(int64_t n);

  // The protocol's binary format.
  void SendBinary(std::string* out) const;
  static absl::StatusOr<Numeric> ReceiveBinary(std::string_view bytes);

  // The value as decimal digits, for encoders of rows and keys:
  //   value = (negative ? -1 : 1) × 0.d1d2d3… × 10^exponent, d1 ≠ 0 and the last digit ≠ 0; zero has no digits.
  struct Parts {
    Kind kind = Kind::kSmall;  // kSmall stands for any finite value
    bool negative = false;
    int32_t exponent = 0;
    int32_t scale = 0;
    std::string digits;        // ASCII
  };
  Parts ToParts() const;
  static absl::StatusOr<Numeric> FromParts(const Parts& parts);

  size_t MemoryUsage() const;  // heap bytes beyond sizeof(Numeric)

 private:
  friend class NumericOps;
  explicit Numeric(Kind kind) : small_(0), scale_(0), kind_(kind) {}
  void Free();

  union {
    int64_t small_;
    internal::BigInt* big_;  // owned; the mantissa
  };
  int16_t scale_;
  Kind kind_;
};

static_assert(sizeof(Numeric) == 16);

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_NUMERIC_H_
