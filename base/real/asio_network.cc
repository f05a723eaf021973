// TCP by Asio's reactor: Asio says when a socket is ready, the bytes move by plain system calls. So a connection that waits
// holds a socket, a small object, and no buffer.
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/async/blocking.h"
#include "base/async/wait.h"
#include "base/check.h"
#include "base/real/address.h"
#include "base/real/loop.h"
#include "base/real/real_world.h"
#include "base/real/tls_stream.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::real {
namespace {

using asio::ip::tcp;

constexpr Duration kDialLimit = 5s;
constexpr Duration kOutOfDescriptorsPause = 100ms;
// What Close reads and drops, so that closing does not reset the connection before the peer has read our last words.
constexpr size_t kDrainOnClose = 256 << 10;

void SetOption(int fd, int level, int option, int value) {
  // Best effort: a connection works without any of these.
  if (setsockopt(fd, level, option, &value, sizeof(value)) != 0) errno = 0;
}

// A dead client behind an idle connection is found out in about 90 s.
void SetSocketOptions(int fd) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

std::string ToString(const tcp::endpoint& endpoint) {
  std::string host = endpoint.address().to_string();
  return endpoint.address().is_v6() ? StrCat("[", host, "]:", endpoint.port()) : StrCat(host, ":", endpoint.port());
}

// A socket and who waits for it. Shared with Asio's handlers, so that it outlives the stream while a wait is under way.
class Socket : public RawSocket, public std::enable_shared_from_this<Socket> {
 public:
  Socket(Loop* loop, tcp::socket socket) : loop_(loop), socket_(std::move(socket)) {}

  // co_await Readable(ctx) -> absl::Status. Wakes when the socket may be readable (or closed, or in error).
  auto Readable(const Context& ctx) {
    Arm(tcp::socket::wait_read, &read_armed_, &readable_);
    return readable_.Wait(ctx);
  }
  auto Writable(const Context& ctx) {
    Arm(tcp::socket::wait_write, &write_armed_, &writable_);
    return writable_.Wait(ctx);
  }

  Io TryRecv(char* buffer, size_t capacity, size_t* n) override {
    if (!maybe_readable_) return Io::kWantRead;
    while (true) {
      ssize_t got = recv(socket_.native_handle(), buffer, capacity, MSG_DONTWAIT);
      if (got > 0) {
        // A short read has most likely emptied the socket; the next attempt may as well wait.
        maybe_readable_ = static_cast<size_t>(got) == capacity;
        *n = got;
        return Io::kDone;
      }
      if (got == 0) return Io::kEnd;
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        maybe_readable_ = false;
        return Io::kWantRead;
      }
      error_ = absl::UnavailableError(StrCat("read: ", std::strerror(errno)));
      return Io::kFailed;
    }
  }

  Io TrySend(const char* data, size_t size, size_t* n) override {
    while (true) {
      ssize_t sent = send(socket_.native_handle(), data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent >= 0) {
        *n = sent;
        return Io::kDone;
      }
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Io::kWantWrite;
      error_ = absl::UnavailableError(StrCat("write: ", std::strerror(errno)));
      return Io::kFailed;
    }
  }

  void Close() {
    if (!socket_.is_open()) return;
    shutdown(socket_.native_handle(), SHUT_WR);
    char dropped[4096];
    for (size_t drained = 0; drained < kDrainOnClose;) {
      ssize_t n = recv(socket_.native_handle(), dropped, sizeof(dropped), MSG_DONTWAIT);
      if (n <= 0) break;
      drained += n;
    }
    asio::error_code ignored;  // the descriptor is gone either way
    socket_.close(ignored);
    readable_.NotifyAll();
    writable_.NotifyAll();
  }

  bool open() const { return socket_.is_open(); }
  tcp::socket& socket() { return socket_; }
  Loop* loop() { return loop_; }
  const absl::Status& error() const { return error_; }

