// A small PostgreSQL client over the runtime's network: for tests, health checks and tools inside our own processes.
//
//   CO_ASSIGN_OR_RETURN(auto client, co_await PgClient::Connect(ctx, network, random, {.address = "…", .user = "app"}));
//   CO_ASSIGN_OR_RETURN(auto outcome, co_await client->Query(ctx, "select 1"));
//
// Beside Query there are Send and Receive, for those who want the messages themselves.
// Thread safety: one coroutine at a time.
#ifndef INSULA_BASE_PGWIRE_CLIENT_H_
#define INSULA_BASE_PGWIRE_CLIENT_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/pgerror/pg_error.h"
#include "base/pgwire/backend.h"
#include "base/pgwire/frame.h"
#include "base/pgwire/frontend.h"
#include "base/runtime/net.h"
#include "base/runtime/random.h"

namespace insula::pgwire {

struct ClientOptions {
  std::string address;  // host:port
  std::string user;
  std::string password;
  std::string database;
  std::vector<std::pair<std::string, std::string>> parameters;  // options, application_name, …
  std::optional<TlsClientOptions> tls;                          // SSLRequest first, and no connection without it
};

// One statement's answer.
struct QueryResult {
  std::vector<FieldDescription> fields;
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::string tag;
};

// A whole simple query's.
struct QueryOutcome {
  std::vector<QueryResult> results;   // of the statements that completed
  absl::Status error;                 // of the one that did not; a PgError
  std::vector<PgErrorFields> notices;
  TransactionStatus status = TransactionStatus::kIdle;

  const QueryResult& one() const { return results.at(0); }
  // The only value of the only row, "" for NULL. For tests.
  std::string value() const;
};

// A message that owns its bytes.
struct ServerMessage {
  char type = 0;
  std::string payload;
};

class PgClient {
 public:
  // Up to the first ReadyForQuery. A server's refusal comes as its PgError.
  static Task<absl::StatusOr<std::unique_ptr<PgClient>>> Connect(const Context& ctx, Network& network, Random& random,
                                                                 ClientOptions options);
  // The same on a stream that is connected already.
  static Task<absl::StatusOr<std::unique_ptr<PgClient>>> Start(const Context& ctx, std::unique_ptr<ByteStream> stream,
                                                               Random& random, ClientOptions options);
  // Asks the server at `address` to cancel what the connection with this key runs.
  static Task<absl::Status> Cancel(const Context& ctx, Network& network, std::string address, BackendKeyData key,
                                   std::optional<TlsClientOptions> tls = std::nullopt);

  // A simple query. Not OK only when the connection is lost; the server's error is in the outcome. COPY IN is answered with
  // CopyFail, COPY OUT data comes as rows of one field.
  Task<absl::StatusOr<QueryOutcome>> Query(const Context& ctx, std::string_view sql);
  // COPY … FROM STDIN with the data given.
  Task<absl::StatusOr<QueryOutcome>> CopyIn(const Context& ctx, std::string_view sql, std::string_view data);

  Task<absl::Status> Send(const Context& ctx, std::string_view bytes);
  // The next message; nullopt at the end.
  Task<absl::StatusOr<std::optional<ServerMessage>>> Receive(const Context& ctx);
  // All messages up to and including ReadyForQuery.
  Task<absl::StatusOr<std::vector<ServerMessage>>> ReceiveUntilReady(const Context& ctx);

  Task<void> Terminate(const Context& ctx);

  const BackendKeyData& key() const { return key_; }
  const std::map<std::string, std::string>& parameters() const { return parameters_; }
  ByteStream& stream() { return *stream_; }

 private:
  explicit PgClient(std::unique_ptr<ByteStream> stream);
  Task<absl::Status> StartTls(const Context& ctx, const TlsClientOptions& tls);
  Task<absl::Status> Startup(const Context& ctx, Random& random, const ClientOptions& options);
  Task<absl::Status> Authenticate(const Context& ctx, Random& random, const std::string& password);
  Task<absl::StatusOr<QueryOutcome>> ReadOutcome(const Context& ctx, std::optional<std::string_view> copy_data);
  Task<absl::Status> AnswerCopyIn(const Context& ctx, std::optional<std::string_view> data);

  std::unique_ptr<ByteStream> stream_;
  FrameReader reader_;
  BackendKeyData key_;
  std::map<std::string, std::string> parameters_;
};

}  // namespace insula::pgwire

#endif  // INSULA_BASE_PGWIRE_CLIENT_H_
