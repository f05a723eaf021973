// Input of dates, times and timestamps.
//
// The usual ISO form goes through a fast path. All else is cut into fields (datetime_split.h), which are then understood one after
// another, by what is still missing and by DateStyle's order.
//
// A date's plain numbers are taken as in PostgreSQL: three or more digits are a year; otherwise the order decides.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/datetime.h"
#include "sql/types/datetime_names.h"
#include "sql/types/datetime_split.h"

namespace insula::sql {
namespace {

enum class Failure : uint8_t { kNone, kSyntax, kFieldOverflow, kMonthDayOverflow, kZoneOverflow, kZoneUnknown };

enum class Special : uint8_t { kNone, kNow, kToday, kTomorrow, kYesterday, kEpoch, kInfinity, kNegativeInfinity };

struct Parsed {
  CivilTime civil;
  bool has_year = false, has_month = false, has_day = false, has_time = false, text_month = false;
  bool two_digit_year = false, bc = false, pm = false, am = false;
  std::optional<int32_t> day_of_year;
  std::optional<int64_t> julian;
  std::optional<int32_t> offset_s;       // east
  const TimeZone* zone = nullptr;        // named zone
  Special special = Special::kNone;
  std::string bad_zone;
  bool HasDate() const { return (has_year && has_month && has_day) || day_of_year || julian; }
  bool HasAnyDate() const { return has_year || has_month || has_day || day_of_year || julian; }
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// ---- understanding

bool ToInt(std::string_view s, int32_t* out) {
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), *out);
  return error == std::errc() && end == s.data() + s.size();
}

// ".5", ".123456789" → µs, rounded.
int32_t FractionUs(std::string_view digits) {
  if (digits.empty()) return 0;
  double v = 0;
  std::string text = StrCat("0.", digits);
  std::from_chars(text.data(), text.data() + text.size(), v);
  return static_cast<int32_t>(std::rint(v * 1000000));
}

class Understanding {
 public:
  Understanding(const DateTimeSettings& settings, Parsed* out) : settings_(settings), p_(*out) {}

  Failure Run(const std::vector<Field>& fields) {
    for (size_t i = 0; i < fields.size(); ++i) {
      Failure failure = One(fields[i], i + 1 < fields.size() ? &fields[i + 1] : nullptr);
      if (failure != Failure::kNone) return failure;
    }
    if (julian_next_) return Failure::kSyntax;
    return Finish();
  }

 private:
  Failure One(const Field& f, const Field* next) {
    if (julian_next_ && f.kind != FieldKind::kNumber) return Failure::kSyntax;
    switch (f.kind) {
      case FieldKind::kDate: return Date(f.text);
      case FieldKind::kTime: return Time(f.text);
      case FieldKind::kOffset: return Offset(f.text);
      case FieldKind::kNumber: return Number(f.text, next);
      case FieldKind::kWord: return Word(f.text);
    }
    return Failure::kSyntax;
  }

  Failure Date(const std::string& text) {
    if (p_.HasDate() && !p_.has_time && text.find('-') != std::string::npos) {  // 040506-08: time and offset
      std::string_view time = std::string_view(text).substr(0, text.find('-'));
      time_next_ = false;
      Failure failure = RunTogetherTime(time, "");
      return failure != Failure::kNone ? failure : Offset(std::string_view(text).substr(time.size()));
    }
    if (p_.HasAnyDate() && !(p_.text_month && !p_.has_year && !p_.has_day)) {
      // "Jan 8-1999" is not a thing; two dates are an error. A zone's offset after a date such as 1999-01-08-05 is not supported.
      return Failure::kSyntax;
    }
    std::vector<std::string_view> parts;
    std::string_view rest = text;
    while (!rest.empty()) {
      size_t n = 0;
      bool digits = IsDigit(rest[0]);
      while (n < rest.size() && (digits ? IsDigit(rest[n]) : IsAlpha(rest[n]))) ++n;
      if (n == 0) {
        rest.remove_prefix(1);
        continue;
      }
      parts.push_back(rest.substr(0, n));
      rest.remove_prefix(n);
    }
    if (parts.empty() || parts.size() > 3) return Failure::kSyntax;
    for (auto part : parts) {  // names first: they change how numbers are read
      if (IsDigit(part[0])) continue;
      int month = internal::FindMonth(AsciiLower(part));
      if (month == 0 || p_.has_month) return Failure::kSyntax;
      p_.civil.month = month;
      p_.has_month = p_.text_month = true;
    }
    for (auto part : parts) {
      if (!IsDigit(part[0])) continue;
      Failure failure = DatePart(part);
      if (failure != Failure::kNone) return failure;
    }
    return p_.HasDate() ? Failure::kNone : Failure::kSyntax;
  }

