// The tenants' wall: may this caller send this batch? Default deny, for request types and for keys.
//
// A tenant's batch may name only keys of its own keyspace: in every request, in the transaction's anchor and lock spans, in
// refresh spans and in the transactions that it pushes. What a tenant may ask for is a table in the .cc: a request type that is
// not in it is refused. Nodes may do everything; operators, proxies, administrators and pool pods have no business here.
#ifndef INSULA_KV_SERVER_AUTHORIZATION_H_
#define INSULA_KV_SERVER_AUTHORIZATION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "proto/kv/api.pb.h"
#include "tenant/tenant.h"

namespace insula::kv {

// Where a tenant may go.
struct TenantScope {
  TenantId tenant = 0;
  uint64_t keyspace = 0;
};

// OK, or kPermissionDenied with what was refused (for the log; an answer to a tenant must not repeat foreign keys: use
// PermissionDeniedError below).
absl::Status AuthorizeTenantBatch(const TenantScope& scope, const v1::BatchRequest& batch);

// What the caller of a refused batch is told. Names no key.
absl::Status PermissionDeniedError();

// Removes from an answer to a tenant whatever is not of its keyspace (descriptors in lookups, mismatches and updates).
void FilterForTenant(const TenantScope& scope, v1::BatchResponse* response);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_AUTHORIZATION_H_
