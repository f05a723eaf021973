#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/real/real_world.h"
#include "base/runtime/random.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/certificates.h"
#include "base/tls/tls_identity.h"

namespace insula {
namespace {

constexpr char kEcho[] = "/test.Echo/Echo";
constexpr char kFlood[] = "/test.Echo/Flood";

class GrpcTransportTest : public testing::Test {
 protected:
  std::shared_ptr<const TlsIdentity> Identity(const CertificateAndKey& own) {
    return *TlsIdentity::FromPem(ca_.certificate_pem + tenant_ca_.certificate_pem, own.certificate_pem, own.key_pem);
  }
  std::unique_ptr<Transport> Make(std::shared_ptr<const TlsIdentity> identity) { return MakeGrpcTransport(loop_.get(), std::move(identity)); }

  std::unique_ptr<Transport> MakeServer() {
    auto server = Make(Identity(*IssueNodeCertificate(ca_, 1, {"localhost", "127.0.0.1"})));
    server->Handle(kEcho, [this](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
      ++running_;
      peers_.push_back(stream->peer());
      info_ = ctx.info();
      absl::Status status = co_await Echo(ctx, *stream);
      --running_;
      last_ = status;
      changed_.NotifyAll();
      co_return status;
    });
    server->Handle(kFlood, [this](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
      while (true) {
        CO_RETURN_IF_ERROR(co_await stream->Send(ctx, std::string(100'000, 'x')));
        ++flooded_;
      }
    });
    return server;
  }

  Task<absl::Status> Echo(Context ctx, MessageStream& stream) {
    while (true) {
      CO_ASSIGN_OR_RETURN(auto message, co_await stream.Receive(ctx));
      if (!message.has_value()) co_return absl::OkStatus();
      if (*message == "fail") co_return absl::AbortedError("as asked");
      CO_RETURN_IF_ERROR(co_await stream.Send(ctx, std::move(*message)));
    }
  }

  // Runs `body` with a server and a client that are connected to each other.
  void Run(std::function<Task<absl::Status>(Context, Transport& client, std::string address)> body) {
    absl::Status status = loop_->RunMain([&](Context outer) -> Task<absl::Status> {
      Context ctx = outer.WithTimeout(50s);
      auto server = MakeServer();
      CO_ASSIGN_OR_RETURN(int port, server->Listen("127.0.0.1:0"));
      auto client = Make(Identity(*IssueTenantCertificate(tenant_ca_, 7, 3, 1h)));
      CO_RETURN_IF_ERROR(co_await body(ctx, *client, StrCat("127.0.0.1:", port)));
      co_await server->Shutdown(5s);
      co_return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
  }

  Task<absl::Status> UntilIdle(Context ctx) {
    while (running_ > 0) CO_RETURN_IF_ERROR(co_await changed_.Wait(ctx));
    co_return absl::OkStatus();
  }

  std::unique_ptr<RealExecutor> loop_ = MakeRealExecutor();
  CertificateAndKey ca_ = *CreateCa("cluster CA");
  CertificateAndKey tenant_ca_ = *CreateCa("tenant CA");
  int running_ = 0;
  int flooded_ = 0;
  std::vector<PeerIdentity> peers_;
  RequestInfo info_;
  absl::Status last_;
  Condition changed_;
};

TEST_F(GrpcTransportTest, MessagesGoRoundInOrder) {
  Run([&](Context ctx, Transport& client, std::string address) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto stream, co_await client.Open(ctx.WithInfo({.trace_id = 77, .tenant_id = 7, .priority = -2}), address, kEcho));
    TaskGroup sender(ctx);
    sender.SpawnFn([&]() -> Task<void> {
      for (int i = 0; i < 2000; ++i) {
        absl::Status sent = co_await stream->Send(ctx, StrCat(i));
        EXPECT_TRUE(sent.ok()) << sent;
      }
      EXPECT_TRUE((co_await stream->CloseSend(ctx)).ok());
    });
    for (int i = 0; i < 2000; ++i) {
      CO_ASSIGN_OR_RETURN(auto reply, co_await stream->Receive(ctx));
      EXPECT_EQ(reply, StrCat(i));
    }
    CO_ASSIGN_OR_RETURN(auto end, co_await stream->Receive(ctx));
    EXPECT_FALSE(end.has_value());
    co_await sender.Wait();
    EXPECT_EQ(stream->peer().common_name, "node-1");
    EXPECT_EQ(stream->peer().address, address);
    co_return absl::OkStatus();
  });
  ASSERT_EQ(peers_.size(), 1u);
  EXPECT_EQ(peers_[0].organizational_unit, "Tenants");
  EXPECT_EQ(peers_[0].common_name, "7");
  EXPECT_EQ(peers_[0].uris, std::vector<std::string>{"insula://tenant/7/generation/3"});
  EXPECT_EQ(info_.trace_id, 77u);
  EXPECT_EQ(info_.priority, -2);
  EXPECT_EQ(info_.tenant_id, 0u) << "the tenant comes from the certificate only";
}

TEST_F(GrpcTransportTest, LargeMessagesGoThroughAndTooLargeOnesAreRefused) {
  Run([&](Context ctx, Transport& client, std::string address) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto stream, co_await client.Open(ctx, address, kEcho));
    for (size_t size : {size_t{0}, size_t{1}, size_t{8192}, size_t{8193}, size_t{5'000'000}, size_t{40} << 20}) {
      std::string message = SeededRandom(size).Bytes(size);
      CO_RETURN_IF_ERROR(co_await stream->Send(ctx, message));
      CO_ASSIGN_OR_RETURN(auto reply, co_await stream->Receive(ctx));
      EXPECT_TRUE(reply == message) << size;
    }
    EXPECT_EQ((co_await stream->Send(ctx, std::string(kMaxMessageBytes + 1, 'x'))).code(), absl::StatusCode::kResourceExhausted);
    co_return absl::OkStatus();
  });
}

TEST_F(GrpcTransportTest, StatusesReachTheCaller) {
  Run([&](Context ctx, Transport& client, std::string address) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto stream, co_await client.Open(ctx, address, kEcho));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, "fail"));
    EXPECT_EQ((co_await stream->Receive(ctx)).status(), absl::AbortedError("as asked"));
    EXPECT_FALSE((co_await stream->Send(ctx, "more")).ok());
    CO_ASSIGN_OR_RETURN(stream, co_await client.Open(ctx, address, "/test.Echo/None"));
    EXPECT_EQ((co_await stream->Receive(ctx)).status().code(), absl::StatusCode::kUnimplemented);
    co_return absl::OkStatus();
  });
}

