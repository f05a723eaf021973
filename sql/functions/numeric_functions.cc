// Functions and operators of numeric. Arithmetic whose operands are small takes Numeric's fast path.
#include <algorithm>
#include <cstdint>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"

namespace insula::sql::internal {
namespace {

using N = absl::StatusOr<Numeric>;

absl::StatusOr<int64_t> WidthBucket(const Numeric& v, const Numeric& low, const Numeric& high, int64_t count) {
  auto invalid = [](std::string_view m) { return PgError("2201G", m); };
  if (count <= 0) return invalid("count must be greater than zero");
  if (v.IsNaN() || low.IsNaN() || high.IsNaN()) return invalid("operand, lower bound, and upper bound cannot be NaN");
  if (low.IsInfinite() || high.IsInfinite()) return invalid("lower and upper bounds must be finite");
  int order = Numeric::Compare(low, high);
  if (order == 0) return invalid("lower bound cannot equal upper bound");
  bool up = order < 0;
  int to_low = Numeric::Compare(v, low), to_high = Numeric::Compare(v, high);
  if (up ? to_low < 0 : to_low > 0) return 0;
  if (up ? to_high >= 0 : to_high <= 0) {
    if (count == INT32_MAX) return PgError(sqlstate::kNumericValueOutOfRange, "integer out of range");
    return count + 1;
  }
  ASSIGN_OR_RETURN(Numeric offset, Numeric::Subtract(v, low));
  ASSIGN_OR_RETURN(Numeric width, Numeric::Subtract(high, low));
  ASSIGN_OR_RETURN(Numeric scaled, Numeric::Multiply(offset, Numeric(count)));
  ASSIGN_OR_RETURN(Numeric bucket, Numeric::DivideTruncate(scaled, width));
  ASSIGN_OR_RETURN(int64_t whole, bucket.ToInt64());
  return whole + 1;
}

int ClampScale(int64_t scale) { return static_cast<int>(std::clamp<int64_t>(scale, -2000, 2000)); }

}  // namespace

void RegisterNumericFunctions(Registrar& r) {
  r.Scalar("numeric_add", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Add(a, b); }>);
  r.Scalar("numeric_sub", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Subtract(a, b); }>);
  r.Scalar("numeric_mul", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Multiply(a, b); }>);
  r.Scalar("numeric_div", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Divide(a, b); }>);
  r.Scalar("numeric_mod", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Modulo(a, b); }>);
  r.Scalar("numeric_div_trunc", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::DivideTruncate(a, b); }>);
  r.Scalar("numeric_power", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Power(a, b); }>);
  r.Scalar("numeric_gcd", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Gcd(a, b); }>);
  r.Scalar("numeric_lcm", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Lcm(a, b); }>);
  r.Scalar("numeric_log", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Log(a, b); }>);
  r.ScalarFor("log(numeric)", Lift<[](const Numeric& a) { return Numeric::Log10(a); }>);
  r.ScalarFor("log10(numeric)", Lift<[](const Numeric& a) { return Numeric::Log10(a); }>);
  r.Scalar("numeric_ln", Lift<[](const Numeric& a) { return Numeric::Ln(a); }>);
  r.Scalar("numeric_exp", Lift<[](const Numeric& a) { return Numeric::Exp(a); }>);
  r.Scalar("numeric_sqrt", Lift<[](const Numeric& a) { return Numeric::Sqrt(a); }>);
  r.Scalar("numeric_fac", Lift<[](int64_t n) { return Numeric::Factorial(n); }>);
  r.Scalar("numeric_abs", Lift<[](const Numeric& a) { return a.Abs(); }>);
  r.Scalar("numeric_uminus", Lift<[](const Numeric& a) { return a.Negate(); }>);
  r.Scalar("numeric_uplus", Lift<[](const Numeric& a) { return Numeric(a); }>);
  r.Scalar("numeric_sign", Lift<[](const Numeric& a) { return a.IsNaN() ? Numeric::NaN() : Numeric(int64_t{a.Sign()}); }>);
  r.Scalar("numeric_ceil", Lift<[](const Numeric& a) { return a.Ceil(); }>);
  r.Scalar("numeric_floor", Lift<[](const Numeric& a) { return a.Floor(); }>);
  r.Scalar("numeric_round", Lift<[](const Numeric& a, int64_t n) { return a.Round(ClampScale(n)); }>);
  r.Scalar("numeric_trunc", Lift<[](const Numeric& a, int64_t n) { return a.Truncate(ClampScale(n)); }>);
  r.ScalarFor("round(numeric)", Lift<[](const Numeric& a) { return a.Round(0); }>);
  r.ScalarFor("trunc(numeric)", Lift<[](const Numeric& a) { return a.Truncate(0); }>);
  r.Scalar("numeric_larger", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Compare(a, b) > 0 ? a : b; }>);
  r.Scalar("numeric_smaller", Lift<[](const Numeric& a, const Numeric& b) { return Numeric::Compare(a, b) < 0 ? a : b; }>);
  r.Scalar("numeric_scale", Lift<[](const Numeric& a) -> std::optional<int64_t> {
             if (!a.IsFinite()) return std::nullopt;
             return a.scale();
           }>);
  r.Scalar("numeric_min_scale", Lift<[](const Numeric& a) -> std::optional<int64_t> {
             if (!a.IsFinite()) return std::nullopt;
             return a.min_scale();
           }>);
  r.Scalar("numeric_trim_scale", Lift<[](const Numeric& a) { return a.TrimScale(); }>);
  r.Scalar("width_bucket_numeric", Lift<[](const Numeric& v, const Numeric& low, const Numeric& high, int64_t n) {
             return WidthBucket(v, low, high, n);
           }>);
}

}  // namespace insula::sql::internal
