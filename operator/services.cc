#include "operator/services.h"

#include <utility>

#include "base/async/task_group.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::ops {

namespace tpb = insula::tenant::v1;

namespace {

constexpr char kDirectory[] = "/insula.ops.v1.Directory/";
constexpr char kOperator[] = "/insula.ops.v1.Operator/";

absl::Status Authorize(const PeerIdentity& peer, std::initializer_list<Role> allowed) {
  Identity identity = IdentifyPeer(peer);
  for (Role role : allowed) {
    if (identity.role == role) return absl::OkStatus();
  }
  return absl::PermissionDeniedError(StrCat(identity.ToString(), " may not call this method"));
}

void FillLookup(const TenantRecord& record, v1::LookupTenantResponse* out) {
  out->set_tenant_id(record.id());
  out->set_name(record.name());
  out->set_state(record.state());
  out->set_generation(record.generation());
}

// A unary method behind the table of who may call it.
template <typename Request, typename Response, typename F>
void Serve(Transport* transport, std::string method, std::vector<Role> allowed, F fn) {
  HandleUnary<Request, Response>(*transport, std::move(method),
                                 [allowed = std::move(allowed), fn](Context ctx, Request request, PeerIdentity peer) -> Task<absl::StatusOr<Response>> {
                                   absl::Status may = absl::PermissionDeniedError("");
                                   for (Role role : allowed) {
                                     if (!may.ok()) may = Authorize(peer, {role});
                                   }
                                   if (!may.ok()) co_return may;
                                   co_return co_await fn(ctx, std::move(request));
                                 });
}

}  // namespace

void Services::Register(Transport* transport) {
  Serve<v1::LookupTenantRequest, v1::LookupTenantResponse>(transport, StrCat(kDirectory, "LookupTenant"), {Role::kProxy, Role::kAdmin},
                                                           [this](Context ctx, v1::LookupTenantRequest r) { return LookupTenant(ctx, std::move(r)); });
  Serve<v1::ListPodsRequest, v1::ListPodsResponse>(transport, StrCat(kDirectory, "ListPods"), {Role::kProxy, Role::kAdmin},
                                                   [this](Context, v1::ListPodsRequest r) -> Task<absl::StatusOr<v1::ListPodsResponse>> {
                                                     v1::ListPodsResponse response;
                                                     for (Pod& pod : r.tenant_id() == 0 ? pods_->All() : pods_->OfTenant(r.tenant_id())) *response.add_pods() = pod;
                                                     co_return response;
                                                   });
  Serve<v1::EnsurePodRequest, v1::EnsurePodResponse>(transport, StrCat(kDirectory, "EnsurePod"), {Role::kProxy, Role::kAdmin},
                                                     [this](Context ctx, v1::EnsurePodRequest r) -> Task<absl::StatusOr<v1::EnsurePodResponse>> {
                                                       co_return co_await lives_->EnsurePod(ctx, r.tenant_id());
                                                     });
  transport->Handle(StrCat(kDirectory, "WatchPods"), [this](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    CO_RETURN_IF_ERROR(Authorize(stream->peer(), {Role::kProxy, Role::kAdmin}));
    co_return co_await WatchPods(ctx, *stream);
  });
  Serve<tpb::SuspendTenantRequest, tpb::TenantResponse>(transport, StrCat(kOperator, "Suspend"), {Role::kAdmin},
                                                        [this](Context ctx, tpb::SuspendTenantRequest r) -> Task<absl::StatusOr<tpb::TenantResponse>> {
                                                          CO_ASSIGN_OR_RETURN(TenantId id, co_await Resolve(ctx, r.cluster()));
                                                          tpb::TenantResponse response;
                                                          CO_ASSIGN_OR_RETURN(*response.mutable_tenant(), co_await lives_->Suspend(ctx, id));
                                                          co_return response;
                                                        });
  Serve<tpb::ResumeTenantRequest, tpb::TenantResponse>(transport, StrCat(kOperator, "Resume"), {Role::kAdmin},
                                                       [this](Context ctx, tpb::ResumeTenantRequest r) -> Task<absl::StatusOr<tpb::TenantResponse>> {
                                                         CO_ASSIGN_OR_RETURN(TenantId id, co_await Resolve(ctx, r.cluster()));
                                                         auto pod = co_await lives_->EnsurePod(ctx, id);
                                                         if (!pod.ok()) co_return pod.status();
                                                         tpb::TenantResponse response;
                                                         CO_ASSIGN_OR_RETURN(*response.mutable_tenant(), co_await registry_->Fetch(ctx, StrCat(id)));
                                                         co_return response;
                                                       });
  Serve<tpb::DropTenantRequest, tpb::TenantResponse>(transport, StrCat(kOperator, "Drop"), {Role::kAdmin},
                                                     [this](Context ctx, tpb::DropTenantRequest r) -> Task<absl::StatusOr<tpb::TenantResponse>> {
                                                       CO_ASSIGN_OR_RETURN(TenantId id, co_await Resolve(ctx, r.cluster()));
                                                       tpb::TenantResponse response;
                                                       CO_ASSIGN_OR_RETURN(*response.mutable_tenant(), co_await lives_->Drop(ctx, id));
                                                       co_return response;
                                                     });
}

