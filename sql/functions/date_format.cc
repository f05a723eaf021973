#include "sql/functions/date_format.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/datetime_names.h"
#include "sql/types/utf8.h"

namespace insula::sql {
namespace {

enum class Key {
  kLiteral, kSeparator,
  kAD, kAdDots, kAM, kAmDots, kCC, kDay, kDDD, kDD, kDy, kD, kFF, kHH24, kHH12, kIDDD, kID, kIW, kIYYY, kIYY, kIY, kI, kJ, kMI, kMM,
  kMonth, kMon, kMS, kOF, kQ, kRM, kSSSS, kSS, kTZH, kTZM, kTZ, kUS, kWW, kW, kYcommaYYY, kYYYY, kYYY, kYY, kY,
};

struct Pattern {
  std::string_view name;  // as it is matched; upper and lower case forms are listed apart where they differ
  Key key;
  uint8_t style = 0;      // case of words: 0 as listed upper, 1 capitalised, 2 lower; digits for FF
  bool digits = false;    // reads and writes digits
};

// Longer names stand before their prefixes.
constexpr Pattern kPatterns[] = {
    {"A.D.", Key::kAdDots, 0}, {"a.d.", Key::kAdDots, 2}, {"B.C.", Key::kAdDots, 0}, {"b.c.", Key::kAdDots, 2},
    {"A.M.", Key::kAmDots, 0}, {"a.m.", Key::kAmDots, 2}, {"P.M.", Key::kAmDots, 0}, {"p.m.", Key::kAmDots, 2},
    {"AD", Key::kAD, 0}, {"ad", Key::kAD, 2}, {"BC", Key::kAD, 0}, {"bc", Key::kAD, 2},
    {"AM", Key::kAM, 0}, {"am", Key::kAM, 2}, {"PM", Key::kAM, 0}, {"pm", Key::kAM, 2},
    {"CC", Key::kCC, 0, true}, {"cc", Key::kCC, 0, true},
    {"DAY", Key::kDay, 0}, {"Day", Key::kDay, 1}, {"day", Key::kDay, 2},
    {"DDD", Key::kDDD, 0, true}, {"ddd", Key::kDDD, 0, true}, {"DD", Key::kDD, 0, true}, {"dd", Key::kDD, 0, true},
    {"DY", Key::kDy, 0}, {"Dy", Key::kDy, 1}, {"dy", Key::kDy, 2}, {"D", Key::kD, 0, true}, {"d", Key::kD, 0, true},
    {"FF1", Key::kFF, 1, true}, {"FF2", Key::kFF, 2, true}, {"FF3", Key::kFF, 3, true}, {"FF4", Key::kFF, 4, true},
    {"FF5", Key::kFF, 5, true}, {"FF6", Key::kFF, 6, true}, {"ff1", Key::kFF, 1, true}, {"ff2", Key::kFF, 2, true},
    {"ff3", Key::kFF, 3, true}, {"ff4", Key::kFF, 4, true}, {"ff5", Key::kFF, 5, true}, {"ff6", Key::kFF, 6, true},
    {"HH24", Key::kHH24, 0, true}, {"hh24", Key::kHH24, 0, true}, {"HH12", Key::kHH12, 0, true}, {"hh12", Key::kHH12, 0, true},
    {"HH", Key::kHH12, 0, true}, {"hh", Key::kHH12, 0, true},
    {"IDDD", Key::kIDDD, 0, true}, {"iddd", Key::kIDDD, 0, true}, {"ID", Key::kID, 0, true}, {"id", Key::kID, 0, true},
    {"IW", Key::kIW, 0, true}, {"iw", Key::kIW, 0, true}, {"IYYY", Key::kIYYY, 0, true}, {"iyyy", Key::kIYYY, 0, true},
    {"IYY", Key::kIYY, 0, true}, {"iyy", Key::kIYY, 0, true}, {"IY", Key::kIY, 0, true}, {"iy", Key::kIY, 0, true},
    {"I", Key::kI, 0, true}, {"i", Key::kI, 0, true}, {"J", Key::kJ, 0, true}, {"j", Key::kJ, 0, true},
    {"MI", Key::kMI, 0, true}, {"mi", Key::kMI, 0, true}, {"MM", Key::kMM, 0, true}, {"mm", Key::kMM, 0, true},
    {"MONTH", Key::kMonth, 0}, {"Month", Key::kMonth, 1}, {"month", Key::kMonth, 2},
    {"MON", Key::kMon, 0}, {"Mon", Key::kMon, 1}, {"mon", Key::kMon, 2}, {"MS", Key::kMS, 0, true}, {"ms", Key::kMS, 0, true},
    {"OF", Key::kOF, 0}, {"of", Key::kOF, 0}, {"Q", Key::kQ, 0, true}, {"q", Key::kQ, 0, true},
    {"RM", Key::kRM, 0}, {"rm", Key::kRM, 2},
    {"SSSSS", Key::kSSSS, 0, true}, {"sssss", Key::kSSSS, 0, true}, {"SSSS", Key::kSSSS, 0, true}, {"ssss", Key::kSSSS, 0, true},
    {"SS", Key::kSS, 0, true}, {"ss", Key::kSS, 0, true},
    {"TZH", Key::kTZH, 0}, {"tzh", Key::kTZH, 0}, {"TZM", Key::kTZM, 0, true}, {"tzm", Key::kTZM, 0, true}, {"TZ", Key::kTZ, 0},
    {"tz", Key::kTZ, 2}, {"US", Key::kUS, 0, true}, {"us", Key::kUS, 0, true}, {"WW", Key::kWW, 0, true}, {"ww", Key::kWW, 0, true},
    {"W", Key::kW, 0, true}, {"w", Key::kW, 0, true}, {"Y,YYY", Key::kYcommaYYY, 0, true}, {"y,yyy", Key::kYcommaYYY, 0, true},
    {"YYYY", Key::kYYYY, 0, true}, {"yyyy", Key::kYYYY, 0, true}, {"YYY", Key::kYYY, 0, true}, {"yyy", Key::kYYY, 0, true},
    {"YY", Key::kYY, 0, true}, {"yy", Key::kYY, 0, true}, {"Y", Key::kY, 0, true}, {"y", Key::kY, 0, true},
};

struct Node {
  Key key = Key::kLiteral;
  const Pattern* pattern = nullptr;
  std::string literal;
  bool fill = false;       // FM
  bool translated = false; // TM: words without padding
  char ordinal = 0;        // 'T' TH, 't' th
};

bool IsSeparator(char c) { return c > 0x20 && c < 0x7f && !isalnum(static_cast<unsigned char>(c)); }
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::vector<Node> ParseFormat(std::string_view format, bool* exact) {
  std::vector<Node> nodes;
  auto literal = [&](std::string_view text) {
    Node n;
    n.literal = std::string(text);
    if (text.size() == 1 && (IsSeparator(text[0]) || IsSpace(text[0]))) n.key = Key::kSeparator;
    nodes.push_back(std::move(n));
  };
  while (!format.empty()) {
    if (format[0] == '"') {
      format.remove_prefix(1);
      std::string text;
      while (!format.empty() && format[0] != '"') {
        if (format[0] == '\\' && format.size() > 1) format.remove_prefix(1);
        text.push_back(format[0]);
        format.remove_prefix(1);
      }
      if (!format.empty()) format.remove_prefix(1);
      Node n;
      n.literal = std::move(text);
      nodes.push_back(std::move(n));
      continue;
    }
    if (format[0] == '\\' && format.size() > 1 && format[1] == '"') {
      literal("\"");
      format.remove_prefix(2);
      continue;
    }
    Node node;
    std::string_view rest = format;
    while (true) {
      if (rest.starts_with("FM") || rest.starts_with("fm")) node.fill = true;
      else if (rest.starts_with("FX") || rest.starts_with("fx")) *exact = true;
      else if (rest.starts_with("TM") || rest.starts_with("tm")) node.translated = true;
      else break;
      rest.remove_prefix(2);
    }
    const Pattern* found = nullptr;
    for (const Pattern& p : kPatterns) {
      if (rest.starts_with(p.name) && (found == nullptr || p.name.size() > found->name.size())) found = &p;
    }
    if (found == nullptr) {
      if (rest.size() != format.size() && rest.empty()) break;
      size_t n = Utf8Length(rest[0], rest.size());
      literal(rest.substr(0, n));
      format = rest.substr(n);
      continue;
    }
    rest.remove_prefix(found->name.size());
    node.key = found->key;
    node.pattern = found;
    if (rest.starts_with("TH") || rest.starts_with("th")) {
      node.ordinal = rest[0];
      rest.remove_prefix(2);
    }
    if (rest.starts_with("SP") || rest.starts_with("sp")) rest.remove_prefix(2);
    nodes.push_back(std::move(node));
    format = rest;
  }
  return nodes;
}

// ---- output

std::string Cased(std::string_view word, uint8_t style) {
  std::string out(word);
  for (size_t i = 0; i < out.size(); ++i) {
    bool upper = style == 0 || (style == 1 && i == 0);
    out[i] = static_cast<char>(upper ? toupper(out[i]) : tolower(out[i]));
  }
  return out;
}

std::string Padded(int64_t v, int width, bool fill) {
  std::string digits = StrCat(v < 0 ? -v : v);
  int missing = width - static_cast<int>(digits.size());
  if (!fill && missing > 0) digits.insert(0, static_cast<size_t>(missing), '0');
  return v < 0 ? "-" + digits : digits;
}

// The sign takes one of the places.
std::string PaddedWithSign(int64_t v, int width, bool fill) { return Padded(v, v < 0 ? width - 1 : width, fill); }

std::string Ordinal(std::string_view number, char style) {
  int64_t v = std::abs(std::atoll(std::string(number).c_str()));
  std::string_view suffix = "th";
  if (v % 100 < 11 || v % 100 > 13) {
    if (v % 10 == 1) suffix = "st";
    else if (v % 10 == 2) suffix = "nd";
    else if (v % 10 == 3) suffix = "rd";
  }
  return StrCat(number, style == 'T' ? Cased(suffix, 0) : std::string(suffix));
}

constexpr std::string_view kRomanMonths[] = {"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"};

struct Shown {
  CivilTime c;
  int64_t hours;            // of an interval may pass 23
  bool interval = false;
  int64_t date = 0;
  const TimeZone::Local* zone = nullptr;
};

int64_t ShownYear(const Shown& s) { return s.interval || s.c.year > 0 ? s.c.year : 1 - static_cast<int64_t>(s.c.year); }

void IsoYearWeek(int64_t date, int32_t* year, int32_t* week, int32_t* day) {
  int64_t monday = date - (DayOfWeek(date) + 6) % 7;
  int32_t m, d;
  CivilFromDate(monday + 3, year, &m, &d);
  int64_t first = DateFromCivil(*year, 1, 4);
  first -= (DayOfWeek(first) + 6) % 7;
  *week = static_cast<int32_t>((monday - first) / 7) + 1;
  *day = static_cast<int32_t>(date - first) + 1;
}

std::string ZoneOffsetText(int32_t offset, bool hours, bool minutes) {
  int32_t a = std::abs(offset);
  std::string out;
  if (hours) out = StrCat(offset < 0 ? "-" : "+", Padded(a / 3600, 2, false));
  if (minutes) out += Padded(a / 60 % 60, 2, false);
  return out;
}

absl::Status InvalidForInterval() {
  return PgErrorBuilder(sqlstate::kInvalidDatetimeFormat, "invalid format specification for an interval value")
      .Hint("Intervals are not tied to specific calendar dates.")
      .Build();
}

absl::StatusOr<std::string> Field(const Node& n, const Shown& s) {
  const CivilTime& c = s.c;
  bool fm = n.fill;
  uint8_t style = n.pattern->style;
  auto pad_word = [&](std::string word, size_t width) {
    if (!fm && !n.translated && word.size() < width) word.append(width - word.size(), ' ');
    return word;
  };
  int32_t iso_year = 0, iso_week = 0, iso_day = 0;
  if (!s.interval) IsoYearWeek(s.date, &iso_year, &iso_week, &iso_day);
  if (iso_year <= 0) iso_year = 1 - iso_year;
  switch (n.key) {
    case Key::kHH12: {
      int64_t h = s.hours % 12;
      return Padded(h == 0 ? 12 : h, 2, fm);
    }
    case Key::kHH24: return Padded(s.hours, 2, fm);
    case Key::kMI: return Padded(c.minute, 2, fm);
    case Key::kSS: return Padded(c.second, 2, fm);
    case Key::kMS: return Padded(c.us / 1000, 3, false);
    case Key::kUS: return Padded(c.us, 6, false);
    case Key::kFF: {
      int32_t v = c.us;
      for (int i = style; i < 6; ++i) v /= 10;
      return Padded(v, style, false);
    }
    case Key::kSSSS: return StrCat(s.hours * 3600 + c.minute * 60 + c.second);
    case Key::kAM: return Cased(s.hours % 24 >= 12 ? "pm" : "am", style);
    case Key::kAmDots: return Cased(s.hours % 24 >= 12 ? "p.m." : "a.m.", style);
    case Key::kAD:
      if (s.interval) return InvalidForInterval();
      return Cased(c.year <= 0 ? "bc" : "ad", style);
    case Key::kAdDots:
      if (s.interval) return InvalidForInterval();
      return Cased(c.year <= 0 ? "b.c." : "a.d.", style);
    case Key::kMonth:
    case Key::kMon: {
      if (s.interval && c.month == 0) return std::string();
      std::string_view name = internal::kMonthNames[c.month - 1];
      if (n.key == Key::kMon) return Cased(name.substr(0, 3), style);
      return pad_word(Cased(name, style), 9);
    }
    case Key::kMM: return Padded(c.month, 2, fm);
    case Key::kRM: {
      if (c.month == 0) return std::string();
      return pad_word(Cased(kRomanMonths[c.month - 1], style), 4);
    }
    case Key::kDay:
    case Key::kDy: {
      if (s.interval) return InvalidForInterval();
      std::string_view name = internal::kDayNames[DayOfWeek(s.date)];
      if (n.key == Key::kDy) return Cased(name.substr(0, 3), style);
      return pad_word(Cased(name, style), 9);
    }
    case Key::kDDD:
      if (s.interval) return PaddedWithSign((c.year * 12 + c.month) * 30 + c.day, 3, fm);
      return Padded(s.date - DateFromCivil(c.year, 1, 1) + 1, 3, fm);
    case Key::kIDDD: return Padded(iso_day, 3, fm);
    case Key::kDD: return PaddedWithSign(c.day, 2, fm);
    case Key::kD:
      if (s.interval) return InvalidForInterval();
      return StrCat(DayOfWeek(s.date) + 1);
    case Key::kID:
      if (s.interval) return InvalidForInterval();
      return StrCat(DayOfWeek(s.date) == 0 ? 7 : DayOfWeek(s.date));
    case Key::kWW: return Padded((s.date - DateFromCivil(c.year, 1, 1)) / 7 + 1, 2, fm);
    case Key::kIW: return Padded(iso_week, 2, fm);
    case Key::kW: return StrCat((c.day - 1) / 7 + 1);
    case Key::kQ:
      if (s.interval && c.month == 0) return std::string();
      return StrCat((c.month - 1) / 3 + 1);
    case Key::kCC: {
      int64_t y = c.year;
      int64_t century = s.interval ? y / 100 : (y > 0 ? (y - 1) / 100 + 1 : y / 100 - 1);
      return Padded(century, century > -100 && century < 100 ? 2 : 0, fm);
    }
    case Key::kJ: return StrCat(s.date + 2451545);
    case Key::kYcommaYYY: {
      int64_t y = ShownYear(s);
      return StrCat(y / 1000, ",", Padded(y % 1000, 3, false));
    }
    case Key::kYYYY: return Padded(ShownYear(s), 4, fm);
    case Key::kYYY: return Padded(ShownYear(s) % 1000, 3, fm);
    case Key::kYY: return Padded(ShownYear(s) % 100, 2, fm);
    case Key::kY: return StrCat(ShownYear(s) % 10);
    case Key::kIYYY: return Padded(iso_year, 4, fm);
    case Key::kIYY: return Padded(iso_year % 1000, 3, fm);
    case Key::kIY: return Padded(iso_year % 100, 2, fm);
    case Key::kI: return StrCat(iso_year % 10);
    case Key::kTZ:
      if (s.interval) return InvalidForInterval();
      return s.zone == nullptr ? std::string() : Cased(s.zone->abbreviation, style);
    case Key::kTZH:
      if (s.interval) return InvalidForInterval();
      return ZoneOffsetText(s.zone == nullptr ? 0 : s.zone->offset_s, true, false);
    case Key::kTZM:
      if (s.interval) return InvalidForInterval();
      return ZoneOffsetText(s.zone == nullptr ? 0 : s.zone->offset_s, false, true);
    case Key::kOF: {
      if (s.interval) return InvalidForInterval();
      int32_t offset = s.zone == nullptr ? 0 : s.zone->offset_s;
      std::string out = ZoneOffsetText(offset, true, false);
      if (offset % 3600 != 0) StrAppend(&out, ":", Padded(std::abs(offset) / 60 % 60, 2, false));
      return out;
    }
    default: return n.literal;
  }
}

absl::StatusOr<std::string> Render(const Shown& s, std::string_view format) {
  bool exact = false;
  std::string out;
  for (const Node& n : ParseFormat(format, &exact)) {
    if (n.pattern == nullptr) {
      out.append(n.literal);
      continue;
    }
    ASSIGN_OR_RETURN(std::string text, Field(n, s));
    out.append(n.ordinal != 0 && n.pattern->digits ? Ordinal(text, n.ordinal) : text);
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> FormatTimestamp(int64_t local_us, const TimeZone::Local* zone, std::string_view format) {
  Shown s;
  s.c = CivilFromTimestamp(local_us);
  s.hours = s.c.hour;
  s.date = TimestampToDate(local_us);
  s.zone = zone;
  return Render(s, format);
}

absl::StatusOr<std::string> FormatInterval(const Interval& v, std::string_view format) {
  Shown s;
  s.interval = true;
  s.c.year = v.months / 12;
  s.c.month = v.months % 12;
  s.c.day = v.days;
  s.hours = v.us / kUsPerHour;
  s.c.minute = static_cast<int32_t>(v.us / kUsPerMinute % 60);
  s.c.second = static_cast<int32_t>(v.us / kUsPerSecond % 60);
  s.c.us = static_cast<int32_t>(v.us % kUsPerSecond);
  return Render(s, format);
}

// ---- input

namespace {

struct Read {
  std::optional<int32_t> year, month, day, hour, minute, second, day_of_year, iso_year, iso_week, iso_day, week, julian, century,
      week_of_month, weekday;
  int32_t us = 0;
  bool pm = false, am = false, bc = false, clock12 = false, two_digit_year = false;
  std::optional<int64_t> second_of_day;
  std::optional<int32_t> zone_hour, zone_minute, zone_offset;
  bool zone_negative = false;
};

class FormatReader {
 public:
  FormatReader(std::string_view text, std::string_view format) : text_(text), rest_(text) {
    nodes_ = ParseFormat(format, &exact_);
  }

  absl::StatusOr<Read> Run() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const Node& n = nodes_[i];
      if (rest_.empty() && n.pattern == nullptr) continue;
      if (n.pattern == nullptr) {
        SkipLiteral(n);
        continue;
      }
      if (!exact_) {
        while (!rest_.empty() && IsSpace(rest_[0])) rest_.remove_prefix(1);
      }
      if (rest_.empty()) break;
      bool next_is_separator = i + 1 >= nodes_.size() || nodes_[i + 1].pattern == nullptr || !nodes_[i + 1].pattern->digits;
      RETURN_IF_ERROR(Take(n, next_is_separator));
      if (n.ordinal != 0) rest_.remove_prefix(std::min<size_t>(2, rest_.size()));
    }
    return r_;
  }

 private:
  // A separator of the format stands for any run of separators; other text skips as many characters as it has.
  void SkipLiteral(const Node& n) {
    if (n.key == Key::kSeparator) {
      if (exact_) {
        if (!rest_.empty()) rest_.remove_prefix(1);
        return;
      }
      while (!rest_.empty() && IsSpace(rest_[0])) rest_.remove_prefix(1);
      if (!rest_.empty() && IsSeparator(rest_[0])) {
        // A sign before a digit belongs to the number, unless the format has the same character.
        bool sign = (rest_[0] == '-' || rest_[0] == '+') && rest_[0] != n.literal[0] && IsSpace(n.literal[0]);
        if (!sign) rest_.remove_prefix(1);
      }
      return;
    }
    rest_.remove_prefix(std::min(Utf8Offset(rest_, Utf8Count(n.literal)), rest_.size()));
  }

  absl::Status Invalid(std::string_view what, const Node& n, std::string_view detail) const {
    return PgErrorBuilder(sqlstate::kInvalidDatetimeFormat, StrCat("invalid value \"", what, "\" for \"", n.pattern->name, "\""))
        .Detail(detail)
        .Build();
  }

  absl::Status Int(const Node& n, size_t length, bool open, std::optional<int32_t>* out) {
    std::string_view digits = rest_;
    size_t i = 0;
    if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) ++i;
    size_t limit = open || n.fill ? digits.size() : std::min(digits.size(), length);
    size_t begin = i;
    while (i < limit && digits[i] >= '0' && digits[i] <= '9') ++i;
    if (i == begin) return Invalid(rest_.substr(0, length), n, "Value must be an integer.");
    if (!open && !n.fill && i - begin < length && i < digits.size() && i < limit) {
      return PgErrorBuilder(sqlstate::kInvalidDatetimeFormat,
                            StrCat("invalid value \"", rest_.substr(0, length), "\" for \"", n.pattern->name, "\""))
          .Detail(StrCat("Field requires ", length, " characters, but only ", i, " could be parsed."))
          .Hint("If your source string is not fixed-width, try using the \"FM\" modifier.")
          .Build();
    }
    int32_t v = 0;
    auto [end, error] = std::from_chars(digits.data() + (digits[0] == '+' ? 1 : 0), digits.data() + i, v);
    if (error != std::errc()) {
      return PgErrorBuilder(sqlstate::kDatetimeFieldOverflow,
                            StrCat("value for \"", n.pattern->name, "\" in source string is out of range"))
          .Detail("Value must be in the range -2147483648 to 2147483647.")
          .Build();
    }
    rest_.remove_prefix(i);
    if (*out && **out != v) {
      return PgErrorBuilder(sqlstate::kInvalidDatetimeFormat,
                            StrCat("conflicting values for \"", n.pattern->name, "\" field in formatting string"))
          .Detail("This value contradicts a previous setting for the same field type.")
          .Build();
    }
    *out = v;
    return absl::OkStatus();
  }

  // One of some words, any case, longest first; its index.
  template <typename Names>
  absl::Status Word(const Node& n, const Names& names, size_t prefix, int* out) {
    std::string lower = AsciiLower(rest_);
    int best = -1;
    size_t best_size = 0;
    for (size_t i = 0; i < std::size(names); ++i) {
      std::string name = AsciiLower(std::string_view(names[i]).substr(0, prefix));
      if (lower.starts_with(name) && name.size() > best_size) {
        best = static_cast<int>(i);
        best_size = name.size();
      }
    }
    if (best < 0) {
      size_t end = 0;
      while (end < rest_.size() && !IsSpace(rest_[end])) ++end;
      return Invalid(rest_.substr(0, end), n, "The given value did not match any of the allowed values for this field.");
    }
    rest_.remove_prefix(best_size);
    *out = best;
    return absl::OkStatus();
  }

  absl::Status Year(const Node& n, size_t digits, bool open, std::optional<int32_t>* out) {
    size_t before = rest_.size();
    RETURN_IF_ERROR(Int(n, digits, open, out));
    size_t used = before - rest_.size();
    if (digits < 4 && used <= 3) {
      // Nearest to 2020.
      int32_t& y = **out;
      if (y < 70) y += 2000;
      else if (y < 100) y += 1900;
      else if (y < 520) y += 2000;
      else if (y < 1000) y += 1000;
    }
    return absl::OkStatus();
  }

  absl::Status Fraction(const Node& n, size_t digits) {
    size_t before = rest_.size();
    std::optional<int32_t> v;
    RETURN_IF_ERROR(Int(n, digits, false, &v));
    size_t used = before - rest_.size();
    int64_t us = *v;
    for (size_t i = used; i < 6; ++i) us *= 10;
    r_.us += static_cast<int32_t>(us);
    return absl::OkStatus();
  }

  absl::Status Take(const Node& n, bool open) {
    int word = 0;
    static constexpr std::string_view kMeridiem[] = {"am", "pm"}, kMeridiemDots[] = {"a.m.", "p.m."}, kEra[] = {"ad", "bc"},
                                      kEraDots[] = {"a.d.", "b.c."};
    switch (n.key) {
      case Key::kHH12:
        r_.clock12 = true;
        RETURN_IF_ERROR(Int(n, 2, open, &r_.hour));
        return absl::OkStatus();
      case Key::kHH24: return Int(n, 2, open, &r_.hour);
      case Key::kMI: return Int(n, 2, open, &r_.minute);
      case Key::kSS: return Int(n, 2, open, &r_.second);
      case Key::kMS: return Fraction(n, 3);
      case Key::kUS: return Fraction(n, 6);
      case Key::kFF: return Fraction(n, n.pattern->style);
      case Key::kSSSS: {
        std::optional<int32_t> v;
        RETURN_IF_ERROR(Int(n, 5, open, &v));
        r_.second_of_day = *v;
        return absl::OkStatus();
      }
      case Key::kAM:
      case Key::kAmDots:
        RETURN_IF_ERROR(n.key == Key::kAM ? Word(n, kMeridiem, 4, &word) : Word(n, kMeridiemDots, 4, &word));
        (word == 1 ? r_.pm : r_.am) = true;
        r_.clock12 = true;
        return absl::OkStatus();
      case Key::kAD:
      case Key::kAdDots:
        RETURN_IF_ERROR(n.key == Key::kAD ? Word(n, kEra, 4, &word) : Word(n, kEraDots, 4, &word));
        r_.bc = word == 1;
        return absl::OkStatus();
      case Key::kMonth:
        RETURN_IF_ERROR(Word(n, internal::kMonthNames, 20, &word));
        r_.month = word + 1;
        return absl::OkStatus();
      case Key::kMon:
        RETURN_IF_ERROR(Word(n, internal::kMonthNames, 3, &word));
        r_.month = word + 1;
        return absl::OkStatus();
      case Key::kRM:
        RETURN_IF_ERROR(Word(n, kRomanMonths, 4, &word));
        r_.month = word + 1;
        return absl::OkStatus();
      case Key::kMM: return Int(n, 2, open, &r_.month);
      case Key::kDay: RETURN_IF_ERROR(Word(n, internal::kDayNames, 20, &word)); return absl::OkStatus();
      case Key::kDy: RETURN_IF_ERROR(Word(n, internal::kDayNames, 3, &word)); return absl::OkStatus();
      case Key::kDDD: return Int(n, 3, open, &r_.day_of_year);
      case Key::kIDDD: return Int(n, 3, open, &r_.iso_day);
      case Key::kDD: return Int(n, 2, open, &r_.day);
      case Key::kD: {
        std::optional<int32_t> ignored;
        return Int(n, 1, open, &ignored);
      }
      case Key::kID: return Int(n, 1, open, &r_.weekday);
      case Key::kWW: return Int(n, 2, open, &r_.week);
      case Key::kIW: return Int(n, 2, open, &r_.iso_week);
      case Key::kW: return Int(n, 1, open, &r_.week_of_month);
      case Key::kQ: {
        std::optional<int32_t> ignored;
        return Int(n, 1, open, &ignored);
      }
      case Key::kCC: return Int(n, 2, open, &r_.century);
      case Key::kJ: return Int(n, 7, true, &r_.julian);
      case Key::kYcommaYYY: {
        std::optional<int32_t> thousands, rest;
        RETURN_IF_ERROR(Int(n, 7, true, &thousands));
        if (rest_.empty() || rest_[0] != ',') return Invalid(text_, n, "Value must be an integer.");
        rest_.remove_prefix(1);
        RETURN_IF_ERROR(Int(n, 3, false, &rest));
        r_.year = *thousands * 1000 + *rest;
        return absl::OkStatus();
      }
      case Key::kYYYY: return Year(n, 4, open, &r_.year);
      case Key::kYYY: return Year(n, 3, open, &r_.year);
      case Key::kYY: return Year(n, 2, open, &r_.year);
      case Key::kY: return Year(n, 1, open, &r_.year);
      case Key::kIYYY: return Year(n, 4, open, &r_.iso_year);
      case Key::kIYY: return Year(n, 3, open, &r_.iso_year);
      case Key::kIY: return Year(n, 2, open, &r_.iso_year);
      case Key::kI: return Year(n, 1, open, &r_.iso_year);
      case Key::kTZH:
        r_.zone_negative = rest_[0] == '-';
        if (rest_[0] == '-' || rest_[0] == '+') rest_.remove_prefix(1);
        return Int(n, 2, open, &r_.zone_hour);
      case Key::kTZM: return Int(n, 2, open, &r_.zone_minute);
      case Key::kTZ:
      case Key::kOF:
        return PgError(sqlstate::kFeatureNotSupported,
                       StrCat("formatting field \"", n.pattern->name, "\" is only supported in to_char"));
      default: return absl::OkStatus();
    }
  }

  std::string_view text_, rest_;
  std::vector<Node> nodes_;
  bool exact_ = false;
  Read r_;
};

absl::Status OutOfRange(std::string_view text) {
  return PgError(sqlstate::kDatetimeFieldOverflow, StrCat("date/time field value out of range: \"", text, "\""));
}

// The date that was read; year 1 BC, January 1 where nothing was.
absl::StatusOr<int64_t> DateOf(const Read& r, std::string_view text) {
  if (r.julian) return *r.julian - int64_t{2451545};
  int32_t year = r.year.value_or(0);
  bool has_year = r.year.has_value();
  if (r.century) {
    int32_t base = (*r.century - 1) * 100;
    year = has_year ? base + year % 100 + (year % 100 == 0 ? 100 : 0) : base + 1;
    has_year = true;
  }
  if (has_year && r.bc) year = 1 - year;
  else if (has_year && year < 0) year += 1;  // -44 is 44 BC
  if (r.iso_year || r.iso_week || r.iso_day) {
    int32_t iso = r.iso_year.value_or(0);
    int64_t first = DateFromCivil(iso, 1, 4);
    first -= (DayOfWeek(first) + 6) % 7;
    if (r.iso_day) return first + *r.iso_day - 1;
    if (r.iso_week && (*r.iso_week < 1 || *r.iso_week > 53)) return OutOfRange(text);
    return first + (r.iso_week.value_or(1) - 1) * 7 + (r.weekday ? *r.weekday - 1 : 0);
  }
  if (r.day_of_year) {
    if (*r.day_of_year < 1 || *r.day_of_year > 365 + (DaysInMonth(year, 2) == 29)) return OutOfRange(text);
    return DateFromCivil(year, 1, 1) + *r.day_of_year - 1;
  }
  if (r.week && !r.month && !r.day) return DateFromCivil(year, 1, 1) + (*r.week - 1) * 7;
  int32_t month = r.month.value_or(1), day = r.day.value_or(1);
  if (r.week_of_month && !r.day) day = (*r.week_of_month - 1) * 7 + 1;
  if (month < 1 || month > 12 || day < 1 || day > DaysInMonth(year, month)) return OutOfRange(text);
  return DateFromCivil(year, month, day);
}

absl::StatusOr<int64_t> TimeOf(const Read& r, std::string_view text) {
  if (r.second_of_day) {
    if (*r.second_of_day < 0 || *r.second_of_day >= 86400) return OutOfRange(text);
    return *r.second_of_day * kUsPerSecond + r.us;
  }
  int32_t hour = r.hour.value_or(0), minute = r.minute.value_or(0), second = r.second.value_or(0);
  if (r.clock12) {
    if (r.hour && (hour < 1 || hour > 12)) {
      return PgErrorBuilder(sqlstate::kInvalidDatetimeFormat, StrCat("hour \"", hour, "\" is invalid for the 12-hour clock"))
          .Hint("Use the 24-hour clock, or give an hour between 1 and 12.")
          .Build();
    }
    if (r.pm && hour < 12) hour += 12;
    else if (!r.pm && hour == 12) hour = 0;
  }
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return OutOfRange(text);
  return hour * kUsPerHour + minute * kUsPerMinute + second * kUsPerSecond + r.us;
}

}  // namespace

absl::StatusOr<int64_t> ReadDate(std::string_view text, std::string_view format) {
  ASSIGN_OR_RETURN(Read r, FormatReader(text, format).Run());
  ASSIGN_OR_RETURN(int64_t date, DateOf(r, text));
  RETURN_IF_ERROR(TimeOf(r, text).status());
  if (!IsValidDate(date)) return PgError(sqlstate::kDatetimeFieldOverflow, StrCat("date out of range: \"", text, "\""));
  return date;
}

absl::StatusOr<int64_t> ReadTimestampTz(const TimeZone& tz, std::string_view text, std::string_view format) {
  ASSIGN_OR_RETURN(Read r, FormatReader(text, format).Run());
  ASSIGN_OR_RETURN(int64_t date, DateOf(r, text));
  ASSIGN_OR_RETURN(int64_t time, TimeOf(r, text));
  ASSIGN_OR_RETURN(int64_t local, DateToTimestamp(date));
  local += time;
  int64_t offset = tz.OffsetForLocal(local);
  if (r.zone_hour || r.zone_minute) {
    offset = r.zone_hour.value_or(0) * 3600 + r.zone_minute.value_or(0) * 60;
    if (r.zone_negative) offset = -offset;
  }
  int64_t us = local - offset * kUsPerSecond;
  if (!IsValidTimestamp(us)) return PgError(sqlstate::kDatetimeFieldOverflow, "timestamp out of range");
  return us;
}

}  // namespace insula::sql
