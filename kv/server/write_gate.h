// How much tenants may write while a disk that they write to does not keep up: that of this node's store, or of one with replicas of what is
// written here (Store::WritePressure).
//
//   pressure   0 ───── 0.25 ───── 0.5 ─────────────── 1
//              nothing is held back                    the engine itself holds back every write, and with it the loop: consensus,
//                                 tenants' writes      leases and all tenants
//                                 share a rate
//
// The engine says how near it is to that (storage::EngineFigures::write_pressure). From one half on, what tenants write takes bytes from
// one bucket of the node, in weighted fair order. Its rate begins at what was let in of late and moves with each look, a period apart:
//
//   p >= 0.5      rate × (1.5 - p), by half at most     less comes in than the disk took while the pressure rose
//   p <  0.5      rate × 1.25                           it falls: room for more
//   p <  0.25     the gate opens
//
// Invariants:
//   W1  Work-conserving, and never shut: at any pressure `min_rate` bytes a second pass.
//   W2  Between tenants that wait, bytes let in ÷ weight differ by at most one batch of each (FairQueue F1).
//   W3  Nothing polls: the engine is asked as writes come, a period apart at least, and a timer runs only while somebody waits.
// What ends a transaction, and the system's own writes, never wait; what tenants' cost is charged.
// Loop thread only.
#ifndef INSULA_KV_SERVER_WRITE_GATE_H_
#define INSULA_KV_SERVER_WRITE_GATE_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/executor.h"
#include "kv/server/fair_queue.h"
#include "kv/server/server_metrics.h"
#include "tenant/token_bucket.h"

namespace insula::kv {

struct WriteGateOptions {
  Duration period = 250ms;
  int64_t min_rate = 1 << 20;  // bytes per second
};

class WriteGate {
 public:
  // From 0 (nothing to do) to 1 (the engine holds writes back); above is as 1.
  using Pressure = std::function<double()>;

  // Outlives all who wait.
  WriteGate(Executor* executor, ServerMetrics* metrics, Pressure pressure, WriteGateOptions options = {});

  // Whether `bytes` of `flow` may be written now; if so, they are accounted for.
  bool TryPass(FairQueue::Flow* flow, uint64_t bytes);
  // Until it is their turn. Not OK: the context ended, or the flow was turned away.
  Task<absl::Status> Wait(Context ctx, FairQueue::Flow* flow, uint64_t bytes, int priority);
  // They are written in any case.
  void Charge(FairQueue::Flow* flow, uint64_t bytes);
  // Ends all waits of `flow` with `why`.
  void TurnAway(FairQueue::Flow* flow, const absl::Status& why);

  // Bytes per second; nullopt: nothing is held back.
  std::optional<int64_t> rate() const { return bucket_ ? std::optional(rate_) : std::nullopt; }
  size_t queued() const { return queue_.size(); }

 private:
  struct Waiter;

  void Look(MonoTime now);
  void SetRate(int64_t rate, MonoTime now);
  void Open();
  Task<void> LetIn();

  Executor* const executor_;
  ServerMetrics* const metrics_;
  const Pressure pressure_;
  const WriteGateOptions options_;
  FairQueue queue_;
  std::optional<TokenBucket> bucket_;  // while writes are held back
  int64_t rate_ = 0;                   // of the bucket
  uint64_t let_in_ = 0;                // bytes since the last look
  MonoTime looked_{};
  Condition waits_;
  TaskGroup tasks_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_WRITE_GATE_H_
