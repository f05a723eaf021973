#include "sql/server/client_server.h"

#include <charconv>

#include "base/log/log.h"
#include "base/pgerror/pg_error.h"
#include "base/pgwire/auth.h"
#include "base/pgwire/backend.h"
#include "base/pgwire/scram.h"
#include "base/pgwire/wire.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/tls/tls_identity.h"
#include "sql/session/connection.h"
#include "sql/types/datetime.h"
#include "tenant/tenant.h"

namespace insula::sql {
namespace {

constexpr Duration kStartupTimeout = 10s;

absl::Status Fatal(std::string_view sqlstate, std::string_view message, std::string_view hint = {}) {
  return PgErrorBuilder(sqlstate, message).Severity("FATAL").Hint(hint).Build();
}

absl::Status Shutdown() { return Fatal(sqlstate::kAdminShutdown, "terminating connection due to administrator command"); }

// Messages of a connection wait at the gate while it is closed.
class GatedConnection : public Connection {
 public:
  GatedConnection(ByteStream* stream, pgwire::FrameReader* reader, ActivityGate* gate) : Connection(stream, reader), gate_(gate) {}

 protected:
  bool MayRun() const override { return gate_->is_open(); }
  Task<absl::Status> WaitToRun(const Context& ctx) override { return gate_->Enter(ctx); }

 private:
  ActivityGate* gate_;
};

Task<void> SendFatal(const Context& ctx, ByteStream& stream, const absl::Status& why) {
  PgErrorFields fields = ToPgError(why);
  fields.severity = "FATAL";
  std::string out;
  pgwire::AppendError(fields, &out);
  absl::Status sent = co_await stream.Write(ctx, out);
  (void)sent;  // the connection is closed either way
}

// "127.0.0.1:4711" → address and port.
void SplitPeer(const std::string& peer, SessionStart* start) {
  size_t colon = peer.rfind(':');
  if (colon == std::string::npos) return;
  start->client_address = peer.substr(0, colon);
  std::from_chars(peer.data() + colon + 1, peer.data() + peer.size(), start->client_port);
}

}  // namespace

ClientServer::ClientServer(const Context& ctx, ClientServerOptions options, SessionEnvironment env, ActivityGate* gate)
    : options_(std::move(options)), env_(env), gate_(gate), group_(ctx) {}

ClientServer::~ClientServer() = default;

Task<void> ClientServer::Serve(Listener* listener) {
  while (!group_.ctx().done()) {
    absl::StatusOr<std::unique_ptr<ByteStream>> stream = co_await listener->Accept(group_.ctx());
    if (!stream.ok()) {
      if (group_.ctx().done()) co_return;
      // Out of descriptors, perhaps: others may close some.
      LOG_WARNING("a connection was not accepted", {"status", stream.status()});
      absl::Status slept = co_await Sleep(group_.ctx(), 100ms);
      if (!slept.ok()) co_return;
      continue;
    }
    ++accepted_;
    group_.Spawn(ServeClient(*std::move(stream)));
  }
}

void ClientServer::EndSessions() {
  for (auto& [pid, client] : clients_) client.ctx->Cancel(Shutdown());
}

Task<void> ClientServer::Stop() {
  group_.ctx().Cancel(Shutdown());
  co_await group_.Wait();
}

Task<void> ClientServer::ServeClient(std::unique_ptr<ByteStream> stream) {
  const Context& ctx = group_.ctx();
  pgwire::FrameReader reader(stream.get(), {.max_large_bytes = pgwire::kMaxStartupBytes});
  Context startup_ctx = ctx.WithTimeout(kStartupTimeout);
  auto startup = co_await ReadStartup(startup_ctx, *stream, reader);
  if (!startup.ok()) {
    if (IsPgError(startup.status())) co_await SendFatal(startup_ctx, *stream, startup.status());
    stream->Close();
    co_return;
  }
  if (!startup->has_value()) {
    stream->Close();
    co_return;
  }
  // The statuses of a session's end have been told to its client; the rest is for nobody.
  absl::Status ended = co_await RunSession(ctx, *stream, reader, **startup);
  (void)ended;
  stream->Close();
}

absl::Status ClientServer::CheckPeer(const TlsSessionInfo& tls) const {
  if (!options_.require_proxy) return absl::OkStatus();
  Role role = IdentifyPeer(tls.peer).role;
  if (role == Role::kProxy) return absl::OkStatus();
  return Fatal(sqlstate::kInvalidAuthorization, "this pod takes connections from the cluster's proxy only",
               "Connect to the proxy's address instead.");
}

Task<absl::StatusOr<std::optional<pgwire::StartupMessage>>> ClientServer::ReadStartup(const Context& ctx, ByteStream& stream,
                                                                                      pgwire::FrameReader& reader) {
  bool encrypted = false;
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::optional<std::string_view> packet, co_await reader.NextStartup(ctx));
    if (!packet) co_return std::optional<pgwire::StartupMessage>();  // a probe
    CO_ASSIGN_OR_RETURN(pgwire::StartupPacket parsed, pgwire::ParseStartupPacket(*packet));
    if (std::holds_alternative<pgwire::SslRequest>(parsed)) {
      const bool yes = options_.identity != nullptr && !encrypted;
      CO_RETURN_IF_ERROR(co_await stream.Write(ctx, yes ? "S" : "N"));
      if (!yes) continue;
      // Bytes after the request would come from before the handshake, unauthenticated.
      if (!reader.buffered().empty()) co_return pgwire::ProtocolError("received unencrypted data after SSL request");
      TlsServerOptions tls{.identity = options_.identity, .require_client_certificate = options_.require_proxy, .alpn = ""};
      CO_ASSIGN_OR_RETURN(TlsSessionInfo session, co_await stream.StartTlsServer(ctx, std::move(tls), ""));
      CO_RETURN_IF_ERROR(CheckPeer(session));
      encrypted = true;
    } else if (std::holds_alternative<pgwire::GssEncRequest>(parsed)) {
      CO_RETURN_IF_ERROR(co_await stream.Write(ctx, "N"));
    } else if (auto* cancel = std::get_if<pgwire::CancelRequest>(&parsed)) {
      if (encrypted || !options_.require_proxy) Cancel(*cancel);
      co_return std::optional<pgwire::StartupMessage>();
    } else {
      if (!encrypted && options_.require_proxy) co_return Fatal(sqlstate::kInvalidAuthorization, "this pod takes encrypted connections only");
      co_return std::optional<pgwire::StartupMessage>(std::get<pgwire::StartupMessage>(std::move(parsed)));
    }
  }
}

