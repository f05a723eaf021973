#include "kv/server/node.h"

#include <utility>
#include <vector>

#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/hlc/hlc.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/client/database.h"
#include "kv/keys/keys.h"
#include "kv/metrics/store_metrics.h"
#include "kv/multiraft/raft_group.h"
#include "kv/replica/replica.h"
#include "kv/server/admission.h"
#include "kv/server/batch_service.h"
#include "kv/server/denial_log.h"
#include "kv/server/node_metrics.h"
#include "kv/server/node_service.h"
#include "kv/server/registry_watch.h"
#include "kv/server/server_metrics.h"
#include "kv/server/tenant_gate.h"
#include "kv/server/tenant_service.h"
#include "kv/server/tenant_store.h"
#include "kv/store/bootstrap.h"
#include "kv/store/store.h"
#include "tenant/method_access.h"

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
        registry_(options_.metrics == nullptr ? &own_registry_ : options_.metrics),
        metrics_(registry_),
        denials_(runtime.executor, &metrics_),
        guarded_(transport, [this](const Identity& caller, const PeerIdentity& peer, std::string_view method) { denials_.Denied("method", caller, peer, method); }),
        database_(MakeDatabase(ctx, runtime, transport, {.sender = {.bootstrap = Addresses(options_.peers)}, .coordinator = {}})),
        store_(runtime, &guarded_, std::move(engines), StoreOptionsFor(runtime)),
        tenants_(database_.get(), runtime.clock),
        gate_([this](const Context& read, TenantId id) { return tenants_.GetById(read, id); }),
        admission_(runtime.executor, &metrics_),
        batches_(this, &gate_, &admission_, &denials_, &metrics_),
        tenant_service_(&tenants_, this, transport),
        watch_(this, transport, AddressOf(options_.peers, options_.node_id), &gate_),
        tasks_(ctx) {
    gate_.SetOnRecord([this](const TenantRecord& record) { admission_.SetShare(record.id(), record.node_share()); });
    gate_.SetOnRefused([this](TenantId tenant, const absl::Status& why) { admission_.TurnAway(tenant, why); });
    RegisterStoreMetrics(store_metrics_, registry_);
    RegisterNodeMetrics(registry_, [store = std::weak_ptr<Store*>(reachable_)]() -> Store* {
      auto reachable = store.lock();
      return reachable != nullptr && (*reachable)->started() ? *reachable : nullptr;
    });
    batches_.Register(&guarded_);
    tenant_service_.Register(&guarded_);
    RegisterNodeService(&guarded_, [this](const v1::NodeStatusRequest& request, v1::NodeStatusResponse* out) { FillStatus(request, out); });
  }

  Task<absl::Status> Start(const Context& ctx) {
    CO_RETURN_IF_ERROR(co_await store_.Start(ctx));
    store_.SetSender(&database_->sender());
    tasks_.Spawn(watch_.Run(tasks_.ctx()));
    co_return absl::OkStatus();
  }
  Task<absl::Status> Stop(const Context& ctx) {
    tasks_.Cancel();
    co_await tasks_.Wait();
    co_return co_await store_.Stop(ctx);
  }

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
      deps.metrics = store_metrics_;
      deps.checks = &store_.checks();
      deps.sender = &database_->sender();
      deps.node_address = [this](uint64_t node) { return AddressOf(options_.peers, node); };
      deps.local_ranges = [this](std::string_view key, std::string_view end_key) { return store_.LocalRanges(key, end_key); };
      deps.load_split.batches_per_second = options_.split.max_batches_per_second;
      deps.on_busy = [this](uint64_t range, std::string key) { store_.splits().Busy(range, std::move(key)); };
      deps.on_lease = [this](uint64_t range, bool) {
        if (range == keys::kSystemRange) lease_changed_.NotifyAll();
      };
      return MakeReplica(group, std::move(deps));
    };
    store.on_fatal = options_.on_fatal;
    store.gc = options_.gc;
    store.metrics = store_metrics_;
    store.split = options_.split;
    store.merge = options_.merge;
    options_.tune_store(store);
    return store;
  }

  // BatchExecutor.
  Task<v1::BatchResponse> Execute(Context ctx, v1::BatchRequest batch) override {
    RangeId range = batch.header().range_id();
    if (!store_.started()) co_return ErrorResponse(UnavailableKvError("the node is starting"));
    std::shared_ptr<RaftGroup> group = store_.Find(range);
    const absl::Status problem = store_.RangeProblem(range);
    if (!problem.ok()) {
      LOG_DEBUG("a batch met a range that does not serve", {"range", range}, {"why", problem});
      co_return ErrorResponse(UnavailableKvError(StrCat("range ", range, " is damaged or stopped on this node")));
    }
    // It moved away, or has become part of another range that may be here: whoever asks has an old address.
    if (group == nullptr || group->removed()) {
      const KeySpan span = batch.requests_size() > 0 ? SpanOf(batch.requests(0), batch.header()) : KeySpan();
      const bool ask = group == nullptr && !span.key.empty();
      co_return ErrorResponse(RangeMismatchError(ask ? store_.LocalRanges(span.key, span.end_key) : std::vector<v1::RangeDescriptor>(), StrCat("range ", range, " is not on this node")));
    }
    std::shared_ptr<Replica> replica = ReplicaOf(*group);
    if (replica == nullptr) co_return ErrorResponse(NotLeaseholderError(0, {}));  // about to come to be
    co_return co_await replica->Execute(ctx, std::move(batch));
  }
  uint64_t LeaseSequence(uint64_t range_id) const override {
    std::shared_ptr<RaftGroup> group = store_.started() ? store_.Find(range_id) : nullptr;
    if (group == nullptr) return 0;
    LeaseCheck check = group->CheckLease(group->clock().Peek());
    return check.valid() ? check.lease.sequence : 0;
  }

  // Two clocks may each be off by the maximum, and a transaction's limit lies one above its clock.
  Timestamp LatestTimestamp() override {
    const HybridClock& clock = store_.clock();
    return clock.Peek().AddMicros(3 * std::chrono::duration_cast<std::chrono::microseconds>(clock.max_offset()).count());
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
  metrics::Registry own_registry_;
  metrics::Registry* const registry_;
  ServerMetrics metrics_;
  std::shared_ptr<StoreMetrics> store_metrics_ = std::make_shared<StoreMetrics>();
  DenialLog denials_;
  GuardedTransport guarded_;
  Condition lease_changed_;
  std::unique_ptr<ClientDatabase> database_;
  Store store_;
  std::shared_ptr<Store*> reachable_ = std::make_shared<Store*>(&store_);  // for the registry, which may be asked when the node is gone
  TenantStore tenants_;
  TenantGate gate_;
  Admission admission_;
  BatchService batches_;
  TenantService tenant_service_;
  RegistryWatch watch_;
  TaskGroup tasks_;
};

