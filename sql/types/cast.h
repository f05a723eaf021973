// Which type casts exist, where they apply by themselves, and how they are done.
//
//   auto path = FindCast(oid::kInt4, oid::kInt8, CastContext::kImplicit);   // std::optional<CastPath>
//   RETURN_IF_ERROR(CastVector(io, in, SqlType{oid::kInt8}, CastContext::kImplicit, &out));
//
// As in PostgreSQL a cast with a type modifier is two steps: to the type, then to the modifier. For the second, an assignment
// to varchar(n) of a longer string fails (22001) and an explicit cast cuts it.
#ifndef INSULA_SQL_TYPES_CAST_H_
#define INSULA_SQL_TYPES_CAST_H_

#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/types/io.h"
#include "sql/types/type.h"
#include "sql/types/vector.h"

namespace insula::sql {

// Ordered: what is allowed in a narrower context is allowed in the wider ones.
enum class CastContext : uint8_t { kImplicit, kAssignment, kExplicit };

enum class CastMethod : uint8_t {
  kSame,      // the types are the same, or the value passes as it is (binary coercible)
  kFunction,  // a conversion
  kInOut,     // by text: output of the one, input of the other
  kArray,     // element by element
};

struct CastPath {
  CastMethod method;
  CastContext context;  // the narrowest in which it applies
};

// One row of pg_cast.
struct CastInfo {
  Oid source;
  Oid target;
  CastContext context;
  CastMethod method;
  std::string_view function;  // "int8(int4)"; empty unless kFunction
};
std::span<const CastInfo> AllCasts();

// The way from one type to another that `context` allows, as find_coercion_pathway: pg_cast, then arrays by their elements, then
// text I/O (to string types on assignment, from string types explicitly). `unknown` is not handled: it casts to anything by
// text input.
std::optional<CastPath> FindCast(Oid from, Oid to, CastContext context);
// As can_coerce_type for one argument: also unknown, polymorphic and pseudo types.
bool CanCoerce(Oid from, Oid to, CastContext context);
bool IsBinaryCoercible(Oid from, Oid to);

// Casts to `target`, its typmod included. 42846 if there is no way in this context. `unknown` goes by text input.
absl::StatusOr<Datum> CastDatum(const IoContext& io, Oid from, const Datum& value, SqlType target, CastContext context);
// out is reset to `target`. A row that fails fails the whole.
absl::Status CastVector(const IoContext& io, const Vector& in, SqlType target, CastContext context, Vector* out);

// Only the modifier (a value that has the type already). Storing into a column is kAssignment, `::varchar(3)` is kExplicit.
absl::StatusOr<Datum> ApplyTypmod(const IoContext& io, SqlType target, Datum value, CastContext context);
absl::Status ApplyTypmod(const IoContext& io, SqlType target, CastContext context, Vector* inout);
// Whether ApplyTypmod can change or reject a value of `from` on its way to `to` (same oid).
bool NeedsTypmodCoercion(SqlType from, SqlType to);

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_CAST_H_
