#include "sql/server/split_listener.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"

namespace insula::sql {
namespace {

constexpr char kTlsHandshake = 0x16;
constexpr Duration kFirstByteTimeout = 10s;

// A stream whose first bytes have been read already.
class PeekedStream : public ByteStream {
 public:
  PeekedStream(std::unique_ptr<ByteStream> inner, std::string peeked) : inner_(std::move(inner)), peeked_(std::move(peeked)) {}

  Task<absl::StatusOr<size_t>> Read(const Context& ctx, char* buffer, size_t capacity) override {
    if (peeked_.empty()) co_return co_await inner_->Read(ctx, buffer, capacity);
    size_t n = std::min(capacity, peeked_.size());
    std::memcpy(buffer, peeked_.data(), n);
    peeked_.erase(0, n);
    co_return n;
  }
  Task<absl::Status> Write(const Context& ctx, std::string_view data) override { return inner_->Write(ctx, data); }
  Task<absl::StatusOr<TlsSessionInfo>> StartTlsServer(const Context& ctx, TlsServerOptions options, std::string already_read) override {
    return inner_->StartTlsServer(ctx, std::move(options), std::exchange(peeked_, {}) + already_read);
  }
  Task<absl::StatusOr<TlsSessionInfo>> StartTlsClient(const Context& ctx, TlsClientOptions options) override {
    return inner_->StartTlsClient(ctx, std::move(options));
  }
  void Close() override { inner_->Close(); }
  const std::string& peer_address() const override { return inner_->peer_address(); }

 private:
  std::unique_ptr<ByteStream> inner_;
  std::string peeked_;
};

using Queue = Channel<std::unique_ptr<ByteStream>>;

class QueueListener : public Listener {
 public:
  QueueListener(std::shared_ptr<Queue> queue, int port) : queue_(std::move(queue)), port_(port) {}
  Task<absl::StatusOr<std::unique_ptr<ByteStream>>> Accept(const Context& ctx) override {
    CO_ASSIGN_OR_RETURN(std::optional<std::unique_ptr<ByteStream>> stream, co_await queue_->Pop(ctx));
    if (!stream) co_return absl::UnavailableError("the listener is closed");
    co_return *std::move(stream);
  }
  int port() const override { return port_; }

 private:
  std::shared_ptr<Queue> queue_;
  int port_;
};

}  // namespace

class SplitListener::Side : public Network {
 public:
  absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& address) override {
    return std::unique_ptr<Listener>(new QueueListener(queue, port));
  }
  Task<absl::StatusOr<std::unique_ptr<ByteStream>>> Dial(const Context& ctx, std::string address) override {
    co_return absl::UnimplementedError("this network only listens");
  }
  std::shared_ptr<Queue> queue = std::make_shared<Queue>();
  int port = 0;
};

SplitListener::SplitListener(Network* network, const Context& ctx)
    : network_(network), tls_(std::make_unique<Side>()), plain_(std::make_unique<Side>()), group_(ctx) {}

Network* SplitListener::tls() { return tls_.get(); }
Network* SplitListener::plain() { return plain_.get(); }

SplitListener::~SplitListener() {
  tls_->queue->Close();
  plain_->queue->Close();
}

absl::StatusOr<int> SplitListener::Listen(const std::string& address) {
  ASSIGN_OR_RETURN(listener_, network_->Listen(address));
  tls_->port = plain_->port = listener_->port();
  group_.Spawn(Accept());
  return listener_->port();
}

Task<void> SplitListener::Accept() {
  while (!group_.ctx().done()) {
    absl::StatusOr<std::unique_ptr<ByteStream>> stream = co_await listener_->Accept(group_.ctx());
    if (stream.ok()) {
      group_.Spawn(Sort(*std::move(stream)));
      continue;
    }
    if (group_.ctx().done()) co_return;
    LOG_WARNING("a connection was not accepted", {"status", stream.status()});
    absl::Status slept = co_await Sleep(group_.ctx(), 100ms);
    if (!slept.ok()) co_return;
  }
}

Task<void> SplitListener::Sort(std::unique_ptr<ByteStream> stream) {
  char first = 0;
  absl::StatusOr<size_t> n = co_await stream->Read(group_.ctx().WithTimeout(kFirstByteTimeout), &first, 1);
  if (!n.ok() || *n == 0) co_return;  // a probe, or nobody
  Side* side = first == kTlsHandshake ? tls_.get() : plain_.get();
  side->queue->TryPush(std::make_unique<PeekedStream>(std::move(stream), std::string(1, first)));
}

}  // namespace insula::sql
