#include "cli/supervisor.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log/log.h"
#include "base/pgwire/scram.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/admin_client.h"
#include "cli/command_line.h"
#include "cli/passwords.h"
#include "cli/port_chooser.h"
#include "proto/operator/supervisor.pb.h"
#include "tenant/tenant.h"

namespace insula::cli {
namespace {

constexpr Duration kRestartPause = std::chrono::seconds(1);
constexpr Duration kReadyTimeout = std::chrono::seconds(60);
constexpr Duration kStopGrace = std::chrono::seconds(10);
constexpr int64_t kDemoIdleMs = 5 * 60 * 1000;

// The last lines of a log, for a message about a process that did not start.
std::string LogTail(FileSystem* files, const std::string& path) {
  auto text = files->ReadFile(path);
  if (!text.ok()) return "";
  size_t start = text->size();
  for (int lines = 0; start > 0 && lines <= 3; --start) {
    if ((*text)[start - 1] == '\n' && ++lines > 3) break;
  }
  return text->substr(start);
}

}  // namespace

Supervisor::Supervisor(const Context& ctx, ClusterFolder* folder, SupervisorOptions options, Runtime runtime, Transport* admin, Transport* server)
    : folder_(folder), options_(options), runtime_(runtime), admin_(admin), server_(server), processes_(runtime.executor), tasks_(ctx) {}

absl::Status Supervisor::ChoosePorts() {
  ClusterConfig& config = folder_->config();
  PortChooser ports(runtime_.random, runtime_.files);
  auto asked = [&ports](int wanted, std::string_view flag) -> absl::StatusOr<int> {
    auto chosen = wanted == 0 ? ports.TakeAny() : ports.Take(wanted);
    if (chosen.ok()) return chosen;
    return absl::Status(chosen.status().code(), StrCat(std::string(chosen.status().message()), "; choose another with ", flag, "=N, or a free one with ", flag, "=0"));
  };
  ASSIGN_OR_RETURN(config.port, asked(options_.port, "--port"));
  ASSIGN_OR_RETURN(config.http_port, asked(options_.http_port, "--http-port"));
  for (NodeConfig& node : config.nodes) RETURN_IF_ERROR(ChoosePorts(&node, &ports));
  ASSIGN_OR_RETURN(int operator_port, ports.TakeAny());
  operator_address_ = StrCat("127.0.0.1:", operator_port);
  return folder_->SaveConfig();
}

absl::Status Supervisor::ChoosePorts(NodeConfig* node, PortChooser* ports) {
  for (std::string* address : {&node->address, &node->http}) {
    // The former port again if it is free: not needed, but kind to whoever looks at it.
    size_t colon = address->rfind(':');
    int former = colon == std::string::npos ? 0 : std::atoi(address->c_str() + colon + 1);
    auto chosen = former == 0 ? ports->TakeAny() : ports->Take(former);
    if (!chosen.ok()) chosen = ports->TakeAny();
    if (!chosen.ok()) return chosen.status();
    *address = StrCat("127.0.0.1:", *chosen);
  }
  return absl::OkStatus();
}

Task<absl::Status> Supervisor::EndLeftovers(const Context& ctx) {
  // We hold the lock, so whatever still runs belongs to a supervisor that was killed.
  CO_ASSIGN_OR_RETURN(std::vector<RunFile> files, ReadRunFiles(folder_->run()));
  for (const RunFile& file : files) {
    auto gone = std::make_shared<Event>();
    if (file.Alive() && processes_.Adopt(file.pid, file.start_time, [gone](std::string) { gone->Set(); }).ok()) {
      LOG_WARNING("a process of a former supervisor is ended", {"role", file.role}, {"id", file.id}, {"pid", file.pid});
      for (int signal : {SIGTERM, SIGKILL}) {
        absl::Status sent = processes_.Signal(file.pid, signal);
        if (sent.ok()) sent = co_await gone->Wait(ctx.WithTimeout(kStopGrace));
        if (gone->is_set()) break;
      }
      if (!gone->is_set()) co_return absl::UnavailableError(StrCat("process ", file.pid, " (", file.role, ") of a former run does not end"));
    }
    CO_RETURN_IF_ERROR(RemoveRunFile(folder_->run(), file.role, file.id));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Supervisor::InitialiseStores(const Context& ctx) {
  for (const NodeConfig& node : folder_->config().nodes) {
    OneShot<std::string> exit;
    std::string log = StrCat(folder_->logs(), "/kv-", node.id, ".log");
    ProcessSpec spec{.argv = {SelfPath(), "kv", "init", StrCat("--store=", folder_->store(node.id)), StrCat("--cluster-id=", folder_->config().cluster_id),
                              StrCat("--node-id=", node.id), StrCat("--nodes=", folder_->config().nodes.size())},
                     .environment = {},
                     .log_path = log};
    auto pid = processes_.Start(spec, {}, [&exit](std::string how) { exit.Set(std::move(how)); });
    if (!pid.ok()) co_return pid.status();
    auto how = co_await exit.Take(ctx);
    if (!how.ok()) co_return how.status();
    if (*how != "exited with 0") co_return absl::InternalError(StrCat("the store of node ", node.id, " could not be made (", *how, "): ", LogTail(runtime_.files, log)));
  }
  co_return folder_->MarkInitialised();
}

std::vector<std::string> Supervisor::IdentityArguments(const std::string& name) const {
  return {StrCat("--ca=", folder_->ca()), StrCat("--cert=", folder_->cert(name)), StrCat("--key=", folder_->key(name))};
}

std::string Supervisor::PeersArgument() const {
  std::vector<std::string> peers;
  for (const NodeConfig& node : folder_->config().nodes) peers.push_back(StrCat(node.id, "=", node.address));
  return StrJoin(peers, ",");
}

std::vector<std::string> Supervisor::NodeArguments(const NodeConfig& node) const {
  std::vector<std::string> out = {"kv", node.joined ? "join" : "start", StrCat("--node-id=", node.id), StrCat("--store=", folder_->store(node.id)), StrCat("--cluster-id=", folder_->config().cluster_id),
                                  StrCat("--listen=", node.address), StrCat("--http=", node.http), StrCat("--peers=", PeersArgument()), StrCat("--repair-after=", options_.repair_after)};
  if (!node.locality.empty()) out.push_back(StrCat("--locality=", node.locality));
  if (node.joined) {
    std::vector<std::string> others;
    for (const NodeConfig& other : folder_->config().nodes) {
      if (other.id != node.id) others.push_back(other.address);
    }
    out.push_back(StrCat("--join=", StrJoin(others, ",")));
  }
  for (auto& a : IdentityArguments(StrCat("node.", node.id))) out.push_back(a);
  return out;
}

std::vector<std::string> Supervisor::OperatorArguments() const {
  std::vector<std::string> out = {"operator", "start", StrCat("--listen=", operator_address_), StrCat("--http=127.0.0.1:", folder_->config().http_port),
                                  StrCat("--nodes=", PeersArgument()), StrCat("--pool=", options_.pool), StrCat("--tenant-ca-cert=", folder_->cert("tenant-ca")),
                                  StrCat("--tenant-ca-key=", folder_->key("tenant-ca")), StrCat("--pool-cert=", folder_->cert("pool")),
                                  StrCat("--pool-key=", folder_->key("pool")), StrCat("--run-folder=", folder_->run()), StrCat("--log-folder=", folder_->logs())};
  for (auto& a : IdentityArguments("operator")) out.push_back(a);
  return out;
}

void Supervisor::RefreshArguments() {
  for (Child& child : children_) {
    if (child.role == "operator") child.arguments = OperatorArguments();
    for (const NodeConfig& node : folder_->config().nodes) {
      if (child.role == "kv" && child.id == StrCat(node.id)) child.arguments = NodeArguments(node);
    }
  }
}

Supervisor::Child* Supervisor::AddChild(std::string role, std::string id, std::vector<std::string> arguments) {
  Child& child = children_.emplace_back();
  child.role = std::move(role);
  child.id = std::move(id);
  child.arguments = std::move(arguments);
  return &child;
}

void Supervisor::RegisterControl() {
  auto authorize = [](const PeerIdentity& peer) {
    return IdentifyPeer(peer).role == Role::kAdmin ? absl::OkStatus() : absl::PermissionDeniedError("only an administrator may manage nodes");
  };
  HandleUnary<ops::v1::StartNodeRequest, ops::v1::StartNodeResponse>(
      *server_, "/insula.ops.v1.Supervisor/StartNode",
      [this, authorize](Context call, ops::v1::StartNodeRequest request, PeerIdentity peer) -> Task<absl::StatusOr<ops::v1::StartNodeResponse>> {
        CO_RETURN_IF_ERROR(authorize(peer));
        bool was_running = false;
        CO_RETURN_IF_ERROR(co_await StartNode(call, request.node_id(), &was_running));
        ops::v1::StartNodeResponse response;
        response.set_was_running(was_running);
        co_return response;
      });
  HandleUnary<ops::v1::AddNodeRequest, ops::v1::AddNodeResponse>(
      *server_, "/insula.ops.v1.Supervisor/AddNode", [this, authorize](Context call, ops::v1::AddNodeRequest request, PeerIdentity peer) -> Task<absl::StatusOr<ops::v1::AddNodeResponse>> {
        CO_RETURN_IF_ERROR(authorize(peer));
        CO_ASSIGN_OR_RETURN(NodeConfig node, co_await AddNode(call, request.locality()));
        ops::v1::AddNodeResponse response;
        response.set_node_id(node.id);
        response.set_address(node.address);
        co_return response;
      });
  HandleUnary<ops::v1::RemoveNodeRequest, ops::v1::RemoveNodeResponse>(
      *server_, "/insula.ops.v1.Supervisor/RemoveNode", [this, authorize](Context, ops::v1::RemoveNodeRequest request, PeerIdentity peer) -> Task<absl::StatusOr<ops::v1::RemoveNodeResponse>> {
        CO_RETURN_IF_ERROR(authorize(peer));
        CO_RETURN_IF_ERROR(co_await RemoveNode(request.node_id()));
        co_return ops::v1::RemoveNodeResponse();
      });
}

Task<absl::StatusOr<Credentials>> Supervisor::Start(const Context& ctx) {
  CO_RETURN_IF_ERROR(co_await EndLeftovers(ctx));
  CO_RETURN_IF_ERROR(ChoosePorts());
  if (!folder_->initialised()) CO_RETURN_IF_ERROR(co_await InitialiseStores(ctx));

  RegisterControl();
  CO_ASSIGN_OR_RETURN(int control_port, server_->Listen("127.0.0.1:0"));
  RunFile self{.role = "supervisor", .id = "1", .pid = getpid(), .start_time = ProcessStartTime(getpid()), .address = StrCat("127.0.0.1:", control_port), .http = "", .control = "", .state = "starting"};
  CO_RETURN_IF_ERROR(WriteRunFile(folder_->run(), self));

  std::vector<Child*> nodes;
  for (const NodeConfig& node : folder_->config().nodes) nodes.push_back(AddChild("kv", StrCat(node.id), NodeArguments(node)));
  CO_RETURN_IF_ERROR(co_await StartAndWait(ctx, nodes));

  Child* the_operator = AddChild("operator", "1", OperatorArguments());
  CO_RETURN_IF_ERROR(co_await StartAndWait(ctx, {the_operator}));

  std::vector<std::string> proxy_arguments = {"proxy", "start", StrCat("--listen=127.0.0.1:", folder_->config().port), "--http=127.0.0.1:0", StrCat("--operator=", operator_address_),
                                              StrCat("--server-cert=", folder_->cert("server")), StrCat("--server-key=", folder_->key("server"))};
  for (auto& a : IdentityArguments("proxy")) proxy_arguments.push_back(a);
  Child* proxy = AddChild("proxy", "1", std::move(proxy_arguments));
  CO_RETURN_IF_ERROR(co_await StartAndWait(ctx, {proxy}));

  auto demo = co_await EnsureDemo(ctx);
  self.state = "ready";
  CO_RETURN_IF_ERROR(WriteRunFile(folder_->run(), self));
  co_return demo;
}

Task<absl::StatusOr<Credentials>> Supervisor::EnsureDemo(const Context& ctx) {
  std::vector<std::string> nodes;
  for (const NodeConfig& node : folder_->config().nodes) nodes.push_back(node.address);
  AdminClient client(admin_, nodes, operator_address_);
  auto existing = co_await client.Get(ctx, "demo");
  if (existing.ok()) co_return folder_->LoadCredentials(ClusterName{existing->name(), existing->id()}.ToString());
  if (existing.status().code() != absl::StatusCode::kNotFound) co_return existing.status();
  // Dropped by somebody, or never made? Only the first start makes it.
  CO_ASSIGN_OR_RETURN(auto all, co_await client.List(ctx));
  if (!all.empty()) co_return absl::NotFoundError("the tenant demo was dropped");
  std::string password = GeneratePassword(runtime_.random);
  tenant::v1::CreateTenantRequest request;
  request.set_request_id(StrCat("demo-", folder_->config().cluster_id));
  request.set_name("demo");
  request.set_user("app");
  request.set_scram_verifier(pgwire::MakeScramVerifier(password, runtime_.random->Bytes(16)).ToString());
  request.set_idle_timeout_ms(kDemoIdleMs);
  CO_ASSIGN_OR_RETURN(auto record, co_await client.Create(ctx, request));
  Credentials credentials{ClusterName{record.name(), record.id()}.ToString(), record.user(), password};
  CO_RETURN_IF_ERROR(folder_->SaveCredentials(credentials));
  co_return credentials;
}

Task<absl::Status> Supervisor::StartAndWait(const Context& ctx, std::vector<Child*> children) {
  for (Child* child : children) tasks_.Spawn(Keep(tasks_.ctx(), child));
  Context bounded = ctx.WithTimeout(kReadyTimeout);
  for (Child* child : children) {
    while (!child->ready.is_set()) {
      absl::Status woken = co_await child->changed.Wait(bounded);
      // A process that ends before it was ever ready will do so again: say why instead of trying for long.
      absl::Status failure = child->last_failure.ok() ? woken : child->last_failure;
      if (child->ready.is_set() || failure.ok()) continue;
      std::string log = StrCat(folder_->logs(), "/", child->role, "-", child->id, ".log");
      co_return absl::UnavailableError(StrCat("the process ", child->role, " ", child->id, " did not start: ", std::string(failure.message()), ". Its log, ", log, ", ends with:\n", LogTail(runtime_.files, log)));
    }
  }
  co_return absl::OkStatus();
}

void Supervisor::Save(Child* child, const std::string& state) {
  child->file.state = state;
  absl::Status saved = WriteRunFile(folder_->run(), child->file);
  if (!saved.ok()) LOG_ERROR("a run file was not written", {"error", saved.ToString()});
}

Task<void> Supervisor::Keep(Context ctx, Child* child) {
  while (!child->stopping) {
    co_await RunOnce(ctx, child);
    if (child->stopping) break;
    Save(child, "dead");
    child->held = !options_.restart;
    if (child->held) {
      while (child->held && !child->stopping) {
        if (!(co_await child->changed.Wait(ctx)).ok()) co_return;
      }
    } else if (!(co_await Sleep(ctx, kRestartPause)).ok()) {
      co_return;
    }
  }
}

Task<void> Supervisor::RunOnce(Context ctx, Child* child) {
  std::vector<std::string> argv = {SelfPath()};
  argv.insert(argv.end(), child->arguments.begin(), child->arguments.end());
  ProcessSpec spec{.argv = std::move(argv), .environment = {}, .log_path = StrCat(folder_->logs(), "/", child->role, "-", child->id, ".log")};
  auto exited = std::make_shared<Event>();
  child->exited = exited;
  auto pid = processes_.Start(
      spec,
      [this, child](absl::StatusOr<std::string> line) {
        if (!line.ok()) return;
        auto json = nlohmann::json::parse(*line, nullptr, /*allow_exceptions=*/false);
        if (json.is_object()) {
          child->file.address = json.value("address", "");
          child->file.http = json.value("http", "");
        }
        Save(child, "ready");
        child->last_failure = absl::OkStatus();
        child->ready.Set();
        child->changed.NotifyAll();
      },
      [child, exited](std::string how) {
        if (!child->stopping) LOG_WARNING("a process ended", {"role", child->role}, {"id", child->id}, {"how", how});
        child->last_failure = absl::UnavailableError(how);
        child->ready.Reset();
        exited->Set();
        child->changed.NotifyAll();
      });
  if (!pid.ok()) {
    child->last_failure = pid.status();
    child->changed.NotifyAll();
    co_return;
  }
  child->file = RunFile{.role = child->role, .id = child->id, .pid = *pid, .start_time = ProcessStartTime(*pid), .address = "", .http = "", .control = "", .state = ""};
  Save(child, "starting");
  absl::Status waited = co_await exited->Wait(ctx);
  if (!waited.ok()) LOG_DEBUG("supervision ended", {"role", child->role});
}

Task<absl::Status> Supervisor::StartNode(const Context& ctx, uint64_t id, bool* was_running) {
  for (Child& child : children_) {
    if (child.role != "kv" || child.id != StrCat(id) || child.stopping) continue;
    *was_running = child.ready.is_set();
    child.held = false;
    child.changed.NotifyAll();
    co_return co_await child.ready.Wait(ctx.WithTimeout(kReadyTimeout));
  }
  co_return absl::NotFoundError(StrCat("there is no node ", id));
}

Task<absl::StatusOr<NodeConfig>> Supervisor::AddNode(const Context& ctx, std::string locality) {
  CO_ASSIGN_OR_RETURN(NodeConfig* added, folder_->AddNode(locality));
  const uint64_t id = added->id;
  absl::Status ready;
  {
    PortChooser ports(runtime_.random, runtime_.files);
    ready = ChoosePorts(added, &ports);
  }
  if (ready.ok()) ready = folder_->SaveConfig();
  const NodeConfig node = *added;
  Child* child = nullptr;
  if (ready.ok()) {
    RefreshArguments();
    child = AddChild("kv", StrCat(id), NodeArguments(node));
    ready = co_await StartAndWait(ctx, {child});
  }
  if (ready.ok()) co_return node;
  // It never was one of the cluster's nodes, or it is one that does not run: only in the first case may it be forgotten.
  auto has_store = runtime_.files->Exists(folder_->store(id) + "/STORE");
  if (has_store.ok() && !*has_store) CO_RETURN_IF_ERROR(co_await RemoveNode(id));
  co_return ready;
}

Task<absl::Status> Supervisor::RemoveNode(uint64_t id) {
  std::vector<NodeConfig>& nodes = folder_->config().nodes;
  auto node = std::find_if(nodes.begin(), nodes.end(), [&](const NodeConfig& n) { return n.id == id; });
  if (node == nodes.end()) co_return absl::OkStatus();
  if (nodes.size() == 1) co_return absl::FailedPreconditionError("the last node cannot go");
  for (Child& child : children_) {
    if (child.role != "kv" || child.id != StrCat(id)) continue;
    co_await StopChild(&child, kStopGrace, SIGINT);
    CO_RETURN_IF_ERROR(RemoveRunFile(folder_->run(), child.role, child.id));
  }
  // The wait may have let others change the list.
  std::erase_if(nodes, [&](const NodeConfig& n) { return n.id == id; });
  RefreshArguments();
  co_return folder_->SaveConfig();
}

Task<void> Supervisor::StopChild(Child* child, Duration grace, int first_signal) {
  child->stopping = true;
  child->changed.NotifyAll();
  std::shared_ptr<Event> exited = child->exited;
  if (exited == nullptr || exited->is_set()) co_return;
  Context background = Context::Background(runtime_.executor);
  for (int signal : {first_signal, SIGKILL}) {
    absl::Status sent = processes_.Signal(child->file.pid, signal);
    if (!sent.ok()) break;
    absl::Status waited = co_await exited->Wait(background.WithTimeout(grace));
    if (waited.ok()) break;
    LOG_WARNING("a process does not end when asked", {"role", child->role}, {"id", child->id});
  }
}

Task<void> Supervisor::Stop() {
  for (const char* role : {"proxy", "operator"}) {
    for (Child& child : children_) {
      if (child.role == role) co_await StopChild(&child, kStopGrace, SIGTERM);
    }
  }
  // What the operator left: pods outlive it by design.
  Context background = Context::Background(runtime_.executor);
  auto files = ReadRunFiles(folder_->run());
  for (RunFile& file : files.ok() ? *files : std::vector<RunFile>()) {
    if (file.role != "sql" || !file.Alive()) continue;
    auto gone = std::make_shared<Event>();
    if (!processes_.Adopt(file.pid, file.start_time, [gone](std::string) { gone->Set(); }).ok()) continue;
    for (int signal : {SIGTERM, SIGKILL}) {
      absl::Status ended = processes_.Signal(file.pid, signal);
      if (ended.ok()) ended = co_await gone->Wait(background.WithTimeout(kStopGrace));
      if (ended.ok()) break;
    }
  }
  // All at once: there is nobody whom they could hand their leases to.
  TaskGroup stops(background);
  for (Child& child : children_) {
    if (child.role == "kv") stops.Spawn(StopChild(&child, kStopGrace, SIGINT));
  }
  co_await stops.Wait();
  tasks_.Cancel();
  co_await tasks_.Wait();
  files = ReadRunFiles(folder_->run());
  for (RunFile& file : files.ok() ? *files : std::vector<RunFile>()) {
    absl::Status removed = RemoveRunFile(folder_->run(), file.role, file.id);
    if (!removed.ok()) LOG_WARNING("a run file was not removed", {"error", removed.ToString()});
  }
}

}  // namespace insula::cli
