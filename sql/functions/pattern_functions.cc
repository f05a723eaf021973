// LIKE, ILIKE, SIMILAR TO, ~ and the regexp_… functions.
#include <re2/re2.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/lift.h"
#include "sql/functions/pattern.h"
#include "sql/functions/registrar.h"
#include "sql/types/array.h"
#include "sql/types/utf8.h"

namespace insula::sql::internal {
namespace {

using S = absl::StatusOr<std::string>;
using I = absl::StatusOr<int64_t>;
using Args = std::span<const Vector* const>;

re2::StringPiece Piece(std::string_view s) { return re2::StringPiece(s.data(), s.size()); }
std::string_view View(const re2::StringPiece& p) { return std::string_view(p.data(), p.size()); }

std::string FoldCase(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size();) {
    if (!(s[i] & 0x80)) {
      out.push_back(s[i] >= 'A' && s[i] <= 'Z' ? static_cast<char>(s[i] + 32) : s[i]);
      ++i;
      continue;
    }
    size_t n;
    uint32_t c = DecodeUtf8(s.substr(i), &n);
    AppendUtf8(static_cast<uint32_t>(u_tolower(static_cast<UChar32>(c))), &out);
    i += n;
  }
  return out;
}

template <bool negate, bool fold>
absl::StatusOr<bool> LikeOp(std::string_view s, std::string_view pattern) {
  absl::StatusOr<bool> r = fold ? Like(FoldCase(s), FoldCase(pattern), true) : Like(s, pattern, true);
  if (!r.ok()) return r;
  return *r != negate;
}

template <bool negate, bool fold>
absl::StatusOr<bool> RegexOp(FunctionContext& ctx, std::string_view s, std::string_view pattern) {
  RegexFlags flags;
  flags.ignore_case = fold;
  ASSIGN_OR_RETURN(const re2::RE2* regex, ctx.patterns().Regex(pattern, flags));
  return regex->Match(Piece(s), 0, s.size(), re2::RE2::UNANCHORED, nullptr, 0) != negate;
}

// One match: groups[0] is the whole. A group that took no part has no data.
struct Matcher {
  const re2::RE2* regex;
  std::string_view text;
  std::vector<re2::StringPiece> groups;

  Matcher(const re2::RE2* r, std::string_view t)
      : regex(r), text(t), groups(static_cast<size_t>(r->NumberOfCapturingGroups()) + 1) {}

