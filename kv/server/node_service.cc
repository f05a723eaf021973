#include "kv/server/node_service.h"

#include <string>
#include <utility>

#include "base/strings.h"
#include "tenant/method_access.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr char kNode[] = "/insula.kv.v1.Node/";
constexpr uint32_t kHotRanges = 20;

absl::Status Authorize(const PeerIdentity& peer, const std::string& method) {
  const Identity caller = IdentifyPeer(peer);
  return MayCall(caller.role, method) ? absl::OkStatus() : absl::PermissionDeniedError(StrCat(caller.ToString(), " may not call ", method));
}

// A method that answers at once from what the node knows.
template <typename Request, typename Response>
void Add(Transport* transport, const char* name, std::function<void(const Request&, Response*)> fill) {
  const std::string method = StrCat(kNode, name);
  HandleUnary<Request, Response>(*transport, method, [method, fill = std::move(fill)](Context, Request request, PeerIdentity peer) -> Task<absl::StatusOr<Response>> {
    if (absl::Status may = Authorize(peer, method); !may.ok()) co_return may;
    Response response;
    fill(request, &response);
    co_return response;
  });
}

}  // namespace

void RegisterNodeService(Transport* transport, NodeBackend* node) {
  Add<v1::NodeStatusRequest, v1::NodeStatusResponse>(transport, "Status", [node](const auto& request, auto* out) { node->FillStatus(request, out); });
  Add<v1::HotRangesRequest, v1::HotRangesResponse>(transport, "HotRanges", [node](v1::HotRangesRequest request, auto* out) {
    if (request.limit() == 0) request.set_limit(kHotRanges);
    node->FillHotRanges(request, out);
  });
  Add<v1::ListNodesRequest, v1::ListNodesResponse>(transport, "ListNodes", [node](const auto&, auto* out) { node->FillNodes(out); });
  const std::string drain = StrCat(kNode, "Drain");
  transport->Handle(drain, [node, drain](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    if (absl::Status may = Authorize(stream->peer(), drain); !may.ok()) co_return may;
    co_return co_await node->DrainByOrder(ctx, [&](uint64_t leases) -> Task<absl::Status> {
      v1::DrainProgress progress;
      progress.set_leases(leases);
      co_return co_await stream->Send(ctx, progress.SerializeAsString());
    });
  });
}

}  // namespace insula::kv
