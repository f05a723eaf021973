// A range group of one replica without consensus: what is proposed is applied, a turn of the loop later. For unit tests.
#ifndef INSULA_KV_REPLICA_TESTING_LOCAL_GROUP_H_
#define INSULA_KV_REPLICA_TESTING_LOCAL_GROUP_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/wait.h"
#include "base/hlc/hlc.h"
#include "kv/multiraft/conf_change.h"
#include "kv/multiraft/range_group.h"
#include "kv/storage/engine.h"

namespace insula::kv {

class LocalGroup : public RangeGroup {
 public:
  LocalGroup(v1::RangeDescriptor descriptor, storage::Engine* engine, HybridClock* clock, mvcc::Stats stats = {})
      : descriptor_(std::move(descriptor)), engine_(engine), clock_(clock), stats_(stats) {
    lease_ = {1, clock->Now()};
  }
  void set_state_machine(std::unique_ptr<RangeStateMachine> machine) {
    machine_ = std::move(machine);
    machine_->LeaseAcquired(lease_);
  }
  // Nobody leads until somebody acquires the lease; `fn` is what is applied before that: others' entries.
  void LeadLater(std::function<void()> fn) { before_leading_ = std::move(fn); }
  void set_descriptor(v1::RangeDescriptor descriptor) { descriptor_ = std::move(descriptor); }
  // Called when a split is applied; makes the right-hand side.
  void set_on_split(std::function<void(const SplitTrigger&)> fn) { on_split_ = std::move(fn); }

  // Called when a merge is applied; takes the right-hand side away.
  void set_on_merge(std::function<void(const MergeTrigger&)> fn) { on_merge_ = std::move(fn); }
  // The range has ended: its state machine goes.
  void End() {
    ended_ = true;
    machine_.reset();
  }

  RangeId range_id() const override { return descriptor_.range_id(); }
  ReplicaId replica_id() const override { return 1; }
  uint64_t node_id() const override { return 1; }
  StoreId store_id() const override { return 1; }
  const v1::RangeDescriptor& descriptor() const override { return descriptor_; }
  const mvcc::Stats& stats() const override { return stats_; }
  uint64_t applied_index() const override { return applied_; }
  storage::Engine& engine() override { return *engine_; }
  HybridClock& clock() override { return *clock_; }

  LeaseCheck CheckLease(Timestamp t) override {
    LeaseCheck check;
    if (!leader || ended_) {
      check.state = LeaseCheck::State::kElsewhere;
      check.holder_node = 2;
      return check;
    }
    if (before_leading_) return check;
    check.state = LeaseCheck::State::kValid;
    check.lease = lease_;
    check.valid_until = Timestamp::Max();
    served_ = std::max({served_, t, clock_->Peek()});
    return check;
  }
  Task<absl::StatusOr<LeaseCheck>> AcquireLease(Context ctx, Timestamp t) override {
    if (before_leading_) std::exchange(before_leading_, nullptr)();
    co_return CheckLease(t);
  }

