// What the store says of itself to other stores, and what placement sees of its ranges.
#include <algorithm>
#include <tuple>
#include <utility>

#include "base/log/log.h"
#include "kv/store/store.h"

namespace insula::kv {
namespace {

constexpr size_t kMostStoppedSaid = 64;
constexpr Duration kWrittenLately = std::chrono::seconds(1);

double Floor(double rate) { return rate < kLeastRate ? 0 : rate; }

RangeLoadFigures LoadOf(const RaftGroup& group) { return group.state_machine() == nullptr ? RangeLoadFigures() : group.state_machine()->load(); }

}  // namespace

void Store::StartPlacement() {
  std::vector<StoreMember> members = ident_.members;
  const StoreMember self{options_.node_id, options_.store_id};
  if (std::find(members.begin(), members.end(), self) == members.end()) members.push_back(self);
  for (const StoreMember& m : members) {
    v1::NodeRecord record;
    record.set_node_id(m.node_id);
    record.set_store_id(m.store_id);
    if (m == self) record.set_locality(options_.locality);
    pool_.SetMember(record);
  }
  for (const auto& [range, group] : multiraft_.groups()) {
    for (const auto& r : group->descriptor().replicas()) pool_.Meet(r.node_id(), r.store_id());
  }
  pool_.SetWritePressure([this] { return engine_->figures().write_pressure; });
  replicate_.SetReplicas(std::max(3, static_cast<int>(ident_.members.size())));
  tasks_.Spawn(replicate_.Run(tasks_.ctx()));
}

// ---------------------------------------------------------------------------------------------------------- for other stores

// Counting takes a look at every range. While nothing happens to any of them, it need not be done again.
void Store::CountOwn() {
  const StoreMetrics& m = *options_.metrics;
  const auto happened = std::tuple(m.batches, m.applied_entries, m.leases_acquired, m.leases_lost, stops_, multiraft_.groups().size());
  const bool at_rest = own_.batches_per_second == 0 && own_.writes_per_second == 0;
  if (own_.counted && at_rest && happened == own_.happened) return;
  own_ = {.counted = true, .happened = happened};
  for (const auto& [range, group] : multiraft_.groups()) {
    if (!group->initialized()) continue;
    if (group->stopped()) own_.stopped[range] = group->replica_id();
    own_.ranges += 1;
    own_.bytes += std::max<int64_t>(0, group->stats().total_bytes);
    if (!group->holds_lease()) continue;
    own_.leases += 1;
    own_.batches_per_second += Floor(LoadOf(*group).batches_per_second);
  }
  own_.writes_per_second = Floor(writes_.PerSecond(runtime_.executor->Now()));
}

// The number of the replica here that has this descriptor. One that it does not name applied its own removal: that is the one whose log this
// is, or, if the log does not say, none that was made later. So a successor, which may be named before this one is gone, is not meant.
ReplicaId Store::ReplicaIdHere(const v1::RangeDescriptor& descriptor) const {
  if (const v1::ReplicaDescriptor* replica = ReplicaOn(descriptor, options_.store_id); replica != nullptr) return replica->replica_id();
  const ReplicaId logs = log_->Replica(descriptor.range_id());
  return logs != 0 ? logs : descriptor.next_replica_id() - 1;
}

// As many as fit into a message that goes along every few seconds; when those have been replaced, others follow.
void Store::SayStopped(v1::StoreLoad* load) const {
  auto& said = *load->mutable_stopped_replicas();
  for (const auto& [range, descriptor] : damaged_) {
    if (said.size() >= kMostStoppedSaid) return;
    said[range] = ReplicaIdHere(descriptor);
  }
  for (const auto& [range, replica] : own_.stopped) {
    if (said.size() >= kMostStoppedSaid) return;
    said[range] = replica;
  }
}

void Store::ReplicaStopped(RangeId) {
  ++stops_;
  pool_.SayNow();
}

bool Store::TakesReplicas(StoreId store) {
  const placement::ClusterView cluster = pool_.View();
  const placement::StoreView* s = cluster.Find(store);
  return s != nullptr && s->liveness == placement::Liveness::kLive && s->state == v1::NODE_ACTIVE;
}

double Store::WritePressure() const {
  if (!started_) return 0;
  double highest = pool_.WritePressureOf(options_.store_id);
  const MonoTime now = runtime_.executor->Now();
  for (const auto& [store, at] : written_to_) {
    if (now - at < kWrittenLately) highest = std::max(highest, pool_.WritePressureOf(store));
  }
  return highest;
}

void Store::FillLoad(v1::StoreLoad* load) {
  load->set_node_id(options_.node_id);
  load->set_store_id(options_.store_id);
  load->set_locality(options_.locality);
  load->set_address(options_.address);
  load->set_draining(draining_);
  load->set_at(clock_.Peek().bits);
  if (!started_) return;
  if (options_.meta_range) {
    if (v1::RangeDescriptor meta = options_.meta_range(); meta.range_id() != 0) *load->mutable_meta_range() = std::move(meta);
  }
  CountOwn();
  load->set_ranges(own_.ranges);
  load->set_leases(own_.leases);
  load->set_used_bytes(static_cast<uint64_t>(own_.bytes));
  load->set_batches_per_second(own_.batches_per_second);
  load->set_writes_per_second(own_.writes_per_second);
  SayStopped(load);
  if (!options_.disk_space) return;
  if (auto space = options_.disk_space(); space.ok()) {
    load->set_capacity_bytes(space->capacity_bytes);
    load->set_available_bytes(space->available_bytes);
  } else {
    LOG_WARNING("the space left on the disk is not known", {"why", space.status()});
  }
}

void Store::LoadHeard(const v1::StoreLoad& load) {
  if (!started_) return;
  if (options_.load_heard) options_.load_heard(load);
  pool_.Heard(load);
}

void Store::SupportChanged(const std::set<StoreId>& stores) {
  for (StoreId store : stores) pool_.SupportChanged(store);
}

void Store::SetMembers(const std::vector<v1::NodeRecord>& members) {
  for (const v1::NodeRecord& record : members) {
    pool_.SetMember(record);
    if (record.store_id() == options_.store_id) continue;
    if (record.state() == v1::NODE_DECOMMISSIONED) {
      multiraft_.RemoveStore(record.store_id());
    } else {
      multiraft_.AddStore(record.store_id());
    }
  }
}

void Store::SetDraining(bool draining) {
  if (draining_ == draining) return;
  draining_ = draining;
  pool_.SayNow();
  replicate_.WalkNow();
}

// ------------------------------------------------------------------------------------------------------------- for placement

std::vector<RangeId> Store::Ranges() {
  std::vector<RangeId> out;
  for (const auto& [range, group] : multiraft_.groups()) out.push_back(range);
  return out;
}

std::optional<PlacedRanges::Look> Store::LookAt(RangeId range) {
  auto group = multiraft_.Find(range);
  if (group == nullptr || group->stopped() || !group->initialized()) return std::nullopt;
  Look look;
  look.leads = group->holds_lease();
  look.leader_is_live = look.leads || group->LeaderLooksAlive();
  look.view.descriptor = &group->descriptor();
  look.view.leaseholder = look.leads ? options_.store_id : 0;
  look.view.bytes = static_cast<double>(std::max<int64_t>(0, group->stats().total_bytes));
  const RangeLoadFigures load = LoadOf(*group);
  look.view.batches_per_second = Floor(load.batches_per_second);
  look.view.writes_per_second = Floor(load.writes_per_second);
  return look;
}

Task<absl::Status> Store::AskForLease(Context ctx, RangeId range) {
  auto group = multiraft_.Find(range);
  if (group == nullptr) co_return absl::NotFoundError("the range is not on this store any more");
  co_return (co_await group->AcquireLease(ctx, clock_.Peek())).status();
}

}  // namespace insula::kv
