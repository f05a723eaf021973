#include "base/datadriven/datadriven.h"

#include <fstream>

#include "base/strings.h"
#include "gtest/gtest.h"

namespace insula::datadriven {
namespace {

TEST(DataDriven, ParsesArgumentsInputAndExpectation) {
  auto file = File::Parse(
      "# why\n\nadd 1 two cfg=(1, 2,3) name=x empty=() \\\n  "
      "more\nfirst\nsecond\n----\nout\n\nnext\n----\n----\na\n\nb\n----\n----\n# end\n");
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  ASSERT_EQ(file->cases.size(), 2u);
  const Case& c = file->cases[0];
  EXPECT_EQ(c.command, "add");
  EXPECT_EQ(c.line, 3);
  EXPECT_EQ(c.Positional(), (std::vector<std::string>{"1", "two", "more"}));
  EXPECT_EQ(c.Find("cfg")->values, (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(c.Get("name"), "x");
  EXPECT_TRUE(c.Find("empty")->has_values);
  EXPECT_TRUE(c.Find("empty")->values.empty());
  EXPECT_EQ(c.Get("absent", "d"), "d");
  EXPECT_EQ(c.input, "first\nsecond\n");
  EXPECT_EQ(c.expected, "out\n");
  EXPECT_EQ(file->cases[1].expected, "a\n\nb\n");
  EXPECT_EQ(file->rest, "# end\n");
}

TEST(DataDriven, RefusesWhatItCannotRead) {
  EXPECT_FALSE(File::Parse("command without separator\n").ok());
  EXPECT_FALSE(File::Parse("c x=(1,2\n----\n").ok());
  EXPECT_FALSE(File::Parse("c =x\n----\n").ok());
  EXPECT_FALSE(File::Parse("c\n----\n----\nnever closed\n").ok());
}

TEST(DataDriven, RewritingKeepsEverythingButTheOutput) {
  const std::string text = "# head\nc1 a=(1)\nin\n----\nold\n\n# between\nc2\n----\n\n# tail\n";
  auto file = File::Parse(text);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->WithOutputs({"new", "x\n\ny"}),
            "# head\nc1 a=(1)\nin\n----\nnew\n\n# between\nc2\n----\n----\nx\n\ny\n----\n----\n\n# tail\n");
  // What was read comes back unchanged.
  EXPECT_EQ(file->WithOutputs({"old", ""}), text);
}

TEST(DataDriven, RunReportsEachDifference) {
  const std::string path = StrCat(testing::TempDir(), "/scenario.txt");
  std::ofstream(path) << "echo a\n----\na\n\necho b\n----\nc\n";
  auto result = RunFile(path, [](const Case& c) { return c.Positional()[0]; });
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->cases, 2);
  EXPECT_EQ(result->passed(), 1);
  ASSERT_EQ(result->failures.size(), 1u);
  EXPECT_EQ(result->failures[0].line, 5);
  EXPECT_EQ(result->failures[0].expected, "c\n");
  EXPECT_EQ(result->failures[0].actual, "b\n");
  EXPECT_EQ(result->rewritten, "echo a\n----\na\n\necho b\n----\nb\n");
  EXPECT_EQ(RunFile("/nowhere/at/all", nullptr).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace insula::datadriven
