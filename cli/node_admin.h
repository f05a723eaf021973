// The KV nodes as an administrator sees them: /insula.kv.v1.Node of any of them, or of one.
#ifndef INSULA_CLI_NODE_ADMIN_H_
#define INSULA_CLI_NODE_ADMIN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/transport.h"
#include "proto/kv/status.pb.h"

namespace insula::cli {

class NodeAdmin {
 public:
  // `transport` has an administrator's identity; `addresses`: of some nodes.
  NodeAdmin(Transport* transport, std::vector<std::string> addresses) : transport_(transport), addresses_(std::move(addresses)) {}

  // As the first node that answers sees it.
  Task<absl::StatusOr<kv::v1::ListNodesResponse>> List(const Context& ctx);
  Task<absl::StatusOr<kv::v1::NodeRecord>> SetState(const Context& ctx, uint64_t node, kv::v1::NodeState state);
  // Until no lease is left on the node; `progress` hears how many are.
  Task<absl::Status> Drain(const Context& ctx, uint64_t node, std::function<void(uint64_t leases)> progress);
  // Until the nodes are empty and decommissioned. Goes on where a change of leaders cut it short.
  Task<absl::Status> Decommission(const Context& ctx, std::vector<uint64_t> nodes, std::function<void(const kv::v1::DecommissionProgress&)> progress);
  // Of one node. kNotFound: there is none with that number.
  Task<absl::StatusOr<kv::v1::NodeStatusResponse>> Status(const Context& ctx, uint64_t node, bool ranges);
  Task<absl::StatusOr<kv::v1::HotRangesResponse>> HotRanges(const Context& ctx, uint64_t node, uint32_t limit);

 private:
  Task<absl::StatusOr<std::string>> AddressOf(const Context& ctx, uint64_t node);
  // One try at a stream of answers.
  template <typename Response, typename Request>
  Task<absl::Status> Stream(const Context& ctx, std::string address, std::string method, const Request& request, std::function<void(const Response&)> each);

  Transport* transport_;
  std::vector<std::string> addresses_;
};

// For people or, with `json`, for programs; to standard output.
void PrintNodes(const kv::v1::ListNodesResponse& nodes, bool json);
void PrintStatus(const kv::v1::NodeStatusResponse& status, bool json);
void PrintRanges(const std::vector<kv::v1::RangeStatus>& ranges, bool json);

// Lines of progress to standard error; none that says the same as the one before.
std::function<void(uint64_t)> DrainLines();
std::function<void(const kv::v1::DecommissionProgress&)> DecommissionLines();

}  // namespace insula::cli

#endif  // INSULA_CLI_NODE_ADMIN_H_
