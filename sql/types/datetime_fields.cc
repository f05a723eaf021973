// extract() and date_trunc().
#include <cmath>

#include "base/pgerror/pg_error.h"
#include "base/strings.h"
#include "sql/types/datetime.h"
#include "sql/types/datetime_names.h"

namespace insula::sql {

using internal::Unit;

namespace {

constexpr int64_t kJulianOfEpoch = 2451545;  // 2000-01-01

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0); }

std::string UnitText(std::string_view unit) { return AsciiLower(unit); }

absl::Status NotRecognized(std::string_view unit, std::string_view type) {
  return PgError(sqlstate::kInvalidParameterValue, StrCat("unit \"", unit, "\" not recognized for type ", type));
}
absl::Status NotSupported(std::string_view unit, std::string_view type) {
  return PgError(sqlstate::kFeatureNotSupported, StrCat("unit \"", unit, "\" not supported for type ", type));
}

// ISO 8601: the week with the year's first Thursday is week 1. Monday of the week that holds `date`.
int64_t WeekStart(int64_t date) { return date - (DayOfWeek(date) + 6) % 7; }

void IsoWeek(int64_t date, int32_t* iso_year, int32_t* week) {
  int64_t thursday = WeekStart(date) + 3;
  int32_t month, day;
  CivilFromDate(thursday, iso_year, &month, &day);
  *week = static_cast<int32_t>((thursday - DateFromCivil(*iso_year, 1, 1)) / 7) + 1;
}

// 1 AD is in decade 0, century 1, millennium 1; there is no year 0.
int64_t Century(int32_t year) { return year > 0 ? (year + 99) / 100 : -((99 - (year - 1)) / 100); }
int64_t Millennium(int32_t year) { return year > 0 ? (year + 999) / 1000 : -((999 - (year - 1)) / 1000); }
int64_t Decade(int32_t year) { return year >= 0 ? year / 10 : -((8 - (year - 1)) / 10); }
// Year 0 is shown as 1 BC.
int64_t ShownYear(int32_t year) { return year > 0 ? year : year - 1; }

Numeric Int(int64_t v) { return Numeric(v); }

// Fields of a time of day: true if `unit` is one.
bool TimeField(Unit unit, const CivilTime& c, Numeric* out) {
  switch (unit) {
    case Unit::kMicrosecond: *out = Int(c.second * kUsPerSecond + c.us); return true;
    case Unit::kMillisecond: *out = Numeric::FromScaled(c.second * kUsPerSecond + c.us, 3); return true;
    case Unit::kSecond: *out = Numeric::FromScaled(c.second * kUsPerSecond + c.us, 6); return true;
    case Unit::kMinute: *out = Int(c.minute); return true;
    case Unit::kHour: *out = Int(c.hour); return true;
    default: return false;
  }
}

bool DateField(Unit unit, const CivilTime& c, Numeric* out) {
  int64_t date = DateFromCivil(c.year, c.month, c.day);
  int32_t iso_year, week;
  switch (unit) {
    case Unit::kDay: *out = Int(c.day); return true;
    case Unit::kMonth: *out = Int(c.month); return true;
    case Unit::kQuarter: *out = Int((c.month - 1) / 3 + 1); return true;
    case Unit::kYear: *out = Int(ShownYear(c.year)); return true;
    case Unit::kDecade: *out = Int(Decade(c.year)); return true;
    case Unit::kCentury: *out = Int(Century(c.year)); return true;
    case Unit::kMillennium: *out = Int(Millennium(c.year)); return true;
    case Unit::kWeek:
      IsoWeek(date, &iso_year, &week);
      *out = Int(week);
      return true;
    case Unit::kIsoYear:
      IsoWeek(date, &iso_year, &week);
      *out = Int(iso_year > 0 ? iso_year : iso_year - 1);
      return true;
    case Unit::kDow: *out = Int(DayOfWeek(date)); return true;
    case Unit::kIsoDow: *out = Int(DayOfWeek(date) == 0 ? 7 : DayOfWeek(date)); return true;
    case Unit::kDoy: *out = Int(date - DateFromCivil(c.year, 1, 1) + 1); return true;
    default: return false;
  }
}

