// The pure parts of the client: range cache, buffer, span sets, splitting of batches.
#include <gtest/gtest.h>

#include "base/runtime/random.h"
#include "base/strings.h"
#include "kv/client/batch_split.h"
#include "kv/client/range_cache.h"
#include "kv/client/span_set.h"
#include "kv/client/write_buffer.h"

namespace insula::kv {
namespace {

v1::RangeDescriptor Range(uint64_t id, std::string start, std::string end, uint64_t generation = 1) {
  v1::RangeDescriptor range;
  range.set_range_id(id);
  range.set_start_key(std::move(start));
  range.set_end_key(std::move(end));
  range.set_generation(generation);
  return range;
}

TEST(RangeCache, FindsByKeyAndForgets) {
  RangeCache cache;
  EXPECT_EQ(cache.Find("k"), nullptr);
  EXPECT_TRUE(cache.Insert(Range(1, "c", "m")));
  EXPECT_TRUE(cache.Insert(Range(2, "m", "")));
  EXPECT_EQ(cache.Find("b"), nullptr);
  EXPECT_EQ(cache.Find("c")->range_id(), 1u);
  EXPECT_EQ(cache.Find("m")->range_id(), 2u);
  EXPECT_EQ(cache.Find("zzz")->range_id(), 2u);
  cache.Evict("d");
  EXPECT_EQ(cache.Find("c"), nullptr);
  EXPECT_EQ(cache.size(), 1u);
}

TEST(RangeCache, OfOverlappingEntriesTheNewerStays) {
  RangeCache cache;
  EXPECT_TRUE(cache.Insert(Range(1, "a", "z", 1)));
  EXPECT_TRUE(cache.Insert(Range(1, "a", "m", 2)));
  EXPECT_TRUE(cache.Insert(Range(2, "m", "z", 2)));
  EXPECT_FALSE(cache.Insert(Range(1, "a", "z", 1))) << "old news";
  EXPECT_EQ(cache.Find("n")->range_id(), 2u);
  EXPECT_TRUE(cache.Insert(Range(1, "a", "z", 3))) << "merged again";
  EXPECT_EQ(cache.size(), 1u);
}

// Else nobody would find what lies beside a newer range whose neighbour's address has not been written yet.
TEST(RangeCache, OldNewsFillGaps) {
  RangeCache cache;
  EXPECT_TRUE(cache.Insert(Range(2, "m", "p", 2)));
  EXPECT_TRUE(cache.Insert(Range(3, "s", "", 2)));
  EXPECT_FALSE(cache.Insert(Range(1, "c", "", 1)));
  EXPECT_EQ(cache.Find("b"), nullptr);
  for (const char* key : {"c", "l", "p", "r"}) {
    ASSERT_NE(cache.Find(key), nullptr) << key;
    EXPECT_EQ(cache.Find(key)->range_id(), 1u) << key;
  }
  EXPECT_EQ(cache.Find("d")->end_key(), "m");
  EXPECT_EQ(cache.Find("q")->start_key(), "p");
  EXPECT_EQ(cache.Find("q")->end_key(), "s");
  EXPECT_EQ(cache.Find("n")->range_id(), 2u);
  EXPECT_EQ(cache.Find("z")->range_id(), 3u);
  EXPECT_TRUE(cache.Insert(Range(1, "c", "m", 2)));
  EXPECT_EQ(cache.size(), 4u);
}

TEST(WriteBuffer, RollsBackToASavepoint) {
  WriteBuffer buffer;
  buffer.Write("a", "1", 1);
  buffer.Write("b", "1", 2);
  const size_t bytes = buffer.bytes();
  buffer.Write("a", std::nullopt, 3);
  buffer.Write("c", "1", 4);
  EXPECT_FALSE(buffer.Find("a")->value.has_value());
  buffer.RollbackTo(2);
  EXPECT_EQ(*buffer.Find("a")->value, "1");
  EXPECT_EQ(buffer.Find("c"), nullptr);
  EXPECT_EQ(buffer.bytes(), bytes);
  buffer.RollbackTo(0);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.bytes(), 0u);
}

bool Covers(const std::vector<v1::Span>& spans, const std::string& key) {
  for (const auto& span : spans) {
    if (span.end_key().empty() ? span.key() == key : span.key() <= key && key < span.end_key()) return true;
  }
  return false;
}

TEST(SpanSet, GrowsCoarserButNeverForgets) {
  SeededRandom random(3);
  SpanSet set(2000);
  std::vector<std::string> keys;
  for (int i = 0; i < 2000; ++i) {
    keys.push_back(StrCat("key", random.Uniform(100'000)));
    set.Add(keys.back(), random.Chance(0.2) ? keys.back() + "x" : "");
    EXPECT_LE(set.bytes(), 2000u + 100u);
  }
  const auto& spans = set.spans();
  for (const auto& key : keys) EXPECT_TRUE(Covers(spans, key)) << key;
  for (size_t i = 1; i < spans.size(); ++i) EXPECT_LT(spans[i - 1].key(), spans[i].key());
}

TEST(SpanSet, ExactWhileSmall) {
  SpanSet set;
  set.Add("b", "");
  set.Add("c", "e");
  set.Add("e", "g");  // the next page
  set.Add("a", "");
  set.Add("b", "");
  const auto& spans = set.spans();
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(spans[0].key(), "a");
  EXPECT_EQ(spans[1].key(), "b");
  EXPECT_EQ(spans[2].end_key(), "g");
}

TEST(BatchSplit, ClipsASpanRangeByRange) {
  v1::Request scan;
  scan.mutable_scan()->set_key("b");
  scan.mutable_scan()->set_end_key("x");
  std::string next;
  v1::Request first = ClipRequest(scan, {}, "b", Range(1, "a", "g"), &next);
  EXPECT_EQ(first.scan().end_key(), "g");
  EXPECT_EQ(next, "g");
  v1::Request last = ClipRequest(scan, {}, next, Range(2, "g", ""), &next);
  EXPECT_EQ(last.scan().key(), "g");
  EXPECT_EQ(last.scan().end_key(), "x");
  EXPECT_EQ(next, "");
}

// Two ranges that both had more intents than they resolve at a time: neither's rest is forgotten.
TEST(BatchSplit, WhatSeveralPartsLeaveUnresolvedIsLeftOfTheWhole) {
  v1::Request resolve;
  resolve.mutable_resolve_intent()->set_key("b");
  resolve.mutable_resolve_intent()->set_end_key("x");
  for (bool swapped : {false, true}) {
    v1::Response first, second, whole;
    first.mutable_resolve_intent()->mutable_resume()->set_key("d");
    first.mutable_resolve_intent()->mutable_resume()->set_end_key("g");
    second.mutable_resolve_intent()->mutable_resume()->set_key("k");
    second.mutable_resolve_intent()->mutable_resume()->set_end_key("x");
    if (swapped) first.Swap(&second);
    JoinResponse(resolve, std::move(first), &whole);
    JoinResponse(resolve, std::move(second), &whole);
    EXPECT_EQ(whole.resolve_intent().resume().key(), "d");
    EXPECT_EQ(whole.resolve_intent().resume().end_key(), "x");
  }
}

TEST(BatchSplit, WhatSeveralPartsLeaveUnclearedIsLeftOfTheWhole) {
  v1::Request clear;
  clear.mutable_clear_range()->set_key("b");
  clear.mutable_clear_range()->set_end_key("x");
  for (bool swapped : {false, true}) {
    v1::Response first, second, whole;
    first.mutable_clear_range()->set_versions(2);
    first.mutable_clear_range()->mutable_resume()->set_key("d");
    first.mutable_clear_range()->mutable_resume()->set_end_key("g");
    second.mutable_clear_range()->set_versions(3);
    second.mutable_clear_range()->mutable_resume()->set_key("k");
    second.mutable_clear_range()->mutable_resume()->set_end_key("x");
    if (swapped) first.Swap(&second);
    JoinResponse(clear, std::move(first), &whole);
    JoinResponse(clear, std::move(second), &whole);
    EXPECT_EQ(whole.clear_range().versions(), 5u);
    EXPECT_EQ(whole.clear_range().resume().key(), "d");
    EXPECT_EQ(whole.clear_range().resume().end_key(), "x");
  }
}

TEST(BatchSplit, JoinsRowsAndSaysWhatIsLeft) {
  v1::Request scan, part;
  scan.mutable_scan()->set_key("b");
  scan.mutable_scan()->set_end_key("x");
  part = scan;
  part.mutable_scan()->set_end_key("g");
  v1::Response whole, a, b;
  a.mutable_scan()->set_rows("1");
  a.mutable_scan()->set_row_count(1);
  JoinResponse(part, std::move(a), &whole);
  b.mutable_scan()->set_rows("2");
  b.mutable_scan()->set_row_count(1);
  b.mutable_scan()->mutable_resume()->set_key("h");
  b.mutable_scan()->mutable_resume()->set_end_key("m");
  JoinResponse(part, std::move(b), &whole);
  SetRest(scan, part, &whole);
  EXPECT_EQ(whole.scan().rows(), "12");
  EXPECT_EQ(whole.scan().row_count(), 2u);
  EXPECT_EQ(whole.scan().resume().key(), "h");
  EXPECT_EQ(whole.scan().resume().end_key(), "x");
}

}  // namespace
}  // namespace insula::kv
