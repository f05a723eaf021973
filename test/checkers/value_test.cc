#include "test/checkers/value.h"

#include "gtest/gtest.h"

namespace insula::checkers {
namespace {

std::string Edn(std::string_view text) {
  auto forms = ParseEdn(text);
  if (!forms.ok()) return "error";
  std::string out;
  for (const Value& v : *forms) out += (out.empty() ? "" : " | ") + v.ToString();
  return out;
}

std::string Json(std::string_view text) {
  auto v = ParseJson(text);
  return v.ok() ? v->ToString() : "error";
}

TEST(Edn, FormsOfAllKinds) {
  EXPECT_EQ(Edn("nil true false 7 -7 +7 12N 1.5 :k \"s\" sym"), "nil | true | false | 7 | -7 | 7 | 12 | 1.5 | :k | \"s\" | sym");
  EXPECT_EQ(Edn("[1, 2 (3 [])]"), "[1 2 [3 []]]");
  EXPECT_EQ(Edn("#{3 1 2 1}"), "#{1 2 3}");
  EXPECT_EQ(Edn("{:b 2, :a [1]}"), "{:a [1] :b 2}");
  EXPECT_EQ(Edn("{\"84.23.53.151\" \"\"}"), "{\"84.23.53.151\" \"\"}");
}

TEST(Edn, CommentsTagsAndDiscardedFormsAreNotSeen) {
  EXPECT_EQ(Edn("1 ; one\n #_ 2 3 ^:meta [4]"), "1 | 3 | [4]");
  EXPECT_EQ(Edn("#jepsen.history.Op{:type :ok} #inst \"2020\""), "{:type :ok} | \"2020\"");
}

TEST(Edn, WhatIsNotEdnIsAnError) {
  for (const char* text : {"[1", "1]", "{:a}", "\"open", "(]", "#{1", "#tag"}) EXPECT_EQ(Edn(text), "error") << text;
}

TEST(Json, ValuesOfAllKinds) {
  EXPECT_EQ(Json(R"({"b": [1, -2, 1.5, "s", null, true, {}], "a": []})"), R"({"a" [] "b" [1 -2 1.5 "s" nil true {}]})");
  EXPECT_EQ(Json(R"("\u00e4\n\ud83d\ude00")"), "\"\xc3\xa4\n\xf0\x9f\x98\x80\"");
}

TEST(Json, WhatIsNotJsonIsAnError) {
  for (const char* text : {"", "[1", "{\"a\" 1}", "{a: 1}", "[1 2]", "1 2", "\"open", "nul"}) EXPECT_EQ(Json(text), "error") << text;
}

TEST(Value, StringsAndKeywordsDifferButHaveNames) {
  const Value map = ParseEdn("{:type :ok, \"f\" 1}")->front();
  ASSERT_NE(map.Get("type"), nullptr);
  EXPECT_TRUE(map.Get("type")->Named("ok"));
  EXPECT_EQ(map.Get("f")->number, 1);
  EXPECT_EQ(map.Get("g"), nullptr);
  EXPECT_FALSE(Value::Text(Value::Kind::kString, "ok") == *map.Get("type"));
}

}  // namespace
}  // namespace insula::checkers