Numeric Julian(int64_t us) {
  int64_t date = FloorDiv(us, kUsPerDay), time = us - date * kUsPerDay;
  Numeric day(date + kJulianOfEpoch);
  if (time == 0) {
    // PostgreSQL divides µs by µs of a day and adds: the sum keeps the quotient's scale.
    return *Numeric::Add(day, *Numeric::Divide(Numeric(int64_t{0}), Numeric(kUsPerDay)));
  }
  return *Numeric::Add(day, *Numeric::Divide(Numeric(time), Numeric(kUsPerDay)));
}

absl::StatusOr<Numeric> Infinite(bool positive, Unit unit, bool* is_null) {
  switch (unit) {
    case Unit::kYear:
    case Unit::kDecade:
    case Unit::kCentury:
    case Unit::kMillennium:
    case Unit::kJulian:
    case Unit::kIsoYear:
    case Unit::kEpoch: return positive ? Numeric::PositiveInfinity() : Numeric::NegativeInfinity();
    default: *is_null = true; return Numeric();
  }
}

Numeric EpochOf(int64_t us) {
  return Numeric::FromInt128(static_cast<__int128>(us) + static_cast<__int128>(kPostgresEpochUs), 6);
}

bool ZoneField(Unit unit, int32_t east_s, Numeric* out) {
  switch (unit) {
    case Unit::kTimezone: *out = Int(east_s); return true;
    case Unit::kTimezoneHour: *out = Int(east_s / 3600); return true;
    case Unit::kTimezoneMinute: *out = Int(east_s / 60 % 60); return true;
    default: return false;
  }
}

}  // namespace

absl::StatusOr<Numeric> ExtractFromTimestamp(std::string_view field, int64_t us, bool* is_null) {
  constexpr std::string_view kType = "timestamp without time zone";
  std::string name = UnitText(field);
  Unit unit;
  *is_null = false;
  if (!internal::FindUnit(name, &unit)) return NotRecognized(name, kType);
  if (IsInfiniteTimestamp(us)) return Infinite(us > 0, unit, is_null);
  CivilTime c = CivilFromTimestamp(us);
  Numeric out;
  if (TimeField(unit, c, &out) || DateField(unit, c, &out)) return out;
  if (unit == Unit::kJulian) return Julian(us);
  if (unit == Unit::kEpoch) return EpochOf(us);
  return NotSupported(name, kType);
}

absl::StatusOr<Numeric> ExtractFromTimestampTz(std::string_view field, const TimeZone& tz, int64_t us, bool* is_null) {
  constexpr std::string_view kType = "timestamp with time zone";
  std::string name = UnitText(field);
  Unit unit;
  *is_null = false;
  if (!internal::FindUnit(name, &unit)) return NotRecognized(name, kType);
  if (IsInfiniteTimestamp(us)) return Infinite(us > 0, unit, is_null);
  if (unit == Unit::kEpoch) return EpochOf(us);
  int32_t offset = tz.At(us).offset_s;
  int64_t local = us + offset * kUsPerSecond;
  CivilTime c = CivilFromTimestamp(local);
  Numeric out;
  if (TimeField(unit, c, &out) || DateField(unit, c, &out) || ZoneField(unit, offset, &out)) return out;
  if (unit == Unit::kJulian) return Julian(local);
  return NotSupported(name, kType);
}

absl::StatusOr<Numeric> ExtractFromDate(std::string_view field, int64_t date, bool* is_null) {
  constexpr std::string_view kType = "date";
  std::string name = UnitText(field);
  Unit unit;
  *is_null = false;
  if (!internal::FindUnit(name, &unit)) return NotRecognized(name, kType);
  if (unit < Unit::kDay || unit >= Unit::kTimezone) return NotSupported(name, kType);
  if (IsInfiniteDate(date)) return Infinite(date > 0, unit, is_null);
  if (unit == Unit::kEpoch) return Numeric::FromInt128(static_cast<__int128>(date + kPostgresEpochDays) * 86400);
  if (unit == Unit::kJulian) return Int(date + kJulianOfEpoch);
  CivilTime c;
  CivilFromDate(date, &c.year, &c.month, &c.day);
  Numeric out;
  if (DateField(unit, c, &out)) return out;
  return NotSupported(name, kType);
}

