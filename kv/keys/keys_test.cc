#include "kv/keys/keys.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tenant/tenant.h"

namespace insula::kv::keys {
namespace {

TEST(Keys, LookupFindsTheRangeThatHoldsTheKeyAndNotTheOneThatEndsAtIt) {
  std::string a = KeyspacePrefix(2), b = KeyspacePrefix(3);
  // Ranges [0x04, a), [a, b), [b, max).
  std::vector<std::string> meta = {AddressKey(SystemStart(), a), AddressKey(a, b), AddressKey(b, "")};
  ASSERT_TRUE(std::is_sorted(meta.begin(), meta.end()));
  auto lookup = [&](const std::string& key) { return std::lower_bound(meta.begin(), meta.end(), LookupStart(key)) - meta.begin(); };
  EXPECT_EQ(lookup(SystemStart()), 0);
  EXPECT_EQ(lookup(a), 1);
  EXPECT_EQ(lookup(a + "x"), 1);
  EXPECT_EQ(lookup(b), 2);
  EXPECT_EQ(lookup("\xff"), 3);  // above every key there is
  for (const std::string& key : meta) {
    EXPECT_GE(key, Meta2Start());
    EXPECT_LT(key, LookupEnd(a));
  }
  EXPECT_EQ(AddressKeyBefore(b), meta[1]);
  EXPECT_EQ(AddressKeyBefore(a), meta[0]);
  EXPECT_EQ(AddressKeyBefore(SystemStart()), "") << "nothing of this level is at its left";
}

TEST(Keys, AMetaRangeIsAddressedInMeta1AndThatIsAllInRangeOne) {
  std::string m = Meta2Key(KeyspacePrefix(9)), n = Meta2Key(KeyspacePrefix(20));
  // Ranges [min, m), [m, n), [n, 0x04).
  std::vector<std::string> rows = {AddressKey("", m), AddressKey(m, n), AddressKey(n, SystemStart())};
  ASSERT_TRUE(std::is_sorted(rows.begin(), rows.end()));
  EXPECT_EQ(rows[2], Meta1Key("")) << "where it was before there were two levels";
  auto lookup = [&](const std::string& key) { return std::lower_bound(rows.begin(), rows.end(), LookupStart(key)) - rows.begin(); };
  EXPECT_EQ(lookup(""), 0);
  EXPECT_EQ(lookup(rows[0]), 0);
  EXPECT_EQ(lookup(LookupStart("a")), 0);
  EXPECT_EQ(lookup(m), 1);
  EXPECT_EQ(lookup(LookupStart(KeyspacePrefix(9))), 1);
  EXPECT_EQ(lookup(LookupStart(KeyspacePrefix(20) + "x")), 2);
  EXPECT_EQ(lookup(Meta2Key("")), 2);
  for (const std::string& key : rows) {
    EXPECT_LT(key, Meta2Start());
    EXPECT_LT(key, LookupEnd(m));
  }
  EXPECT_EQ(AddressKeyBefore(n), rows[1]);
  EXPECT_EQ(AddressKeyBefore(m), rows[0]);
  EXPECT_EQ(AddressKeyBefore(""), "");
}

TEST(Keys, RangesStayWithinTheirSpaceAndWhatBelongsTogetherStaysTogether) {
  const std::string meta = Meta2Key("a"), table = SystemKey(SystemTable::kTenant), keyspace = KeyspacePrefix(7) + "a";
  EXPECT_TRUE(MayJoin("", meta));
  EXPECT_TRUE(MayJoin(SystemStart(), table));
  EXPECT_TRUE(MayJoin(table, KeyspacePrefix(1))) << "what is below the first tenant's keyspace is the system's";
  EXPECT_TRUE(MayJoin(KeyspacePrefix(7), keyspace));
  for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{
           {meta, SystemStart()}, {meta, keyspace}, {table, KeyspacePrefix(kFirstKeyspace)}, {keyspace, KeyspacePrefix(8)}}) {
    EXPECT_FALSE(MayJoin(left, right)) << PrettyRange(left, right);
    EXPECT_FALSE(MayJoin(right, left)) << PrettyRange(left, right);
  }
  for (const std::string& key : {Meta2Start(), meta, SystemStart(), SystemKey(SystemTable::kSetting, "x"), table, KeyspacePrefix(1), keyspace, std::string("\xff")}) {
    EXPECT_TRUE(MaySplitAt(key)) << Pretty(key);
  }
  for (const std::string& key : {std::string(), Meta1Key(""), Meta1Key(meta), SystemKey(SystemTable::kNodeAddress, 3), RangeIdCounter(), KeyspaceCounter(), TenantCounter()}) {
    EXPECT_FALSE(MaySplitAt(key)) << Pretty(key);
    EXPECT_GT(NextSplitKey(key), key);
    EXPECT_TRUE(MaySplitAt(NextSplitKey(key)));
  }
  EXPECT_EQ(NextSplitKey(""), Meta2Start());
  EXPECT_GT(NextSplitKey(SystemStart()), TenantCounter());
  EXPECT_LT(NextSplitKey(SystemStart()), SystemKey(SystemTable::kSetting));
  EXPECT_EQ(NextSplitKey(keyspace), Next(keyspace));
}

TEST(Keys, BoundsAndOverlap) {
  EXPECT_TRUE(InBounds("a", "c", "a"));
  EXPECT_FALSE(InBounds("a", "c", "c"));
  EXPECT_TRUE(InBounds("a", "", "zzz"));
  EXPECT_TRUE(SpanInBounds("a", "c", "b", "c"));
  EXPECT_FALSE(SpanInBounds("a", "c", "b", "d"));
  EXPECT_FALSE(SpanInBounds("a", "c", "b", "a"));
  EXPECT_TRUE(SpanInBounds("a", "c", "b", ""));
  EXPECT_FALSE(SpanInBounds("a", "c", "c", ""));
  EXPECT_TRUE(RangesOverlap("a", "c", "b", ""));
  EXPECT_FALSE(RangesOverlap("a", "b", "b", "c"));
  EXPECT_FALSE(RangesOverlap("b", "", "a", "b"));
  EXPECT_TRUE(RangesOverlap("", "", "x", "y"));
}

TEST(Keys, RangeRowsDecodeAndAreApart) {
  auto parts = DecodeRangeIdKey(RangeIdKey(7, RangeField::kDescriptor));
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->range, 7u);
  EXPECT_EQ(parts->field, RangeField::kDescriptor);
  EXPECT_LT(RangeIdSpaceStart(), RangeIdKey(0, RangeField::kAppliedState));
  EXPECT_LT(RangeIdKey(~0ull, RangeField::kPublished), RangeIdSpaceEnd());
  EXPECT_LE(RangeIdSpaceEnd(), AnchorSpanStart(""));
  EXPECT_FALSE(DecodeRangeIdKey("i123").has_value());
}

