#include "base/log/log.h"

#include <gtest/gtest.h>

#include <vector>

namespace insula::log {
namespace {

TEST(Log, WritesOneLineWithQuotedFields) {
  std::vector<std::string> lines;
  SetSink([&](std::string line) { lines.push_back(line); });
  SetSource("kv-1");
  LOG_INFO("plain");
  LOG_WARN("with fields", {"n", 7}, {"text", "two words\n\"x\""}, {"empty", ""});
  LOG_DEBUG("below the level");
  SetSink({});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "INFO kv-1 plain");
  EXPECT_EQ(lines[1], "WARN kv-1 with fields n=7 text=\"two words\\x0a\\\"x\\\"\" empty=\"\"");
}

TEST(Log, FieldsOfLevelsThatAreOffAreNotEvaluated) {
  int evaluated = 0;
  LOG_DEBUG("x", {"n", ++evaluated});
  EXPECT_EQ(evaluated, 0);
}

}  // namespace
}  // namespace insula::log
