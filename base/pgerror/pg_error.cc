#include "base/pgerror/pg_error.h"

#include <array>
#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "base/strings.h"

namespace insula {
namespace {

constexpr char kPayloadUrl[] = "insula/pgerror";

// The payload is the fields in a fixed order, each as length, ':', bytes.
std::array<std::string PgErrorFields::*, 10> TextFields() {
  using F = PgErrorFields;
  return {&F::severity, &F::sqlstate, &F::detail, &F::hint, &F::where, &F::schema, &F::table, &F::column, &F::datatype, &F::constraint};
}

std::string Encode(const PgErrorFields& f) {
  std::string out;
  for (auto field : TextFields()) StrAppend(&out, (f.*field).size(), ":", f.*field);
  StrAppend(&out, f.position);
  return out;
}

std::optional<PgErrorFields> Decode(const std::string& in) {
  PgErrorFields f;
  size_t at = 0;
  for (auto field : TextFields()) {
    size_t colon = in.find(':', at);
    size_t length = 0;
    if (colon == std::string::npos || !absl::SimpleAtoi(in.substr(at, colon - at), &length)) return std::nullopt;
    if (length > in.size() - colon - 1) return std::nullopt;
    f.*field = in.substr(colon + 1, length);
    at = colon + 1 + length;
  }
  if (!absl::SimpleAtoi(in.substr(at), &f.position)) return std::nullopt;
  return f;
}

absl::StatusCode CodeFor(std::string_view sqlstate) {
  if (sqlstate == sqlstate::kSerializationFailure || sqlstate == sqlstate::kDeadlockDetected) return absl::StatusCode::kAborted;
  if (sqlstate == sqlstate::kFeatureNotSupported) return absl::StatusCode::kUnimplemented;
  if (sqlstate == sqlstate::kUniqueViolation) return absl::StatusCode::kAlreadyExists;
  if (sqlstate == sqlstate::kQueryCanceled) return absl::StatusCode::kCancelled;
  return absl::StatusCode::kInvalidArgument;
}

std::string_view SqlstateFor(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
      return sqlstate::kQueryCanceled;
    case absl::StatusCode::kResourceExhausted:
      return sqlstate::kOutOfMemory;
    case absl::StatusCode::kUnavailable:
      return sqlstate::kConnectionFailure;
    case absl::StatusCode::kAborted:
      return sqlstate::kSerializationFailure;
    case absl::StatusCode::kUnimplemented:
      return sqlstate::kFeatureNotSupported;
    case absl::StatusCode::kPermissionDenied:
      return sqlstate::kInsufficientPrivilege;
    default:
      return sqlstate::kInternalError;
  }
}

absl::Status Attach(absl::StatusCode code, const PgErrorFields& fields) {
  absl::Status status(code, fields.message);
  status.SetPayload(kPayloadUrl, absl::Cord(Encode(fields)));
  return status;
}

}  // namespace

PgErrorBuilder::PgErrorBuilder(std::string_view sqlstate, std::string_view message) {
  fields_.sqlstate = sqlstate;
  fields_.message = message;
}

absl::Status PgErrorBuilder::Build() const { return Attach(CodeFor(fields_.sqlstate), fields_); }

absl::Status PgError(std::string_view sqlstate, std::string_view message) { return PgErrorBuilder(sqlstate, message).Build(); }

absl::Status PgUnsupported(std::string_view feature) {
  return PgError(sqlstate::kFeatureNotSupported, StrCat(feature, " is not supported yet"));
}

absl::Status WithPosition(absl::Status status, int position) {
  if (status.ok() || !IsPgError(status) || position <= 0) return status;
  PgErrorFields fields = ToPgError(status);
  if (fields.position != 0) return status;
  fields.position = position;
  return Attach(status.code(), fields);
}

bool IsPgError(const absl::Status& status) { return status.GetPayload(kPayloadUrl).has_value(); }

PgErrorFields ToPgError(const absl::Status& status) {
  if (auto payload = status.GetPayload(kPayloadUrl)) {
    if (auto fields = Decode(std::string(*payload))) {
      fields->message = std::string(status.message());
      return *std::move(fields);
    }
  }
  PgErrorFields fields;
  fields.sqlstate = SqlstateFor(status.code());
  fields.message = std::string(status.message());
  return fields;
}

}  // namespace insula