TEST(Keys, AnchorRowsFollowTheirKeyWhenARangeSplits) {
  std::string split = KeyspacePrefix(5);
  std::string left = AnchorKey(KeyspacePrefix(4) + "zz", AnchorField::kTransaction, std::string(16, '\xff'));
  std::string right = AnchorKey(split, AnchorField::kOutcome, std::string(16, '\0'));
  EXPECT_LT(left, AnchorSpanEnd(split));
  EXPECT_GE(right, AnchorSpanStart(split));
  EXPECT_LT(right, AnchorSpanEnd(""));
  // A key that is a prefix of another, and holds zero bytes.
  std::string inner("a\0b", 3);
  auto parts = DecodeAnchorKey(AnchorKey(inner, AnchorField::kTransaction, "id"));
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->anchor, inner);
  EXPECT_EQ(parts->txn_id, "id");
  EXPECT_LT(AnchorKey("a", AnchorField::kTransaction, "\xff"), AnchorSpanEnd(inner));
}

TEST(Keys, PrettyPrintsForPeople) {
  EXPECT_EQ(Pretty(""), "/Min");
  EXPECT_EQ(Pretty(KeyspacePrefix(7) + "ab\x01"), "/Keyspace/7/ab\\x01");
  EXPECT_EQ(Pretty(Meta2Key(KeyspacePrefix(7))), "/Meta2/Keyspace/7");
  EXPECT_EQ(Pretty(Meta2Key("")), "/Meta2/Max");
  EXPECT_EQ(Pretty(RangeIdCounter()), "/System/c/range-id");
  EXPECT_EQ(Pretty(SystemKey(SystemTable::kTenant, 7)), "/System/t/7");
  EXPECT_EQ(PrettyRange(SystemStart(), ""), "[/System, /Max)");
}

}  // namespace
}  // namespace insula::kv::keys
