#include "base/real/tls_stream.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/openssl_util.h"
#include "base/tls/tls_identity.h"

namespace insula::real {
namespace {

enum Kind { kServer, kServerMutual, kClient };
constexpr size_t kMaxCachedContexts = 64;

bool IsIpAddress(const std::string& name) {
  in_addr v4;
  in6_addr v6;
  return inet_pton(AF_INET, name.c_str(), &v4) == 1 || inet_pton(AF_INET6, name.c_str(), &v6) == 1;
}

std::string AlpnWire(const std::string& alpn) {
  CHECK_LT(alpn.size(), 256u);
  return alpn.empty() ? "" : std::string(1, static_cast<char>(alpn.size())) + alpn;
}

int SelectAlpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in, unsigned int in_length, void* arg) {
  const auto* context = static_cast<const TlsContext*>(arg);
  unsigned char* selected = nullptr;
  const auto* ours = reinterpret_cast<const unsigned char*>(context->alpn.data());
  if (SSL_select_next_proto(&selected, out_length, ours, context->alpn.size(), in, in_length) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

absl::Status Failed(std::string_view what) { return tls::OpenSslError(absl::StatusCode::kInternal, what); }

absl::Status UseCertificate(SSL_CTX* ctx, const TlsIdentity& identity) {
  ASSIGN_OR_RETURN(auto chain, tls::ReadCertificates(identity.chain_pem()));
  ASSIGN_OR_RETURN(auto key, tls::ReadKey(identity.key_pem()));
  if (SSL_CTX_use_certificate(ctx, chain.at(0).get()) != 1 || SSL_CTX_use_PrivateKey(ctx, key.get()) != 1) return Failed("TLS certificate");
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(ctx, chain[i].get()) != 1) return Failed("TLS certificate chain");
  }
  return absl::OkStatus();
}

absl::Status UseAuthorities(SSL_CTX* ctx, const TlsIdentity& identity, bool announce) {
  ASSIGN_OR_RETURN(auto authorities, tls::ReadCertificates(identity.ca_pem()));
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  for (const auto& authority : authorities) {
    if (X509_STORE_add_cert(store, authority.get()) != 1) return Failed("TLS authority");
    if (announce && SSL_CTX_add_client_CA(ctx, authority.get()) != 1) return Failed("TLS authority");
  }
  return absl::OkStatus();
}

absl::Status Configure(TlsContext* context, const TlsIdentity& identity, int kind, const std::string& alpn) {
  context->ctx = SSL_CTX_new(kind == kClient ? TLS_client_method() : TLS_server_method());
  SSL_CTX* ctx = context->ctx;
  if (ctx == nullptr || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) return Failed("TLS context");
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_read_ahead(ctx, 1);
  context->alpn = AlpnWire(alpn);
  if (identity.has_certificate()) RETURN_IF_ERROR(UseCertificate(ctx, identity));
  if (kind == kClient) {
    if (identity.ca_pem().empty()) return absl::FailedPreconditionError("a TLS client needs a CA to verify the server with");
    RETURN_IF_ERROR(UseAuthorities(ctx, identity, false));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
    const auto* offered = reinterpret_cast<const unsigned char*>(context->alpn.data());
    if (!alpn.empty() && SSL_CTX_set_alpn_protos(ctx, offered, context->alpn.size()) != 0) return Failed("ALPN");
    return absl::OkStatus();
  }
  if (!identity.has_certificate()) return absl::FailedPreconditionError("a TLS server needs a certificate");
  if (kind == kServerMutual) {
    if (identity.ca_pem().empty()) return absl::FailedPreconditionError("verifying clients needs a CA");
    RETURN_IF_ERROR(UseAuthorities(ctx, identity, true));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  if (!alpn.empty()) SSL_CTX_set_alpn_select_cb(ctx, SelectAlpn, context);
  return absl::OkStatus();
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------- contexts

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContextCache::Server(const TlsServerOptions& options) {
  return Get(options.identity, options.require_client_certificate ? kServerMutual : kServer, options.alpn);
}

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContextCache::Client(const TlsClientOptions& options) {
  return Get(options.identity, kClient, options.alpn);
}

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContextCache::Get(const std::shared_ptr<const TlsIdentity>& identity, int kind,
                                                                 const std::string& alpn) {
  if (identity == nullptr) return absl::InvalidArgumentError("TLS needs an identity");
  Key key(identity.get(), kind, alpn);
  auto it = entries_.find(key);
  // An expired identity's address may be that of a new one.
  if (it != entries_.end() && it->second.identity.lock() == identity) return it->second.context;
  if (entries_.size() >= kMaxCachedContexts) {
    std::erase_if(entries_, [](const auto& entry) { return entry.second.identity.expired(); });
    if (entries_.size() >= kMaxCachedContexts) entries_.clear();
  }
  auto context = std::make_shared<TlsContext>();
  RETURN_IF_ERROR(Configure(context.get(), *identity, kind, alpn));
  entries_[key] = Entry{identity, context};
  return context;
}

// --------------------------------------------------------------------------------------------------------------- BIO

const BIO_METHOD* TlsStream::Method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "insula socket");
    CHECK(m != nullptr);
    BIO_meth_set_read_ex(m, &TlsStream::BioRead);
    BIO_meth_set_write_ex(m, &TlsStream::BioWrite);
    BIO_meth_set_ctrl(m, &TlsStream::BioCtrl);
    return m;
  }();
  return method;
}

