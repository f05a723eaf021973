// The operator's gRPC services: Directory for proxies, Operator for administrators. Who may call what:
//
//   service    | proxy | admin | node, tenant, pool pod, others
//   -----------+-------+-------+-------------------------------
//   Directory  |  yes  |  yes  |  no
//   Operator   |  no   |  yes  |  no
#ifndef INSULA_OPERATOR_SERVICES_H_
#define INSULA_OPERATOR_SERVICES_H_

#include <set>

#include "base/runtime/transport.h"
#include "operator/pod_table.h"
#include "operator/tenant_lives.h"
#include "operator/tenant_registry.h"

namespace insula::ops {

// The feed of tenants' states that goes with the feed of pods.
class TenantFeed {
 public:
  // A record changed or went.
  void Touch(TenantId tenant) {
    versions_[tenant] = ++version_;
    changed_.NotifyAll();
  }
  uint64_t version() const { return version_; }
  std::vector<TenantId> Since(uint64_t version) const {
    std::vector<TenantId> out;
    for (auto& [tenant, v] : versions_) {
      if (v > version) out.push_back(tenant);
    }
    return out;
  }
  Condition& changed() { return changed_; }

 private:
  std::map<TenantId, uint64_t> versions_;
  uint64_t version_ = 0;
  Condition changed_;
};

class Services {
 public:
  Services(TenantRegistry* registry, PodTable* pods, TenantLives* lives, TenantFeed* feed) : registry_(registry), pods_(pods), lives_(lives), feed_(feed) {}

  // Registers all methods; before transport->Listen.
  void Register(Transport* transport);

 private:
  Task<absl::StatusOr<v1::LookupTenantResponse>> LookupTenant(Context ctx, v1::LookupTenantRequest request);
  Task<absl::Status> WatchPods(Context ctx, MessageStream& stream);
  Task<absl::StatusOr<TenantId>> Resolve(const Context& ctx, const std::string& cluster);

  TenantRegistry* registry_;
  PodTable* pods_;
  TenantLives* lives_;
  TenantFeed* feed_;
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_SERVICES_H_
