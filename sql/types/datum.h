// One value, possibly NULL, of a type that is known from outside.
//
// Datum is for the row path, constants, parameters and catalogs. Columns of values are Vectors (vector.h).
//
// Order, equality and hashing (CompareDatums and so on) are those of the type's default B-tree and hash operator classes:
//   float: NaN equals itself and is above all numbers; -0 equals 0. numeric: scale does not matter. bpchar: trailing blanks do
//   not matter. text: bytes (collation "C"). arrays and records: element by element. interval: months as 30 days, days as 24 h.
//   timetz: by instant, then zone. NULL is not handled there: callers decide.
// Thread safety: a value type.
#ifndef INSULA_SQL_TYPES_DATUM_H_
#define INSULA_SQL_TYPES_DATUM_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "sql/types/numeric.h"
#include "sql/types/type.h"

namespace insula::sql {

class Datum {
 public:
  Datum() = default;  // NULL
  static Datum Null() { return Datum(); }
  static Datum Bool(bool v) { return Datum(Value(std::in_place_type<bool>, v)); }
  static Datum Int(int64_t v) { return Datum(Value(std::in_place_type<int64_t>, v)); }
  static Datum Float(double v) { return Datum(Value(std::in_place_type<double>, v)); }
  static Datum Bytes(std::string v) { return Datum(Value(std::in_place_type<std::string>, std::move(v))); }
  static Datum Bytes(std::string_view v) { return Datum(Value(std::in_place_type<std::string>, v)); }
  static Datum Bytes(const char* v) { return Datum(Value(std::in_place_type<std::string>, v)); }
  static Datum Num(Numeric v) { return Datum(Value(std::in_place_type<Numeric>, std::move(v))); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  // Each requires that the value is not NULL and of this physical kind.
  bool bool_value() const { return std::get<bool>(value_); }
  int64_t int_value() const { return std::get<int64_t>(value_); }
  double float_value() const { return std::get<double>(value_); }
  const std::string& bytes_value() const& { return std::get<std::string>(value_); }
  std::string&& bytes_value() && { return std::get<std::string>(std::move(value_)); }
  const Numeric& numeric_value() const { return std::get<Numeric>(value_); }

  // Whether a non-NULL value has this physical kind.
  bool Is(PhysicalKind kind) const {
    switch (kind) {
      case PhysicalKind::kBool: return std::holds_alternative<bool>(value_);
      case PhysicalKind::kInt: return std::holds_alternative<int64_t>(value_);
      case PhysicalKind::kFloat: return std::holds_alternative<double>(value_);
      case PhysicalKind::kBytes: return std::holds_alternative<std::string>(value_);
      case PhysicalKind::kNumeric: return std::holds_alternative<Numeric>(value_);
    }
    return false;
  }

 private:
  using Value = std::variant<std::monostate, bool, int64_t, double, std::string, Numeric>;
  explicit Datum(Value v) : value_(std::move(v)) {}
  Value value_;
};

// Whether the type has a default order (B-tree operator class) and a hash. json, xid, aclitem, … have none.
bool IsOrderable(Oid type);
bool IsHashable(Oid type);

// <0, 0, >0. Neither may be NULL.
int CompareDatums(Oid type, const Datum& a, const Datum& b);
bool DatumsEqual(Oid type, const Datum& a, const Datum& b);
// NULLs equal each other (IS NOT DISTINCT FROM), as in DISTINCT and GROUP BY.
bool DatumsNotDistinct(Oid type, const Datum& a, const Datum& b);
uint64_t HashDatum(Oid type, const Datum& v);  // NULL hashes too

// The same on raw payloads of kBytes types, so that vectors need no Datum.
int CompareBytes(Oid type, std::string_view a, std::string_view b);
bool BytesEqual(Oid type, std::string_view a, std::string_view b);
uint64_t HashBytes(Oid type, std::string_view v);

inline int CompareFloats(double a, double b) {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a == b) return 0;
  bool an = a != a, bn = b != b;  // at least one is NaN
  return an == bn ? 0 : (an ? 1 : -1);
}

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_DATUM_H_
