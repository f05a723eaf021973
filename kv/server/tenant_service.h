// The registry's services (TenantAdmin, Registry), served by the node that leads the system range (leader_calls.h): it tells its watchers.
#ifndef INSULA_KV_SERVER_TENANT_SERVICE_H_
#define INSULA_KV_SERVER_TENANT_SERVICE_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/transport.h"
#include "kv/server/leader_calls.h"
#include "kv/server/tenant_store.h"

namespace insula::kv {

class TenantService {
 public:
  // `transport`: with this node's identity, to relay.
  TenantService(TenantStore* store, const RegistryTerm* term, SystemLeadership* leadership, Transport* transport) : store_(store), term_(term), calls_(leadership, transport) {}

  // Registers all methods; before transport->Listen.
  void Register(Transport* server);
  // Called with every tenant whose record changed here.
  void SetOnChange(std::function<void(TenantId)> on_change) { on_change_ = std::move(on_change); }

 private:
  Task<absl::Status> Watch(Context ctx, MessageStream& caller);
  void Changed(TenantId id, std::optional<TenantRecord> record);
  // `status` of a change, passed on. If it may have happened nonetheless, all who watch begin anew, with what is there then.
  absl::Status NotKnown(absl::Status status);

  TenantStore* store_;
  const RegistryTerm* term_;
  LeaderCalls calls_;
  std::function<void(TenantId)> on_change_;
  // The feed: each change has a number; watchers ask for what came after the last they have seen.
  struct Change {
    uint64_t version = 0;
    std::optional<TenantRecord> record;  // nullopt: removed
  };
  std::map<TenantId, Change> feed_;
  uint64_t version_ = 0;
  uint64_t gaps_ = 0;  // changes that may be missing from the feed
  Condition fed_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_TENANT_SERVICE_H_
