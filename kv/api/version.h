// What a cluster as a whole understands: each version adds behaviour that programs of earlier ones do not know.
//
// A node uses new behaviour towards others only when the cluster's version says that all of them know it (kv/server/cluster_version.h),
// and understands it from others as soon as its program does.
#ifndef INSULA_KV_API_VERSION_H_
#define INSULA_KV_API_VERSION_H_

#include <cstdint>

#include "proto/kv/api.pb.h"

namespace insula::kv {

inline constexpr uint32_t kFirstClusterVersion = 1;
// Entries of the log that merge ranges, change their replicas, or compare them: earlier programs stop a replica that meets one.
inline constexpr uint32_t kRangeLifecycleVersion = 2;
inline constexpr uint32_t kNewestClusterVersion = kRangeLifecycleVersion;

// What the cluster has to be at for `request` to be served.
uint32_t VersionNeededBy(const v1::Request& request);

}  // namespace insula::kv

#endif  // INSULA_KV_API_VERSION_H_
