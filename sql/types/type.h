// PostgreSQL's types: their OIDs, names and modifiers.
//
// A value never knows its type; whoever holds it (a column, an expression, a vector) carries a SqlType beside it. What is
// true of a built-in type lies in one static table of TypeInfo, with PostgreSQL 15's facts.
//
//   ASSIGN_OR_RETURN(SqlType t, TypeByName("varchar", {20}));       // {1043, 24}
//   FormatType(t.oid, t.typmod);                                     // "character varying(20)"
//   GetType(t.oid).kind;                                             // PhysicalKind::kBytes
//
// How values lie in memory (PhysicalKind; Datum and Vector follow it):
//   kBool     bool
//   kInt      smallint, integer, bigint, oid and reg*, xid, cid, "date" (days since 2000-01-01), time (µs since midnight),
//             timestamp and timestamptz (µs since 2000-01-01 UTC; INT64_MAX/MIN are ±infinity, for date INT32_MAX/MIN),
//             tid (block << 16 | offset), pg_lsn, money
//   kFloat    real (rounded to float), double precision
//   kNumeric  numeric
//   kBytes    all others. text, varchar, bpchar (blank-padded to its length), "char", name, json, jsonb (normalised text),
//             pg_node_tree, aclitem, unknown, cstring: the text itself. bytea: the bytes. uuid: 16 bytes. interval and timetz:
//             see datetime.h. Arrays, int2vector, oidvector, record: see array.h.
// Thread safety: all functions are pure.
#ifndef INSULA_SQL_TYPES_TYPE_H_
#define INSULA_SQL_TYPES_TYPE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace insula::sql {

using Oid = uint32_t;
inline constexpr Oid kInvalidOid = 0;

// OIDs of the types that code names. All others are found by name.
namespace oid {
inline constexpr Oid kBool = 16, kBytea = 17, kChar = 18, kName = 19, kInt8 = 20, kInt2 = 21, kInt2Vector = 22, kInt4 = 23,
                     kRegproc = 24, kText = 25, kOid = 26, kTid = 27, kXid = 28, kCid = 29, kOidVector = 30, kJson = 114,
                     kXml = 142, kPgNodeTree = 194, kFloat4 = 700, kFloat8 = 701, kUnknown = 705, kMoney = 790, kInet = 869,
                     kCidr = 650, kAclitem = 1033, kBpchar = 1042, kVarchar = 1043, kDate = 1082, kTime = 1083,
                     kTimestamp = 1114, kTimestamptz = 1184, kInterval = 1186, kTimetz = 1266, kBit = 1560, kVarbit = 1562,
                     kNumeric = 1700, kRefcursor = 1790, kRegprocedure = 2202, kRegoper = 2203, kRegoperator = 2204,
                     kRegclass = 2205, kRegtype = 2206, kRegrole = 4096, kRegnamespace = 4089, kRegcollation = 4191,
                     kRegconfig = 3734, kRegdictionary = 3769, kUuid = 2950, kPgLsn = 3220, kJsonb = 3802, kJsonpath = 4072,
                     kXid8 = 5069, kRecord = 2249, kRecordArray = 2287, kCstring = 2275, kAny = 2276, kAnyArray = 2277,
                     kVoid = 2278, kTrigger = 2279, kInternal = 2281, kAnyElement = 2283, kAnyNonArray = 2776, kAnyEnum = 3500,
                     kAnyRange = 3831, kAnyMultirange = 4537, kAnyCompatible = 5077, kAnyCompatibleArray = 5078,
                     kAnyCompatibleNonArray = 5079, kAnyCompatibleRange = 5080, kAnyCompatibleMultirange = 4538;
inline constexpr Oid kBoolArray = 1000, kByteaArray = 1001, kCharArray = 1002, kNameArray = 1003, kInt2Array = 1005,
                     kInt4Array = 1007, kInt8Array = 1016, kTextArray = 1009, kBpcharArray = 1014, kVarcharArray = 1015,
                     kFloat4Array = 1021, kFloat8Array = 1022, kOidArray = 1028, kNumericArray = 1231, kTimestampArray = 1115,
                     kDateArray = 1182, kTimeArray = 1183, kTimestamptzArray = 1185, kIntervalArray = 1187, kUuidArray = 2951,
                     kRegtypeArray = 2211, kAclitemArray = 1034, kJsonArray = 199, kJsonbArray = 3807, kCstringArray = 1263;
}  // namespace oid

// Types, functions and so on with an OID from here on belong to users.
inline constexpr Oid kFirstNormalOid = 16384;

enum class PhysicalKind : uint8_t { kBool, kInt, kFloat, kBytes, kNumeric };