absl::StatusOr<Numeric> ExtractFromTime(std::string_view field, int64_t us) {
  constexpr std::string_view kType = "time without time zone";
  std::string name = UnitText(field);
  Unit unit;
  if (!internal::FindUnit(name, &unit)) return NotRecognized(name, kType);
  if (unit == Unit::kEpoch) return Numeric::FromInt128(us, 6);
  CivilTime c;
  c.hour = static_cast<int32_t>(us / kUsPerHour);
  c.minute = static_cast<int32_t>(us / kUsPerMinute % 60);
  c.second = static_cast<int32_t>(us / kUsPerSecond % 60);
  c.us = static_cast<int32_t>(us % kUsPerSecond);
  Numeric out;
  if (TimeField(unit, c, &out)) return out;
  return NotSupported(name, kType);
}

absl::StatusOr<Numeric> ExtractFromTimeTz(std::string_view field, const TimeTz& v) {
  constexpr std::string_view kType = "time with time zone";
  std::string name = UnitText(field);
  Unit unit;
  if (!internal::FindUnit(name, &unit)) return NotRecognized(name, kType);
  Numeric out;
  if (ZoneField(unit, -v.zone_s, &out)) return out;
  if (unit == Unit::kEpoch) return Numeric::FromInt128(v.us + v.zone_s * kUsPerSecond, 6);
  auto time = ExtractFromTime(field, v.us);
  return time.ok() ? time : NotSupported(name, kType);
}

absl::StatusOr<Numeric> ExtractFromInterval(std::string_view field, const Interval& v) {
  constexpr std::string_view kType = "interval";
  std::string name = UnitText(field);
  Unit unit;
  if (!internal::FindUnit(name, &unit)) return NotRecognized(name, kType);
  int32_t years = v.months / 12, months = v.months % 12;
  int64_t in_minute = v.us % kUsPerMinute;
  switch (unit) {
    case Unit::kMicrosecond: return Int(in_minute);
    case Unit::kMillisecond: return Numeric::FromScaled(in_minute, 3);
    case Unit::kSecond: return Numeric::FromScaled(in_minute, 6);
    case Unit::kMinute: return Int(v.us / kUsPerMinute % 60);
    case Unit::kHour: return Int(v.us / kUsPerHour);
    case Unit::kDay: return Int(v.days);
    case Unit::kMonth: return Int(months);
    case Unit::kQuarter: return Int(months / 3 + 1);
    case Unit::kYear: return Int(years);
    case Unit::kDecade: return Int(years / 10);
    case Unit::kCentury: return Int(years / 100);
    case Unit::kMillennium: return Int(years / 1000);
    case Unit::kEpoch: {
      // Years of 365.25 days, months of 30.
      __int128 seconds = static_cast<__int128>(years) * 31557600 + static_cast<__int128>(months) * 30 * 86400 +
                         static_cast<__int128>(v.days) * 86400;
      return Numeric::FromInt128(seconds * kUsPerSecond + v.us, 6);
    }
    default: return NotSupported(name, kType);
  }
}

// ---- truncation

