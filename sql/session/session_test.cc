// Sessions over the real protocol, on a database in memory.
#include "sql/session/session.h"

#include <memory>
#include <string>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/pgwire/client.h"
#include "base/pgwire/frontend.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "kv/api/testing/memory_database.h"
#include "kv/api/testing/test_loop.h"
#include "sql/session/testing/test_server.h"

namespace insula::sql {
namespace {

using pgwire::PgClient;
using pgwire::QueryOutcome;
using pgwire::TransactionStatus;

struct SessionTest : ::testing::Test {
  SessionTest() { EXPECT_TRUE(loop.Run(server.Bootstrap()).ok()); }

  std::unique_ptr<PgClient> Connect(TestServer::ConnectOptions options = {}) {
    auto client = loop.Run(server.Connect(std::move(options)));
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }
  QueryOutcome Query(PgClient& c, std::string_view sql) {
    auto outcome = loop.Run(c.Query(loop.ctx(), sql));
    EXPECT_TRUE(outcome.ok()) << outcome.status() << " for " << sql;
    return outcome.ok() ? *std::move(outcome) : QueryOutcome();
  }
  // Rows as "a,b|c,d"; an error as its SQLSTATE.
  std::string Rows(PgClient& c, std::string_view sql) {
    QueryOutcome outcome = Query(c, sql);
    if (!outcome.error.ok()) return StrCat("!", ToPgError(outcome.error).sqlstate, " ", ToPgError(outcome.error).message);
    std::vector<std::string> rows;
    for (const auto& row : outcome.results.back().rows) {
      std::vector<std::string> cells;
      for (const auto& cell : row) cells.push_back(cell.value_or("NULL"));
      rows.push_back(StrJoin(cells, ","));
    }
    return StrJoin(rows, "|");
  }
  // The last statement's tag, or an error's SQLSTATE.
  std::string Run(PgClient& c, std::string_view sql) {
    QueryOutcome outcome = Query(c, sql);
    if (!outcome.error.ok()) return StrCat("!", ToPgError(outcome.error).sqlstate);
    return outcome.results.empty() ? "" : outcome.results.back().tag;
  }
  std::string Run(std::string_view sql) { return Run(*client, sql); }
  std::string Rows(std::string_view sql) { return Rows(*client, sql); }

  // Sends raw messages and gives the types of the answers up to ReadyForQuery: "12nDC Z".
  std::string Exchange(PgClient& c, const std::string& bytes) {
    EXPECT_TRUE(loop.Run(c.Send(loop.ctx(), bytes)).ok());
    auto messages = loop.Run(c.ReceiveUntilReady(loop.ctx()));
    EXPECT_TRUE(messages.ok()) << messages.status();
    std::string types;
    last.clear();
    for (auto& m : *messages) {
      if (m.type != pgwire::backend::kParameterStatus) types.push_back(m.type);
      last.push_back(std::move(m));
    }
    return types;
  }
  std::string LastError() {
    for (const auto& m : last) {
      if (m.type == pgwire::backend::kError) return pgwire::DecodeError(m.payload)->sqlstate;
    }
    return "";
  }
  std::string LastTag() {
    for (const auto& m : last) {
      if (m.type == pgwire::backend::kCommandComplete) return std::string(*pgwire::DecodeCommandComplete(m.payload));
    }
    return "";
  }

