#include "proxy/directory.h"

#include <optional>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::proxy {

namespace pb = insula::ops::v1;

namespace {
constexpr char kDirectory[] = "/insula.ops.v1.Directory/";
constexpr Duration kRetryPause = std::chrono::milliseconds(250);
constexpr Duration kLookupTimeout = std::chrono::seconds(5);
constexpr Duration kWakeTimeout = std::chrono::seconds(30);
}  // namespace

Task<void> Directory::Follow(Context ctx) {
  while (!ctx.done()) {
    absl::Status ended = co_await FollowOnce(ctx);
    if (ctx.done()) co_return;
    LOG_WARNING("the operator's directory is away; known pods stay in use", {"operator", operator_address_}, {"status", ended.ToString()});
    absl::Status slept = co_await Sleep(ctx, kRetryPause);
    if (!slept.ok()) co_return;
  }
}

Task<absl::Status> Directory::FollowOnce(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, operator_address_, StrCat(kDirectory, "WatchPods")));
  CO_RETURN_IF_ERROR(co_await stream->Send(ctx, pb::WatchPodsRequest().SerializeAsString()));
  CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
  while (true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message) co_return absl::OkStatus();
    pb::WatchPodsResponse change;
    if (!change.ParseFromString(*message)) co_return absl::DataLossError("a change of the directory does not parse");
    if (change.full()) {
      pods_.clear();
      names_.clear();
      unusable_.clear();
    }
    for (auto& pod : change.changed()) {
      pods_[pod.id()] = pod;
      unusable_.erase(pod.id());
    }
    for (auto& id : change.removed()) {
      pods_.erase(id);
      unusable_.erase(id);
    }
    for (auto& tenant : change.tenants_changed()) names_[tenant.tenant_id()] = tenant.name();
    for (TenantId id : change.tenants_removed()) names_.erase(id);
    if (change.full()) loaded_.Set();
  }
}

Task<absl::Status> Directory::CheckCluster(const Context& ctx, const ClusterName& cluster) {
  auto known = names_.find(cluster.id);
  if (known != names_.end()) {
    co_return known->second == cluster.name ? absl::OkStatus() : absl::NotFoundError("the name is another");
  }
  // Perhaps created a moment ago.
  pb::LookupTenantRequest request;
  request.set_tenant_id(cluster.id);
  request.set_name(cluster.name);
  auto found = co_await CallUnary<pb::LookupTenantResponse>(ctx.WithTimeout(kLookupTimeout), *transport_, operator_address_, StrCat(kDirectory, "LookupTenant"), request);
  if (!found.ok()) co_return found.status();
  names_[found->tenant_id()] = found->name();
  co_return absl::OkStatus();
}

Task<absl::StatusOr<Pod>> Directory::PodFor(const Context& ctx, TenantId tenant) {
  std::optional<Pod> best;
  for (auto& [id, pod] : pods_) {
    if (pod.tenant_id() != tenant || pod.state() != pb::READY || unusable_.contains(id)) continue;
    if (!best || pod.generation() > best->generation() || (pod.generation() == best->generation() && pod.cpu_load() < best->cpu_load())) best = pod;
  }
  if (best) co_return *std::move(best);
  std::shared_ptr<WakeCall>& slot = wakes_[tenant];
  if (slot == nullptr) {
    slot = std::make_shared<WakeCall>();
    tasks_.Spawn(CallEnsurePod(tasks_.ctx().WithTimeout(kWakeTimeout), tenant, slot));
  }
  std::shared_ptr<WakeCall> call = slot;
  CO_RETURN_IF_ERROR(co_await call->done.Wait(ctx));
  co_return call->result;
}

Task<void> Directory::CallEnsurePod(Context ctx, TenantId tenant, std::shared_ptr<WakeCall> call) {
  pb::EnsurePodRequest request;
  request.set_tenant_id(tenant);
  auto response = co_await CallUnary<pb::EnsurePodResponse>(ctx, *transport_, operator_address_, StrCat(kDirectory, "EnsurePod"), request);
  if (response.ok()) {
    call->result = response->pod();
    pods_[response->pod().id()] = response->pod();
    unusable_.erase(response->pod().id());
  } else {
    call->result = response.status();
  }
  wakes_.erase(tenant);
  call->done.Set();
}

void Directory::ReportUnusable(const Pod& pod) { unusable_.insert(pod.id()); }

}  // namespace insula::proxy
