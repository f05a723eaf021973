// Text forms of the scalar types that need no session settings.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/types/io.h"
#include "sql/types/keywords.h"

namespace insula::sql {
namespace {

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string_view Trim(std::string_view s) {
  while (!s.empty() && IsSpace(s.front())) s.remove_prefix(1);
  while (!s.empty() && IsSpace(s.back())) s.remove_suffix(1);
  return s;
}

absl::Status InvalidSyntax(std::string_view type, std::string_view text) {
  return PgError(sqlstate::kInvalidTextRepresentation, StrCat("invalid input syntax for type ", type, ": \"", text, "\""));
}

absl::Status OutOfRange(std::string_view type, std::string_view text) {
  return PgError(sqlstate::kNumericValueOutOfRange, StrCat("value \"", text, "\" is out of range for type ", type));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr char kHex[] = "0123456789abcdef";

}  // namespace

absl::StatusOr<int64_t> ParseInteger(std::string_view text, Oid type) {
  std::string_view s = Trim(text);
  std::string_view name = GetType(type).name;
  bool plus = !s.empty() && s[0] == '+';
  if (plus) s.remove_prefix(1);
  if (s.empty() || (plus && s[0] == '-')) return InvalidSyntax(name, text);
  int64_t v = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (end != s.data() + s.size() || error == std::errc::invalid_argument) return InvalidSyntax(name, text);
  int64_t limit = type == oid::kInt2 ? std::numeric_limits<int16_t>::max()
                                     : (type == oid::kInt4 ? std::numeric_limits<int32_t>::max() : std::numeric_limits<int64_t>::max());
  if (error != std::errc() || v > limit || v < -limit - 1) return OutOfRange(name, text);
  return v;
}

absl::StatusOr<uint32_t> ParseOid(std::string_view text, std::string_view type_name) {
  std::string_view s = Trim(text);
  int64_t v = 0;
  if (!s.empty() && s[0] == '+') s.remove_prefix(1);
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (error == std::errc::invalid_argument || end != s.data() + s.size()) return InvalidSyntax(type_name, text);
  if (error != std::errc() || v > std::numeric_limits<uint32_t>::max() || v < std::numeric_limits<int32_t>::min()) {
    return OutOfRange(type_name, text);
  }
  return static_cast<uint32_t>(v);
}

absl::StatusOr<bool> ParseBool(std::string_view text) {
  std::string s = AsciiLower(Trim(text));
  auto prefix = [&](std::string_view word, size_t least) { return s.size() >= least && word.starts_with(s); };
  if (s == "1" || prefix("true", 1) || prefix("yes", 1) || s == "on") return true;
  if (s == "0" || prefix("false", 1) || prefix("no", 1) || prefix("off", 2)) return false;
  return InvalidSyntax("boolean", text);
}

namespace {

// `from_chars` does the work; strtod only what it does not read: hexadecimal, range errors.
template <typename T>
absl::StatusOr<double> ParseFloat(std::string_view text, std::string_view type) {
  std::string_view s = Trim(text);
  if (s.empty()) return InvalidSyntax(type, text);
  std::string_view body = s;
  if (body[0] == '+') body.remove_prefix(1);
  if (body.empty() || (s[0] == '+' && body[0] == '-')) return InvalidSyntax(type, text);
  T v = 0;
  auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), v);
  if (error == std::errc() && end == body.data() + body.size()) {
    // "nan(x)" is C's, not ours.
    if (std::isnan(v) && body.find('(') != std::string_view::npos) return InvalidSyntax(type, text);
    return std::isnan(v) ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(v);
  }
  std::string copy(s);
  char* stop = nullptr;
  double d = std::strtod(copy.c_str(), &stop);
  if (stop != copy.c_str() + copy.size() || copy.find('(') != std::string::npos) return InvalidSyntax(type, text);
  T narrow = static_cast<T>(d);
  if (std::isinf(narrow) || (narrow == 0 && error == std::errc::result_out_of_range)) {
    return PgError(sqlstate::kNumericValueOutOfRange, StrCat("\"", s, "\" is out of range for type ", type));
  }
  return static_cast<double>(narrow);
}

bool AppendSpecialFloat(double v, std::string* out) {
  if (std::isnan(v)) out->append("NaN");
  else if (std::isinf(v)) out->append(v > 0 ? "Infinity" : "-Infinity");
  else return false;
  return true;
}

// The shortest digits that read back as the same value, laid out as %g would with `digits` digits of precision: plain for
// exponents from -4 to digits - 1.
template <typename T>
void AppendShortest(T v, int digits, std::string* out) {
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof(buffer), v, std::chars_format::scientific).ptr;
  std::string_view s(buffer, static_cast<size_t>(end - buffer));
  size_t e = s.find('e');
  int exponent = 0;
  const char* exponent_begin = s.data() + e + 1 + (s[e + 1] == '+' ? 1 : 0);
  std::from_chars(exponent_begin, s.data() + s.size(), exponent);
  if (exponent >= -4 && exponent < digits) {
    end = std::to_chars(buffer, buffer + sizeof(buffer), v, std::chars_format::fixed).ptr;
    out->append(buffer, static_cast<size_t>(end - buffer));
  } else {
    out->append(s);  // to_chars writes at least two exponent digits, as PostgreSQL does
  }
}

}  // namespace

