#include "base/log/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/strings.h"

namespace insula {
namespace {

std::string FileText(const std::string& path) {
  std::ifstream in(path);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

TEST(Log, FieldsAreKeyValueAndOneLineStaysOneLine) {
  EXPECT_EQ(log::Format("range split", {{"range", 12}, {"at", "a b"}, {"on", true}}), "range split range=12 at=\"a b\" on=true");
  EXPECT_EQ(log::Format("x", {{"v", "a\nb\x01\"c\\"}}), "x v=\"a\\nb\\x01\\\"c\\\\\"");
  EXPECT_EQ(log::Format("x", {{"empty", ""}, {"eq", "a=b"}}), "x empty=\"\" eq=\"a=b\"");
  EXPECT_EQ(log::Format("x", {{"status", absl::AbortedError("no")}}), "x status=\"ABORTED: no\"");
}

TEST(Log, LinesCarryTimeLevelAndProcess) {
  std::string path = StrCat(testing::TempDir(), "/log_test_", getpid());
  ASSERT_TRUE(log::Configure({.role = "kv", .id = "3", .path = path}).ok());
  LOG_DEBUG("not shown");
  LOG_INFO("started", {"port", 26257});
  LOG_WARNING("alone");
  std::string text = FileText(path);
  EXPECT_NE(text.find("Z info kv-3 started port=26257\n"), std::string::npos) << text;
  EXPECT_NE(text.find("Z warning kv-3 alone\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("not shown"), std::string::npos);
  log::SetLevel(log::Level::kDebug);
  LOG_DEBUG("now shown");
  EXPECT_NE(FileText(path).find("debug kv-3 now shown"), std::string::npos);
  unlink(path.c_str());
}

TEST(Log, BadFilesAndLevelsAreErrors) {
  EXPECT_EQ(log::Configure({.role = "kv", .id = "", .path = "/proc/none/x"}).code(), absl::StatusCode::kFailedPrecondition);
  setenv("INSULA_LOG", "loud", 1);
  EXPECT_EQ(log::Configure({}).code(), absl::StatusCode::kInvalidArgument);
  unsetenv("INSULA_LOG");
}

TEST(Log, FieldsAreNotFormattedWhenTheLevelIsOff) {
  int evaluated = 0;
  log::ScopedSink sink(log::Level::kWarning, [](log::Level, std::string_view) {});
  LOG_INFO("x", {"n", ++evaluated});
  EXPECT_EQ(evaluated, 0);
  LOG_ERROR("x", {"n", ++evaluated});
  EXPECT_EQ(evaluated, 1);
}

TEST(Log, ScopedSinksNest) {
  std::vector<std::string> outer, inner;
  log::ScopedSink a(log::Level::kInfo, [&](log::Level, std::string_view line) { outer.emplace_back(line); });
  {
    log::ScopedSink b(log::Level::kInfo, [&](log::Level, std::string_view line) { inner.emplace_back(line); });
    LOG_INFO("in");
  }
  LOG_INFO("out", {"k", 1});
  EXPECT_EQ(inner, (std::vector<std::string>{"in"}));
  EXPECT_EQ(outer, (std::vector<std::string>{"out k=1"}));
}

}  // namespace
}  // namespace insula
