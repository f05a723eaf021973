#include "kv/concurrency/deadlock.h"

#include <gtest/gtest.h>

namespace insula::kv {
namespace {

WaitEdge Edge(std::string waiter, uint64_t min_ts, std::string holder) { return {std::move(waiter), Timestamp{min_ts}, std::move(holder)}; }

TEST(Deadlock, AChainIsNone) {
  EXPECT_EQ(DeadlockVictim(Edge("a", 1, "b"), {}), std::nullopt);
  EXPECT_EQ(DeadlockVictim(Edge("a", 1, "b"), {Edge("c", 3, "a"), Edge("d", 4, "c")}), std::nullopt);
}

TEST(Deadlock, TheYoungestOfACycleIsTheVictimWhoeverLooks) {
  // a -> b -> c -> a, c began last
  EXPECT_EQ(DeadlockVictim(Edge("a", 1, "b"), {Edge("c", 3, "a"), Edge("b", 2, "c")}), "c");
  EXPECT_EQ(DeadlockVictim(Edge("b", 2, "c"), {Edge("a", 1, "b"), Edge("c", 3, "a")}), "c");
  EXPECT_EQ(DeadlockVictim(Edge("c", 3, "a"), {Edge("b", 2, "c"), Edge("a", 1, "b")}), "c");
}

TEST(Deadlock, WhoOnlyWaitsForACycleIsNoVictim) {
  // d (youngest) waits for a, which is in a cycle with b; d is not.
  EXPECT_EQ(DeadlockVictim(Edge("a", 1, "b"), {Edge("b", 2, "a"), Edge("d", 9, "a")}), "b");
}

TEST(Deadlock, EqualAgesAreToldApartByTheId) {
  EXPECT_EQ(DeadlockVictim(Edge("a", 1, "b"), {Edge("b", 1, "a")}), "b");
  EXPECT_EQ(DeadlockVictim(Edge("b", 1, "a"), {Edge("a", 1, "b")}), "b");
}

TEST(Deadlock, EdgesAreBounded) {
  auto edges = Deduplicate({Edge("a", 1, "b"), Edge("a", 1, "b"), Edge("c", 1, "b"), Edge("d", 1, "b")}, 2);
  EXPECT_EQ(edges.size(), 2u);
}

}  // namespace
}  // namespace insula::kv
