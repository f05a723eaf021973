// Errors as a PostgreSQL client sees them, carried through our code inside absl::Status.
//
//   return PgError(sqlstate::kUndefinedTable, absl::StrCat("relation \"", name, "\" does not exist"));
//   return PgErrorBuilder("22012", "division by zero").Hint("…").Position(17).Build();
//
// A Status without this payload that reaches the session becomes XX000 (internal error), or what ToPgError maps its code to.
#ifndef INSULA_BASE_PGERROR_PG_ERROR_H_
#define INSULA_BASE_PGERROR_PG_ERROR_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace insula {

// SQLSTATE codes (PostgreSQL 15, Appendix A) that are named in more than one place. Any other may be written as a literal.
namespace sqlstate {
inline constexpr std::string_view kProtocolViolation = "08P01";
inline constexpr std::string_view kConnectionRejected = "08004";
inline constexpr std::string_view kConnectionFailure = "08006";
inline constexpr std::string_view kTransactionResolutionUnknown = "08007";
inline constexpr std::string_view kFeatureNotSupported = "0A000";
inline constexpr std::string_view kStringDataRightTruncation = "22001";
inline constexpr std::string_view kNumericValueOutOfRange = "22003";
inline constexpr std::string_view kInvalidDatetimeFormat = "22007";
inline constexpr std::string_view kDatetimeFieldOverflow = "22008";
inline constexpr std::string_view kDivisionByZero = "22012";
inline constexpr std::string_view kInvalidParameterValue = "22023";
inline constexpr std::string_view kInvalidTextRepresentation = "22P02";
inline constexpr std::string_view kInvalidBinaryRepresentation = "22P03";
inline constexpr std::string_view kBadCopyFileFormat = "22P04";
inline constexpr std::string_view kNotNullViolation = "23502";
inline constexpr std::string_view kForeignKeyViolation = "23503";
inline constexpr std::string_view kUniqueViolation = "23505";
inline constexpr std::string_view kCheckViolation = "23514";
inline constexpr std::string_view kActiveSqlTransaction = "25001";
inline constexpr std::string_view kReadOnlySqlTransaction = "25006";
inline constexpr std::string_view kNoActiveSqlTransaction = "25P01";
inline constexpr std::string_view kInFailedSqlTransaction = "25P02";
inline constexpr std::string_view kInvalidSqlStatementName = "26000";
inline constexpr std::string_view kInvalidAuthorization = "28000";
inline constexpr std::string_view kInvalidPassword = "28P01";
inline constexpr std::string_view kInvalidCursorName = "34000";
inline constexpr std::string_view kInvalidCatalogName = "3D000";
inline constexpr std::string_view kInvalidSchemaName = "3F000";
inline constexpr std::string_view kInvalidSavepoint = "3B001";
inline constexpr std::string_view kSerializationFailure = "40001";
inline constexpr std::string_view kDeadlockDetected = "40P01";
inline constexpr std::string_view kSyntaxError = "42601";
inline constexpr std::string_view kInsufficientPrivilege = "42501";
inline constexpr std::string_view kDuplicateColumn = "42701";
inline constexpr std::string_view kAmbiguousColumn = "42702";
inline constexpr std::string_view kUndefinedColumn = "42703";
inline constexpr std::string_view kUndefinedObject = "42704";
inline constexpr std::string_view kDuplicateObject = "42710";
inline constexpr std::string_view kDuplicateAlias = "42712";
inline constexpr std::string_view kDuplicateFunction = "42723";
inline constexpr std::string_view kAmbiguousFunction = "42725";
inline constexpr std::string_view kGroupingError = "42803";
inline constexpr std::string_view kDatatypeMismatch = "42804";
inline constexpr std::string_view kWrongObjectType = "42809";
inline constexpr std::string_view kCannotCoerce = "42846";
inline constexpr std::string_view kUndefinedFunction = "42883";
inline constexpr std::string_view kUndefinedTable = "42P01";
inline constexpr std::string_view kUndefinedParameter = "42P02";
inline constexpr std::string_view kDuplicatePreparedStatement = "42P05";
inline constexpr std::string_view kDuplicateTable = "42P07";
inline constexpr std::string_view kInvalidColumnReference = "42P10";
inline constexpr std::string_view kInvalidTableDefinition = "42P16";
inline constexpr std::string_view kIndeterminateDatatype = "42P18";
inline constexpr std::string_view kDiskFull = "53100";
inline constexpr std::string_view kOutOfMemory = "53200";
inline constexpr std::string_view kTooManyConnections = "53300";
inline constexpr std::string_view kProgramLimitExceeded = "54000";
inline constexpr std::string_view kObjectNotInPrerequisiteState = "55000";
inline constexpr std::string_view kLockNotAvailable = "55P03";
inline constexpr std::string_view kQueryCanceled = "57014";
inline constexpr std::string_view kAdminShutdown = "57P01";
inline constexpr std::string_view kCannotConnectNow = "57P03";
inline constexpr std::string_view kInternalError = "XX000";
}  // namespace sqlstate

// What ErrorResponse carries (PostgreSQL 15, 55.8). Empty strings are not sent.
struct PgErrorFields {
  std::string severity = "ERROR";  // ERROR, FATAL, PANIC; NOTICE, WARNING, … for notices
  std::string sqlstate = "XX000";
  std::string message;
  std::string detail;
  std::string hint;
  int position = 0;  // 1-based character offset into the query text; 0 = none
  std::string where;
  std::string schema;
  std::string table;
  std::string column;
  std::string datatype;
  std::string constraint;
};

// Builds an error step by step; Build() gives the Status.
class PgErrorBuilder {
 public:
  PgErrorBuilder(std::string_view sqlstate, std::string_view message);
  // Goes on from an error that is there: PgErrorBuilder(ToPgError(status)).Where("…").Build().
  explicit PgErrorBuilder(PgErrorFields fields) : fields_(std::move(fields)) {}
  PgErrorBuilder& Detail(std::string_view v) { fields_.detail = v; return *this; }
  PgErrorBuilder& Hint(std::string_view v) { fields_.hint = v; return *this; }
  PgErrorBuilder& Position(int v) { fields_.position = v; return *this; }
  PgErrorBuilder& Table(std::string_view schema, std::string_view table) { fields_.schema = schema; fields_.table = table; return *this; }
  PgErrorBuilder& Column(std::string_view v) { fields_.column = v; return *this; }
  PgErrorBuilder& Constraint(std::string_view v) { fields_.constraint = v; return *this; }
  PgErrorBuilder& Severity(std::string_view v) { fields_.severity = v; return *this; }
  PgErrorBuilder& Where(std::string_view v) { fields_.where = v; return *this; }
  absl::Status Build() const;

 private:
  PgErrorFields fields_;
};

// An error with a SQLSTATE and a message, worded as PostgreSQL words it.
absl::Status PgError(std::string_view sqlstate, std::string_view message);

// 0A000 for a feature that we do not have yet: "NAME is not supported yet".
absl::Status PgUnsupported(std::string_view feature);

// The status with its position set, if it is a PgError without one. For the binder, which knows where a node stands.
absl::Status WithPosition(absl::Status status, int position);

// True if `status` carries a PgError payload.
bool IsPgError(const absl::Status& status);

// The fields a client gets for a non-OK status. Statuses without payload map by code: kCancelled and kDeadlineExceeded to
// 57014, kResourceExhausted to 53200, kUnavailable to 08006, kAborted to 40001, kUnimplemented to 0A000, others to XX000.
PgErrorFields ToPgError(const absl::Status& status);

}  // namespace insula

#endif  // INSULA_BASE_PGERROR_PG_ERROR_H_
