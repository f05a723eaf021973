// Functions of double precision and of integers.
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"
#include "sql/types/array.h"

namespace insula::sql::internal {
namespace {

using F = absl::StatusOr<double>;
using I = absl::StatusOr<int64_t>;

absl::Status InputOutOfRange() { return PgError(sqlstate::kNumericValueOutOfRange, "input is out of range"); }
absl::Status Overflow() { return PgError(sqlstate::kNumericValueOutOfRange, "value out of range: overflow"); }
absl::Status Underflow() { return PgError(sqlstate::kNumericValueOutOfRange, "value out of range: underflow"); }

constexpr double kPi = 3.14159265358979323846;

// ---- degrees: exact where a school book is

// Scaled so that 30, 45 and 60 degrees come out exact: each range is divided by its own value at the exact angle.
double Sin0To30(double x) { return std::sin(x * (kPi / 180)) / std::sin(30 * (kPi / 180)) / 2; }
double Cos0To60(double x) { return 1 - (1 - std::cos(x * (kPi / 180))) / (1 - std::cos(60 * (kPi / 180))) / 2; }
double SinDegrees0To90(double x) { return x <= 30 ? Sin0To30(x) : Cos0To60(90 - x); }
double CosDegrees0To90(double x) { return x <= 60 ? Cos0To60(x) : Sin0To30(90 - x); }
F SinDegrees(double v) {
  if (std::isnan(v)) return v;
  if (std::isinf(v)) return InputOutOfRange();
  double x = std::fmod(v, 360.0), sign = 1;
  if (x < 0) {
    x = -x;
    sign = -sign;
  }
  if (x > 180) {
    x = 360 - x;
    sign = -sign;
  }
  if (x > 90) x = 180 - x;
  return sign * SinDegrees0To90(x);
}
F CosDegrees(double v) {
  if (std::isnan(v)) return v;
  if (std::isinf(v)) return InputOutOfRange();
  double x = std::fabs(std::fmod(v, 360.0)), sign = 1;
  if (x > 180) x = 360 - x;
  if (x > 90) {
    x = 180 - x;
    sign = -1;
  }
  return sign * CosDegrees0To90(x);
}
double TanDegrees(double s, double c) {
  double t = s / c / (SinDegrees0To90(45) / CosDegrees0To90(45));
  return t == 0 ? 0 : t;
}
double Asin0ToHalf(double v) { return std::asin(v) / std::asin(0.5) * 30; }
double AcosHalfTo1(double v) { return std::acos(v) / std::acos(0.5) * 60; }
double AsinDegrees(double v) {
  double a = std::fabs(v), d = a <= 0.5 ? Asin0ToHalf(a) : 90 - AcosHalfTo1(a);
  return v < 0 ? -d : d;
}
double AcosDegrees(double v) {
  double a = std::fabs(v), d = a <= 0.5 ? 90 - Asin0ToHalf(a) : AcosHalfTo1(a);
  return v < 0 ? 180 - d : d;
}
double AtanDegrees(double v) { return std::atan(v) / std::atan(1.0) * 45; }

// ---- exponentials

F Exp(double v) {
  double r = std::exp(v);
  if (std::isinf(r) && !std::isinf(v)) return Overflow();
  if (r == 0 && !std::isinf(v)) return Underflow();
  return r;
}

absl::Status CheckLog(double v) {
  if (v == 0) return PgError("2201E", "cannot take logarithm of zero");
  if (v < 0) return PgError("2201E", "cannot take logarithm of a negative number");
  return absl::OkStatus();
}

F Power(double x, double y) {
  if (std::isnan(x)) return y == 0 ? 1.0 : x;
  if (std::isnan(y)) return x == 1 ? 1.0 : y;
  if (x == 0 && y < 0) return PgError("2201F", "zero raised to a negative power is undefined");
  if (x < 0 && std::floor(y) != y) {
    return PgError("2201F", "a negative number raised to a non-integer power yields a complex result");
  }
  double r = std::pow(x, y);
  if (std::isinf(x) || std::isinf(y)) return r;
  if (std::isinf(r)) return Overflow();
  if (r == 0 && x != 0) return Underflow();
  return r;
}

// ---- integers

absl::Status IntOutOfRange(std::string_view type) { return PgError(sqlstate::kNumericValueOutOfRange, StrCat(type, " out of range")); }

template <bool big>
I Gcd(int64_t a, int64_t b) {
  uint64_t x = a < 0 ? -static_cast<uint64_t>(a) : static_cast<uint64_t>(a);
  uint64_t y = b < 0 ? -static_cast<uint64_t>(b) : static_cast<uint64_t>(b);
  uint64_t g = std::gcd(x, y);
  uint64_t limit = big ? static_cast<uint64_t>(INT64_MAX) : static_cast<uint64_t>(INT32_MAX);
  if (g > limit) return IntOutOfRange(big ? "bigint" : "integer");
  return static_cast<int64_t>(g);
}

template <bool big>
I Lcm(int64_t a, int64_t b) {
  if (a == 0 || b == 0) return 0;
  ASSIGN_OR_RETURN(int64_t g, Gcd<big>(a, b));
  int64_t r;
  if (__builtin_mul_overflow(a / g, b, &r) || r == INT64_MIN || (!big && (r > INT32_MAX || r < -INT32_MAX))) {
    return IntOutOfRange(big ? "bigint" : "integer");
  }
  return r < 0 ? -r : r;
}

I WidthBucketFloat(double v, double low, double high, int64_t count) {
  auto invalid = [](std::string_view m) { return PgError("2201G", m); };
  if (count <= 0) return invalid("count must be greater than zero");
  if (std::isnan(v) || std::isnan(low) || std::isnan(high)) {
    return invalid("operand, lower bound, and upper bound cannot be NaN");
  }
  if (std::isinf(low) || std::isinf(high)) return invalid("lower and upper bounds must be finite");
  if (low == high) return invalid("lower bound cannot equal upper bound");
  if (low < high ? v < low : v > low) return 0;
  if (low < high ? v >= high : v <= high) {
    if (count == INT32_MAX) return IntOutOfRange("integer");
    return count + 1;
  }
  // Halves keep the difference of huge bounds finite.
  double r = low < high ? (v / 2 - low / 2) / (high / 2 - low / 2) : (low / 2 - v / 2) / (low / 2 - high / 2);
  int64_t bucket = static_cast<int64_t>(r * static_cast<double>(count));
  return std::min(bucket, count - 1) + 1;
}

// width_bucket(operand, thresholds): how many thresholds are at or below it.
absl::Status WidthBucketArray(FunctionContext&, std::span<const Vector* const> args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    ASSIGN_OR_RETURN(ArrayValue array, ArrayValue::Decode(args[1]->bytes(i)));
    if (array.dims.size() > 1) return PgError("2202E", "thresholds must be one-dimensional array");
    Datum v = args[0]->Get(i);
    int64_t n = 0;
    for (const Datum& t : array.elements) {
      if (t.is_null()) return PgError("22004", "thresholds array must not contain NULLs");
      if (CompareDatums(array.element, v, t) < 0) break;
      ++n;
    }
    out->ints()[i] = n;
  }
  return absl::OkStatus();
}

void RegisterTrigonometry(Registrar& r) {
  r.Scalar("dsin", Lift<[](double v) -> F { if (std::isinf(v)) return InputOutOfRange(); return std::sin(v); }>);
  r.Scalar("dcos", Lift<[](double v) -> F { if (std::isinf(v)) return InputOutOfRange(); return std::cos(v); }>);
  r.Scalar("dtan", Lift<[](double v) -> F { if (std::isinf(v)) return InputOutOfRange(); return std::tan(v); }>);
  r.Scalar("dcot", Lift<[](double v) -> F { if (std::isinf(v)) return InputOutOfRange(); return 1 / std::tan(v); }>);
  r.Scalar("dasin", Lift<[](double v) -> F { if (v < -1 || v > 1) return InputOutOfRange(); return std::asin(v); }>);
  r.Scalar("dacos", Lift<[](double v) -> F { if (v < -1 || v > 1) return InputOutOfRange(); return std::acos(v); }>);
  r.Scalar("datan", Lift<[](double v) { return std::atan(v); }>);
  r.Scalar("datan2", Lift<[](double y, double x) { return std::atan2(y, x); }>);
  r.Scalar("dsind", Lift<[](double v) { return SinDegrees(v); }>);
  r.Scalar("dcosd", Lift<[](double v) { return CosDegrees(v); }>);
  r.Scalar("dtand", Lift<[](double v) -> F {
             ASSIGN_OR_RETURN(double s, SinDegrees(v));
             ASSIGN_OR_RETURN(double c, CosDegrees(v));
             return TanDegrees(s, c);
           }>);
  r.Scalar("dcotd", Lift<[](double v) -> F {
             ASSIGN_OR_RETURN(double s, SinDegrees(v));
             ASSIGN_OR_RETURN(double c, CosDegrees(v));
             return TanDegrees(c, s);
           }>);
  r.Scalar("dasind", Lift<[](double v) -> F { if (v < -1 || v > 1) return InputOutOfRange(); return AsinDegrees(v); }>);
  r.Scalar("dacosd", Lift<[](double v) -> F { if (v < -1 || v > 1) return InputOutOfRange(); return AcosDegrees(v); }>);
  r.Scalar("datand", Lift<[](double v) { return AtanDegrees(v); }>);
  r.Scalar("datan2d", Lift<[](double y, double x) { return std::atan2(y, x) / std::atan(1.0) * 45; }>);
  r.Scalar("dsinh", Lift<[](double v) { return std::sinh(v); }>);
  r.Scalar("dcosh", Lift<[](double v) -> F { return std::cosh(v); }>);
  r.Scalar("dtanh", Lift<[](double v) { return std::tanh(v); }>);
  r.Scalar("dasinh", Lift<[](double v) { return std::asinh(v); }>);
  r.Scalar("dacosh", Lift<[](double v) -> F { if (v < 1) return InputOutOfRange(); return std::acosh(v); }>);
  r.Scalar("datanh", Lift<[](double v) -> F { if (v < -1 || v > 1) return InputOutOfRange(); return std::atanh(v); }>);
  r.Scalar("degrees", Lift<[](double v) { return v / (kPi / 180); }>);
  r.Scalar("radians", Lift<[](double v) { return v * (kPi / 180); }>);
}

}  // namespace

