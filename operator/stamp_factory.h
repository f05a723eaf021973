// Makes what a pod is stamped with: the tenant's record and a fresh, short-lived tenant certificate for one generation.
#ifndef INSULA_OPERATOR_STAMP_FACTORY_H_
#define INSULA_OPERATOR_STAMP_FACTORY_H_

#include "absl/status/statusor.h"
#include "operator/tenant_registry.h"
#include "proto/operator/pod.pb.h"

namespace insula::ops {

class StampFactory {
 public:
  virtual ~StampFactory() = default;
  virtual absl::StatusOr<v1::StampRequest> Make(const TenantRecord& record) = 0;
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_STAMP_FACTORY_H_
