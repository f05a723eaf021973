#include "base/http/http.h"

#include <gtest/gtest.h>

#include "base/http/status_endpoints.h"
#include "base/metrics/metrics.h"
#include "base/real/real_world.h"
#include "base/tls/certificates.h"
#include "base/tls/tls_identity.h"

namespace insula {
namespace {

std::shared_ptr<const TlsIdentity> Identity(const CertificateAndKey& ca, const absl::StatusOr<CertificateAndKey>& pair) {
  return *TlsIdentity::FromPem(ca.certificate_pem, pair->certificate_pem, pair->key_pem);
}

void RunInRealWorld(std::function<Task<absl::Status>(Context, RealWorld&)> body) {
  RealWorld world;
  absl::Status status = world.executor()->RunMain([&](Context ctx) { return body(ctx, world); });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(Http, ServesStatusEndpoints) {
  RunInRealWorld([](Context ctx, RealWorld& world) -> Task<absl::Status> {
    Network* network = world.runtime().network;
    MetricsRegistry metrics;
    metrics.AddCounter("c_total", "C.")->Add(2);
    absl::Status ready = absl::UnavailableError("warming up");
    HttpServer server(network, ctx);
    AddStatusEndpoints(&server, &metrics, [&] { return ready; });
    auto port = server.Listen("127.0.0.1:0");
    if (!port.ok()) co_return port.status();
    auto get = [&](std::string path) { return HttpCall(ctx, network, {.url = "http://127.0.0.1:" + std::to_string(*port) + path}); };
    auto health = co_await get("/healthz");
    EXPECT_EQ(health->body, "ok\n");
    EXPECT_EQ((co_await get("/readyz"))->status, 503);
    ready = absl::OkStatus();
    EXPECT_EQ((co_await get("/readyz"))->status, 200);
    EXPECT_NE((co_await get("/metrics"))->body.find("c_total 2"), std::string::npos);
    EXPECT_EQ((co_await get("/nothere"))->status, 404);
    co_await server.Stop();
    co_return absl::OkStatus();
  });
}

TEST(Http, MutualTlsTellsWhoCalls) {
  RunInRealWorld([](Context ctx, RealWorld& world) -> Task<absl::Status> {
    Network* network = world.runtime().network;
    CertificateAndKey ca = *CreateCa("test");
    HttpServer server(network, ctx, {.tls = Identity(ca, IssuePoolCertificate(ca, {"127.0.0.1"})), .require_client_certificate = true});
    std::string body(300000, 'x');
    server.Handle("POST", "/v1/echo", [](Context, HttpRequest request) -> Task<HttpResponse> {
      co_return HttpResponse{.status = 200, .body = request.peer.organizational_unit + ":" + std::to_string(request.body.size())};
    });
    auto port = server.Listen("127.0.0.1:0");
    if (!port.ok()) co_return port.status();
    std::string url = "https://127.0.0.1:" + std::to_string(*port) + "/v1/echo";
    auto answer = co_await HttpCall(ctx, network, {.method = "POST", .url = url, .body = body, .tls = Identity(ca, IssueOperatorCertificate(ca, {"127.0.0.1"}))});
    EXPECT_TRUE(answer.ok()) << answer.status();
    if (answer.ok()) EXPECT_EQ(answer->body, "Operators:300000");
    // Without a certificate there is no answer.
    auto nobody = co_await HttpCall(ctx, network, {.method = "POST", .url = url, .body = "x", .tls = *TlsIdentity::FromPem(ca.certificate_pem, "", "")});
    EXPECT_FALSE(nobody.ok());
    co_await server.Stop();
    co_return absl::OkStatus();
  });
}

TEST(Http, RefusesWhatIsMalformedOrTooLarge) {
  RunInRealWorld([](Context ctx, RealWorld& world) -> Task<absl::Status> {
    Network* network = world.runtime().network;
    HttpServer server(network, ctx);
    server.Handle("POST", "/", [](Context, HttpRequest) -> Task<HttpResponse> { co_return HttpResponse{}; });
    auto port = server.Listen("127.0.0.1:0");
    if (!port.ok()) co_return port.status();
    std::string address = "127.0.0.1:" + std::to_string(*port);
    for (std::string bytes : {std::string("nonsense\r\n\r\n"), "GET / HTTP/1.1\r\nX: " + std::string(20000, 'a') + "\r\n\r\n",
                              std::string("POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\nabc")}) {
      auto stream = co_await network->Dial(ctx, address);
      if (!stream.ok()) co_return stream.status();
      EXPECT_TRUE((co_await (*stream)->Write(ctx, bytes)).ok());
      char answer[64] = {};
      auto n = co_await (*stream)->Read(ctx, answer, sizeof(answer));
      EXPECT_TRUE(!n.ok() || std::string_view(answer, *n).substr(0, 12) == "HTTP/1.1 400") << std::string_view(answer, n.ok() ? *n : 0);
    }
    co_await server.Stop();
    co_return absl::OkStatus();
  });
}

}  // namespace
}  // namespace insula
