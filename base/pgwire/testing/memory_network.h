// Byte streams and listeners in memory, for tests: no TLS, no delay, no loss.
#ifndef INSULA_BASE_PGWIRE_TESTING_MEMORY_NETWORK_H_
#define INSULA_BASE_PGWIRE_TESTING_MEMORY_NETWORK_H_

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/wait.h"
#include "base/runtime/net.h"
#include "base/strings.h"

namespace insula {

// One end of a pipe. Writes wait while the other end has more than 64 KB unread.
class MemoryStream : public ByteStream {
 public:
  static std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>> Pair() {
    auto a = std::make_shared<Direction>(), b = std::make_shared<Direction>();
    return {std::unique_ptr<ByteStream>(new MemoryStream(a, b, "memory:1")),
            std::unique_ptr<ByteStream>(new MemoryStream(b, a, "memory:2"))};
  }
  ~MemoryStream() override { Close(); }

  Task<absl::StatusOr<size_t>> Read(const Context& ctx, char* buffer, size_t capacity) override {
    while (in_->bytes.empty()) {
      if (closed_) co_return absl::UnavailableError("closed");
      if (in_->closed) co_return size_t{0};
      absl::Status s = co_await in_->changed.Wait(ctx);
      if (!s.ok()) co_return s;
    }
    size_t n = std::min(capacity, in_->bytes.size());
    std::memcpy(buffer, in_->bytes.data(), n);
    in_->bytes.erase(0, n);
    in_->changed.NotifyAll();
    co_return n;
  }
  Task<absl::Status> Write(const Context& ctx, std::string_view data) override {
    while (!closed_ && !out_->closed && out_->bytes.size() > (64 << 10)) {
      absl::Status s = co_await out_->changed.Wait(ctx);
      if (!s.ok()) co_return s;
    }
    if (closed_ || out_->closed) co_return absl::UnavailableError("closed");
    out_->bytes.append(data);
    out_->changed.NotifyAll();
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<TlsSessionInfo>> StartTlsServer(const Context& ctx, TlsServerOptions, std::string) override {
    co_return absl::UnimplementedError("no TLS in memory");
  }
  Task<absl::StatusOr<TlsSessionInfo>> StartTlsClient(const Context& ctx, TlsClientOptions) override {
    co_return absl::UnimplementedError("no TLS in memory");
  }
  void Close() override {
    closed_ = in_->closed = out_->closed = true;
    in_->changed.NotifyAll();
    out_->changed.NotifyAll();
  }
  const std::string& peer_address() const override { return peer_; }

 private:
  struct Direction {
    std::string bytes;
    bool closed = false;
    Condition changed;
  };
  MemoryStream(std::shared_ptr<Direction> in, std::shared_ptr<Direction> out, std::string peer)
      : in_(std::move(in)), out_(std::move(out)), peer_(std::move(peer)) {}

  std::shared_ptr<Direction> in_, out_;
  std::string peer_;
  bool closed_ = false;
};

class MemoryNetwork : public Network {
 public:
  absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address) override {
    int port = ++last_port_;
    auto queue = std::make_shared<Channel<std::unique_ptr<ByteStream>>>();
    listeners_[StrCat(address.substr(0, address.rfind(':')), ":", port)] = queue;
    return std::unique_ptr<Listener>(new MemoryListener(queue, port));
  }
  Task<absl::StatusOr<std::unique_ptr<ByteStream>>> Dial(const Context& ctx, std::string address) override {
    auto it = listeners_.find(address);
    if (it == listeners_.end()) co_return absl::UnavailableError(StrCat(address, ": connection refused"));
    auto [near, far] = MemoryStream::Pair();
    if (!it->second->TryPush(std::move(far))) co_return absl::UnavailableError(StrCat(address, ": connection refused"));
    co_return std::move(near);
  }

 private:
  using Queue = std::shared_ptr<Channel<std::unique_ptr<ByteStream>>>;
  class MemoryListener : public Listener {
   public:
    MemoryListener(Queue queue, int port) : queue_(std::move(queue)), port_(port) {}
    ~MemoryListener() override { queue_->Close(); }
    Task<absl::StatusOr<std::unique_ptr<ByteStream>>> Accept(const Context& ctx) override {
      auto stream = co_await queue_->Pop(ctx);
      if (!stream.ok()) co_return stream.status();
      if (!stream->has_value()) co_return absl::UnavailableError("closed");
      co_return std::move(**stream);
    }
    int port() const override { return port_; }

   private:
    Queue queue_;
    int port_;
  };
  int last_port_ = 1000;
  std::map<std::string, Queue> listeners_;
};

}  // namespace insula

#endif  // INSULA_BASE_PGWIRE_TESTING_MEMORY_NETWORK_H_
