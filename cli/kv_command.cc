// insula kv init, start, join; drain, decommission (kv_admin.h)
#include <signal.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/kv_admin.h"
#include "cli/role.h"
#include "cli/version.h"
#include "kv/placement/locality.h"
#include "kv/server/node.h"
#include "kv/storage/rocks_engine.h"
#include "kv/store/store.h"
#include "kv/store/store_files.h"

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
  std::string join;
  std::string advertise;
  std::string locality;
  std::string repair_after = "5m";
  uint64_t cache_mb = 128;
};

// How long a node that is told to end may take to hand its leases over. Whoever runs it allows at least twice as much.
constexpr Duration kDrainLimit = std::chrono::seconds(5);

Task<absl::Status> InitStore(Context ctx, RealWorld& world, const KvFlags& flags) {
  co_return co_await kv::InitNodeStore(ctx, world.runtime(), kv::storage::RocksEngineFactory(world.executor()), flags.store, flags.cluster_id, flags.node_id, flags.nodes);
}

// A store that is there already has joined: then this is a start like any other.
Task<absl::Status> JoinUnlessDone(const Context& ctx, RealWorld& world, Transport* transport, const KvFlags& flags) {
  CO_ASSIGN_OR_RETURN(bool exists, world.runtime().files->Exists(kv::StoreFile(flags.store)));
  if (exists) co_return absl::OkStatus();
  co_return co_await kv::JoinNodeStore(ctx.WithTimeout(std::chrono::seconds(30)), world.runtime(), transport, kv::storage::RocksEngineFactory(world.executor()), flags.store,
                                       flags.node_id, SplitList(flags.join), flags.locality);
}

Task<absl::Status> RunNode(Context ctx, RealWorld& world, const KvFlags& flags, bool joins) {
  CO_ASSIGN_OR_RETURN(auto identity, flags.identity.Load());
  std::map<uint64_t, std::string> peers;
  if (!flags.peers.empty()) {
    CO_ASSIGN_OR_RETURN(peers, ParsePeers(flags.peers));
  }
  peers[flags.node_id] = flags.advertise.empty() ? flags.listen : flags.advertise;
  CO_ASSIGN_OR_RETURN(const int64_t repair_after_ms, ParseDuration(flags.repair_after));
  CO_RETURN_IF_ERROR(kv::placement::ParseLocality(flags.locality).status());
  auto transport = MakeGrpcTransport(world.executor(), identity);
  if (joins) CO_RETURN_IF_ERROR(co_await JoinUnlessDone(ctx, world, transport.get(), flags));
  CO_ASSIGN_OR_RETURN(kv::StoreIdent ident, kv::ReadStoreIdent(*world.runtime().files, flags.store));
  if (!flags.cluster_id.empty() && flags.cluster_id != ident.cluster_id) {
    co_return absl::FailedPreconditionError(StrCat(flags.store, " belongs to cluster ", ident.cluster_id, ", not to ", flags.cluster_id));
  }
  Event ended;
  absl::Status fatal;
  kv::NodeOptions options{.store_path = flags.store, .node_id = flags.node_id, .cluster_id = ident.cluster_id, .peers = peers, .join = SplitList(flags.join),
                          .locality = flags.locality, .version = kVersion,
                          .tune_store = [repair_after_ms](kv::StoreOptions& store) { store.pool.dead_after = std::chrono::milliseconds(repair_after_ms); },
                          .on_fatal = [&](absl::Status why) {
                            LOG_ERROR("the store cannot go on", {"status", why});
                            if (fatal.ok()) fatal = why;
                            ended.Set();
                          }};
  options.disk_space = [path = flags.store]() -> absl::StatusOr<kv::DiskSpace> {
    std::error_code error;
    const auto space = std::filesystem::space(path, error);
    if (error) return absl::UnavailableError(error.message());
    return kv::DiskSpace{.capacity_bytes = space.capacity, .available_bytes = space.available};
  };
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

  // SIGTERM: leases go to other nodes first, so that nobody waits for an election; SIGINT: at once, as when the whole cluster stops.
  Context until = ctx.WithCancel();
  absl::StatusOr<int> signal = absl::CancelledError("the store ended");
  TaskGroup ends(ctx);
  ends.SpawnFn([&]() -> Task<void> {
    if ((co_await ended.Wait(until)).ok()) until.Cancel();
  });
  signal = co_await world.executor()->WaitForSignal(until);
  until.Cancel();
  co_await ends.Wait();
  LOG_INFO("stopping", {"signal", signal.ok() ? *signal : 0});
  if (signal.ok() && *signal == SIGTERM) {
    absl::Status drained = co_await node.Drain(Context::Background(world.executor()).WithTimeout(kDrainLimit));
    LOG_INFO("drained", {"status", drained});
  }
  absl::Status stopped = co_await node.Stop(Context::Background(world.executor()));
  if (!stopped.ok()) LOG_ERROR("the store did not close cleanly", {"status", stopped});
  co_await http.Stop();
  co_await transport->Shutdown(Duration::zero());
  co_return !fatal.ok() ? fatal : signal.status();
}

}  // namespace

