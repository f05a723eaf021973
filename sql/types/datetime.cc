// Calendar, conversions and arithmetic of dates, timestamps and intervals.
#include "sql/types/datetime.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::sql {
namespace {

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0); }

constexpr int64_t kMinTimestamp = -211813488000000000;   // 4714-11-24 BC
constexpr int64_t kEndTimestamp = 9223371331200000000;   // 294277-01-01
constexpr int64_t kMinDate = -2451545;
constexpr int64_t kEndDate = 2147483494 - 2451545;

absl::Status OutOfRange(std::string_view what) {
  return PgError(sqlstate::kDatetimeFieldOverflow, StrCat(what, " out of range"));
}

}  // namespace

bool IsValidTimestamp(int64_t t) { return t >= kMinTimestamp && t < kEndTimestamp; }
bool IsValidDate(int64_t d) { return d >= kMinDate && d < kEndDate; }

// ---- encodings

std::string EncodeInterval(const Interval& v) {
  std::string out(16, '\0');
  std::memcpy(out.data(), &v.us, 8);
  std::memcpy(out.data() + 8, &v.days, 4);
  std::memcpy(out.data() + 12, &v.months, 4);
  return out;
}

Interval DecodeInterval(std::string_view bytes) {
  Interval v;
  if (bytes.size() < 16) return v;
  std::memcpy(&v.us, bytes.data(), 8);
  std::memcpy(&v.days, bytes.data() + 8, 4);
  std::memcpy(&v.months, bytes.data() + 12, 4);
  return v;
}

std::string EncodeTimeTz(const TimeTz& v) {
  std::string out(12, '\0');
  std::memcpy(out.data(), &v.us, 8);
  std::memcpy(out.data() + 8, &v.zone_s, 4);
  return out;
}

TimeTz DecodeTimeTz(std::string_view bytes) {
  TimeTz v;
  if (bytes.size() < 12) return v;
  std::memcpy(&v.us, bytes.data(), 8);
  std::memcpy(&v.zone_s, bytes.data() + 8, 4);
  return v;
}

// ---- calendar. Days are counted in eras of 400 years that begin on 1 March.

int64_t DateFromCivil(int32_t year, int32_t month, int32_t day) {
  int64_t y = static_cast<int64_t>(year) - (month <= 2);
  int64_t era = FloorDiv(y, 400);
  int64_t yoe = y - era * 400;
  int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468 - kPostgresEpochDays;
}

void CivilFromDate(int64_t date, int32_t* year, int32_t* month, int32_t* day) {
  int64_t z = date + kPostgresEpochDays + 719468;
  int64_t era = FloorDiv(z, 146097);
  int64_t doe = z - era * 146097;
  int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  int64_t mp = (5 * doy + 2) / 153;
  *day = static_cast<int32_t>(doy - (153 * mp + 2) / 5 + 1);
  *month = static_cast<int32_t>(mp < 10 ? mp + 3 : mp - 9);
  *year = static_cast<int32_t>(yoe + era * 400 + (*month <= 2));
}

CivilTime CivilFromTimestamp(int64_t us) {
  CivilTime c;
  int64_t date = FloorDiv(us, kUsPerDay);
  int64_t time = us - date * kUsPerDay;
  CivilFromDate(date, &c.year, &c.month, &c.day);
  c.hour = static_cast<int32_t>(time / kUsPerHour);
  c.minute = static_cast<int32_t>(time / kUsPerMinute % 60);
  c.second = static_cast<int32_t>(time / kUsPerSecond % 60);
  c.us = static_cast<int32_t>(time % kUsPerSecond);
  return c;
}

int64_t TimestampFromCivil(const CivilTime& c) {
  __int128 us = static_cast<__int128>(DateFromCivil(c.year, c.month, c.day)) * kUsPerDay + c.hour * kUsPerHour +
                c.minute * kUsPerMinute + c.second * kUsPerSecond + c.us;
  // Saturates just below the infinities: still outside of the valid range.
  if (us >= kTimestampInfinity) return kTimestampInfinity - 1;
  if (us <= kTimestampNegativeInfinity) return kTimestampNegativeInfinity + 1;
  return static_cast<int64_t>(us);
}

int DaysInMonth(int32_t year, int32_t month) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[month - 1];
}

int DayOfWeek(int64_t date) {
  int64_t dow = (date + 6) % 7;  // 2000-01-01 was a Saturday
  return static_cast<int>(dow < 0 ? dow + 7 : dow);
}

// ---- modifiers

