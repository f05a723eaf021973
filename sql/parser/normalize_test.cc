#include "sql/parser/normalize.h"

#include <gtest/gtest.h>

#include "sql/parser/ast.h"
#include "sql/parser/parser.h"

namespace insula::sql {
namespace {

std::vector<std::string> Literals(std::string_view sql) {
  std::vector<std::string> out;
  auto shape = NormalizeSql(sql);
  if (!shape) return {"none"};
  for (const auto& l : shape->literals) out.push_back(l.text);
  return out;
}

TEST(Normalize, TextsThatDifferInLiteralsShareAKey) {
  auto a = NormalizeSql("select * from t where id = 17 and name = 'it''s'");
  auto b = NormalizeSql("select * from t where id = 4 and name = ''");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->key, b->key);
  EXPECT_EQ(a->literals[1].text, "it's");
}

TEST(Normalize, KindsOfLiteralsAreAPartOfTheKey) {
  auto key = [](std::string_view v) { return NormalizeSql("select " + std::string(v))->key; };
  EXPECT_NE(key("1"), key("3000000000"));
  EXPECT_NE(key("1"), key("1.0"));
  EXPECT_NE(key("1"), key("'1'"));
  EXPECT_EQ(key("1e5"), key(".5"));
  EXPECT_NE(NormalizeSql("select a1 + 1")->key, NormalizeSql("select a2 + 1")->key);
}

TEST(Normalize, LeavesAloneWhatItCannotJudge) {
  for (const char* sql : {"create table t (a int default 5)", "select $1, 2", "select 1; select 2", "select E'a\\n', 1", "select 'a'\n'b'",
                          "select a from t", "select X'1f', 1", "select 1a", "select 'abc"}) {
    EXPECT_FALSE(NormalizeSql(sql).has_value()) << sql;
  }
  EXPECT_EQ(Literals("select \"a'b\", $x$ 1 'y' $x$, /* 5 /* 6 */ */ 2 -- 7\n, 8;"), (std::vector<std::string>{"2", "8"}));
}

TEST(Normalize, LiteralsBecomeParameters) {
  std::string_view sql = "select 'é', a from t where b = -5 and c > 2.5 and d = 'x' order by 1 limit 3";
  auto shape = NormalizeSql(sql);
  ASSERT_TRUE(shape);
  auto parsed = ParseSql(sql);
  ASSERT_TRUE(parsed.ok());
  LiteralParameters p = ParameterizeLiterals(sql, *shape, &(*parsed)[0]);
  // Everything but ORDER BY's column number.
  ASSERT_EQ(p.parameters.size(), 5u);
  ASSERT_EQ(p.fixed.size(), 1u);
  EXPECT_EQ(p.fixed[0].text, "1");
  EXPECT_TRUE(p.parameters[1].negative);
  EXPECT_EQ((*parsed)[0].parameter_count, 5);
  EXPECT_TRUE(p.Matches(*NormalizeSql("select 'é', a from t where b = -7 and c > 9.5 and d = 'y' order by 1 limit 1")));
  EXPECT_FALSE(p.Matches(*NormalizeSql("select 'é', a from t where b = -7 and c > 9.5 and d = 'y' order by 2 limit 1")));
  EXPECT_EQ((*parsed)[0].statement->As<ast::SelectStatement>().items[0].expr->kind, ast::ExprKind::kParameter);
}

TEST(Normalize, TypeModifiersStayFixed) {
  std::string_view sql = "select cast(a as varchar(3)), 7";
  auto shape = NormalizeSql(sql);
  auto parsed = ParseSql(sql);
  LiteralParameters p = ParameterizeLiterals(sql, *shape, &(*parsed)[0]);
  ASSERT_EQ(p.fixed.size(), 1u);
  EXPECT_EQ(p.fixed[0].text, "3");
  EXPECT_EQ(p.parameters.size(), 1u);
}

}  // namespace
}  // namespace insula::sql
