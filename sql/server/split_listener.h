// One port for HTTPS and plain HTTP: the first byte of a connection tells which (a TLS handshake begins with 0x16).
//
//   socket ─► first byte ─► 0x16: the TLS side (stamping, and all else)
//                        └► other: the plain side (status pages only)
//
// Each side is a Network that lends its streams to one HttpServer.
// Thread safety: loop thread only.
#ifndef INSULA_SQL_SERVER_SPLIT_LISTENER_H_
#define INSULA_SQL_SERVER_SPLIT_LISTENER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/net.h"

namespace insula::sql {

class SplitListener {
 public:
  SplitListener(Network* network, const Context& ctx);
  ~SplitListener();

  // Binds; gives the port. Connections are taken from here on.
  absl::StatusOr<int> Listen(const std::string& address);
  // Their Listen() gives that side's connections; the address is ignored.
  Network* tls();
  Network* plain();

 private:
  class Side;
  Task<void> Accept();
  Task<void> Sort(std::unique_ptr<ByteStream> stream);

  Network* network_;
  std::unique_ptr<Side> tls_, plain_;
  std::unique_ptr<Listener> listener_;
  TaskGroup group_;
};

}  // namespace insula::sql

#endif  // INSULA_SQL_SERVER_SPLIT_LISTENER_H_
