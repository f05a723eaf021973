#include "base/pgwire/startup.h"

#include <algorithm>

#include "base/pgerror/pg_error.h"
#include "base/pgwire/wire.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::pgwire {
namespace {

constexpr uint32_t kCancelCode = 1234u << 16 | 5678;
constexpr uint32_t kSslCode = 1234u << 16 | 5679;
constexpr uint32_t kGssEncCode = 1234u << 16 | 5680;
constexpr size_t kMaxSecretBytes = 256;

absl::StatusOr<StartupPacket> ParseParameters(uint32_t version, WireReader* in) {
  StartupMessage message;
  message.major = static_cast<uint16_t>(version >> 16);
  message.minor = static_cast<uint16_t>(version);
  if (message.major != 3) {
    return PgErrorBuilder(sqlstate::kFeatureNotSupported,
                          StrCat("unsupported frontend protocol ", message.major, ".", message.minor,
                                 ": server supports 3.0 to 3.0"))
        .Severity("FATAL")
        .Build();
  }
  for (;;) {
    std::string_view name = in->CString();
    if (in->failed()) return ProtocolError("invalid startup packet layout: expected terminator as last byte");
    if (name.empty()) break;
    std::string_view value = in->CString();
    if (in->failed()) return ProtocolError("invalid startup packet layout: expected terminator as last byte");
    message.parameters.emplace_back(name, value);
  }
  if (in->remaining() != 0) return ProtocolError("invalid startup packet layout: expected terminator as last byte");
  return StartupPacket(std::move(message));
}

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

std::optional<std::string_view> StartupMessage::Find(std::string_view name) const {
  for (auto it = parameters.rbegin(); it != parameters.rend(); ++it) {
    if (it->first == name) return it->second;
  }
  return std::nullopt;
}

void StartupMessage::Set(std::string_view name, std::optional<std::string> value) {
  std::erase_if(parameters, [&](const auto& p) { return p.first == name; });
  if (value) parameters.emplace_back(name, *std::move(value));
}

std::vector<std::string> StartupMessage::ProtocolOptions() const {
  std::vector<std::string> out;
  for (const auto& [name, value] : parameters) {
    if (name.starts_with("_pq_.")) out.push_back(name);
  }
  return out;
}

absl::StatusOr<StartupPacket> ParseStartupPacket(std::string_view body) {
  WireReader in(body);
  uint32_t code = static_cast<uint32_t>(in.Int32());
  if (in.failed()) return ProtocolError("invalid length of startup packet");
  switch (code) {
    case kSslCode:
      RETURN_IF_ERROR(in.Finish());
      return StartupPacket(SslRequest{});
    case kGssEncCode:
      RETURN_IF_ERROR(in.Finish());
      return StartupPacket(GssEncRequest{});
    case kCancelCode: {
      CancelRequest request;
      request.process_id = static_cast<uint32_t>(in.Int32());
      request.secret = in.Rest();
      if (in.failed() || request.secret.size() < 4 || request.secret.size() > kMaxSecretBytes) {
        return ProtocolError("invalid length of cancel request packet");
      }
      return StartupPacket(std::move(request));
    }
    default:
      return ParseParameters(code, &in);
  }
}

void AppendSslRequest(std::string* out) { MessageBuilder(out, 0).Int32(kSslCode); }
void AppendGssEncRequest(std::string* out) { MessageBuilder(out, 0).Int32(kGssEncCode); }
void AppendCancelRequest(const CancelRequest& request, std::string* out) {
  MessageBuilder(out, 0).Int32(kCancelCode).Int32(request.process_id).Bytes(request.secret);
}
void AppendStartupMessage(const StartupMessage& message, std::string* out) {
  MessageBuilder m(out, 0);
  m.Int16(message.major).Int16(message.minor);
  for (const auto& [name, value] : message.parameters) m.CString(name).CString(value);
  m.Byte('\0');
}

std::vector<std::string> SplitOptions(std::string_view options) {
  std::vector<std::string> out;
  size_t i = 0;
  for (;;) {
    while (i < options.size() && IsSpace(options[i])) ++i;
    if (i == options.size()) return out;
    std::string word;
    for (; i < options.size() && !IsSpace(options[i]); ++i) {
      if (options[i] == '\\' && i + 1 < options.size()) {
        ++i;
      } else if (options[i] == '\\') {
        break;  // a last lone backslash stands for nothing
      }
      word.push_back(options[i]);
    }
    if (i < options.size() && options[i] == '\\') ++i;
    out.push_back(std::move(word));
  }
}

std::string JoinOptions(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out.push_back(' ');
    for (char c : word) {
      if (IsSpace(c) || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
  }
  return out;
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> SettingsFromOptions(const std::vector<std::string>& words) {
  std::vector<std::pair<std::string, std::string>> out;
  for (size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    std::string_view assignment;
    std::string_view form;
    if (word.starts_with("--")) {
      form = "--";
      assignment = word.substr(2);
    } else if (word == "-c") {
      form = "-c ";
      if (++i < words.size()) assignment = words[i];
    } else if (word.starts_with("-c")) {
      form = "-c ";
      assignment = word.substr(2);
    } else {
      return PgErrorBuilder(sqlstate::kSyntaxError, StrCat("invalid command-line argument for server process: ", word))
          .Hint("Settings are given as -c name=value or --name=value.")
          .Build();
    }
    size_t equals = assignment.find('=');
    if (equals == std::string_view::npos) {
      return PgError(sqlstate::kSyntaxError, StrCat(form, assignment, " requires a value"));
    }
    // As PostgreSQL does for both forms.
    std::string name(assignment.substr(0, equals));
    std::replace(name.begin(), name.end(), '-', '_');
    out.emplace_back(std::move(name), assignment.substr(equals + 1));
  }
  return out;
}

}  // namespace insula::pgwire