  void SetYear(std::string_view digits, int32_t value) {
    p_.civil.year = value;
    p_.has_year = true;
    p_.two_digit_year = digits.size() <= 2;
  }

  // One plain number of a date.
  Failure DatePart(std::string_view digits) {
    int32_t value;
    if (!ToInt(digits, &value)) return Failure::kFieldOverflow;
    bool long_number = digits.size() >= 3;
    auto set_month = [&] { p_.civil.month = value; p_.has_month = true; };
    auto set_day = [&] { p_.civil.day = value; p_.has_day = true; };
    if (digits.size() == 3 && p_.has_year && !p_.has_month && !p_.has_day && value >= 1 && value <= 366) {
      p_.day_of_year = value;
      return Failure::kNone;
    }
    bool y = p_.has_year, m = p_.has_month, d = p_.has_day;
    if (!y && !m && !d) {
      if (long_number || settings_.date_order == DateOrder::kYmd) SetYear(digits, value);
      else if (settings_.date_order == DateOrder::kDmy) set_day();
      else set_month();
    } else if (y && !m && !d) {
      set_month();
    } else if (!y && m && !d) {
      if (p_.text_month && (long_number || settings_.date_order == DateOrder::kYmd)) SetYear(digits, value);
      else set_day();
    } else if (y && m && !d) {
      if (p_.text_month && long_number && p_.two_digit_year) {
        p_.civil.day = p_.civil.year;  // the number taken for a year was the day
        p_.has_day = true;
        SetYear(digits, value);
      } else {
        set_day();
      }
    } else if (!y && !m && d) {
      set_month();
    } else if (!y && m && d) {
      SetYear(digits, value);
    } else {
      return Failure::kSyntax;
    }
    return Failure::kNone;
  }

  // h:mm[:ss[.fff]]
  Failure Time(std::string_view text) {
    if (p_.has_time) return Failure::kSyntax;
    int32_t parts[3] = {0, 0, 0};
    int count = 0;
    std::string_view fraction;
    while (true) {
      size_t n = 0;
      while (n < text.size() && IsDigit(text[n])) ++n;
      if (n == 0 || count == 3 || !ToInt(text.substr(0, n), &parts[count++])) {
        return n == 0 || count >= 3 ? Failure::kSyntax : Failure::kFieldOverflow;
      }
      text.remove_prefix(n);
      if (text.empty()) break;
      if (text[0] == '.') {
        fraction = text.substr(1);
        for (char c : fraction) {
          if (!IsDigit(c)) return Failure::kSyntax;
        }
        break;
      }
      text.remove_prefix(1);
    }
    if (count < 2) return Failure::kSyntax;
    if (count == 2 && !fraction.empty()) {  // mm:ss.fff
      parts[2] = parts[1];
      parts[1] = parts[0];
      parts[0] = 0;
    }
    return SetTime(parts[0], parts[1], parts[2], FractionUs(fraction));
  }

  Failure SetTime(int32_t hour, int32_t minute, int32_t second, int32_t us) {
    p_.has_time = true;
    p_.civil.hour = hour;
    p_.civil.minute = minute;
    p_.civil.second = second;
    p_.civil.us = us;
    if (minute > 59 || second > 60) return Failure::kFieldOverflow;
    return Failure::kNone;
  }

