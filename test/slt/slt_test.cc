#include <string>

#include "base/pgwire/client.h"
#include "gtest/gtest.h"
#include "test/slt/slt_compare.h"
#include "test/slt/slt_file.h"

namespace insula::slt {
namespace {

TEST(SltFile, SqliteRecords) {
  auto r = ParseSltFile(
      "hash-threshold 8\r\n\r\n"
      "# a comment\n"
      "statement ok\nCREATE TABLE t1(a INTEGER)\n\n"
      "onlyif sqlite # empty RHS\nquery I nosort\nSELECT 1\n----\n0\n\n"
      "skipif postgresql # PostgreSQL requires AS when renaming output columns\nquery II rowsort label-3\nSELECT a x\n# inside\nFROM t1\n----\n1\n2\n\n"
      "statement error\nSELECT nothing\n\nhalt\n",
      Dialect::kSqlite);
  ASSERT_EQ(r.size(), 6u);
  EXPECT_EQ(r[1].block_line, 3);
  EXPECT_EQ(r[1].line, 4);
  EXPECT_EQ(r[1].sql, "CREATE TABLE t1(a INTEGER)");
  EXPECT_TRUE(r[2].skip);
  EXPECT_FALSE(r[3].skip);
  EXPECT_EQ(r[3].sql, "SELECT a x\nFROM t1");
  EXPECT_EQ(r[3].sort, SortMode::kRow);
  EXPECT_EQ(r[3].label, "label-3");
  EXPECT_EQ(r[3].expected, (std::vector<std::string>{"1", "2"}));
  EXPECT_TRUE(r[4].expect_error);
  EXPECT_EQ(r[5].kind, RecordKind::kHalt);
}

TEST(SltFile, DuckdbControls) {
  auto r = ParseSltFile("require json\n\nloop i 0 3\n\nstatement ok con1\nINSERT INTO t VALUES (${i});\n\nendloop\n\nmode skip\n", Dialect::kDuckdb);
  ASSERT_EQ(r.size(), 5u);
  EXPECT_EQ(r[1].kind, RecordKind::kLoop);
  EXPECT_EQ(r[1].words, (std::vector<std::string>{"i", "0", "3"}));
  EXPECT_EQ(r[2].connection, "con1");
  EXPECT_EQ(r[4].kind, RecordKind::kMode);
}

pgwire::QueryResult Result(std::vector<uint32_t> types, std::vector<std::vector<std::optional<std::string>>> rows) {
  pgwire::QueryResult out;
  for (uint32_t type : types) {
    out.fields.emplace_back();
    out.fields.back().type = type;
  }
  out.rows = std::move(rows);
  return out;
}

Record Query(std::string types, std::vector<std::string> expected, SortMode sort = SortMode::kNone) {
  Record r;
  r.kind = RecordKind::kQuery;
  r.types = std::move(types);
  r.expected = std::move(expected);
  r.has_results = true;
  r.sort = sort;
  return r;
}

TEST(SltCompare, Rendering) {
  EXPECT_EQ(RenderValue('I', 16, "t"), "1");
  EXPECT_EQ(RenderValue('I', 1700, "2.9"), "2");
  EXPECT_EQ(RenderValue('I', 20, "9007199254740993"), "9007199254740993");
  EXPECT_EQ(RenderValue('R', 23, "3"), "3.000");
  EXPECT_EQ(RenderValue('T', 25, ""), "(empty)");
  EXPECT_EQ(RenderValue('T', 25, "a\nb"), "a@b");
  EXPECT_EQ(RenderValue('T', 25, std::nullopt), "NULL");
}

TEST(SltCompare, SqliteSortsAndHashes) {
  auto result = Result({23, 25}, {{"9", "x"}, {"10", "y"}});
  EXPECT_EQ(CompareResult(Query("IT", {"10", "y", "9", "x"}, SortMode::kRow), Dialect::kSqlite, result), "");
  EXPECT_EQ(CompareResult(Query("IT", {"10", "9", "x", "y"}, SortMode::kValue), Dialect::kSqlite, result), "");
  EXPECT_NE(CompareResult(Query("IT", {"10", "y", "9", "x"}), Dialect::kSqlite, result), "");
  // md5 of "1\n2\n"
  auto two = Result({23}, {{"1"}, {"2"}});
  EXPECT_EQ(CompareResult(Query("I", {"2 values hashing to 6ddb4095eb719e2a9f0a3f95677d24e0"}), Dialect::kSqlite, two), "");
  EXPECT_NE(CompareResult(Query("I", {"2 values hashing to 00000000000000000000000000000000"}), Dialect::kSqlite, two), "");
}

TEST(SltCompare, OtherDialects) {
  auto result = Result({16, 701, 25}, {{"t", "0.30000000000000004", ""}, {"f", std::nullopt, "a b"}});
  EXPECT_EQ(CompareResult(Query("III", {"true\t0.3\t(empty)", "0\tNULL\ta b"}), Dialect::kDuckdb, result), "");
  EXPECT_NE(CompareResult(Query("III", {"true\t0.4\t(empty)", "0\tNULL\ta b"}), Dialect::kDuckdb, result), "");
  EXPECT_EQ(CompareResult(Query("III", {"t   0.3 (empty)", "f NULL a   b"}), Dialect::kRisingwave, result), "");
  EXPECT_NE(CompareResult(Query("III", {"t 0.3 (empty)"}), Dialect::kRisingwave, result), "");
}

}  // namespace
}  // namespace insula::slt
