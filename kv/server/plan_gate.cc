#include "kv/server/plan_gate.h"

#include <algorithm>
#include <climits>
#include <optional>
#include <utility>

#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/strings.h"

namespace insula::kv {

class PlanGate::Account {
 public:
  Account(TenantId id, const PlanLimits& limits, uint32_t nodes, ServerMetrics* metrics, MonoTime now)
      : tenant(id),
        flow(id),
        purse(limits, nodes, now),
        waits(metrics->plan_waits->With({StrCat(id)})),
        borrowed(metrics->plan_borrowed->With({StrCat(id)})),
        baseline(metrics->plan_baseline->With({StrCat(id)})) {}

  const TenantId tenant;
  FairQueue::Flow flow;
  Purse purse;
  MilliRu waiting = 0;     // the cost of those in the flow
  bool borrowing = false;  // a task is at it
  bool letting_in = false;
  Condition changed;  // the purse holds more, or nobody waits any more
  metrics::Counter* waits;
  metrics::Counter* borrowed;
  metrics::Counter* baseline;
};

struct PlanGate::Waiter : FairQueue::Item {
  explicit Waiter(Account* of, MilliRu amount) : account(of), price(amount) { account->waiting += price; }
  ~Waiter() { Leave(); }
  void Leave() { account->waiting -= std::exchange(price, 0); }
  void End(absl::Status with) {
    Leave();
    status = std::move(with);
    done.Set();
  }

