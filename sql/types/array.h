// Arrays and records: values made of values.
//
// An array lies in a Datum or Vector as bytes: element type, dimensions with lower bounds, elements each with a length. int2vector
// and oidvector are arrays with lower bound 0. A record is its fields' types and values. Both are native-endian, in-memory
// formats; what is stored on disk or sent is up to rowenc and io.
//
//   array:  u32 element oid | u32 ndim | ndim × (i32 size, i32 lower) | per element: u32 length or kNull | payload
//   record: u32 count | per field: u32 type oid | u32 length or kNull | payload
//   payload: kBool 1 byte, kInt and kFloat 8 bytes, kBytes as they are, kNumeric as EncodeNumeric
//
// Thread safety: value types and pure functions.
#ifndef INSULA_SQL_TYPES_ARRAY_H_
#define INSULA_SQL_TYPES_ARRAY_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/types/datum.h"
#include "sql/types/type.h"

namespace insula::sql {

struct ArrayDimension {
  int32_t size;
  int32_t lower = 1;
  friend bool operator==(const ArrayDimension&, const ArrayDimension&) = default;
};

struct ArrayValue {
  Oid element = kInvalidOid;
  std::vector<ArrayDimension> dims;  // none: the empty array
  std::vector<Datum> elements;       // row-major

  // One dimension from 1; the empty array if there are no elements.
  static ArrayValue Of(Oid element, std::vector<Datum> elements);
  std::string Encode() const;
  Datum ToDatum() const { return Datum::Bytes(Encode()); }
  // XX000 if the bytes are not an array.
  static absl::StatusOr<ArrayValue> Decode(std::string_view bytes);
};

// Reads an encoded array without copying it whole.
class ArrayReader {
 public:
  explicit ArrayReader(std::string_view bytes);
  Oid element() const { return element_; }
  const std::vector<ArrayDimension>& dims() const { return dims_; }
  size_t count() const { return count_; }
  // The next element: false at the end. *payload is undefined for a NULL.
  bool Next(bool* is_null, std::string_view* payload);

 private:
  Oid element_ = kInvalidOid;
  std::vector<ArrayDimension> dims_;
  size_t count_ = 0;
  size_t read_ = 0;
  std::string_view rest_;
};

struct RecordValue {
  std::vector<Oid> types;
  std::vector<Datum> fields;
  std::string Encode() const;
  static absl::StatusOr<RecordValue> Decode(std::string_view bytes);
};

// int2vector / oidvector from numbers.
std::string EncodeVectorOf(Oid element, std::span<const int64_t> values);

// One element's payload, not NULL.
void AppendPayload(PhysicalKind kind, const Datum& v, std::string* out);
Datum PayloadToDatum(PhysicalKind kind, std::string_view payload);

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_ARRAY_H_
