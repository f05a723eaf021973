// Row locks, READ COMMITTED and the stronger levels, with two sessions at once.
#include <gtest/gtest.h>

#include "base/async/task_group.h"
#include "sql/schema/testing/sql_tester.h"

namespace insula::sql {
namespace {

class LockingTest : public testing::Test {
 protected:
  LockingTest() {
    a_.Run("create table t (id int primary key, v int, k int); create index on t (k); insert into t select i, 0, i from generate_series(1, 10) i");
  }
  // Starts a statement and lets it run until it waits or ends.
  void Start(SqlSession& session, std::string sql, std::optional<std::string>* result) {
    group_.SpawnFn([&session, sql, result]() -> Task<void> { *result = co_await session.RunTask(sql); });
    world_.loop.RunUntilIdle();
  }
  SqlWorld world_;
  SqlSession a_{&world_}, b_{&world_};
  TaskGroup group_{world_.loop.ctx()};
};

TEST_F(LockingTest, UpdatesOfOneRowDoNotLoseEachOther) {
  EXPECT_EQ(a_.Run("begin"), "BEGIN");
  EXPECT_EQ(a_.Run("update t set v = v + 1 where id = 3"), "1");
  std::optional<std::string> waiting;
  Start(b_, "update t set v = v + 10 where id = 3", &waiting);
  EXPECT_FALSE(waiting.has_value());
  EXPECT_EQ(a_.Run("commit"), "COMMIT");
  world_.loop.RunUntilIdle();
  EXPECT_EQ(waiting, "1");
  EXPECT_EQ(a_.Run("select v from t where id = 3"), "11\n");
}

TEST_F(LockingTest, ThePredicateIsCheckedOnTheLockedVersion) {
  a_.Run("begin");
  a_.Run("update t set v = 7 where id in (1, 2)");
  std::optional<std::string> by_scan, by_index;
  SqlSession c(&world_);
  Start(b_, "update t set v = v + 100 where v = 0 and id < 4", &by_scan);
  a_.Run("update t set k = 99 where id = 5");
  Start(c, "delete from t where k = 5", &by_index);
  EXPECT_FALSE(by_scan.has_value());
  EXPECT_FALSE(by_index.has_value());
  a_.Run("commit");
  world_.loop.RunUntilIdle();
  EXPECT_EQ(by_scan, "1");   // only row 3 is left
  EXPECT_EQ(by_index, "0");  // it is not k = 5 any more
  EXPECT_EQ(a_.Run("select id, v from t where id < 4 order by id"), "1|7\n2|7\n3|100\n");
}

TEST_F(LockingTest, RowsThatDoNotMatchAreNotLocked) {
  a_.Run("begin");
  EXPECT_EQ(a_.Run("update t set v = 1 where k > 8 and v = 0"), "2");
  EXPECT_EQ(b_.Run("update t set v = 2 where id = 3"), "1");  // does not wait
  a_.Run("commit");
}

TEST_F(LockingTest, SelectForUpdate) {
  a_.Run("begin");
  EXPECT_EQ(a_.Run("select id from t where id <= 2 for update"), "1\n2\n");
  EXPECT_EQ(b_.Run("select id from t where id <= 3 for update nowait"), "ERROR 55P03: could not obtain lock on row in relation \"t\"");
  EXPECT_EQ(b_.Run("select id from t where id <= 3 order by id for update skip locked"), "3\n");
  EXPECT_EQ(b_.Run("select id from t where id <= 2"), "1\n2\n");
  std::optional<std::string> waiting;
  Start(b_, "select id, v from t where id = 2 for share", &waiting);
  EXPECT_FALSE(waiting.has_value());
  a_.Run("update t set v = 5 where id = 2");
  a_.Run("commit");
  world_.loop.RunUntilIdle();
  EXPECT_EQ(waiting, "2|5\n");
}

TEST_F(LockingTest, SharedLocksAreShared) {
  a_.Run("begin");
  b_.Run("begin");
  EXPECT_EQ(a_.Run("select id from t where id = 1 for share"), "1\n");
  EXPECT_EQ(b_.Run("select id from t where id = 1 for share"), "1\n");
  SqlSession c(&world_);
  EXPECT_EQ(c.Run("select id from t where id = 1 for update nowait").substr(0, 12), "ERROR 55P03:");
  a_.Run("commit");
  b_.Run("commit");
}

TEST_F(LockingTest, JoinsLockTheirRowsAtTheirNewestVersion) {
  a_.Run("create table u (id int primary key, t_id int); insert into u values (1, 4), (2, 5)");
  a_.Run("begin");
  a_.Run("update t set v = 42 where id = 4");
  std::optional<std::string> waiting;
  Start(b_, "select u.id, t.v from u join t on t.id = u.t_id order by u.id for update", &waiting);
  EXPECT_FALSE(waiting.has_value());
  a_.Run("commit");
  world_.loop.RunUntilIdle();
  EXPECT_EQ(waiting, "1|42\n2|0\n");
}

TEST_F(LockingTest, StrongerLevelsRefuseWhatReadCommittedWaitsFor) {
  b_.isolation = kv::Isolation::kSnapshot;
  b_.Run("begin");
  EXPECT_EQ(b_.Run("select v from t where id = 1"), "0\n");
  a_.Run("update t set v = 1 where id = 1");
  EXPECT_EQ(b_.Run("select v from t where id = 1"), "0\n");
  EXPECT_EQ(b_.Run("update t set v = 2 where id = 1").substr(0, 12), "ERROR 40001:");
}

TEST_F(LockingTest, SerializableSumsDoNotSkew) {
  a_.isolation = b_.isolation = kv::Isolation::kSerializable;
  a_.Run("begin");
  b_.Run("begin");
  EXPECT_EQ(a_.Run("select sum(v) from t"), "0\n");
  EXPECT_EQ(b_.Run("select sum(v) from t"), "0\n");
  a_.Run("update t set v = 1 where id = 1");
  b_.Run("update t set v = 1 where id = 2");
  EXPECT_EQ(a_.Run("commit"), "COMMIT");
  EXPECT_EQ(b_.Run("commit").substr(0, 12), "ERROR 40001:");
}

TEST_F(LockingTest, UniqueInsertsWaitForEachOther) {
  a_.Run("begin");
  EXPECT_EQ(a_.Run("insert into t values (100)"), "1");
  std::optional<std::string> waiting, upsert;
  SqlSession c(&world_);
  Start(b_, "insert into t values (100)", &waiting);
  Start(c, "insert into t values (100, 5) on conflict (id) do update set v = 77", &upsert);
  EXPECT_FALSE(waiting.has_value());
  EXPECT_FALSE(upsert.has_value());
  a_.Run("commit");
  world_.loop.RunUntilIdle();
  EXPECT_EQ(waiting, "ERROR 23505: duplicate key value violates unique constraint \"t_pkey\" DETAIL: Key (id)=(100) already exists.");
  EXPECT_EQ(upsert, "1");
  EXPECT_EQ(a_.Run("select v from t where id = 100"), "77\n");
}

}  // namespace
}  // namespace insula::sql
