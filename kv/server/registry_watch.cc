#include "kv/server/registry_watch.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"

namespace insula::kv {

namespace pb = insula::tenant::v1;

namespace {
constexpr char kWatch[] = "/insula.tenant.v1.Registry/Watch";
constexpr Duration kFirstRetry = std::chrono::milliseconds(250);
constexpr Duration kLastRetry = std::chrono::seconds(4);
}  // namespace

Task<absl::Status> RegistryWatch::Follow(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(SystemLeadership::Leader leader, co_await leadership_->Find(ctx));
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, leader.here ? own_address_ : leader.address, kWatch));
  CO_RETURN_IF_ERROR(co_await stream->Send(ctx, pb::WatchTenantsRequest().SerializeAsString()));
  CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
  while (true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message) co_return absl::UnavailableError("the registry ended the watch");
    pb::WatchTenantsResponse changes;
    if (!changes.ParseFromString(*message)) co_return absl::InternalError("the registry's change does not parse");
    if (changes.full()) {
      ++connected_;
      std::map<TenantId, pb::TenantRecord> present;
      for (auto& record : *changes.mutable_changed()) present[record.id()] = std::move(record);
      gate_->LearnAll(present);
      continue;
    }
    for (auto& record : changes.changed()) gate_->Learn(record);
    for (TenantId removed : changes.removed()) gate_->Forget(removed);
  }
}

Task<void> RegistryWatch::Run(Context ctx) {
  Duration retry = kFirstRetry;
  while (ctx.status().ok()) {
    const uint64_t before = connected_;
    absl::Status ended = co_await Follow(ctx);
    LOG_DEBUG("the registry is not followed for a while", {"why", ended});
    retry = connected_ > before ? kFirstRetry : std::min(2 * retry, kLastRetry);
    if (!(co_await Sleep(ctx, retry)).ok()) co_return;
  }
}

}  // namespace insula::kv