int64_t RoundTimeUs(int64_t us, int32_t typmod) {
  if (typmod < 0 || typmod >= 6 || IsInfiniteTimestamp(us)) return us;
  static constexpr int64_t kUnit[] = {1000000, 100000, 10000, 1000, 100, 10};
  int64_t unit = kUnit[typmod], half = unit / 2;
  return us >= 0 ? (us + half) / unit * unit : -((-us + half) / unit * unit);
}

absl::StatusOr<Interval> ApplyIntervalTypmod(const Interval& v, int32_t typmod) {
  if (typmod < 0) return v;
  Interval out = v;
  int32_t range = (typmod >> 16) & 0x7FFF, precision = typmod & 0xFFFF;
  constexpr int32_t kMonth = 1 << 1, kYear = 1 << 2, kDay = 1 << 3, kHour = 1 << 10, kMinute = 1 << 11, kSecond = 1 << 12;
  if (range != 0x7FFF) {
    if (range == kYear) {
      out = {0, 0, out.months / 12 * 12};
    } else if ((range & ~(kYear | kMonth)) == 0) {
      out = {0, 0, out.months};
    } else if (range == kDay) {
      out.us = 0;
    } else if ((range & kSecond) != 0) {
      // Seconds stay whole; the precision below rounds them.
    } else if ((range & kMinute) != 0) {
      out.us = out.us / kUsPerMinute * kUsPerMinute;
    } else if ((range & kHour) != 0) {
      out.us = out.us / kUsPerHour * kUsPerHour;
    }
  }
  if (precision != 0xFFFF) out.us = RoundTimeUs(out.us, precision);
  return out;
}

// ---- conversions

absl::StatusOr<int64_t> DateToTimestamp(int64_t date) {
  if (date == kDateInfinity) return kTimestampInfinity;
  if (date == kDateNegativeInfinity) return kTimestampNegativeInfinity;
  if (date >= kEndTimestamp / kUsPerDay) {
    return PgError(sqlstate::kDatetimeFieldOverflow, "date out of range for timestamp");
  }
  return date * kUsPerDay;
}

absl::StatusOr<int64_t> DateToTimestampTz(const TimeZone& tz, int64_t date) {
  ASSIGN_OR_RETURN(int64_t local, DateToTimestamp(date));
  if (IsInfiniteTimestamp(local)) return local;
  int64_t us = local - tz.OffsetForLocal(local) * kUsPerSecond;
  if (!IsValidTimestamp(us)) return PgError(sqlstate::kDatetimeFieldOverflow, "date out of range for timestamp");
  return us;
}

int64_t TimestampToDate(int64_t us) {
  if (us == kTimestampInfinity) return kDateInfinity;
  if (us == kTimestampNegativeInfinity) return kDateNegativeInfinity;
  return FloorDiv(us, kUsPerDay);
}

int64_t TimestampTzToDate(const TimeZone& tz, int64_t us) { return TimestampToDate(TimestampTzToTimestamp(tz, us)); }

absl::StatusOr<int64_t> TimestampToTimestampTz(const TimeZone& tz, int64_t local_us) {
  if (IsInfiniteTimestamp(local_us)) return local_us;
  int64_t us = local_us - tz.OffsetForLocal(local_us) * kUsPerSecond;
  if (!IsValidTimestamp(us)) return OutOfRange("timestamp");
  return us;
}

int64_t TimestampTzToTimestamp(const TimeZone& tz, int64_t us) {
  return IsInfiniteTimestamp(us) ? us : us + tz.At(us).offset_s * kUsPerSecond;
}

// ---- arithmetic

