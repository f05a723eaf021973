#include "kv/replica/range_load.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace insula::kv {
namespace {
constexpr size_t kSamples = 20;
constexpr double kLeastShare = 0.3;   // of the requests, on either side
constexpr double kMostAcross = 0.2;
}  // namespace

double DecayedRate::At(MonoTime now) const {
  if (weight_ == 0 || now <= at_) return weight_;
  return weight_ * std::exp2(-std::chrono::duration<double>(now - at_).count() / std::chrono::duration<double>(half_life_).count());
}

void DecayedRate::Add(MonoTime now) {
  weight_ = At(now) + 1;
  at_ = std::max(at_, now);
}

double DecayedRate::PerSecond(MonoTime now) const { return At(now) * std::numbers::ln2 / std::chrono::duration<double>(half_life_).count(); }

// xorshift: which keys are kept need not be unpredictable, only the same in each run.
uint64_t LoadSplitter::Uniform(uint64_t bound) {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_ % bound;
}

void LoadSplitter::Reset(MonoTime now) {
  samples_.clear();
  seen_ = 0;
  since_ = MonoTime{};
  not_before_ = now + options_.cooldown;
}

void LoadSplitter::Count(std::string_view key, std::string_view end_key) {
  for (Sample& sample : samples_) {
    if (end_key.empty() ? key < sample.key : end_key <= sample.key) {
      ++sample.left;
    } else if (key >= sample.key) {
      ++sample.right;
    } else {
      ++sample.across;
    }
  }
}

std::optional<std::string> LoadSplitter::Note(MonoTime now, double rate, std::string_view key, std::string_view end_key) {
  if (!enabled() || now < not_before_) return std::nullopt;
  if (since_ == MonoTime{}) {
    if (rate < options_.batches_per_second) return std::nullopt;
    since_ = now;
  } else if (rate < options_.batches_per_second / 2) {
    Reset(now);
    not_before_ = now;
    return std::nullopt;
  }
  Count(key, end_key);
  ++seen_;
  if (samples_.size() < kSamples) {
    samples_.push_back({.key = std::string(key)});
  } else if (uint64_t slot = Uniform(seen_); slot < kSamples) {
    samples_[slot] = {.key = std::string(key)};
  }
  if (now - since_ < options_.observe || seen_ < options_.least_requests) return std::nullopt;
  std::optional<std::string> best = Best();
  Reset(now);
  return best;
}

std::optional<std::string> LoadSplitter::Best() const {
  const Sample* best = nullptr;
  double best_score = 0;
  for (const Sample& sample : samples_) {
    const double all = static_cast<double>(sample.left + sample.right + sample.across);
    if (all * 4 < static_cast<double>(seen_)) continue;  // it has not seen enough
    const double left = static_cast<double>(sample.left) / all, right = static_cast<double>(sample.right) / all;
    const double across = static_cast<double>(sample.across) / all;
    if (left < kLeastShare || right < kLeastShare || across > kMostAcross) continue;
    const double score = std::abs(left - right) + across;
    if (best != nullptr && score >= best_score) continue;
    best = &sample;
    best_score = score;
  }
  return best == nullptr ? std::nullopt : std::optional(best->key);
}

}  // namespace insula::kv
