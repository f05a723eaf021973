// to_char, to_date and to_timestamp: dates and times by a format such as 'YYYY-MM-DD HH24:MI:SS.US TZH'.
// Internal to sql/functions.
#ifndef INSULA_SQL_FUNCTIONS_DATE_FORMAT_H_
#define INSULA_SQL_FUNCTIONS_DATE_FORMAT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "sql/types/datetime.h"

namespace insula::sql {

// A finite local time; `zone` is null for timestamps without one.
absl::StatusOr<std::string> FormatTimestamp(int64_t local_us, const TimeZone::Local* zone, std::string_view format);
absl::StatusOr<std::string> FormatInterval(const Interval& v, std::string_view format);

// 22007 for text that does not fit the format, 22008 for values out of range.
absl::StatusOr<int64_t> ReadDate(std::string_view text, std::string_view format);
absl::StatusOr<int64_t> ReadTimestampTz(const TimeZone& tz, std::string_view text, std::string_view format);

}  // namespace insula::sql

#endif  // INSULA_SQL_FUNCTIONS_DATE_FORMAT_H_
