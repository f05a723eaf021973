// insula status, psql.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/local_cluster.h"
#include "tenant/tenant.h"

namespace insula::cli {
namespace {

using Json = nlohmann::ordered_json;

// A process as status shows it; `leases` only for KV nodes that answer.
Task<Json> StatusRow(Context ctx, LocalCluster& cluster, RunFile file) {
  Json row = {{"role", file.role}, {"id", file.id}, {"tenant", file.tenant == 0 ? Json(nullptr) : Json(file.tenant)}, {"pid", file.pid}, {"address", file.address}, {"state", file.Alive() ? file.state : "dead"}, {"http", file.http}};
  if (file.role != "kv") co_return row;
  row["leases"] = 0;
  if (!file.Alive()) co_return row;
  auto status = co_await cluster.client->NodeStatus(ctx.WithTimeout(std::chrono::seconds(2)), file.address);
  if (status.ok()) row["leases"] = status->leases();
  if (!status.ok()) row["state"] = "unreachable";
  co_return row;
}

Task<absl::Status> Status(Context ctx, LocalCluster& cluster, bool json) {
  Json rows = Json::array();
  for (const RunFile& file : cluster.processes) {
    if (file.role != "supervisor") rows.push_back(co_await StatusRow(ctx, cluster, file));
  }
  if (json) {
    std::cout << Json({{"processes", rows}}).dump() << std::endl;
    co_return absl::OkStatus();
  }
  std::printf("%-9s %-10s %-8s %-8s %-22s %-12s %s\n", "ROLE", "ID", "TENANT", "PID", "ADDRESS", "STATE", "LEASES");
  for (auto& row : rows) {
    std::printf("%-9s %-10s %-8s %-8d %-22s %-12s %s\n", row["role"].get<std::string>().c_str(), row["id"].get<std::string>().c_str(),
                row["tenant"].is_null() ? "-" : StrCat(row["tenant"].get<uint64_t>()).c_str(), row["pid"].get<int>(), row["address"].get<std::string>().c_str(),
                row["state"].get<std::string>().c_str(), row.contains("leases") ? StrCat(row["leases"].get<uint64_t>()).c_str() : "");
  }
  co_return absl::OkStatus();
}

// NAME-ID for what the user wrote: NAME-ID itself, or a NAME that the cluster knows.
Task<absl::Status> ResolveCluster(Context ctx, LocalCluster& cluster, std::string* name) {
  CO_ASSIGN_OR_RETURN(auto record, co_await cluster.client->Get(ctx, *name));
  *name = ClusterName{record.name(), record.id()}.ToString();
  co_return absl::OkStatus();
}

// Escapes a field of a libpq password file.
std::string PassField(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == ':' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

}  // namespace

int StatusCommand(int argc, char** argv) {
  std::string data = "./insula-data";
  bool json = false;
  CLI::App app("Lists the processes of a local cluster.", "insula status");
  app.add_option("--data", data, "data folder")->capture_default_str();
  app.add_flag("--json", json, "print JSON");
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  return RunOnLoop([&](Context ctx, RealWorld& world) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(LocalCluster cluster, OpenLocalCluster(data, world));
    absl::Status result = co_await Status(ctx, cluster, json);
    co_await cluster.transport->Shutdown(Duration::zero());
    co_return result;
  });
}

int PsqlCommand(int argc, char** argv) {
  std::string data = "./insula-data", name;
  // What follows "--" is psql's own.
  int own = 1;
  while (own < argc && std::string_view(argv[own]) != "--") ++own;
  CLI::App app("Runs the installed psql against a tenant: insula psql CLUSTER [--data=DIR] [-- PSQL ARGUMENTS]", "insula psql");
  app.add_option("--data", data, "data folder of the cluster")->capture_default_str();
  app.add_option("CLUSTER", name, "NAME-ID, or NAME where unique")->required();
  int exit_code = kExitOk;
  if (!Parse(app, own, argv, &exit_code)) return exit_code;

  Credentials credentials;
  std::string url, passfile;
  int result = WithLocalCluster(data, [&](Context ctx, RealWorld& world, LocalCluster& cluster) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(co_await ResolveCluster(ctx, cluster, &name));
    CO_ASSIGN_OR_RETURN(credentials, cluster.folder.LoadCredentials(name));
    // The password goes by file, not by argument: arguments are for everybody to see.
    passfile = StrCat(cluster.folder.path(), "/credentials/", name, ".pgpass");
    CO_RETURN_IF_ERROR(world.runtime().files->WriteFileAtomically(passfile, StrCat("*:*:*:", PassField(credentials.user), ":", PassField(credentials.password), "\n"), 0600));
    credentials.password.clear();
    url = cluster.folder.Url(credentials);
    co_return absl::OkStatus();
  });
  if (result != kExitOk) return result;
  setenv("PGPASSFILE", passfile.c_str(), 1);
  unsetenv("PGPASSWORD");
  std::vector<char*> arguments = {const_cast<char*>("psql"), url.data()};
  for (int i = own + 1; i < argc; ++i) arguments.push_back(argv[i]);
  arguments.push_back(nullptr);
  execvp("psql", arguments.data());
  std::cerr << "insula: psql cannot be run: " << std::strerror(errno) << ". Install it, for example: apt-get install postgresql-client\n";
  return kExitFailed;
}

}  // namespace insula::cli
