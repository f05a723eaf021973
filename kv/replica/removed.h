// Replicas that were removed from a range and may still lie on their stores: a row of the range, written by the entry that removes them,
// taken back by whoever holds the lease once their stores say that they are gone.
//
//   row  range id ‖ 'r'   version byte ‖ (varint store, varint replica id)*
#ifndef INSULA_KV_REPLICA_REMOVED_H_
#define INSULA_KV_REPLICA_REMOVED_H_

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kv/keys/keys.h"
#include "kv/storage/engine.h"

namespace insula::kv {

using RemovedReplicas = std::vector<std::pair<StoreId, ReplicaId>>;

absl::StatusOr<RemovedReplicas> LoadRemoved(storage::Reader& reader, RangeId range);
// None: no row.
void PutRemoved(storage::WriteBatch* batch, RangeId range, const RemovedReplicas& removed);

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_REMOVED_H_