int KvCommand(int argc, char** argv) {
  KvFlags flags;
  CLI::App app("A KV node: stores ranges, replicates them, serves transactions.", "insula kv");
  app.require_subcommand(1);
  CLI::App* init = app.add_subcommand("init", "make the store of one node of a new cluster; once in its life");
  CLI::App* start = app.add_subcommand("start", "run a node on its store");
  CLI::App* join = app.add_subcommand("join", "run a node that is new in a running cluster: makes its store first, if there is none");
  for (CLI::App* sub : {init, start, join}) {
    sub->add_option("--store", flags.store, "folder of the store")->required();
    auto* cluster = sub->add_option("--cluster-id", flags.cluster_id, sub == join ? "the cluster's id, to be sure that it is the right one" : "the cluster's id, the same on all nodes");
    if (sub != join) cluster->required();
    sub->add_option("--node-id", flags.node_id, "number of this node: 1, 2, …; one that no node had before joins")->required()->check(CLI::PositiveNumber);
  }
  init->add_option("--nodes", flags.nodes, "number of nodes of the cluster")->check(CLI::IsMember({1, 3, 5}))->capture_default_str();
  for (CLI::App* sub : {start, join}) {
    flags.identity.AddTo(sub);
    sub->add_option("--listen", flags.listen, "HOST:PORT of the node's gRPC services")->required();
    sub->add_option("--advertise", flags.advertise, "HOST:PORT where others reach them (default: --listen)");
    sub->add_option("--http", flags.http, "HOST:PORT of /metrics, /healthz and /readyz");
    sub->add_option("--locality", flags.locality, "where the node stands, widest first: region=eu,zone=a; replicas are spread over it");
    sub->add_option("--repair-after", flags.repair_after, "a node that is not heard of for so long is given up, and its replicas are made anew elsewhere")->capture_default_str();
    sub->add_option("--cache-mb", flags.cache_mb, "block cache of the state engine")->check(CLI::Range(8, 1 << 20))->capture_default_str();
  }
  start->add_option("--peers", flags.peers, "nodes as far as known, this one included: ID=HOST:PORT,…; others are learned from these")->required();
  join->add_option("--peers", flags.peers, "the same, if known");
  join->add_option("--join", flags.join, "HOST:PORT,… of any members of the cluster")->required();
  KvAdmin admin(app);
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  if (admin.chosen()) return admin.Run();
  StartLog("kv", StrCat(flags.node_id));
  const bool initialise = init->parsed(), joins = join->parsed();
  return RunOnLoop([&](Context ctx, RealWorld& world) { return initialise ? InitStore(ctx, world, flags) : RunNode(ctx, world, flags, joins); });
}

}  // namespace insula::cli