void ClientServer::Cancel(const pgwire::CancelRequest& request) {
  auto it = clients_.find(request.process_id);
  if (it == clients_.end() || it->second.secret != request.secret) return;  // never answered, right or wrong
  it->second.session->Cancel(PgError(sqlstate::kQueryCanceled, "canceling statement due to user request"));
}

absl::StatusOr<SessionStart> ClientServer::StartFrom(const pgwire::StartupMessage& startup, const ByteStream& stream) const {
  SessionStart start;
  start.user = startup.Find("user").value_or("");
  if (start.user.empty()) return Fatal(sqlstate::kInvalidAuthorization, "no PostgreSQL user name specified in startup packet");
  start.database = startup.Find("database").value_or("");
  if (start.database.empty()) start.database = start.user;
  if (auto replication = startup.Find("replication"); replication && *replication != "false" && *replication != "off" && *replication != "0") {
    return PgUnsupported("the replication protocol");
  }
  start.settings = options_.settings;
  if (auto options = startup.Find("options")) {
    ASSIGN_OR_RETURN(auto given, pgwire::SettingsFromOptions(pgwire::SplitOptions(*options)));
    for (auto& setting : given) start.settings.push_back(std::move(setting));
  }
  for (const auto& [name, value] : startup.parameters) {
    if (name == "user" || name == "database" || name == "options" || name == "replication" || name.starts_with("_pq_.")) continue;
    start.settings.emplace_back(name, value);
  }
  SplitPeer(stream.peer_address(), &start);
  return start;
}

