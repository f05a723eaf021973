// A running local cluster as the CLI's client commands reach it: folder, admin transport, client.
#ifndef INSULA_CLI_LOCAL_CLUSTER_H_
#define INSULA_CLI_LOCAL_CLUSTER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/process/run_file.h"
#include "base/real/real_world.h"
#include "cli/admin_client.h"
#include "cli/cluster_folder.h"

namespace insula::cli {

struct LocalCluster {
  ClusterFolder folder;
  std::vector<RunFile> processes;  // of the folder; some may be dead
  std::unique_ptr<Transport> transport;
  std::unique_ptr<AdminClient> client;
};

// kNotFound with advice if there is no cluster in `data`.
absl::StatusOr<LocalCluster> OpenLocalCluster(const std::string& data, RealWorld& world);

// Opens the cluster of `data`, runs `main` with it, and reports.
int WithLocalCluster(const std::string& data, const std::function<Task<absl::Status>(Context, RealWorld&, LocalCluster&)>& main);

}  // namespace insula::cli

#endif  // INSULA_CLI_LOCAL_CLUSTER_H_
