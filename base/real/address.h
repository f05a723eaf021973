// "host:port" and "[v6]:port" (private to base/real).
#ifndef INSULA_BASE_REAL_ADDRESS_H_
#define INSULA_BASE_REAL_ADDRESS_H_

#include <charconv>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/strings.h"

namespace insula::real {

struct HostPort {
  std::string host;
  int port = 0;
};

inline absl::StatusOr<HostPort> ParseHostPort(const std::string& address) {
  HostPort out;
  size_t colon = address.rfind(':');
  const char* end = address.data() + address.size();
  bool good = colon != std::string::npos;
  if (good) {
    auto parsed = std::from_chars(address.data() + colon + 1, end, out.port);
    good = parsed.ec == std::errc() && parsed.ptr == end && out.port >= 0 && out.port <= 65535;
  }
  if (!good) return absl::InvalidArgumentError(StrCat("\"", address, "\" is not host:port"));
  out.host = address.substr(0, colon);
  if (out.host.size() >= 2 && out.host.front() == '[' && out.host.back() == ']') out.host = out.host.substr(1, out.host.size() - 2);
  return out;
}

}  // namespace insula::real

#endif  // INSULA_BASE_REAL_ADDRESS_H_
