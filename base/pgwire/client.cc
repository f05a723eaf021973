#include "base/pgwire/client.h"

#include "base/pgwire/scram.h"
#include "base/pgwire/startup.h"
#include "base/pgwire/wire.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::pgwire {
namespace {

absl::Status ServerError(std::string_view payload) {
  absl::StatusOr<PgErrorFields> fields = DecodeError(payload);
  return fields.ok() ? ErrorToStatus(*fields) : fields.status();
}

absl::Status Unexpected(char type) { return ProtocolError(StrCat("unexpected message '", type, "' from the server")); }
absl::Status Lost() { return absl::UnavailableError("the server closed the connection"); }

}  // namespace

std::string QueryOutcome::value() const {
  if (results.size() != 1 || results[0].rows.size() != 1 || results[0].rows[0].size() != 1) return "<not one value>";
  return results[0].rows[0][0].value_or("");
}

PgClient::PgClient(std::unique_ptr<ByteStream> stream)
    : stream_(std::move(stream)), reader_(stream_.get(), FrameLimits{.max_large_bytes = size_t{1} << 30, .from_server = true}) {}

Task<absl::StatusOr<std::unique_ptr<PgClient>>> PgClient::Connect(const Context& ctx, Network& network, Random& random,
                                                                  ClientOptions options) {
  CO_ASSIGN_OR_RETURN(std::unique_ptr<ByteStream> stream, co_await network.Dial(ctx, options.address));
  co_return co_await Start(ctx, std::move(stream), random, std::move(options));
}

Task<absl::StatusOr<std::unique_ptr<PgClient>>> PgClient::Start(const Context& ctx, std::unique_ptr<ByteStream> stream,
                                                                Random& random, ClientOptions options) {
  std::unique_ptr<PgClient> client(new PgClient(std::move(stream)));
  if (options.tls) CO_RETURN_IF_ERROR(co_await client->StartTls(ctx, *options.tls));
  CO_RETURN_IF_ERROR(co_await client->Startup(ctx, random, options));
  co_return client;
}

Task<absl::Status> PgClient::Cancel(const Context& ctx, Network& network, std::string address, BackendKeyData key,
                                    std::optional<TlsClientOptions> tls) {
  CO_ASSIGN_OR_RETURN(std::unique_ptr<ByteStream> stream, co_await network.Dial(ctx, std::move(address)));
  PgClient client(std::move(stream));
  if (tls) CO_RETURN_IF_ERROR(co_await client.StartTls(ctx, *tls));
  std::string out;
  AppendCancelRequest({key.process_id, key.secret}, &out);
  CO_RETURN_IF_ERROR(co_await client.stream_->Write(ctx, out));
  // The server closes when it has done what it can.
  CO_ASSIGN_OR_RETURN(bool more, co_await client.reader_.Fill(ctx));
  if (more) co_return ProtocolError("the server answered a cancel request");
  co_return absl::OkStatus();
}

Task<absl::Status> PgClient::StartTls(const Context& ctx, const TlsClientOptions& tls) {
  std::string out;
  AppendSslRequest(&out);
  CO_RETURN_IF_ERROR(co_await stream_->Write(ctx, out));
  char answer = 0;
  CO_ASSIGN_OR_RETURN(size_t n, co_await stream_->Read(ctx, &answer, 1));
  if (n == 0) co_return Lost();
  if (answer != 'S') co_return PgError(sqlstate::kConnectionRejected, "the server does not support TLS");
  absl::StatusOr<TlsSessionInfo> session = co_await stream_->StartTlsClient(ctx, tls);
  co_return session.status();
}

Task<absl::Status> PgClient::Startup(const Context& ctx, Random& random, const ClientOptions& options) {
  StartupMessage startup;
  startup.parameters.emplace_back("user", options.user);
  if (!options.database.empty()) startup.parameters.emplace_back("database", options.database);
  for (const auto& p : options.parameters) startup.parameters.push_back(p);
  std::string out;
  AppendStartupMessage(startup, &out);
  CO_RETURN_IF_ERROR(co_await stream_->Write(ctx, out));
  CO_RETURN_IF_ERROR(co_await Authenticate(ctx, random, options.password));
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::optional<ServerMessage> message, co_await Receive(ctx));
    if (!message) co_return Lost();
    switch (message->type) {
      case backend::kBackendKeyData: {
        CO_ASSIGN_OR_RETURN(key_, DecodeBackendKeyData(message->payload));
        break;
      }
      case backend::kReadyForQuery:
        co_return absl::OkStatus();
      case backend::kError:
        co_return ServerError(message->payload);
      case backend::kNotice:
      case backend::kParameterStatus:
      case backend::kNegotiateProtocolVersion:
        break;
      default:
        co_return Unexpected(message->type);
    }
  }
}

