// Nodes come, change and go: the services about them, and how each node hears of all.
//
//   insula kv join ──Join──► any node ─► leader of the system range: may it come? ─► founders, members
//   node N starts ───Join──► leader: its row ──────────────┐
//   administrators ──SetNodeState, Decommission──► leader ─┴─► NodeStore ─► WatchNodes ─► every node: Members
//
// Every node follows the leader's table by one stream (WatchNodes) and has no timer of its own; while the leader cannot be reached it goes
// on with what it remembers. A node that was decommissioned hears so, with the reason, and ends.
//
// A decommission sets the state, and every leaseholder then moves replicas by itself (kv/store/replicate_queue.h); the call only watches,
// and makes it final when none is left. Whoever cancels the call stops the watching, not the decommission.
// Who may call what: tenant/method_access.h.
#ifndef INSULA_KV_SERVER_MEMBERSHIP_H_
#define INSULA_KV_SERVER_MEMBERSHIP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/transport.h"
#include "kv/server/leader_calls.h"
#include "kv/server/members.h"
#include "kv/server/node_store.h"
#include "proto/kv/status.pb.h"

namespace insula::kv {

struct MembershipOptions {
  std::string cluster_id;
  uint64_t node_id = 0;
  std::string address;  // of this node
  std::string locality;
  std::string build;
};

class Membership {
 public:
  struct Hooks {
    // Nodes that the cluster began with.
    std::function<std::vector<uint64_t>()> founders;
    // Whether a node is heard of here.
    std::function<bool(uint64_t node)> is_live;
    // How many replicas ranges are to have.
    std::function<int()> replicas;
    // What a live node says it holds; nullopt: not known.
    std::function<std::optional<uint64_t>(uint64_t node)> replicas_on;
    // This node was decommissioned: it must end.
    std::function<void(absl::Status)> on_refused;
  };

  // All outlive it. `transport`: with this node's identity.
  Membership(MembershipOptions options, NodeStore* store, Members* members, SystemLeadership* leadership, Transport* transport, Hooks hooks)
      : options_(std::move(options)), store_(store), members_(members), transport_(transport), calls_(leadership, transport), hooks_(std::move(hooks)) {}

  // Registers Join, WatchNodes, SetNodeState and Decommission; before transport->Listen.
  void Register(Transport* server);
  // Makes this node known and follows the table, until `ctx` ends.
  Task<void> Run(Context ctx);
  // Of this node, at the leader.
  Task<absl::Status> SetOwnState(const Context& ctx, v1::NodeState state);

 private:
  Task<absl::StatusOr<std::string>> Join(Context ctx, Identity caller, v1::JoinRequest request);
  absl::Status CheckJoin(const Identity& caller, const v1::JoinRequest& request) const;
  Task<absl::Status> Watch(Context ctx, MessageStream& caller);
  Task<absl::Status> Decommission(Context ctx, v1::DecommissionRequest request, MessageStream& caller);
  absl::Status CheckDecommission(const std::set<uint64_t>& going, const std::vector<v1::NodeRecord>& records, const NodeStore::Replicas& replicas) const;
  Task<absl::StatusOr<bool>> ReportLeft(const Context& ctx, const std::set<uint64_t>& going, v1::DecommissionProgress* progress);
  Task<absl::Status> Follow(const Context& ctx);
  void Told();

  const MembershipOptions options_;
  NodeStore* store_;
  Members* members_;
  Transport* transport_;
  LeaderCalls calls_;
  Hooks hooks_;
  uint64_t version_ = 0;  // of the table, as this node changed it
  Condition told_;
  uint64_t connected_ = 0;
};

// Asks `addresses`, one after the other, whether a node may come that has no store yet.
Task<absl::StatusOr<v1::JoinResponse>> AskToJoin(const Context& ctx, Transport& transport, std::vector<std::string> addresses, v1::JoinRequest request);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_MEMBERSHIP_H_
