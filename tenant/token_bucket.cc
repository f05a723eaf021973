#include "tenant/token_bucket.h"

#include <algorithm>

#include "base/check.h"

namespace insula {
namespace {
using Wide = __int128;
constexpr int64_t kNanosPerSecond = 1'000'000'000;
}  // namespace

TokenBucket::TokenBucket(int64_t rate, int64_t burst, MonoTime now, int64_t deepest)
    : rate_(rate), burst_(burst), deepest_(deepest == 0 ? burst : deepest), level_(burst), last_(now) {
  CHECK(rate > 0 && burst > 0 && burst < INT64_MAX / 2) << "a token bucket needs a rate and a burst";
  CHECK(deepest_ > 0 && deepest_ < INT64_MAX / 2) << "a bound of debts is above zero";
}

void TokenBucket::SetLimits(int64_t rate, int64_t burst, MonoTime now, int64_t deepest) {
  CHECK(rate > 0 && burst > 0 && burst < INT64_MAX / 2) << "a token bucket needs a rate and a burst";
  CHECK(deepest >= 0 && deepest < INT64_MAX / 2) << "a bound of debts is above zero";
  Refill(now);
  rate_ = rate;
  burst_ = burst;
  deepest_ = deepest == 0 ? burst : deepest;
  level_ = std::clamp(level_, -deepest_, burst_);
}

void TokenBucket::Refill(MonoTime now) {
  if (now <= last_) return;
  const Wide earned = static_cast<Wide>((now - last_).count()) * rate_ + fraction_;
  last_ = now;
  const Wide level = level_ + earned / kNanosPerSecond;
  fraction_ = level >= burst_ ? 0 : static_cast<int64_t>(earned % kNanosPerSecond);
  level_ = level >= burst_ ? burst_ : static_cast<int64_t>(level);
}

bool TokenBucket::Take(int64_t amount, MonoTime now) {
  Refill(now);
  if (level_ <= 0) return false;
  Spend(amount);
  return true;
}

void TokenBucket::Charge(int64_t amount, MonoTime now) {
  Refill(now);
  Spend(amount);
}

// Whoever went past the bucket is not held to it for longer than deepest ÷ rate.
void TokenBucket::Spend(int64_t amount) { level_ = amount > level_ + deepest_ ? -deepest_ : level_ - amount; }

int64_t TokenBucket::Available(MonoTime now) {
  Refill(now);
  return level_;
}

Duration TokenBucket::UntilAvailable(MonoTime now) {
  Refill(now);
  if (level_ > 0) return Duration::zero();
  const Wide missing = static_cast<Wide>(1 - level_) * kNanosPerSecond - fraction_;
  return Duration(static_cast<int64_t>(std::min<Wide>((missing + rate_ - 1) / rate_, INT64_MAX / 2)));
}

}  // namespace insula