  bool FindFrom(size_t from) {
    return from <= text.size() &&
           regex->Match(Piece(text), from, text.size(), re2::RE2::UNANCHORED, groups.data(), static_cast<int>(groups.size()));
  }
  size_t begin() const { return static_cast<size_t>(groups[0].data() - text.data()); }
  size_t end() const { return begin() + groups[0].size(); }
  // Where to look for the next match: after an empty one, a character further.
  size_t NextFrom() const {
    if (!groups[0].empty()) return end();
    return end() < text.size() ? end() + Utf8Length(text[end()], text.size() - end()) : text.size() + 1;
  }
  bool Took(size_t group) const { return groups[group].data() != nullptr; }
};

absl::StatusOr<Matcher> MakeMatcher(FunctionContext& ctx, std::string_view s, std::string_view pattern, RegexFlags flags) {
  ASSIGN_OR_RETURN(const re2::RE2* regex, ctx.patterns().Regex(pattern, flags));
  return Matcher(regex, s);
}

// The match as text[]: the groups, or the whole if there are none.
std::string MatchArray(const Matcher& m) {
  std::vector<Datum> parts;
  for (size_t g = m.groups.size() > 1 ? 1 : 0; g < m.groups.size(); ++g) {
    parts.push_back(m.Took(g) ? Datum::Bytes(View(m.groups[g])) : Datum());
  }
  return ArrayValue::Of(oid::kText, std::move(parts)).Encode();
}

absl::Status NoGlobal(std::string_view function, std::string_view instead) {
  return PgErrorBuilder(sqlstate::kInvalidParameterValue, StrCat(function, " does not support the \"global\" option"))
      .Hint(instead.empty() ? "" : StrCat("Use the ", instead, " function instead."))
      .Build();
}

absl::StatusOr<std::optional<std::string>> RegexMatch(FunctionContext& ctx, std::string_view s, std::string_view pattern,
                                                      std::string_view letters) {
  ASSIGN_OR_RETURN(RegexFlags flags, ParseRegexFlags(letters));
  if (flags.global) return NoGlobal("regexp_match()", "regexp_matches");
  ASSIGN_OR_RETURN(Matcher m, MakeMatcher(ctx, s, pattern, flags));
  if (!m.FindFrom(0)) return std::optional<std::string>();
  return std::optional<std::string>(MatchArray(m));
}

void AppendReplacement(const Matcher& m, std::string_view replacement, std::string* out) {
  for (size_t i = 0; i < replacement.size(); ++i) {
    if (replacement[i] != '\\' || i + 1 >= replacement.size()) {
      out->push_back(replacement[i]);
      continue;
    }
    char c = replacement[++i];
    if (c == '&') {
      out->append(View(m.groups[0]));
    } else if (c >= '1' && c <= '9') {
      size_t g = static_cast<size_t>(c - '0');
      if (g < m.groups.size() && m.Took(g)) out->append(View(m.groups[g]));
    } else if (c == '\\') {
      out->push_back('\\');
    } else {
      out->push_back('\\');
      out->push_back(c);
    }
  }
}

// Replaces the n-th match from `start` (a character from 1) on; n 0: all.
S RegexReplace(FunctionContext& ctx, std::string_view s, std::string_view pattern, std::string_view replacement, int64_t start,
               int64_t n, RegexFlags flags) {
  ASSIGN_OR_RETURN(Matcher m, MakeMatcher(ctx, s, pattern, flags));
  std::string out;
  size_t copied = 0, from = Utf8Offset(s, static_cast<size_t>(start - 1));
  for (int64_t count = 1; m.FindFrom(from); ++count) {
    if (n == 0 || count == n) {
      out.append(s.substr(copied, m.begin() - copied));
      AppendReplacement(m, replacement, &out);
      copied = m.end();
      if (out.size() > ctx.max_value_bytes) return PgError(sqlstate::kProgramLimitExceeded, "requested length too large");
      if (n != 0) break;
    }
    from = m.NextFrom();
  }
  out.append(s.substr(std::min(copied, s.size())));
  return out;
}

absl::Status CheckPositive(std::string_view name, int64_t v, int64_t least) {
  if (v >= least) return absl::OkStatus();
  return PgError(sqlstate::kInvalidParameterValue, StrCat("invalid value for parameter \"", name, "\": ", v));
}

// ---- splitting

// The parts between matches; matches of nothing at the start, the end, or right after another match do not split.
absl::StatusOr<std::vector<Datum>> RegexSplit(FunctionContext& ctx, std::string_view s, std::string_view pattern,
                                              std::string_view letters, std::string_view function) {
  ASSIGN_OR_RETURN(RegexFlags flags, ParseRegexFlags(letters));
  if (flags.global) return NoGlobal(function, "");
  ASSIGN_OR_RETURN(Matcher m, MakeMatcher(ctx, s, pattern, flags));
  std::vector<Datum> parts;
  size_t part_begin = 0, from = 0;
  while (m.FindFrom(from)) {
    from = m.NextFrom();
    if (m.groups[0].empty() && (m.begin() == part_begin || m.begin() == s.size())) continue;
    parts.push_back(Datum::Bytes(s.substr(part_begin, m.begin() - part_begin)));
    part_begin = m.end();
  }
  parts.push_back(Datum::Bytes(s.substr(part_begin)));
  return parts;
}

// ---- regexp_count, regexp_instr, regexp_substr

I RegexCount(FunctionContext& ctx, std::string_view s, std::string_view pattern, int64_t start, std::string_view letters) {
  RETURN_IF_ERROR(CheckPositive("start", start, 1));
  ASSIGN_OR_RETURN(RegexFlags flags, ParseRegexFlags(letters));
  if (flags.global) return NoGlobal("regexp_count()", "");
  ASSIGN_OR_RETURN(Matcher m, MakeMatcher(ctx, s, pattern, flags));
  int64_t n = 0;
  for (size_t from = Utf8Offset(s, static_cast<size_t>(start - 1)); m.FindFrom(from); from = m.NextFrom()) ++n;
  return n;
}

struct Found {
  bool found = false;
  size_t begin = 0, size = 0;
};
absl::StatusOr<Found> FindNth(FunctionContext& ctx, std::string_view function, std::string_view s, std::string_view pattern,
                              int64_t start, int64_t n, std::string_view letters, int64_t group) {
  RETURN_IF_ERROR(CheckPositive("start", start, 1));
  RETURN_IF_ERROR(CheckPositive("n", n, 1));
  RETURN_IF_ERROR(CheckPositive("subexpr", group, 0));
  ASSIGN_OR_RETURN(RegexFlags flags, ParseRegexFlags(letters));
  if (flags.global) return NoGlobal(function, "");
  ASSIGN_OR_RETURN(Matcher m, MakeMatcher(ctx, s, pattern, flags));
  Found out;
  if (group >= static_cast<int64_t>(m.groups.size())) return out;
  size_t from = Utf8Offset(s, static_cast<size_t>(start - 1));
  for (int64_t count = 1; m.FindFrom(from); ++count, from = m.NextFrom()) {
    if (count < n) continue;
    size_t g = static_cast<size_t>(group);
    if (m.Took(g)) out = {true, static_cast<size_t>(m.groups[g].data() - s.data()), m.groups[g].size()};
    return out;
  }
  return out;
}

I RegexInstr(FunctionContext& ctx, std::string_view s, std::string_view pattern, int64_t start, int64_t n, int64_t end_option,
             std::string_view letters, int64_t group) {
  if (end_option != 0 && end_option != 1) {
    return PgError(sqlstate::kInvalidParameterValue, StrCat("invalid value for parameter \"endoption\": ", end_option));
  }
  ASSIGN_OR_RETURN(Found f, FindNth(ctx, "regexp_instr()", s, pattern, start, n, letters, group));
  if (!f.found) return 0;
  return static_cast<int64_t>(Utf8Count(s.substr(0, end_option == 1 ? f.begin + f.size : f.begin))) + 1;
}

using OptionalText = absl::StatusOr<std::optional<std::string>>;

OptionalText RegexSubstr(FunctionContext& ctx, std::string_view s, std::string_view pattern, int64_t start, int64_t n,
                         std::string_view letters, int64_t group) {
  ASSIGN_OR_RETURN(Found f, FindNth(ctx, "regexp_substr()", s, pattern, start, n, letters, group));
  if (!f.found) return std::optional<std::string>();
  return std::optional<std::string>(std::string(s.substr(f.begin, f.size)));
}

using V = std::string_view;

void RegisterRegexpFunctions(Registrar& r) {
  r.Scalar("textregexsubstr", Lift<[](FunctionContext& ctx, V s, V p) -> OptionalText {
             ASSIGN_OR_RETURN(Matcher m, MakeMatcher(ctx, s, p, RegexFlags()));
             size_t g = m.groups.size() > 1 ? 1 : 0;
             if (!m.FindFrom(0) || !m.Took(g)) return std::optional<std::string>();
             return std::optional<std::string>(std::string(View(m.groups[g])));
           }>);
  r.ScalarFor("substring(text,text,text)", Lift<[](FunctionContext& ctx, V s, V p, V escape) -> OptionalText {
                ASSIGN_OR_RETURN(std::string regex, SimilarToRegex(p, escape));
                ASSIGN_OR_RETURN(Matcher m, MakeMatcher(ctx, s, regex, RegexFlags()));
                if (!m.FindFrom(0)) return std::optional<std::string>();
                return std::optional<std::string>(std::string(View(m.groups[0])));
              }>);
  r.Scalar("regexp_match_no_flags", Lift<[](FunctionContext& ctx, V s, V p) { return RegexMatch(ctx, s, p, ""); }>);
  r.Scalar("regexp_match", Lift<[](FunctionContext& ctx, V s, V p, V f) { return RegexMatch(ctx, s, p, f); }>);
  r.Scalar("regexp_like_no_flags", Lift<[](FunctionContext& ctx, V s, V p) { return RegexOp<false, false>(ctx, s, p); }>);
  r.Scalar("regexp_like", Lift<[](FunctionContext& ctx, V s, V p, V letters) -> absl::StatusOr<bool> {
             ASSIGN_OR_RETURN(RegexFlags flags, ParseRegexFlags(letters));
             if (flags.global) return NoGlobal("regexp_like()", "");
             ASSIGN_OR_RETURN(Matcher m, MakeMatcher(ctx, s, p, flags));
             return m.FindFrom(0);
           }>);
  r.Scalar("textregexreplace_noopt", Lift<[](FunctionContext& ctx, V s, V p, V to) {
             return RegexReplace(ctx, s, p, to, 1, 1, RegexFlags());
           }>);
  r.Scalar("textregexreplace", Lift<[](FunctionContext& ctx, V s, V p, V to, V letters) -> S {
             if (!letters.empty() && letters[0] >= '0' && letters[0] <= '9') {
               return PgErrorBuilder(sqlstate::kInvalidParameterValue,
                                     StrCat("invalid regular expression option: \"", letters.substr(0, 1), "\""))
                   .Hint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.")
                   .Build();
             }
             ASSIGN_OR_RETURN(RegexFlags flags, ParseRegexFlags(letters));
             return RegexReplace(ctx, s, p, to, 1, flags.global ? 0 : 1, flags);
           }>);
  r.Scalar("textregexreplace_extended", Lift<[](FunctionContext& ctx, V s, V p, V to, int64_t start, int64_t n, V letters) -> S {
             RETURN_IF_ERROR(CheckPositive("start", start, 1));
             RETURN_IF_ERROR(CheckPositive("n", n, 0));
             ASSIGN_OR_RETURN(RegexFlags flags, ParseRegexFlags(letters));
             return RegexReplace(ctx, s, p, to, start, n, flags);
           }>);
  r.Scalar("textregexreplace_extended_no_flags", Lift<[](FunctionContext& ctx, V s, V p, V to, int64_t start, int64_t n) -> S {
             RETURN_IF_ERROR(CheckPositive("start", start, 1));
             RETURN_IF_ERROR(CheckPositive("n", n, 0));
             return RegexReplace(ctx, s, p, to, start, n, RegexFlags());
           }>);
  r.Scalar("textregexreplace_extended_no_n", Lift<[](FunctionContext& ctx, V s, V p, V to, int64_t start) -> S {
             RETURN_IF_ERROR(CheckPositive("start", start, 1));
             return RegexReplace(ctx, s, p, to, start, 1, RegexFlags());
           }>);
  r.Scalar("regexp_split_to_array_no_flags", Lift<[](FunctionContext& ctx, V s, V p) -> S {
             ASSIGN_OR_RETURN(auto parts, RegexSplit(ctx, s, p, "", "regexp_split_to_array()"));
             return ArrayValue::Of(oid::kText, std::move(parts)).Encode();
           }>);
  r.Scalar("regexp_split_to_array", Lift<[](FunctionContext& ctx, V s, V p, V f) -> S {
             ASSIGN_OR_RETURN(auto parts, RegexSplit(ctx, s, p, f, "regexp_split_to_array()"));
             return ArrayValue::Of(oid::kText, std::move(parts)).Encode();
           }>);
  r.Scalar("regexp_count_no_start", Lift<[](FunctionContext& ctx, V s, V p) { return RegexCount(ctx, s, p, 1, ""); }>);
  r.Scalar("regexp_count_no_flags", Lift<[](FunctionContext& ctx, V s, V p, int64_t b) { return RegexCount(ctx, s, p, b, ""); }>);
  r.Scalar("regexp_count", Lift<[](FunctionContext& ctx, V s, V p, int64_t b, V f) { return RegexCount(ctx, s, p, b, f); }>);
  r.Scalar("regexp_instr_no_start", Lift<[](FunctionContext& ctx, V s, V p) { return RegexInstr(ctx, s, p, 1, 1, 0, "", 0); }>);
  r.Scalar("regexp_instr_no_n", Lift<[](FunctionContext& ctx, V s, V p, int64_t b) { return RegexInstr(ctx, s, p, b, 1, 0, "", 0); }>);
  r.Scalar("regexp_instr_no_endoption", Lift<[](FunctionContext& ctx, V s, V p, int64_t b, int64_t n) {
             return RegexInstr(ctx, s, p, b, n, 0, "", 0);
           }>);
  r.Scalar("regexp_instr_no_flags", Lift<[](FunctionContext& ctx, V s, V p, int64_t b, int64_t n, int64_t e) {
             return RegexInstr(ctx, s, p, b, n, e, "", 0);
           }>);
  r.Scalar("regexp_instr_no_subexpr", Lift<[](FunctionContext& ctx, V s, V p, int64_t b, int64_t n, int64_t e, V f) {
             return RegexInstr(ctx, s, p, b, n, e, f, 0);
           }>);
  r.Scalar("regexp_instr", Lift<[](FunctionContext& ctx, V s, V p, int64_t b, int64_t n, int64_t e, V f, int64_t g) {
             return RegexInstr(ctx, s, p, b, n, e, f, g);
           }>);
  r.Scalar("regexp_substr_no_start", Lift<[](FunctionContext& ctx, V s, V p) { return RegexSubstr(ctx, s, p, 1, 1, "", 0); }>);
  r.Scalar("regexp_substr_no_n", Lift<[](FunctionContext& ctx, V s, V p, int64_t b) { return RegexSubstr(ctx, s, p, b, 1, "", 0); }>);
  r.Scalar("regexp_substr_no_flags", Lift<[](FunctionContext& ctx, V s, V p, int64_t b, int64_t n) {
             return RegexSubstr(ctx, s, p, b, n, "", 0);
           }>);
  r.Scalar("regexp_substr_no_subexpr", Lift<[](FunctionContext& ctx, V s, V p, int64_t b, int64_t n, V f) {
             return RegexSubstr(ctx, s, p, b, n, f, 0);
           }>);
  r.Scalar("regexp_substr", Lift<[](FunctionContext& ctx, V s, V p, int64_t b, int64_t n, V f, int64_t g) {
             return RegexSubstr(ctx, s, p, b, n, f, g);
           }>);
}

// ---- set-returning

// Rows that were computed when the cursor was opened.
class ListCursor : public SetCursor {
 public:
  explicit ListCursor(std::vector<Datum> rows) : rows_(std::move(rows)) {}
  absl::Status Next(FunctionContext&, size_t max_rows, Batch* out) override {
    for (; max_rows > 0 && next_ < rows_.size(); --max_rows, ++next_) {
      out->columns[0].Append(rows_[next_]);
      ++out->rows;
    }
    return absl::OkStatus();
  }

