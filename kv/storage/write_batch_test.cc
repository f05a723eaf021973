#include "kv/storage/write_batch.h"

#include <string>

#include "gtest/gtest.h"
#include "kv/storage/crc32c.h"
#include "kv/storage/data_key.h"
#include "kv/storage/varint.h"

namespace insula::kv::storage {
namespace {

TEST(WriteBatch, ComesBackFromItsBytes) {
  WriteBatch a;
  a.Put(ColumnFamily::kData, "k", "v");
  a.Delete(ColumnFamily::kLock, std::string("x\0y", 3));
  WriteBatch b;
  b.DeleteRange(ColumnFamily::kRange, "a", "b");
  a.Append(b);
  auto back = WriteBatch::FromBytes(a.bytes());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->count(), 3u);
  WriteBatch::Cursor cursor(*back);
  WriteBatch::Change c;
  ASSERT_TRUE(cursor.Next(&c));
  EXPECT_EQ(c.op, WriteBatch::Op::kPut);
  EXPECT_EQ(c.key, "k");
  EXPECT_EQ(c.value, "v");
  ASSERT_TRUE(cursor.Next(&c));
  EXPECT_EQ(c.op, WriteBatch::Op::kDelete);
  EXPECT_EQ(c.cf, ColumnFamily::kLock);
  EXPECT_EQ(c.key.size(), 3u);
  ASSERT_TRUE(cursor.Next(&c));
  EXPECT_EQ(c.op, WriteBatch::Op::kDeleteRange);
  EXPECT_EQ(c.value, "b");
  EXPECT_FALSE(cursor.Next(&c));
}

TEST(WriteBatch, RefusesDamageAndNewerFormats) {
  WriteBatch a;
  a.Put(ColumnFamily::kData, "key", "value");
  for (size_t cut = 2; cut < a.bytes().size(); ++cut) {
    EXPECT_EQ(WriteBatch::FromBytes(a.bytes().substr(0, cut)).status().code(), absl::StatusCode::kDataLoss) << cut;
  }
  std::string newer = a.bytes();
  newer[0] = 2;
  EXPECT_EQ(WriteBatch::FromBytes(newer).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(WriteBatch::FromBytes("")->empty());
}

TEST(DataKey, OrdersByUserKeyThenNewestFirst) {
  auto less = [](const std::string& a, const std::string& b) { return CompareDataKeys(a, b) < 0; };
  Timestamp t1{10}, t2{20};
  EXPECT_TRUE(less(DataKey("a", t2), DataKey("a", t1)));
  EXPECT_TRUE(less(DataKey("a", t1), DataKey(std::string("a\0", 2), t2)));
  EXPECT_TRUE(less(DataKey("a", Timestamp{0}), DataKey("ab", Timestamp::Max())));
  EXPECT_TRUE(less(DataKeyBound("b"), DataKey("b", t2)));
  EXPECT_TRUE(less(DataKey("a\xff", t1), DataKeyBound("b")));
  EXPECT_EQ(UserKey(DataKey("abc", t1)), "abc");
  EXPECT_EQ(VersionTimestamp(DataKey("abc", t1)), t1);
}

TEST(Varint, ComesBack) {
  for (uint64_t v : {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{1} << 35, ~uint64_t{0}}) {
    std::string s;
    AppendVarint(&s, v);
    std::string_view in(s);
    uint64_t back = 0;
    ASSERT_TRUE(TakeVarint(&in, &back));
    EXPECT_EQ(back, v);
    EXPECT_TRUE(in.empty());
    std::string_view cut = std::string_view(s).substr(0, s.size() - 1);
    EXPECT_FALSE(TakeVarint(&cut, &back));
  }
  for (int64_t v : {int64_t{0}, int64_t{-1}, int64_t{1}, INT64_MIN, INT64_MAX}) EXPECT_EQ(UnZigZag(ZigZag(v)), v);
}

TEST(Crc32c, IsCastagnoliOnEveryPath) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32cPortable("123456789"), 0xe3069283u);
  std::string text = "the quick brown fox jumps over the lazy dog";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Crc32c(text.substr(cut), Crc32c(text.substr(0, cut))), Crc32cPortable(text));
  }
}

}  // namespace
}  // namespace insula::kv::storage
