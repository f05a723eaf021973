// TLS over a non-blocking socket, by OpenSSL (private to base/real).
//
// OpenSSL reads and writes the socket through a BIO of ours, so an idle connection holds no buffers but the SSL object's
// own state, and bytes that were read before the handshake can be given back.
#ifndef INSULA_BASE_REAL_TLS_STREAM_H_
#define INSULA_BASE_REAL_TLS_STREAM_H_

#include <openssl/ssl.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/runtime/net.h"

namespace insula::real {

// What an attempt at I/O came to.
enum class Io { kDone, kEnd, kWantRead, kWantWrite, kFailed };

// The socket under TLS.
class RawSocket {
 public:
  virtual ~RawSocket() = default;
  // kDone: *n > 0 bytes; kEnd; kWantRead; kFailed.
  virtual Io TryRecv(char* buffer, size_t capacity, size_t* n) = 0;
  virtual Io TrySend(const char* data, size_t size, size_t* n) = 0;
};

// An SSL_CTX with what its callbacks point to.
struct TlsContext {
  TlsContext() = default;
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext() { SSL_CTX_free(ctx); }
  SSL_CTX* ctx = nullptr;
  std::string alpn;  // length-prefixed, as on the wire; empty: none
};

// Contexts by what they are made of, so that certificates are parsed once and not per connection. Loop thread only.
class TlsContextCache {
 public:
  absl::StatusOr<std::shared_ptr<TlsContext>> Server(const TlsServerOptions& options);
  absl::StatusOr<std::shared_ptr<TlsContext>> Client(const TlsClientOptions& options);

 private:
  using Key = std::tuple<const TlsIdentity*, int, std::string>;  // identity, kind, ALPN
  struct Entry {
    std::weak_ptr<const TlsIdentity> identity;
    std::shared_ptr<TlsContext> context;
  };
  absl::StatusOr<std::shared_ptr<TlsContext>> Get(const std::shared_ptr<const TlsIdentity>& identity, int kind, const std::string& alpn);
  std::map<Key, Entry> entries_;
};

class TlsStream {
 public:
  // `socket` must outlive the stream.
  static absl::StatusOr<std::unique_ptr<TlsStream>> Server(RawSocket* socket, std::shared_ptr<TlsContext> context, std::string already_read);
  static absl::StatusOr<std::unique_ptr<TlsStream>> Client(RawSocket* socket, std::shared_ptr<TlsContext> context, const std::string& server_name);
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;
  ~TlsStream();

  Io TryHandshake();
  Io TryRead(char* buffer, size_t capacity, size_t* n);
  Io TryWrite(const char* data, size_t size, size_t* n);
  // Says goodbye once, if the socket takes it now.
  void Shutdown();

  TlsSessionInfo Info() const;
  const absl::Status& error() const { return error_; }  // after kFailed

 private:
  TlsStream(RawSocket* socket, std::shared_ptr<TlsContext> context, std::string already_read)
      : socket_(socket), context_(std::move(context)), prefix_(std::move(already_read)) {}
  absl::Status Init();
  Io Outcome(int result, std::string_view what);
  static int BioRead(BIO* bio, char* buffer, size_t capacity, size_t* n);
  static int BioWrite(BIO* bio, const char* data, size_t size, size_t* n);
  static long BioCtrl(BIO* bio, int command, long, void*);  // NOLINT: OpenSSL's types
  static const BIO_METHOD* Method();

  RawSocket* socket_;
  std::shared_ptr<TlsContext> context_;
  std::string prefix_;  // bytes to be read before the socket's
  SSL* ssl_ = nullptr;
  bool ended_ = false;
  absl::Status error_;
};

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_TLS_STREAM_H_
