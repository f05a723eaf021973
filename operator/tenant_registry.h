// The operator's view of the tenant registry: all records, followed by watch, changed by compare-and-set.
#ifndef INSULA_OPERATOR_TENANT_REGISTRY_H_
#define INSULA_OPERATOR_TENANT_REGISTRY_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/transport.h"
#include "operator/kv_nodes.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/tenant.h"

namespace insula::ops {

using TenantRecord = insula::tenant::v1::TenantRecord;

class TenantRegistry {
 public:
  virtual ~TenantRegistry() = default;
  // Follows the registry until `ctx` ends; reconnects by itself. Calls `on_change` after each change, with the id.
  virtual Task<void> Run(Context ctx, std::function<void(TenantId)> on_change) = 0;
  // OK once the whole state was received.
  virtual Task<absl::Status> WaitLoaded(const Context& ctx) = 0;
  // Cached; nullptr if there is none.
  virtual const TenantRecord* Find(TenantId id) const = 0;
  virtual std::vector<const TenantRecord*> All() const = 0;
  // Reads a record afresh, past the cache (a tenant may have been created a moment ago).
  virtual Task<absl::StatusOr<TenantRecord>> Fetch(const Context& ctx, std::string cluster) = 0;
  // Replaces the record if its revision is still that of `record`; gives the new one. kAborted: somebody was faster.
  virtual Task<absl::StatusOr<TenantRecord>> Update(const Context& ctx, TenantRecord record) = 0;
  // Deletes the data and the record of a DROPPING tenant.
  virtual Task<absl::Status> Purge(const Context& ctx, TenantId id) = 0;
};

// Over the KV nodes' Registry and TenantAdmin services; any node will do. `nodes` outlives it.
class KvTenantRegistry : public TenantRegistry {
 public:
  KvTenantRegistry(Transport* transport, const KvNodes* nodes) : transport_(transport), nodes_(nodes) {}
  Task<void> Run(Context ctx, std::function<void(TenantId)> on_change) override;
  Task<absl::Status> WaitLoaded(const Context& ctx) override;
  const TenantRecord* Find(TenantId id) const override;
  std::vector<const TenantRecord*> All() const override;
  Task<absl::StatusOr<TenantRecord>> Fetch(const Context& ctx, std::string cluster) override;
  Task<absl::StatusOr<TenantRecord>> Update(const Context& ctx, TenantRecord record) override;
  Task<absl::Status> Purge(const Context& ctx, TenantId id) override;

 private:
  // One watch stream, until it breaks.
  Task<absl::Status> Follow(const Context& ctx, const std::string& node, const std::function<void(TenantId)>& on_change);
  void Apply(const insula::tenant::v1::WatchTenantsResponse& change, const std::function<void(TenantId)>& on_change);
  void Remember(const TenantRecord& record);
  template <typename Response, typename Request>
  Task<absl::StatusOr<Response>> CallAny(const Context& ctx, std::string method, const Request& request);

  Transport* transport_;
  const KvNodes* nodes_;
  size_t next_node_ = 0;
  std::map<TenantId, TenantRecord> records_;
  Event loaded_;
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_TENANT_REGISTRY_H_
