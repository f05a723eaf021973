#include "kv/server/node.h"

#include <optional>
#include <set>
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
#include "kv/server/cluster_version.h"
#include "kv/server/denial_log.h"
#include "kv/server/members.h"
#include "kv/server/membership.h"
#include "kv/server/node_metrics.h"
#include "kv/server/node_service.h"
#include "kv/server/node_store.h"
#include "kv/server/plan_lender.h"
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
constexpr Duration kNobodyTakes = std::chrono::seconds(2);     // with nothing under way
constexpr Duration kDrainLook = std::chrono::milliseconds(100);  // during a drain

v1::BatchResponse ErrorResponse(const absl::Status& status) {
  v1::BatchResponse response;
  *response.mutable_error() = ToKvError(status);
  return response;
}

std::string OwnAddress(const NodeOptions& options) {
  auto it = options.peers.find(options.node_id);
  return it == options.peers.end() ? "" : it->second;
}

std::vector<std::string> Bootstrap(const NodeOptions& options) {
  std::vector<std::string> out;
  for (auto& [id, address] : options.peers) out.push_back(address);
  out.insert(out.end(), options.join.begin(), options.join.end());
  return out;
}

MembershipOptions MembershipOptionsFor(const NodeOptions& options) {
  return {.cluster_id = options.cluster_id, .node_id = options.node_id, .address = OwnAddress(options), .locality = options.locality, .build = options.version};
}

// The file of known nodes lies beside the store's others.
std::string MembersFile(const NodeOptions& options) { return options.store_path + "/NODES"; }

}  // namespace

class Node::Impl : private BatchExecutor, private SystemLeadership, private NodeBackend {
 public:
  Impl(const Context& ctx, const Runtime& runtime, Transport* transport, storage::EngineFactory engines, NodeOptions options)
      : options_(std::move(options)),
        registry_(options_.metrics == nullptr ? &own_registry_ : options_.metrics),
        metrics_(registry_),
        denials_(runtime.executor, &metrics_),
        guarded_(transport, [this](const Identity& caller, const PeerIdentity& peer, std::string_view method) { denials_.Denied("method", caller, peer, method); }),
        executor_(runtime.executor),
        members_(runtime, MembersFile(options_), options_.node_id, options_.peers),
        database_(MakeDatabase(ctx, runtime, transport, {.sender = {.bootstrap = Bootstrap(options_)}, .coordinator = {}})),
        store_(runtime, &guarded_, std::move(engines), StoreOptionsFor(runtime)),
        term_(database_.get(), [this] { return LeaseSequence(keys::kSystemRange); }),
        tenants_(database_.get(), &term_, runtime.clock),
        gate_([this](const Context& read, TenantId id) { return tenants_.GetById(read, id); }),
        admission_(runtime.executor, &metrics_, {}, [this] { return store_.WritePressure(); }, BorrowingFor(transport)),
        batches_(this, &gate_, &admission_, &denials_, &metrics_),
        tenant_service_(&tenants_, &term_, this, transport),
        lender_(runtime.executor, this, transport, &metrics_),
        watch_(this, transport, OwnAddress(options_), &gate_),
        nodes_(database_.get(), &term_),
        membership_(MembershipOptionsFor(options_), &nodes_, &members_, this, transport, MembershipHooks()),
        version_gate_(runtime.files, options_.store_path + "/VERSION", options_.supported_version),
        versions_(database_.get(), this, [this] { return MembersThatStay(); }),
        version_follower_(options_.node_id, this, transport, OwnAddress(options_), &version_gate_, options_.on_fatal),
        tasks_(ctx) {
    gate_.SetOnRecord([this](const TenantRecord& record) {
      admission_.SetShare(record.id(), record.node_share());
      admission_.SetPlan(record);
    });
    admission_.SetOnForgotten([this](TenantId tenant) { gate_.Forget(tenant); });
    gate_.SetOnRefused([this](TenantId tenant, const absl::Status& why) { admission_.TurnAway(tenant, why); });
    RegisterStoreMetrics(store_metrics_, registry_);
    RegisterNodeMetrics(registry_, [store = std::weak_ptr<Store*>(reachable_)]() -> Store* {
      auto reachable = store.lock();
      return reachable != nullptr && (*reachable)->started() ? *reachable : nullptr;
    });
    batches_.Register(&guarded_);
    tenant_service_.Register(&guarded_);
    lender_.Register(&guarded_);
    membership_.Register(&guarded_);
    versions_.Register(&guarded_);
    RegisterNodeService(&guarded_, this);
  }

