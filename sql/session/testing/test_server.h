// A pod's SQL side in one object, for tests: an environment over any kv::Database, and clients that speak the real protocol to it
// over byte streams in memory. No TLS, no passwords.
#ifndef INSULA_SQL_SESSION_TESTING_TEST_SERVER_H_
#define INSULA_SQL_SESSION_TESTING_TEST_SERVER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/pgwire/client.h"
#include "base/runtime/random.h"
#include "kv/api/txn.h"
#include "sql/catalog/catalog.h"
#include "sql/session/plan_cache.h"
#include "sql/session/session.h"

namespace insula::sql {

class TestServer {
 public:
  // `db` outlives it. The keyspace is one that no other server on `db` has, unless it shall share the tenant.
  TestServer(const Context& ctx, kv::Database* db, std::string keyspace = "\xfe\x88");
  ~TestServer();

  // The first user.
  Task<absl::Status> Bootstrap(std::string user = "app");

  struct ConnectOptions {
    std::string user = "app";
    std::string database = "defaultdb";
    std::vector<std::pair<std::string, std::string>> settings = {};
  };
  Task<absl::StatusOr<std::unique_ptr<pgwire::PgClient>>> Connect(ConnectOptions options);
  Task<absl::StatusOr<std::unique_ptr<pgwire::PgClient>>> Connect() { return Connect(ConnectOptions()); }

  SessionEnvironment& environment() { return env_; }
  PlanCache& plans() { return plans_; }
  Catalog& catalog() { return catalog_; }
  // Of the sessions that run now, in the order they were opened.
  const std::vector<Session*>& sessions() const { return sessions_; }

 private:
  Task<void> Serve(std::unique_ptr<ByteStream> stream, ConnectOptions options);

  SeededRandom random_{42};
  Catalog catalog_;
  PlanCache plans_;
  SessionEnvironment env_;
  std::vector<Session*> sessions_;
  int32_t last_pid_ = 0;
  TaskGroup group_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_TESTING_TEST_SERVER_H_
