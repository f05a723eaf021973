// The serving side of the gRPC transport (private to base/real; shows gRPC).
//
//   gRPC thread: CreateReactor ─► Call ─(post)─► loop: Serve ─► handler's task ─► Finish
#ifndef INSULA_BASE_REAL_GRPC_SERVER_H_
#define INSULA_BASE_REAL_GRPC_SERVER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

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
  GrpcServer(Loop* loop, std::shared_ptr<const TlsIdentity> identity, GrpcTransportOptions options);
  // Ends what still runs, and waits for gRPC's part of it.
  ~GrpcServer();

  void Handle(std::string method, Transport::Handler handler);
  absl::StatusOr<int> Listen(const std::string& address);
  Task<void> Shutdown(Duration grace);

 private:
  class Call;
  class Stream;
  class Service;
  class Finisher;
  void Serve(const std::shared_ptr<Call>& call);
  Task<void> RunHandler(std::shared_ptr<Call> call, Context ctx);

  Loop* loop_;
  std::shared_ptr<const TlsIdentity> identity_;
  const GrpcTransportOptions options_;
  std::map<std::string, Transport::Handler> methods_;  // fixed once listening
  std::shared_ptr<Service> service_;
  std::shared_ptr<grpc::Server> server_;
  std::unique_ptr<TaskGroup> handlers_;
};

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_GRPC_SERVER_H_