  Failure Offset(std::string_view text) {
    bool negative = text[0] == '-';
    text.remove_prefix(1);
    int32_t h = 0, m = 0, s = 0;
    size_t colon = text.find(':');
    if (colon != std::string_view::npos) {
      std::string_view rest = text.substr(colon + 1);
      size_t colon2 = rest.find(':');
      if (!ToInt(text.substr(0, colon), &h) || !ToInt(rest.substr(0, colon2), &m)) return Failure::kSyntax;
      if (colon2 != std::string_view::npos && !ToInt(rest.substr(colon2 + 1), &s)) return Failure::kSyntax;
    } else if (text.find('.') != std::string_view::npos) {
      return Failure::kSyntax;
    } else if (text.size() > 2) {
      int32_t v;
      if (!ToInt(text, &v)) return Failure::kZoneOverflow;
      if (text.size() > 4) {
        s = v % 100;
        v /= 100;
      }
      m = v % 100;
      h = v / 100;
    } else if (!ToInt(text, &h)) {
      return Failure::kSyntax;
    }
    if (h > 15 || m > 59 || s > 59) return Failure::kZoneOverflow;
    int32_t offset = h * 3600 + m * 60 + s;
    if (p_.zone != nullptr) return Failure::kSyntax;
    if (p_.offset_s) {
      // "GMT+8": after an abbreviation the sign is POSIX's, west of Greenwich.
      if (!abbreviated_) return Failure::kSyntax;
      abbreviated_ = false;
      *p_.offset_s += negative ? offset : -offset;
      return Failure::kNone;
    }
    p_.offset_s = negative ? -offset : offset;
    return Failure::kNone;
  }

  Failure Number(std::string_view text, const Field* next) {
    size_t point = text.find('.');
    if (julian_next_) {
      julian_next_ = false;
      if (p_.HasAnyDate()) return Failure::kSyntax;
      int32_t day;
      if (!ToInt(text.substr(0, point), &day)) return Failure::kFieldOverflow;
      p_.julian = day;
      if (point != std::string_view::npos) {
        int64_t us = static_cast<int64_t>(FractionUs(text.substr(point + 1))) * 86400;
        Failure f = SetTime(static_cast<int32_t>(us / kUsPerHour), static_cast<int32_t>(us / kUsPerMinute % 60),
                            static_cast<int32_t>(us / kUsPerSecond % 60), static_cast<int32_t>(us % kUsPerSecond));
        if (f != Failure::kNone) return f;
      }
      return Failure::kNone;
    }
    std::string_view whole = text.substr(0, point);
    if (time_next_ || (point != std::string_view::npos && p_.HasDate())) {
      time_next_ = false;
      return RunTogetherTime(whole, point == std::string_view::npos ? "" : text.substr(point + 1));
    }
    if (point != std::string_view::npos) {
      if (!p_.HasAnyDate() && whole.size() == 4 && text.size() - point - 1 == 3) {  // year.day-of-year
        int32_t year, doy;
        if (!ToInt(whole, &year) || !ToInt(text.substr(point + 1), &doy)) return Failure::kSyntax;
        p_.civil.year = year;
        p_.has_year = true;
        p_.day_of_year = doy;
        return Failure::kNone;
      }
      return Failure::kSyntax;
    }
    if (whole.size() >= 6 && !p_.HasAnyDate()) return RunTogetherDate(whole);
    if (whole.size() >= 6 && p_.HasDate() && !p_.has_time) return RunTogetherTime(whole, "");
    if (p_.HasDate() && !p_.has_time) {
      // "4 pm": an hour alone.
      if (next != nullptr && next->kind == FieldKind::kWord && (next->text == "am" || next->text == "pm")) {
        int32_t hour;
        if (!ToInt(whole, &hour)) return Failure::kSyntax;
        return SetTime(hour, 0, 0, 0);
      }
      if (whole.size() == 4) return RunTogetherTime(whole, "");
      return Failure::kSyntax;
    }
    return DatePart(whole);
  }

