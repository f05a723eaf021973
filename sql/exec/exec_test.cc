// Operators by SQL: plans come from the optimizer, rows from a database in memory.
#include <gtest/gtest.h>

#include "sql/schema/testing/sql_tester.h"

namespace insula::sql {
namespace {

class ExecTest : public testing::Test {
 protected:
  std::string Run(std::string sql) { return t_.Run(std::move(sql)); }
  SqlTester t_;
};

TEST_F(ExecTest, Expressions) {
  EXPECT_EQ(Run("select 1 + 2, 'a' || 'b', null::int is null, not false"), "3|ab|t|t\n");
  EXPECT_EQ(Run("select case when x = 0 then 0 else 10 / x end from (values (0), (2), (5)) v (x)"), "0\n5\n2\n");
  EXPECT_EQ(Run("select coalesce(x, 1 / (x + 1)) from (values (-1), (null), (3)) v (x)"), "-1\n-\n3\n");
  EXPECT_EQ(Run("select x from (values (0), (1), (2), (null)) v (x) where x <> 0 and 2 / x > 1"), "1\n");
  EXPECT_EQ(Run("select x is distinct from 1, x in (1, 2, null), x not in (1, 2) from (values (1), (3), (null)) v (x)"), "f|t|f\nt|-|t\nt|-|-\n");
  EXPECT_EQ(Run("select nullif(x, 2), greatest(x, 2), least(x, 2, null) from (values (1), (2), (null)) v (x)"), "1|2|1\n-|2|2\n-|2|2\n");
  EXPECT_EQ(Run("select x = any (array[1, 2]), x <> all (array[1, 2]) from (values (1), (3), (null)) v (x)"), "t|f\nf|t\n-|-\n");
  EXPECT_EQ(Run("select (1, 2) < (1, 3), (1, null) < (1, 3), (2, null) < (1, 3), row(1, 'a')"), "t|-|f|(1,a)\n");
  EXPECT_EQ(Run("select concat(variadic array[1, 2, null]), concat_ws('-', variadic x), format('%s, %s', variadic array['a', 'b']) from (values ('{1,2}'::int[]), ('{}'), (null)) v (x)"),
            "12|1-2|a, b\n12||a, b\n12|-|a, b\n");
  EXPECT_EQ(Run("select concat(variadic 10)"), "ERROR 42804: VARIADIC argument must be an array");
  EXPECT_EQ(Run("select (array[1, 2, 3])[2], (array[1, 2, 3])[2:]"), "2|{2,3}\n");
  EXPECT_EQ(Run("select 1 / 0"), "ERROR 22012: division by zero");
  EXPECT_EQ(Run("select (x is true), (x is not false), (x is unknown) from (values (true), (false), (null)) v (x)"), "t|t|f\nf|f|f\nf|t|t\n");
}

TEST_F(ExecTest, ParametersAndLimits) {
  Run("create table t (a int primary key); insert into t select generate_series(1, 3000)");
  t_.session.parameters = {Datum::Int(2990), Datum::Int(3)};
  t_.session.parameter_types = {{oid::kInt4, -1}, {oid::kInt8, -1}};
  EXPECT_EQ(Run("select a from t where a > $1 order by a limit $2 offset 2"), "2993\n2994\n2995\n");
  EXPECT_EQ(Run("select a from t order by a desc limit 2"), "3000\n2999\n");
  EXPECT_EQ(Run("select a from t order by a limit -1"), "ERROR 2201W: LIMIT must not be negative");
  EXPECT_EQ(Run("select a from t where a < 5 order by a offset 2"), "3\n4\n");
  EXPECT_EQ(Run("select x from (values (1), (2), (2), (3)) v (x) order by x fetch first 2 rows with ties"), "1\n2\n2\n");
  EXPECT_EQ(Run("select a from t limit null offset 2999"), "3000\n");
}

TEST_F(ExecTest, IndexScans) {
  Run("create table t (a int, b text, c int, primary key (a, b)); create index t_c on t (c desc, b); create unique index t_b on t (b, c)");
  Run("insert into t select i / 10, 'b' || i, case when i % 7 = 0 then null else i % 50 end from generate_series(1, 500) i");
  EXPECT_EQ(Run("select b, c from t where a = 3 and b = 'b31'"), "b31|31\n");
  EXPECT_EQ(Run("select count(*) from t where a = 3"), "10\n");
  EXPECT_EQ(Run("select count(*) from t where a between 3 and 5 and b < 'b45'"), "15\n");
  EXPECT_EQ(Run("select count(*) from t where a in (3, 5, 5, 99)"), "20\n");
  EXPECT_EQ(Run("select a, b from t where b = 'b44' and c = 44"), "4|b44\n");
  EXPECT_EQ(Run("select a from t where c = 44 order by a"), "4\n9\n14\n19\n24\n34\n39\n44\n49\n");
  EXPECT_EQ(Run("select count(*), count(c) from t where c is null"), "71|0\n");
  EXPECT_EQ(Run("select max(c), min(c) from t where c > 10 and c <= 20"), "20|11\n");
  EXPECT_EQ(Run("select c from t where c is not null order by c desc, b limit 3"), "49\n49\n49\n");
  EXPECT_EQ(Run("select c from t order by c limit 2"), "0\n0\n");
  EXPECT_EQ(Run("select a from t where a > 48 order by a desc, b desc limit 3"), "50\n49\n49\n");
  EXPECT_EQ(Run("select count(*) from t where a = null"), "0\n");
  EXPECT_EQ(Run("select count(*) from t where a = any (array[1, 2, null])"), "20\n");
  EXPECT_EQ(Run("select count(*) from t where a > 5 and a < 3"), "0\n");
  EXPECT_EQ(Run("select count(*) from t where a > 2147483647 + 1::bigint"), "0\n");
  EXPECT_EQ(Run("select count(*) from t where a is null"), "0\n");
  EXPECT_EQ(Run("select count(*) from t where a = 3 and b is null"), "0\n");
  EXPECT_EQ(Run("select count(*) from t where a is null or (a = 3 and b = 'b31')"), "1\n");
  EXPECT_EQ(Run("select count(*) from t where b is null and c = 44"), "0\n");
  EXPECT_EQ(Run("update t set c = 1 where a is null"), "0");
  EXPECT_EQ(Run("delete from t where a is null and b = 'b31'"), "0");
}

TEST_F(ExecTest, Joins) {
  Run("create table l (a int, x text); create table r (a int, y text); insert into l values (1, 'l1'), (2, 'l2'), (2, 'l2b'), (null, 'ln'); "
      "insert into r values (2, 'r2'), (2, 'r2b'), (3, 'r3'), (null, 'rn')");
  EXPECT_EQ(Run("select x, y from l join r on l.a = r.a order by 1, 2"), "l2|r2\nl2|r2b\nl2b|r2\nl2b|r2b\n");
  EXPECT_EQ(Run("select x, y from l left join r on l.a = r.a and y <> 'r2b' order by 1, 2"), "l1|-\nl2|r2\nl2b|r2\nln|-\n");
  EXPECT_EQ(Run("select x, y from l right join r on l.a = r.a order by 1, 2"), "l2|r2\nl2|r2b\nl2b|r2\nl2b|r2b\n-|r3\n-|rn\n");
  EXPECT_EQ(Run("select x, y from l full join r on l.a = r.a order by 1, 2"), "l1|-\nl2|r2\nl2|r2b\nl2b|r2\nl2b|r2b\nln|-\n-|r3\n-|rn\n");
  EXPECT_EQ(Run("select x, y from l full join r on false order by 1, 2"), "l1|-\nl2|-\nl2b|-\nln|-\n-|r2\n-|r2b\n-|r3\n-|rn\n");
  EXPECT_EQ(Run("select count(*) from l, r"), "16\n");
  EXPECT_EQ(Run("select x, y from l join r on l.a < r.a order by 1, 2"), "l1|r2\nl1|r2b\nl1|r3\nl2|r3\nl2b|r3\n");
  EXPECT_EQ(Run("select x, y from l left join r on l.a > r.a order by 1, 2"), "l1|-\nl2|-\nl2b|-\nln|-\n");
}

TEST_F(ExecTest, Subqueries) {
  Run("create table l (a int, x text); create table r (a int, y text); insert into l values (1, 'l1'), (2, 'l2'), (null, 'ln'); "
      "insert into r values (2, 'r2'), (2, 'r2b'), (3, 'r3')");
  EXPECT_EQ(Run("select x from l where a in (select a from r)"), "l2\n");
  EXPECT_EQ(Run("select x from l where a not in (select a from r)"), "l1\n");
  EXPECT_EQ(Run("select x from l where a not in (select a from r where y = 'none')"), "l1\nl2\nln\n");
  EXPECT_EQ(Run("select x from l where a not in (select a from r union all select null)"), "");
  EXPECT_EQ(Run("select x, a in (select a from r), a in (select a from r union select null) from l order by x"), "l1|f|-\nl2|t|t\nln|-|-\n");
  EXPECT_EQ(Run("select x from l where exists (select 1 from r where r.a = l.a)"), "l2\n");
  EXPECT_EQ(Run("select x from l where not exists (select 1 from r where r.a = l.a) order by 1"), "l1\nln\n");
  EXPECT_EQ(Run("select x, (select count(*) from r where r.a = l.a) from l order by x"), "l1|0\nl2|2\nln|0\n");
  EXPECT_EQ(Run("select x, (select max(y) from r where r.a > l.a) from l order by x"), "l1|r3\nl2|r3\nln|-\n");
  EXPECT_EQ(Run("select (select a from r)"), "ERROR 21000: more than one row returned by a subquery used as an expression");
  EXPECT_EQ(Run("select (select a from r where a = 99)"), "-\n");
  EXPECT_EQ(Run("select x, y from l, lateral (select y from r where r.a = l.a order by y desc limit 1) s"), "l2|r2b\n");
  EXPECT_EQ(Run("select x, y from l left join lateral (select y from r where r.a = l.a limit 1) s on true order by x"), "l1|-\nl2|r2\nln|-\n");
  EXPECT_EQ(Run("select x from l where a < all (select a from r) order by 1"), "l1\n");
  EXPECT_EQ(Run("select x from l where a >= any (select a from r) order by 1"), "l2\n");
  EXPECT_EQ(Run("select array(select a from r order by y desc)"), "{3,2,2}\n");
}

TEST_F(ExecTest, LookupJoins) {
  Run("create table big (id int primary key, g int, v text); create index on big (g); insert into big select i, i % 100, 'v' || i from generate_series(1, 2000) i; "
      "create table small (k int, n text); insert into small values (5, 'five'), (7, 'seven'), (7, 'again'), (9999, 'none'), (null, 'null'); analyze");
  EXPECT_EQ(Run("select n, v from small join big on big.id = small.k order by n"), "again|v7\nfive|v5\nseven|v7\n");
  EXPECT_EQ(Run("select n, v from small left join big on big.id = small.k and v <> 'v5' order by n"), "again|v7\nfive|-\nnone|-\nnull|-\nseven|v7\n");
  EXPECT_EQ(Run("select n, count(v) from small left join big on big.g = small.k group by n order by n"), "again|20\nfive|20\nnone|0\nnull|0\nseven|20\n");
  EXPECT_EQ(Run("select n from small where exists (select 1 from big where big.g = small.k and big.id > 1000) order by n"), "again\nfive\nseven\n");
  EXPECT_EQ(Run("select n from small where not exists (select 1 from big where big.id = small.k) order by n"), "none\nnull\n");
}

TEST_F(ExecTest, Aggregates) {
  Run("create table t (g text, v int); insert into t values ('a', 1), ('b', 2), ('a', 3), (null, 4), ('a', null), (null, 4)");
  EXPECT_EQ(Run("select g, count(*), count(v), sum(v), min(v), max(v), avg(v) from t group by g order by g"),
            "a|3|2|4|1|3|2.0000000000000000\nb|1|1|2|2|2|2.0000000000000000\n-|2|2|8|4|4|4.0000000000000000\n");
  EXPECT_EQ(Run("select count(*), sum(v) from t where v > 100"), "0|-\n");
  EXPECT_EQ(Run("select g, count(*) from t where v > 100 group by g"), "");
  EXPECT_EQ(Run("select count(distinct v), sum(distinct v), count(*) filter (where v > 2) from t"), "4|10|3\n");
  EXPECT_EQ(Run("select g, array_agg(v order by v desc nulls last) from t group by g order by g"), "a|{3,1,NULL}\nb|{2}\n-|{4,4}\n");
  EXPECT_EQ(Run("select string_agg(distinct g, ',' order by g) from t"), "a,b\n");
  EXPECT_EQ(Run("select g, sum(v) from t group by g having sum(v) > 3 order by 2"), "a|4\n-|8\n");
  EXPECT_EQ(Run("select g, v, count(*), grouping(g, v) from t where g is not null group by grouping sets ((g), (v), ()) order by 4, 1, 2"),
            "a|-|3|1\nb|-|1|1\n-|1|1|2\n-|2|1|2\n-|3|1|2\n-|-|1|2\n-|-|4|3\n");
  EXPECT_EQ(Run("select count(*) from (select g, v from t group by rollup (g, v)) s"), "9\n");
  EXPECT_EQ(Run("select count(*), sum(i), sum(i % 10) from (select i from generate_series(1, 10000) i) s group by i % 3 order by 1, 2"),
            "3333|16665000|15000\n3333|16668333|15003\n3334|16671667|14997\n");
}

// States are there for each group, however many come with which batch.
TEST_F(ExecTest, GroupsThatComeBitByBit) {
  EXPECT_EQ(Run("select count(*), min(c), max(c), min(s), max(s) from (select i / 3 as g, count(*) as c, sum(1::numeric) as s "
                "from generate_series(3, 15002) i group by i / 3) q"), "5000|3|3|3|3\n");
  Run("create table t (a int primary key, b int); insert into t select i, i % 2 from generate_series(1, 5000) i; analyze");
  EXPECT_EQ(Run("select count(*), sum(c), max(c) from (select a, count(*) as c from t group by a order by a) q"), "5000|5000|1\n");
  EXPECT_EQ(Run("select a, count(*), sum(b), array_agg(b) from t group by a order by a limit 2 offset 3000"), "3001|1|1|{1}\n3002|1|0|{0}\n");
}

TEST_F(ExecTest, SequencesInAggregates) {
  Run("create sequence s; create table t (a int primary key); insert into t values (1), (2), (3)");
  EXPECT_EQ(Run("select sum(nextval('s')) from t"), "6\n");
  EXPECT_EQ(Run("select a, max(nextval('s')) from t group by a order by a"), "1|4\n2|5\n3|6\n");
  Run("create sequence one; create sequence two");
  EXPECT_EQ(Run("select a from t order by a limit nextval('one') offset nextval('two')"), "2\n");
  EXPECT_EQ(Run("select a from t limit nextval('one')"), "1\n2\n");
}

TEST_F(ExecTest, SortDistinctAndSets) {
  EXPECT_EQ(Run("select i from generate_series(1, 20000) i order by i % 7, i desc limit 2"), "19999\n19992\n");
  EXPECT_EQ(Run("select i from generate_series(1, 0) i order by i limit 2"), "") << "no batch at all";
  EXPECT_EQ(Run("select count(*), min(x), max(x) from (select distinct i % 100 as x from generate_series(1, 5000) i) s"), "100|0|99\n");
  EXPECT_EQ(Run("select x from (values (3), (null), (1), (2)) v (x) order by x nulls first"), "-\n1\n2\n3\n");
  EXPECT_EQ(Run("select x, y from (values (1, 'b'), (1, 'a'), (2, 'c')) v (x, y) order by x desc, y"), "2|c\n1|a\n1|b\n");
  EXPECT_EQ(Run("select distinct on (x) x, y from (values (1, 'b'), (1, 'a'), (2, 'c')) v (x, y) order by x, y"), "1|a\n2|c\n");
  EXPECT_EQ(Run("select x from (values (1), (1), (2)) v (x) union select 2 union select 3 order by 1"), "1\n2\n3\n");
  EXPECT_EQ(Run("select x from (values (1), (1), (2)) v (x) union all select 2 order by 1"), "1\n1\n2\n2\n");
  EXPECT_EQ(Run("select x from (values (1), (1), (2), (null)) v (x) intersect all select x from (values (1), (1), (1), (null)) w (x) order by 1"), "1\n1\n-\n");
  EXPECT_EQ(Run("select x from (values (1), (1), (2)) v (x) except all select 1 order by 1"), "1\n2\n");
  EXPECT_EQ(Run("select x from (values (1), (1), (2)) v (x) except select 1"), "2\n");
  EXPECT_EQ(Run("select sum(x) from (select i as x from generate_series(1, 30000) i order by i % 1000, i) s"), "450015000\n");
}

TEST_F(ExecTest, CommonTableExpressions) {
  EXPECT_EQ(Run("with recursive t (n) as (values (1) union all select n + 1 from t where n < 100) select sum(n), count(*) from t"), "5050|100\n");
  EXPECT_EQ(Run("with recursive t (n) as (select 1 union select (n * 2) % 7 from t) select n from t order by n"), "1\n2\n4\n");
  EXPECT_EQ(Run("with a as materialized (select i from generate_series(1, 3) i) select x.i, y.i from a x join a y on x.i < y.i order by 1, 2"), "1|2\n1|3\n2|3\n");
  Run("create table t (a int)");
  EXPECT_EQ(Run("with ins as (insert into t values (1), (2) returning a) select sum(a) from ins"), "3\n");
  EXPECT_EQ(Run("with moved as (delete from t where a = 1 returning a) insert into t select a + 10 from moved"), "1");
  EXPECT_EQ(Run("select a from t order by a"), "2\n11\n");
}

TEST_F(ExecTest, FunctionsInFrom) {
  EXPECT_EQ(Run("select * from generate_series(1, 3) with ordinality"), "1|1\n2|2\n3|3\n");
  EXPECT_EQ(Run("select * from rows from (generate_series(1, 3), generate_series(5, 6)) as t (a, b)"), "1|5\n2|6\n3|-\n");
  EXPECT_EQ(Run("select generate_series(1, x), x from (values (2), (0), (1)) v (x)"), "1|2\n2|2\n1|1\n");
  EXPECT_EQ(Run("select x, s from (values (2), (1)) v (x), generate_series(1, x) s order by 1, 2"), "1|1\n2|1\n2|2\n");
  EXPECT_EQ(Run("select count(*) from generate_series(1, 100000)"), "100000\n");
  EXPECT_EQ(Run("select jsonb_each('{\"a\": 1, \"b\": [2]}')"), "(a,1)\n(b,[2])\n");
  EXPECT_EQ(Run("select x, jsonb_each_text(x) from (values ('{}'::jsonb), ('{\"k\": \"v\"}')) v (x)"), "{\"k\": \"v\"}|(k,v)\n");
}

TEST_F(ExecTest, WindowFunctions) {
  std::string values = "(values ('a', 1), ('a', 2), ('a', 2), ('b', 5), ('b', 7)) v (g, x)";
  EXPECT_EQ(Run("select g, x, row_number() over w, rank() over w, dense_rank() over w, sum(x) over w from " + values + " window w as (partition by g order by x) order by g, x, 3"),
            "a|1|1|1|1|1\na|2|2|2|2|5\na|2|3|2|2|5\nb|5|1|1|1|5\nb|7|2|2|2|12\n");
  EXPECT_EQ(Run("select x, lag(x) over (order by x), lead(x, 2, -1) over (order by x), first_value(x) over (order by x), "
                "last_value(x) over (order by x rows between current row and unbounded following) from " + values + " where g = 'a' order by x, 2"),
            "1|-|2|1|2\n2|1|-1|1|2\n2|2|-1|1|2\n");
  EXPECT_EQ(Run("select x, sum(x) over (order by x rows between 1 preceding and 1 following), count(*) over (), sum(x) over (order by x range between 2 preceding and current row) from " +
                values + " order by x, 2"),
            "1|3|5|1\n2|5|5|5\n2|9|5|5\n5|14|5|5\n7|12|5|12\n");
  EXPECT_EQ(Run("select x, count(*) over (order by x range between 2::bigint preceding and 1 following) from (values (2147483647), (2147483646), (-2147483648)) v (x)"),
            "-2147483648|1\n2147483646|2\n2147483647|2\n");
  EXPECT_EQ(Run("select count(*) over (order by x range between 0.5 preceding and current row) from (values (1.5::real), (1), (3)) v (x)"), "1\n2\n1\n");
  EXPECT_EQ(Run("select count(*) over (order by x range -1 preceding) from (values (1)) v (x)"),
            "ERROR 22013: invalid preceding or following size in window function");
  EXPECT_EQ(Run("select ntile(2) over (order by x), cume_dist() over (order by x), percent_rank() over (order by x) from " + values + " where g = 'a'"),
            "1|0.3333333333333333|0\n1|1|0.5\n2|1|0.5\n");
}

TEST_F(ExecTest, InsertUpdateDelete) {
  Run("create table t (a int primary key, b int, c text)");
  EXPECT_EQ(Run("insert into t select i, i * 10, 'c' || i from generate_series(1, 5) i"), "5");
  EXPECT_EQ(Run("insert into t (a) values (6) returning *"), "6|-|-\n");
  EXPECT_EQ(Run("update t set b = b + 1, c = c || '!' where a <= 2 returning a, b, c"), "1|11|c1!\n2|21|c2!\n");
  EXPECT_EQ(Run("update t set a = a + 1"), "6");  // every row onto its neighbour's key
  EXPECT_EQ(Run("select a, b from t order by a"), "2|11\n3|21\n4|30\n5|40\n6|50\n7|-\n");
  EXPECT_EQ(Run("delete from t where b > 25 returning a"), "4\n5\n6\n");
  EXPECT_EQ(Run("insert into t select a + 100, b, c from t"), "3");
  EXPECT_EQ(Run("select count(*) from t"), "6\n");
  EXPECT_EQ(Run("update t set b = s.v from (values (2, 1), (2, 2), (3, 9)) s (k, v) where t.a = s.k"), "2");
  EXPECT_EQ(Run("select b from t where a = 3"), "9\n");
  EXPECT_EQ(Run("delete from t using (values (2), (2), (102)) s (k) where t.a = s.k"), "2");
  EXPECT_EQ(Run("update t set (a, b) = (1, 1) where a in (3, 7)"), "ERROR 23505: duplicate key value violates unique constraint \"t_pkey\" DETAIL: Key (a)=(1) already exists.");
  EXPECT_EQ(Run("select count(*) from t"), "4\n");
  EXPECT_EQ(Run("delete from t"), "4");
}

TEST_F(ExecTest, TheFirstBrokenRuleOfTheFirstBadRow) {
  Run("create table t (a int not null, constraint z check (a <> 3), b int not null, constraint y check (a < 9), constraint x check (b < 9 or a < 9))");
  EXPECT_EQ(Run("insert into t values (1, 1), (3, 2), (null, 1)"),
            "ERROR 23514: new row for relation \"t\" violates check constraint \"z\" DETAIL: Failing row contains (3, 2).");
  EXPECT_EQ(Run("insert into t values (1, 1), (1, null), (null, 1), (3, 1)"),
            "ERROR 23502: null value in column \"b\" of relation \"t\" violates not-null constraint DETAIL: Failing row contains (1, null).");
  EXPECT_EQ(Run("insert into t values (10, 10)"),
            "ERROR 23514: new row for relation \"t\" violates check constraint \"x\" DETAIL: Failing row contains (10, 10).");
}

TEST_F(ExecTest, InsertOnConflict) {
  Run("create table t (a int primary key, b int unique, n int default 0); insert into t values (1, 10), (2, 20)");
  EXPECT_EQ(Run("insert into t values (1, 99), (3, 30), (3, 31), (4, 20) on conflict do nothing returning a"), "3\n");
  EXPECT_EQ(Run("insert into t values (1, 11), (5, 50) on conflict (a) do update set n = t.n + excluded.b returning a, b, n"), "1|10|11\n5|50|0\n");
  EXPECT_EQ(Run("insert into t values (6, 20) on conflict (a) do nothing"), "ERROR 23505: duplicate key value violates unique constraint \"t_b_key\" DETAIL: Key (b)=(20) already exists.");
  EXPECT_EQ(Run("insert into t values (9, 20) on conflict (b) do update set a = excluded.a returning a, b"), "9|20\n");
  EXPECT_EQ(Run("insert into t values (7, 70), (7, 71) on conflict (a) do update set n = 1"),
            "ERROR 21000: ON CONFLICT DO UPDATE command cannot affect row a second time");
  EXPECT_EQ(Run("insert into t values (1, 1) on conflict (a) do update set n = 100 where t.n > 1000"), "0");
  EXPECT_EQ(Run("insert into t values (1, 1) on conflict on constraint t_pkey do update set b = null returning b"), "-\n");
  EXPECT_EQ(Run("select a, b, n from t order by a"), "1|-|11\n3|30|0\n5|50|0\n9|20|0\n");
}

TEST_F(ExecTest, MemoryIsBounded) {
  t_.session.memory_limit = 1 << 20;
  EXPECT_EQ(Run("select count(*) from (select i from generate_series(1, 1000000) i order by i desc) s").substr(0, 27), "ERROR 53200: out of memory ");
  EXPECT_EQ(Run("select count(*) from (select distinct i from generate_series(1, 1000000) i) s").substr(0, 27), "ERROR 53200: out of memory ");
  EXPECT_EQ(Run("select count(*) from generate_series(1, 1000000)"), "1000000\n");
  EXPECT_EQ(Run("select i from generate_series(1, 200000) i order by i desc limit 1"), "200000\n");
}

TEST_F(ExecTest, LongStatementsYieldAndCanBeCancelled) {
  Context ctx = t_.world.loop.ctx().WithTimeout(1s);
  std::optional<std::string> done;
  TaskGroup group(t_.world.loop.ctx());
  // The test loop's clock stands still while work is ready, so the interval never passes by itself: cancel from a timer
  // that is due at once.
  group.SpawnFn([&]() -> Task<void> { done = co_await t_.session.RunTask("select count(*) from generate_series(1, 300000) a"); });
  t_.world.loop.RunUntilIdle();
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(*done, "300000\n");
}

}  // namespace
}  // namespace insula::sql
