// Who may serve: leases, elections, proposals.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fault/mutation.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/multiraft.h"
#include "kv/multiraft/raft_group.h"

namespace insula::kv {
namespace {
constexpr size_t kMaxProposedBytes = 16 << 20;  // of one range, under way; beyond, writes wait before they are evaluated
constexpr Duration kLeaseRecheck = std::chrono::milliseconds(100);
}  // namespace

void RaftGroup::UpdateLease() {
  raft::BasicStatus status = node_->GetBasicStatus();
  const uint64_t term = status.hard_state.term;
  // An entry of its own term is applied: everything that earlier leaders committed is, too.
  const bool leads = status.soft_state.state == raft::StateType::kLeader && state_.applied_term == term;
  bool changed = known_leader_ != status.soft_state.lead;
  known_leader_ = status.soft_state.lead;
  if (lease_.sequence != 0 && (!leads || lease_.sequence != term)) {
    LOG_DEBUG("lease lost", {"range", range_}, {"sequence", lease_.sequence});
    lease_ = Lease();
    changed = true;
    machine_->LeaseLost();
  }
  if (leads && lease_.sequence == 0) {
    lease_.sequence = term;
    lease_.start = std::max(Timestamp{node_->lease_floor()}, state_.lease_floor);
    next_lease_index_ = state_.lease_index;
    changed = true;
    LOG_DEBUG("lease acquired", {"range", range_}, {"sequence", term}, {"start", lease_.start.ToString()});
    machine_->LeaseAcquired(lease_);
    host_->lifecycle().LeaseAcquired(this);
  }
  // Also for whoever waits for a follower's support, which came with a message.
  if (changed || lease_changed_.has_waiters()) lease_changed_.NotifyAll();
}

uint64_t RaftGroup::leader_node() const {
  for (const auto& r : descriptor_.replicas()) {
    if (r.replica_id() == known_leader_) return r.node_id();
  }
  return 0;
}

bool RaftGroup::LeaderLooksAlive() const {
  if (node_ == nullptr) return false;
  raft::NodeId lead = node_->GetBasicStatus().soft_state.lead;
  return lead != raft::kNone && (lead == replica_ || SupportFor(lead).supported);
}

LeaseCheck RaftGroup::CheckLease(Timestamp t) {
  LeaseCheck check;
  if (stopped_ || node_ == nullptr || !initialized_) return check;
  if (lease_.sequence == 0) {
    uint64_t holder = leader_node();
    if (holder != 0 && known_leader_ != replica_ && LeaderLooksAlive()) {
      check.state = LeaseCheck::State::kElsewhere;
      check.holder_node = holder;
    }
    return check;
  }
  const uint64_t supported = fault::On(fault::Mutation::kReadWithoutLease) ? Timestamp::Max().bits : node_->LeadSupportUntil();
  if (supported == 0) return check;
  Timestamp until = Timestamp{supported}.AddMicros(-std::chrono::duration_cast<std::chrono::microseconds>(clock().max_offset()).count());
  until = std::min(until, host_->liveness().clock_bound());  // what is served stays in the past after a restart
  if (std::max(clock().Peek(), t) >= until) return check;
  host_->NoteServed(t);
  MarkActive();
  check.state = LeaseCheck::State::kValid;
  check.lease = lease_;
  check.valid_until = until;
  return check;
}

void RaftGroup::OnSupportChange() {
  if (stopped_ || node_ == nullptr) return;
  node_->OnSupportChange();
  MarkDirty();  // also to be ticked again, if a follower that is behind came back
  lease_changed_.NotifyAll();
}

bool RaftGroup::TryElection() {
  if (stopped_ || node_ == nullptr || !initialized_) return true;
  node_->OnSupportChange();
  raft::BasicStatus status = node_->GetBasicStatus();
  if (status.soft_state.state == raft::StateType::kLeader || LeaderLooksAlive()) {
    if (node_->HasReady()) MarkDirty();
    return true;
  }
  if (!node_->MayCampaign()) return false;
  if (!host_->TakeElectionPermit()) return false;
  host_->metrics().elections += 1;
  absl::Status s = node_->Campaign();
  if (!s.ok()) LOG_DEBUG("no election", {"range", range_}, {"why", s.ToString()});
  MarkDirty();
  return false;
}

Task<absl::StatusOr<LeaseCheck>> RaftGroup::AcquireLease(Context ctx, Timestamp t) {
  auto self = shared_from_this();
  bool woken = false;
  for (;;) {
    if (stopped_) co_return absl::UnavailableError(StrCat("range ", range_, " is stopped on this store: ", Sv(stop_reason_.message())));
    LeaseCheck check = CheckLease(t);
    if (check.state != LeaseCheck::State::kNone) co_return check;
    if (!woken) {
      woken = true;
      MarkActive();
      OnSupportChange();
      host_->WantElection(this, Duration::zero());
    }
    // Support may come or go without a word to this group: look again soon.
    Context wait = ctx.WithTimeout(kLeaseRecheck);
    absl::Status s = co_await lease_changed_.Wait(wait);
    if (!s.ok()) {
      CO_RETURN_IF_ERROR(ctx.status());
      woken = false;
    }
  }
}

absl::StatusOr<std::shared_ptr<RaftGroup::Proposal>> RaftGroup::StartProposal(Command command, const raft::ConfChangeV2* change) {
  if (stopped_) return absl::UnavailableError(StrCat("range ", range_, " is stopped on this store: ", Sv(stop_reason_.message())));
  RETURN_IF_ERROR(disk_status());
  if (lease_.sequence == 0 || lease_.sequence != command.lease_sequence) return absl::AbortedError("the lease that this was evaluated under is over");
  const size_t size = command.write_set.size() + command.effects.size();
  if (size > kMaxCommandBytes) return absl::InvalidArgumentError(StrCat("one entry of ", size, " bytes is larger than a range can replicate"));

  auto proposal = std::make_shared<Proposal>();
  proposal->id = command.proposal_id = ++next_proposal_;
  proposal->term = lease_.sequence;
  proposal->bytes = size;
  command.max_lease_index = ++next_lease_index_;
  absl::Status proposed;
  if (change == nullptr) {
    proposed = node_->Propose(EncodeCommand(command));
  } else {
    raft::ConfChangeV2 carrying = *change;
    carrying.context = EncodeCommand(command);
    proposed = node_->ProposeConfChange(carrying);
  }
  if (!proposed.ok()) return absl::AbortedError(StrCat("not proposed: ", Sv(proposed.message())));
  proposal->command = std::move(command);
  const uint64_t index = node_->GetBasicStatus().last_index;
  CHECK(proposals_.emplace(index, proposal).second) << "range " << range_ << " index " << index;
  proposed_bytes_ += size;
  proposal->at = host_->runtime().executor->Now();
  host_->metrics().proposals += 1;
  MarkActive();
  MarkDirty();
  return proposal;
}

bool RaftGroup::ProposalsPileUp() const { return proposed_bytes_ > kMaxProposedBytes; }

Task<absl::Status> RaftGroup::AwaitProposalRoom(Context ctx) {
  auto self = shared_from_this();
  while (ProposalsPileUp()) CO_RETURN_IF_ERROR(co_await proposals_ended_.Wait(ctx));
  co_return absl::OkStatus();
}

Task<absl::StatusOr<ApplyResult>> RaftGroup::AwaitProposal(Context ctx, std::shared_ptr<Proposal> proposal) {
  absl::Status waited = co_await proposal->done.Wait(ctx);
  if (!proposal->done.is_set()) co_return absl::UnknownError(StrCat("the write was proposed, then nobody waited for it: ", Sv(waited.message())));
  co_return proposal->result;
}

Task<absl::StatusOr<ApplyResult>> RaftGroup::Propose(Context ctx, Command command) {
  auto self = shared_from_this();
  CO_RETURN_IF_ERROR(ctx.status());
  CO_ASSIGN_OR_RETURN(std::shared_ptr<Proposal> proposal, StartProposal(std::move(command), nullptr));
  co_return co_await AwaitProposal(std::move(ctx), std::move(proposal));
}

Task<absl::Status> RaftGroup::TransferLease(Context ctx, StoreId store) {
  auto self = shared_from_this();
  const v1::ReplicaDescriptor* target = ReplicaOn(descriptor_, store);
  if (target == nullptr) co_return absl::InvalidArgumentError(StrCat("range ", range_, " has no replica on store ", store));
  const uint64_t sequence = lease_.sequence;
  if (sequence == 0) co_return absl::FailedPreconditionError("this replica does not lead");
  if (store == store_id()) co_return absl::OkStatus();
  node_->TransferLeader(target->replica_id());
  MarkDirty();
  host_->Wake(this);
  while (!stopped_ && lease_.sequence == sequence) {
    const raft::BasicStatus status = node_->GetBasicStatus();
    const bool leads = status.soft_state.state == raft::StateType::kLeader && status.hard_state.term == sequence;
    if (leads && status.lead_transferee == raft::kNone) co_return absl::UnavailableError(StrCat("the replica on store ", store, " did not take the lease in time"));
    // Consensus gives up by its ticks, without a word.
    (void)co_await lease_changed_.Wait(ctx.WithTimeout(kLeaseRecheck));
    CO_RETURN_IF_ERROR(ctx.status());
  }
  co_return absl::OkStatus();
}

Task<absl::Status> RaftGroup::AwaitReplicated(Context ctx, uint64_t index) {
  auto self = shared_from_this();
  if (!stopped_) OnSupportChange();  // whoever is behind is worth a tick
  for (;;) {
    if (stopped_) co_return absl::UnavailableError(StrCat("range ", range_, " is stopped on this store: ", Sv(stop_reason_.message())));
    if (lease_.sequence == 0) co_return absl::FailedPreconditionError("this replica does not lead");
    bool all = true;
    for (const auto& [id, progress] : node_->GetStatus().progress) all = all && progress.match >= index;
    if (all) co_return absl::OkStatus();
    CO_RETURN_IF_ERROR(co_await lease_changed_.Wait(ctx));
  }
}

}  // namespace insula::kv