Node::Node(const Context& ctx, const Runtime& runtime, Transport* transport, storage::EngineFactory engines, NodeOptions options)
    : impl_(std::make_unique<Impl>(ctx, runtime, transport, std::move(engines), std::move(options))) {}
Node::~Node() = default;

Task<absl::Status> Node::Start(const Context& ctx) { return impl_->Start(ctx); }
Task<absl::Status> Node::Stop(const Context& ctx) { return impl_->Stop(ctx); }
absl::Status Node::ready() const { return impl_->Ready(); }
void Node::FillStatus(const v1::NodeStatusRequest& request, v1::NodeStatusResponse* out) const { impl_->FillStatus(request, out); }
Database* Node::database() { return impl_->database(); }
const GcQueue& Node::gc() const { return impl_->store().gc(); }
void Node::SetDraining(bool draining) { impl_->store().SetDraining(draining); }

Task<absl::Status> InitNodeStore(const Context& ctx, Runtime runtime, storage::EngineFactory engines, std::string path, std::string cluster_id, uint64_t node_id,
                                 uint64_t nodes) {
  StoreIdent ident{.cluster_id = std::move(cluster_id), .node_id = node_id, .store_id = node_id, .members = {}};
  for (uint64_t id = 1; id <= nodes; ++id) ident.members.push_back({.node_id = id, .store_id = id});
  co_return co_await InitStore(ctx, runtime, std::move(engines), std::move(path), std::move(ident));
}

}  // namespace insula::kv
