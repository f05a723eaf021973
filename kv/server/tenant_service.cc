#include "kv/server/tenant_service.h"

#include <utility>

#include "base/async/task_group.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "tenant/method_access.h"
#include "tenant/tenant.h"

namespace insula::kv {

namespace pb = insula::tenant::v1;

namespace {

constexpr char kAdmin[] = "/insula.tenant.v1.TenantAdmin/";
constexpr char kRegistry[] = "/insula.tenant.v1.Registry/";

absl::Status Authorize(const Identity& caller, std::string_view method) {
  if (MayCall(caller.role, method)) return absl::OkStatus();
  return absl::PermissionDeniedError(StrCat(caller.ToString(), " may not call ", method));
}

std::string AsResponse(TenantRecord record) {
  pb::TenantResponse response;
  *response.mutable_tenant() = std::move(record);
  return response.SerializeAsString();
}

template <typename Request>
absl::StatusOr<Request> Parse(const std::string& bytes) {
  Request request;
  if (!request.ParseFromString(bytes)) return absl::InvalidArgumentError("the request does not parse");
  return request;
}

}  // namespace

void TenantService::AddUnary(Transport* server, std::string method, Local local) {
  server->Handle(method, [this, method, local = std::move(local)](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    Identity caller = IdentifyPeer(stream->peer());
    CO_RETURN_IF_ERROR(Authorize(caller, method));
    CO_ASSIGN_OR_RETURN(auto request, co_await stream->Receive(ctx));
    if (!request) co_return absl::InvalidArgumentError("there is no request");
    CO_ASSIGN_OR_RETURN(SystemLeadership::Leader leader, co_await leadership_->Find(ctx));
    if (leader.here) {
      CO_ASSIGN_OR_RETURN(std::string response, co_await local(ctx, *std::move(request)));
      co_return co_await stream->Send(ctx, std::move(response));
    }
    if (caller.role == Role::kNode) co_return absl::UnavailableError("this node does not lead the registry");
    co_return co_await Relay(ctx, leader.address, method, *std::move(request), *stream);
  });
}

Task<absl::Status> TenantService::Relay(const Context& ctx, std::string address, std::string method, std::string request, MessageStream& caller) {
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, std::move(address), std::move(method)));
  CO_RETURN_IF_ERROR(co_await stream->Send(ctx, std::move(request)));
  CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
  while (true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await caller.Send(ctx, *std::move(message)));
  }
}

void TenantService::Register(Transport* server) {
  using Bytes = absl::StatusOr<std::string>;
  AddUnary(server, StrCat(kAdmin, "Create"), [this](Context ctx, std::string bytes) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto request, Parse<pb::CreateTenantRequest>(bytes));
    CO_ASSIGN_OR_RETURN(TenantRecord record, co_await store_->Create(ctx, std::move(request)));
    Changed(record.id(), record);
    co_return AsResponse(std::move(record));
  });
  AddUnary(server, StrCat(kAdmin, "Get"), [this](Context ctx, std::string bytes) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto request, Parse<pb::GetTenantRequest>(bytes));
    CO_ASSIGN_OR_RETURN(TenantRecord record, co_await store_->Get(ctx, request.cluster()));
    co_return AsResponse(std::move(record));
  });
  AddUnary(server, StrCat(kAdmin, "List"), [this](Context ctx, std::string) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto records, co_await store_->List(ctx));
    pb::ListTenantsResponse response;
    for (auto& record : records) *response.add_tenants() = std::move(record);
    co_return response.SerializeAsString();
  });
  AddUnary(server, StrCat(kRegistry, "Update"), [this](Context ctx, std::string bytes) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto request, Parse<pb::UpdateTenantRequest>(bytes));
    CO_ASSIGN_OR_RETURN(TenantRecord record, co_await store_->Update(ctx, request.record(), request.expected_revision()));
    Changed(record.id(), record);
    co_return AsResponse(std::move(record));
  });
  AddUnary(server, StrCat(kRegistry, "Purge"), [this](Context ctx, std::string bytes) -> Task<Bytes> {
    CO_ASSIGN_OR_RETURN(auto request, Parse<pb::PurgeTenantRequest>(bytes));
    CO_RETURN_IF_ERROR(co_await store_->Purge(ctx, request.id()));
    Changed(request.id(), std::nullopt);
    co_return pb::PurgeTenantResponse().SerializeAsString();
  });
  server->Handle(StrCat(kRegistry, "Watch"), [this](Context ctx, std::unique_ptr<MessageStream> stream) -> Task<absl::Status> {
    Identity caller = IdentifyPeer(stream->peer());
    CO_RETURN_IF_ERROR(Authorize(caller, StrCat(kRegistry, "Watch")));
    CO_ASSIGN_OR_RETURN(auto request, co_await stream->Receive(ctx));
    if (!request) co_return absl::InvalidArgumentError("there is no request");
    CO_ASSIGN_OR_RETURN(SystemLeadership::Leader leader, co_await leadership_->Find(ctx));
    if (leader.here) co_return co_await Watch(ctx, *stream);
    if (caller.role == Role::kNode) co_return absl::UnavailableError("this node does not lead the registry");
    co_return co_await Relay(ctx, leader.address, StrCat(kRegistry, "Watch"), *std::move(request), *stream);
  });
}

void TenantService::Changed(TenantId id, std::optional<TenantRecord> record) {
  Change& change = feed_[id];
  // Two updates may finish in another order than they committed in.
  if (record && change.record && change.record->revision() > record->revision()) return;
  change = {.version = ++version_, .record = std::move(record)};
  fed_.NotifyAll();
  if (on_change_) on_change_(id);
}

Task<absl::Status> TenantService::Watch(const Context& ctx, MessageStream& caller) {
  uint64_t seen = version_;
  CO_ASSIGN_OR_RETURN(auto records, co_await store_->List(ctx));
  pb::WatchTenantsResponse full;
  full.set_full(true);
  for (auto& record : records) *full.add_changed() = std::move(record);
  CO_RETURN_IF_ERROR(co_await caller.Send(ctx, full.SerializeAsString()));

  // Two sources wake one loop.
  Condition woken;
  TaskGroup sources(ctx);
  auto pass_on = [&](Condition& source) -> Task<void> {
    while ((co_await source.Wait(sources.ctx())).ok()) woken.NotifyAll();
  };
  sources.Spawn(pass_on(fed_));
  sources.Spawn(pass_on(leadership_->changed()));
  while (leadership_->Here()) {
    if (seen == version_) {
      CO_RETURN_IF_ERROR(co_await woken.Wait(ctx));
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