Task<absl::Status> PgClient::Authenticate(const Context& ctx, Random& random, const std::string& password) {
  ScramClient scram(password, MakeScramNonce(random.Bytes(kScramNonceBytes)));
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::optional<ServerMessage> message, co_await Receive(ctx));
    if (!message) co_return Lost();
    if (message->type == backend::kError) co_return ServerError(message->payload);
    if (message->type == backend::kNegotiateProtocolVersion || message->type == backend::kNotice) continue;
    if (message->type != backend::kAuthentication) co_return Unexpected(message->type);
    CO_ASSIGN_OR_RETURN(AuthenticationMessage auth, DecodeAuthentication(message->payload));
    std::string out;
    switch (auth.code) {
      case AuthCode::kOk:
        co_return absl::OkStatus();
      case AuthCode::kSasl: {
        std::string first = scram.First();
        AppendSaslInitial({kScramSha256, first}, &out);
        break;
      }
      case AuthCode::kSaslContinue: {
        CO_ASSIGN_OR_RETURN(std::string final_message, co_await scram.FinalOffLoop(ctx, std::string(auth.data)));
        AppendSaslResponse(final_message, &out);
        break;
      }
      case AuthCode::kSaslFinal:
        CO_RETURN_IF_ERROR(scram.Verify(auth.data));
        continue;
      default:
        co_return PgError(sqlstate::kInvalidAuthorization, "the server asks for an authentication method other than SCRAM-SHA-256");
    }
    CO_RETURN_IF_ERROR(co_await stream_->Write(ctx, out));
  }
}

Task<absl::StatusOr<QueryOutcome>> PgClient::Query(const Context& ctx, std::string_view sql) {
  std::string out;
  AppendQuery(sql, &out);
  CO_RETURN_IF_ERROR(co_await stream_->Write(ctx, out));
  co_return co_await ReadOutcome(ctx, std::nullopt);
}

Task<absl::StatusOr<QueryOutcome>> PgClient::CopyIn(const Context& ctx, std::string_view sql, std::string_view data) {
  std::string out;
  AppendQuery(sql, &out);
  CO_RETURN_IF_ERROR(co_await stream_->Write(ctx, out));
  co_return co_await ReadOutcome(ctx, data);
}

Task<absl::Status> PgClient::AnswerCopyIn(const Context& ctx, std::optional<std::string_view> data) {
  std::string out;
  if (data) {
    AppendCopyData(*data, &out);
    AppendCopyDone(&out);
  } else {
    AppendCopyFail("no data was given", &out);
  }
  co_return co_await stream_->Write(ctx, out);
}

Task<absl::StatusOr<QueryOutcome>> PgClient::ReadOutcome(const Context& ctx, std::optional<std::string_view> copy_data) {
  QueryOutcome outcome;
  QueryResult current;
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::optional<ServerMessage> message, co_await Receive(ctx));
    if (!message) {
      if (!outcome.error.ok()) co_return outcome.error;
      co_return Lost();
    }
    switch (message->type) {
      case backend::kRowDescription: {
        CO_ASSIGN_OR_RETURN(current.fields, DecodeRowDescription(message->payload));
        break;
      }
      case backend::kDataRow: {
        CO_ASSIGN_OR_RETURN(auto values, DecodeDataRow(message->payload));
        std::vector<std::optional<std::string>> row;
        for (auto& v : values) row.push_back(v ? std::optional<std::string>(*v) : std::nullopt);
        current.rows.push_back(std::move(row));
        break;
      }
      case backend::kCopyData:
        current.rows.push_back({std::move(message->payload)});
        break;
      case backend::kCopyIn:
        CO_RETURN_IF_ERROR(co_await AnswerCopyIn(ctx, copy_data));
        break;
      case backend::kCommandComplete: {
        CO_ASSIGN_OR_RETURN(current.tag, DecodeCommandComplete(message->payload));
        outcome.results.push_back(std::exchange(current, {}));
        break;
      }
      case backend::kEmptyQuery:
        outcome.results.push_back(std::exchange(current, {}));
        break;
      case backend::kError:
        outcome.error = ServerError(message->payload);
        break;
      case backend::kNotice: {
        CO_ASSIGN_OR_RETURN(PgErrorFields notice, DecodeError(message->payload));
        outcome.notices.push_back(std::move(notice));
        break;
      }
      case backend::kReadyForQuery: {
        CO_ASSIGN_OR_RETURN(outcome.status, DecodeReadyForQuery(message->payload));
        co_return outcome;
      }
      case backend::kParameterStatus:
      case backend::kNotification:
      case backend::kCopyOut:
      case backend::kCopyDone:
        break;
      default:
        co_return Unexpected(message->type);
    }
  }
}

Task<absl::Status> PgClient::Send(const Context& ctx, std::string_view bytes) { co_return co_await stream_->Write(ctx, bytes); }

Task<absl::StatusOr<std::optional<ServerMessage>>> PgClient::Receive(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(std::optional<Frame> frame, co_await reader_.Next(ctx));
  if (!frame) co_return std::optional<ServerMessage>();
  ServerMessage message{frame->type, std::string(frame->payload)};
  if (message.type == backend::kParameterStatus) {
    CO_ASSIGN_OR_RETURN(auto parameter, DecodeParameterStatus(message.payload));
    parameters_[std::string(parameter.first)] = parameter.second;
  }
  co_return std::optional<ServerMessage>(std::move(message));
}

Task<absl::StatusOr<std::vector<ServerMessage>>> PgClient::ReceiveUntilReady(const Context& ctx) {
  std::vector<ServerMessage> out;
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::optional<ServerMessage> message, co_await Receive(ctx));
    if (!message) co_return Lost();
    out.push_back(*std::move(message));
    if (out.back().type == backend::kReadyForQuery) co_return out;
  }
}

Task<void> PgClient::Terminate(const Context& ctx) {
  std::string out;
  AppendTerminate(&out);
  absl::Status sent = co_await stream_->Write(ctx, out);
  // A stream that is broken already needs no goodbye.
  (void)sent;
  stream_->Close();
}

}  // namespace insula::pgwire
