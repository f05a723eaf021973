#include "sql/rowenc/row_codec.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "base/encoding/ordered.h"
#include "sql/types/io.h"

namespace insula::sql {
namespace {

ColumnInfo Column(uint32_t id, std::string name, SqlType type) {
  ColumnInfo c;
  c.id = id;
  c.attnum = static_cast<int16_t>(id);
  c.name = std::move(name);
  c.type = type;
  return c;
}

// t (a int4, b numeric, c text, d float8, e bool), primary key (b, a desc); indexes: 1 on (c), 2 unique (d) include (e),
// 3 unique (c, a) nulls not distinct
TableInfo MakeTable() {
  TableInfo t;
  t.oid = t.id = 20000;
  t.name = "t";
  t.columns = {Column(1, "a", {oid::kInt4, -1}), Column(2, "b", {oid::kNumeric, -1}), Column(3, "c", {oid::kText, -1}),
               Column(5, "d", {oid::kFloat8, -1}), Column(6, "e", {oid::kBool, -1})};
  auto index = [&](uint32_t id, std::vector<std::pair<int, bool>> columns) {
    IndexInfo i;
    i.id = id;
    for (auto [ordinal, descending] : columns) i.columns.push_back({ordinal, "", t.columns[ordinal].type, descending, descending});
    return i;
  };
  t.indexes = {index(1, {{1, false}, {0, true}}), index(2, {{2, false}}), index(3, {{3, false}}), index(4, {{2, false}, {0, false}})};
  t.indexes[0].primary = t.indexes[0].unique = true;
  t.indexes[2].unique = true;
  t.indexes[2].include = {4};
  t.indexes[3].unique = true;
  t.indexes[3].nulls_not_distinct = true;
  return t;
}

class RowCodecTest : public testing::Test {
 protected:
  RowCodecTest() : table_(MakeTable()), codec_(table_, CatalogLayout("K")) {
    std::vector<SqlType> types;
    for (const auto& c : table_.columns) types.push_back(c.type);
    rows_.Reset(types);
  }
  void Add(std::initializer_list<std::optional<std::string_view>> texts) {
    std::vector<Datum> row;
    size_t c = 0;
    for (auto t : texts) {
      row.push_back(t ? *TextIn({}, table_.columns[c].type, *t) : Datum::Null());
      ++c;
    }
    rows_.AppendRow(row);
  }
  RowRef Row(size_t i) {
    pointers_.clear();
    for (const auto& v : rows_.columns) pointers_.push_back(&v);
    return {pointers_, i};
  }
  static std::string Text(const Batch& b, size_t i) {
    std::string out;
    for (const auto& v : b.columns) out += v.IsNull(i) ? "- " : TextOut({}, v.type(), v.Get(i)) + " ";
    return out;
  }

