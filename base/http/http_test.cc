#include "base/http/http.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/http/message.h"
#include "base/real/real_world.h"
#include "base/sim/simulation.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/certificates.h"
#include "base/tls/tls_identity.h"

namespace insula {
namespace {

// ---------------------------------------------------------------------------------------------------------------- parse

TEST(HttpMessage, HeadsAreParsed) {
  auto head = http::ParseHead("POST /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: 1\r\nACCEPT:2 \r\nEmpty:");
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->first, "POST");
  EXPECT_EQ(head->second, "/a?b=c");
  EXPECT_EQ(head->third, "HTTP/1.1");
  EXPECT_EQ(head->Get("accept"), "1, 2");
  EXPECT_EQ(head->Get("empty"), "");
}

TEST(HttpMessage, AmbiguousHeadsAreRefused) {
  for (const char* bad : {"GET", "GET  HTTP/1.1", "GET / HTTP/1.1\r\nno colon", "GET / HTTP/1.1\r\nName : x", "GET / HTTP/1.1\r\n folded: x",
                          "GET / HTTP/1.1\r\na: x\ny: z", "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", "GET / HTTP/1.1\r\n: x"}) {
    EXPECT_FALSE(http::ParseHead(bad).ok()) << bad;
  }
  auto both = http::ParseHead("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked");
  EXPECT_FALSE(http::ParseBodyLength(*both).ok());
  for (const char* length : {"-1", "+1", "1 2", "0x1", "99999999999999999999", ""}) {
    auto head = http::ParseHead(StrCat("POST / HTTP/1.1\r\nContent-Length: ", length));
    EXPECT_FALSE(http::ParseBodyLength(*head).ok()) << length;
  }
}

TEST(HttpMessage, UrlsAreParsed) {
  auto url = http::ParseUrl("https://host.test:8443/a/b?c");
  ASSERT_TRUE(url.ok());
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "host.test");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/a/b?c");
  EXPECT_EQ(http::ParseUrl("http://[::1]:80")->host, "::1");
  EXPECT_EQ(http::ParseUrl("http://[::1]")->port, 80);
  for (const char* bad : {"ftp://x", "http://", "http://x:0/", "http://x:y/", "http://u@x/", "http://x/ y", "http://x/\r\nA: b"}) {
    EXPECT_FALSE(http::ParseUrl(bad).ok()) << bad;
  }
}

// --------------------------------------------------------------------------------------------------------------- server

void AddEcho(HttpServer* server) {
  server->Handle("POST", "/echo", [](Context, HttpRequest request) -> Task<HttpResponse> {
    co_return HttpResponse{.body = StrCat(request.peer.common_name, "|", request.query, "|", request.body)};
  });
}

class HttpTest : public testing::Test {
 protected:
  void Run(HttpServerOptions options, std::function<Task<absl::Status>(Context, std::string address)> body) {
    absl::Status status = world_.executor()->RunMain([&](Context outer) -> Task<absl::Status> {
      Context ctx = outer.WithTimeout(20s);
      HttpServer server(ctx, network(), options);
      AddEcho(&server);
      absl::Status ready = absl::UnavailableError("still starting");
      AddStandardHandlers(&server, [&] { return ready; }, [] { return "metric 1\n"; });
      CO_ASSIGN_OR_RETURN(int port, server.Listen("127.0.0.1:0"));
      CO_RETURN_IF_ERROR(co_await body(ctx, StrCat("127.0.0.1:", port)));
      co_await server.Shutdown();
      co_return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
  }

  // What comes back for raw bytes, to the end of the connection.
  Task<absl::StatusOr<std::string>> Raw(Context ctx, std::string address, std::string bytes) {
    CO_ASSIGN_OR_RETURN(auto stream, co_await network()->Dial(ctx, address));
    CO_RETURN_IF_ERROR(co_await stream->Write(ctx, bytes));
    std::string out;
    char buffer[4096];
    while (true) {
      auto n = co_await stream->Read(ctx, buffer, sizeof(buffer));
      if (!n.ok() || *n == 0) co_return out;
      out.append(buffer, *n);
    }
  }

  Network* network() { return world_.runtime().network; }
  RealWorld world_;
};

TEST_F(HttpTest, CallsAreAnswered) {
  Run({}, [&](Context ctx, std::string address) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto reply, co_await HttpPost(ctx, network(), StrCat("http://", address, "/echo?q"), "hello", nullptr));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "|q|hello");
    std::string large(3'000'000, 'x');
    CO_ASSIGN_OR_RETURN(reply, co_await HttpPost(ctx, network(), StrCat("http://", address, "/echo"), large, nullptr));
    EXPECT_EQ(reply.body.size(), large.size() + 2);
    HttpCall get;
    get.url = StrCat("http://", address, "/metrics");
    CO_ASSIGN_OR_RETURN(reply, co_await HttpFetch(ctx, network(), get));
    EXPECT_EQ(reply.body, "metric 1\n");
    EXPECT_EQ(reply.content_type, "text/plain; version=0.0.4; charset=utf-8");
    get.url = StrCat("http://", address, "/readyz");
    CO_ASSIGN_OR_RETURN(reply, co_await HttpFetch(ctx, network(), get));
    EXPECT_EQ(reply.status, 503);
    EXPECT_EQ(reply.body, "still starting\n");
    get.url = StrCat("http://", address, "/none");
    CO_ASSIGN_OR_RETURN(reply, co_await HttpFetch(ctx, network(), get));
    EXPECT_EQ(reply.status, 404);
    get.url = StrCat("http://", address, "/echo");
    CO_ASSIGN_OR_RETURN(reply, co_await HttpFetch(ctx, network(), get));
    EXPECT_EQ(reply.status, 405);
    EXPECT_EQ(reply.headers["allow"], "POST");
    co_return absl::OkStatus();
  });
}

