#include "base/pgwire/backend.h"

#include <charconv>

#include "base/pgwire/wire.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::pgwire {
namespace {

void AppendBare(char type, std::string* out) { MessageBuilder(out, type); }

// Field codes of ErrorResponse whose values are plain text, in the order that PostgreSQL sends them.
struct TextField {
  char code;
  std::string PgErrorFields::*member;
};
constexpr TextField kTextFields[] = {
    {'S', &PgErrorFields::severity}, {'V', &PgErrorFields::severity},   {'C', &PgErrorFields::sqlstate},
    {'M', &PgErrorFields::message},  {'D', &PgErrorFields::detail},     {'H', &PgErrorFields::hint},
    {'W', &PgErrorFields::where},    {'s', &PgErrorFields::schema},     {'t', &PgErrorFields::table},
    {'c', &PgErrorFields::column},   {'d', &PgErrorFields::datatype},   {'n', &PgErrorFields::constraint},
};

void AppendFields(char type, const PgErrorFields& fields, std::string* out) {
  MessageBuilder m(out, type);
  for (const TextField& field : kTextFields) {
    const std::string& value = fields.*field.member;
    // M is always there, even if empty.
    if (!value.empty() || field.code == 'M') m.Byte(field.code).CString(value);
  }
  if (fields.position > 0) m.Byte('P').CString(StrCat(fields.position));
  m.Byte('\0');
}

template <typename T>
absl::StatusOr<T> Finished(const WireReader& in, T message) {
  RETURN_IF_ERROR(in.Finish());
  return message;
}

}  // namespace

void AppendAuthenticationOk(std::string* out) { MessageBuilder(out, backend::kAuthentication).Int32(0); }

void AppendAuthenticationSasl(const std::vector<std::string>& mechanisms, std::string* out) {
  MessageBuilder m(out, backend::kAuthentication);
  m.Int32(static_cast<int>(AuthCode::kSasl));
  for (const std::string& mechanism : mechanisms) m.CString(mechanism);
  m.Byte('\0');
}

void AppendAuthenticationSaslContinue(std::string_view data, std::string* out) {
  MessageBuilder(out, backend::kAuthentication).Int32(static_cast<int>(AuthCode::kSaslContinue)).Bytes(data);
}
void AppendAuthenticationSaslFinal(std::string_view data, std::string* out) {
  MessageBuilder(out, backend::kAuthentication).Int32(static_cast<int>(AuthCode::kSaslFinal)).Bytes(data);
}
void AppendBackendKeyData(const BackendKeyData& key, std::string* out) {
  MessageBuilder(out, backend::kBackendKeyData).Int32(key.process_id).Bytes(key.secret);
}
void AppendParameterStatus(std::string_view name, std::string_view value, std::string* out) {
  MessageBuilder(out, backend::kParameterStatus).CString(name).CString(value);
}
void AppendReadyForQuery(TransactionStatus status, std::string* out) {
  MessageBuilder(out, backend::kReadyForQuery).Byte(static_cast<char>(status));
}
void AppendNegotiateProtocolVersion(int newest_minor, const std::vector<std::string>& unknown_options, std::string* out) {
  MessageBuilder m(out, backend::kNegotiateProtocolVersion);
  m.Int32(newest_minor).Int32(static_cast<int64_t>(unknown_options.size()));
  for (const std::string& option : unknown_options) m.CString(option);
}

void AppendRowDescription(const std::vector<FieldDescription>& fields, std::string* out) {
  MessageBuilder m(out, backend::kRowDescription);
  m.Int16(static_cast<int>(fields.size()));
  for (const FieldDescription& f : fields) {
    m.CString(f.name).Int32(f.table).Int16(f.attribute).Int32(f.type).Int16(f.type_size).Int32(f.type_modifier).Int16(f.format);
  }
}

void AppendParameterDescription(const std::vector<uint32_t>& types, std::string* out) {
  MessageBuilder m(out, backend::kParameterDescription);
  m.Int16(static_cast<int>(types.size()));
  for (uint32_t type : types) m.Int32(type);
}

void AppendDataRow(const std::vector<std::optional<std::string_view>>& values, std::string* out) {
  MessageBuilder m(out, backend::kDataRow);
  m.Int16(static_cast<int>(values.size()));
  for (const auto& value : values) {
    m.Int32(value ? static_cast<int64_t>(value->size()) : -1);
    if (value) m.Bytes(*value);
  }
}

void AppendCommandComplete(std::string_view tag, std::string* out) { MessageBuilder(out, backend::kCommandComplete).CString(tag); }
void AppendEmptyQuery(std::string* out) { AppendBare(backend::kEmptyQuery, out); }
void AppendParseComplete(std::string* out) { AppendBare(backend::kParseComplete, out); }
void AppendBindComplete(std::string* out) { AppendBare(backend::kBindComplete, out); }
void AppendCloseComplete(std::string* out) { AppendBare(backend::kCloseComplete, out); }
void AppendNoData(std::string* out) { AppendBare(backend::kNoData, out); }
void AppendPortalSuspended(std::string* out) { AppendBare(backend::kPortalSuspended, out); }

