// The columns of a row that are not in its key ↔ one compact value.
//
//   row value   := version (01) ‖ entry*
//   index value := version (01) ‖ varint n ‖ n bytes of encoded primary key (0 if the key ends with it) ‖ entry*
//   entry       := varint (column id - previous id) << 3 | form ‖ payload          column ids ascend
//
//   form  payload               form  payload
//   0     false                 4     bytes: varint length, bytes
//   1     true                  5     numeric that fits 18 digits: zigzag varint mantissa, varint scale
//   2     integer: zigzag       6     any other numeric: varint length, text of its digits as Numeric prints it
//   3     double: 8 bytes LE    7     NULL (only where absence would mean something else; not written today)
//
// A column that is NULL has no entry. A reader skips ids that it does not know: columns that were dropped.
// Arrays and the like are stored in the byte order of little-endian machines, as they lie in memory.
// Thread safety: pure functions.
#ifndef INSULA_SQL_ROWENC_VALUE_CODEC_H_
#define INSULA_SQL_ROWENC_VALUE_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/types/vector.h"

namespace insula::sql {

inline constexpr char kRowValueVersion = 1;

void AppendVarint(std::string* out, uint64_t v);
absl::StatusOr<uint64_t> TakeVarint(std::string_view* in);

// One entry: row `i` of `v`, not NULL.
void AppendValueEntry(uint32_t id_delta, const Vector& v, size_t i, std::string* out);

// Takes the head of an entry; false at the end of `in`. *id is the previous id going in, this entry's id coming out.
absl::StatusOr<bool> TakeEntryHead(std::string_view* in, uint32_t* id, int* form);
// Takes the payload into row `i` (which exists) of `out`; null: only skips it. kDataLoss if the form does not fit the vector's kind.
absl::Status TakeEntryPayload(std::string_view* in, int form, Vector* out, size_t i);

}  // namespace insula::sql

#endif  // INSULA_SQL_ROWENC_VALUE_CODEC_H_
