#include "sql/types/vector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/runtime/random.h"
#include "base/strings.h"
#include "sql/types/array.h"
#include "sql/types/datetime.h"

namespace insula::sql {
namespace {

const SqlType kAll[] = {{oid::kBool}, {oid::kInt8}, {oid::kFloat8}, {oid::kText}, {oid::kNumeric}};

Datum AnyDatum(PhysicalKind kind, Random& random) {
  if (random.Chance(0.2)) return Datum();
  int64_t v = static_cast<int64_t>(random.Uniform(50));
  switch (kind) {
    case PhysicalKind::kBool: return Datum::Bool(v % 2 == 0);
    case PhysicalKind::kInt: return Datum::Int(v);
    case PhysicalKind::kFloat: return Datum::Float(static_cast<double>(v) / 4);
    case PhysicalKind::kBytes: return Datum::Bytes(StrCat("value ", v));
    case PhysicalKind::kNumeric: return Datum::Num(Numeric::FromScaled(v, 2));
  }
  return Datum();
}

// A vector behaves as a std::vector<Datum> does, whatever is done to it.
TEST(VectorTest, AgreesWithAModel) {
  SeededRandom random(7);
  for (SqlType type : kAll) {
    PhysicalKind kind = KindOf(type.oid);
    Vector v(type);
    std::vector<Datum> model;
    for (int step = 0; step < 2000; ++step) {
      switch (random.Uniform(7)) {
        case 0:
        case 1: {
          Datum d = AnyDatum(kind, random);
          v.Append(d);
          model.push_back(d);
          break;
        }
        case 2: {
          Datum d = AnyDatum(kind, random);
          size_t n = random.Uniform(5);
          v.AppendConstant(d, n);
          model.insert(model.end(), n, d);
          break;
        }
        case 3:
          if (!model.empty()) {
            size_t i = random.Uniform(model.size());
            Datum d = AnyDatum(kind, random);
            v.Set(i, d);
            model[i] = d;
          }
          break;
        case 4:
          if (model.size() > 100) {
            size_t n = random.Uniform(100);
            v.Truncate(n);
            model.resize(n);
          }
          break;
        case 5: {
          std::vector<uint32_t> sel;
          for (size_t i = 0; i < model.size(); ++i) {
            if (random.Chance(0.7)) sel.push_back(static_cast<uint32_t>(i));
          }
          Vector gathered;
          gathered.Gather(v, sel);
          std::vector<Datum> picked;
          for (uint32_t i : sel) picked.push_back(model[i]);
          v = std::move(gathered);
          model = std::move(picked);
          break;
        }
        case 6: {
          size_t begin = model.empty() ? 0 : random.Uniform(model.size());
          size_t n = std::min<size_t>(model.size() - begin, 20);
          Vector copy(type);
          copy.AppendRange(v, begin, n);
          v.AppendRange(copy, 0, n);
          std::vector<Datum> part(model.begin() + static_cast<long>(begin), model.begin() + static_cast<long>(begin + n));
          model.insert(model.end(), part.begin(), part.end());
          break;
        }
      }
      v.VerifyInvariants();
      ASSERT_EQ(v.size(), model.size());
    }
    size_t nulls = 0;
    for (size_t i = 0; i < model.size(); ++i) {
      ASSERT_TRUE(DatumsNotDistinct(type.oid, v.Get(i), model[i])) << i;
      ASSERT_EQ(v.IsNull(i), model[i].is_null());
      nulls += model[i].is_null();
    }
    EXPECT_EQ(v.CountNulls(), nulls);
  }
}

TEST(VectorTest, EqualValuesHashEqual) {
  SeededRandom random(11);
  for (SqlType type : kAll) {
    Vector v(type);
    for (int i = 0; i < 300; ++i) v.Append(AnyDatum(KindOf(type.oid), random));
    std::vector<uint64_t> hashes(v.size(), 0);
    v.HashInto(hashes.data());
    for (size_t i = 0; i < v.size(); ++i) {
      for (size_t j = 0; j < v.size(); ++j) {
        if (Vector::NotDistinct(v, i, v, j)) ASSERT_EQ(hashes[i], hashes[j]);
      }
    }
  }
}

TEST(VectorTest, NullBitsPastTheEndStayClear) {
  Vector v(SqlType{oid::kInt4});
  v.Resize(70);
  v.SetAllNull();
  EXPECT_EQ(v.CountNulls(), 70u);
  v.Truncate(3);
  v.Resize(70);
  EXPECT_EQ(v.CountNulls(), 3u);
}

TEST(DatumTest, OrdersAsPostgres) {
  double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(CompareFloats(nan, nan), 0);
  EXPECT_GT(CompareFloats(nan, std::numeric_limits<double>::infinity()), 0);
  EXPECT_EQ(CompareFloats(-0.0, 0.0), 0);
  EXPECT_EQ(HashDatum(oid::kFloat8, Datum::Float(-0.0)), HashDatum(oid::kFloat8, Datum::Float(0.0)));
  EXPECT_TRUE(BytesEqual(oid::kBpchar, "ab", "ab  "));
  EXPECT_FALSE(BytesEqual(oid::kText, "ab", "ab  "));
  EXPECT_EQ(HashBytes(oid::kBpchar, "ab"), HashBytes(oid::kBpchar, "ab  "));
  EXPECT_LT(CompareBytes(oid::kText, "B", "a"), 0) << "collation C";
  EXPECT_GT(CompareBytes(oid::kBytea, "\xff", "a"), 0) << "bytes are unsigned";
  EXPECT_TRUE(DatumsEqual(oid::kNumeric, Datum::Num(Numeric::FromScaled(150, 2)), Datum::Num(Numeric::FromScaled(15, 1))));
  std::string month = EncodeInterval({0, 0, 1}), days = EncodeInterval({0, 30, 0});
  EXPECT_TRUE(BytesEqual(oid::kInterval, month, days));
  EXPECT_EQ(HashBytes(oid::kInterval, month), HashBytes(oid::kInterval, days));
  EXPECT_TRUE(BytesEqual(oid::kJsonb, "{\"a\": 1}", "{\"a\": 1.0}"));
  EXPECT_EQ(HashBytes(oid::kJsonb, "1"), HashBytes(oid::kJsonb, "1.0"));
}

TEST(DatumTest, Arrays) {
  auto ints = [](std::vector<Datum> v) { return ArrayValue::Of(oid::kInt4, std::move(v)).Encode(); };
  std::string a = ints({Datum::Int(1), Datum::Int(2)}), b = ints({Datum::Int(1), Datum()});
  EXPECT_LT(CompareBytes(oid::kInt4Array, a, b), 0) << "NULL is above all";
  EXPECT_LT(CompareBytes(oid::kInt4Array, ints({}), a), 0);
  EXPECT_EQ(HashBytes(oid::kInt4Array, a), HashBytes(oid::kInt4Array, ints({Datum::Int(1), Datum::Int(2)})));
  auto decoded = ArrayValue::Decode(a);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->elements.size(), 2u);
  EXPECT_FALSE(ArrayValue::Decode("nonsense").ok());
  EXPECT_FALSE(ArrayValue::Decode(std::string_view(a).substr(0, a.size() - 1)).ok());
}

TEST(BatchTest, RowsWithoutColumnsCount) {
  Batch b;
  b.rows = 5;
  Batch g;
  std::vector<uint32_t> sel = {1, 3};
  g.Gather(b, sel);
  EXPECT_EQ(g.rows, 2u);
}

}  // namespace
}  // namespace insula::sql
