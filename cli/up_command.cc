// insula up, insula down.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/log/log.h"
#include "base/process/process_manager.h"
#include "base/process/run_file.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/cluster_folder.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/role.h"
#include "cli/supervisor.h"
#include "kv/placement/locality.h"

namespace insula::cli {
namespace {

struct UpFlags {
  std::string data = "./insula-data";
  int nodes = 3;
  std::vector<std::string> localities;
  bool detach = false;
  bool no_restart = false;
  bool detached_child = false;  // internal: we are what --detach started
  SupervisorOptions supervisor;
};

std::string Greeting(const ClusterFolder& folder, const absl::StatusOr<Credentials>& demo) {
  std::string out = StrCat("Insula is up. Data folder: ", folder.path(), "\n");
  StrAppend(&out, "  SQL   127.0.0.1:", folder.config().port, "   (TLS; CA file ", folder.ca(), ")\n");
  StrAppend(&out, "  HTTP  127.0.0.1:", folder.config().http_port, "   (operator: /metrics, /healthz, /readyz)\n");
  if (demo.ok()) {
    StrAppend(&out, "\nConnect to the tenant demo (user ", demo->user, ", password ", demo->password, ", option --cluster=", demo->cluster, "):\n\n");
    StrAppend(&out, "  psql \"", folder.Url(*demo), "\"\n");
  }
  StrAppend(&out, "\nMore tenants: insula tenant create NAME --data=", folder.path(), "\nStop it:      insula down --data=", folder.path(), "\n");
  return out;
}

Task<absl::Status> RunUp(Context ctx, RealWorld& world, const UpFlags& flags) {
  CO_ASSIGN_OR_RETURN(ClusterFolder folder, ClusterFolder::OpenOrCreate(flags.data, flags.nodes, world.runtime()));
  if (!folder.initialised()) {
    for (size_t i = 0; i < flags.localities.size(); ++i) folder.config().nodes[i].locality = flags.localities[i];
  }
  auto lock = world.runtime().files->LockFile(folder.path() + "/lock");
  if (!lock.ok()) {
    co_return absl::UnavailableError(StrCat("a cluster is running on ", folder.path(), " already. `insula status --data=", folder.path(), "` lists it, `insula down --data=", folder.path(), "` stops it."));
  }
  CO_ASSIGN_OR_RETURN(auto admin_identity, folder.Identity("client.admin"));
  CO_ASSIGN_OR_RETURN(auto server_identity, folder.Identity("operator"));
  auto admin = MakeGrpcTransport(world.executor(), admin_identity);
  auto server = MakeGrpcTransport(world.executor(), server_identity);
  Supervisor supervisor(ctx, &folder, flags.supervisor, world.runtime(), admin.get(), server.get());

  // A signal while things come up ends them as well.
  TaskGroup tasks(ctx);
  Context starting = ctx.WithCancel();
  Event stop;
  tasks.SpawnFn([&]() -> Task<void> {
    auto signal = co_await world.executor()->WaitForSignal(tasks.ctx());
    if (!signal.ok()) co_return;
    stop.Set();
    starting.Cancel(absl::CancelledError("stopped by a signal"));
  });
  auto demo = co_await supervisor.Start(starting);
  bool up = demo.ok() || (demo.status().code() == absl::StatusCode::kNotFound && !starting.done());
  absl::Status result = up ? absl::OkStatus() : demo.status();
  if (up) {
    std::string greeting = Greeting(folder, demo);
    if (flags.detached_child) {
      ReportReady(nlohmann::json({{"greeting", greeting}}).dump());
    } else {
      std::cout << greeting << std::flush;
    }
    absl::Status stopped = co_await stop.Wait(ctx);
    if (!stopped.ok()) result = stopped;
    if (!flags.detached_child) std::cout << "\nStopping…" << std::endl;
  }
  co_await supervisor.Stop();
  tasks.Cancel();
  co_await tasks.Wait();
  co_await server->Shutdown(Duration::zero());
  co_await admin->Shutdown(Duration::zero());
  if (!result.ok() && flags.detached_child) ReportReady(nlohmann::json({{"error", std::string(result.message())}}).dump());
  co_return result;
}

// Starts ourselves once more in the background, and waits until that one is ready.
Task<absl::Status> Detach(Context ctx, RealWorld& world, int argc, char** argv, const std::string& data) {
  ProcessSpec spec{.argv = {SelfPath(), "up", "--detached-child"}, .environment = {}, .log_path = ""};
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--detach") spec.argv.emplace_back(argv[i]);
  }
  // The folder may not be there yet, and a refused one must stay as it is: the log begins outside.
  std::string log = StrCat(std::filesystem::temp_directory_path().string(), "/insula-up-", getpid(), ".log");
  spec.log_path = log;
  ProcessManager processes(world.executor());
  OneShot<absl::StatusOr<std::string>> ready;
  auto pid = processes.Start(spec, [&](absl::StatusOr<std::string> line) { ready.Set(std::move(line)); }, {});
  if (!pid.ok()) co_return pid.status();
  CO_ASSIGN_OR_RETURN(auto line, co_await ready.Take(ctx));
  std::ifstream in(log);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::error_code error;
  std::string kept = data + "/logs/supervisor-1.log";
  if (std::filesystem::exists(data + "/logs", error)) {
    std::filesystem::copy_file(log, kept, std::filesystem::copy_options::overwrite_existing, error);
  }
  std::filesystem::remove(log, error);
  if (!line.ok()) co_return absl::UnavailableError(StrCat("the cluster did not start:\n", text));
  auto json = nlohmann::json::parse(*line, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("error")) co_return absl::UnavailableError(json["error"].get<std::string>());
  if (!json.is_object()) co_return absl::InternalError("the supervisor's ready line does not parse");
  std::cout << json.value("greeting", "") << std::flush;
  co_return absl::OkStatus();
}

// Waits until a process has ended; false after `timeout_ms`.
bool WaitForEnd(int pid, uint64_t start_time, int timeout_ms) {
  int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0 || ProcessStartTime(pid) != start_time) {
    if (fd >= 0) close(fd);
    return true;
  }
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  int n = poll(&entry, 1, timeout_ms);
  close(fd);
  return n == 1;
}

