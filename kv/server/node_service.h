// What a node says of itself and does by itself: Status, HotRanges, ListNodes, Drain of /insula.kv.v1.Node. (What concerns the table of all
// nodes: membership.h.) Who may call what: tenant/method_access.h.
#ifndef INSULA_KV_SERVER_NODE_SERVICE_H_
#define INSULA_KV_SERVER_NODE_SERVICE_H_

#include <functional>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/transport.h"
#include "proto/kv/status.pb.h"

namespace insula::kv {

class NodeBackend {
 public:
  virtual ~NodeBackend() = default;
  virtual void FillStatus(const v1::NodeStatusRequest& request, v1::NodeStatusResponse* out) const = 0;
  virtual void FillHotRanges(const v1::HotRangesRequest& request, v1::HotRangesResponse* out) const = 0;
  virtual void FillNodes(v1::ListNodesResponse* out) = 0;
  // Gives all leases away; `progress` is told how many are left, now and again, and waits for its answer.
  virtual Task<absl::Status> DrainByOrder(Context ctx, std::function<Task<absl::Status>(uint64_t leases)> progress) = 0;
};

// Registers the methods; before transport->Listen.
void RegisterNodeService(Transport* transport, NodeBackend* node);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_NODE_SERVICE_H_
