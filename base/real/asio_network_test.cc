#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/real/real_world.h"
#include "base/runtime/random.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/certificates.h"
#include "base/tls/tls_identity.h"

namespace insula {
namespace {

using Streams = std::function<Task<absl::Status>(Context, ByteStream&)>;

class AsioNetworkTest : public testing::Test {
 protected:
  static std::shared_ptr<const TlsIdentity> Identity(const std::string& ca, const CertificateAndKey& own) {
    return *TlsIdentity::FromPem(ca, own.certificate_pem, own.key_pem);
  }

  // Runs `server` on an accepted connection and `client` on the connection to it, to the end of both.
  void Run(Streams server, Streams client) {
    absl::Status status = loop_->RunMain([&](Context outer) -> Task<absl::Status> {
      Context ctx = outer.WithTimeout(20s);
      CO_ASSIGN_OR_RETURN(auto listener, network_->Listen("127.0.0.1:0"));
      TaskGroup group(ctx);
      group.SpawnFn([&]() -> Task<void> {
        auto stream = co_await listener->Accept(ctx);
        EXPECT_TRUE(stream.ok());
        server_status_ = co_await server(ctx, **stream);
      });
      CO_ASSIGN_OR_RETURN(auto stream, co_await network_->Dial(ctx, StrCat("localhost:", listener->port())));
      client_status_ = co_await client(ctx, *stream);
      stream.reset();
      co_await group.Wait();
      co_return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
  }

  static Task<absl::StatusOr<std::string>> ReadAll(Context ctx, ByteStream& stream) {
    std::string out;
    char buffer[10000];
    while (true) {
      CO_ASSIGN_OR_RETURN(size_t n, co_await stream.Read(ctx, buffer, sizeof(buffer)));
      if (n == 0) co_return out;
      out.append(buffer, n);
    }
  }

  std::unique_ptr<RealExecutor> loop_ = MakeRealExecutor();
  std::unique_ptr<Network> network_ = MakeAsioNetwork(loop_.get());
  CertificateAndKey ca_ = *CreateCa("CA");
  CertificateAndKey server_cert_ = *IssueServerCertificate(ca_, {"localhost", "127.0.0.1", "acme-7.insula.test"});
  CertificateAndKey client_cert_ = *IssueNodeCertificate(ca_, 4, {"localhost"});
  absl::Status server_status_ = absl::UnknownError("did not run");
  absl::Status client_status_ = absl::UnknownError("did not run");
};

TEST_F(AsioNetworkTest, BytesArriveWholeAndInOrder) {
  const std::string text = SeededRandom(1).Bytes(5'000'000);
  std::string received;
  Run([&](Context ctx, ByteStream& s) -> Task<absl::Status> {
        CO_ASSIGN_OR_RETURN(received, co_await ReadAll(ctx, s));
        co_return absl::OkStatus();
      },
      [&](Context ctx, ByteStream& s) -> Task<absl::Status> { co_return co_await s.Write(ctx, text); });
  EXPECT_TRUE(server_status_.ok()) << server_status_;
  EXPECT_TRUE(client_status_.ok()) << client_status_;
  EXPECT_TRUE(received == text);
}

TEST_F(AsioNetworkTest, TlsTellsBothSidesWhoIsThere) {
  const std::string text = SeededRandom(2).Bytes(1'000'000);
  std::string received;
  TlsSessionInfo at_server, at_client;
  Run([&](Context ctx, ByteStream& s) -> Task<absl::Status> {
        char first[8];
        CO_ASSIGN_OR_RETURN(size_t n, co_await s.Read(ctx, first, sizeof(first)));  // as the proxy sniffs
        TlsServerOptions options;
        options.identity = Identity(ca_.certificate_pem, server_cert_);
        options.require_client_certificate = true;
        options.alpn = "postgresql";
        CO_ASSIGN_OR_RETURN(at_server, co_await s.StartTlsServer(ctx, options, std::string(first, n)));
        CO_RETURN_IF_ERROR(co_await s.Write(ctx, "welcome"));
        CO_ASSIGN_OR_RETURN(received, co_await ReadAll(ctx, s));
        co_return absl::OkStatus();
      },
      [&](Context ctx, ByteStream& s) -> Task<absl::Status> {
        TlsClientOptions options;
        options.identity = Identity(ca_.certificate_pem, client_cert_);
        options.server_name = "acme-7.insula.test";
        options.alpn = "postgresql";
        CO_ASSIGN_OR_RETURN(at_client, co_await s.StartTlsClient(ctx, options));
        char buffer[7];
        CO_ASSIGN_OR_RETURN(size_t n, co_await s.Read(ctx, buffer, sizeof(buffer)));
        EXPECT_EQ(std::string(buffer, n), "welcome");
        co_return co_await s.Write(ctx, text);
      });
  EXPECT_TRUE(server_status_.ok()) << server_status_;
  EXPECT_TRUE(client_status_.ok()) << client_status_;
  EXPECT_TRUE(received == text);
  EXPECT_EQ(at_server.sni, "acme-7.insula.test");
  EXPECT_EQ(at_server.alpn, "postgresql");
  EXPECT_EQ(at_server.peer.common_name, "node-4");
  EXPECT_EQ(at_server.peer.organizational_unit, "Nodes");
  EXPECT_EQ(at_client.alpn, "postgresql");
  EXPECT_EQ(at_client.peer.common_name, "localhost");
  EXPECT_NE(at_client.peer.address, "");
}

TEST_F(AsioNetworkTest, ClientsWithoutCertificateAndAddressesAsNamesWork) {
  TlsSessionInfo at_server;
  auto client_identity = *TlsIdentity::FromPem(ca_.certificate_pem, "", "");
  Run([&](Context ctx, ByteStream& s) -> Task<absl::Status> {
        TlsServerOptions options;
        options.identity = Identity("", server_cert_);
        CO_ASSIGN_OR_RETURN(at_server, co_await s.StartTlsServer(ctx, options, ""));
        co_return (co_await ReadAll(ctx, s)).status();
      },
      [&](Context ctx, ByteStream& s) -> Task<absl::Status> {
        TlsClientOptions options;
        options.identity = client_identity;
        options.server_name = "127.0.0.1";
        co_return (co_await s.StartTlsClient(ctx, options)).status();
      });
  EXPECT_TRUE(server_status_.ok()) << server_status_;
  EXPECT_TRUE(client_status_.ok()) << client_status_;
  EXPECT_EQ(at_server.sni, "") << "addresses are not sent as names";
  EXPECT_EQ(at_server.peer.common_name, "");
}

TEST_F(AsioNetworkTest, WrongAuthoritiesNamesAndMissingCertificatesAreRefused) {
  CertificateAndKey other_ca = *CreateCa("other");
  auto handshake = [&](std::shared_ptr<const TlsIdentity> client, std::string name, bool mutual) {
    Run([&](Context ctx, ByteStream& s) -> Task<absl::Status> {
          TlsServerOptions options;
          options.identity = Identity(ca_.certificate_pem, server_cert_);
          options.require_client_certificate = mutual;
          co_return (co_await s.StartTlsServer(ctx, options, "")).status();
        },
        [&](Context ctx, ByteStream& s) -> Task<absl::Status> {
          TlsClientOptions options;
          options.identity = client;
          options.server_name = name;
          CO_RETURN_IF_ERROR((co_await s.StartTlsClient(ctx, options)).status());
          co_return (co_await ReadAll(ctx, s)).status();
        });
  };
  handshake(*TlsIdentity::FromPem(other_ca.certificate_pem, "", ""), "localhost", false);
  EXPECT_EQ(client_status_.code(), absl::StatusCode::kUnauthenticated) << client_status_;
  EXPECT_FALSE(server_status_.ok());
  handshake(*TlsIdentity::FromPem(ca_.certificate_pem, "", ""), "elsewhere.test", false);
  EXPECT_EQ(client_status_.code(), absl::StatusCode::kUnauthenticated) << client_status_;
  handshake(*TlsIdentity::FromPem(ca_.certificate_pem, "", ""), "localhost", true);
  EXPECT_EQ(server_status_.code(), absl::StatusCode::kUnauthenticated) << server_status_;
  auto foreign = *IssueNodeCertificate(other_ca, 4, {"localhost"});
  handshake(Identity(ca_.certificate_pem, foreign), "localhost", true);
  EXPECT_EQ(server_status_.code(), absl::StatusCode::kUnauthenticated) << server_status_;
}

TEST_F(AsioNetworkTest, GarbageInsteadOfTlsIsAnError) {
  Run([&](Context ctx, ByteStream& s) -> Task<absl::Status> {
        TlsServerOptions options;
        options.identity = Identity(ca_.certificate_pem, server_cert_);
        co_return (co_await s.StartTlsServer(ctx, options, "")).status();
      },
      [&](Context ctx, ByteStream& s) -> Task<absl::Status> {
        CO_RETURN_IF_ERROR(co_await s.Write(ctx, "GET / HTTP/1.1\r\n\r\n"));
        co_return absl::OkStatus();
      });
  EXPECT_FALSE(server_status_.ok());
}

TEST_F(AsioNetworkTest, WaitsEndWithTheirContextAndWithClose) {
  Run([&](Context ctx, ByteStream& s) -> Task<absl::Status> { co_return (co_await ReadAll(ctx, s)).status(); },
      [&](Context ctx, ByteStream& s) -> Task<absl::Status> {
        char c;
        EXPECT_EQ((co_await s.Read(ctx.WithTimeout(10ms), &c, 1)).status().code(), absl::StatusCode::kDeadlineExceeded);
        TaskGroup group(ctx);
        absl::Status closed;
        group.SpawnFn([&]() -> Task<void> { closed = (co_await s.Read(ctx, &c, 1)).status(); });
        CO_RETURN_IF_ERROR(co_await ctx.Yield());
        s.Close();
        co_await group.Wait();
        EXPECT_EQ(closed.code(), absl::StatusCode::kUnavailable);
        co_return absl::OkStatus();
      });
  EXPECT_TRUE(server_status_.ok()) << server_status_;
  EXPECT_TRUE(client_status_.ok()) << client_status_;
}

TEST_F(AsioNetworkTest, LastWordsArriveAlthoughTheCloserLeftInputUnread) {
  std::string received;
  Run([&](Context ctx, ByteStream& s) -> Task<absl::Status> {
        char c;
        CO_RETURN_IF_ERROR((co_await s.Read(ctx, &c, 1)).status());
        CO_RETURN_IF_ERROR(co_await s.Write(ctx, "goodbye"));
        s.Close();
        co_return absl::OkStatus();
      },
      [&](Context ctx, ByteStream& s) -> Task<absl::Status> {
        CO_RETURN_IF_ERROR(co_await s.Write(ctx, std::string(10'000, 'x')));
        CO_ASSIGN_OR_RETURN(received, co_await ReadAll(ctx, s));
        co_return absl::OkStatus();
      });
  EXPECT_TRUE(client_status_.ok()) << client_status_;
  EXPECT_EQ(received, "goodbye");
}

TEST_F(AsioNetworkTest, BusyPortsAndDeadAddressesAreReported) {
  absl::Status status = loop_->RunMain([&](Context ctx) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto listener, network_->Listen("127.0.0.1:0"));
    std::string address = StrCat("127.0.0.1:", listener->port());
    EXPECT_EQ(network_->Listen(address).status().code(), absl::StatusCode::kAlreadyExists);
    listener.reset();
    EXPECT_EQ((co_await network_->Dial(ctx, address)).status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ((co_await network_->Dial(ctx, "no port")).status().code(), absl::StatusCode::kInvalidArgument);
    CO_ASSIGN_OR_RETURN(listener, network_->Listen(address));
    co_return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace insula
