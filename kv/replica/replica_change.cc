// Changes of the range's replicas, and planned transfers of its lease.
//
//   AdminChangeReplicas      1 2 3                     remove 3, add a replica on store 4
//     learners               1 2 3 l4                  one entry each; a snapshot makes it follow
//     caught up?             ── no ──► 1 2 3           taken away again
//     both halves            1 2 3(going) 4(coming)    one entry: a joint configuration
//     the new half alone     1 2 4                     one entry
//     store 3 is told        (removed.h)               in the background, until it says that nothing is left there
//
// Each step is one entry that changes descriptor and configuration together and raises the generation, made from the descriptor that it
// changes under a latch that splits, merges and transfers take as well. So a change can be cut short between any two steps: whoever holds
// the lease next leaves a joint configuration by itself, and a learner that is left over is used by the next change, or goes after a while.
// The leaseholder's own replica does not go: it hands the lease over first, and the next leaseholder is asked again.
#include <algorithm>
#include <utility>

#include "base/async/wait.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/api/error.h"
#include "kv/multiraft/conf_change.h"
#include "kv/multiraft/range_state.h"
#include "kv/replica/removed.h"
#include "kv/replica/replica.h"

namespace insula::kv {
namespace {

// Among the latches of records, which splits and transfers take all of; no record has it.
constexpr char kChangeLatch[] = "k";
constexpr Duration kTransferTimeout = 5s;
constexpr Duration kFinishTimeout = 10s;
constexpr Duration kFinishAgain = 1s;
constexpr Duration kStrayPatience = 10s;
constexpr Duration kEvictAgainAtMost = 60s;
constexpr Duration kFirstStepAgain = 20ms;
constexpr Duration kLastStepAgain = 500ms;

std::set<StoreId> StoresOf(const google::protobuf::RepeatedPtrField<v1::ReplicaTarget>& targets) {
  std::set<StoreId> stores;
  for (const auto& target : targets) stores.insert(target.store_id());
  return stores;
}

std::set<StoreId> Learners(const v1::RangeDescriptor& range) {
  std::set<StoreId> stores;
  for (const auto& r : range.replicas()) {
    if (r.learner()) stores.insert(r.store_id());
  }
  return stores;
}

bool Votes(const v1::ReplicaDescriptor& r) { return !r.learner() && !r.outgoing(); }

absl::Status CheckTargets(const v1::AdminChangeReplicasRequest& request, const v1::RangeDescriptor& range) {
  if (request.expected_generation() != 0 && request.expected_generation() != range.generation()) {
    return ConditionFailedError(range.start_key(), range.SerializeAsString());
  }
  const std::set<StoreId> add = StoresOf(request.add()), remove = StoresOf(request.remove());
  if (add.size() != static_cast<size_t>(request.add_size())) return InvalidError("one store is to get two replicas of one range");
  size_t voters = add.size();
  for (const auto& target : request.add()) {
    if (target.store_id() == 0 || target.node_id() == 0) return InvalidError("a replica needs a node and a store");
    if (remove.contains(target.store_id())) return InvalidError(StrCat("store ", target.store_id(), " is to get a replica and to lose it"));
    const v1::ReplicaDescriptor* there = ReplicaOn(range, target.store_id());
    if (there != nullptr && there->node_id() != target.node_id()) return InvalidError(StrCat("store ", target.store_id(), " is node ", there->node_id(), "'s"));
  }
  for (const auto& r : range.replicas()) voters += Votes(r) && !add.contains(r.store_id()) && !remove.contains(r.store_id()) ? 1 : 0;
  if (voters == 0) return InvalidError("the range would be left without a replica that votes");
  return absl::OkStatus();
}

void RemoveIf(v1::RangeDescriptor* range, const std::function<bool(const v1::ReplicaDescriptor&)>& goes) {
  auto* replicas = range->mutable_replicas();
  replicas->erase(std::remove_if(replicas->begin(), replicas->end(), goes), replicas->end());
}

absl::StatusOr<bool> Leave(v1::RangeDescriptor* next) {
  if (!IsJoint(*next)) return false;
  RemoveIf(next, [](const v1::ReplicaDescriptor& r) { return r.outgoing() && !r.learner(); });
  for (auto& r : *next->mutable_replicas()) {
    r.clear_incoming();
    r.clear_outgoing();
  }
  return true;
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------------ one step

Task<absl::Status> Replica::HoldLease(const Context& ctx) {
  if (group_ == nullptr) co_return Mismatch({}, {});
  Work work;
  absl::Status leased = CheckLease(work, group_->clock().Now());
  if (!leased.ok() && work.lease.state == LeaseCheck::State::kNone) leased = co_await EnsureLease(ctx, work, group_->clock().Now());
  co_return leased;
}

// The descriptor as `edit` makes it (false: it is so already). Tries again while consensus does not allow it yet.
Task<absl::Status> Replica::ChangeStep(Context ctx, DescriptorEdit edit) {
  for (Duration again = kFirstStepAgain;; again = std::min(2 * again, kLastStepAgain)) {
    Sequencer::Spec spec;
    spec.latches = {{.key = kChangeLatch, .end_key = {}, .write = true}};
    Sequencer::Ticket ticket(std::move(spec));
    if (!sequencer_.TrySequence(ticket)) CO_RETURN_IF_ERROR(co_await sequencer_.Sequence(ctx, ticket));
    CO_RETURN_IF_ERROR(co_await HoldLease(ctx));  // what others who led the range did to it is applied here now
    CO_RETURN_IF_ERROR(CheckServing());
    const v1::RangeDescriptor now = group_->descriptor();
    v1::RangeDescriptor next = now;
    CO_ASSIGN_OR_RETURN(bool changed, edit(&next));
    if (!changed) co_return absl::OkStatus();
    next.set_generation(next.generation() + 1);
    Command command;
    CO_ASSIGN_OR_RETURN(RemovedReplicas removed, LoadRemoved(*group_->engine().NewReader(), range_id_));
    const size_t before = removed.size();
    for (const auto& r : now.replicas()) {
      if (ReplicaOfId(next, r.replica_id()) == nullptr) removed.push_back(MakeRemoved(now, r));
    }
    if (removed.size() > before) {
      storage::WriteBatch rows;
      PutRemoved(&rows, range_id_, removed);
      command.write_set = rows.TakeBytes();
    }
    command.lease_sequence = lease_.sequence;
    command.change = ReplicaChange{next};
    absl::Status applied = (co_await group_->ProposeChange(ctx_, std::move(command))).status();  // P1
    ticket.Finish();
    if (applied.ok()) {
      LOG_INFO("replicas changed", {"range", range_id_}, {"generation", next.generation()}, {"replicas", next.replicas_size()}, {"joint", IsJoint(next)});
      PublishSoon();
      EvictRemoved();
      co_return absl::OkStatus();
    }
    if (applied.code() == absl::StatusCode::kInvalidArgument) co_return InvalidError(Sv(applied.message()));
    if (applied.code() == absl::StatusCode::kUnknown) co_return AmbiguousError(StrCat("it is not known whether the replicas changed: ", applied.message()));
    if (applied.code() != absl::StatusCode::kAborted) co_return UnavailableKvError(Sv(applied.message()));
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, again));
  }
}

// ------------------------------------------------------------------------------------------------------------------- a change

Task<absl::Status> Replica::AdminChangeReplicas(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response) {
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  CO_RETURN_IF_ERROR(co_await HoldLease(ctx));
  if (changing_) co_return UnavailableKvError("another change of the range's replicas is under way", kFinishAgain);
  changing_ = true;
  absl::Status changed = co_await ChangeReplicas(ctx, batch.requests(0).admin_change_replicas());
  changing_ = false;
  FinishChangeSoon();
  CO_RETURN_IF_ERROR(changed);
  if (group_ == nullptr) co_return Mismatch({}, {});
  *response->add_responses()->mutable_admin_change_replicas()->mutable_range() = group_->descriptor();
  co_return absl::OkStatus();
}

Task<absl::Status> Replica::ChangeReplicas(const Context& ctx, const v1::AdminChangeReplicasRequest& request) {
  CO_RETURN_IF_ERROR(CheckTargets(request, group_->descriptor()));
  CO_RETURN_IF_ERROR(co_await LeaveJoint(ctx));
  CO_RETURN_IF_ERROR(co_await HoldLease(ctx));
  const v1::RangeDescriptor range = group_->descriptor();
  const std::set<StoreId> add = StoresOf(request.add()), remove = StoresOf(request.remove());
  const bool stays = std::any_of(range.replicas().begin(), range.replicas().end(), [&](const auto& r) { return Votes(r) && !remove.contains(r.store_id()); });
  const bool goes_itself = remove.contains(group_->store_id());
  if (goes_itself && stays) co_return co_await HandOver(ctx, remove);
  // Left over from a change that was cut short.
  std::set<StoreId> stray = Learners(range);
  for (StoreId store : add) stray.erase(store);
  CO_RETURN_IF_ERROR(co_await RemoveLearners(ctx, stray));
  absl::Status added = co_await AddLearners(ctx, request);
  if (!added.ok()) {
    PROBE("a new replica was taken away again");
    if (group_ != nullptr && lease_.sequence != 0) {
      absl::Status back = co_await RemoveLearners(ctx_.WithTimeout(kFinishTimeout), add);
      if (!back.ok()) LOG_INFO("learners of a failed change are left over", {"range", range_id_}, {"why", back.ToString()});
    }
    co_return added;
  }
  if (!goes_itself) co_return co_await SwitchVoters(ctx, request);
  // Nobody stays who could lead: the new ones first.
  v1::AdminChangeReplicasRequest grow = request;
  grow.clear_remove();
  CO_RETURN_IF_ERROR(co_await SwitchVoters(ctx, grow));
  co_return co_await HandOver(ctx, remove);
}

Task<absl::Status> Replica::AddLearners(const Context& ctx, const v1::AdminChangeReplicasRequest& request) {
  for (const v1::ReplicaTarget& target : request.add()) {
    CO_RETURN_IF_ERROR(co_await ChangeStep(ctx, [&](v1::RangeDescriptor* next) -> absl::StatusOr<bool> {
      if (ReplicaOn(*next, target.store_id()) != nullptr) return false;
      v1::ReplicaDescriptor* learner = next->add_replicas();
      learner->set_node_id(target.node_id());
      learner->set_store_id(target.store_id());
      learner->set_replica_id(next->next_replica_id());
      learner->set_learner(true);
      next->set_next_replica_id(next->next_replica_id() + 1);
      return true;
    }));
  }
  const Context patient = ctx.WithTimeout(deps_.learner_patience);
  for (const v1::ReplicaTarget& target : request.add()) {
    if (group_ == nullptr) co_return Mismatch({}, {});
    const v1::ReplicaDescriptor* learner = ReplicaOn(group_->descriptor(), target.store_id());
    if (learner == nullptr) co_return UnavailableKvError("a new replica was taken away meanwhile");
    absl::Status s = co_await group_->AwaitCaughtUp(patient, learner->replica_id());
    if (s.code() == absl::StatusCode::kAborted) co_return NotLeaseholderError(0, {});
    if (!s.ok()) co_return UnavailableKvError(StrCat("the new replica on store ", target.store_id(), " does not follow closely: ", s.message()));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Replica::RemoveLearners(const Context& ctx, const std::set<StoreId>& stores) {
  for (StoreId store : stores) {
    CO_RETURN_IF_ERROR(co_await ChangeStep(ctx, [&](v1::RangeDescriptor* next) -> absl::StatusOr<bool> {
      const v1::ReplicaDescriptor* there = ReplicaOn(*next, store);
      if (there == nullptr || !there->learner() || there->outgoing()) return false;
      RemoveIf(next, [&](const v1::ReplicaDescriptor& r) { return r.store_id() == store; });
      return true;
    }));
  }
  co_return absl::OkStatus();
}

// Learners on the stores to be added vote, voters on those to be removed go.
Task<absl::Status> Replica::SwitchVoters(const Context& ctx, const v1::AdminChangeReplicasRequest& request) {
  const std::set<StoreId> add = StoresOf(request.add()), remove = StoresOf(request.remove());
  CO_RETURN_IF_ERROR(co_await RemoveLearners(ctx, remove));
  CO_RETURN_IF_ERROR(co_await ChangeStep(ctx, [&](v1::RangeDescriptor* next) -> absl::StatusOr<bool> {
    if (IsJoint(*next)) return UnavailableKvError("the range's replicas are being changed by others");
    bool changed = false;
    for (v1::ReplicaDescriptor& r : *next->mutable_replicas()) {
      const bool comes = r.learner() && add.contains(r.store_id()), goes = !r.learner() && remove.contains(r.store_id());
      if (comes) r.clear_learner();
      if (comes) r.set_incoming(true);
      if (goes) r.set_outgoing(true);
      changed = changed || comes || goes;
    }
    return changed;
  }));
  co_return co_await LeaveJoint(ctx);
}

Task<absl::Status> Replica::LeaveJoint(const Context& ctx) { return ChangeStep(ctx, Leave); }

// A leaseholder that finds a change half done, by the one before it or before a crash, or learners that a split brought along or that could
// not be taken away.
void Replica::FinishChangeSoon() {
  if (group_ == nullptr || lease_.sequence == 0 || finishing_ == lease_.sequence || IsSettled(group_->descriptor())) return;
  finishing_ = lease_.sequence;
  background_.Spawn(FinishChange(lease_.sequence));
}

Task<void> Replica::FinishChange(uint64_t lease_sequence) {
  auto holds = [&] { return group_ != nullptr && lease_.sequence == lease_sequence; };
  while (holds() && IsJoint(group_->descriptor())) {
    PROBE("a joint configuration was left by another leaseholder");
    const v1::ReplicaDescriptor* self = ReplicaOfId(group_->descriptor(), group_->replica_id());
    absl::Status s = self != nullptr && self->outgoing() ? co_await HandOver(ctx_.WithTimeout(kFinishTimeout), {group_->store_id()}) : co_await LeaveJoint(ctx_.WithTimeout(kFinishTimeout));
    if (s.ok()) continue;
    LOG_DEBUG("a joint configuration is not left yet", {"range", range_id_}, {"why", s.ToString()});
    if (!(co_await Sleep(ctx_, kFinishAgain)).ok()) co_return;
  }
  while (holds() && !IsSettled(group_->descriptor())) {
    // Whoever wanted them may ask for them again, and they are a good part of the work.
    if (!(co_await Sleep(ctx_, kStrayPatience)).ok()) co_return;
    if (!holds() || changing_) continue;
    changing_ = true;
    absl::Status s = co_await RemoveLearners(ctx_.WithTimeout(kFinishTimeout), Learners(group_->descriptor()));
    changing_ = false;
    PROBE("learners that were left over were taken away");
    if (!s.ok()) LOG_DEBUG("learners that are left over are still there", {"range", range_id_}, {"why", s.ToString()});
  }
  if (finishing_ == lease_sequence) finishing_ = 0;
}

// ------------------------------------------------------------------------------------------------------------ removed replicas

void Replica::EvictRemoved() {
  if (group_ == nullptr || lease_.sequence == 0) return;
  auto removed = LoadRemoved(*group_->engine().NewReader(), range_id_);
  if (!removed.ok()) {
    LOG_ERROR("a note about removed replicas cannot be read", {"range", range_id_}, {"why", removed.status().ToString()});
    return;
  }
  for (RemovedReplica& r : *removed) {
    if (evicting_.insert({r.held.range_id(), r.replica}).second) background_.Spawn(EvictOne(std::move(r), lease_.sequence));
  }
}

// The entry that is proposed first reaches its quorum only with the word that the removal before it is committed: from then on nobody
// needs the removed replica any more (kv/raft/raw_node.h, rule 11).
Task<void> Replica::EvictOne(RemovedReplica removed, uint64_t lease_sequence) {
  bool known = false;
  for (Duration again = kFinishAgain; group_ != nullptr && lease_.sequence == lease_sequence; again = std::min(2 * again, kEvictAgainAtMost)) {
    Command nothing;
    nothing.lease_sequence = lease_sequence;
    absl::Status s = known ? absl::OkStatus() : co_await Propose(std::move(nothing));
    known = known || s.ok();
    if (s.ok() && group_ != nullptr) s = co_await group_->Evict(ctx_, removed.store, removed.replica + 1, removed.held);
    if (s.ok()) s = co_await ForgetRemoved(removed);
    if (s.ok() || ctx_.done()) break;
    LOG_DEBUG("a removed replica is not known to be gone", {"range", range_id_}, {"store", removed.store}, {"why", s.ToString()});
    if (!(co_await Sleep(ctx_, again)).ok()) break;
  }
  evicting_.erase({removed.held.range_id(), removed.replica});
  // A lease that came while this one ended left it to us.
  if (lease_.sequence != lease_sequence) EvictRemoved();
}

Task<absl::Status> Replica::ForgetRemoved(const RemovedReplica& gone) {
  Sequencer::Spec spec;
  spec.latches = {{.key = kChangeLatch, .end_key = {}, .write = true}};
  Sequencer::Ticket ticket(std::move(spec));
  if (!sequencer_.TrySequence(ticket)) CO_RETURN_IF_ERROR(co_await sequencer_.Sequence(ctx_, ticket));
  if (group_ == nullptr) co_return Mismatch({}, {});
  CO_ASSIGN_OR_RETURN(RemovedReplicas removed, LoadRemoved(*group_->engine().NewReader(), range_id_));
  if (std::erase_if(removed, [&](const RemovedReplica& r) { return r.Is(gone.held.range_id(), gone.replica); }) == 0) co_return absl::OkStatus();
  storage::WriteBatch rows;
  PutRemoved(&rows, range_id_, removed);
  Command command;
  command.write_set = rows.TakeBytes();
  command.lease_sequence = lease_.sequence;
  co_return co_await Propose(std::move(command));
}

// -------------------------------------------------------------------------------------------------------------------- the lease

// Gives the lease to a voter outside of `going`. Never OK: NotLeaseholder says where to go on, or why nobody took it.
Task<absl::Status> Replica::HandOver(const Context& ctx, const std::set<StoreId>& going) {
  if (group_ == nullptr) co_return Mismatch({}, {});
  const v1::RangeDescriptor range = group_->descriptor();
  absl::Status why = UnavailableKvError("no replica that stays follows closely enough to take the lease", kFinishAgain);
  for (const v1::ReplicaDescriptor& r : range.replicas()) {
    if (group_ == nullptr) co_return Mismatch({}, {});
    if (!Votes(r) || going.contains(r.store_id()) || r.store_id() == group_->store_id() || !group_->IsCaughtUp(r.replica_id())) continue;
    absl::Status s = co_await TransferLease(ctx.WithTimeout(kTransferTimeout), r.store_id());
    if (s.ok()) co_return NotLeaseholderError(r.node_id(), deps_.node_address(r.node_id()));
    if (ctx.done() || GetKvError(s)) co_return s;
    why = UnavailableKvError(StrCat("the lease could not be handed over: ", s.message()), kFinishAgain);
  }
  co_return why;
}

Task<absl::Status> Replica::AdminTransferLease(const Context& ctx, const v1::BatchRequest& batch, v1::BatchResponse* response) {
  CO_RETURN_IF_ERROR(CheckBounds(batch));
  const StoreId store = batch.requests(0).admin_transfer_lease().store_id();
  const v1::ReplicaDescriptor* there = ReplicaOn(group_->descriptor(), store);
  if (there == nullptr) co_return InvalidError(StrCat("the range has no replica on store ", store));
  const v1::ReplicaDescriptor target = *there;
  absl::Status leased = co_await HoldLease(ctx);
  if (!leased.ok()) {
    const auto error = GetKvError(leased);
    const bool has_it = error && error->has_not_leaseholder() && error->not_leaseholder().leaseholder_node() == target.node_id();
    if (!has_it) co_return leased;
  } else if (store != group_->store_id()) {
    if (!Votes(target)) co_return InvalidError(StrCat("the replica on store ", store, " does not vote, or is about to go: it cannot lead"));
    if (!group_->IsCaughtUp(target.replica_id())) co_return UnavailableKvError(StrCat("the replica on store ", store, " does not follow closely enough to lead"), kFinishAgain);
    absl::Status moved = co_await TransferLease(ctx.WithTimeout(kTransferTimeout), store);
    if (!moved.ok()) co_return GetKvError(moved) ? moved : UnavailableKvError(StrCat("the lease could not be handed over: ", moved.message()), kFinishAgain);
  }
  response->add_responses()->mutable_admin_transfer_lease();
  co_return absl::OkStatus();
}

}  // namespace insula::kv
