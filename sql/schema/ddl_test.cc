#include "sql/schema/ddl.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "sql/schema/testing/sql_tester.h"

namespace insula::sql {
namespace {

class DdlTest : public testing::Test {
 protected:
  std::string Run(std::string sql) { return t_.Run(std::move(sql)); }
  // What is stored once dropped rows have been cleared, too.
  size_t StoredKeys() {
    t_.world.ClearDropped();
    return t_.world.db.Dump("K").size();
  }
  SqlTester t_;
};

TEST_F(DdlTest, AnUntouchedTenantHoldsAHandfulOfKeys) { EXPECT_LE(StoredKeys(), 3u); }

TEST_F(DdlTest, CreateInsertSelectDrop) {
  EXPECT_EQ(Run("create table t (a int primary key, b text not null default 'x', c numeric(10,2))"), "CREATE TABLE");
  EXPECT_EQ(Run("insert into t (a, c) values (2, 1.5), (1, null)"), "2");
  EXPECT_EQ(Run("select * from t order by a"), "1|x|-\n2|x|1.50\n");
  EXPECT_EQ(Run("insert into t values (1, 'y')"),
            "ERROR 23505: duplicate key value violates unique constraint \"t_pkey\" DETAIL: Key (a)=(1) already exists.");
  EXPECT_EQ(Run("insert into t values (3, null)"),
            "ERROR 23502: null value in column \"b\" of relation \"t\" violates not-null constraint DETAIL: Failing row contains (3, null, null).");
  EXPECT_EQ(Run("drop table t"), "DROP TABLE");
  EXPECT_EQ(Run("select * from t"), "ERROR 42P01: relation \"t\" does not exist");
  EXPECT_LE(StoredKeys(), 4u);
}

std::string Numbers(int from, int to) {
  std::string out;
  for (int i = from; i < to; ++i) StrAppend(&out, i, "\n");
  return out;
}

TEST_F(DdlTest, WhatIsDroppedGoesLaterAndNotBefore) {
  Run("create table t (a int primary key, b int); create index i on t (b); insert into t select g, g from generate_series(1, 50) g");
  EXPECT_EQ(Run("select count(*) from t"), "50\n");
  size_t with_index = t_.world.db.Dump("K").size();
  Run("drop index i");
  EXPECT_EQ(t_.world.db.Dump("K").size(), with_index + 1) << "nothing but an entry says that they go";
  t_.world.ClearDropped();
  EXPECT_EQ(t_.world.db.Dump("K").size(), with_index - 50);
  Run("begin; truncate t; insert into t values (7, 7); rollback");
  t_.world.ClearDropped();
  EXPECT_EQ(Run("select count(*) from t"), "50\n");
  Run("truncate t; insert into t values (7, 7)");
  EXPECT_EQ(Run("select * from t"), "7|7\n");
  t_.world.ClearDropped();
  EXPECT_EQ(Run("select * from t"), "7|7\n");
  EXPECT_LE(StoredKeys(), 8u);
}

TEST_F(DdlTest, RowsGoAtOnceIntoATableOfTheSameTransaction) {
  EXPECT_EQ(Run("begin; create table t (a int primary key)"), "");
  EXPECT_EQ(t_.session.CopyIn("copy t from stdin", Numbers(0, 3000), 4096), "COPY 3000");
  EXPECT_GE(t_.world.db.Dump("K").size(), 2000u) << "before the commit";
  EXPECT_EQ(Run("select count(*), max(a) from t"), "3000|2999\n");
  EXPECT_EQ(Run("update t set a = -1 where a = 0; delete from t where a = 1; select count(*), min(a) from t"), "2999|-1\n");
  t_.world.ClearDropped();
  EXPECT_EQ(Run("commit"), "COMMIT");
  t_.world.ClearDropped();
  EXPECT_EQ(Run("select count(*), min(a) from t"), "2999|-1\n");
}

TEST_F(DdlTest, RowsOfATransactionThatDoesNotCommitAreCleared) {
  size_t before = StoredKeys();
  Run("begin; create table t (a int primary key)");
  EXPECT_EQ(t_.session.CopyIn("copy t from stdin", Numbers(0, 3000), 4096), "COPY 3000");
  EXPECT_EQ(t_.session.CopyIn("copy t from stdin", Numbers(2999, 6000), 4096).substr(0, 11), "ERROR 23505") << "a duplicate is found";
  Run("rollback");
  EXPECT_GE(t_.world.db.Dump("K").size(), 3000u);
  EXPECT_LE(StoredKeys(), before + 1);  // a counter may stay
  Run("create table t (a int)");
  EXPECT_EQ(Run("select count(*) from t"), "0\n");
}

TEST_F(DdlTest, AfterASavepointRowsWaitForTheCommit) {
  Run("begin; create table t (a int primary key); savepoint s");
  EXPECT_EQ(t_.session.CopyIn("copy t from stdin", Numbers(0, 3000), 4096), "COPY 3000");
  Run("rollback to s");
  EXPECT_EQ(Run("select count(*) from t"), "0\n");
  Run("rollback; begin; savepoint s; create table u (a int primary key)");
  EXPECT_EQ(t_.session.CopyIn("copy u from stdin", Numbers(0, 3000), 4096), "COPY 3000");
  Run("rollback to s; create table u (a int primary key); insert into u values (5); commit");
  EXPECT_EQ(Run("select * from u"), "5\n");
  t_.world.ClearDropped();
  EXPECT_EQ(Run("select * from u"), "5\n");
}

TEST_F(DdlTest, RewritesOfOneStatementSeeWhatTheOneBeforeWrote) {
  Run("create table t (a int, b int); insert into t select g, g from generate_series(1, 500) g");
  EXPECT_EQ(Run("alter table t add primary key (a), alter column b type text using b::text, add check (a > 0)"), "ALTER TABLE");
  EXPECT_EQ(Run("select count(*), max(b) from t"), "500|99\n");
  t_.world.ClearDropped();
  EXPECT_EQ(Run("select count(*), max(b) from t"), "500|99\n");
  EXPECT_EQ(Run("create table c as select * from t"), "SELECT 500");
  EXPECT_EQ(Run("select count(*) from c"), "500\n");
  t_.world.ClearDropped();
  EXPECT_EQ(Run("select count(*) from c"), "500\n");
}

TEST_F(DdlTest, ChecksAndNames) {
  EXPECT_EQ(Run("create table t (a int check (a > 0), b int, constraint sums check (a + b < 10), check (a <> b))"), "CREATE TABLE");
  EXPECT_EQ(Run("insert into t values (0, 1)"), "ERROR 23514: new row for relation \"t\" violates check constraint \"t_a_check\" DETAIL: Failing row contains (0, 1).");
  EXPECT_EQ(Run("insert into t values (8, 5)"), "ERROR 23514: new row for relation \"t\" violates check constraint \"sums\" DETAIL: Failing row contains (8, 5).");
  EXPECT_EQ(Run("insert into t values (3, 3)"), "ERROR 23514: new row for relation \"t\" violates check constraint \"t_check\" DETAIL: Failing row contains (3, 3).");
  EXPECT_EQ(Run("insert into t values (1, null)"), "1");
  EXPECT_EQ(Run("create table t (a int)"), "ERROR 42P07: relation \"t\" already exists");
  EXPECT_EQ(Run("create table if not exists t (a int)"), "CREATE TABLE");
  EXPECT_EQ(t_.session.notices, std::vector<std::string>{"relation \"t\" already exists, skipping"});
  EXPECT_EQ(Run("create table u (a int, a text)"), "ERROR 42701: column \"a\" specified more than once");
  EXPECT_EQ(Run("create table u (a int primary key, b int primary key)"), "ERROR 42P16: multiple primary keys for table \"u\" are not allowed");
  EXPECT_EQ(Run("create table u (a nothing)"), "ERROR 42704: type \"nothing\" does not exist");
  EXPECT_EQ(Run("create table u (a int, primary key (b))"), "ERROR 42703: column \"b\" named in key does not exist");
}

TEST_F(DdlTest, SerialAndIdentity) {
  Run("create table t (id serial primary key, i int generated always as identity (start 10 increment 5), v text)");
  EXPECT_EQ(Run("insert into t (v) values ('a'), ('b')"), "2");
  EXPECT_EQ(Run("insert into t (v) values ('c') returning id, i"), "3|20\n");
  EXPECT_EQ(Run("select * from t order by id"), "1|10|a\n2|15|b\n3|20|c\n");
  EXPECT_EQ(Run("select currval('t_id_seq'), lastval()"), "3|20\n");
  EXPECT_EQ(Run("select setval('t_id_seq', 100)"), "100\n");
  EXPECT_EQ(Run("insert into t (v) values ('d') returning id"), "101\n");
  EXPECT_EQ(Run("select last_value, is_called from t_id_seq"), "101|t\n");
  const std::string kDefault = "nextval('t_id_seq'::regclass)\n";
  EXPECT_EQ(Run("select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 't'::regclass"), kDefault);
  EXPECT_EQ(Run("select column_default from information_schema.columns where table_name = 't' and column_name = 'id'"), kDefault);
  EXPECT_EQ(Run("insert into t (i) values (1)").substr(0, 12), "ERROR 428C9:");
  EXPECT_EQ(Run("drop table t"), "DROP TABLE");
  EXPECT_EQ(Run("select nextval('t_id_seq')"), "ERROR 42P01: relation \"t_id_seq\" does not exist");
}

TEST_F(DdlTest, Sequences) {
  EXPECT_EQ(Run("create sequence s start 5 increment 2 maxvalue 9"), "CREATE SEQUENCE");
  EXPECT_EQ(Run("select nextval('s'), nextval('s')"), "5|7\n");
  EXPECT_EQ(Run("select nextval('s')"), "9\n");
  EXPECT_EQ(Run("select nextval('s')"), "ERROR 2200H: nextval: reached maximum value of sequence \"s\" (9)");
  EXPECT_EQ(Run("alter sequence s restart"), "ALTER SEQUENCE");
  EXPECT_EQ(Run("select nextval('s')"), "5\n");
  EXPECT_EQ(Run("alter sequence s increment 1 maxvalue 1000"), "ALTER SEQUENCE");
  EXPECT_EQ(Run("select nextval('s')"), "6\n");
  EXPECT_EQ(Run("create sequence d increment -1"), "CREATE SEQUENCE");
  EXPECT_EQ(Run("select nextval('d'), nextval('d')"), "-1|-2\n");
  EXPECT_EQ(Run("create sequence c maxvalue 3 cycle"), "CREATE SEQUENCE");
  EXPECT_EQ(Run("select nextval('c'); select nextval('c'); select nextval('c'); select nextval('c')"), "1\n2\n3\n1\n");
  EXPECT_EQ(Run("select nextval('c') from generate_series(1, 7)"), "2\n3\n1\n2\n3\n1\n2\n");
  EXPECT_EQ(Run("create sequence low as smallint minvalue -32768; alter sequence low as int"), "");
  EXPECT_EQ(Run("select seqmin, seqmax from pg_sequence where seqrelid = 'low'::regclass"), "-2147483648|2147483647\n");
  EXPECT_EQ(Run("create sequence odd start 5 increment 2 maxvalue 10 cycle"), "CREATE SEQUENCE");
  EXPECT_EQ(Run("select nextval('odd') from generate_series(1, 9)"), "5\n7\n9\n1\n3\n5\n7\n9\n1\n");
  EXPECT_EQ(Run("create sequence down increment -2 minvalue -6 maxvalue -1 cycle"), "CREATE SEQUENCE");
  EXPECT_EQ(Run("select nextval('down') from generate_series(1, 5)"), "-1\n-3\n-5\n-1\n-3\n");
  // Running out in the middle of a statement leaves the sequence at its last value.
  EXPECT_EQ(Run("create sequence short maxvalue 5"), "CREATE SEQUENCE");
  EXPECT_EQ(Run("select nextval('short') from generate_series(1, 3)"), "1\n2\n3\n");
  EXPECT_EQ(Run("select nextval('short') from generate_series(1, 3)"), "ERROR 2200H: nextval: reached maximum value of sequence \"short\" (5)");
  EXPECT_EQ(Run("select last_value from short"), "5\n");
  EXPECT_EQ(Run("select setval('short', 2), nextval('short'), currval('short'), nextval('short')"), "2|3|3|4\n");
  EXPECT_EQ(Run("select nextval('short')"), "5\n");
  EXPECT_EQ(Run("select setval('short', 2, false), nextval('short')"), "2|2\n");
  EXPECT_EQ(Run("select nextval('short')"), "3\n");
  EXPECT_EQ(Run("create sequence bad minvalue 5 maxvalue 4"), "ERROR 22023: MINVALUE (5) must be less than MAXVALUE (4)");
}

TEST_F(DdlTest, AlterAddAndDropColumns) {
  Run("create table t (a int primary key, b int); insert into t values (1, 10), (2, 20)");
  EXPECT_EQ(Run("alter table t add column c text default 'new', add d int"), "ALTER TABLE");
  EXPECT_EQ(Run("select * from t order by a"), "1|10|new|-\n2|20|new|-\n");
  EXPECT_EQ(Run("alter table t add e int not null"), "ERROR 23502: column \"e\" of relation \"t\" contains null values");
  EXPECT_EQ(Run("alter table t add f serial"), "ALTER TABLE");
  EXPECT_EQ(Run("select f from t order by f"), "1\n2\n");
  EXPECT_EQ(Run("alter table t drop column b, drop column f"), "ALTER TABLE");
  EXPECT_EQ(Run("select * from t order by a"), "1|new|-\n2|new|-\n");
  EXPECT_EQ(Run("alter table t add b text"), "ALTER TABLE");
  EXPECT_EQ(Run("select b from t"), "-\n-\n");  // not the old one's values
  EXPECT_EQ(Run("alter table t drop column zz"), "ERROR 42703: column \"zz\" of relation \"t\" does not exist");
  EXPECT_EQ(Run("alter table t drop column a"), "ALTER TABLE");  // its primary key goes with it
  EXPECT_EQ(Run("select count(*) from t"), "2\n");
  EXPECT_EQ(Run("alter table t add g int generated always as (length(c)) stored"), "ALTER TABLE");
  EXPECT_EQ(Run("select g from t"), "3\n3\n");
}

TEST_F(DdlTest, AlterColumns) {
  Run("create table t (a int, b text); insert into t values (1, '5'), (null, '6')");
  EXPECT_EQ(Run("alter table t alter a set not null"), "ERROR 23502: column \"a\" of relation \"t\" contains null values");
  Run("update t set a = 2 where a is null");
  EXPECT_EQ(Run("alter table t alter a set not null, alter a set default 7, alter b type int using b::int + 1"), "ALTER TABLE");
  EXPECT_EQ(Run("insert into t (b) values (1)"), "1");
  EXPECT_EQ(Run("select * from t order by a"), "1|6\n2|7\n7|1\n");
  EXPECT_EQ(Run("alter table t alter a drop default, alter a drop not null"), "ALTER TABLE");
  EXPECT_EQ(Run("insert into t (b) values (2)"), "1");
  EXPECT_EQ(Run("alter table t alter b type bigint"), "ALTER TABLE");
  EXPECT_EQ(Run("insert into t (b) values (5000000000)"), "1");
  EXPECT_EQ(Run("alter table t alter b type int"), "ERROR 22003: integer out of range");
  EXPECT_EQ(Run("alter table t alter b type boolean").substr(0, 73), "ERROR 42804: column \"b\" cannot be cast automatically to type boolean");
  EXPECT_EQ(Run("select max(b) from t"), "5000000000\n");
}

TEST_F(DdlTest, AddingAPrimaryKeyMovesTheRows) {
  Run("create table t (a int, b text); create index on t (b); insert into t select 1000 - i, 'v' || i from generate_series(1, 1000) i");
  EXPECT_EQ(Run("alter table t add primary key (a)"), "ALTER TABLE");
  EXPECT_EQ(Run("select count(*), min(a), max(a) from t"), "1000|0|999\n");
  EXPECT_EQ(Run("select * from t where a = 5"), "5|v995\n");
  EXPECT_EQ(Run("select a from t where b = 'v1'"), "999\n");
  EXPECT_EQ(Run("insert into t values (5, 'again')"), "ERROR 23505: duplicate key value violates unique constraint \"t_pkey\" DETAIL: Key (a)=(5) already exists.");
  EXPECT_EQ(Run("insert into t values (null, 'x')").substr(0, 12), "ERROR 23502:");
  EXPECT_EQ(Run("alter table t drop constraint t_pkey"), "ALTER TABLE");
  EXPECT_EQ(Run("insert into t values (5, 'again')"), "1");
  EXPECT_EQ(Run("alter table t add primary key (a)"), "ERROR 23505: could not create unique index \"t_pkey\" DETAIL: Key (a)=(5) is duplicated.");
  EXPECT_EQ(Run("select count(*) from t"), "1001\n");
}

TEST_F(DdlTest, Indexes) {
  Run("create table t (a int primary key, b text, c int); insert into t values (1, 'x', 5), (2, 'y', 5), (3, null, 6), (4, null, null)");
  EXPECT_EQ(Run("create unique index on t (b)"), "CREATE INDEX");
  EXPECT_EQ(Run("create unique index t_c on t (c)"), "ERROR 23505: could not create unique index \"t_c\" DETAIL: Key (c)=(5) is duplicated.");
  EXPECT_EQ(Run("create unique index t_c on t (c) where a > 1"), "CREATE INDEX");
  EXPECT_EQ(Run("create index t_lower on t (lower(b) desc, c) include (a)"), "CREATE INDEX");
  EXPECT_EQ(Run("insert into t values (5, 'x', 9)"), "ERROR 23505: duplicate key value violates unique constraint \"t_b_idx\" DETAIL: Key (b)=(x) already exists.");
  EXPECT_EQ(Run("insert into t values (5, 'z', 6)"), "ERROR 23505: duplicate key value violates unique constraint \"t_c\" DETAIL: Key (c)=(6) already exists.");
  EXPECT_EQ(Run("update t set c = 6 where a = 1"), "1");  // outside of the partial index
  EXPECT_EQ(Run("update t set a = 9 where a = 1"), "ERROR 23505: duplicate key value violates unique constraint \"t_c\" DETAIL: Key (c)=(6) already exists.");
  EXPECT_EQ(Run("select a from t where b = 'y'"), "2\n");
  EXPECT_EQ(Run("select a from t where b is null order by a"), "3\n4\n");
  EXPECT_EQ(Run("drop index t_c, t_lower"), "DROP INDEX");
  EXPECT_EQ(Run("update t set a = 9 where a = 1"), "1");
  EXPECT_EQ(Run("select a from t where b = 'x'"), "9\n");
  EXPECT_EQ(Run("reindex table t"), "REINDEX");
  EXPECT_EQ(Run("select a from t where b = 'x'"), "9\n");
}

TEST_F(DdlTest, TruncateAndRestart) {
  Run("create table t (id serial, v int); insert into t (v) values (1), (2)");
  EXPECT_EQ(Run("truncate t"), "TRUNCATE TABLE");
  EXPECT_EQ(Run("insert into t (v) values (1) returning id"), "3\n");
  EXPECT_EQ(Run("truncate t restart identity"), "TRUNCATE TABLE");
  EXPECT_EQ(Run("insert into t (v) values (1) returning id"), "1\n");
  EXPECT_EQ(Run("select count(*) from t"), "1\n");
}

TEST_F(DdlTest, DdlIsTransactional) {
  Run("create table keep (a int); insert into keep values (1)");
  size_t before = StoredKeys();
  EXPECT_EQ(Run("begin; create table t (a int); insert into t values (1); alter table keep add b int default 5; select * from keep; rollback"), "1|5\n");
  EXPECT_EQ(Run("select * from t"), "ERROR 42P01: relation \"t\" does not exist");
  EXPECT_EQ(Run("select * from keep"), "1\n");
  EXPECT_LE(StoredKeys(), before + 1);  // a counter may stay
  EXPECT_EQ(Run("begin; savepoint s; create table t (a int); rollback to s; create table u (a int); commit"), "");
  EXPECT_EQ(Run("select * from t"), "ERROR 42P01: relation \"t\" does not exist");
  EXPECT_EQ(Run("select * from u"), "");
}

TEST_F(DdlTest, OtherSessionsSeeChangesAfterTheirCommit) {
  SqlSession other(&t_.world);
  Run("create table t (a int)");
  EXPECT_EQ(other.Run("begin; insert into t values (1)"), "");
  EXPECT_EQ(Run("alter table t add b int default 7"), "ALTER TABLE");
  // The other transaction's next statement finds that the catalog moved, and takes the new one.
  EXPECT_EQ(other.Run("insert into t values (2)"), "1");
  EXPECT_EQ(other.Run("commit"), "COMMIT");
  EXPECT_EQ(Run("select * from t order by a"), "1|-\n2|7\n");
}

TEST_F(DdlTest, Views) {
  Run("create table t (a int, b text); insert into t values (1, 'x'), (2, 'y')");
  EXPECT_EQ(Run("create view v as select *, a * 2 as twice from t where a > 1"), "CREATE VIEW");
  EXPECT_EQ(Run("select * from v"), "2|y|4\n");
  EXPECT_EQ(Run("alter table t add c int"), "ALTER TABLE");
  EXPECT_EQ(Run("select * from v"), "2|y|4\n");
  EXPECT_EQ(Run("drop table t"), "ERROR 2BP01: cannot drop table t because other objects depend on it DETAIL: view v depends on table t");
  EXPECT_EQ(Run("alter table t rename to renamed"), "ALTER TABLE");
  EXPECT_EQ(Run("select * from v"), "2|y|4\n");
  EXPECT_EQ(Run("create or replace view v as select a, b, a * 3 as twice, 1 as one from renamed"), "CREATE VIEW");
  EXPECT_EQ(Run("select * from v order by a"), "1|x|3|1\n2|y|6|1\n");
  EXPECT_EQ(Run("drop table renamed cascade"), "DROP TABLE");
  EXPECT_EQ(t_.session.notices.back(), "drop cascades to view v");
  EXPECT_EQ(Run("select * from v"), "ERROR 42P01: relation \"v\" does not exist");
}

TEST_F(DdlTest, Renames) {
  Run("create table t (a int check (a > 0), b int generated always as (a + 1) stored); create index i on t ((a * 2)) where a > 5");
  EXPECT_EQ(Run("alter table t rename column a to \"A b\""), "ALTER TABLE");
  EXPECT_EQ(Run("insert into t values (0)").substr(0, 12), "ERROR 23514:");
  EXPECT_EQ(Run("insert into t values (6)"), "1");
  EXPECT_EQ(Run("select \"A b\", b from t"), "6|7\n");
  EXPECT_EQ(Run("select pg_get_indexdef('i'::regclass)"), "CREATE INDEX i ON public.t USING btree (((\"A b\" * 2))) WHERE (\"A b\" > 5)\n");
  EXPECT_EQ(Run("alter index i rename to j"), "ALTER INDEX");
  EXPECT_EQ(Run("alter table t rename constraint t_a_check to positive"), "ALTER TABLE");
  EXPECT_EQ(Run("insert into t values (0)"), "ERROR 23514: new row for relation \"t\" violates check constraint \"positive\" DETAIL: Failing row contains (0, 1).");
}

TEST_F(DdlTest, SchemasAndSearchPath) {
  EXPECT_EQ(Run("create schema app"), "CREATE SCHEMA");
  EXPECT_EQ(Run("create table app.t (a int); insert into app.t values (5); create table t (a text)"), "");
  EXPECT_EQ(Run("select * from app.t"), "5\n");
  t_.session.search_path = {"app", "public"};
  EXPECT_EQ(Run("select * from t"), "5\n");
  EXPECT_EQ(Run("drop schema app").substr(0, 70), "ERROR 2BP01: cannot drop schema app because other objects depend on it");
  EXPECT_EQ(Run("drop schema app cascade"), "DROP SCHEMA");
  EXPECT_EQ(Run("select * from t"), "");
  EXPECT_EQ(Run("create table nowhere.t (a int)"), "ERROR 3F000: schema \"nowhere\" does not exist");
  EXPECT_EQ(Run("create table pg_catalog.t (a int)").substr(0, 55), "ERROR 42501: permission denied to create \"pg_catalog.t\"");
}

TEST_F(DdlTest, Databases) {
  EXPECT_EQ(Run("create database other"), "CREATE DATABASE");
  SqlSession in_other(&t_.world, "admin", "other");
  EXPECT_EQ(in_other.Run("create table t (a int); insert into t values (1); select * from t"), "1\n");
  EXPECT_EQ(Run("select * from t"), "ERROR 42P01: relation \"t\" does not exist");
  EXPECT_EQ(Run("select datname from pg_database order by 1"), "defaultdb\nother\npostgres\n");
  EXPECT_EQ(Run("drop database other"), "DROP DATABASE");
  EXPECT_EQ(Run("drop database defaultdb"), "ERROR 55006: cannot drop the currently open database");
}

TEST_F(DdlTest, RolesAndPrivileges) {
  EXPECT_EQ(Run("create role app login; create table t (a int, b int); insert into t values (1, 2)"), "");
  SqlSession app(&t_.world, "app");
  EXPECT_EQ(app.Run("select * from t"), "ERROR 42501: permission denied for table t");
  EXPECT_EQ(Run("grant select on t to app"), "GRANT");
  EXPECT_EQ(app.Run("select * from t"), "1|2\n");
  EXPECT_EQ(app.Run("insert into t values (1)"), "ERROR 42501: permission denied for table t");
  EXPECT_EQ(Run("create role writers; grant insert on t to writers; grant writers to app"), "");
  EXPECT_EQ(app.Run("insert into t values (3, 4)"), "1");
  EXPECT_EQ(app.Run("drop table t"), "ERROR 42501: must be owner of table t");
  EXPECT_EQ(app.Run("create table mine (a int)"), "ERROR 42501: permission denied for schema public");
  EXPECT_EQ(Run("revoke select on t from app; grant select (a) on t to app"), "");
  EXPECT_EQ(app.Run("select a from t order by a"), "1\n3\n");
  EXPECT_EQ(app.Run("select b from t"), "ERROR 42501: permission denied for table t");
  EXPECT_EQ(Run("drop role writers").substr(0, 79), "ERROR 2BP01: role \"writers\" cannot be dropped because some objects depend on it");
  EXPECT_EQ(Run("revoke all on t from writers; drop role writers"), "");
  EXPECT_EQ(app.Run("insert into t values (3, 4)"), "ERROR 42501: permission denied for table t");
  EXPECT_EQ(app.Run("create role x"), "ERROR 42501: permission denied to create role");
}

TEST_F(DdlTest, CreateTableAs) {
  Run("create table t (a int, b text); insert into t values (1, 'x'), (2, 'y')");
  EXPECT_EQ(Run("create table u as select a + 1 as a1, b from t"), "SELECT 2");
  EXPECT_EQ(Run("select * from u order by 1"), "2|x\n3|y\n");
  EXPECT_EQ(Run("create table w (p, q) as select * from t with no data"), "CREATE TABLE AS");
  EXPECT_EQ(Run("select p, q from w"), "");
  EXPECT_EQ(Run("select a into z from t"), "SELECT 2");
  EXPECT_EQ(Run("select count(*) from z"), "2\n");
}

TEST_F(DdlTest, LikeAndComments) {
  Run("create table t (a int primary key, b text default 'x' check (b <> ''), c serial); create index on t (b)");
  EXPECT_EQ(Run("create table u (like t including all, d int)"), "CREATE TABLE");
  EXPECT_EQ(Run("insert into u (a) values (1) returning a, b, d"), "1|x|-\n");
  EXPECT_EQ(Run("insert into u (a) values (1)").substr(0, 12), "ERROR 23505:");
  EXPECT_EQ(Run("insert into u (a, b) values (2, '')").substr(0, 12), "ERROR 23514:");
  EXPECT_EQ(Run("comment on table t is 'a table'; comment on column t.b is 'a column'"), "");
  EXPECT_EQ(Run("select obj_description('t'::regclass, 'pg_class'), col_description('t'::regclass, 2)"), "a table|a column\n");
}

TEST_F(DdlTest, AnalyzeCounts) {
  Run("create table t (a int, b int, c text); insert into t select i, i % 10, case when i % 4 = 0 then null else 'abc' end from generate_series(1, 5000) i");
  EXPECT_EQ(Run("analyze t"), "ANALYZE");
  EXPECT_EQ(Run("select reltuples from pg_class where relname = 't'"), "5000\n");
  EXPECT_EQ(Run("select attname, null_frac, avg_width, abs(n_distinct + 1) < 0.1 from pg_stats where tablename = 't' and attname <> 'c' order by 1"),
            "a|0|4|t\nb|0|4|f\n");
  EXPECT_EQ(Run("select n_distinct, null_frac from pg_stats where attname in ('b', 'c') order by attname"), "10|0\n1|0.25\n");
  EXPECT_EQ(Run("vacuum"), "VACUUM");
}

// What is built in has no descriptor to change.
TEST_F(DdlTest, SystemCatalogsStayAsTheyAre) {
  for (std::string_view sql :
       {"comment on table pg_class is 'x'", "comment on column pg_class.oid is 'x'", "comment on constraint x on pg_class is 'x'",
        "alter table pg_class rename to x", "alter table pg_class set schema public", "alter table pg_class rename column oid to x",
        "drop table pg_class", "truncate pg_class", "create index on pg_class (oid)", "alter table pg_class add column x int", "alter table pg_class owner to admin"}) {
    EXPECT_EQ(Run(std::string(sql)), "ERROR 42501: permission denied: \"pg_class\" is a system catalog") << sql;
  }
  EXPECT_EQ(Run("comment on view pg_tables is 'x'"), "ERROR 42501: permission denied: \"pg_tables\" is a system catalog");
  EXPECT_EQ(Run("comment on schema pg_catalog is 'x'").substr(0, 11), "ERROR 42501");
}

TEST_F(DdlTest, NamesOfTooManyParts) {
  for (std::string_view sql : {"comment on table a.b.c.d is 'x'", "comment on column a.b.c.d.e is 'x'", "drop table a.b.c.d"}) {
    EXPECT_EQ(Run(std::string(sql)).substr(0, 5), "ERROR") << sql;
  }
}

}  // namespace
}  // namespace insula::sql
