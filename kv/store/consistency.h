// One store's part in comparing replicas: sums of its replicas' rows as of an entry of their logs, and what follows from being wrong.
//
//   entry with a check id is applied ─► engine snapshot, at once ─► rows read and summed up in the background ─► kept for who asks
//   Stores/Checksum ─► known? done? ─► sum, statistics counted anew ─► `expected` differs ─► the replica stops, for good
//   a range is written to ─► ConsistencyQueue ─► a day later, if the lease is here ─► check_consistency
//
// Invariants:
//   K1  A sum is over the rows as of exactly one applied entry: the snapshot is taken in the same step of the loop that applied it.
//   K2  What is summed up is the same on all replicas by construction: all rows of the range but the applied state's, of which the sum
//       holds what every replica has alike (how far it is applied, the statistics).
//   K3  Reading is one range at a time and at most `bytes_per_second`; the loop is given back every `kReadBytes`.
//   K4  A replica that has been told of a sum of the majority that is not its own serves nothing and votes for nobody any more, after
//       restarts neither; only its destruction ends that (a new replica of the range on this store has another id).
// Not promised: that a check ends with a result. A crash, a split that is late or a snapshot may lose it; then there is none.
// Loop thread only.
#ifndef INSULA_KV_STORE_CONSISTENCY_H_
#define INSULA_KV_STORE_CONSISTENCY_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/runtime.h"
#include "base/runtime/transport.h"
#include "kv/api/sender.h"
#include "kv/keys/keys.h"
#include "kv/metrics/store_metrics.h"
#include "kv/multiraft/log_engine.h"
#include "kv/multiraft/raft_group.h"
#include "kv/multiraft/store_streams.h"
#include "kv/replica/checks.h"
#include "proto/kv/raft.pb.h"

namespace insula::kv {

struct ConsistencyOptions {
  Duration interval = std::chrono::hours(24);      // between a range's first write since its last comparison and the next
  uint64_t bytes_per_second = 16 << 20;            // read for sums, per store
  Duration patience = std::chrono::minutes(10);    // of one comparison
};

// What the log engine keeps of a replica that stopped itself (K4), by its range.
std::string DivergedMeta(RangeId range);
// OK, or why `replica` takes no part.
absl::Status CheckDiverged(const LogEngine& log, RangeId range, ReplicaId replica);

class ConsistencyChecker : public ReplicaChecks {
 public:
  static constexpr char kMethod[] = "/insula.kv.v1.Stores/Checksum";

  // Registers its handler with `transport`, which must not listen yet.
  ConsistencyChecker(const Runtime& runtime, Transport* transport, StoreId self, StoreResolver resolver, ConsistencyOptions options, StoreMetrics* metrics);
  ~ConsistencyChecker() override;

  void Start(LogEngine* log, std::function<std::shared_ptr<RaftGroup>(RangeId)> find);
  void Stop();

  // `group` has just applied the entry of check `id` (K1).
  void Applied(RaftGroup* group, const std::string& id);

  // ReplicaChecks.
  std::string NewCheckId() override { return runtime_.random->Bytes(16); }
  Task<absl::StatusOr<v1::ChecksumReply>> Checksum(Context ctx, StoreId store, v1::ChecksumRequest request) override;
  Duration patience() const override { return options_.patience; }

 private:
  struct Check {
    RangeId range = 0;
    ReplicaId replica = 0;
    v1::RangeDescriptor descriptor;
    RangeState state;
    std::unique_ptr<storage::Reader> rows;  // until they are read
    Event done;
    v1::ChecksumReply reply;
  };
  using CheckPtr = std::shared_ptr<Check>;

  Task<void> Compute(CheckPtr check);
  Task<absl::StatusOr<std::string>> Sum(Check& check, mvcc::Stats* stats);
  Task<absl::StatusOr<v1::ChecksumReply>> Answer(Context ctx, v1::ChecksumRequest request);
  Task<absl::Status> StopReplica(Context ctx, CheckPtr check, std::string expected);
  void Forget();

  Runtime runtime_;
  Transport* transport_;
  const StoreId self_;
  StoreResolver resolver_;
  const ConsistencyOptions options_;
  StoreMetrics* metrics_;
  LogEngine* log_ = nullptr;
  std::function<std::shared_ptr<RaftGroup>(RangeId)> find_;
  std::map<std::string, CheckPtr> checks_;  // by id
  std::deque<std::string> order_;           // of their beginning
  size_t unread_ = 0;                       // that hold a snapshot
  Condition arrived_;
  Semaphore reading_{1};
  std::shared_ptr<ConsistencyChecker*> alive_;  // for the handler, which the transport keeps
  std::unique_ptr<TaskGroup> tasks_;
};

// Ranges that were written to since their replicas were last compared, each due an interval after its first such write.
// At rest it is empty and has no timer.
class ConsistencyQueue {
 public:
  ConsistencyQueue(Executor* executor, Duration interval, std::function<Sender*()> sender, std::function<RangeGroup*(RangeId)> find, StoreMetrics* metrics)
      : executor_(executor), interval_(interval), sender_(std::move(sender)), find_(std::move(find)), metrics_(metrics) {}

  // An entry of `range` was applied here.
  void Wrote(RangeId range);
  // Compares one range after another for as long as `ctx`.
  Task<void> Run(Context ctx);
  size_t size() const { return due_at_.size(); }

 private:
  void Schedule(RangeId range, MonoTime due);
  void Drop(RangeId range);
  Task<void> Visit(const Context& ctx, RangeId range);
  // Whether the range is clean: nothing was written since the comparison.
  Task<absl::StatusOr<bool>> Compare(const Context& ctx, RangeId range);

  Executor* const executor_;
  const Duration interval_;
  const std::function<Sender*()> sender_;
  const std::function<RangeGroup*(RangeId)> find_;
  StoreMetrics* const metrics_;
  std::map<RangeId, MonoTime> due_at_;
  std::set<std::pair<MonoTime, RangeId>> due_;
  Condition changed_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_CONSISTENCY_H_