  kv::MemoryDatabase database;
  TestLoop loop;
  TestServer server{loop.ctx(), &database};
  std::unique_ptr<PgClient> client = nullptr;
  std::vector<pgwire::ServerMessage> last;
  void SetUp() override { client = Connect(); }
};

// ---- simple protocol

TEST_F(SessionTest, SelectsAndTags) {
  EXPECT_EQ(Rows("select 1, 'x', null, true"), "1,x,NULL,t");
  EXPECT_EQ(Run("create table t (a int primary key, b text)"), "CREATE TABLE");
  EXPECT_EQ(Run("insert into t values (1, 'one'), (2, 'two')"), "INSERT 0 2");
  EXPECT_EQ(Run("update t set b = b || '!' where a = 2"), "UPDATE 1");
  EXPECT_EQ(Rows("select a, b from t order by a"), "1,one|2,two!");
  EXPECT_EQ(Run("delete from t where a = 1"), "DELETE 1");
  EXPECT_EQ(Run("select * from t"), "SELECT 1");
  EXPECT_EQ(Rows("insert into t values (3, 'x') returning a + 1"), "4");
}

TEST_F(SessionTest, EmptyQueryAndSyntaxError) {
  QueryOutcome empty = Query(*client, " ; ");
  EXPECT_EQ(empty.results.size(), 1u);
  EXPECT_EQ(empty.results[0].tag, "");
  QueryOutcome bad = Query(*client, "selec 1");
  EXPECT_EQ(ToPgError(bad.error).sqlstate, "42601");
  EXPECT_EQ(ToPgError(bad.error).position, 1);
}

TEST_F(SessionTest, SeveralStatementsAreOneTransaction) {
  Run("create table t (a int primary key)");
  QueryOutcome outcome = Query(*client, "insert into t values (1); insert into t values (2); insert into t values (1)");
  EXPECT_EQ(outcome.results.size(), 2u);
  EXPECT_EQ(ToPgError(outcome.error).sqlstate, "23505");
  EXPECT_EQ(Rows("select count(*) from t"), "0");
  // COMMIT inside makes what came before it stay.
  outcome = Query(*client, "insert into t values (1); commit; insert into t values (2); select 1/0");
  EXPECT_EQ(outcome.results.size(), 3u);
  EXPECT_EQ(outcome.notices.size(), 1u);
  EXPECT_EQ(Rows("select a from t"), "1");
  // BEGIN takes what came before it into its block.
  outcome = Query(*client, "insert into t values (5); begin; insert into t values (6)");
  EXPECT_EQ(outcome.status, TransactionStatus::kInTransaction);
  EXPECT_EQ(Run("rollback"), "ROLLBACK");
  EXPECT_EQ(Rows("select a from t"), "1");
}

TEST_F(SessionTest, BlocksAndTheFailedState) {
  Run("create table t (a int primary key)");
  EXPECT_EQ(Run("begin"), "BEGIN");
  EXPECT_EQ(Run("insert into t values (1)"), "INSERT 0 1");
  EXPECT_EQ(Query(*client, "select 1/0").status, TransactionStatus::kFailed);
  EXPECT_EQ(Run("select 1"), "!25P02");
  EXPECT_EQ(Run("commit"), "ROLLBACK");
  EXPECT_EQ(Rows("select count(*) from t"), "0");
  EXPECT_EQ(Query(*client, "commit").notices.size(), 1u);
}

TEST_F(SessionTest, Savepoints) {
  Run("create table t (a int primary key)");
  Run("begin; insert into t values (1); savepoint s; insert into t values (2)");
  EXPECT_EQ(Run("insert into t values (1)"), "!23505");
  EXPECT_EQ(Run("rollback to s"), "ROLLBACK");
  EXPECT_EQ(Run("insert into t values (3)"), "INSERT 0 1");
  EXPECT_EQ(Run("release s"), "RELEASE");
  EXPECT_EQ(Run("rollback to s"), "!3B001");
  EXPECT_EQ(Run("rollback"), "ROLLBACK");
  Run("begin; insert into t values (1); savepoint s; insert into t values (2); rollback to s; insert into t values (3); commit");
  EXPECT_EQ(Rows("select a from t order by a"), "1|3");
  EXPECT_EQ(Run("savepoint x"), "!25P01");
}

TEST_F(SessionTest, DdlRollsBackWithItsTransaction) {
  Run("begin; create table t (a int); insert into t values (1)");
  EXPECT_EQ(Rows("select * from t"), "1");
  Run("rollback");
  EXPECT_EQ(Run("select * from t"), "!42P01");
  Run("begin; create table t (a int); savepoint s; alter table t add column b int; rollback to s; commit");
  EXPECT_EQ(Run("select b from t"), "!42703");
}

TEST_F(SessionTest, CharacteristicsOfTransactions) {
  EXPECT_EQ(Rows("show transaction_isolation"), "read committed");
  Run("begin isolation level serializable read only");
  EXPECT_EQ(Rows("show transaction_isolation"), "serializable");
  EXPECT_EQ(Rows("show transaction_read_only"), "on");
  EXPECT_EQ(Run("create table t (a int)"), "!25006");
  Run("rollback");
  Run("begin; select 1; select * from pg_class limit 1");
  EXPECT_EQ(Run("set transaction isolation level serializable"), "!25001");
  Run("rollback");
  Run("set session characteristics as transaction isolation level repeatable read");
  EXPECT_EQ(Rows("show transaction_isolation"), "repeatable read");
  EXPECT_EQ(Run("commit and chain"), "!25P01");
  Run("begin isolation level serializable; commit and chain");
  EXPECT_EQ(Rows("show transaction_isolation"), "serializable");
  Run("rollback");
}

TEST_F(SessionTest, SettingsFollowTheTransaction) {
  Run("set application_name = 'one'");
  Run("begin; set application_name = 'two'; rollback");
  EXPECT_EQ(Rows("show application_name"), "one");
  Run("begin; set local application_name = 'three'");
  EXPECT_EQ(Rows("select current_setting('application_name')"), "three");
  Run("commit");
  EXPECT_EQ(Rows("show application_name"), "one");
  EXPECT_EQ(client->parameters().at("application_name"), "one");
  EXPECT_EQ(Run("set no_such_thing = 1"), "!42704");
  EXPECT_EQ(Query(*client, "set local work_mem = '1MB'").notices.size(), 1u);
  EXPECT_EQ(Rows("select set_config('myapp.x', 'y', false)"), "y");
  EXPECT_EQ(Rows("show myapp.x"), "y");
}

TEST_F(SessionTest, StartupSettings) {
  TestServer::ConnectOptions options;
  options.settings = {{"TimeZone", "Europe/Paris"}, {"search_path", "a,b"}};
  auto c = Connect(options);
  EXPECT_EQ(Rows(*c, "show timezone"), "Europe/Paris");
  EXPECT_EQ(c->parameters().at("TimeZone"), "Europe/Paris");
  EXPECT_EQ(c->parameters().at("is_superuser"), "on");
  Run(*c, "set timezone = 'UTC'");
  Run(*c, "reset timezone");
  EXPECT_EQ(Rows(*c, "show timezone"), "Europe/Paris");
  options.settings = {{"nonsense", "1"}};
  EXPECT_EQ(ToPgError(loop.Run(server.Connect(options)).status()).sqlstate, "42704");
  TestServer::ConnectOptions nobody{.user = "nobody"};
  EXPECT_EQ(ToPgError(loop.Run(server.Connect(nobody)).status()).sqlstate, "28000");
}

TEST_F(SessionTest, NoticesRespectTheirLeastSeverity) {
  EXPECT_EQ(Query(*client, "drop table if exists nothing").notices.size(), 1u);
  Run("set client_min_messages = warning");
  EXPECT_EQ(Query(*client, "drop table if exists nothing").notices.size(), 0u);
}

// ---- plan cache

TEST_F(SessionTest, RepeatedShapesAreNotPlannedAgain) {
  Run("create table t (a int primary key, b int)");
  Run("insert into t values (1, 10), (2, 20), (3, 30)");
  EXPECT_EQ(Rows("select b from t where a = 1"), "10");
  uint64_t hits = server.plans().hits();
  EXPECT_EQ(Rows("select b from t where a = 2"), "20");
  EXPECT_EQ(Rows("select b from t where a = -3"), "");
  EXPECT_GE(server.plans().hits(), hits + 1);
  // A plan does not outlive the schema it was made for.
  Run("alter table t rename column b to c");
  EXPECT_EQ(Run("select b from t where a = 2"), "!42703");
  EXPECT_EQ(Rows("select c from t where a = 2"), "20");
}

TEST_F(SessionTest, LiteralsKeepTheirMeaning) {
  Run("create table t (a int, b text)");
  Run("insert into t values (2, 'x'), (1, 'y')");
  EXPECT_EQ(Rows("select a, b from t order by 2"), "2,x|1,y");
  EXPECT_EQ(Rows("select a, b from t order by 1"), "1,y|2,x");
  EXPECT_EQ(Rows("select a + 1 from t group by a + 1 order by a + 1 limit 1"), "2");
  EXPECT_EQ(Rows("select a + 1 from t group by a + 1 order by a + 1 limit 2"), "2|3");
  EXPECT_EQ(Rows("select 'abc'::varchar(2), 1.50::numeric(5,1)"), "ab,1.5");
  EXPECT_EQ(Rows("select -2147483648, 2147483648, 9223372036854775808"), "-2147483648,2147483648,9223372036854775808");
  EXPECT_EQ(Rows("select pg_typeof(-2147483648), pg_typeof(2147483648), pg_typeof(- 9223372036854775808)"), "integer,bigint,bigint");
  EXPECT_EQ(Rows("select - 0, - 0.0, 5 - 0"), "0,0.0,5");
  EXPECT_EQ(Rows("select - 7, - 2.5, 5 - 3"), "-7,-2.5,2") << "the same shape";
  EXPECT_EQ(Rows("select a - 0 from t where a = - - 1"), "1");
  EXPECT_EQ(Rows("select a - 3 from t where a = - - 2"), "-1");
  for (int round = 0; round < 2; ++round) {  // planned, and found again
    EXPECT_EQ(Rows("select interval '3' month, interval '3' day, interval '1-2' year to month"), "3 mons,3 days,1 year 2 mons");
    EXPECT_EQ(Rows("select interval '4' month, interval '2' day, interval '1-1' year to month"), "4 mons,2 days,1 year 1 mon");
  }
  QueryOutcome bad = Query(*client, "select 'x'::int");
  EXPECT_EQ(ToPgError(bad.error).sqlstate, "22P02");
  EXPECT_EQ(ToPgError(bad.error).position, 8);
}

TEST_F(SessionTest, ASecondPodSeesSchemaChangesAtOnce) {
  TestServer other(loop.ctx(), &database);
  auto there = *loop.Run(other.Connect());
  EXPECT_EQ(Run(*there, "select * from t"), "!42P01");
  Run("create table t (a int)");
  Run("insert into t values (1)");
  EXPECT_EQ(Rows(*there, "select * from t"), "1");
  Run("alter table t add column b int default 7");
  EXPECT_EQ(Rows(*there, "select * from t"), "1,7");
  Run("drop table t");
  EXPECT_EQ(Run(*there, "select * from t"), "!42P01");
}

// ---- conflicts

TEST_F(SessionTest, ReadCommittedRetriesUnseen) {
  Run("create table t (a int primary key, n int)");
  Run("insert into t values (1, 0)");
  auto second = Connect();
  Run("begin; update t set n = n + 1 where a = 1");
  // The second update waits for the first, then counts on top of it.
  std::string out;
  pgwire::AppendQuery("update t set n = n + 1 where a = 1", &out);
  EXPECT_TRUE(loop.Run(second->Send(loop.ctx(), out)).ok());
  loop.RunUntilIdle();
  Run("commit");
  auto messages = loop.Run(second->ReceiveUntilReady(loop.ctx()));
  ASSERT_TRUE(messages.ok());
  EXPECT_EQ((*messages)[0].type, pgwire::backend::kCommandComplete);
  EXPECT_EQ(Rows("select n from t"), "2");
}

TEST_F(SessionTest, SerializableConflictsInBlocksAreSeen) {
  Run("create table t (a int primary key, n int)");
  Run("insert into t values (1, 0), (2, 0)");
  auto second = Connect();
  Run("begin isolation level serializable");
  Run(*second, "begin isolation level serializable");
  EXPECT_EQ(Rows("select sum(n) from t"), "0");
  EXPECT_EQ(Rows(*second, "select sum(n) from t"), "0");
  std::vector<std::string> ends = {Run("update t set n = 1 where a = 1"), Run(*second, "update t set n = 1 where a = 2"), Run("commit"),
                                   Run(*second, "commit")};
  int failures = 0;
  for (const std::string& end : ends) failures += end == "!40001";
  EXPECT_GE(failures, 1) << "write skew must not commit twice";
  EXPECT_LE(Rows("select sum(n) from t"), "1");
}

// ---- extended protocol

TEST_F(SessionTest, ParseBindExecute) {
  Run("create table t (a int primary key, b text)");
  std::string m;
  pgwire::AppendParse({"ins", "insert into t values ($1, $2)", {}}, &m);
  pgwire::AppendDescribe({'S', "ins"}, &m);
  pgwire::AppendBind({"", "ins", {}, {"1", "one"}, {}}, &m);
  pgwire::AppendExecute({"", 0}, &m);
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "1tn2CZ");
  EXPECT_EQ(LastTag(), "INSERT 0 1");
  EXPECT_EQ(*pgwire::DecodeParameterDescription(last[1].payload), (std::vector<uint32_t>{23, 25}));
  m.clear();
  pgwire::AppendParse({"", "select a, b from t where a = $1", {}}, &m);
  pgwire::AppendBind({"", "", {1}, {std::string_view("\0\0\0\1", 4)}, {1, 0}}, &m);
  pgwire::AppendDescribe({'P', ""}, &m);
  pgwire::AppendExecute({"", 0}, &m);
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "12TDCZ");
  auto row = *pgwire::DecodeDataRow(last[3].payload);
  EXPECT_EQ(row[0], std::string_view("\0\0\0\1", 4));
  EXPECT_EQ(row[1], "one");
}