TEST_F(HttpTest, ConnectionsCarryManyRequestsAndChunks) {
  Run({}, [&](Context ctx, std::string address) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(std::string got, co_await Raw(ctx, address,
                                                      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n"
                                                      "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
                                                      "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    EXPECT_NE(got.find("\r\n\r\n||abcdeHTTP/1.1 200 OK\r\n"), std::string::npos) << got;
    EXPECT_EQ(got.substr(got.size() - 7), "\r\n\r\nok\n");
    EXPECT_EQ(got.find("ok\nHTTP"), std::string::npos) << "HEAD has no body";
    co_return absl::OkStatus();
  });
}

TEST_F(HttpTest, HostileRequestsAreRefused) {
  HttpServerOptions options;
  options.max_body_bytes = 100;
  options.request_timeout = 200ms;
  Run(options, [&](Context ctx, std::string address) -> Task<absl::Status> {
    auto first_line = [&](std::string bytes) -> Task<std::string> {
      auto got = co_await Raw(ctx, address, std::move(bytes));
      co_return got.ok() ? got->substr(0, got->find("\r\n")) : got.status().ToString();
    };
    EXPECT_EQ(co_await first_line("garbage\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    EXPECT_EQ(co_await first_line("GET / HTTP/2.0\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    EXPECT_EQ(co_await first_line("POST /echo HTTP/1.1\r\nContent-Length: 101\r\n\r\n"), "HTTP/1.1 413 Content Too Large");
    EXPECT_EQ(co_await first_line("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), "HTTP/1.1 413 Content Too Large");
    EXPECT_EQ(co_await first_line("POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"), "HTTP/1.1 501 Not Implemented");
    EXPECT_EQ(co_await first_line(StrCat("GET / HTTP/1.1\r\nA: ", std::string(20000, 'x'), "\r\n\r\n")), "HTTP/1.1 431 Request Header Fields Too Large");
    EXPECT_EQ(co_await first_line("GET / HTTP/1.1\r\nHalf: "), "HTTP/1.1 408 Request Timeout");
    co_return absl::OkStatus();
  });
}

TEST_F(HttpTest, MutualTlsTellsTheHandlerWhoCalls) {
  CertificateAndKey ca = *CreateCa("CA");
  auto server = *IssuePoolCertificate(ca, {"localhost", "127.0.0.1"});
  auto caller = *IssueOperatorCertificate(ca, {"localhost"});
  HttpServerOptions options;
  options.identity = *TlsIdentity::FromPem(ca.certificate_pem, server.certificate_pem, server.key_pem);
  auto identity = *TlsIdentity::FromPem(ca.certificate_pem, caller.certificate_pem, caller.key_pem);
  auto nobody = *TlsIdentity::FromPem(ca.certificate_pem, "", "");
  Run(options, [&](Context ctx, std::string address) -> Task<absl::Status> {
    std::string url = StrCat("https://", address, "/echo");
    CO_ASSIGN_OR_RETURN(auto reply, co_await HttpPost(ctx, network(), url, "x", identity));
    EXPECT_EQ(reply.body, "operator||x");
    EXPECT_FALSE((co_await HttpPost(ctx, network(), url, "x", nobody)).ok());
    EXPECT_FALSE((co_await HttpPost(ctx, network(), StrCat("http://", address, "/echo"), "x", nullptr)).ok());
    co_return absl::OkStatus();
  });
}

TEST(HttpSim, WorksInTheSimulatedWorld) {
  Simulation sim(4);
  SimProcess* pod = sim.AddProcess("pod");
  SimProcess* caller = sim.AddProcess("operator");
  pod->Boot([](SimProcess& p) -> std::shared_ptr<void> {
    HttpServerOptions options;
    options.identity = TlsIdentity::ForSimulation({.common_name = "pool", .organizational_unit = "Pool", .uris = {}, .address = ""});
    auto server = std::make_shared<HttpServer>(p.context(), p.runtime().network, options);
    AddEcho(server.get());
    CHECK_OK(server->Listen(":8443").status());
    return server;
  });
  auto identity = TlsIdentity::ForSimulation({.common_name = "operator", .organizational_unit = "Operators", .uris = {}, .address = ""});
  absl::Status status = sim.Run(caller, [&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto reply, co_await HttpPost(ctx, caller->runtime().network, "https://pod:8443/echo", std::string(100'000, 'x'), identity));
    EXPECT_EQ(reply.body.substr(0, 12), "operator||xx");
    EXPECT_EQ(reply.body.size(), 100'010u);
    co_return absl::OkStatus();
  }, 10s);
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace insula
