#include "cli/admin_client.h"

#include "base/status_macros.h"
#include "base/strings.h"

namespace insula::cli {

namespace tpb = insula::tenant::v1;
namespace opb = insula::ops::v1;

namespace {
constexpr char kAdmin[] = "/insula.tenant.v1.TenantAdmin/";
constexpr char kOperator[] = "/insula.ops.v1.Operator/";
constexpr char kDirectory[] = "/insula.ops.v1.Directory/";
constexpr Duration kRetryPause = std::chrono::milliseconds(200);
constexpr Duration kCallTimeout = std::chrono::seconds(60);
}  // namespace

template <typename Response, typename Request>
Task<absl::StatusOr<Response>> AdminClient::CallNodes(const Context& parent, std::string method, const Request& request) {
  Context ctx = parent.WithTimeout(kCallTimeout);
  while (true) {
    absl::Status last;
    for (const std::string& node : nodes_) {
      auto response = co_await CallUnary<Response>(ctx, *transport_, node, method, request);
      if (response.ok() || response.status().code() != absl::StatusCode::kUnavailable) co_return response;
      last = response.status();
    }
    // No node answers: they are starting, or without a quorum. The deadline ends the wait.
    if (!(co_await Sleep(ctx, kRetryPause)).ok()) co_return last;
  }
}

Task<absl::StatusOr<tpb::TenantRecord>> AdminClient::Create(const Context& ctx, tpb::CreateTenantRequest request) {
  auto response = co_await CallNodes<tpb::TenantResponse>(ctx, StrCat(kAdmin, "Create"), request);
  if (!response.ok()) co_return response.status();
  co_return response->tenant();
}

Task<absl::StatusOr<tpb::TenantRecord>> AdminClient::Get(const Context& ctx, std::string cluster) {
  tpb::GetTenantRequest request;
  request.set_cluster(cluster);
  auto response = co_await CallNodes<tpb::TenantResponse>(ctx, StrCat(kAdmin, "Get"), request);
  if (!response.ok()) co_return response.status();
  co_return response->tenant();
}

Task<absl::StatusOr<std::vector<tpb::TenantRecord>>> AdminClient::List(const Context& ctx) {
  auto response = co_await CallNodes<tpb::ListTenantsResponse>(ctx, StrCat(kAdmin, "List"), tpb::ListTenantsRequest());
  if (!response.ok()) co_return response.status();
  co_return std::vector<tpb::TenantRecord>(response->tenants().begin(), response->tenants().end());
}

Task<absl::StatusOr<tpb::TenantRecord>> AdminClient::SetPlan(const Context& ctx, std::string cluster, tpb::Plan plan) {
  tpb::SetPlanRequest request;
  request.set_cluster(std::move(cluster));
  *request.mutable_plan() = plan;
  auto response = co_await CallNodes<tpb::TenantResponse>(ctx, StrCat(kAdmin, "SetPlan"), request);
  if (!response.ok()) co_return response.status();
  co_return response->tenant();
}

namespace {
template <typename Request>
Task<absl::StatusOr<tpb::TenantRecord>> CallOperator(const Context& ctx, Transport& transport, std::string address, std::string method, std::string cluster) {
  Request request;
  request.set_cluster(cluster);
  auto response = co_await CallUnary<tpb::TenantResponse>(ctx.WithTimeout(kCallTimeout), transport, address, StrCat(kOperator, method), request);
  if (!response.ok()) co_return response.status();
  co_return response->tenant();
}
}  // namespace

Task<absl::StatusOr<tpb::TenantRecord>> AdminClient::Suspend(const Context& ctx, std::string cluster) {
  return CallOperator<tpb::SuspendTenantRequest>(ctx, *transport_, operator_, "Suspend", std::move(cluster));
}
Task<absl::StatusOr<tpb::TenantRecord>> AdminClient::Resume(const Context& ctx, std::string cluster) {
  return CallOperator<tpb::ResumeTenantRequest>(ctx, *transport_, operator_, "Resume", std::move(cluster));
}
Task<absl::StatusOr<tpb::TenantRecord>> AdminClient::Drop(const Context& ctx, std::string cluster) {
  return CallOperator<tpb::DropTenantRequest>(ctx, *transport_, operator_, "Drop", std::move(cluster));
}

Task<absl::StatusOr<std::vector<opb::Pod>>> AdminClient::Pods(const Context& ctx, uint64_t tenant) {
  opb::ListPodsRequest request;
  request.set_tenant_id(tenant);
  auto response = co_await CallUnary<opb::ListPodsResponse>(ctx.WithTimeout(kCallTimeout), *transport_, operator_, StrCat(kDirectory, "ListPods"), request);
  if (!response.ok()) co_return response.status();
  co_return std::vector<opb::Pod>(response->pods().begin(), response->pods().end());
}

Task<absl::StatusOr<kv::v1::NodeStatusResponse>> AdminClient::NodeStatus(const Context& ctx, std::string address) {
  return CallUnary<kv::v1::NodeStatusResponse>(ctx, *transport_, std::move(address), "/insula.kv.v1.Node/Status", kv::v1::NodeStatusRequest());
}

}  // namespace insula::cli