TEST_F(SessionTest, AnErrorSkipsToSync) {
  std::string m;
  pgwire::AppendParse({"", "select * from nothing", {}}, &m);
  pgwire::AppendBind({"", "", {}, {}, {}}, &m);
  pgwire::AppendExecute({"", 0}, &m);
  pgwire::AppendSync(&m);
  pgwire::AppendParse({"", "select 1", {}}, &m);
  pgwire::AppendSync(&m);
  EXPECT_TRUE(loop.Run(client->Send(loop.ctx(), m)).ok());
  auto first = *loop.Run(client->ReceiveUntilReady(loop.ctx()));
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(pgwire::DecodeError(first[0].payload)->sqlstate, "42P01");
  auto second = *loop.Run(client->ReceiveUntilReady(loop.ctx()));
  EXPECT_EQ(second[0].type, pgwire::backend::kParseComplete);
}

TEST_F(SessionTest, APipelineUpToSyncIsOneTransaction) {
  Run("create table t (a int primary key)");
  std::string m;
  auto insert = [&m](std::string_view value) {
    pgwire::AppendParse({"", "insert into t values ($1)", {}}, &m);
    pgwire::AppendBind({"", "", {}, {value}, {}}, &m);
    pgwire::AppendExecute({"", 0}, &m);
  };
  insert("1");
  insert("2");
  insert("1");
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "12C12C12EZ");
  EXPECT_EQ(LastError(), "23505");
  EXPECT_EQ(Rows("select count(*) from t"), "0");
  m.clear();
  insert("1");
  insert("2");
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "12C12CZ");
  EXPECT_EQ(Rows("select count(*) from t"), "2");
}

