// Every tenant's life: wake, suspend after idle, replace what died, drop. Level-triggered and idempotent.
//
//                 EnsurePod / Resume / a pod died while ACTIVE
//        SUSPENDED ───────────────────────────────────────────► ACTIVE     wake: CAS generation+1, take a pod, stamp, publish
//            ▲                                                    │
//            └──── gate closed ─► CAS SUSPENDED ─► stop pods ◄────┘        idle timer, or Suspend
//
// Invariants
//   T1  A pod is stamped with a generation that the registry gave to nobody else: the CAS comes before the stamp.
//   T2  A pod is stopped for idleness only after its gate closed with nothing active and the CAS succeeded; a wake in between
//       bumps the wake sequence, the CAS fails, and the gate opens again.
//   T3  At most one step (wake, suspend, drop) per tenant is under way; whoever comes meanwhile waits for it.
//   T4  A plucked pod is either published for its tenant or stopped; it never returns to the pool.
#ifndef INSULA_OPERATOR_TENANT_LIVES_H_
#define INSULA_OPERATOR_TENANT_LIVES_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/time.h"
#include "operator/pod_runtime.h"
#include "operator/pod_table.h"
#include "operator/pool.h"
#include "operator/stamp_factory.h"
#include "operator/tenant_registry.h"

namespace insula::ops {

class TenantLives {
 public:
  TenantLives(const Context& ctx, TenantRegistry* registry, PodRuntime* runtime, PodTable* pods, Pool* pool, StampFactory* stamps)
      : registry_(registry), runtime_(runtime), pods_(pods), pool_(pool), stamps_(stamps), tasks_(ctx) {}

  // A READY pod of the tenant, waking it if need be. Concurrent calls share one wake.
  // kNotFound: no such tenant; kFailedPrecondition: it is being dropped.
  Task<absl::StatusOr<v1::EnsurePodResponse>> EnsurePod(const Context& ctx, TenantId tenant);
  // Suspends now, ending open sessions. Idempotent.
  Task<absl::StatusOr<TenantRecord>> Suspend(const Context& ctx, TenantId tenant);
  Task<absl::StatusOr<TenantRecord>> Drop(const Context& ctx, TenantId tenant);

  // What Adopt found; before anything else.
  void TakeOver(const std::vector<Pod>& pods);
  // Once the registry is loaded: tenants that are ACTIVE without a pod (all processes were killed) count as suspended.
  void SettleOrphans();
  // The registry's record changed (or is gone).
  void OnRecordChanged(TenantId tenant);
  void OnPodExit(std::string pod_id, std::string how);

 private:
  struct Life {
    Semaphore step{1};  // T3
    // Idle watching of the tenant's pod.
    v1::ActivityResponse activity;
    bool activity_known = false;
    Condition activity_changed;
  };

  Life& LifeOf(TenantId tenant) { return lives_[tenant]; }
  Task<absl::StatusOr<TenantRecord>> CurrentRecord(const Context& ctx, TenantId tenant);
  // One wake, under the step lock.
  Task<absl::StatusOr<v1::EnsurePodResponse>> Wake(const Context& ctx, TenantId tenant);
  Task<absl::StatusOr<TenantRecord>> TakeGeneration(const Context& ctx, TenantId tenant);
  // Under the step lock. `force`: even with active sessions. kFailedPrecondition: busy.
  Task<absl::StatusOr<TenantRecord>> SuspendLocked(const Context& ctx, TenantId tenant, bool force);
  Task<absl::Status> StopPods(const Context& ctx, TenantId tenant);
  void Publish(Pod pod);
  Task<void> WatchPod(Context ctx, Pod pod);
  Task<void> SuspendWhenIdle(Context ctx, Pod pod);
  Task<void> Replace(Context ctx, TenantId tenant);
  Task<void> SettleOrphan(Context ctx, TenantId tenant);
  Task<void> FinishDrop(Context ctx, TenantId tenant);

  TenantRegistry* registry_;
  PodRuntime* runtime_;
  PodTable* pods_;
  Pool* pool_;
  StampFactory* stamps_;
  std::map<TenantId, Life> lives_;
  TaskGroup tasks_;  // last: its children use all of the above
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_TENANT_LIVES_H_