  // yyyymmdd, yymmdd, yyyyddd
  Failure RunTogetherDate(std::string_view d) {
    int32_t year, month, day;
    if (d.size() == 7) {
      int32_t doy;
      if (!ToInt(d.substr(0, 4), &year) || !ToInt(d.substr(4), &doy)) return Failure::kSyntax;
      p_.civil.year = year;
      p_.has_year = true;
      p_.day_of_year = doy;
      return Failure::kNone;
    }
    size_t y = d.size() - 4;
    if (!ToInt(d.substr(0, y), &year) || !ToInt(d.substr(y, 2), &month) || !ToInt(d.substr(y + 2), &day)) {
      return Failure::kFieldOverflow;
    }
    SetYear(d.substr(0, y), year);
    p_.civil.month = month;
    p_.civil.day = day;
    p_.has_month = p_.has_day = true;
    return Failure::kNone;
  }

  // hhmmss[.fff], hhmm
  Failure RunTogetherTime(std::string_view d, std::string_view fraction) {
    if (p_.has_time) return Failure::kSyntax;
    int32_t h, m, s = 0;
    if (d.size() != 6 && (d.size() != 4 || !fraction.empty())) return Failure::kSyntax;
    if (!ToInt(d.substr(0, 2), &h) || !ToInt(d.substr(2, 2), &m)) return Failure::kSyntax;
    if (d.size() == 6 && !ToInt(d.substr(4), &s)) return Failure::kSyntax;
    return SetTime(h, m, s, FractionUs(fraction));
  }

  Failure SetSpecial(Special special) {
    if (p_.special != Special::kNone || p_.HasAnyDate()) return Failure::kSyntax;
    p_.special = special;
    return Failure::kNone;
  }

  Failure Word(const std::string& word) {
    if (word == "now") return SetSpecial(Special::kNow);
    if (word == "today") return SetSpecial(Special::kToday);
    if (word == "tomorrow") return SetSpecial(Special::kTomorrow);
    if (word == "yesterday") return SetSpecial(Special::kYesterday);
    if (word == "epoch") return SetSpecial(Special::kEpoch);
    if (word == "infinity" || word == "+infinity" || word == "inf") return SetSpecial(Special::kInfinity);
    if (word == "-infinity" || word == "-inf") return SetSpecial(Special::kNegativeInfinity);
    if (word == "allballs") {
      p_.offset_s = 0;
      return p_.has_time ? Failure::kSyntax : SetTime(0, 0, 0, 0);
    }
    if (word == "at" || word == "on") return Failure::kNone;
    if (word == "t") {
      time_next_ = p_.HasDate();
      // Before a time alone ("t04:05:06") it means nothing more.
      return Failure::kNone;
    }
    if (word == "j" || word == "jd" || word == "julian") {
      julian_next_ = true;
      return Failure::kNone;
    }
    if (word == "am" || word == "pm") {
      (word == "am" ? p_.am : p_.pm) = true;
      return Failure::kNone;
    }
    if (word == "ad" || word == "bc") {
      p_.bc = word == "bc";
      return Failure::kNone;
    }
    if (word == "dst") {
      if (!p_.offset_s) return Failure::kSyntax;
      *p_.offset_s += 3600;
      return Failure::kNone;
    }
    if (int month = internal::FindMonth(word); month != 0) {
      if (p_.has_month && !p_.text_month && !p_.has_day) {
        // "17 Dec": the number before was the day.
        p_.civil.day = p_.civil.month;
        p_.has_day = true;
      } else if (p_.has_month) {
        return Failure::kSyntax;
      }
      p_.civil.month = month;
      p_.has_month = p_.text_month = true;
      return Failure::kNone;
    }
    if (internal::FindWeekday(word) >= 0) return Failure::kNone;
    int32_t offset;
    if (internal::FindZoneAbbreviation(word, &offset)) {
      if (p_.offset_s || p_.zone != nullptr) return Failure::kSyntax;
      p_.offset_s = offset;
      abbreviated_ = true;
      return Failure::kNone;
    }
    if (const TimeZone* zone = TimeZone::Find(word); zone != nullptr && p_.zone == nullptr && !p_.offset_s) {
      p_.zone = zone;
      return Failure::kNone;
    }
    if (word.find('/') != std::string::npos) {
      p_.bad_zone = AsciiLower(word);
      return Failure::kZoneUnknown;
    }
    return Failure::kSyntax;
  }

