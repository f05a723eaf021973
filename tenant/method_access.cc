#include "tenant/method_access.h"

#include <utility>

#include "base/strings.h"

namespace insula {
namespace {

constexpr unsigned Bit(Role role) { return 1u << static_cast<unsigned>(role); }
constexpr unsigned kTenant = Bit(Role::kTenant), kNode = Bit(Role::kNode), kOperator = Bit(Role::kOperator), kAdmin = Bit(Role::kAdmin), kProxy = Bit(Role::kProxy);

struct Row {
  std::string_view method;
  unsigned roles;
};
constexpr Row kTable[] = {
    {"/insula.kv.v1.Kv/Batch", kTenant | kNode},
    {"/insula.kv.v1.Stores/Messages", kNode},
    {"/insula.kv.v1.Stores/Snapshot", kNode},
    {"/insula.kv.v1.Stores/Checksum", kNode},
    {"/insula.kv.v1.Node/Status", kNode | kOperator | kAdmin},
    {"/insula.kv.v1.Node/FollowVersion", kNode},
    {"/insula.kv.v1.Node/HotRanges", kNode | kAdmin},
    {"/insula.kv.v1.Node/Join", kNode},
    {"/insula.kv.v1.Node/ListNodes", kNode | kOperator | kAdmin},
    {"/insula.kv.v1.Node/WatchNodes", kNode | kOperator},
    {"/insula.kv.v1.Node/SetNodeState", kNode | kAdmin},
    {"/insula.kv.v1.Node/Drain", kAdmin},
    {"/insula.kv.v1.Node/Decommission", kNode | kAdmin},
    {"/insula.tenant.v1.TenantAdmin/Create", kNode | kAdmin},
    {"/insula.tenant.v1.TenantAdmin/Get", kNode | kOperator | kAdmin},
    {"/insula.tenant.v1.TenantAdmin/List", kNode | kAdmin},
    {"/insula.tenant.v1.TenantAdmin/SetPlan", kNode | kAdmin},
    {"/insula.tenant.v1.Lending/Borrow", kNode},
    {"/insula.tenant.v1.Registry/Watch", kNode | kOperator},
    {"/insula.tenant.v1.Registry/Update", kNode | kOperator},
    {"/insula.tenant.v1.Registry/Purge", kNode | kOperator},
    {"/insula.ops.v1.Directory/LookupTenant", kProxy | kAdmin},
    {"/insula.ops.v1.Directory/ListPods", kProxy | kAdmin},
    {"/insula.ops.v1.Directory/WatchPods", kProxy | kAdmin},
    {"/insula.ops.v1.Directory/EnsurePod", kProxy | kAdmin},
    {"/insula.ops.v1.Operator/Suspend", kAdmin},
    {"/insula.ops.v1.Operator/Resume", kAdmin},
    {"/insula.ops.v1.Operator/Drop", kAdmin},
    {"/insula.ops.v1.PodControl/WatchActivity", kOperator},
    {"/insula.ops.v1.PodControl/CloseGate", kOperator},
    {"/insula.ops.v1.PodControl/OpenGate", kOperator},
    {"/insula.ops.v1.PodControl/Stop", kOperator},
    {"/insula.ops.v1.Supervisor/StartNode", kAdmin},
    {"/insula.ops.v1.Supervisor/AddNode", kAdmin},
    {"/insula.ops.v1.Supervisor/RemoveNode", kAdmin},
};

}  // namespace

bool MayCall(Role role, std::string_view method) {
  for (const Row& row : kTable) {
    if (row.method == method) return (row.roles & Bit(role)) != 0;
  }
  return false;
}

void GuardedTransport::Handle(std::string method, Handler handler) {
  inner_->Handle(method, [method, handler = std::move(handler), on_denied = on_denied_](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    Identity caller = IdentifyPeer(stream->peer());
    if (!MayCall(caller.role, method)) {
      if (*on_denied) (*on_denied)(caller, stream->peer(), method);
      co_return absl::PermissionDeniedError(StrCat(caller.ToString(), " may not call ", method));
    }
    co_return co_await handler(std::move(ctx), std::move(stream));
  });
}

}  // namespace insula
