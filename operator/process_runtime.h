// Pods as local processes: `insula sql start` children with the pool's certificate.
//
// A pod's ready line is JSON: {"address": PostgreSQL, "http": HTTPS for stamping and status, "control": gRPC}. Its run file
// (base/process/run_file.h) lets the next operator adopt it.
#ifndef INSULA_OPERATOR_PROCESS_RUNTIME_H_
#define INSULA_OPERATOR_PROCESS_RUNTIME_H_

#include <map>
#include <memory>
#include <string>

#include "base/async/wait.h"
#include "base/process/process_manager.h"
#include "base/process/run_file.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "operator/pod_runtime.h"

namespace insula::ops {

struct ProcessRuntimeOptions {
  std::string binary;        // path of insula
  std::string run_folder;    // DIR/run
  std::string log_folder;    // DIR/logs
  std::string ca_path;       // of the pool's identity, for the pods' command lines
  std::string certificate_path;
  std::string key_path;
};

class ProcessRuntime : public PodRuntime {
 public:
  // Posts a body to an HTTPS url with the operator's certificate; gives the answer's body, or an error for other than 200.
  using HttpsPost = std::function<Task<absl::StatusOr<std::string>>(const Context& ctx, std::string url, std::string body)>;

  ProcessRuntime(ProcessRuntimeOptions options, Runtime runtime, Transport* transport, HttpsPost post);

  void SetOnExit(OnExit on_exit) override { on_exit_ = std::move(on_exit); }
  Task<absl::StatusOr<std::vector<Pod>>> Adopt(const Context& ctx) override;
  Task<absl::StatusOr<Pod>> StartPod(const Context& ctx) override;
  Task<absl::StatusOr<v1::StampResponse>> Stamp(const Context& ctx, Pod pod, v1::StampRequest request) override;
  Task<absl::StatusOr<bool>> CloseGate(const Context& ctx, Pod pod, bool force) override;
  Task<absl::Status> OpenGate(const Context& ctx, Pod pod) override;
  Task<absl::Status> WatchActivity(Context ctx, Pod pod, std::function<void(const v1::ActivityResponse&)> on_change) override;
  Task<absl::Status> Stop(const Context& ctx, std::string pod_id, Duration grace) override;

 private:
  struct Process {
    RunFile file;
    std::shared_ptr<OneShot<absl::StatusOr<std::string>>> ready;
    std::shared_ptr<Event> gone = std::make_shared<Event>();
  };

  void Exited(const std::string& id, const std::string& how);
  absl::Status Save(const Process& process);
  absl::StatusOr<std::string> ControlOf(const std::string& pod_id) const;

  ProcessRuntimeOptions options_;
  Runtime runtime_;
  Transport* transport_;
  HttpsPost post_;
  OnExit on_exit_;
  std::map<std::string, Process> processes_;
  ProcessManager manager_;
};

}  // namespace insula::ops

#endif  // INSULA_OPERATOR_PROCESS_RUNTIME_H_
