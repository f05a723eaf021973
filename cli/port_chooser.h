// Chooses the TCP ports of a local cluster's processes before they start.
#ifndef INSULA_CLI_PORT_CHOOSER_H_
#define INSULA_CLI_PORT_CHOOSER_H_

#include <vector>

#include "absl/status/statusor.h"
#include "base/runtime/files.h"
#include "base/runtime/random.h"

namespace insula::cli {

// Free ports of 127.0.0.1, no two the same: each is held until the chooser goes, which must be before the processes
// that are to listen on them start. What it chooses by itself lies outside the range from which the kernel takes the
// near ends of outgoing connections (ip_local_port_range, ip(7)), so that neither a first start nor a restart
// finds its port taken by somebody's connection.
class PortChooser {
 public:
  PortChooser(Random* random, FileSystem* files) : random_(random), files_(files) {}
  ~PortChooser();
  PortChooser(const PortChooser&) = delete;
  PortChooser& operator=(const PortChooser&) = delete;

  // The port `wanted` in [1, 65535]; kAlreadyExists when somebody has it, or it was taken here before;
  // kUnavailable when it cannot be had for another reason.
  absl::StatusOr<int> Take(int wanted);
  // Any free port; kUnavailable when there is none.
  absl::StatusOr<int> TakeAny();

 private:
  absl::StatusOr<int> Bind(int port);

  Random* const random_;
  FileSystem* const files_;
  std::vector<int> held_;
};

}  // namespace insula::cli

#endif  // INSULA_CLI_PORT_CHOOSER_H_
