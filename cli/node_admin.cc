#include "cli/node_admin.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command_line.h"

namespace insula::cli {

namespace kpb = insula::kv::v1;

namespace {

using Json = nlohmann::ordered_json;

constexpr char kNode[] = "/insula.kv.v1.Node/";
constexpr Duration kCallTimeout = std::chrono::seconds(10);
constexpr Duration kRetryPause = std::chrono::milliseconds(500);
constexpr int kRetries = 60;  // in a row without any progress

std::string StateName(kpb::NodeState state) {
  switch (state) {
    case kpb::NODE_ACTIVE: return "active";
    case kpb::NODE_DRAINING: return "draining";
    case kpb::NODE_DECOMMISSIONING: return "decommissioning";
    case kpb::NODE_DECOMMISSIONED: return "decommissioned";
    default: return "unknown";
  }
}

template <typename Numbers>
Json List(const Numbers& numbers) {
  Json out = Json::array();
  for (uint64_t n : numbers) out.push_back(n);
  return out;
}

Json RangeJson(const kpb::RangeStatus& r) {
  Json row = {{"range", r.range_id()}, {"start", r.pretty_start()}, {"replicas", List(r.replica_nodes())}, {"learners", List(r.learner_nodes())}, {"leader", r.leader_node()},
              {"lease", r.leaseholder()}, {"generation", r.generation()}, {"live_bytes", r.live_bytes()}, {"total_bytes", r.total_bytes()},
              {"batches_per_second", r.batches_per_second()}, {"writes_per_second", r.writes_per_second()}, {"applied_index", r.applied_index()}, {"last_index", r.last_index()},
              {"term", r.term()}, {"asleep", r.asleep()}};
  if (!r.problem().empty()) row["problem"] = r.problem();
  return row;
}

}  // namespace

Task<absl::StatusOr<kpb::ListNodesResponse>> NodeAdmin::List(const Context& ctx) {
  absl::Status last = absl::UnavailableError("no node's address is known");
  for (const std::string& address : addresses_) {
    auto nodes = co_await CallUnary<kpb::ListNodesResponse>(ctx.WithTimeout(kCallTimeout), *transport_, address, StrCat(kNode, "ListNodes"), kpb::ListNodesRequest());
    if (nodes.ok()) co_return nodes;
    last = nodes.status();
  }
  co_return last;
}

Task<absl::StatusOr<std::string>> NodeAdmin::AddressOf(const Context& ctx, uint64_t node) {
  CO_ASSIGN_OR_RETURN(kpb::ListNodesResponse nodes, co_await List(ctx));
  for (const auto& member : nodes.nodes()) {
    if (member.record().node_id() == node) co_return member.record().address();
  }
  co_return absl::NotFoundError(StrCat("there is no node ", node));
}

Task<absl::StatusOr<kpb::NodeRecord>> NodeAdmin::SetState(const Context& ctx, uint64_t node, kpb::NodeState state) {
  kpb::SetNodeStateRequest request;
  request.set_node_id(node);
  request.set_state(state);
  absl::Status last = absl::UnavailableError("no node's address is known");
  for (int tries = 0; tries < kRetries; ++tries) {
    for (const std::string& address : addresses_) {
      auto done = co_await CallUnary<kpb::SetNodeStateResponse>(ctx.WithTimeout(kCallTimeout), *transport_, address, StrCat(kNode, "SetNodeState"), request);
      if (done.ok()) co_return done->record();
      last = done.status();
      if (!absl::IsUnavailable(last)) co_return last;
    }
    if (!(co_await Sleep(ctx, kRetryPause)).ok()) break;
  }
  co_return last;
}

template <typename Response, typename Request>
Task<absl::Status> NodeAdmin::Stream(const Context& ctx, std::string address, std::string method, const Request& request, std::function<void(const Response&)> each) {
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, std::move(address), std::move(method)));
  // A failed send says less than what the node ended with: it may have said everything before our end of the stream was closed.
  absl::Status sent = co_await stream->Send(ctx, request.SerializeAsString());
  if (sent.ok()) sent = co_await stream->CloseSend(ctx);
  for (bool answered = false;; answered = true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message) co_return answered ? absl::OkStatus() : sent;
    Response response;
    if (!response.ParseFromString(*message)) co_return absl::InternalError("the node's answer does not parse");
    each(response);
  }
}

