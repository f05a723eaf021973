// What one process sees of the world: the runtime seam in one place. Real: base/real. Simulated: base/sim.
#ifndef INSULA_BASE_RUNTIME_RUNTIME_H_
#define INSULA_BASE_RUNTIME_RUNTIME_H_

#include "base/runtime/executor.h"
#include "base/runtime/files.h"
#include "base/runtime/net.h"
#include "base/runtime/random.h"
#include "base/runtime/time.h"
#include "base/runtime/transport.h"

namespace insula {

// Non-owning; everything outlives what is built on it. The transport is not here: a process has one per identity
// (a SQL pod gets its tenant's identity only when it is stamped) and passes it explicitly.
struct Runtime {
  Executor* executor = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  FileSystem* files = nullptr;
  Network* network = nullptr;
};

}  // namespace insula

#endif  // INSULA_BASE_RUNTIME_RUNTIME_H_
