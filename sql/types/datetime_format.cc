// Output of dates, times and timestamps in the four DateStyles.
//
//   ISO       1997-12-17 07:37:16.25-08      SQL     12/17/1997 07:37:16.25 PST
//   Postgres  Wed Dec 17 07:37:16.25 1997 PST  German  17.12.1997 07:37:16.25 PST
#include <cstdlib>
#include <string>

#include "sql/types/datetime.h"
#include "sql/types/datetime_names.h"

namespace insula::sql {
namespace {

void AppendPadded(int64_t v, int width, std::string* out) {
  char buffer[24];
  int n = 0;
  do {
    buffer[n++] = static_cast<char>('0' + v % 10);
    v /= 10;
  } while (v != 0);
  while (n < width) buffer[n++] = '0';
  while (n > 0) out->push_back(buffer[--n]);
}

void AppendTwo(int v, std::string* out) {
  out->push_back(static_cast<char>('0' + v / 10));
  out->push_back(static_cast<char>('0' + v % 10));
}

// ".25": the fraction without trailing zeros, nothing if it is zero.
void AppendFraction(int32_t us, std::string* out) {
  if (us == 0) return;
  out->push_back('.');
  AppendPadded(us, 6, out);
  out->resize(out->find_last_not_of('0') + 1);
}

void AppendClock(int64_t time_us, std::string* out) {
  int64_t seconds = time_us / kUsPerSecond;
  AppendPadded(seconds / 3600, 2, out);
  out->push_back(':');
  AppendTwo(static_cast<int>(seconds / 60 % 60), out);
  out->push_back(':');
  AppendTwo(static_cast<int>(seconds % 60), out);
  AppendFraction(static_cast<int32_t>(time_us % kUsPerSecond), out);
}

// "+02", "-03:30", "+00:53:28"
void AppendOffset(int32_t east_s, std::string* out) {
  int32_t a = std::abs(east_s);
  out->push_back(east_s < 0 ? '-' : '+');
  AppendTwo(a / 3600, out);
  if (a % 3600 == 0) return;
  out->push_back(':');
  AppendTwo(a / 60 % 60, out);
  if (a % 60 == 0) return;
  out->push_back(':');
  AppendTwo(a % 60, out);
}

bool DayFirst(const DateTimeSettings& s) { return s.date_order == DateOrder::kDmy; }

// The date's numbers in the order and with the separators of the style; Postgres style has its own form for timestamps.
void AppendDateNumbers(const DateTimeSettings& s, int32_t year, int32_t month, int32_t day, std::string* out) {
  int64_t shown = year > 0 ? year : 1 - static_cast<int64_t>(year);
  auto numbers = [&](char separator, bool day_first) {
    AppendTwo(day_first ? day : month, out);
    out->push_back(separator);
    AppendTwo(day_first ? month : day, out);
    out->push_back(separator);
    AppendPadded(shown, 4, out);
  };
  switch (s.date_style) {
    case DateStyle::kIso:
      AppendPadded(shown, 4, out);
      out->push_back('-');
      AppendTwo(month, out);
      out->push_back('-');
      AppendTwo(day, out);
      break;
    case DateStyle::kSql: numbers('/', DayFirst(s)); break;
    case DateStyle::kPostgres: numbers('-', DayFirst(s)); break;
    case DateStyle::kGerman: numbers('.', true); break;
  }
}

// `zone` is null for timestamps without one.
void AppendLocal(const DateTimeSettings& s, int64_t local_us, const TimeZone::Local* zone, std::string* out) {
  CivilTime c = CivilFromTimestamp(local_us);
  int64_t date = DateFromCivil(c.year, c.month, c.day);
  int64_t time = local_us - date * kUsPerDay;
  if (s.date_style == DateStyle::kPostgres) {
    out->append(internal::kDayNames[DayOfWeek(date)].substr(0, 3));
    out->push_back(' ');
    std::string_view month = internal::kMonthNames[c.month - 1].substr(0, 3);
    if (DayFirst(s)) {
      AppendTwo(c.day, out);
      out->push_back(' ');
      out->append(month);
    } else {
      out->append(month);
      out->push_back(' ');
      AppendTwo(c.day, out);
    }
    out->push_back(' ');
    AppendClock(time, out);
    out->push_back(' ');
    AppendPadded(c.year > 0 ? c.year : 1 - static_cast<int64_t>(c.year), 4, out);
  } else {
    AppendDateNumbers(s, c.year, c.month, c.day, out);
    out->push_back(' ');
    AppendClock(time, out);
  }
  if (zone != nullptr) {
    bool named = !zone->abbreviation.empty() && zone->abbreviation[0] != '+' && zone->abbreviation[0] != '-';
    if (s.date_style == DateStyle::kIso) {
      AppendOffset(zone->offset_s, out);
    } else if (named) {
      out->push_back(' ');
      out->append(zone->abbreviation);
    } else {
      if (s.date_style == DateStyle::kPostgres) out->push_back(' ');
      AppendOffset(zone->offset_s, out);
    }
  }
  if (c.year <= 0) out->append(" BC");
}

bool AppendInfinity(bool positive, bool negative, std::string* out) {
  if (positive) out->append("infinity");
  if (negative) out->append("-infinity");
  return positive || negative;
}

}  // namespace

void AppendDate(const DateTimeSettings& s, int64_t date, std::string* out) {
  if (AppendInfinity(date == kDateInfinity, date == kDateNegativeInfinity, out)) return;
  int32_t year, month, day;
  CivilFromDate(date, &year, &month, &day);
  AppendDateNumbers(s, year, month, day, out);
  if (year <= 0) out->append(" BC");
}

void AppendTime(int64_t us, std::string* out) { AppendClock(us, out); }

void AppendTimeTz(const TimeTz& v, std::string* out) {
  AppendClock(v.us, out);
  AppendOffset(-v.zone_s, out);
}

void AppendTimestamp(const DateTimeSettings& s, int64_t us, std::string* out) {
  if (AppendInfinity(us == kTimestampInfinity, us == kTimestampNegativeInfinity, out)) return;
  AppendLocal(s, us, nullptr, out);
}

void AppendTimestampTz(const DateTimeSettings& s, int64_t us, std::string* out) {
  if (AppendInfinity(us == kTimestampInfinity, us == kTimestampNegativeInfinity, out)) return;
  TimeZone::Local local = s.time_zone->At(us);
  AppendLocal(s, us + local.offset_s * kUsPerSecond, &local, out);
}

}  // namespace insula::sql
