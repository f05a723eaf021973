// Lets requests of one range through one after another: first latches, then locks; whoever waits for a lock pushes its holder.
//
//   Sequence ─► latches ─► lock table ─► evaluate ─► (propose, apply) ─► the ticket goes
//                 ▲            │ in the way                 │ met a lock in the engine
//                 │            ▼                            ▼
//                 └── wait: signalled, or after a delay push the holder's record and resolve what it left ◄─┘
//
// No latch is held while a request waits for a lock. After Sequence has returned OK the ticket holds its latches, and nothing in the
// lock table is in the way for as long as it does.
//
// A push (kv/txn/push.h) waits at the holder's record until the holder ends, and finds deadlocks; here it is only awaited.
// Loop thread only.
#ifndef INSULA_KV_CONCURRENCY_SEQUENCER_H_
#define INSULA_KV_CONCURRENCY_SEQUENCER_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/concurrency/latches.h"
#include "kv/concurrency/lock_table.h"
#include "kv/metrics/store_metrics.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// What waiting needs of the rest of the node.
class Pusher {
 public:
  virtual ~Pusher() = default;
  // The pushee as the push left it: finished, or with its timestamp moved. With `wait` unset, a LockConflict error if neither.
  virtual Task<absl::StatusOr<v1::Transaction>> Push(const Context& ctx, v1::PushTxnRequest push) = 0;
  // Resolves what `txn` (finished or pushed) has on `keys` of this range, and tells the lock table. `pushed_at`: what Now said
  // before the push was sent.
  virtual Task<absl::Status> Resolve(const Context& ctx, v1::Transaction txn, std::vector<std::string> keys, Timestamp pushed_at) = 0;
  // The leaseholder's clock.
  virtual Timestamp Now() = 0;
};

struct SequencerOptions {
  Duration lock_push_delay = 50ms;    // until the holder of an unreplicated lock, or of a claim, is pushed
  Duration intent_push_delay = 5ms;   // until the holder of an intent is
  size_t remembered_txns = 1000;      // finished transactions that need no push
  StoreMetrics* metrics = StoreMetrics::Nowhere();  // outlives the sequencer
};

// A lock that an evaluation met in the engine.
struct DiscoveredLock {
  std::string key;
  v1::TxnMeta holder;  // write_ts: the intent's
  LockStrength strength = LockStrength::kExclusive;
  bool intent = false;
};

class Sequencer {
 public:
  struct Spec {
    const v1::TxnMeta* txn = nullptr;  // null: not transactional. Outlives the ticket, as do the bytes of the spans
    v1::WaitPolicy policy = v1::WAIT_BLOCK;
    Duration lock_timeout = Duration::zero();  // zero: none
    std::vector<LatchSpan> latches;
    std::vector<LockSpan> locks;
  };

  // A request's latches and its place in the lock table's queues.
  class Ticket {
   public:
    explicit Ticket(Spec spec) : spec_(std::move(spec)) {}
    bool waited() const { return waited_; }
    const LockTable::Request* request() const { return request_.get(); }
    // Gives everything back; the destructor does, too.
    void Finish() {
      latches_.Release();
      request_.reset();
    }

   private:
    friend class Sequencer;
    Spec spec_;
    LatchManager::Guard latches_;
    std::unique_ptr<LockTable::Request> request_;
    bool waited_ = false;
    int rounds_ = 0;
    std::optional<MonoTime> lock_deadline_;
  };

  Sequencer(Executor* executor, LockTable* table, Pusher* pusher, SequencerOptions options = {})
      : executor_(executor), table_(table), pusher_(pusher), options_(options) {}

  // Without waiting: true if nothing is in the way. Else call Sequence.
  bool TrySequence(Ticket& ticket);
  // LockConflict, Deadlock and TxnAborted errors (kv/api/error.h), or why `ctx` ended.
  Task<absl::Status> Sequence(const Context& ctx, Ticket& ticket);
  // The evaluation met `locks`: waits for them, then as Sequence. Its reads look at values up to `limit`, and an intent that is moved
  // above `push_above` is not in their way any more.
  Task<absl::Status> WaitForDiscovered(const Context& ctx, Ticket& ticket, std::vector<DiscoveredLock> locks, Timestamp limit = {},
                                       Timestamp push_above = {});

  // `txn` is known to be finished: its waiters here need no push. What it holds is as in its record: status, commit timestamp, ignored.
  void OnFinished(const v1::Transaction& txn);
  // Whether it is known here that `txn` was aborted: what it had locked may be gone.
  bool IsAborted(std::string_view txn_id) const;
  // Sees every key whose unreplicated lock goes (the timestamp cache has to know).
  void set_on_release(std::function<void(std::string_view key)> fn) { on_release_ = std::move(fn); }

  LatchManager& latches() { return latches_; }

 private:
  Task<absl::Status> WaitForLatches(const Context& ctx, Ticket& ticket);
  Task<absl::Status> WaitForLock(const Context& ctx, Ticket& ticket);
  Task<absl::Status> PushWhileWaiting(const Context& ctx, Ticket& ticket, LockTable::Blocker blocker);
  Task<absl::Status> Touch(const Context& ctx, Ticket& ticket);
  Task<absl::Status> CleanUp(const Context& ctx, v1::Transaction pushee, std::string key, Timestamp pushed_at);
  Duration PushDelay(const LockTable::Blocker& blocker) const;
  v1::PushTxnRequest PushRequest(const Ticket& ticket, const LockTable::Blocker& blocker) const;
  std::optional<v1::Transaction> Finished(const v1::TxnMeta& txn) const;

  Executor* executor_;
  LockTable* table_;
  Pusher* pusher_;
  SequencerOptions options_;
  LatchManager latches_;
  std::function<void(std::string_view)> on_release_ = [](std::string_view) {};
  struct Outcome {
    v1::TxnStatus status;
    Timestamp commit_ts;
    google::protobuf::RepeatedPtrField<v1::IgnoredSequences> ignored;
  };
  std::map<std::string, Outcome, std::less<>> finished_;
  std::deque<std::string> finished_order_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_CONCURRENCY_SEQUENCER_H_
