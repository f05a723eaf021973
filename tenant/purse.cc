#include "tenant/purse.h"

#include <algorithm>

namespace insula {
namespace {

constexpr int64_t kLongestDebt = 3600;  // seconds of the rate
constexpr Duration kFirstRetry = std::chrono::milliseconds(250);
constexpr Duration kLastRetry = std::chrono::seconds(2);  // below the life of what the lender said
// Of the time in which a node spends what it wants to borrow.
constexpr int64_t kLeastParts = 20;  // a twentieth of a second of its part
constexpr Duration kAhead = std::chrono::seconds(1);
constexpr Duration kShortest = std::chrono::milliseconds(10);

MilliRu Part(MilliRu all, uint32_t among) { return std::max<MilliRu>(all / std::max<uint32_t>(among, 1), 1); }

}  // namespace

Purse::Purse(const PlanLimits& limits, uint32_t nodes, MonoTime now)
    : limits_(limits), nodes_(nodes), among_(nodes), free_(Part(limits.baseline, nodes), Part(limits.baseline, nodes), now, limits.baseline * kLongestDebt), asked_at_(now), ask_at_(now) {}

void Purse::SetLimits(const PlanLimits& limits, uint32_t nodes, MonoTime now) {
  if (limits.revision < limits_.revision) return;
  limits_ = limits;
  nodes_ = nodes;
  Divide(heard_ ? among_ : nodes, now);
}

void Purse::Divide(uint32_t among, MonoTime now) {
  among_ = among;
  const MilliRu part = Part(limits_.baseline, among);
  free_.SetLimits(part, part, now, limits_.baseline * kLongestDebt);
}

// What was borrowed, and who else spends, is true for a while only.
void Purse::Settle(MonoTime now) {
  if (!heard_ || now < expires_) return;
  heard_ = false;
  slice_ = std::min<MilliRu>(slice_, 0);
  if (among_ != nodes_) Divide(nodes_, now);
}

Purse::Pot Purse::Take(MilliRu cost, bool finishing, MonoTime now) {
  Settle(now);
  const MilliRu free = free_.Available(now);
  const MilliRu reserve = finishing ? Part(limits_.rate, among_) : 0;
  if (free < cost && slice_ > -reserve) {
    slice_ -= cost;
    spent_ += cost;
    return Pot::kSlice;
  }
  return free_.Take(cost, now) ? Pot::kBaseline : Pot::kNone;
}

void Purse::Charge(Pot pot, MilliRu cost, MonoTime now) {
  Settle(now);
  if (pot == Pot::kBaseline) return free_.Charge(cost, now);
  slice_ = std::max(slice_ - cost, -limits_.rate * kLongestDebt);
  spent_ += cost;
}

Duration Purse::UntilAvailable(MonoTime now) {
  Settle(now);
  return slice_ > 0 ? Duration::zero() : free_.UntilAvailable(now);
}

std::optional<MilliRu> Purse::Wanted(MilliRu waiting, MonoTime now) {
  Settle(now);
  if (now < ask_at_) return std::nullopt;
  const bool low = slice_ < 0 || (spent_ > 0 && slice_ <= last_slice_ / 2);
  if (waiting == 0 && !low) return std::nullopt;
  const Duration elapsed = std::clamp<Duration>(now - asked_at_, kShortest, kSliceLife);
  const auto ahead = static_cast<MilliRu>(static_cast<__int128>(spent_) * kAhead.count() / elapsed.count());
  const MilliRu wanted = std::max({ahead, waiting, Part(limits_.lent_rate(), among_) / kLeastParts, MilliRu{1}}) - slice_;
  return wanted > 0 ? std::optional(wanted) : std::nullopt;
}

void Purse::Lent(const Loan& loan, MonoTime now) {
  Settle(now);
  slice_ += loan.amount;
  last_slice_ = loan.amount;
  heard_ = true;
  expires_ = now + kSliceLife;
  if (among_ != loan.borrowers) Divide(std::max<uint32_t>(loan.borrowers, 1), now);
  spent_ = 0;
  asked_at_ = now;
  ask_at_ = now + loan.ask_after;
  retry_ = Duration::zero();
}

void Purse::NotAnswered(MonoTime now) {
  // Who spends did not change for all that is known: the tenant keeps its baseline where it has it.
  if (heard_ && expires_ < now + kSliceLife) expires_ = now + kSliceLife;
  retry_ = retry_ == Duration::zero() ? kFirstRetry : std::min(2 * retry_, kLastRetry);
  ask_at_ = now + retry_;
}

bool Purse::at_rest(MonoTime now) {
  Settle(now);
  return slice_ >= 0 && free_.full(now);
}

MilliRu Purse::slice(MonoTime now) {
  Settle(now);
  return slice_;
}
MilliRu Purse::baseline(MonoTime now) { return free_.Available(now); }

}  // namespace insula
