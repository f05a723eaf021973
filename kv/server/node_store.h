// The members of the cluster as rows of the system range, changed in serializable transactions:  NodeAddress (node id) -> NodeRecord
//
//            ┌──────────────► DRAINING            (a restart makes it active again)
//   ACTIVE ◄─┘                   │
//     ▲ │                        ▼
//     │ └──────────────► DECOMMISSIONING ──────► DECOMMISSIONED, for good
//     └───recommission───────────┘
#ifndef INSULA_KV_SERVER_NODE_STORE_H_
#define INSULA_KV_SERVER_NODE_STORE_H_

#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/api/txn.h"
#include "kv/server/registry_term.h"
#include "proto/kv/status.pb.h"

namespace insula::kv {

class NodeStore {
 public:
  // `database`: the nodes' own, which may reach system keys. `term`: whoever changes something has to lead.
  NodeStore(Database* database, const RegistryTerm* term) : database_(database), term_(term) {}

  // From here on nobody who led before changes anything (RegistryTerm::Establish).
  Task<absl::Status> EstablishTerm(const Context& ctx) { return term_->Establish(ctx); }

  // By node id.
  Task<absl::StatusOr<std::vector<v1::NodeRecord>>> List(const Context& ctx);
  // Takes what a node says of itself; its state stays, but for DRAINING. Writes nothing that is so already. kFailedPrecondition for a node
  // that was decommissioned.
  Task<absl::StatusOr<v1::NodeRecord>> Register(const Context& ctx, v1::NodeRecord record);
  // kNotFound; kFailedPrecondition where no arrow leads.
  Task<absl::StatusOr<v1::NodeRecord>> SetState(const Context& ctx, uint64_t node_id, v1::NodeState state);

  // What the ranges' addresses say: replicas of each node, and how many the range with most has.
  struct Replicas {
    std::map<uint64_t, uint64_t> by_node;
    uint64_t most = 0;
  };
  Task<absl::StatusOr<Replicas>> CountReplicas(const Context& ctx);

 private:
  Database* database_;
  const RegistryTerm* term_;
};

// "draining", …
std::string_view ToString(v1::NodeState state);
// Why a node with this id is refused.
absl::Status DecommissionedError(uint64_t node_id);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_NODE_STORE_H_