TEST_F(SessionTest, PortalsGiveRowsInParts) {
  std::string m;
  pgwire::AppendParse({"", "select * from generate_series(1, 5) g(x)", {}}, &m);
  pgwire::AppendBind({"p", "", {}, {}, {}}, &m);
  pgwire::AppendExecute({"p", 2}, &m);
  pgwire::AppendExecute({"p", 2}, &m);
  pgwire::AppendExecute({"p", 2}, &m);
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "12DDsDDsDCZ");
  EXPECT_EQ(LastTag(), "SELECT 5");
  // The portal went with its transaction.
  m.clear();
  pgwire::AppendExecute({"p", 2}, &m);
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "EZ");
  EXPECT_EQ(LastError(), "34000");
}

TEST_F(SessionTest, APortalDoesNotSeeLaterStatements) {
  Run("create table t (a int primary key)");
  Run("insert into t select * from generate_series(1, 3000)");
  Run("begin");
  std::string m;
  pgwire::AppendParse({"", "select a from t order by a", {}}, &m);
  pgwire::AppendBind({"p", "", {}, {}, {}}, &m);
  pgwire::AppendExecute({"p", 1}, &m);
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "12DsZ");
  Run("delete from t where a > 10");
  m.clear();
  pgwire::AppendExecute({"p", 0}, &m);
  pgwire::AppendSync(&m);
  Exchange(*client, m);
  EXPECT_EQ(LastTag(), "SELECT 3000");
  EXPECT_EQ(Run("rollback"), "ROLLBACK");
}