 private:
  std::vector<Datum> rows_;
  size_t next_ = 0;
};

absl::StatusOr<std::unique_ptr<SetCursor>> OpenMatches(FunctionContext& ctx, const SetCall& call) {
  std::string_view s = call.args[0].bytes_value(), pattern = call.args[1].bytes_value();
  ASSIGN_OR_RETURN(RegexFlags flags, ParseRegexFlags(call.args.size() > 2 ? std::string_view(call.args[2].bytes_value()) : ""));
  ASSIGN_OR_RETURN(Matcher m, MakeMatcher(ctx, s, pattern, flags));
  std::vector<Datum> rows;
  for (size_t from = 0; m.FindFrom(from); from = m.NextFrom()) {
    rows.push_back(Datum::Bytes(MatchArray(m)));
    if (!flags.global) break;
  }
  return std::make_unique<ListCursor>(std::move(rows));
}

absl::StatusOr<std::unique_ptr<SetCursor>> OpenSplit(FunctionContext& ctx, const SetCall& call) {
  std::string_view letters = call.args.size() > 2 ? std::string_view(call.args[2].bytes_value()) : "";
  ASSIGN_OR_RETURN(auto parts, RegexSplit(ctx, call.args[0].bytes_value(), call.args[1].bytes_value(), letters,
                                          "regexp_split_to_table()"));
  return std::make_unique<ListCursor>(std::move(parts));
}

}  // namespace

