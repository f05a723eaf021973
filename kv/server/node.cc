#include "kv/server/node.h"

#include <utility>
#include <vector>

#include "base/async/wait.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/client/database.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/raft_group.h"
#include "kv/replica/replica.h"
#include "kv/server/batch_service.h"
#include "kv/server/node_service.h"
#include "kv/server/tenant_gate.h"
#include "kv/server/tenant_service.h"
#include "kv/server/tenant_store.h"
#include "kv/store/bootstrap.h"
#include "kv/store/store.h"

namespace insula::kv {
namespace {

constexpr Duration kLeaderWait = std::chrono::seconds(3);

v1::BatchResponse ErrorResponse(const absl::Status& status) {
  v1::BatchResponse response;
  *response.mutable_error() = ToKvError(status);
  return response;
}

std::string AddressOf(const std::map<uint64_t, std::string>& peers, uint64_t node) {
  auto it = peers.find(node);
  return it == peers.end() ? "" : it->second;
}

std::vector<std::string> Addresses(const std::map<uint64_t, std::string>& peers) {
  std::vector<std::string> out;
  for (auto& [id, address] : peers) out.push_back(address);
  return out;
}

}  // namespace

class Node::Impl : private BatchExecutor, private SystemLeadership {
 public:
  Impl(const Context& ctx, const Runtime& runtime, Transport* transport, storage::EngineFactory engines, NodeOptions options)
      : options_(std::move(options)),
        database_(MakeDatabase(ctx, runtime, transport, {.sender = {.bootstrap = Addresses(options_.peers)}, .coordinator = {}})),
        store_(runtime, transport, std::move(engines), StoreOptionsFor(runtime)),
        tenants_(database_.get(), runtime.clock),
        gate_([this](const Context& read, TenantId id) { return tenants_.GetById(read, id); }),
        batches_(this, &gate_),
        tenant_service_(&tenants_, this, transport) {
    batches_.Register(transport);
    tenant_service_.Register(transport);
    tenant_service_.SetOnChange([this](TenantId id) { gate_.Forget(id); });
    RegisterNodeService(transport, [this](const v1::NodeStatusRequest& request, v1::NodeStatusResponse* out) { FillStatus(request, out); });
  }

  Task<absl::Status> Start(const Context& ctx) {
    CO_RETURN_IF_ERROR(co_await store_.Start(ctx));
    store_.SetSender(&database_->sender());
    co_return absl::OkStatus();
  }
  Task<absl::Status> Stop(const Context& ctx) { return store_.Stop(ctx); }

  absl::Status Ready() const {
    if (!store_.started()) return absl::UnavailableError("the store is starting");
    if (!store_.ready()) return absl::UnavailableError("replicas are applying what was committed before the start");
    return absl::OkStatus();
  }
  void FillStatus(const v1::NodeStatusRequest& request, v1::NodeStatusResponse* out) const {
    out->set_node_id(options_.node_id);
    out->set_cluster_id(options_.cluster_id);
    out->set_version(options_.version);
    if (store_.started()) store_.FillStatus(request.include_ranges(), out);
  }
  Store& store() { return store_; }
  const Store& store() const { return store_; }
  Database* database() { return database_.get(); }
  const BatchServiceCounters& counters() const { return batches_.counters(); }

 private:
  StoreOptions StoreOptionsFor(const Runtime& runtime) {
    StoreOptions store;
    store.path = options_.store_path;
    store.node_id = options_.node_id;
    store.store_id = options_.node_id;  // one store per node
    store.cluster_id = options_.cluster_id;
    store.resolver = [peers = options_.peers](StoreId id) -> std::optional<std::string> {
      std::string address = AddressOf(peers, id);
      if (address.empty()) return std::nullopt;
      return address;
    };
    store.factory = [this, executor = runtime.executor](RangeGroup* group) {
      ReplicaDeps deps;
      deps.executor = executor;
      deps.sender = &database_->sender();
      deps.node_address = [this](uint64_t node) { return AddressOf(options_.peers, node); };
      deps.local_ranges = [this](std::string_view key, std::string_view end_key) { return store_.LocalRanges(key, end_key); };
      deps.on_lease = [this](uint64_t range, bool) {
        if (range == keys::kSystemRange) lease_changed_.NotifyAll();
      };
      return MakeReplica(group, std::move(deps));
    };
    store.on_fatal = options_.on_fatal;
    options_.tune_store(store);
    return store;
  }