TEST_F(SessionTest, ErrorsOfTheExtendedProtocol) {
  auto error = [&](std::function<void(std::string*)> append) {
    std::string m;
    append(&m);
    pgwire::AppendSync(&m);
    Exchange(*client, m);
    return LastError();
  };
  EXPECT_EQ(error([](std::string* m) { pgwire::AppendBind({"", "none", {}, {}, {}}, m); }), "26000");
  EXPECT_EQ(error([](std::string* m) { pgwire::AppendDescribe({'S', "none"}, m); }), "26000");
  EXPECT_EQ(error([](std::string* m) { pgwire::AppendDescribe({'P', "none"}, m); }), "34000");
  EXPECT_EQ(error([](std::string* m) { pgwire::AppendParse({"", "select 1; select 2", {}}, m); }), "42601");
  EXPECT_EQ(error([](std::string* m) {
              pgwire::AppendParse({"dup", "select 1", {}}, m);
              pgwire::AppendParse({"dup", "select 1", {}}, m);
            }),
            "42P05");
  EXPECT_EQ(error([](std::string* m) {
              pgwire::AppendParse({"", "select $1::int", {}}, m);
              pgwire::AppendBind({"", "", {}, {}, {}}, m);
            }),
            "08P01");
  EXPECT_EQ(error([](std::string* m) {
              pgwire::AppendParse({"", "select $1::int", {}}, m);
              pgwire::AppendBind({"", "", {}, {"x"}, {}}, m);
            }),
            "22P02");
  EXPECT_EQ(error([](std::string* m) { m->append("B\0\0\0\5\1", 6); }), "08P01");
}

