// The proxy's view of tenants and pods: a cache that the operator's Directory service fills and keeps fresh.
//
// Invariants
//   D1  What was known stays usable while the operator is away: running tenants can be reached.
//   D2  However many connections wait for a tenant, one EnsurePod call is under way.
//   D3  A pod that could not be reached is not offered again before the operator has said something new about it.
#ifndef INSULA_PROXY_DIRECTORY_H_
#define INSULA_PROXY_DIRECTORY_H_

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/transport.h"
#include "proto/operator/operator.pb.h"
#include "tenant/tenant.h"

namespace insula::proxy {

using Pod = insula::ops::v1::Pod;

class Directory {
 public:
  Directory(const Context& ctx, Transport* transport, std::string operator_address)
      : transport_(transport), operator_address_(std::move(operator_address)), tasks_(ctx) {}

  // Follows the operator until the constructor's context ends. Call once.
  void Start() { tasks_.Spawn(Follow(tasks_.ctx())); }
  // OK once the first full state was received.
  Task<absl::Status> WaitLoaded(const Context& ctx) { return loaded_.Wait(ctx); }

  // OK if there is such a cluster (id and name agree). kNotFound otherwise; kUnavailable if that cannot be found out now.
  Task<absl::Status> CheckCluster(const Context& ctx, const ClusterName& cluster);
  // A pod to dial, waking the tenant if it sleeps.
  Task<absl::StatusOr<Pod>> PodFor(const Context& ctx, TenantId tenant);
  // `pod` did not answer, or its gate is closed: ask the operator before offering it again.
  void ReportUnusable(const Pod& pod);

 private:
  struct WakeCall {
    Event done;
    absl::StatusOr<Pod> result = absl::UnknownError("not done");
  };

  Task<void> Follow(Context ctx);
  Task<absl::Status> FollowOnce(const Context& ctx);
  Task<void> CallEnsurePod(Context ctx, TenantId tenant, std::shared_ptr<WakeCall> call);
  std::string MethodAddress() const { return operator_address_; }

  Transport* transport_;
  std::string operator_address_;
  std::map<std::string, Pod> pods_;
  std::map<TenantId, std::string> names_;
  std::set<std::string> unusable_;
  std::map<TenantId, std::shared_ptr<WakeCall>> wakes_;
  Event loaded_;
  TaskGroup tasks_;
};

}  // namespace insula::proxy

#endif  // INSULA_PROXY_DIRECTORY_H_