Task<absl::Status> ClientServer::Authenticate(const Context& ctx, ByteStream& stream, pgwire::FrameReader& reader, const std::string& user) {
  if (!options_.require_password) co_return absl::OkStatus();
  // A password changed by another pod counts from now on.
  CO_ASSIGN_OR_RETURN(CatalogStatePtr state, co_await env_.catalog->Refresh(ctx));
  const RoleInfo* role = state->FindRole(user);
  absl::StatusOr<pgwire::ScramVerifier> verifier = absl::NotFoundError("no password");
  if (role != nullptr) verifier = pgwire::ScramVerifier::Parse(role->verifier);
  bool valid = verifier.ok();
  if (valid && !role->valid_until.empty()) {
    absl::StatusOr<int64_t> until = ParseTimestampTz(DateTimeSettings(), role->valid_until);
    const int64_t now = ctx.executor().clock().Wall().time_since_epoch().count() - kPostgresEpochUs;
    valid = until.ok() && *until >= now;
  }
  pgwire::ScramServer scram(verifier.ok() ? *verifier : pgwire::MockScramVerifier(user, options_.mock_secret), valid,
                            pgwire::MakeScramNonce(env_.random->Bytes(pgwire::kScramNonceBytes)));
  absl::Status status = co_await pgwire::AuthenticateScram(ctx, reader, stream, std::move(scram));
  if (status.ok() || ToPgError(status).sqlstate != sqlstate::kInvalidPassword) co_return status;
  ++failed_logins_;
  LOG_INFO("password authentication failed", {"user", user}, {"peer", stream.peer_address()});
  co_return Fatal(sqlstate::kInvalidPassword, StrCat("password authentication failed for user \"", user, "\""));
}

Task<absl::Status> ClientServer::RunSession(const Context& ctx, ByteStream& stream, pgwire::FrameReader& reader,
                                            const pgwire::StartupMessage& startup) {
  Context startup_ctx = ctx.WithTimeout(kStartupTimeout);
  auto refuse = [&](absl::Status why) -> Task<absl::Status> {
    co_await SendFatal(startup_ctx, stream, why);
    co_return why;
  };
  if (!gate_->is_open()) co_return co_await refuse(Fatal(sqlstate::kCannotConnectNow, "the database system is shutting down"));
  if (gate_->activity().connections >= options_.max_connections) {
    co_return co_await refuse(Fatal(sqlstate::kTooManyConnections, "sorry, too many clients already"));
  }
  gate_->ConnectionOpened();
  // Whatever way this frame ends, the count goes down.
  struct Counted {
    ActivityGate* gate;
    ~Counted() { gate->ConnectionClosed(); }
  } counted{gate_};

  absl::StatusOr<SessionStart> start = StartFrom(startup, stream);
  if (!start.ok()) co_return co_await refuse(start.status());
  if (startup.minor > 0 || !startup.ProtocolOptions().empty()) {
    std::string out;
    pgwire::AppendNegotiateProtocolVersion(0, startup.ProtocolOptions(), &out);
    CO_RETURN_IF_ERROR(co_await stream.Write(startup_ctx, out));
  }
  if (absl::Status status = co_await Authenticate(startup_ctx, stream, reader, start->user); !status.ok()) {
    if (IsPgError(status)) co_await SendFatal(startup_ctx, stream, status);
    co_return status;
  }
  reader.set_limits(pgwire::FrameLimits());
  const uint32_t process_id = ++last_process_id_;
  start->process_id = static_cast<int32_t>(process_id);
  GatedConnection connection(&stream, &reader, gate_);
  auto session = co_await Session::Create(startup_ctx, env_, *std::move(start), &connection);
  if (!session.ok()) co_return co_await refuse(session.status());

  Context session_ctx = ctx.WithCancel();
  clients_[process_id] = {env_.random->Bytes(4), session->get(), session_ctx};
  struct Registered {
    std::map<uint32_t, Client>* clients;
    uint32_t process_id;
    ~Registered() { clients->erase(process_id); }
  } registered{&clients_, process_id};
  std::string* out = (*session)->out().bytes();
  pgwire::AppendAuthenticationOk(out);
  (*session)->AppendParameterReports();
  pgwire::AppendBackendKeyData({process_id, clients_[process_id].secret}, out);
  co_return co_await connection.Serve(session_ctx, **session);
}

}  // namespace insula::sql
