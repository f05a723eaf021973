// Text of intervals: input in PostgreSQL's, the SQL standard's and ISO 8601's forms; output in the four IntervalStyles.
//
// Input reads numbers with the unit that follows them ("1 day 2.5 hours ago", "1-2", "3 4:05:06"). A fraction of a unit spills to
// smaller ones: of months to days (30), of days to time.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/types/datetime.h"
#include "sql/types/datetime_names.h"

namespace insula::sql {

using internal::Unit;

namespace {

enum class Failure : uint8_t { kNone, kSyntax, kOverflow, kOutOfRange };

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// A decimal number in two parts, so that large counts of µs stay exact.
struct Amount {
  int64_t whole = 0;
  double fraction = 0;  // same sign
};

class IntervalParser {
 public:
  IntervalParser(std::string_view text, int32_t typmod, bool sql_standard)
      : rest_(text), range_(typmod < 0 ? 0x7FFF : (typmod >> 16) & 0x7FFF), sql_standard_(sql_standard) {}

  Failure Run(Interval* out) {
    Skip();
    if (rest_.empty()) return Failure::kSyntax;
    Failure failure = rest_[0] == 'P' || rest_[0] == 'p' ? Iso8601() : Fields();
    *out = v_;
    return failure;
  }

 private:
  void Skip() {
    while (!rest_.empty() && (IsSpace(rest_[0]) || rest_[0] == ',')) rest_.remove_prefix(1);
  }
  bool At(char c) const { return !rest_.empty() && rest_[0] == c; }

  // digits [. digits]; at least one digit.
  Failure Number(bool negative, Amount* out) {
    size_t n = 0;
    while (n < rest_.size() && IsDigit(rest_[n])) ++n;
    *out = Amount();
    if (n > 0) {
      auto [end, error] = std::from_chars(rest_.data(), rest_.data() + n, out->whole);
      if (error != std::errc()) return Failure::kOverflow;
    }
    rest_.remove_prefix(n);
    size_t fraction_digits = 0;
    if (At('.')) {
      size_t m = 1;
      while (m < rest_.size() && IsDigit(rest_[m])) ++m;
      fraction_digits = m - 1;
      if (m > 1) {
        std::string text = StrCat("0", rest_.substr(0, m));
        std::from_chars(text.data(), text.data() + text.size(), out->fraction);
      }
      rest_.remove_prefix(m);
    }
    if (n == 0 && fraction_digits == 0) return Failure::kSyntax;
    if (negative) {
      out->whole = -out->whole;
      out->fraction = -out->fraction;
    }
    return Failure::kNone;
  }

  Failure AddUs(double us) {
    us = std::rint(us);
    if (us < -9.2e18 || us > 9.2e18 || __builtin_add_overflow(v_.us, static_cast<int64_t>(us), &v_.us)) return Failure::kOverflow;
    return Failure::kNone;
  }
  Failure AddTime(const Amount& a, int64_t unit_us) {
    int64_t us;
    if (__builtin_mul_overflow(a.whole, unit_us, &us) || __builtin_add_overflow(v_.us, us, &v_.us)) return Failure::kOverflow;
    return AddUs(a.fraction * static_cast<double>(unit_us));
  }
  Failure AddDays(int64_t days, double fraction) {
    if (days < INT32_MIN || days > INT32_MAX || __builtin_add_overflow(v_.days, static_cast<int32_t>(days), &v_.days)) {
      return Failure::kOverflow;
    }
    double whole = std::trunc(fraction);
    if (__builtin_add_overflow(v_.days, static_cast<int32_t>(whole), &v_.days)) return Failure::kOverflow;
    return AddUs((fraction - whole) * static_cast<double>(kUsPerDay));
  }
  Failure AddMonths(const Amount& a, int32_t unit) {
    int64_t months;
    if (__builtin_mul_overflow(a.whole, static_cast<int64_t>(unit), &months)) return Failure::kOverflow;
    double fraction = a.fraction * unit;
    // Fractions of a year and more round to months; those of a month become days.
    double whole = unit == 1 ? 0 : std::rint(fraction);
    if (unit != 1) fraction = 0;
    months += static_cast<int64_t>(whole);
    if (a.whole < INT32_MIN || a.whole > INT32_MAX) return Failure::kOverflow;
    if (months < INT32_MIN || months > INT32_MAX || __builtin_add_overflow(v_.months, static_cast<int32_t>(months), &v_.months)) {
      return Failure::kOutOfRange;
    }
    return AddDays(0, fraction * 30);
  }

