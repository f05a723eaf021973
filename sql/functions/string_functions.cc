// Functions of text (and their bytea twins): lengths, parts, padding, trimming, case, concatenation, format().
//
// Positions count characters (UTF-8), from 1; for bytea, bytes. Case mapping is Unicode's, character by character.
#include <unicode/uchar.h>
#include <unicode/unorm2.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"
#include "sql/types/array.h"
#include "sql/types/cast.h"
#include "sql/types/utf8.h"

namespace insula::sql::internal {
namespace {

using S = absl::StatusOr<std::string>;
using Args = std::span<const Vector* const>;

absl::Status TooLong() { return PgError(sqlstate::kProgramLimitExceeded, "requested length too large"); }
absl::Status NegativeLength() { return PgError("22011", "negative substring length not allowed"); }

bool IsAscii(std::string_view s) {
  for (char c : s) {
    if (c & 0x80) return false;
  }
  return true;
}

// ---- case

enum class Case { kLower, kUpper, kInitial };

template <Case mode>
std::string MapCase(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  bool in_word = false;
  for (size_t i = 0; i < s.size();) {
    size_t n;
    uint32_t c = DecodeUtf8(s.substr(i), &n);
    bool upper = mode == Case::kUpper || (mode == Case::kInitial && !in_word);
    if (c < 0x80) {
      char a = static_cast<char>(c);
      if (upper && a >= 'a' && a <= 'z') a = static_cast<char>(a - 32);
      if (!upper && a >= 'A' && a <= 'Z') a = static_cast<char>(a + 32);
      out.push_back(a);
      in_word = (a >= 'a' && a <= 'z') || (a >= 'A' && a <= 'Z') || (a >= '0' && a <= '9');
    } else {
      AppendUtf8(static_cast<uint32_t>(upper ? u_toupper(static_cast<UChar32>(c)) : u_tolower(static_cast<UChar32>(c))), &out);
      in_word = u_isalnum(static_cast<UChar32>(c));
    }
    i += n;
  }
  return out;
}

// ---- parts

// [start, start + length) with start from 1, of `count` units, as a half-open range from 0.
absl::Status SubstringRange(int64_t start, std::optional<int64_t> length, int64_t count, int64_t* from, int64_t* to) {
  int64_t end = count + 1;
  if (length) {
    if (*length < 0) return NegativeLength();
    end = std::min(start + *length, count + 1);
  }
  *from = std::max<int64_t>(start, 1) - 1;
  *to = std::max(end - 1, *from);
  *from = std::min(*from, count);
  *to = std::clamp(*to, *from, count);
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> TextSubstring(std::string_view s, int64_t start, std::optional<int64_t> length) {
  if (length && *length < 0) return NegativeLength();
  int64_t from, to;
  bool ascii = IsAscii(s);
  int64_t count = ascii ? static_cast<int64_t>(s.size()) : static_cast<int64_t>(Utf8Count(s));
  RETURN_IF_ERROR(SubstringRange(start, length, count, &from, &to));
  if (ascii) return s.substr(static_cast<size_t>(from), static_cast<size_t>(to - from));
  size_t begin = Utf8Offset(s, static_cast<size_t>(from));
  return s.substr(begin, Utf8Offset(s.substr(begin), static_cast<size_t>(to - from)));
}

absl::StatusOr<std::string_view> ByteSubstring(std::string_view s, int64_t start, std::optional<int64_t> length) {
  int64_t from, to;
  RETURN_IF_ERROR(SubstringRange(start, length, static_cast<int64_t>(s.size()), &from, &to));
  return s.substr(static_cast<size_t>(from), static_cast<size_t>(to - from));
}

// Replaces `length` units of `s` from `start` on.
template <auto Substring>
S Overlay(std::string_view s, std::string_view with, int64_t start, int64_t length) {
  if (start <= 0) return NegativeLength();
  if (start + length > std::numeric_limits<int32_t>::max()) {
    return PgError(sqlstate::kNumericValueOutOfRange, "integer out of range");
  }
  ASSIGN_OR_RETURN(std::string_view before, Substring(s, 1, start - 1));
  ASSIGN_OR_RETURN(std::string_view after, Substring(s, start + length, std::nullopt));
  return StrCat(before, with, after);
}

int64_t Position(std::string_view s, std::string_view what) {
  size_t at = s.find(what);
  return at == std::string_view::npos ? 0 : static_cast<int64_t>(Utf8Count(s.substr(0, at))) + 1;
}

// The first n characters; all but the last -n when negative.
std::string_view Left(std::string_view s, int64_t n) {
  if (n < 0) n = std::max<int64_t>(0, static_cast<int64_t>(Utf8Count(s)) + n);
  return s.substr(0, Utf8Offset(s, static_cast<size_t>(n)));
}
std::string_view Right(std::string_view s, int64_t n) {
  int64_t count = static_cast<int64_t>(Utf8Count(s));
  int64_t skip = n < 0 ? std::min(-n, count) : std::max<int64_t>(0, count - n);
  return s.substr(Utf8Offset(s, static_cast<size_t>(skip)));
}

S SplitPart(std::string_view s, std::string_view separator, int64_t n) {
  if (n == 0) return PgError(sqlstate::kInvalidParameterValue, "field position must not be zero");
  if (s.empty()) return std::string();
  if (separator.empty()) return (n == 1 || n == -1) ? std::string(s) : std::string();
  std::vector<std::string_view> parts;
  while (true) {
    size_t at = s.find(separator);
    parts.push_back(s.substr(0, at));
    if (at == std::string_view::npos) break;
    s.remove_prefix(at + separator.size());
    if (n > 0 && static_cast<int64_t>(parts.size()) == n) break;
  }
  int64_t index = n > 0 ? n - 1 : static_cast<int64_t>(parts.size()) + n;
  if (index < 0 || index >= static_cast<int64_t>(parts.size())) return std::string();
  return std::string(parts[static_cast<size_t>(index)]);
}

// ---- padding, trimming

S Pad(FunctionContext& ctx, std::string_view s, int64_t length, std::string_view fill, bool left) {
  length = std::max<int64_t>(length, 0);
  if (static_cast<size_t>(length) > ctx.max_value_bytes / 4) return TooLong();
  size_t count = Utf8Count(s), want = static_cast<size_t>(length);
  if (count >= want) return std::string(s.substr(0, Utf8Offset(s, want)));
  if (fill.empty()) return std::string(s);
  std::string padding;
  size_t fill_count = Utf8Count(fill), missing = want - count;
  for (size_t i = 0; i < missing / fill_count; ++i) padding.append(fill);
  padding.append(fill.substr(0, Utf8Offset(fill, missing % fill_count)));
  return left ? padding.append(s) : std::string(s).append(padding);
}

bool SetHas(std::string_view set, std::string_view character) {
  for (size_t i = 0; i < set.size();) {
    size_t n = Utf8Length(set[i], set.size() - i);
    if (set.substr(i, n) == character) return true;
    i += n;
  }
  return false;
}

std::string_view TrimText(std::string_view s, std::string_view set, bool left, bool right) {
  while (left && !s.empty()) {
    size_t n = Utf8Length(s[0], s.size());
    if (!SetHas(set, s.substr(0, n))) break;
    s.remove_prefix(n);
  }
  while (right && !s.empty()) {
    size_t begin = s.size() - 1;
    while (begin > 0 && (static_cast<uint8_t>(s[begin]) & 0xC0) == 0x80) --begin;
    if (!SetHas(set, s.substr(begin))) break;
    s = s.substr(0, begin);
  }
  return s;
}

std::string_view TrimBytes(std::string_view s, std::string_view set, bool left, bool right) {
  size_t begin = left ? std::min(s.find_first_not_of(set), s.size()) : 0;
  s.remove_prefix(begin);
  if (right) s = s.substr(0, s.find_last_not_of(set) + 1);
  return s;
}

template <bool left, bool right>
void RegisterTrim(Registrar& r, std::string_view name) {
  r.Scalar(name, Lift<[](std::string_view s, std::string_view set) { return std::string(TrimText(s, set, left, right)); }>);
}

// ---- replacing

S Replace(FunctionContext& ctx, std::string_view s, std::string_view from, std::string_view to) {
  if (from.empty() || s.empty()) return std::string(s);
  std::string out;
  while (true) {
    size_t at = s.find(from);
    out.append(s.substr(0, at));
    if (at == std::string_view::npos) return out;
    out.append(to);
    if (out.size() > ctx.max_value_bytes) return TooLong();
    s.remove_prefix(at + from.size());
  }
}

std::string Translate(std::string_view s, std::string_view from, std::string_view to) {
  std::string out;
  for (size_t i = 0; i < s.size();) {
    size_t n = Utf8Length(s[i], s.size() - i);
    std::string_view c = s.substr(i, n);
    i += n;
    size_t at = 0, index = 0;
    bool found = false;
    while (at < from.size()) {
      size_t m = Utf8Length(from[at], from.size() - at);
      if (from.substr(at, m) == c) {
        found = true;
        break;
      }
      at += m;
      ++index;
    }
    if (!found) {
      out.append(c);
      continue;
    }
    size_t begin = Utf8Offset(to, index);
    if (begin < to.size()) out.append(to.substr(begin, Utf8Length(to[begin], to.size() - begin)));
  }
  return out;
}

std::string Reverse(std::string_view s) {
  std::string out(s.size(), '\0');
  size_t end = s.size();
  for (size_t i = 0; i < s.size();) {
    size_t n = Utf8Length(s[i], s.size() - i);
    end -= n;
    std::copy_n(s.begin() + static_cast<std::ptrdiff_t>(i), n, out.begin() + static_cast<std::ptrdiff_t>(end));
    i += n;
  }
  return out;
}

// ---- concatenation

absl::Status Concat(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    size_t begin = out->heap()->size();
    for (const Vector* arg : args) {
      if (!arg->IsNull(i)) TextOutAppend(ctx.io, *arg, i, out->heap());
    }
    out->SetBytesFrom(i, begin);
  }
  return absl::OkStatus();
}

absl::Status ConcatWithSeparator(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (args[0]->IsNull(i)) {
      out->SetNull(i);
      continue;
    }
    size_t begin = out->heap()->size();
    bool first = true;
    for (const Vector* arg : args.subspan(1)) {
      if (arg->IsNull(i)) continue;
      if (!first) out->heap()->append(args[0]->bytes(i));
      first = false;
      TextOutAppend(ctx.io, *arg, i, out->heap());
    }
    out->SetBytesFrom(i, begin);
  }
  return absl::OkStatus();
}

// text || anything and anything || text: the other side is cast to text.
template <size_t other>
absl::Status ConcatAny(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  Vector text;
  RETURN_IF_ERROR(CastVector(ctx.io, *args[other], SqlType{oid::kText}, CastContext::kExplicit, &text));
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    size_t begin = out->heap()->size();
    out->heap()->append(other == 0 ? text.bytes(i) : args[0]->bytes(i));
    out->heap()->append(other == 0 ? args[1]->bytes(i) : text.bytes(i));
    out->SetBytesFrom(i, begin);
  }
  return absl::OkStatus();
}

