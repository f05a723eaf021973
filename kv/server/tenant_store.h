// The tenant registry as rows of the system range, changed in serializable transactions.
//
//   Tenant      (id)        -> TenantRecord
//   TenantName  (name, id)  -> ""               finds a tenant by its name
//   Setting     ("create/" request id) -> tenant id    a create that is repeated answers the same
//   Setting     ("gc-ttl/" keyspace id) -> seconds     where a record says how long old versions are kept
#ifndef INSULA_KV_SERVER_TENANT_STORE_H_
#define INSULA_KV_SERVER_TENANT_STORE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/time.h"
#include "kv/api/txn.h"
#include "kv/server/registry_term.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/tenant.h"

namespace insula::kv {

using TenantRecord = insula::tenant::v1::TenantRecord;

class TenantStore {
 public:
  // `database`: the nodes' own, which may reach system keys. `term`: whoever changes something has to lead.
  TenantStore(Database* database, const RegistryTerm* term, const Clock* clock) : database_(database), term_(term), clock_(clock) {}

  // kInvalidArgument: the name, user or verifier is malformed.
  Task<absl::StatusOr<TenantRecord>> Create(const Context& ctx, insula::tenant::v1::CreateTenantRequest request);
  // `cluster`: NAME-ID, ID, or NAME where unique. kNotFound; kFailedPrecondition if the name is not unique.
  Task<absl::StatusOr<TenantRecord>> Get(const Context& ctx, std::string cluster);
  Task<absl::StatusOr<TenantRecord>> GetById(const Context& ctx, TenantId id);
  Task<absl::StatusOr<std::vector<TenantRecord>>> List(const Context& ctx);
  // Replaces the record if its revision is `expected`; gives it with its new revision. kAborted otherwise.
  // id, name and keyspace do not change; the generation never falls.
  Task<absl::StatusOr<TenantRecord>> Update(const Context& ctx, TenantRecord record, uint64_t expected);
  // What the tenant may spend in the whole cluster (tenant/plan.h); a plan that says nothing takes the present one away. kInvalidArgument:
  // which number is wrong. kNotFound, kFailedPrecondition as Get.
  Task<absl::StatusOr<TenantRecord>> SetPlan(const Context& ctx, insula::tenant::v1::SetPlanRequest request);
  // Deletes a DROPPING tenant's keys, then its record. Idempotent; in pages, so that a large tenant takes several transactions.
  Task<absl::Status> Purge(const Context& ctx, TenantId id);

 private:
  Task<absl::StatusOr<TenantRecord>> FindByName(const Context& ctx, Txn& txn, const std::string& name);

  Database* database_;
  const RegistryTerm* term_;
  const Clock* clock_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_TENANT_STORE_H_