TEST_F(GrpcTransportTest, DestroyingAStreamCancelsItsHandler) {
  Run([&](Context ctx, Transport& client, std::string address) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto stream, co_await client.Open(ctx, address, kEcho));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, "x"));
    CO_RETURN_IF_ERROR((co_await stream->Receive(ctx)).status());
    EXPECT_EQ(running_, 1);
    stream.reset();
    CO_RETURN_IF_ERROR(co_await UntilIdle(ctx));
    EXPECT_EQ(last_.code(), absl::StatusCode::kCancelled);
    co_return absl::OkStatus();
  });
}

TEST_F(GrpcTransportTest, ReceiveEndsWithItsContextAndTheStreamGoesOn) {
  Run([&](Context ctx, Transport& client, std::string address) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto stream, co_await client.Open(ctx, address, kEcho));
    EXPECT_EQ((co_await stream->Receive(ctx.WithTimeout(20ms))).status().code(), absl::StatusCode::kDeadlineExceeded);
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, "still here"));
    CO_ASSIGN_OR_RETURN(auto reply, co_await stream->Receive(ctx));
    EXPECT_EQ(reply, "still here");
    co_return absl::OkStatus();
  });
}

TEST_F(GrpcTransportTest, SendersWaitForReaders) {
  Run([&](Context ctx, Transport& client, std::string address) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto stream, co_await client.Open(ctx, address, kFlood));
    CO_RETURN_IF_ERROR((co_await stream->Receive(ctx)).status());
    // Until the server stands still: nothing is sent for a while.
    for (int before = -1; before != flooded_;) {
      before = flooded_;
      CO_RETURN_IF_ERROR(co_await Sleep(ctx, 300ms));
    }
    EXPECT_LT(flooded_, 500) << "50 MB in memory for a reader that does not read";
    int stopped_at = flooded_;
    for (int i = 0; i < stopped_at + 100; ++i) CO_RETURN_IF_ERROR((co_await stream->Receive(ctx)).status());
    EXPECT_GT(flooded_, stopped_at);
    co_return absl::OkStatus();
  });
}

TEST_F(GrpcTransportTest, PeersOfAnotherAuthorityAreRefusedBothWays) {
  Run([&](Context ctx, Transport& client, std::string address) -> Task<absl::Status> {
    CertificateAndKey other = *CreateCa("other CA");
    auto node = *IssueNodeCertificate(other, 1, {"localhost", "127.0.0.1"});
    // It trusts our server, but our server does not trust it.
    auto intruder = Make(Identity(node));
    auto call = [&](Transport& transport) -> Task<absl::Status> {
      CO_ASSIGN_OR_RETURN(auto stream, co_await transport.Open(ctx, address, kEcho));
      CO_RETURN_IF_ERROR(co_await stream->Send(ctx, "x"));
      co_return (co_await stream->Receive(ctx)).status();
    };
    EXPECT_EQ((co_await call(*intruder)).code(), absl::StatusCode::kUnavailable);
    // It trusts somebody else than our server.
    auto stranger = Make(*TlsIdentity::FromPem(other.certificate_pem, node.certificate_pem, node.key_pem));
    EXPECT_EQ((co_await call(*stranger)).code(), absl::StatusCode::kUnavailable);
    EXPECT_TRUE((co_await client.Open(ctx, address, kEcho)).ok());
    co_return absl::OkStatus();
  });
  for (const auto& peer : peers_) EXPECT_EQ(peer.organizational_unit, "Tenants");
}

