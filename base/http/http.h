// Small HTTP/1.1 over the runtime seam's byte streams, plain or TLS: /metrics, health, the stamping endpoint, and a client.
//
//   HttpServer server(ctx, runtime.network, {.identity = identity, .require_client_certificate = true});
//   server.Handle("POST", "/v1/stamp", [&](Context ctx, HttpRequest request) -> Task<HttpResponse> { … request.peer … });
//   ASSIGN_OR_RETURN(int port, server.Listen("0.0.0.0:8443"));
//
//   CO_ASSIGN_OR_RETURN(auto reply, co_await HttpPost(ctx, network, "https://10.0.0.7:8443/v1/stamp", json, identity));
//
// Everything runs on the loop, so it works in the simulator too; a server at rest does nothing. Requests are bounded in
// size and time. Not spoken: HTTP/2, trailers, upgrades, compression.
#ifndef INSULA_BASE_HTTP_HTTP_H_
#define INSULA_BASE_HTTP_HTTP_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/runtime/net.h"

namespace insula {

class TlsIdentity;

// Names in lower case.
using HttpHeaders = std::map<std::string, std::string>;

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // "/v1/stamp", still percent-encoded
  std::string query;   // after "?", as it came
  HttpHeaders headers;
  std::string body;
  PeerIdentity peer;  // proved by the client's certificate; empty without one
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=utf-8";
  HttpHeaders headers = {};  // on the server: besides the ones that describe the body
};

using HttpHandler = std::function<Task<HttpResponse>(Context ctx, HttpRequest request)>;

struct HttpServerOptions {
  std::shared_ptr<const TlsIdentity> identity;  // null: plain HTTP
  bool require_client_certificate = true;       // with TLS
  size_t max_body_bytes = 8 << 20;
  int max_connections = 256;
  Duration idle_timeout = std::chrono::seconds(60);     // for the next request on a connection
  Duration request_timeout = std::chrono::seconds(30);  // to receive one, and again to answer it
};

class HttpServer {
 public:
  // Handlers' contexts descend from `ctx`. `network` must outlive the server.
  HttpServer(const Context& ctx, Network* network, HttpServerOptions options = {});
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // `path` as a whole, or everything below it when it ends in "/"; the longest match wins. "GET" answers HEAD too.
  void Handle(std::string method, std::string path, HttpHandler handler);
  // "host:port", port 0: a free one. The port.
  absl::StatusOr<int> Listen(const std::string& address);
  // Accepts no more; ends connections that wait for a request; lets running handlers finish, then returns.
  Task<void> Shutdown();

 private:
  struct Connection;
  Task<void> AcceptLoop();
  Task<void> Serve(std::unique_ptr<ByteStream> stream);
  Task<void> ServeRequests(Connection* connection);
  Task<HttpResponse> Answer(HttpRequest request);

  Network* network_;
  const HttpServerOptions options_;
  std::map<std::string, std::map<std::string, HttpHandler>> handlers_;  // path, method
  std::unique_ptr<Listener> listener_;
  int connections_ = 0;
  Context waiting_;  // of those who wait for a connection or a request
  TaskGroup tasks_;
};

struct HttpCall {
  std::string method = "GET";
  std::string url;  // http://host:port/path?query or https://…
  HttpHeaders headers;
  std::string body;
  std::string content_type = "application/json";  // of the body
  std::shared_ptr<const TlsIdentity> identity;    // for https: trusted CA, and the certificate to present
  std::string server_name;                        // to verify instead of the URL's host
  size_t max_body_bytes = 64 << 20;
};

// One call on a connection of its own. Any status the server gives is a response; an error here means there was none:
// kUnavailable (no connection, or it broke), kUnauthenticated (TLS), kDeadlineExceeded, kInvalidArgument (the URL).
Task<absl::StatusOr<HttpResponse>> HttpFetch(const Context& ctx, Network* network, HttpCall call);
Task<absl::StatusOr<HttpResponse>> HttpPost(const Context& ctx, Network* network, std::string url, std::string body,
                                            std::shared_ptr<const TlsIdentity> identity);

// Adds GET /healthz (200 while the loop runs), /readyz (503 with the reason until `ready` gives OK) and /metrics.
void AddStandardHandlers(HttpServer* server, std::function<absl::Status()> ready, std::function<std::string()> metrics);

}  // namespace insula

#endif  // INSULA_BASE_HTTP_HTTP_H_
