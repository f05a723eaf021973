#include "operator/process_runtime.h"

#include <google/protobuf/util/json_util.h>
#include <signal.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::ops {
namespace {

constexpr char kControl[] = "/insula.ops.v1.PodControl/";
constexpr Duration kStartTimeout = std::chrono::seconds(20);
constexpr Duration kControlTimeout = std::chrono::seconds(5);
constexpr Duration kKillTimeout = std::chrono::seconds(5);

std::string NewPodId(Random* random) {
  char text[17];
  std::snprintf(text, sizeof(text), "%08llx", static_cast<unsigned long long>(random->Next64() & 0xffffffffu));
  return text;
}

Pod PodOf(const RunFile& file) {
  Pod pod;
  pod.set_id(file.id);
  pod.set_tenant_id(file.tenant);
  pod.set_generation(file.generation);
  pod.set_address(file.address);
  pod.set_http_address(file.http);
  pod.set_pid(file.pid);
  pod.set_state(file.state == "ready" ? v1::READY : v1::PREWARMED);
  return pod;
}

}  // namespace

ProcessRuntime::ProcessRuntime(ProcessRuntimeOptions options, Runtime runtime, Transport* transport, HttpsPost post)
    : options_(std::move(options)), runtime_(runtime), transport_(transport), post_(std::move(post)), manager_(runtime.executor) {}

absl::Status ProcessRuntime::Save(const Process& process) { return WriteRunFile(options_.run_folder, process.file); }

void ProcessRuntime::Exited(const std::string& id, const std::string& how) {
  auto it = processes_.find(id);
  if (it == processes_.end()) return;
  it->second.gone->Set();
  processes_.erase(it);
  absl::Status removed = RemoveRunFile(options_.run_folder, "sql", id);
  if (!removed.ok()) LOG_WARNING("a run file was not removed", {"pod", id}, {"error", removed.ToString()});
  if (on_exit_) on_exit_(id, how);
}

Task<absl::StatusOr<std::vector<Pod>>> ProcessRuntime::Adopt(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(std::vector<RunFile> files, ReadRunFiles(options_.run_folder));
  std::vector<Pod> pods;
  std::vector<std::string> unusable;
  for (RunFile& file : files) {
    if (file.role != "sql") continue;
    std::string id = file.id;
    absl::Status adopted = manager_.Adopt(file.pid, file.start_time, [this, id](std::string how) { Exited(id, how); });
    if (!adopted.ok()) {
      CO_RETURN_IF_ERROR(RemoveRunFile(options_.run_folder, "sql", id));
      continue;
    }
    bool usable = file.state == "prewarmed" || file.state == "ready";
    if (usable) pods.push_back(PodOf(file));
    if (!usable) unusable.push_back(id);
    processes_[id].file = std::move(file);
  }
  for (const std::string& id : unusable) CO_RETURN_IF_ERROR(co_await Stop(ctx, id, Duration::zero()));
  co_return pods;
}

Task<absl::StatusOr<Pod>> ProcessRuntime::StartPod(const Context& ctx) {
  std::string id = NewPodId(runtime_.random);
  ProcessSpec spec{.argv = {options_.binary, "sql", "start", "--id=" + id, "--ca=" + options_.ca_path, "--cert=" + options_.certificate_path,
                            "--key=" + options_.key_path},
                   .environment = {},
                   .log_path = StrCat(options_.log_folder, "/sql-", id, ".log")};
  auto ready = std::make_shared<OneShot<absl::StatusOr<std::string>>>();
  CO_ASSIGN_OR_RETURN(int pid, manager_.Start(
                                   spec, [ready](absl::StatusOr<std::string> line) { ready->Set(std::move(line)); },
                                   [this, id](std::string how) { Exited(id, how); }));
  Process& process = processes_[id];
  process.file = RunFile{.role = "sql", .id = id, .pid = pid, .start_time = ProcessStartTime(pid), .address = "", .http = "", .control = "", .state = "starting"};
  CO_RETURN_IF_ERROR(Save(process));
  auto line = co_await ready->Take(ctx.WithTimeout(kStartTimeout));
  absl::Status failure = line.ok() ? line->status() : line.status();
  auto it = processes_.find(id);
  if (failure.ok() && it == processes_.end()) failure = absl::UnavailableError("it ended as soon as it was ready");
  if (failure.ok()) {
    auto json = nlohmann::json::parse(**line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object()) {
      RunFile& file = it->second.file;
      file.address = json.value("address", "");
      file.http = json.value("http", "");
      file.control = json.value("control", "");
      file.state = "prewarmed";
      CO_RETURN_IF_ERROR(Save(it->second));
      co_return PodOf(file);
    }
    failure = absl::InternalError("its ready line is not JSON");
  }
  if (it != processes_.end()) {
    absl::Status stopped = co_await Stop(ctx, id, Duration::zero());
    if (!stopped.ok()) LOG_ERROR("a pod could not be stopped", {"pod", id}, {"error", stopped.ToString()});
  }
  co_return absl::UnavailableError(StrCat("SQL pod ", id, " did not come up (see ", spec.log_path, "): ", std::string(failure.message())));
}