  Account* account;
  MilliRu price;
  Purse::Pot pot = Purse::Pot::kNone;
  Event done;
  absl::Status status;
};

PlanGate::PlanGate(Executor* executor, ServerMetrics* metrics, Borrowing borrowing)
    : executor_(executor), metrics_(metrics), borrowing_(std::move(borrowing)), tasks_(Context::Background(executor)) {}

void PlanGate::SetPlan(std::shared_ptr<Account>* account, TenantId tenant, const insula::tenant::v1::TenantRecord& record) {
  if (!record.has_plan() || IsNoPlan(record.plan())) {
    if (*account != nullptr) TurnAway(**account, absl::OkStatus());
    account->reset();
    return;
  }
  auto complete = CompletePlan(record.plan());
  if (!complete.ok()) {
    LOG_ERROR("a tenant's record has a plan that cannot be", {"tenant", tenant}, {"why", complete.status()});
    return;
  }
  const PlanLimits limits = LimitsOf(*complete, record.revision());
  const uint32_t nodes = std::max<uint32_t>(borrowing_.nodes ? borrowing_.nodes() : 1, 1);
  const MonoTime now = executor_->Now();
  if (*account == nullptr) {
    *account = std::make_shared<Account>(tenant, limits, nodes, metrics_, now);
    return;
  }
  (*account)->purse.SetLimits(limits, nodes, now);
  (*account)->changed.NotifyAll();
}

void PlanGate::Paid(Account& account, Purse::Pot pot, MilliRu cost) {
  if (pot == Purse::Pot::kBaseline) account.baseline->Increment(static_cast<double>(cost) / kMilliRuPerRu);
}

Purse::Pot PlanGate::TryPass(const std::shared_ptr<Account>& account, MilliRu cost, bool finishing) {
  if (account->flow.size() > 0 && !finishing) return Purse::Pot::kNone;
  const Purse::Pot pot = account->purse.Take(cost, finishing, executor_->Now());
  Paid(*account, pot, cost);
  Look(account);
  return pot;
}

void PlanGate::Charge(const std::shared_ptr<Account>& account, Purse::Pot pot, MilliRu cost) {
  account->purse.Charge(pot, cost, executor_->Now());
  Paid(*account, pot, cost);
}

Task<absl::Status> PlanGate::Wait(Context ctx, std::shared_ptr<Account> account, MilliRu cost, bool finishing, int priority, Purse::Pot* pot) {
  const MonoTime since = executor_->Now();
  Waiter waiter(account.get(), cost);
  queue_.Push(&account->flow, &waiter, cost, finishing ? INT_MAX : priority);
  account->waits->Increment();
  metrics_->plan_waiting->Set(static_cast<double>(queue_.size()));
  Look(account);
  absl::Status ended = co_await waiter.done.Wait(ctx);
  if (waiter.queued()) queue_.Remove(&waiter);
  metrics_->plan_waiting->Set(static_cast<double>(queue_.size()));
  metrics_->plan_wait->Observe(std::chrono::duration<double>(executor_->Now() - since).count());
  *pot = waiter.pot;
  // Let in and cancelled in the same moment: it is paid for, and finds out by itself.
  co_return waiter.done.is_set() ? waiter.status : ended;
}

void PlanGate::TurnAway(Account& account, const absl::Status& why) {
  while (auto* waiter = static_cast<Waiter*>(queue_.Drop(&account.flow))) waiter->End(why);
  account.changed.NotifyAll();
}

bool PlanGate::Settled(const std::shared_ptr<Account>& account) {
  if (account->flow.size() > 0 || account->borrowing) return false;
  if (account->purse.at_rest(executor_->Now())) return true;
  Look(account);
  return false;
}

void PlanGate::Look(const std::shared_ptr<Account>& account) {
  const bool waits = account->flow.size() > 0;
  if (!account->borrowing && (waits || account->purse.Wanted(0, executor_->Now()))) {
    account->borrowing = true;
    tasks_.Spawn(Borrow(account));
  }
  if (!account->letting_in && waits) {
    account->letting_in = true;
    tasks_.Spawn(LetIn(account));
  }
}

// As long as somebody waits, and once if the slice runs low.
Task<void> PlanGate::Borrow(std::shared_ptr<Account> account) {
  const Context& ctx = tasks_.ctx();
  Purse& purse = account->purse;
  while (true) {
    if (account->flow.size() > 0 && executor_->Now() < purse.ask_at()) {
      Context until = ctx.WithDeadline(purse.ask_at());
      (void)co_await account->changed.Wait(until);
      if (!ctx.status().ok()) co_return;
      continue;
    }
    const std::optional<MilliRu> wanted = purse.Wanted(account->waiting, executor_->Now());
    if (!wanted) break;
    absl::StatusOr<Loan> loan = absl::UnavailableError("nobody lends");
    if (borrowing_.ask) loan = co_await borrowing_.ask(ctx.WithTimeout(kPatience), account->tenant, purse.limits(), *wanted);
    if (!ctx.status().ok()) co_return;
    if (loan.ok()) {
      purse.Lent(*loan, executor_->Now());
      account->borrowed->Increment(static_cast<double>(loan->amount) / kMilliRuPerRu);
      account->changed.NotifyAll();
    } else {
      PROBE("a tenant with a plan went on at its baseline, as nobody lends");
      LOG_DEBUG("nobody lends to a tenant with a plan", {"tenant", account->tenant}, {"why", loan.status()});
      metrics_->plan_not_answered->Increment();
      purse.NotAnswered(executor_->Now());
    }
  }
  account->borrowing = false;
}

Task<void> PlanGate::LetIn(std::shared_ptr<Account> account) {
  const Context& ctx = tasks_.ctx();
  while (account->flow.size() > 0) {
    const MonoTime now = executor_->Now();
    const Duration wait = account->purse.UntilAvailable(now);
    if (wait > Duration::zero()) {
      Look(account);  // what was lent may be gone without having let anybody in
      Context until = ctx.WithTimeout(std::max<Duration>(wait, std::chrono::milliseconds(1)));
      (void)co_await account->changed.Wait(until);
      if (!ctx.status().ok()) co_return;
      continue;
    }
    auto* waiter = static_cast<Waiter*>(queue_.Drop(&account->flow));
    const MilliRu cost = waiter->cost();
    waiter->pot = account->purse.Take(cost, /*finishing=*/false, now);
    Paid(*account, waiter->pot, cost);
    waiter->End(absl::OkStatus());
  }
  account->letting_in = false;
}

}  // namespace insula::kv
