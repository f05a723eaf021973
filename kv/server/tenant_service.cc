#include "kv/server/tenant_service.h"

#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "tenant/tenant.h"

namespace insula::kv {

namespace pb = insula::tenant::v1;

namespace {

constexpr char kAdmin[] = "/insula.tenant.v1.TenantAdmin/";
constexpr char kRegistry[] = "/insula.tenant.v1.Registry/";

std::string AsResponse(TenantRecord record) {
  pb::TenantResponse response;
  *response.mutable_tenant() = std::move(record);
  return response.SerializeAsString();
}

}  // namespace

void TenantService::Register(Transport* server) {
  using Bytes = absl::StatusOr<std::string>;
  calls_.AddUnary(server, StrCat(kAdmin, "Create"), [this](Context ctx, std::string bytes) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto request, ParseRequest<pb::CreateTenantRequest>(bytes));
    auto done = co_await store_->Create(ctx, std::move(request));
    if (!done.ok()) co_return NotKnown(done.status());
    TenantRecord record = *std::move(done);
    Changed(record.id(), record);
    co_return AsResponse(std::move(record));
  });
  calls_.AddUnary(server, StrCat(kAdmin, "Get"), [this](Context ctx, std::string bytes) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto request, ParseRequest<pb::GetTenantRequest>(bytes));
    CO_ASSIGN_OR_RETURN(TenantRecord record, co_await store_->Get(ctx, request.cluster()));
    co_return AsResponse(std::move(record));
  });
  calls_.AddUnary(server, StrCat(kAdmin, "List"), [this](Context ctx, std::string) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto records, co_await store_->List(ctx));
    pb::ListTenantsResponse response;
    for (auto& record : records) *response.add_tenants() = std::move(record);
    co_return response.SerializeAsString();
  });
  calls_.AddUnary(server, StrCat(kAdmin, "SetPlan"), [this](Context ctx, std::string bytes) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto request, ParseRequest<pb::SetPlanRequest>(bytes));
    auto done = co_await store_->SetPlan(ctx, std::move(request));
    if (!done.ok()) co_return NotKnown(done.status());
    TenantRecord record = *std::move(done);
    Changed(record.id(), record);
    co_return AsResponse(std::move(record));
  });
  calls_.AddUnary(server, StrCat(kRegistry, "Update"), [this](Context ctx, std::string bytes) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto request, ParseRequest<pb::UpdateTenantRequest>(bytes));
    auto done = co_await store_->Update(ctx, request.record(), request.expected_revision());
    if (!done.ok()) co_return NotKnown(done.status());
    TenantRecord record = *std::move(done);
    Changed(record.id(), record);
    co_return AsResponse(std::move(record));
  });
  calls_.AddUnary(server, StrCat(kRegistry, "Purge"), [this](Context ctx, std::string bytes) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto request, ParseRequest<pb::PurgeTenantRequest>(bytes));
    CO_RETURN_IF_ERROR(NotKnown(co_await store_->Purge(ctx, request.id())));
    Changed(request.id(), std::nullopt);
    co_return pb::PurgeTenantResponse().SerializeAsString();
  });
  calls_.Add(server, StrCat(kRegistry, "Watch"), [this](Context ctx, const Identity&, std::string, MessageStream& stream) { return Watch(ctx, stream); });
}

void TenantService::Changed(TenantId id, std::optional<TenantRecord> record) {
  Change& change = feed_[id];
  // Two updates may finish in another order than they committed in.
  if (record && change.record && change.record->revision() > record->revision()) return;
  change = {.version = ++version_, .record = std::move(record)};
  fed_.NotifyAll();
  if (on_change_) on_change_(id);
}

absl::Status TenantService::NotKnown(absl::Status status) {
  if (status.ok() || WasRefused(status)) return status;
  ++gaps_;
  fed_.NotifyAll();
  return status;
}

Task<absl::Status> TenantService::Watch(Context ctx, MessageStream& caller) {
  const uint64_t term = calls_.leadership()->Term();
  CO_RETURN_IF_ERROR(co_await term_->Establish(ctx));
  uint64_t seen = version_;
  const uint64_t gaps = gaps_;
  CO_ASSIGN_OR_RETURN(auto records, co_await store_->List(ctx));
  pb::WatchTenantsResponse full;
  full.set_full(true);
  for (auto& record : records) *full.add_changed() = std::move(record);
  CO_RETURN_IF_ERROR(co_await caller.Send(ctx, full.SerializeAsString()));

  LeaderCalls::Watch watch(ctx, calls_.leadership(), &fed_);
  while (term != 0 && calls_.leadership()->Term() == term) {
    if (gaps != gaps_) co_return absl::UnavailableError("what became of a change is not known; look again");
    if (seen == version_) {
      CO_RETURN_IF_ERROR(co_await watch.Wait(ctx));
      continue;
    }
    pb::WatchTenantsResponse changes;
    for (auto& [id, change] : feed_) {
      if (change.version <= seen) continue;
      if (change.record) {
        *changes.add_changed() = *change.record;
      } else {
        changes.add_removed(id);
      }
    }
    seen = version_;
    CO_RETURN_IF_ERROR(co_await caller.Send(ctx, changes.SerializeAsString()));
  }
  co_return absl::UnavailableError("the registry is led by another node now");
}

}  // namespace insula::kv
