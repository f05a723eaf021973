#include "sql/types/type.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/pgerror/pg_error.h"

namespace insula::sql {
namespace {

std::string ErrorOf(const absl::Status& s) {
  PgErrorFields e = ToPgError(s);
  return e.sqlstate + " " + e.message;
}

TEST(TypeTest, TableIsConsistent) {
  Oid last = 0;
  for (const TypeInfo& t : AllTypes()) {
    EXPECT_GT(t.oid, last) << "ordered by OID";
    last = t.oid;
    EXPECT_EQ(FindType(t.oid), &t);
    EXPECT_EQ(FindTypeByTypname(t.typname), &t);
    if (t.array_oid != 0) {
      ASSERT_NE(FindType(t.array_oid), nullptr) << t.typname;
      EXPECT_EQ(ElementTypeOf(t.array_oid), t.oid) << t.typname;
    }
  }
  EXPECT_EQ(FindType(4), nullptr);
  EXPECT_EQ(FindType(kFirstNormalOid), nullptr);
}

TEST(TypeTest, NamesAsPostgresPrintsThem) {
  EXPECT_EQ(FormatType(oid::kInt4), "integer");
  EXPECT_EQ(FormatType(oid::kBpchar), "character");
  EXPECT_EQ(FormatType(oid::kBpchar, -1), "bpchar");
  EXPECT_EQ(FormatType(oid::kVarchar, CharTypmod(20)), "character varying(20)");
  EXPECT_EQ(FormatType(oid::kNumeric, NumericTypmod(10, 2)), "numeric(10,2)");
  EXPECT_EQ(FormatType(oid::kNumeric, NumericTypmod(9, -2)), "numeric(9,-2)");
  EXPECT_EQ(FormatType(oid::kTimestamptz, 3), "timestamp(3) with time zone");
  EXPECT_EQ(FormatType(oid::kInt4Array), "integer[]");
  EXPECT_EQ(FormatType(oid::kInt2Vector), "int2vector");
  EXPECT_EQ(FormatType(oid::kChar), "\"char\"");
  EXPECT_EQ(FormatType(99999), "???");
}

TEST(TypeTest, ParsesWholeNames) {
  struct Case {
    std::string_view text;
    Oid oid;
    int32_t typmod;
  } cases[] = {
      {"int", oid::kInt4, -1},
      {"numeric(10, 2)", oid::kNumeric, NumericTypmod(10, 2)},
      {"character varying(5)", oid::kVarchar, CharTypmod(5)},
      {"char", oid::kBpchar, CharTypmod(1)},
      {"\"char\"", oid::kChar, -1},
      {"pg_catalog.int4[]", oid::kInt4Array, -1},
      {"TIMESTAMP(3) WITH TIME ZONE", oid::kTimestamptz, 3},
      {"timestamp without time zone", oid::kTimestamp, -1},
      {"double precision", oid::kFloat8, -1},
      {"float(10)", oid::kFloat4, -1},
      {"interval(2)", oid::kInterval, (0x7FFF << 16) | 2},
      {"_text", oid::kTextArray, -1},
  };
  for (const Case& c : cases) {
    auto type = ParseTypeName(c.text);
    ASSERT_TRUE(type.ok()) << c.text << " " << type.status();
    EXPECT_EQ(type->oid, c.oid) << c.text;
    EXPECT_EQ(type->typmod, c.typmod) << c.text;
  }
  EXPECT_EQ(ErrorOf(ParseTypeName("nosuch").status()), "42704 type \"nosuch\" does not exist");
  EXPECT_EQ(ErrorOf(ParseTypeName("varchar(0)").status()), "22023 length for type varchar must be at least 1");
  EXPECT_EQ(ErrorOf(ParseTypeName("numeric(1001)").status()), "22023 NUMERIC precision 1001 must be between 1 and 1000");
  EXPECT_EQ(ErrorOf(ParseTypeName("int4(3)").status()), "42601 type modifier is not allowed for type \"int4\"");
}

}  // namespace
}  // namespace insula::sql
