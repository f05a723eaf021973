// A SQL pod: one process that starts without a tenant, is stamped once, and then is that tenant's PostgreSQL.
//
//   starting ─► prewarmed ──POST /v1/stamp──► stamping ─► ready ──Stop, SIGTERM──► draining ─► gone
//                                                │          gate: open ⇄ closed
//                                                └─ error: failed; of no use any more
//
// Prewarmed, a pod has done all that no tenant is needed for (ports bound, function tables built, parser, binder and optimizer run
// once) and then does nothing: no timer, no connection, no polling. A stamp then costs a handshake with KV and one read of the
// catalog; StampResponse says how long each step took.
//
//   port      who may come                               what
//   sql       the proxy, by mutual TLS                   PostgreSQL protocol; nobody is answered before the stamp
//   http      operator by mutual TLS; anyone in plain     POST /v1/stamp (TLS only); /metrics, /healthz, /readyz
//   control   operator, by gRPC                          PodControl: activity, gate, stop
//
// Invariants:
//   P1  A pod is stamped at most once in its life, also when that fails: a second attempt is refused (409).
//   P2  Only the role operator stamps and controls.
//   P3  A closed gate lets no statement begin (activity_gate.h).
// Thread safety: loop thread only.
#ifndef INSULA_SQL_SERVER_POD_H_
#define INSULA_SQL_SERVER_POD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/net.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "sql/server/tenant_binding.h"

namespace insula::sql {

struct PodAddresses {
  std::string sql;      // PostgreSQL protocol
  std::string http;     // stamp (HTTPS) and status pages
  std::string control;  // gRPC
};

struct PodOptions {
  std::string id;
  std::string sql_address = "127.0.0.1:0";
  std::string http_address = "127.0.0.1:0";
  std::string control_address = "127.0.0.1:0";
  std::shared_ptr<const TlsIdentity> identity;  // the pool's certificate
  DatabaseFactory make_database;
  uint32_t max_connections = 100;
  // Off in tests without TLS only: any client may connect, and anyone may stamp over plain HTTP.
  bool require_certificates = true;
  Duration drain_timeout = std::chrono::seconds(10);
  // Called when prewarmed, with the ports that were bound.
  std::function<void(const PodAddresses&)> on_prewarmed;
};

// The pod's whole life. `control` is a transport with the pool's identity that nothing has been registered on. Ends with OK after
// Stop or when the context ends: running statements get `drain_timeout`, sessions end with 57P01.
Task<absl::Status> RunPod(Context ctx, PodOptions options, Runtime runtime, Transport* control);

}  // namespace insula::sql

#endif  // INSULA_SQL_SERVER_POD_H_
