// A node follows the tenant registry, so that a suspended, dropped or resumed tenant is met with what it is now, on every node.
//
//   leader of the system range ── Registry.Watch ─► full state, then changes ─► TenantGate
//
// While the leader cannot be reached, the gate goes on with what it remembers (TenantGate's G1 holds without any watch); the full state
// that the next stream begins with makes up for the gap.
#ifndef INSULA_KV_SERVER_REGISTRY_WATCH_H_
#define INSULA_KV_SERVER_REGISTRY_WATCH_H_

#include <string>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/transport.h"
#include "kv/server/leader_calls.h"
#include "kv/server/tenant_gate.h"

namespace insula::kv {

class RegistryWatch {
 public:
  // All must outlive the task. `own_address`: where this node's own services are reached.
  RegistryWatch(SystemLeadership* leadership, Transport* transport, std::string own_address, TenantGate* gate)
      : leadership_(leadership), transport_(transport), own_address_(std::move(own_address)), gate_(gate) {}

  // Follows until `ctx` ends.
  Task<void> Run(Context ctx);
  // Times that a full state arrived.
  uint64_t connected() const { return connected_; }

 private:
  Task<absl::Status> Follow(const Context& ctx);

  SystemLeadership* leadership_;
  Transport* transport_;
  std::string own_address_;
  TenantGate* gate_;
  uint64_t connected_ = 0;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_REGISTRY_WATCH_H_
