// Pieces of io shared by its files.
#ifndef INSULA_SQL_TYPES_IO_INTERNAL_H_
#define INSULA_SQL_TYPES_IO_INTERNAL_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "sql/types/io.h"

namespace insula::sql::internal {

// "{1,2,NULL}" and "1 2 3" (int2vector, oidvector).
absl::StatusOr<Datum> ArrayIn(const IoContext& io, SqlType type, std::string_view text);
void ArrayOut(const IoContext& io, Oid type, std::string_view bytes, std::string* out);
void RecordOut(const IoContext& io, std::string_view bytes, std::string* out);

// Length rules of varchar(n) and char(n): `text` cut or padded; 22001 if characters other than blanks would be lost, unless
// `truncate` (explicit cast).
absl::StatusOr<std::string> FitText(Oid type, int32_t typmod, std::string_view text, bool truncate);
absl::StatusOr<std::string> FitBits(Oid type, int32_t typmod, std::string_view bits, bool truncate);
// At most 63 bytes, cut at a character.
std::string_view FitName(std::string_view text);

}  // namespace insula::sql::internal

#endif  // INSULA_SQL_TYPES_IO_INTERNAL_H_
