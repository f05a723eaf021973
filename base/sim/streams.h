// Makers of what a simulated process sees of the network (private to base/sim).
#ifndef INSULA_BASE_SIM_STREAMS_H_
#define INSULA_BASE_SIM_STREAMS_H_

#include <memory>

#include "base/runtime/net.h"
#include "base/runtime/transport.h"

namespace insula {

class SimProcess;

namespace sim {

std::unique_ptr<Transport> MakeTransport(SimProcess* process, PeerIdentity identity);
std::unique_ptr<Network> MakeNetwork(SimProcess* process);

}  // namespace sim
}  // namespace insula

#endif  // INSULA_BASE_SIM_STREAMS_H_