namespace {

// Truncates a local time; `unit` is one of date_trunc's. False if it is not.
bool TruncateCivil(Unit unit, CivilTime* c) {
  switch (unit) {
    case Unit::kMillennium:
      c->year = c->year > 0 ? (c->year + 999) / 1000 * 1000 - 999 : -((999 - (c->year - 1)) / 1000) * 1000 + 1;
      break;
    case Unit::kCentury:
      c->year = c->year > 0 ? (c->year + 99) / 100 * 100 - 99 : -((99 - (c->year - 1)) / 100) * 100 + 1;
      break;
    case Unit::kDecade: c->year = c->year > 0 ? c->year / 10 * 10 : -((8 - (c->year - 1)) / 10) * 10; break;
    case Unit::kYear:
    case Unit::kQuarter:
    case Unit::kMonth:
    case Unit::kWeek:
    case Unit::kDay:
    case Unit::kHour:
    case Unit::kMinute:
    case Unit::kSecond: break;
    case Unit::kMillisecond: c->us = c->us / 1000 * 1000; return true;
    case Unit::kMicrosecond: return true;
    default: return false;
  }
  c->us = 0;
  if (unit == Unit::kSecond) return true;
  c->second = 0;
  if (unit == Unit::kMinute) return true;
  c->minute = 0;
  if (unit == Unit::kHour) return true;
  c->hour = 0;
  if (unit == Unit::kDay) return true;
  if (unit == Unit::kWeek) {
    CivilFromDate(WeekStart(DateFromCivil(c->year, c->month, c->day)), &c->year, &c->month, &c->day);
    return true;
  }
  c->day = 1;
  if (unit == Unit::kMonth) return true;
  if (unit == Unit::kQuarter) {
    c->month = (c->month - 1) / 3 * 3 + 1;
    return true;
  }
  c->month = 1;
  return true;
}

absl::StatusOr<int64_t> TruncateLocal(std::string_view name, std::string_view type, int64_t local) {
  if (IsInfiniteTimestamp(local)) return local;
  Unit unit;
  std::string lower = UnitText(name);
  bool known = internal::FindUnit(lower, &unit);
  // Fields that are no lengths of time.
  if (!known || unit == Unit::kDow || unit == Unit::kIsoDow || unit == Unit::kDoy || unit == Unit::kEpoch) {
    return NotRecognized(lower, type);
  }
  CivilTime c = CivilFromTimestamp(local);
  if (!TruncateCivil(unit, &c)) return NotSupported(lower, type);
  int64_t us = TimestampFromCivil(c);
  if (!IsValidTimestamp(us)) return PgError(sqlstate::kDatetimeFieldOverflow, "timestamp out of range");
  return us;
}

}  // namespace

absl::StatusOr<int64_t> DateTrunc(std::string_view unit, int64_t timestamp_us) {
  return TruncateLocal(unit, "timestamp without time zone", timestamp_us);
}

absl::StatusOr<int64_t> DateTruncTz(std::string_view name, const TimeZone& tz, int64_t us) {
  auto local = TruncateLocal(name, "timestamp with time zone", TimestampTzToTimestamp(tz, us));
  if (!local.ok() || IsInfiniteTimestamp(us)) return local;
  Unit unit = Unit::kSecond;
  internal::FindUnit(UnitText(name), &unit);
  // From days up the offset is that of the truncated time; below it stays, so that it is right in a fold.
  bool redo = unit >= Unit::kDay && unit <= Unit::kMillennium;
  return *local - (redo ? tz.OffsetForLocal(*local) : tz.At(us).offset_s) * kUsPerSecond;
}

absl::StatusOr<Interval> DateTrunc(std::string_view name, const Interval& v) {
  Unit unit;
  std::string lower = UnitText(name);
  if (!internal::FindUnit(lower, &unit)) return NotRecognized(lower, "interval");
  Interval out = v;
  switch (unit) {
    case Unit::kMillennium: return Interval{0, 0, v.months / 12000 * 12000};
    case Unit::kCentury: return Interval{0, 0, v.months / 1200 * 1200};
    case Unit::kDecade: return Interval{0, 0, v.months / 120 * 120};
    case Unit::kYear: return Interval{0, 0, v.months / 12 * 12};
    case Unit::kQuarter: return Interval{0, 0, v.months / 3 * 3};
    case Unit::kMonth: return Interval{0, 0, v.months};
    case Unit::kDay: out.us = 0; return out;
    case Unit::kHour: out.us = out.us / kUsPerHour * kUsPerHour; return out;
    case Unit::kMinute: out.us = out.us / kUsPerMinute * kUsPerMinute; return out;
    case Unit::kSecond: out.us = out.us / kUsPerSecond * kUsPerSecond; return out;
    case Unit::kMillisecond: out.us = out.us / 1000 * 1000; return out;
    case Unit::kMicrosecond: return out;
    case Unit::kWeek: {
      return PgErrorBuilder(sqlstate::kFeatureNotSupported, "unit \"week\" not supported for type interval")
          .Detail("Months usually have fractional weeks.")
          .Build();
    }
    default: return NotSupported(lower, "interval");
  }
}

}  // namespace insula::sql
