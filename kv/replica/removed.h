// Replicas that were removed from a range and may still lie on their stores: a row of the range, written by the entry that removes them,
// taken back by whoever holds the lease once their stores say that they are gone. A range that takes its neighbour in goes on with what is
// noted there.
//
//   row  range id ‖ 'r'   version byte ‖ (varint store, varint replica id, varint range id, varint generation, start, end)*
//
// Bounds and generation are the range's when the replica was removed. Its store may have slept through merges before that: then it holds
// replicas of ranges that have ended, which nobody else will ever tell so.
#ifndef INSULA_KV_REPLICA_REMOVED_H_
#define INSULA_KV_REPLICA_REMOVED_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kv/keys/keys.h"
#include "kv/storage/engine.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

struct RemovedReplica {
  StoreId store = 0;
  ReplicaId replica = 0;
  v1::RangeDescriptor held;  // id, bounds and generation only

  bool Is(RangeId range, ReplicaId id) const { return held.range_id() == range && replica == id; }
};
using RemovedReplicas = std::vector<RemovedReplica>;

RemovedReplica MakeRemoved(const v1::RangeDescriptor& range, const v1::ReplicaDescriptor& replica);
absl::StatusOr<RemovedReplicas> LoadRemoved(storage::Reader& reader, RangeId range);
// None: no row.
void PutRemoved(storage::WriteBatch* batch, RangeId range, const RemovedReplicas& removed);
// `left` goes on with what is noted at `right`, which it takes in. Before the rows of that go.
absl::Status TakeRemoved(storage::Reader& reader, RangeId left, RangeId right, storage::WriteBatch* batch);

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_REMOVED_H_
