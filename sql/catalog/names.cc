#include "sql/catalog/names.h"

#include <cctype>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/types/io.h"

namespace insula::sql {
namespace {

absl::Status InvalidName() { return PgError("42602", "invalid name syntax"); }

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

void SkipBlanks(std::string_view* s) {
  while (!s->empty() && IsBlank(s->front())) s->remove_prefix(1);
}

// The place after the parenthesis that closes the one at text[0]; npos if there is none. Skips quoted text.
size_t ClosingParenthesis(std::string_view text) {
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\'' || c == '"') {
      i = text.find(c, i + 1);
      if (i == std::string_view::npos) return i;
    } else if (c == '(') {
      ++depth;
    } else if (c == ')' && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseQualifiedName(std::string_view text) {
  std::vector<std::string> out;
  for (;;) {
    SkipBlanks(&text);
    std::string part;
    if (!text.empty() && text.front() == '"') {
      text.remove_prefix(1);
      for (;;) {
        size_t quote = text.find('"');
        if (quote == std::string_view::npos) return InvalidName();
        part.append(text.substr(0, quote));
        text.remove_prefix(quote + 1);
        if (text.empty() || text.front() != '"') break;
        part.push_back('"');
        text.remove_prefix(1);
      }
      if (part.empty()) return InvalidName();
    } else {
      size_t n = 0;
      while (n < text.size() && text[n] != '.' && text[n] != '"' && !IsBlank(text[n])) ++n;
      if (n == 0) return InvalidName();
      part = AsciiLower(text.substr(0, n));
      text.remove_prefix(n);
    }
    out.push_back(std::move(part));
    SkipBlanks(&text);
    if (text.empty()) return out;
    if (text.front() != '.') return InvalidName();
    text.remove_prefix(1);
  }
}

std::string QuoteQualified(std::string_view schema, std::string_view name) { return StrCat(QuoteIdent(schema), ".", QuoteIdent(name)); }

std::string_view StripParentheses(std::string_view e) {
  if (e.size() >= 2 && e.front() == '(' && ClosingParenthesis(e) == e.size()) return e.substr(1, e.size() - 2);
  return e;
}

bool LooksLikeCall(std::string_view e) {
  size_t open = e.find('(');
  if (open == 0 || open == std::string_view::npos) return false;
  for (char c : e.substr(0, open)) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '"') return false;
  }
  return ClosingParenthesis(e.substr(open)) == e.size() - open;
}

}  // namespace insula::sql