  Failure Add(const Amount& a, Unit unit) {
    uint32_t bit = uint32_t{1} << static_cast<int>(unit);
    if (seen_ & bit) return Failure::kSyntax;
    seen_ |= bit;
    switch (unit) {
      case Unit::kMicrosecond: return AddTime(a, 1);
      case Unit::kMillisecond: return AddTime(a, 1000);
      case Unit::kSecond: return AddTime(a, kUsPerSecond);
      case Unit::kMinute: return AddTime(a, kUsPerMinute);
      case Unit::kHour: return AddTime(a, kUsPerHour);
      case Unit::kDay: return AddDays(a.whole, a.fraction);
      case Unit::kWeek: {
        int64_t days;
        if (__builtin_mul_overflow(a.whole, int64_t{7}, &days)) return Failure::kOverflow;
        return AddDays(days, a.fraction * 7);
      }
      case Unit::kMonth: return AddMonths(a, 1);
      case Unit::kYear: return AddMonths(a, 12);
      case Unit::kDecade: return AddMonths(a, 120);
      case Unit::kCentury: return AddMonths(a, 1200);
      case Unit::kMillennium: return AddMonths(a, 12000);
      default: return Failure::kSyntax;
    }
  }

  // The unit of a last number without one, by the type's fields.
  Unit DefaultUnit() const {
    constexpr int32_t kMonth = 1 << 1, kYear = 1 << 2, kDay = 1 << 3, kHour = 1 << 10, kMinute = 1 << 11, kSecond = 1 << 12;
    if (range_ == 0x7FFF || (range_ & kSecond)) return Unit::kSecond;
    if (range_ & kMinute) return Unit::kMinute;
    if (range_ & kHour) return Unit::kHour;
    if (range_ & kDay) return Unit::kDay;
    if (range_ & kMonth) return Unit::kMonth;
    if (range_ & kYear) return Unit::kYear;
    return Unit::kSecond;
  }

  // h:mm[:ss[.f]] after its first number; `hours` is that number.
  Failure Clock(bool negative, int64_t hours) {
    int64_t parts[3] = {hours, 0, 0};
    int count = 1;
    double fraction = 0;
    bool has_fraction = false;
    while (At(':')) {
      rest_.remove_prefix(1);
      size_t n = 0;
      while (n < rest_.size() && IsDigit(rest_[n])) ++n;
      if (count == 3) return Failure::kSyntax;
      if (n == 0) {
        if (count == 2 || !rest_.empty()) return Failure::kSyntax;  // "1:" is one hour
        ++count;
        break;
      }
      if (std::from_chars(rest_.data(), rest_.data() + n, parts[count++]).ec != std::errc()) return Failure::kOverflow;
      rest_.remove_prefix(n);
    }
    if (At('.')) {
      size_t m = 1;
      while (m < rest_.size() && IsDigit(rest_[m])) ++m;
      std::string text = StrCat("0", rest_.substr(0, m), "0");
      std::from_chars(text.data(), text.data() + text.size(), fraction);
      rest_.remove_prefix(m);
      has_fraction = true;
    }
    constexpr int32_t kMinute = 1 << 11, kSecond = 1 << 12;
    if (count == 2 && (has_fraction || range_ == (kMinute | kSecond))) {
      parts[2] = parts[1];
      parts[1] = parts[0];
      parts[0] = 0;
    }
    if (parts[1] > 59 || parts[2] > 60) return Failure::kOverflow;
    __int128 us = static_cast<__int128>(parts[0]) * kUsPerHour + parts[1] * kUsPerMinute + parts[2] * kUsPerSecond +
                  static_cast<int64_t>(std::rint(fraction * 1e6));
    if (negative) us = -us;
    us += v_.us;
    if (us > INT64_MAX || us < INT64_MIN) return Failure::kOverflow;
    v_.us = static_cast<int64_t>(us);
    return Failure::kNone;
  }

