// insula node: the KV nodes of a local cluster.
#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/local_cluster.h"
#include "cli/node_admin.h"
#include "kv/placement/locality.h"
#include "proto/operator/supervisor.pb.h"

namespace insula::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr Duration kStartTimeout = std::chrono::seconds(90);

struct NodeFlags {
  std::string data = "./insula-data";
  bool json = false;
  uint64_t id = 0;
  std::vector<uint64_t> ids;
  std::string locality;
};

NodeAdmin AdminOf(const LocalCluster& cluster) {
  std::vector<std::string> addresses;
  for (const NodeConfig& node : cluster.folder.config().nodes) addresses.push_back(node.address);
  return NodeAdmin(cluster.transport.get(), std::move(addresses));
}

absl::StatusOr<std::string> SupervisorOf(const LocalCluster& cluster) {
  for (const RunFile& file : cluster.processes) {
    if (file.role == "supervisor" && file.Alive()) return file.address;
  }
  return absl::UnavailableError("no supervisor runs on this data folder; start the whole cluster with: insula up");
}

template <typename Response, typename Request>
Task<absl::StatusOr<Response>> CallSupervisor(const Context& ctx, LocalCluster& cluster, const char* method, Request request) {
  CO_ASSIGN_OR_RETURN(std::string supervisor, SupervisorOf(cluster));
  co_return co_await CallUnary<Response>(ctx.WithTimeout(kStartTimeout), *cluster.transport, supervisor, StrCat("/insula.ops.v1.Supervisor/", method), request);
}

// What was done, for programs or for people.
void Say(const NodeFlags& flags, Json json, const std::string& text) {
  if (flags.json) {
    std::cout << json.dump() << std::endl;
  } else {
    std::cout << text << std::endl;
  }
}

Task<absl::Status> ListNodes(Context ctx, LocalCluster& cluster, const NodeFlags& flags) {
  CO_ASSIGN_OR_RETURN(auto nodes, co_await AdminOf(cluster).List(ctx));
  PrintNodes(nodes, flags.json);
  co_return absl::OkStatus();
}

Task<absl::Status> Start(Context ctx, LocalCluster& cluster, const NodeFlags& flags) {
  ops::v1::StartNodeRequest request;
  request.set_node_id(flags.id);
  CO_ASSIGN_OR_RETURN(auto response, co_await CallSupervisor<ops::v1::StartNodeResponse>(ctx, cluster, "StartNode", request));
  Say(flags, {{"id", flags.id}, {"was_running", response.was_running()}}, response.was_running() ? "Node was running already." : "Node is running.");
  co_return absl::OkStatus();
}

Task<absl::Status> Add(Context ctx, LocalCluster& cluster, const NodeFlags& flags) {
  CO_RETURN_IF_ERROR(kv::placement::ParseLocality(flags.locality).status());
  ops::v1::AddNodeRequest request;
  request.set_locality(flags.locality);
  CO_ASSIGN_OR_RETURN(auto response, co_await CallSupervisor<ops::v1::AddNodeResponse>(ctx, cluster, "AddNode", request));
  Say(flags, {{"id", response.node_id()}, {"address", response.address()}}, StrCat("Node ", response.node_id(), " runs on ", response.address(), " and takes replicas over."));
  co_return absl::OkStatus();
}

Task<absl::Status> Drain(Context ctx, LocalCluster& cluster, const NodeFlags& flags) {
  CO_RETURN_IF_ERROR(co_await AdminOf(cluster).Drain(ctx, flags.id, DrainLines()));
  Say(flags, {{"id", flags.id}, {"leases", 0}}, StrCat("Node ", flags.id, " has no leases and takes none until it is restarted, or made active with: insula node recommission ", flags.id));
  co_return absl::OkStatus();
}

Task<absl::Status> Decommission(Context ctx, LocalCluster& cluster, const NodeFlags& flags) {
  CO_RETURN_IF_ERROR(co_await AdminOf(cluster).Decommission(ctx, flags.ids, DecommissionLines()));
  // The cluster does without them; now our own supervisor does, too.
  for (uint64_t id : flags.ids) {
    ops::v1::RemoveNodeRequest request;
    request.set_node_id(id);
    CO_RETURN_IF_ERROR((co_await CallSupervisor<ops::v1::RemoveNodeResponse>(ctx, cluster, "RemoveNode", request)).status());
  }
  Say(flags, {{"decommissioned", flags.ids}}, StrCat("Decommissioned: ", StrJoin(flags.ids, ", "), ". Their data has moved; their folders may be deleted."));
  co_return absl::OkStatus();
}

Task<absl::Status> Recommission(Context ctx, LocalCluster& cluster, const NodeFlags& flags) {
  CO_RETURN_IF_ERROR((co_await AdminOf(cluster).SetState(ctx, flags.id, kv::v1::NODE_ACTIVE)).status());
  Say(flags, {{"id", flags.id}, {"state", "active"}}, StrCat("Node ", flags.id, " is active."));
  co_return absl::OkStatus();
}

}  // namespace

int NodeCommand(int argc, char** argv) {
  NodeFlags flags;
  CLI::App app("Manages the KV nodes of a local cluster.", "insula node");
  app.require_subcommand(1);
  using Run = Task<absl::Status> (*)(Context, LocalCluster&, const NodeFlags&);
  Run run = nullptr;
  auto add = [&](const char* name, const char* help, Run what) {
    CLI::App* sub = AddClusterCommand(app, name, help, &flags.data, &flags.json);
    sub->callback([&run, what] { run = what; });
    return sub;
  };
  auto with_id = [&](CLI::App* sub) { sub->add_option("N", flags.id, "the node's number")->required()->check(CLI::PositiveNumber); };
  add("list", "list all nodes of the cluster, those that have left included", ListNodes);
  CLI::App* joins = add("add", "make a further node that joins the cluster; returns when it is ready, and replicas move to it then", Add);
  joins->add_option("--locality", flags.locality, "where it stands, widest first: region=eu,zone=a; replicas are spread over it");
  with_id(add("start", "start a node that was left dead (insula up --no-restart); returns when it is ready", Start));
  with_id(add("drain", "hand a node's leases to the others; returns when it has none", Drain));
  add("decommission", "move all replicas away from nodes, for good, then stop them; returns when that is done", Decommission)
      ->add_option("N", flags.ids, "the nodes' numbers")
      ->required()
      ->check(CLI::PositiveNumber);
  with_id(add("recommission", "keep a node that is being decommissioned, or end its draining", Recommission));
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  return WithLocalCluster(flags.data, [&](Context ctx, RealWorld&, LocalCluster& cluster) { return run(ctx, cluster, flags); });
}

}  // namespace insula::cli
