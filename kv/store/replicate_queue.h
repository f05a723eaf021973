// Carries out what kv/placement decides for the ranges whose lease is here.
//
//   a store died, came, changed its state, carries noticeably more or less ─► a walk over all ranges here: a look at each, none is woken
//   a lease came, a change was made ───────────────────────────────────────► a look at that range
//                                                                              │
//   look: lease here? ─► Decide ─► nothing: forgotten                          │
//            │ no                └─► in the queue, most urgent first ─► AdminChangeReplicas, AdminTransferLease ─► look again
//            └─► nobody leads, and something is to be done for it: the first live replica asks for the lease
//
// Invariants:
//   R1  Only a leaseholder acts, and on a descriptor whose generation it names: whoever decided on an old one changes nothing.
//   R2  One change of replicas, or transfer of a lease for load's sake, at a time and store; a few transfers of leases that must go.
//   R3  A range of which nothing is wanted is neither woken nor written to. At rest there is no timer (one per silent store aside).
//   R4  A walk for load's sake happens at most every `drift_rest`; what is urgent does not wait for that.
// Not promised: that something is done at a certain time. What fails is tried again a few times, later and later, then at the next event.
// Loop thread only.
#ifndef INSULA_KV_STORE_REPLICATE_QUEUE_H_
#define INSULA_KV_STORE_REPLICATE_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "base/runtime/executor.h"
#include "kv/api/sender.h"
#include "kv/keys/keys.h"
#include "kv/metrics/store_metrics.h"
#include "kv/placement/placement.h"
#include "kv/store/store_pool.h"

namespace insula::kv {

struct ReplicateOptions {
  bool enabled = true;
  placement::Options placement;
  size_t transfers_at_once = 16;
  Duration drift_rest = std::chrono::seconds(10);
  Duration walk_rest = std::chrono::seconds(1);  // between walks, whatever happens
  Duration unsettled_for = std::chrono::seconds(30);  // somebody may be at a learner or a joint change for so long without a sign
  Duration change_timeout = std::chrono::minutes(5);
  Duration first_retry = std::chrono::seconds(1);
  int max_failures = 8;  // in a row
};

// The ranges of the store, as the queue looks at them.
class PlacedRanges {
 public:
  virtual ~PlacedRanges() = default;
  struct Look {
    placement::RangeView view;      // its descriptor is good until the next wait
    bool leads = false;             // the lease is here
    bool leader_is_live = false;    // somebody's lease may be good
  };
  virtual std::vector<RangeId> Ranges() = 0;
  // nullopt: not here, or it takes no part.
  virtual std::optional<Look> LookAt(RangeId range) = 0;
  // Asks for the lease. Returns when somebody has it.
  virtual Task<absl::Status> AskForLease(Context ctx, RangeId range) = 0;
};

class ReplicateQueue {
 public:
  struct Counters {
    uint64_t walks = 0;
    uint64_t looks = 0;
    uint64_t changes = 0;    // done
    uint64_t transfers = 0;  // done
    uint64_t woken = 0;
    uint64_t failures = 0;
  };

  // `sender`: null while there is no way to the ranges yet.
  ReplicateQueue(Executor* executor, ReplicateOptions options, StorePool* pool, PlacedRanges* ranges, std::function<Sender*()> sender, StoreMetrics* metrics = StoreMetrics::Nowhere())
      : executor_(executor), options_(options), pool_(pool), ranges_(ranges), sender_(std::move(sender)), metrics_(metrics) {}

  // A range came to be led from here, or its replicas changed.
  void Touch(RangeId range);
  // Looks at all ranges, soon.
  void WalkNow();
  // The number of replicas that ranges are to have.
  void SetReplicas(int replicas) { options_.placement.replicas = replicas; }
  const placement::Options& placement() const { return options_.placement; }
  // Acts for as long as `ctx`.
  Task<void> Run(Context ctx);

  const Counters& counters() const { return counters_; }
  size_t size() const { return queue_.size(); }
  bool idle() const { return queue_.empty() && busy_.empty() && touched_.empty() && !walking_; }
  const std::string& last_failure() const { return last_failure_; }

 private:
  using Order = std::tuple<int, uint64_t, RangeId>;  // urgency, arrival
  struct Entry {
    placement::Action action;
    uint64_t number = 0;
  };
  struct Trouble {
    int failures = 0;
    MonoTime next{};
  };
  struct Unsettled {
    uint64_t generation = 0;
    MonoTime since{};
  };

  Task<void> Walk(Context ctx);
  void LookAt(RangeId range, const placement::ClusterView& view);
  bool Settled(const v1::RangeDescriptor& descriptor);
  void Enqueue(RangeId range, placement::Action action);
  void Drop(RangeId range);
  void CountPending();
  // What the range would need if its lease were here.
  bool NeedsALeader(const PlacedRanges::Look& look, const placement::ClusterView& view) const;
  // Starts what may be started.
  void Start(TaskGroup& group);
  Task<void> Act(Context ctx, RangeId range, bool at_once);
  Task<absl::Status> Carry(const Context& ctx, const v1::RangeDescriptor& range, const placement::Action& action, const placement::ClusterView& view);
  void Failed(RangeId range, const placement::Action& action, const absl::Status& why);
  std::optional<MonoTime> NextWake() const;
  bool WalkWanted() const;

  Executor* const executor_;
  ReplicateOptions options_;
  StorePool* const pool_;
  PlacedRanges* const ranges_;
  const std::function<Sender*()> sender_;
  StoreMetrics* const metrics_;
  std::map<RangeId, Entry> entries_;
  std::set<Order> queue_;
  std::set<RangeId> busy_;
  size_t changing_ = 0, transferring_ = 0;
  std::set<RangeId> touched_;
  std::map<RangeId, Trouble> trouble_;
  std::map<RangeId, Unsettled> unsettled_;
  uint64_t next_number_ = 0;
  uint64_t seen_urgent_ = 0, seen_drifted_ = 0;
  MonoTime last_walk_{};
  bool walk_wanted_ = true;
  std::optional<MonoTime> return_at_;  // to ranges that got no leader
  int unled_walks_ = 0;                // in a row that left such behind
  bool walking_ = false;
  Counters counters_;
  std::string last_failure_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_REPLICATE_QUEUE_H_
