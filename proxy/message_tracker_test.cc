#include "proxy/message_tracker.h"

#include <gtest/gtest.h>

#include <string>

namespace insula::proxy {
namespace {

using namespace std::string_literals;

TEST(MessageTracker, FindsBoundariesHoweverTheBytesAreCut) {
  std::string bytes = "C\0\0\0\x0dSELECT 1\0"s + "Z\0\0\0\5T"s + "1\0\0\0\4"s;
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    MessageTracker tracker;
    ASSERT_TRUE(tracker.Pass(std::string_view(bytes).substr(0, cut)));
    EXPECT_EQ(tracker.at_boundary(), cut == 0 || cut == 14 || cut == 20 || cut == 25) << cut;
    ASSERT_TRUE(tracker.Pass(std::string_view(bytes).substr(cut)));
    EXPECT_TRUE(tracker.at_boundary());
    EXPECT_EQ(tracker.transaction_status(), 'T');
  }
}

TEST(MessageTracker, RefusesImpossibleLengths) {
  MessageTracker tracker;
  EXPECT_FALSE(tracker.Pass("Z\0\0\0\3"s));
}

}  // namespace
}  // namespace insula::proxy
