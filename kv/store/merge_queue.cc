#include "kv/store/merge_queue.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/keys/keys.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr Duration kMergeTimeout = std::chrono::seconds(20);
constexpr Duration kMoveTimeout = std::chrono::minutes(3);
constexpr Duration kLookTimeout = std::chrono::seconds(5);
constexpr int kMaxFailures = 3;  // in a row; then the range waits for its next write

std::set<uint64_t> StoresOf(const v1::RangeDescriptor& range) {
  std::set<uint64_t> stores;
  for (const auto& r : range.replicas()) stores.insert(r.store_id());
  return stores;
}

// Somebody changes its replicas, or may be about to.
bool IsSettled(const v1::RangeDescriptor& range) {
  return std::none_of(range.replicas().begin(), range.replicas().end(), [](const auto& r) { return r.learner() || r.incoming() || r.outgoing(); });
}

bool AreNeighbours(const v1::RangeDescriptor& left, const v1::RangeDescriptor& right) {
  auto keyspace = KeyspaceOf(left.start_key());
  return keyspace && KeyspaceOf(right.start_key()) == keyspace && left.end_key() == right.start_key() && !right.end_key().empty() &&
         right.end_key() <= KeyspacePrefix(*keyspace + 1) && IsSettled(left) && IsSettled(right);
}

}  // namespace

void MergeQueue::Look(const RangeGroup& group) {
  if (!options_.enabled || split_.max_bytes == 0 || !IsSmall(group)) return;
  const v1::RangeDescriptor& range = group.descriptor();
  auto keyspace = KeyspaceOf(range.start_key());
  // A keyspace in one range is the rule, and has nothing to be joined with.
  if (!keyspace || (range.start_key() == KeyspacePrefix(*keyspace) && (range.end_key().empty() || range.end_key() >= KeyspacePrefix(*keyspace + 1)))) return;
  auto [entry, fresh] = entries_.try_emplace(range.range_id());
  entry->second.written = true;
  if (!fresh) return;
  entry->second.due = executor_->Now() + options_.rest;
  changed_.NotifyAll();
}

Task<void> MergeQueue::Run(Context ctx) {
  while (!ctx.done()) {
    auto next = std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.second.due < b.second.due; });
    if (next == entries_.end()) {
      if (!(co_await changed_.Wait(ctx)).ok()) co_return;
      continue;
    }
    if (next->second.due > executor_->Now()) {
      (void)co_await changed_.Wait(ctx.WithDeadline(next->second.due));  // its time has come, or another's
      continue;
    }
    const RangeId range = next->first;
    next->second.written = false;
    absl::Status done = co_await Visit(ctx, range);
    auto entry = entries_.find(range);
    if (ctx.done() || entry == entries_.end()) continue;
    if (!done.ok()) {
      ++counters_.failures;
      LOG_DEBUG("a range could not be merged", {"range", range}, {"why", done.ToString()});
    }
    entry->second.failures = done.ok() ? 0 : entry->second.failures + 1;
    if ((done.ok() && !entry->second.written) || entry->second.failures > kMaxFailures) {
      entries_.erase(entry);
    } else {
      entry->second.due = executor_->Now() + options_.rest;
    }
  }
}

Task<absl::Status> MergeQueue::Visit(const Context& ctx, RangeId range) {
  ++counters_.looks;
  for (const bool left : {false, true}) {
    RangeGroup* group = ranges_.find(range);
    if (group == nullptr || !IsSmall(*group) || ranges_.sender() == nullptr) co_return absl::OkStatus();
    if (!group->CheckLease(group->clock().Peek()).valid()) co_return absl::OkStatus();  // its leaseholder looks at it
    CO_ASSIGN_OR_RETURN(std::optional<v1::RangeDescriptor> neighbour, co_await NeighbourOf(ctx, range, left));
    group = ranges_.find(range);
    if (!neighbour || group == nullptr) continue;
    const v1::RangeDescriptor self = group->descriptor();
    CO_ASSIGN_OR_RETURN(bool merged, co_await (left ? TryMerge(ctx, *neighbour, self) : TryMerge(ctx, self, *neighbour)));
    if (merged) co_return absl::OkStatus();
  }
  co_return absl::OkStatus();
}