 private:
  void Arm(tcp::socket::wait_type type, bool* armed, Condition* condition) {
    if (*armed || !socket_.is_open()) return;
    *armed = true;
    socket_.async_wait(type, [self = shared_from_this(), armed, condition](const asio::error_code&) {
      // On an error the woken coroutine meets it again in its system call.
      self->loop_->RunHandler([&] {
        *armed = false;
        self->maybe_readable_ = true;
        condition->NotifyAll();
      });
    });
  }

  Loop* loop_;
  tcp::socket socket_;
  bool maybe_readable_ = true;
  bool read_armed_ = false;
  bool write_armed_ = false;
  Condition readable_;
  Condition writable_;
  absl::Status error_;
};

class AsioStream : public ByteStream {
 public:
  AsioStream(std::shared_ptr<Socket> socket, std::shared_ptr<TlsContextCache> contexts, std::string peer_address)
      : socket_(std::move(socket)), contexts_(std::move(contexts)), peer_address_(std::move(peer_address)) {}
  ~AsioStream() override { Close(); }

  Task<absl::StatusOr<size_t>> Read(const Context& ctx, char* buffer, size_t capacity) override {
    while (true) {
      CO_RETURN_IF_ERROR(Check(ctx));
      size_t n = 0;
      Io io = tls_ ? tls_->TryRead(buffer, capacity, &n) : socket_->TryRecv(buffer, capacity, &n);
      if (io == Io::kDone) co_return n;
      if (io == Io::kEnd) co_return size_t{0};
      CO_RETURN_IF_ERROR(co_await Ready(ctx, io));
    }
  }

  Task<absl::Status> Write(const Context& ctx, std::string_view data) override {
    while (!data.empty()) {
      CO_RETURN_IF_ERROR(Check(ctx));
      size_t n = 0;
      Io io = tls_ ? tls_->TryWrite(data.data(), data.size(), &n) : socket_->TrySend(data.data(), data.size(), &n);
      if (io == Io::kDone) {
        data.remove_prefix(n);
        continue;
      }
      CO_RETURN_IF_ERROR(co_await Ready(ctx, io));
    }
    co_return absl::OkStatus();
  }

  Task<absl::StatusOr<TlsSessionInfo>> StartTlsServer(const Context& ctx, TlsServerOptions options, std::string already_read) override {
    CHECK(tls_ == nullptr) << "TLS twice";
    CO_ASSIGN_OR_RETURN(auto context, contexts_->Server(options));
    CO_ASSIGN_OR_RETURN(tls_, TlsStream::Server(socket_.get(), std::move(context), std::move(already_read)));
    co_return co_await Handshake(ctx);
  }

  Task<absl::StatusOr<TlsSessionInfo>> StartTlsClient(const Context& ctx, TlsClientOptions options) override {
    CHECK(tls_ == nullptr) << "TLS twice";
    CO_ASSIGN_OR_RETURN(auto context, contexts_->Client(options));
    CO_ASSIGN_OR_RETURN(tls_, TlsStream::Client(socket_.get(), std::move(context), options.server_name));
    co_return co_await Handshake(ctx);
  }

  void Close() override {
    if (!socket_->open()) return;
    if (tls_ != nullptr) tls_->Shutdown();
    socket_->Close();
  }

  const std::string& peer_address() const override { return peer_address_; }

 private:
  absl::Status Check(const Context& ctx) const {
    if (ctx.done()) return ctx.status();
    if (!socket_->open()) return absl::UnavailableError("the stream is closed");
    return absl::OkStatus();
  }

  // Waits for what `io` wants; or what went wrong.
  Task<absl::Status> Ready(const Context& ctx, Io io) {
    if (io == Io::kWantRead) co_return co_await socket_->Readable(ctx);
    if (io == Io::kWantWrite) co_return co_await socket_->Writable(ctx);
    if (!socket_->error().ok()) co_return socket_->error();
    co_return tls_->error();
  }

