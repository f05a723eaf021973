// Comparing the replicas of a range: what the leaseholder asks of the stores, and what their answers mean.
//
//   check_consistency ─► entry with a check id ─► every replica: rows as of that entry, summed up in the background (kv/store/consistency.h)
//                                                      │
//   leaseholder ◄── ChecksumReply of each store ◄──────┘
//        └─► Judge ─► answer; and to whoever differs from the majority: `expected`, at which it stops itself
//
// Nothing is ever repaired by copying over it: a replica that differs shows a fault in the software or the machine, and stays as it is
// for whoever looks into it.
#ifndef INSULA_KV_REPLICA_CHECKS_H_
#define INSULA_KV_REPLICA_CHECKS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/keys/keys.h"
#include "proto/kv/api.pb.h"
#include "proto/kv/raft.pb.h"

namespace insula::kv {

// The stores, to a leaseholder that compares its range's replicas.
class ReplicaChecks {
 public:
  virtual ~ReplicaChecks() = default;
  // Unique in the cluster; 16 bytes.
  virtual std::string NewCheckId() = 0;
  // What `store` says. Touches nothing of its owner after it has waited.
  virtual Task<absl::StatusOr<v1::ChecksumReply>> Checksum(Context ctx, StoreId store, v1::ChecksumRequest request) = 0;
  // How long a check may take.
  virtual Duration patience() const = 0;
};

struct ChecksumVerdict {
  bool consistent = true;           // all that answered are alike
  std::string majority;             // what more than half of the voters have; empty: nothing has that many
  std::vector<StoreId> divergent;   // those that have something else; none without a majority
};
// `sums`: of the stores that answered.
ChecksumVerdict Judge(const v1::RangeDescriptor& range, const std::map<StoreId, std::string>& sums);

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_CHECKS_H_
