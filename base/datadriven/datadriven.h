// Scenario files: commands and what they shall print, as text that reads like documentation.
//
//   # a comment
//   command key key=value key=(a,b)
//   input lines, if any
//   ----
//   expected output
//
// A blank line ends the expected output. Output with blank lines stands between doubled separators:
//
//   command
//   ----
//   ----
//   first
//
//   second
//   ----
//   ----
//
// A directive may go on in the next line after a backslash. Run with --rewrite (or INSULA_REWRITE=1) a test may write
// the actual output into the file instead of failing.
//
// Thread safety: values.
#ifndef INSULA_BASE_DATADRIVEN_DATADRIVEN_H_
#define INSULA_BASE_DATADRIVEN_DATADRIVEN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace insula::datadriven {

struct Arg {
  std::string key;
  std::vector<std::string> values;  // `key`: none; `key=`: one, empty; `key=()`: none, with has_values
  bool has_values = false;
};

struct Case {
  int line = 0;  // of the directive
  std::string command;
  std::vector<Arg> args;
  std::string input;     // each line ended
  std::string expected;  // each line ended
  std::string source;    // everything up to and without the separator: comments, directive, input

  const Arg* Find(std::string_view key) const;
  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  // The first value of `key`, or `otherwise`.
  std::string Get(std::string_view key, std::string_view otherwise = "") const;
  // The arguments that stand alone, in order.
  std::vector<std::string> Positional() const;
};

struct File {
  std::vector<Case> cases;
  std::string rest;  // comments after the last case

  // kInvalidArgument with the line of what is wrong.
  static absl::StatusOr<File> Parse(std::string_view text);
  // The file with these outputs, one per case.
  std::string WithOutputs(const std::vector<std::string>& outputs) const;
};

struct Failure {
  int line = 0;
  std::string command;
  std::string expected;
  std::string actual;

  std::string ToString(std::string_view path) const;
};

struct RunResult {
  int cases = 0;
  std::vector<Failure> failures;
  std::string rewritten;  // the file with actual outputs

  int passed() const { return cases - static_cast<int>(failures.size()); }
};

// Given a case, what it prints; a missing newline at the end is added.
using Handler = std::function<std::string(const Case&)>;
// Whether two outputs count as the same; null: equal.
using Same = std::function<bool(const std::string& expected, const std::string& actual)>;

// Runs all cases in order. kNotFound if the file cannot be read, kInvalidArgument if it is not well formed.
absl::StatusOr<RunResult> RunFile(const std::string& path, const Handler& handler, const Same& same = nullptr);
absl::StatusOr<std::string> ReadFile(const std::string& path);
// The regular files in `folder` that end in `suffix`, sorted by name.
std::vector<std::string> ListFiles(const std::string& folder, std::string_view suffix);

// Whether this process was started with --rewrite or INSULA_REWRITE=1.
bool RewriteRequested();
// Writes `text` to `path` in the source tree (under `bazel run`), or to `path` itself.
absl::Status WriteSource(const std::string& path, std::string_view text);

}  // namespace insula::datadriven

#endif  // INSULA_BASE_DATADRIVEN_DATADRIVEN_H_
