// Which ranges of a store have garbage worth collecting, and when; and collecting it.
//
//   an entry of a range is applied ─► the range is in the queue, due when what is garbage now is older than the time to live
//
//   due ─► lease here? ─► garbage worth a walk? ─► what is protected ─► GcRequest, GcRequest, … ─► due again, or out of the queue
//              │ no            │ not yet: due again
//              ▼
//             out: its leaseholder has it in its own queue (every new lease begins with an entry)
//
// What is garbage is told by the range's statistics: versions that are not a key's newest, and deletions. A walk over a range is worth
// it when a tenth of its bytes, or some megabytes, are garbage that was there one time to live ago, or after eight times that time in any
// case. Ranges that hold garbage when the store starts are in the queue as if they had just been written to.
//
// Invariants:
//   Q1  A range stays in the queue of its leaseholder's store until its garbage is gone, written to or not; then it leaves. The queue waits
//       for the earliest of its ranges and for nothing else, and an empty queue has no timer: at rest it costs nothing.
//   Q2  A threshold is at most the protected timestamps that were read at GcRequest.policy_at or later, and at least the time to live away
//       from it.
//   Q3  One batch at a time and store; between batches the store rests four times as long as the last one took.
// Not promised: that garbage goes at a certain time. A range whose statistics show none is not looked at.
// Loop thread only.
#ifndef INSULA_KV_STORE_GC_QUEUE_H_
#define INSULA_KV_STORE_GC_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/hlc/hlc.h"
#include "base/runtime/executor.h"
#include "kv/api/sender.h"
#include "kv/keys/keys.h"
#include "kv/metrics/store_metrics.h"
#include "kv/multiraft/range_group.h"
#include "kv/store/gc_policy.h"

namespace insula::kv {

struct GcOptions {
  Duration default_ttl = std::chrono::hours(4);  // where no setting says otherwise
  uint64_t versions_per_batch = 1000;            // removed; ten times as many are looked at
  Duration policy_age = std::chrono::seconds(10);  // how long what was read of settings and protections serves
  int64_t worth_share = 10;   // garbage of at least 1 / so many of the range's bytes is worth a walk
  int64_t worth_bytes = 8 << 20;  // as are so many, however large the range
  int64_t worth_after = 8;    // times to live after which any is
};

class GcQueue {
 public:
  struct Counters {
    uint64_t walks = 0;
    uint64_t batches = 0;
    uint64_t removed = 0;
    uint64_t failures = 0;
  };

  // `sender`: null while there is no way to the ranges yet. `find`: a range on this store, or null.
  GcQueue(Executor* executor, GcOptions options, std::function<Sender*()> sender, std::function<RangeGroup*(RangeId)> find,
          StoreMetrics* metrics = StoreMetrics::Nowhere())
      : executor_(executor), options_(options), sender_(std::move(sender)), find_(std::move(find)), metrics_(metrics) {
    policy_.default_ttl = options.default_ttl;
  }

  // An entry of `range` was applied here.
  void Wrote(RangeId range);
  // `range` came to be here, by the store's start or a split: if it holds garbage, as Wrote.
  void Found(RangeId range);
  // Collects for as long as `ctx`.
  Task<void> Run(Context ctx);

  size_t size() const { return entries_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  struct Garbage {
    int64_t versions = 0;
    int64_t bytes = 0;  // about
  };
  struct Entry {
    MonoTime due{};
    MonoTime written{};      // the last time
    MonoTime since{};        // of the first garbage that no walk has seen
    MonoTime marked{};
    Garbage garbage;         // when it was marked: by one time to live later all of it is old enough
    Timestamp threshold;     // of the last walk
    int failures = 0;
  };

  void Schedule(RangeId range, Entry& entry, MonoTime due);
  static Garbage GarbageOf(const RangeGroup& group);
  void Mark(Entry& entry, const RangeGroup& group, MonoTime now) const;
  bool IsWorthIt(const Entry& entry, const RangeGroup& group, Duration ttl, MonoTime now) const;
  // Somebody leads the range; kAborted: another store's replica.
  Task<absl::Status> EnsureLed(const Context& ctx, RangeId range);
  void Drop(RangeId range);
  Task<void> Visit(const Context& ctx, RangeId range);
  Task<absl::Status> Collect(const Context& ctx, RangeId range, Timestamp threshold, bool only_tidy);
  Task<absl::Status> RefreshPolicy(const Context& ctx, Duration max_age);
  void Reschedule();

  Executor* const executor_;
  const GcOptions options_;
  const std::function<Sender*()> sender_;
  const std::function<RangeGroup*(RangeId)> find_;
  StoreMetrics* const metrics_;
  GcPolicy policy_;
  MonoTime policy_tried_{};  // {}: never
  MonoTime policy_read_{};
  bool policy_wanted_ = false;
  std::map<RangeId, Entry> entries_;
  std::set<std::pair<MonoTime, RangeId>> due_;
  Condition changed_;
  Counters counters_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_GC_QUEUE_H_
