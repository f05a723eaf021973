#include "kv/server/node_service.h"

#include <utility>

#include "base/strings.h"
#include "tenant/tenant.h"

namespace insula::kv {

void RegisterNodeService(Transport* transport, std::function<void(const v1::NodeStatusRequest&, v1::NodeStatusResponse*)> fill) {
  HandleUnary<v1::NodeStatusRequest, v1::NodeStatusResponse>(
      *transport, "/insula.kv.v1.Node/Status",
      [fill = std::move(fill)](Context, v1::NodeStatusRequest request, PeerIdentity peer) -> Task<absl::StatusOr<v1::NodeStatusResponse>> {
        Identity caller = IdentifyPeer(peer);
        if (caller.role != Role::kAdmin && caller.role != Role::kOperator && caller.role != Role::kNode) {
          co_return absl::PermissionDeniedError(StrCat(caller.ToString(), " may not ask for a node's status"));
        }
        v1::NodeStatusResponse response;
        fill(request, &response);
        co_return response;
      });
}

}  // namespace insula::kv
