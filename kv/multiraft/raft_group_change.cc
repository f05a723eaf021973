// Changes of the range's replicas: proposing and applying one, followers that catch up, and replicas that are gone.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/conf_change.h"
#include "kv/multiraft/multiraft.h"
#include "kv/multiraft/raft_group.h"

namespace insula::kv {
namespace {
constexpr uint64_t kCloseEntries = 64;  // a follower so far behind has caught up: the rest comes while it votes
constexpr Duration kFirstEvictAgain = std::chrono::seconds(1);
constexpr Duration kLastEvictAgain = std::chrono::seconds(60);
}  // namespace

Task<absl::StatusOr<ApplyResult>> RaftGroup::ProposeChange(Context ctx, Command command) {
  auto self = shared_from_this();
  CO_RETURN_IF_ERROR(ctx.status());
  if (!command.change.has_value()) co_return absl::InvalidArgumentError("a change of replicas without the descriptor that it leads to");
  const v1::RangeDescriptor& next = command.change->range;
  if (next.generation() != descriptor_.generation() + 1) co_return absl::AbortedError("the range changed meanwhile");
  CO_ASSIGN_OR_RETURN(raft::ConfChangeV2 change, ConfChangeBetween(descriptor_, next));
  CO_ASSIGN_OR_RETURN(std::shared_ptr<Proposal> proposal, StartProposal(std::move(command), &change));
  co_return co_await AwaitProposal(std::move(ctx), std::move(proposal));
}

// Descriptor, configuration and applied state change in one engine batch. Consensus hands the entry out only when a hard state that
// commits it is durable (config.h, S1), and acts on the new configuration at once: if the engine forgets, it is applied again first (S2).
RaftGroup::Applied RaftGroup::ApplyConfChange(const raft::Entry& entry) {
  std::shared_ptr<Proposal> mine = TakeProposal(entry);
  raft::ConfChangeV2 change;
  Command command;
  absl::Status decoded = raft::DecodeConfChange(entry.data.view(), &change) ? DecodeCommand(change.context, &command) : absl::DataLossError("a change of replicas is damaged");
  if (decoded.ok() && !command.change.has_value()) decoded = absl::UnimplementedError("a change of replicas without a descriptor");
  absl::StatusOr<storage::WriteBatch> batch = storage::WriteBatch::FromBytes(command.write_set);
  if (decoded.ok()) decoded = batch.status();
  if (!decoded.ok()) {
    StopAtEntry(entry, decoded);
    return Applied::kWaits;
  }
  const v1::RangeDescriptor& range = command.change->range;
  const bool takes = command.lease_sequence == entry.term && command.max_lease_index > state_.lease_index && range.generation() == descriptor_.generation() + 1;  // C1, C2, C3
  if (conf_applied_at_ != entry.index) {  // once, though the engine may have to be asked again
    conf_applied_ = takes ? node_->ApplyConfChange(change) : node_->RejectConfChange();
    conf_applied_at_ = entry.index;
  }
  RangeState next = state_;
  next.conf = conf_applied_;
  RangeStateMachine::Applied applied{.command = &command, .index = entry.index, .term = entry.term, .mine = mine != nullptr};
  if (takes) {
    next.lease_index = command.max_lease_index;
    next.stats += command.stats_delta;
    machine_->BeforeApply(applied, &*batch);
    PutDescriptor(&*batch, range);
  } else {
    PROBE("a change of replicas was refused when it was applied");
    batch->Clear();
  }
  if (CommitApplied(entry, next, *std::move(batch)) == Applied::kWaits) return Applied::kWaits;
  if (takes) {
    DescriptorChanged(range);
    machine_->AfterApply(applied);
  }
  if (mine) {
    proposals_.erase(entry.index);
    if (takes) {
      Resolve(mine, ApplyResult{entry.index, entry.term});
    } else {
      Resolve(mine, absl::AbortedError("the change was refused when it was applied"));
    }
  }
  return Applied::kDone;
}

void RaftGroup::DescriptorChanged(const v1::RangeDescriptor& next) {
  // Who is gone may still have to be answered.
  for (const auto& r : descriptor_.replicas()) learned_stores_[r.replica_id()] = r.store_id();
  const v1::RangeDescriptor old = std::exchange(descriptor_, next);
  host_->lifecycle().DescriptorReplaced(this, old);
  removed_ = ReplicaOfId(descriptor_, replica_) == nullptr;
  if (removed_) {
    PROBE("a replica applied its own removal");
    LOG_INFO("a replica is removed from its range", {"range", range_}, {"replica", replica_});
  }
  // Consensus took the configuration before it could know which stores the new replicas are on.
  node_->OnSupportChange();
  MarkDirty();
}

bool RaftGroup::IsCaughtUp(ReplicaId replica) const {
  if (stopped_ || node_ == nullptr) return false;
  if (replica == replica_) return true;
  const raft::Status status = node_->GetStatus();
  auto it = status.progress.find(replica);
  return it != status.progress.end() && it->second.state == raft::tracker::ProgressState::kReplicate && it->second.match + kCloseEntries >= status.basic.last_index;
}

Task<absl::Status> RaftGroup::AwaitCaughtUp(Context ctx, ReplicaId replica) {
  auto self = shared_from_this();
  const uint64_t sequence = lease_.sequence;
  for (;;) {
    if (stopped_) co_return absl::UnavailableError(StrCat("range ", range_, " is stopped on this store: ", Sv(stop_reason_.message())));
    if (sequence == 0 || lease_.sequence != sequence) co_return absl::AbortedError("the lease was lost");
    if (IsCaughtUp(replica)) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await progress_changed_.Wait(ctx));
  }
}

Task<absl::Status> RaftGroup::Evict(Context ctx, StoreId store, ReplicaId next_replica, v1::RangeDescriptor held) {
  auto self = shared_from_this();
  const uint64_t sequence = lease_.sequence;
  host_->AddStore(store);
  for (Duration again = kFirstEvictAgain;;) {
    if (stopped_) co_return absl::UnavailableError(StrCat("range ", range_, " is stopped on this store: ", Sv(stop_reason_.message())));
    if (sequence == 0 || lease_.sequence != sequence) co_return absl::AbortedError("the lease was lost");
    auto it = evicted_.find({store, held.range_id()});
    if (store == store_id() || (it != evicted_.end() && it->second >= next_replica)) co_return absl::OkStatus();
    if (host_->liveness().SupportFor(store).supported) {
      v1::ReplicaGone gone;
      gone.set_range_id(held.range_id());
      gone.set_next_replica(next_replica);
      gone.set_asked_by(range_);
      *gone.mutable_held() = held;
      host_->SendGone(store, std::move(gone));
      (void)co_await evicted_changed_.Wait(ctx.WithTimeout(again));
      again = std::min(2 * again, kLastEvictAgain);
    } else {
      (void)co_await host_->support_changed().Wait(ctx);
    }
    CO_RETURN_IF_ERROR(ctx.status());
  }
}

void RaftGroup::NoteEvicted(StoreId store, RangeId range, ReplicaId next_replica) {
  ReplicaId& below = evicted_[{store, range}];
  below = std::max(below, next_replica);
  evicted_changed_.NotifyAll();
}

}  // namespace insula::kv
