// Every operator over no rows at all: no batch comes, and what it has of state is never touched by a first one.
//
//   sources (no rows, columns a int, b text)  ×  statements with a place for a source  →  one result for all sources
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"
#include "sql/schema/testing/sql_tester.h"

namespace insula::sql {
namespace {

class EmptyInputTest : public testing::Test {
 protected:
  EmptyInputTest() {
    t_.Run("create table e (a int primary key, b text, c numeric); create index e_b on e (b); create table f (a int, b text);"
           "create table full_one (a int primary key, b text); insert into full_one values (1, 'x'), (2, null);"
           "create table target (a int primary key, b text)");
  }

  std::string Run(const std::string& sql) { return t_.Run(sql); }

  // The statement with each source in place of @.
  void Expect(const std::string& sql, const std::string& expected) {
    for (const std::string& source : sources_) {
      std::string text = sql;
      for (size_t at = text.find('@'); at != std::string::npos; at = text.find('@', at + source.size())) text.replace(at, 1, source);
      EXPECT_EQ(Run(text), expected) << text;
    }
  }

  SqlTester t_;
  const std::vector<std::string> sources_ = {
      "e",
      "f",
      "(select a, b from e where a > 5)",
      "(select a, b from e where b = 'x')",
      "(select 1 as a, 'x' as b where false)",
      "(select i as a, 'x' as b from generate_series(1, 0) i)",
      "(select i as a, 'x' as b from generate_series(1, 3000) i where i % 5000 = 0)",
      "(select unnest('{}'::int[]) as a, 'x' as b)",
      "(select i as a, 'x' as b from unnest(null::int[]) i)",
      "(select oid::int8::int as a, tgname::text as b from pg_trigger)",
      "(with kept as materialized (select a, b from e) select a, b from kept)",
      "(with recursive up (a, b) as (select a, b from e union all select a + 1, b from up) select a, b from up)",
      "(select a, b from full_one limit 0)",
      "(select a, b from full_one offset 2)",
      "(select a, b from full_one order by b limit 0)",
      "(select a, b from full_one order by b offset 7)",
      "(select a, b from full_one intersect select a, b from e)",
      "(select a, b from e union all select a, b from f)",
      "(select a, b from e union select a, b from f)",
      "(select a, b from e except all select a, b from full_one)",
  };
};

TEST_F(EmptyInputTest, OneInput) {
  Expect("select * from @ s where a is null", "");
  Expect("select a + 1, b || 'x' from @ s", "");
  Expect("select a, b from @ s order by b desc, a", "");
  Expect("select a from @ s order by b limit 3", "");
  Expect("select a from @ s order by b limit 3 offset 2", "");
  Expect("select a from @ s limit 3", "");
  Expect("select a from @ s limit 0", "");
  Expect("select a from @ s order by a fetch first 2 rows with ties", "");
  Expect("select distinct b from @ s", "");
  Expect("select distinct a, b from @ s order by b", "");
  Expect("select distinct on (b) a, b from @ s order by b, a", "");
  Expect("select generate_series(1, a) from @ s", "");
  Expect("select a, unnest(array[a, a]) from @ s", "");
  Expect("select o.a from full_one o, @ s where s.a = o.a for update of o", "");
  Expect("select o.a from e o, @ s for update of o", "");
}

TEST_F(EmptyInputTest, Aggregates) {
  Expect("select count(*), count(a), count(distinct b), sum(a), avg(a), min(b), max(a) from @ s", "0|0|0|-|-|-|-\n");
  Expect("select bool_and(a > 0), string_agg(b, ','), array_agg(a order by b), stddev(a), corr(a, a), sum(a) filter (where a > 1) from @ s", "-|-|-|-|-|-\n");
  Expect("select count(*) from @ s having count(*) > 0", "");
  Expect("select b, count(*), sum(a) from @ s group by b", "");
  Expect("select a, count(*) from @ s group by a order by a", "");
  Expect("select a, b, count(*) from @ s group by grouping sets ((a), (b))", "");
  Expect("select a, b, count(*), grouping(a, b) from @ s group by rollup (a, b)", "-|-|0|3\n");
  Expect("select count(*) from @ s group by ()", "0\n");
  Expect("select min(a), max(a) from @ s where a > 3", "-|-\n");
}

TEST_F(EmptyInputTest, Windows) {
  Expect("select row_number() over (order by a), rank() over (partition by b order by a), sum(a) over () from @ s", "");
  Expect("select lag(a) over (order by a), ntile(2) over (order by a), nth_value(a, 2) over (order by a rows 1 preceding) from @ s", "");
}

TEST_F(EmptyInputTest, SetOperations) {
  const std::string one = "select a, b from full_one";
  Expect("select a, b from @ s union select a, b from @ t", "");
  Expect(StrCat("select a from (select a, b from @ s union ", one, ") q order by a"), "1\n2\n");
  Expect(StrCat("select a from (", one, " union all select a, b from @ s) q order by a"), "1\n2\n");
  for (std::string_view op : {"intersect", "intersect all"}) {
    Expect(StrCat("select a, b from @ s ", op, " ", one), "");
    Expect(StrCat(one, " ", op, " select a, b from @ s"), "");
  }
  for (std::string_view op : {"except", "except all"}) {
    Expect(StrCat("select a, b from @ s ", op, " ", one), "");
    Expect(StrCat("select a from (", one, " ", op, " select a, b from @ s) q order by a"), "1\n2\n");
  }
}

// Equal keys, keys of an index, other conditions, none: with rows on the left only, on the right only, on neither side.
TEST_F(EmptyInputTest, Joins) {
  for (std::string_view on : {"l.a = r.a", "l.a < r.a", "l.a = r.a and l.b < r.b", "true", "false", "l.b = r.b and l.a > r.a"}) {
    struct Case {
      std::string_view left, right;
      bool left_rows, right_rows;
    };
    for (const Case& c : {Case{"full_one", "@", true, false}, Case{"@", "full_one", false, true}, Case{"@", "@", false, false}}) {
      auto count = [&](std::string_view join) { return StrCat("select count(*) from ", c.left, " l ", join, " join ", c.right, " r on ", on); };
      const std::string left = c.left_rows ? "2\n" : "0\n", right = c.right_rows ? "2\n" : "0\n";
      Expect(count("inner"), "0\n");
      Expect(count("left"), left);
      Expect(count("right"), right);
      Expect(count("full"), c.left_rows ? left : right);
      Expect(StrCat("select count(*) from ", c.left, " l where exists (select 1 from ", c.right, " r where ", on, ")"), "0\n");
      Expect(StrCat("select count(*) from ", c.left, " l where not exists (select 1 from ", c.right, " r where ", on, ")"), left);
    }
  }
  Expect("select count(*) from full_one l, @ r", "0\n");
  Expect("select count(*) from @ l natural join full_one r", "0\n");
  Expect("select count(*) from full_one l left join @ r using (a)", "2\n");
  Expect("select count(*) from full_one l, lateral (select a from @ r where r.a = l.a limit 1) x", "0\n");
  Expect("select count(*), count(x) from full_one l left join lateral (select r.a from @ r where r.a > l.a order by b limit 1) y (x) on true", "2|0\n");
}

TEST_F(EmptyInputTest, Subqueries) {
  Expect("select (select a from @ s), exists (select 1 from @ s), array(select a from @ s)", "-|f|{}\n");
  Expect("select a in (select a from @ s), a not in (select a from @ s), a = any (select a from @ s), a > all (select a from @ s) from full_one order by a",
         "f|t|f|t\nf|t|f|t\n");
  Expect("select a, (select count(*) from @ s where s.a = o.a), (select max(s.b) from @ s where s.a < o.a) from full_one o order by a", "1|0|-\n2|0|-\n");
  Expect("select a from full_one where a not in (select s.a from @ s where s.b = full_one.b) order by a", "1\n2\n");
  Expect("with w as (select a from @ s) select count(*), (select count(*) from w x) from w", "0|0\n");
  Expect("with recursive w (n) as (select a from @ s union select n + 1 from w) select n from w", "");
}

TEST_F(EmptyInputTest, Writes) {
  Expect("insert into target select a, b from @ s", "0");
  Expect("insert into target select a, b from @ s on conflict (a) do update set b = excluded.b returning a", "");
  Expect("update target t set b = s.b from @ s where s.a = t.a", "0");
  Expect("update full_one t set b = s.b from @ s where s.a = t.a returning t.a", "");
  Expect("delete from full_one t using @ s where s.a = t.a", "0");
  Expect("with gone as (delete from full_one where a in (select a from @ s) returning *) insert into target select * from gone", "0");
  EXPECT_EQ(Run("update e set b = 'x'"), "0");
  EXPECT_EQ(Run("delete from e where a > 3"), "0");
  EXPECT_EQ(Run("delete from e returning *"), "");
  EXPECT_EQ(Run("select count(*) from full_one"), "2\n");
}

TEST_F(EmptyInputTest, Schema) {
  EXPECT_EQ(Run("create table made as select a, b from e"), "SELECT 0");
  EXPECT_EQ(Run("alter table e add column d int not null"), "ALTER TABLE");
  EXPECT_EQ(Run("alter table e alter column c type text using c::text || 'x'"), "ALTER TABLE");
  EXPECT_EQ(Run("alter table e add check (a > 0)"), "ALTER TABLE");
  EXPECT_EQ(Run("create unique index on e (b, d)"), "CREATE INDEX");
  EXPECT_EQ(Run("alter table e drop constraint e_pkey"), "ALTER TABLE");
  EXPECT_EQ(Run("reindex table e"), "REINDEX");
  EXPECT_EQ(Run("analyze e"), "ANALYZE");
  EXPECT_EQ(Run("truncate e"), "TRUNCATE TABLE");
  EXPECT_EQ(t_.session.CopyIn("copy e (a) from stdin", ""), "COPY 0");
  EXPECT_EQ(t_.session.CopyOut("copy e to stdout"), "");
}

}  // namespace
}  // namespace insula::sql