TEST_F(SessionTest, EmptyAndUtilityStatementsInTheExtendedProtocol) {
  std::string m;
  pgwire::AppendParse({"", "", {}}, &m);
  pgwire::AppendBind({"", "", {}, {}, {}}, &m);
  pgwire::AppendDescribe({'P', ""}, &m);
  pgwire::AppendExecute({"", 0}, &m);
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "12nIZ");
  m.clear();
  pgwire::AppendParse({"", "show work_mem", {}}, &m);
  pgwire::AppendDescribe({'S', ""}, &m);
  pgwire::AppendBind({"", "", {}, {}, {}}, &m);
  pgwire::AppendExecute({"", 0}, &m);
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "1tT2DCZ");
  m.clear();
  pgwire::AppendParse({"", "begin", {}}, &m);
  pgwire::AppendBind({"", "", {}, {}, {}}, &m);
  pgwire::AppendExecute({"", 0}, &m);
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "12CZ");
  EXPECT_EQ(Query(*client, "select 1").status, TransactionStatus::kInTransaction);
  Run("rollback");
}

TEST_F(SessionTest, APreparedStatementFollowsTheSchema) {
  Run("create table t (a int)");
  Run("insert into t values (1)");
  std::string parse;
  pgwire::AppendParse({"s", "select * from t", {}}, &parse);
  pgwire::AppendSync(&parse);
  EXPECT_EQ(Exchange(*client, parse), "1Z");
  std::string run;
  pgwire::AppendBind({"", "s", {}, {}, {}}, &run);
  pgwire::AppendExecute({"", 0}, &run);
  pgwire::AppendSync(&run);
  EXPECT_EQ(Exchange(*client, run), "2DCZ");
  Run("create index on t (a)");
  EXPECT_EQ(Exchange(*client, run), "2DCZ");
  Run("alter table t add column b text");
  EXPECT_EQ(Exchange(*client, run), "2EZ");
  EXPECT_EQ(LastError(), "0A000");
}

// ---- PREPARE, cursors, COPY, EXPLAIN

TEST_F(SessionTest, PrepareAndExecute) {
  EXPECT_EQ(Run("prepare p (int, text) as select $1 + 1, $2 || '!'"), "PREPARE");
  EXPECT_EQ(Rows("execute p (1 + 1, upper('x'))"), "3,X!");
  EXPECT_EQ(Run("execute p (1)"), "!42601");
  EXPECT_EQ(Run("prepare p as select 1"), "!42P05");
  EXPECT_EQ(Run("deallocate p"), "DEALLOCATE");
  EXPECT_EQ(Run("execute p (1, 'x')"), "!26000");
  EXPECT_EQ(Run("deallocate all"), "DEALLOCATE ALL");
}

