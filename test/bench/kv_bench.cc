// Puts against a key-value cluster from one process, `--clients` at a time: Insula's nodes through kv/client, or etcd over the same
// gRPC transport. Prints one line of JSON: {"puts_per_s", "p50_ms", "p99_ms", "longest_ms", "gap_ms", "failed", "transfers"}: longest_ms
// is the slowest put, gap_ms the longest time in which none was answered. `--transfers=N` moves the lease of the range N times meanwhile.
//
//   kv_bench --kind=insula|etcd --addresses=A,B,C --ca=F --cert=F --key=F [--clients=64] [--seconds=5] [--bytes=256] [--transfers=0]
//
// A put is a transaction of its own on a key of its own, in one range: acknowledged when a quorum has synced it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/real/real_world.h"
#include "base/runtime/transport.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/tls_identity.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/client/database.h"
#include "kv/client/dist_sender.h"
#include "tenant/tenant.h"

namespace insula::bench {
namespace {

// A keyspace that no tenant of a fresh cluster has; it has a range of its own.
constexpr uint64_t kKeyspace = 60;

struct Flags {
  std::string kind = "insula";
  std::vector<std::string> addresses;
  std::string ca, cert, key;
  int clients = 64;
  double seconds = 5;
  size_t bytes = 256;
  int transfers = 0;
};

class Target {
 public:
  virtual ~Target() = default;
  virtual Task<absl::Status> Put(const Context& ctx, std::string key, std::string value) = 0;
  // To the next of the replicas, round and round.
  virtual Task<absl::Status> MoveLease(const Context&, uint64_t) { co_return absl::UnimplementedError("no leases to move"); }
};

class InsulaTarget : public Target {
 public:
  InsulaTarget(Context ctx, const Runtime& runtime, Transport* transport, std::vector<std::string> addresses)
      : database_(kv::MakeDatabase(std::move(ctx), runtime, transport, {.sender = {.bootstrap = std::move(addresses)}, .coordinator = {}})) {}
  Task<absl::Status> Put(const Context& ctx, std::string key, std::string value) override {
    auto txn = database_->Begin({.isolation = kv::Isolation::kSerializable});
    txn->Put(KeyspacePrefix(kKeyspace) + key, std::move(value));
    co_return co_await txn->Commit(ctx);
  }
  Task<absl::Status> MoveLease(const Context& ctx, uint64_t turn) override {
    const std::string key = KeyspacePrefix(kKeyspace) + "bench/";
    CO_ASSIGN_OR_RETURN(kv::v1::RangeDescriptor range, co_await database_->sender().Locate(ctx, key));
    kv::v1::BatchRequest batch = kv::NewBatch();
    auto* transfer = batch.add_requests()->mutable_admin_transfer_lease();
    transfer->set_key(key);
    transfer->set_store_id(range.replicas(static_cast<int>(turn % static_cast<uint64_t>(range.replicas_size()))).store_id());
    kv::v1::BatchResponse response = co_await database_->sender().Send(ctx, std::move(batch));
    co_return response.has_error() ? kv::FromKvError(response.error()) : absl::OkStatus();
  }

 private:
  std::unique_ptr<kv::ClientDatabase> database_;
};

// etcd v3: rpc Put(PutRequest{bytes key = 1; bytes value = 2}).
class EtcdTarget : public Target {
 public:
  EtcdTarget(Transport* transport, std::vector<std::string> addresses) : transport_(transport), addresses_(std::move(addresses)) {}
  Task<absl::Status> Put(const Context& ctx, std::string key, std::string value) override {
    std::string request;
    AppendField(&request, 1, key);
    AppendField(&request, 2, value);
    CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, addresses_[0], "/etcdserverpb.KV/Put"));
    CO_RETURN_IF_ERROR(co_await stream->Send(ctx, std::move(request)));
    CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
    CO_ASSIGN_OR_RETURN(auto answer, co_await stream->Receive(ctx));
    co_return answer ? absl::OkStatus() : absl::InternalError("etcd answered nothing");
  }

 private:
  static void AppendField(std::string* out, int number, const std::string& value) {
    out->push_back(static_cast<char>(number << 3 | 2));
    for (size_t n = value.size(); ; n >>= 7) {
      out->push_back(static_cast<char>(n < 128 ? n : (n & 127) | 128));
      if (n < 128) break;
    }
    out->append(value);
  }
  Transport* transport_;
  std::vector<std::string> addresses_;
};

struct Tally {
  std::vector<double> ms;
  MonoTime last{};  // of the answers
  Duration gap{};
  uint64_t failed = 0, transfers = 0;
  absl::Status first_failure;
};