void AppendCopyResponse(char type, const CopyResponse& response, std::string* out) {
  MessageBuilder m(out, type);
  m.Byte(response.format).Int16(static_cast<int>(response.column_formats.size()));
  for (int16_t format : response.column_formats) m.Int16(format);
}
void AppendCopyData(std::string_view data, std::string* out) { MessageBuilder(out, backend::kCopyData).Bytes(data); }
void AppendCopyDone(std::string* out) { AppendBare(backend::kCopyDone, out); }
void AppendNotification(const NotificationMessage& message, std::string* out) {
  MessageBuilder(out, backend::kNotification).Int32(message.process_id).CString(message.channel).CString(message.payload);
}
void AppendError(const PgErrorFields& fields, std::string* out) { AppendFields(backend::kError, fields, out); }
void AppendNotice(const PgErrorFields& fields, std::string* out) { AppendFields(backend::kNotice, fields, out); }

absl::StatusOr<AuthenticationMessage> DecodeAuthentication(std::string_view payload) {
  WireReader in(payload);
  AuthenticationMessage m;
  m.code = static_cast<AuthCode>(in.Int32());
  switch (m.code) {
    case AuthCode::kSasl:
      while (!in.failed()) {
        std::string_view mechanism = in.CString();
        if (mechanism.empty()) break;
        m.mechanisms.push_back(mechanism);
      }
      break;
    case AuthCode::kMd5Password:
    case AuthCode::kSaslContinue:
    case AuthCode::kSaslFinal:
      m.data = in.Rest();
      break;
    case AuthCode::kOk:
    case AuthCode::kCleartextPassword:
      break;
    default:
      return ProtocolError(StrCat("authentication method ", static_cast<int>(m.code), " not supported"));
  }
  return Finished(in, std::move(m));
}

absl::StatusOr<BackendKeyData> DecodeBackendKeyData(std::string_view payload) {
  WireReader in(payload);
  BackendKeyData m;
  m.process_id = static_cast<uint32_t>(in.Int32());
  m.secret = in.Rest();
  return Finished(in, std::move(m));
}

absl::StatusOr<std::pair<std::string_view, std::string_view>> DecodeParameterStatus(std::string_view payload) {
  WireReader in(payload);
  std::string_view name = in.CString();
  std::string_view value = in.CString();
  return Finished(in, std::pair(name, value));
}

absl::StatusOr<TransactionStatus> DecodeReadyForQuery(std::string_view payload) {
  WireReader in(payload);
  char status = in.Byte();
  RETURN_IF_ERROR(in.Finish());
  if (status != 'I' && status != 'T' && status != 'E') return ProtocolError("invalid transaction status");
  return static_cast<TransactionStatus>(status);
}

absl::StatusOr<std::vector<FieldDescription>> DecodeRowDescription(std::string_view payload) {
  WireReader in(payload);
  std::vector<FieldDescription> fields(in.Count16(19));
  for (FieldDescription& f : fields) {
    f.name = in.CString();
    f.table = static_cast<uint32_t>(in.Int32());
    f.attribute = in.Int16();
    f.type = static_cast<uint32_t>(in.Int32());
    f.type_size = in.Int16();
    f.type_modifier = in.Int32();
    f.format = in.Int16();
  }
  return Finished(in, std::move(fields));
}

absl::StatusOr<std::vector<uint32_t>> DecodeParameterDescription(std::string_view payload) {
  WireReader in(payload);
  std::vector<uint32_t> types(in.Count16(4));
  for (uint32_t& type : types) type = static_cast<uint32_t>(in.Int32());
  return Finished(in, std::move(types));
}

absl::StatusOr<std::vector<std::optional<std::string_view>>> DecodeDataRow(std::string_view payload) {
  WireReader in(payload);
  int n = in.Count16(4);
  std::vector<std::optional<std::string_view>> values;
  values.reserve(n);
  for (int i = 0; i < n && !in.failed(); ++i) {
    int32_t size = in.Int32();
    if (size == -1) {
      values.emplace_back(std::nullopt);
    } else if (size < 0) {
      in.Fail();
    } else {
      values.emplace_back(in.Bytes(size));
    }
  }
  return Finished(in, std::move(values));
}

absl::StatusOr<std::string_view> DecodeCommandComplete(std::string_view payload) {
  WireReader in(payload);
  std::string_view tag = in.CString();
  return Finished(in, tag);
}

absl::StatusOr<CopyResponse> DecodeCopyResponse(std::string_view payload) {
  WireReader in(payload);
  CopyResponse m;
  m.format = in.Byte();
  m.column_formats.resize(in.Count16(2));
  for (int16_t& format : m.column_formats) format = in.Int16();
  return Finished(in, std::move(m));
}

absl::StatusOr<NotificationMessage> DecodeNotification(std::string_view payload) {
  WireReader in(payload);
  NotificationMessage m;
  m.process_id = static_cast<uint32_t>(in.Int32());
  m.channel = in.CString();
  m.payload = in.CString();
  return Finished(in, m);
}

absl::StatusOr<PgErrorFields> DecodeError(std::string_view payload) {
  WireReader in(payload);
  PgErrorFields fields;
  fields.sqlstate.clear();
  for (;;) {
    char code = in.Byte();
    if (code == '\0' || in.failed()) break;
    std::string_view value = in.CString();
    if (code == 'P') {
      std::from_chars(value.data(), value.data() + value.size(), fields.position);
      continue;
    }
    for (const TextField& field : kTextFields) {
      if (field.code == code) fields.*field.member = value;
    }
  }
  return Finished(in, std::move(fields));
}

absl::Status ErrorToStatus(const PgErrorFields& f) {
  return PgErrorBuilder(f.sqlstate, f.message)
      .Severity(f.severity)
      .Detail(f.detail)
      .Hint(f.hint)
      .Position(f.position)
      .Table(f.schema, f.table)
      .Column(f.column)
      .Constraint(f.constraint)
      .Build();
}

}  // namespace insula::pgwire