  // BatchExecutor.
  Task<v1::BatchResponse> Execute(Context ctx, v1::BatchRequest batch) override {
    RangeId range = batch.header().range_id();
    if (!store_.started()) co_return ErrorResponse(UnavailableKvError("the node is starting"));
    std::shared_ptr<RaftGroup> group = store_.Find(range);
    if (group == nullptr) {
      absl::Status problem = store_.RangeProblem(range);
      co_return ErrorResponse(UnavailableKvError(problem.ok() ? StrCat("range ", range, " is not on this node") : std::string(problem.message())));
    }
    std::shared_ptr<Replica> replica = ReplicaOf(*group);
    if (replica == nullptr) co_return ErrorResponse(UnavailableKvError(StrCat("range ", range, " is not initialized on this node")));
    co_return co_await replica->Execute(ctx, std::move(batch));
  }
  uint64_t LeaseSequence(uint64_t range_id) const override {
    std::shared_ptr<RaftGroup> group = store_.started() ? store_.Find(range_id) : nullptr;
    if (group == nullptr) return 0;
    LeaseCheck check = group->CheckLease(group->clock().Peek());
    return check.valid() ? check.lease.sequence : 0;
  }

  // SystemLeadership.
  Task<absl::StatusOr<Leader>> Find(const Context& ctx) override {
    std::shared_ptr<RaftGroup> group = store_.started() ? store_.Find(keys::kSystemRange) : nullptr;
    if (group == nullptr) co_return absl::UnavailableError("the node is starting");
    LeaseCheck check = group->CheckLease(group->clock().Peek());
    if (check.state == LeaseCheck::State::kNone) {
      auto acquired = co_await group->AcquireLease(ctx.WithTimeout(kLeaderWait), group->clock().Peek());
      if (!acquired.ok()) co_return absl::UnavailableError(StrCat("the registry has no leader: ", std::string(acquired.status().message())));
      check = *acquired;
    }
    if (check.valid()) co_return Leader{.here = true, .address = ""};
    std::string address = AddressOf(options_.peers, check.holder_node);
    if (address.empty()) co_return absl::UnavailableError("the registry's leader is not known");
    co_return Leader{.here = false, .address = address};
  }
  bool Here() const override { return LeaseSequence(keys::kSystemRange) != 0; }
  Condition& changed() override { return lease_changed_; }

  NodeOptions options_;
  Condition lease_changed_;
  std::unique_ptr<ClientDatabase> database_;
  Store store_;
  TenantStore tenants_;
  TenantGate gate_;
  BatchService batches_;
  TenantService tenant_service_;
};

Node::Node(const Context& ctx, const Runtime& runtime, Transport* transport, storage::EngineFactory engines, NodeOptions options)
    : impl_(std::make_unique<Impl>(ctx, runtime, transport, std::move(engines), std::move(options))) {}
Node::~Node() = default;

Task<absl::Status> Node::Start(const Context& ctx) { return impl_->Start(ctx); }
Task<absl::Status> Node::Stop(const Context& ctx) { return impl_->Stop(ctx); }
absl::Status Node::ready() const { return impl_->Ready(); }
uint64_t Node::leases() const { return impl_->store().started() ? impl_->store().lease_count() : 0; }
uint64_t Node::batches() const { return impl_->counters().batches; }
uint64_t Node::denied() const { return impl_->counters().denied; }
uint64_t Node::unflushed_bytes() const { return impl_->store().started() ? impl_->store().engine().unflushed_bytes() : 0; }
void Node::FillStatus(const v1::NodeStatusRequest& request, v1::NodeStatusResponse* out) const { impl_->FillStatus(request, out); }
Database* Node::database() { return impl_->database(); }

Task<absl::Status> InitNodeStore(const Context& ctx, Runtime runtime, storage::EngineFactory engines, std::string path, std::string cluster_id, uint64_t node_id,
                                 uint64_t nodes) {
  StoreIdent ident{.cluster_id = std::move(cluster_id), .node_id = node_id, .store_id = node_id, .members = {}};
  for (uint64_t id = 1; id <= nodes; ++id) ident.members.push_back({.node_id = id, .store_id = id});
  co_return co_await InitStore(ctx, runtime, std::move(engines), std::move(path), std::move(ident));
}

}  // namespace insula::kv
