#include "sql/types/numeric.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/big_int.h"
#include "sql/types/numeric_ops.h"

namespace insula::sql {

using internal::BigInt;

namespace {

constexpr int64_t kSmallLimit = 1000000000000000000;  // 10^18
constexpr int64_t kPow10[19] = {1,
                                10,
                                100,
                                1000,
                                10000,
                                100000,
                                1000000,
                                10000000,
                                100000000,
                                1000000000,
                                10000000000,
                                100000000000,
                                1000000000000,
                                10000000000000,
                                100000000000000,
                                1000000000000000,
                                10000000000000000,
                                100000000000000000,
                                1000000000000000000};

int DigitsOf(uint64_t v) {
  int n = 0;
  while (n < 19 && v >= static_cast<uint64_t>(kPow10[std::min(n, 18)])) ++n;
  return n;
}

__int128 Abs128(__int128 v) { return v < 0 ? -v : v; }

// 10^n for n <= 38.
__int128 Pow10_128(int n) {
  return n <= 18 ? static_cast<__int128>(kPow10[n]) : static_cast<__int128>(kPow10[18]) * Pow10_128(n - 18);
}

bool EqualsNoCase(std::string_view a, std::string_view lower) {
  return a.size() == lower.size() && AsciiLower(a) == lower;
}

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

absl::Status DivisionByZero() { return PgError("22012", "division by zero"); }

uint64_t Mix(uint64_t h, uint64_t v) {
  h ^= v + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
  h *= 0xbf58476d1ce4e5b9ull;
  return h ^ (h >> 31);
}

}  // namespace

// ---- NumericOps

BigInt NumericOps::Mantissa(const Numeric& v) { return v.kind_ == Numeric::Kind::kBig ? *v.big_ : BigInt(v.small_); }

Numeric NumericOps::Make(BigInt mantissa, int scale) {
  DCHECK(scale >= 0 && scale <= Numeric::kMaxScale);
  int64_t small;
  if (mantissa.FitsInt64(&small) && small > -kSmallLimit && small < kSmallLimit) {
    Numeric out;
    out.small_ = small;
    out.scale_ = static_cast<int16_t>(scale);
    return out;
  }
  Numeric out(Numeric::Kind::kBig);
  out.big_ = new BigInt(std::move(mantissa));
  out.scale_ = static_cast<int16_t>(scale);
  return out;
}

absl::Status NumericOps::Overflow() { return PgError(sqlstate::kNumericValueOutOfRange, "value overflows numeric format"); }

absl::StatusOr<Numeric> NumericOps::MakeChecked(BigInt mantissa, int scale) {
  if (scale > Numeric::kMaxScale) {
    mantissa = Rescale(mantissa, scale, Numeric::kMaxScale);
    scale = Numeric::kMaxScale;
  }
  if (mantissa.DigitCount() - scale > Numeric::kMaxWeightDigits) return Overflow();
  return Make(std::move(mantissa), scale);
}

BigInt NumericOps::Rescale(const BigInt& mantissa, int from, int to) {
  return to >= from ? mantissa.MulPow10(to - from) : mantissa.DivPow10(from - to, true);
}

int NumericOps::Exponent(const Numeric& v) {
  int digits = v.kind_ == Numeric::Kind::kBig ? v.big_->DigitCount() : DigitsOf(std::abs(v.small_));
  return digits - 1 - v.scale_;
}

NumericOps::Leading NumericOps::LeadingDigit(const Numeric& v) {
  if (v.IsZero()) return {};
  int e = Exponent(v);
  int weight = e >= 0 ? e / 4 : -((-e + 3) / 4);
  int take = e - 4 * weight + 1;  // decimal digits in the first base-10000 digit
  int digit;
  if (v.kind_ == Numeric::Kind::kBig) {
    std::string digits = v.big_->ToDigits();
    digit = std::atoi(digits.substr(0, take).c_str());
  } else {
    int have = DigitsOf(std::abs(v.small_));
    int64_t m = std::abs(v.small_);
    digit = static_cast<int>(have >= take ? m / kPow10[have - take] : m * kPow10[take - have]);
    return {weight, digit};
  }
  return {weight, digit};
}

// ---- construction

Numeric::Numeric(int64_t v) : small_(v), scale_(0), kind_(Kind::kSmall) {
  if (v <= -kSmallLimit || v >= kSmallLimit) {
    big_ = new BigInt(v);
    kind_ = Kind::kBig;
  }
}

Numeric::Numeric(const Numeric& o) : small_(o.small_), scale_(o.scale_), kind_(o.kind_) {
  if (kind_ == Kind::kBig) big_ = new BigInt(*o.big_);
}

Numeric& Numeric::operator=(const Numeric& o) {
  if (this != &o) {
    Numeric copy(o);
    *this = std::move(copy);
  }
  return *this;
}

void Numeric::Free() { delete big_; }

Numeric Numeric::FromScaled(int64_t mantissa, int scale) {
  Numeric out(mantissa);
  out.scale_ = static_cast<int16_t>(scale);
  return out;
}

Numeric Numeric::FromInt128(__int128 v, int scale) {
  if (v > -kSmallLimit && v < kSmallLimit) return FromScaled(static_cast<int64_t>(v), scale);
  return NumericOps::Make(BigInt(v), scale);
}

absl::StatusOr<Numeric> Numeric::Parse(std::string_view text) {
  auto invalid = [&] {
    return PgError(sqlstate::kInvalidTextRepresentation, StrCat("invalid input syntax for type numeric: \"", text, "\""));
  };
  std::string_view s = text;
  while (!s.empty() && IsSpace(s.front())) s.remove_prefix(1);
  while (!s.empty() && IsSpace(s.back())) s.remove_suffix(1);
  bool negative = false;
  if (EqualsNoCase(s, "nan")) return NaN();
  if (!s.empty() && (s[0] == '+' || s[0] == '-')) {
    negative = s[0] == '-';
    s.remove_prefix(1);
  }
  if (EqualsNoCase(s, "infinity") || EqualsNoCase(s, "inf")) return negative ? NegativeInfinity() : PositiveInfinity();
  // digits [. digits] [e [sign] digits], with at least one digit before the exponent
  size_t i = 0, digits = 0, fraction = 0;
  int64_t small = 0;
  bool point = false;
  std::string all;
  for (; i < s.size(); ++i) {
    char c = s[i];
    if (c >= '0' && c <= '9') {
      ++digits;
      if (point) ++fraction;
      if (digits <= 18) {
        small = small * 10 + (c - '0');
      } else {
        if (digits == 19) {
          for (char d : s.substr(0, i)) {
            if (d != '.') all.push_back(d);
          }
        }
        all.push_back(c);
      }
    } else if (c == '.' && !point) {
      point = true;
    } else {
      break;
    }
  }
  if (digits == 0) return invalid();
  int64_t exponent = 0;
  if (i < s.size() && (s[i] == 'e' || s[i] == 'E')) {
    ++i;
    if (i < s.size() && s[i] == '+') ++i;
    if (i < s.size() && s[i] == '-' && s[i - 1] == '+') return invalid();
    auto [end, error] = std::from_chars(s.data() + i, s.data() + s.size(), exponent);
    if (error == std::errc::result_out_of_range) return NumericOps::Overflow();
    if (error != std::errc()) return invalid();
    i = end - s.data();
    if (std::abs(exponent) >= std::numeric_limits<int32_t>::max() / 2) return NumericOps::Overflow();
  }
  if (i != s.size()) return invalid();
  int64_t scale = static_cast<int64_t>(fraction) - exponent;
  if (digits <= 18 && scale >= 0 && scale <= kMaxScale) return FromScaled(negative ? -small : small, static_cast<int>(scale));
  BigInt mantissa = digits <= 18 ? BigInt(negative ? -small : small) : BigInt::FromDigits(all, negative);
  if (scale < 0) {
    if (mantissa.IsZero()) return Numeric();
    if (-scale > kMaxWeightDigits) return NumericOps::Overflow();
    mantissa = mantissa.MulPow10(static_cast<int>(-scale));
    scale = 0;
  }
  if (scale > kMaxScale) {
    // Nothing but zeros can be dropped without changing the value; PostgreSQL refuses such scales.
    return NumericOps::Overflow();
  }
  return NumericOps::MakeChecked(std::move(mantissa), static_cast<int>(scale));
}

namespace {

Numeric FromPrintedFloat(double v, int digits) {
  if (std::isnan(v)) return Numeric::NaN();
  if (std::isinf(v)) return v > 0 ? Numeric::PositiveInfinity() : Numeric::NegativeInfinity();
  char buffer[64];
  int n = std::snprintf(buffer, sizeof(buffer), "%.*g", digits, v);
  auto parsed = Numeric::Parse(std::string_view(buffer, n));
  CHECK_OK(parsed.status());
  return *std::move(parsed);
}

}  // namespace

Numeric Numeric::FromDouble(double v) { return FromPrintedFloat(v, 15); }
Numeric Numeric::FromFloat(float v) { return FromPrintedFloat(static_cast<double>(v), 6); }

// ---- text

void Numeric::AppendTo(std::string* out) const {
  switch (kind_) {
    case Kind::kNaN: out->append("NaN"); return;
    case Kind::kPositiveInfinity: out->append("Infinity"); return;
    case Kind::kNegativeInfinity: out->append("-Infinity"); return;
    case Kind::kSmall: {
      char buffer[24];
      uint64_t u = small_ < 0 ? -static_cast<uint64_t>(small_) : static_cast<uint64_t>(small_);
      auto end = std::to_chars(buffer, buffer + sizeof(buffer), u).ptr;
      size_t n = end - buffer, scale = static_cast<size_t>(scale_);
      if (small_ < 0) out->push_back('-');
      if (scale == 0) {
        out->append(buffer, n);
      } else if (n > scale) {
        out->append(buffer, n - scale);
        out->push_back('.');
        out->append(buffer + n - scale, scale);
      } else {
        out->append("0.");
        out->append(scale - n, '0');
        out->append(buffer, n);
      }
      return;
    }
    case Kind::kBig: {
      std::string digits = big_->ToDigits();
      size_t scale = static_cast<size_t>(scale_);
      if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
      if (big_->negative()) out->push_back('-');
      out->append(digits, 0, digits.size() - scale);
      if (scale > 0) {
        out->push_back('.');
        out->append(digits, digits.size() - scale, scale);
      }
      return;
    }
  }
}

std::string Numeric::ToString() const {
  std::string out;
  AppendTo(&out);
  return out;
}

// ---- to other numbers

namespace {

absl::StatusOr<int64_t> ToIntOf(const Numeric& v, std::string_view type, int64_t min, int64_t max) {
  if (v.IsNaN()) return PgError(sqlstate::kFeatureNotSupported, StrCat("cannot convert NaN to ", type));
  if (v.IsInfinite()) return PgError(sqlstate::kFeatureNotSupported, StrCat("cannot convert infinity to ", type));
  Numeric whole = v.scale() == 0 ? v : v.Round(0);
  __int128 wide;
  if (!NumericOps::Mantissa(whole).FitsInt128(&wide) || wide < min || wide > max) {
    return PgError(sqlstate::kNumericValueOutOfRange, StrCat(type, " out of range"));
  }
  return static_cast<int64_t>(wide);
}

}  // namespace

absl::StatusOr<int64_t> Numeric::ToInt64() const {
  if (kind_ == Kind::kSmall && scale_ == 0) return small_;
  return ToIntOf(*this, "bigint", std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
}
absl::StatusOr<int64_t> Numeric::ToInt32() const {
  return ToIntOf(*this, "integer", std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
}
absl::StatusOr<int64_t> Numeric::ToInt16() const {
  return ToIntOf(*this, "smallint", std::numeric_limits<int16_t>::min(), std::numeric_limits<int16_t>::max());
}

double Numeric::ToDouble() const {
  switch (kind_) {
    case Kind::kNaN: return std::numeric_limits<double>::quiet_NaN();
    case Kind::kPositiveInfinity: return std::numeric_limits<double>::infinity();
    case Kind::kNegativeInfinity: return -std::numeric_limits<double>::infinity();
    case Kind::kSmall:
      // Both are exact doubles, so the quotient is the correctly rounded value.
      if (std::abs(small_) <= (int64_t{1} << 53) && scale_ <= 18) {
        return static_cast<double>(small_) / static_cast<double>(kPow10[scale_]);
      }
      break;
    case Kind::kBig: break;
  }
  return std::strtod(ToString().c_str(), nullptr);
}

bool Numeric::IsNegative() const {
  if (kind_ == Kind::kSmall) return small_ < 0;
  return kind_ == Kind::kBig ? big_->negative() : kind_ == Kind::kNegativeInfinity;
}

int Numeric::Sign() const {
  if (kind_ == Kind::kSmall) return small_ < 0 ? -1 : small_ > 0;
  return IsNegative() ? -1 : 1;
}

int Numeric::min_scale() const {
  int zeros = 0;
  if (kind_ == Kind::kBig) {
    zeros = big_->TrailingZeros();
  } else if (small_ == 0) {
    return 0;
  } else {
    for (int64_t m = small_; m % 10 == 0 && zeros < scale_; m /= 10) ++zeros;
  }
  return std::max(0, scale_ - zeros);
}

bool Numeric::IsIntegral() const { return IsFinite() && (scale_ == 0 || min_scale() == 0); }

// ---- order

int Numeric::Compare(const Numeric& a, const Numeric& b) {
  if (a.kind_ == Kind::kSmall && b.kind_ == Kind::kSmall) {
    if (a.scale_ == b.scale_) return a.small_ < b.small_ ? -1 : a.small_ > b.small_;
    int diff = a.scale_ - b.scale_;
    if (diff >= -18 && diff <= 18) {
      __int128 x = a.small_, y = b.small_;
      if (diff < 0) x *= kPow10[-diff]; else y *= kPow10[diff];
      return x < y ? -1 : x > y;
    }
  }
  if (!a.IsFinite() || !b.IsFinite()) {
    auto rank = [](const Numeric& v) {
      if (v.IsFinite()) return 0;
      return v.IsNaN() ? 2 : (v.kind_ == Kind::kPositiveInfinity ? 1 : -1);
    };
    return rank(a) < rank(b) ? -1 : rank(a) > rank(b);
  }
  int sa = a.Sign(), sb = b.Sign();
  if (sa != sb) return sa < sb ? -1 : 1;
  if (sa == 0) return 0;
  int ea = NumericOps::Exponent(a), eb = NumericOps::Exponent(b);
  if (ea != eb) return (ea < eb) == (sa > 0) ? -1 : 1;
  int scale = std::max(a.scale_, b.scale_);
  return BigInt::Compare(NumericOps::Rescale(NumericOps::Mantissa(a), a.scale_, scale),
                         NumericOps::Rescale(NumericOps::Mantissa(b), b.scale_, scale));
}

uint64_t Numeric::Hash() const {
  uint64_t h = 0x51ed270b27e2a3f1ull;
  if (!IsFinite()) return Mix(h, static_cast<uint64_t>(kind_));
  if (IsZero()) return Mix(h, 0);
  // Canonical: the mantissa without trailing zeros, and the exponent they leave.
  int exponent = -scale_;
  if (kind_ == Kind::kSmall) {
    int64_t m = small_;
    while (m % 10 == 0) {
      m /= 10;
      ++exponent;
    }
    return Mix(Mix(h, static_cast<uint64_t>(m)), static_cast<uint64_t>(exponent));
  }
  int zeros = big_->TrailingZeros();
  BigInt m = big_->DivPow10(zeros, false);
  exponent += zeros;
  int64_t small;
  if (m.FitsInt64(&small) && small > -kSmallLimit && small < kSmallLimit) {
    return Mix(Mix(h, static_cast<uint64_t>(small)), static_cast<uint64_t>(exponent));
  }
  std::string digits = m.ToDigits();
  h = Mix(h, m.negative() ? 1 : 2);
  for (size_t i = 0; i < digits.size(); i += 18) {
    uint64_t part = 0;
    for (size_t j = i; j < std::min(digits.size(), i + 18); ++j) part = part * 10 + static_cast<uint64_t>(digits[j] - '0');
    h = Mix(h, part);
  }
  return Mix(h, static_cast<uint64_t>(exponent));
}

// ---- arithmetic

namespace {

Numeric InfinityOf(bool negative) { return negative ? Numeric::NegativeInfinity() : Numeric::PositiveInfinity(); }

absl::StatusOr<Numeric> AddFinite(const Numeric& a, const Numeric& b, bool subtract) {
  int scale = std::max(a.scale(), b.scale());
  if (a.kind() == Numeric::Kind::kSmall && b.kind() == Numeric::Kind::kSmall && scale - a.scale() <= 18 &&
      scale - b.scale() <= 18) {
    __int128 x = static_cast<__int128>(a.small_mantissa()) * kPow10[scale - a.scale()];
    __int128 y = static_cast<__int128>(b.small_mantissa()) * kPow10[scale - b.scale()];
    return Numeric::FromInt128(subtract ? x - y : x + y, scale);
  }
  BigInt x = NumericOps::Rescale(NumericOps::Mantissa(a), a.scale(), scale);
  BigInt y = NumericOps::Rescale(NumericOps::Mantissa(b), b.scale(), scale);
  return NumericOps::MakeChecked(subtract ? x - y : x + y, scale);
}

}  // namespace

absl::StatusOr<Numeric> Numeric::Add(const Numeric& a, const Numeric& b) {
  if (a.IsFinite() && b.IsFinite()) return AddFinite(a, b, false);
  if (a.IsNaN() || b.IsNaN()) return NaN();
  if (a.IsInfinite() && b.IsInfinite() && a.kind_ != b.kind_) return NaN();
  return a.IsInfinite() ? a : b;
}

absl::StatusOr<Numeric> Numeric::Subtract(const Numeric& a, const Numeric& b) {
  if (a.IsFinite() && b.IsFinite()) return AddFinite(a, b, true);
  return Add(a, b.Negate());
}

absl::StatusOr<Numeric> Numeric::Multiply(const Numeric& a, const Numeric& b) {
  if (a.kind_ == Kind::kSmall && b.kind_ == Kind::kSmall && a.scale_ + b.scale_ <= kMaxScale) {
    return FromInt128(static_cast<__int128>(a.small_) * b.small_, a.scale_ + b.scale_);
  }
  if (a.IsNaN() || b.IsNaN()) return NaN();
  if (a.IsInfinite() || b.IsInfinite()) {
    if (a.Sign() == 0 || b.Sign() == 0) return NaN();
    return InfinityOf(a.Sign() != b.Sign());
  }
  return NumericOps::MakeChecked(NumericOps::Mantissa(a) * NumericOps::Mantissa(b), a.scale_ + b.scale_);
}

int Numeric::SelectDivScale(const Numeric& a, const Numeric& b) {
  NumericOps::Leading x = NumericOps::LeadingDigit(a), y = NumericOps::LeadingDigit(b);
  int weight = x.weight - y.weight;
  if (x.digit <= y.digit) --weight;
  int scale = NumericOps::kMinSignificantDigits - weight * 4;
  scale = std::max({scale, static_cast<int>(a.scale_), static_cast<int>(b.scale_), 0});
  return std::min(scale, NumericOps::kMaxDisplayScale);
}

absl::StatusOr<Numeric> Numeric::DivideToScale(const Numeric& a, const Numeric& b, int scale) {
  if (b.IsZero()) return DivisionByZero();
  int shift = scale + b.scale_ - a.scale_;
  if (a.kind_ == Kind::kSmall && b.kind_ == Kind::kSmall && shift >= 0 && DigitsOf(std::abs(a.small_)) + shift <= 37) {
    __int128 n = static_cast<__int128>(a.small_) * Pow10_128(shift), d = b.small_;
    __int128 q = n / d, r = n % d;
    if (Abs128(r) * 2 >= Abs128(d)) q += (n < 0) == (d < 0) ? 1 : -1;
    return FromInt128(q, scale);
  }
  BigInt n = NumericOps::Mantissa(a), d = NumericOps::Mantissa(b);
  if (shift >= 0) n = n.MulPow10(shift); else d = d.MulPow10(-shift);
  return NumericOps::MakeChecked(BigInt::DivRound(n, d), scale);
}

absl::StatusOr<Numeric> Numeric::Divide(const Numeric& a, const Numeric& b) {
  if (a.IsNaN() || b.IsNaN()) return NaN();
  if (a.IsInfinite()) {
    if (b.IsInfinite()) return NaN();
    if (b.IsZero()) return DivisionByZero();
    return InfinityOf(a.Sign() != b.Sign());
  }
  if (b.IsInfinite()) return Numeric();
  if (b.IsZero()) return DivisionByZero();
  return DivideToScale(a, b, SelectDivScale(a, b));
}

absl::StatusOr<Numeric> Numeric::DivideTruncate(const Numeric& a, const Numeric& b) {
  if (a.IsNaN() || b.IsNaN()) return NaN();
  if (a.IsInfinite()) {
    if (b.IsInfinite()) return NaN();
    if (b.IsZero()) return DivisionByZero();
    return InfinityOf(a.Sign() != b.Sign());
  }
  if (b.IsInfinite()) return Numeric();
  if (b.IsZero()) return DivisionByZero();
  int scale = std::max(a.scale_, b.scale_);
  BigInt q;
  BigInt::DivMod(NumericOps::Rescale(NumericOps::Mantissa(a), a.scale_, scale),
                 NumericOps::Rescale(NumericOps::Mantissa(b), b.scale_, scale), &q, nullptr);
  return NumericOps::MakeChecked(std::move(q), 0);
}

absl::StatusOr<Numeric> Numeric::Modulo(const Numeric& a, const Numeric& b) {
  if (a.IsNaN() || b.IsNaN()) return NaN();
  if (a.IsInfinite()) {
    if (b.IsZero()) return DivisionByZero();
    return NaN();
  }
  if (b.IsInfinite()) return a;
  if (b.IsZero()) return DivisionByZero();
  int scale = std::max(a.scale_, b.scale_);
  if (a.kind_ == Kind::kSmall && b.kind_ == Kind::kSmall && scale - a.scale_ <= 18 && scale - b.scale_ <= 18) {
    __int128 x = static_cast<__int128>(a.small_) * kPow10[scale - a.scale_];
    __int128 y = static_cast<__int128>(b.small_) * kPow10[scale - b.scale_];
    return FromInt128(x % y, scale);
  }
  BigInt r;
  BigInt::DivMod(NumericOps::Rescale(NumericOps::Mantissa(a), a.scale_, scale),
                 NumericOps::Rescale(NumericOps::Mantissa(b), b.scale_, scale), nullptr, &r);
  return NumericOps::MakeChecked(std::move(r), scale);
}

absl::StatusOr<Numeric> Numeric::Gcd(const Numeric& a, const Numeric& b) {
  if (!a.IsFinite() || !b.IsFinite()) return NaN();
  int scale = std::max(a.scale_, b.scale_);
  BigInt x = NumericOps::Rescale(NumericOps::Mantissa(a), a.scale_, scale).Abs();
  BigInt y = NumericOps::Rescale(NumericOps::Mantissa(b), b.scale_, scale).Abs();
  while (!y.IsZero()) {
    BigInt r;
    BigInt::DivMod(x, y, nullptr, &r);
    x = std::move(y);
    y = std::move(r);
  }
  return NumericOps::MakeChecked(std::move(x), scale);
}

absl::StatusOr<Numeric> Numeric::Lcm(const Numeric& a, const Numeric& b) {
  if (!a.IsFinite() || !b.IsFinite()) return NaN();
  int scale = std::max(a.scale_, b.scale_);
  if (a.IsZero() || b.IsZero()) return FromScaled(0, scale);
  ASSIGN_OR_RETURN(Numeric gcd, Gcd(a, b));
  ASSIGN_OR_RETURN(Numeric part, DivideTruncate(a, gcd));
  ASSIGN_OR_RETURN(Numeric product, Multiply(part, b));
  return product.Abs().Round(scale);
}

Numeric Numeric::Negate() const {
  switch (kind_) {
    case Kind::kNaN: return NaN();
    case Kind::kPositiveInfinity: return NegativeInfinity();
    case Kind::kNegativeInfinity: return PositiveInfinity();
    case Kind::kSmall: return FromScaled(-small_, scale_);
    case Kind::kBig: return NumericOps::Make(-*big_, scale_);
  }
  return NaN();
}

Numeric Numeric::Abs() const { return IsNegative() ? Negate() : *this; }

namespace {

Numeric RoundOrTruncate(const Numeric& v, int scale, bool round) {
  if (!v.IsFinite()) return v;
  scale = std::clamp(scale, -NumericOps::kMaxResultScale, NumericOps::kMaxResultScale);
  int target = std::max(scale, 0);
  if (scale >= v.scale()) {
    if (scale == v.scale()) return v;
    return NumericOps::Make(NumericOps::Mantissa(v).MulPow10(scale - v.scale()), scale);
  }
  int drop = v.scale() - scale;
  if (v.kind() == Numeric::Kind::kSmall) {
    if (drop > 18) return Numeric::FromScaled(0, target);
    int64_t p = kPow10[drop], q = v.small_mantissa() / p, r = v.small_mantissa() % p;
    if (round && std::abs(r) >= p - std::abs(r)) q += v.small_mantissa() < 0 ? -1 : 1;
    return Numeric::FromInt128(scale < 0 ? static_cast<__int128>(q) * Pow10_128(std::min(-scale, 19)) : q, target);
  }
  BigInt m = NumericOps::Mantissa(v).DivPow10(drop, round);
  return NumericOps::Make(scale < 0 ? m.MulPow10(-scale) : std::move(m), target);
}

}  // namespace

Numeric Numeric::Round(int scale) const { return RoundOrTruncate(*this, scale, true); }
Numeric Numeric::Truncate(int scale) const { return RoundOrTruncate(*this, scale, false); }

Numeric Numeric::Ceil() const {
  if (!IsFinite()) return *this;
  Numeric whole = Truncate(0);
  return Compare(whole, *this) < 0 ? NumericOps::Make(NumericOps::Mantissa(whole) + BigInt(int64_t{1}), 0) : whole;
}

Numeric Numeric::Floor() const {
  if (!IsFinite()) return *this;
  Numeric whole = Truncate(0);
  return Compare(whole, *this) > 0 ? NumericOps::Make(NumericOps::Mantissa(whole) - BigInt(int64_t{1}), 0) : whole;
}

Numeric Numeric::TrimScale() const { return IsFinite() ? Truncate(min_scale()) : *this; }

absl::StatusOr<Numeric> Numeric::ApplyTypmod(int32_t typmod) const {
  if (typmod < 4) return *this;
  int32_t precision = ((typmod - 4) >> 16) & 0xffff, scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
  if (IsNaN()) return *this;
  if (IsInfinite()) {
    return PgErrorBuilder(sqlstate::kNumericValueOutOfRange, "numeric field overflow")
        .Detail(StrCat("A field with precision ", precision, ", scale ", scale, " cannot hold an infinite value."))
        .Build();
  }
  Numeric rounded = Round(scale);
  int max_digits = precision - scale;
  if (!rounded.IsZero() && NumericOps::Exponent(rounded) >= max_digits) {
    return PgErrorBuilder(sqlstate::kNumericValueOutOfRange, "numeric field overflow")
        .Detail(StrCat("A field with precision ", precision, ", scale ", scale, " must round to an absolute value less than ",
                       max_digits != 0 ? "10^" : "", max_digits != 0 ? max_digits : 1, "."))
        .Build();
  }
  return rounded;
}

// ---- encodings

namespace {

constexpr uint16_t kWireNegative = 0x4000, kWireNaN = 0xC000, kWirePositiveInfinity = 0xD000, kWireNegativeInfinity = 0xF000;

void PutU16(uint16_t v, std::string* out) {
  out->push_back(static_cast<char>(v >> 8));
  out->push_back(static_cast<char>(v));
}

uint16_t GetU16(std::string_view s, size_t i) {
  return static_cast<uint16_t>((static_cast<uint8_t>(s[i]) << 8) | static_cast<uint8_t>(s[i + 1]));
}

}  // namespace

void Numeric::SendBinary(std::string* out) const {
  if (!IsFinite()) {
    PutU16(0, out);
    PutU16(0, out);
    PutU16(IsNaN() ? kWireNaN : (kind_ == Kind::kPositiveInfinity ? kWirePositiveInfinity : kWireNegativeInfinity), out);
    PutU16(0, out);
    return;
  }
  // Decimal digits aligned to the point, cut into groups of four.
  std::string digits = NumericOps::Mantissa(*this).ToDigits();
  size_t scale = static_cast<size_t>(scale_);
  if (digits.size() < scale) digits.insert(0, scale - digits.size(), '0');
  size_t whole = digits.size() - scale;
  digits.insert(0, (4 - whole % 4) % 4, '0');
  whole = (whole + 3) / 4;
  digits.append((4 - scale % 4) % 4, '0');
  std::vector<uint16_t> groups;
  for (size_t i = 0; i < digits.size(); i += 4) {
    groups.push_back(static_cast<uint16_t>((digits[i] - '0') * 1000 + (digits[i + 1] - '0') * 100 + (digits[i + 2] - '0') * 10 +
                                           (digits[i + 3] - '0')));
  }
  int weight = static_cast<int>(whole) - 1;
  size_t first = 0;
  while (first < groups.size() && groups[first] == 0) {
    ++first;
    --weight;
  }
  while (groups.size() > first && groups.back() == 0) groups.pop_back();
  if (first == groups.size()) weight = 0;
  PutU16(static_cast<uint16_t>(groups.size() - first), out);
  PutU16(static_cast<uint16_t>(weight), out);
  PutU16(IsNegative() ? kWireNegative : 0, out);
  PutU16(static_cast<uint16_t>(scale_), out);
  for (size_t i = first; i < groups.size(); ++i) PutU16(groups[i], out);
}

absl::StatusOr<Numeric> Numeric::ReceiveBinary(std::string_view bytes) {
  auto invalid = [](std::string_view what) {
    return PgError(sqlstate::kInvalidBinaryRepresentation, StrCat("invalid ", what, " in external \"numeric\" value"));
  };
  if (bytes.size() < 8) return PgError(sqlstate::kProtocolViolation, "insufficient data left in message");
  size_t count = GetU16(bytes, 0);
  int weight = static_cast<int16_t>(GetU16(bytes, 2));
  uint16_t sign = GetU16(bytes, 4), scale = GetU16(bytes, 6);
  if (sign == kWireNaN) return NaN();
  if (sign == kWirePositiveInfinity) return PositiveInfinity();
  if (sign == kWireNegativeInfinity) return NegativeInfinity();
  if (sign != 0 && sign != kWireNegative) return invalid("sign");
  if (scale > kMaxScale) return invalid("scale");
  if (bytes.size() != 8 + 2 * count) return invalid("length");
  std::string digits;
  digits.reserve(count * 4);
  for (size_t i = 0; i < count; ++i) {
    uint16_t d = GetU16(bytes, 8 + 2 * i);
    if (d >= 10000) return invalid("digit");
    for (int p : {1000, 100, 10, 1}) digits.push_back(static_cast<char>('0' + d / p % 10));
  }
  // The last group's place is 10^(4 × (weight - count + 1)); digits past the display scale are dropped.
  int place = 4 * (weight - static_cast<int>(count) + 1);
  BigInt mantissa = BigInt::FromDigits(digits, sign == kWireNegative);
  int shift = place + scale;
  mantissa = shift >= 0 ? mantissa.MulPow10(shift) : mantissa.DivPow10(-shift, false);
  return NumericOps::MakeChecked(std::move(mantissa), scale);
}

Numeric::Parts Numeric::ToParts() const {
  Parts parts;
  parts.scale = scale_;
  if (!IsFinite()) {
    parts.kind = kind_;
    return parts;
  }
  if (IsZero()) return parts;
  parts.negative = IsNegative();
  if (kind_ == Kind::kSmall) {
    char buffer[24];
    auto end = std::to_chars(buffer, buffer + sizeof(buffer), std::abs(small_)).ptr;
    parts.digits.assign(buffer, end);
  } else {
    parts.digits = big_->ToDigits();
  }
  parts.exponent = static_cast<int32_t>(parts.digits.size()) - scale_;
  parts.digits.resize(parts.digits.find_last_not_of('0') + 1);
  return parts;
}

absl::StatusOr<Numeric> Numeric::FromParts(const Parts& parts) {
  if (parts.kind > Kind::kBig) return Numeric(parts.kind);
  if (parts.scale < 0 || parts.scale > kMaxScale) return absl::DataLossError("numeric with a scale out of range");
  for (char c : parts.digits) {
    if (c < '0' || c > '9') return absl::DataLossError("numeric with a bad digit");
  }
  int64_t shift = static_cast<int64_t>(parts.scale) + parts.exponent - static_cast<int64_t>(parts.digits.size());
  if (parts.digits.empty()) return FromScaled(0, parts.scale);
  if (shift < 0 || shift > kMaxWeightDigits + kMaxScale) return absl::DataLossError("numeric with digits past its scale");
  if (parts.digits.size() + static_cast<size_t>(shift) <= 18) {
    int64_t m = 0;
    for (char c : parts.digits) m = m * 10 + (c - '0');
    m *= kPow10[shift];
    return FromScaled(parts.negative ? -m : m, parts.scale);
  }
  return NumericOps::MakeChecked(BigInt::FromDigits(parts.digits, parts.negative).MulPow10(static_cast<int>(shift)), parts.scale);
}

size_t Numeric::MemoryUsage() const { return kind_ == Kind::kBig ? big_->HeapBytes() : 0; }

}  // namespace insula::sql
