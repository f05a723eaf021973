// When a tenant's batch may begin on this node. A tenant that floods slows down itself only; a tenant alone gets the whole node.
//
//   batch ─► bounds? ─ no ─► refused: Unavailable, come back later
//              │ yes
//              ▼
//          its tenant has a plan, and nothing to spend? ─ yes ─► waits until it has (PlanGate)
//              │ no
//              ▼
//          it writes, and the disk does not keep up? ─ yes ─► waits for a part of what the disk takes (WriteGate)
//              │ no
//              ▼            room in this turn of the loop, nothing of the tenant waits, and
//          TryAdmit ─ yes ─ tokens in its bucket, or nobody waits and half the turn is free ──► begins at once
//              │ no
//              ▼
//        the tenant's queue ── at each turn's end: the next ones by weighted fair queueing, one turn's worth ──► begin
//
// A *turn* is one pass through what is ready on the node's loop. All logic of a node runs on that one thread, so turns get long exactly
// when the node is busy, and what is admitted per turn is bounded: whatever else is ready (consensus, liveness, the system's own batches)
// comes to its turn after some milliseconds at most. While the loop has time left, turns are short and many, and nobody waits. Nothing
// here is a slot that a batch keeps while it waits for a lock: so a commit never waits for those that wait for it.
//
// Invariants:
//   A1  Work-conserving: while batches wait, every turn admits one at least.
//   A2  A tenant that comes back after a pause waits for at most one turn and one batch of each other tenant that waits (FairQueue F2).
//   A3  Batches and bytes under way (waiting, running, answers not sent) and streams are bounded per tenant, bytes per node, too.
//       Batches that end a transaction may use a reserve on top.
//   A4  The system's own batches never wait; they take from tenants at most half of a turn.
//   A5  While the store's disk does not keep up, what tenants write waits before its turn (write_gate.h), and what they read does not.
//   A6  What a tenant with a plan spends here is paid for before it begins (plan_gate.h). Nobody forgets a plan or a share while it counts: a
//       tenant that is forgotten here is forgotten by whoever knows its record, too (SetOnForgotten).
// Loop thread only.
#ifndef INSULA_KV_SERVER_ADMISSION_H_
#define INSULA_KV_SERVER_ADMISSION_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/executor.h"
#include "kv/server/fair_queue.h"
#include "kv/server/plan_gate.h"
#include "kv/server/server_metrics.h"
#include "kv/server/write_gate.h"
#include "proto/tenant/admin.pb.h"
#include "tenant/cost_model.h"
#include "tenant/purse.h"
#include "tenant/tenant.h"
#include "tenant/token_bucket.h"

namespace insula::kv {

struct AdmissionOptions {
  CostModel cost;
  MilliRu turn = 20 * kMilliRuPerRu;  // of all tenants together: about 1 ms of the loop
  uint32_t weight = 100;              // of a tenant without one of its own
  int64_t rate_ru = 4000;             // what passes without queueing, per tenant
  int64_t burst_ru = 8000;
  uint64_t node_bytes = 1024 << 20;
  uint64_t tenant_bytes = 256 << 20;
  uint64_t guaranteed_bytes = 1 << 20;  // a tenant with less under way is not refused for the node's sake
  size_t tenant_batches = 10'000;
  size_t tenant_streams = 1024;
  Duration retry_after = 20ms;
  WriteGateOptions writes;
};

class Admission {
  struct Share;

 public:
  // What a batch holds while it is under way: released when this goes.
  class Batch {
   public:
    Batch() = default;
    Batch(Batch&& other) noexcept : admission_(std::exchange(other.admission_, nullptr)), share_(std::move(other.share_)), bytes_(other.bytes_), pot_(other.pot_) {}
    Batch& operator=(Batch&& other) noexcept {
      std::swap(admission_, other.admission_);
      std::swap(share_, other.share_);
      std::swap(bytes_, other.bytes_);
      std::swap(pot_, other.pot_);
      return *this;
    }
    ~Batch();
    bool valid() const { return admission_ != nullptr; }
    // Whether the tenant's plan pays for it now; to be asked first. `finishing`: it ends a transaction.
    bool TryPlan(MilliRu cost, bool finishing) { return admission_->TryPlan(*share_, cost, finishing, &pot_); }
    Task<absl::Status> AdmitPlan(Context ctx, MilliRu cost, bool finishing, int priority) {
      return admission_->WaitForPlan(std::move(ctx), share_, cost, finishing, priority, &pot_);
    }
    // Whether it may begin now; if so, `cost` is accounted for.
    bool TryAdmit(MilliRu cost) { return admission_->TryAdmit(*share_, cost); }
    // Waits for its turn. Not OK: the context ended, or the tenant was turned away meanwhile; it has left the queue.
    Task<absl::Status> Admit(Context ctx, MilliRu cost, int priority) { return admission_->Wait(std::move(ctx), share_, cost, priority); }
    // The same for what it writes, as far as the disk goes; to be asked before its turn.
    bool TryWrite(uint64_t bytes) { return admission_->TryWrite(*share_, bytes); }
    Task<absl::Status> AdmitWrite(Context ctx, uint64_t bytes, int priority) { return admission_->WaitToWrite(std::move(ctx), share_, bytes, priority); }
    // It writes so much in any case.
    void ChargeWrite(uint64_t bytes) { admission_->ChargeWrite(*share_, bytes); }
    // It cost so much more than was said.
    void Charge(MilliRu cost) { admission_->Charge(*share_, pot_, cost); }
    // Holds so many bytes from now on: the answer in place of the request.
    void SetBytes(uint64_t bytes);

