#include "sql/session/testing/test_server.h"

#include "base/pgwire/backend.h"
#include "base/pgwire/frame.h"
#include "base/pgwire/testing/memory_network.h"
#include "sql/session/connection.h"

namespace insula::sql {

TestServer::TestServer(const Context& ctx, kv::Database* db, std::string keyspace) : catalog_(db, std::move(keyspace)), group_(ctx) {
  env_.database = db;
  env_.catalog = &catalog_;
  env_.plans = &plans_;
  env_.random = &random_;
}

TestServer::~TestServer() = default;

Task<absl::Status> TestServer::Bootstrap(std::string user) { co_return co_await catalog_.Bootstrap(group_.ctx(), std::move(user), ""); }

Task<absl::StatusOr<std::unique_ptr<pgwire::PgClient>>> TestServer::Connect(ConnectOptions options) {
  auto [near, far] = MemoryStream::Pair();
  pgwire::ClientOptions client;
  client.user = options.user;
  client.database = options.database;
  group_.Spawn(Serve(std::move(near), std::move(options)));
  co_return co_await pgwire::PgClient::Start(group_.ctx(), std::move(far), random_, client);
}

Task<void> TestServer::Serve(std::unique_ptr<ByteStream> stream, ConnectOptions options) {
  const Context& ctx = group_.ctx();
  pgwire::FrameReader reader(stream.get());
  auto startup = co_await reader.NextStartup(ctx);
  if (!startup.ok() || !startup->has_value()) co_return;
  Connection connection(stream.get(), &reader);
  SessionStart start;
  start.user = options.user;
  start.database = options.database;
  start.settings = options.settings;
  start.process_id = ++last_pid_;
  auto session = co_await Session::Create(ctx, env_, std::move(start), &connection);
  if (!session.ok()) {
    std::string out;
    pgwire::AppendError(ToPgError(session.status()), &out);
    absl::Status sent = co_await stream->Write(ctx, out);
    (void)sent;
    co_return;
  }
  Session* raw = session->get();
  sessions_.push_back(raw);
  pgwire::AppendAuthenticationOk(raw->out().bytes());
  pgwire::AppendBackendKeyData({static_cast<uint32_t>(raw->BackendPid()), "test"}, raw->out().bytes());
  absl::Status served = co_await connection.Serve(ctx, *raw);
  (void)served;  // tests look at what the client saw
  std::erase(sessions_, raw);
}

}  // namespace insula::sql
