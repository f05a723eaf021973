#include "sql/functions/pattern.h"

#include <re2/re2.h>

#include <charconv>
#include <utility>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/utf8.h"

namespace insula::sql {
namespace {

constexpr size_t kMaxCached = 256;

absl::Status InvalidRegex(std::string_view why) { return PgError("2201B", StrCat("invalid regular expression: ", why)); }

bool IsMeta(char c) { return std::string_view("\\^$.|?*+()[]{}").find(c) != std::string_view::npos; }

// Walks a PostgreSQL regular expression and writes RE2's.
class Translator {
 public:
  Translator(std::string_view pattern, RegexFlags* flags) : rest_(pattern), flags_(*flags) {}

  absl::Status Run() {
    Directives();
    if (flags_.literal) {
      for (char c : rest_) AppendLiteral(c);
      return absl::OkStatus();
    }
    while (!rest_.empty()) RETURN_IF_ERROR(One());
    return absl::OkStatus();
  }
  std::string out;
  bool non_greedy = false;

 private:
  char Peek(size_t i = 0) const { return i < rest_.size() ? rest_[i] : '\0'; }
  void Skip(size_t n) { rest_.remove_prefix(n); }
  void AppendLiteral(char c) {
    if (IsMeta(c)) out.push_back('\\');
    out.push_back(c);
  }
  void AppendCode(uint32_t code) {
    if (code < 0x80) AppendLiteral(static_cast<char>(code));
    else AppendUtf8(code, &out);
  }

  // "***:", "***=" and "(?flags)" at the start.
  void Directives() {
    if (rest_.starts_with("***=")) {
      flags_.literal = true;
      return Skip(4);
    }
    if (rest_.starts_with("***:")) Skip(4);
    if (!rest_.starts_with("(?")) return;
    size_t end = rest_.find(')');
    if (end == std::string_view::npos || end == 2) return;
    std::string_view letters = rest_.substr(2, end - 2);
    for (char c : letters) {
      if (c < 'a' || c > 'z') return;
    }
    for (char c : letters) {
      switch (c) {
        case 'i': flags_.ignore_case = true; break;
        case 'c': flags_.ignore_case = false; break;
        case 'n':
        case 'm': flags_.newline_stops_dot = flags_.newline_anchors = true; break;
        case 'p': flags_.newline_stops_dot = true; flags_.newline_anchors = false; break;
        case 'w': flags_.newline_stops_dot = false; flags_.newline_anchors = true; break;
        case 's': flags_.newline_stops_dot = flags_.newline_anchors = false; break;
        case 'x': flags_.expanded = true; break;
        case 't': flags_.expanded = false; break;
        case 'q': flags_.literal = true; break;
        default: break;
      }
    }
    Skip(end + 1);
  }

  absl::Status One() {
    char c = Peek();
    if (flags_.expanded) {
      if (c == ' ' || (c >= '\t' && c <= '\r')) {
        Skip(1);
        return absl::OkStatus();
      }
      if (c == '#') {
        Skip(std::min(rest_.find('\n'), rest_.size()));
        return absl::OkStatus();
      }
    }
    switch (c) {
      case '\\': return Escape(false);
      case '[': return Bracket();
      case '(': return Group();
      case '*':
      case '+':
      case '?':
        out.push_back(c);
        Skip(1);
        return MaybeNonGreedy();
      case '{': return Bound();
      case '^':
      case '$':
        out.push_back(c);
        Skip(1);
        return absl::OkStatus();
      default: {
        size_t n = Utf8Length(c, rest_.size());
        out.append(rest_.substr(0, n));
        Skip(n);
        return absl::OkStatus();
      }
    }
  }

  absl::Status MaybeNonGreedy() {
    if (Peek() == '?') {
      non_greedy = true;
      out.push_back('?');
      Skip(1);
    }
    if (Peek() == '*' || Peek() == '+') return InvalidRegex("quantifier operand invalid");
    return absl::OkStatus();
  }

