#include "proxy/server.h"

#include <utility>

#include "base/async/task_group.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::proxy {

ProxyServer::ProxyServer(const Context& ctx, ProxyOptions options, Runtime runtime, Transport* transport)
    : options_(std::move(options)), runtime_(runtime), directory_(ctx, transport, options_.operator_address), cancels_(runtime.random) {
  state_.runtime = runtime_;
  state_.limits = options_.limits;
  state_.allow_insecure = options_.allow_insecure;
  state_.client_tls = {.identity = options_.server_identity, .require_client_certificate = false, .alpn = "postgresql"};
  state_.pod_identity = options_.pod_identity;
  state_.directory = &directory_;
  state_.cancels = &cancels_;
}

absl::Status ProxyServer::Listen() {
  auto listener = runtime_.network->Listen(options_.listen_address);
  if (!listener.ok()) return listener.status();
  listener_ = *std::move(listener);
  directory_.Start();
  return absl::OkStatus();
}

Task<void> ProxyServer::ServeOne(Context ctx, std::unique_ptr<ByteStream> client) {
  ++state_.connections;  // the Connection's end counts down
  Connection connection(&state_, std::move(client));
  co_await connection.Run(ctx);
}

Task<absl::Status> ProxyServer::Serve(Context ctx, Duration grace) {
  // Connections outlive `ctx` by the grace time.
  TaskGroup connections(Context::Background(runtime_.executor));
  while (!ctx.done()) {
    auto client = co_await listener_->Accept(ctx);
    if (client.ok()) {
      connections.Spawn(ServeOne(connections.ctx(), *std::move(client)));
    } else if (!ctx.done()) {
      // Out of descriptors, most likely: give connections time to end.
      LOG_ERROR("accept failed", {"status", client.status().ToString()});
      if (!(co_await Sleep(ctx, std::chrono::milliseconds(100))).ok()) break;
    }
  }
  listener_.reset();
  TaskGroup watchdog(Context::Background(runtime_.executor));
  watchdog.SpawnFn([&]() -> Task<void> {
    if ((co_await Sleep(watchdog.ctx(), grace)).ok()) connections.Cancel();
  });
  co_await connections.Wait();
  watchdog.Cancel();
  co_await watchdog.Wait();
  co_return absl::OkStatus();
}

}  // namespace insula::proxy
