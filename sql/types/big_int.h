// Signed integers of any size in base 10^9: the mantissas of large numerics.
//
// Decimal limbs make scaling by powers of ten and text conversion cheap, which is what numeric does most. Schoolbook algorithms
// (multiplication and Knuth's division D): fine for the hundreds of digits that occur, tolerable at the 131072 that may.
// Invariant: no leading zero limb; zero has no limbs and is not negative.
#ifndef INSULA_SQL_TYPES_BIG_INT_H_
#define INSULA_SQL_TYPES_BIG_INT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace insula::sql::internal {

class BigInt {
 public:
  static constexpr uint32_t kBase = 1000000000;
  static constexpr int kLimbDigits = 9;

  BigInt() = default;
  BigInt(int64_t v) : BigInt(static_cast<__int128>(v)) {}  // NOLINT: implicit on purpose
  explicit BigInt(__int128 v);
  // Decimal digits only.
  static BigInt FromDigits(std::string_view digits, bool negative = false);
  static BigInt PowerOfTen(int n);

  bool IsZero() const { return limbs_.empty(); }
  bool negative() const { return negative_; }
  bool IsOdd() const { return !limbs_.empty() && (limbs_[0] & 1); }
  int Sign() const { return limbs_.empty() ? 0 : (negative_ ? -1 : 1); }
  // Number of decimal digits; 0 for zero.
  int DigitCount() const;
  // Number of trailing decimal zeros; 0 for zero.
  int TrailingZeros() const;
  // Digits of the absolute value; "0" for zero.
  std::string ToDigits() const;
  // Whether |*this| < 10^18 / < 2^127 roughly (10^36), and the value then.
  bool FitsInt64(int64_t* out) const;
  bool FitsInt128(__int128* out) const;

  static int Compare(const BigInt& a, const BigInt& b);
  static int CompareMagnitude(const BigInt& a, const BigInt& b);
  friend BigInt operator+(const BigInt& a, const BigInt& b);
  friend BigInt operator-(const BigInt& a, const BigInt& b);
  friend BigInt operator*(const BigInt& a, const BigInt& b);
  BigInt operator-() const;
  BigInt Abs() const;
  // Truncating division; the remainder has the dividend's sign. `b` is not zero.
  static void DivMod(const BigInt& a, const BigInt& b, BigInt* quotient, BigInt* remainder);
  // Quotient rounded half away from zero.
  static BigInt DivRound(const BigInt& a, const BigInt& b);
  BigInt MulPow10(int n) const;
  // Without the last n digits: truncated, or rounded half away from zero.
  BigInt DivPow10(int n, bool round) const;
  // Floor of the square root; not negative.
  static BigInt Sqrt(const BigInt& a);

  size_t HeapBytes() const { return sizeof(BigInt) + limbs_.capacity() * sizeof(uint32_t); }

 private:
  void Trim();
  static std::vector<uint32_t> AddMagnitude(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b);
  static std::vector<uint32_t> SubMagnitude(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b);
  static int CompareLimbs(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b);
  void DivSmall(uint32_t divisor, uint32_t* remainder);

  std::vector<uint32_t> limbs_;  // least significant first
  bool negative_ = false;
};

}  // namespace insula::sql::internal

#endif  // INSULA_SQL_TYPES_BIG_INT_H_