  // {m}, {m,}, {m,n}; a brace without a digit is itself.
  absl::Status Bound() {
    if (Peek(1) < '0' || Peek(1) > '9') {
      out.append("\\{");
      Skip(1);
      return absl::OkStatus();
    }
    size_t end = rest_.find('}');
    if (end == std::string_view::npos) return InvalidRegex("braces {} not balanced");
    std::string_view body = rest_.substr(1, end - 1);
    size_t comma = body.find(',');
    auto number = [](std::string_view s, int* v) {
      auto [stop, error] = std::from_chars(s.data(), s.data() + s.size(), *v);
      return error == std::errc() && stop == s.data() + s.size();
    };
    int low = 0, high = 0;
    if (!number(body.substr(0, comma), &low) || low > 255) return InvalidRegex("invalid repetition count(s)");
    bool has_high = comma != std::string_view::npos && comma + 1 < body.size();
    if (has_high && (!number(body.substr(comma + 1), &high) || high > 255 || high < low)) {
      return InvalidRegex("invalid repetition count(s)");
    }
    out.append(rest_.substr(0, end + 1));
    Skip(end + 1);
    return MaybeNonGreedy();
  }

  absl::Status Group() {
    if (Peek(1) != '?') {
      out.push_back('(');
      Skip(1);
      return absl::OkStatus();
    }
    switch (Peek(2)) {
      case ':':
        out.append("(?:");
        Skip(3);
        return absl::OkStatus();
      case '#': {
        size_t end = rest_.find(')');
        if (end == std::string_view::npos) return InvalidRegex("parentheses () not balanced");
        Skip(end + 1);
        return absl::OkStatus();
      }
      case '=':
      case '!':
      case '<': return PgUnsupported("lookaround in regular expressions");
      default: return InvalidRegex("quantifier operand invalid");
    }
  }

  bool Hex(size_t digits, uint32_t* v) {
    if (rest_.size() < digits) return false;
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + digits, *v, 16);
    if (error != std::errc() || end != rest_.data() + digits) return false;
    Skip(digits);
    return true;
  }

  // After the backslash; `in_bracket`: within [ ].
  absl::Status Escape(bool in_bracket) {
    if (rest_.size() < 2) return InvalidRegex("invalid escape \\ sequence");
    char c = Peek(1);
    Skip(2);
    switch (c) {
      case 'd':
      case 'D':
      case 's':
      case 'S':
      case 'w':
      case 'W':
        out.push_back('\\');
        out.push_back(c);
        return absl::OkStatus();
      case 'a': out.append("\\x07"); return absl::OkStatus();
      case 'b': out.append("\\x08"); return absl::OkStatus();
      case 'e': out.append("\\x1b"); return absl::OkStatus();
      case 'f': out.append("\\f"); return absl::OkStatus();
      case 'n': out.append("\\n"); return absl::OkStatus();
      case 'r': out.append("\\r"); return absl::OkStatus();
      case 't': out.append("\\t"); return absl::OkStatus();
      case 'v': out.append("\\v"); return absl::OkStatus();
      case 'B': out.append("\\\\"); return absl::OkStatus();
      case 'c':
        if (rest_.empty()) return InvalidRegex("invalid escape \\ sequence");
        AppendCode(static_cast<uint32_t>(Peek() & 0x1F));
        Skip(1);
        return absl::OkStatus();
      case 'u':
      case 'U': {
        uint32_t code;
        if (!Hex(c == 'u' ? 4 : 8, &code)) return InvalidRegex("invalid escape \\ sequence");
        AppendCode(code);
        return absl::OkStatus();
      }
      case 'x': {
        uint32_t code = 0;
        size_t n = 0;
        while (n < rest_.size() && isxdigit(static_cast<unsigned char>(rest_[n]))) ++n;
        if (n == 0) return InvalidRegex("invalid escape \\ sequence");
        if (n > 8) n = 8;
        Hex(n, &code);
        AppendCode(code);
        return absl::OkStatus();
      }
      default: break;
    }
    if (!in_bracket) {
      switch (c) {
        case 'A': out.append("\\A"); return absl::OkStatus();
        case 'Z': out.append("\\z"); return absl::OkStatus();
        case 'm':
        case 'M':
        case 'y': out.append("\\b"); return absl::OkStatus();
        case 'Y': out.append("\\B"); return absl::OkStatus();
        default: break;
      }
      if (c >= '1' && c <= '9') return PgUnsupported("back references in regular expressions");
    }
    if (c == '0') {
      out.append("\\x00");
      return absl::OkStatus();
    }
    if (isalnum(static_cast<unsigned char>(c))) return InvalidRegex("invalid escape \\ sequence");
    if (c & 0x80) out.push_back(c);
    else {
      out.push_back('\\');
      out.push_back(c);
    }
    return absl::OkStatus();
  }

