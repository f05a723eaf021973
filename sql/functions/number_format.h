// to_char and to_number: numbers by a format such as 'FM999,990.00'. Internal to sql/functions.
#ifndef INSULA_SQL_FUNCTIONS_NUMBER_FORMAT_H_
#define INSULA_SQL_FUNCTIONS_NUMBER_FORMAT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "sql/types/numeric.h"

namespace insula::sql {

// 42601 for formats that contradict themselves.
absl::StatusOr<std::string> FormatNumber(const Numeric& value, std::string_view format);
absl::StatusOr<Numeric> ReadNumber(std::string_view text, std::string_view format);

}  // namespace insula::sql

#endif  // INSULA_SQL_FUNCTIONS_NUMBER_FORMAT_H_
