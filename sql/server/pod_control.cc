#include "sql/server/pod_control.h"

#include <memory>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "proto/operator/pod.pb.h"
#include "tenant/tenant.h"

namespace insula::sql {
namespace {

using namespace ops::v1;  // NOLINT: the messages of one service

constexpr std::string_view kService = "/insula.ops.v1.PodControl/";

absl::Status Authorize(const PeerIdentity& peer, bool require_operator) {
  if (!require_operator || IdentifyPeer(peer).role == Role::kOperator) return absl::OkStatus();
  return absl::PermissionDeniedError("only the operator controls pods");
}

ActivityResponse ToProto(const Activity& activity) {
  ActivityResponse out;
  out.set_connections(activity.connections);
  out.set_active_statements(activity.active_statements);
  out.set_open_transactions(activity.open_transactions);
  out.set_last_active_us(activity.last_active_us);
  return out;
}

Task<absl::Status> Watch(Context ctx, std::unique_ptr<MessageStream> stream, ActivityGate* gate) {
  std::optional<Activity> sent;
  for (;;) {
    const uint64_t version = gate->version();
    if (sent != gate->activity()) {
      sent = gate->activity();
      CO_RETURN_IF_ERROR(co_await stream->Send(ctx, ToProto(*sent).SerializeAsString()));
      // A busy pod changes with every statement: let some pass before the next message.
      CO_RETURN_IF_ERROR(co_await Sleep(ctx, kActivityInterval));
    }
    CO_RETURN_IF_ERROR(co_await gate->WaitForChange(ctx, version));
  }
}

}  // namespace

void RegisterPodControl(Transport* transport, ActivityGate* gate, bool require_operator, PodControlActions actions) {
  auto shared = std::make_shared<PodControlActions>(std::move(actions));
  transport->Handle(StrCat(kService, "WatchActivity"), [gate, require_operator](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(Authorize(stream->peer(), require_operator));
    CO_RETURN_IF_ERROR((co_await stream->Receive(ctx)).status());
    co_return co_await Watch(ctx, std::move(stream), gate);
  });
  HandleUnary<CloseGateRequest, CloseGateResponse>(
      *transport, StrCat(kService, "CloseGate"),
      [gate, shared, require_operator](Context ctx, CloseGateRequest request, PeerIdentity peer) -> Task<absl::StatusOr<CloseGateResponse>> {
        CO_RETURN_IF_ERROR(Authorize(peer, require_operator));
        CloseGateResponse response;
        response.set_closed(gate->Close(request.force()));
        if (request.force()) shared->end_sessions();
        co_return response;
      });
  HandleUnary<OpenGateRequest, OpenGateResponse>(
      *transport, StrCat(kService, "OpenGate"),
      [gate, require_operator](Context ctx, OpenGateRequest request, PeerIdentity peer) -> Task<absl::StatusOr<OpenGateResponse>> {
        CO_RETURN_IF_ERROR(Authorize(peer, require_operator));
        if (!gate->Open()) co_return absl::FailedPreconditionError("the pod is stopping");
        co_return OpenGateResponse();
      });
  HandleUnary<StopRequest, StopResponse>(
      *transport, StrCat(kService, "Stop"),
      [shared, require_operator](Context ctx, StopRequest request, PeerIdentity peer) -> Task<absl::StatusOr<StopResponse>> {
        CO_RETURN_IF_ERROR(Authorize(peer, require_operator));
        shared->stop();
        co_return StopResponse();
      });
}

}  // namespace insula::sql