absl::Status ConcatBytes(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    size_t begin = out->heap()->size();
    out->heap()->append(args[0]->bytes(i));
    out->heap()->append(args[1]->bytes(i));
    out->SetBytesFrom(i, begin);
  }
  return absl::OkStatus();
}

// ---- format()

class Formatter {
 public:
  Formatter(FunctionContext& ctx, Args args, size_t row) : ctx_(ctx), args_(args), row_(row), rest_(args[0]->bytes(row)) {}

  S Run() {
    std::string out;
    while (!rest_.empty()) {
      size_t n = std::min(rest_.find('%'), rest_.size());
      out.append(rest_.substr(0, n));
      rest_.remove_prefix(n);
      if (rest_.empty()) break;
      rest_.remove_prefix(1);
      RETURN_IF_ERROR(Specifier(&out));
    }
    return out;
  }

 private:
  static absl::Status Invalid(std::string_view message) { return PgError(sqlstate::kInvalidParameterValue, message); }
  static absl::Status Unterminated() {
    return PgErrorBuilder(sqlstate::kInvalidParameterValue, "unterminated format() type specifier")
        .Hint("For a single \"%\" use \"%%\".")
        .Build();
  }
  bool Number(int64_t* v) {
    size_t n = 0;
    *v = 0;
    while (n < rest_.size() && rest_[n] >= '0' && rest_[n] <= '9' && *v <= INT32_MAX) *v = *v * 10 + (rest_[n++] - '0');
    rest_.remove_prefix(n);
    return n > 0;
  }
  // The argument at `position` (from 1), or the next one for 0.
  absl::StatusOr<const Vector*> Argument(int64_t position) {
    if (position < 0) position = next_ + 1;
    if (position == 0) return Invalid("format specifies argument 0, but arguments are numbered from 1");
    next_ = position;
    if (position >= static_cast<int64_t>(args_.size())) return Invalid("too few arguments for format()");
    return args_[static_cast<size_t>(position)];
  }

