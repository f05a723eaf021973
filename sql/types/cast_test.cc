#include "sql/types/cast.h"

#include <gtest/gtest.h>

#include <string>

#include "base/pgerror/pg_error.h"

namespace insula::sql {
namespace {

std::string Cast(std::string_view from, std::string_view text, std::string_view to, CastContext context = CastContext::kExplicit) {
  IoContext io;
  io.time_zone = TimeZone::Find("America/New_York");
  SqlType source = *ParseTypeName(from), target = *ParseTypeName(to);
  auto in = TextIn(io, source, text);
  EXPECT_TRUE(in.ok()) << from << " " << text << " " << in.status();
  auto out = CastDatum(io, source.oid, *in, target, context);
  // The vectorised cast must agree.
  Vector v(source), w;
  v.Append(*in);
  v.AppendNull();
  absl::Status status = CastVector(io, v, target, context, &w);
  EXPECT_EQ(status.ok(), out.ok());
  if (!out.ok()) {
    PgErrorFields e = ToPgError(out.status());
    EXPECT_EQ(ToPgError(status).message, e.message);
    return e.sqlstate + " " + e.message;
  }
  EXPECT_TRUE(DatumsNotDistinct(target.oid, *out, w.Get(0))) << from << " " << text << " " << to;
  EXPECT_TRUE(w.IsNull(1));
  EXPECT_EQ(w.type(), target);
  return out->is_null() ? "NULL" : TextOut(io, target, *out);
}

TEST(CastTest, Values) {
  EXPECT_EQ(Cast("float8", "2.5", "int4"), "2");
  EXPECT_EQ(Cast("float8", "3.5", "int4"), "4");
  EXPECT_EQ(Cast("numeric", "2.5", "int4"), "3");
  EXPECT_EQ(Cast("float8", "1e10", "int4"), "22003 integer out of range");
  EXPECT_EQ(Cast("float8", "NaN", "int8"), "22003 bigint out of range");
  EXPECT_EQ(Cast("int4", "70000", "int2"), "22003 smallint out of range");
  EXPECT_EQ(Cast("bool", "t", "text"), "true");
  EXPECT_EQ(Cast("int4", "-1", "oid"), "4294967295");
  EXPECT_EQ(Cast("oid", "4294967295", "int4"), "-1");
  EXPECT_EQ(Cast("int8", "-1", "oid"), "22003 OID out of range");
  EXPECT_EQ(Cast("bpchar", "ab  ", "text"), "ab");
  EXPECT_EQ(Cast("timestamptz", "2020-06-01 00:00+00", "date"), "2020-05-31");
  EXPECT_EQ(Cast("date", "2020-01-01", "timestamptz"), "2020-01-01 00:00:00-05");
  EXPECT_EQ(Cast("timestamp", "infinity", "time"), "NULL");
  EXPECT_EQ(Cast("interval", "25:00", "time"), "01:00:00");
  EXPECT_EQ(Cast("float4", "0.1", "float8"), "0.10000000149011612");
  EXPECT_EQ(Cast("float8", "1e300", "float4"), "22003 value out of range: overflow");
  EXPECT_EQ(Cast("int4[]", "{1,NULL}", "text[]"), "{1,NULL}");
  EXPECT_EQ(Cast("text[]", "{1,x}", "int4[]"), "22P02 invalid input syntax for type integer: \"x\"");
  EXPECT_EQ(Cast("jsonb", "\"a\"", "int4"), "22023 cannot cast jsonb string to type integer");
  EXPECT_EQ(Cast("int4", "1", "date"), "42846 cannot cast type integer to date");
}

TEST(CastTest, Modifiers) {
  EXPECT_EQ(Cast("text", "abcdef", "varchar(3)"), "abc");
  EXPECT_EQ(Cast("text", "abcdef", "varchar(3)", CastContext::kAssignment), "22001 value too long for type character varying(3)");
  EXPECT_EQ(Cast("text", "ab   ", "varchar(3)", CastContext::kAssignment), "ab ");
  EXPECT_EQ(Cast("text", "ab", "char(4)"), "ab  ");
  EXPECT_EQ(Cast("int4", "123456", "numeric(5,1)"), "22003 numeric field overflow");
  EXPECT_EQ(Cast("unknown", "abcdef", "varchar(3)"), "abc");
  EXPECT_EQ(Cast("int4", "5", "bit(8)"), "00000101");
  EXPECT_FALSE(NeedsTypmodCoercion({oid::kVarchar, 7}, {oid::kVarchar, 14}));
  EXPECT_TRUE(NeedsTypmodCoercion({oid::kVarchar, 14}, {oid::kVarchar, 7}));
  EXPECT_TRUE(NeedsTypmodCoercion({oid::kText, -1}, {oid::kVarchar, 7}));
}

TEST(CastTest, Contexts) {
  auto context = [](Oid from, Oid to) {
    auto path = FindCast(from, to, CastContext::kExplicit);
    return path ? static_cast<int>(path->context) : -1;
  };
  EXPECT_EQ(context(oid::kInt4, oid::kInt8), static_cast<int>(CastContext::kImplicit));
  EXPECT_EQ(context(oid::kInt8, oid::kInt4), static_cast<int>(CastContext::kAssignment));
  EXPECT_EQ(context(oid::kInt4, oid::kBool), static_cast<int>(CastContext::kExplicit));
  EXPECT_EQ(context(oid::kInt4, oid::kText), static_cast<int>(CastContext::kAssignment)) << "by text output";
  EXPECT_EQ(context(oid::kText, oid::kInt4), static_cast<int>(CastContext::kExplicit)) << "by text input";
  EXPECT_EQ(context(oid::kInt4Array, oid::kInt8Array), static_cast<int>(CastContext::kImplicit));
  EXPECT_EQ(context(oid::kBool, oid::kFloat8), -1);
  EXPECT_FALSE(FindCast(oid::kInt8, oid::kInt4, CastContext::kImplicit));
  EXPECT_TRUE(CanCoerce(oid::kUnknown, oid::kDate, CastContext::kImplicit));
  EXPECT_TRUE(IsBinaryCoercible(oid::kVarchar, oid::kText));
  EXPECT_FALSE(IsBinaryCoercible(oid::kInt4, oid::kInt8));
}

}  // namespace
}  // namespace insula::sql
