// Columns of values: what the vectorised executor works on.
//
//   Vector   kind kInt:    data  [ 7 | 0 | 9 | … ]        null bits [ 0 1 0 … ]   → 7, NULL, 9
//            kind kBytes:  refs  [ 0,3 | – | 3,2 | … ]    heap "abcde"            → 'abc', NULL, 'de'
//   Batch    some vectors of equal length, about kBatchRows rows
//
// Tight loops read ints(), floats(), bools(), numerics() as plain arrays; entries of NULL rows exist there with any value (0 for
// rows that came by Resize), so loops that cannot fail need not look at the null bits. A vector owns all it holds; Clear() and
// Reset() keep the memory for reuse.
//
// Invariants:
//   V1  Bits of the null bitmap past size() are 0.
//   V2  MayHaveNulls() is false only if no row is NULL.
//   V3  Every ref lies within the heap.
// Thread safety: as a std::vector.
#ifndef INSULA_SQL_TYPES_VECTOR_H_
#define INSULA_SQL_TYPES_VECTOR_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sql/types/datum.h"
#include "sql/types/type.h"

namespace insula::sql {

inline constexpr size_t kBatchRows = 1024;

class Vector {
 public:
  Vector() = default;
  explicit Vector(SqlType type) { Reset(type); }
  Vector(Vector&&) noexcept = default;
  Vector& operator=(Vector&&) noexcept = default;
  Vector(const Vector&) = default;
  Vector& operator=(const Vector&) = default;

  // Empties the vector and gives it a (new) type.
  void Reset(SqlType type);
  // The same for a type that the static table does not know (user types).
  void Reset(SqlType type, PhysicalKind kind);
  void Clear();
  void Reserve(size_t rows);
  // New rows are not NULL and hold 0 / false / the empty string.
  void Resize(size_t rows);

  SqlType type() const { return type_; }
  // Another type of the same physical kind: a cast between binary-coercible types.
  void Retype(SqlType type) { type_ = type; }
  PhysicalKind kind() const { return kind_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // ---- NULLs

  bool MayHaveNulls() const { return may_have_nulls_; }
  bool IsNull(size_t i) const { return may_have_nulls_ && (nulls_[i >> 6] >> (i & 63) & 1); }
  void SetNull(size_t i) {
    may_have_nulls_ = true;
    nulls_[i >> 6] |= uint64_t{1} << (i & 63);
  }
  void SetNotNull(size_t i) { nulls_[i >> 6] &= ~(uint64_t{1} << (i & 63)); }
  void SetAllNull();
  // (size() + 63) / 64 words, bit i set: row i is NULL.
  const uint64_t* null_words() const { return nulls_.data(); }
  // NULL where `other` (at least as long) is NULL, besides what is NULL already.
  void OrNulls(const Vector& other);
  size_t CountNulls() const;

  // ---- values of fixed size: arrays of size() entries. Each requires its kind.
  const uint8_t* bools() const { return bools_.data(); }
  uint8_t* bools() { return bools_.data(); }
  const int64_t* ints() const { return ints_.data(); }
  int64_t* ints() { return ints_.data(); }
  const double* floats() const { return floats_.data(); }
  double* floats() { return floats_.data(); }
  const Numeric* numerics() const { return numerics_.data(); }
  Numeric* numerics() { return numerics_.data(); }

  // ---- kBytes
  // Valid until the vector changes.
  std::string_view bytes(size_t i) const {
    const Ref& r = refs_[i];
    return std::string_view(heap_.data() + r.offset, r.size);
  }
  void SetBytes(size_t i, std::string_view v) {
    refs_[i] = {heap_.size(), v.size()};
    heap_.append(v);
  }
  // Row i gets the same bytes as row j.
  void ShareBytes(size_t i, size_t j) { refs_[i] = refs_[j]; }
  // For writers that build a value in place: append to heap(), then SetBytesFrom(i, heap size before).
  std::string* heap() { return &heap_; }
  void SetBytesFrom(size_t i, size_t begin) { refs_[i] = {begin, heap_.size() - begin}; }

  // ---- appending
  void AppendNull();
  void AppendBool(bool v);
  void AppendInt(int64_t v);
  void AppendFloat(double v);
  void AppendBytes(std::string_view v);
  void AppendNumeric(Numeric v);
  void Append(const Datum& v);
  void AppendFrom(const Vector& src, size_t i);
  void AppendRange(const Vector& src, size_t begin, size_t rows);
  // Appends src[sel[0]], src[sel[1]], …
  void AppendSelected(const Vector& src, std::span<const uint32_t> sel);
  // `rows` times the same value; its bytes are stored once.
  void AppendConstant(const Datum& v, size_t rows);

  // ---- single values
  Datum Get(size_t i) const;
  void Set(size_t i, const Datum& v);

  // Becomes src[sel[...]] / rows [begin, begin + rows) of src, with src's type.
  void Gather(const Vector& src, std::span<const uint32_t> sel);
  void Slice(const Vector& src, size_t begin, size_t rows);
  // Drops rows from `rows` on.
  void Truncate(size_t rows);

  // Order and equality of non-NULL values; both vectors have the same type.
  static int Compare(const Vector& a, size_t i, const Vector& b, size_t j);
  static bool Equal(const Vector& a, size_t i, const Vector& b, size_t j);
  // NULLs equal each other.
  static bool NotDistinct(const Vector& a, size_t i, const Vector& b, size_t j);
  // Mixes the hash of every row into hashes[0..size()) (start from zeros for the first column). Equal values of one type hash
  // equal; all integer types (and oid, date, …) of one value hash equal.
  void HashInto(uint64_t* hashes) const;

  // Bytes held, capacity included.
  size_t MemoryUsage() const;
  // V1–V3.
  void VerifyInvariants() const;

 private:
  struct Ref {
    size_t offset = 0;
    size_t size = 0;
  };
  void GrowNulls() { nulls_.resize((size_ + 63) / 64); }

  SqlType type_;
  PhysicalKind kind_ = PhysicalKind::kInt;
  bool may_have_nulls_ = false;
  size_t size_ = 0;
  std::vector<uint64_t> nulls_;
  std::vector<uint8_t> bools_;
  std::vector<int64_t> ints_;
  std::vector<double> floats_;
  std::vector<Numeric> numerics_;
  std::vector<Ref> refs_;
  std::string heap_;
};

// Columns of equal length. `rows` counts even when there are no columns (SELECT without a list, COUNT(*)).
struct Batch {
  std::vector<Vector> columns;
  size_t rows = 0;

  void Reset(std::span<const SqlType> types);
  void Clear();
  void AppendRow(std::span<const Datum> row);
  void AppendFrom(const Batch& src, size_t i);
  void AppendSelected(const Batch& src, std::span<const uint32_t> sel);
  // Becomes the selected rows of src.
  void Gather(const Batch& src, std::span<const uint32_t> sel);
  void Slice(const Batch& src, size_t begin, size_t n);
  std::vector<Datum> Row(size_t i) const;
  size_t MemoryUsage() const;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_VECTOR_H_
