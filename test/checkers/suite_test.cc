// Histories with known verdicts, read in place (INSULA_SUITES). Prints "histories: passed/scored".
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/strings.h"
#include "gtest/gtest.h"
#include "test/checkers/known_answers.h"

namespace insula::checkers {
namespace {

std::optional<std::string> SuiteFolder() {
  const char* root = std::getenv("INSULA_SUITES");
  if (root == nullptr || *root == 0) return std::nullopt;
  std::string folder = StrCat(root, "/histories");
  return std::filesystem::is_directory(folder) ? std::optional(folder) : std::nullopt;
}

TEST(KnownHistories, EveryVerdictIsOurs) {
  const auto folder = SuiteFolder();
  if (!folder) {
    ASSERT_FALSE(std::getenv("CI") != nullptr && std::string_view(std::getenv("CI")) == "true")
        << "the outside suites are missing: INSULA_SUITES must name their folder";
    GTEST_SKIP() << "outside suites not found; set INSULA_SUITES to their folder";
  }
  int passed = 0;
  std::string failures;
  const auto answers = RunKnownAnswers(*folder);
  for (const KnownAnswer& answer : answers) {
    if (answer.failure.empty()) {
      ++passed;
    } else {
      StrAppend(&failures, answer.name, ": ", answer.failure, "\n");
      ADD_FAILURE() << answer.name << ": " << answer.failure;
    }
  }
  EXPECT_FALSE(answers.empty());
  std::printf("histories: %d/%zu\n", passed, answers.size());
  if (const char* outputs = std::getenv("TEST_UNDECLARED_OUTPUTS_DIR")) {
    std::ofstream(StrCat(outputs, "/histories.failures.txt")) << failures;
  }
}

}  // namespace
}  // namespace insula::checkers
