// Byte streams: the PostgreSQL protocol's sockets, plain and TLS. Real: Asio and OpenSSL on the loop; simulated: pipes.
#ifndef INSULA_BASE_RUNTIME_NET_H_
#define INSULA_BASE_RUNTIME_NET_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/transport.h"

namespace insula {

// Certificates and keys of one TLS endpoint, as PEM text (not paths: pods get theirs in the stamp). Opaque and shared.
class TlsIdentity;

struct TlsServerOptions {
  std::shared_ptr<const TlsIdentity> identity;
  bool require_client_certificate = false;
  std::string alpn;  // offered protocol, e.g. "postgresql"; empty: none
};

struct TlsClientOptions {
  std::shared_ptr<const TlsIdentity> identity;  // its CA verifies the server; its certificate, if any, is presented
  std::string server_name;                      // SNI and the name to verify; empty: verify the chain only
  std::string alpn;
};

// What a TLS handshake told.
struct TlsSessionInfo {
  std::string sni;
  std::string alpn;
  PeerIdentity peer;  // empty without a client certificate
};

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // At least one byte into `buffer`, at most `capacity`; 0 at the peer's orderly end; kUnavailable when broken.
  virtual Task<absl::StatusOr<size_t>> Read(const Context& ctx, char* buffer, size_t capacity) = 0;
  // All of `data`, which must stay valid until the Task ends.
  virtual Task<absl::Status> Write(const Context& ctx, std::string_view data) = 0;
  // Turns this stream into TLS from here on. `already_read`: bytes of the handshake that were read before.
  virtual Task<absl::StatusOr<TlsSessionInfo>> StartTlsServer(const Context& ctx, TlsServerOptions options, std::string already_read) = 0;
  virtual Task<absl::StatusOr<TlsSessionInfo>> StartTlsClient(const Context& ctx, TlsClientOptions options) = 0;
  // Ends both directions now; pending operations fail with kUnavailable. Idempotent.
  virtual void Close() = 0;
  virtual const std::string& peer_address() const = 0;  // "127.0.0.1:4711"
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual Task<absl::StatusOr<std::unique_ptr<ByteStream>>> Accept(const Context& ctx) = 0;
  virtual int port() const = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  // "host:port"; port 0: a free one. kAlreadyExists when the port is in use.
  virtual absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address) = 0;
  virtual Task<absl::StatusOr<std::unique_ptr<ByteStream>>> Dial(const Context& ctx, std::string address) = 0;
};

}  // namespace insula

#endif  // INSULA_BASE_RUNTIME_NET_H_
