#include "kv/server/tenant_gate.h"

#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::kv {

namespace pb = insula::tenant::v1;

Task<absl::StatusOr<TenantScope>> TenantGate::Admit(const Context& ctx, const Identity& identity, uint64_t range, uint64_t lease_sequence) {
  std::pair key(identity.tenant, range);
  auto it = seen_.find(key);
  if (it != seen_.end() && fault::On(fault::Mutation::kZombieWrites)) co_return TenantScope{identity.tenant, it->second.keyspace};
  bool known = it != seen_.end() && it->second.lease_sequence == lease_sequence;
  if (known && identity.generation < it->second.generation) {
    PROBE("a pod of a replaced generation was turned away");
    co_return absl::FailedPreconditionError(StrCat("generation ", identity.generation, " of tenant ", identity.tenant, " was replaced by ", it->second.generation));
  }
  if (known && identity.generation == it->second.generation) co_return TenantScope{identity.tenant, it->second.keyspace};

  auto record = co_await read_(ctx, identity.tenant);
  if (record.status().code() == absl::StatusCode::kNotFound) co_return absl::PermissionDeniedError(StrCat("there is no tenant ", identity.tenant));
  if (!record.ok()) co_return record.status();
  if (record->state() == pb::DROPPING) co_return absl::PermissionDeniedError(StrCat("tenant ", identity.tenant, " is being dropped"));
  if (record->generation() != identity.generation) {
    co_return absl::FailedPreconditionError(StrCat("generation ", identity.generation, " of tenant ", identity.tenant, " is not the present one, ", record->generation()));
  }
  if (record->state() != pb::ACTIVE) co_return absl::FailedPreconditionError(StrCat("tenant ", identity.tenant, " is suspended"));
  // Another batch may have learned more while this one read: the generation only rises.
  Seen& seen = seen_[key];
  if (seen.lease_sequence != lease_sequence || seen.generation <= record->generation()) {
    seen = {.lease_sequence = lease_sequence, .generation = record->generation(), .keyspace = record->keyspace_id()};
  } else {
    co_return absl::FailedPreconditionError(StrCat("generation ", identity.generation, " of tenant ", identity.tenant, " was replaced"));
  }
  co_return TenantScope{identity.tenant, record->keyspace_id()};
}

void TenantGate::Forget(TenantId tenant) {
  auto it = seen_.lower_bound({tenant, 0});
  while (it != seen_.end() && it->first.first == tenant) it = seen_.erase(it);
}

}  // namespace insula::kv