  absl::Status Specifier(std::string* out) {
    if (rest_.empty()) return Unterminated();
    if (rest_[0] == '%') {
      rest_.remove_prefix(1);
      out->push_back('%');
      return absl::OkStatus();
    }
    int64_t position = -1, width = 0;
    bool left = false;
    std::string_view start = rest_;
    int64_t number;
    if (Number(&number)) {
      if (!rest_.empty() && rest_[0] == '$') {
        rest_.remove_prefix(1);
        position = number;
      } else {
        rest_ = start;
      }
    }
    while (!rest_.empty() && rest_[0] == '-') {
      left = true;
      rest_.remove_prefix(1);
    }
    if (!rest_.empty() && rest_[0] == '*') {
      rest_.remove_prefix(1);
      int64_t width_position = -1;
      std::string_view before = rest_;
      if (Number(&number)) {
        if (rest_.empty() || rest_[0] != '$') {
          rest_ = before;
          return Invalid("width argument position must be ended by \"$\"");
        }
        rest_.remove_prefix(1);
        width_position = number;
      }
      ASSIGN_OR_RETURN(const Vector* arg, Argument(width_position));
      if (!arg->IsNull(row_)) {
        ASSIGN_OR_RETURN(Datum v, CastDatum(ctx_.io, arg->type().oid, arg->Get(row_), SqlType{oid::kInt4}, CastContext::kExplicit));
        width = v.int_value();
      }
    } else {
      Number(&width);
    }
    if (width < 0) {
      left = true;
      width = -width;
    }
    if (static_cast<size_t>(width) > ctx_.max_value_bytes) return TooLong();
    if (rest_.empty()) return Unterminated();
    char type = rest_[0];
    if (type != 's' && type != 'I' && type != 'L') {
      return PgErrorBuilder(sqlstate::kInvalidParameterValue,
                            StrCat("unrecognized format() type specifier \"", rest_.substr(0, Utf8Length(type, rest_.size())), "\""))
          .Hint("For a single \"%\" use \"%%\".")
          .Build();
    }
    rest_.remove_prefix(1);
    ASSIGN_OR_RETURN(const Vector* arg, Argument(position));
    std::string value;
    if (arg->IsNull(row_)) {
      if (type == 'I') return PgError("22004", "null values cannot be formatted as an SQL identifier");
      if (type == 'L') value = "NULL";
    } else {
      TextOutAppend(ctx_.io, *arg, row_, &value);
      if (type == 'I') value = QuoteIdent(value);
      if (type == 'L') value = QuoteLiteral(value);
    }
    size_t count = Utf8Count(value), pad = static_cast<size_t>(width) > count ? static_cast<size_t>(width) - count : 0;
    if (!left) out->append(pad, ' ');
    out->append(value);
    if (left) out->append(pad, ' ');
    return absl::OkStatus();
  }