void RegisterPatternFunctions(Registrar& r) {
  for (std::string_view p : {"text", "name"}) {
    r.Scalar(StrCat(p, "like"), Lift<[](V s, V pattern) { return LikeOp<false, false>(s, pattern); }>);
    r.Scalar(StrCat(p, "nlike"), Lift<[](V s, V pattern) { return LikeOp<true, false>(s, pattern); }>);
    r.Scalar(StrCat(p, "iclike"), Lift<[](V s, V pattern) { return LikeOp<false, true>(s, pattern); }>);
    r.Scalar(StrCat(p, "icnlike"), Lift<[](V s, V pattern) { return LikeOp<true, true>(s, pattern); }>);
    r.Scalar(StrCat(p, "regexeq"), Lift<[](FunctionContext& ctx, V s, V q) { return RegexOp<false, false>(ctx, s, q); }>);
    r.Scalar(StrCat(p, "regexne"), Lift<[](FunctionContext& ctx, V s, V q) { return RegexOp<true, false>(ctx, s, q); }>);
    r.Scalar(StrCat(p, "icregexeq"), Lift<[](FunctionContext& ctx, V s, V q) { return RegexOp<false, true>(ctx, s, q); }>);
    r.Scalar(StrCat(p, "icregexne"), Lift<[](FunctionContext& ctx, V s, V q) { return RegexOp<true, true>(ctx, s, q); }>);
  }
  r.Scalar("bytealike", Lift<[](V s, V pattern) { return Like(s, pattern, false); }>);
  r.Scalar("byteanlike", Lift<[](V s, V pattern) -> absl::StatusOr<bool> {
             ASSIGN_OR_RETURN(bool match, Like(s, pattern, false));
             return !match;
           }>);
  r.Scalar("like_escape", Lift<[](V pattern, V escape) { return LikeEscape(pattern, escape); }>);
  r.Scalar("like_escape_bytea", Lift<[](V pattern, V escape) { return LikeEscape(pattern, escape); }>);
  r.Scalar("similar_to_escape_1", Lift<[](V pattern) { return SimilarToRegex(pattern, "\\"); }>);
  r.Scalar("similar_to_escape_2", Lift<[](V pattern, V escape) { return SimilarToRegex(pattern, escape); }>);
  // The old form is not strict: a NULL escape means the backslash.
  r.Scalar("similar_escape", [](FunctionContext&, Args args, size_t rows, Vector* out) -> absl::Status {
    for (size_t i = 0; i < rows; ++i) {
      if (args[0]->IsNull(i)) {
        out->SetNull(i);
        continue;
      }
      ASSIGN_OR_RETURN(std::string v, SimilarToRegex(args[0]->bytes(i), args[1]->IsNull(i) ? "\\" : args[1]->bytes(i)));
      out->SetBytes(i, v);
    }
    return absl::OkStatus();
  });
  RegisterRegexpFunctions(r);
  r.Set("regexp_matches", OpenMatches);
  r.Set("regexp_matches_no_flags", OpenMatches);
  r.Set("regexp_split_to_table", OpenSplit);
  r.Set("regexp_split_to_table_no_flags", OpenSplit);
}

}  // namespace insula::sql::internal
