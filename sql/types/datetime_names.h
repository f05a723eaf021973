// Words of date and time input: months, days, zone abbreviations, units.
#ifndef INSULA_SQL_TYPES_DATETIME_NAMES_H_
#define INSULA_SQL_TYPES_DATETIME_NAMES_H_

#include <cstdint>
#include <string_view>

namespace insula::sql::internal {

inline constexpr std::string_view kMonthNames[] = {"January", "February", "March",     "April",   "May",      "June",
                                                   "July",    "August",   "September", "October", "November", "December"};
inline constexpr std::string_view kDayNames[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                 "Thursday", "Friday", "Saturday"};

// 1–12 for a lower-case month name or abbreviation; 0 if it is none.
int FindMonth(std::string_view lower);
// 0–6 for a lower-case weekday name or abbreviation; -1 if it is none.
int FindWeekday(std::string_view lower);
// Fixed offset (seconds east) of a lower-case zone abbreviation.
bool FindZoneAbbreviation(std::string_view lower, int32_t* offset_s);

enum class Unit : uint8_t {
  kMicrosecond, kMillisecond, kSecond, kMinute, kHour, kDay, kWeek, kMonth, kQuarter, kYear, kDecade, kCentury, kMillennium,
  // Only fields, not lengths of time:
  kDow, kIsoDow, kDoy, kIsoYear, kJulian, kEpoch, kTimezone, kTimezoneHour, kTimezoneMinute,
};
// Unit by its lower-case name, plural or abbreviation ("mons", "hrs", "c"); false if there is none.
bool FindUnit(std::string_view lower, Unit* unit);
// The names of lengths of time that interval input takes: FindUnit's, with "m" for minutes (or months: decided there).
bool FindIntervalUnit(std::string_view lower, Unit* unit);

}  // namespace insula::sql::internal

#endif  // INSULA_SQL_TYPES_DATETIME_NAMES_H_
