// insula kv init, insula kv start
#include <CLI/CLI.hpp>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/role.h"
#include "cli/version.h"
#include "kv/server/node.h"
#include "kv/storage/rocks_engine.h"

namespace insula::cli {
namespace {

struct KvFlags {
  IdentityFlags identity;
  std::string store;
  std::string cluster_id;
  uint64_t node_id = 0;
  uint64_t nodes = 3;
  std::string listen;
  std::string http;
  std::string peers;
  uint64_t cache_mb = 128;
};

Task<absl::Status> InitStore(Context ctx, RealWorld& world, const KvFlags& flags) {
  co_return co_await kv::InitNodeStore(ctx, world.runtime(), kv::storage::RocksEngineFactory(world.executor()), flags.store, flags.cluster_id, flags.node_id, flags.nodes);
}

Task<absl::Status> RunNode(Context ctx, RealWorld& world, const KvFlags& flags) {
  CO_ASSIGN_OR_RETURN(auto identity, flags.identity.Load());
  CO_ASSIGN_OR_RETURN(auto peers, ParsePeers(flags.peers));
  auto transport = MakeGrpcTransport(world.executor(), identity);
  absl::Status fatal;
  kv::NodeOptions options{.store_path = flags.store, .node_id = flags.node_id, .cluster_id = flags.cluster_id, .peers = peers, .version = kVersion,
                          .on_fatal = [&](absl::Status why) {
                            LOG_ERROR("the store cannot go on", {"status", why});
                            fatal = why;
                            world.executor()->Stop();
                          }};
  RoleHttp http(ctx, world);
  options.metrics = &http.metrics();
  kv::storage::RocksOptions rocks;
  rocks.block_cache_bytes = flags.cache_mb << 20;
  kv::Node node(ctx, world.runtime(), transport.get(), kv::storage::RocksEngineFactory(world.executor(), rocks), std::move(options));
  CO_ASSIGN_OR_RETURN(std::string http_address, http.Start(flags.http, [&node] { return node.ready(); }));
  CO_ASSIGN_OR_RETURN(int port, transport->Listen(flags.listen));
  CO_RETURN_IF_ERROR(co_await node.Start(ctx));
  LOG_INFO("ready", {"address", flags.listen});
  ReportRoleReady(StrCat(HostOf(flags.listen), ":", port), http_address);

  auto signal = co_await world.executor()->WaitForSignal(ctx);
  LOG_INFO("stopping");
  absl::Status stopped = co_await node.Stop(Context::Background(world.executor()));
  if (!stopped.ok()) LOG_ERROR("the store did not close cleanly", {"status", stopped});
  co_await http.Stop();
  co_await transport->Shutdown(Duration::zero());
  co_return fatal.ok() ? signal.status() : fatal;
}

}  // namespace

int KvCommand(int argc, char** argv) {
  KvFlags flags;
  CLI::App app("A KV node: stores ranges, replicates them, serves transactions.", "insula kv");
  app.require_subcommand(1);
  CLI::App* init = app.add_subcommand("init", "make the store of one node of a new cluster; once in its life");
  CLI::App* start = app.add_subcommand("start", "run a node on its store");
  for (CLI::App* sub : {init, start}) {
    sub->add_option("--store", flags.store, "folder of the store")->required();
    sub->add_option("--cluster-id", flags.cluster_id, "the cluster's id, the same on all nodes")->required();
    sub->add_option("--node-id", flags.node_id, "number of this node: 1, 2, …")->required()->check(CLI::PositiveNumber);
  }
  init->add_option("--nodes", flags.nodes, "number of nodes of the cluster")->check(CLI::IsMember({1, 3, 5}))->capture_default_str();
  flags.identity.AddTo(start);
  start->add_option("--listen", flags.listen, "HOST:PORT of the node's gRPC services")->required();
  start->add_option("--http", flags.http, "HOST:PORT of /metrics, /healthz and /readyz");
  start->add_option("--peers", flags.peers, "all nodes, this one included: ID=HOST:PORT,…")->required();
  start->add_option("--cache-mb", flags.cache_mb, "block cache of the state engine")->check(CLI::Range(8, 1 << 20))->capture_default_str();
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  StartLog("kv", StrCat(flags.node_id));
  bool initialise = init->parsed();
  return RunOnLoop([&](Context ctx, RealWorld& world) { return initialise ? InitStore(ctx, world, flags) : RunNode(ctx, world, flags); });
}

}  // namespace insula::cli
