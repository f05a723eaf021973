#include "kv/replica/replica.h"

#include <utility>

#include "base/check.h"
#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "kv/multiraft/conf_change.h"
#include "kv/replica/gc_threshold.h"

namespace insula::kv {
namespace {

// What the group owns; the replica's memory lives on while batches are on their way through it.
class ReplicaStateMachine : public RangeStateMachine {
 public:
  explicit ReplicaStateMachine(std::shared_ptr<Replica> replica) : replica_(std::move(replica)) {}
  ~ReplicaStateMachine() override { replica_->Close(); }

  void AfterApply(const Applied& applied) override { replica_->AfterApply(applied); }
  void AfterSplit(const SplitTrigger& split, RangeStateMachine* right) override { replica_->AfterSplit(split); }
  void AfterMerge(const MergeTrigger& merge) override { replica_->AfterMerge(merge); }
  void LeaseAcquired(const Lease& lease) override { replica_->LeaseAcquired(lease); }
  void LeaseLost() override { replica_->LeaseLost(); }
  void SnapshotApplied() override { replica_->SnapshotApplied(); }
  RangeLoadFigures load() const override { return replica_->load(); }
  Task<void> Close() override {
    std::shared_ptr<Replica> replica = replica_;
    replica->Close();
    co_await replica->AwaitEnd();
  }

  const std::shared_ptr<Replica>& replica() const { return replica_; }

 private:
  std::shared_ptr<Replica> replica_;
};

// A row that cannot be read must not let reads through that need what is gone: then nothing but the newest is served.
Timestamp LoadThreshold(RangeGroup& group) {
  auto threshold = LoadGcThreshold(*group.engine().NewReader(), group.range_id());
  if (threshold.ok()) return *threshold;
  LOG_ERROR("the range's GC threshold cannot be read", {"range", group.range_id()}, {"why", threshold.status().ToString()});
  return group.clock().Peek();
}

SequencerOptions Counting(SequencerOptions options, StoreMetrics* metrics) {
  options.metrics = metrics;
  return options;
}

}  // namespace

std::unique_ptr<RangeStateMachine> MakeReplica(RangeGroup* group, ReplicaDeps deps) {
  return std::make_unique<ReplicaStateMachine>(std::make_shared<Replica>(group, std::move(deps)));
}

std::shared_ptr<Replica> ReplicaOf(const RangeGroup& group) {
  const auto* machine = static_cast<const ReplicaStateMachine*>(group.state_machine());
  return machine == nullptr ? nullptr : machine->replica();
}

Replica::Replica(RangeGroup* group, ReplicaDeps deps)
    : group_(group),
      deps_(std::move(deps)),
      metrics_(deps_.metrics != nullptr ? deps_.metrics.get() : StoreMetrics::Nowhere()),
      range_id_(group->range_id()),
      sequencer_(deps_.executor, &locks_, this, Counting(deps_.sequencer, metrics_)),
      splitter_(deps_.load_split, range_id_),
      ctx_(Context::Background(deps_.executor).WithCancel()),
      background_(ctx_) {
  if (deps_.sender != nullptr) resolver_ = std::make_unique<IntentResolver>(ctx_, deps_.sender);
  sequencer_.set_on_release([this](std::string_view key) {
    if (group_ != nullptr) Released(key, group_->clock().Now());
  });
}

Replica::~Replica() = default;

void Replica::LeaseAcquired(const Lease& lease) {
  if (lease.sequence == lease_.sequence) return;
  lease_ = lease;
  metrics_->leases_acquired += 1;
  reads_.Reset(fault::On(fault::Mutation::kForgetReads) ? Timestamp() : lease.start);
  releases_.Reset(lease.start);
  markers_.Reset(lease.start);
  locks_.Clear();
  batches_ = writes_ = DecayedRate();
  settled_since_ = deps_.executor->Now();
  splitter_.Reset(settled_since_);
  gc_threshold_ = LoadThreshold(*group_);
  gc_policy_floor_ = lease.start;  // above whatever an earlier lease was told
  observed_floor_ = Timestamp();
  marked_ = Timestamp();
  LoadAbortedTxns();
  LoadFrozenState();
  pushes_.NotifyAll();
  deps_.on_lease(range_id_, true);
  FinishChangeSoon();
  EvictRemoved();
  if (resolver_ == nullptr) return;
  background_.Spawn(FinishRecords(lease.sequence, group_->descriptor().start_key()));
  PublishSoon();
}

void Replica::LeaseLost() {
  bool held = lease_.sequence != 0;
  if (held && locks_.key_count() > 0) PROBE("a lease was lost while locks were held");
  lease_ = Lease();
  frozen_.reset();
  aborted_.clear();
  locks_.Clear();
  pushes_.NotifyAll();
  if (!held) return;
  metrics_->leases_lost += 1;
  deps_.on_lease(range_id_, false);
}

RangeLoadFigures Replica::load() const {
  if (lease_.sequence == 0) return {};
  const MonoTime now = deps_.executor->Now();
  return {.batches_per_second = batches_.PerSecond(now), .writes_per_second = writes_.PerSecond(now), .settled = now - settled_since_};
}

void Replica::AfterApply(const RangeStateMachine::Applied&) {}

void Replica::AfterSplit(const SplitTrigger& split) {
  // What was locked on the right-hand side is its leaseholder's business now: the split's entry has made those locks replicated ones.
  locks_.TakeFrom(split.right.start_key());
  settled_since_ = deps_.executor->Now();
  splitter_.Reset(settled_since_);
  PublishSoon();
}

void Replica::SnapshotApplied() {
  // Only a follower gets one.
  LeaseLost();
}

Task<void> Replica::AwaitEnd() {
  if (resolver_ != nullptr) co_await resolver_->Wait();
  co_await background_.Wait();
}

void Replica::Close() {
  group_ = nullptr;
  LeaseLost();
  ctx_.Cancel(absl::UnavailableError("the replica is gone"));
}

}  // namespace insula::kv