TEST_F(SessionTest, Cursors) {
  EXPECT_EQ(Run("declare c cursor for select 1"), "!25P01");
  Run("begin");
  EXPECT_EQ(Run("declare c scroll cursor for select * from generate_series(1, 10)"), "DECLARE CURSOR");
  EXPECT_EQ(Rows("fetch 3 from c"), "1|2|3");
  EXPECT_EQ(Rows("fetch next from c"), "4");
  EXPECT_EQ(Rows("fetch prior from c"), "3");
  EXPECT_EQ(Rows("fetch absolute 7 from c"), "7");
  EXPECT_EQ(Rows("fetch relative -2 from c"), "5");
  EXPECT_EQ(Rows("fetch last from c"), "10");
  EXPECT_EQ(Rows("fetch first from c"), "1");
  EXPECT_EQ(Run("move 4 in c"), "MOVE 4");
  EXPECT_EQ(Rows("fetch all from c"), "6|7|8|9|10");
  EXPECT_EQ(Rows("fetch backward 2 from c"), "10|9");
  EXPECT_EQ(Run("close c"), "CLOSE CURSOR");
  EXPECT_EQ(Run("fetch c"), "!34000");
  Run("rollback");
  Run("begin; declare h cursor with hold for select * from generate_series(1, 3); commit");
  EXPECT_EQ(Rows("fetch 2 from h"), "1|2");
  EXPECT_EQ(Run("close all"), "CLOSE CURSOR ALL");
}

TEST_F(SessionTest, CopyInAndOut) {
  Run("create table t (a int primary key, b text)");
  auto in = loop.Run(client->CopyIn(loop.ctx(), "copy t from stdin", "1\tone\n2\t\\N\n"));
  ASSERT_TRUE(in.ok());
  ASSERT_TRUE(in->error.ok()) << in->error;
  EXPECT_EQ(in->results.back().tag, "COPY 2");
  QueryOutcome out = Query(*client, "copy t to stdout");
  ASSERT_TRUE(out.error.ok()) << out.error;
  std::string data;
  for (const auto& row : out.results.back().rows) data += *row[0];
  EXPECT_EQ(data, "1\tone\n2\t\\N\n");
  EXPECT_EQ(out.results.back().tag, "COPY 2");
  auto bad = loop.Run(client->CopyIn(loop.ctx(), "copy t from stdin", "3\tx\nfour\ty\n"));
  EXPECT_EQ(ToPgError(bad->error).sqlstate, "22P02");
  EXPECT_EQ(Rows("select count(*) from t"), "2") << "nothing of a failed COPY stays";
  EXPECT_EQ(ToPgError(Query(*client, "copy t from stdin").error).sqlstate, "57014") << "CopyFail";
  EXPECT_EQ(Run("copy t from '/etc/passwd'"), "!0A000");
}

TEST_F(SessionTest, Explain) {
  Run("create table t (a int primary key)");
  EXPECT_NE(Rows("explain select * from t where a = 1").find("t"), std::string::npos);
  std::string analyzed = Rows("explain analyze select count(*) from generate_series(1, 10)");
  EXPECT_NE(analyzed.find("Execution Time"), std::string::npos) << analyzed;
  EXPECT_EQ(Rows("explain (analyze, costs off, timing off, summary off) select 1"), "Result (actual rows=1 loops=1)");
  EXPECT_EQ(Run("explain (nonsense) select 1"), "!42601");
  Run("explain analyze insert into t values (1)");
  EXPECT_EQ(Rows("select count(*) from t"), "1");
}

// ---- cancelling, roles, the session as a value

