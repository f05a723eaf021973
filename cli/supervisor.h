// Runs a whole local cluster: KV nodes, operator and proxy as child processes (SQL pods are the operator's).
//
//   start:  stores initialised ─► KV nodes ─► operator ─► proxy ─► tenant demo ─► ready
//   each:   running ──exit──► (1 s) ──► running        with --no-restart: dead, until `insula node start N`
//   later:  `insula node add`: a further KV node, from then on like the others; one that was decommissioned is stopped and forgotten
//   stop:   proxy ─► operator ─► SQL pods ─► KV nodes, each asked first and killed after a grace time
//
// The supervisor holds DIR/lock; every process has a run file, so that the next one finds what a killed one left.
#ifndef INSULA_CLI_SUPERVISOR_H_
#define INSULA_CLI_SUPERVISOR_H_

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/process/process_manager.h"
#include "base/process/run_file.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "cli/cluster_folder.h"

namespace insula::cli {

class PortChooser;

struct SupervisorOptions {
  int port = 26257;
  int http_port = 8080;
  int pool = 2;
  bool restart = true;
  std::string repair_after = "5m";            // insula kv start --repair-after
};

class Supervisor {
 public:
  // `admin`: a transport with an administrator's identity; `server`: one to serve `insula node` on.
  Supervisor(const Context& ctx, ClusterFolder* folder, SupervisorOptions options, Runtime runtime, Transport* admin, Transport* server);

  // Brings everything up. The credentials of the tenant demo.
  Task<absl::StatusOr<Credentials>> Start(const Context& ctx);
  // Ends everything, in order.
  Task<void> Stop();

 private:
  struct Child {
    std::string role;
    std::string id;
    std::vector<std::string> arguments;
    RunFile file;
    bool stopping = false;
    bool held = false;           // dead and not to be restarted before somebody asks
    Event ready;                 // set while it runs and is ready
    absl::Status last_failure;
    Condition changed;
    std::shared_ptr<Event> exited;
  };

  absl::Status ChoosePorts();
  Task<absl::Status> EndLeftovers(const Context& ctx);
  Task<absl::Status> InitialiseStores(const Context& ctx);
  Task<absl::StatusOr<Credentials>> EnsureDemo(const Context& ctx);

  Child* AddChild(std::string role, std::string id, std::vector<std::string> arguments);
  Task<absl::Status> StartAndWait(const Context& ctx, std::vector<Child*> children);
  // Keeps one child running.
  Task<void> Keep(Context ctx, Child* child);
  // Runs it once, from start to exit.
  Task<void> RunOnce(Context ctx, Child* child);
  // Asks with `signal` first.
  Task<void> StopChild(Child* child, Duration grace, int signal);
  void Save(Child* child, const std::string& state);
  Task<absl::Status> StartNode(const Context& ctx, uint64_t id, bool* was_running);
  Task<absl::StatusOr<NodeConfig>> AddNode(const Context& ctx, std::string locality);
  Task<absl::Status> RemoveNode(uint64_t id);
  void RegisterControl();
  absl::Status ChoosePorts(NodeConfig* node, PortChooser* ports);
  std::vector<std::string> NodeArguments(const NodeConfig& node) const;
  std::vector<std::string> OperatorArguments() const;
  // What every child is told of the others, from its next start on.
  void RefreshArguments();
  std::vector<std::string> IdentityArguments(const std::string& name) const;
  std::string PeersArgument() const;

  ClusterFolder* folder_;
  SupervisorOptions options_;
  Runtime runtime_;
  Transport* admin_;
  Transport* server_;
  ProcessManager processes_;
  std::list<Child> children_;
  std::string operator_address_;
  TaskGroup tasks_;
};

}  // namespace insula::cli

#endif  // INSULA_CLI_SUPERVISOR_H_