  Failure Fields() {
    bool ago = false, any = false;
    bool pending = false;  // a number whose unit has not come
    bool leading_negative = sql_standard_ && LeadingSignGovernsAll();
    Amount number;
    while (true) {
      Skip();
      if (rest_.empty()) break;
      char c = rest_[0];
      if (c == '@') {
        rest_.remove_prefix(1);
        continue;
      }
      if (IsAlpha(c)) {
        size_t n = 0;
        while (n < rest_.size() && IsAlpha(rest_[n])) ++n;
        std::string word = AsciiLower(rest_.substr(0, n));
        rest_.remove_prefix(n);
        if (At('.')) rest_.remove_prefix(1);
        if (word == "ago") {
          if (!any && !pending) return Failure::kSyntax;
          ago = true;
          continue;
        }
        Unit unit;
        if (!pending || !internal::FindIntervalUnit(word, &unit)) return Failure::kSyntax;
        pending = false;
        any = true;
        if (Failure f = Add(number, unit); f != Failure::kNone) return f;
        continue;
      }
      bool negative = leading_negative, sign = c == '+' || c == '-';
      if (sign) {
        negative = c == '-';
        rest_.remove_prefix(1);
        Skip();
      }
      if (pending) {
        // A number without a unit before a time is days: "1 2:03".
        if (!TimeFollows()) return Failure::kSyntax;
        pending = false;
        any = true;
        if (Failure f = Add(number, Unit::kDay); f != Failure::kNone) return f;
      }
      if (Failure f = Number(negative, &number); f != Failure::kNone) return f;
      if (At(':')) {
        if (number.fraction != 0) return Failure::kSyntax;
        if (Failure f = Clock(negative, std::abs(number.whole)); f != Failure::kNone) return f;
        any = true;
      } else if (At('-') && rest_.size() > 1 && IsDigit(rest_[1]) && number.fraction == 0) {
        rest_.remove_prefix(1);  // years-months
        Amount months;
        if (Failure f = Number(negative, &months); f != Failure::kNone) return f;
        if (At('-')) return Failure::kSyntax;  // a date
        if (std::llabs(months.whole) >= 12) return Failure::kOverflow;
        if (Failure f = Add(number, Unit::kYear); f != Failure::kNone) return f;
        if (Failure f = Add(months, Unit::kMonth); f != Failure::kNone) return f;
        any = true;
      } else {
        pending = true;
      }
    }
    if (pending) {
      if (Failure f = Add(number, DefaultUnit()); f != Failure::kNone) return f;
      any = true;
    }
    if (!any) return Failure::kSyntax;
    if (ago) {
      if (v_.us == INT64_MIN || v_.days == INT32_MIN || v_.months == INT32_MIN) return Failure::kOverflow;
      v_ = {-v_.us, -v_.days, -v_.months};
    }
    return Failure::kNone;
  }

  bool TimeFollows() const {
    size_t n = 0;
    while (n < rest_.size() && IsDigit(rest_[n])) ++n;
    return n > 0 && n < rest_.size() && rest_[n] == ':';
  }

  // IntervalStyle sql_standard: a leading minus without other signs goes for all fields.
  bool LeadingSignGovernsAll() const {
    if (!At('-')) return false;
    for (size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '+') return false;
      if (rest_[i] == '-' && (i == 0 || !IsDigit(rest_[i - 1]))) return false;
      if (IsAlpha(rest_[i])) return false;
    }
    return true;
  }

  // P1Y2M3DT4H5M6.5S, and the alternative P0001-02-03T04:05:06.
  Failure Iso8601() {
    rest_.remove_prefix(1);
    if (rest_.empty()) return Failure::kSyntax;
    bool time = false;
    bool any = false;
    while (!rest_.empty()) {
      if (At('T') || At('t')) {
        if (time) return Failure::kSyntax;
        time = any = true;
        rest_.remove_prefix(1);
        continue;
      }
      bool negative = At('-');
      if (negative || At('+')) rest_.remove_prefix(1);
      Amount number;
      if (Failure f = Number(negative, &number); f != Failure::kNone) return f;
      any = true;
      if (rest_.empty() || (time && At(':')) || (!time && (At('-') || At('T')))) return Alternative(negative, number, time);
      char c = static_cast<char>(rest_[0] & ~0x20);
      rest_.remove_prefix(1);
      Unit unit;
      if (c == 'Y' && !time) unit = Unit::kYear;
      else if (c == 'M') unit = time ? Unit::kMinute : Unit::kMonth;
      else if (c == 'W' && !time) unit = Unit::kWeek;
      else if (c == 'D' && !time) unit = Unit::kDay;
      else if (c == 'H' && time) unit = Unit::kHour;
      else if (c == 'S' && time) unit = Unit::kSecond;
      else return Failure::kSyntax;
      if (Failure f = Add(number, unit); f != Failure::kNone) return f;
    }
    return any ? Failure::kNone : Failure::kSyntax;
  }

