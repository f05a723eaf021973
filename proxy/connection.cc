#include "proxy/connection.h"

#include <utility>
#include <variant>

#include "base/async/task_group.h"
#include "base/log/log.h"
#include "base/pgerror/pg_error.h"
#include "base/pgwire/backend.h"
#include "base/pgwire/client.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "proxy/message_tracker.h"

namespace insula::proxy {
namespace {

constexpr char kTlsHandshakeByte = 0x16;
constexpr size_t kForwardBytes = 8192;
constexpr Duration kDialTimeout = std::chrono::seconds(3);
constexpr int kMaxDials = 8;
constexpr Duration kCancelTimeout = std::chrono::seconds(10);

absl::Status Fatal(std::string_view sqlstate, std::string_view message, std::string_view hint = "") {
  return PgErrorBuilder(sqlstate, message).Hint(hint).Severity("FATAL").Build();
}

// A pod whose first answer is this error has a closed gate: the tenant is being suspended, and another pod will serve.
bool IsClosedGate(std::string_view payload) {
  auto fields = pgwire::DecodeError(payload);
  return fields.ok() && fields->sqlstate == sqlstate::kCannotConnectNow;
}

// The pod's certificate must name the tenant: a pod that was taken for another's gets nothing (C1).
absl::Status VerifyPod(const TlsSessionInfo& tls, TenantId tenant) {
  Identity identity = IdentifyPeer(tls.peer);
  if (identity.role == Role::kTenant && identity.tenant == tenant) return absl::OkStatus();
  return absl::PermissionDeniedError(StrCat("expected a pod of tenant ", tenant, ", met ", identity.ToString()));
}

}  // namespace

Connection::~Connection() {
  if (key_) state_->cancels->Remove(*key_);
  if (admitted_ && --state_->per_tenant[*admitted_] == 0) state_->per_tenant.erase(*admitted_);
  --state_->connections;
}

Task<void> Connection::Run(Context ctx) {
  auto startup = co_await ReadStartup(ctx.WithTimeout(state_->limits.startup_timeout));
  if (!startup.ok()) {
    if (IsPgError(startup.status())) co_await SendFatal(ctx, startup.status());
    co_return;
  }
  if (!startup->has_value()) co_return;
  auto selection = SelectCluster(**std::move(startup), sni_);
  absl::Status failure = selection.status();
  if (failure.ok() && !encrypted_ && !state_->allow_insecure) {
    failure = Fatal(sqlstate::kInvalidAuthorization, "this server takes encrypted connections only",
                    "Connect with sslmode=verify-full and sslrootcert set to the cluster's ca.crt (or sslmode=require).");
  }
  if (failure.ok()) {
    absl::Status known = co_await state_->directory->CheckCluster(ctx, selection->cluster);
    if (known.code() == absl::StatusCode::kNotFound) failure = UnknownCluster(selection->cluster);
    if (!known.ok() && failure.ok()) {
      LOG_WARNING("a cluster could not be looked up", {"cluster", selection->cluster.ToString()}, {"status", known.ToString()});
      failure = Fatal(sqlstate::kCannotConnectNow, "the cluster cannot be looked up right now", "Try again in a moment.");
    }
  }
  if (failure.ok()) failure = Admit(selection->cluster.id);
  if (!failure.ok()) {
    co_await SendFatal(ctx, failure);
    co_return;
  }
  auto link = co_await ReachPod(ctx.WithTimeout(state_->limits.connect_timeout), *selection);
  if (!link.ok()) {
    co_await SendFatal(ctx, link.status());
    co_return;
  }
  co_await Relay(ctx, *std::move(link));
}

Task<absl::StatusOr<std::optional<pgwire::StartupMessage>>> Connection::ReadStartup(const Context& ctx) {
  while (true) {
    if (!encrypted_ && reader_.buffered().empty()) {
      auto more = co_await reader_.Fill(ctx);
      if (!more.ok() || !*more) co_return std::optional<pgwire::StartupMessage>();  // a health probe
    }
    if (!encrypted_ && reader_.buffered()[0] == kTlsHandshakeByte) {
      CO_RETURN_IF_ERROR(co_await StartTls(ctx, reader_.TakeBuffered()));
      continue;
    }
    CO_ASSIGN_OR_RETURN(auto body, co_await reader_.NextStartup(ctx));
    if (!body) co_return std::optional<pgwire::StartupMessage>();
    CO_ASSIGN_OR_RETURN(pgwire::StartupPacket packet, pgwire::ParseStartupPacket(*body));
    if (std::holds_alternative<pgwire::GssEncRequest>(packet)) {
      CO_RETURN_IF_ERROR(co_await client_->Write(ctx, "N"));
    } else if (std::holds_alternative<pgwire::SslRequest>(packet)) {
      if (encrypted_) co_return PgErrorBuilder(sqlstate::kProtocolViolation, "the connection is encrypted already").Severity("FATAL").Build();
      // What a man in the middle may have put before the handshake must not count as encrypted (CVE-2021-23214).
      if (!reader_.buffered().empty()) {
        co_return PgErrorBuilder(sqlstate::kProtocolViolation, "received unencrypted data after SSL request").Severity("FATAL").Build();
      }
      CO_RETURN_IF_ERROR(co_await client_->Write(ctx, "S"));
      CO_RETURN_IF_ERROR(co_await StartTls(ctx, ""));
    } else if (auto* cancel = std::get_if<pgwire::CancelRequest>(&packet)) {
      co_await ForwardCancel(ctx, std::move(*cancel));
      co_return std::optional<pgwire::StartupMessage>();
    } else {
      co_return std::get<pgwire::StartupMessage>(std::move(packet));
    }
  }
}

Task<absl::Status> Connection::StartTls(const Context& ctx, std::string already_read) {
  CO_ASSIGN_OR_RETURN(TlsSessionInfo tls, co_await client_->StartTlsServer(ctx, state_->client_tls, std::move(already_read)));
  encrypted_ = true;
  sni_ = tls.sni;
  co_return absl::OkStatus();
}

Task<void> Connection::ForwardCancel(Context ctx, pgwire::CancelRequest request) {
  // As in PostgreSQL, a cancel request is never answered, whether its key is right or not.
  auto target = state_->cancels->Find(request.process_id, request.secret);
  if (!target) co_return;
  TlsClientOptions tls{.identity = state_->pod_identity, .server_name = "", .alpn = ""};
  absl::Status sent = co_await pgwire::PgClient::Cancel(ctx.WithTimeout(kCancelTimeout), *state_->runtime.network, target->pod_address, target->pod_key, tls);
  if (!sent.ok()) LOG_WARNING("a cancel request did not reach its pod", {"pod", target->pod_address}, {"status", sent.ToString()});
}

absl::Status Connection::Admit(TenantId tenant) {
  if (state_->connections > state_->limits.connections) {
    return Fatal(sqlstate::kTooManyConnections, "this proxy has too many connections", "Try again later, or use a connection pool.");
  }
  size_t& count = state_->per_tenant[tenant];
  if (count >= state_->limits.connections_per_tenant) {
    return Fatal(sqlstate::kTooManyConnections, "this cluster has too many connections", "Close idle connections, or use a connection pool.");
  }
  ++count;
  admitted_ = tenant;
  return absl::OkStatus();
}

Task<absl::StatusOr<Connection::PodLink>> Connection::ReachPod(Context ctx, const Selection& selection) {
  absl::Status last = absl::UnavailableError("no pod");
  for (int i = 0; i < kMaxDials && !ctx.done(); ++i) {
    auto pod = co_await state_->directory->PodFor(ctx, selection.cluster.id);
    if (!pod.ok()) {
      last = pod.status();
      if (last.code() == absl::StatusCode::kNotFound) co_return UnknownCluster(selection.cluster);
      if (last.code() == absl::StatusCode::kFailedPrecondition) co_return Fatal(sqlstate::kCannotConnectNow, std::string(last.message()));
      break;
    }
    auto link = co_await DialPod(ctx.WithTimeout(kDialTimeout), *pod, selection);
    if (link.ok()) co_return link;
    last = link.status();
    LOG_INFO("another pod is asked for", {"pod", pod->id()}, {"status", last.ToString()});
    state_->directory->ReportUnusable(*pod);
  }
  LOG_WARNING("no pod could be reached", {"cluster", selection.cluster.ToString()}, {"status", last.ToString()});
  co_return Fatal(sqlstate::kCannotConnectNow, StrCat("the cluster \"", selection.cluster.ToString(), "\" did not wake up in time"), "Try again in a moment.");
}

Task<absl::StatusOr<Connection::PodLink>> Connection::DialPod(const Context& ctx, const Pod& pod, const Selection& selection) {
  CO_ASSIGN_OR_RETURN(auto stream, co_await state_->runtime.network->Dial(ctx, pod.address()));
  std::string request;
  pgwire::AppendSslRequest(&request);
  CO_RETURN_IF_ERROR(co_await stream->Write(ctx, request));
  char answer = 0;
  CO_ASSIGN_OR_RETURN(size_t n, co_await stream->Read(ctx, &answer, 1));
  if (n != 1 || answer != 'S') co_return absl::UnavailableError("the pod does not speak TLS");
  CO_ASSIGN_OR_RETURN(TlsSessionInfo tls, co_await stream->StartTlsClient(ctx, {.identity = state_->pod_identity, .server_name = "", .alpn = ""}));
  CO_RETURN_IF_ERROR(VerifyPod(tls, selection.cluster.id));
  std::string startup;
  pgwire::AppendStartupMessage(selection.message, &startup);
  CO_RETURN_IF_ERROR(co_await stream->Write(ctx, startup));
  // The first message tells a closed gate from a pod that serves.
  pgwire::FrameReader reader(stream.get(), {.from_server = true});
  CO_ASSIGN_OR_RETURN(auto first, co_await reader.Next(ctx));
  if (!first) co_return absl::UnavailableError("the pod closed the connection");
  if (first->type == pgwire::backend::kError && IsClosedGate(first->payload)) co_return absl::UnavailableError("the pod's gate is closed");
  std::string bytes(1, first->type);
  AppendFixed32(&bytes, static_cast<uint32_t>(first->payload.size() + 4));
  bytes.append(first->payload);
  bytes.append(reader.TakeBuffered());
  co_return PodLink{pod, std::move(stream), std::move(bytes)};
}

Task<void> Connection::Relay(Context ctx, PodLink link) {
  // Either direction's end is the end of both.
  TaskGroup directions(ctx);
  auto run = [&](Task<absl::Status> direction) -> Task<void> {
    absl::Status ended = co_await std::move(direction);
    directions.Cancel();
  };
  directions.Spawn(run(ClientToPod(directions.ctx(), link.stream.get())));
  directions.Spawn(run(PodToClient(directions.ctx(), &link)));
  co_await directions.Wait();
  link.stream->Close();
  client_->Close();
}

Task<absl::Status> Connection::ClientToPod(Context ctx, ByteStream* pod) {
  std::string pending = reader_.TakeBuffered();
  if (!pending.empty()) CO_RETURN_IF_ERROR(co_await pod->Write(ctx, pending));
  auto buffer = std::make_unique<char[]>(kForwardBytes);
  while (true) {
    CO_ASSIGN_OR_RETURN(size_t n, co_await client_->Read(ctx, buffer.get(), kForwardBytes));
    if (n == 0) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await pod->Write(ctx, std::string_view(buffer.get(), n)));
  }
}

