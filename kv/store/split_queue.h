// Ranges of a store that have become too large, or are asked for too much, and splitting them.
//
//   an entry was applied, a lease came ─► larger than allowed, lease here? ─► queue ─► a key in the middle of its bytes ─► AdminSplit
//   a range found out that it is busy, and where (kv/replica/range_load.h) ──┘
//
// The meta ranges and the system's are split like others, where they may be (keys::MaySplitAt). A range that is one row, however large, has
// no middle: it is looked at again when it has grown.
// Invariants:
//   S1  A range that is not written to leaves the queue, split or not, and an empty queue has no timer: at rest it costs nothing.
//   S2  The key is that of a row in the range, above its start, or where what must stay together ends. Rows lie in one key each, so none is cut.
// Loop thread only.
#ifndef INSULA_KV_STORE_SPLIT_QUEUE_H_
#define INSULA_KV_STORE_SPLIT_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/runtime/executor.h"
#include "kv/api/sender.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/range_group.h"

namespace insula::kv {

struct SplitOptions {
  int64_t max_bytes = 128 << 20;  // of all versions; 0: no splits by size
  double max_batches_per_second = 10'000;  // of one range; 0: no splits by load
};

class SplitQueue {
 public:
  struct Counters {
    uint64_t by_size = 0;
    uint64_t by_load = 0;
    uint64_t failures = 0;
  };

  // `sender`: null while there is no way to the ranges yet. `find`: a range on this store, or null.
  SplitQueue(Executor* executor, SplitOptions options, std::function<Sender*()> sender, std::function<RangeGroup*(RangeId)> find)
      : executor_(executor), options_(options), sender_(std::move(sender)), find_(std::move(find)) {}

  // An entry of `group` was applied here, or its lease came. Cheap for ranges that are small enough.
  void Look(const RangeGroup& group);
  // The range is asked for too much, and `key` halves that.
  void Busy(RangeId range, std::string key);
  // Splits for as long as `ctx`.
  Task<void> Run(Context ctx);

  size_t size() const { return entries_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  struct Entry {
    MonoTime due{};
    std::string key;  // where to split; empty: in the middle of its bytes
    int failures = 0;
  };

  bool TooLarge(const RangeGroup& group) const;
  Task<absl::Status> Visit(const Context& ctx, RangeId range, std::string key);

  Executor* const executor_;
  const SplitOptions options_;
  const std::function<Sender*()> sender_;
  const std::function<RangeGroup*(RangeId)> find_;
  std::map<RangeId, Entry> entries_;
  std::map<RangeId, int64_t> whole_;  // ranges without a middle, and how large they were then
  Condition changed_;
  Counters counters_;
};

// The key of the row in front of which the bytes that the engine holds of `range` are halved best, of those that a range may begin with.
// kNotFound: there is none above its start.
Task<absl::StatusOr<std::string>> FindMiddle(const Context& ctx, storage::Engine& engine, const v1::RangeDescriptor& range, int64_t total_bytes);

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_SPLIT_QUEUE_H_