// A type as a column or an expression has it. typmod as PostgreSQL stores it (-1: none).
struct SqlType {
  Oid oid = kInvalidOid;
  int32_t typmod = -1;
  friend bool operator==(const SqlType&, const SqlType&) = default;
};

// One row of pg_type, plus how values lie in memory.
struct TypeInfo {
  Oid oid;
  std::string_view typname;   // int4
  std::string_view name;      // integer: as format_type and error messages print it
  int16_t typlen;             // bytes; -1 variable, -2 C string
  bool byval;
  char category;              // pg_type.typcategory
  bool preferred;
  char typtype;               // b base, p pseudo, r range, m multirange, c composite
  char align;
  char storage;
  Oid array_oid;              // 0: none
  Oid element_oid;            // pg_type.typelem; 0: none
  PhysicalKind kind;
  bool supported;             // false: known by name, but its values are not implemented (0A000)
  bool collatable;
  bool true_array;            // subscripted with array_subscript_handler; so are not name, point, …
  std::string_view input, output, receive, send, modin, modout;  // names of its I/O functions in pg_proc
  Oid relation_oid;           // typrelid of the catalogs' row types
};

// All built-in types, by OID.
std::span<const TypeInfo> AllTypes();

// nullptr if no built-in type has this OID.
const TypeInfo* FindType(Oid oid);
// The same for an OID that is known to be built in. A user type (none exist yet) or wrong OID stops the process.
const TypeInfo& GetType(Oid oid);
// The built-in type of pg_catalog with this typname ("int4", "_text"); nullptr if there is none. No aliases.
const TypeInfo* FindTypeByTypname(std::string_view typname);

// The type that SQL text names: aliases (int, integer, decimal, character varying, timestamp with time zone, …), typnames, and
// "x[]". `modifiers` are the numbers in parentheses. Without an explicit length, char(n) means char(1) only when
// `modifiers` says so: the grammar adds the 1. 42704 if unknown, 22023 for bad modifiers, 42601 for modifiers on a type without.
absl::StatusOr<SqlType> TypeByName(std::string_view name, std::span<const int32_t> modifiers = {});
// Typmod of a built-in type from its modifiers, as typmodin does.
absl::StatusOr<int32_t> TypmodIn(const TypeInfo& type, std::span<const int32_t> modifiers);
// Parses a whole type name as regtype input and ::'…' take it: "numeric(10,2)", "pg_catalog.int4[]", "\"char\"",
// "timestamp(3) with time zone".
absl::StatusOr<SqlType> ParseTypeName(std::string_view text);

// As format_type(oid, NULL) and error messages: "character varying", "integer[]", "???" if unknown.
std::string FormatType(Oid oid);
// As format_type(oid, typmod): "numeric(10,2)"; bpchar with typmod -1 is "bpchar".
std::string FormatType(Oid oid, int32_t typmod);

// The array type of an element type; 0 if it has none.
Oid ArrayTypeOf(Oid element);
// The element type of a true array, of int2vector or oidvector; 0 for all others.
Oid ElementTypeOf(Oid array);
inline bool IsArray(Oid oid) { return ElementTypeOf(oid) != 0; }
inline PhysicalKind KindOf(Oid oid) { return GetType(oid).kind; }

inline bool IsPolymorphic(Oid t) {
  return t == oid::kAnyElement || t == oid::kAnyArray || t == oid::kAnyNonArray || t == oid::kAnyEnum || t == oid::kAnyRange ||
         t == oid::kAnyMultirange || (t >= oid::kAnyCompatible && t <= oid::kAnyCompatibleRange) ||
         t == oid::kAnyCompatibleMultirange;
}
inline bool IsInteger(Oid t) { return t == oid::kInt2 || t == oid::kInt4 || t == oid::kInt8; }
inline bool IsString(Oid t) {
  return t == oid::kText || t == oid::kVarchar || t == oid::kBpchar || t == oid::kName || t == oid::kUnknown;
}
// regclass, regtype, regproc, …: an OID that prints as a name.
bool IsRegType(Oid t);

// The n of varchar(n), char(n) (-1: none); the p and s of numeric.
inline int32_t CharLengthOf(int32_t typmod) { return typmod < 4 ? -1 : typmod - 4; }
inline int32_t CharTypmod(int32_t n) { return n + 4; }
inline int32_t NumericTypmod(int32_t precision, int32_t scale) { return ((precision << 16) | (scale & 0x7ff)) + 4; }
inline int32_t NumericPrecisionOf(int32_t typmod) { return ((typmod - 4) >> 16) & 0xffff; }
inline int32_t NumericScaleOf(int32_t typmod) { return (((typmod - 4) & 0x7ff) ^ 1024) - 1024; }

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_TYPE_H_
