// All functions, operators and aggregates: what they are called, what they take and give, how they are computed.
//
// The names, types, volatilities and OIDs are PostgreSQL's own (facts/: one row per function and operator whose types we know). A row
// gets life when one of the *_functions.cc files registers an implementation for it; a row without one is found by resolution, as
// in PostgreSQL, and then answers 0A000 with its name.
//
//   ASSIGN_OR_RETURN(ResolvedOperator op, ResolveOperator("+", oid::kInt4, oid::kUnknown));     // → int4pl
//   // cast the arguments to op.call.arg_types, then:
//   RETURN_IF_ERROR(Evaluate(*op.call.function, {op.call.result}, ctx, args, rows, &out));
//
// Thread safety: the registry is built on first use and then only read.
#ifndef INSULA_SQL_FUNCTIONS_REGISTRY_H_
#define INSULA_SQL_FUNCTIONS_REGISTRY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/functions/function_context.h"
#include "sql/types/type.h"
#include "sql/types/vector.h"

namespace insula::sql {

enum class Volatility : uint8_t { kImmutable, kStable, kVolatile };
enum class FunctionKind : uint8_t { kScalar, kAggregate, kWindow, kProcedure };

// Computes rows [0, rows) of *out, which has the result type and `rows` rows already. For a strict function, rows with a NULL
// argument are marked NULL already and must be skipped where computing could fail. Not strict: sees all rows.
using ScalarEval = absl::Status (*)(FunctionContext& ctx, std::span<const Vector* const> args, size_t rows, Vector* out);

// Rows of a set-returning function, a batch at a time.
class SetCursor {
 public:
  virtual ~SetCursor() = default;
  // Appends at most `max_rows` rows to out->columns (typed as the function's output columns) and counts them in out->rows. No
  // row appended: the end.
  virtual absl::Status Next(FunctionContext& ctx, size_t max_rows, Batch* out) = 0;
};
struct SetCall {
  std::span<const Datum> args;
  std::span<const SqlType> arg_types;
  std::span<const SqlType> out_types;
};
// For a strict function with a NULL argument the caller makes no call: no rows.
using SetEval = absl::StatusOr<std::unique_ptr<SetCursor>> (*)(FunctionContext& ctx, const SetCall& call);

// An aggregate over many groups at once: state column by group number.
//
//   AddGroups(n)   groups 0 … n-1 exist, new ones empty
//   Update         row i goes to group groups[i]; kSkipRow goes nowhere (FILTER); groups == nullptr: all to group 0
//   Finalize       appends the results of groups [begin, end) to out; state stays, so a window may go on
//   Clear          no groups
// DISTINCT and ORDER BY within the call are the executor's: it hands in the rows that count, in order.
class Aggregator {
 public:
  static constexpr uint32_t kSkipRow = UINT32_MAX;
  virtual ~Aggregator() = default;
  virtual void AddGroups(size_t n) = 0;
  virtual absl::Status Update(FunctionContext& ctx, std::span<const Vector* const> args, size_t rows, const uint32_t* groups) = 0;
  virtual absl::Status Finalize(FunctionContext& ctx, size_t begin, size_t end, Vector* out) = 0;
  virtual void Clear() = 0;
  virtual size_t MemoryUsage() const = 0;
};
struct AggregateCall {
  std::span<const SqlType> arg_types;
  SqlType result;
};
using AggregateFactory = absl::StatusOr<std::unique_ptr<Aggregator>> (*)(const AggregateCall& call);

struct FunctionInfo {
  Oid oid;
  std::string_view name;
  std::string_view source;            // pg_proc.prosrc: the implementation's name
  FunctionKind kind;
  Volatility volatility;
  bool strict;
  bool returns_set;
  char parallel;                      // pg_proc.proparallel
  bool leakproof;
  Oid variadic;                       // element type of a VARIADIC last argument (oid::kAny for VARIADIC "any"); 0: none
  Oid result;
  std::span<const Oid> args;          // input arguments
  uint8_t defaults;                   // trailing arguments that may be left out
  // OUT columns of record functions; empty for others.
  std::span<const Oid> out_types;
  std::string_view arg_names;         // of inputs and outputs, comma separated; may be empty

  // Implementation: at most one is set.
  ScalarEval eval = nullptr;
  SetEval set_eval = nullptr;
  AggregateFactory aggregate = nullptr;
  bool needs_sequence = false;        // nextval: see SequenceAccess