TEST_F(SessionTest, CancelEndsTheStatementOnly) {
  Run("create table t (a int primary key)");
  Run("insert into t values (1)");
  auto waiter = Connect();
  Run("begin; delete from t where a = 1");
  std::string out;
  pgwire::AppendQuery("update t set a = 2 where a = 1", &out);
  EXPECT_TRUE(loop.Run(waiter->Send(loop.ctx(), out)).ok());
  loop.RunUntilIdle();
  ASSERT_EQ(server.sessions().size(), 2u);
  Session* session = server.sessions()[1];
  EXPECT_TRUE(session->statement_running()) << "it waits for the row's lock";
  session->Cancel(PgError(sqlstate::kQueryCanceled, "canceling statement due to user request"));
  auto messages = loop.Run(waiter->ReceiveUntilReady(loop.ctx()));
  ASSERT_TRUE(messages.ok());
  EXPECT_EQ(pgwire::DecodeError(messages->at(0).payload)->message, "canceling statement due to user request");
  EXPECT_EQ(Rows(*waiter, "select 1"), "1");
  session->Cancel(absl::CancelledError("nothing runs"));
  EXPECT_EQ(Rows(*waiter, "select 2"), "2");
}

TEST_F(SessionTest, StatementAndIdleTimeouts) {
  Run("create table t (a int primary key)");
  Run("insert into t values (1)");
  auto waiter = Connect();
  Run("begin; delete from t where a = 1");
  Run(*waiter, "set statement_timeout = '5s'");
  QueryOutcome outcome = Query(*waiter, "update t set a = 2 where a = 1");
  EXPECT_EQ(ToPgError(outcome.error).message, "canceling statement due to statement timeout");
  Run(*waiter, "reset statement_timeout; set lock_timeout = '1s'");
  EXPECT_EQ(Run(*waiter, "update t set a = 2 where a = 1"), "!55P03");
  Run("rollback; set idle_in_transaction_session_timeout = '10s'; begin");
  auto message = loop.Run(client->Receive(loop.ctx()));
  ASSERT_TRUE(message.ok() && message->has_value()) << message.status();
  EXPECT_EQ(pgwire::DecodeError((*message)->payload)->sqlstate, "25P03");
}

TEST_F(SessionTest, RolesAndPrivileges) {
  Run("create role reader; create table t (a int); insert into t values (1)");
  EXPECT_EQ(Run("set role reader"), "SET");
  EXPECT_EQ(Rows("select current_user, session_user"), "reader,app");
  EXPECT_EQ(Rows("show is_superuser"), "off");
  EXPECT_EQ(Run("select * from t"), "!42501");
  Run("reset role; grant select on t to reader; set role reader");
  EXPECT_EQ(Rows("select * from t"), "1");
  EXPECT_EQ(Run("insert into t values (2)"), "!42501");
  Run("reset role");
  EXPECT_EQ(Run("set role nobody"), "!22023");
}

TEST_F(SessionTest, DiscardAll) {
  Run("set work_mem = '1MB'; prepare p as select 1");
  EXPECT_EQ(Run("discard all"), "DISCARD ALL");
  EXPECT_EQ(Rows("show work_mem"), "4MB");
  EXPECT_EQ(Run("execute p"), "!26000");
  EXPECT_EQ(Run("begin; discard all"), "!25001");
  Run("rollback");
}

TEST_F(SessionTest, GoesOnInAnotherPod) {
  Run("create table t (a int)");
  Run("set timezone = 'Asia/Tokyo'; prepare p (int) as select $1 * 2");
  std::string m;
  pgwire::AppendParse({"w", "insert into t values ($1)", {}}, &m);
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*client, m), "1Z");
  auto value = server.sessions().at(0)->ToValue();
  ASSERT_TRUE(value.ok()) << value.status();
  auto decoded = SessionValue::Decode(value->Encode());
  ASSERT_TRUE(decoded.ok());
  TestServer other(loop.ctx(), &database);
  auto there = *loop.Run(other.Connect());
  ASSERT_TRUE(loop.Run(other.sessions().at(0)->Restore(loop.ctx(), *decoded)).ok());
  EXPECT_EQ(Rows(*there, "show timezone"), "Asia/Tokyo");
  EXPECT_EQ(Rows(*there, "execute p (21)"), "42");
  m.clear();
  pgwire::AppendBind({"", "w", {}, {"5"}, {}}, &m);
  pgwire::AppendExecute({"", 0}, &m);
  pgwire::AppendSync(&m);
  EXPECT_EQ(Exchange(*there, m), "2CZ");
  EXPECT_EQ(Rows("select a from t"), "5");
  Run("begin");
  EXPECT_FALSE(server.sessions().at(0)->ToValue().ok());
}

}  // namespace
}  // namespace insula::sql
