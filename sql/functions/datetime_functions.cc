// Functions and operators of dates, times and intervals (formatting is in format_functions.cc).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"
#include "sql/types/datetime.h"

namespace insula::sql::internal {
namespace {

using I = absl::StatusOr<int64_t>;
using S = absl::StatusOr<std::string>;
using V = std::string_view;
using Args = std::span<const Vector* const>;

const TimeZone& Zone(const FunctionContext& ctx) { return *ctx.io.time_zone; }

absl::Status OutOfRange(V what) { return PgError(sqlstate::kDatetimeFieldOverflow, StrCat(what, " out of range")); }

S Encoded(absl::StatusOr<Interval> v) {
  if (!v.ok()) return v.status();
  return EncodeInterval(*v);
}

// justify_hours and its kin: hours become days, days become months. There must be room for them.
template <Interval (*justify)(const Interval&), bool hours, bool days>
S Justified(V bytes) {
  const Interval v = DecodeInterval(bytes);
  const int64_t whole_days = v.days + (hours ? v.us / kUsPerDay : 0);
  const int64_t whole_months = v.months + (days ? whole_days / 30 : 0);
  auto fits = [](int64_t n) { return n > INT32_MIN && n <= INT32_MAX; };
  if ((hours && !fits(whole_days)) || !fits(whole_months)) return OutOfRange("interval");
  return EncodeInterval(justify(v));
}

Interval Opposite(const Interval& v) { return {-v.us, -v.days, -v.months}; }

// Subtracting INT_MIN parts cannot be done by negating; PostgreSQL's arithmetic overflows there, too, and reports it.
absl::StatusOr<Interval> Negated(V bytes) { return IntervalNegate(DecodeInterval(bytes)); }

I AddToDate(int64_t date, int64_t days) {
  if (IsInfiniteDate(date)) return date;
  int64_t r = date + days;
  if (!IsValidDate(r)) return OutOfRange("date");
  return r;
}

I DatePlus(int64_t date, const Interval& v) {
  ASSIGN_OR_RETURN(int64_t ts, DateToTimestamp(date));
  return TimestampPlusInterval(ts, v);
}

// date + time
I DateAndTime(int64_t date, int64_t time) {
  ASSIGN_OR_RETURN(int64_t ts, DateToTimestamp(date));
  if (IsInfiniteTimestamp(ts)) return ts;
  ts += time;
  if (!IsValidTimestamp(ts)) return OutOfRange("timestamp");
  return ts;
}
I DateAndTimeTz(int64_t date, V timetz) {
  TimeTz t = DecodeTimeTz(timetz);
  if (date == kDateInfinity) return kTimestampInfinity;
  if (date == kDateNegativeInfinity) return kTimestampNegativeInfinity;
  return DateAndTime(date, t.us + t.zone_s * kUsPerSecond);
}

int64_t WrapDay(int64_t us) {
  us %= kUsPerDay;
  return us < 0 ? us + kUsPerDay : us;
}
std::string TimeTzPlus(V timetz, int64_t us) {
  TimeTz t = DecodeTimeTz(timetz);
  t.us = WrapDay(t.us + us % kUsPerDay);
  return EncodeTimeTz(t);
}

// ---- extract and date_part

template <auto Extract>
absl::Status ExtractInto(Args args, size_t rows, Vector* out, const auto& extract) {
  for (size_t i = 0; i < rows; ++i) {
    if (out->IsNull(i)) continue;
    bool is_null = false;
    absl::StatusOr<Numeric> v = extract(args[0]->bytes(i), *args[1], i, &is_null);
    if (!v.ok()) return v.status();
    if (is_null) out->SetNull(i);
    else if (Extract) out->numerics()[i] = *std::move(v);
    else out->floats()[i] = v->ToDouble();
  }
  return absl::OkStatus();
}

template <bool numeric>
struct Extractors {
  static absl::Status Timestamp(FunctionContext&, Args args, size_t rows, Vector* out) {
    return ExtractInto<numeric>(args, rows, out, [](V f, const Vector& v, size_t i, bool* n) { return ExtractFromTimestamp(f, v.ints()[i], n); });
  }
  static absl::Status TimestampTz(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
    return ExtractInto<numeric>(args, rows, out, [&](V f, const Vector& v, size_t i, bool* n) {
      return ExtractFromTimestampTz(f, Zone(ctx), v.ints()[i], n);
    });
  }
  static absl::Status Date(FunctionContext&, Args args, size_t rows, Vector* out) {
    return ExtractInto<numeric>(args, rows, out, [](V f, const Vector& v, size_t i, bool* n) -> absl::StatusOr<Numeric> {
      if (numeric) return ExtractFromDate(f, v.ints()[i], n);
      // date_part casts the date to timestamp first.
      ASSIGN_OR_RETURN(int64_t ts, DateToTimestamp(v.ints()[i]));
      return ExtractFromTimestamp(f, ts, n);
    });
  }
  static absl::Status Time(FunctionContext&, Args args, size_t rows, Vector* out) {
    return ExtractInto<numeric>(args, rows, out, [](V f, const Vector& v, size_t i, bool*) { return ExtractFromTime(f, v.ints()[i]); });
  }
  static absl::Status TimeTz(FunctionContext&, Args args, size_t rows, Vector* out) {
    return ExtractInto<numeric>(args, rows, out, [](V f, const Vector& v, size_t i, bool*) {
      return ExtractFromTimeTz(f, DecodeTimeTz(v.bytes(i)));
    });
  }
  static absl::Status OfInterval(FunctionContext&, Args args, size_t rows, Vector* out) {
    return ExtractInto<numeric>(args, rows, out, [](V f, const Vector& v, size_t i, bool*) {
      return ExtractFromInterval(f, DecodeInterval(v.bytes(i)));
    });
  }
};

// ---- AT TIME ZONE

absl::StatusOr<int64_t> ZoneOffset(FunctionContext& ctx, V bytes) {
  Interval v = DecodeInterval(bytes);
  if (v.months != 0 || v.days != 0) {
    std::string shown;
    AppendInterval(ctx.io.datetime(), v, &shown);
    return PgError(sqlstate::kInvalidParameterValue, StrCat("interval time zone \"", shown, "\" must not include months or days"));
  }
  return v.us / kUsPerSecond;
}

I InstantOfLocal(const TimeZone& tz, int64_t local) { return TimestampToTimestampTz(tz, local); }

I ShiftTimestamp(int64_t us, int64_t delta_us) {
  if (IsInfiniteTimestamp(us)) return us;
  if (__builtin_add_overflow(us, delta_us, &us) || !IsValidTimestamp(us)) return OutOfRange("timestamp");
  return us;
}

S TimeTzAt(V timetz, int64_t east_s) {
  TimeTz t = DecodeTimeTz(timetz);
  return EncodeTimeTz({WrapDay(t.us + (t.zone_s + east_s) * kUsPerSecond), static_cast<int32_t>(-east_s)});
}

void RegisterZones(Registrar& r) {
  r.Scalar("timestamptz_zone", Lift<[](V zone, int64_t us) -> I {
             ASSIGN_OR_RETURN(const TimeZone* tz, TimeZoneByName(zone));
             return TimestampTzToTimestamp(*tz, us);
           }>);
  r.Scalar("timestamp_zone", Lift<[](V zone, int64_t local) -> I {
             ASSIGN_OR_RETURN(const TimeZone* tz, TimeZoneByName(zone));
             return InstantOfLocal(*tz, local);
           }>);
  r.Scalar("timestamptz_izone", Lift<[](FunctionContext& ctx, V interval, int64_t us) -> I {
             ASSIGN_OR_RETURN(int64_t east, ZoneOffset(ctx, interval));
             return ShiftTimestamp(us, east * kUsPerSecond);
           }>);
  r.Scalar("timestamp_izone", Lift<[](FunctionContext& ctx, V interval, int64_t local) -> I {
             ASSIGN_OR_RETURN(int64_t east, ZoneOffset(ctx, interval));
             return ShiftTimestamp(local, -east * kUsPerSecond);
           }>);
  r.Scalar("timetz_zone", Lift<[](FunctionContext& ctx, V zone, V timetz) -> S {
             ASSIGN_OR_RETURN(const TimeZone* tz, TimeZoneByName(zone));
             return TimeTzAt(timetz, tz->At(ctx.transaction_time_us).offset_s);
           }>);
  r.Scalar("timetz_izone", Lift<[](FunctionContext& ctx, V interval, V timetz) -> S {
             ASSIGN_OR_RETURN(int64_t east, ZoneOffset(ctx, interval));
             return TimeTzAt(timetz, east);
           }>);
}

// ---- OVERLAPS

// The end of a period given as a moment or as a length.
absl::StatusOr<std::optional<int64_t>> PeriodEnd(FunctionContext& ctx, const Vector& start, const Vector& end, size_t i) {
  if (end.IsNull(i)) return std::optional<int64_t>();
  if (end.kind() == PhysicalKind::kInt) return std::optional<int64_t>(end.ints()[i]);
  if (start.IsNull(i)) return std::optional<int64_t>();
  Interval v = DecodeInterval(end.bytes(i));
  int64_t from = start.ints()[i];
  I to = start.type().oid == oid::kTime ? I(WrapDay(from + v.us % kUsPerDay))
         : start.type().oid == oid::kTimestamptz ? TimestampTzPlusInterval(Zone(ctx), from, v)
                                                 : TimestampPlusInterval(from, v);
  if (!to.ok()) return to.status();
  return std::optional<int64_t>(*to);
}

std::optional<bool> Overlap(std::optional<int64_t> s1, std::optional<int64_t> e1, std::optional<int64_t> s2, std::optional<int64_t> e2) {
  if (!s1) std::swap(s1, e1);
  if (!s2) std::swap(s2, e2);
  if (!s1 || !s2) return std::nullopt;
  if (e1 && *e1 < *s1) std::swap(s1, e1);
  if (e2 && *e2 < *s2) std::swap(s2, e2);
  if (*s1 == *s2) return e1 && e2 ? std::optional<bool>(true) : std::nullopt;
  if (*s1 > *s2) {
    std::swap(s1, s2);
    std::swap(e1, e2);
  }
  // s1 < s2: they overlap if the first goes past the second's start.
  if (!e1) return std::nullopt;
  if (*s2 < *e1) return true;
  return e2 ? std::optional<bool>(false) : std::nullopt;
}

absl::Status Overlaps(FunctionContext& ctx, Args args, size_t rows, Vector* out) {
  for (size_t i = 0; i < rows; ++i) {
    auto start = [&](const Vector& v) { return v.IsNull(i) ? std::optional<int64_t>() : std::optional<int64_t>(v.ints()[i]); };
    ASSIGN_OR_RETURN(auto e1, PeriodEnd(ctx, *args[0], *args[1], i));
    ASSIGN_OR_RETURN(auto e2, PeriodEnd(ctx, *args[2], *args[3], i));
    auto r = Overlap(start(*args[0]), e1, start(*args[2]), e2);
    if (r) out->bools()[i] = *r;
    else out->SetNull(i);
  }
  return absl::OkStatus();
}

// ---- make_…

I MakeDate(int64_t year, int64_t month, int64_t day) {
  auto invalid = [&] {
    char text[64];
    std::snprintf(text, sizeof(text), "%d-%02d-%02d", static_cast<int>(year), static_cast<int>(month), static_cast<int>(day));
    return PgError(sqlstate::kDatetimeFieldOverflow, StrCat("date field value out of range: ", text));
  };
  int64_t y = year < 0 ? year + 1 : year;  // -1 is 1 BC
  if (year == 0 || y < -4713 || y > 5874897 || month < 1 || month > 12 || day < 1) return invalid();
  if (day > DaysInMonth(static_cast<int32_t>(y), static_cast<int32_t>(month))) return invalid();
  int64_t date = DateFromCivil(static_cast<int32_t>(y), static_cast<int32_t>(month), static_cast<int32_t>(day));
  if (!IsValidDate(date)) return invalid();
  return date;
}

I MakeTime(int64_t hour, int64_t minute, double second) {
  bool ok = hour >= 0 && minute >= 0 && minute <= 59 && second >= 0 && second <= 60 && hour <= 24 &&
            !(hour == 24 && (minute > 0 || second > 0));
  if (!ok) {
    char text[64];
    std::snprintf(text, sizeof(text), "%d:%02d:%02g", static_cast<int>(hour), static_cast<int>(minute), second);
    return PgError(sqlstate::kDatetimeFieldOverflow, StrCat("time field value out of range: ", text));
  }
  return hour * kUsPerHour + minute * kUsPerMinute + static_cast<int64_t>(std::rint(second * 1e6));
}

I MakeTimestamp(int64_t year, int64_t month, int64_t day, int64_t hour, int64_t minute, double second) {
  ASSIGN_OR_RETURN(int64_t date, MakeDate(year, month, day));
  ASSIGN_OR_RETURN(int64_t time, MakeTime(hour, minute, second));
  return DateAndTime(date, time);
}

S MakeInterval(int64_t years, int64_t months, int64_t weeks, int64_t days, int64_t hours, int64_t minutes, double seconds) {
  if (std::isinf(seconds) || std::isnan(seconds)) return OutOfRange("interval");
  int64_t total_months = years * 12 + months, total_days = weeks * 7 + days;
  double us = std::rint(seconds * 1e6) + static_cast<double>(hours) * 3.6e9 + static_cast<double>(minutes) * 6e7;
  if (total_months != static_cast<int32_t>(total_months) || total_days != static_cast<int32_t>(total_days) || std::fabs(us) > 9.2e18) {
    return OutOfRange("interval");
  }
  return EncodeInterval({hours * kUsPerHour + minutes * kUsPerMinute + static_cast<int64_t>(std::rint(seconds * 1e6)),
                         static_cast<int32_t>(total_days), static_cast<int32_t>(total_months)});
}

void RegisterArithmetic(Registrar& r) {
  r.Scalar("date_pli", Lift<[](int64_t d, int64_t n) { return AddToDate(d, n); }>);
  r.Scalar("date_mii", Lift<[](int64_t d, int64_t n) { return AddToDate(d, -n); }>);
  r.ScalarFor("integer_pl_date(int4,date)", Lift<[](int64_t n, int64_t d) { return AddToDate(d, n); }>);
  r.Scalar("date_mi", Lift<[](int64_t a, int64_t b) -> I {
             if (IsInfiniteDate(a) || IsInfiniteDate(b)) {
               return PgError(sqlstate::kDatetimeFieldOverflow, "cannot subtract infinite dates");
             }
             return a - b;
           }>);
  r.Scalar("date_pl_interval", Lift<[](int64_t d, V v) { return DatePlus(d, DecodeInterval(v)); }>);
  r.ScalarFor("interval_pl_date(interval,date)", Lift<[](V v, int64_t d) { return DatePlus(d, DecodeInterval(v)); }>);
  r.Scalar("date_mi_interval", Lift<[](int64_t d, V v) -> I {
             ASSIGN_OR_RETURN(Interval n, Negated(v));
             return DatePlus(d, n);
           }>);
  r.Scalar("timestamp_pl_interval", Lift<[](int64_t t, V v) { return TimestampPlusInterval(t, DecodeInterval(v)); }>);
  r.ScalarFor("interval_pl_timestamp(interval,timestamp)", Lift<[](V v, int64_t t) { return TimestampPlusInterval(t, DecodeInterval(v)); }>);
  r.Scalar("timestamp_mi_interval", Lift<[](int64_t t, V v) -> I {
             ASSIGN_OR_RETURN(Interval n, Negated(v));
             return TimestampPlusInterval(t, n);
           }>);
  r.Scalar("timestamptz_pl_interval", Lift<[](FunctionContext& ctx, int64_t t, V v) {
             return TimestampTzPlusInterval(Zone(ctx), t, DecodeInterval(v));
           }>);
  r.ScalarFor("interval_pl_timestamptz(interval,timestamptz)", Lift<[](FunctionContext& ctx, V v, int64_t t) {
                return TimestampTzPlusInterval(Zone(ctx), t, DecodeInterval(v));
              }>);
  r.Scalar("timestamptz_mi_interval", Lift<[](FunctionContext& ctx, int64_t t, V v) -> I {
             ASSIGN_OR_RETURN(Interval n, Negated(v));
             return TimestampTzPlusInterval(Zone(ctx), t, n);
           }>);
  r.Scalar("timestamp_mi", Lift<[](int64_t a, int64_t b) { return Encoded(TimestampMinus(a, b)); }>);
  r.Scalar("datetime_timestamp", Lift<[](int64_t d, int64_t t) { return DateAndTime(d, t); }>);
  r.ScalarFor("timedate_pl(time,date)", Lift<[](int64_t t, int64_t d) { return DateAndTime(d, t); }>);
  r.Scalar("datetimetz_timestamptz", Lift<[](int64_t d, V t) { return DateAndTimeTz(d, t); }>);
  r.ScalarFor("timetzdate_pl(timetz,date)", Lift<[](V t, int64_t d) { return DateAndTimeTz(d, t); }>);
  r.ScalarFor("timestamptz(date,time)", Lift<[](FunctionContext& ctx, int64_t d, int64_t t) -> I {
                ASSIGN_OR_RETURN(int64_t local, DateAndTime(d, t));
                return InstantOfLocal(Zone(ctx), local);
              }>);
  r.Scalar("time_pl_interval", Lift<[](int64_t t, V v) { return WrapDay(t + DecodeInterval(v).us % kUsPerDay); }>);
  r.ScalarFor("interval_pl_time(interval,time)", Lift<[](V v, int64_t t) { return WrapDay(t + DecodeInterval(v).us % kUsPerDay); }>);
  r.Scalar("time_mi_interval", Lift<[](int64_t t, V v) { return WrapDay(t - DecodeInterval(v).us % kUsPerDay); }>);
  r.Scalar("time_mi_time", Lift<[](int64_t a, int64_t b) { return EncodeInterval({a - b, 0, 0}); }>);
  r.Scalar("timetz_pl_interval", Lift<[](V t, V v) { return TimeTzPlus(t, DecodeInterval(v).us); }>);
  r.ScalarFor("interval_pl_timetz(interval,timetz)", Lift<[](V v, V t) { return TimeTzPlus(t, DecodeInterval(v).us); }>);
  r.Scalar("timetz_mi_interval", Lift<[](V t, V v) { return TimeTzPlus(t, Opposite(DecodeInterval(v)).us); }>);
  r.Scalar("interval_pl", Lift<[](V a, V b) { return Encoded(IntervalAdd(DecodeInterval(a), DecodeInterval(b))); }>);
  r.Scalar("interval_mi", Lift<[](V a, V b) { return Encoded(IntervalSubtract(DecodeInterval(a), DecodeInterval(b))); }>);
  r.Scalar("interval_um", Lift<[](V a) { return Encoded(Negated(a)); }>);
  r.Scalar("interval_mul", Lift<[](V a, double f) { return Encoded(IntervalMultiply(DecodeInterval(a), f)); }>);
  r.Scalar("mul_d_interval", Lift<[](double f, V a) { return Encoded(IntervalMultiply(DecodeInterval(a), f)); }>);
  r.Scalar("interval_div", Lift<[](V a, double f) { return Encoded(IntervalDivide(DecodeInterval(a), f)); }>);
}

void RegisterFields(Registrar& r) {
  r.Scalar("extract_timestamp", Extractors<true>::Timestamp);
  r.Scalar("extract_timestamptz", Extractors<true>::TimestampTz);
  r.Scalar("extract_date", Extractors<true>::Date);
  r.Scalar("extract_time", Extractors<true>::Time);
  r.Scalar("extract_timetz", Extractors<true>::TimeTz);
  r.Scalar("extract_interval", Extractors<true>::OfInterval);
  r.Scalar("timestamp_part", Extractors<false>::Timestamp);
  r.Scalar("timestamptz_part", Extractors<false>::TimestampTz);
  r.ScalarFor("date_part(text,date)", Extractors<false>::Date);
  r.Scalar("time_part", Extractors<false>::Time);
  r.Scalar("timetz_part", Extractors<false>::TimeTz);
  r.Scalar("interval_part", Extractors<false>::OfInterval);
  r.Scalar("timestamp_trunc", Lift<[](V unit, int64_t t) { return DateTrunc(unit, t); }>);
  r.Scalar("timestamptz_trunc", Lift<[](FunctionContext& ctx, V unit, int64_t t) { return DateTruncTz(unit, Zone(ctx), t); }>);
  r.Scalar("timestamptz_trunc_zone", Lift<[](V unit, int64_t t, V zone) -> I {
             ASSIGN_OR_RETURN(const TimeZone* tz, TimeZoneByName(zone));
             return DateTruncTz(unit, *tz, t);
           }>);
  r.Scalar("interval_trunc", Lift<[](V unit, V v) { return Encoded(DateTrunc(unit, DecodeInterval(v))); }>);
  for (V name : {"timestamp_bin", "timestamptz_bin"}) {
    r.Scalar(name, Lift<[](V stride, int64_t t, int64_t origin) { return DateBin(DecodeInterval(stride), t, origin); }>);
  }
}

}  // namespace

void RegisterDateTimeFunctions(Registrar& r) {
  RegisterArithmetic(r);
  RegisterFields(r);
  RegisterZones(r);
  r.Scalar("now", Lift<[](FunctionContext& ctx) { return ctx.transaction_time_us; }>);
  r.Scalar("statement_timestamp", Lift<[](FunctionContext& ctx) { return ctx.statement_time_us; }>);
  r.Scalar("clock_timestamp", Lift<[](FunctionContext& ctx) { return ctx.ClockUs(); }>);
  r.Scalar("timeofday", Lift<[](FunctionContext& ctx) {
             DateTimeSettings s = ctx.io.datetime();
             s.date_style = DateStyle::kPostgres;
             int64_t now = ctx.ClockUs();
             CivilTime c = CivilFromTimestamp(TimestampTzToTimestamp(*s.time_zone, now));
             std::string text;
             AppendTimestampTz(s, now, &text);  // Wed Dec 17 07:37:16.5 1997 PST
             // The fraction always has six digits here.
             char clock[32];
             std::snprintf(clock, sizeof(clock), "%02d:%02d:%02d.%06d", c.hour, c.minute, c.second, c.us);
             size_t begin = 11, end = text.find(' ', begin);
             return text.substr(0, begin) + clock + text.substr(end);
           }>);
  r.Scalar("timestamp_age", Lift<[](int64_t a, int64_t b) -> S {
             if (IsInfiniteTimestamp(a) || IsInfiniteTimestamp(b)) return OutOfRange("timestamp");
             return EncodeInterval(Age(a, b));
           }>);
  r.Scalar("timestamptz_age", Lift<[](FunctionContext& ctx, int64_t a, int64_t b) -> S {
             if (IsInfiniteTimestamp(a) || IsInfiniteTimestamp(b)) return OutOfRange("timestamp");
             return EncodeInterval(Age(TimestampTzToTimestamp(Zone(ctx), a), TimestampTzToTimestamp(Zone(ctx), b)));
           }>);
  r.ScalarFor("age(timestamp)", Lift<[](FunctionContext& ctx, int64_t b) -> S {
                if (IsInfiniteTimestamp(b)) return OutOfRange("timestamp");
                int64_t today = TimestampTzToDate(Zone(ctx), ctx.transaction_time_us) * kUsPerDay;
                return EncodeInterval(Age(today, b));
              }>);
  r.ScalarFor("age(timestamptz)", Lift<[](FunctionContext& ctx, int64_t b) -> S {
                if (IsInfiniteTimestamp(b)) return OutOfRange("timestamp");
                int64_t today = TimestampTzToDate(Zone(ctx), ctx.transaction_time_us) * kUsPerDay;
                return EncodeInterval(Age(today, TimestampTzToTimestamp(Zone(ctx), b)));
              }>);
  r.Scalar("date_finite", Lift<[](int64_t d) { return !IsInfiniteDate(d); }>);
  r.Scalar("timestamp_finite", Lift<[](int64_t t) { return !IsInfiniteTimestamp(t); }>);
  r.Scalar("interval_finite", Lift<[](V) { return true; }>);
  r.Scalar("interval_justify_days", Lift<[](V v) { return Justified<JustifyDays, false, true>(v); }>);
  r.Scalar("interval_justify_hours", Lift<[](V v) { return Justified<JustifyHours, true, false>(v); }>);
  r.Scalar("interval_justify_interval", Lift<[](V v) { return Justified<JustifyInterval, true, true>(v); }>);
  r.Scalar("make_date", Lift<[](int64_t y, int64_t m, int64_t d) { return MakeDate(y, m, d); }>);
  r.Scalar("make_time", Lift<[](int64_t h, int64_t m, double s) { return MakeTime(h, m, s); }>);
  r.Scalar("make_timestamp", Lift<[](int64_t y, int64_t mo, int64_t d, int64_t h, int64_t m, double s) {
             return MakeTimestamp(y, mo, d, h, m, s);
           }>);
  r.Scalar("make_timestamptz", Lift<[](FunctionContext& ctx, int64_t y, int64_t mo, int64_t d, int64_t h, int64_t m, double s) -> I {
             ASSIGN_OR_RETURN(int64_t local, MakeTimestamp(y, mo, d, h, m, s));
             return InstantOfLocal(Zone(ctx), local);
           }>);
  r.Scalar("make_timestamptz_at_timezone", Lift<[](int64_t y, int64_t mo, int64_t d, int64_t h, int64_t m, double s, V zone) -> I {
             ASSIGN_OR_RETURN(int64_t local, MakeTimestamp(y, mo, d, h, m, s));
             ASSIGN_OR_RETURN(const TimeZone* tz, TimeZoneByName(zone));
             return InstantOfLocal(*tz, local);
           }>);
  r.Scalar("make_interval", Lift<[](int64_t y, int64_t mo, int64_t w, int64_t d, int64_t h, int64_t m, double s) {
             return MakeInterval(y, mo, w, d, h, m, s);
           }>);
  r.Scalar("float8_timestamptz", Lift<[](double seconds) -> I {
             if (std::isnan(seconds)) return PgError(sqlstate::kDatetimeFieldOverflow, "timestamp cannot be NaN");
             if (std::isinf(seconds)) return seconds > 0 ? kTimestampInfinity : kTimestampNegativeInfinity;
             double us = std::rint((seconds - kPostgresEpochUs / 1e6) * 1e6);
             if (std::fabs(us) > 9.2233e18 || !IsValidTimestamp(static_cast<int64_t>(us))) {
               return PgError(sqlstate::kDatetimeFieldOverflow, StrCat("timestamp out of range: \"", seconds, "\""));
             }
             return static_cast<int64_t>(us);
           }>);
  r.Scalar("overlaps_timestamp", Overlaps);
  r.Scalar("overlaps_time", Overlaps);
  for (V type : {"timestamptz", "timestamp", "time"}) {
    for (V shape : {"T,interval,T,interval", "T,T,T,interval", "T,interval,T,T"}) {
      std::string signature = "overlaps(";
      for (char c : shape) {
        if (c == 'T') signature.append(type);
        else signature.push_back(c);
      }
      r.ScalarFor(signature + ")", Overlaps);
    }
  }
}

}  // namespace insula::sql::internal