absl::StatusOr<double> ParseFloat8(std::string_view text) { return ParseFloat<double>(text, "double precision"); }
absl::StatusOr<double> ParseFloat4(std::string_view text) { return ParseFloat<float>(text, "real"); }

void AppendFloat8(double v, int extra_float_digits, std::string* out) {
  if (AppendSpecialFloat(v, out)) return;
  if (extra_float_digits > 0) return AppendShortest(v, 15, out);
  char buffer[64];
  int n = std::snprintf(buffer, sizeof(buffer), "%.*g", std::max(1, 15 + extra_float_digits), v);
  out->append(buffer, static_cast<size_t>(n));
}

void AppendFloat4(float v, int extra_float_digits, std::string* out) {
  if (AppendSpecialFloat(v, out)) return;
  if (extra_float_digits > 0) return AppendShortest(v, 6, out);
  char buffer[64];
  int n = std::snprintf(buffer, sizeof(buffer), "%.*g", std::max(1, 6 + extra_float_digits), static_cast<double>(v));
  out->append(buffer, static_cast<size_t>(n));
}

absl::StatusOr<std::string> ParseBytea(std::string_view text) {
  std::string out;
  if (text.starts_with("\\x")) {
    int high = -1;
    for (char c : text.substr(2)) {
      if (IsSpace(c) && high < 0) continue;
      int d = HexDigit(c);
      if (d < 0) return PgError(sqlstate::kInvalidParameterValue, StrCat("invalid hexadecimal digit: \"", c, "\""));
      if (high < 0) {
        high = d;
      } else {
        out.push_back(static_cast<char>(high << 4 | d));
        high = -1;
      }
    }
    if (high >= 0) return PgError(sqlstate::kInvalidParameterValue, "invalid hexadecimal data: odd number of digits");
    return out;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(text[i]);
      continue;
    }
    auto octal = [&](size_t at, char max) { return at < text.size() && text[at] >= '0' && text[at] <= max; };
    if (i + 1 < text.size() && text[i + 1] == '\\') {
      out.push_back('\\');
      ++i;
    } else if (octal(i + 1, '3') && octal(i + 2, '7') && octal(i + 3, '7')) {
      out.push_back(static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0')));
      i += 3;
    } else {
      return PgError(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type bytea");
    }
  }
  return out;
}

void AppendBytea(std::string_view v, bool hex, std::string* out) {
  if (hex) {
    out->append("\\x");
    for (char c : v) {
      out->push_back(kHex[static_cast<uint8_t>(c) >> 4]);
      out->push_back(kHex[static_cast<uint8_t>(c) & 15]);
    }
    return;
  }
  for (char c : v) {
    uint8_t b = static_cast<uint8_t>(c);
    if (c == '\\') {
      out->append("\\\\");
    } else if (b < 0x20 || b > 0x7e) {
      out->push_back('\\');
      out->push_back(static_cast<char>('0' + (b >> 6)));
      out->push_back(static_cast<char>('0' + (b >> 3 & 7)));
      out->push_back(static_cast<char>('0' + (b & 7)));
    } else {
      out->push_back(c);
    }
  }
}

absl::StatusOr<std::string> ParseUuid(std::string_view text) {
  std::string_view s = text;
  bool braces = !s.empty() && s[0] == '{';
  if (braces) s.remove_prefix(1);
  std::string out;
  for (int i = 0; i < 16; ++i) {
    if (s.size() < 2 || HexDigit(s[0]) < 0 || HexDigit(s[1]) < 0) return InvalidSyntax("uuid", text);
    out.push_back(static_cast<char>(HexDigit(s[0]) << 4 | HexDigit(s[1])));
    s.remove_prefix(2);
    if (i % 2 == 1 && i < 15 && !s.empty() && s[0] == '-') s.remove_prefix(1);
  }
  if (braces) {
    if (s.empty() || s[0] != '}') return InvalidSyntax("uuid", text);
    s.remove_prefix(1);
  }
  if (!s.empty()) return InvalidSyntax("uuid", text);
  return out;
}

void AppendUuid(std::string_view v, std::string* out) {
  for (size_t i = 0; i < v.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out->push_back('-');
    out->push_back(kHex[static_cast<uint8_t>(v[i]) >> 4]);
    out->push_back(kHex[static_cast<uint8_t>(v[i]) & 15]);
  }
}

std::string QuoteIdent(std::string_view name) {
  bool safe = !name.empty() && ((name[0] >= 'a' && name[0] <= 'z') || name[0] == '_');
  for (char c : name) safe &= (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  if (safe && !std::binary_search(std::begin(internal::kQuotedKeywords), std::end(internal::kQuotedKeywords), name)) {
    return std::string(name);
  }
  std::string out = "\"";
  for (char c : name) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

std::string QuoteLiteral(std::string_view text) {
  std::string out;
  if (text.find('\\') != std::string_view::npos) out.push_back('E');
  out.push_back('\'');
  for (char c : text) {
    if (c == '\'' || c == '\\') out.push_back(c);
    out.push_back(c);
  }
  out.push_back('\'');
  return out;
}

}  // namespace insula::sql
