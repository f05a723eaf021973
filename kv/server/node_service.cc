#include "kv/server/node_service.h"

#include <utility>

#include "base/strings.h"
#include "tenant/method_access.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {
constexpr char kStatus[] = "/insula.kv.v1.Node/Status";
}

void RegisterNodeService(Transport* transport, std::function<void(const v1::NodeStatusRequest&, v1::NodeStatusResponse*)> fill) {
  HandleUnary<v1::NodeStatusRequest, v1::NodeStatusResponse>(
      *transport, kStatus,
      [fill = std::move(fill)](Context, v1::NodeStatusRequest request, PeerIdentity peer) -> Task<absl::StatusOr<v1::NodeStatusResponse>> {
        Identity caller = IdentifyPeer(peer);
        if (!MayCall(caller.role, kStatus)) co_return absl::PermissionDeniedError(StrCat(caller.ToString(), " may not ask for a node's status"));
        v1::NodeStatusResponse response;
        fill(request, &response);
        co_return response;
      });
}

}  // namespace insula::kv
