#include "base/pgwire/frontend.h"

#include "base/pgwire/wire.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::pgwire {
namespace {

std::vector<int16_t> ReadFormats(WireReader* in) {
  int n = in->Count16(2);
  std::vector<int16_t> out;
  out.reserve(n);
  for (int i = 0; i < n; ++i) out.push_back(in->Int16());
  return out;
}

std::vector<std::optional<std::string_view>> ReadValues(WireReader* in) {
  int n = in->Count16(4);
  std::vector<std::optional<std::string_view>> out;
  out.reserve(n);
  for (int i = 0; i < n && !in->failed(); ++i) {
    int32_t size = in->Int32();
    if (size == -1) {
      out.emplace_back(std::nullopt);
    } else if (size < 0) {
      in->Fail();
    } else {
      out.emplace_back(in->Bytes(size));
    }
  }
  return out;
}

template <typename T>
absl::StatusOr<T> Finished(const WireReader& in, T message) {
  RETURN_IF_ERROR(in.Finish());
  return message;
}

void AppendTarget(char type, const TargetMessage& message, std::string* out) {
  MessageBuilder(out, type).Byte(message.kind).CString(message.name);
}

}  // namespace

absl::StatusOr<std::string_view> DecodeQuery(std::string_view payload) {
  WireReader in(payload);
  std::string_view query = in.CString();
  return Finished(in, query);
}

absl::StatusOr<ParseMessage> DecodeParse(std::string_view payload) {
  WireReader in(payload);
  ParseMessage m;
  m.name = in.CString();
  m.query = in.CString();
  int n = in.Count16(4);
  m.parameter_types.reserve(n);
  for (int i = 0; i < n; ++i) m.parameter_types.push_back(static_cast<uint32_t>(in.Int32()));
  return Finished(in, std::move(m));
}

absl::StatusOr<BindMessage> DecodeBind(std::string_view payload) {
  WireReader in(payload);
  BindMessage m;
  m.portal = in.CString();
  m.statement = in.CString();
  m.parameter_formats = ReadFormats(&in);
  m.parameters = ReadValues(&in);
  m.result_formats = ReadFormats(&in);
  return Finished(in, std::move(m));
}

absl::StatusOr<TargetMessage> DecodeTarget(std::string_view payload) {
  WireReader in(payload);
  TargetMessage m;
  m.kind = in.Byte();
  m.name = in.CString();
  RETURN_IF_ERROR(in.Finish());
  if (m.kind != 'S' && m.kind != 'P') {
    return ProtocolError(StrCat("invalid message subtype ", static_cast<int>(static_cast<unsigned char>(m.kind))));
  }
  return m;
}

absl::StatusOr<ExecuteMessage> DecodeExecute(std::string_view payload) {
  WireReader in(payload);
  ExecuteMessage m;
  m.portal = in.CString();
  m.max_rows = in.Int32();
  return Finished(in, m);
}

absl::StatusOr<std::string_view> DecodeCopyFail(std::string_view payload) { return DecodeQuery(payload); }

absl::StatusOr<FunctionCallMessage> DecodeFunctionCall(std::string_view payload) {
  WireReader in(payload);
  FunctionCallMessage m;
  m.function = static_cast<uint32_t>(in.Int32());
  m.argument_formats = ReadFormats(&in);
  m.arguments = ReadValues(&in);
  m.result_format = in.Int16();
  return Finished(in, std::move(m));
}

absl::StatusOr<std::string_view> DecodePassword(std::string_view payload) { return DecodeQuery(payload); }

absl::StatusOr<SaslInitialMessage> DecodeSaslInitial(std::string_view payload) {
  WireReader in(payload);
  SaslInitialMessage m;
  m.mechanism = in.CString();
  int32_t size = in.Int32();
  if (size >= 0) {
    m.data = in.Bytes(size);
  } else if (size != -1) {
    in.Fail();
  }
  return Finished(in, m);
}

void AppendQuery(std::string_view query, std::string* out) { MessageBuilder(out, frontend::kQuery).CString(query); }

void AppendParse(const ParseMessage& message, std::string* out) {
  MessageBuilder m(out, frontend::kParse);
  m.CString(message.name).CString(message.query).Int16(static_cast<int>(message.parameter_types.size()));
  for (uint32_t type : message.parameter_types) m.Int32(type);
}

void AppendBind(const BindMessage& message, std::string* out) {
  MessageBuilder m(out, frontend::kBind);
  m.CString(message.portal).CString(message.statement).Int16(static_cast<int>(message.parameter_formats.size()));
  for (int16_t format : message.parameter_formats) m.Int16(format);
  m.Int16(static_cast<int>(message.parameters.size()));
  for (const auto& value : message.parameters) {
    m.Int32(value ? static_cast<int64_t>(value->size()) : -1);
    if (value) m.Bytes(*value);
  }
  m.Int16(static_cast<int>(message.result_formats.size()));
  for (int16_t format : message.result_formats) m.Int16(format);
}

void AppendDescribe(const TargetMessage& message, std::string* out) { AppendTarget(frontend::kDescribe, message, out); }
void AppendClose(const TargetMessage& message, std::string* out) { AppendTarget(frontend::kClose, message, out); }
void AppendExecute(const ExecuteMessage& message, std::string* out) {
  MessageBuilder(out, frontend::kExecute).CString(message.portal).Int32(message.max_rows);
}
void AppendSync(std::string* out) { MessageBuilder(out, frontend::kSync); }
void AppendFlush(std::string* out) { MessageBuilder(out, frontend::kFlush); }
void AppendTerminate(std::string* out) { MessageBuilder(out, frontend::kTerminate); }
void AppendCopyFail(std::string_view why, std::string* out) { MessageBuilder(out, frontend::kCopyFail).CString(why); }
void AppendPassword(std::string_view password, std::string* out) { MessageBuilder(out, frontend::kPassword).CString(password); }

void AppendSaslInitial(const SaslInitialMessage& message, std::string* out) {
  MessageBuilder m(out, frontend::kPassword);
  m.CString(message.mechanism).Int32(message.data ? static_cast<int64_t>(message.data->size()) : -1);
  if (message.data) m.Bytes(*message.data);
}
void AppendSaslResponse(std::string_view data, std::string* out) { MessageBuilder(out, frontend::kPassword).Bytes(data); }

}  // namespace insula::pgwire
