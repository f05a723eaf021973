// insula sql start
#include <CLI/CLI.hpp>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/role.h"
#include "kv/client/database.h"
#include "sql/server/pod.h"

namespace insula::cli {
namespace {

struct SqlFlags {
  IdentityFlags identity;
  std::string id = "1";
  std::string listen = "127.0.0.1:0";
  std::string http = "127.0.0.1:0";
  std::string control = "127.0.0.1:0";
};

// The KV client with a tenant's certificate.
class BoundDatabase : public sql::TenantDatabase {
 public:
  BoundDatabase(const Context& ctx, RealWorld& world, const sql::TenantBinding& binding)
      : transport_(MakeGrpcTransport(world.executor(), binding.identity)),
        database_(kv::MakeDatabase(ctx, world.runtime(), transport_.get(), {.sender = {.bootstrap = Nodes(binding)}, .coordinator = {}})) {}

  kv::Database* database() override { return database_.get(); }
  Task<void> Shutdown() override { co_await transport_->Shutdown(Duration::zero()); }

 private:
  static std::vector<std::string> Nodes(const sql::TenantBinding& binding) {
    std::vector<std::string> nodes;
    for (auto& [id, address] : binding.kv_nodes) nodes.push_back(address);
    return nodes;
  }
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<kv::Database> database_;
};

Task<absl::Status> RunSql(Context ctx, RealWorld& world, const SqlFlags& flags) {
  CO_ASSIGN_OR_RETURN(auto identity, flags.identity.Load());
  auto control = MakeGrpcTransport(world.executor(), identity);
  Context serving = ctx.WithCancel();
  sql::PodOptions options;
  options.id = flags.id;
  options.sql_address = flags.listen;
  options.http_address = flags.http;
  options.control_address = flags.control;
  options.identity = identity;
  options.make_database = [&](const sql::TenantBinding& binding) -> absl::StatusOr<std::unique_ptr<sql::TenantDatabase>> {
    return std::make_unique<BoundDatabase>(ctx, world, binding);
  };
  options.on_prewarmed = [](const sql::PodAddresses& addresses) {
    LOG_INFO("prewarmed", {"address", addresses.sql});
    ReportRoleReady(addresses.sql, addresses.http, addresses.control);
  };
  TaskGroup tasks(ctx);
  tasks.SpawnFn([&]() -> Task<void> {
    auto signal = co_await world.executor()->WaitForSignal(tasks.ctx());
    if (signal.ok()) serving.Cancel();
  });
  absl::Status result = co_await sql::RunPod(serving, std::move(options), world.runtime(), control.get());
  tasks.Cancel();
  co_await tasks.Wait();
  co_await control->Shutdown(Duration::zero());
  co_return result;
}

}  // namespace

int SqlCommand(int argc, char** argv) {
  SqlFlags flags;
  CLI::App app("A SQL pod: starts without a tenant, is stamped once, then serves that tenant.", "insula sql");
  app.require_subcommand(1);
  CLI::App* start = app.add_subcommand("start", "run a prewarmed pod");
  flags.identity.AddTo(start);
  start->add_option("--id", flags.id, "the pod's id, for logs")->capture_default_str();
  start->add_option("--listen", flags.listen, "HOST:PORT of the PostgreSQL protocol")->capture_default_str();
  start->add_option("--http", flags.http, "HOST:PORT of stamping and status")->capture_default_str();
  start->add_option("--control", flags.control, "HOST:PORT of the control service")->capture_default_str();
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  StartLog("sql", flags.id);
  return RunOnLoop([&](Context ctx, RealWorld& world) { return RunSql(ctx, world, flags); });
}

}  // namespace insula::cli
