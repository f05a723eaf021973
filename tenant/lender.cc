#include "tenant/lender.h"

#include <algorithm>

namespace insula {
namespace {
// Of a second.
constexpr int64_t kScarceParts = 4;
constexpr Duration kScarceTime = Duration(std::chrono::seconds(1)) / kScarceParts;
}  // namespace

Lender::Lender(const PlanLimits& limits, MonoTime since) : limits_(limits), bucket_(limits.lent_rate(), limits.burst, since) {
  // What an earlier leader had not lent is not known here.
  bucket_.Charge(limits.burst, since);
}

void Lender::SetLimits(const PlanLimits& limits, MonoTime now) {
  if (limits.revision <= limits_.revision) return;
  limits_ = limits;
  bucket_.SetLimits(limits.lent_rate(), limits.burst, now);
}

Loan Lender::Lend(uint64_t node, MilliRu wanted, MonoTime now) {
  asked_[node] = now;
  std::erase_if(asked_, [now](const auto& entry) { return now - entry.second > kBorrowerLife; });
  const auto borrowers = static_cast<MilliRu>(asked_.size());
  const MilliRu part = std::max<MilliRu>(limits_.lent_rate() / borrowers, 1);  // per second
  const MilliRu available = bucket_.Available(now);
  const bool plenty = available >= limits_.lent_rate();
  const MilliRu little = std::max<MilliRu>(part / kScarceParts, 1);
  Loan loan{.amount = std::clamp<MilliRu>(wanted, 1, plenty ? part : little), .borrowers = static_cast<uint32_t>(borrowers), .ask_after = {}};
  // The time in which its part earns as much.
  if (!plenty) loan.ask_after = kScarceTime * loan.amount / little;
  if (loan.amount > available) {
    loan.amount = 0;
  } else {
    bucket_.Charge(loan.amount, now);
  }
  return loan;
}

}  // namespace insula
