#include "operator/tenant_registry.h"

#include <algorithm>
#include <set>

#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::ops {

namespace pb = insula::tenant::v1;

namespace {
constexpr Duration kRetryPause = std::chrono::milliseconds(200);
constexpr char kRegistry[] = "/insula.tenant.v1.Registry/";
constexpr char kAdmin[] = "/insula.tenant.v1.TenantAdmin/";
}  // namespace

Task<void> KvTenantRegistry::Run(Context ctx, std::function<void(TenantId)> on_change) {
  while (!ctx.done()) {
    const std::string node = nodes_->Address(next_node_++);
    absl::Status ended = co_await Follow(ctx, node, on_change);
    // A stream that ends is normal (the node restarts); the next node takes over. The pause bounds the rate when all are down.
    if (!ctx.done()) ended = co_await Sleep(ctx, kRetryPause);
  }
}

Task<absl::Status> KvTenantRegistry::Follow(const Context& ctx, const std::string& node, const std::function<void(TenantId)>& on_change) {
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, node, StrCat(kRegistry, "Watch")));
  CO_RETURN_IF_ERROR(co_await stream->Send(ctx, pb::WatchTenantsRequest().SerializeAsString()));
  CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
  while (true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message) co_return absl::OkStatus();
    pb::WatchTenantsResponse change;
    if (!change.ParseFromString(*message)) co_return absl::DataLossError("a registry change does not parse");
    Apply(change, on_change);
  }
}

void KvTenantRegistry::Apply(const pb::WatchTenantsResponse& change, const std::function<void(TenantId)>& on_change) {
  std::set<TenantId> touched;
  if (change.full()) {
    std::set<TenantId> present;
    for (auto& record : change.changed()) present.insert(record.id());
    for (auto& [id, record] : records_) {
      if (!present.contains(id)) touched.insert(id);
    }
    for (TenantId id : touched) records_.erase(id);
  }
  for (auto& record : change.changed()) {
    Remember(record);
    touched.insert(record.id());
  }
  for (TenantId id : change.removed()) {
    records_.erase(id);
    touched.insert(id);
  }
  if (change.full()) loaded_.Set();
  for (TenantId id : touched) on_change(id);
}

void KvTenantRegistry::Remember(const TenantRecord& record) {
  TenantRecord& known = records_[record.id()];
  // Our own update's answer and the watch may arrive in either order.
  if (known.revision() <= record.revision()) known = record;
}

Task<absl::Status> KvTenantRegistry::WaitLoaded(const Context& ctx) { return loaded_.Wait(ctx); }

const TenantRecord* KvTenantRegistry::Find(TenantId id) const {
  auto it = records_.find(id);
  return it == records_.end() ? nullptr : &it->second;
}

std::vector<const TenantRecord*> KvTenantRegistry::All() const {
  std::vector<const TenantRecord*> all;
  for (auto& [id, record] : records_) all.push_back(&record);
  return all;
}

template <typename Response, typename Request>
Task<absl::StatusOr<Response>> KvTenantRegistry::CallAny(const Context& ctx, std::string method, const Request& request) {
  absl::Status last = absl::UnavailableError("no KV node is known");
  // Each node once; what another node would answer just the same (not found, aborted, …) is final.
  for (size_t tries = 0; tries < nodes_->size(); ++tries) {
    const std::string node = nodes_->Address(next_node_);
    auto response = co_await CallUnary<Response>(ctx, *transport_, node, method, request);
    if (response.ok() || response.status().code() != absl::StatusCode::kUnavailable) co_return response;
    last = response.status();
    ++next_node_;
  }
  co_return last;
}

Task<absl::StatusOr<TenantRecord>> KvTenantRegistry::Fetch(const Context& ctx, std::string cluster) {
  pb::GetTenantRequest request;
  request.set_cluster(cluster);
  CO_ASSIGN_OR_RETURN(auto response, co_await CallAny<pb::TenantResponse>(ctx, StrCat(kAdmin, "Get"), request));
  Remember(response.tenant());
  co_return response.tenant();
}

Task<absl::StatusOr<TenantRecord>> KvTenantRegistry::Update(const Context& ctx, TenantRecord record) {
  pb::UpdateTenantRequest request;
  request.set_expected_revision(record.revision());
  *request.mutable_record() = std::move(record);
  CO_ASSIGN_OR_RETURN(auto response, co_await CallAny<pb::TenantResponse>(ctx, StrCat(kRegistry, "Update"), request));
  Remember(response.tenant());
  co_return response.tenant();
}

Task<absl::Status> KvTenantRegistry::Purge(const Context& ctx, TenantId id) {
  pb::PurgeTenantRequest request;
  request.set_id(id);
  CO_ASSIGN_OR_RETURN(auto response, co_await CallAny<pb::PurgeTenantResponse>(ctx, StrCat(kRegistry, "Purge"), request));
  records_.erase(id);
  co_return absl::OkStatus();
}

}  // namespace insula::ops
