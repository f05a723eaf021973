#include "cli/port_chooser.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "base/strings.h"

namespace insula::cli {
namespace {

constexpr int kFirstUnprivileged = 1024;
constexpr int kLastPort = 65535;
// Linux's range of outgoing ports where nobody has set another one.
constexpr int kDefaultOutgoingFirst = 32768;
constexpr int kDefaultOutgoingLast = 60999;
constexpr int kTries = 100;

struct PortRange {
  int first = 0;
  int last = -1;
  int size() const { return last - first + 1; }
};

// The larger part of the unprivileged ports that outgoing connections do not use.
PortRange QuietRange(FileSystem* files) {
  PortRange outgoing{kDefaultOutgoingFirst, kDefaultOutgoingLast};
  auto text = files->ReadFile("/proc/sys/net/ipv4/ip_local_port_range");
  if (text.ok()) {
    char* rest = nullptr;
    long first = std::strtol(text->c_str(), &rest, 10);
    long last = std::strtol(rest, nullptr, 10);
    if (first > 0 && last >= first && last <= kLastPort) outgoing = {static_cast<int>(first), static_cast<int>(last)};
  }
  PortRange below{kFirstUnprivileged, outgoing.first - 1};
  PortRange above{std::max(outgoing.last + 1, kFirstUnprivileged), kLastPort};
  return below.size() >= above.size() ? below : above;
}

}  // namespace

PortChooser::~PortChooser() {
  for (int fd : held_) close(fd);
}

absl::StatusOr<int> PortChooser::Bind(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::UnavailableError(StrCat("cannot open a socket: ", std::strerror(errno)));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  socklen_t length = sizeof(address);
  // Connections that wait out their last minute on the port do no harm. Two sockets that both say so may be bound to
  // one port as long as neither listens; so that ours stay apart, this one listens.
  int one = 1;
  bool bound = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
               listen(fd, 1) == 0 && getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  if (bound) {
    held_.push_back(fd);
    return ntohs(address.sin_port);
  }
  int error = errno;
  close(fd);
  if (error == EADDRINUSE) return absl::AlreadyExistsError(StrCat("port ", port, " is in use"));
  return absl::UnavailableError(StrCat("port ", port, " cannot be used: ", std::strerror(error)));
}

absl::StatusOr<int> PortChooser::Take(int wanted) { return Bind(wanted); }

absl::StatusOr<int> PortChooser::TakeAny() {
  PortRange quiet = QuietRange(files_);
  for (int i = 0; i < kTries && quiet.size() > 0; ++i) {
    auto chosen = Bind(quiet.first + static_cast<int>(random_->Uniform(static_cast<uint64_t>(quiet.size()))));
    if (chosen.ok()) return chosen;
  }
  return Bind(0);
}

}  // namespace insula::cli
