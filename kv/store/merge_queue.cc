#include "kv/store/merge_queue.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log/log.h"
#include "base/status_macros.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "tenant/tenant.h"

namespace insula::kv {
namespace {

constexpr Duration kMergeTimeout = std::chrono::seconds(20);
constexpr Duration kLookTimeout = std::chrono::seconds(5);
constexpr int kMaxFailures = 3;  // in a row; then the range waits for its next write

std::set<uint64_t> StoresOf(const v1::RangeDescriptor& range) {
  std::set<uint64_t> stores;
  for (const auto& r : range.replicas()) stores.insert(r.store_id());
  return stores;
}

bool AreNeighbours(const v1::RangeDescriptor& left, const v1::RangeDescriptor& right) {
  auto keyspace = KeyspaceOf(left.start_key());
  return keyspace && KeyspaceOf(right.start_key()) == keyspace && left.end_key() == right.start_key() && !right.end_key().empty() &&
         right.end_key() <= KeyspacePrefix(*keyspace + 1) && StoresOf(left) == StoresOf(right);
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
  RangeGroup* group = ranges_.find(range);
  if (group == nullptr || !IsSmall(*group) || ranges_.sender() == nullptr) co_return absl::OkStatus();
  if (!group->CheckLease(group->clock().Peek()).valid()) co_return absl::OkStatus();  // its leaseholder looks at it
  if (RangeGroup* right = ranges_.right(range); right != nullptr) {
    CO_ASSIGN_OR_RETURN(bool merged, co_await TryMerge(ctx, range, right->range_id()));
    if (merged) co_return absl::OkStatus();
  }
  if (RangeGroup* left = ranges_.left(range); left != nullptr) CO_RETURN_IF_ERROR((co_await TryMerge(ctx, left->range_id(), range)).status());
  co_return absl::OkStatus();
}

// Asks both leaseholders: what is asked of a range is known there only.
Task<absl::StatusOr<bool>> MergeQueue::IsQuiet(const Context& ctx, const v1::RangeDescriptor& left, const v1::RangeDescriptor& right) {
  double batches = 0;
  for (const v1::RangeDescriptor* range : {&left, &right}) {
    v1::BatchRequest batch;
    batch.mutable_header()->set_version(kBatchVersion);
    batch.add_requests()->mutable_range_stats()->set_key(range->start_key());
    v1::BatchResponse response = co_await ranges_.sender()->Send(ctx.WithTimeout(kLookTimeout), std::move(batch));
    if (response.has_error()) co_return FromKvError(response.error());
    const v1::RangeStatsResponse& stats = response.responses(0).range_stats();
    if (std::chrono::microseconds(stats.settled_us()) < options_.rest) co_return false;
    batches += stats.batches_per_second();
  }
  co_return split_.max_batches_per_second == 0 || batches < split_.max_batches_per_second / 4;
}

Task<absl::StatusOr<bool>> MergeQueue::TryMerge(const Context& ctx, RangeId left_id, RangeId right_id) {
  RangeGroup* left = ranges_.find(left_id);
  RangeGroup* right = ranges_.find(right_id);
  if (left == nullptr || right == nullptr || !AreNeighbours(left->descriptor(), right->descriptor()) || !IsSmall(*left) || !IsSmall(*right)) co_return false;
  const v1::RangeDescriptor a = left->descriptor(), b = right->descriptor();
  CO_ASSIGN_OR_RETURN(bool quiet, co_await IsQuiet(ctx, a, b));
  if (!quiet) co_return false;
  v1::BatchResponse response = co_await ranges_.sender()->Send(ctx.WithTimeout(kMergeTimeout), MergeBatch(a.start_key()));
  if (response.has_error()) co_return FromKvError(response.error());
  LOG_INFO("two small ranges were merged", {"left", left_id}, {"right", right_id});
  ++counters_.merged;
  co_return true;
}

}  // namespace insula::kv