  absl::Status Bracket() {
    if (rest_.starts_with("[[:<:]]") || rest_.starts_with("[[:>:]]")) {
      out.append("\\b");
      Skip(7);
      return absl::OkStatus();
    }
    out.push_back('[');
    Skip(1);
    bool negated = Peek() == '^';
    if (negated) {
      out.push_back('^');
      // With the n flag a negated set does not match a newline.
      if (flags_.newline_stops_dot) out.append("\\n");
      Skip(1);
    }
    bool first = true;
    while (true) {
      if (rest_.empty()) return InvalidRegex("brackets [] not balanced");
      char c = Peek();
      if (c == ']' && !first) {
        out.push_back(']');
        Skip(1);
        return absl::OkStatus();
      }
      first = false;
      if (c == '\\') {
        RETURN_IF_ERROR(Escape(true));
      } else if (c == '[' && (Peek(1) == ':' || Peek(1) == '.' || Peek(1) == '=')) {
        std::string end = StrCat(Peek(1), ']');
        size_t at = rest_.find(end, 2);
        if (at == std::string_view::npos) return InvalidRegex("brackets [] not balanced");
        std::string_view name = rest_.substr(2, at - 2);
        if (Peek(1) == ':') {
          static constexpr std::string_view kClasses[] = {"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph",
                                                          "lower", "print", "punct", "space", "upper", "word",  "xdigit"};
          bool known = false;
          for (auto k : kClasses) known |= k == name;
          if (!known) return InvalidRegex("invalid character class");
          StrAppend(&out, "[:", name, ":]");
        } else {
          if (Utf8Count(name) != 1) return InvalidRegex("invalid collating element");
          if (name.size() == 1) AppendLiteral(name[0]);
          else out.append(name);
        }
        Skip(at + 2);
      } else {
        if (c == '[' || c == ']') out.push_back('\\');
        size_t n = Utf8Length(c, rest_.size());
        out.append(rest_.substr(0, n));
        Skip(n);
      }
    }
  }

  std::string_view rest_;
  RegexFlags& flags_;
};

}  // namespace

absl::StatusOr<RegexFlags> ParseRegexFlags(std::string_view flags) {
  RegexFlags out;
  for (char c : flags) {
    switch (c) {
      case 'g': out.global = true; break;
      case 'i': out.ignore_case = true; break;
      case 'c': out.ignore_case = false; break;
      case 'n':
      case 'm': out.newline_stops_dot = out.newline_anchors = true; break;
      case 'p': out.newline_stops_dot = true; out.newline_anchors = false; break;
      case 'w': out.newline_stops_dot = false; out.newline_anchors = true; break;
      case 's': out.newline_stops_dot = out.newline_anchors = false; break;
      case 'q': out.literal = true; break;
      case 'x': out.expanded = true; break;
      case 't': out.expanded = false; break;
      case 'e':
      case 'b': break;
      default:
        return PgError(sqlstate::kInvalidParameterValue, StrCat("invalid regular expression option: \"", c, "\""));
    }
  }
  return out;
}

absl::StatusOr<std::string> TranslateRegex(std::string_view pattern, RegexFlags* flags, bool* longest) {
  Translator t(pattern, flags);
  RETURN_IF_ERROR(t.Run());
  *longest = !t.non_greedy;
  return std::move(t.out);
}

