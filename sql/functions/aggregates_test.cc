#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sql/functions/function_test_util.h"
#include "sql/functions/registry.h"

namespace insula::sql {
namespace {

// One argument per row.
std::string Over(std::string_view name, std::string_view type, const std::vector<std::string_view>& values) {
  FunctionTester t;
  std::vector<std::string> texts;
  for (auto v : values) texts.push_back(std::string(type) + "=" + std::string(v));
  std::vector<std::vector<std::string_view>> rows;
  for (const auto& text : texts) rows.push_back({text});
  return t.Aggregate(name, rows);
}

TEST(AggregatesTest, SumsAndAverages) {
  EXPECT_EQ(Over("sum", "int4", {"1", "2", "NULL"}), "3");
  EXPECT_EQ(Over("sum", "int4", {"NULL"}), "NULL");
  EXPECT_EQ(Over("sum", "int8", {"9223372036854775807", "1"}), "9223372036854775808");
  EXPECT_EQ(Over("avg", "int4", {"1", "2"}), "1.5000000000000000");
  EXPECT_EQ(Over("sum", "numeric", {"1.10", "2.205", "100000000000000000000"}), "100000000000000000003.305");
  EXPECT_EQ(Over("avg", "numeric", {"1.5", "2.5"}), "2.0000000000000000");
  EXPECT_EQ(Over("sum", "numeric", {"NaN", "1"}), "NaN");
  EXPECT_EQ(Over("sum", "float4", {"1.1", "2.2"}), "3.3000002");
  EXPECT_EQ(Over("avg", "float8", {"1.5", "2.5"}), "2");
  EXPECT_EQ(Over("sum", "interval", {"1 day", "2 mons"}), "2 mons 1 day");
  EXPECT_EQ(Over("avg", "interval", {"1 day", "2 days"}), "1 day 12:00:00");
  EXPECT_EQ(Over("sum", "text", {"a"}), "42883 function sum(text) does not exist");
}

TEST(AggregatesTest, CountMinMax) {
  EXPECT_EQ(Over("count", "text", {"a", "NULL", "b"}), "2");
  EXPECT_EQ(Over("min", "text", {"b", "a", "NULL"}), "a");
  EXPECT_EQ(Over("max", "int4", {"-5", "-7"}), "-5");
  EXPECT_EQ(Over("max", "float8", {"1", "NaN", "Infinity"}), "NaN");
  EXPECT_EQ(Over("min", "date", {"2020-01-01", "2019-01-01"}), "2019-01-01");
  EXPECT_EQ(Over("max", "int4[]", {"{1,2}", "{3,0}"}), "{3,0}");
  EXPECT_EQ(Over("bool_and", "bool", {"t", "NULL"}), "t");
  EXPECT_EQ(Over("bool_or", "bool", {"f", "NULL"}), "f");
  EXPECT_EQ(Over("bit_xor", "int4", {"12", "10"}), "6");
}

TEST(AggregatesTest, Collecting) {
  FunctionTester t;
  EXPECT_EQ(t.Aggregate("string_agg", {{"text=a", "text=,"}, {"text=NULL", "text=,"}, {"text=b", "text=;"}}), "a;b");
  EXPECT_EQ(Over("array_agg", "text", {"a", "NULL"}), "{a,NULL}");
  EXPECT_EQ(Over("array_agg", "int4[]", {"{1,2}", "{3,4}"}), "{{1,2},{3,4}}");
  EXPECT_EQ(Over("array_agg", "int4[]", {"{1,2}", "{3}"}), "2202E cannot accumulate arrays of different dimensionality");
  EXPECT_EQ(Over("jsonb_agg", "int4", {"1", "NULL"}), "[1, null]");
  EXPECT_EQ(t.Aggregate("json_object_agg", {{"text=a", "int4=1"}, {"text=b", "int4=2"}}), "{ \"a\" : 1, \"b\" : 2 }");
}

TEST(AggregatesTest, Statistics) {
  EXPECT_EQ(Over("stddev", "int4", {"1", "2", "5"}), "2.0816659994661327");
  EXPECT_EQ(Over("var_pop", "int4", {"1", "2", "5"}), "2.8888888888888889");
  EXPECT_EQ(Over("variance", "float8", {"1", "2", "5"}), "4.333333333333333");
  EXPECT_EQ(Over("stddev", "int4", {"1"}), "NULL");
  EXPECT_EQ(Over("stddev_pop", "int4", {"1"}), "0");
  FunctionTester t;
  EXPECT_EQ(t.Aggregate("corr", {{"float8=1", "float8=2"}, {"float8=3", "float8=6"}}), "1");
  EXPECT_EQ(t.Aggregate("regr_count", {{"float8=1", "float8=2"}, {"float8=3", "float8=NULL"}}), "1");
}

// Many groups in one state column; skipped rows; state that goes on after Finalize.
TEST(AggregatesTest, Groups) {
  FunctionContext ctx;
  for (std::string_view name : {"sum", "count", "max", "avg", "array_agg"}) {
    std::vector<Oid> oids = {oid::kInt4};
    auto call = ResolveFunction(name, oids);
    ASSERT_TRUE(call.ok());
    std::vector<SqlType> types = {{oid::kInt4}};
    auto grouped = MakeAggregator(*call->function, types, SqlType{call->result});
    ASSERT_TRUE(grouped.ok());
    Vector v(types[0]);
    std::vector<uint32_t> groups;
    for (int i = 0; i < 100; ++i) {
      if (i % 7 == 0) v.AppendNull(); else v.AppendInt(i);
      groups.push_back(i % 10 == 9 ? Aggregator::kSkipRow : static_cast<uint32_t>(i % 3));
    }
    const Vector* args[] = {&v};
    (*grouped)->AddGroups(3);
    ASSERT_TRUE((*grouped)->Update(ctx, args, 50, groups.data()).ok());
    Vector half(SqlType{call->result});
    ASSERT_TRUE((*grouped)->Finalize(ctx, 0, 3, &half).ok());
    Vector rest;
    rest.Slice(v, 50, 50);
    const Vector* rest_args[] = {&rest};
    ASSERT_TRUE((*grouped)->Update(ctx, rest_args, 50, groups.data() + 50).ok());
    Vector out(SqlType{call->result});
    ASSERT_TRUE((*grouped)->Finalize(ctx, 0, 3, &out).ok());
    for (uint32_t g = 0; g < 3; ++g) {
      // The same group on its own.
      auto alone = MakeAggregator(*call->function, types, SqlType{call->result});
      std::vector<uint32_t> sel;
      for (uint32_t i = 0; i < 100; ++i) {
        if (groups[i] == g) sel.push_back(i);
      }
      Vector mine;
      mine.Gather(v, sel);
      const Vector* mine_args[] = {&mine};
      (*alone)->AddGroups(1);
      ASSERT_TRUE((*alone)->Update(ctx, mine_args, mine.size(), nullptr).ok());
      Vector expected(SqlType{call->result});
      ASSERT_TRUE((*alone)->Finalize(ctx, 0, 1, &expected).ok());
      EXPECT_TRUE(Vector::NotDistinct(out, g, expected, 0)) << name << " " << g;
    }
  }
}

TEST(AggregatesTest, CountOfAllRows) {
  FunctionContext ctx;
  auto call = ResolveFunction("count", {});
  ASSERT_TRUE(call.ok());
  auto count = MakeAggregator(*call->function, {}, SqlType{oid::kInt8});
  ASSERT_TRUE(count.ok());
  (*count)->AddGroups(1);
  ASSERT_TRUE((*count)->Update(ctx, {}, 17, nullptr).ok());
  Vector out(SqlType{oid::kInt8});
  ASSERT_TRUE((*count)->Finalize(ctx, 0, 1, &out).ok());
  EXPECT_EQ(out.ints()[0], 17);
}

}  // namespace
}  // namespace insula::sql
