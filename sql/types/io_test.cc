#include "sql/types/io.h"

#include <gtest/gtest.h>

#include <string>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

// Text in and out again, or the error.
std::string RoundTrip(std::string_view type_name, std::string_view text, const IoContext& io = IoContext()) {
  auto type = ParseTypeName(type_name);
  EXPECT_TRUE(type.ok()) << type_name;
  auto v = TextIn(io, *type, text);
  if (!v.ok()) {
    PgErrorFields e = ToPgError(v.status());
    return e.sqlstate + " " + e.message;
  }
  return TextOut(io, *type, *v);
}

struct Case {
  std::string_view type, text, result;
};

TEST(IoTest, Text) {
  const Case kCases[] = {
      {"int4", " 12 ", "12"},
      {"int4", "x", "22P02 invalid input syntax for type integer: \"x\""},
      {"int4", "", "22P02 invalid input syntax for type integer: \"\""},
      {"int2", "40000", "22003 value \"40000\" is out of range for type smallint"},
      {"int8", "-9223372036854775808", "-9223372036854775808"},
      {"int8", "9223372036854775808", "22003 value \"9223372036854775808\" is out of range for type bigint"},
      {"oid", "-1", "4294967295"},
      {"bool", "yEs", "t"},
      {"bool", "of", "f"},
      {"bool", "o", "22P02 invalid input syntax for type boolean: \"o\""},
      {"float8", "1e15", "1e+15"},
      {"float8", "100000000000000", "100000000000000"},
      {"float8", "0.00001", "1e-05"},
      {"float8", "0.1", "0.1"},
      {"float8", "nan", "NaN"},
      {"float8", "-inf", "-Infinity"},
      {"float8", "1e400", "22003 \"1e400\" is out of range for type double precision"},
      {"float8", "nan(1)", "22P02 invalid input syntax for type double precision: \"nan(1)\""},
      {"float4", "1.1", "1.1"},
      {"float4", "1000000", "1e+06"},
      {"numeric(5,2)", "123.456", "123.46"},
      {"varchar(3)", "abc  ", "abc"},
      {"varchar(3)", "abcd", "22001 value too long for type character varying(3)"},
      {"char(5)", "ab", "ab   "},
      {"varchar(2)", "\xc3\xa9\xc3\xa9", "\xc3\xa9\xc3\xa9"},
      {"\"char\"", "abc", "a"},
      {"bytea", "\\xDEADbeef", "\\xdeadbeef"},
      {"bytea", "a\\000\\\\", "\\x61005c"},
      {"bytea", "\\x1", "22023 invalid hexadecimal data: odd number of digits"},
      {"uuid", "{A0EEBC99-9C0B4EF8-BB6D-6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
      {"uuid", "a0ee", "22P02 invalid input syntax for type uuid: \"a0ee\""},
      {"json", "{\"b\" : 1, \"a\":2}", "{\"b\" : 1, \"a\":2}"},
      {"jsonb", "{\"bb\" : 1, \"a\":2, \"bb\": 3}", "{\"a\": 2, \"bb\": 3}"},
      {"json", "{\"a\":}", "22P02 invalid input syntax for type json"},
      {"tid", "(1,2)", "(1,2)"},
      {"pg_lsn", "16/B374D848", "16/B374D848"},
      {"regtype", "int4", "integer"},
      {"regtype", "nosuch", "42704 type \"nosuch\" does not exist"},
      {"bit(3)", "101", "101"},
      {"bit(3)", "1011", "22026 bit string length 4 does not match type bit(3)"},
      {"timestamp(0)", "2020-01-01 00:00:00.5", "2020-01-01 00:00:01"},
      {"point", "(1,2)", "0A000 type point is not supported yet"},
      {"pg_node_tree", "x", "0A000 cannot accept a value of type pg_node_tree"},
  };
  for (const Case& c : kCases) EXPECT_EQ(RoundTrip(c.type, c.text), c.result) << c.type << " " << c.text;
}

TEST(IoTest, Arrays) {
  const Case kCases[] = {
      {"int4[]", "{ 1 , 2,NULL}", "{1,2,NULL}"},
      {"int4[]", "{}", "{}"},
      {"int4[]", "{{1,2},{3,4}}", "{{1,2},{3,4}}"},
      {"int4[]", "[0:1]={5,6}", "[0:1]={5,6}"},
      {"text[]", "{a,\"b c\",NULL,\"NULL\",\"\"}", "{a,\"b c\",NULL,\"NULL\",\"\"}"},
      {"text[]", "{\"a\\\"b\",c\\,d}", "{\"a\\\"b\",\"c,d\"}"},
      {"int4[]", "{{{1},{2}},{{3},{4}}}", "{{{1},{2}},{{3},{4}}}"},
      {"int4[]", "{{1,2},{3}}", "22P02 malformed array literal: \"{{1,2},{3}}\""},
      {"int4[]", "{1,2", "22P02 malformed array literal: \"{1,2\""},
      {"int4[]", "1", "22P02 malformed array literal: \"1\""},
      {"int4[]", "{1}x", "22P02 malformed array literal: \"{1}x\""},
      {"int4[]", "{x}", "22P02 invalid input syntax for type integer: \"x\""},
      {"varchar(2)[]", "{abc}", "22001 value too long for type character varying(2)"},
      {"int2vector", "1 2 3", "1 2 3"},
      {"oidvector", "", ""},
  };
  for (const Case& c : kCases) EXPECT_EQ(RoundTrip(c.type, c.text), c.result) << c.type << " " << c.text;
}

TEST(IoTest, BinaryRoundTrip) {
  const Case kCases[] = {
      {"bool", "t", ""}, {"int2", "-5", ""}, {"int4", "123456", ""}, {"int8", "-9876543210", ""}, {"float4", "1.5", ""},
      {"float8", "-2.25", ""}, {"numeric", "-1234567890.00012300", ""}, {"numeric", "NaN", ""}, {"text", "h\xc3\xa9llo", ""},
      {"bytea", "\\x00ff", ""}, {"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", ""}, {"date", "2020-02-29", ""},
      {"time", "12:34:56.789", ""}, {"timetz", "12:34:56+05:30", ""}, {"timestamp", "2020-02-29 12:34:56.789", ""},
      {"interval", "1 year -2 days +03:00:00", ""}, {"jsonb", "{\"a\": [1, null]}", ""}, {"int4[]", "{{1,NULL},{3,4}}", ""},
      {"text[]", "{a,\"b,c\"}", ""}, {"oid", "4294967295", ""}, {"name", "abc", ""}, {"\"char\"", "x", ""}, {"int2vector", "1 2", ""},
      {"bit(10)", "1011001110", ""}, {"pg_lsn", "1/2", ""}, {"tid", "(4294967295,7)", ""},
  };
  IoContext io;
  for (const Case& c : kCases) {
    SqlType type = *ParseTypeName(c.type);
    auto v = TextIn(io, type, c.text);
    ASSERT_TRUE(v.ok()) << c.type << v.status();
    std::string wire;
    ASSERT_TRUE(BinarySend(io, type, *v, &wire).ok()) << c.type;
    auto back = BinaryReceive(io, type, wire);
    ASSERT_TRUE(back.ok()) << c.type << " " << back.status();
    EXPECT_EQ(TextOut(io, type, *back), c.text) << c.type;
    // Neither a longer nor a shorter message is taken, for types of fixed layout.
    if (GetType(type.oid).typlen > 0 && type.oid != oid::kName) {
      EXPECT_FALSE(BinaryReceive(io, type, wire + "x").ok()) << c.type;
      EXPECT_FALSE(BinaryReceive(io, type, std::string_view(wire).substr(1)).ok()) << c.type;
    }
  }
}

TEST(IoTest, BinaryLayout) {
  std::string wire;
  ASSERT_TRUE(BinarySend(IoContext(), SqlType{oid::kInt4}, Datum::Int(258), &wire).ok());
  EXPECT_EQ(wire, std::string("\0\0\1\2", 4));
  wire.clear();
  ASSERT_TRUE(BinarySend(IoContext(), SqlType{oid::kNumeric}, Datum::Num(*Numeric::Parse("12345.678")), &wire).ok());
  EXPECT_EQ(wire, std::string("\0\3\0\1\0\0\0\3\0\1\x09\x29\x1a\x7c", 14));  // digits 1, 2345, 6780; weight 1; scale 3
  EXPECT_EQ(ToPgError(BinaryReceive(IoContext(), SqlType{oid::kInt4Array}, std::string("\0\0\0\0\0\0\0\0\0\0\0\x14", 12)).status()).sqlstate,
            "42804");
}

TEST(IoTest, Settings) {
  IoContext io;
  io.bytea_hex = false;
  EXPECT_EQ(RoundTrip("bytea", "\\x005c61", io), "\\000\\\\a");
  io.extra_float_digits = 0;
  EXPECT_EQ(RoundTrip("float8", "0.30000000000000004", io), "0.3");
  io.array_nulls = false;
  EXPECT_EQ(RoundTrip("text[]", "{NULL}", io), "{\"NULL\"}");
}

TEST(IoTest, Quoting) {
  EXPECT_EQ(QuoteIdent("abc"), "abc");
  EXPECT_EQ(QuoteIdent("Abc"), "\"Abc\"");
  EXPECT_EQ(QuoteIdent("select"), "\"select\"");
  EXPECT_EQ(QuoteIdent("name"), "name");
  EXPECT_EQ(QuoteIdent("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(QuoteLiteral("it's"), "'it''s'");
  EXPECT_EQ(QuoteLiteral("a\\b"), "E'a\\\\b'");
}

}  // namespace
}  // namespace insula::sql
