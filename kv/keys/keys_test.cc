#include "kv/keys/keys.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tenant/tenant.h"

namespace insula::kv::keys {
namespace {

TEST(Keys, LookupFindsTheRangeThatHoldsTheKeyAndNotTheOneThatEndsAtIt) {
  std::string a = KeyspacePrefix(2), b = KeyspacePrefix(3);
  // Ranges [.., a), [a, b), [b, max).
  std::vector<std::string> meta = {Meta2Key(a), Meta2Key(b), Meta2Key("")};
  ASSERT_TRUE(std::is_sorted(meta.begin(), meta.end()));
  auto lookup = [&](const std::string& key) { return std::lower_bound(meta.begin(), meta.end(), MetaLookupStart(key)) - meta.begin(); };
  EXPECT_EQ(lookup(SystemStart()), 0);
  EXPECT_EQ(lookup(a), 1);
  EXPECT_EQ(lookup(a + "x"), 1);
  EXPECT_EQ(lookup(b), 2);
  EXPECT_EQ(lookup("\xff"), 3);  // above every key there is
  EXPECT_LT(Meta2Key(""), MetaLookupEnd());
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