  Task<absl::Status> Start(const Context& ctx) {
    members_.Load();
    CO_RETURN_IF_ERROR(version_gate_.Load());
    CO_RETURN_IF_ERROR(co_await store_.Start(ctx));
    store_.SetSender(&database_->sender());
    tasks_.Spawn(watch_.Run(tasks_.ctx()));
    tasks_.Spawn(lender_.Run(tasks_.ctx()));
    tasks_.Spawn(FollowMembers());
    tasks_.Spawn(membership_.Run(tasks_.ctx()));
    tasks_.Spawn(version_follower_.Run(tasks_.ctx()));
    co_return absl::OkStatus();
  }

  void SetLeaving(bool leaving) {
    leaving_ = leaving;
    if (store_.started()) ApplyMembers();
  }
  Task<absl::Status> Drain(const Context& ctx) {
    SetLeaving(true);
    co_return co_await GiveLeasesAway(ctx, {});
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
  void FillStatus(const v1::NodeStatusRequest& request, v1::NodeStatusResponse* out) const override {
    out->set_node_id(options_.node_id);
    out->set_cluster_id(options_.cluster_id);
    out->set_version(options_.version);
    const v1::NodeRecord* self = members_.Find(options_.node_id);
    out->set_state(self != nullptr ? self->state() : v1::NODE_ACTIVE);
    if (leaving_ && out->state() == v1::NODE_ACTIVE) out->set_state(v1::NODE_DRAINING);
    if (store_.started()) store_.FillStatus(request.include_ranges(), out);
  }
  Store& store() { return store_; }
  const Store& store() const { return store_; }
  Database* database() { return database_.get(); }
  uint32_t cluster_version() const { return version_gate_.active(); }

 private:
  // The founders, and whoever came later, but for those that have left for good.
  std::set<uint64_t> MembersThatStay() const {
    std::set<uint64_t> nodes;
    for (const StoreMember& m : store_.ident().members) nodes.insert(m.node_id);
    for (const v1::NodeRecord& record : members_.Records()) {
      if (record.state() == v1::NODE_DECOMMISSIONED) {
        nodes.erase(record.node_id());
      } else {
        nodes.insert(record.node_id());
      }
    }
    return nodes;
  }
  Borrowing BorrowingFor(Transport* transport) {
    return {.ask =
                [this, transport](Context ctx, TenantId tenant, PlanLimits limits, MilliRu wanted) {
                  return BorrowFromLeader(std::move(ctx), this, transport, OwnAddress(options_), tenant, limits, wanted);
                },
            .nodes = [this] { return store_.started() ? static_cast<uint32_t>(MembersThatStay().size()) : 1u; }};
  }
  StoreOptions StoreOptionsFor(const Runtime& runtime) {
    StoreOptions store;
    store.path = options_.store_path;
    store.node_id = options_.node_id;
    store.store_id = options_.node_id;  // one store per node
    store.cluster_id = options_.cluster_id;
    store.locality = options_.locality;
    store.address = OwnAddress(options_);
    store.disk_space = options_.disk_space;
    store.load_heard = [this](const v1::StoreLoad& load) { members_.Heard(load); };
    store.meta_range = [this] {
      if (std::shared_ptr<RaftGroup> meta = store_.Find(keys::kMetaRange); meta != nullptr && meta->initialized()) members_.HeardMeta(meta->descriptor());
      return members_.meta_range();
    };
    store.peer_check = [this](const PeerIdentity& peer, StoreId id) { return members_.CheckPeer(peer, id); };
    store.resolver = [this](StoreId id) -> std::optional<std::string> {
      std::string address = members_.AddressOf(id);
      if (address.empty()) return std::nullopt;
      return address;
    };
    store.factory = [this, executor = runtime.executor](RangeGroup* group) {
      ReplicaDeps deps;
      deps.executor = executor;
      deps.metrics = store_metrics_;
      deps.checks = &store_.checks();
      deps.sender = &database_->sender();
      deps.range_ids = range_ids_;
      deps.node_address = [this](uint64_t node) { return members_.AddressOf(node); };
      deps.local_ranges = [this](std::string_view key, std::string_view end_key) { return store_.LocalRanges(key, end_key); };
      deps.load_split.batches_per_second = options_.split.max_batches_per_second;
      deps.on_busy = [this](uint64_t range, std::string key) { store_.splits().Busy(range, std::move(key)); };
      deps.cluster_version = [this] { return version_gate_.active(); };
      deps.on_lease = [this](uint64_t range, bool) {
        any_lease_changed_.NotifyAll();
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
      if (range == keys::kMetaRange) co_return ErrorResponse(MetaElsewhere());
      const KeySpan span = batch.requests_size() > 0 ? SpanOf(batch.requests(0), batch.header()) : KeySpan();
      const std::string key = batch.requests_size() > 0 ? RoutingKey(batch.requests(0), batch.header()) : "";
      const bool ask = group == nullptr && !key.empty();
      co_return ErrorResponse(RangeMismatchError(ask ? store_.LocalRanges(key, span.end_key) : std::vector<v1::RangeDescriptor>(), StrCat("range ", range, " is not on this node")));
    }
    std::shared_ptr<Replica> replica = ReplicaOf(*group);
    if (replica == nullptr) co_return ErrorResponse(NotLeaseholderError(0, {}));  // about to come to be
    co_return co_await replica->Execute(ctx, std::move(batch));
  }
  // Nobody can look up where the range of all addresses is: who does not have it points at somebody who does.
  absl::Status MetaElsewhere() {
    const v1::RangeDescriptor& meta = members_.meta_range();
    for (int i = 0; i < meta.replicas_size(); ++i) {
      const v1::ReplicaDescriptor& r = meta.replicas(static_cast<int>((pointed_ + static_cast<size_t>(i)) % static_cast<size_t>(meta.replicas_size())));
      const std::string address = members_.AddressOf(r.node_id());
      if (r.node_id() == options_.node_id || address.empty()) continue;
      ++pointed_;  // the next caller goes to another one, should this one be dead
      return NotLeaseholderError(r.node_id(), address);
    }
    return UnavailableKvError("the range of all addresses is not on this node, nor known to be elsewhere");
  }
  Task<v1::BatchResponse> LookUp(Context ctx, v1::RangeLookupRequest lookup) override {
    v1::BatchRequest batch = NewBatch();
    *batch.add_requests()->mutable_range_lookup() = std::move(lookup);
    co_return co_await database_->sender().Send(ctx, std::move(batch));
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
    if (!store_.started()) co_return absl::UnavailableError("the node is starting");
    std::shared_ptr<RaftGroup> group = store_.Find(keys::kSystemRange);
    if (group == nullptr || !group->initialized()) co_return co_await AskForLeader(ctx);
    LeaseCheck check = group->CheckLease(group->clock().Peek());
    if (check.state == LeaseCheck::State::kNone) {
      auto acquired = co_await group->AcquireLease(ctx.WithTimeout(kLeaderWait), group->clock().Peek());
      if (!acquired.ok()) co_return absl::UnavailableError(StrCat("the registry has no leader: ", std::string(acquired.status().message())));
      check = *acquired;
    }
    if (check.valid()) co_return Leader{.here = true, .address = ""};
    std::string address = members_.AddressOf(check.holder_node);
    if (address.empty()) co_return absl::UnavailableError("the registry's leader is not known");
    co_return Leader{.here = false, .address = address};
  }
  // Where this node has no replica of the system range.
  Task<absl::StatusOr<Leader>> AskForLeader(const Context& ctx) {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(kBatchVersion);
    batch.add_requests()->mutable_lease_info()->set_key(keys::SystemStart());
    v1::BatchResponse response = co_await database_->sender().Send(ctx.WithTimeout(kLeaderWait), std::move(batch));
    if (response.has_error()) co_return absl::UnavailableError(StrCat("the registry's leader is not known: ", response.error().message()));
    const uint64_t node = response.responses(0).lease_info().node_id();
    std::string address = members_.AddressOf(node);
    // A node that is new has heard of the others' addresses with those of ranges only.
    if (address.empty()) address = database_->sender().cache().Address(node);
    if (address.empty()) co_return absl::UnavailableError("the registry's leader has no known address");
    co_return Leader{.here = false, .address = address};
  }
  uint64_t Term() const override { return LeaseSequence(keys::kSystemRange); }
  Condition& changed() override { return lease_changed_; }

  // NodeBackend.
  void FillHotRanges(const v1::HotRangesRequest& request, v1::HotRangesResponse* out) const override {
    if (store_.started()) store_.FillHotRanges(request.limit(), out);
  }
  void FillNodes(v1::ListNodesResponse* out) override {
    for (v1::NodeRecord& record : members_.Records()) {
      auto* member = out->add_nodes();
      member->set_live(IsLive(record.node_id()));
      if (const v1::StoreLoad* load = store_.started() ? store_.pool().Load(record.store_id()) : nullptr; load != nullptr) {
        member->set_replicas(load->ranges());
        member->set_leases(load->leases());
        member->set_used_bytes(load->used_bytes());
        member->set_available_bytes(load->available_bytes());
      }
      *member->mutable_record() = std::move(record);
    }
  }
  Task<absl::Status> DrainByOrder(Context ctx, std::function<Task<absl::Status>(uint64_t)> progress) override {
    if (!store_.started()) co_return absl::UnavailableError("the node is starting");
    CO_RETURN_IF_ERROR(co_await membership_.SetOwnState(ctx, v1::NODE_DRAINING));
    co_return co_await GiveLeasesAway(ctx, std::move(progress));
  }

  // The store gives its leases away by itself once it is draining; this waits for that.
  Task<absl::Status> GiveLeasesAway(const Context& ctx, std::function<Task<absl::Status>(uint64_t)> progress) {
    MonoTime since = executor_->Now();  // of the last lease that went
    for (uint64_t last = store_.lease_count() + 1;;) {
      const uint64_t left = store_.started() ? store_.lease_count() : 0;
      const MonoTime now = executor_->Now();
      if (left < last) since = now;
      if (progress && (left != last || left == 0)) CO_RETURN_IF_ERROR(co_await progress(left));
      if (left == 0) co_return absl::OkStatus();
      if (store_.draining() && store_.replicate().idle() && now - since > kNobodyTakes) {
        const std::string& why = store_.replicate().last_failure();
        co_return absl::UnavailableError(StrCat(left, " leases stay here, as no other node can take them", why.empty() ? "" : StrCat(" (", why, ")")));
      }
      last = left;
      Context wait = ctx.WithTimeout(kDrainLook);
      absl::Status woken = co_await any_lease_changed_.Wait(wait);
      if (!woken.ok()) CO_RETURN_IF_ERROR(ctx.status());
    }
  }

  bool IsLive(uint64_t node) const {
    if (node == options_.node_id) return true;
    return store_.started() && store_.multiraft().liveness().SupportFor(node).supported;
  }
  Membership::Hooks MembershipHooks() {
    return {.founders =
                [this] {
                  std::vector<uint64_t> out;
                  for (const StoreMember& m : store_.ident().members) out.push_back(m.node_id);
                  return out;
                },
            .is_live = [this](uint64_t node) { return IsLive(node); },
            .replicas = [this] { return store_.replicate().placement().replicas; },
            .replicas_on = [this](uint64_t node) -> std::optional<uint64_t> {
              const v1::StoreLoad* load = store_.pool().Load(node);
              return load == nullptr ? std::nullopt : std::optional(load->ranges());
            },
            .on_refused =
                [this](absl::Status why) {
                  if (std::exchange(refused_, true)) return;
                  LOG_ERROR("this node may not take part", {"why", why});
                  if (options_.on_fatal) options_.on_fatal(std::move(why));
                }};
  }
  void ApplyMembers() {
    store_.SetMembers(members_.Records());
    versions_.MembersChanged();
    const v1::NodeRecord* self = members_.Find(options_.node_id);
    store_.SetDraining(leaving_ || (self != nullptr && self->state() == v1::NODE_DRAINING));
    std::vector<std::string> addresses = members_.Addresses();
    addresses.insert(addresses.end(), options_.join.begin(), options_.join.end());
    database_->sender().SetBootstrap(std::move(addresses));
  }
  Task<void> FollowMembers() {
    for (uint64_t seen = ~uint64_t{0};;) {
      if (seen != members_.version()) {
        seen = members_.version();
        ApplyMembers();
        continue;
      }
      if (!(co_await members_.changed().Wait(tasks_.ctx())).ok()) co_return;
    }
  }

  NodeOptions options_;
  metrics::Registry own_registry_;
  metrics::Registry* const registry_;
  ServerMetrics metrics_;
  std::shared_ptr<StoreMetrics> store_metrics_ = std::make_shared<StoreMetrics>();
  std::shared_ptr<RangeIdStock> range_ids_ = std::make_shared<RangeIdStock>();
  DenialLog denials_;
  GuardedTransport guarded_;
  Executor* const executor_;
  Condition lease_changed_;
  Condition any_lease_changed_;
  Members members_;
  std::unique_ptr<ClientDatabase> database_;
  Store store_;
  std::shared_ptr<Store*> reachable_ = std::make_shared<Store*>(&store_);  // for the registry, which may be asked when the node is gone
  RegistryTerm term_;
  TenantStore tenants_;
  TenantGate gate_;
  Admission admission_;
  BatchService batches_;
  TenantService tenant_service_;
  PlanLender lender_;
  RegistryWatch watch_;
  NodeStore nodes_;
  Membership membership_;
  bool leaving_ = false;  // the process is about to end
  bool refused_ = false;
  size_t pointed_ = 0;
  VersionGate version_gate_;
  VersionService versions_;
  VersionFollower version_follower_;
  TaskGroup tasks_;
};

Node::Node(const Context& ctx, const Runtime& runtime, Transport* transport, storage::EngineFactory engines, NodeOptions options)
    : impl_(std::make_unique<Impl>(ctx, runtime, transport, std::move(engines), std::move(options))) {}
Node::~Node() = default;

Task<absl::Status> Node::Start(const Context& ctx) { return impl_->Start(ctx); }
Task<absl::Status> Node::Stop(const Context& ctx) { return impl_->Stop(ctx); }
Task<absl::Status> Node::Drain(const Context& ctx) { return impl_->Drain(ctx); }
absl::Status Node::ready() const { return impl_->Ready(); }
void Node::FillStatus(const v1::NodeStatusRequest& request, v1::NodeStatusResponse* out) const { impl_->FillStatus(request, out); }
Database* Node::database() { return impl_->database(); }
uint32_t Node::cluster_version() const { return impl_->cluster_version(); }
const GcQueue& Node::gc() const { return impl_->store().gc(); }
void Node::SetDraining(bool draining) { impl_->SetLeaving(draining); }

Task<absl::Status> JoinNodeStore(const Context& ctx, Runtime runtime, Transport* transport, storage::EngineFactory engines, std::string path, uint64_t node_id,
                                 std::vector<std::string> members, std::string locality) {
  v1::JoinRequest request;
  request.set_node_id(node_id);
  request.set_locality(locality);
  CO_ASSIGN_OR_RETURN(v1::JoinResponse joined, co_await AskToJoin(ctx, *transport, std::move(members), std::move(request)));
  StoreIdent ident{.cluster_id = joined.cluster_id(), .node_id = node_id, .store_id = node_id, .members = {}};
  for (uint64_t id : joined.founders()) ident.members.push_back({.node_id = id, .store_id = id});
  co_return co_await InitJoiningStore(ctx, runtime, std::move(engines), std::move(path), std::move(ident));
}

Task<absl::Status> InitNodeStore(const Context& ctx, Runtime runtime, storage::EngineFactory engines, std::string path, std::string cluster_id, uint64_t node_id,
                                 uint64_t nodes) {
  StoreIdent ident{.cluster_id = std::move(cluster_id), .node_id = node_id, .store_id = node_id, .members = {}};
  for (uint64_t id = 1; id <= nodes; ++id) ident.members.push_back({.node_id = id, .store_id = id});
  co_return co_await InitStore(ctx, runtime, std::move(engines), std::move(path), std::move(ident));
}

}  // namespace insula::kv
