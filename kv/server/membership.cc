#include "kv/server/membership.h"

#include <algorithm>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/placement/locality.h"

namespace insula::kv {
namespace {

constexpr char kJoin[] = "/insula.kv.v1.Node/Join";
constexpr char kWatchNodes[] = "/insula.kv.v1.Node/WatchNodes";
constexpr char kSetNodeState[] = "/insula.kv.v1.Node/SetNodeState";
constexpr char kDecommission[] = "/insula.kv.v1.Node/Decommission";
constexpr Duration kFirstRetry = std::chrono::milliseconds(250);
constexpr Duration kLastRetry = std::chrono::seconds(4);
constexpr Duration kCallTimeout = std::chrono::seconds(10);
constexpr Duration kProgressEvery = std::chrono::seconds(1);  // while somebody watches a decommission

}  // namespace

// ----------------------------------------------------------------------------------------------------------------- services

void Membership::Register(Transport* server) {
  // A node that asks for itself was not passed on; one that asks for another passes that one's call on.
  auto is_relayed = [](const Identity& caller, const std::string& bytes) {
    v1::JoinRequest request;
    return !request.ParseFromString(bytes) || caller.node != request.node_id();
  };
  calls_.Add(
      server, kJoin,
      [this](Context ctx, const Identity& caller, std::string bytes, MessageStream& stream) -> Task<absl::Status> {
        CO_ASSIGN_OR_RETURN(auto request, ParseRequest<v1::JoinRequest>(bytes));
        CO_ASSIGN_OR_RETURN(std::string response, co_await Join(ctx, caller, std::move(request)));
        co_return co_await stream.Send(ctx, std::move(response));
      },
      is_relayed);
  calls_.Add(server, kWatchNodes, [this](Context ctx, const Identity&, std::string, MessageStream& stream) { return Watch(ctx, stream); });
  calls_.AddUnary(server, kSetNodeState, [this](Context ctx, std::string bytes) -> Task<absl::StatusOr<std::string>> {
    CO_ASSIGN_OR_RETURN(auto request, ParseRequest<v1::SetNodeStateRequest>(bytes));
    auto changed = co_await store_->SetState(ctx, request.node_id(), request.state());
    if (!WasRefused(changed.status())) Told();
    CO_ASSIGN_OR_RETURN(v1::NodeRecord record, std::move(changed));
    v1::SetNodeStateResponse response;
    *response.mutable_record() = std::move(record);
    co_return response.SerializeAsString();
  });
  calls_.Add(server, kDecommission, [this](Context ctx, const Identity&, std::string bytes, MessageStream& stream) -> Task<absl::Status> {
    CO_ASSIGN_OR_RETURN(auto request, ParseRequest<v1::DecommissionRequest>(bytes));
    co_return co_await Decommission(ctx, std::move(request), stream);
  });
}

void Membership::Told() {
  ++version_;
  told_.NotifyAll();
}

absl::Status Membership::CheckJoin(const Identity& caller, const v1::JoinRequest& request) const {
  if (request.node_id() == 0) return absl::InvalidArgumentError("a node has a number above 0");
  // Founders are members before their rows are there.
  const v1::NodeRecord* passes_on = members_->Find(caller.node);
  const std::vector<uint64_t> founders = hooks_.founders();
  const bool member = passes_on != nullptr ? passes_on->state() != v1::NODE_DECOMMISSIONED : std::find(founders.begin(), founders.end(), caller.node) != founders.end();
  if (caller.node != request.node_id() && !member) {
    return absl::PermissionDeniedError(StrCat(caller.ToString(), " may not speak for node ", request.node_id(), ": a node joins with a certificate of its own number"));
  }
  if (!request.cluster_id().empty() && request.cluster_id() != options_.cluster_id) {
    return absl::FailedPreconditionError(StrCat("this is cluster ", options_.cluster_id, ", not ", request.cluster_id()));
  }
  return placement::ParseLocality(request.locality()).status();
}

Task<absl::StatusOr<std::string>> Membership::Join(Context ctx, Identity caller, v1::JoinRequest request) {
  CO_RETURN_IF_ERROR(CheckJoin(caller, request));
  CO_ASSIGN_OR_RETURN(std::vector<v1::NodeRecord> records, co_await store_->List(ctx));
  auto present = std::find_if(records.begin(), records.end(), [&](const auto& r) { return r.node_id() == request.node_id(); });
  if (present != records.end() && present->state() == v1::NODE_DECOMMISSIONED) co_return DecommissionedError(request.node_id());
  if (!request.has_store()) {
    const std::vector<uint64_t> founders = hooks_.founders();
    if (present != records.end() || std::find(founders.begin(), founders.end(), request.node_id()) != founders.end()) {
      co_return absl::AlreadyExistsError(StrCat("there is a node ", request.node_id(), " already, with a store of its own: a new node takes a number that no node had before"));
    }
  } else {
    v1::NodeRecord record;
    record.set_node_id(request.node_id());
    record.set_store_id(request.node_id());
    record.set_address(request.address());
    record.set_locality(request.locality());
    record.set_build(request.build());
    auto registered = co_await store_->Register(ctx, std::move(record));
    if (!registered.ok() && !WasRefused(registered.status())) Told();  // it may have happened
    CO_ASSIGN_OR_RETURN(record, std::move(registered));
    const bool news = present == records.end() || present->SerializeAsString() != record.SerializeAsString();
    if (present == records.end()) {
      LOG_INFO("a node joined", {"node", record.node_id()}, {"address", record.address()}, {"locality", record.locality()});
      records.push_back(record);
    } else {
      *present = record;
    }
    if (news) Told();
  }
  v1::JoinResponse response;
  response.set_cluster_id(options_.cluster_id);
  for (auto& record : records) *response.add_nodes() = std::move(record);
  for (uint64_t id : hooks_.founders()) response.add_founders(id);
  co_return response.SerializeAsString();
}

Task<absl::Status> Membership::Watch(Context ctx, MessageStream& caller) {
  LeaderCalls::Watch watch(ctx, calls_.leadership(), &told_);
  const uint64_t term = calls_.leadership()->Term();
  CO_RETURN_IF_ERROR(co_await store_->EstablishTerm(ctx));
  auto leads = [&] { return term != 0 && calls_.leadership()->Term() == term; };
  while (leads()) {
    const uint64_t seen = version_;
    CO_ASSIGN_OR_RETURN(auto records, co_await store_->List(ctx));
    v1::WatchNodesResponse all;
    for (auto& record : records) *all.add_nodes() = std::move(record);
    CO_RETURN_IF_ERROR(co_await caller.Send(ctx, all.SerializeAsString()));
    while (seen == version_ && leads()) CO_RETURN_IF_ERROR(co_await watch.Wait(ctx));
  }
  co_return absl::UnavailableError("the system range is led by another node now");
}

// -------------------------------------------------------------------------------------------------------------- decommission

absl::Status Membership::CheckDecommission(const std::set<uint64_t>& going, const std::vector<v1::NodeRecord>& records, const NodeStore::Replicas& replicas) const {
  if (going.empty()) return absl::InvalidArgumentError("no node is named");
  std::vector<std::string> remain, away;
  for (const v1::NodeRecord& r : records) {
    if (going.contains(r.node_id()) || r.state() == v1::NODE_DECOMMISSIONING || r.state() == v1::NODE_DECOMMISSIONED) continue;
    (r.node_id() == options_.node_id || hooks_.is_live(r.node_id()) ? remain : away).push_back(StrCat(r.node_id()));
  }
  for (uint64_t id : going) {
    auto it = std::find_if(records.begin(), records.end(), [&](const auto& r) { return r.node_id() == id; });
    if (it == records.end()) return absl::NotFoundError(StrCat("there is no node ", id));
  }
  const uint64_t needed = std::min<uint64_t>(replicas.most, static_cast<uint64_t>(hooks_.replicas()));
  if (remain.size() >= needed) return absl::OkStatus();
  std::string who = remain.empty() ? "none" : StrJoin(remain, ", ");
  if (!away.empty()) StrAppend(&who, "; not answering: ", StrJoin(away, ", "));
  return absl::FailedPreconditionError(StrCat("ranges have ", needed, " replicas, each on a node of its own, and only ", remain.size(), " node", remain.size() == 1 ? "" : "s", " would remain (", who,
                                              "): add a node first"));
}

Task<absl::StatusOr<bool>> Membership::ReportLeft(const Context& ctx, const std::set<uint64_t>& going, v1::DecommissionProgress* progress) {
  CO_ASSIGN_OR_RETURN(NodeStore::Replicas replicas, co_await store_->CountReplicas(ctx));
  uint64_t left = 0;
  for (uint64_t id : going) {
    // Addresses are written a little after the replicas have changed; a node that can be asked knows best what it still holds.
    const uint64_t count = std::max(replicas.by_node[id], hooks_.is_live(id) || id == options_.node_id ? hooks_.replicas_on(id).value_or(0) : 0);
    auto* row = progress->add_nodes();
    row->set_node_id(id);
    row->set_replicas(count);
    left += count;
  }
  if (left == 0) co_return true;
  std::vector<std::string> away;
  for (const v1::NodeRecord& r : members_->Records()) {
    const bool stays = !going.contains(r.node_id()) && r.state() == v1::NODE_ACTIVE;
    if (stays && r.node_id() != options_.node_id && !hooks_.is_live(r.node_id())) away.push_back(StrCat(r.node_id()));
  }
  progress->set_waiting_for(StrCat(left, left == 1 ? " replica" : " replicas", " to move"));
  if (!away.empty()) progress->mutable_waiting_for()->append(StrCat("; node ", StrJoin(away, ", "), " does not answer, and ranges with a replica there wait for it"));
  co_return false;
}

Task<absl::Status> Membership::Decommission(Context ctx, v1::DecommissionRequest request, MessageStream& caller) {
  const std::set<uint64_t> going(request.node_ids().begin(), request.node_ids().end());
  CO_ASSIGN_OR_RETURN(std::vector<v1::NodeRecord> records, co_await store_->List(ctx));
  CO_ASSIGN_OR_RETURN(NodeStore::Replicas replicas, co_await store_->CountReplicas(ctx));
  CO_RETURN_IF_ERROR(CheckDecommission(going, records, replicas));
  for (const v1::NodeRecord& r : records) {
    if (!going.contains(r.node_id()) || r.state() == v1::NODE_DECOMMISSIONED) continue;
    absl::Status going_now = (co_await store_->SetState(ctx, r.node_id(), v1::NODE_DECOMMISSIONING)).status();
    if (!WasRefused(going_now)) Told();
    CO_RETURN_IF_ERROR(going_now);
  }
  LOG_INFO("nodes are to be empty", {"nodes", StrJoin(going, ", ")});
  for (;;) {
    v1::DecommissionProgress progress;
    CO_ASSIGN_OR_RETURN(bool empty, co_await ReportLeft(ctx, going, &progress));
    CO_ASSIGN_OR_RETURN(records, co_await store_->List(ctx));
    for (const v1::NodeRecord& r : records) {
      if (going.contains(r.node_id()) && (r.state() == v1::NODE_ACTIVE || r.state() == v1::NODE_DRAINING)) {
        co_return absl::AbortedError(StrCat("node ", r.node_id(), " was made active again; what has moved stays where it is"));
      }
    }
    if (empty) {
      for (uint64_t id : going) {
        absl::Status gone = (co_await store_->SetState(ctx, id, v1::NODE_DECOMMISSIONED)).status();
        if (!WasRefused(gone)) Told();
        CO_RETURN_IF_ERROR(gone);
      }
      LOG_INFO("nodes are decommissioned", {"nodes", StrJoin(going, ", ")});
      progress.set_done(true);
    }
    CO_RETURN_IF_ERROR(co_await caller.Send(ctx, progress.SerializeAsString()));
    if (empty) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, kProgressEvery));
    if (calls_.leadership()->Term() == 0) co_return absl::UnavailableError("the system range is led by another node now: ask again, the decommission goes on");
  }
}

