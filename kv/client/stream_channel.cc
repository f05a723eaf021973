#include "kv/client/stream_channel.h"

#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/async/wait.h"

namespace insula::kv {
namespace {
constexpr size_t kBytesPerMessage = 1 << 20;
}

// One stream and the calls on it.
class StreamChannel::Connection {
 public:
  explicit Connection(std::string address) : address_(std::move(address)) {}

  const std::string& address() const { return address_; }
  bool broken() const { return broken_; }

  Task<CallResult> Call(const Context& ctx, const v1::BatchRequest& batch) {
    const uint64_t id = ++last_id_;
    Pending pending;
    pending_[id] = &pending;
    v1::StreamRequest::Call& call = outbox_.emplace_back();
    call.set_id(id);
    *call.mutable_batch() = batch;
    wake_writer_.NotifyAll();
    // Leaves the map however this frame ends.
    struct Leave {
      Connection* connection;
      uint64_t id;
      ~Leave() { connection->pending_.erase(id); }
    } leave{this, id};
    absl::Status waited = co_await pending.done.Wait(ctx);
    CallResult result;
    if (pending.done.is_set()) {
      result.status = std::move(pending.status);
      result.maybe_received = pending.sent;
      result.response = std::move(pending.response);
      co_return result;
    }
    result.status = std::move(waited);
    result.maybe_received = pending.sent;
    if (pending.sent) {
      cancels_.push_back(id);
      wake_writer_.NotifyAll();
    } else {
      std::erase_if(outbox_, [id](const auto& c) { return c.id() == id; });
    }
    co_return result;
  }

  // Until the stream breaks or `ctx` ends.
  Task<absl::Status> Serve(const Context& ctx, Transport* transport) {
    auto opened = co_await transport->Open(ctx, address_, kBatchMethod);
    if (!opened.ok()) co_return opened.status();
    std::unique_ptr<MessageStream> stream = std::move(*opened);
    absl::Status why;
    Context both = ctx.WithCancel();
    TaskGroup writer(both);
    writer.SpawnFn([&]() -> Task<void> {
      absl::Status status = co_await Write(both, stream.get());
      if (why.ok()) why = std::move(status);
      both.Cancel();
    });
    absl::Status status = co_await Read(both, stream.get());
    if (why.ok()) why = std::move(status);
    both.Cancel();
    co_await writer.Wait();
    co_return why;
  }

  void Break(const absl::Status& why) {
    broken_ = true;
    for (auto& [id, pending] : pending_) {
      if (pending->done.is_set()) continue;
      pending->status = absl::UnavailableError(std::string(why.message()));
      pending->done.Set();
    }
    outbox_.clear();
  }

 private:
  struct Pending {
    bool sent = false;
    absl::Status status;
    v1::BatchResponse response;
    Event done;
  };

  Task<absl::Status> Write(const Context& ctx, MessageStream* stream) {
    while (true) {
      while (outbox_.empty() && cancels_.empty()) {
        if (absl::Status s = co_await wake_writer_.Wait(ctx); !s.ok()) co_return s;
      }
      v1::StreamRequest message;
      for (uint64_t id : std::exchange(cancels_, {})) message.add_cancel(id);
      for (size_t bytes = 0; !outbox_.empty() && bytes < kBytesPerMessage;) {
        v1::StreamRequest::Call call = std::move(outbox_.front());
        outbox_.pop_front();
        bytes += call.ByteSizeLong();
        if (auto it = pending_.find(call.id()); it != pending_.end()) it->second->sent = true;
        *message.add_calls() = std::move(call);
      }
      if (absl::Status s = co_await stream->Send(ctx, message.SerializeAsString()); !s.ok()) co_return s;
    }
  }

  Task<absl::Status> Read(const Context& ctx, MessageStream* stream) {
    while (true) {
      auto message = co_await stream->Receive(ctx);
      if (!message.ok()) co_return message.status();
      if (!*message) co_return absl::UnavailableError("the node ended the stream");
      v1::StreamResponse response;
      if (!response.ParseFromString(**message)) co_return absl::UnavailableError("the node's answer does not parse");
      for (auto& reply : *response.mutable_replies()) {
        auto it = pending_.find(reply.id());
        if (it == pending_.end() || it->second->done.is_set()) continue;  // nobody waits any more
        it->second->response = std::move(*reply.mutable_batch());
        it->second->done.Set();
      }
    }
  }

  const std::string address_;
  bool broken_ = false;
  uint64_t last_id_ = 0;
  std::map<uint64_t, Pending*> pending_;
  std::deque<v1::StreamRequest::Call> outbox_;
  std::vector<uint64_t> cancels_;
  Condition wake_writer_;
};

StreamChannel::StreamChannel(Context ctx, Transport* transport) : transport_(transport), group_(ctx) {}
StreamChannel::~StreamChannel() = default;

Task<CallResult> StreamChannel::Call(const Context& ctx, std::string address, const v1::BatchRequest& batch) {
  std::shared_ptr<Connection>& slot = connections_[address];
  if (slot == nullptr || slot->broken()) {
    slot = std::make_shared<Connection>(address);
    group_.Spawn(Run(slot));
  }
  std::shared_ptr<Connection> connection = slot;
  co_return co_await connection->Call(ctx, batch);
}

Task<void> StreamChannel::Run(std::shared_ptr<Connection> connection) {
  absl::Status why = co_await connection->Serve(group_.ctx(), transport_);
  connection->Break(why.ok() ? absl::UnavailableError("the stream ended") : why);
  auto it = connections_.find(connection->address());
  if (it != connections_.end() && it->second == connection) connections_.erase(it);
}

}  // namespace insula::kv