// Evenly over the time of measurement; a transfer that is refused (the target is behind) counts for nothing.
Task<void> MoveLeases(Context ctx, Target* target, const Flags* flags, MonoTime from, MonoTime until, Tally* tally) {
  const Duration pause = (until - from) / (flags->transfers + 1);
  for (int i = 1; i <= flags->transfers; ++i) {
    if (!(co_await Sleep(ctx, from + i * pause - ctx.executor().Now())).ok()) co_return;
    absl::Status moved = co_await target->MoveLease(ctx, static_cast<uint64_t>(i));
    if (moved.ok()) ++tally->transfers;
    if (!moved.ok() && tally->first_failure.ok()) tally->first_failure = moved;
  }
}

Task<void> Client(Context ctx, Target* target, const Flags* flags, int number, MonoTime from, MonoTime until, Tally* tally) {
  for (uint64_t n = 0;; ++n) {
    const MonoTime start = ctx.executor().Now();
    if (start >= until) break;
    absl::Status put = co_await target->Put(ctx, StrCat("bench/", number, "/", n), std::string(flags->bytes, 'v'));
    const MonoTime end = ctx.executor().Now();
    if (!put.ok()) {
      if (++tally->failed == 1) tally->first_failure = put;
    } else if (start >= from) {
      if (tally->last != MonoTime{}) tally->gap = std::max<Duration>(tally->gap, end - tally->last);
      tally->last = end;
      tally->ms.push_back(std::chrono::duration<double, std::milli>(end - start).count());
    }
  }
}

absl::Status Run(const Flags& flags) {
  RealWorld world;
  ASSIGN_OR_RETURN(auto identity, TlsIdentity::FromFiles(flags.ca, flags.cert, flags.key));
  return world.executor()->RunMain([&](Context ctx) -> Task<absl::Status> {
    auto transport = MakeGrpcTransport(world.executor(), identity);
    std::unique_ptr<Target> target;
    if (flags.kind == "etcd") {
      target = std::make_unique<EtcdTarget>(transport.get(), flags.addresses);
    } else {
      target = std::make_unique<InsulaTarget>(ctx, world.runtime(), transport.get(), flags.addresses);
    }
    CO_RETURN_IF_ERROR(co_await target->Put(ctx.WithTimeout(10s), "warm", "up"));
    const MonoTime from = world.executor()->Now() + 500ms;
    const MonoTime until = from + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(flags.seconds));
    Tally tally;
    TaskGroup clients(ctx);
    for (int i = 0; i < flags.clients; ++i) clients.Spawn(Client(ctx, target.get(), &flags, i, from, until, &tally));
    if (flags.transfers > 0) clients.Spawn(MoveLeases(ctx, target.get(), &flags, from, until, &tally));
    co_await clients.Wait();
    if (tally.ms.empty()) co_return tally.failed != 0 ? tally.first_failure : absl::InternalError("no put was measured");
    std::sort(tally.ms.begin(), tally.ms.end());
    std::printf("{\"puts_per_s\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"longest_ms\": %.3f, \"gap_ms\": %.3f, \"failed\": %llu, \"transfers\": %llu}\n",
                static_cast<double>(tally.ms.size()) / flags.seconds, tally.ms[tally.ms.size() / 2], tally.ms[tally.ms.size() * 99 / 100], tally.ms.back(),
                std::chrono::duration<double, std::milli>(tally.gap).count(), static_cast<unsigned long long>(tally.failed),
                static_cast<unsigned long long>(tally.transfers));
    if (!tally.first_failure.ok()) std::fprintf(stderr, "kv_bench: %s\n", tally.first_failure.ToString().c_str());
    target.reset();
    co_await transport->Shutdown(Duration::zero());
    co_return absl::OkStatus();
  });
}

}  // namespace
}  // namespace insula::bench

int main(int argc, char** argv) {
  insula::bench::Flags flags;
  CLI::App app("Puts per second and their latency, of Insula's KV nodes or of etcd.", "kv_bench");
  app.add_option("--kind", flags.kind)->check(CLI::IsMember({"insula", "etcd"}))->capture_default_str();
  app.add_option("--addresses", flags.addresses, "HOST:PORT of the nodes")->delimiter(',')->required();
  app.add_option("--ca", flags.ca)->required();
  app.add_option("--cert", flags.cert)->required();
  app.add_option("--key", flags.key)->required();
  app.add_option("--clients", flags.clients)->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--seconds", flags.seconds)->capture_default_str();
  app.add_option("--bytes", flags.bytes)->capture_default_str();
  app.add_option("--transfers", flags.transfers, "moves of the range's lease meanwhile (insula)")->check(CLI::Range(0, 1000))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  absl::Status done = insula::bench::Run(flags);
  if (!done.ok()) std::fprintf(stderr, "kv_bench: %s\n", done.ToString().c_str());
  return done.ok() ? 0 : 1;
}
