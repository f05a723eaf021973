// The real world behind the runtime seam: one loop thread, kernel clock and randomness, disk, TCP, TLS, gRPC.
//
//   int main() {
//     RealWorld world;
//     absl::Status status = world.executor()->RunMain([&](Context ctx) -> Task<absl::Status> {
//       auto transport = MakeGrpcTransport(world.executor(), identity);
//       Server server(world.runtime(), transport.get());
//       CO_RETURN_IF_ERROR(transport->Listen("127.0.0.1:26257").status());
//       CO_RETURN_IF_ERROR((co_await world.executor()->WaitForSignal(ctx)).status());
//       co_await transport->Shutdown(5s);
//       co_return absl::OkStatus();
//     });
//   }
//
// The executor is made first and destroyed last. All else is used on the loop thread only. No header of Asio, gRPC or
// OpenSSL leaves base/real.
#ifndef INSULA_BASE_REAL_REAL_WORLD_H_
#define INSULA_BASE_REAL_REAL_WORLD_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/executor.h"
#include "base/runtime/runtime.h"

namespace insula {

class TlsIdentity;

struct RealExecutorOptions {
  int blocking_threads = 4;  // started when first needed
};

class RealExecutor : public Executor {
 public:
  // Runs the loop on this thread until Stop. Not to be called from inside the loop.
  virtual void Run() = 0;
  // Makes Run return once what runs now has reached its next wait. Any thread.
  virtual void Stop() = 0;
  // Runs `main` and the loop under it until it ends; gives its status.
  absl::Status RunMain(std::function<Task<absl::Status>(Context)> main);
  // The number of the first of `signals` that arrives from now on (default SIGTERM and SIGINT). Such a signal does
  // nothing else while somebody waits for it.
  virtual Task<absl::StatusOr<int>> WaitForSignal(Context ctx, std::vector<int> signals = {}) = 0;
};

// Also makes the process ignore SIGPIPE.
std::unique_ptr<RealExecutor> MakeRealExecutor(RealExecutorOptions options = {});
// From getrandom(2), in blocks; good for secrets.
std::unique_ptr<Random> MakeKernelRandom();
std::unique_ptr<FileSystem> MakePosixFileSystem();
std::unique_ptr<Network> MakeAsioNetwork(RealExecutor* executor);

struct GrpcTransportOptions {
  // The name to verify in servers' certificates instead of the host in the address ("" : the host).
  std::string server_name;
  // A peer that answers nothing for keepalive_time + keepalive_timeout is gone, and its streams break. Only while streams
  // are open: an idle connection sends nothing.
  Duration keepalive_time = std::chrono::milliseconds(2000);
  Duration keepalive_timeout = std::chrono::milliseconds(2000);
  Duration max_reconnect_backoff = std::chrono::milliseconds(1000);
};

// gRPC over mutual TLS. Open fails at once with kUnavailable when the peer's host refuses the connection, and after the
// deadline (or 5 s) when it does not answer. Answers the standard health service (grpc.health.v1.Health) on every server.
// A handler's context carries trace id and priority of the caller's; the tenant is not taken from the wire.
std::unique_ptr<Transport> MakeGrpcTransport(RealExecutor* executor, std::shared_ptr<const TlsIdentity> identity,
                                             GrpcTransportOptions options = {});

// Everything of Runtime, in one object.
class RealWorld {
 public:
  explicit RealWorld(RealExecutorOptions options = {});
  ~RealWorld();
  RealExecutor* executor() const { return executor_.get(); }
  Runtime runtime() const;

 private:
  std::unique_ptr<RealExecutor> executor_;
  std::unique_ptr<Random> random_;
  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<Network> network_;
};

}  // namespace insula

#endif  // INSULA_BASE_REAL_REAL_WORLD_H_