Task<absl::Status> NodeAdmin::Drain(const Context& ctx, uint64_t node, std::function<void(uint64_t)> progress) {
  CO_ASSIGN_OR_RETURN(std::string address, co_await AddressOf(ctx, node));
  co_return co_await Stream<kpb::DrainProgress>(ctx, address, StrCat(kNode, "Drain"), kpb::DrainRequest(), [&](const kpb::DrainProgress& p) { progress(p.leases()); });
}

Task<absl::Status> NodeAdmin::Decommission(const Context& ctx, std::vector<uint64_t> nodes, std::function<void(const kpb::DecommissionProgress&)> progress) {
  kpb::DecommissionRequest request;
  for (uint64_t node : nodes) request.add_node_ids(node);
  bool done = false;
  absl::Status last = absl::UnavailableError("no node's address is known");
  for (int tries = 0; tries < kRetries && !done; ++tries) {
    for (const std::string& address : addresses_) {
      last = co_await Stream<kpb::DecommissionProgress>(ctx, address, StrCat(kNode, "Decommission"), request, [&](const kpb::DecommissionProgress& p) {
        tries = 0;
        done = done || p.done();
        progress(p);
      });
      if (done) co_return absl::OkStatus();
      // The leader has changed, or is one of those that go: another one goes on.
      if (!last.ok() && !absl::IsUnavailable(last)) co_return last;
    }
    if (!(co_await Sleep(ctx, kRetryPause)).ok()) break;
  }
  co_return last;
}

Task<absl::StatusOr<kpb::NodeStatusResponse>> NodeAdmin::Status(const Context& ctx, uint64_t node, bool ranges) {
  CO_ASSIGN_OR_RETURN(std::string address, co_await AddressOf(ctx, node));
  kpb::NodeStatusRequest request;
  request.set_include_ranges(ranges);
  co_return co_await CallUnary<kpb::NodeStatusResponse>(ctx.WithTimeout(kCallTimeout), *transport_, address, StrCat(kNode, "Status"), request);
}

Task<absl::StatusOr<kpb::HotRangesResponse>> NodeAdmin::HotRanges(const Context& ctx, uint64_t node, uint32_t limit) {
  CO_ASSIGN_OR_RETURN(std::string address, co_await AddressOf(ctx, node));
  kpb::HotRangesRequest request;
  request.set_limit(limit);
  co_return co_await CallUnary<kpb::HotRangesResponse>(ctx.WithTimeout(kCallTimeout), *transport_, address, StrCat(kNode, "HotRanges"), request);
}

// ----------------------------------------------------------------------------------------------------------------- printing

void PrintNodes(const kpb::ListNodesResponse& nodes, bool json) {
  Json rows = Json::array();
  if (!json) std::printf("%-5s %-22s %-16s %-5s %-9s %-8s %-10s %s\n", "NODE", "ADDRESS", "STATE", "LIVE", "REPLICAS", "LEASES", "USED", "LOCALITY");
  for (const auto& m : nodes.nodes()) {
    const kpb::NodeRecord& r = m.record();
    if (json) {
      rows.push_back({{"id", r.node_id()}, {"address", r.address()}, {"locality", r.locality()}, {"state", StateName(r.state())}, {"live", m.live()}, {"replicas", m.replicas()},
                      {"leases", m.leases()}, {"used_bytes", m.used_bytes()}, {"available_bytes", m.available_bytes()}, {"version", r.build()}});
    } else {
      std::printf("%-5llu %-22s %-16s %-5s %-9llu %-8llu %-10s %s\n", static_cast<unsigned long long>(r.node_id()), r.address().c_str(), StateName(r.state()).c_str(), m.live() ? "yes" : "no",
                  static_cast<unsigned long long>(m.replicas()), static_cast<unsigned long long>(m.leases()), Size(m.used_bytes()).c_str(), r.locality().c_str());
    }
  }
  if (json) std::cout << Json({{"nodes", rows}}).dump() << std::endl;
}

