// insula debug: what the nodes of a local cluster know of themselves and their ranges, and what lies in a store's files (debug_store.h).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/debug_store.h"
#include "cli/local_cluster.h"
#include "cli/node_admin.h"

namespace insula::cli {

namespace kpb = insula::kv::v1;

namespace {

struct DebugFlags {
  std::string data = "./insula-data";
  bool json = false;
  uint64_t node = 0;  // 0: all
  uint32_t limit = 20;
};

// The nodes that are asked; those that do not answer are named on standard error.
Task<absl::StatusOr<std::vector<uint64_t>>> NodesOf(const Context& ctx, NodeAdmin& admin, const DebugFlags& flags) {
  if (flags.node != 0) co_return std::vector<uint64_t>{flags.node};
  CO_ASSIGN_OR_RETURN(kpb::ListNodesResponse nodes, co_await admin.List(ctx));
  std::vector<uint64_t> out;
  for (const auto& m : nodes.nodes()) {
    if (m.record().state() == kpb::NODE_DECOMMISSIONED) continue;
    if (m.live()) out.push_back(m.record().node_id());
    if (!m.live()) std::cerr << "insula: node " << m.record().node_id() << " does not answer and is left out" << std::endl;
  }
  co_return out;
}

Task<absl::Status> ShowNode(Context ctx, NodeAdmin& admin, const DebugFlags& flags) {
  CO_ASSIGN_OR_RETURN(kpb::NodeStatusResponse status, co_await admin.Status(ctx, flags.node, /*ranges=*/false));
  PrintStatus(status, flags.json);
  co_return absl::OkStatus();
}

// Each range once, as its leaseholder sees it, or whoever has it where nobody leads.
Task<absl::Status> ShowRanges(Context ctx, NodeAdmin& admin, const DebugFlags& flags) {
  CO_ASSIGN_OR_RETURN(std::vector<uint64_t> nodes, co_await NodesOf(ctx, admin, flags));
  std::map<uint64_t, kpb::RangeStatus> ranges;
  for (uint64_t node : nodes) {
    auto status = co_await admin.Status(ctx, node, /*ranges=*/true);
    if (!status.ok() && flags.node != 0) co_return status.status();
    if (!status.ok()) {
      std::cerr << "insula: node " << node << " is left out: " << std::string(status.status().message()) << std::endl;
      continue;
    }
    for (auto& row : *status->mutable_range_list()) {
      kpb::RangeStatus& known = ranges[row.range_id()];
      if (known.range_id() == 0 || (row.leaseholder() && !known.leaseholder())) known = std::move(row);
    }
  }
  std::vector<kpb::RangeStatus> out;
  for (auto& [id, row] : ranges) out.push_back(std::move(row));
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.start_key() < b.start_key(); });
  PrintRanges(out, flags.json);
  co_return absl::OkStatus();
}

Task<absl::Status> ShowHotRanges(Context ctx, NodeAdmin& admin, const DebugFlags& flags) {
  CO_ASSIGN_OR_RETURN(std::vector<uint64_t> nodes, co_await NodesOf(ctx, admin, flags));
  std::vector<kpb::RangeStatus> out;
  for (uint64_t node : nodes) {
    CO_ASSIGN_OR_RETURN(kpb::HotRangesResponse hot, co_await admin.HotRanges(ctx, node, flags.limit));
    out.insert(out.end(), hot.ranges().begin(), hot.ranges().end());
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.batches_per_second() > b.batches_per_second(); });
  if (out.size() > flags.limit) out.resize(flags.limit);
  PrintRanges(out, flags.json);
  co_return absl::OkStatus();
}

}  // namespace

int DebugCommand(int argc, char** argv) {
  DebugFlags flags;
  CLI::App app("Shows what the KV nodes of a local cluster know of themselves and their ranges, or what lies in the files of a store.", "insula debug");
  app.require_subcommand(1);
  using Run = Task<absl::Status> (*)(Context, NodeAdmin&, const DebugFlags&);
  Run run = nullptr;
  auto add = [&](const char* name, const char* help, Run what) {
    CLI::App* sub = AddClusterCommand(app, name, help, &flags.data, &flags.json);
    sub->callback([&run, what] { run = what; });
    return sub;
  };
  add("node", "one node: state, ranges, disk, whom it hears", ShowNode)->add_option("N", flags.node, "the node's number")->required()->check(CLI::PositiveNumber);
  add("ranges", "all ranges: where their replicas and leases are, how large they are, how busy", ShowRanges)->add_option("--node", flags.node, "only as this node sees them");
  CLI::App* hot = add("hot-ranges", "the ranges that are asked for most", ShowHotRanges);
  hot->add_option("--node", flags.node, "only those whose lease is on this node");
  hot->add_option("--limit", flags.limit, "show so many")->check(CLI::Range(1, 10000))->capture_default_str();
  DebugStore store(app);
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  if (store.chosen()) return store.Run();
  return WithLocalCluster(flags.data, [&](Context ctx, RealWorld&, LocalCluster& cluster) -> Task<absl::Status> {
    std::vector<std::string> addresses;
    for (const NodeConfig& node : cluster.folder.config().nodes) addresses.push_back(node.address);
    NodeAdmin admin(cluster.transport.get(), std::move(addresses));
    co_return co_await run(ctx, admin, flags);
  });
}

}  // namespace insula::cli
