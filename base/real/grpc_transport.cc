#include <grpc/support/log.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/log/log.h"
#include "base/real/grpc_client.h"
#include "base/real/grpc_poller.h"
#include "base/real/grpc_reflection.h"
#include "base/real/grpc_server.h"
#include "base/real/loop.h"
#include "base/real/real_world.h"
#include "base/status_macros.h"

namespace insula {
namespace real {
namespace {

// grpc.health.v1.HealthCheckRequest{} and HealthCheckResponse{status: SERVING}, as bytes: two fields do not need a schema.
constexpr char kServing[] = "\x08\x01";

// Says that the server as a whole serves; knows no single services.
Task<absl::Status> CheckHealth(Context ctx, std::unique_ptr<MessageStream> stream) {
  auto request = co_await stream->Receive(ctx);
  if (!request.ok()) co_return request.status();
  if (request->has_value() && !(*request)->empty()) co_return absl::NotFoundError("unknown service");
  co_return co_await stream->Send(ctx, kServing);
}

// The same, and stays: the state does not change before the connection ends.
Task<absl::Status> WatchHealth(Context ctx, std::unique_ptr<MessageStream> stream) {
  auto request = co_await stream->Receive(ctx);
  if (!request.ok()) co_return request.status();
  absl::Status sent = co_await stream->Send(ctx, kServing);
  if (!sent.ok()) co_return sent;
  Event never;
  co_return co_await never.Wait(ctx);
}

// "/package.Service/Method" -> "package.Service".
std::string ServiceOf(const std::string& method) { return method.substr(1, method.find('/', 1) - 1); }

class GrpcTransport : public Transport {
 public:
  GrpcTransport(Loop* loop, const std::shared_ptr<const TlsIdentity>& identity, const GrpcTransportOptions& options) {
    auto builder = std::make_unique<grpc::ServerBuilder>();
    poller_ = std::make_unique<GrpcPoller>(builder->AddCompletionQueue());
    client_ = std::make_unique<GrpcClient>(loop, poller_.get(), *identity, options);
    server_ = std::make_unique<GrpcServer>(loop, poller_.get(), std::move(builder), identity, options);
    Handle("/grpc.health.v1.Health/Check", CheckHealth);
    Handle("/grpc.health.v1.Health/Watch", WatchHealth);
    for (const char* method : {kReflectionV1, kReflectionV1Alpha}) {
      Handle(method, [this](Context ctx, std::unique_ptr<MessageStream> stream) { return Reflect(ctx, std::move(stream)); });
    }
  }
  ~GrpcTransport() override {
    server_->Stop();
    client_.reset();
    poller_->WaitIdle();
    server_.reset();
  }

  Task<absl::StatusOr<std::unique_ptr<MessageStream>>> Open(const Context& ctx, std::string address, std::string method) override {
    return client_->Open(ctx, std::move(address), std::move(method));
  }
  void Handle(std::string method, Handler handler) override {
    CHECK(method.size() > 2 && method[0] == '/' && method.find('/', 1) != std::string::npos) << method;
    services_.insert(ServiceOf(method));
    server_->Handle(std::move(method), std::move(handler));
  }
  absl::StatusOr<int> Listen(const std::string& address) override { return server_->Listen(address); }
  Task<void> Shutdown(Duration grace) override { return server_->Shutdown(grace); }

 private:
  Task<absl::Status> Reflect(Context ctx, std::unique_ptr<MessageStream> stream) {
    while (true) {
      CO_ASSIGN_OR_RETURN(auto request, co_await stream->Receive(ctx));
      if (!request.has_value()) co_return absl::OkStatus();
      CO_RETURN_IF_ERROR(co_await stream->Send(ctx, AnswerReflection(*request, services_)));
    }
  }

  std::set<std::string> services_;
  std::unique_ptr<GrpcPoller> poller_;
  std::unique_ptr<GrpcClient> client_;
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace
}  // namespace real

std::unique_ptr<Transport> MakeGrpcTransport(RealExecutor* executor, std::shared_ptr<const TlsIdentity> identity, GrpcTransportOptions options) {
  CHECK(identity != nullptr);
  gpr_set_log_function([](gpr_log_func_args* args) { LOG_WARNING("gRPC", {"text", args->message}); });
  return std::make_unique<real::GrpcTransport>(real::AsLoop(executor), identity, options);
}

}  // namespace insula