  Task<absl::StatusOr<TlsSessionInfo>> Handshake(const Context& ctx) {
    while (true) {
      CO_RETURN_IF_ERROR(Check(ctx));
      Io io = tls_->TryHandshake();
      if (io == Io::kDone) break;
      CO_RETURN_IF_ERROR(co_await Ready(ctx, io));
    }
    TlsSessionInfo info = tls_->Info();
    info.peer.address = peer_address_;
    co_return info;
  }

  std::shared_ptr<Socket> socket_;
  std::shared_ptr<TlsContextCache> contexts_;
  std::unique_ptr<TlsStream> tls_;
  const std::string peer_address_;
};

class AsioListener : public Listener {
 public:
  AsioListener(Loop* loop, tcp::acceptor acceptor, std::shared_ptr<TlsContextCache> contexts)
      : state_(std::make_shared<State>(loop, std::move(acceptor))), contexts_(std::move(contexts)), port_(state_->acceptor.local_endpoint().port()) {}
  ~AsioListener() override {
    asio::error_code ignored;
    state_->acceptor.close(ignored);
  }

  Task<absl::StatusOr<std::unique_ptr<ByteStream>>> Accept(const Context& ctx) override {
    while (true) {
      if (ctx.done()) co_return ctx.status();
      asio::error_code error;
      tcp::endpoint peer;
      tcp::socket socket = state_->acceptor.accept(peer, error);
      if (!error) {
        SetSocketOptions(socket.native_handle());
        co_return std::make_unique<AsioStream>(std::make_shared<Socket>(state_->loop, std::move(socket)), contexts_, ToString(peer));
      }
      if (error == asio::error::would_block || error == asio::error::try_again) {
        state_->Arm();
        CO_RETURN_IF_ERROR(co_await state_->readable.Wait(ctx));
      } else if (error.value() == EMFILE || error.value() == ENFILE || error.value() == ENOBUFS || error.value() == ENOMEM) {
        // The kernel keeps the connection; try again when some other may have gone.
        CO_RETURN_IF_ERROR(co_await Sleep(ctx, kOutOfDescriptorsPause));
      } else if (error != asio::error::connection_aborted && error != asio::error::interrupted) {
        co_return absl::UnavailableError(StrCat("accept: ", error.message()));
      }
    }
  }

  int port() const override { return port_; }

 private:
  struct State : std::enable_shared_from_this<State> {
    State(Loop* l, tcp::acceptor a) : loop(l), acceptor(std::move(a)) {}
    void Arm() {
      if (std::exchange(armed, true)) return;
      acceptor.async_wait(tcp::acceptor::wait_read, [self = shared_from_this()](const asio::error_code&) {
        self->loop->RunHandler([&] {
          self->armed = false;
          self->readable.NotifyAll();
        });
      });
    }
    Loop* loop;
    tcp::acceptor acceptor;
    bool armed = false;
    Condition readable;
  };

  std::shared_ptr<State> state_;
  std::shared_ptr<TlsContextCache> contexts_;
  const int port_;
};

// All addresses of a host, by the system's resolver. Blocks.
absl::StatusOr<std::vector<tcp::endpoint>> Resolve(const std::string& host, int port, bool passive) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = passive ? AI_PASSIVE : 0;
  addrinfo* found = nullptr;
  int error = getaddrinfo(host.empty() ? nullptr : host.c_str(), StrCat(port).c_str(), &hints, &found);
  if (error != 0) return absl::UnavailableError(StrCat(host, ": ", gai_strerror(error)));
  std::vector<tcp::endpoint> out;
  for (addrinfo* at = found; at != nullptr; at = at->ai_next) {
    tcp::endpoint endpoint;
    if (at->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), at->ai_addr, at->ai_addrlen);
    endpoint.resize(at->ai_addrlen);
    out.push_back(endpoint);
  }
  freeaddrinfo(found);
  if (out.empty()) return absl::UnavailableError(StrCat(host, " has no address"));
  return out;
}

