#include "sql/types/datetime.h"

#include <gtest/gtest.h>

#include <string>

#include "base/pgerror/pg_error.h"

namespace insula::sql {
namespace {

DateTimeSettings Settings(std::string_view zone = "America/New_York") {
  DateTimeSettings s;
  s.time_zone = TimeZone::Find(zone);
  s.now_us = 646920000 * kUsPerSecond;  // 2020-07-01 12:00:00 UTC
  return s;
}

template <typename T>
std::string ErrorText(const absl::StatusOr<T>& v) {
  PgErrorFields e = ToPgError(v.status());
  return e.sqlstate + " " + e.message;
}

std::string Date(std::string_view text, DateTimeSettings s = Settings()) {
  auto v = ParseDate(s, text);
  if (!v.ok()) return ErrorText(v);
  std::string out;
  AppendDate(s, *v, &out);
  return out;
}
std::string Timestamp(std::string_view text, DateTimeSettings s = Settings()) {
  auto v = ParseTimestamp(s, text);
  if (!v.ok()) return ErrorText(v);
  std::string out;
  AppendTimestamp(s, *v, &out);
  return out;
}
std::string TimestampTz(std::string_view text, DateTimeSettings s = Settings()) {
  auto v = ParseTimestampTz(s, text);
  if (!v.ok()) return ErrorText(v);
  std::string out;
  AppendTimestampTz(s, *v, &out);
  return out;
}
std::string IntervalText(std::string_view text, IntervalStyle style = IntervalStyle::kPostgres) {
  DateTimeSettings s = Settings();
  auto v = ParseInterval(s, text);
  if (!v.ok()) return ErrorText(v);
  s.interval_style = style;
  std::string out;
  AppendInterval(s, *v, &out);
  return out;
}

TEST(DateTest, Input) {
  for (std::string_view s : {"1999-01-08", "January 8, 1999", "1/8/1999", "1999-Jan-08", "Jan-08-1999", "08-Jan-1999", "19990108",
                             "990108", "1999.008", "J2451187", "8 January 1999", "Mon Jan 8 1999"}) {
    EXPECT_EQ(Date(s), "1999-01-08") << s;
  }
  EXPECT_EQ(Date("January 8, 99 BC"), "0099-01-08 BC");
  EXPECT_EQ(Date("4714-11-24 BC"), "4714-11-24 BC");
  EXPECT_EQ(Date("5874897-12-31"), "5874897-12-31");
  EXPECT_EQ(Date("epoch"), "1970-01-01");
  EXPECT_EQ(Date("infinity"), "infinity");
  EXPECT_EQ(Date("today"), "2020-07-01");
  EXPECT_EQ(Date("tomorrow"), "2020-07-02");
  EXPECT_EQ(Date("2000-02-30"), "22008 date/time field value out of range: \"2000-02-30\"");
  EXPECT_EQ(Date("0000-01-01"), "22008 date/time field value out of range: \"0000-01-01\"");
  EXPECT_EQ(Date("044-03-15 (BC)"), "0044-03-15 BC");
  EXPECT_EQ(Date("()"), "22007 invalid input syntax for type date: \"()\"");
  EXPECT_EQ(Date("abc"), "22007 invalid input syntax for type date: \"abc\"");
  EXPECT_EQ(Date("5874898-01-01"), "22008 date out of range: \"5874898-01-01\"");
}

TEST(DateTest, OrderOfAmbiguousNumbers) {
  DateTimeSettings s = Settings();
  EXPECT_EQ(Date("01/02/03", s), "2003-01-02");
  s.date_order = DateOrder::kDmy;
  EXPECT_EQ(Date("01/02/03", s), "2003-02-01");
  s.date_order = DateOrder::kYmd;
  EXPECT_EQ(Date("01/02/03", s), "2001-02-03");
}

TEST(TimestampTest, InputAndZones) {
  EXPECT_EQ(Timestamp("1999-01-08 04:05:06.789"), "1999-01-08 04:05:06.789");
  EXPECT_EQ(Timestamp("20040506T040506"), "2004-05-06 04:05:06");
  EXPECT_EQ(Timestamp("1999-01-08 04:05:06.9999999"), "1999-01-08 04:05:07");
  EXPECT_EQ(Timestamp("2000-01-01 24:00"), "2000-01-02 00:00:00");
  EXPECT_EQ(TimestampTz("1999-01-08 04:05:06 -8:00"), "1999-01-08 07:05:06-05");
  EXPECT_EQ(TimestampTz("2004-10-19 10:23:54 Europe/Berlin"), "2004-10-19 04:23:54-04");
  EXPECT_EQ(TimestampTz("2004-10-19 10:23:54 PST"), "2004-10-19 14:23:54-04");
  EXPECT_EQ(TimestampTz("2000-03-15 08:14:01 GMT+8"), "2000-03-15 11:14:01-05");
  EXPECT_EQ(TimestampTz("2000-01-01 00:00:00", Settings("Asia/Kathmandu")), "2000-01-01 00:00:00+05:45");
  // A time that does not exist takes the offset before the gap, one that exists twice the later.
  EXPECT_EQ(TimestampTz("2021-03-14 02:30"), "2021-03-14 03:30:00-04");
  EXPECT_EQ(TimestampTz("2021-11-07 01:30"), "2021-11-07 01:30:00-05");
  EXPECT_EQ(TimestampTz("2004-10-19 10:23:54 Foo/Bar"), "22023 time zone \"foo/bar\" not recognized");
  EXPECT_EQ(TimestampTz("2000-01-01 12:00 +20"), "22009 time zone displacement out of range: \"2000-01-01 12:00 +20\"");
  EXPECT_EQ(Timestamp("294277-01-01"), "22008 timestamp out of range: \"294277-01-01\"");
}

TEST(TimestampTest, Styles) {
  DateTimeSettings s = Settings();
  std::string_view text = "1997-12-17 07:37:16.25-05";
  EXPECT_EQ(TimestampTz(text, s), "1997-12-17 07:37:16.25-05");
  s.date_style = DateStyle::kSql;
  EXPECT_EQ(TimestampTz(text, s), "12/17/1997 07:37:16.25 EST");
  s.date_style = DateStyle::kPostgres;
  EXPECT_EQ(TimestampTz(text, s), "Wed Dec 17 07:37:16.25 1997 EST");
  s.date_style = DateStyle::kGerman;
  EXPECT_EQ(TimestampTz(text, s), "17.12.1997 07:37:16.25 EST");
}

TEST(IntervalTest, Input) {
  EXPECT_EQ(IntervalText("1 year 2 months 3 days 04:05:06.789"), "1 year 2 mons 3 days 04:05:06.789");
  EXPECT_EQ(IntervalText("1.5 months"), "1 mon 15 days");
  EXPECT_EQ(IntervalText("1.5 years"), "1 year 6 mons");
  EXPECT_EQ(IntervalText("1-2"), "1 year 2 mons");
  EXPECT_EQ(IntervalText("1 2:03:04"), "1 day 02:03:04");
  EXPECT_EQ(IntervalText("@ 6 years 5 months 12 hours ago"), "-6 years -5 mons -12:00:00");
  EXPECT_EQ(IntervalText("P1Y2M3DT4H5M6.5S"), "1 year 2 mons 3 days 04:05:06.5");
  EXPECT_EQ(IntervalText("P0001-02-03T04:05:06"), "1 year 2 mons 3 days 04:05:06");
  EXPECT_EQ(IntervalText("2 weeks"), "14 days");
  EXPECT_EQ(IntervalText("-1 days +02:03:00"), "-1 days +02:03:00");
  EXPECT_EQ(IntervalText("4 millenniums 5 centuries"), "4500 years");
  EXPECT_EQ(IntervalText("1 year 1 month 1 day 1:"), "1 year 1 mon 1 day 01:00:00");
  EXPECT_EQ(IntervalText("1:2:"), "22007 invalid input syntax for type interval: \"1:2:\"");
  EXPECT_EQ(IntervalText("1 foo"), "22007 invalid input syntax for type interval: \"1 foo\"");
  EXPECT_EQ(IntervalText("1 day 1 day"), "22007 invalid input syntax for type interval: \"1 day 1 day\"");
  EXPECT_EQ(IntervalText("2020-01-01"), "22007 invalid input syntax for type interval: \"2020-01-01\"");
  EXPECT_EQ(IntervalText("2147483648 days"), "22015 interval field value out of range: \"2147483648 days\"");
}

TEST(IntervalTest, Styles) {
  std::string_view text = "-1 year -2 mons +3 days -04:05:06";
  EXPECT_EQ(IntervalText(text), "-1 years -2 mons +3 days -04:05:06");
  EXPECT_EQ(IntervalText(text, IntervalStyle::kSqlStandard), "-1-2 +3 -4:05:06");
  EXPECT_EQ(IntervalText(text, IntervalStyle::kIso8601), "P-1Y-2M3DT-4H-5M-6S");
  EXPECT_EQ(IntervalText(text, IntervalStyle::kPostgresVerbose), "@ 1 year 2 mons -3 days 4 hours 5 mins 6 secs ago");
}

TEST(IntervalTest, Typmod) {
  Interval v{3 * kUsPerHour + 4 * kUsPerMinute + 5123456, 2, 14};
  constexpr int32_t kYear = 1 << 2, kDay = 1 << 3, kHour = 1 << 10;
  EXPECT_EQ(ApplyIntervalTypmod(v, kYear << 16 | 0xFFFF)->months, 12);
  EXPECT_EQ(ApplyIntervalTypmod(v, kYear << 16 | 0xFFFF)->us, 0);
  EXPECT_EQ(ApplyIntervalTypmod(v, (kDay | kHour) << 16 | 0xFFFF)->us, 3 * kUsPerHour);
  EXPECT_EQ(ApplyIntervalTypmod(v, 0x7FFF << 16 | 2)->us % kUsPerMinute, 5120000);
}

TEST(ArithmeticTest, MonthsEndAndZones) {
  const TimeZone& ny = *TimeZone::Find("America/New_York");
  DateTimeSettings s = Settings();
  int64_t jan31 = *ParseTimestamp(s, "2020-01-31 10:00");
  std::string out;
  AppendTimestamp(s, *TimestampPlusInterval(jan31, {0, 0, 1}), &out);
  EXPECT_EQ(out, "2020-02-29 10:00:00");
  // A day across the change of clocks keeps the wall time; 24 hours do not.
  int64_t before = *ParseTimestampTz(s, "2021-03-13 12:00");
  out.clear();
  AppendTimestampTz(s, *TimestampTzPlusInterval(ny, before, {0, 1, 0}), &out);
  EXPECT_EQ(out, "2021-03-14 12:00:00-04");
  out.clear();
  AppendTimestampTz(s, *TimestampTzPlusInterval(ny, before, {24 * kUsPerHour, 0, 0}), &out);
  EXPECT_EQ(out, "2021-03-14 13:00:00-04");
  EXPECT_EQ(ToPgError(TimestampPlusInterval(jan31, {0, 0, 12 * 1000000}).status()).message, "timestamp out of range");
}

TEST(ArithmeticTest, CivilRoundTrip) {
  for (int64_t date = -2451545; date < 3000000; date += 97) {
    int32_t y, m, d;
    CivilFromDate(date, &y, &m, &d);
    ASSERT_EQ(DateFromCivil(y, m, d), date);
    ASSERT_LE(d, DaysInMonth(y, m));
  }
}

TEST(ArithmeticTest, IntervalsCompareByThirtyDayMonths) {
  EXPECT_EQ(CompareIntervals({0, 0, 1}, {0, 30, 0}), 0);
  EXPECT_LT(CompareIntervals({0, 0, 1}, {0, 31, 0}), 0);
  EXPECT_EQ(CompareIntervals({24 * kUsPerHour, 0, 0}, {0, 1, 0}), 0);
  Interval v = JustifyInterval({-kUsPerHour, 0, 1});
  EXPECT_EQ(v.days, 29);
  EXPECT_EQ(v.us, 23 * kUsPerHour);
}

TEST(FieldsTest, ExtractAndTruncate) {
  DateTimeSettings s = Settings();
  int64_t t = *ParseTimestamp(s, "2020-12-31 23:59:58.123456");
  bool is_null;
  EXPECT_EQ(ExtractFromTimestamp("second", t, &is_null)->ToString(), "58.123456");
  EXPECT_EQ(ExtractFromTimestamp("week", t, &is_null)->ToString(), "53");
  EXPECT_EQ(ExtractFromTimestamp("century", t, &is_null)->ToString(), "21");
  EXPECT_EQ(ExtractFromTimestamp("epoch", t, &is_null)->ToString(), "1609459198.123456");
  EXPECT_TRUE(ExtractFromTimestamp("day", kTimestampInfinity, &is_null).ok());
  EXPECT_TRUE(is_null);
  EXPECT_EQ(ToPgError(ExtractFromTimestamp("foo", t, &is_null).status()).message,
            "unit \"foo\" not recognized for type timestamp without time zone");
  std::string out;
  AppendTimestamp(s, *DateTrunc("quarter", t), &out);
  EXPECT_EQ(out, "2020-10-01 00:00:00");
  out.clear();
  AppendTimestamp(s, *DateTrunc("week", t), &out);
  EXPECT_EQ(out, "2020-12-28 00:00:00");
}

TEST(TimeZoneTest, Names) {
  EXPECT_EQ(TimeZone::Find("america/new_york")->name(), "America/New_York");
  EXPECT_EQ(TimeZone::Find("utc")->At(0).offset_s, 0);
  EXPECT_EQ(TimeZone::Find("<+03>-03")->At(0).offset_s, 3 * 3600);
  EXPECT_EQ(TimeZone::Find("-8")->name(), "<-08>+08");
  EXPECT_EQ(TimeZone::Find("nowhere"), nullptr);
  EXPECT_EQ(TimeZone::Find("../../etc/passwd"), nullptr);
  EXPECT_EQ(TimeZone::Find("/etc/localtime"), nullptr);
  EXPECT_EQ((*TimeZoneByName("EST"))->At(0).offset_s, -5 * 3600);
  EXPECT_EQ((*TimeZoneByName("-8"))->At(0).offset_s, 8 * 3600) << "POSIX's sign";
}

}  // namespace
}  // namespace insula::sql