  void StopDamaged(const absl::Status& why) override {
    stopped_damaged = why;
    leader = false;
  }
  bool ProposalsPileUp() const override { return false; }
  Task<absl::Status> AwaitProposalRoom(Context ctx) override { co_return absl::OkStatus(); }
  Task<absl::StatusOr<ApplyResult>> Propose(Context ctx, Command command) override {
    const uint64_t sequence = command.lease_sequence;
    for (int i = 0; i < apply_delay_turns; ++i) {
      if (absl::Status s = co_await ctx.Yield(); !s.ok()) co_return absl::UnknownError("stopping");
    }
    if (apply_delay > Duration::zero() && !(co_await Sleep(ctx, apply_delay)).ok()) co_return absl::UnknownError("stopping");
    if (!next_proposal_error.ok()) co_return std::exchange(next_proposal_error, absl::OkStatus());
    if (!leader || ended_ || sequence != lease_.sequence) co_return absl::AbortedError("the lease was lost");
    ++proposals;
    largest_entry = std::max(largest_entry, command.write_set.size());
    ++applied_;
    if (!command.write_set.empty()) {
      auto batch = storage::WriteBatch::FromBytes(command.write_set);
      if (!batch.ok()) co_return batch.status();
      if (absl::Status s = engine_->Write(*batch); !s.ok()) co_return s;
    }
    stats_ += command.stats_delta;
    if (command.split) {
      descriptor_ = command.split->left;
      stats_ -= command.split->right_stats;
    }
    if (command.merge) {
      descriptor_ = command.merge->left;
      stats_ += command.merge->right_stats;
      served_ = std::max(served_, command.merge->served);
      if (on_merge_) on_merge_(*command.merge);
    }
    if (command.change) descriptor_ = command.change->range;
    machine_->AfterApply({&command, applied_, lease_.sequence, true});
    if (on_applied) on_applied();
    if (command.split) {
      if (on_split_) on_split_(*command.split);
      machine_->AfterSplit(*command.split, nullptr);
    }
    if (command.merge) machine_->AfterMerge(*command.merge);
    if (!lose_answer) co_return ApplyResult{applied_, lease_.sequence};
    lose_answer = false;
    co_return absl::UnknownError("the answer got lost");
  }
  // There is no consensus: the replicas are what the descriptor says, and all of them follow closely.
  Task<absl::StatusOr<ApplyResult>> ProposeChange(Context ctx, Command command) override {
    auto change = ConfChangeBetween(descriptor_, command.change->range);
    if (!change.ok()) co_return change.status();
    co_return co_await Propose(std::move(ctx), std::move(command));
  }
  bool IsCaughtUp(ReplicaId replica) const override { return !behind.contains(replica); }
  Task<absl::Status> AwaitCaughtUp(Context ctx, ReplicaId replica) override {
    while (!IsCaughtUp(replica)) {
      if (absl::Status s = co_await Sleep(ctx, 10ms); !s.ok()) co_return s;
    }
    co_return absl::OkStatus();
  }
  Task<absl::Status> Evict(Context, StoreId store, ReplicaId next_replica, v1::RangeDescriptor held) override {
    evicted[store] = next_replica;
    evicted_from[store] = std::move(held);
    if (!evicts) co_return absl::UnavailableError("the store does not answer");
    co_return absl::OkStatus();
  }
  // To itself, as if another replica had it for a moment.
  Task<absl::Status> TransferLease(Context, StoreId) override {
    ChangeLease();
    co_return absl::OkStatus();
  }
  Task<absl::Status> AwaitReplicated(Context, uint64_t) override {
    if (!leader || ended_) co_return absl::FailedPreconditionError("this replica does not lead");
    co_return absl::OkStatus();
  }
  absl::Status disk_status() const override { return disk; }
  RangeStateMachine* state_machine() const override { return machine_.get(); }

  // The lease moves away and comes back: a new one, with nothing in memory.
  void ChangeLease() {
    machine_->LeaseLost();
    lease_ = {lease_.sequence + 1, std::max(clock_->Now(), served_)};
    machine_->LeaseAcquired(lease_);
  }

  bool leader = true;
  int proposals = 0;
  size_t largest_entry = 0;
  int apply_delay_turns = 1;
  Duration apply_delay = Duration::zero();  // what consensus takes
  bool lose_answer = false;  // of the next proposal, which is applied
  absl::Status stopped_damaged;
  absl::Status next_proposal_error;
  absl::Status disk;
  std::function<void()> on_applied;  // after each entry
  std::set<ReplicaId> behind;        // replicas that do not follow
  std::map<StoreId, ReplicaId> evicted;
  std::map<StoreId, v1::RangeDescriptor> evicted_from;
  bool evicts = true;

 private:
  v1::RangeDescriptor descriptor_;
  storage::Engine* engine_;
  HybridClock* clock_;
  Lease lease_;
  Timestamp served_;
  mvcc::Stats stats_;
  uint64_t applied_ = 0;
  bool ended_ = false;
  std::function<void()> before_leading_;
  std::function<void(const SplitTrigger&)> on_split_;
  std::function<void(const MergeTrigger&)> on_merge_;
  std::unique_ptr<RangeStateMachine> machine_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_TESTING_LOCAL_GROUP_H_
