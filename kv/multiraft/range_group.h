// The seam between consensus and the replica: one range's group, as kv/replica sees it, and the replica, as the group sees it.
//
//   kv/replica                          RangeGroup                                  other stores
//   CheckLease / AcquireLease ────────► leader with its quorum's support? ◄───────► raft
//   evaluate at the leaseholder
//   Propose(command) ─────────────────► log of the group ─────────────────────────►
//                                       committed: on every replica, in log order,
//   BeforeApply(command, batch) ◄─────    checks C1, C2 (command.h)
//                                         write set + applied state: one engine batch
//   AfterApply(command) ◄─────────────    visible in the engine
//   Propose returns ◄─────────────────
//
// Rules for the replica:
//   G1  Evaluate and Propose under a lease that CheckLease called valid for the timestamps served; put its sequence in the command.
//   G2  What is evaluated after a Propose does not see its effects until it returned: hold latches over what it touches.
//   G3  A lease starts at `start`: no write at or below it, as another leaseholder may have served reads there.
//   G4  Callbacks are made on the loop, one at a time, never inside a call into the group, and do not wait.
//
// Thread safety: loop thread only.
#ifndef INSULA_KV_MULTIRAFT_RANGE_GROUP_H_
#define INSULA_KV_MULTIRAFT_RANGE_GROUP_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/hlc/hlc.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/command.h"
#include "kv/mvcc/stats.h"
#include "kv/storage/engine.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

struct Lease {
  uint64_t sequence = 0;  // the leader's term
  Timestamp start;        // at or above every timestamp served under earlier leases: floor of the timestamp cache
};

struct LeaseCheck {
  enum class State {
    kValid,      // this replica may serve at the timestamp asked for
    kElsewhere,  // another replica leads, as far as is known: `holder_node`
    kNone,       // nobody is known to lead, or this replica leads without enough support (yet): AcquireLease
  };
  State state = State::kNone;
  Lease lease;               // kValid
  Timestamp valid_until;     // kValid: exclusive
  uint64_t holder_node = 0;  // kElsewhere
  bool valid() const { return state == State::kValid; }
};

struct ApplyResult {
  uint64_t index = 0;
  uint64_t term = 0;
};

// What is asked of a range where its lease is, of late; nothing elsewhere.
struct RangeLoadFigures {
  double batches_per_second = 0;
  double writes_per_second = 0;  // batches that write
  Duration settled = Duration::zero();  // since the range was last split or merged, or the lease came
};

class RangeStateMachine;

class RangeGroup {
 public:
  virtual ~RangeGroup() = default;

  virtual RangeId range_id() const = 0;
  virtual ReplicaId replica_id() const = 0;
  virtual uint64_t node_id() const = 0;
  virtual StoreId store_id() const = 0;
  // As of the last applied entry. The reference is good until the next wait.
  virtual const v1::RangeDescriptor& descriptor() const = 0;
  virtual const mvcc::Stats& stats() const = 0;
  virtual uint64_t applied_index() const = 0;
  virtual storage::Engine& engine() = 0;
  virtual HybridClock& clock() = 0;

  // May this replica serve at max(now, t)? A valid answer is a promise kept towards later leases: t counts as served from now on.
  virtual LeaseCheck CheckLease(Timestamp t) = 0;
  // Wakes the group if it sleeps, and campaigns if nobody leads and nobody may be leading: until kValid, kElsewhere, or the
  // context ends (its status).
  virtual Task<absl::StatusOr<LeaseCheck>> AcquireLease(Context ctx, Timestamp t) = 0;

  // Replicates `command` and applies it here. Several may be under way; they apply in the order proposed. Errors:
  //   kAborted            for certain not applied, and never will be: leadership was lost. Check the lease, evaluate again.
  //   kResourceExhausted  for certain not applied: the disk is full (disk_status()) or too much is under way.
  //   kUnavailable        for certain not applied: the range is stopping.
  //   kUnknown            it may or may not be applied (then or later): the context ended, the store stops, or a snapshot hid it.
  virtual Task<absl::StatusOr<ApplyResult>> Propose(Context ctx, Command command) = 0;

