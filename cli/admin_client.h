// The admin API of a cluster, as the CLI calls it: TenantAdmin on the KV nodes, Directory and Operator on the operator.
#ifndef INSULA_CLI_ADMIN_CLIENT_H_
#define INSULA_CLI_ADMIN_CLIENT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/transport.h"
#include "proto/kv/status.pb.h"
#include "proto/operator/operator.pb.h"
#include "proto/tenant/admin.pb.h"

namespace insula::cli {

class AdminClient {
 public:
  // `transport` has an administrator's identity.
  AdminClient(Transport* transport, std::vector<std::string> nodes, std::string operator_address)
      : transport_(transport), nodes_(std::move(nodes)), operator_(std::move(operator_address)) {}

  Task<absl::StatusOr<tenant::v1::TenantRecord>> Create(const Context& ctx, tenant::v1::CreateTenantRequest request);
  Task<absl::StatusOr<tenant::v1::TenantRecord>> Get(const Context& ctx, std::string cluster);
  Task<absl::StatusOr<std::vector<tenant::v1::TenantRecord>>> List(const Context& ctx);
  Task<absl::StatusOr<tenant::v1::TenantRecord>> SetPlan(const Context& ctx, std::string cluster, tenant::v1::Plan plan);
  Task<absl::StatusOr<tenant::v1::TenantRecord>> Suspend(const Context& ctx, std::string cluster);
  Task<absl::StatusOr<tenant::v1::TenantRecord>> Resume(const Context& ctx, std::string cluster);
  Task<absl::StatusOr<tenant::v1::TenantRecord>> Drop(const Context& ctx, std::string cluster);
  // tenant 0: all pods.
  Task<absl::StatusOr<std::vector<ops::v1::Pod>>> Pods(const Context& ctx, uint64_t tenant);
  Task<absl::StatusOr<kv::v1::NodeStatusResponse>> NodeStatus(const Context& ctx, std::string address);

 private:
  // Calls the nodes one after another until one answers.
  template <typename Response, typename Request>
  Task<absl::StatusOr<Response>> CallNodes(const Context& ctx, std::string method, const Request& request);

  Transport* transport_;
  std::vector<std::string> nodes_;
  std::string operator_;
};

}  // namespace insula::cli

#endif  // INSULA_CLI_ADMIN_CLIENT_H_
