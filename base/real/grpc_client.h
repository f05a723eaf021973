// The calling side of the gRPC transport (private to base/real; shows gRPC).
#ifndef INSULA_BASE_REAL_GRPC_CLIENT_H_
#define INSULA_BASE_REAL_GRPC_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <map>
#include <memory>
#include <string>

#include "base/real/grpc_stream.h"
#include "base/real/real_world.h"
#include "base/tls/tls_identity.h"

namespace insula::real {

// Names of the metadata that carries RequestInfo.
inline constexpr char kTraceKey[] = "insula-trace";
inline constexpr char kPriorityKey[] = "insula-priority";

class GrpcClient {
 public:
  GrpcClient(Loop* loop, GrpcPoller* poller, const TlsIdentity& identity, GrpcTransportOptions options);
  // Cancels what still runs; the poller's WaitIdle then waits for its end.
  ~GrpcClient();

  Task<absl::StatusOr<std::unique_ptr<MessageStream>>> Open(const Context& ctx, std::string address, std::string method);

 private:
  class Call;
  class Stream;
  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address);

  Loop* loop_;
  GrpcPoller* poller_;
  const GrpcTransportOptions options_;
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_;  // one per address, kept
  // Calls whose stream object lives, by an ever new number.
  std::shared_ptr<std::map<uint64_t, Call*>> open_ = std::make_shared<std::map<uint64_t, Call*>>();
  uint64_t last_call_ = 0;
};

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_GRPC_CLIENT_H_
