// Pieces of array functions that set-returning ones use. Internal to sql/functions.
#ifndef INSULA_SQL_FUNCTIONS_ARRAY_FUNCTIONS_H_
#define INSULA_SQL_FUNCTIONS_ARRAY_FUNCTIONS_H_

#include <optional>
#include <string_view>
#include <vector>

#include "sql/types/datum.h"

namespace insula::sql::internal {

// string_to_array(): no separator cuts into characters; a part equal to `null_text` becomes NULL.
std::vector<Datum> SplitText(std::string_view text, const std::optional<std::string_view>& separator,
                             const std::optional<std::string_view>& null_text);

}  // namespace insula::sql::internal

#endif  // INSULA_SQL_FUNCTIONS_ARRAY_FUNCTIONS_H_
