// HTTP/1.1 over the runtime's network: status endpoints, stamping, and a client for it. Plain or TLS, one loop thread, bounded.
//
//   HttpServer server(network, ctx, {.tls = identity, .require_client_certificate = true});
//   server.Handle("POST", "/v1/stamp", [](Context ctx, HttpRequest request) -> Task<HttpResponse> {…});
//   ASSIGN_OR_RETURN(int port, server.Listen("127.0.0.1:0"));
//
//   CO_ASSIGN_OR_RETURN(HttpResponse r, co_await HttpCall(ctx, network, {.method = "POST", .url = "https://…", .body = …, .tls = identity}));
//
// Parsing is Boost.Beast's. Limits: 16 KB of headers, 1 MB of body, 64 connections at a time, 30 s per idle connection.
// Thread safety: loop thread only.
#ifndef INSULA_BASE_HTTP_HTTP_H_
#define INSULA_BASE_HTTP_HTTP_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/runtime/net.h"

namespace insula {

struct HttpRequest {
  std::string method;
  std::string path;  // without the query
  std::string query;
  std::string body;
  PeerIdentity peer;  // with TLS and a client certificate
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

struct HttpServerOptions {
  std::shared_ptr<const TlsIdentity> tls;  // null: plain HTTP
  bool require_client_certificate = false;
};

class HttpServer {
 public:
  using Handler = std::function<Task<HttpResponse>(Context ctx, HttpRequest request)>;

  HttpServer(Network* network, const Context& ctx, HttpServerOptions options = {}) : network_(network), options_(std::move(options)), tasks_(ctx) {}

  // Before Listen. Other paths answer 404, other methods of a known path 405.
  void Handle(const std::string& method, const std::string& path, Handler handler) { handlers_[path][method] = std::move(handler); }
  // Begins to serve; gives the port.
  absl::StatusOr<int> Listen(const std::string& address);
  // Stops serving and ends open connections.
  Task<void> Stop();

 private:
  Task<void> Accept(Context ctx);
  Task<void> Serve(Context ctx, std::unique_ptr<ByteStream> stream);
  Task<HttpResponse> Dispatch(Context ctx, HttpRequest request);

  Network* network_;
  HttpServerOptions options_;
  std::map<std::string, std::map<std::string, Handler>> handlers_;  // by path, by method
  std::unique_ptr<Listener> listener_;
  TaskGroup tasks_;
};

struct HttpCallOptions {
  std::string method = "GET";
  std::string url;  // http://host:port/path or https://…
  std::string body;
  std::string content_type = "application/json";
  std::shared_ptr<const TlsIdentity> tls;  // for https
};

// One request on a connection of its own. The response whatever its status; kUnavailable when there is none.
Task<absl::StatusOr<HttpResponse>> HttpCall(Context ctx, Network* network, HttpCallOptions options);

}  // namespace insula

#endif  // INSULA_BASE_HTTP_HTTP_H_
