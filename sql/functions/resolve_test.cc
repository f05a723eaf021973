#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/functions/function_test_util.h"
#include "sql/functions/registry.h"
#include "sql/types/cast.h"

namespace insula::sql {
namespace {

std::string OpSignature(std::string_view name, Oid left, Oid right) {
  auto r = ResolveOperator(name, left, right);
  if (!r.ok()) return ErrorText(r.status());
  return StrCat(r->op->function->name, " ", FormatType(r->call.result));
}

TEST(RegistryTest, TablesAreConsistent) {
  std::string_view last;
  std::set<Oid> oids;
  for (const FunctionInfo& f : AllFunctions()) {
    EXPECT_GE(f.name, last);
    last = f.name;
    EXPECT_TRUE(oids.insert(f.oid).second) << f.oid;
    EXPECT_EQ(FindFunction(f.oid), &f);
    for (Oid t : f.args) EXPECT_NE(FindType(t), nullptr) << f.name;
    EXPECT_NE(FindType(f.result), nullptr) << f.name;
    EXPECT_LE(int{f.eval != nullptr} + int{f.set_eval != nullptr} + int{f.aggregate != nullptr}, 1) << f.name;
    if (f.aggregate != nullptr) EXPECT_EQ(f.kind, FunctionKind::kAggregate) << f.name;
    if (f.set_eval != nullptr) EXPECT_TRUE(f.returns_set) << f.name;
  }
  for (const OperatorInfo& op : AllOperators()) {
    EXPECT_EQ(FindOperatorExact(op.name, op.left, op.right), &op) << op.name;
    if (op.commutator != 0) {
      const OperatorInfo* c = FindOperator(op.commutator);
      ASSERT_NE(c, nullptr);
      EXPECT_EQ(c->left, op.right) << op.oid;
    }
  }
}

// Every type that sorts has the operators the executor asks for, and they are implemented.
TEST(RegistryTest, OrderableTypesHaveOperators) {
  for (const TypeInfo& t : AllTypes()) {
    if (!IsOrderable(t.oid) || t.typtype == 'p') continue;
    for (std::string_view name : {"=", "<", ">", "<=", ">=", "<>"}) {
      const OperatorInfo* op = DefaultOperator(name, t.oid);
      ASSERT_NE(op, nullptr) << t.typname << name;
      EXPECT_NE(op->function->eval, nullptr) << t.typname << name;
    }
  }
  EXPECT_EQ(DefaultOperator("<", oid::kJson), nullptr);
}

TEST(ResolveTest, Operators) {
  EXPECT_EQ(OpSignature("+", oid::kInt4, oid::kInt8), "int48pl bigint");
  EXPECT_EQ(OpSignature("+", oid::kInt4, oid::kUnknown), "int4pl integer");
  EXPECT_EQ(OpSignature("+", oid::kInt4, oid::kNumeric), "numeric_add numeric");
  EXPECT_EQ(OpSignature("+", oid::kInt4, oid::kFloat8), "float8pl double precision");
  EXPECT_EQ(OpSignature("=", oid::kVarchar, oid::kVarchar), "texteq boolean");
  EXPECT_EQ(OpSignature("=", oid::kVarchar, oid::kUnknown), "texteq boolean");
  EXPECT_EQ(OpSignature("=", oid::kRegclass, oid::kOid), "oideq boolean");
  EXPECT_EQ(OpSignature("=", oid::kChar, oid::kUnknown), "chareq boolean");
  EXPECT_EQ(OpSignature("=", oid::kInt4Array, oid::kInt4Array), "array_eq boolean");
  EXPECT_EQ(OpSignature("||", oid::kText, oid::kInt4), "textanycat text");
  EXPECT_EQ(OpSignature("||", oid::kUnknown, oid::kUnknown), "textcat text");
  EXPECT_EQ(OpSignature("||", oid::kInt4Array, oid::kInt4), "array_append integer[]");
  EXPECT_EQ(OpSignature("||", oid::kInt4Array, oid::kInt8), "array_append bigint[]");
  EXPECT_EQ(OpSignature("~", oid::kName, oid::kUnknown), "nameregexeq boolean");
  EXPECT_EQ(OpSignature("-", kInvalidOid, oid::kUnknown), "42725 operator is not unique: - unknown");
  EXPECT_EQ(OpSignature("-", oid::kTimestamp, oid::kUnknown), "timestamp_mi interval");
  EXPECT_EQ(OpSignature("=", oid::kInt4, oid::kBool), "42883 operator does not exist: integer = boolean");
  EXPECT_EQ(OpSignature("+", oid::kUnknown, oid::kUnknown), "42725 operator is not unique: unknown + unknown");
  EXPECT_EQ(OpSignature("=", oid::kInt4Array, oid::kInt8Array), "42883 operator does not exist: integer[] = bigint[]");
  EXPECT_EQ(OpSignature("=", oid::kJson, oid::kJson), "42883 operator does not exist: json = json");
}

TEST(ResolveTest, Functions) {
  auto result = [](std::string_view name, std::vector<Oid> args) {
    auto r = ResolveFunction(name, args);
    if (!r.ok()) return ErrorText(r.status());
    std::string out = r->is_cast ? "cast" : std::string(r->function->source.empty() ? r->function->name : r->function->source);
    for (Oid t : r->arg_types) StrAppend(&out, " ", FormatType(t));
    return StrCat(out, " -> ", FormatType(r->result));
  };
  EXPECT_EQ(result("abs", {oid::kUnknown}), "float8abs double precision -> double precision");
  EXPECT_EQ(result("round", {oid::kInt4}), "dround double precision -> double precision");
  EXPECT_EQ(result("length", {oid::kVarchar}), "textlen text -> integer");
  EXPECT_EQ(result("substring", {oid::kUnknown, oid::kInt4}), "text_substr_no_len text integer -> text");
  EXPECT_EQ(result("int4", {oid::kFloat8}), "dtoi4 double precision -> integer");
  EXPECT_EQ(result("text", {oid::kInt4}), "cast integer -> text");
  EXPECT_EQ(result("array_append", {oid::kInt4Array, oid::kUnknown}), "array_append integer[] integer -> integer[]");
  EXPECT_EQ(result("array_agg", {oid::kText}), "array_agg text -> text[]");
  EXPECT_EQ(result("max", {oid::kVarchar}), "max text -> text");
  EXPECT_EQ(result("max", {oid::kInt4Array}), "max integer[] -> integer[]");
  EXPECT_EQ(result("generate_series", {oid::kInt4, oid::kInt8}), "generate_series_int8 bigint bigint -> bigint");
  EXPECT_EQ(result("upper", {oid::kInt4}), "42883 function upper(integer) does not exist");
  EXPECT_EQ(result("nosuch", {}), "42883 function nosuch() does not exist");
  EXPECT_EQ(result("unnest", {oid::kUnknown}),
            "42804 could not determine polymorphic type because input has type unknown");
}

TEST(ResolveTest, VariadicAndDefaults) {
  std::vector<Oid> args = {oid::kText, oid::kInt4, oid::kUnknown};
  auto any = ResolveFunction("concat", args);
  ASSERT_TRUE(any.ok());
  EXPECT_EQ(any->variadic_index, -1);
  EXPECT_EQ(any->arg_types, args);
  std::vector<Oid> path = {oid::kJson, oid::kUnknown, oid::kUnknown};
  auto typed = ResolveFunction("json_extract_path", path);
  ASSERT_TRUE(typed.ok());
  EXPECT_EQ(typed->variadic_index, 1);
  EXPECT_EQ(typed->variadic_element, oid::kText);
  std::vector<Oid> two = {oid::kInt4, oid::kInt4};
  auto defaults = ResolveFunction("make_interval", two);
  ASSERT_TRUE(defaults.ok());
  EXPECT_EQ(defaults->defaults_used, 5);
}

TEST(ResolveTest, CommonType) {
  auto common = [](std::vector<Oid> types) {
    auto t = CommonType(types, "CASE");
    return t.ok() ? FormatType(*t) : ErrorText(t.status());
  };
  EXPECT_EQ(common({oid::kInt4, oid::kNumeric}), "numeric");
  EXPECT_EQ(common({oid::kUnknown, oid::kUnknown}), "text");
  EXPECT_EQ(common({oid::kUnknown, oid::kDate}), "date");
  EXPECT_EQ(common({oid::kVarchar, oid::kText}), "character varying") << "each coerces to the other: the first stays";
  EXPECT_EQ(common({oid::kText, oid::kVarchar}), "text");
  EXPECT_EQ(common({oid::kName, oid::kText}), "name");
  EXPECT_EQ(common({oid::kFloat8, oid::kInt4}), "double precision");
  EXPECT_EQ(common({oid::kInt4, oid::kText}), "42804 CASE types integer and text cannot be matched");
}

TEST(ResolveTest, UnimplementedSaysSo) {
  FunctionTester t;
  EXPECT_EQ(t.Aggregate("mode", {{"int4=1"}}), "0A000 function mode(anyelement) is not supported yet");
}

}  // namespace
}  // namespace insula::sql
