#include "kv/concurrency/latches.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/runtime/random.h"
#include "base/strings.h"

namespace insula::kv {
namespace {

LatchSpan Read(std::string_view key, uint64_t ts) { return {.key = key, .ts = Timestamp{ts}}; }
LatchSpan Read(std::string_view key, std::string_view end, uint64_t ts) { return {.key = key, .end_key = end, .ts = Timestamp{ts}}; }
LatchSpan Write(std::string_view key, uint64_t ts = 0) { return {.key = key, .write = true, .ts = Timestamp{ts}}; }

TEST(Latches, ReadersShareAndWritersExclude) {
  LatchManager latches;
  auto r1 = latches.Insert({Read("a", 5)});
  auto r2 = latches.Insert({Read("a", 7)});
  EXPECT_TRUE(r1.ready() && r2.ready());
  auto w = latches.Insert({Write("a")});
  EXPECT_FALSE(w.ready());
  r1.Release();
  EXPECT_FALSE(w.ready());
  r2.Release();
  EXPECT_TRUE(w.ready());
}

TEST(Latches, AReadBelowAWriteDoesNotWaitForIt) {
  LatchManager latches;
  auto w = latches.Insert({Write("a", 10)});
  EXPECT_TRUE(latches.Insert({Read("a", 9)}).ready());
  EXPECT_FALSE(latches.Insert({Read("a", 10)}).ready());
  EXPECT_FALSE(latches.Insert({Read("a", 0)}).ready());
  EXPECT_FALSE(latches.Insert({Write("a", 11)}).ready());
}

TEST(Latches, SpansConflictWhereTheyOverlap) {
  LatchManager latches;
  auto scan = latches.Insert({Read("b", "d", 0)});
  EXPECT_TRUE(latches.Insert({Write("a")}).ready());
  EXPECT_FALSE(latches.Insert({Write("b")}).ready());
  EXPECT_FALSE(latches.Insert({Write("c")}).ready());
  EXPECT_TRUE(latches.Insert({Write("d")}).ready());
  EXPECT_FALSE(latches.Insert({{.key = "c", .end_key = "z", .write = true}}).ready());
  EXPECT_TRUE(latches.Insert({{.key = "d", .end_key = "z", .write = true}}).ready());
}

TEST(Latches, RequestsAreServedByArrival) {
  LatchManager latches;
  auto first = latches.Insert({Write("a")});
  auto second = latches.Insert({Write("a"), Write("b")});
  auto third = latches.Insert({Write("b")});
  EXPECT_FALSE(second.ready());
  EXPECT_FALSE(third.ready()) << "third must not overtake second, though nobody holds b";
  first.Release();
  EXPECT_TRUE(second.ready());
  EXPECT_FALSE(third.ready());
  second.Release();
  EXPECT_TRUE(third.ready());
}

TEST(Latches, AWaiterThatLeavesIsNotWaitedForAnyMore) {
  LatchManager latches;
  auto first = latches.Insert({Write("a")});
  auto second = latches.Insert({Write("a"), Write("b")});
  auto third = latches.Insert({Write("b")});
  second.Release();
  EXPECT_TRUE(third.ready());
  first.Release();
  latches.VerifyInvariants();
}

TEST(Latches, RandomRequestsNeverOverlapAndAllGetTheirTurn) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    LatchManager latches;
    std::vector<std::string> keys;
    for (char c = 'a'; c <= 'j'; ++c) keys.push_back(std::string(1, c));
    std::vector<LatchManager::Guard> guards;
    for (int step = 0; step < 500; ++step) {
      if (guards.size() < 20 && random.Chance(0.6)) {
        std::vector<LatchSpan> spans;
        for (uint64_t n = 1 + random.Uniform(3); n > 0; --n) {
          size_t from = random.Uniform(keys.size()), to = random.Uniform(keys.size());
          LatchSpan span{.key = keys[std::min(from, to)], .write = random.Chance(0.5), .ts = Timestamp{random.Uniform(4)}};
          if (from != to && random.Chance(0.4)) span.end_key = keys[std::max(from, to)];
          spans.push_back(span);
        }
        guards.push_back(latches.Insert(std::move(spans)));
      } else if (!guards.empty()) {
        guards.erase(guards.begin() + random.Uniform(guards.size()));
      }
      latches.VerifyInvariants();
      // A1: the oldest request never waits.
      if (!guards.empty()) {
        EXPECT_TRUE(guards.front().ready()) << "seed " << seed;
      }
    }
    while (!guards.empty()) {
      EXPECT_TRUE(guards.front().ready()) << "seed " << seed;
      guards.erase(guards.begin());
    }
    EXPECT_EQ(latches.size(), 0u);
  }
}

}  // namespace
}  // namespace insula::kv
