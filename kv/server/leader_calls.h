// Methods that only the node that leads the system range serves; the others pass calls on.
//
//   caller ─► any node ─┬─ leads the system range: serves it
//                       └─ does not: relays to the leader as node-N; a relayed call is not relayed again
//
// So all changes of a table go through one node at a time, and its watchers miss none: a watch ends when the leadership does, and the
// next one begins with the full state. What an earlier leader still has under way is not in that, and never comes to be (registry_term.h).
// Who may call what: tenant/method_access.h.
#ifndef INSULA_KV_SERVER_LEADER_CALLS_H_
#define INSULA_KV_SERVER_LEADER_CALLS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/transport.h"
#include "tenant/tenant.h"

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
  // The sequence of the lease under which this node leads right now, as far as it knows; 0: it does not.
  virtual uint64_t Term() const = 0;
  // Notified whenever Term may have changed.
  virtual Condition& changed() = 0;
};

class LeaderCalls {
 public:
  // `transport`: with this node's identity, to relay. All outlive the handlers.
  LeaderCalls(SystemLeadership* leadership, Transport* transport) : leadership_(leadership), transport_(transport) {}

  // Serves one request of `caller`, as bytes, at the leader.
  using Local = std::function<Task<absl::Status>(Context ctx, const Identity& caller, std::string request, MessageStream& stream)>;
  // Whether a call of this caller's was passed on by another node already. Default: every node's.
  using IsRelayed = std::function<bool(const Identity& caller, const std::string& request)>;

  // Before server->Listen.
  void Add(Transport* server, std::string method, Local local, IsRelayed is_relayed = {});
  // The same for one answer, as bytes.
  using Answer = std::function<Task<absl::StatusOr<std::string>>(Context ctx, std::string request)>;
  void AddUnary(Transport* server, std::string method, Answer answer);

  SystemLeadership* leadership() { return leadership_; }

  // Until something is said by `source` or the leadership here ends: OK, and look again.
  class Watch {
   public:
    Watch(const Context& ctx, SystemLeadership* leadership, Condition* source);
    ~Watch();
    Task<absl::Status> Wait(const Context& ctx);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  Task<absl::Status> Relay(const Context& ctx, std::string address, std::string method, std::string request, MessageStream& caller);

  SystemLeadership* leadership_;
  Transport* transport_;
};

// A request of its type, or kInvalidArgument.
template <typename Request>
absl::StatusOr<Request> ParseRequest(const std::string& bytes) {
  Request request;
  if (!request.ParseFromString(bytes)) return absl::InvalidArgumentError("the request does not parse");
  return request;
}

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_LEADER_CALLS_H_