  Failure Alternative(bool negative, Amount first, bool time) {
    if (!time) {
      static constexpr Unit kUnits[] = {Unit::kYear, Unit::kMonth, Unit::kDay};
      int i = 0;
      while (true) {
        if (i == 3) return Failure::kSyntax;
        if (Failure f = Add(first, kUnits[i++]); f != Failure::kNone) return f;
        if (!At('-')) break;
        rest_.remove_prefix(1);
        if (Failure f = Number(negative, &first); f != Failure::kNone) return f;
      }
      if (rest_.empty()) return Failure::kNone;
      if (!At('T') && !At('t')) return Failure::kSyntax;
      rest_.remove_prefix(1);
      negative = At('-');
      if (negative || At('+')) rest_.remove_prefix(1);
      if (Failure f = Number(negative, &first); f != Failure::kNone) return f;
    }
    if (At(':')) {
      if (Failure f = Clock(negative, std::llabs(first.whole)); f != Failure::kNone) return f;
    } else if (Failure f = Add(first, Unit::kHour); f != Failure::kNone) {
      return f;
    }
    return rest_.empty() ? Failure::kNone : Failure::kSyntax;
  }

  std::string_view rest_;
  int32_t range_;
  bool sql_standard_;
  uint32_t seen_ = 0;  // units that have come: each may once
  Interval v_;
};

// ---- output

struct Fields {
  int64_t years, months, days, hours, minutes, seconds, us;  // all of their own sign
  explicit Fields(const Interval& v)
      : years(v.months / 12),
        months(v.months % 12),
        days(v.days),
        hours(v.us / kUsPerHour),
        minutes(v.us / kUsPerMinute % 60),
        seconds(v.us / kUsPerSecond % 60),
        us(v.us % kUsPerSecond) {}
};

std::string TwoDigits(int64_t v) { return StrCat(std::llabs(v) < 10 ? "0" : "", std::llabs(v)); }

// "6.5" from 6 s and 500000 µs, absolute; whole seconds padded to two digits if asked.
std::string Seconds(int64_t seconds, int64_t us, bool pad) {
  std::string out = pad ? TwoDigits(seconds) : StrCat(std::llabs(seconds));
  us = std::llabs(us);
  if (us == 0) return out;
  std::string fraction = StrCat(us);
  fraction.insert(0, 6 - fraction.size(), '0');
  fraction.resize(fraction.find_last_not_of('0') + 1);
  return StrCat(out, ".", fraction);
}

void AppendPostgres(const Fields& f, std::string* out) {
  bool first = true, before = false;
  auto part = [&](int64_t value, std::string_view unit) {
    if (value == 0) return;
    StrAppend(out, first ? "" : " ", before && value > 0 ? "+" : "", value, " ", unit, value != 1 ? "s" : "");
    before = value < 0;
    first = false;
  };
  part(f.years, "year");
  part(f.months, "mon");
  part(f.days, "day");
  if (!first && f.hours == 0 && f.minutes == 0 && f.seconds == 0 && f.us == 0) return;
  bool minus = f.hours < 0 || f.minutes < 0 || f.seconds < 0 || f.us < 0;
  StrAppend(out, first ? "" : " ", minus ? "-" : (before ? "+" : ""), TwoDigits(f.hours), ":", TwoDigits(f.minutes), ":",
            Seconds(f.seconds, f.us, true));
}

void AppendVerbose(const Fields& f, std::string* out) {
  bool first = true, before = false;
  out->append("@");
  auto part = [&](int64_t value, std::string_view unit) {
    if (value == 0) return;
    if (first) {
      before = value < 0;
      value = std::llabs(value);
    } else if (before) {
      value = -value;
    }
    StrAppend(out, " ", value, " ", unit, value != 1 ? "s" : "");
    first = false;
  };
  part(f.years, "year");
  part(f.months, "mon");
  part(f.days, "day");
  part(f.hours, "hour");
  part(f.minutes, "min");
  if (f.seconds != 0 || f.us != 0) {
    bool negative = f.seconds < 0 || f.us < 0;
    if (first) before = negative;
    StrAppend(out, " ", first || negative == before ? "" : "-", Seconds(f.seconds, f.us, false), " sec",
              std::llabs(f.seconds) != 1 || f.us != 0 ? "s" : "");
    first = false;
  }
  if (first) out->append(" 0");
  if (before) out->append(" ago");
}

void AppendIso8601(const Fields& f, std::string* out) {
  size_t begin = out->size();
  out->push_back('P');
  if (f.years != 0) StrAppend(out, f.years, "Y");
  if (f.months != 0) StrAppend(out, f.months, "M");
  if (f.days != 0) StrAppend(out, f.days, "D");
  if (f.hours != 0 || f.minutes != 0 || f.seconds != 0 || f.us != 0) out->push_back('T');
  if (f.hours != 0) StrAppend(out, f.hours, "H");
  if (f.minutes != 0) StrAppend(out, f.minutes, "M");
  if (f.seconds != 0 || f.us != 0) StrAppend(out, f.seconds < 0 || f.us < 0 ? "-" : "", Seconds(f.seconds, f.us, false), "S");
  if (out->size() == begin + 1) out->append("T0S");
}

void AppendSqlStandard(const Fields& f, std::string* out) {
  bool negative = f.years < 0 || f.months < 0 || f.days < 0 || f.hours < 0 || f.minutes < 0 || f.seconds < 0 || f.us < 0;
  bool positive = f.years > 0 || f.months > 0 || f.days > 0 || f.hours > 0 || f.minutes > 0 || f.seconds > 0 || f.us > 0;
  bool year_month = f.years != 0 || f.months != 0;
  bool time = f.hours != 0 || f.minutes != 0 || f.seconds != 0 || f.us != 0;
  bool day_time = f.days != 0 || time;
  auto clock = [&](std::string_view hours) {
    return StrCat(hours, ":", TwoDigits(f.minutes), ":", Seconds(f.seconds, f.us, true));
  };
  if ((negative && positive) || (year_month && day_time)) {
    // Mixed: every part carries its sign.
    bool time_negative = f.hours < 0 || f.minutes < 0 || f.seconds < 0 || f.us < 0;
    StrAppend(out, f.years < 0 || f.months < 0 ? "-" : "+", std::llabs(f.years), "-", std::llabs(f.months), " ",
              f.days < 0 ? "-" : "+", std::llabs(f.days), " ", time_negative ? "-" : "+", clock(StrCat(std::llabs(f.hours))));
  } else if (year_month) {
    StrAppend(out, negative ? "-" : "", std::llabs(f.years), "-", std::llabs(f.months));
  } else if (f.days != 0) {
    StrAppend(out, negative ? "-" : "", std::llabs(f.days), " ", clock(StrCat(std::llabs(f.hours))));
  } else if (time) {
    StrAppend(out, negative ? "-" : "", clock(StrCat(std::llabs(f.hours))));
  } else {
    out->append("0");
  }
}

}  // namespace

absl::StatusOr<Interval> ParseInterval(const DateTimeSettings& s, std::string_view text, int32_t typmod) {
  Interval v;
  switch (IntervalParser(text, typmod, s.interval_style == IntervalStyle::kSqlStandard).Run(&v)) {
    case Failure::kNone: return ApplyIntervalTypmod(v, typmod);
    case Failure::kOverflow: return PgError("22015", StrCat("interval field value out of range: \"", text, "\""));
    case Failure::kOutOfRange: return PgError(sqlstate::kDatetimeFieldOverflow, "interval out of range");
    case Failure::kSyntax: break;
  }
  return PgError(sqlstate::kInvalidDatetimeFormat, StrCat("invalid input syntax for type interval: \"", text, "\""));
}

void AppendInterval(const DateTimeSettings& s, const Interval& v, std::string* out) {
  Fields f(v);
  switch (s.interval_style) {
    case IntervalStyle::kPostgres: AppendPostgres(f, out); break;
    case IntervalStyle::kPostgresVerbose: AppendVerbose(f, out); break;
    case IntervalStyle::kSqlStandard: AppendSqlStandard(f, out); break;
    case IntervalStyle::kIso8601: AppendIso8601(f, out); break;
  }
}

}  // namespace insula::sql
