// One client connection, from accept to end.
//
//   accept ─► first bytes ─┬─ 0x16: direct TLS (ALPN postgresql) ─┐
//                          ├─ SSLRequest: 'S' and TLS ────────────┤
//                          ├─ GSSENCRequest: 'N', again ──────────┤
//                          ├─ CancelRequest: forward, close       │
//                          └─ EOF: health probe, close            ▼
//   startup message ─► cluster ─► admission ─► pod (wake) ─► dial, TLS, startup ─► relay until ReadyForQuery ─► forward
//
// Invariants
//   C1  Nothing of the client reaches a pod before its cluster is known to exist, and only a pod whose certificate names that
//       tenant gets it.
//   C2  Until the pod's first answer was passed on, another pod may be tried; afterwards the connection lives and ends with it.
//   C3  The client sees cancel keys of the proxy's making only.
#ifndef INSULA_PROXY_CONNECTION_H_
#define INSULA_PROXY_CONNECTION_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/pgwire/frame.h"
#include "base/pgwire/startup.h"
#include "base/runtime/net.h"
#include "base/runtime/runtime.h"
#include "proxy/cancel_registry.h"
#include "proxy/cluster_selector.h"
#include "proxy/directory.h"

namespace insula::proxy {

struct ProxyLimits {
  size_t connections = 10000;
  size_t connections_per_tenant = 2000;
  Duration startup_timeout = std::chrono::seconds(10);
  Duration connect_timeout = std::chrono::seconds(30);  // from a complete startup message to a pod that answers
};

// What all connections of a proxy share. Loop thread only.
struct ProxyState {
  Runtime runtime;
  ProxyLimits limits;
  bool allow_insecure = false;
  TlsServerOptions client_tls;                          // towards clients
  std::shared_ptr<const TlsIdentity> pod_identity;      // towards pods
  Directory* directory = nullptr;
  CancelRegistry* cancels = nullptr;
  size_t connections = 0;
  std::map<TenantId, size_t> per_tenant;
};

class Connection {
 public:
  Connection(ProxyState* state, std::unique_ptr<ByteStream> client) : state_(state), client_(std::move(client)), reader_(client_.get()) {}
  ~Connection();

  // Serves the connection to its end.
  Task<void> Run(Context ctx);

 private:
  // A pod that has answered the startup message: its stream, and the first bytes of its answer.
  struct PodLink {
    Pod pod;
    std::unique_ptr<ByteStream> stream;
    std::string first_bytes;
  };

  // The startup message; nullopt when the connection is over (probe, cancel request).
  Task<absl::StatusOr<std::optional<pgwire::StartupMessage>>> ReadStartup(const Context& ctx);
  Task<absl::Status> StartTls(const Context& ctx, std::string already_read);
  Task<void> ForwardCancel(Context ctx, pgwire::CancelRequest request);
  absl::Status Admit(TenantId tenant);
  Task<absl::StatusOr<PodLink>> ReachPod(Context ctx, const Selection& selection);
  Task<absl::StatusOr<PodLink>> DialPod(const Context& ctx, const Pod& pod, const Selection& selection);
  Task<void> Relay(Context ctx, PodLink link);
  Task<absl::Status> ClientToPod(Context ctx, ByteStream* pod);
  Task<absl::Status> PodToClient(Context ctx, PodLink* link);
  Task<void> SendFatal(const Context& ctx, absl::Status error);

  ProxyState* state_;
  std::unique_ptr<ByteStream> client_;
  pgwire::FrameReader reader_;
  bool encrypted_ = false;
  std::string sni_;
  std::optional<TenantId> admitted_;
  std::optional<pgwire::BackendKeyData> key_;
};

}  // namespace insula::proxy

#endif  // INSULA_PROXY_CONNECTION_H_
