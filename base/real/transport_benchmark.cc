// Prints the latency of ping-pongs on loopback: message streams (gRPC, mutual TLS,
// between two processes), byte streams (plain, TLS), file syncs.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/async/blocking.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/check.h"
#include "base/real/real_world.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/certificates.h"
#include "base/tls/tls_identity.h"

namespace insula {
namespace {

constexpr int kRounds = 20000;

void Report(const char* name, std::vector<double> micros) {
  std::sort(micros.begin(), micros.end());
  std::printf("%-34s p50 %7.1f us   p99 %7.1f us\n", name, micros[micros.size() / 2], micros[micros.size() * 99 / 100]);
}

struct Identities {
  CertificateAndKey ca = *CreateCa("CA");
  std::shared_ptr<const TlsIdentity> Node(int id) {
    auto own = *IssueNodeCertificate(ca, id, {"localhost", "127.0.0.1"});
    return *TlsIdentity::FromPem(ca.certificate_pem, own.certificate_pem, own.key_pem);
  }
};

Task<absl::Status> Echo(Context ctx, std::unique_ptr<MessageStream> stream) {
  while (true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message.has_value()) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, std::move(*message)));
  }
}

template <typename F>
Task<absl::StatusOr<std::vector<double>>> Measure(const Context& ctx, int rounds, F one) {
  std::vector<double> micros;
  for (int i = 0; i < rounds; ++i) {
    MonoTime start = ctx.executor().Now();
    CO_RETURN_IF_ERROR(co_await one());
    if (i >= rounds / 10) micros.push_back(std::chrono::duration<double, std::micro>(ctx.executor().Now() - start).count());
  }
  co_return micros;
}

// The other process: serves until the pipe's other end closes.
int Serve(Identities* ids, int port_pipe, int end_pipe) {
  auto loop = MakeRealExecutor();
  absl::Status status = loop->RunMain([&](Context ctx) -> Task<absl::Status> {
    auto server = MakeGrpcTransport(loop.get(), ids->Node(1));
    server->Handle("/bench.Echo/Echo", Echo);
    CO_ASSIGN_OR_RETURN(int port, server->Listen("127.0.0.1:0"));
    CHECK_EQ(write(port_pipe, &port, sizeof(port)), static_cast<ssize_t>(sizeof(port)));
    co_await Blocking<int>(ctx, [end_pipe] {
      char c;
      return static_cast<int>(read(end_pipe, &c, 1));
    });
    co_return absl::OkStatus();
  });
  return status.ok() ? 0 : 1;
}

Task<absl::Status> Messages(Context ctx, RealExecutor* loop, Identities* ids, int port) {
  auto client = MakeGrpcTransport(loop, ids->Node(2));
  std::string address = StrCat("127.0.0.1:", port);
  CO_ASSIGN_OR_RETURN(auto stream, co_await client->Open(ctx, address, "/bench.Echo/Echo"));
  for (size_t size : {100, 10000}) {
    std::string message(size, 'x');
    auto round = [&]() -> Task<absl::Status> {
      CO_RETURN_IF_ERROR(co_await stream->Send(ctx, message));
      co_return (co_await stream->Receive(ctx)).status();
    };
    CO_ASSIGN_OR_RETURN(auto micros, co_await Measure(ctx, kRounds, round));
    Report(StrCat("message stream, ", size, " bytes").c_str(), micros);
  }
  auto unary = [&]() -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto call, co_await client->Open(ctx, address, "/bench.Echo/Echo"));
    CO_RETURN_IF_ERROR(co_await call->Send(ctx, "x"));
    CO_RETURN_IF_ERROR(co_await call->CloseSend(ctx));
    CO_RETURN_IF_ERROR((co_await call->Receive(ctx)).status());
    co_return (co_await call->Receive(ctx)).status();
  };
  CO_ASSIGN_OR_RETURN(auto micros, co_await Measure(ctx, kRounds / 4, unary));
  Report("one call with one message", micros);
  // Throughput: many messages under way at once.
  TaskGroup sender(ctx);
  MonoTime start = loop->Now();
  sender.SpawnFn([&]() -> Task<void> {
    for (int i = 0; i < 10 * kRounds; ++i) CHECK_OK((co_await stream->Send(ctx, "0123456789")));
  });
  for (int i = 0; i < 10 * kRounds; ++i) CO_RETURN_IF_ERROR((co_await stream->Receive(ctx)).status());
  double seconds = std::chrono::duration<double>(loop->Now() - start).count();
  std::printf("message stream, pipelined          %.0f round trips/s\n", 10 * kRounds / seconds);
  co_return absl::OkStatus();
}

