// One table per theme: calls and what PostgreSQL 15 answers.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sql/functions/function_test_util.h"
#include "sql/functions/registry.h"
#include "sql/types/array.h"

namespace insula::sql {
namespace {

struct CallCase {
  std::string_view name;
  std::vector<std::string_view> args;
  std::string_view result;
};
struct OpCase {
  std::string_view left, op, right, result;
};

void RunCalls(const std::vector<CallCase>& cases) {
  FunctionTester t;
  for (const CallCase& c : cases) {
    std::string args;
    for (auto a : c.args) args += std::string(a) + " ";
    EXPECT_EQ(t.Call(c.name, c.args), c.result) << c.name << " " << args;
  }
}
void RunOps(const std::vector<OpCase>& cases) {
  FunctionTester t;
  for (const OpCase& c : cases) EXPECT_EQ(t.Op(c.left, c.op, c.right), c.result) << c.left << " " << c.op << " " << c.right;
}

TEST(OperatorsTest, Arithmetic) {
  RunOps({
      {"int4=2147483647", "+", "int4=1", "22003 integer out of range"},
      {"int2=32767", "*", "int2=2", "22003 smallint out of range"},
      {"int8=9223372036854775807", "+", "int4=1", "22003 bigint out of range"},
      {"int4=-7", "/", "int4=2", "-3"},
      {"int4=-7", "%", "int4=2", "-1"},
      {"int4=1", "/", "int4=0", "22012 division by zero"},
      {"int4=-2147483648", "/", "int4=-1", "22003 integer out of range"},
      {"int4=-2147483648", "%", "int4=-1", "0"},
      {"int4=NULL", "/", "int4=0", "NULL"},
      {"int4=1", "<<", "int4=33", "2"},
      {"int4=5", "#", "int4=1", "4"},
      {"float8=1e308", "*", "float8=10", "22003 value out of range: overflow"},
      {"float8=1", "/", "float8=0", "22012 division by zero"},
      {"float4=1.1", "+", "float4=2.2", "3.3000002"},
      {"numeric=1", "/", "numeric=3", "0.33333333333333333333"},
      {"int4=2", "^", "int4=3", "8"},
      {"int4=2", "^", "numeric=3", "8.0000000000000000"},
  });
  FunctionTester t;
  EXPECT_EQ(t.Prefix("-", "int4=-2147483648"), "22003 integer out of range");
  EXPECT_EQ(t.Prefix("@", "numeric=-5.0"), "5.0");
}

TEST(OperatorsTest, Comparison) {
  RunOps({
      {"float8=NaN", "=", "float8=NaN", "t"},
      {"float8=NaN", ">", "float8=Infinity", "t"},
      {"bpchar=a ", "=", "bpchar=a", "t"},
      {"varchar=a ", "=", "varchar=a", "f"},
      {"date=2020-01-01", "=", "timestamp=2020-01-01", "t"},
      {"date=2020-01-01", "<", "timestamptz=2020-01-01 05:00:01+00", "t"},
      {"interval=1 mon", "=", "interval=30 days", "t"},
      {"int4[]={1,2}", "<", "int4[]={1,NULL}", "t"},
      {"int4[]={1,2,3}", "@>", "int4[]={3,1}", "t"},
      {"int4[]={1,NULL}", "@>", "int4[]={NULL}", "f"},
      {"jsonb={\"a\":1,\"b\":2}", "@>", "jsonb={\"b\":2}", "t"},
      {"text=a", "<", "NULL", "NULL"},
  });
}

// A whole batch goes through the tight loops: errors only count where no argument is NULL.
TEST(OperatorsTest, VectorisedOverflowLooksAtNulls) {
  FunctionContext ctx;
  auto op = ResolveOperator("+", oid::kInt4, oid::kInt4);
  ASSERT_TRUE(op.ok());
  Vector a(SqlType{oid::kInt4}), b(SqlType{oid::kInt4}), out;
  for (int i = 0; i < 1000; ++i) {
    a.AppendInt(INT32_MAX);
    if (i % 2 == 0) b.AppendNull(); else b.AppendInt(-1);
  }
  b.ints()[0] = 5;  // under the NULL lies a value that would overflow
  const Vector* args[] = {&a, &b};
  ASSERT_TRUE(Evaluate(*op->call.function, SqlType{oid::kInt4}, ctx, args, 1000, &out).ok());
  EXPECT_EQ(out.CountNulls(), 500u);
  EXPECT_EQ(out.ints()[1], INT32_MAX - 1);
  b.Set(501, Datum::Int(1));
  EXPECT_EQ(ErrorText(Evaluate(*op->call.function, SqlType{oid::kInt4}, ctx, args, 1000, &out)), "22003 integer out of range");
}

TEST(FunctionsTest, Strings) {
  RunCalls({
      {"upper", {"text=h\xc3\xa9llo"}, "H\xc3\x89LLO"},
      {"initcap", {"'hi THOMAS-foo 3rd"}, "Hi Thomas-Foo 3rd"},
      {"length", {"text=h\xc3\xa9llo"}, "5"},
      {"octet_length", {"text=h\xc3\xa9llo"}, "6"},
      {"length", {"bpchar=ab  "}, "2"},
      {"substring", {"text=h\xc3\xa9llo", "int4=2", "int4=2"}, "\xc3\xa9l"},
      {"substring", {"'hello", "int4=-1", "int4=4"}, "he"},
      {"substring", {"'hello", "int4=2", "int4=-1"}, "22011 negative substring length not allowed"},
      {"overlay", {"'Txxxxas", "'hom", "int4=2", "int4=4"}, "Thomas"},
      {"position", {"'Thomas", "'om"}, "3"},
      {"left", {"'abcde", "int4=-2"}, "abc"},
      {"right", {"'abcde", "int4=-2"}, "cde"},
      {"lpad", {"'hi", "int4=5", "'xy"}, "xyxhi"},
      {"rpad", {"'hello", "int4=3"}, "hel"},
      {"btrim", {"'xyxtrimyyx", "'xyz"}, "trim"},
      {"repeat", {"'ab", "int4=3"}, "ababab"},
      {"repeat", {"'ab", "int4=2147483647"}, "54000 requested length too large"},
      {"replace", {"'abcabc", "'b", "'XX"}, "aXXcaXXc"},
      {"split_part", {"'a,b,c", "',", "int4=-1"}, "c"},
      {"split_part", {"'a,b,c", "',", "int4=0"}, "22023 field position must not be zero"},
      {"translate", {"'12345", "'143", "'ax"}, "a2x5"},
      {"reverse", {"text=h\xc3\xa9"}, "\xc3\xa9h"},
      {"concat", {"'a", "int4=1", "NULL", "bool=t"}, "a1t"},
      {"concat_ws", {"',", "'a", "NULL", "int4=2"}, "a,2"},
      {"concat_ws", {"NULL", "'a"}, "NULL"},
      {"format", {"'%I is %L, %2$s %%|%-5s|%5s|", "text=a b", "text=it's", "text=x", "text=y"},
       "\"a b\" is 'it''s', it's %|x    |    y|"},
      {"format", {"'%s"}, "22023 too few arguments for format()"},
      {"chr", {"int4=8364"}, "\xe2\x82\xac"},
      {"chr", {"int4=0"}, "54000 null character not permitted"},
      {"ascii", {"text=\xe2\x82\xac"}, "8364"},
      {"to_hex", {"int4=-1"}, "ffffffff"},
      {"md5", {"text=abc"}, "900150983cd24fb0d6963f7d28e17f72"},
      {"encode", {"bytea=\\x0001ff", "'base64"}, "AAH/"},
      {"decode", {"'AAH/", "'base64"}, "\\x0001ff"},
      {"decode", {"'A", "'base64"}, "22023 invalid base64 end sequence"},
      {"quote_ident", {"'Foo"}, "\"Foo\""},
      {"quote_nullable", {"NULL"}, "NULL"},
      {"starts_with", {"'alphabet", "'alph"}, "t"},
      {"unistr", {"'d\\0061t\\+000061"}, "data"},
      {"num_nulls", {"int4=1", "NULL", "NULL"}, "2"},
  });
  RunOps({{"text=a", "||", "int4=1", "a1"}, {"text=a", "||", "bool=t", "atrue"}, {"text=a", "||", "bpchar=x  ", "ax"}});
}

TEST(FunctionsTest, BitsAndIdentifiers) {
  RunOps({
      {"bit(4)=1100", "&", "bit(4)=1010", "1000"},
      {"bit(4)=1100", "#", "bit(4)=1010", "0110"},
      {"bit(4)=1100", "&", "bit(3)=101", "22026 cannot AND bit strings of different sizes"},
      {"bit(4)=1100", "<<", "int4=1", "1000"},
      {"bit(4)=1100", ">>", "int4=5", "0000"},
      {"varbit=10", "||", "varbit=01", "1001"},
  });
  RunCalls({
      {"substring", {"bit(4)=1101", "int4=2", "int4=2"}, "10"},
      {"get_bit", {"bit(4)=1101", "int4=9"}, "2202E bit index 9 out of valid range (0..3)"},
      {"bit_count", {"bit(4)=1101"}, "3"},
      {"parse_ident", {"'Foo.\"Bar\"\" x\".baz"}, "{foo,\"Bar\\\" x\",baz}"},
      {"parse_ident", {"'a."}, "22023 string is not a valid identifier: \"a.\""},
      {"normalize", {"text=e\xcc\x81"}, "\xc3\xa9"},
      {"is_normalized", {"text=e\xcc\x81", "'nfd"}, "t"},
      {"numeric_cmp", {"numeric=1.0", "numeric=1"}, "0"},
  });
}

TEST(FunctionsTest, Patterns) {
  RunOps({
      {"text=abc", "~~", "'a%c", "t"},
      {"text=abc", "~~", "'_b_", "t"},
      {"text=a%c", "~~", "'a\\%c", "t"},
      {"text=abc", "~~", "'a\\%c", "f"},
      {"text=abcd", "~~", "'abc\\", "22025 LIKE pattern must not end with escape character"},
      {"text=h\xc3\xa9", "~~", "'h_", "t"},
      {"text=ABC", "~~*", "'a%", "t"},
      {"text=xxabyyabzz", "~~", "'%ab%zz", "t"},
      {"name=pg_class", "~", "'^(pg_class)$", "t"},
      {"text=abc", "~", "'[", "2201B invalid regular expression: brackets [] not balanced"},
      {"text=abc", "~", "'*a", "2201B invalid regular expression: quantifier operand invalid"},
      {"text=aa", "~", "'(a)\\1", "0A000 back references in regular expressions is not supported yet"},
      {"text=a\nb", "~", "'a.b", "t"},
      {"text=a\nb", "~", "'(?n)a.b", "f"},
      {"text=foo bar", "~", "'\\mbar\\M", "t"},
      {"text=abc", "!~*", "'B", "f"},
  });
  RunCalls({
      {"substring", {"text=foobar", "'o(.)b"}, "o"},
      {"regexp_match", {"'foobarbequebaz", "'(bar)(beque)"}, "{bar,beque}"},
      {"regexp_match", {"'abc", "'z"}, "NULL"},
      {"regexp_match", {"'abcd", "'a|ab|abc"}, "{abc}"},     // the longest, not the first
      {"regexp_match", {"'aaa", "'a+?"}, "{a}"},             // but not with a non-greedy quantifier
      {"regexp_replace", {"'foobarbaz", "'b(..)", "'X\\1Y", "'g"}, "fooXarYXazY"},
      {"regexp_replace", {"'aaa", "'a", "'b", "int4=1", "int4=2"}, "aba"},
      {"regexp_split_to_array", {"'the quick", "'\\s*"}, "{t,h,e,q,u,i,c,k}"},
      {"regexp_split_to_array", {"',a,", "',"}, "{\"\",a,\"\"}"},
      {"regexp_count", {"'ABCABC", "'b", "int4=1", "'i"}, "2"},
      {"regexp_instr", {"'ABCDEFGHI", "'D.F"}, "4"},
      {"regexp_like", {"'a", "'a", "'z"}, "22023 invalid regular expression option: \"z\""},
      {"similar_to_escape", {"'a_c%", "'#"}, "^(?:a.c.*)$"},
      {"similar_to_escape", {"'%#\"o_b+#\"%", "'#"}, "^(?:.*?)(o.b+)(?:.*)$"},
      {"similar_to_escape", {"'a#\"b#\"c#\"", "'#"}, "2200C SQL regular expression may not contain more than two escape-double-quote separators"},
      {"like_escape", {"'a#%b", "'#"}, "a\\%b"},
  });
  FunctionTester t;
  EXPECT_EQ(t.Set("regexp_matches", {"'foobarbequebazilbarfbonk", "'(b[^b]+)(b[^b]+)", "'g"}), "{bar,beque} | {bazil,barf}");
  EXPECT_EQ(t.Set("regexp_split_to_table", {"'a b c", "' "}), "a | b | c");
}

TEST(FunctionsTest, Math) {
  RunCalls({
      {"round", {"numeric=2.567", "int4=1"}, "2.6"},
      {"round", {"float8=2.5"}, "2"},
      {"trunc", {"numeric=-2.567", "int4=1"}, "-2.5"},
      {"sind", {"float8=30"}, "0.5"},
      {"tand", {"float8=45"}, "1"},
      {"acosd", {"float8=0.5"}, "60"},
      {"asin", {"float8=2"}, "22003 input is out of range"},
      {"ln", {"float8=0"}, "2201E cannot take logarithm of zero"},
      {"power", {"float8=0", "float8=-1"}, "2201F zero raised to a negative power is undefined"},
      {"gcd", {"int4=-2147483648", "int4=0"}, "22003 integer out of range"},
      {"lcm", {"int4=12", "int4=18"}, "36"},
      {"div", {"numeric=9", "numeric=4"}, "2"},
      {"width_bucket", {"float8=5.35", "float8=0.024", "float8=10.06", "int4=5"}, "3"},
      {"scale", {"numeric=1.50"}, "2"},
      {"trim_scale", {"numeric=1.500"}, "1.5"},
      {"factorial", {"int8=5"}, "120"},
      {"sign", {"float8=-3"}, "-1"},
      {"abs", {"int2=-5"}, "5"},
  });
}

TEST(FunctionsTest, DatesAndTimes) {
  RunOps({
      {"date=2020-01-31", "+", "interval=1 mon", "2020-02-29 00:00:00"},
      {"date=2020-01-01", "-", "date=2019-01-01", "365"},
      {"date=2020-01-01", "+", "'1", "42725 operator is not unique: date + unknown"},
      {"timestamptz=2021-03-13 12:00", "+", "interval=1 day", "2021-03-14 12:00:00-04"},
      {"timestamp=2020-03-01", "-", "timestamp=2020-02-01 12:00", "28 days 12:00:00"},
      {"time=10:00", "-", "interval=11:00", "23:00:00"},
      {"interval=1 mon", "*", "float8=1.5", "1 mon 15 days"},
      {"interval=1 day", "/", "float8=0", "22012 division by zero"},
      {"date=5874897-12-31", "+", "int4=1", "22008 date out of range"},
  });
  RunCalls({
      {"extract", {"'epoch", "timestamp=2020-01-01"}, "1577836800.000000"},
      {"date_part", {"'dow", "date=2020-01-01"}, "3"},
      {"date_trunc", {"'month", "timestamptz=2020-07-15 12:00"}, "2020-07-01 00:00:00-04"},
      {"date_trunc", {"'day", "timestamptz=2001-02-16 20:38:40+00", "'Australia/Sydney"}, "2001-02-16 08:00:00-05"},
      {"date_bin", {"interval=15 min", "timestamp=2020-02-11 15:44:17", "timestamp=2001-01-01"}, "2020-02-11 15:30:00"},
      {"age", {"timestamp=2001-04-10", "timestamp=1957-06-13"}, "43 years 9 mons 27 days"},
      {"timezone", {"'America/Denver", "timestamptz=2001-02-16 20:38:40-05"}, "2001-02-16 18:38:40"},
      {"timezone", {"'nowhere", "timestamp=2001-02-16"}, "22023 time zone \"nowhere\" not recognized"},
      {"make_date", {"int4=2013", "int4=2", "int4=30"}, "22008 date field value out of range: 2013-02-30"},
      {"make_interval", {"int4=1", "int4=2"}, "1 year 2 mons"},
      {"justify_interval", {"interval=1 mon -1 hour"}, "29 days 23:00:00"},
      {"justify_hours", {"interval=2147483647 days 24 hours"}, "22008 interval out of range"},
      {"justify_days", {"interval=2147483647 months 30 days"}, "22008 interval out of range"},
      {"overlaps", {"timestamp=2001-02-16", "interval=100 days", "timestamp=2001-05-01", "interval=1 day"}, "t"},
      {"now", {}, "2020-07-01 08:00:00-04"},
      {"to_char", {"timestamp=2020-02-29 12:34:56.789", "'FMDay, DDth HH12:MI:SS.MS am"}, "Saturday, 29th 12:34:56.789 pm"},
      {"to_char", {"timestamptz=2020-02-29 12:34", "'YYYY-MM-DD TZH:TZM IW Q J"}, "2020-02-29 -05:00 09 1 2458909"},
      {"to_char", {"interval=100:20:30", "'HH24:MI:SS"}, "100:20:30"},
      {"to_date", {"'05 Dec 2000", "'DD Mon YYYY"}, "2000-12-05"},
      {"to_date", {"'2020-13-01", "'YYYY-MM-DD"}, "22008 date/time field value out of range: \"2020-13-01\""},
      {"to_timestamp", {"'2020-12-25 1:14 PM", "'YYYY-MM-DD HH12:MI AM"}, "2020-12-25 13:14:00-05"},
      {"to_timestamp", {"float8=0"}, "1969-12-31 19:00:00-05"},
      {"isfinite", {"timestamp=infinity"}, "f"},
  });
}

TEST(FunctionsTest, NumberFormats) {
  struct {
    std::string_view value, format, result;
  } cases[] = {
      {"485", "999", " 485"},           {"-485", "999", "-485"},          {"1485", "9,999", " 1,485"},
      {"485", "9,999", "   485"},       {"148.5", "999.999", " 148.500"}, {"148.5", "FM999.999", "148.5"},
      {"148.5", "FM999.990", "148.500"}, {"-0.1", "99.99", "  -.10"},     {"0.1", "0.9", " 0.1"},
      {"12", "9990999.9", "    0012.0"}, {"-485", "999S", "485-"},        {"-485", "999MI", "485-"},
      {"485", "FM999MI", "485"},        {"-485", "999PR", "<485>"},       {"485", "RN", "        CDLXXXV"},
      {"5.2", "FMRN", "V"},             {"482", "999th", " 482nd"},       {"12.45", "99V9", " 125"},
      {"0.0004859", "9.99EEEE", " 4.86e-04"}, {"1234", "999", " ###"},    {"485", "\"Good number:\"999", "Good number: 485"},
  };
  FunctionTester t;
  for (const auto& c : cases) {
    EXPECT_EQ(t.Call("to_char", {std::string("numeric=").append(c.value), std::string("text=").append(c.format)}), c.result)
        << c.value << " " << c.format;
  }
  EXPECT_EQ(t.Call("to_number", {"'12,454.8-", "'99G999D9S"}), "-12454.8");
  EXPECT_EQ(t.Call("to_char", {"numeric=1", "text=9.9.9"}), "42601 multiple decimal points");
}

TEST(FunctionsTest, Arrays) {
  RunCalls({
      {"array_length", {"int4[]={{1,2},{3,4}}", "int4=2"}, "2"},
      {"array_length", {"int4[]={}", "int4=1"}, "NULL"},
      {"array_upper", {"int4[]=[0:2]={1,2,3}", "int4=1"}, "2"},
      {"array_dims", {"int4[]=[0:2]={1,2,3}"}, "[0:2]"},
      {"cardinality", {"int4[]={{1,2},{3,4}}"}, "4"},
      {"array_append", {"int4[]=NULL", "int4=3"}, "{3}"},
      {"array_prepend", {"int4=0", "int4[]={1}"}, "{0,1}"},
      {"array_cat", {"int4[]={{1,2}}", "int4[]={3,4}"}, "{{1,2},{3,4}}"},
      {"array_cat", {"int4[]={1}", "int4[]={{3,4}}"}, "2202E cannot concatenate incompatible arrays"},
      {"array_position", {"text[]={a,b,c,b}", "'b", "int4=3"}, "4"},
      {"array_remove", {"int4[]={1,NULL,2}", "int4=NULL"}, "{1,2}"},
      {"array_replace", {"int4[]={1,2,5}", "int4=5", "int4=3"}, "{1,2,3}"},
      {"array_to_string", {"int4[]={1,NULL,3}", "',", "'*"}, "1,*,3"},
      {"string_to_array", {"'xx~~yy~~zz", "'~~", "'yy"}, "{xx,NULL,zz}"},
      {"array_fill", {"int4=7", "int4[]={2,2}"}, "{{7,7},{7,7}}"},
      {"trim_array", {"int4[]={1,2,3}", "int4=1"}, "{1,2}"},
  });
  FunctionTester t;
  EXPECT_EQ(t.Set("unnest", {"int4[]={{1,NULL},{3,4}}"}), "1 | NULL | 3 | 4");
  EXPECT_EQ(t.Set("generate_subscripts", {"int4[]=[0:1]={1,2}", "int4=1"}), "0 | 1");
  EXPECT_EQ(t.Set("string_to_table", {"'a,b", "',"}), "a | b");
}

TEST(FunctionsTest, Series) {
  FunctionTester t;
  EXPECT_EQ(t.Set("generate_series", {"int4=1", "int4=5"}), "1 | 2 | 3 | 4 | 5");
  EXPECT_EQ(t.Set("generate_series", {"int4=5", "int4=1", "int4=-2"}), "5 | 3 | 1");
  EXPECT_EQ(t.Set("generate_series", {"int4=1", "int4=5", "int4=0"}), "22023 step size cannot equal zero");
  EXPECT_EQ(t.Set("generate_series", {"int8=9223372036854775806", "int8=9223372036854775807"}),
            "9223372036854775806 | 9223372036854775807");
  EXPECT_EQ(t.Set("generate_series", {"int4=NULL", "int4=5"}), "");
  EXPECT_EQ(t.Set("generate_series", {"numeric=1.1", "numeric=2", "numeric=0.4"}), "1.1 | 1.5 | 1.9");
  EXPECT_EQ(t.Set("generate_series", {"timestamptz=2021-03-13", "timestamptz=2021-03-15", "interval=1 day"}),
            "2021-03-13 00:00:00-05 | 2021-03-14 00:00:00-05 | 2021-03-15 00:00:00-04");
}

TEST(FunctionsTest, Json) {
  RunOps({
      {"json={\"a\": {\"b\": [1, 2]}}", "->", "'a", "{\"b\": [1, 2]}"},
      {"jsonb={\"a\":\"x\"}", "->>", "'a", "x"},
      {"jsonb=[1,2,3]", "->", "int4=-1", "3"},
      {"jsonb={\"a\":{\"b\":[1]}}", "#>>", "'{a,b,0}", "1"},
      {"jsonb={\"a\":1}", "||", "jsonb={\"b\":2}", "{\"a\": 1, \"b\": 2}"},
      {"jsonb={\"a\":1,\"b\":2}", "-", "text=a", "{\"b\": 2}"},
      {"jsonb={\"a\":1}", "?", "text=a", "t"},
  });
  RunCalls({
      {"jsonb_build_object", {"'a", "int4=1", "'b", "int4[]={1,2}"}, "{\"a\": 1, \"b\": [1, 2]}"},
      {"to_json", {"timestamptz=2020-01-01 10:00+00"}, "\"2020-01-01T05:00:00-05:00\""},
      {"jsonb_set", {"jsonb={\"a\":[1,2]}", "text[]={a,0}", "jsonb=9"}, "{\"a\": [9, 2]}"},
      {"jsonb_typeof", {"jsonb=[1]"}, "array"},
      {"json_array_length", {"json={}"}, "22023 cannot get array length of a non-array"},
  });
  FunctionTester t;
  EXPECT_EQ(t.Set("jsonb_each", {"jsonb={\"a\":1,\"b\":\"x\"}"}), "a,1 | b,\"x\"");
  EXPECT_EQ(t.Set("jsonb_array_elements_text", {"jsonb=[1,\"a\",null]"}), "1 | a | NULL");
}

TEST(FunctionsTest, System) {
  RunCalls({
      {"pg_typeof", {"int4=1"}, "integer"},
      {"format_type", {"oid=1043", "int4=24"}, "character varying(20)"},
      {"format_type", {"oid=1042", "int4=NULL"}, "character"},
      {"pg_encoding_to_char", {"int4=6"}, "UTF8"},
      {"pg_size_pretty", {"int8=123456789"}, "118 MB"},
      {"pg_size_bytes", {"'1.5 GB"}, "1610612736"},
      {"to_regtype", {"'nosuch"}, "NULL"},
      {"current_user", {}, "XX000 no session in this context"},
      {"pg_table_is_visible", {"oid=1"}, "XX000 no catalog in this context"},
      {"nextval", {"regclass=1"}, "XX000 no sequences in this context"},
  });
  FunctionTester t;
  std::string uuid = t.Call("gen_random_uuid", {});
  EXPECT_EQ(uuid.size(), 36u);
  EXPECT_EQ(uuid[14], '4');
  EXPECT_NE(t.Call("random", {}), t.Call("random", {}));
  t.Call("setseed", {"float8=0.5"});
  std::string first = t.Call("random", {});
  t.Call("setseed", {"float8=0.5"});
  EXPECT_EQ(t.Call("random", {}), first);
}

TEST(SpecialFormsTest, AnyAll) {
  FunctionContext ctx;
  const FunctionInfo& eq = *FindOperatorExact("=", oid::kInt4, oid::kInt4)->function;
  Vector left(SqlType{oid::kInt4}), arrays(SqlType{oid::kInt4Array}), any, all;
  auto add = [&](Datum v, std::vector<Datum> elements) {
    left.Append(v);
    arrays.AppendBytes(ArrayValue::Of(oid::kInt4, std::move(elements)).Encode());
  };
  add(Datum::Int(1), {Datum::Int(1), Datum::Int(2)});
  add(Datum::Int(1), {Datum::Int(1), Datum::Int(1)});
  add(Datum::Int(3), {Datum::Int(1), Datum()});
  add(Datum::Int(1), {Datum::Int(1), Datum()});
  add(Datum::Int(1), {});
  add(Datum(), {Datum::Int(1)});
  ASSERT_TRUE(EvaluateAnyAll(eq, true, ctx, left, arrays, 6, &any).ok());
  ASSERT_TRUE(EvaluateAnyAll(eq, false, ctx, left, arrays, 6, &all).ok());
  auto show = [](const Vector& v) {
    std::string s;
    for (size_t i = 0; i < v.size(); ++i) s += v.IsNull(i) ? 'n' : (v.bools()[i] ? 't' : 'f');
    return s;
  };
  EXPECT_EQ(show(any), "ttntfn");
  EXPECT_EQ(show(all), "ftfntn");
}

TEST(SpecialFormsTest, GreatestDistinctSubscripts) {
  Vector a(SqlType{oid::kInt4}), b(SqlType{oid::kInt4}), out;
  a.AppendInt(1);
  a.AppendNull();
  a.AppendNull();
  b.AppendInt(2);
  b.AppendInt(5);
  b.AppendNull();
  const Vector* args[] = {&a, &b};
  ASSERT_TRUE(EvaluateGreatestLeast(true, args, 3, &out).ok());
  EXPECT_EQ(out.ints()[0], 2);
  EXPECT_EQ(out.ints()[1], 5);
  EXPECT_TRUE(out.IsNull(2));
  ASSERT_TRUE(EvaluateDistinct(false, a, b, 3, &out).ok());
  EXPECT_EQ(out.bools()[0], 1);
  EXPECT_EQ(out.bools()[2], 0) << "NULL is not distinct from NULL";
  ASSERT_TRUE(EvaluateArray(args, 3, &out).ok());
  IoContext io;
  EXPECT_EQ(TextOut(io, out.type(), out.Get(1)), "{NULL,5}");
  Vector index(SqlType{oid::kInt4}), element;
  for (int i : {2, 2, 3}) index.AppendInt(i);
  const Vector* subscripts[] = {&index};
  ASSERT_TRUE(EvaluateSubscript(out, subscripts, 3, &element).ok());
  EXPECT_EQ(element.ints()[0], 2);
  EXPECT_TRUE(element.IsNull(2)) << "outside";
}

}  // namespace
}  // namespace insula::sql
