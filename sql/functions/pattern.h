// Pattern matching: LIKE, SIMILAR TO, and PostgreSQL's regular expressions on RE2.
//
// PostgreSQL's "advanced" regular expressions are translated to RE2's. What RE2 cannot do answers 0A000: back references and
// lookaround. Semantics kept: '.' matches newlines unless the n flag is given; the longest match wins as in POSIX, unless the
// pattern has non-greedy quantifiers (then as in Perl). Word ends \m \M are taken as word boundaries.
// Internal to sql/functions.
#ifndef INSULA_SQL_FUNCTIONS_PATTERN_H_
#define INSULA_SQL_FUNCTIONS_PATTERN_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace re2 {
class RE2;
}

namespace insula::sql {

struct RegexFlags {
  bool ignore_case = false;       // i
  bool newline_stops_dot = false; // n, m, p
  bool newline_anchors = false;   // n, m, w
  bool literal = false;           // q
  bool expanded = false;          // x
  bool global = false;            // g: for the callers that know it
};

// Letters of a flags argument; 22023 `invalid regular expression option: "…"`.
absl::StatusOr<RegexFlags> ParseRegexFlags(std::string_view flags);

// PostgreSQL's ARE → RE2. *longest: POSIX matching is right. 2201B, 0A000.
absl::StatusOr<std::string> TranslateRegex(std::string_view pattern, RegexFlags* flags, bool* longest);

// SIMILAR TO pattern → regular expression that matches the whole; without an escape character if `escape` is empty. 22025.
absl::StatusOr<std::string> SimilarToRegex(std::string_view pattern, std::string_view escape);

// The LIKE pattern with `escape` instead of the backslash. 22025.
absl::StatusOr<std::string> LikeEscape(std::string_view pattern, std::string_view escape);
// LIKE with backslash as escape. `characters`: '_' matches a character of UTF-8, otherwise a byte. 22025.
absl::StatusOr<bool> Like(std::string_view text, std::string_view pattern, bool characters);

// Compiled patterns of one statement.
class PatternCache {
 public:
  PatternCache();
  ~PatternCache();
  // Valid until the next call.
  absl::StatusOr<const re2::RE2*> Regex(std::string_view pattern, RegexFlags flags);

 private:
  struct Entry {
    std::unique_ptr<re2::RE2> regex;
  };
  std::map<std::string, Entry, std::less<>> entries_;
  std::string last_key_;
  const re2::RE2* last_ = nullptr;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_FUNCTIONS_PATTERN_H_