// ------------------------------------------------------------------------------------------------------- this node among them

Task<absl::Status> Membership::SetOwnState(const Context& ctx, v1::NodeState state) {
  CO_ASSIGN_OR_RETURN(SystemLeadership::Leader leader, co_await calls_.leadership()->Find(ctx));
  v1::SetNodeStateRequest request;
  request.set_node_id(options_.node_id);
  request.set_state(state);
  co_return (co_await CallUnary<v1::SetNodeStateResponse>(ctx, *transport_, leader.here ? options_.address : leader.address, kSetNodeState, std::move(request))).status();
}

Task<absl::Status> Membership::Follow(const Context& ctx) {
  CO_ASSIGN_OR_RETURN(SystemLeadership::Leader leader, co_await calls_.leadership()->Find(ctx));
  const std::string address = leader.here ? options_.address : leader.address;
  v1::JoinRequest join;
  join.set_cluster_id(options_.cluster_id);
  join.set_node_id(options_.node_id);
  join.set_address(options_.address);
  join.set_locality(options_.locality);
  join.set_build(options_.build);
  join.set_has_store(true);
  auto joined = co_await CallUnary<v1::JoinResponse>(ctx.WithTimeout(kCallTimeout), *transport_, address, kJoin, std::move(join));
  if (joined.status().code() == absl::StatusCode::kFailedPrecondition) hooks_.on_refused(joined.status());
  if (!joined.ok()) co_return joined.status();
  CO_ASSIGN_OR_RETURN(auto stream, co_await transport_->Open(ctx, address, kWatchNodes));
  CO_RETURN_IF_ERROR(co_await stream->Send(ctx, v1::WatchNodesRequest().SerializeAsString()));
  CO_RETURN_IF_ERROR(co_await stream->CloseSend(ctx));
  while (true) {
    CO_ASSIGN_OR_RETURN(auto message, co_await stream->Receive(ctx));
    if (!message) co_return absl::UnavailableError("the leader ended the watch");
    v1::WatchNodesResponse all;
    if (!all.ParseFromString(*message)) co_return absl::InternalError("the table of nodes does not parse");
    ++connected_;
    members_->Learn({all.nodes().begin(), all.nodes().end()});
    const v1::NodeRecord* self = members_->Find(options_.node_id);
    if (self != nullptr && self->state() == v1::NODE_DECOMMISSIONED) hooks_.on_refused(DecommissionedError(options_.node_id));
  }
}