void RegisterMathFunctions(Registrar& r) {
  RegisterTrigonometry(r);
  r.Scalar("dpi", Lift<[]() { return kPi; }>);
  r.Scalar("dround", Lift<[](double v) { return std::rint(v); }>);
  r.Scalar("dceil", Lift<[](double v) { return std::ceil(v); }>);
  r.Scalar("dfloor", Lift<[](double v) { return std::floor(v); }>);
  r.Scalar("dtrunc", Lift<[](double v) { return std::trunc(v); }>);
  r.Scalar("dsign", Lift<[](double v) { return v > 0 ? 1.0 : (v < 0 ? -1.0 : 0.0); }>);
  r.Scalar("dsqrt", Lift<[](double v) -> F {
             if (v < 0) return PgError("2201F", "cannot take square root of a negative number");
             return std::sqrt(v);
           }>);
  r.Scalar("dcbrt", Lift<[](double v) { return std::cbrt(v); }>);
  r.Scalar("dexp", Lift<[](double v) { return Exp(v); }>);
  r.Scalar("dlog1", Lift<[](double v) -> F { RETURN_IF_ERROR(CheckLog(v)); return std::log(v); }>);
  r.Scalar("dlog10", Lift<[](double v) -> F { RETURN_IF_ERROR(CheckLog(v)); return std::log10(v); }>);
  r.Scalar("dpow", Lift<[](double x, double y) { return Power(x, y); }>);
  r.Scalar("int4gcd", Lift<[](int64_t a, int64_t b) { return Gcd<false>(a, b); }>);
  r.Scalar("int8gcd", Lift<[](int64_t a, int64_t b) { return Gcd<true>(a, b); }>);
  r.Scalar("int4lcm", Lift<[](int64_t a, int64_t b) { return Lcm<false>(a, b); }>);
  r.Scalar("int8lcm", Lift<[](int64_t a, int64_t b) { return Lcm<true>(a, b); }>);
  r.Scalar("width_bucket_float8", Lift<[](double v, double low, double high, int64_t n) { return WidthBucketFloat(v, low, high, n); }>);
  r.Scalar("width_bucket_array", WidthBucketArray);
  r.Scalar("drandom", Lift<[](FunctionContext& ctx) -> F {
             if (ctx.seeded) return ctx.seeded->UniformDouble();
             ASSIGN_OR_RETURN(Random * random, ctx.RandomSource());
             return random->UniformDouble();
           }>);
  r.Scalar("setseed", Lift<[](FunctionContext& ctx, double seed) -> absl::StatusOr<std::string> {
             if (!(seed >= -1 && seed <= 1)) {
               return PgError(sqlstate::kInvalidParameterValue,
                              StrCat("setseed parameter ", seed, " is out of allowed range [-1,1]"));
             }
             ctx.seeded.emplace(static_cast<uint64_t>(static_cast<int64_t>(seed * 9007199254740992.0)));
             return std::string();
           }>);
}

}  // namespace insula::sql::internal
