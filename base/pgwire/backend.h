// Messages that a server sends (PostgreSQL 15, chapter 55.7): built for servers, decoded for clients, proxies and tests.
//
// Builders append to a buffer, which the caller writes when it is large or when the client waits. Decoded messages point into
// the payload.
#ifndef INSULA_BASE_PGWIRE_BACKEND_H_
#define INSULA_BASE_PGWIRE_BACKEND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/pgerror/pg_error.h"

namespace insula::pgwire {

// Type bytes.
namespace backend {
inline constexpr char kAuthentication = 'R', kBackendKeyData = 'K', kBindComplete = '2', kCloseComplete = '3',
                      kCommandComplete = 'C', kCopyBoth = 'W', kCopyData = 'd', kCopyDone = 'c', kCopyIn = 'G', kCopyOut = 'H',
                      kDataRow = 'D', kEmptyQuery = 'I', kError = 'E', kFunctionCallResponse = 'V',
                      kNegotiateProtocolVersion = 'v', kNoData = 'n', kNotice = 'N', kNotification = 'A',
                      kParameterDescription = 't', kParameterStatus = 'S', kParseComplete = '1', kPortalSuspended = 's',
                      kReadyForQuery = 'Z', kRowDescription = 'T';
}  // namespace backend

// The codes of Authentication messages.
enum class AuthCode : int32_t { kOk = 0, kCleartextPassword = 3, kMd5Password = 5, kSasl = 10, kSaslContinue = 11, kSaslFinal = 12 };

// The state that ReadyForQuery reports.
enum class TransactionStatus : char { kIdle = 'I', kInTransaction = 'T', kFailed = 'E' };

struct FieldDescription {
  std::string name;
  uint32_t table = 0;
  int16_t attribute = 0;
  uint32_t type = 0;
  int16_t type_size = -1;
  int32_t type_modifier = -1;
  int16_t format = 0;
};

struct CopyResponse {
  int8_t format = 0;  // 0 text, 1 binary
  std::vector<int16_t> column_formats;
};

struct AuthenticationMessage {
  AuthCode code = AuthCode::kOk;
  std::vector<std::string_view> mechanisms;  // kSasl
  std::string_view data;                     // kSaslContinue, kSaslFinal
};

struct BackendKeyData {
  uint32_t process_id = 0;
  std::string secret;  // 4 bytes in protocol 3.0
};

struct NotificationMessage {
  uint32_t process_id = 0;
  std::string_view channel;
  std::string_view payload;
};

void AppendAuthenticationOk(std::string* out);
void AppendAuthenticationSasl(const std::vector<std::string>& mechanisms, std::string* out);
void AppendAuthenticationSaslContinue(std::string_view data, std::string* out);
void AppendAuthenticationSaslFinal(std::string_view data, std::string* out);
void AppendBackendKeyData(const BackendKeyData& key, std::string* out);
void AppendParameterStatus(std::string_view name, std::string_view value, std::string* out);
void AppendReadyForQuery(TransactionStatus status, std::string* out);
void AppendNegotiateProtocolVersion(int newest_minor, const std::vector<std::string>& unknown_options, std::string* out);
void AppendRowDescription(const std::vector<FieldDescription>& fields, std::string* out);
void AppendParameterDescription(const std::vector<uint32_t>& types, std::string* out);
void AppendDataRow(const std::vector<std::optional<std::string_view>>& values, std::string* out);
void AppendCommandComplete(std::string_view tag, std::string* out);
void AppendEmptyQuery(std::string* out);
void AppendParseComplete(std::string* out);
void AppendBindComplete(std::string* out);
void AppendCloseComplete(std::string* out);
void AppendNoData(std::string* out);
void AppendPortalSuspended(std::string* out);
// type: backend::kCopyIn, kCopyOut or kCopyBoth.
void AppendCopyResponse(char type, const CopyResponse& response, std::string* out);
void AppendCopyData(std::string_view data, std::string* out);
void AppendCopyDone(std::string* out);
void AppendNotification(const NotificationMessage& message, std::string* out);
void AppendError(const PgErrorFields& fields, std::string* out);
void AppendNotice(const PgErrorFields& fields, std::string* out);

absl::StatusOr<AuthenticationMessage> DecodeAuthentication(std::string_view payload);
absl::StatusOr<BackendKeyData> DecodeBackendKeyData(std::string_view payload);
absl::StatusOr<std::pair<std::string_view, std::string_view>> DecodeParameterStatus(std::string_view payload);
absl::StatusOr<TransactionStatus> DecodeReadyForQuery(std::string_view payload);
absl::StatusOr<std::vector<FieldDescription>> DecodeRowDescription(std::string_view payload);
absl::StatusOr<std::vector<uint32_t>> DecodeParameterDescription(std::string_view payload);
absl::StatusOr<std::vector<std::optional<std::string_view>>> DecodeDataRow(std::string_view payload);
absl::StatusOr<std::string_view> DecodeCommandComplete(std::string_view payload);
absl::StatusOr<CopyResponse> DecodeCopyResponse(std::string_view payload);
absl::StatusOr<NotificationMessage> DecodeNotification(std::string_view payload);
// ErrorResponse and NoticeResponse.
absl::StatusOr<PgErrorFields> DecodeError(std::string_view payload);
// The same as a Status that carries the fields.
absl::Status ErrorToStatus(const PgErrorFields& fields);

}  // namespace insula::pgwire

#endif  // INSULA_BASE_PGWIRE_BACKEND_H_
