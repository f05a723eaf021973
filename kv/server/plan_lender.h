// Lends request units of tenants with a plan to the nodes that spend them (tenant/lender.h), at the node that leads the system range.
//
//   node: PlanGate ──Lending/Borrow──► leader: a Lender per tenant that is past its baseline somewhere, made when somebody asks
//
// Leases of the system range do not overlap, and a lender counts from the moment at which its node has come to know of its own: so what was
// lent before a change of the leader is not lent again, whether it was spent or not. The price is what a tenant had saved up: it begins with
// an empty bucket, at its rate. The plan comes with each request (nodes are told of all records), so lending reads nothing.
// Nothing polls: a lender earns when it is asked, and those that are at rest go when the next call comes.
#ifndef INSULA_KV_SERVER_PLAN_LENDER_H_
#define INSULA_KV_SERVER_PLAN_LENDER_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/executor.h"
#include "base/runtime/transport.h"
#include "kv/server/leader_calls.h"
#include "kv/server/server_metrics.h"
#include "proto/tenant/lending.pb.h"
#include "tenant/lender.h"
#include "tenant/plan.h"
#include "tenant/tenant.h"

namespace insula::kv {

class PlanLender {
 public:
  // All outlive the handlers. `transport`: with this node's identity.
  PlanLender(Executor* executor, SystemLeadership* leadership, Transport* transport, ServerMetrics* metrics)
      : executor_(executor), metrics_(metrics), calls_(leadership, transport) {}

  // Before transport->Listen.
  void Register(Transport* server);
  // Notices when this node comes to lead: from then on tenants earn. Until `ctx` ends.
  Task<void> Run(Context ctx);

  // kUnavailable: this node does not lead; kInvalidArgument: no such plan.
  absl::StatusOr<insula::tenant::v1::BorrowResponse> Lend(uint64_t node, const insula::tenant::v1::BorrowRequest& request);
  size_t lenders() const { return lenders_.size(); }

 private:
  void NoticeTerm();
  void ForgetAtRest(MonoTime now);

  Executor* const executor_;
  ServerMetrics* const metrics_;
  LeaderCalls calls_;
  uint64_t term_ = 0;  // under which all below was lent
  MonoTime since_{};
  MonoTime last_forgetting_{};
  std::map<TenantId, Lender> lenders_;
};

// Borrows from whoever leads.
Task<absl::StatusOr<Loan>> BorrowFromLeader(Context ctx, SystemLeadership* leadership, Transport* transport, std::string own_address, TenantId tenant, PlanLimits limits,
                                            MilliRu wanted);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_PLAN_LENDER_H_