Task<absl::Status> Bytes(Context ctx, RealExecutor* loop, Network* network, Identities* ids, bool tls) {
  CO_ASSIGN_OR_RETURN(auto listener, network->Listen("127.0.0.1:0"));
  TaskGroup group(ctx);
  auto identity = ids->Node(1);
  group.SpawnFn([&]() -> Task<void> {
    auto stream = co_await listener->Accept(ctx);
    TlsServerOptions options;
    options.identity = identity;
    if (tls) CHECK_OK((co_await (*stream)->StartTlsServer(ctx, options, "")).status());
    char buffer[4096];
    while (true) {
      auto n = co_await (*stream)->Read(ctx, buffer, sizeof(buffer));
      if (!n.ok() || *n == 0) co_return;
      CHECK_OK((co_await (*stream)->Write(ctx, std::string_view(buffer, *n))));
    }
  });
  CO_ASSIGN_OR_RETURN(auto stream, co_await network->Dial(ctx, StrCat("127.0.0.1:", listener->port())));
  TlsClientOptions options;
  options.identity = identity;
  options.server_name = "localhost";
  if (tls) CO_RETURN_IF_ERROR((co_await stream->StartTlsClient(ctx, options)).status());
  std::string message(100, 'x');
  char buffer[4096];
  auto round = [&]() -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(co_await stream->Write(ctx, message));
    co_return (co_await stream->Read(ctx, buffer, sizeof(buffer))).status();
  };
  CO_ASSIGN_OR_RETURN(auto micros, co_await Measure(ctx, kRounds, round));
  Report(tls ? "byte stream, TLS, 100 bytes" : "byte stream, plain, 100 bytes", micros);
  stream->Close();
  co_await group.Wait();
  co_return absl::OkStatus();
}

Task<absl::Status> Syncs(Context ctx, FileSystem* files, std::string dir) {
  std::string path = dir + "/transport_benchmark.tmp";
  CO_ASSIGN_OR_RETURN(auto file, files->OpenAppend(path));
  auto one = [&]() -> Task<absl::Status> { co_return co_await file->WriteAndSync(ctx, std::string(512, 'x')); };
  CO_ASSIGN_OR_RETURN(auto micros, co_await Measure(ctx, 1000, one));
  Report("append and sync, 512 bytes", micros);
  co_return files->Remove(path);
}

int Main(const std::string& dir) {
  Identities ids;
  int port_pipe[2], end_pipe[2];
  CHECK_EQ(pipe(port_pipe), 0);
  CHECK_EQ(pipe(end_pipe), 0);
  pid_t server = fork();
  if (server == 0) {
    close(end_pipe[1]);
    return Serve(&ids, port_pipe[1], end_pipe[0]);
  }
  int port = 0;
  CHECK_EQ(read(port_pipe[0], &port, sizeof(port)), static_cast<ssize_t>(sizeof(port)));
  RealWorld world;
  absl::Status status = world.executor()->RunMain([&](Context ctx) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(co_await Messages(ctx, world.executor(), &ids, port));
    CO_RETURN_IF_ERROR(co_await Bytes(ctx, world.executor(), world.runtime().network, &ids, false));
    CO_RETURN_IF_ERROR(co_await Bytes(ctx, world.executor(), world.runtime().network, &ids, true));
    co_return co_await Syncs(ctx, world.runtime().files, dir);
  });
  close(end_pipe[1]);
  int exit_code = 0;
  CHECK_EQ(waitpid(server, &exit_code, 0), server);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace insula

int main(int argc, char** argv) { return insula::Main(argc > 1 ? argv[1] : "."); }
