// Dates, times, timestamps and intervals, as PostgreSQL reads, prints and computes them.
//
//   date         days since 2000-01-01 (proleptic Gregorian); kDateInfinity, kDateNegativeInfinity
//   time         µs since midnight, 0 … 24:00
//   timetz       12 bytes (EncodeTimeTz): the time, and the zone in seconds WEST of Greenwich, as PostgreSQL stores it
//   timestamp    µs since 2000-01-01 00:00; kTimestampInfinity, kTimestampNegativeInfinity
//   timestamptz  the same, UTC
//   interval     16 bytes (EncodeInterval): µs, days, months kept apart
//
// Errors: 22007 `invalid input syntax for type date: "x"`, 22008 `date/time field value out of range: "…"`, 22008
// `timestamp out of range`, 22009 for displacements, 22023 for unknown time zones and units.
// Thread safety: pure, but for TimeZone::Find, which loads zones once and is for the loop thread.
#ifndef INSULA_SQL_TYPES_DATETIME_H_
#define INSULA_SQL_TYPES_DATETIME_H_

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/types/numeric.h"

namespace insula::sql {

inline constexpr int64_t kUsPerSecond = 1000000;
inline constexpr int64_t kUsPerMinute = 60 * kUsPerSecond;
inline constexpr int64_t kUsPerHour = 60 * kUsPerMinute;
inline constexpr int64_t kUsPerDay = 24 * kUsPerHour;
// From 1970-01-01 to 2000-01-01.
inline constexpr int64_t kPostgresEpochDays = 10957;
inline constexpr int64_t kPostgresEpochUs = kPostgresEpochDays * kUsPerDay;

inline constexpr int64_t kTimestampInfinity = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kTimestampNegativeInfinity = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kDateInfinity = std::numeric_limits<int32_t>::max();
inline constexpr int64_t kDateNegativeInfinity = std::numeric_limits<int32_t>::min();
inline bool IsInfiniteTimestamp(int64_t t) { return t == kTimestampInfinity || t == kTimestampNegativeInfinity; }
inline bool IsInfiniteDate(int64_t d) { return d == kDateInfinity || d == kDateNegativeInfinity; }
// 4714-11-24 BC … 294276-12-31, and 5874897-12-31 for date.
bool IsValidTimestamp(int64_t t);
bool IsValidDate(int64_t d);

enum class DateStyle : uint8_t { kIso, kSql, kPostgres, kGerman };
enum class DateOrder : uint8_t { kMdy, kDmy, kYmd };
enum class IntervalStyle : uint8_t { kPostgres, kPostgresVerbose, kSqlStandard, kIso8601 };

// A zone: an IANA name, or a fixed offset. Instances live for ever, so pointers may be kept.
class TimeZone {
 public:
  struct Local {
    int32_t offset_s;      // seconds east of Greenwich
    bool is_dst;
    std::string abbreviation;
  };
  static const TimeZone* Utc();
  // A name as SET TimeZone takes it: IANA name (any case), abbreviation ("EST"), POSIX offset ("<+03>-03", "UTC+3"), a number of
  // hours ("-8"). nullptr if there is none.
  static const TimeZone* Find(std::string_view name);
  // `offset_s` seconds east, named as `SET TIME ZONE -8` names it: "<-08>+08".
  static const TimeZone* Fixed(int32_t offset_s);

