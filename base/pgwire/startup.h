// The first packet of a connection: a request for encryption, a request to cancel, or the startup message.
#ifndef INSULA_BASE_PGWIRE_STARTUP_H_
#define INSULA_BASE_PGWIRE_STARTUP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace insula::pgwire {

struct SslRequest {};
struct GssEncRequest {};
struct CancelRequest {
  uint32_t process_id = 0;
  std::string secret;  // 4 bytes in protocol 3.0; up to 256 in later ones
};
struct StartupMessage {
  uint16_t major = 3, minor = 0;
  // In the order sent: user, database, options, application_name, … and _pq_.* protocol options.
  std::vector<std::pair<std::string, std::string>> parameters;

  // The last value given for `name`.
  std::optional<std::string_view> Find(std::string_view name) const;
  // Sets or adds; an empty optional removes.
  void Set(std::string_view name, std::optional<std::string> value);
  // Names of _pq_.* options, which NegotiateProtocolVersion answers.
  std::vector<std::string> ProtocolOptions() const;
};
using StartupPacket = std::variant<SslRequest, GssEncRequest, CancelRequest, StartupMessage>;

// `body`: the packet without its length field. 08P01 for a malformed one, 0A000 for a major version other than 3.
absl::StatusOr<StartupPacket> ParseStartupPacket(std::string_view body);

// Whole packets, length included.
void AppendSslRequest(std::string* out);
void AppendGssEncRequest(std::string* out);
void AppendCancelRequest(const CancelRequest& request, std::string* out);
void AppendStartupMessage(const StartupMessage& message, std::string* out);

// The "options" parameter taken apart at blanks; a backslash makes the next character literal, a blank or backslash included.
std::vector<std::string> SplitOptions(std::string_view options);
// The reverse, for a proxy that removes one.
std::string JoinOptions(const std::vector<std::string>& words);

// Settings that option words give: "-c name=value", "-cname=value", "--name=value" ('-' in a name of the last form becomes '_').
// 42601 for other switches and for a missing value, worded as PostgreSQL words it.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> SettingsFromOptions(const std::vector<std::string>& words);

}  // namespace insula::pgwire

#endif  // INSULA_BASE_PGWIRE_STARTUP_H_
