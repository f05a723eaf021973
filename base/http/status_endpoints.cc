#include "base/http/status_endpoints.h"

#include "base/strings.h"

namespace insula {

void AddStatusEndpoints(HttpServer* server, MetricsRegistry* metrics, std::function<absl::Status()> ready) {
  server->Handle("GET", "/metrics", [metrics](Context, HttpRequest) -> Task<HttpResponse> {
    co_return HttpResponse{.status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics->Render()};
  });
  server->Handle("GET", "/healthz", [](Context, HttpRequest) -> Task<HttpResponse> { co_return HttpResponse{.status = 200, .body = "ok\n"}; });
  server->Handle("GET", "/readyz", [ready = std::move(ready)](Context, HttpRequest) -> Task<HttpResponse> {
    absl::Status status = ready();
    if (status.ok()) co_return HttpResponse{.status = 200, .body = "ready\n"};
    co_return HttpResponse{.status = 503, .body = StrCat("not ready: ", std::string(status.message()), "\n")};
  });
}

}  // namespace insula
