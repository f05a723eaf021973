// Rows of a batch as DataRow messages, in text or binary format per column; RowDescription of result columns.
#ifndef INSULA_SQL_SESSION_RESULT_WRITER_H_
#define INSULA_SQL_SESSION_RESULT_WRITER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/pgwire/backend.h"
#include "sql/plan/statement.h"
#include "sql/types/io.h"
#include "sql/types/vector.h"

namespace insula::sql {

// One format per column from what Bind said: none: text; one: for all. 08P01 if the numbers do not fit, 22023 for codes that
// are neither 0 nor 1.
absl::StatusOr<std::vector<int16_t>> ExpandFormats(const std::vector<int16_t>& formats, size_t columns);

void AppendResultDescription(const std::vector<ResultColumn>& columns, const std::vector<int16_t>& formats, std::string* out);

// Rows [begin, end) of `batch`, one DataRow each. A row that fails leaves nothing of itself behind.
absl::Status AppendRows(const IoContext& io, const Batch& batch, size_t begin, size_t end, const std::vector<int16_t>& formats,
                        std::string* out);

}  // namespace insula::sql

#endif  // INSULA_SQL_SESSION_RESULT_WRITER_H_
