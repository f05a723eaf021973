// Single column values ↔ order-preserving bytes in keys.
//
//   type                          | bytes (ascending; descending inverts all of them)
//   ------------------------------+---------------------------------------------------------------------------
//   bool                          | 01, 02
//   integers, dates, times, oids  | ordered int64 (base/encoding)
//   real, double                  | ordered double
//   numeric                       | class (01 -Inf, 02 negative, 03 zero, 04 positive, 05 +Inf, 06 NaN), then for finite ones
//                                 | ordered exponent, digit pairs + 1, 00; inverted for negative ones
//   text, varchar, bytea, uuid, … | ordered bytes
//   char(n)                       | ordered bytes without trailing blanks
//   interval                      | whole days of its length (int64), rest in µs (uint64)
//   timetz                        | instant in µs, zone
//   arrays                        | per element 01 ‖ value or 02 for NULL; 00; dimensions: count, then sizes and lower bounds
//
// Invariants (tests cite them):
//   K1  Order of bytes is the order of CompareDatums; equal values, and only those, have equal bytes.
//   K2  No encoding is a prefix of another of the same type.
//   K3  Decoding gives the value back exactly, but where IsExactInKey is false: such a value is stored beside the key, too.
// Thread safety: pure functions.
#ifndef INSULA_SQL_ROWENC_KEY_CODEC_H_
#define INSULA_SQL_ROWENC_KEY_CODEC_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/encoding/ordered.h"
#include "sql/types/datum.h"
#include "sql/types/type.h"
#include "sql/types/vector.h"

namespace insula::sql {

// Whether columns of this type may be part of an index. False for json, jsonb, records and what has no order.
bool IsKeyEncodable(Oid type);

// Row `i` of `v`, not NULL.
void AppendKeyValue(const Vector& v, size_t i, Direction direction, std::string* out);
// The same for a value of `type`.
void AppendKeyDatum(SqlType type, const Datum& value, Direction direction, std::string* out);

// Whether the bytes alone give this value back (K3).
bool IsExactInKey(const Vector& v, size_t i);

// Takes one value off the front of `in`. `out`: where to write it, at row `i` (which exists); null: only skip it.
absl::Status TakeKeyValue(std::string_view* in, SqlType type, Direction direction, Vector* out, size_t i);

}  // namespace insula::sql

#endif  // INSULA_SQL_ROWENC_KEY_CODEC_H_
