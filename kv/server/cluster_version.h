// The version of the cluster: what all of its nodes understand, so that nodes of neighbouring versions run side by side.
//
//   node                                   leader of the system range
//   opens its store, if its program
//   supports what it has promised
//   report: supports 2, promised 1   ───►  all members are here, and all support 2
//   writes "promised 2" down         ◄───  promise 2
//   report: supports 2, promised 2   ───►  all have promised: the row says 2
//   writes "active 2" down, acts so  ◄───  active 2
//
// Invariants (cluster_version_test.cc):
//   V1  The row, and what is active on a node, never fall.
//   V2  While a version is active on any node, every member supports it, and none will ever open its store with a program that does not.
//   V3  A member that is not here, or supports no more than is active, holds the next version back, and nothing else.
//   V4  A node that is told of a version beyond its own stops itself (it is no member that was asked), and so does one whose store has
//       promised more than its program supports.
// A version may be active on one node before another has heard of it: whoever supports a behaviour takes it from others at once, whoever
// starts it asks its own gate first.
// Nothing polls: a node follows the leader by a stream, as it follows the registry, and the leader decides when a report comes.
// Loop thread only.
#ifndef INSULA_KV_SERVER_CLUSTER_VERSION_H_
#define INSULA_KV_SERVER_CLUSTER_VERSION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/files.h"
#include "base/runtime/transport.h"
#include "kv/api/txn.h"
#include "kv/api/version.h"
#include "kv/server/leader_calls.h"

namespace insula::kv {

// ------------------------------------------------------------------------------------------------------------ the decision

struct VersionOf {
  uint32_t supports = kFirstClusterVersion;
  uint32_t promised = kFirstClusterVersion;
};
struct VersionDecision {
  uint32_t promise = kFirstClusterVersion;
  uint32_t active = kFirstClusterVersion;
  bool operator==(const VersionDecision&) const = default;
};
// What to ask for and what to raise the row to, given who is here (by node id), who is a member, and what the row says.
VersionDecision DecideVersion(const std::map<uint64_t, VersionOf>& here, const std::set<uint64_t>& members, uint32_t active);

// -------------------------------------------------------------------------------------------------------------- on a node

// What this node may rely on, and what it has promised: a file of its store.
class VersionGate {
 public:
  // `path`: of the file; `supports`: the program's.
  VersionGate(FileSystem* files, std::string path, uint32_t supports) : files_(files), path_(std::move(path)), supports_(supports) {}

  // Before the store is opened. kFailedPrecondition: the store is of a cluster whose version is beyond this program's.
  absl::Status Load();
  uint32_t supports() const { return supports_; }
  uint32_t promised() const { return promised_; }
  uint32_t active() const { return active_; }
  bool IsActive(uint32_t version) const { return version <= active_; }
  // Durable when OK. kFailedPrecondition: beyond this program.
  absl::Status Take(uint32_t promise, uint32_t active);

 private:
  FileSystem* files_;
  const std::string path_;
  const uint32_t supports_;
  uint32_t promised_ = kFirstClusterVersion;
  uint32_t active_ = kFirstClusterVersion;
};

// Follows the leader's news, until the context ends.
class VersionFollower {
 public:
  // All outlive the task. `on_fatal`: this node must not go on (V4).
  VersionFollower(uint64_t node_id, SystemLeadership* leadership, Transport* transport, std::string own_address, VersionGate* gate, std::function<void(absl::Status)> on_fatal)
      : node_id_(node_id), leadership_(leadership), transport_(transport), own_address_(std::move(own_address)), gate_(gate), on_fatal_(std::move(on_fatal)) {}

  Task<void> Run(Context ctx);

 private:
  Task<absl::Status> Follow(const Context& ctx, bool* heard);

  const uint64_t node_id_;
  SystemLeadership* leadership_;
  Transport* transport_;
  const std::string own_address_;
  VersionGate* gate_;
  std::function<void(absl::Status)> on_fatal_;
};

// ------------------------------------------------------------------------------------------------------------ on the leader

class VersionService {
 public:
  // All outlive it. `members`: the nodes that count, as known now.
  VersionService(Database* database, SystemLeadership* leadership, std::function<std::set<uint64_t>()> members)
      : database_(database), leadership_(leadership), members_(std::move(members)) {}

  // Before transport->Listen.
  void Register(Transport* server);
  // What `members` says may be other than before.
  void MembersChanged() { changed_.NotifyAll(); }

 private:
  struct Follower {
    VersionOf version;
  };
  Task<absl::Status> Serve(const Context& ctx, MessageStream& stream);
  Task<absl::Status> Hear(const Context& ctx, MessageStream& stream, uint64_t node_id, const Follower* self);
  Task<absl::Status> Raise(const Context& ctx);
  VersionDecision Decide() const;

  Database* database_;
  SystemLeadership* leadership_;
  std::function<std::set<uint64_t>()> members_;
  std::map<uint64_t, Follower*> here_;  // by node id; the newest stream of each
  uint32_t active_ = kFirstClusterVersion;  // as the row said last
  Condition changed_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_CLUSTER_VERSION_H_
