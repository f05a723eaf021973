// Names as SQL text writes them: qualified, quoted, folded.
#ifndef INSULA_SQL_CATALOG_NAMES_H_
#define INSULA_SQL_CATALOG_NAMES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace insula::sql {

// `a."B c".d` → {a, B c, d}. Unquoted parts fold to lower case. 42602 `invalid name syntax`.
absl::StatusOr<std::vector<std::string>> ParseQualifiedName(std::string_view text);
// Each part quoted where it must be.
std::string QuoteQualified(std::string_view schema, std::string_view name);
// Without one pair of parentheses around the whole, if there is one: "(a > 0)" → "a > 0".
std::string_view StripParentheses(std::string_view expression);
// Whether an expression's text is one call of a function: f(…).
bool LooksLikeCall(std::string_view expression);

}  // namespace insula::sql

#endif  // INSULA_SQL_CATALOG_NAMES_H_
