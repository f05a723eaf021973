// Small, quiet ranges of one keyspace that lie side by side, and joining them.
//
//   an entry of a small range was applied, lease here ─► queue, due after a rest ─► small and quiet still, a neighbour that is as well?
//                                                                                  ─► the right one's replicas go to the left one's stores
//                                                                                  ─► AdminMerge of the left one of the two
//
// A merge moves no data, so both sides have to lie on the same stores first: then the right one is moved as any range is, by a change of its
// replicas (kv/replica/replica_change.cc), if all stores of the left one take replicas.
//
//   small  under a quarter of what a range is split at; two together under half of that: what is joined is not split again at once
//   quiet  asked for under a quarter of what a range is split at for its load, two together
//   rest   neither split nor merged, nor led by another, for so long: splits on purpose stand at least that long
//
// Ranges never leave their keyspace, so keyspaces that were split off before their tenants stay so.
// Invariant: a range that is not written to leaves the queue after one look, and an empty queue has no timer: at rest it costs nothing.
// Loop thread only.
#ifndef INSULA_KV_STORE_MERGE_QUEUE_H_
#define INSULA_KV_STORE_MERGE_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/executor.h"
#include "kv/api/sender.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/range_group.h"
#include "kv/store/split_queue.h"

namespace insula::kv {

struct MergeOptions {
  bool enabled = true;
  Duration rest = std::chrono::minutes(10);
};

class MergeQueue {
 public:
  struct Counters {
    uint64_t merged = 0;
    uint64_t moved = 0;  // ranges, to their left neighbour's stores
    uint64_t looks = 0;
    uint64_t failures = 0;
  };
  // What the queue sees of its store.
  struct Ranges {
    std::function<Sender*()> sender;                       // null while there is no way to the ranges yet
    std::function<RangeGroup*(RangeId)> find;              // on this store, or null
    std::function<RangeGroup*(RangeId)> left, right;       // the neighbour of a range, if it is on this store, too
    std::function<bool(StoreId)> takes = [](StoreId) { return true; };  // replicas: it is live, and to be given some
  };

  MergeQueue(Executor* executor, MergeOptions options, SplitOptions split, Ranges ranges)
      : executor_(executor), options_(options), split_(split), ranges_(std::move(ranges)) {}

  // An entry of `group` was applied here, where its lease is; or that came.
  void Look(const RangeGroup& group);
  // Merges for as long as `ctx`.
  Task<void> Run(Context ctx);

  size_t size() const { return entries_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  struct Entry {
    MonoTime due{};
    bool written = false;  // since it was last looked at
    int failures = 0;
  };

  int64_t SmallBytes() const { return split_.max_bytes / 4; }
  bool IsSmall(const RangeGroup& group) const { return group.stats().total_bytes < SmallBytes(); }
  Task<absl::Status> Visit(const Context& ctx, RangeId range);
  Task<absl::StatusOr<std::optional<v1::RangeDescriptor>>> NeighbourOf(const Context& ctx, RangeId range, bool left);
  Task<absl::StatusOr<bool>> MayMerge(const Context& ctx, const v1::RangeDescriptor& left, const v1::RangeDescriptor& right);
  Task<absl::Status> MoveTo(const Context& ctx, const v1::RangeDescriptor& left, const v1::RangeDescriptor& right);
  Task<absl::StatusOr<bool>> TryMerge(const Context& ctx, v1::RangeDescriptor left, v1::RangeDescriptor right);

  Executor* const executor_;
  const MergeOptions options_;
  const SplitOptions split_;
  const Ranges ranges_;
  std::map<RangeId, Entry> entries_;
  Condition changed_;
  Counters counters_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_MERGE_QUEUE_H_
