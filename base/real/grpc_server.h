// The serving side of the gRPC transport (private to base/real; shows gRPC).
//
//   poller thread: a call arrives, the next is asked for ─(post)─► loop: Serve ─► handler's task ─► End
#ifndef INSULA_BASE_REAL_GRPC_SERVER_H_
#define INSULA_BASE_REAL_GRPC_SERVER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <map>
#include <memory>
#include <string>

#include "base/async/task_group.h"
#include "base/real/grpc_stream.h"
#include "base/real/real_world.h"
#include "base/tls/tls_identity.h"

namespace insula::real {

class GrpcServer {
 public:
  // `builder` is the one that made the poller's queue.
  GrpcServer(Loop* loop, GrpcPoller* poller, std::unique_ptr<grpc::ServerBuilder> builder, std::shared_ptr<const TlsIdentity> identity,
             GrpcTransportOptions options);
  // Only after Stop, and when the poller is idle: gRPC's part of a call uses the server to its end.
  ~GrpcServer();
  // Ends what still runs; the poller's WaitIdle then waits for gRPC's part of it.
  void Stop();

  void Handle(std::string method, Transport::Handler handler);
  absl::StatusOr<int> Listen(const std::string& address);
  Task<void> Shutdown(Duration grace);

 private:
  class Call;
  class Stream;
  class Arrivals;
  class Finisher;
  void Serve(const std::shared_ptr<Call>& call);
  Task<void> RunHandler(std::shared_ptr<Call> call, Context ctx);

  Loop* loop_;
  GrpcPoller* poller_;
  std::unique_ptr<grpc::ServerBuilder> builder_;
  std::shared_ptr<const TlsIdentity> identity_;
  const GrpcTransportOptions options_;
  std::map<std::string, Transport::Handler> methods_;  // fixed once listening
  std::shared_ptr<Arrivals> arrivals_;
  std::shared_ptr<grpc::Server> server_;
  std::unique_ptr<TaskGroup> handlers_;
};

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_GRPC_SERVER_H_
