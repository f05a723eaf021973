// What numeric.cc and numeric_math.cc share: numerics as (mantissa, scale) pairs of any size.
#ifndef INSULA_SQL_TYPES_NUMERIC_OPS_H_
#define INSULA_SQL_TYPES_NUMERIC_OPS_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "sql/types/big_int.h"
#include "sql/types/numeric.h"

namespace insula::sql {

class NumericOps {
 public:
  // PostgreSQL's limits for the scales of computed results.
  static constexpr int kMinSignificantDigits = 16;
  static constexpr int kMaxDisplayScale = 1000;
  static constexpr int kMaxResultScale = 2000;

  // The mantissa of a finite value.
  static internal::BigInt Mantissa(const Numeric& v);
  // mantissa × 10^-scale without a range check; scale 0 … kMaxScale.
  static Numeric Make(internal::BigInt mantissa, int scale);
  // The same, 22003 if there are too many digits before the point; scales past kMaxScale are rounded.
  static absl::StatusOr<Numeric> MakeChecked(internal::BigInt mantissa, int scale);
  // Mantissa at another (larger or smaller, then rounded) scale.
  static internal::BigInt Rescale(const internal::BigInt& mantissa, int from, int to);
  static absl::Status Overflow();

  // The value as PostgreSQL's base-10000 digits see it: weight of the first non-zero digit, and that digit (0, 0 for zero).
  // Scale selection depends on it.
  struct Leading {
    int weight = 0;
    int digit = 0;
  };
  static Leading LeadingDigit(const Numeric& v);
  // Position of the leading decimal digit: 10^exponent <= |v| < 10^(exponent + 1). v is not zero.
  static int Exponent(const Numeric& v);
};

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_NUMERIC_OPS_H_
