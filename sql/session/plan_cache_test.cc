#include "sql/session/plan_cache.h"

#include <memory>
#include <string>

#include "base/strings.h"
#include "gtest/gtest.h"
#include "sql/parser/normalize.h"
#include "sql/parser/parser.h"

namespace insula::sql {
namespace {

// A plan of `sql` with its literals as parameters, as a session makes it (without the plan itself).
PlannedPtr Planned(const std::string& sql, uint64_t version) {
  auto text = std::make_shared<ParsedText>();
  text->sql = sql;
  auto statements = ParseSql(sql);
  EXPECT_TRUE(statements.ok()) << statements.status();
  auto planned = std::make_shared<PlannedStatement>();
  if (auto shape = NormalizeSql(sql)) planned->literals = ParameterizeLiterals(sql, *shape, &(*statements)[0]);
  text->statements = *std::move(statements);
  planned->source = MakeSource(text, 0);
  planned->catalog_version = version;
  return planned;
}

std::string KeyOf(const std::string& sql) { return PlanCache::Key("db", "settings", NormalizeSql(sql)->key, {}); }

TEST(PlanCache, FindsByShape) {
  PlanCache cache;
  std::string one = "select b from t where a = 1", two = "select b from t where a = 2";
  ASSERT_EQ(KeyOf(one), KeyOf(two));
  cache.Insert(KeyOf(one), Planned(one, 5));
  SqlShape shape = *NormalizeSql(two);
  PlannedPtr found = cache.Find(KeyOf(two), 5, &shape);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->literals->parameters.size(), 1u);
  EXPECT_EQ(cache.Find(KeyOf(two), 6, &shape), nullptr) << "another catalog version";
  EXPECT_EQ(cache.Find(KeyOf(two), 5, nullptr), nullptr) << "a plan with parameters is not one of a text as it is";
  EXPECT_EQ(cache.hits(), 1u);
  EXPECT_EQ(cache.misses(), 2u);
}

TEST(PlanCache, FixedLiteralsMakeVariants) {
  PlanCache cache;
  std::string one = "select a, b from t order by 1", two = "select a, b from t order by 2";
  ASSERT_EQ(KeyOf(one), KeyOf(two));
  cache.Insert(KeyOf(one), Planned(one, 5));
  SqlShape second = *NormalizeSql(two);
  EXPECT_EQ(cache.Find(KeyOf(two), 5, &second), nullptr);
  cache.Insert(KeyOf(two), Planned(two, 5));
  SqlShape first = *NormalizeSql(one);
  EXPECT_NE(cache.Find(KeyOf(one), 5, &first), cache.Find(KeyOf(two), 5, &second));
  EXPECT_EQ(cache.size(), 1u);
}

TEST(PlanCache, ForgetsTheLeastRecentlyUsed) {
  PlanCache cache(2);
  cache.Insert("a", Planned("select x", 1));
  cache.Insert("b", Planned("select y", 1));
  EXPECT_NE(cache.Find("a", 1, nullptr), nullptr);
  cache.Insert("c", Planned("select z", 1));
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_NE(cache.Find("a", 1, nullptr), nullptr);
  EXPECT_EQ(cache.Find("b", 1, nullptr), nullptr);
}

TEST(PlanCache, ANewVersionReplacesTheOld) {
  PlanCache cache;
  cache.Insert("a", Planned("select x", 1));
  cache.Insert("a", Planned("select x", 2));
  EXPECT_EQ(cache.Find("a", 1, nullptr), nullptr);
  EXPECT_NE(cache.Find("a", 2, nullptr), nullptr);
  cache.InsertHopeless("h");
  EXPECT_TRUE(cache.IsHopeless("h"));
  EXPECT_FALSE(cache.IsHopeless("a"));
}

}  // namespace
}  // namespace insula::sql