namespace {

int CountSeparators(std::string_view pattern, std::string_view escape) {
  int n = 0;
  if (escape.empty()) return 0;
  for (size_t i = pattern.find(escape); i != std::string_view::npos; i = pattern.find(escape, i)) {
    i += escape.size();
    if (i >= pattern.size()) break;
    n += pattern[i] == '"';
    i += Utf8Length(pattern[i], pattern.size() - i);
  }
  return n;
}

}  // namespace

absl::StatusOr<std::string> SimilarToRegex(std::string_view pattern, std::string_view escape) {
  if (escape.size() > 1 && Utf8Count(escape) > 1) {
    return PgErrorBuilder("22025", "invalid escape string")
        .Hint("Escape string must be empty or one character.")
        .Build();
  }
  // With two separators (escape and a quote) the part between them is what SUBSTRING takes; the part before it is then as short
  // as it can be.
  const bool parts = CountSeparators(pattern, escape) > 0;
  int separators = 0;
  std::string out = "^(?:";
  bool bracket = false;
  int bracket_chars = 0;
  for (size_t i = 0; i < pattern.size();) {
    size_t n = Utf8Length(pattern[i], pattern.size() - i);
    std::string_view c = pattern.substr(i, n);
    i += n;
    if (!escape.empty() && c == escape) {
      if (i >= pattern.size()) return PgError("22025", "LIKE pattern must not end with escape character");
      size_t m = Utf8Length(pattern[i], pattern.size() - i);
      std::string_view literal = pattern.substr(i, m);
      i += m;
      if (literal == "\"" && !bracket) {
        if (++separators > 2) {
          return PgError("2200C", "SQL regular expression may not contain more than two escape-double-quote separators");
        }
        out.append(separators == 1 ? ")(" : ")(?:");
        continue;
      }
      if (literal.size() == 1 && !isalnum(static_cast<unsigned char>(literal[0]))) out.push_back('\\');
      out.append(literal);
      continue;
    }
    char a = c[0];
    if (bracket) {
      if (a == '\\') out.push_back('\\');
      out.append(c);
      if (a == ']' && bracket_chars > 0) bracket = false;
      else if (a != '^' || bracket_chars > 0) ++bracket_chars;
      continue;
    }
    switch (a) {
      case '[':
        bracket = true;
        bracket_chars = 0;
        out.push_back('[');
        break;
      case '%': out.append(parts && separators == 0 ? ".*?" : ".*"); break;
      case '*':
      case '+':
      case '?':
      case '}':
        out.push_back(a);
        if (parts && separators == 0) out.push_back('?');
        break;
      case '_': out.push_back('.'); break;
      case '(': out.append("(?:"); break;
      case '\\':
      case '.':
      case '^':
      case '$':
        out.push_back('\\');
        out.push_back(a);
        break;
      default: out.append(c);
    }
  }
  out.append(")$");
  return out;
}

