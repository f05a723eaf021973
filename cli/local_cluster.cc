#include "cli/local_cluster.h"

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"

namespace insula::cli {

absl::StatusOr<LocalCluster> OpenLocalCluster(const std::string& data, RealWorld& world) {
  ASSIGN_OR_RETURN(ClusterFolder folder, ClusterFolder::Open(data, world.runtime().files));
  ASSIGN_OR_RETURN(std::vector<RunFile> processes, ReadRunFiles(folder.run()));
  ASSIGN_OR_RETURN(auto identity, folder.Identity("client.admin"));
  std::vector<std::string> nodes;
  for (const NodeConfig& node : folder.config().nodes) nodes.push_back(node.address);
  std::string operator_address;
  for (const RunFile& file : processes) {
    if (file.role == "operator" && file.Alive()) operator_address = file.address;
  }
  auto transport = MakeGrpcTransport(world.executor(), identity);
  auto client = std::make_unique<AdminClient>(transport.get(), std::move(nodes), std::move(operator_address));
  return LocalCluster{std::move(folder), std::move(processes), std::move(transport), std::move(client)};
}

int WithLocalCluster(const std::string& data, const std::function<Task<absl::Status>(Context, RealWorld&, LocalCluster&)>& main) {
  return RunOnLoop([&](Context ctx, RealWorld& world) -> Task<absl::Status> {
    auto cluster = OpenLocalCluster(data, world);
    if (!cluster.ok()) co_return cluster.status();
    bool running = false;
    for (const RunFile& file : cluster->processes) running = running || file.Alive();
    if (!running) co_return absl::UnavailableError(StrCat("the cluster in ", cluster->folder.path(), " is not running. Start it with: insula up --data=", cluster->folder.path()));
    absl::Status result = co_await main(ctx, world, *cluster);
    co_await cluster->transport->Shutdown(Duration::zero());
    co_return result;
  });
}

}  // namespace insula::cli