int TlsStream::BioRead(BIO* bio, char* buffer, size_t capacity, size_t* n) {
  auto* self = static_cast<TlsStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (!self->prefix_.empty()) {
    *n = std::min(capacity, self->prefix_.size());
    std::memcpy(buffer, self->prefix_.data(), *n);
    self->prefix_.erase(0, *n);
    if (self->prefix_.empty()) self->prefix_.shrink_to_fit();
    return 1;
  }
  Io io = self->socket_->TryRecv(buffer, capacity, n);
  if (io == Io::kDone) return 1;
  *n = 0;
  if (io == Io::kWantRead) BIO_set_retry_read(bio);
  if (io == Io::kEnd) self->ended_ = true;
  return 0;
}

int TlsStream::BioWrite(BIO* bio, const char* data, size_t size, size_t* n) {
  auto* self = static_cast<TlsStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  Io io = self->socket_->TrySend(data, size, n);
  if (io == Io::kDone) return 1;
  *n = 0;
  if (io == Io::kWantWrite) BIO_set_retry_write(bio);
  return 0;
}

long TlsStream::BioCtrl(BIO* bio, int command, long, void*) {  // NOLINT
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<TlsStream*>(BIO_get_data(bio))->ended_ ? 1 : 0;
  return 0;
}

// ------------------------------------------------------------------------------------------------------------- stream

absl::Status TlsStream::Init() {
  ssl_ = SSL_new(context_->ctx);
  BIO* bio = BIO_new(Method());
  if (ssl_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    return Failed("TLS connection");
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<TlsStream>> TlsStream::Server(RawSocket* socket, std::shared_ptr<TlsContext> context, std::string already_read) {
  std::unique_ptr<TlsStream> stream(new TlsStream(socket, std::move(context), std::move(already_read)));
  RETURN_IF_ERROR(stream->Init());
  SSL_set_accept_state(stream->ssl_);
  return stream;
}

absl::StatusOr<std::unique_ptr<TlsStream>> TlsStream::Client(RawSocket* socket, std::shared_ptr<TlsContext> context, const std::string& server_name) {
  std::unique_ptr<TlsStream> stream(new TlsStream(socket, std::move(context), ""));
  RETURN_IF_ERROR(stream->Init());
  SSL_set_connect_state(stream->ssl_);
  if (server_name.empty()) return stream;
  bool set = IsIpAddress(server_name) ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream->ssl_), server_name.c_str()) == 1
                                      : SSL_set1_host(stream->ssl_, server_name.c_str()) == 1 &&
                                            SSL_set_tlsext_host_name(stream->ssl_, server_name.c_str()) == 1;
  if (!set) return Failed(StrCat("server name ", server_name));
  return stream;
}

TlsStream::~TlsStream() { SSL_free(ssl_); }

Io TlsStream::Outcome(int result, std::string_view what) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return Io::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Io::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Io::kEnd;
    case SSL_ERROR_SSL: {
      long verified = SSL_get_verify_result(ssl_);  // NOLINT
      error_ = tls::OpenSslError(absl::StatusCode::kUnauthenticated, what);
      if (verified != X509_V_OK) {
        error_ = absl::UnauthenticatedError(StrCat(what, ": the peer's certificate is not trusted: ", X509_verify_cert_error_string(verified)));
      }
      return Io::kFailed;
    }
    default:
      ERR_clear_error();
      error_ = absl::UnavailableError(StrCat(what, ended_ ? ": the peer closed the connection" : ": the connection broke"));
      return Io::kFailed;
  }
}

Io TlsStream::TryHandshake() {
  ERR_clear_error();
  int result = SSL_do_handshake(ssl_);
  if (result == 1) return Io::kDone;
  Io io = Outcome(result, "TLS handshake");
  if (io != Io::kEnd) return io;
  error_ = absl::UnavailableError("TLS handshake: the peer closed the connection");
  return Io::kFailed;
}

Io TlsStream::TryRead(char* buffer, size_t capacity, size_t* n) {
  ERR_clear_error();
  int result = SSL_read_ex(ssl_, buffer, capacity, n);
  return result == 1 ? Io::kDone : Outcome(result, "TLS read");
}

Io TlsStream::TryWrite(const char* data, size_t size, size_t* n) {
  ERR_clear_error();
  int result = SSL_write_ex(ssl_, data, size, n);
  if (result == 1) return Io::kDone;
  Io io = Outcome(result, "TLS write");
  if (io != Io::kEnd) return io;
  error_ = absl::UnavailableError("the peer closed the connection");
  return Io::kFailed;
}

void TlsStream::Shutdown() {
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_) && error_.ok()) SSL_shutdown(ssl_);
  ERR_clear_error();
}

TlsSessionInfo TlsStream::Info() const {
  TlsSessionInfo info;
  if (const char* sni = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name)) info.sni = sni;
  const unsigned char* alpn = nullptr;
  unsigned int alpn_length = 0;
  SSL_get0_alpn_selected(ssl_, &alpn, &alpn_length);
  if (alpn != nullptr) info.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_length);
  tls::X509Ptr certificate(SSL_get1_peer_certificate(ssl_));
  if (certificate != nullptr) info.peer = tls::SubjectOf(certificate.get());
  return info;
}

}  // namespace insula::real
