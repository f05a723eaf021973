// The registry's services (TenantAdmin, Registry), served by the node that leads the system range; the others pass calls on.
//
//   caller ─► any node ─┬─ leads the system range: serves it, tells its watchers
//                       └─ does not: relays to the leader as node-N; a relayed call is not relayed again
//
// Who may call what: tenant/method_access.h.
// All changes go through one node at a time, so its watchers miss none: a watch ends when the leadership does, and the next one
// begins with the full state.
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
#include "kv/server/tenant_store.h"

namespace insula::kv {

// Who leads the system range.
class SystemLeadership {
 public:
  virtual ~SystemLeadership() = default;
  struct Leader {
    bool here = false;
    std::string address;  // when elsewhere
  };
  // kUnavailable while nobody is known to lead.
  virtual Task<absl::StatusOr<Leader>> Find(const Context& ctx) = 0;
  // Whether this node leads right now, as far as it knows.
  virtual bool Here() const = 0;
  // Notified whenever Here may have changed.
  virtual Condition& changed() = 0;
};

class TenantService {
 public:
  // `transport`: with this node's identity, to relay.
  TenantService(TenantStore* store, SystemLeadership* leadership, Transport* transport) : store_(store), leadership_(leadership), transport_(transport) {}

  // Registers all methods; before transport->Listen.
  void Register(Transport* server);
  // Called with every tenant whose record changed here.
  void SetOnChange(std::function<void(TenantId)> on_change) { on_change_ = std::move(on_change); }

 private:
  // Answers one request locally, as bytes.
  using Local = std::function<Task<absl::StatusOr<std::string>>(Context ctx, std::string request)>;

  void AddUnary(Transport* server, std::string method, Local local);
  Task<absl::Status> Relay(const Context& ctx, std::string address, std::string method, std::string request, MessageStream& caller);
  Task<absl::Status> Watch(const Context& ctx, MessageStream& caller);
  void Changed(TenantId id, std::optional<TenantRecord> record);

  TenantStore* store_;
  SystemLeadership* leadership_;
  Transport* transport_;
  std::function<void(TenantId)> on_change_;
  // The feed: each change has a number; watchers ask for what came after the last they have seen.
  struct Change {
    uint64_t version = 0;
    std::optional<TenantRecord> record;  // nullopt: removed
  };
  std::map<TenantId, Change> feed_;
  uint64_t version_ = 0;
  Condition fed_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_TENANT_SERVICE_H_