  FunctionContext& ctx_;
  Args args_;
  size_t row_;
  std::string_view rest_;
  int64_t next_ = 0;
};

absl::Status Format(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    if (args[0]->IsNull(i)) {
      out->SetNull(i);
      continue;
    }
    ASSIGN_OR_RETURN(std::string v, Formatter(ctx, args, i).Run());
    out->SetBytes(i, v);
  }
  return absl::OkStatus();
}

template <bool nulls>
absl::Status CountNulls(FunctionContext&, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    int64_t n = 0;
    for (const Vector* arg : args) n += arg->IsNull(i) == nulls;
    out->ints()[i] = n;
  }
  return absl::OkStatus();
}

std::string_view WithoutTrailingBlanks(std::string_view s) {
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

// ---- Unicode normal forms

absl::StatusOr<const UNormalizer2*> Normalizer(std::string_view form) {
  UErrorCode error = U_ZERO_ERROR;
  std::string name = AsciiLower(form);
  const UNormalizer2* found = nullptr;
  if (name == "nfc") found = unorm2_getNFCInstance(&error);
  else if (name == "nfd") found = unorm2_getNFDInstance(&error);
  else if (name == "nfkc") found = unorm2_getNFKCInstance(&error);
  else if (name == "nfkd") found = unorm2_getNFKDInstance(&error);
  else return PgError(sqlstate::kInvalidParameterValue, StrCat("invalid normalization form: ", form));
  if (U_FAILURE(error)) return PgError(sqlstate::kInternalError, "Unicode normalization data is missing");
  return found;
}

S Normalize(std::string_view s, std::string_view form) {
  ASSIGN_OR_RETURN(const UNormalizer2* normalizer, Normalizer(form));
  std::u16string text;
  for (size_t i = 0; i < s.size();) {
    size_t n;
    uint32_t c = DecodeUtf8(s.substr(i), &n);
    i += n;
    if (c >= 0x10000) {
      text.push_back(static_cast<char16_t>(0xD7C0 + (c >> 10)));
      text.push_back(static_cast<char16_t>(0xDC00 + (c & 0x3FF)));
    } else {
      text.push_back(static_cast<char16_t>(c));
    }
  }
  // No form makes a string more than eighteen times as long.
  std::u16string result(text.size() * 18 + 1, u'\0');
  UErrorCode error = U_ZERO_ERROR;
  int32_t size = unorm2_normalize(normalizer, text.data(), static_cast<int32_t>(text.size()), result.data(),
                                  static_cast<int32_t>(result.size()), &error);
  if (U_FAILURE(error)) return PgError(sqlstate::kInternalError, "Unicode normalization failed");
  std::string out;
  for (int32_t i = 0; i < size; ++i) {
    uint32_t c = result[static_cast<size_t>(i)];
    if (c >= 0xD800 && c < 0xDC00 && i + 1 < size) c = 0x10000 + ((c & 0x3FF) << 10) + (result[static_cast<size_t>(++i)] & 0x3FF);
    AppendUtf8(c, &out);
  }
  return out;
}

// ---- parse_ident()

S ParseIdent(std::string_view text, bool strict) {
  auto invalid = [&](std::string_view detail) {
    return PgErrorBuilder(sqlstate::kInvalidParameterValue, StrCat("string is not a valid identifier: \"", text, "\""))
        .Detail(detail)
        .Build();
  };
  auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  auto is_start = [](char c) { return c == '_' || (c & 0x80) || isalpha(static_cast<unsigned char>(c)); };
  std::string_view s = text;
  auto skip = [&] {
    while (!s.empty() && is_space(s[0])) s.remove_prefix(1);
  };
  std::vector<Datum> parts;
  bool after_dot = false;
  skip();
  while (true) {
    if (!s.empty() && s[0] == '"') {
      std::string part;
      s.remove_prefix(1);
      while (true) {
        size_t quote = s.find('"');
        if (quote == std::string_view::npos) return invalid("String has unclosed double quotes.");
        part.append(s.substr(0, quote));
        s.remove_prefix(quote + 1);
        if (s.empty() || s[0] != '"') break;
        part.push_back('"');
        s.remove_prefix(1);
      }
      if (part.empty()) return invalid("Quoted identifier must not be empty.");
      parts.push_back(Datum::Bytes(std::move(part)));
    } else if (!s.empty() && is_start(s[0])) {
      size_t n = 0;
      while (n < s.size() && (is_start(s[n]) || s[n] == '$' || isdigit(static_cast<unsigned char>(s[n])))) ++n;
      parts.push_back(Datum::Bytes(AsciiLower(s.substr(0, n))));
      s.remove_prefix(n);
    } else if (after_dot) {
      return invalid("No valid identifier after \".\".");
    } else if (!s.empty() && s[0] == '.') {
      return invalid("No valid identifier before \".\".");
    } else {
      return invalid("");
    }
    skip();
    if (s.empty()) break;
    if (s[0] != '.') {
      if (strict) return invalid("");
      break;
    }
    after_dot = true;
    s.remove_prefix(1);
    skip();
  }
  return ArrayValue::Of(oid::kText, std::move(parts)).Encode();
}

void RegisterParts(Registrar& r) {
  r.Scalar("text_substr", Lift<[](std::string_view s, int64_t from, int64_t n) { return TextSubstring(s, from, n); }>);
  r.Scalar("text_substr_no_len", Lift<[](std::string_view s, int64_t from) { return TextSubstring(s, from, std::nullopt); }>);
  r.Scalar("bytea_substr", Lift<[](std::string_view s, int64_t from, int64_t n) { return ByteSubstring(s, from, n); }>);
  r.Scalar("bytea_substr_no_len", Lift<[](std::string_view s, int64_t from) { return ByteSubstring(s, from, std::nullopt); }>);
  r.Scalar("textoverlay", Lift<[](std::string_view s, std::string_view with, int64_t from, int64_t n) {
             return Overlay<TextSubstring>(s, with, from, n);
           }>);
  r.Scalar("textoverlay_no_len", Lift<[](std::string_view s, std::string_view with, int64_t from) {
             return Overlay<TextSubstring>(s, with, from, static_cast<int64_t>(Utf8Count(with)));
           }>);
  r.Scalar("byteaoverlay", Lift<[](std::string_view s, std::string_view with, int64_t from, int64_t n) {
             return Overlay<ByteSubstring>(s, with, from, n);
           }>);
  r.Scalar("byteaoverlay_no_len", Lift<[](std::string_view s, std::string_view with, int64_t from) {
             return Overlay<ByteSubstring>(s, with, from, static_cast<int64_t>(with.size()));
           }>);
  r.Scalar("textpos", Lift<[](std::string_view s, std::string_view what) { return Position(s, what); }>);
  r.Scalar("byteapos", Lift<[](std::string_view s, std::string_view what) -> int64_t {
             size_t at = s.find(what);
             return at == std::string_view::npos ? 0 : static_cast<int64_t>(at) + 1;
           }>);
  r.Scalar("text_left", Lift<[](std::string_view s, int64_t n) { return Left(s, n); }>);
  r.Scalar("text_right", Lift<[](std::string_view s, int64_t n) { return Right(s, n); }>);
  r.Scalar("split_part", Lift<[](std::string_view s, std::string_view sep, int64_t n) { return SplitPart(s, sep, n); }>);
  r.Scalar("text_starts_with", Lift<[](std::string_view s, std::string_view prefix) { return s.starts_with(prefix); }>);
}

}  // namespace

