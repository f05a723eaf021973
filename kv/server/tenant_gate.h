// Who is behind a tenant certificate, as of now: its keyspace, and whether its generation still counts.
//
// A resume takes a new generation, and a pod of an older one (a zombie) must not write any more. The gate remembers, per range
// and lease, the generation that it has checked:
//
//   batch (tenant, generation g) at range r under lease l
//     remembered (r, l) -> newest generation seen n:  g == n serve;  g < n refuse;  g > n read the registry
//     nothing remembered:                             read the registry
//
// Invariant: once a range has served generation g under some lease, it serves no older one, under this lease or a later one.
// Within a lease because n only rises; across leases because nothing is remembered from former ones, and the registry had g
// before any pod did. (A range that the new generation has not touched yet may serve the old one: as if it had come before.)
#ifndef INSULA_KV_SERVER_TENANT_GATE_H_
#define INSULA_KV_SERVER_TENANT_GATE_H_

#include <functional>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/server/authorization.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/tenant.h"

namespace insula::kv {

class TenantGate {
 public:
  // Reads a tenant's record from the registry, past any cache.
  using ReadRecord = std::function<Task<absl::StatusOr<insula::tenant::v1::TenantRecord>>(const Context& ctx, TenantId id)>;

  explicit TenantGate(ReadRecord read) : read_(std::move(read)) {}

  // The scope of a tenant's batch to `range`, which this node leads under lease `lease_sequence` (0: it does not, and the batch will
  // be turned away; the scope is still checked). kPermissionDenied: no such tenant, or it is being dropped; kFailedPrecondition:
  // stale generation, or suspended.
  Task<absl::StatusOr<TenantScope>> Admit(const Context& ctx, const Identity& identity, uint64_t range, uint64_t lease_sequence);

  // Something changed in the registry: forget what is remembered of this tenant.
  void Forget(TenantId tenant);

 private:
  struct Seen {
    uint64_t lease_sequence = 0;
    uint64_t generation = 0;
    uint64_t keyspace = 0;
  };
  ReadRecord read_;
  std::map<std::pair<TenantId, uint64_t>, Seen> seen_;  // by tenant and range
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_TENANT_GATE_H_
