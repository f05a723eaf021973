// The proxy as a whole: listens for clients, keeps the directory, shuts down gracefully.
#ifndef INSULA_PROXY_SERVER_H_
#define INSULA_PROXY_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "proxy/connection.h"
#include "proxy/directory.h"

namespace insula::proxy {

struct ProxyOptions {
  std::string listen_address;    // host:port
  std::string operator_address;  // of the Directory service
  std::shared_ptr<const TlsIdentity> server_identity;  // certificate that clients verify
  std::shared_ptr<const TlsIdentity> pod_identity;     // the proxy's own, towards pods
  bool allow_insecure = false;
  ProxyLimits limits;
};

class ProxyServer {
 public:
  // `transport` carries the directory's calls.
  ProxyServer(const Context& ctx, ProxyOptions options, Runtime runtime, Transport* transport);

  // Takes the port. kAlreadyExists when it is in use.
  absl::Status Listen();
  int port() const { return listener_->port(); }
  // Accepts until `ctx` ends, then gives open connections `grace` to end.
  Task<absl::Status> Serve(Context ctx, Duration grace);
  // True once the directory is known.
  Task<absl::Status> WaitReady(const Context& ctx) { return directory_.WaitLoaded(ctx); }
  size_t connections() const { return state_.connections; }

 private:
  Task<void> ServeOne(Context ctx, std::unique_ptr<ByteStream> client);

  ProxyOptions options_;
  Runtime runtime_;
  Directory directory_;
  CancelRegistry cancels_;
  ProxyState state_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace insula::proxy

#endif  // INSULA_PROXY_SERVER_H_