void RegisterStringFunctions(Registrar& r) {
  RegisterParts(r);
  r.Scalar("unicode_normalize_func", Lift<[](std::string_view s, std::string_view form) { return Normalize(s, form); }>);
  r.Scalar("unicode_is_normalized", Lift<[](std::string_view s, std::string_view form) -> absl::StatusOr<bool> {
             ASSIGN_OR_RETURN(std::string normal, Normalize(s, form));
             return normal == s;
           }>);
  r.Scalar("parse_ident", Lift<[](std::string_view s, bool strict) { return ParseIdent(s, strict); }>);
  r.Scalar("nameconcatoid", Lift<[](std::string_view name, int64_t o) {
             std::string suffix = StrCat("_", o);
             return StrCat(name.substr(0, std::min(name.size(), 63 - suffix.size())), suffix);
           }>);
  r.Scalar("textlen", Lift<[](std::string_view s) { return static_cast<int64_t>(Utf8Count(s)); }>);
  r.Scalar("bpcharlen", Lift<[](std::string_view s) { return static_cast<int64_t>(Utf8Count(WithoutTrailingBlanks(s))); }>);
  for (std::string_view name : {"textoctetlen", "bpcharoctetlen", "byteaoctetlen"}) {
    r.Scalar(name, Lift<[](std::string_view s) { return static_cast<int64_t>(s.size()); }>);
  }
  for (std::string_view signature : {"bit_length(text)", "bit_length(bytea)"}) {
    r.ScalarFor(signature, Lift<[](std::string_view s) { return static_cast<int64_t>(s.size()) * 8; }>);
  }
  r.Scalar("lower", Lift<[](std::string_view s) { return MapCase<Case::kLower>(s); }>);
  r.Scalar("upper", Lift<[](std::string_view s) { return MapCase<Case::kUpper>(s); }>);
  r.Scalar("initcap", Lift<[](std::string_view s) { return MapCase<Case::kInitial>(s); }>);
  r.Scalar("lpad", Lift<[](FunctionContext& ctx, std::string_view s, int64_t n, std::string_view fill) { return Pad(ctx, s, n, fill, true); }>);
  r.Scalar("rpad", Lift<[](FunctionContext& ctx, std::string_view s, int64_t n, std::string_view fill) { return Pad(ctx, s, n, fill, false); }>);
  r.ScalarFor("lpad(text,int4)", Lift<[](FunctionContext& ctx, std::string_view s, int64_t n) { return Pad(ctx, s, n, " ", true); }>);
  r.ScalarFor("rpad(text,int4)", Lift<[](FunctionContext& ctx, std::string_view s, int64_t n) { return Pad(ctx, s, n, " ", false); }>);
  RegisterTrim<true, true>(r, "btrim");
  RegisterTrim<true, false>(r, "ltrim");
  RegisterTrim<false, true>(r, "rtrim");
  r.Scalar("btrim1", Lift<[](std::string_view s) { return std::string(TrimText(s, " ", true, true)); }>);
  r.Scalar("ltrim1", Lift<[](std::string_view s) { return std::string(TrimText(s, " ", true, false)); }>);
  r.Scalar("rtrim1", Lift<[](std::string_view s) { return std::string(TrimText(s, " ", false, true)); }>);
  r.Scalar("byteatrim", Lift<[](std::string_view s, std::string_view set) { return std::string(TrimBytes(s, set, true, true)); }>);
  r.Scalar("bytealtrim", Lift<[](std::string_view s, std::string_view set) { return std::string(TrimBytes(s, set, true, false)); }>);
  r.Scalar("byteartrim", Lift<[](std::string_view s, std::string_view set) { return std::string(TrimBytes(s, set, false, true)); }>);
  r.Scalar("repeat", Lift<[](FunctionContext& ctx, std::string_view s, int64_t n) -> S {
             if (n <= 0 || s.empty()) return std::string();
             if (static_cast<size_t>(n) > ctx.max_value_bytes / s.size()) return TooLong();
             std::string out;
             out.reserve(s.size() * static_cast<size_t>(n));
             for (int64_t i = 0; i < n; ++i) out.append(s);
             return out;
           }>);
  r.Scalar("replace_text", Lift<[](FunctionContext& ctx, std::string_view s, std::string_view from, std::string_view to) {
             return Replace(ctx, s, from, to);
           }>);
  r.Scalar("translate", Lift<[](std::string_view s, std::string_view from, std::string_view to) { return Translate(s, from, to); }>);
  r.Scalar("text_reverse", Lift<[](std::string_view s) { return Reverse(s); }>);
  r.Scalar("textcat", ConcatBytes);
  r.Scalar("byteacat", ConcatBytes);
  r.ScalarFor("textanycat(text,anynonarray)", ConcatAny<1>);
  r.ScalarFor("anytextcat(anynonarray,text)", ConcatAny<0>);
  r.Scalar("text_concat", Concat);
  r.Scalar("text_concat_ws", ConcatWithSeparator);
  r.Scalar("text_format", Format);
  r.Scalar("text_format_nv", Format);
  r.Scalar("pg_num_nulls", CountNulls<true>);
  r.Scalar("pg_num_nonnulls", CountNulls<false>);
  r.Scalar("quote_ident", Lift<[](std::string_view s) { return QuoteIdent(s); }>);
  r.Scalar("quote_literal", Lift<[](std::string_view s) { return QuoteLiteral(s); }>);
  r.ScalarFor("quote_literal(anyelement)", [](FunctionContext& ctx, Args args, size_t rows, Vector* out) -> absl::Status {
    Vector text;
    RETURN_IF_ERROR(CastVector(ctx.io, *args[0], SqlType{oid::kText}, CastContext::kExplicit, &text));
    for (size_t i = 0; i < rows; ++i) {
      if (!out->IsNull(i)) out->SetBytes(i, QuoteLiteral(text.bytes(i)));
    }
    return absl::OkStatus();
  });
  ScalarEval nullable = [](FunctionContext& ctx, Args args, size_t rows, Vector* out) -> absl::Status {
    Vector text;
    RETURN_IF_ERROR(CastVector(ctx.io, *args[0], SqlType{oid::kText}, CastContext::kExplicit, &text));
    for (size_t i = 0; i < rows; ++i) out->SetBytes(i, text.IsNull(i) ? "NULL" : QuoteLiteral(text.bytes(i)));
    return absl::OkStatus();
  };
  r.ScalarFor("quote_nullable(text)", nullable);
  r.ScalarFor("quote_nullable(anyelement)", nullable);
}

}  // namespace insula::sql::internal
