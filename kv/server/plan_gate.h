// What tenants with a plan may spend in the whole cluster, enforced where pods cannot lie about it: at each node, before the disk and the turn.
//
//   batch ─► its tenant has no plan ────────────────────────────────────────► on (a null pointer is all that this costs)
//       └──► Purse: the node's part of the baseline, or its slice ── yes ───► on
//              │ neither                                  ▲
//              ▼                                          │ lent
//            waits: what ends a transaction first, then   └─ Borrow: asks the lender, when something is spent and only then
//            by priority and in order of arrival                       │
//                                                                      ▼
//                                      node that leads the system range: PlanLender
//
// Invariants:
//   P1  A tenant never spends more in the cluster than its plan and the slack of lender.h (L1) and purse.h (U1), whatever its pods do.
//   P2  It is never refused for its plan, and never stopped: what it cannot borrow leaves it its baseline, whether it is in debt, the bucket
//       is empty or the lender is away.
//   P3  Nothing polls: tasks run only while a batch waits or a loan is under way.
// Loop thread only.
#ifndef INSULA_KV_SERVER_PLAN_GATE_H_
#define INSULA_KV_SERVER_PLAN_GATE_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/executor.h"
#include "kv/server/fair_queue.h"
#include "kv/server/server_metrics.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/lender.h"
#include "tenant/plan.h"
#include "tenant/purse.h"
#include "tenant/tenant.h"

namespace insula::kv {

// How this node borrows.
struct Borrowing {
  using Ask = std::function<Task<absl::StatusOr<Loan>>(Context ctx, TenantId tenant, PlanLimits limits, MilliRu wanted)>;
  Ask ask;
  // Of the cluster.
  std::function<uint32_t()> nodes;
};

class PlanGate {
 public:
  class Account;  // of a tenant with a plan

  static constexpr Duration kPatience = std::chrono::seconds(1);  // with the lender

  // Outlives all who wait.
  PlanGate(Executor* executor, ServerMetrics* metrics, Borrowing borrowing);

  // Opens, changes or closes (null: no plan) the account, as the record of that revision says.
  void SetPlan(std::shared_ptr<Account>* account, TenantId tenant, const insula::tenant::v1::TenantRecord& record);

  // Pays for a batch that is about to begin; kNone: it has to wait. `finishing`: it ends a transaction.
  Purse::Pot TryPass(const std::shared_ptr<Account>& account, MilliRu cost, bool finishing);
  // Until it is paid for, from `pot`. Not OK: the context ended, or the tenant was turned away.
  Task<absl::Status> Wait(Context ctx, std::shared_ptr<Account> account, MilliRu cost, bool finishing, int priority, Purse::Pot* pot);
  // It cost so much more.
  void Charge(const std::shared_ptr<Account>& account, Purse::Pot pot, MilliRu cost);
  // Ends all waits with `why`; OK: they pass.
  void TurnAway(Account& account, const absl::Status& why);
  // Whether the account may be forgotten. If it is in debt, it begins to pay.
  bool Settled(const std::shared_ptr<Account>& account);

  size_t queued() const { return queue_.size(); }
  // Tasks that run now.
  size_t busy() const { return tasks_.size(); }

 private:
  struct Waiter;

  void Paid(Account& account, Purse::Pot pot, MilliRu cost);
  void Look(const std::shared_ptr<Account>& account);
  Task<void> Borrow(std::shared_ptr<Account> account);
  Task<void> LetIn(std::shared_ptr<Account> account);

  Executor* const executor_;
  ServerMetrics* const metrics_;
  const Borrowing borrowing_;
  FairQueue queue_;
  TaskGroup tasks_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_PLAN_GATE_H_
