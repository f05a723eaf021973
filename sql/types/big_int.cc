#include "sql/types/big_int.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace insula::sql::internal {
namespace {

constexpr uint32_t kPow10[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

int LimbDigits(uint32_t v) {
  int n = 0;
  while (v != 0) {
    v /= 10;
    ++n;
  }
  return n;
}

}  // namespace

BigInt::BigInt(__int128 v) {
  negative_ = v < 0;
  unsigned __int128 u = negative_ ? -static_cast<unsigned __int128>(v) : static_cast<unsigned __int128>(v);
  while (u != 0) {
    limbs_.push_back(static_cast<uint32_t>(u % kBase));
    u /= kBase;
  }
}

BigInt BigInt::FromDigits(std::string_view digits, bool negative) {
  BigInt out;
  out.limbs_.reserve(digits.size() / kLimbDigits + 1);
  for (size_t end = digits.size(); end > 0;) {
    size_t begin = end > kLimbDigits ? end - kLimbDigits : 0;
    uint32_t limb = 0;
    for (size_t i = begin; i < end; ++i) limb = limb * 10 + static_cast<uint32_t>(digits[i] - '0');
    out.limbs_.push_back(limb);
    end = begin;
  }
  out.negative_ = negative;
  out.Trim();
  return out;
}

BigInt BigInt::PowerOfTen(int n) {
  BigInt out;
  out.limbs_.assign(n / kLimbDigits, 0);
  out.limbs_.push_back(kPow10[n % kLimbDigits]);
  return out;
}

void BigInt::Trim() {
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
  if (limbs_.empty()) negative_ = false;
}

int BigInt::DigitCount() const {
  if (limbs_.empty()) return 0;
  return static_cast<int>(limbs_.size() - 1) * kLimbDigits + LimbDigits(limbs_.back());
}

int BigInt::TrailingZeros() const {
  if (limbs_.empty()) return 0;
  int n = 0;
  size_t i = 0;
  while (limbs_[i] == 0) {
    ++i;
    n += kLimbDigits;
  }
  for (uint32_t v = limbs_[i]; v % 10 == 0; v /= 10) ++n;
  return n;
}

std::string BigInt::ToDigits() const {
  if (limbs_.empty()) return "0";
  std::string out(limbs_.size() * kLimbDigits, '0');
  for (size_t i = 0; i < limbs_.size(); ++i) {
    uint32_t v = limbs_[i];
    char* p = out.data() + out.size() - i * kLimbDigits;
    for (int k = 0; k < kLimbDigits; ++k) {
      *--p = static_cast<char>('0' + v % 10);
      v /= 10;
    }
  }
  out.erase(0, out.find_first_not_of('0'));
  return out;
}

bool BigInt::FitsInt64(int64_t* out) const {
  if (limbs_.size() > 2) return false;
  int64_t v = 0;
  for (size_t i = limbs_.size(); i-- > 0;) v = v * kBase + limbs_[i];
  *out = negative_ ? -v : v;
  return true;
}

bool BigInt::FitsInt128(__int128* out) const {
  if (limbs_.size() > 4) return false;
  __int128 v = 0;
  for (size_t i = limbs_.size(); i-- > 0;) v = v * kBase + limbs_[i];
  *out = negative_ ? -v : v;
  return true;
}

int BigInt::CompareLimbs(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  for (size_t i = a.size(); i-- > 0;) {
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return 0;
}

int BigInt::CompareMagnitude(const BigInt& a, const BigInt& b) { return CompareLimbs(a.limbs_, b.limbs_); }

int BigInt::Compare(const BigInt& a, const BigInt& b) {
  if (a.negative_ != b.negative_) return a.negative_ ? -1 : 1;
  int c = CompareLimbs(a.limbs_, b.limbs_);
  return a.negative_ ? -c : c;
}

std::vector<uint32_t> BigInt::AddMagnitude(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  const auto& big = a.size() >= b.size() ? a : b;
  const auto& small = a.size() >= b.size() ? b : a;
  std::vector<uint32_t> out(big.size() + 1);
  uint32_t carry = 0;
  for (size_t i = 0; i < big.size(); ++i) {
    uint32_t v = big[i] + carry + (i < small.size() ? small[i] : 0);
    carry = v >= kBase;
    out[i] = carry ? v - kBase : v;
  }
  out[big.size()] = carry;
  return out;
}

std::vector<uint32_t> BigInt::SubMagnitude(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  std::vector<uint32_t> out(a.size());
  int32_t borrow = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    int32_t v = static_cast<int32_t>(a[i]) - borrow - (i < b.size() ? static_cast<int32_t>(b[i]) : 0);
    borrow = v < 0;
    out[i] = static_cast<uint32_t>(borrow ? v + static_cast<int32_t>(kBase) : v);
  }
  return out;
}

BigInt operator+(const BigInt& a, const BigInt& b) {
  BigInt out;
  if (a.negative_ == b.negative_) {
    out.limbs_ = BigInt::AddMagnitude(a.limbs_, b.limbs_);
    out.negative_ = a.negative_;
  } else if (BigInt::CompareLimbs(a.limbs_, b.limbs_) >= 0) {
    out.limbs_ = BigInt::SubMagnitude(a.limbs_, b.limbs_);
    out.negative_ = a.negative_;
  } else {
    out.limbs_ = BigInt::SubMagnitude(b.limbs_, a.limbs_);
    out.negative_ = b.negative_;
  }
  out.Trim();
  return out;
}

BigInt operator-(const BigInt& a, const BigInt& b) { return a + (-b); }

BigInt operator*(const BigInt& a, const BigInt& b) {
  BigInt out;
  if (a.IsZero() || b.IsZero()) return out;
  out.limbs_.assign(a.limbs_.size() + b.limbs_.size(), 0);
  for (size_t i = 0; i < a.limbs_.size(); ++i) {
    uint64_t carry = 0, x = a.limbs_[i];
    if (x == 0) continue;
    for (size_t j = 0; j < b.limbs_.size(); ++j) {
      uint64_t v = x * b.limbs_[j] + out.limbs_[i + j] + carry;
      out.limbs_[i + j] = static_cast<uint32_t>(v % BigInt::kBase);
      carry = v / BigInt::kBase;
    }
    out.limbs_[i + b.limbs_.size()] = static_cast<uint32_t>(carry);
  }
  out.negative_ = a.negative_ != b.negative_;
  out.Trim();
  return out;
}

BigInt BigInt::operator-() const {
  BigInt out = *this;
  if (!out.IsZero()) out.negative_ = !out.negative_;
  return out;
}

BigInt BigInt::Abs() const {
  BigInt out = *this;
  out.negative_ = false;
  return out;
}

void BigInt::DivSmall(uint32_t divisor, uint32_t* remainder) {
  uint64_t rest = 0;
  for (size_t i = limbs_.size(); i-- > 0;) {
    uint64_t v = rest * kBase + limbs_[i];
    limbs_[i] = static_cast<uint32_t>(v / divisor);
    rest = v % divisor;
  }
  *remainder = static_cast<uint32_t>(rest);
  Trim();
}

// Knuth, The Art of Computer Programming 2, 4.3.1, algorithm D.
void BigInt::DivMod(const BigInt& a, const BigInt& b, BigInt* quotient, BigInt* remainder) {
  CHECK(!b.IsZero());
  bool quotient_negative = a.negative_ != b.negative_, remainder_negative = a.negative_;
  BigInt q, r;
  if (CompareLimbs(a.limbs_, b.limbs_) < 0) {
    r = a;
  } else if (b.limbs_.size() == 1) {
    q = a;
    uint32_t rest = 0;
    q.DivSmall(b.limbs_[0], &rest);
    r = BigInt(static_cast<int64_t>(rest));
  } else {
    uint32_t d = kBase / (b.limbs_.back() + 1);
    BigInt u = a.Abs() * BigInt(static_cast<int64_t>(d)), v = b.Abs() * BigInt(static_cast<int64_t>(d));
    size_t n = v.limbs_.size();
    u.limbs_.resize(std::max(u.limbs_.size(), a.limbs_.size()) + (u.limbs_.size() == a.limbs_.size() ? 1 : 0), 0);
    size_t m = u.limbs_.size() - n;
    q.limbs_.assign(m, 0);
    uint64_t v1 = v.limbs_[n - 1], v2 = v.limbs_[n - 2];
    for (size_t j = m; j-- > 0;) {
      uint64_t top = static_cast<uint64_t>(u.limbs_[j + n]) * kBase + u.limbs_[j + n - 1];
      uint64_t qhat = top / v1, rhat = top % v1;
      while (qhat >= kBase || qhat * v2 > rhat * kBase + u.limbs_[j + n - 2]) {
        --qhat;
        rhat += v1;
        if (rhat >= kBase) break;
      }
      int64_t borrow = 0;
      uint64_t carry = 0;
      for (size_t i = 0; i < n; ++i) {
        uint64_t p = qhat * v.limbs_[i] + carry;
        carry = p / kBase;
        int64_t t = static_cast<int64_t>(u.limbs_[i + j]) - borrow - static_cast<int64_t>(p % kBase);
        borrow = t < 0;
        u.limbs_[i + j] = static_cast<uint32_t>(borrow ? t + kBase : t);
      }
      int64_t t = static_cast<int64_t>(u.limbs_[j + n]) - borrow - static_cast<int64_t>(carry);
      borrow = t < 0;
      u.limbs_[j + n] = static_cast<uint32_t>(borrow ? t + kBase : t);
      if (borrow) {  // qhat was one too large: add back
        --qhat;
        uint32_t c = 0;
        for (size_t i = 0; i < n; ++i) {
          uint32_t s = u.limbs_[i + j] + v.limbs_[i] + c;
          c = s >= kBase;
          u.limbs_[i + j] = c ? s - kBase : s;
        }
        u.limbs_[j + n] = (u.limbs_[j + n] + c) % kBase;
      }
      q.limbs_[j] = static_cast<uint32_t>(qhat);
    }
    u.limbs_.resize(n);
    u.Trim();
    uint32_t rest = 0;
    u.DivSmall(d, &rest);
    r = std::move(u);
  }
  q.negative_ = quotient_negative;
  r.negative_ = remainder_negative;
  q.Trim();
  r.Trim();
  if (quotient != nullptr) *quotient = std::move(q);
  if (remainder != nullptr) *remainder = std::move(r);
}

BigInt BigInt::DivRound(const BigInt& a, const BigInt& b) {
  BigInt q, r;
  DivMod(a, b, &q, &r);
  if (CompareLimbs((r + r).limbs_, b.limbs_) >= 0) {
    q = (a.negative_ != b.negative_) ? q - BigInt(int64_t{1}) : q + BigInt(int64_t{1});
  }
  return q;
}

BigInt BigInt::MulPow10(int n) const {
  if (n == 0 || IsZero()) return *this;
  BigInt out;
  out.negative_ = negative_;
  int whole = n / kLimbDigits;
  uint32_t factor = kPow10[n % kLimbDigits];
  out.limbs_.assign(whole, 0);
  out.limbs_.reserve(whole + limbs_.size() + 1);
  uint64_t carry = 0;
  for (uint32_t limb : limbs_) {
    uint64_t v = static_cast<uint64_t>(limb) * factor + carry;
    out.limbs_.push_back(static_cast<uint32_t>(v % kBase));
    carry = v / kBase;
  }
  if (carry != 0) out.limbs_.push_back(static_cast<uint32_t>(carry));
  return out;
}

BigInt BigInt::DivPow10(int n, bool round) const {
  if (n == 0) return *this;
  size_t whole = n / kLimbDigits;
  int part = n % kLimbDigits;
  if (whole > limbs_.size()) return BigInt();
  // The first digit dropped decides the rounding.
  uint32_t first_dropped = 0;
  if (part > 0) {
    if (whole < limbs_.size()) first_dropped = limbs_[whole] / kPow10[part - 1] % 10;
  } else if (whole > 0) {
    first_dropped = limbs_[whole - 1] / kPow10[kLimbDigits - 1];
  }
  BigInt out;
  out.negative_ = negative_;
  out.limbs_.assign(limbs_.begin() + whole, limbs_.end());
  uint32_t rest;
  if (part > 0) out.DivSmall(kPow10[part], &rest);
  out.Trim();
  if (round && first_dropped >= 5) {
    out = negative_ ? out - BigInt(int64_t{1}) : out + BigInt(int64_t{1});
  }
  return out;
}

BigInt BigInt::Sqrt(const BigInt& a) {
  if (a.IsZero()) return a;
  // Newton from above: 10^ceil(digits / 2) is not below the root.
  BigInt x = PowerOfTen((a.DigitCount() + 1) / 2);
  while (true) {
    BigInt q;
    DivMod(a, x, &q, nullptr);
    BigInt y = x + q;
    uint32_t rest;
    y.DivSmall(2, &rest);
    if (Compare(y, x) >= 0) return x;
    x = std::move(y);
  }
}

}  // namespace insula::sql::internal
