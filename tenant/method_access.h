// Who may call which gRPC method, over all of Insula's processes. Default deny: a method that is not in the table is nobody's.
//
//   method (insula.…)                 | tenant | node | operator | admin | proxy | pool pod
//   ----------------------------------+--------+------+----------+-------+-------+---------
//   kv.v1.Kv/Batch                    |  yes*  | yes  |          |       |       |
//   kv.v1.Stores/Messages, Snapshot   |        | yes  |          |       |       |
//   kv.v1.Node/Status, ListNodes      |        | yes  |   yes    |  yes  |       |
//   kv.v1.Node/WatchNodes             |        | yes  |   yes    |       |       |
//   kv.v1.Node/Join                   |        | yes  |          |       |       |
//   kv.v1.Node/HotRanges, SetNodeState|        | yes  |          |  yes  |       |
//   kv.v1.Node/Decommission           |        | yes  |          |  yes  |       |
//   kv.v1.Node/Drain                  |        |      |          |  yes  |       |
//   tenant.v1.TenantAdmin/Create, List|        | yes  |          |  yes  |       |
//   tenant.v1.TenantAdmin/SetPlan     |        | yes  |          |  yes  |       |
//   tenant.v1.TenantAdmin/Get         |        | yes  |   yes    |  yes  |       |
//   tenant.v1.Lending/Borrow          |        | yes  |          |       |       |
//   tenant.v1.Registry/*              |        | yes  |   yes    |       |       |
//   ops.v1.Directory/*                |        |      |          |  yes  |  yes  |
//   ops.v1.Operator/*                 |        |      |          |  yes  |       |
//   ops.v1.PodControl/*               |        |      |   yes    |       |       |
//   ops.v1.Supervisor/*               |        |      |          |  yes  |       |
//
//   * each request and key of a batch is checked, too: kv/server/authorization.h.
// Health and reflection (grpc.*) answer everybody who got through the TLS handshake; they are the transport's own.
// A node may only speak for its own stores: kv/store checks that on top.
#ifndef INSULA_TENANT_METHOD_ACCESS_H_
#define INSULA_TENANT_METHOD_ACCESS_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/runtime/transport.h"
#include "tenant/tenant.h"

namespace insula {

// `method` as gRPC has it: "/insula.kv.v1.Kv/Batch".
bool MayCall(Role role, std::string_view method);

// A transport whose handlers are behind the table: a caller who may not call a method gets kPermissionDenied before anything that it
// sent is read. Opening streams is as it was.
class GuardedTransport : public Transport {
 public:
  using OnDenied = std::function<void(const Identity& caller, const PeerIdentity& peer, std::string_view method)>;

  // `inner` must outlive it; handlers may outlive it. `on_denied` (may be null) is told of each refusal.
  GuardedTransport(Transport* inner, OnDenied on_denied) : inner_(inner), on_denied_(std::make_shared<OnDenied>(std::move(on_denied))) {}

  Task<absl::StatusOr<std::unique_ptr<MessageStream>>> Open(const Context& ctx, std::string address, std::string method) override {
    return inner_->Open(ctx, std::move(address), std::move(method));
  }
  void Handle(std::string method, Handler handler) override;
  absl::StatusOr<int> Listen(const std::string& address) override { return inner_->Listen(address); }
  Task<void> Shutdown(Duration grace) override { return inner_->Shutdown(grace); }

 private:
  Transport* inner_;
  std::shared_ptr<OnDenied> on_denied_;
};

}  // namespace insula

#endif  // INSULA_TENANT_METHOD_ACCESS_H_
