// Takes PostgreSQL clients (through the proxy): TLS, startup, password, session.
//
//   accept ─► SSLRequest ─► TLS, the peer must be the proxy ─► startup message ─► gate open? ─► SCRAM ─► Session ─► Connection
//                └─► CancelRequest ─► the session with that key
//
// A connection that has not authenticated within 10 s is closed, and holds at most 10 KB until then. Wrong passwords and unknown
// users are told apart by nothing: same messages, same time, same salt every time.
// Thread safety: loop thread only.
#ifndef INSULA_SQL_SERVER_CLIENT_SERVER_H_
#define INSULA_SQL_SERVER_CLIENT_SERVER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/pgwire/frame.h"
#include "base/pgwire/startup.h"
#include "base/runtime/net.h"
#include "base/runtime/random.h"
#include "sql/server/activity_gate.h"
#include "sql/session/session.h"

namespace insula::sql {

struct ClientServerOptions {
  std::shared_ptr<const TlsIdentity> identity;  // shown to clients; null: no TLS
  // Only TLS peers with the proxy's certificate may come in. Off: any client, with or without TLS (tests).
  bool require_proxy = true;
  bool require_password = true;
  uint32_t max_connections = 100;
  std::vector<std::pair<std::string, std::string>> settings;  // defaults of every session
  std::string mock_secret;  // makes the salts of users that do not exist; the same in all pods of a tenant
};

class ClientServer {
 public:
  // All must outlive it; env.observer is the gate.
  ClientServer(const Context& ctx, ClientServerOptions options, SessionEnvironment env, ActivityGate* gate);
  ~ClientServer();

  // Accepts until the context ends. At most one at a time.
  Task<void> Serve(Listener* listener);

  // Ends all sessions with 57P01.
  void EndSessions();
  // Accepts nothing more, ends what is left, and returns when all is gone.
  Task<void> Stop();

  uint64_t accepted() const { return accepted_; }
  uint64_t failed_logins() const { return failed_logins_; }

 private:
  struct Client {
    std::string secret;
    Session* session = nullptr;
    std::optional<Context> ctx;
  };
  Task<void> ServeClient(std::unique_ptr<ByteStream> stream);
  // Up to a startup message; nullopt when there is nothing more to do (cancel request, probe).
  Task<absl::StatusOr<std::optional<pgwire::StartupMessage>>> ReadStartup(const Context& ctx, ByteStream& stream, pgwire::FrameReader& reader);
  absl::Status CheckPeer(const TlsSessionInfo& tls) const;
  Task<absl::Status> RunSession(const Context& ctx, ByteStream& stream, pgwire::FrameReader& reader, const pgwire::StartupMessage& startup);
  absl::StatusOr<SessionStart> StartFrom(const pgwire::StartupMessage& startup, const ByteStream& stream) const;
  Task<absl::Status> Authenticate(const Context& ctx, ByteStream& stream, pgwire::FrameReader& reader, const std::string& user);
  void Cancel(const pgwire::CancelRequest& request);

  ClientServerOptions options_;
  SessionEnvironment env_;
  ActivityGate* gate_;
  uint32_t last_process_id_ = 0;
  std::map<uint32_t, Client> clients_;  // by process id; authenticated ones
  uint64_t accepted_ = 0;
  uint64_t failed_logins_ = 0;
  TaskGroup group_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SERVER_CLIENT_SERVER_H_