TEST_F(GrpcTransportTest, ADeadServerBreaksStreamsAndARestartedOneIsFound) {
  absl::Status status = loop_->RunMain([&](Context outer) -> Task<absl::Status> {
    Context ctx = outer.WithTimeout(50s);
    auto server = MakeServer();
    CO_ASSIGN_OR_RETURN(int port, server->Listen("127.0.0.1:0"));
    std::string address = StrCat("127.0.0.1:", port);
    auto client = Make(Identity(*IssueNodeCertificate(ca_, 2, {"localhost"})));
    CO_ASSIGN_OR_RETURN(auto stream, co_await client->Open(ctx, address, kEcho));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, "x"));
    CO_RETURN_IF_ERROR((co_await stream->Receive(ctx)).status());
    server.reset();
    EXPECT_EQ((co_await stream->Receive(ctx)).status().code(), absl::StatusCode::kUnavailable);
    MonoTime start = loop_->Now();
    auto refused = co_await client->Open(ctx, address, kEcho);
    absl::Status why = refused.status();
    if (refused.ok()) why = (co_await (*refused)->Receive(ctx)).status();
    EXPECT_EQ(why.code(), absl::StatusCode::kUnavailable);
    EXPECT_LT(loop_->Now() - start, 2s) << "a refused connection is known at once";
    server = MakeServer();
    CO_RETURN_IF_ERROR(server->Listen(address).status());
    start = loop_->Now();
    while (true) {
      auto again = co_await client->Open(ctx, address, kEcho);
      if (again.ok() && (co_await (*again)->Send(ctx, "y")).ok() && (co_await (*again)->Receive(ctx)).ok()) break;
      CO_RETURN_IF_ERROR(co_await Sleep(ctx, 20ms));
    }
    EXPECT_LT(loop_->Now() - start, 3s);
    co_return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(GrpcTransportTest, ShutdownWaitsForHandlersAndThenCancelsThem) {
  absl::Status status = loop_->RunMain([&](Context outer) -> Task<absl::Status> {
    Context ctx = outer.WithTimeout(50s);
    auto server = MakeServer();
    CO_ASSIGN_OR_RETURN(int port, server->Listen("127.0.0.1:0"));
    auto client = Make(Identity(*IssueNodeCertificate(ca_, 2, {"localhost"})));
    CO_ASSIGN_OR_RETURN(auto stream, co_await client->Open(ctx, StrCat("127.0.0.1:", port), kEcho));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, "x"));
    CO_RETURN_IF_ERROR((co_await stream->Receive(ctx)).status());
    co_await server->Shutdown(100ms);
    EXPECT_EQ(running_, 0);
    EXPECT_EQ(last_.code(), absl::StatusCode::kCancelled);
    EXPECT_FALSE((co_await stream->Receive(ctx)).ok());
    co_return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(GrpcTransportTest, BusyPortsAreReported) {
  auto a = MakeServer();
  auto b = MakeServer();
  int port = *a->Listen("127.0.0.1:0");
  EXPECT_EQ(b->Listen(StrCat("127.0.0.1:", port)).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(GrpcTransportTest, TheStandardHealthServiceAnswers) {
  Run([&](Context ctx, Transport& client, std::string address) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto stream, co_await client.Open(ctx, address, "/grpc.health.v1.Health/Check"));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, ""));
    CO_ASSIGN_OR_RETURN(auto reply, co_await stream->Receive(ctx));
    EXPECT_EQ(reply, "\x08\x01");
    co_return absl::OkStatus();
  });
}

TEST_F(GrpcTransportTest, ReflectionListsTheServices) {
  Run([&](Context ctx, Transport& client, std::string address) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto stream, co_await client.Open(ctx, address, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, std::string("\x3a\x01*", 3)));  // list_services: "*"
    CO_ASSIGN_OR_RETURN(auto reply, co_await stream->Receive(ctx));
    EXPECT_NE(reply->find("\x0a\x09test.Echo"), std::string::npos);
    EXPECT_NE(reply->find("grpc.health.v1.Health"), std::string::npos);
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, "\x22\x04none"));
    CO_ASSIGN_OR_RETURN(reply, co_await stream->Receive(ctx));
    EXPECT_NE(reply->find("none is not known here"), std::string::npos);
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, std::string("\x1a\x20") + "google/protobuf/descriptor.proto"));
    CO_ASSIGN_OR_RETURN(reply, co_await stream->Receive(ctx));
    EXPECT_NE(reply->find("FileDescriptorProto"), std::string::npos);
    co_return co_await stream->CloseSend(ctx);
  });
}

}  // namespace
}  // namespace insula
