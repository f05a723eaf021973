// Creates tenants through the admin API, one after another, on a cluster that `insula up` runs. Prints one line of JSON:
// {"created", "create_p50_ms", "create_p99_ms"}.
//
//   tenant_bench --addresses=A,B,C --ca=F --cert=F --key=F [--count=1000] [--prefix=many]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/pgwire/scram.h"
#include "base/real/real_world.h"
#include "base/runtime/transport.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/tls_identity.h"
#include "cli/admin_client.h"

namespace insula::bench {
namespace {

struct Flags {
  std::vector<std::string> addresses;
  std::string ca, cert, key, prefix = "many";
  int count = 1000;
};

absl::Status Run(const Flags& flags) {
  RealWorld world;
  ASSIGN_OR_RETURN(auto identity, TlsIdentity::FromFiles(flags.ca, flags.cert, flags.key));
  return world.executor()->RunMain([&](Context ctx) -> Task<absl::Status> {
    auto transport = MakeGrpcTransport(world.executor(), identity);
    cli::AdminClient client(transport.get(), flags.addresses, "");
    // One verifier for all: making it is the client's work, not the cluster's.
    const std::string verifier = pgwire::MakeScramVerifier("bench", world.runtime().random->Bytes(16)).ToString();
    std::vector<double> ms;
    for (int i = 0; i < flags.count; ++i) {
      tenant::v1::CreateTenantRequest request;
      request.set_name(StrCat(flags.prefix, "-", i));
      request.set_request_id(StrCat(world.runtime().random->Next64()));
      request.set_scram_verifier(verifier);
      const MonoTime start = world.executor()->Now();
      CO_RETURN_IF_ERROR((co_await client.Create(ctx, request)).status());
      ms.push_back(std::chrono::duration<double, std::milli>(world.executor()->Now() - start).count());
    }
    std::sort(ms.begin(), ms.end());
    std::printf("{\"created\": %zu, \"create_p50_ms\": %.2f, \"create_p99_ms\": %.2f}\n", ms.size(), ms[ms.size() / 2], ms[ms.size() * 99 / 100]);
    co_await transport->Shutdown(Duration::zero());
    co_return absl::OkStatus();
  });
}

}  // namespace
}  // namespace insula::bench

int main(int argc, char** argv) {
  insula::bench::Flags flags;
  CLI::App app("Creates tenants and tells how long each took.", "tenant_bench");
  app.add_option("--addresses", flags.addresses, "HOST:PORT of the KV nodes")->delimiter(',')->required();
  app.add_option("--ca", flags.ca)->required();
  app.add_option("--cert", flags.cert, "an administrator's certificate")->required();
  app.add_option("--key", flags.key)->required();
  app.add_option("--count", flags.count)->check(CLI::Range(1, 100000))->capture_default_str();
  app.add_option("--prefix", flags.prefix, "names are PREFIX-0, PREFIX-1, …")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  absl::Status done = insula::bench::Run(flags);
  if (!done.ok()) std::fprintf(stderr, "tenant_bench: %s\n", done.ToString().c_str());
  return done.ok() ? 0 : 1;
}
