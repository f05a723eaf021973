#include "test/checkers/consistency_model.h"

#include "gtest/gtest.h"

namespace insula::checkers {
namespace {

bool Forbids(const char* model, const char* anomaly) { return AnomaliesForbiddenBy({model}).count(anomaly) > 0; }

TEST(ConsistencyModel, EachModelForbidsWhatSetsItApart) {
  EXPECT_TRUE(Forbids("read-uncommitted", "G0"));
  EXPECT_FALSE(Forbids("read-uncommitted", "G1a"));
  EXPECT_TRUE(Forbids("read-committed", "G1c"));
  EXPECT_FALSE(Forbids("read-committed", "G-single-item"));
  EXPECT_TRUE(Forbids("snapshot-isolation", "G-single-item"));
  EXPECT_TRUE(Forbids("snapshot-isolation", "G-nonadjacent-item"));
  EXPECT_FALSE(Forbids("snapshot-isolation", "G2-item"));
  EXPECT_TRUE(Forbids("repeatable-read", "G2-item"));
  EXPECT_FALSE(Forbids("repeatable-read", "G2"));
  EXPECT_TRUE(Forbids("serializable", "G2"));
  EXPECT_FALSE(Forbids("serializable", "G0-realtime"));
  EXPECT_TRUE(Forbids("strong-session-serializable", "G2-item-process"));
  EXPECT_FALSE(Forbids("strong-session-serializable", "G2-item-realtime"));
  EXPECT_TRUE(Forbids("strict-serializable", "G2-item-realtime"));
}

TEST(ConsistencyModel, WhatAModelForbidsStrongerOnesForbid) {
  for (const char* model : {"read-uncommitted", "read-committed", "repeatable-read", "snapshot-isolation", "serializable",
                            "strong-snapshot-isolation", "strong-session-snapshot-isolation", "strong-session-serializable"}) {
    const Names strict = AnomaliesForbiddenBy({"strict-serializable"});
    for (const std::string& anomaly : AnomaliesForbiddenBy({model})) EXPECT_EQ(strict.count(anomaly), 1u) << model << " " << anomaly;
  }
}

TEST(ConsistencyModel, WeakestModelsThatAnAnomalyRulesOut) {
  auto weakest = [](const Names& anomalies) { return WeakestModels(ModelsRuledOutBy(anomalies)); };
  EXPECT_EQ(weakest({}), Names());
  EXPECT_EQ(weakest({"G0"}), Names{"read-uncommitted"});
  EXPECT_EQ(weakest({"G1a"}), Names{"read-committed"});
  EXPECT_EQ(weakest({"G2-item"}), Names{"repeatable-read"});
  EXPECT_EQ(weakest({"G2"}), Names{"serializable"});
  EXPECT_EQ(weakest({"G-nonadjacent-item"}), (Names{"repeatable-read", "snapshot-isolation"}));
  EXPECT_EQ(weakest({"G-single-item-process"}), Names{"strong-session-snapshot-isolation"});
  EXPECT_EQ(weakest({"G-single-item-realtime"}), Names{"strong-snapshot-isolation"});
  EXPECT_EQ(weakest({"G2-item-realtime"}), Names{"strict-serializable"});
}

TEST(ConsistencyModel, Names) {
  EXPECT_EQ(CanonicalModel("repeatable-read"), "PL-2.99");
  EXPECT_EQ(FriendlyModel("PL-3"), "serializable");
  EXPECT_TRUE(IsModel("strong-serializable"));
  EXPECT_TRUE(IsModel("PL-SI"));
  EXPECT_FALSE(IsModel("eventual"));
}

}  // namespace
}  // namespace insula::checkers
