#include <utility>

#include "base/async/wait.h"
#include "base/http/http.h"
#include "base/http/message.h"
#include "base/log/log.h"
#include "base/strings.h"
#include "base/tls/tls_identity.h"

namespace insula {
namespace {

HttpResponse Text(int status, std::string body) { return HttpResponse{.status = status, .body = std::move(body) + "\n"}; }

// What a request that cannot be read is answered with; 0: nothing (the connection is gone).
int StatusFor(const absl::Status& error, bool in_head) {
  switch (error.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kResourceExhausted:
      return in_head ? 431 : 413;
    case absl::StatusCode::kDeadlineExceeded:
      return 408;
    case absl::StatusCode::kUnimplemented:
      return 501;
    default:
      return 0;
  }
}

bool KeepsAlive(const http::Head& head) {
  std::string connection = AsciiLower(head.Get("connection"));
  if (head.third == "HTTP/1.0") return connection == "keep-alive";
  return connection.find("close") == std::string::npos;
}

absl::StatusOr<HttpRequest> ToRequest(const http::Head& head, const PeerIdentity& peer) {
  HttpRequest request;
  request.method = head.first;
  size_t question = head.second.find('?');
  request.path = head.second.substr(0, question);
  if (question != std::string::npos) request.query = head.second.substr(question + 1);
  request.headers = head.headers;
  request.peer = peer;
  bool version = head.third == "HTTP/1.1" || head.third == "HTTP/1.0";
  if (!version || request.path.empty() || request.path[0] != '/') return absl::InvalidArgumentError("malformed HTTP: start line");
  return request;
}

}  // namespace

struct HttpServer::Connection {
  std::unique_ptr<ByteStream> stream;
  PeerIdentity peer;
};

HttpServer::HttpServer(const Context& ctx, Network* network, HttpServerOptions options)
    : network_(network), options_(std::move(options)), waiting_(ctx.WithCancel()), tasks_(ctx) {}

void HttpServer::Handle(std::string method, std::string path, HttpHandler handler) {
  handlers_[std::move(path)][std::move(method)] = std::move(handler);
}

absl::StatusOr<int> HttpServer::Listen(const std::string& address) {
  auto listener = network_->Listen(address);
  if (!listener.ok()) return listener.status();
  listener_ = std::move(*listener);
  tasks_.Spawn(AcceptLoop());
  return listener_->port();
}

Task<void> HttpServer::Shutdown() {
  waiting_.Cancel();
  co_await tasks_.Wait();
  listener_.reset();
}

Task<void> HttpServer::AcceptLoop() {
  while (true) {
    auto stream = co_await listener_->Accept(waiting_);
    if (waiting_.done()) co_return;
    if (!stream.ok()) {
      LOG_ERROR("HTTP listener failed", {"status", stream.status()});
      co_return;
    }
    if (connections_ >= options_.max_connections) continue;  // refused: the stream closes
    tasks_.Spawn(Serve(std::move(*stream)));
  }
}

Task<void> HttpServer::Serve(std::unique_ptr<ByteStream> stream) {
  struct Count {
    int* n;
    explicit Count(int* count) : n(count) { ++*n; }
    ~Count() { --*n; }
  } count(&connections_);
  Connection connection;
  connection.stream = std::move(stream);
  connection.peer.address = connection.stream->peer_address();
  if (options_.identity != nullptr) {
    TlsServerOptions tls;
    tls.identity = options_.identity;
    tls.require_client_certificate = options_.require_client_certificate;
    auto session = co_await connection.stream->StartTlsServer(waiting_.WithTimeout(options_.request_timeout), tls, "");
    if (!session.ok()) {
      LOG_DEBUG("HTTPS handshake failed", {"peer", connection.peer.address}, {"status", session.status()});
      co_return;
    }
    connection.peer = session->peer;
  }
  co_await ServeRequests(&connection);
  connection.stream->Close();
}

Task<void> HttpServer::ServeRequests(Connection* connection) {
  http::Reader reader(connection->stream.get());
  while (true) {
    auto more = co_await reader.WaitForMessage(waiting_.WithTimeout(options_.idle_timeout));
    if (!more.ok() || !*more) co_return;
    Context ctx = tasks_.ctx().WithTimeout(options_.request_timeout);
    bool in_head = true, keep_alive = false, head_only = false;
    auto head = co_await reader.ReadHead(ctx);
    absl::Status error = head.status();
    HttpRequest request;
    if (error.ok()) {
      auto parsed = ToRequest(*head, connection->peer);
      error = parsed.status();
      if (parsed.ok()) request = *std::move(parsed);
    }
    if (error.ok()) {
      in_head = false;
      keep_alive = KeepsAlive(*head);
      head_only = request.method == "HEAD";
      // curl asks before it sends a large body.
      if (AsciiLower(head->Get("expect")) == "100-continue") error = co_await connection->stream->Write(ctx, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    if (error.ok()) {
      auto body = co_await reader.ReadBody(ctx, *head, options_.max_body_bytes, /*to_end=*/false);
      error = body.status();
      if (body.ok()) request.body = *std::move(body);
    }
    HttpResponse response;
    if (error.ok()) {
      response = co_await Answer(std::move(request));
    } else {
      int status = StatusFor(error, in_head);
      if (status == 0) co_return;
      response = Text(status, std::string(error.message()));
      keep_alive = false;
    }
    keep_alive = keep_alive && !waiting_.done();
    std::string bytes = http::WriteResponse(response, keep_alive, head_only);
    absl::Status written = co_await connection->stream->Write(tasks_.ctx().WithTimeout(options_.request_timeout), bytes);
    if (!written.ok() || !keep_alive) co_return;
  }
}

Task<HttpResponse> HttpServer::Answer(HttpRequest request) {
  const std::map<std::string, HttpHandler>* methods = nullptr;
  size_t best = 0;
  for (const auto& [path, candidates] : handlers_) {
    bool matches = path.back() == '/' ? request.path.compare(0, path.size(), path) == 0 : request.path == path;
    if (matches && path.size() > best) {
      methods = &candidates;
      best = path.size();
    }
  }
  if (methods == nullptr) co_return Text(404, "nothing here");
  auto handler = methods->find(request.method);
  if (handler == methods->end() && request.method == "HEAD") handler = methods->find("GET");
  if (handler == methods->end()) {
    HttpResponse response = Text(405, "the method is not allowed here");
    std::vector<std::string> allowed;
    for (const auto& [method, unused] : *methods) allowed.push_back(method);
    response.headers["allow"] = StrJoin(allowed, ", ");
    co_return response;
  }
  Context ctx = tasks_.ctx().WithTimeout(options_.request_timeout);
  co_return co_await handler->second(ctx, std::move(request));
}

void AddStandardHandlers(HttpServer* server, std::function<absl::Status()> ready, std::function<std::string()> metrics) {
  server->Handle("GET", "/healthz", [](Context, HttpRequest) -> Task<HttpResponse> { co_return Text(200, "ok"); });
  server->Handle("GET", "/readyz", [ready = std::move(ready)](Context, HttpRequest) -> Task<HttpResponse> {
    absl::Status status = ready();
    co_return status.ok() ? Text(200, "ok") : Text(503, std::string(status.message()));
  });
  server->Handle("GET", "/metrics", [metrics = std::move(metrics)](Context, HttpRequest) -> Task<HttpResponse> {
    co_return HttpResponse{.body = metrics(), .content_type = "text/plain; version=0.0.4; charset=utf-8"};
  });
}

}  // namespace insula