namespace {

// Copies the messages of the start, with our cancel key in place of the pod's; `rest` keeps what is not a whole message yet.
// True once ReadyForQuery has passed (or the pod gave up): what follows needs no look.
bool RewriteStart(std::string* rest, const std::function<pgwire::BackendKeyData(const pgwire::BackendKeyData&)>& swap_key, std::string* out) {
  bool ready = false;
  while (!ready && rest->size() >= 5) {
    size_t length = ReadFixed32(rest->data() + 1);
    if (length < 4 || rest->size() < length + 1) break;
    char type = (*rest)[0];
    std::string_view payload = std::string_view(*rest).substr(5, length - 4);
    auto key = pgwire::DecodeBackendKeyData(payload);
    if (type == pgwire::backend::kBackendKeyData && key.ok()) {
      pgwire::AppendBackendKeyData(swap_key(*key), out);
    } else {
      out->append(*rest, 0, length + 1);
    }
    ready = type == pgwire::backend::kReadyForQuery || type == pgwire::backend::kError;
    rest->erase(0, length + 1);
  }
  if (ready) out->append(std::exchange(*rest, {}));
  return ready;
}

}  // namespace

Task<absl::Status> Connection::PodToClient(Context ctx, PodLink* link) {
  std::string start = std::move(link->first_bytes), out;
  auto swap_key = [&](const pgwire::BackendKeyData& pod_key) {
    key_ = state_->cancels->Add({link->pod.address(), pod_key});
    return *key_;
  };
  auto buffer = std::make_unique<char[]>(kForwardBytes);
  MessageTracker tracker;
  bool ready = false;
  std::string_view bytes;
  while (true) {
    if (!ready) {
      ready = RewriteStart(&start, swap_key, &out);
      bytes = out;
    }
    if (!bytes.empty()) {
      if (!tracker.Pass(bytes)) co_return absl::InternalError("the pod broke the protocol");
      CO_RETURN_IF_ERROR(co_await client_->Write(ctx, bytes));
      out.clear();
    }
    auto n = co_await link->stream->Read(ctx, buffer.get(), kForwardBytes);
    if (ctx.done()) co_return ctx.status();
    if (!n.ok() || *n == 0) {
      // The pod is gone without a word. Between two messages the client can be told why.
      if (tracker.at_boundary() && !n.ok()) {
        co_await SendFatal(ctx, Fatal(sqlstate::kAdminShutdown, "the SQL pod that served this connection has ended", "Connect again; another pod takes over."));
      }
      co_return n.status();
    }
    bytes = std::string_view(buffer.get(), *n);
    if (!ready) start.append(bytes);
  }
}

Task<void> Connection::SendFatal(const Context& ctx, absl::Status error) {
  PgErrorFields fields = ToPgError(error);
  fields.severity = "FATAL";
  std::string out;
  pgwire::AppendError(fields, &out);
  absl::Status sent = co_await client_->Write(ctx.WithTimeout(std::chrono::seconds(5)), out);
  if (!sent.ok()) LOG_DEBUG("a client did not wait for its error", {"status", sent.ToString()});
}

}  // namespace insula::proxy
