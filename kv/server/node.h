// A KV node: one store with its replicas, the services around it, and a client of its own for the system's data.
//
//   Node node(runtime, &transport, engines, options);    // registers all handlers
//   transport.Listen(address);
//   CO_RETURN_IF_ERROR(co_await node.Start(ctx));        // redo, re-apply, consensus
//   …
//   co_await node.Stop(ctx);
//
// Runs on the seam alone: the process (cli) and the simulator build the same Node.
#ifndef INSULA_KV_SERVER_NODE_H_
#define INSULA_KV_SERVER_NODE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "base/metrics/metrics.h"
#include "kv/api/txn.h"
#include "kv/api/version.h"
#include "kv/storage/engine.h"
#include "kv/store/disk_space.h"
#include "kv/store/gc_queue.h"
#include "kv/store/merge_queue.h"
#include "kv/store/split_queue.h"
#include "proto/kv/status.pb.h"

namespace insula::kv {

struct StoreOptions;

struct NodeOptions {
  std::string store_path;
  uint64_t node_id = 0;
  std::string cluster_id;
  std::map<uint64_t, std::string> peers;  // node id -> address, this node's included, as far as known; others are learned (members.h)
  std::vector<std::string> join = {};     // addresses of any members, where `peers` names none
  std::string locality;                   // "region=eu,zone=a"
  std::string version;                    // for status
  uint32_t supported_version = kNewestClusterVersion;  // simulation: an older program
  std::function<void(StoreOptions&)> tune_store = [](StoreOptions&) {};  // simulation: small logs, early truncation
  std::function<void(absl::Status)> on_fatal = [](absl::Status) {};  // the store cannot go on: end the process
  GcOptions gc = {};
  SplitOptions split;
  MergeOptions merge;
  std::function<absl::StatusOr<DiskSpace>()> disk_space = {};  // of the store's disk; empty: not known
  metrics::Registry* metrics = nullptr;   // gets what the node counts; null: nobody looks
};

class Node {
 public:
  // `transport` has this node's identity and does not listen yet. All must outlive the node.
  Node(const Context& ctx, const Runtime& runtime, Transport* transport, storage::EngineFactory engines, NodeOptions options);
  ~Node();

  Task<absl::Status> Start(const Context& ctx);
  Task<absl::Status> Stop(const Context& ctx);

  // Hands all leases to other nodes and takes no more, until the process ends. Returns when none is left, when nobody can take those that
  // are, or when `ctx` ends (its status).
  Task<absl::Status> Drain(const Context& ctx);

  // OK when started and all replicas have applied what was known to be committed.
  absl::Status ready() const;
  // The version of the cluster that this node may rely on (kv/server/cluster_version.h).
  uint32_t cluster_version() const;
  void FillStatus(const v1::NodeStatusRequest& request, v1::NodeStatusResponse* out) const;
  // Reaches all keys of the cluster, with the node's identity.
  Database* database();
  const GcQueue& gc() const;
  // Gives all leases away and takes none, or does so no more. For this run only.
  void SetDraining(bool draining);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The same for a node that joins a running cluster: asks one of `members` first. `identity` of the transport: node `node_id`.
// kAlreadyExists when the number is taken.
Task<absl::Status> JoinNodeStore(const Context& ctx, Runtime runtime, Transport* transport, storage::EngineFactory engines, std::string path, uint64_t node_id,
                                 std::vector<std::string> members, std::string locality);

// The explicit step that makes the store of one node of a cluster of `nodes` (ids 1…nodes), all the same on each.
Task<absl::Status> InitNodeStore(const Context& ctx, Runtime runtime, storage::EngineFactory engines, std::string path, std::string cluster_id, uint64_t node_id,
                                 uint64_t nodes);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_NODE_H_
