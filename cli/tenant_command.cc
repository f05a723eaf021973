// insula tenant create | list | get | plan | suspend | resume | drop
#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/pgwire/scram.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/local_cluster.h"
#include "cli/passwords.h"
#include "tenant/plan.h"
#include "tenant/tenant.h"

namespace insula::cli {
namespace {

namespace tpb = insula::tenant::v1;
using Json = nlohmann::ordered_json;

struct TenantFlags {
  std::string data = "./insula-data";
  std::string cluster;
  std::string user = "app";
  std::string password_file;
  std::string idle;
  std::string gc_ttl;
  tpb::Plan plan;
  bool unlimited = false;
  bool json = false;
};

std::string StateName(tpb::TenantState state) {
  switch (state) {
    case tpb::CREATING:
      return "creating";
    case tpb::ACTIVE:
      return "active";
    case tpb::SUSPENDED:
      return "suspended";
    case tpb::PARKED:
      return "parked";
    case tpb::DROPPING:
      return "dropping";
    default:
      return "unknown";
  }
}

std::string PodStateName(ops::v1::PodState state) { return AsciiLower(ops::v1::PodState_Name(state)); }

std::string ClusterOf(const tpb::TenantRecord& record) { return ClusterName{record.name(), record.id()}.ToString(); }

absl::StatusOr<std::string> ReadPassword(const TenantFlags& flags, Random* random) {
  if (flags.password_file.empty()) return GeneratePassword(random);
  std::ifstream in(flags.password_file);
  if (!in) return absl::NotFoundError(StrCat("cannot read the password file ", flags.password_file));
  std::string password;
  std::getline(in, password);
  if (!password.empty() && password.back() == '\r') password.pop_back();
  if (password.empty()) return absl::InvalidArgumentError(StrCat("the first line of ", flags.password_file, " is empty; it must be the password"));
  return password;
}

Task<absl::Status> Create(Context ctx, RealWorld& world, LocalCluster& cluster, const TenantFlags& flags) {
  tpb::CreateTenantRequest request;
  request.set_name(flags.cluster);
  request.set_user(flags.user);
  Random* random = world.runtime().random;
  request.set_request_id(StrCat(random->Next64(), "-", random->Next64()));
  if (!flags.idle.empty()) {
    CO_ASSIGN_OR_RETURN(int64_t idle_ms, ParseDuration(flags.idle));
    request.set_idle_timeout_ms(idle_ms);
  }
  if (!flags.gc_ttl.empty()) {
    CO_ASSIGN_OR_RETURN(int64_t ttl_ms, ParseDuration(flags.gc_ttl));
    request.set_gc_ttl_seconds((ttl_ms + 999) / 1000);
  }
  CO_ASSIGN_OR_RETURN(std::string password, ReadPassword(flags, random));
  request.set_scram_verifier(pgwire::MakeScramVerifier(password, random->Bytes(16)).ToString());
  CO_ASSIGN_OR_RETURN(tpb::TenantRecord record, co_await cluster.client->Create(ctx, request));
  Credentials credentials{ClusterOf(record), record.user(), password};
  CO_RETURN_IF_ERROR(cluster.folder.SaveCredentials(credentials));
  std::string url = cluster.folder.Url(credentials);
  if (flags.json) {
    std::cout << Json({{"cluster", credentials.cluster}, {"id", record.id()}, {"user", credentials.user}, {"password", password}, {"url", url}}).dump() << std::endl;
  } else {
    std::cout << "cluster   " << credentials.cluster << "\nuser      " << credentials.user << "\npassword  " << password << "\nurl       " << url << std::endl;
  }
  co_return absl::OkStatus();
}

Json RecordJson(const tpb::TenantRecord& record, const std::vector<ops::v1::Pod>& pods) {
  Json list = Json::array();
  for (auto& pod : pods) {
    if (pod.tenant_id() == record.id()) list.push_back({{"id", pod.id()}, {"state", PodStateName(pod.state())}, {"address", pod.address()}});
  }
  Json json({{"cluster", ClusterOf(record)}, {"id", record.id()}, {"name", record.name()}, {"state", StateName(record.state())}, {"generation", record.generation()}, {"pods", list}});
  if (record.has_plan()) {
    json["plan"] = {{"rate_ru", record.plan().rate_ru()}, {"burst_ru", record.plan().burst_ru()}, {"baseline_ru", record.plan().baseline_ru()}};
  }
  return json;
}

void PrintRecord(const tpb::TenantRecord& record, const std::vector<ops::v1::Pod>& pods) {
  std::cout << "cluster     " << ClusterOf(record) << "\nstate       " << StateName(record.state()) << "\ngeneration  " << record.generation() << "\nuser        " << record.user() << "\n";
  const tpb::Plan& plan = record.plan();
  if (record.has_plan()) std::cout << "plan        " << plan.rate_ru() << " RU/s, burst " << plan.burst_ru() << " RU, baseline " << plan.baseline_ru() << " RU/s\n";
  for (auto& pod : pods) {
    if (pod.tenant_id() == record.id()) std::cout << "pod         " << pod.id() << "  " << PodStateName(pod.state()) << "  " << pod.address() << "\n";
  }
}

// The pods, or none when the operator cannot be asked: the record is worth showing without them.
Task<std::vector<ops::v1::Pod>> PodsIfKnown(Context ctx, LocalCluster& cluster) {
  auto pods = co_await cluster.client->Pods(ctx.WithTimeout(std::chrono::seconds(5)), 0);
  if (!pods.ok()) std::cerr << "insula: the operator does not answer; pods are not shown: " << std::string(pods.status().message()) << std::endl;
  co_return pods.ok() ? *std::move(pods) : std::vector<ops::v1::Pod>();
}

Task<absl::Status> Show(Context ctx, LocalCluster& cluster, const TenantFlags& flags, tpb::TenantRecord record) {
  auto pods = co_await PodsIfKnown(ctx, cluster);
  if (flags.json) {
    std::cout << RecordJson(record, pods).dump() << std::endl;
  } else {
    PrintRecord(record, pods);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Get(Context ctx, RealWorld&, LocalCluster& cluster, const TenantFlags& flags) {
  CO_ASSIGN_OR_RETURN(tpb::TenantRecord record, co_await cluster.client->Get(ctx, flags.cluster));
  co_return co_await Show(ctx, cluster, flags, record);
}

Task<absl::Status> List(Context ctx, RealWorld&, LocalCluster& cluster, const TenantFlags& flags) {
  CO_ASSIGN_OR_RETURN(std::vector<tpb::TenantRecord> records, co_await cluster.client->List(ctx));
  auto pods = co_await PodsIfKnown(ctx, cluster);
  if (flags.json) {
    Json list = Json::array();
    for (auto& record : records) list.push_back(RecordJson(record, pods));
    std::cout << Json({{"tenants", list}}).dump() << std::endl;
    co_return absl::OkStatus();
  }
  for (auto& record : records) {
    size_t count = 0;
    for (auto& pod : pods) count += pod.tenant_id() == record.id();
    std::printf("%-40s %-10s generation %-4llu %zu pods\n", ClusterOf(record).c_str(), StateName(record.state()).c_str(), static_cast<unsigned long long>(record.generation()), count);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> SetPlan(Context ctx, RealWorld&, LocalCluster& cluster, const TenantFlags& flags) {
  CO_ASSIGN_OR_RETURN(tpb::TenantRecord record, co_await cluster.client->SetPlan(ctx, flags.cluster, flags.plan));
  co_return co_await Show(ctx, cluster, flags, record);
}

Task<absl::Status> Suspend(Context ctx, RealWorld&, LocalCluster& cluster, const TenantFlags& flags) {
  CO_ASSIGN_OR_RETURN(tpb::TenantRecord record, co_await cluster.client->Suspend(ctx, flags.cluster));
  co_return co_await Show(ctx, cluster, flags, record);
}

Task<absl::Status> Resume(Context ctx, RealWorld&, LocalCluster& cluster, const TenantFlags& flags) {
  CO_ASSIGN_OR_RETURN(tpb::TenantRecord record, co_await cluster.client->Resume(ctx, flags.cluster));
  co_return co_await Show(ctx, cluster, flags, record);
}

Task<absl::Status> Drop(Context ctx, RealWorld&, LocalCluster& cluster, const TenantFlags& flags) {
  CO_ASSIGN_OR_RETURN(tpb::TenantRecord record, co_await cluster.client->Drop(ctx, flags.cluster));
  CO_RETURN_IF_ERROR(cluster.folder.ForgetCredentials(ClusterOf(record)));
  if (flags.json) {
    std::cout << Json({{"cluster", ClusterOf(record)}, {"id", record.id()}, {"name", record.name()}, {"state", "dropped"}}).dump() << std::endl;
  } else {
    std::cout << "Dropped " << ClusterOf(record) << "." << std::endl;
  }
  co_return absl::OkStatus();
}

// What is wrong with the flags, seen without asking anybody.
absl::Status CheckPlanFlags(const TenantFlags& flags) {
  if (flags.unlimited && !IsNoPlan(flags.plan)) return absl::InvalidArgumentError("--unlimited takes the plan away; leave out --rate, --burst and --baseline");
  if (!flags.unlimited && IsNoPlan(flags.plan)) return absl::InvalidArgumentError("say --rate, or --unlimited to take the plan away");
  return flags.unlimited ? absl::OkStatus() : CompletePlan(flags.plan).status();
}

void AddPlanOptions(CLI::App* plan, TenantFlags* flags) {
  plan->add_option_function<int64_t>("--rate", [flags](int64_t ru) { flags->plan.set_rate_ru(ru); }, "request units a second, over all nodes");
  plan->add_option_function<int64_t>("--burst", [flags](int64_t ru) { flags->plan.set_burst_ru(ru); }, "request units that it can save up (default: ten seconds of the rate)");
  plan->add_option_function<int64_t>("--baseline", [flags](int64_t ru) { flags->plan.set_baseline_ru(ru); },
                                     "of the rate: what is left to it in any case (default: a tenth)");
  plan->add_flag("--unlimited", flags->unlimited, "take the plan away");
}

}  // namespace

int TenantCommand(int argc, char** argv) {
  TenantFlags flags;
  CLI::App app("Creates and manages tenants.", "insula tenant");
  app.require_subcommand(1);
  using Run = Task<absl::Status> (*)(Context, RealWorld&, LocalCluster&, const TenantFlags&);
  Run run = nullptr;
  auto add = [&](const char* name, const char* help, Run what, const char* positional) {
    CLI::App* sub = AddClusterCommand(app, name, help, &flags.data, &flags.json);
    if (positional != nullptr) sub->add_option(positional, flags.cluster, name == std::string("create") ? "name: a-z, 0-9 and '-', beginning with a letter" : "NAME-ID, or NAME where unique")->required();
    sub->callback([&run, what] { run = what; });
    return sub;
  };
  CLI::App* create = add("create", "create a tenant; prints its cluster name, user, password and URL", Create, "NAME");
  create->add_option("--user", flags.user, "first user")->capture_default_str();
  create->add_option("--password-file", flags.password_file, "file whose first line is the password (default: one is generated)");
  create->add_option("--gc-ttl", flags.gc_ttl, "keep old versions of rows for so long, e.g. 10m or 24h; at least 1s (default 4h)");
  create->add_option("--idle", flags.idle, "suspend after so long without activity, e.g. 30s or 5m (default 10s)");
  add("list", "list all tenants", List, nullptr);
  add("get", "show one tenant", Get, "CLUSTER");
  AddPlanOptions(add("plan", "set what a tenant may spend in the whole cluster", SetPlan, "CLUSTER"), &flags);
  add("suspend", "stop a tenant's pods; returns when none is left", Suspend, "CLUSTER");
  add("resume", "wake a tenant; returns when a pod is ready", Resume, "CLUSTER");
  add("drop", "delete a tenant with all its data", Drop, "CLUSTER");
  int exit_code = kExitOk;
  if (!Parse(app, argc, argv, &exit_code)) return exit_code;
  if (run == Create && !IsValidTenantName(flags.cluster)) {
    std::cerr << "insula: \"" << flags.cluster << "\" is not a tenant name: it starts with a letter, holds a-z, 0-9 and '-', ends with a letter or digit, and has at most 63 characters\n";
    return kExitUsage;
  }
  if (absl::Status plan = run == SetPlan ? CheckPlanFlags(flags) : absl::OkStatus(); !plan.ok()) {
    std::cerr << "insula: " << std::string(plan.message()) << "\n";
    return kExitUsage;
  }
  for (const std::string& duration : {flags.idle, flags.gc_ttl}) {
    if (duration.empty()) continue;
    if (auto parsed = ParseDuration(duration); !parsed.ok()) {
      std::cerr << "insula: " << std::string(parsed.status().message()) << "\n";
      return kExitUsage;
    }
  }
  return WithLocalCluster(flags.data, [&](Context ctx, RealWorld& world, LocalCluster& cluster) { return run(ctx, world, cluster, flags); });
}

}  // namespace insula::cli
