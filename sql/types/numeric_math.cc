// Roots, logarithms and powers of numerics.
//
// Results are computed in fixed point (BigInt × 10^-digits) with guard digits beyond the result scale, which is chosen as
// PostgreSQL chooses it: at least 16 significant digits, estimated from base-10000 leading digits, at most 1000 after the point.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "sql/types/big_int.h"
#include "sql/types/numeric.h"
#include "sql/types/numeric_ops.h"

namespace insula::sql {

using internal::BigInt;

namespace {

constexpr int kGuard = 14;
constexpr int kHalvings = 8;
constexpr double kLog10E = 0.434294481903252;
constexpr double kLn10 = 2.302585092994046;

absl::Status InvalidLogarithm(std::string_view message) { return PgError("2201E", message); }
absl::Status InvalidPower(std::string_view message) { return PgError("2201F", message); }

int ClampScale(int scale) { return std::clamp(scale, 0, NumericOps::kMaxDisplayScale); }

BigInt FixedMul(const BigInt& a, const BigInt& b, int digits) { return (a * b).DivPow10(digits, true); }
BigInt FixedDiv(const BigInt& a, const BigInt& b, int digits) { return BigInt::DivRound(a.MulPow10(digits), b); }
BigInt FixedDivInt(const BigInt& a, int64_t n) { return BigInt::DivRound(a, BigInt(n)); }

// ln(y) for 1 <= y <= 10, y and result in fixed point: halved by square roots, then 2 atanh((y - 1) / (y + 1)).
BigInt FixedLnNearOne(BigInt y, int digits) {
  const BigInt one = BigInt::PowerOfTen(digits);
  for (int i = 0; i < kHalvings; ++i) y = BigInt::Sqrt(y.MulPow10(digits));
  BigInt z = FixedDiv(y - one, y + one, digits);
  BigInt z2 = FixedMul(z, z, digits), power = z, sum = z;
  for (int64_t n = 3; !power.IsZero(); n += 2) {
    power = FixedMul(power, z2, digits);
    sum = sum + FixedDivInt(power, n);
  }
  return sum * BigInt(int64_t{2} << kHalvings);
}

BigInt FixedLn10(int digits) { return FixedLnNearOne(BigInt::PowerOfTen(digits + 1), digits); }

// ln(v) with `digits` correct digits after the point; v > 0.
BigInt FixedLn(const Numeric& v, int digits) {
  int exponent = NumericOps::Exponent(v);
  int work = digits + kGuard;
  // v = y × 10^exponent; just below 1, stay there rather than subtract two nearly equal logarithms.
  bool near_one = exponent == -1 && Numeric::Compare(v, Numeric::FromScaled(9, 1)) >= 0;
  if (near_one) {
    BigInt inverse = BigInt::DivRound(BigInt::PowerOfTen(work + v.scale()), NumericOps::Mantissa(v));
    return (-FixedLnNearOne(std::move(inverse), work)).DivPow10(kGuard, true);
  }
  BigInt y = NumericOps::Rescale(NumericOps::Mantissa(v), v.scale() + exponent, work);
  BigInt ln = FixedLnNearOne(std::move(y), work);
  if (exponent != 0) ln = ln + FixedLn10(work) * BigInt(int64_t{exponent});
  return ln.DivPow10(kGuard, true);
}

// e^x as mantissa × 10^(exponent - digits) with mantissa around 10^digits; x in fixed point with `x_digits`.
BigInt FixedExp(const BigInt& x, int x_digits, int digits, int* exponent) {
  int work = digits + kGuard;
  BigInt fixed = NumericOps::Rescale(x, x_digits, work + 8);
  BigInt ln10 = FixedLn10(work + 8);
  BigInt k = BigInt::DivRound(fixed, ln10);
  int64_t k_small = 0;
  k.FitsInt64(&k_small);
  BigInt r = (fixed - k * ln10).DivPow10(8, true);
  r = FixedDivInt(r, int64_t{1} << kHalvings);
  BigInt sum = BigInt::PowerOfTen(work) + r, term = r;
  for (int64_t n = 2; !term.IsZero(); ++n) {
    term = FixedDivInt(FixedMul(term, r, work), n);
    sum = sum + term;
  }
  for (int i = 0; i < kHalvings; ++i) sum = FixedMul(sum, sum, work);
  *exponent = static_cast<int>(k_small);
  return sum.DivPow10(kGuard, true);
}

// Estimated decimal weight of ln(v), as PostgreSQL estimates it for choosing scales. v is finite.
int LnWeight(const Numeric& v) {
  if (v.Sign() <= 0) return 0;
  if (Numeric::Compare(v, Numeric::FromScaled(9, 1)) >= 0 && Numeric::Compare(v, Numeric::FromScaled(11, 1)) <= 0) {
    auto x = Numeric::Subtract(v, Numeric(1));
    if (!x.ok() || x->IsZero()) return 0;
    NumericOps::Leading lead = NumericOps::LeadingDigit(*x);
    return lead.weight * 4 + static_cast<int>(std::log10(lead.digit));
  }
  NumericOps::Leading lead = NumericOps::LeadingDigit(v);
  std::string digits = NumericOps::Mantissa(v).ToDigits();
  // The first two base-10000 digits: as many decimal digits as they hold.
  int lead_len = lead.digit >= 1000 ? 4 : lead.digit >= 100 ? 3 : lead.digit >= 10 ? 2 : 1;
  digits.resize(std::max<size_t>(digits.size(), static_cast<size_t>(lead_len) + 4), '0');
  double value = std::atof(digits.substr(0, lead_len + 4).c_str());
  double ln = std::log(value) + (lead.weight - 1) * 4 * kLn10;
  return ln == 0 ? 0 : static_cast<int>(std::log10(std::fabs(ln)));
}

absl::StatusOr<Numeric> ExpToScale(const BigInt& x, int x_digits, double log10_result, int scale) {
  int digits = std::max(0, scale + static_cast<int>(log10_result) + 2) + 4;
  int exponent;
  BigInt mantissa = FixedExp(x, x_digits, digits, &exponent);
  return NumericOps::MakeChecked(NumericOps::Rescale(mantissa, digits - exponent, scale), scale);
}

bool IsOdd(const Numeric& v) { return NumericOps::Mantissa(v.Truncate(0)).IsOdd(); }

// base^n by repeated squaring on the leading `significant` digits.
absl::StatusOr<Numeric> PowerInt(const Numeric& base, int64_t n) {
  if (base.IsZero()) {
    // 0^0 is 1.
    int scale = ClampScale(std::max(NumericOps::kMinSignificantDigits, base.scale()));
    return n == 0 ? Numeric(1).Round(scale) : Numeric::FromScaled(0, scale);
  }
  // Decimal weight of the result, from the first 16 or so digits.
  NumericOps::Leading lead = NumericOps::LeadingDigit(base);
  std::string digits = NumericOps::Mantissa(base).ToDigits();
  size_t lead_len = lead.digit >= 1000 ? 4 : lead.digit >= 100 ? 3 : lead.digit >= 10 ? 2 : 1;
  size_t take = std::min(digits.size(), lead_len + 12);
  double f = std::atof(digits.substr(0, take).c_str());
  double p = NumericOps::Exponent(base) + 1 - static_cast<double>(take);
  double weight = static_cast<double>(n) * (std::log10(f) + p);
  if (weight > 131072.0 + 4) return NumericOps::Overflow();
  int scale = ClampScale(std::max(NumericOps::kMinSignificantDigits, base.scale()));
  if (weight + 1 < -NumericOps::kMaxDisplayScale) return Numeric::FromScaled(0, scale);
  if (n == 0) return Numeric(1).Round(scale);
  if (n == 1) return base.Round(scale);
  uint64_t m = n < 0 ? -static_cast<uint64_t>(n) : static_cast<uint64_t>(n);
  // Each squaring doubles the relative error, so the guard grows with log10(n).
  int significant = std::max(0, scale + static_cast<int>(weight)) + 2 + kGuard + static_cast<int>(std::log10(static_cast<double>(m)));
  BigInt result(int64_t{1}), square = NumericOps::Mantissa(base);
  int64_t result_scale = 0, square_scale = base.scale();
  auto cut = [&](BigInt* v, int64_t* s) {
    int excess = v->DigitCount() - significant;
    if (excess <= 0) return;
    *v = v->DivPow10(excess, true);
    *s -= excess;
  };
  for (; m != 0; m >>= 1) {
    if (m & 1) {
      result = result * square;
      result_scale += square_scale;
      cut(&result, &result_scale);
    }
    if (m > 1) {
      square = square * square;
      square_scale *= 2;
      cut(&square, &square_scale);
    }
  }
  if (n > 0) return NumericOps::MakeChecked(NumericOps::Rescale(result, static_cast<int>(result_scale), scale), scale);
  // 1 / (result × 10^-result_scale), to `scale` digits.
  int64_t shift = scale + result_scale;
  BigInt one = BigInt::PowerOfTen(static_cast<int>(std::max<int64_t>(shift, 0)));
  if (shift < 0) result = result.MulPow10(static_cast<int>(-shift));
  return NumericOps::MakeChecked(BigInt::DivRound(one, result), scale);
}

absl::StatusOr<Numeric> PowerFinite(const Numeric& base, const Numeric& exponent) {
  if (exponent.IsIntegral()) {
    int64_t n;
    if (NumericOps::Mantissa(exponent.Truncate(0)).FitsInt64(&n) && n >= INT32_MIN && n <= INT32_MAX) {
      return PowerInt(base, n);
    }
  }
  if (base.IsZero()) return Numeric::FromScaled(0, NumericOps::kMinSignificantDigits);
  bool negate = base.IsNegative() && IsOdd(exponent);
  Numeric magnitude = base.Abs();
  // A rough product decides about overflow and the scale.
  int rough_digits = std::max(8 - LnWeight(magnitude), 0);
  BigInt rough_ln = FixedLn(magnitude, rough_digits);
  BigInt rough = (rough_ln * NumericOps::Mantissa(exponent)).DivPow10(exponent.scale(), true);
  double val = NumericOps::Make(std::move(rough), rough_digits).ToDouble();
  if (std::fabs(val) > NumericOps::kMaxResultScale * 3.01) {
    if (val > 0) return NumericOps::Overflow();
    return Numeric::FromScaled(0, NumericOps::kMaxDisplayScale);
  }
  val *= kLog10E;
  int scale = ClampScale(std::max({NumericOps::kMinSignificantDigits - static_cast<int>(val), base.scale(), exponent.scale()}));
  int exponent_digits = exponent.IsZero() ? 0 : std::max(0, NumericOps::Exponent(exponent) + 1);
  int ln_digits = std::max(0, scale + static_cast<int>(val)) + 8 + exponent_digits;
  BigInt product = FixedLn(magnitude, ln_digits) * NumericOps::Mantissa(exponent);
  ASSIGN_OR_RETURN(Numeric result, ExpToScale(product, ln_digits + exponent.scale(), val, scale));
  return negate ? result.Negate() : result;
}

}  // namespace

absl::StatusOr<Numeric> Numeric::Sqrt(const Numeric& a) {
  if (a.IsNaN() || a.kind_ == Kind::kPositiveInfinity) return a;
  if (a.Sign() < 0) return InvalidPower("cannot take square root of a negative number");
  int weight = NumericOps::LeadingDigit(a).weight;
  int result_weight = (weight + 1) * 4 / 2 - 1;
  int scale = ClampScale(std::max(NumericOps::kMinSignificantDigits - result_weight, static_cast<int>(a.scale_)));
  return SqrtToScale(a, scale);
}

absl::StatusOr<Numeric> Numeric::SqrtToScale(const Numeric& a, int scale) {
  // Two more digits than asked, cut off: the root is irrational or ends there, so rounding them is exact.
  int work = scale + 2;
  BigInt m = NumericOps::Rescale(NumericOps::Mantissa(a), a.scale_, std::max(2 * work, a.scale_ + (a.scale_ & 1)));
  int digits = std::max(2 * work, a.scale_ + (a.scale_ & 1)) / 2;
  return NumericOps::MakeChecked(BigInt::Sqrt(m).DivPow10(digits - scale, true), scale);
}

absl::StatusOr<Numeric> Numeric::Exp(const Numeric& a) {
  if (a.IsNaN() || a.kind_ == Kind::kPositiveInfinity) return a;
  if (a.kind_ == Kind::kNegativeInfinity) return Numeric();
  double val = std::clamp(a.ToDouble() * kLog10E, -1.0 * NumericOps::kMaxResultScale, 1.0 * NumericOps::kMaxResultScale);
  int scale = ClampScale(std::max(NumericOps::kMinSignificantDigits - static_cast<int>(val), static_cast<int>(a.scale_)));
  if (std::fabs(a.ToDouble()) >= NumericOps::kMaxResultScale * 3) {
    if (!a.IsNegative()) return NumericOps::Overflow();
    return FromScaled(0, scale);
  }
  return ExpToScale(NumericOps::Mantissa(a), a.scale_, a.ToDouble() * kLog10E, scale);
}

namespace {

// Common to ln and log: an error, or a result for a special value.
absl::Status CheckLogarithm(const Numeric& a) {
  if (a.IsNaN()) return absl::OkStatus();
  if (a.Sign() < 0) return InvalidLogarithm("cannot take logarithm of a negative number");
  if (a.Sign() == 0) return InvalidLogarithm("cannot take logarithm of zero");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Numeric> Numeric::Ln(const Numeric& a) {
  RETURN_IF_ERROR(CheckLogarithm(a));
  if (!a.IsFinite()) return a;
  int scale = ClampScale(std::max(NumericOps::kMinSignificantDigits - LnWeight(a), static_cast<int>(a.scale_)));
  return NumericOps::MakeChecked(FixedLn(a, scale + 6).DivPow10(6, true), scale);
}

absl::StatusOr<Numeric> Numeric::Log10(const Numeric& a) { return Log(Numeric(10), a); }

absl::StatusOr<Numeric> Numeric::Log(const Numeric& base, const Numeric& a) {
  if (base.IsNaN() || a.IsNaN()) return NaN();
  RETURN_IF_ERROR(CheckLogarithm(base));
  RETURN_IF_ERROR(CheckLogarithm(a));
  if (base.IsInfinite()) return a.IsInfinite() ? NaN() : Numeric();
  if (a.IsInfinite()) return a;
  int base_weight = LnWeight(base), weight = LnWeight(a);
  int scale = NumericOps::kMinSignificantDigits - (weight - base_weight);
  scale = ClampScale(std::max({scale, static_cast<int>(base.scale_), static_cast<int>(a.scale_)}));
  int digits = scale + std::abs(base_weight) + std::abs(weight) + 10;
  BigInt ln_base = FixedLn(base, digits);
  if (ln_base.IsZero()) return PgError("22012", "division by zero");
  BigInt quotient = FixedDiv(FixedLn(a, digits), ln_base, scale + 4);
  return NumericOps::MakeChecked(quotient.DivPow10(4, true), scale);
}

absl::StatusOr<Numeric> Numeric::Power(const Numeric& base, const Numeric& exponent) {
  const Numeric one(1);
  if (base.IsNaN() || exponent.IsNaN()) {
    // As pow() of POSIX: 1 to whatever power, and whatever to the power 0, is 1.
    if (base == one || (exponent.IsFinite() && exponent.IsZero())) return one;
    return NaN();
  }
  int base_sign = base.Sign(), exponent_sign = exponent.Sign();
  if (base_sign == 0 && exponent_sign < 0) return InvalidPower("zero raised to a negative power is undefined");
  if (base_sign < 0 && exponent.IsFinite() && !exponent.IsIntegral()) {
    return InvalidPower("a negative number raised to a non-integer power yields a complex result");
  }
  if (base.IsFinite() && exponent.IsFinite()) return PowerFinite(base, exponent);
  if (base == one || exponent_sign == 0) return one;
  if (base_sign == 0) return Numeric();
  if (exponent.IsInfinite()) {
    if (base.IsFinite() && base == Numeric(-1)) return one;
    bool grows = base.IsInfinite() || base.Abs() == one || one < base.Abs();
    return grows == (exponent_sign > 0) ? PositiveInfinity() : Numeric();
  }
  if (exponent_sign < 0) return Numeric();
  return base_sign < 0 && IsOdd(exponent) ? NegativeInfinity() : PositiveInfinity();
}

absl::StatusOr<Numeric> Numeric::Factorial(int64_t n) {
  if (n < 0) return PgError(sqlstate::kNumericValueOutOfRange, "factorial of a negative number is undefined");
  if (n > 32177) return NumericOps::Overflow();
  BigInt product(int64_t{1});
  for (int64_t i = 2; i <= n; ++i) product = product * BigInt(i);
  return NumericOps::MakeChecked(std::move(product), 0);
}

}  // namespace insula::sql
