// What a store knows of the cluster at one moment, as placement looks at it. Plain data.
#ifndef INSULA_KV_PLACEMENT_CLUSTER_VIEW_H_
#define INSULA_KV_PLACEMENT_CLUSTER_VIEW_H_

#include <cstdint>
#include <map>

#include "kv/keys/keys.h"
#include "kv/placement/locality.h"
#include "proto/kv/api.pb.h"
#include "proto/kv/status.pb.h"

namespace insula::kv::placement {

enum class Liveness {
  kLive,
  kSilent,  // not heard of, but not for long enough to give up on it
  kDead,    // not heard of for so long that its replicas are to be replaced
};

struct StoreView {
  uint64_t node_id = 0;
  StoreId store_id = 0;
  Locality locality;
  Liveness liveness = Liveness::kSilent;
  v1::NodeState state = v1::NODE_ACTIVE;
  bool fresh = false;            // the figures below were heard lately: nothing is sent to a store whose figures are old
  uint64_t capacity_bytes = 0;   // 0: not known
  uint64_t available_bytes = 0;
  double used_bytes = 0;         // of its ranges
  double ranges = 0;
  double leases = 0;
  double batches_per_second = 0;  // of its leases
  double writes_per_second = 0;   // of its replicas
  std::map<RangeId, ReplicaId> stopped;  // replicas there that take no part any more; 0: not known which
};

struct ClusterView {
  std::map<StoreId, StoreView> stores;

  const StoreView* Find(StoreId store) const {
    auto it = stores.find(store);
    return it == stores.end() ? nullptr : &it->second;
  }
};

// One range, as its leaseholder sees it.
struct RangeView {
  const v1::RangeDescriptor* descriptor = nullptr;
  StoreId leaseholder = 0;
  double bytes = 0;
  double batches_per_second = 0;
  double writes_per_second = 0;
  // Nobody has changed its replicas for a while: a learner or a joint change that is still there was left by somebody who died.
  bool settled = true;
};

}  // namespace insula::kv::placement

#endif  // INSULA_KV_PLACEMENT_CLUSTER_VIEW_H_