  Failure Finish() {
    if (p_.has_year) {
      if (p_.bc) {
        if (p_.civil.year <= 0) return Failure::kFieldOverflow;
        p_.civil.year = -(p_.civil.year - 1);
      } else if (p_.two_digit_year) {
        if (p_.civil.year < 0) return Failure::kFieldOverflow;
        if (p_.civil.year < 70) p_.civil.year += 2000;
        else if (p_.civil.year < 100) p_.civil.year += 1900;
      } else if (p_.civil.year <= 0) {
        return Failure::kFieldOverflow;  // there is no year 0
      }
    }
    if (p_.julian) {
      int64_t date = *p_.julian - 2451545;
      CivilFromDate(date, &p_.civil.year, &p_.civil.month, &p_.civil.day);
    } else if (p_.day_of_year) {
      int64_t date = DateFromCivil(p_.civil.year, 1, 1) + *p_.day_of_year - 1;
      if (*p_.day_of_year < 1) return Failure::kFieldOverflow;
      CivilFromDate(date, &p_.civil.year, &p_.civil.month, &p_.civil.day);
    } else {
      if (p_.has_month && (p_.civil.month < 1 || p_.civil.month > 12)) return Failure::kMonthDayOverflow;
      if (p_.has_day && (p_.civil.day < 1 || p_.civil.day > 31)) return Failure::kMonthDayOverflow;
      if (p_.HasDate() && p_.civil.day > DaysInMonth(p_.civil.year, p_.civil.month)) return Failure::kFieldOverflow;
    }
    if (p_.am || p_.pm) {
      if (!p_.has_time) return Failure::kSyntax;
      if (p_.civil.hour > 12) return Failure::kFieldOverflow;
      if (p_.am && p_.civil.hour == 12) p_.civil.hour = 0;
      else if (p_.pm && p_.civil.hour != 12) p_.civil.hour += 12;
    }
    if (p_.civil.hour > 24 || (p_.civil.hour == 24 && (p_.civil.minute > 0 || p_.civil.second > 0 || p_.civil.us > 0))) {
      return Failure::kFieldOverflow;
    }
    return Failure::kNone;
  }

