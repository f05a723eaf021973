#include "kv/raft/raw_node.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "kv/raft/raft.h"

namespace insula::raft {

absl::Status ProposalDroppedError() { return absl::AbortedError("raft proposal dropped"); }
bool IsProposalDropped(const absl::Status& status) { return absl::IsAborted(status); }

RawNode::RawNode(const Config& config)
    : raft_(std::make_unique<Raft>(config)),
      async_(config.async_storage_writes),
      previous_soft_(raft_->soft_state()),
      previous_hard_(raft_->hard_state()) {}

RawNode::~RawNode() = default;

// ---- Input ----

void RawNode::Tick() { raft_->Tick(); }

absl::Status RawNode::Campaign() { return raft_->Step({.type = MessageType::kHup}); }

absl::Status RawNode::Propose(std::string data) {
  Message m{.type = MessageType::kProp, .from = raft_->id()};
  m.entries.push_back({.data = std::move(data)});
  return raft_->Step(std::move(m));
}

absl::Status RawNode::ProposeConfChange(const ConfChangeV2& change) {
  Message m{.type = MessageType::kProp, .from = raft_->id()};
  m.entries.push_back({.type = EntryType::kConfChangeV2, .data = EncodeConfChange(change)});
  return raft_->Step(std::move(m));
}

absl::Status RawNode::ProposeConfChangeV1(const ConfChangeSingle& change) {
  Message m{.type = MessageType::kProp, .from = raft_->id()};
  m.entries.push_back({.type = EntryType::kConfChange, .data = EncodeConfChange({.changes = {change}})});
  return raft_->Step(std::move(m));
}

ConfState RawNode::ApplyConfChange(const ConfChangeV2& change) { return raft_->ApplyConfChange(change); }

ConfState RawNode::RejectConfChange() const { return raft_->tracker().config.ToConfState(); }

absl::Status RawNode::Step(Message m) {
  if (IsLocal(m.type) && !IsLocalTarget(m.from))
    return absl::InvalidArgumentError("raft: cannot step raft local message");
  if (IsResponse(m.type) && !IsLocalTarget(m.from) && raft_->tracker().Find(m.from) == nullptr) {
    return absl::NotFoundError("raft: cannot step as peer not found");
  }
  return raft_->Step(std::move(m));
}

void RawNode::LearnCommitted(uint64_t index) { raft_->log().CommitTo(std::min(index, raft_->log().LastIndex())); }

void RawNode::ReportUnreachable(NodeId id) { (void)raft_->Step({.type = MessageType::kUnreachable, .from = id}); }

void RawNode::ReportSnapshot(NodeId id, bool ok) {
  (void)raft_->Step({.type = MessageType::kSnapStatus, .from = id, .reject = !ok});
}

void RawNode::TransferLeader(NodeId transferee) {
  (void)raft_->Step({.type = MessageType::kTransferLeader, .from = transferee});
}

absl::Status RawNode::ForgetLeader() { return raft_->Step({.type = MessageType::kForgetLeader}); }

void RawNode::ReadIndex(std::string request) {
  Message m{.type = MessageType::kReadIndex};
  m.entries.push_back({.data = std::move(request)});
  (void)raft_->Step(std::move(m));  // lost without a leader, as documented
}

// ---- Output ----

bool RawNode::HasReady() const {
  const Raft& r = *raft_;
  return r.soft_state() != previous_soft_ || (r.hard_state() != previous_hard_ && !r.hard_state().empty()) ||
         r.log().unstable().NextSnapshot() != nullptr || !r.msgs_.empty() || !r.msgs_after_append_.empty() ||
         r.log().unstable().HasNextEntries() || r.log().HasNextCommitted() || !r.read_states_.empty();
}

Ready RawNode::TakeReady() {
  Raft& r = *raft_;
  Ready rd;
  rd.entries = r.log().unstable().NextEntries();
  rd.committed_entries = r.log().NextCommitted();
  rd.messages = std::exchange(r.msgs_, {});
  rd.read_states = std::exchange(r.read_states_, {});
  rd.snapshot = r.log().unstable().NextSnapshot();
  if (r.soft_state() != previous_soft_) rd.soft_state = r.soft_state();
  const HardState hard = r.hard_state();
  if (hard != previous_hard_ && !hard.empty()) rd.hard_state = hard;
  rd.must_sync = !rd.entries.empty() || hard.term != previous_hard_.term || hard.vote != previous_hard_.vote ||
                 hard.lead_epoch != previous_hard_.lead_epoch || hard.lead != previous_hard_.lead ||
                 (r.synced_conf_changes() && ChangesConfig(rd.committed_entries));
  if (async_) {
    if (NeedsAppendMessage(rd)) rd.messages.push_back(AppendMessage(rd));
    if (!rd.committed_entries.empty()) rd.messages.push_back(ApplyMessage(rd));
  } else {
    for (const Message& m : r.msgs_after_append_) {
      if (m.to != r.id()) rd.messages.push_back(m);
    }
  }
  Accept(rd);
  return rd;
}

bool RawNode::ChangesConfig(const std::vector<Entry>& entries) {
  for (const Entry& e : entries) {
    if (e.type != EntryType::kNormal) return true;
  }
  return false;
}

bool RawNode::NeedsAppendMessage(const Ready& rd) const {
  return !rd.entries.empty() || rd.hard_state || rd.snapshot || !raft_->msgs_after_append_.empty();
}

bool RawNode::NeedsAppendResponse(const Ready& rd) const {
  return raft_->log().unstable().has_entries() || rd.snapshot ||
         (raft_->synced_conf_changes() && raft_->log().HasUnsyncedConfChange());
}

Message RawNode::AppendMessage(const Ready& rd) const {
  Message m{.type = MessageType::kStorageAppend, .to = kLocalAppendThread, .from = raft_->id(), .entries = rd.entries};
  if (rd.hard_state) {
    m.term = rd.hard_state->term;
    m.vote = rd.hard_state->vote;
    m.commit = rd.hard_state->commit;
    m.lead = rd.hard_state->lead;
    m.lead_epoch = rd.hard_state->lead_epoch;
  }
  m.snapshot = rd.snapshot;
  m.responses = raft_->msgs_after_append_;
  if (NeedsAppendResponse(rd)) m.responses.push_back(AppendResponse(rd));
  return m;
}

// What the log writer says when all that was handed to it so far is durable. It names the end of the log as of now, so
// that an entry counts as stable only if it is still the one that was written: terms guard against an entry that was
// overwritten, written again and is the same as before (an ABA of the log's tail), and so against forgetting unstable
// entries too early.
Message RawNode::AppendResponse(const Ready& rd) const {
  Message m{
      .type = MessageType::kStorageAppendResp, .to = raft_->id(), .from = kLocalAppendThread, .term = raft_->term()};
  if (raft_->log().unstable().has_entries()) {
    const EntryId last = raft_->log().LastId();
    m.index = last.index;
    m.log_term = last.term;
  }
  m.snapshot = rd.snapshot;
  // Else nobody waits for it, and it need not be written down in a hurry.
  if (raft_->synced_conf_changes() && raft_->log().HasUnsyncedConfChange()) m.commit = raft_->log().committed();
  return m;
}

Message RawNode::ApplyMessage(const Ready& rd) const {
  Message m{.type = MessageType::kStorageApply,
            .to = kLocalApplyThread,
            .from = raft_->id(),
            .entries = rd.committed_entries};
  m.responses.push_back(ApplyResponse(rd));
  return m;
}

Message RawNode::ApplyResponse(const Ready& rd) const {
  return {.type = MessageType::kStorageApplyResp,
          .to = raft_->id(),
          .from = kLocalApplyThread,
          .entries = rd.committed_entries};
}

void RawNode::Accept(const Ready& rd) {
  Raft& r = *raft_;
  if (rd.soft_state) previous_soft_ = *rd.soft_state;
  if (rd.hard_state) previous_hard_ = *rd.hard_state;
  std::vector<Message> after = std::exchange(r.msgs_after_append_, {});
  if (!async_) {
    CHECK(steps_on_advance_.empty()) << "Advance() was not called for the last Ready";
    for (Message& m : after) {
      if (m.to == r.id()) steps_on_advance_.push_back(std::move(m));
    }
    if (NeedsAppendResponse(rd)) steps_on_advance_.push_back(AppendResponse(rd));
    if (!rd.committed_entries.empty()) steps_on_advance_.push_back(ApplyResponse(rd));
  }
  r.log().unstable().AcceptInProgress();
  if (!rd.committed_entries.empty()) {
    r.log().AcceptApplying(rd.committed_entries.back().index, EntriesSize(rd.committed_entries));
  }
}

void RawNode::Advance() {
  CHECK(!async_) << "Advance() is for synchronous storage";
  for (Message& m : std::exchange(steps_on_advance_, {})) (void)raft_->Step(std::move(m));
}

// ---- Leases ----

void RawNode::OnSupportChange() { raft_->OnSupportChange(); }
uint64_t RawNode::LeadSupportUntil() { return raft_->LeadSupportUntil(); }
uint64_t RawNode::lease_floor() const { return raft_->lease_floor(); }
bool RawNode::MayCampaign() const { return raft_->MayCampaign(); }
bool RawNode::NeedsTicks() const { return raft_->NeedsTicks(); }
bool RawNode::GreetsLeader() const { return raft_->greets_leader(); }

Message RawNode::ReleaseFor(const Message& resp, uint64_t hlc) {
  CHECK(resp.type == MessageType::kFortifyResp) << MessageTypeName(resp.type);
  return {.type = MessageType::kDeFortify, .to = resp.from, .from = resp.to, .term = resp.term, .hlc = hlc};
}

// ---- Looking ----

BasicStatus RawNode::GetBasicStatus() const {
  return {.id = raft_->id(),
          .hard_state = raft_->hard_state(),
          .soft_state = raft_->soft_state(),
          .applied = raft_->log().applied(),
          .last_index = raft_->log().LastIndex(),
          .lead_transferee = raft_->lead_transferee()};
}

Status RawNode::GetStatus() const {
  Status s{.basic = GetBasicStatus(), .config = raft_->tracker().config, .progress = {}};
  if (raft_->state() == StateType::kLeader) s.progress = raft_->tracker().progress;
  return s;
}

}  // namespace insula::raft