Task<absl::StatusOr<v1::StampResponse>> ProcessRuntime::Stamp(const Context& ctx, Pod pod, v1::StampRequest request) {
  auto it = processes_.find(pod.id());
  if (it == processes_.end()) co_return absl::UnavailableError(StrCat("pod ", pod.id(), " has ended"));
  it->second.file.state = "stamping";
  it->second.file.tenant = request.tenant_id();
  it->second.file.generation = request.generation();
  CO_RETURN_IF_ERROR(Save(it->second));
  std::string body;
  if (!google::protobuf::util::MessageToJsonString(request, &body).ok()) co_return absl::InternalError("a stamp does not serialise");
  CO_ASSIGN_OR_RETURN(std::string answer, co_await post_(ctx, StrCat("https://", pod.http_address(), "/v1/stamp"), std::move(body)));
  v1::StampResponse response;
  if (!google::protobuf::util::JsonStringToMessage(answer, &response).ok()) co_return absl::InternalError("a pod's answer to its stamp does not parse");
  it = processes_.find(pod.id());
  if (it == processes_.end()) co_return absl::UnavailableError(StrCat("pod ", pod.id(), " ended while it was stamped"));
  it->second.file.state = "ready";
  it->second.file.address = response.address();
  CO_RETURN_IF_ERROR(Save(it->second));
  co_return response;
}

absl::StatusOr<std::string> ProcessRuntime::ControlOf(const std::string& pod_id) const {
  auto it = processes_.find(pod_id);
  if (it == processes_.end()) return absl::NotFoundError(StrCat("pod ", pod_id, " has ended"));
  return it->second.file.control;
}

Task<absl::StatusOr<bool>> ProcessRuntime::CloseGate(const Context& ctx, Pod pod, bool force) {
  CO_ASSIGN_OR_RETURN(std::string address, ControlOf(pod.id()));
  v1::CloseGateRequest request;
  request.set_force(force);
  CO_ASSIGN_OR_RETURN(auto response, co_await CallUnary<v1::CloseGateResponse>(ctx.WithTimeout(kControlTimeout), *transport_, address, StrCat(kControl, "CloseGate"), request));
  co_return response.closed();
}

Task<absl::Status> ProcessRuntime::OpenGate(const Context& ctx, Pod pod) {
  CO_ASSIGN_OR_RETURN(std::string address, ControlOf(pod.id()));
  auto response = co_await CallUnary<v1::OpenGateResponse>(ctx.WithTimeout(kControlTimeout), *transport_, address, StrCat(kControl, "OpenGate"), v1::OpenGateRequest());
  co_return response.status();
}

Task<absl::Status> ProcessRuntime::WatchActivity(Context ctx, Pod pod, std::function<void(const v1::ActivityResponse&)> on_change) {
  CO_ASSIGN_OR_RETURN(std::string address, ControlOf(pod.id()));
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, address, StrCat(kControl, "WatchActivity")));
  CO_RETURN_IF_ERROR(co_await stream->Send(ctx, v1::ActivityRequest().SerializeAsString()));
  CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
  while (true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message) co_return absl::OkStatus();
    v1::ActivityResponse activity;
    if (!activity.ParseFromString(*message)) co_return absl::DataLossError("a pod's activity does not parse");
    on_change(activity);
  }
}

Task<absl::Status> ProcessRuntime::Stop(const Context& ctx, std::string pod_id, Duration grace) {
  auto it = processes_.find(pod_id);
  if (it == processes_.end()) co_return absl::OkStatus();
  int pid = it->second.file.pid;
  std::shared_ptr<Event> gone = it->second.gone;
  if (grace > Duration::zero()) {
    absl::Status asked = manager_.Signal(pid, SIGTERM);
    if (asked.ok()) asked = co_await gone->Wait(ctx.WithTimeout(grace));
    if (gone->is_set()) co_return absl::OkStatus();
  }
  absl::Status killed = manager_.Signal(pid, SIGKILL);
  if (!killed.ok() && killed.code() != absl::StatusCode::kNotFound) co_return killed;
  co_return co_await gone->Wait(ctx.WithTimeout(kKillTimeout));
}

}  // namespace insula::ops
