// What the store says of itself and its ranges to people.
#include <algorithm>
#include <utility>

#include "kv/keys/keys.h"
#include "kv/store/store.h"

namespace insula::kv {
namespace {

constexpr size_t kHotRanges = 20;

RangeLoadFigures LoadOf(const RaftGroup& group) { return group.state_machine() == nullptr ? RangeLoadFigures() : group.state_machine()->load(); }

void FillDescriptor(const v1::RangeDescriptor& d, v1::RangeStatus* row) {
  row->set_start_key(d.start_key());
  row->set_end_key(d.end_key());
  row->set_pretty_start(keys::Pretty(d.start_key()));
  row->set_generation(d.generation());
  for (const auto& r : d.replicas()) {
    row->add_replica_nodes(r.node_id());
    if (r.learner()) row->add_learner_nodes(r.node_id());
  }
}

}  // namespace

void Store::FillRangeStatus(const RaftGroup& group, v1::RangeStatus* row) const {
  const RangeId range = group.range_id();
  row->set_range_id(range);
  FillDescriptor(group.descriptor(), row);
  row->set_leader_node(group.leader_node());
  row->set_leaseholder(group.holds_lease());
  row->set_applied_index(group.applied_index());
  row->set_last_index(log_->LastIndex(range));
  row->set_term(group.status().hard_state.term);
  row->set_asleep(!group.awake);
  const RangeLoadFigures load = LoadOf(group);
  row->set_batches_per_second(load.batches_per_second);
  row->set_writes_per_second(load.writes_per_second);
  row->set_live_bytes(static_cast<uint64_t>(std::max<int64_t>(0, group.stats().live_bytes)));
  row->set_total_bytes(static_cast<uint64_t>(std::max<int64_t>(0, group.stats().total_bytes)));
  if (group.stopped()) row->set_problem(group.stop_reason().ToString());
}

void Store::FillStatus(bool ranges, v1::NodeStatusResponse* out) const {
  out->set_node_id(options_.node_id);
  out->set_cluster_id(ident_.cluster_id);
  out->set_ranges(multiraft_.groups().size());
  out->set_leases(lease_count());
  out->set_ready(ready());
  out->set_now(clock_.Peek().bits);
  out->set_locality(options_.locality);
  int64_t used = 0;
  for (const auto& [range, group] : multiraft_.groups()) used += std::max<int64_t>(0, group->stats().total_bytes);
  out->set_used_bytes(static_cast<uint64_t>(used));
  if (options_.disk_space) {
    if (auto space = options_.disk_space(); space.ok()) {
      out->set_capacity_bytes(space->capacity_bytes);
      out->set_available_bytes(space->available_bytes);
    }
  }
  if (started_) {
    for (StoreId store : multiraft_.options().stores) (*out->mutable_supported_stores())[store] = multiraft_.liveness().SupportFor(store).supported;
  }
  if (!ranges) return;
  for (const auto& [range, group] : multiraft_.groups()) FillRangeStatus(*group, out->add_range_list());
  for (const auto& [range, d] : damaged_) {
    v1::RangeStatus* row = out->add_range_list();
    row->set_range_id(range);
    FillDescriptor(d, row);
    if (auto it = problems_.find(range); it != problems_.end()) row->set_problem(it->second.ToString());
  }
}

void Store::FillHotRanges(size_t limit, v1::HotRangesResponse* out) const {
  if (limit == 0) limit = kHotRanges;
  std::vector<std::pair<double, RangeId>> hot;
  for (const auto& [range, group] : multiraft_.groups()) {
    if (!group->initialized() || !group->holds_lease()) continue;
    if (const double rate = LoadOf(*group).batches_per_second; rate >= kLeastRate) hot.emplace_back(-rate, range);
  }
  std::sort(hot.begin(), hot.end());
  if (hot.size() > limit) hot.resize(limit);
  for (const auto& [negative, range] : hot) FillRangeStatus(*multiraft_.Find(range), out->add_ranges());
}

}  // namespace insula::kv
