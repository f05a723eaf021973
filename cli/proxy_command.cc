// insula proxy start
#include <CLI/CLI.hpp>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/tls_identity.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/role.h"
#include "proxy/server.h"

namespace insula::cli {
namespace {

struct ProxyFlags {
  IdentityFlags identity;
  std::string listen = "127.0.0.1:26257";
  std::string http;
  std::string operator_address;
  std::string server_certificate, server_key;
  bool allow_insecure = false;
};

Task<absl::Status> RunProxy(Context ctx, RealWorld& world, const ProxyFlags& flags) {
  CO_ASSIGN_OR_RETURN(auto identity, flags.identity.Load());
  CO_ASSIGN_OR_RETURN(auto server_identity, TlsIdentity::FromFiles(flags.identity.ca, flags.server_certificate, flags.server_key));
  auto transport = MakeGrpcTransport(world.executor(), identity);
  proxy::ProxyOptions options{.listen_address = flags.listen, .operator_address = flags.operator_address, .server_identity = server_identity,
                              .pod_identity = identity, .allow_insecure = flags.allow_insecure, .limits = {}};
  Context serving = ctx.WithCancel();
  proxy::ProxyServer server(serving, options, world.runtime(), transport.get());
  CO_RETURN_IF_ERROR(server.Listen());
  bool ready = false;
  RoleHttp http(ctx, world);
  http.metrics().AddGauge("insula_proxy_connections", "Client connections.", [&server] { return static_cast<double>(server.connections()); });
  CO_ASSIGN_OR_RETURN(std::string http_address, http.Start(flags.http, [&ready] { return ready ? absl::OkStatus() : absl::UnavailableError("the directory is not known yet"); }));
  TaskGroup tasks(ctx);
  tasks.SpawnFn([&]() -> Task<void> {
    absl::Status served = co_await server.Serve(serving, std::chrono::seconds(1));
    if (!served.ok()) LOG_ERROR("serving ended", {"status", served.ToString()});
  });
  tasks.SpawnFn([&]() -> Task<void> {
    if (!(co_await server.WaitReady(serving)).ok()) co_return;
    ready = true;
    LOG_INFO("ready", {"address", flags.listen});
    ReportRoleReady(StrCat(HostOf(flags.listen), ":", server.port()), http_address);
  });
  auto signal = co_await world.executor()->WaitForSignal(ctx);
  serving.Cancel();
  co_await tasks.Wait();
  co_await http.Stop();
  co_await transport->Shutdown(Duration::zero());
  co_return signal.status();
}

}  // namespace

int ProxyCommand(int argc, char** argv) {
  ProxyFlags flags;
  CLI::App app("The proxy: accepts PostgreSQL clients, routes them to their cluster's pods, wakes sleeping clusters.", "insula proxy");
  app.require_subcommand(1);
  CLI::App* start = app.add_subcommand("start", "run the proxy");
  flags.identity.AddTo(start);
  start->add_option("--listen", flags.listen, "HOST:PORT for clients")->capture_default_str();
  start->add_option("--http", flags.http, "HOST:PORT of /metrics, /healthz and /readyz");
  start->add_option("--operator", flags.operator_address, "HOST:PORT of the operator's directory")->required();
  start->add_option("--server-cert", flags.server_certificate, "PEM file of the certificate that clients see")->required();
  start->add_option("--server-key", flags.server_key, "PEM file of its private key")->required();
  start->add_flag("--allow-insecure", flags.allow_insecure, "also take connections without TLS");
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  StartLog("proxy", "1");
  return RunOnLoop([&](Context ctx, RealWorld& world) { return RunProxy(ctx, world, flags); });
}

}  // namespace insula::cli
