// Values as text and as the protocol's binary format.
//
//   ASSIGN_OR_RETURN(Datum d, TextIn(io, {oid::kInt4}, "42"));
//   std::string s = TextOut(io, {oid::kInt4}, d);
//
// Errors are worded as PostgreSQL words them: 22P02 `invalid input syntax for type integer: "x"`, 22003
// `value "99999" is out of range for type smallint`, 22007, 22008, 22001 for varchar(n), 22P03 for binary.
#ifndef INSULA_SQL_TYPES_IO_H_
#define INSULA_SQL_TYPES_IO_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sql/types/datetime.h"
#include "sql/types/datum.h"
#include "sql/types/type.h"
#include "sql/types/vector.h"

namespace insula::sql {

// Names behind regclass, regproc, regrole, regnamespace, regtype (user types) and so on; the catalog implements it.
class RegNames {
 public:
  virtual ~RegNames() = default;
  // `reg_type` is oid::kRegclass, …; `name` may be qualified and quoted. 42P01, 42883, 42704 if there is no such object.
  virtual absl::StatusOr<Oid> Resolve(Oid reg_type, std::string_view name) const = 0;
  // The name as the type's output function prints it: qualified when not visible, quoted when needed; "" if there is none.
  virtual std::string Name(Oid reg_type, Oid value) const = 0;
};

// The settings of a session that change how values are read and printed.
struct IoContext {
  const TimeZone* time_zone = TimeZone::Utc();
  DateStyle date_style = DateStyle::kIso;
  DateOrder date_order = DateOrder::kMdy;
  IntervalStyle interval_style = IntervalStyle::kPostgres;
  int extra_float_digits = 1;
  bool bytea_hex = true;             // bytea_output = hex
  bool array_nulls = true;
  int64_t now_us = 0;                // transaction start, µs since 2000-01-01: for 'now', 'today'
  const RegNames* reg_names = nullptr;  // not owned; may be absent

  DateTimeSettings datetime() const { return {time_zone, date_style, date_order, interval_style, now_us}; }
};

// Text of a value → value, with the type's modifier applied as for an explicit input (varchar(n) too long: 22001 unless the rest
// is blanks; numeric(p,s): rounds or 22003; timestamp(p) rounds).
absl::StatusOr<Datum> TextIn(const IoContext& io, SqlType type, std::string_view text);
// The same, appended to a vector of that type: no temporary for fixed-size types.
absl::Status TextInAppend(const IoContext& io, SqlType type, std::string_view text, Vector* out);

// Neither takes NULL.
std::string TextOut(const IoContext& io, SqlType type, const Datum& value);
void TextOutAppend(const IoContext& io, SqlType type, const Datum& value, std::string* out);
// Row i of a vector; not NULL.
void TextOutAppend(const IoContext& io, const Vector& v, size_t i, std::string* out);

// The protocol's binary format (network byte order). A type without one: 0A000 / 42883 as PostgreSQL says it.
absl::Status BinarySend(const IoContext& io, SqlType type, const Datum& value, std::string* out);
absl::Status BinarySend(const IoContext& io, const Vector& v, size_t i, std::string* out);
absl::StatusOr<Datum> BinaryReceive(const IoContext& io, SqlType type, std::string_view bytes);

// Whether BinarySend/BinaryReceive work for the type.
bool HasBinaryFormat(Oid type);

// Pieces that functions use, too.
absl::StatusOr<int64_t> ParseInteger(std::string_view text, Oid type);  // int2, int4, int8
absl::StatusOr<uint32_t> ParseOid(std::string_view text, std::string_view type_name = "oid");
absl::StatusOr<bool> ParseBool(std::string_view text);
absl::StatusOr<double> ParseFloat8(std::string_view text);
absl::StatusOr<double> ParseFloat4(std::string_view text);
void AppendFloat8(double v, int extra_float_digits, std::string* out);
void AppendFloat4(float v, int extra_float_digits, std::string* out);
absl::StatusOr<std::string> ParseBytea(std::string_view text);
void AppendBytea(std::string_view v, bool hex, std::string* out);
absl::StatusOr<std::string> ParseUuid(std::string_view text);
void AppendUuid(std::string_view v, std::string* out);

// Identifier quoting as quote_ident() (reserved words are quoted), and quote_literal().
std::string QuoteIdent(std::string_view name);
std::string QuoteLiteral(std::string_view text);

}  // namespace insula::sql

#endif  // INSULA_SQL_TYPES_IO_H_