void PrintStatus(const kpb::NodeStatusResponse& s, bool json) {
  Json heard = Json::array();
  std::vector<std::string> silent;
  for (const auto& [store, supported] : s.supported_stores()) {
    if (supported) heard.push_back(store);
    if (!supported) silent.push_back(StrCat(store));
  }
  std::sort(silent.begin(), silent.end());
  if (json) {
    std::sort(heard.begin(), heard.end());
    std::cout << Json({{"id", s.node_id()}, {"cluster", s.cluster_id()}, {"version", s.version()}, {"state", StateName(s.state())}, {"ready", s.ready()}, {"locality", s.locality()},
                       {"ranges", s.ranges()}, {"leases", s.leases()}, {"used_bytes", s.used_bytes()}, {"available_bytes", s.available_bytes()}, {"capacity_bytes", s.capacity_bytes()},
                       {"hears", heard}, {"silent", silent}})
                     .dump()
              << std::endl;
    return;
  }
  std::cout << "node       " << s.node_id() << " of cluster " << s.cluster_id() << ", version " << s.version() << "\nstate      " << StateName(s.state()) << (s.ready() ? "" : ", not ready") << "\nlocality   "
            << (s.locality().empty() ? "-" : s.locality()) << "\nranges     " << s.ranges() << ", leases of " << s.leases() << "\ndata       " << Size(s.used_bytes()) << "; disk: " << Size(s.available_bytes())
            << " left of " << Size(s.capacity_bytes()) << "\nhears      stores " << StrJoin(heard.get<std::vector<uint64_t>>(), ", ") << (silent.empty() ? "" : StrCat("; not: ", StrJoin(silent, ", "))) << std::endl;
}

void PrintRanges(const std::vector<kpb::RangeStatus>& ranges, bool json) {
  Json rows = Json::array();
  if (!json) std::printf("%-6s %-28s %-14s %-6s %-10s %-10s %-10s %s\n", "RANGE", "START", "NODES", "LEASE", "SIZE", "BATCHES/S", "WRITES/S", "STATE");
  for (const kpb::RangeStatus& r : ranges) {
    if (json) {
      rows.push_back(RangeJson(r));
      continue;
    }
    std::string nodes = StrJoin(r.replica_nodes(), ",");
    if (r.learner_nodes_size() > 0) StrAppend(&nodes, " (", StrJoin(r.learner_nodes(), ","), " learns)");
    std::printf("%-6llu %-28s %-14s %-6s %-10s %-10.1f %-10.1f %s\n", static_cast<unsigned long long>(r.range_id()), r.pretty_start().empty() ? "(start)" : r.pretty_start().c_str(), nodes.c_str(),
                r.leader_node() == 0 ? "-" : StrCat(r.leader_node()).c_str(), Size(r.total_bytes()).c_str(), r.batches_per_second(), r.writes_per_second(),
                !r.problem().empty() ? r.problem().c_str() : r.asleep() ? "asleep" : "awake");
  }
  if (json) std::cout << Json({{"ranges", rows}}).dump() << std::endl;
}

std::function<void(uint64_t)> DrainLines() {
  return [last = std::make_shared<std::string>()](uint64_t leases) {
    std::string line = leases == 0 ? "no leases left" : StrCat(leases, leases == 1 ? " lease left" : " leases left");
    if (line == *last) return;
    std::cerr << line << std::endl;
    *last = std::move(line);
  };
}

std::function<void(const kpb::DecommissionProgress&)> DecommissionLines() {
  return [last = std::make_shared<std::string>()](const kpb::DecommissionProgress& p) {
    std::string line;
    for (const auto& left : p.nodes()) StrAppend(&line, line.empty() ? "" : ", ", "node ", left.node_id(), ": ", left.replicas(), left.replicas() == 1 ? " replica" : " replicas");
    if (!p.waiting_for().empty()) StrAppend(&line, " (", p.waiting_for(), ")");
    if (line == *last) return;
    std::cerr << line << std::endl;
    *last = std::move(line);
  };
}

}  // namespace insula::cli