absl::Status EndProcess(const RunFile& file, int grace_ms) {
  for (int signal : {SIGTERM, SIGKILL}) {
    if (!file.Alive()) return absl::OkStatus();
    if (kill(file.pid, signal) != 0) return absl::UnavailableError(StrCat("cannot stop process ", file.pid, " (", file.role, " ", file.id, "); is it another user's?"));
    if (WaitForEnd(file.pid, file.start_time, grace_ms)) return absl::OkStatus();
  }
  return absl::UnavailableError(StrCat("process ", file.pid, " (", file.role, " ", file.id, ") does not end"));
}

absl::Status Down(const std::string& data) {
  RealWorld world;
  ASSIGN_OR_RETURN(ClusterFolder folder, ClusterFolder::Open(data, world.runtime().files));
  ASSIGN_OR_RETURN(std::vector<RunFile> files, ReadRunFiles(folder.run()));
  bool any = false;
  // The supervisor ends the others in order; what it left (because it was killed) is ended after it.
  for (bool supervisor : {true, false}) {
    for (const RunFile& file : files) {
      if ((file.role == "supervisor") != supervisor || !file.Alive()) continue;
      any = true;
      RETURN_IF_ERROR(EndProcess(file, supervisor ? 60000 : 10000));
    }
  }
  for (const RunFile& file : files) RETURN_IF_ERROR(RemoveRunFile(folder.run(), file.role, file.id));
  std::cout << (any ? "Stopped." : "Nothing was running.") << std::endl;
  return absl::OkStatus();
}

}  // namespace

int UpCommand(int argc, char** argv) {
  UpFlags flags;
  CLI::App app("Runs a whole local cluster on loopback: KV nodes, operator, proxy and a pool of prewarmed SQL pods.", "insula up");
  app.add_option("--data", flags.data, "data folder; made on first start")->capture_default_str();
  app.add_option("--port", flags.supervisor.port, "SQL port (0: a free one)")->check(CLI::Range(0, 65535))->capture_default_str();
  app.add_option("--http-port", flags.supervisor.http_port, "HTTP port of the operator (0: a free one)")->check(CLI::Range(0, 65535))->capture_default_str();
  app.add_option("--nodes", flags.nodes, "KV nodes, on first start")->check(CLI::IsMember({1, 3, 5}))->capture_default_str();
  app.add_option("--locality", flags.localities, "on first start, where each node stands, in their order: --locality=region=eu,zone=a --locality=…")->allow_extra_args(false);
  app.add_option("--repair-after", flags.supervisor.repair_after, "a node that is not heard of for so long is given up, and its replicas are made anew elsewhere")->capture_default_str();
  app.add_option("--pool", flags.supervisor.pool, "prewarmed SQL pods")->check(CLI::Range(0, 100))->capture_default_str();
  app.add_flag("--detach", flags.detach, "return when the cluster is ready, and leave it running");
  app.add_flag("--no-restart", flags.no_restart, "leave a process that died dead (see: insula node start)");
  app.add_flag("--detached-child", flags.detached_child)->group("");
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  flags.supervisor.restart = !flags.no_restart;
  if (auto repair = ParseDuration(flags.supervisor.repair_after); !repair.ok()) {
    std::cerr << "insula: " << std::string(repair.status().message()) << "\n";
    return kExitUsage;
  }
  for (const std::string& locality : flags.localities) {
    if (auto parsed = kv::placement::ParseLocality(locality); !parsed.ok()) {
      std::cerr << "insula: " << std::string(parsed.status().message()) << "\n";
      return kExitUsage;
    }
  }
  if (!flags.localities.empty() && flags.localities.size() != static_cast<size_t>(flags.nodes)) {
    std::cerr << "insula: " << flags.localities.size() << " localities for " << flags.nodes << " nodes: each needs one\n";
    return kExitUsage;
  }
  if (flags.detach) {
    return RunOnLoop([&](Context ctx, RealWorld& world) { return Detach(ctx, world, argc, argv, flags.data); });
  }
  StartLog("supervisor", "1");
  return RunOnLoop([&](Context ctx, RealWorld& world) { return RunUp(ctx, world, flags); });
}

int DownCommand(int argc, char** argv) {
  std::string data = "./insula-data";
  CLI::App app("Stops the cluster of a data folder.", "insula down");
  app.add_option("--data", data, "data folder")->capture_default_str();
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  return Report(Down(data));
}

}  // namespace insula::cli