  // Whether more bytes are proposed and not applied than is good: consensus does not keep up. What is proposed nevertheless is taken.
  virtual bool ProposalsPileUp() const = 0;
  // Until they do not, or the context ends.
  virtual Task<absl::Status> AwaitProposalRoom(Context ctx) = 0;

  // As Propose, for a command with `change`: a step from the present descriptor to that one, whose generation is the next (conf_change.h
  // says which steps there are). Applied, it is the group's configuration as well. Keep splits, merges and other steps out until it
  // returns. Besides: kInvalidArgument for no step; kAborted also while consensus does not allow it (another is not applied yet, leases
  // have to run out, this replica would lead without a vote): again a little later.
  virtual Task<absl::StatusOr<ApplyResult>> ProposeChange(Context ctx, Command command) = 0;
  // Whether `replica` follows closely: of the leader, to be asked under a lease.
  virtual bool IsCaughtUp(ReplicaId replica) const = 0;
  // Until it does. kAborted: the lease was lost.
  virtual Task<absl::Status> AwaitCaughtUp(Context ctx, ReplicaId replica) = 0;
  // Tells `store` that replicas of `held`, which is this range or one that it has taken in, with ids below `next_replica` are gone for good,
  // and so are ranges that had ended by `held` (HasEnded), until it says that it holds none; waits for a store that is not heard of, without
  // asking. For a removed replica whose removal a majority of those who remain knows: an entry that was proposed after the removal was
  // applied is applied (kv/raft/raw_node.h, rule 11). kAborted: the lease was lost.
  virtual Task<absl::Status> Evict(Context ctx, StoreId store, ReplicaId next_replica, v1::RangeDescriptor held) = 0;

  // Asks the replica on `store` to lead. Returns when this one does not lead any more (kUnavailable: it goes on), or the context ends.
  virtual Task<absl::Status> TransferLease(Context ctx, StoreId store) = 0;

  // Until every replica's log holds everything up to `index`. kFailedPrecondition: this replica does not lead (any more).
  virtual Task<absl::Status> AwaitReplicated(Context ctx, uint64_t index) = 0;

  // The replica takes no part any more: what it holds is damaged, for this reason (kDataLoss).
  virtual void StopDamaged(const absl::Status& why) = 0;

  // kResourceExhausted while the store's disk is full: refuse writes before evaluating them.
  virtual absl::Status disk_status() const = 0;

  virtual RangeStateMachine* state_machine() const = 0;
};

// The replica of one range on one store, as the group drives it. Owned by the group; made by a factory when the range comes to be
// on this store (bootstrap, start, split, snapshot), destroyed with it.
class RangeStateMachine {
 public:
  virtual ~RangeStateMachine() = default;

  struct Applied {
    const Command* command = nullptr;
    uint64_t index = 0;
    uint64_t term = 0;
    bool mine = false;  // proposed on this replica, whose Propose is about to return
  };
  // The entry passed its checks; its write set and the applied state are in `batch` or will be. May add rows that are a function
  // of the engine's state and the entry alone.
  virtual void BeforeApply(const Applied& applied, storage::WriteBatch* batch) {}
  // The engine shows it.
  virtual void AfterApply(const Applied& applied) = 0;
  // After AfterApply of a split: `right` is the new neighbour's replica on this store, its span not yet served by anybody else here.
  virtual void AfterSplit(const SplitTrigger& split, RangeStateMachine* right) = 0;

  // After AfterApply of a merge: the right side's keys are this range's, and its replica here is gone.
  virtual void AfterMerge(const MergeTrigger& merge) {}

  // This replica may serve from now on, while CheckLease says so / not any more, for certain. Terms only rise.
  virtual void LeaseAcquired(const Lease& lease) = 0;
  virtual void LeaseLost() = 0;

  // All rows of the range in the engine were replaced by a snapshot: forget what was derived from them.
  virtual void SnapshotApplied() = 0;

  virtual RangeLoadFigures load() const { return {}; }
  // The group goes, while its store lives on: ends what runs here, and returns when nothing does. No callback comes any more.
  virtual Task<void> Close() { co_return; }
};

// Called with the group's descriptor and stats in place. The group outlives what it makes.
using RangeStateMachineFactory = std::function<std::unique_ptr<RangeStateMachine>(RangeGroup* group)>;

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_RANGE_GROUP_H_
