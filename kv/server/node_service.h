// What a node says of itself: /insula.kv.v1.Node/Status, for administrators, operators and nodes.
#ifndef INSULA_KV_SERVER_NODE_SERVICE_H_
#define INSULA_KV_SERVER_NODE_SERVICE_H_

#include <functional>

#include "base/runtime/transport.h"
#include "proto/kv/status.pb.h"

namespace insula::kv {

// Registers the method; before transport->Listen. `fill` completes a response for the request.
void RegisterNodeService(Transport* transport, std::function<void(const v1::NodeStatusRequest&, v1::NodeStatusResponse*)> fill);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_NODE_SERVICE_H_