  virtual ~TimeZone() = default;
  virtual const std::string& name() const = 0;
  // At an instant (µs since 2000-01-01 UTC).
  virtual Local At(int64_t timestamp_us) const = 0;
  // Offset (seconds east) for a local time (µs since 2000-01-01, local): in a gap the one before it, in a fold the standard one.
  virtual int32_t OffsetForLocal(int64_t local_us) const = 0;
};

struct DateTimeSettings {
  const TimeZone* time_zone = TimeZone::Utc();
  DateStyle date_style = DateStyle::kIso;
  DateOrder date_order = DateOrder::kMdy;
  IntervalStyle interval_style = IntervalStyle::kPostgres;
  int64_t now_us = 0;
};

struct Interval {
  int64_t us = 0;
  int32_t days = 0;
  int32_t months = 0;
};
struct TimeTz {
  int64_t us = 0;
  int32_t zone_s = 0;  // seconds west of Greenwich
};
// Fields of a local time. month 1–12; year 0 is 1 BC.
struct CivilTime {
  int32_t year = 2000, month = 1, day = 1, hour = 0, minute = 0, second = 0, us = 0;
};

std::string EncodeInterval(const Interval& v);
Interval DecodeInterval(std::string_view bytes);
std::string EncodeTimeTz(const TimeTz& v);
TimeTz DecodeTimeTz(std::string_view bytes);

// ---- calendar
int64_t DateFromCivil(int32_t year, int32_t month, int32_t day);  // days since 2000-01-01
void CivilFromDate(int64_t date, int32_t* year, int32_t* month, int32_t* day);
CivilTime CivilFromTimestamp(int64_t us);
int64_t TimestampFromCivil(const CivilTime& c);  // no range check
int DaysInMonth(int32_t year, int32_t month);
int DayOfWeek(int64_t date);  // 0 Sunday

// ---- input. typmod is the number of fraction digits (-1: 6), for interval PostgreSQL's typmod.
absl::StatusOr<int64_t> ParseDate(const DateTimeSettings& s, std::string_view text);
absl::StatusOr<int64_t> ParseTime(const DateTimeSettings& s, std::string_view text, int32_t typmod = -1);
absl::StatusOr<TimeTz> ParseTimeTz(const DateTimeSettings& s, std::string_view text, int32_t typmod = -1);
absl::StatusOr<int64_t> ParseTimestamp(const DateTimeSettings& s, std::string_view text, int32_t typmod = -1);
absl::StatusOr<int64_t> ParseTimestampTz(const DateTimeSettings& s, std::string_view text, int32_t typmod = -1);
absl::StatusOr<Interval> ParseInterval(const DateTimeSettings& s, std::string_view text, int32_t typmod = -1);

// ---- output
void AppendDate(const DateTimeSettings& s, int64_t date, std::string* out);
void AppendTime(int64_t us, std::string* out);
void AppendTimeTz(const TimeTz& v, std::string* out);
void AppendTimestamp(const DateTimeSettings& s, int64_t us, std::string* out);
void AppendTimestampTz(const DateTimeSettings& s, int64_t us, std::string* out);
void AppendInterval(const DateTimeSettings& s, const Interval& v, std::string* out);

// ---- modifiers
int64_t RoundTimeUs(int64_t us, int32_t typmod);  // infinities stay
absl::StatusOr<Interval> ApplyIntervalTypmod(const Interval& v, int32_t typmod);

// ---- conversions
absl::StatusOr<int64_t> DateToTimestamp(int64_t date);
absl::StatusOr<int64_t> DateToTimestampTz(const TimeZone& tz, int64_t date);
int64_t TimestampToDate(int64_t us);
int64_t TimestampTzToDate(const TimeZone& tz, int64_t us);
absl::StatusOr<int64_t> TimestampToTimestampTz(const TimeZone& tz, int64_t local_us);
int64_t TimestampTzToTimestamp(const TimeZone& tz, int64_t us);

// ---- arithmetic
absl::StatusOr<int64_t> TimestampPlusInterval(int64_t us, const Interval& v);
absl::StatusOr<int64_t> TimestampTzPlusInterval(const TimeZone& tz, int64_t us, const Interval& v);
absl::StatusOr<Interval> TimestampMinus(int64_t a, int64_t b);  // justified to days and time
Interval Age(int64_t a, int64_t b);                             // symbolic years, months, days
absl::StatusOr<Interval> IntervalAdd(const Interval& a, const Interval& b);
absl::StatusOr<Interval> IntervalSubtract(const Interval& a, const Interval& b);
absl::StatusOr<Interval> IntervalNegate(const Interval& v);
absl::StatusOr<Interval> IntervalMultiply(const Interval& v, double factor);
absl::StatusOr<Interval> IntervalDivide(const Interval& v, double divisor);
Interval JustifyDays(const Interval& v);
Interval JustifyHours(const Interval& v);
Interval JustifyInterval(const Interval& v);
// Months as 30 days, days as 24 hours, in µs: the order of intervals.
__int128 IntervalSpan(const Interval& v);
int CompareIntervals(const Interval& a, const Interval& b);

// ---- fields and truncation
absl::StatusOr<int64_t> DateTrunc(std::string_view unit, int64_t timestamp_us);
absl::StatusOr<int64_t> DateTruncTz(std::string_view unit, const TimeZone& tz, int64_t timestamp_us);
absl::StatusOr<Interval> DateTrunc(std::string_view unit, const Interval& v);
absl::StatusOr<int64_t> DateBin(const Interval& stride, int64_t us, int64_t origin_us);
// extract(): numeric, with PostgreSQL's scales. Infinite timestamps give ±Infinity for monotonic fields; others have no value:
// *is_null is set.
absl::StatusOr<Numeric> ExtractFromTimestamp(std::string_view field, int64_t us, bool* is_null);
absl::StatusOr<Numeric> ExtractFromTimestampTz(std::string_view field, const TimeZone& tz, int64_t us, bool* is_null);
absl::StatusOr<Numeric> ExtractFromDate(std::string_view field, int64_t date, bool* is_null);
absl::StatusOr<Numeric> ExtractFromTime(std::string_view field, int64_t us);
absl::StatusOr<Numeric> ExtractFromTimeTz(std::string_view field, const TimeTz& v);
absl::StatusOr<Numeric> ExtractFromInterval(std::string_view field, const Interval& v);

// ---- the zone that AT TIME ZONE names: an abbreviation, a name, or an offset with POSIX's sign ("-8" is east). 22023 `time zone
// "x" not recognized`
absl::StatusOr<const TimeZone*> TimeZoneByName(std::string_view name);

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_DATETIME_H_