Task<absl::StatusOr<TenantId>> Services::Resolve(const Context& ctx, const std::string& cluster) {
  CO_ASSIGN_OR_RETURN(TenantRecord record, co_await registry_->Fetch(ctx, cluster));
  co_return record.id();
}

Task<absl::StatusOr<v1::LookupTenantResponse>> Services::LookupTenant(Context ctx, v1::LookupTenantRequest request) {
  const TenantRecord* known = registry_->Find(request.tenant_id());
  v1::LookupTenantResponse response;
  if (known != nullptr) {
    FillLookup(*known, &response);
  } else {
    CO_ASSIGN_OR_RETURN(TenantRecord fresh, co_await registry_->Fetch(ctx, ClusterName{request.name(), request.tenant_id()}.ToString()));
    FillLookup(fresh, &response);
  }
  // A wrong name and an unknown id look alike.
  if (response.name() != request.name()) co_return absl::NotFoundError("there is no such cluster");
  co_return response;
}

Task<absl::Status> Services::WatchPods(Context ctx, MessageStream& stream) {
  // The request says nothing yet.
  CO_ASSIGN_OR_RETURN(auto request, co_await stream.Receive(ctx));
  uint64_t pods_seen = pods_->version(), tenants_seen = feed_->version();
  v1::WatchPodsResponse full;
  full.set_full(true);
  for (Pod& pod : pods_->All()) *full.add_changed() = pod;
  for (const TenantRecord* record : registry_->All()) FillLookup(*record, full.add_tenants_changed());
  CO_RETURN_IF_ERROR(co_await stream.Send(ctx, full.SerializeAsString()));

  // Two feeds wake one loop.
  Condition woken;
  TaskGroup feeds(ctx);
  auto relay = [&](Condition& source) -> Task<void> {
    while ((co_await source.Wait(feeds.ctx())).ok()) woken.NotifyAll();
  };
  feeds.Spawn(relay(pods_->changed()));
  feeds.Spawn(relay(feed_->changed()));
  while (true) {
    if (pods_seen == pods_->version() && tenants_seen == feed_->version()) CO_RETURN_IF_ERROR(co_await woken.Wait(ctx));
    v1::WatchPodsResponse change;
    PodTable::Changes pods = pods_->Since(pods_seen);
    pods_seen = pods_->version();
    for (Pod& pod : pods.changed) *change.add_changed() = std::move(pod);
    for (std::string& id : pods.removed) change.add_removed(std::move(id));
    for (TenantId tenant : feed_->Since(tenants_seen)) {
      if (const TenantRecord* record = registry_->Find(tenant)) {
        FillLookup(*record, change.add_tenants_changed());
      } else {
        change.add_tenants_removed(tenant);
      }
    }
    tenants_seen = feed_->version();
    CO_RETURN_IF_ERROR(co_await stream.Send(ctx, change.SerializeAsString()));
  }
}

}  // namespace insula::ops