absl::StatusOr<std::string> LikeEscape(std::string_view pattern, std::string_view escape) {
  std::string out;
  if (escape.empty()) {
    // No escape character: a backslash is a backslash.
    for (char c : pattern) {
      if (c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    return out;
  }
  if (Utf8Count(escape) > 1) {
    return PgErrorBuilder("22025", "invalid escape string")
        .Hint("Escape string must be empty or one character.")
        .Build();
  }
  if (escape == "\\") return std::string(pattern);
  bool after_escape = false;
  for (size_t i = 0; i < pattern.size();) {
    size_t n = Utf8Length(pattern[i], pattern.size() - i);
    std::string_view c = pattern.substr(i, n);
    i += n;
    if (c == escape && !after_escape) {
      out.push_back('\\');
      after_escape = true;
    } else if (c == "\\") {
      out.push_back('\\');
      if (!after_escape) out.push_back('\\');
      after_escape = false;
    } else {
      out.append(c);
      after_escape = false;
    }
  }
  return out;
}

// Greedy with one point of return: the last '%' and where it was tried. That suffices, as an earlier '%' never needs to take more.
absl::StatusOr<bool> Like(std::string_view text, std::string_view pattern, bool characters) {
  size_t t = 0, p = 0;
  size_t star = std::string_view::npos, star_text = 0;
  auto step = [&](size_t at) { return characters ? Utf8Length(text[at], text.size() - at) : 1; };
  while (true) {
    bool mismatch = false;
    if (p < pattern.size()) {
      char c = pattern[p];
      if (c == '%') {
        star = ++p;
        star_text = t;
        continue;
      }
      if (c == '\\') {
        if (t < text.size() && p + 1 >= pattern.size()) {
          return PgError("22025", "LIKE pattern must not end with escape character");
        }
        if (t < text.size() && text[t] == pattern[p + 1]) {
          ++t;
          p += 2;
          continue;
        }
        mismatch = true;
      } else if (c == '_') {
        if (t < text.size()) {
          t += step(t);
          ++p;
          continue;
        }
        mismatch = true;
      } else if (t < text.size() && text[t] == c) {
        ++t;
        ++p;
        continue;
      } else {
        mismatch = true;
      }
    } else if (t == text.size()) {
      return true;
    } else {
      mismatch = true;
    }
    if (mismatch) {
      if (star == std::string_view::npos || star_text >= text.size()) return false;
      star_text += step(star_text);
      t = star_text;
      p = star;
    }
  }
}

namespace {

// RE2's error in PostgreSQL's words.
std::string_view RegexError(const re2::RE2& regex, std::string* storage) {
  switch (regex.error_code()) {
    case re2::RE2::ErrorMissingParen:
    case re2::RE2::ErrorUnexpectedParen: return "parentheses () not balanced";
    case re2::RE2::ErrorMissingBracket: return "brackets [] not balanced";
    case re2::RE2::ErrorRepeatArgument:
    case re2::RE2::ErrorRepeatOp: return "quantifier operand invalid";
    case re2::RE2::ErrorRepeatSize: return "invalid repetition count(s)";
    case re2::RE2::ErrorBadEscape:
    case re2::RE2::ErrorTrailingBackslash: return "invalid escape \\ sequence";
    case re2::RE2::ErrorBadCharRange: return "invalid character range";
    case re2::RE2::ErrorBadCharClass: return "invalid character class";
    case re2::RE2::ErrorPatternTooLarge: return "regular expression is too complex";
    default: *storage = regex.error(); return *storage;
  }
}

}  // namespace

PatternCache::PatternCache() = default;
PatternCache::~PatternCache() = default;

absl::StatusOr<const re2::RE2*> PatternCache::Regex(std::string_view pattern, RegexFlags flags) {
  char bits = static_cast<char>('0' + flags.ignore_case + 2 * flags.newline_stops_dot + 4 * flags.newline_anchors +
                                8 * flags.literal + 16 * flags.expanded);
  if (last_ != nullptr && last_key_.size() == pattern.size() + 1 && last_key_[0] == bits &&
      std::string_view(last_key_).substr(1) == pattern) {
    return last_;
  }
  std::string key = StrCat(bits, pattern);
  auto it = entries_.find(key);
  if (it == entries_.end()) {
    bool longest;
    ASSIGN_OR_RETURN(std::string translated, TranslateRegex(pattern, &flags, &longest));
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_longest_match(longest);
    options.set_dot_nl(!flags.newline_stops_dot);
    options.set_case_sensitive(!flags.ignore_case);
    if (flags.newline_anchors) translated = StrCat("(?m:", translated, ")");
    auto regex = std::make_unique<re2::RE2>(re2::StringPiece(translated.data(), translated.size()), options);
    if (!regex->ok()) {
      std::string storage;
      return InvalidRegex(RegexError(*regex, &storage));
    }
    if (entries_.size() >= kMaxCached) entries_.clear();
    it = entries_.emplace(key, Entry{std::move(regex)}).first;
  }
  last_key_ = std::move(key);
  last_ = it->second.regex.get();
  return last_;
}

}  // namespace insula::sql