std::optional<tcp::endpoint> Literal(const HostPort& address) {
  asio::error_code error;
  auto ip = asio::ip::make_address(address.host, error);
  if (error) return std::nullopt;
  return tcp::endpoint(ip, address.port);
}

class AsioNetwork : public Network {
 public:
  explicit AsioNetwork(Loop* loop) : loop_(loop) {}

  absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address) override {
    ASSIGN_OR_RETURN(HostPort parsed, ParseHostPort(address));
    tcp::endpoint endpoint;
    if (auto literal = Literal(parsed)) {
      endpoint = *literal;
    } else {
      ASSIGN_OR_RETURN(auto endpoints, Resolve(parsed.host, parsed.port, true));
      endpoint = endpoints[0];
    }
    asio::error_code error;
    tcp::acceptor acceptor(loop_->io());
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(1024, error);
    if (!error) acceptor.non_blocking(true, error);
    if (error == asio::error::address_in_use) return absl::AlreadyExistsError(StrCat("port ", parsed.port, " is in use (", address, ")"));
    if (error) return absl::UnavailableError(StrCat("listen on ", address, ": ", error.message()));
    return std::make_unique<AsioListener>(loop_, std::move(acceptor), contexts_);
  }

  Task<absl::StatusOr<std::unique_ptr<ByteStream>>> Dial(const Context& outer, std::string address) override {
    CO_ASSIGN_OR_RETURN(HostPort parsed, ParseHostPort(address));
    if (outer.done()) co_return outer.status();
    Context ctx = outer.WithTimeout(kDialLimit);
    std::vector<tcp::endpoint> endpoints;
    if (auto literal = Literal(parsed)) {
      endpoints.push_back(*literal);
    } else {
      CO_ASSIGN_OR_RETURN(endpoints, co_await Blocking<absl::StatusOr<std::vector<tcp::endpoint>>>(
                                         ctx, [parsed] { return Resolve(parsed.host, parsed.port, false); }));
    }
    absl::Status last;
    for (const tcp::endpoint& endpoint : endpoints) {
      auto socket = std::make_shared<Socket>(loop_, tcp::socket(loop_->io()));
      last = co_await Connect(ctx, socket, endpoint);
      if (last.ok()) {
        SetSocketOptions(socket->socket().native_handle());
        co_return std::make_unique<AsioStream>(std::move(socket), contexts_, ToString(endpoint));
      }
      if (ctx.done()) break;
    }
    if (absl::IsCancelled(outer.status())) co_return outer.status();
    co_return absl::UnavailableError(StrCat("cannot connect to ", address, ": ", last.message()));
  }

 private:
  Task<absl::Status> Connect(const Context& ctx, std::shared_ptr<Socket> socket, tcp::endpoint endpoint) {
    struct State {
      Event done;
      asio::error_code error;
    };
    auto state = std::make_shared<State>();
    socket->socket().async_connect(endpoint, [loop = loop_, socket, state](const asio::error_code& error) {
      loop->RunHandler([&] {
        state->error = error;
        state->done.Set();
      });
    });
    struct CloseUnless {
      Socket* socket;
      bool connected = false;
      ~CloseUnless() {
        if (!connected) socket->Close();
      }
    } guard{socket.get()};
    CO_RETURN_IF_ERROR(co_await state->done.Wait(ctx));
    if (state->error) co_return absl::UnavailableError(state->error.message());
    guard.connected = true;
    co_return absl::OkStatus();
  }

  Loop* loop_;
  std::shared_ptr<TlsContextCache> contexts_ = std::make_shared<TlsContextCache>();
};

}  // namespace
}  // namespace insula::real

namespace insula {

std::unique_ptr<Network> MakeAsioNetwork(RealExecutor* executor) { return std::make_unique<real::AsioNetwork>(real::AsLoop(executor)); }

}  // namespace insula
