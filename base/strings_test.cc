#include "base/strings.h"

#include <gtest/gtest.h>

#include <vector>

namespace insula {
namespace {

TEST(StrCat, MixesTextAndNumbers) {
  std::string_view view = "view";
  EXPECT_EQ(StrCat("a", view, std::string("s"), 'c', -7, uint64_t{18446744073709551615u}, true, 0.5), "aviewsc-718446744073709551615true0.5");
}

TEST(StrJoin, PutsTheSeparatorBetween) {
  EXPECT_EQ(StrJoin(std::vector<int>{1, 2, 3}, ", "), "1, 2, 3");
  EXPECT_EQ(StrJoin(std::vector<int>{}, ", "), "");
}

}  // namespace
}  // namespace insula
