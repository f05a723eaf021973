#include "kv/api/version.h"

namespace insula::kv {

uint32_t VersionNeededBy(const v1::Request& request) {
  switch (request.value_case()) {
    case v1::Request::kAdminMerge:
    case v1::Request::kSubsume:
    case v1::Request::kAdminChangeReplicas:
    case v1::Request::kCheckConsistency:
      return kRangeLifecycleVersion;
    default:
      return kFirstClusterVersion;
  }
}

}  // namespace insula::kv
