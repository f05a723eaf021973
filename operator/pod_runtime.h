// Where pods come from: local processes (process_runtime.h) or, later, Kubernetes. The hands of the operator's one brain.
#ifndef INSULA_OPERATOR_POD_RUNTIME_H_
#define INSULA_OPERATOR_POD_RUNTIME_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "proto/operator/operator.pb.h"
#include "proto/operator/pod.pb.h"

namespace insula::ops {

using Pod = insula::ops::v1::Pod;

class PodRuntime {
 public:
  using OnExit = std::function<void(std::string pod_id, std::string how)>;

  virtual ~PodRuntime() = default;

  // Called once, before anything else. `on_exit` hears of every pod's end, wanted or not.
  virtual void SetOnExit(OnExit on_exit) = 0;
  // The pods that a former operator left running, PREWARMED or READY; what was half stamped is stopped.
  virtual Task<absl::StatusOr<std::vector<Pod>>> Adopt(const Context& ctx) = 0;
  // A new pod, returned when it is PREWARMED.
  virtual Task<absl::StatusOr<Pod>> StartPod(const Context& ctx) = 0;
  // Binds a prewarmed pod to a tenant, once in its life. An error leaves the pod of no use: stop it.
  virtual Task<absl::StatusOr<v1::StampResponse>> Stamp(const Context& ctx, Pod pod, v1::StampRequest request) = 0;
  // Suspend, step 1: true if the gate is closed, false if the pod is busy.
  virtual Task<absl::StatusOr<bool>> CloseGate(const Context& ctx, Pod pod, bool force) = 0;
  virtual Task<absl::Status> OpenGate(const Context& ctx, Pod pod) = 0;
  // Streams the pod's activity to `on_change` until the pod or `ctx` ends.
  virtual Task<absl::Status> WatchActivity(Context ctx, Pod pod, std::function<void(const v1::ActivityResponse&)> on_change) = 0;
  // Asks the pod to end, and makes it after `grace`. Returns when it is gone.
  virtual Task<absl::Status> Stop(const Context& ctx, std::string pod_id, Duration grace) = 0;
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_POD_RUNTIME_H_
