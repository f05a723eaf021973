#include "cli/kv_admin.h"

#include <CLI/CLI.hpp>

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/node_admin.h"

namespace insula::cli {

KvAdmin::KvAdmin(CLI::App& app)
    : drain_(app.add_subcommand("drain", "hand a node's leases to other nodes; it takes none until it is restarted or made active again")),
      decommission_(app.add_subcommand("decommission", "move all replicas away from nodes, for good; returns when they are empty and may be stopped")) {
  for (CLI::App* sub : {drain_, decommission_}) {
    identity_.AddTo(sub);
    sub->add_option("--nodes", nodes_, "HOST:PORT,… of some nodes of the cluster")->required();
  }
  drain_->add_option("N", node_, "the node's number")->required()->check(CLI::PositiveNumber);
  decommission_->add_option("N", going_, "the nodes' numbers")->required()->check(CLI::PositiveNumber);
}

bool KvAdmin::chosen() const { return drain_->parsed() || decommission_->parsed(); }

int KvAdmin::Run() {
  return RunOnLoop([&](Context ctx, RealWorld& world) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto identity, identity_.Load());
    auto transport = MakeGrpcTransport(world.executor(), identity);
    NodeAdmin admin(transport.get(), SplitList(nodes_));
    absl::Status done = drain_->parsed() ? co_await admin.Drain(ctx, node_, DrainLines()) : co_await admin.Decommission(ctx, going_, DecommissionLines());
    co_await transport->Shutdown(Duration::zero());
    co_return done;
  });
}

}  // namespace insula::cli
