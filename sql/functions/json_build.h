// Values as JSON. Internal to sql/functions.
#ifndef INSULA_SQL_FUNCTIONS_JSON_BUILD_H_
#define INSULA_SQL_FUNCTIONS_JSON_BUILD_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/types/datum.h"
#include "sql/types/io.h"
#include "sql/types/json.h"

namespace insula::sql {

// As to_json(): numbers and booleans as they are, json as it is, arrays and records by their parts, times in ISO 8601, all else as
// strings. `pretty` puts line feeds between the elements of the outermost array or record.
absl::Status AppendValueAsJson(const IoContext& io, Oid type, const Datum& value, bool pretty, std::string* out);
// The same as a tree, for jsonb.
absl::StatusOr<JsonValue> ValueToJson(const IoContext& io, Oid type, const Datum& value);

}  // namespace insula::sql

#endif  // INSULA_SQL_FUNCTIONS_JSON_BUILD_H_
