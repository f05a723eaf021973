// Messages that a client sends (PostgreSQL 15, chapter 55.7): decoded for servers, built for clients.
//
// Decoded messages point into the payload that they were decoded from. Decoders answer 08P01 for anything malformed and never
// read past the payload.
#ifndef INSULA_BASE_PGWIRE_FRONTEND_H_
#define INSULA_BASE_PGWIRE_FRONTEND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace insula::pgwire {

// Type bytes.
namespace frontend {
inline constexpr char kBind = 'B', kClose = 'C', kCopyData = 'd', kCopyDone = 'c', kCopyFail = 'f', kDescribe = 'D',
                      kExecute = 'E', kFlush = 'H', kFunctionCall = 'F', kParse = 'P', kPassword = 'p', kQuery = 'Q',
                      kSync = 'S', kTerminate = 'X';
}  // namespace frontend

struct ParseMessage {
  std::string_view name;
  std::string_view query;
  std::vector<uint32_t> parameter_types;  // 0: to be inferred
};

struct BindMessage {
  std::string_view portal;
  std::string_view statement;
  std::vector<int16_t> parameter_formats;                  // none: all text; one: for all
  std::vector<std::optional<std::string_view>> parameters;  // nullopt: NULL
  std::vector<int16_t> result_formats;
};

// Describe and Close.
struct TargetMessage {
  char kind = 'S';  // 'S' statement, 'P' portal
  std::string_view name;
};

struct ExecuteMessage {
  std::string_view portal;
  int32_t max_rows = 0;  // 0 or less: all
};

struct SaslInitialMessage {
  std::string_view mechanism;
  std::optional<std::string_view> data;
};

struct FunctionCallMessage {
  uint32_t function = 0;
  std::vector<int16_t> argument_formats;
  std::vector<std::optional<std::string_view>> arguments;
  int16_t result_format = 0;
};

absl::StatusOr<std::string_view> DecodeQuery(std::string_view payload);
absl::StatusOr<ParseMessage> DecodeParse(std::string_view payload);
absl::StatusOr<BindMessage> DecodeBind(std::string_view payload);
absl::StatusOr<TargetMessage> DecodeTarget(std::string_view payload);
absl::StatusOr<ExecuteMessage> DecodeExecute(std::string_view payload);
absl::StatusOr<std::string_view> DecodeCopyFail(std::string_view payload);
absl::StatusOr<FunctionCallMessage> DecodeFunctionCall(std::string_view payload);
// The three meanings of 'p'.
absl::StatusOr<std::string_view> DecodePassword(std::string_view payload);
absl::StatusOr<SaslInitialMessage> DecodeSaslInitial(std::string_view payload);

void AppendQuery(std::string_view query, std::string* out);
void AppendParse(const ParseMessage& message, std::string* out);
void AppendBind(const BindMessage& message, std::string* out);
void AppendDescribe(const TargetMessage& message, std::string* out);
void AppendClose(const TargetMessage& message, std::string* out);
void AppendExecute(const ExecuteMessage& message, std::string* out);
void AppendSync(std::string* out);
void AppendFlush(std::string* out);
void AppendTerminate(std::string* out);
void AppendCopyFail(std::string_view why, std::string* out);
void AppendPassword(std::string_view password, std::string* out);
void AppendSaslInitial(const SaslInitialMessage& message, std::string* out);
void AppendSaslResponse(std::string_view data, std::string* out);

}  // namespace insula::pgwire

#endif  // INSULA_BASE_PGWIRE_FRONTEND_H_