// nullopt: in this keyspace there is none, or its address is not written yet.
Task<absl::StatusOr<std::optional<v1::RangeDescriptor>>> MergeQueue::NeighbourOf(const Context& ctx, RangeId range, bool left) {
  if (RangeGroup* here = left ? ranges_.left(range) : ranges_.right(range); here != nullptr) co_return std::optional(here->descriptor());
  const v1::RangeDescriptor self = ranges_.find(range)->descriptor();
  const uint64_t keyspace = *KeyspaceOf(self.start_key());
  const bool last = left ? self.start_key() <= KeyspacePrefix(keyspace) : self.end_key().empty() || self.end_key() >= KeyspacePrefix(keyspace + 1);
  if (last) co_return std::optional<v1::RangeDescriptor>();
  v1::BatchRequest batch = NewBatch();
  if (left) {
    batch.add_requests()->mutable_get()->set_key(keys::Meta2Key(self.start_key()));  // its row is where it ends
  } else {
    batch.add_requests()->mutable_range_lookup()->set_key(self.end_key());
  }
  v1::BatchResponse response = co_await ranges_.sender()->Send(ctx.WithTimeout(kLookTimeout), std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  v1::RangeDescriptor found;
  if (left) {
    if (!response.responses(0).get().has_value()) co_return std::optional<v1::RangeDescriptor>();
    if (!found.ParseFromString(response.responses(0).get().value())) co_return absl::DataLossError("a range descriptor in the meta range is damaged");
  } else if (response.responses(0).range_lookup().ranges_size() > 0) {
    found = response.responses(0).range_lookup().ranges(0);
  }
  const bool beside = left ? found.end_key() == self.start_key() : found.start_key() == self.end_key();
  co_return beside ? std::optional(std::move(found)) : std::nullopt;
}

// Asks both leaseholders: what is asked of a range is known there only.
Task<absl::StatusOr<bool>> MergeQueue::MayMerge(const Context& ctx, const v1::RangeDescriptor& left, const v1::RangeDescriptor& right) {
  double batches = 0;
  for (const v1::RangeDescriptor* range : {&left, &right}) {
    v1::BatchRequest batch = NewBatch();
    batch.add_requests()->mutable_range_stats()->set_key(range->start_key());
    v1::BatchResponse response = co_await ranges_.sender()->Send(ctx.WithTimeout(kLookTimeout), std::move(batch));
    if (response.has_error()) co_return FromKvError(response.error());
    const v1::RangeStatsResponse& stats = response.responses(0).range_stats();
    if (static_cast<int64_t>(stats.total_bytes()) >= SmallBytes()) co_return false;
    if (std::chrono::microseconds(stats.settled_us()) < options_.rest) co_return false;
    batches += stats.batches_per_second();
  }
  co_return split_.max_batches_per_second == 0 || batches < split_.max_batches_per_second / 4;
}

// Replicas of `right` to where those of `left` are.
Task<absl::Status> MergeQueue::MoveTo(const Context& ctx, const v1::RangeDescriptor& left, const v1::RangeDescriptor& right) {
  const std::set<uint64_t> to = StoresOf(left), from = StoresOf(right);
  v1::BatchRequest batch = NewBatch();
  auto* change = batch.add_requests()->mutable_admin_change_replicas();
  change->set_key(right.start_key());
  change->set_expected_generation(right.generation());
  for (const auto& r : left.replicas()) {
    if (from.contains(r.store_id())) continue;
    change->add_add()->set_store_id(r.store_id());
    change->mutable_add(change->add_size() - 1)->set_node_id(r.node_id());
  }
  for (const auto& r : right.replicas()) {
    if (to.contains(r.store_id())) continue;
    change->add_remove()->set_store_id(r.store_id());
    change->mutable_remove(change->remove_size() - 1)->set_node_id(r.node_id());
  }
  v1::BatchResponse response = co_await ranges_.sender()->Send(ctx.WithTimeout(kMoveTimeout), std::move(batch));
  if (response.has_error()) co_return FromKvError(response.error());
  PROBE("a range was moved to its left neighbour's stores");
  LOG_INFO("a small range was moved to its left neighbour's stores", {"left", left.range_id()}, {"right", right.range_id()});
  ++counters_.moved;
  co_return absl::OkStatus();
}

Task<absl::StatusOr<bool>> MergeQueue::TryMerge(const Context& ctx, v1::RangeDescriptor left, v1::RangeDescriptor right) {
  if (!AreNeighbours(left, right)) co_return false;
  const std::set<uint64_t> stores = StoresOf(left);
  const bool apart = stores != StoresOf(right);
  if (apart && !std::all_of(stores.begin(), stores.end(), ranges_.takes)) co_return false;
  CO_ASSIGN_OR_RETURN(bool may, co_await MayMerge(ctx, left, right));
  if (!may) co_return false;
  if (apart) CO_RETURN_IF_ERROR(co_await MoveTo(ctx, left, right));
  v1::BatchResponse response = co_await ranges_.sender()->Send(ctx.WithTimeout(kMergeTimeout), MergeBatch(left.start_key()));
  if (response.has_error()) co_return FromKvError(response.error());
  LOG_INFO("two small ranges were merged", {"left", left.range_id()}, {"right", right.range_id()});
  ++counters_.merged;
  co_return true;
}

}  // namespace insula::kv
