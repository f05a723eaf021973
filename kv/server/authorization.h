// The tenants' wall: may this tenant send this batch? Default deny, for request types, for keys and for what this node does not know.
//
//   request                                              | tenant | keys that must be the tenant's
//   -----------------------------------------------------+--------+---------------------------------------------------
//   get, put, delete, conditional_put, increment, check, | yes    | the key
//     lock, range_stats, lease_info, query_outcome,      |        |
//     heartbeat_txn                                      |        |
//   scan, delete_range, clear_range, query_locks         | yes    | both ends; an end there must be
//   insert_rows                                          | yes    | both ends, and every row lies between them
//   refresh                                              | yes    | the key, or both ends
//   end_txn                                              | yes    | its key, lock spans, writes in flight
//   query_intent                                         | yes    | the key, the transaction's anchor; not `prevent`
//   range_lookup                                         | yes    | the key; the answer is filtered
//   push_txn, query_txn, recover_txn, resolve_intent     | no     | between nodes: who waits for whom, and what became of it
//   admin_split, admin_merge, admin_change_replicas,     | no     |
//     admin_transfer_lease, subsume, check_consistency   |        |
//
// Of the header: the tenant's name, if given, is the caller's own; refresh spans, and the transaction's anchor, lock spans and writes in
// flight are the tenant's.
// Also refused here, as Invalid: fields and enum values that this node does not know (they might name keys), timestamps further ahead
// than clocks may differ (they would push others' up), inverted spans, oversized keys, transaction ids of another length, waits without
// end, scans without a bound on what they give back. What else makes a batch malformed, Validate (kv/api/request.h) says where it is evaluated.
// Nodes may send everything; others do not get here (tenant/method_access.h).
#ifndef INSULA_KV_SERVER_AUTHORIZATION_H_
#define INSULA_KV_SERVER_AUTHORIZATION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "base/hlc/hlc.h"
#include "proto/kv/api.pb.h"
#include "tenant/tenant.h"

namespace insula::kv {

// Where a tenant may go.
struct TenantScope {
  TenantId tenant = 0;
  uint64_t keyspace = 0;
};

// What the scans of a tenant's batch may give back at most, as its header has to say: a node answers from memory.
inline constexpr uint64_t kMaxTenantScanBytes = 16 << 20;
// The largest batch of a tenant.
inline constexpr uint64_t kMaxTenantBatchBytes = 48 << 20;
// No wait of a batch may be longer.
inline constexpr int64_t kMaxWaitMicros = int64_t{30} * 24 * 3600 * 1'000'000;

// OK, or the KV error that the caller is to be told: Unauthorized or Invalid, with the request's index, and no key in it.
// `latest`: the highest timestamp that a clock can have given. `target` (for the log): what a denied batch reached for, without keys:
// "keyspace 301", "the meta ranges", "request push_txn".
absl::Status AuthorizeTenantBatch(const TenantScope& scope, Timestamp latest, const v1::BatchRequest& batch, std::string* target);

// What the caller of a denied batch is told. Names no key.
absl::Status PermissionDeniedError(int request_index);

// Removes from an answer to a tenant whatever is not of its keyspace: descriptors in lookups, mismatches and updates, nodes of others'
// ranges, keys in errors, and the texts of internal errors. Gives the text that it took away ("": none), for the log.
std::string FilterForTenant(const TenantScope& scope, v1::BatchResponse* response);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_AUTHORIZATION_H_