  const DateTimeSettings& settings_;
  Parsed& p_;
  bool julian_next_ = false, time_next_ = false, abbreviated_ = false;
};

absl::Status FailureStatus(Failure failure, std::string_view type, std::string_view text, const Parsed& parsed) {
  switch (failure) {
    case Failure::kFieldOverflow:
      return PgError(sqlstate::kDatetimeFieldOverflow, StrCat("date/time field value out of range: \"", text, "\""));
    case Failure::kMonthDayOverflow:
      return PgErrorBuilder(sqlstate::kDatetimeFieldOverflow, StrCat("date/time field value out of range: \"", text, "\""))
          .Hint("Perhaps you need a different \"datestyle\" setting.")
          .Build();
    case Failure::kZoneOverflow:
      return PgError("22009", StrCat("time zone displacement out of range: \"", text, "\""));
    case Failure::kZoneUnknown:
      return PgError(sqlstate::kInvalidParameterValue, StrCat("time zone \"", parsed.bad_zone, "\" not recognized"));
    default:
      return PgError(sqlstate::kInvalidDatetimeFormat, StrCat("invalid input syntax for type ", type, ": \"", text, "\""));
  }
}

absl::Status ParseText(const DateTimeSettings& s, std::string_view type, std::string_view text, Parsed* parsed) {
  std::vector<Field> fields;
  Failure failure = Failure::kSyntax;
  if (SplitDateTime(text, &fields) && !fields.empty()) failure = Understanding(s, parsed).Run(fields);
  return failure == Failure::kNone ? absl::OkStatus() : FailureStatus(failure, type, text, *parsed);
}

int64_t TimeOf(const CivilTime& c) {
  return c.hour * kUsPerHour + c.minute * kUsPerMinute + c.second * kUsPerSecond + c.us;
}

// Offset (east) that input with this local time has.
int32_t OffsetOf(const DateTimeSettings& s, const Parsed& p, int64_t local) {
  if (p.offset_s) return *p.offset_s;
  return (p.zone != nullptr ? p.zone : s.time_zone)->OffsetForLocal(local);
}

// The local date that a special word stands for, in the session's zone.
int64_t SpecialDate(const DateTimeSettings& s, Special special) {
  int64_t today = TimestampTzToDate(*s.time_zone, s.now_us);
  if (special == Special::kTomorrow) return today + 1;
  return special == Special::kYesterday ? today - 1 : today;
}

// Two digits, or -1.
int Two(const char* p) { return IsDigit(p[0]) && IsDigit(p[1]) ? (p[0] - '0') * 10 + (p[1] - '0') : -1; }

// "YYYY-MM-DD" at the start: true, and its length is 10.
bool IsoDate(std::string_view t, CivilTime* c) {
  if (t.size() < 10 || t[4] != '-' || t[7] != '-') return false;
  int a = Two(t.data()), b = Two(t.data() + 2), m = Two(t.data() + 5), d = Two(t.data() + 8);
  if (a < 0 || b < 0 || m < 1 || m > 12 || d < 1) return false;
  c->year = a * 100 + b;
  c->month = m;
  c->day = d;
  return c->year > 0 && d <= DaysInMonth(c->year, m);
}

// "HH:MM[:SS[.ffffff]]" at the start; *length is what it took.
bool IsoTime(std::string_view t, CivilTime* c, size_t* length) {
  if (t.size() < 5 || t[2] != ':') return false;
  int h = Two(t.data()), m = Two(t.data() + 3), s = 0;
  size_t n = 5;
  int32_t us = 0;
  if (t.size() >= 8 && t[5] == ':') {
    s = Two(t.data() + 6);
    n = 8;
    if (n < t.size() && t[n] == '.') {
      int32_t unit = 100000;
      ++n;
      size_t begin = n;
      for (; n < t.size() && IsDigit(t[n]); ++n) {
        if (n - begin >= 6) return false;
        us += (t[n] - '0') * unit;
        unit /= 10;
      }
    }
  }
  if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59) return false;
  c->hour = h;
  c->minute = m;
  c->second = s;
  c->us = us;
  *length = n;
  return true;
}

