#include "sql/bulk/copy.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "sql/schema/testing/sql_tester.h"

namespace insula::sql {
namespace {

class CopyTest : public testing::Test {
 protected:
  std::string Run(std::string sql) { return t_.Run(std::move(sql)); }
  std::string In(std::string sql, std::string data) { return t_.session.CopyIn(std::move(sql), std::move(data)); }
  std::string Out(std::string sql) { return t_.session.CopyOut(std::move(sql)); }
  SqlTester t_;
};

TEST_F(CopyTest, TextComesInAndGoesOut) {
  Run("create table t (a int primary key, b text, c numeric(8,2) default 7, d timestamp)");
  EXPECT_EQ(In("copy t from stdin", "1\tx\\ty\t1.5\t2024-02-29 12:00:00\n2\t\\N\t\\N\t\\N\n"), "COPY 2");
  EXPECT_EQ(In("copy t (b, a) from stdin with (format text, freeze on)", "zed\t3\n\\.\nrubbish"), "COPY 1");
  EXPECT_EQ(Out("copy t to stdout"), "1\tx\\ty\t1.50\t2024-02-29 12:00:00\n2\t\\N\t\\N\t\\N\n3\tzed\t7.00\t\\N\n");
  EXPECT_EQ(Out("copy t (b) to stdout with (header)"), "b\nx\\ty\n\\N\nzed\n");
  EXPECT_EQ(Out("copy (select a, b from t where a > 1 order by a desc) to stdout csv header"), "a,b\n3,zed\n2,\n");
}

TEST_F(CopyTest, Csv) {
  Run("create table t (a int, b text)");
  EXPECT_EQ(In("copy t from stdin (format csv, header match)", "a,b\n1,\"x, y\"\n2,\n3,\"\"\n"), "COPY 3");
  EXPECT_EQ(Run("select a, b is null, b from t order by a"), "1|f|x, y\n2|t|-\n3|f|\n");
  EXPECT_EQ(Out("copy t to stdout csv"), "1,\"x, y\"\n2,\n3,\"\"\n");
  EXPECT_EQ(Out("copy t to stdout (format csv, force_quote *, delimiter ';', null 'none')"), "\"1\";\"x, y\"\n\"2\";none\n\"3\";\"\"\n");
  EXPECT_EQ(In("copy t from stdin (format csv, header match)", "a,c\n").substr(0, 112),
            "ERROR 22P04: column name mismatch in header line field 2: got \"c\", expected \"b\" CONTEXT: COPY t, line 1: \"a,c\"");
}

TEST_F(CopyTest, ErrorsSayWhere) {
  Run("create table t (a int primary key, b varchar(3))");
  EXPECT_EQ(In("copy t from stdin", "1\tx\nzwei\ty\n"), "ERROR 22P02: invalid input syntax for type integer: \"zwei\" CONTEXT: COPY t, line 2, column a: \"zwei\"");
  EXPECT_EQ(In("copy t from stdin", "1\n"), "ERROR 22P04: missing data for column \"b\" CONTEXT: COPY t, line 1: \"1\"");
  EXPECT_EQ(In("copy t from stdin", "1\tx\ty\n"), "ERROR 22P04: extra data after last expected column CONTEXT: COPY t, line 1: \"1\tx\ty\"");
  EXPECT_EQ(In("copy t from stdin", "1\ttoolong\n"), "ERROR 22001: value too long for type character varying(3) CONTEXT: COPY t, line 1, column b: \"toolong\"");
  EXPECT_EQ(In("copy t from stdin", "1\ta\n1\tb\n").substr(0, 78), "ERROR 23505: duplicate key value violates unique constraint \"t_pkey\" DETAIL: K");
  EXPECT_EQ(Run("select count(*) from t"), "0\n");
  EXPECT_EQ(In("copy nothing from stdin", ""), "ERROR 42P01: relation \"nothing\" does not exist");
  EXPECT_EQ(In("copy t (z) from stdin", "").substr(0, 12), "ERROR 42703:");
  EXPECT_EQ(In("copy t from stdin (format binary)", ""), "ERROR 0A000: COPY in binary format is not supported yet");
  EXPECT_EQ(In("copy t from stdin (delimiter 'ab')", ""), "ERROR 0A000: COPY delimiter must be a single one-byte character");
}

TEST_F(CopyTest, LargeLoadsStayWithinTheirMemory) {
  Run("create table t (a int, b int, c char(20))");
  std::string data;
  for (int i = 0; i < 60000; ++i) StrAppend(&data, i, "\t", i % 10, "\tsome text here\n");
  t_.session.memory_limit = 4 << 20;
  EXPECT_EQ(t_.session.CopyIn("copy t from stdin", data, 8192), "COPY 60000");
  EXPECT_LT(t_.world.db.largest_buffer(), 1u << 20);  // it asked to flush between batches
  EXPECT_EQ(Run("select count(*), sum(a), count(distinct b) from t"), "60000|1799970000|10\n");
  EXPECT_EQ(Run("alter table t add primary key (a)"), "ALTER TABLE");
  EXPECT_LT(t_.world.db.largest_buffer(), 4u << 20);
  EXPECT_EQ(Run("select b, c from t where a = 59999"), "9|some text here      \n");
}

}  // namespace
}  // namespace insula::sql
