// Keeps N prewarmed pods: starts one when the pool is short, at once; backs off when starting fails.
#ifndef INSULA_OPERATOR_POOL_H_
#define INSULA_OPERATOR_POOL_H_

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "operator/pod_runtime.h"
#include "operator/pod_table.h"

namespace insula::ops {

class Pool {
 public:
  Pool(size_t target, PodRuntime* runtime, PodTable* pods) : target_(target), runtime_(runtime), pods_(pods) {}

  // Until `ctx` ends. Wakes on changes of the pod table only.
  Task<void> Run(Context ctx);
  // A prewarmed pod, in state STAMPING; when the pool is empty, one is started cold or the next that comes up is taken.
  Task<absl::StatusOr<Pod>> Take(const Context& ctx);

 private:
  Task<void> StartOne(Context ctx);

  size_t target_;
  PodRuntime* runtime_;
  PodTable* pods_;
  size_t starting_ = 0;
  size_t waiting_ = 0;   // Takes that wait for a pod
  int failures_ = 0;     // in a row
  absl::Status last_failure_;
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_POOL_H_
