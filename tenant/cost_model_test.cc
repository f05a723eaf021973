#include "tenant/cost_model.h"

#include <gtest/gtest.h>

namespace insula {
namespace {

TEST(CostModel, IsThePublishedTable) {
  CostModel model;
  EXPECT_EQ(CostOf(model, {.read_requests = 1}), 550);
  EXPECT_EQ(CostOf(model, {.read_requests = 10, .read_bytes = 64 << 10}), 500 + 500 + 1024);
  EXPECT_EQ(CostOf(model, {.write_requests = 1}), 3 * 740);
  EXPECT_EQ(CostOf(model, {.write_requests = 2, .write_bytes = 2048}), 3 * (700 + 80 + 200));
  EXPECT_EQ(CostOf(model, {.read_requests = 1, .write_requests = 1}), 550 + 3 * 740);
}

TEST(CostModel, NothingIsFree) {
  CostModel model;
  EXPECT_EQ(CostOf(model, {}), 500);
  EXPECT_EQ(CostOfReadBytes(model, 1), 1) << "a started thousandth counts";
  EXPECT_EQ(CostOfReadBytes(model, 0), 0);
}

TEST(CostModel, MoreNeverCostsLessEvenAtTheEnds) {
  CostModel model;
  MilliRu last = 0;
  for (uint64_t n = 1; n != 0; n <<= 1) {
    MilliRu cost = CostOf(model, {.read_requests = n, .read_bytes = n, .write_requests = n, .write_bytes = n});
    EXPECT_GE(cost, last) << n;
    last = cost;
  }
  EXPECT_EQ(CostOf(model, {.read_requests = UINT64_MAX}), CostOf(model, {.read_requests = uint64_t{1} << 40}));
}

TEST(CostModel, WritesArePaidPerReplica) {
  CostModel three, five;
  five.replicas = 5;
  EXPECT_EQ(CostOf(five, {.write_requests = 1}) * 3, CostOf(three, {.write_requests = 1}) * 5);
  EXPECT_EQ(CostOf(five, {.read_requests = 1}), CostOf(three, {.read_requests = 1}));
}

}  // namespace
}  // namespace insula
