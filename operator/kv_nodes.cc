#include "operator/kv_nodes.h"

#include <iterator>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"

namespace insula::ops {
namespace {
constexpr char kWatchNodes[] = "/insula.kv.v1.Node/WatchNodes";
constexpr Duration kRetryPause = std::chrono::milliseconds(500);
}  // namespace

Task<void> KvNodes::Run(Context ctx) {
  while (!ctx.done()) {
    absl::Status ended = co_await Follow(ctx, Address(next_++));
    LOG_DEBUG("the table of KV nodes is not followed for a while", {"why", ended});
    if (!(co_await Sleep(ctx, kRetryPause)).ok()) co_return;
  }
}

Task<absl::Status> KvNodes::Follow(const Context& ctx, std::string address) {
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, std::move(address), kWatchNodes));
  CO_RETURN_IF_ERROR(co_await stream->Send(ctx, kv::v1::WatchNodesRequest().SerializeAsString()));
  CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
  while (true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message) co_return absl::OkStatus();
    kv::v1::WatchNodesResponse all;
    if (!all.ParseFromString(*message)) co_return absl::DataLossError("the table of KV nodes does not parse");
    Learn(all);
  }
}

void KvNodes::Learn(const kv::v1::WatchNodesResponse& all) {
  std::map<uint64_t, std::string> next;
  for (const auto& node : all.nodes()) {
    if (node.state() != kv::v1::NODE_DECOMMISSIONED && !node.address().empty()) next[node.node_id()] = node.address();
  }
  if (!next.empty()) nodes_ = std::move(next);
}

std::string KvNodes::Address(size_t n) const { return std::next(nodes_.begin(), static_cast<std::ptrdiff_t>(n % nodes_.size()))->second; }

std::vector<v1::KvNode> KvNodes::All() const {
  std::vector<v1::KvNode> out;
  for (const auto& [id, address] : nodes_) {
    v1::KvNode& node = out.emplace_back();
    node.set_node_id(id);
    node.set_address(address);
  }
  return out;
}

}  // namespace insula::ops