Task<void> Membership::Run(Context ctx) {
  Duration retry = kFirstRetry;
  while (!ctx.done()) {
    const uint64_t before = connected_;
    absl::Status ended = co_await Follow(ctx);
    LOG_DEBUG("the table of nodes is not followed for a while", {"why", ended});
    retry = connected_ > before ? kFirstRetry : std::min(2 * retry, kLastRetry);
    if (!(co_await Sleep(ctx, retry)).ok()) co_return;
  }
}

Task<absl::StatusOr<v1::JoinResponse>> AskToJoin(const Context& ctx, Transport& transport, std::vector<std::string> addresses, v1::JoinRequest request) {
  absl::Status last = absl::InvalidArgumentError("no member's address is given");
  while (!addresses.empty()) {
    for (const std::string& address : addresses) {
      auto response = co_await CallUnary<v1::JoinResponse>(ctx.WithTimeout(kCallTimeout), transport, address, kJoin, request);
      if (response.ok() || (!absl::IsUnavailable(response.status()) && !absl::IsDeadlineExceeded(response.status()))) co_return response;
      last = response.status();
    }
    if (!(co_await Sleep(ctx, kFirstRetry)).ok()) break;
  }
  co_return absl::Status(last.code(), StrCat("no member of the cluster could be asked (", StrJoin(addresses, ", "), "): ", Sv(last.message())));
}

}  // namespace insula::kv
