#include <gtest/gtest.h>

#include <set>

#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "base/fault/testing/scoped_mutation.h"

namespace insula::fault {
namespace {

TEST(Mutation, IsOffUntilATestSwitchesItOnAndOffAgainAfterwards) {
  EXPECT_FALSE(On(Mutation::kApplyTwice));
  {
    ScopedMutation bug(Mutation::kApplyTwice);
    EXPECT_TRUE(On(Mutation::kApplyTwice));
    EXPECT_FALSE(On(Mutation::kSkipFsync));
    ScopedMutation another(Mutation::kSkipFsync);
    EXPECT_TRUE(On(Mutation::kApplyTwice));
  }
  EXPECT_FALSE(On(Mutation::kApplyTwice));
}

TEST(Mutation, EachHasANameOfItsOwnByWhichItIsFound) {
  std::set<std::string_view> names;
  for (int i = 0; i < kMutations; ++i) {
    Mutation mutation = static_cast<Mutation>(i);
    EXPECT_TRUE(names.insert(NameOf(mutation)).second) << NameOf(mutation);
    EXPECT_EQ(FindMutation(NameOf(mutation)), mutation);
  }
  EXPECT_EQ(FindMutation("no-such-bug"), std::nullopt);
}

void NeverCalled() { PROBE("of the test, never reached"); }
void Twice() {
  PROBE("of the test, in two places");
  PROBE("of the test, in two places");
}

TEST(Probe, CountsItsHitsAndIsKnownWithoutAny) {
  EXPECT_EQ(ProbeHits().at("of the test, in two places"), 0u);
  Twice();
  Twice();
  EXPECT_EQ(ProbeHits().at("of the test, in two places"), 4u);
  EXPECT_EQ(ProbeHits().at("of the test, never reached"), 0u);
  (void)&NeverCalled;
}

}  // namespace
}  // namespace insula::fault