  bool implemented() const { return eval != nullptr || set_eval != nullptr || aggregate != nullptr; }
};

struct OperatorInfo {
  Oid oid;
  std::string_view name;
  Oid left;       // 0: prefix operator
  Oid right;
  Oid result;
  Oid commutator; // operator OIDs; 0: none
  Oid negator;
  bool can_merge;
  bool can_hash;
  const FunctionInfo* function;
};

// ---- lookup
std::span<const FunctionInfo> AllFunctions();     // sorted by name, then OID
std::span<const OperatorInfo> AllOperators();     // sorted by name, then OID
const FunctionInfo* FindFunction(Oid oid);
const OperatorInfo* FindOperator(Oid oid);
std::span<const FunctionInfo> FunctionsNamed(std::string_view name);
std::span<const OperatorInfo> OperatorsNamed(std::string_view name);
// Exactly these types; nullptr if there is none. For default operators ("=" and "<" of a type): see DefaultOperator.
const OperatorInfo* FindOperatorExact(std::string_view name, Oid left, Oid right);
const FunctionInfo* FindFunctionExact(std::string_view name, std::span<const Oid> args);
// Is there any function (of pg_catalog) with this name?
bool FunctionNameExists(std::string_view name);

// "=", "<", … of a type's default operator class, for ORDER BY, GROUP BY, DISTINCT, USING. varchar answers with text's, an array
// type with anyarray's. nullptr if the type has no order.
const OperatorInfo* DefaultOperator(std::string_view name, Oid type);

// ---- resolution (PostgreSQL 15, chapter 10)
// Argument types are oid::kUnknown for untyped literals and NULL.
struct ResolvedCall {
  const FunctionInfo* function = nullptr;
  // What each given argument must be cast to (implicitly), polymorphic types resolved. An untyped literal for a parameter of type
  // "any" stays kUnknown: pass its text in a vector of that type.
  std::vector<Oid> arg_types;
  Oid result = kInvalidOid;     // resolved; kRecord for functions with OUT columns
  // The arguments from this index on are elements of an array of type ArrayTypeOf(variadic_element) that the caller builds;
  // -1: no such thing. For VARIADIC "any" it stays -1 and they are passed one by one.
  int variadic_index = -1;
  Oid variadic_element = kInvalidOid;
  // Trailing arguments left to their defaults; DefaultArgument() gives them.
  int defaults_used = 0;
  std::vector<Oid> out_types;   // of record functions, polymorphic types resolved
  // Function notation for a cast, as in text(x) or float8(y): no function then; cast the only argument to `result`.
  bool is_cast = false;
};
struct ResolvedOperator {
  const OperatorInfo* op = nullptr;
  ResolvedCall call;
};

// 42883 `function f(integer, text) does not exist` with PostgreSQL's hint; 42725 if ambiguous. `variadic_call`: VARIADIC was written
// before the last argument. Positions are added by the caller.
absl::StatusOr<ResolvedCall> ResolveFunction(std::string_view name, std::span<const Oid> args, bool variadic_call = false);
// left 0: prefix operator. 42883 `operator does not exist: integer + boolean`, 42725.
absl::StatusOr<ResolvedOperator> ResolveOperator(std::string_view name, Oid left, Oid right);

// The common type of CASE, COALESCE, UNION, VALUES, ARRAY, GREATEST, … (chapter 10.5). `what` begins the message 42804 `CASE types
// integer and text cannot be matched`. All unknown: text. The order matters: the first of two types that coerce to each other
// stays. For CASE the ELSE result goes first, as in PostgreSQL.
absl::StatusOr<Oid> CommonType(std::span<const Oid> types, std::string_view what);

// The value of a defaulted argument: the i-th of the function's arguments.
absl::StatusOr<Datum> DefaultArgument(const FunctionInfo& function, size_t i);

// ---- evaluation
// Resets *out to the type, marks NULLs of strict functions, computes. `args` have at least `rows` rows and the types of
// ResolvedCall.arg_types (a binary-coercible type will do). 0A000 when the function is not implemented.
absl::Status Evaluate(const FunctionInfo& function, SqlType result, FunctionContext& ctx, std::span<const Vector* const> args,
                      size_t rows, Vector* out);
// One row, from values.
absl::StatusOr<Datum> EvaluateRow(const FunctionInfo& function, SqlType result, FunctionContext& ctx,
                                  std::span<const Datum> args, std::span<const SqlType> arg_types);
absl::StatusOr<std::unique_ptr<SetCursor>> OpenSet(const FunctionInfo& function, FunctionContext& ctx, const SetCall& call);
// `result` and argument types as resolved.
absl::StatusOr<std::unique_ptr<Aggregator>> MakeAggregator(const FunctionInfo& function, std::span<const SqlType> arg_types,
                                                           SqlType result);

// Whether a call whose arguments are constants may be computed at plan time.
inline bool IsFoldable(const FunctionInfo& f) {
  return f.volatility == Volatility::kImmutable && f.kind == FunctionKind::kScalar && !f.returns_set;
}

// ---- special forms, for the binder and the executor
// x op ANY (array) / ALL (array). `op` takes (left, element) and gives bool; right holds arrays.
absl::Status EvaluateAnyAll(const FunctionInfo& op, bool any, FunctionContext& ctx, const Vector& left, const Vector& arrays,
                            size_t rows, Vector* out);
// GREATEST / LEAST: all arguments of one type; NULLs are left out.
absl::Status EvaluateGreatestLeast(bool greatest, std::span<const Vector* const> args, size_t rows, Vector* out);
// a IS DISTINCT FROM b (negate: IS NOT DISTINCT FROM) for one type.
absl::Status EvaluateDistinct(bool negate, const Vector& a, const Vector& b, size_t rows, Vector* out);
// ARRAY[…]: the arguments, all of the element type (or arrays, for one more dimension), become one array.
absl::Status EvaluateArray(std::span<const Vector* const> args, size_t rows, Vector* out);
// ROW(…).
absl::Status EvaluateRowConstructor(std::span<const Vector* const> args, size_t rows, Vector* out);
// a[i] / a[i][j]: subscripts are int4 vectors. Also for int2vector and oidvector.
absl::Status EvaluateSubscript(const Vector& array, std::span<const Vector* const> subscripts, size_t rows, Vector* out);
// a[l:u]: pairs of int4 vectors; nullptr where a bound was left out.
absl::Status EvaluateSlice(const Vector& array, std::span<const Vector* const> lower, std::span<const Vector* const> upper,
                           size_t rows, Vector* out);

}  // namespace insula::sql

#endif  // INSULA_SQL_FUNCTIONS_REGISTRY_H_