// The whole text as ISO date or timestamp, with an optional numeric offset of whole hours or minutes.
bool FastIso(std::string_view t, Parsed* p) {
  if (!IsoDate(t, &p->civil)) return false;
  t.remove_prefix(10);
  if (!t.empty()) {
    if (t[0] != ' ' && t[0] != 'T') return false;
    t.remove_prefix(1);
    size_t n;
    if (!IsoTime(t, &p->civil, &n)) return false;
    p->has_time = true;
    t.remove_prefix(n);
    if (t == "Z") {
      p->offset_s = 0;
    } else if (!t.empty()) {
      if ((t[0] != '+' && t[0] != '-') || (t.size() != 3 && !(t.size() == 6 && t[3] == ':'))) return false;
      int h = Two(t.data() + 1), m = t.size() == 6 ? Two(t.data() + 4) : 0;
      if (h < 0 || h > 15 || m < 0 || m > 59) return false;
      p->offset_s = (t[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
    }
  }
  p->has_year = p->has_month = p->has_day = true;
  return true;
}

}  // namespace

absl::StatusOr<int64_t> ParseDate(const DateTimeSettings& s, std::string_view text) {
  Parsed p;
  if (!FastIso(text, &p)) {
    p = Parsed();
    RETURN_IF_ERROR(ParseText(s, "date", text, &p));
  }
  switch (p.special) {
    case Special::kNone: break;
    case Special::kEpoch: return -kPostgresEpochDays;
    case Special::kInfinity: return kDateInfinity;
    case Special::kNegativeInfinity: return kDateNegativeInfinity;
    default: return SpecialDate(s, p.special);
  }
  if (!p.HasDate()) return FailureStatus(Failure::kSyntax, "date", text, p);
  int64_t date = DateFromCivil(p.civil.year, p.civil.month, p.civil.day);
  if (!IsValidDate(date)) return PgError(sqlstate::kDatetimeFieldOverflow, StrCat("date out of range: \"", text, "\""));
  return date;
}

namespace {

// Local time of a parsed timestamp; specials other than infinities included.
absl::StatusOr<int64_t> LocalOf(const DateTimeSettings& s, const Parsed& p, std::string_view type, std::string_view text) {
  if (p.special == Special::kToday || p.special == Special::kTomorrow || p.special == Special::kYesterday) {
    return SpecialDate(s, p.special) * kUsPerDay + (p.has_time ? TimeOf(p.civil) : 0);
  }
  if (!p.HasDate()) return FailureStatus(Failure::kSyntax, type, text, p);
  int64_t local = TimestampFromCivil(p.civil);
  if (local <= kTimestampNegativeInfinity + 1 || local >= kTimestampInfinity - 1) {
    return PgError(sqlstate::kDatetimeFieldOverflow, StrCat("timestamp out of range: \"", text, "\""));
  }
  return local;
}

}  // namespace

absl::StatusOr<int64_t> ParseTimestamp(const DateTimeSettings& s, std::string_view text, int32_t typmod) {
  constexpr std::string_view kType = "timestamp";
  Parsed p;
  if (!FastIso(text, &p)) {
    p = Parsed();
    RETURN_IF_ERROR(ParseText(s, kType, text, &p));
  }
  switch (p.special) {
    case Special::kEpoch: return -kPostgresEpochUs;
    case Special::kInfinity: return kTimestampInfinity;
    case Special::kNegativeInfinity: return kTimestampNegativeInfinity;
    case Special::kNow: return RoundTimeUs(TimestampTzToTimestamp(*s.time_zone, s.now_us), typmod);
    default: break;
  }
  ASSIGN_OR_RETURN(int64_t local, LocalOf(s, p, kType, text));
  if (!IsValidTimestamp(local)) {
    return PgError(sqlstate::kDatetimeFieldOverflow, StrCat("timestamp out of range: \"", text, "\""));
  }
  return RoundTimeUs(local, typmod);
}

absl::StatusOr<int64_t> ParseTimestampTz(const DateTimeSettings& s, std::string_view text, int32_t typmod) {
  constexpr std::string_view kType = "timestamp with time zone";
  Parsed p;
  if (!FastIso(text, &p)) {
    p = Parsed();
    RETURN_IF_ERROR(ParseText(s, kType, text, &p));
  }
  switch (p.special) {
    case Special::kEpoch: return -kPostgresEpochUs;
    case Special::kInfinity: return kTimestampInfinity;
    case Special::kNegativeInfinity: return kTimestampNegativeInfinity;
    case Special::kNow: return RoundTimeUs(s.now_us, typmod);
    default: break;
  }
  ASSIGN_OR_RETURN(int64_t local, LocalOf(s, p, kType, text));
  int64_t us;
  if (__builtin_sub_overflow(local, OffsetOf(s, p, local) * kUsPerSecond, &us) || !IsValidTimestamp(us)) {
    return PgError(sqlstate::kDatetimeFieldOverflow, StrCat("timestamp out of range: \"", text, "\""));
  }
  return RoundTimeUs(us, typmod);
}

namespace {

// hhmmss without separators is a time when a time is asked for.
absl::Status ParseTimeText(const DateTimeSettings& s, std::string_view type, std::string_view text, Parsed* p) {
  size_t n = 0;
  if (IsoTime(text, &p->civil, &n) && n == text.size()) {
    p->has_time = true;
    return absl::OkStatus();
  }
  *p = Parsed();
  std::vector<Field> fields;
  Failure failure = Failure::kSyntax;
  if (SplitDateTime(text, &fields) && !fields.empty()) {
    bool has_clock = false, has_date = false;
    for (const Field& f : fields) {
      has_clock |= f.kind == FieldKind::kTime;
      has_date |= f.kind == FieldKind::kDate;
    }
    if (!has_clock && !has_date) {
      for (Field& f : fields) {
        if (f.kind != FieldKind::kNumber) continue;
        std::string_view whole = std::string_view(f.text).substr(0, f.text.find('.'));
        if (whole.size() != 6 && whole.size() != 4) break;
        std::string fixed(whole.substr(0, 2));
        StrAppend(&fixed, ":", whole.substr(2, 2));
        if (whole.size() == 6) StrAppend(&fixed, ":", whole.substr(4), std::string_view(f.text).substr(whole.size()));
        f = {FieldKind::kTime, fixed};
        break;
      }
    }
    failure = Understanding(s, p).Run(fields);
  }
  return failure == Failure::kNone ? absl::OkStatus() : FailureStatus(failure, type, text, *p);
}

// A zone whose offset changes over the year means nothing without a date.
bool LacksDate(const DateTimeSettings& s, const Parsed& p) {
  if (p.zone == nullptr || p.HasDate()) return false;
  constexpr int64_t kQuarter = 91 * kUsPerDay;
  for (int i = 1; i <= 3; ++i) {
    if (p.zone->At(s.now_us + i * kQuarter).offset_s != p.zone->At(s.now_us).offset_s) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<int64_t> ParseTime(const DateTimeSettings& s, std::string_view text, int32_t typmod) {
  constexpr std::string_view kType = "time";
  Parsed p;
  RETURN_IF_ERROR(ParseTimeText(s, kType, text, &p));
  if (p.special == Special::kNow) {
    int64_t local = TimestampTzToTimestamp(*s.time_zone, s.now_us);
    return RoundTimeUs(local - TimestampToDate(local) * kUsPerDay, typmod);
  }
  if (!p.has_time || LacksDate(s, p)) return FailureStatus(Failure::kSyntax, kType, text, p);
  return RoundTimeUs(TimeOf(p.civil), typmod);
}

absl::StatusOr<TimeTz> ParseTimeTz(const DateTimeSettings& s, std::string_view text, int32_t typmod) {
  constexpr std::string_view kType = "time with time zone";
  Parsed p;
  RETURN_IF_ERROR(ParseTimeText(s, kType, text, &p));
  if (p.special == Special::kNow) {
    int32_t east = s.time_zone->At(s.now_us).offset_s;
    int64_t local = s.now_us + east * kUsPerSecond;
    return TimeTz{RoundTimeUs(local - TimestampToDate(local) * kUsPerDay, typmod), -east};
  }
  if (!p.has_time || LacksDate(s, p)) return FailureStatus(Failure::kSyntax, kType, text, p);
  int64_t date = p.HasDate() ? DateFromCivil(p.civil.year, p.civil.month, p.civil.day) : SpecialDate(s, Special::kToday);
  int64_t time = TimeOf(p.civil);
  return TimeTz{RoundTimeUs(time, typmod), -OffsetOf(s, p, date * kUsPerDay + time)};
}

}  // namespace insula::sql
