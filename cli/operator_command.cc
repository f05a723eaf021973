// insula operator start
#include <CLI/CLI.hpp>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/role.h"
#include "operator/certificate_stamps.h"
#include "operator/kv_nodes.h"
#include "operator/operator.h"
#include "operator/process_runtime.h"

namespace insula::cli {
namespace {

struct OperatorFlags {
  IdentityFlags identity;
  std::string listen = "127.0.0.1:0";
  std::string http;
  std::string nodes;
  int pool = 2;
  std::string tenant_ca_certificate, tenant_ca_key;
  std::string pool_certificate, pool_key;
  std::string run_folder, log_folder;
};

Task<absl::Status> RunOperator(Context ctx, RealWorld& world, const OperatorFlags& flags) {
  FileSystem* files = world.runtime().files;
  Network* network = world.runtime().network;
  CO_ASSIGN_OR_RETURN(auto identity, flags.identity.Load());
  CO_ASSIGN_OR_RETURN(auto nodes, ParsePeers(flags.nodes));
  CertificateAndKey tenant_ca;
  CO_ASSIGN_OR_RETURN(tenant_ca.certificate_pem, files->ReadFile(flags.tenant_ca_certificate));
  CO_ASSIGN_OR_RETURN(tenant_ca.key_pem, files->ReadFile(flags.tenant_ca_key));
  CO_ASSIGN_OR_RETURN(std::string ca_bundle, files->ReadFile(flags.identity.ca));

  auto transport = MakeGrpcTransport(world.executor(), identity);
  ops::KvNodes kv_nodes(transport.get(), std::move(nodes));
  ops::KvTenantRegistry registry(transport.get(), &kv_nodes);
  ops::CertificateStamps stamps(ca_bundle, tenant_ca, &kv_nodes, {"127.0.0.1", "::1", "localhost"});
  ops::ProcessRuntimeOptions runtime_options{.binary = SelfPath(), .run_folder = flags.run_folder, .log_folder = flags.log_folder, .ca_path = flags.identity.ca,
                                             .certificate_path = flags.pool_certificate, .key_path = flags.pool_key};
  auto post = [network, identity](const Context& call, std::string url, std::string body) -> Task<absl::StatusOr<std::string>> {
    auto response = co_await HttpPost(call, network, std::move(url), std::move(body), identity);
    if (!response.ok()) co_return response.status();
    if (response->status != 200) co_return absl::UnavailableError(StrCat("the pod answered ", response->status, ": ", response->body));
    co_return std::move(response->body);
  };
  ops::ProcessRuntime pods(runtime_options, world.runtime(), transport.get(), post);

  Context running = ctx.WithCancel();
  bool ready = false;
  RoleHttp http(ctx, world);
  CO_ASSIGN_OR_RETURN(std::string http_address, http.Start(flags.http, [&ready] { return ready ? absl::OkStatus() : absl::UnavailableError("the registry is not known yet"); }));
  TaskGroup tasks(ctx);
  tasks.Spawn(kv_nodes.Run(running));
  ops::Operator the_operator(running, static_cast<size_t>(flags.pool), &registry, &pods, &stamps);
  the_operator.Register(transport.get());
  CO_ASSIGN_OR_RETURN(int port, transport->Listen(flags.listen));
  absl::Status result;
  tasks.SpawnFn([&]() -> Task<void> {
    result = co_await the_operator.Run(running, [&] {
      ready = true;
      LOG_INFO("ready", {"address", flags.listen});
      ReportRoleReady(StrCat(HostOf(flags.listen), ":", port), http_address);
    });
    // Ended by itself: that is a failure, and the process must not stay as if it served.
    if (!running.done()) {
      LOG_ERROR("the operator ended", {"status", result.ToString()});
      world.executor()->Stop();
    }
  });
  auto signal = co_await world.executor()->WaitForSignal(ctx);
  running.Cancel();
  co_await tasks.Wait();
  co_await http.Stop();
  co_await transport->Shutdown(Duration::zero());
  co_return signal.status();
}

}  // namespace

int OperatorCommand(int argc, char** argv) {
  OperatorFlags flags;
  CLI::App app("The operator: keeps the pool of prewarmed pods, wakes and suspends tenants, replaces pods that die.", "insula operator");
  app.require_subcommand(1);
  CLI::App* start = app.add_subcommand("start", "run the operator with pods as local processes");
  flags.identity.AddTo(start);
  start->add_option("--listen", flags.listen, "HOST:PORT of its gRPC services")->capture_default_str();
  start->add_option("--http", flags.http, "HOST:PORT of /metrics, /healthz and /readyz");
  start->add_option("--nodes", flags.nodes, "KV nodes: ID=HOST:PORT,…")->required();
  start->add_option("--pool", flags.pool, "prewarmed pods to keep")->check(CLI::Range(0, 1000))->capture_default_str();
  start->add_option("--tenant-ca-cert", flags.tenant_ca_certificate, "PEM file of the tenant CA")->required();
  start->add_option("--tenant-ca-key", flags.tenant_ca_key, "PEM file of its private key")->required();
  start->add_option("--pool-cert", flags.pool_certificate, "PEM file of the prewarmed pods' certificate")->required();
  start->add_option("--pool-key", flags.pool_key, "PEM file of its private key")->required();
  start->add_option("--run-folder", flags.run_folder, "folder of run files")->required();
  start->add_option("--log-folder", flags.log_folder, "folder of pods' logs")->required();
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  StartLog("operator", "1");
  return RunOnLoop([&](Context ctx, RealWorld& world) { return RunOperator(ctx, world, flags); });
}

}  // namespace insula::cli
