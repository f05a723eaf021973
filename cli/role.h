// What the role processes (kv, sql, proxy, operator) share: identity flags, status endpoints, the ready line, the wait for SIGTERM.
#ifndef INSULA_CLI_ROLE_H_
#define INSULA_CLI_ROLE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/http/http.h"
#include "base/metrics/metrics.h"
#include "base/real/real_world.h"

namespace CLI {
class App;
}

namespace insula::cli {

// --ca, --cert, --key: files of a process's identity.
struct IdentityFlags {
  std::string ca, certificate, key;
  void AddTo(CLI::App* app);
  absl::StatusOr<std::shared_ptr<const TlsIdentity>> Load() const;
};

// "1=127.0.0.1:4001,2=…" by node id.
absl::StatusOr<std::map<uint64_t, std::string>> ParsePeers(const std::string& text);

// Status endpoints of a role process on `address` (empty: none).
class RoleHttp {
 public:
  RoleHttp(const Context& ctx, RealWorld& world) : server_(ctx, world.runtime().network) {}
  // Begins to serve; gives "host:port", or "" if `address` is empty.
  absl::StatusOr<std::string> Start(const std::string& address, std::function<absl::Status()> ready);
  Task<void> Stop() { return server_.Shutdown(); }
  metrics::Registry& metrics() { return metrics_; }

 private:
  metrics::Registry metrics_;
  HttpServer server_;
};

// Tells the parent that we serve: {"address", "http", "control"}.
void ReportRoleReady(const std::string& address, const std::string& http, const std::string& control = "");

// Sets up the process's log lines: "kv", "1".
void StartLog(const std::string& role, const std::string& id);

// "host" of "host:port".
std::string HostOf(const std::string& address);

}  // namespace insula::cli

#endif  // INSULA_CLI_ROLE_H_