   private:
    friend class Admission;
    Admission* admission_ = nullptr;
    std::shared_ptr<Share> share_;
    uint64_t bytes_ = 0;
    Purse::Pot pot_ = Purse::Pot::kNone;  // what of the plan has paid
  };

  // One open stream of a tenant.
  class Stream {
   public:
    Stream(Stream&& other) noexcept : admission_(std::exchange(other.admission_, nullptr)), share_(std::move(other.share_)) {}
    Stream& operator=(Stream&&) = delete;
    ~Stream();
    // kUnavailable (KV error with the time to wait) when too much of the tenant is under way. `finishing`: it ends a transaction.
    absl::StatusOr<Batch> Begin(uint64_t bytes, bool finishing) { return admission_->Begin(share_, bytes, finishing); }

   private:
    friend class Admission;
    Stream(Admission* admission, std::shared_ptr<Share> share) : admission_(admission), share_(std::move(share)) {}
    Admission* admission_;
    std::shared_ptr<Share> share_;
  };

  // Outlives all streams and batches.
  Admission(Executor* executor, ServerMetrics* metrics, AdmissionOptions options = {}, WriteGate::Pressure disk = [] { return 0.0; }, Borrowing borrowing = {});
  ~Admission();

  // kUnavailable (KV error) when the tenant has too many.
  absl::StatusOr<Stream> OpenStream(TenantId tenant);
  // The tenant's part of this node, as its record says.
  void SetShare(TenantId tenant, const insula::tenant::v1::NodeShare& share);
  // What it may spend in the whole cluster, likewise.
  void SetPlan(const insula::tenant::v1::TenantRecord& record);
  // Told of each tenant whose share and plan are remembered no more: both have to be set when it is back.
  void SetOnForgotten(std::function<void(TenantId)> on_forgotten) { on_forgotten_ = std::move(on_forgotten); }
  // Ends all waits of the tenant with `why` (it was suspended, say).
  void TurnAway(TenantId tenant, const absl::Status& why);
  // A batch of the system's own begins.
  void ChargeSystem(MilliRu cost);

  const CostModel& cost_model() const { return options_.cost; }
  size_t queued() const { return queue_.size(); }
  const WriteGate& writes() const { return writes_; }
  const PlanGate& plans() const { return plans_; }
  uint64_t bytes() const { return bytes_; }
  size_t tenants() const { return shares_.size(); }

 private:
  struct Waiter;

  absl::StatusOr<Batch> Begin(const std::shared_ptr<Share>& share, uint64_t bytes, bool finishing);
  bool TryPlan(Share& share, MilliRu cost, bool finishing, Purse::Pot* pot);
  Task<absl::Status> WaitForPlan(Context ctx, std::shared_ptr<Share> share, MilliRu cost, bool finishing, int priority, Purse::Pot* pot);
  bool TryAdmit(Share& share, MilliRu cost);
  Task<absl::Status> Wait(Context ctx, std::shared_ptr<Share> share, MilliRu cost, int priority);
  void Charge(Share& share, Purse::Pot pot, MilliRu cost);
  bool TryWrite(Share& share, uint64_t bytes);
  Task<absl::Status> WaitToWrite(Context ctx, std::shared_ptr<Share> share, uint64_t bytes, int priority);
  void ChargeWrite(Share& share, uint64_t bytes);
  absl::Status PushBack(Share& share, const char* what);
  void Spent(MilliRu cost);
  Task<void> Turns();
  void EndTurn();
  void ForgetIdle();
  MilliRu used() const { return spent_ + std::min(system_spent_, options_.turn / 2); }

  Executor* executor_;
  ServerMetrics* metrics_;
  AdmissionOptions options_;
  std::map<TenantId, std::shared_ptr<Share>> shares_;
  MonoTime last_forgetting_;
  FairQueue queue_;
  WriteGate writes_;
  PlanGate plans_;
  std::function<void(TenantId)> on_forgotten_;
  uint64_t bytes_ = 0;
  MilliRu spent_ = 0;         // of this turn, by tenants
  MilliRu system_spent_ = 0;  // and by the system
  bool turn_open_ = false;    // something was spent, or waits: the turn's end is to be noticed
  Condition opened_;
  TaskGroup tasks_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_ADMISSION_H_
