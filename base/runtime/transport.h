// Messages between Insula's processes: streams of serialized protobufs over named methods, authenticated both ways.
//
// In the real world this is gRPC over mutual TLS (method "/insula.kv.v1.Kv/Batch" is that gRPC method, so any gRPC client
// can talk to it); in the simulator a lossy virtual network. A unary call is a stream with one message each way.
//
//   client                                            server
//   auto s = co_await transport.Open(ctx, addr, m);   transport.Handle(m, [](Context ctx, auto stream) -> Task<Status> {…});
//   co_await s->Send(ctx, request);             ───►  co_await stream->Receive(ctx)
//   co_await s->Receive(ctx)                    ◄───  co_await stream->Send(ctx, reply)
//   co_await s->CloseSend(ctx)                  ───►  Receive gives nullopt
//   Receive gives nullopt, or the status        ◄───  the handler's return value
//
// Guarantees: messages of one stream arrive in order and at most once; the stream breaks (kUnavailable) rather than skip one.
// Send returns when the message is handed on, not when it has arrived. One Send and one Receive at a time per stream.
// Destroying a stream cancels it: the other side's Receive fails and its handler's context is cancelled.
#ifndef INSULA_BASE_RUNTIME_TRANSPORT_H_
#define INSULA_BASE_RUNTIME_TRANSPORT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"

namespace insula {

// Who the other side has proved to be: the subject of its verified certificate.
struct PeerIdentity {
  std::string common_name;
  std::string organizational_unit;
  std::vector<std::string> uris;  // subject alternative names of type URI
  std::string address;            // for logs
};

class MessageStream {
 public:
  virtual ~MessageStream() = default;
  virtual Task<absl::Status> Send(const Context& ctx, std::string message) = 0;
  // The next message; nullopt at the end (client side: the server finished with OK); or why the stream broke (client side:
  // the status that the handler returned).
  virtual Task<absl::StatusOr<std::optional<std::string>>> Receive(const Context& ctx) = 0;
  // Client side: no more messages will be sent.
  virtual Task<absl::Status> CloseSend(const Context& ctx) = 0;
  virtual const PeerIdentity& peer() const = 0;
};

class Transport {
 public:
  using Handler = std::function<Task<absl::Status>(Context ctx, std::unique_ptr<MessageStream> stream)>;

  virtual ~Transport() = default;

  // Opens a stream. `address` is "host:port". Connections are shared between streams, kept, and re-made with back-off;
  // kUnavailable if the peer cannot be reached before the context's deadline (or 5 s).
  virtual Task<absl::StatusOr<std::unique_ptr<MessageStream>>> Open(const Context& ctx, std::string address, std::string method) = 0;

  // Serves `method` ("/package.Service/Method"). Before Listen.
  virtual void Handle(std::string method, Handler handler) = 0;
  // Starts to serve on "host:port" (port 0: a free one) and gives the port.
  virtual absl::StatusOr<int> Listen(const std::string& address) = 0;
  // Stops accepting; cancels the handlers' contexts after `grace`; returns when all have ended.
  virtual Task<void> Shutdown(Duration grace) = 0;
};

// Largest message either side accepts.
inline constexpr size_t kMaxMessageBytes = 64 << 20;

// One request, one reply, as protobufs.
template <typename Response, typename Request>
Task<absl::StatusOr<Response>> CallUnary(const Context& ctx, Transport& transport, std::string address, std::string method, Request request) {
  std::string bytes = request.SerializeAsString();
  auto stream = co_await transport.Open(ctx, std::move(address), method);
  if (!stream.ok()) co_return stream.status();
  absl::Status sent = co_await (*stream)->Send(ctx, std::move(bytes));
  if (sent.ok()) sent = co_await (*stream)->CloseSend(ctx);
  // A failed send says less than the status that the server ended with: read that first.
  auto reply = co_await (*stream)->Receive(ctx);
  if (!reply.ok()) co_return reply.status();
  if (!reply->has_value()) {
    if (!sent.ok()) co_return sent;
    co_return absl::InternalError(method + ": the server answered nothing");
  }
  Response response;
  if (!response.ParseFromString(**reply)) co_return absl::InternalError(method + ": the answer does not parse");
  co_return response;
}

// Serves a unary method: `fn(ctx, request, peer) -> Task<StatusOr<Response>>`.
template <typename Request, typename Response>
void HandleUnary(Transport& transport, std::string method,
                 std::function<Task<absl::StatusOr<Response>>(Context, Request, PeerIdentity)> fn) {
  transport.Handle(method, [fn = std::move(fn)](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    auto bytes = co_await stream->Receive(ctx);
    if (!bytes.ok()) co_return bytes.status();
    Request request;
    if (!bytes->has_value() || !request.ParseFromString(**bytes)) co_return absl::InvalidArgumentError("the request does not parse");
    absl::StatusOr<Response> response = co_await fn(ctx, std::move(request), stream->peer());
    if (!response.ok()) co_return response.status();
    co_return co_await stream->Send(ctx, response->SerializeAsString());
  });
}

}  // namespace insula

#endif  // INSULA_BASE_RUNTIME_TRANSPORT_H_
