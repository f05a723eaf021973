// SQL over a database in memory, for tests of the executor, the catalog, schema changes and COPY: parser, binder and optimizer in
// front, results as text. A small stand-in for sessions: no protocol, no settings, no plan cache.
//
//   SqlTester sql;
//   EXPECT_EQ(sql.Run("create table t (a int); insert into t values (1), (null); select * from t"), "1\n-\n");
//   EXPECT_EQ(sql.Run("select 1/0"), "ERROR 22012: division by zero");
//
// Rows print as values joined by '|', NULL as '-'. Other statements print their tag only if Run is given one statement.
#ifndef INSULA_SQL_SCHEMA_TESTING_SQL_TESTER_H_
#define INSULA_SQL_SCHEMA_TESTING_SQL_TESTER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/runtime/random.h"
#include "kv/api/testing/memory_database.h"
#include "kv/api/testing/test_loop.h"
#include "sql/catalog/catalog.h"
#include "sql/catalog/catalog_functions.h"
#include "sql/catalog/clearings.h"
#include "sql/exec/executor.h"
#include "sql/schema/ddl.h"

namespace insula::sql {

// What all sessions of a test share.
struct SqlWorld {
  SqlWorld();
  // Lets the time pass after which dropped rows may be cleared, and clears them.
  void ClearDropped();
  TestLoop loop;
  kv::MemoryDatabase db;
  Catalog catalog{&db, "K"};
  // Does what a pod's background task does when `clearings.Work` is called.
  Clearings clearings{loop.ctx(), &db, catalog.layout()};
  SeededRandom random{1};
};

class SqlSession : public SessionInfo {
 public:
  explicit SqlSession(SqlWorld* world, std::string user = "admin", std::string database = "defaultdb");
  ~SqlSession() override;

  Task<std::string> RunTask(std::string sql);
  std::string Run(std::string sql) { return world_->loop.Run(RunTask(std::move(sql))); }
  // COPY … FROM STDIN with this data, cut into pieces of `piece` bytes.
  std::string CopyIn(std::string sql, std::string data, size_t piece = 7);
  std::string CopyOut(std::string sql);

  std::vector<std::string> notices;
  size_t memory_limit = size_t{64} << 20;
  size_t peak_memory = 0;          // of the last statement
  std::vector<Datum> parameters;   // $1 …, with their types
  std::vector<SqlType> parameter_types;
  kv::Isolation isolation = kv::Isolation::kReadCommitted;
  std::vector<std::string> search_path = {"public"};
  std::optional<PlanPtr> last_plan;

  // SessionInfo
  std::string CurrentUser() const override { return user_; }
  std::string SessionUser() const override { return user_; }
  std::string CurrentDatabase() const override { return database_; }
  std::vector<std::string> CurrentSchemas(bool include_implicit) const override;
  std::string Version() const override { return "PostgreSQL 15.0 (test)"; }
  int32_t BackendPid() const override { return 42; }
  int64_t BackendStartUs() const override { return 0; }
  std::optional<std::string> GetSetting(std::string_view name) const override;
  absl::StatusOr<std::string> SetSetting(std::string_view name, std::string_view value, bool local) override;

 private:
  struct Statement;
  Task<absl::Status> Begin(const Context& ctx);
  Task<absl::StatusOr<std::string>> RunOne(const Context& ctx, const ast::Statement& s, std::string_view text, bool only);
  Task<absl::StatusOr<std::string>> RunQuery(const Context& ctx, const ast::Statement& s, Statement& statement);
  Task<absl::StatusOr<std::string>> Control(const Context& ctx, const ast::Statement& s);
  // One statement in its transaction, retried while the catalog moves.
  Task<absl::StatusOr<std::string>> InTransaction(const Context& ctx, std::function<Task<absl::StatusOr<std::string>>(Statement&)> body);

  SqlWorld* world_;
  std::string user_, database_;
  std::unique_ptr<kv::Txn> txn_;
  std::unique_ptr<CatalogTxn> catalog_;
  SessionSequences sequences_;
  bool explicit_ = false;
  struct Mark {
    kv::Txn::Savepoint savepoint;
    size_t catalog;
  };
  std::map<std::string, Mark> savepoints_;
};

// One world, one session.
class SqlTester {
 public:
  SqlWorld world;
  SqlSession session{&world};
  std::string Run(std::string sql) { return session.Run(std::move(sql)); }
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SCHEMA_TESTING_SQL_TESTER_H_