  TableInfo table_;
  RowCodec codec_;
  Batch rows_;
  std::vector<const Vector*> pointers_;
};

TEST_F(RowCodecTest, RowsComeBackExactly) {
  Add({"1", "1.50", "x", "-0", "t"});
  Add({"-7", "100", std::nullopt, "2.5", std::nullopt});
  Add({"2147483647", "-0.000001", "", "NaN", "f"});
  RowReader all(codec_, 0, {0, 1, 2, 3, 4}), some(codec_, 0, {2, 0});
  Batch out, two;
  all.Begin(rows_.rows, &out);
  some.Begin(rows_.rows, &two);
  for (size_t i = 0; i < rows_.rows; ++i) {
    std::string key, value;
    codec_.AppendPrimaryKey(Row(i), &key);
    codec_.AppendRowValue(Row(i), &value);
    ASSERT_TRUE(all.Read(key, value, i, &out).ok());
    ASSERT_TRUE(some.Read(key, value, i, &two).ok());
  }
  EXPECT_EQ(Text(out, 0), "1 1.50 x -0 t ");
  EXPECT_EQ(Text(out, 1), "-7 100 - 2.5 - ");
  EXPECT_EQ(Text(out, 2), "2147483647 -0.000001  NaN f ");
  EXPECT_EQ(Text(two, 0), "x 1 ");
  EXPECT_EQ(Text(two, 1), "- -7 ");
}

TEST_F(RowCodecTest, PrimaryKeysOrderRows) {
  for (auto [a, b] : {std::pair("1", "2"), {"2", "2.0"}, {"1", "10"}, {"5", "-1"}}) Add({a, b, std::nullopt, std::nullopt, std::nullopt});
  std::map<std::string, size_t> by_key;
  for (size_t i = 0; i < rows_.rows; ++i) {
    std::string key;
    codec_.AppendPrimaryKey(Row(i), &key);
    by_key[key] = i;
  }
  std::vector<size_t> order;
  for (auto& [k, i] : by_key) order.push_back(i);
  EXPECT_EQ(order, (std::vector<size_t>{3, 1, 0, 2}));  // b ascending, a descending
}

TEST_F(RowCodecTest, IndexEntriesLeadBackToTheirRow) {
  Add({"1", "1.50", "x", "2.5", "t"});
  Add({"2", "3", std::nullopt, std::nullopt, "f"});
  for (size_t i = 0; i < rows_.rows; ++i) {
    std::string primary, columns;
    codec_.AppendPrimaryKey(Row(i), &primary);
    codec_.AppendPrimaryKeyColumns(Row(i), &columns);
    for (int index : {1, 2, 3}) {
      std::string key, value;
      bool unique = false;
      codec_.AppendIndexKey(index, Row(i), {}, columns, &key, &unique);
      codec_.AppendIndexValue(index, Row(i), {}, columns, &value);
      bool has_null = i == 1;
      EXPECT_EQ(unique, index == 3 || (index == 2 && !has_null));
      EXPECT_EQ(*codec_.PrimaryKeyOfEntry(index, key, value), primary);
      std::vector<int> covered = index == 2 ? std::vector<int>{3, 4, 1, 0} : std::vector<int>{2, 1, 0};
      ASSERT_TRUE(RowReader::Covers(table_, index, covered));
      RowReader reader(codec_, index, covered);
      Batch out;
      reader.Begin(1, &out);
      ASSERT_TRUE(reader.Read(key, value, 0, &out).ok());
      std::string want = index == 2 ? (i == 0 ? "2.5 t 1.50 1 " : "- f 3 2 ") : (i == 0 ? "x 1.50 1 " : "- 3 2 ");
      EXPECT_EQ(Text(out, 0), want) << "index " << index;
    }
  }
  EXPECT_FALSE(RowReader::Covers(table_, 1, std::vector<int>{4}));
}

TEST_F(RowCodecTest, NullsSortLastAndOutsideOfValues) {
  Add({"1", "1", std::nullopt, "1", "t"});
  Add({"1", "2", "zzz", "1", "t"});
  std::vector<std::string> keys;
  for (size_t i = 0; i < 2; ++i) {
    std::string columns, key;
    bool unique;
    codec_.AppendPrimaryKeyColumns(Row(i), &columns);
    codec_.AppendIndexKey(1, Row(i), {}, columns, &key, &unique);
    keys.push_back(key);
  }
  EXPECT_GT(keys[0], keys[1]);
  std::string start = codec_.IndexPrefix(1);
  codec_.AppendValuesMark(1, 0, &start);
  EXPECT_GE(keys[0], PrefixEnd(start));
  EXPECT_LT(keys[1], PrefixEnd(start));
  std::string of_null = codec_.IndexPrefix(1);
  codec_.AppendIndexColumn(1, 0, nullptr, &of_null);
  EXPECT_TRUE(keys[0].starts_with(of_null));
}

TEST_F(RowCodecTest, UnknownColumnsAreSkippedAndGarbageIsFoundOut) {
  Add({"1", "1", "x", "2", "t"});
  std::string key, value;
  codec_.AppendPrimaryKey(Row(0), &key);
  codec_.AppendRowValue(Row(0), &value);
  TableInfo without = table_;
  without.columns.erase(without.columns.begin() + 2);  // c was dropped
  without.indexes.resize(1);
  RowCodec later(without, CatalogLayout("K"));
  RowReader reader(later, 0, {2, 3});
  Batch out;
  reader.Begin(1, &out);
  ASSERT_TRUE(reader.Read(key, value, 0, &out).ok());
  EXPECT_EQ(Text(out, 0), "2 t ");
  reader.Begin(1, &out);
  EXPECT_FALSE(reader.Read(key, "\x09", 0, &out).ok());
  reader.Begin(1, &out);
  EXPECT_FALSE(reader.Read(key, value.substr(0, value.size() - 3), 0, &out).ok());
}

}  // namespace
}  // namespace insula::sql