namespace {

// Moves a local time by months, keeping it within the month that results.
absl::Status AddMonths(int32_t months, int64_t* local_us) {
  if (months == 0) return absl::OkStatus();
  CivilTime c = CivilFromTimestamp(*local_us);
  int64_t month = static_cast<int64_t>(c.month) - 1 + months;
  c.year += static_cast<int32_t>(FloorDiv(month, 12));
  c.month = static_cast<int32_t>(month - FloorDiv(month, 12) * 12) + 1;
  c.day = std::min(c.day, DaysInMonth(c.year, c.month));
  *local_us = TimestampFromCivil(c);
  return IsValidTimestamp(*local_us) ? absl::OkStatus() : OutOfRange("timestamp");
}

absl::Status AddDays(int32_t days, int64_t* us) {
  int64_t delta;
  if (__builtin_mul_overflow(static_cast<int64_t>(days), kUsPerDay, &delta) || __builtin_add_overflow(*us, delta, us) ||
      !IsValidTimestamp(*us)) {
    return OutOfRange("timestamp");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> TimestampPlusInterval(int64_t us, const Interval& v) {
  if (IsInfiniteTimestamp(us)) return us;
  RETURN_IF_ERROR(AddMonths(v.months, &us));
  if (v.days != 0) RETURN_IF_ERROR(AddDays(v.days, &us));
  if (__builtin_add_overflow(us, v.us, &us) || !IsValidTimestamp(us)) return OutOfRange("timestamp");
  return us;
}

absl::StatusOr<int64_t> TimestampTzPlusInterval(const TimeZone& tz, int64_t us, const Interval& v) {
  if (IsInfiniteTimestamp(us)) return us;
  if (v.months != 0 || v.days != 0) {
    // Months and days are local: 12:00 stays 12:00 across a change of the clocks.
    int64_t local = TimestampTzToTimestamp(tz, us);
    RETURN_IF_ERROR(AddMonths(v.months, &local));
    if (v.months != 0 && v.days != 0) {
      // PostgreSQL goes through an instant between the two steps.
      us = local - tz.OffsetForLocal(local) * kUsPerSecond;
      local = TimestampTzToTimestamp(tz, us);
    }
    if (v.days != 0) RETURN_IF_ERROR(AddDays(v.days, &local));
    us = local - tz.OffsetForLocal(local) * kUsPerSecond;
  }
  if (__builtin_add_overflow(us, v.us, &us) || !IsValidTimestamp(us)) return OutOfRange("timestamp");
  return us;
}

absl::StatusOr<Interval> TimestampMinus(int64_t a, int64_t b) {
  if (IsInfiniteTimestamp(a) || IsInfiniteTimestamp(b)) {
    return PgError(sqlstate::kDatetimeFieldOverflow, "cannot subtract infinite timestamps");
  }
  Interval v;
  if (__builtin_sub_overflow(a, b, &v.us)) return OutOfRange("interval");
  return JustifyHours(v);
}

Interval Age(int64_t a, int64_t b) {
  bool negative = a < b;
  CivilTime x = CivilFromTimestamp(negative ? b : a), y = CivilFromTimestamp(negative ? a : b);
  // The later minus the earlier, field by field, borrowing upwards; days are those of the earlier one's month.
  int64_t us = (x.hour - y.hour) * kUsPerHour + (x.minute - y.minute) * kUsPerMinute + (x.second - y.second) * kUsPerSecond +
               (x.us - y.us);
  int32_t days = x.day - y.day;
  int32_t months = (x.year - y.year) * 12 + (x.month - y.month);
  if (us < 0) {
    us += kUsPerDay;
    --days;
  }
  if (days < 0) {
    days += DaysInMonth(y.year, y.month);
    --months;
  }
  if (negative) return {-us, -days, -months};
  return {us, days, months};
}

absl::StatusOr<Interval> IntervalAdd(const Interval& a, const Interval& b) {
  Interval out;
  if (__builtin_add_overflow(a.months, b.months, &out.months) || __builtin_add_overflow(a.days, b.days, &out.days) ||
      __builtin_add_overflow(a.us, b.us, &out.us)) {
    return OutOfRange("interval");
  }
  return out;
}

absl::StatusOr<Interval> IntervalSubtract(const Interval& a, const Interval& b) {
  Interval out;
  if (__builtin_sub_overflow(a.months, b.months, &out.months) || __builtin_sub_overflow(a.days, b.days, &out.days) ||
      __builtin_sub_overflow(a.us, b.us, &out.us)) {
    return OutOfRange("interval");
  }
  return out;
}

absl::StatusOr<Interval> IntervalNegate(const Interval& v) { return IntervalSubtract(Interval{}, v); }

namespace {

bool FitsInt32(double v) { return v >= -2147483648.0 && v < 2147483648.0; }
bool FitsInt64(double v) { return v >= -9223372036854775808.0 && v < 9223372036854775808.0; }
double RoundToUs(double seconds) { return std::rint(seconds * 1e6) / 1e6; }

// Spills the fractions of scaled months to days and of days to time, as both * and / do.
absl::StatusOr<Interval> Scale(const Interval& v, double factor, bool divide) {
  auto scaled = [&](double x) { return divide ? x / factor : x * factor; };
  Interval out;
  double months = scaled(v.months), days = scaled(v.days);
  if (std::isnan(months) || !FitsInt32(months) || std::isnan(days) || !FitsInt32(days)) return OutOfRange("interval");
  out.months = static_cast<int32_t>(months);
  out.days = static_cast<int32_t>(days);
  double month_days = RoundToUs((months - out.months) * 30);
  double seconds = (days - out.days + month_days - static_cast<int32_t>(month_days)) * 86400;
  seconds = RoundToUs(seconds);
  if (std::fabs(seconds) >= 86400) {
    int32_t whole = static_cast<int32_t>(seconds / 86400);
    if (__builtin_add_overflow(out.days, whole, &out.days)) return OutOfRange("interval");
    seconds -= whole * 86400.0;
  }
  if (__builtin_add_overflow(out.days, static_cast<int32_t>(month_days), &out.days)) return OutOfRange("interval");
  double us = std::rint(scaled(static_cast<double>(v.us)) + seconds * 1e6);
  if (std::isnan(us) || !FitsInt64(us)) return OutOfRange("interval");
  out.us = static_cast<int64_t>(us);
  return out;
}

}  // namespace

absl::StatusOr<Interval> IntervalMultiply(const Interval& v, double factor) { return Scale(v, factor, false); }

absl::StatusOr<Interval> IntervalDivide(const Interval& v, double divisor) {
  if (divisor == 0) return PgError("22012", "division by zero");
  return Scale(v, divisor, true);
}

Interval JustifyHours(const Interval& v) {
  Interval out = v;
  int64_t whole = out.us / kUsPerDay;
  out.us -= whole * kUsPerDay;
  out.days += static_cast<int32_t>(whole);
  if (out.days > 0 && out.us < 0) {
    out.us += kUsPerDay;
    --out.days;
  } else if (out.days < 0 && out.us > 0) {
    out.us -= kUsPerDay;
    ++out.days;
  }
  return out;
}

Interval JustifyDays(const Interval& v) {
  Interval out = v;
  int32_t whole = out.days / 30;
  out.days -= whole * 30;
  out.months += whole;
  if (out.months > 0 && out.days < 0) {
    out.days += 30;
    --out.months;
  } else if (out.months < 0 && out.days > 0) {
    out.days -= 30;
    ++out.months;
  }
  return out;
}

Interval JustifyInterval(const Interval& v) {
  Interval out = v;
  int64_t whole_days = out.us / kUsPerDay;
  out.us -= whole_days * kUsPerDay;
  out.days += static_cast<int32_t>(whole_days);
  int32_t whole_months = out.days / 30;
  out.days -= whole_months * 30;
  out.months += whole_months;
  if (out.months > 0 && (out.days < 0 || (out.days == 0 && out.us < 0))) {
    out.days += 30;
    --out.months;
  } else if (out.months < 0 && (out.days > 0 || (out.days == 0 && out.us > 0))) {
    out.days -= 30;
    ++out.months;
  }
  if (out.days > 0 && out.us < 0) {
    out.us += kUsPerDay;
    --out.days;
  } else if (out.days < 0 && out.us > 0) {
    out.us -= kUsPerDay;
    ++out.days;
  }
  return out;
}

__int128 IntervalSpan(const Interval& v) {
  return static_cast<__int128>(v.us) + (static_cast<__int128>(v.days) + static_cast<__int128>(v.months) * 30) * kUsPerDay;
}

int CompareIntervals(const Interval& a, const Interval& b) {
  __int128 x = IntervalSpan(a), y = IntervalSpan(b);
  return x < y ? -1 : x > y;
}

absl::StatusOr<int64_t> DateBin(const Interval& stride, int64_t us, int64_t origin_us) {
  if (IsInfiniteTimestamp(us)) return us;
  if (IsInfiniteTimestamp(origin_us)) {
    return PgError(sqlstate::kDatetimeFieldOverflow, "origin out of range");
  }
  if (stride.months != 0) {
    return PgError(sqlstate::kFeatureNotSupported,
                   "timestamps cannot be binned into intervals containing months or years");
  }
  int64_t step;
  if (__builtin_mul_overflow(static_cast<int64_t>(stride.days), kUsPerDay, &step) ||
      __builtin_add_overflow(step, stride.us, &step)) {
    return OutOfRange("interval");
  }
  if (step <= 0) return PgError(sqlstate::kDatetimeFieldOverflow, "stride must be greater than zero");
  int64_t distance;
  if (__builtin_sub_overflow(us, origin_us, &distance)) return OutOfRange("interval");
  int64_t steps = distance / step;
  if (distance % step < 0) --steps;
  return origin_us + steps * step;
}

}  // namespace insula::sql
