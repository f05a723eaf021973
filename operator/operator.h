// The operator as a whole: registry watch, pool, tenants' lives and services, wired together.
//
//   registry (KV) ──watch──► TenantRegistry ──► TenantLives ──► PodRuntime (processes)
//                                                  │  ▲            │
//   proxies, admins ──gRPC──► Services ────────────┘  └── exits ───┘
//                                 PodTable ◄── Pool keeps N prewarmed
//
// Safe to kill at any step: pods run on, and the next operator adopts them; a half-stamped pod is stopped.
#ifndef INSULA_OPERATOR_OPERATOR_H_
#define INSULA_OPERATOR_OPERATOR_H_

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/transport.h"
#include "operator/pod_runtime.h"
#include "operator/pod_table.h"
#include "operator/pool.h"
#include "operator/services.h"
#include "operator/stamp_factory.h"
#include "operator/tenant_lives.h"
#include "operator/tenant_registry.h"

namespace insula::ops {

class Operator {
 public:
  Operator(const Context& ctx, size_t pool_target, TenantRegistry* registry, PodRuntime* runtime, StampFactory* stamps);

  // Registers the services; before transport->Listen.
  void Register(Transport* transport) { services_.Register(transport); }
  // Adopts, then serves until `ctx` ends. `on_ready` is called when the registry is loaded and what can be adopted is.
  Task<absl::Status> Run(Context ctx, std::function<void()> on_ready);

 private:
  TenantRegistry* registry_;
  PodRuntime* runtime_;
  PodTable pods_;
  TenantFeed feed_;
  Pool pool_;
  TenantLives lives_;
  Services services_;
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_OPERATOR_H_
