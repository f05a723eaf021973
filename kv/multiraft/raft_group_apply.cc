// What consensus asks of storage: appends, snapshots, and applying entries.
#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/encoding/ordered.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/multiraft/multiraft.h"
#include "kv/multiraft/raft_group.h"
#include "kv/multiraft/redo.h"

namespace insula::kv {
namespace {
constexpr Duration kApplyRetry = std::chrono::milliseconds(500);
constexpr Duration kElectionByOthers = std::chrono::seconds(1);  // than the left side's leaseholder, who may have stopped leading just now
}  // namespace

// ----------------------------------------------------------------------------------------------------------------- appends

void RaftGroup::HandleAppend(raft::Message message) {
  appends_.push_back(std::move(message));
  DrainAppends();
}

void RaftGroup::DrainAppends() {
  while (!installing_ && !stopped_ && !appends_.empty()) {
    raft::Message m = std::move(appends_.front());
    appends_.pop_front();
    if (m.snapshot != nullptr) {
      installing_ = true;
      CHECK(staged_ != nullptr && staged_->state.applied_index == m.snapshot->metadata.index) << "range " << range_ << ": consensus wants a snapshot that is not here";
      staged_->taken = true;
      promised_.reset();  // it writes its own hard state
      host_->Spawn(InstallSnapshot(std::move(m), std::exchange(staged_, nullptr)));
      return;
    }
    LogBatch batch;
    batch.AppendEntries(range_, m.entries);
    if (m.term != 0) batch.SetHardState(range_, {.term = m.term, .vote = m.vote, .commit = m.commit, .lead = m.lead, .lead_epoch = m.lead_epoch});
    const bool promises = PromisesMore(m);
    if (m.responses.empty()) {
      unsynced_promise_ = promises;
      host_->log().AppendLazily(std::move(batch));
      continue;
    }
    auto done = [weak = weak_from_this(), responses = std::move(m.responses)](absl::Status s) mutable {
      auto self = weak.lock();
      if (self == nullptr || self->stopped_ || !s.ok()) return;  // a log that failed ends the store
      self->Deliver(std::move(responses));
    };
    unsynced_promise_ = false;
    if (promises) {
      host_->log().Append(std::move(batch), std::move(done));
    } else {
      host_->log().AppendLazily(std::move(batch));
      host_->log().AfterAppended(std::move(done));
    }
  }
}

// Whether the answers of `m`, or of one that went into the log without hurry before it, promise what is not known to be in the log: entries,
// a term, a vote, support for a leader. That something is committed promises nothing, except where the change of a configuration waits until
// it is written down (config.h: S1). So a follower that hears of a commit, and nothing else, answers without a sync.
bool RaftGroup::PromisesMore(const raft::Message& m) {
  bool more = unsynced_promise_ || !m.entries.empty();
  if (m.term != 0) {
    const raft::HardState promise{.term = m.term, .vote = m.vote, .commit = 0, .lead = m.lead, .lead_epoch = m.lead_epoch};
    more |= promised_ != promise;
    promised_ = promise;
  }
  for (const raft::Message& answer : m.responses) more |= answer.type == raft::MessageType::kStorageAppendResp && answer.commit != 0;
  return more;
}

// --------------------------------------------------------------------------------------------------------------- snapshots

void RaftGroup::OfferSnapshot(std::shared_ptr<StagedSnapshot> staged, raft::Message message, StoreId from) {
  if (stopped_ || node_ == nullptr || staged_ != nullptr || installing_) {
    staged->result = absl::UnavailableError("another snapshot is being installed");
    staged->done.Set();
    return;
  }
  staged_ = staged;
  learned_stores_[message.from] = from;
  absl::Status s = node_->Step(std::move(message));
  if (!s.ok()) LOG_DEBUG("a snapshot was of no use", {"range", range_}, {"why", s.ToString()});
  ProcessReady();
  if (staged_ == nullptr) return;  // taken, or the group stopped
  // Consensus does not want it: it has what is in it, or a newer leader.
  staged_.reset();
  staged->result = absl::OkStatus();
  staged->done.Set();
}

// Redo records for the ranges that end with the snapshot, added to `ended`. True: there were new ones.
bool RaftGroup::AnnounceEnded(const StagedSnapshot& staged, std::map<RangeId, uint64_t>* ended, LogBatch* batch) {
  bool any = false;
  for (const v1::RangeDescriptor& range : host_->lifecycle().EndedBy(staged.descriptor)) {
    auto [it, fresh] = ended->try_emplace(range.range_id(), 0);
    if (!fresh) continue;
    any = true;
    it->second = host_->log().NextRedoId();
    batch->Redo(it->second, EncodeRedo({.kind = Redo::Kind::kMerge, .range = range_, .index = staged.state.applied_index, .right = range.range_id()}));
  }
  return any;
}

absl::Status RaftGroup::WriteSnapshot(const StagedSnapshot& staged, const std::map<RangeId, uint64_t>& announced) {
  RETURN_IF_ERROR(host_->lifecycle().MayHold(staged.descriptor));
  storage::WriteBatch batch;
  for (const v1::RangeDescriptor& ended : host_->lifecycle().EndedBy(staged.descriptor)) {
    CHECK(announced.contains(ended.range_id())) << "range " << ended.range_id() << " ends without a redo record";
    ClearSpan(&batch, ended.start_key(), ended.end_key());
    batch.DeleteRange(storage::ColumnFamily::kRange, keys::RangeIdPrefix(ended.range_id()), PrefixEnd(keys::RangeIdPrefix(ended.range_id())));
  }
  if (initialized_) ClearSpan(&batch, descriptor_.start_key(), descriptor_.end_key());
  ClearSpan(&batch, staged.descriptor.start_key(), staged.descriptor.end_key());
  batch.DeleteRange(storage::ColumnFamily::kRange, keys::RangeIdPrefix(range_), PrefixEnd(keys::RangeIdPrefix(range_)));
  batch.Append(staged.rows.rows());
  return host_->engine().Write(batch);
}

// The keys that this replica has and the snapshot has not: they were split off.
void RaftGroup::ClearSplitOff(StagedSnapshot* staged) {
  const std::string &end = staged->descriptor.end_key(), &held = descriptor_.end_key();
  if (!initialized_ || end.empty() || (!held.empty() && held <= end)) return;
  for (const RowSpan& span : RowsOfKeys(end, held)) staged->rows.Clear(span);
}

// WriteSnapshot for one that waits in files: they become the engine's at once and for good, while writes before them may still be lost with
// a crash. So what they depend on is flushed, and the ranges that end are stopped first: nobody writes between.
Task<absl::Status> RaftGroup::IngestSnapshot(const Context& ctx, StagedSnapshot* staged, const std::map<RangeId, uint64_t>& announced) {
  CO_RETURN_IF_ERROR(host_->lifecycle().MayHold(staged->descriptor));
  for (const v1::RangeDescriptor& ended : host_->lifecycle().EndedBy(staged->descriptor)) {
    CHECK(announced.contains(ended.range_id())) << "range " << ended.range_id() << " ends without a redo record";
    staged->rows.Clear(RowsOfId(ended.range_id()));
    // It may have become a part of a range that was split again: the other part is to come anew. Ranges on a store never overlap, so of
    // these and the replica itself (ClearSplitOff) only one can reach beyond the end.
    const std::string& end = staged->descriptor.end_key();
    if (!end.empty() && (ended.end_key().empty() || ended.end_key() > end)) {
      for (const RowSpan& span : RowsOfKeys(end, ended.end_key())) staged->rows.Clear(span);
    }
    host_->lifecycle().ForgetEnded(ended.range_id());
  }
  ingesting_ = true;
  absl::Status s = co_await host_->engine().Flush(ctx);
  if (s.ok()) s = co_await staged->rows.Ingest(ctx);
  ingesting_ = false;
  ingest_ended_.NotifyAll();
  co_return s;
}

Task<absl::Status> RaftGroup::AwaitIngest(Context ctx) {
  while (ingesting_) CO_RETURN_IF_ERROR(co_await ingest_ended_.Wait(ctx));
  co_return absl::OkStatus();
}

// Redo record, rows, flush, log: in this order, so that a crash anywhere leaves either the old state or what the redo finishes.
Task<void> RaftGroup::InstallSnapshot(raft::Message message, std::shared_ptr<StagedSnapshot> staged) {
  auto self = shared_from_this();
  // Whoever brought it waits, and holds others back meanwhile.
  struct Told {
    StagedSnapshot* staged;
    ~Told() {
      if (staged->done.is_set()) return;
      staged->result = absl::UnavailableError("the replica stopped while the snapshot was being installed");
      staged->done.Set();
    }
  } told{staged.get()};
  const Context& ctx = host_->ctx();
  const uint64_t index = message.snapshot->metadata.index, term = message.snapshot->metadata.term;
  while (!stopped_ && (apply_busy_ || !apply_queue_.empty())) {
    if (!(co_await apply_idle_.Wait(ctx)).ok()) co_return;
  }
  if (stopped_) co_return;
  const uint64_t redo = host_->log().NextRedoId();
  LogBatch begin;
  begin.Redo(redo, EncodeRedo({.kind = Redo::Kind::kSnapshot, .range = range_, .index = index, .term = term}));
  std::map<RangeId, uint64_t> ended;  // ranges that are a part of it now, and their redo records
  AnnounceEnded(*staged, &ended, &begin);
  if (!(co_await host_->log().AppendAndWait(ctx, std::move(begin))).ok() || stopped_) co_return;
  apply_busy_ = true;
  if (staged->rows.in_files()) ClearSplitOff(staged.get());
  for (;;) {
    if (LogBatch more; AnnounceEnded(*staged, &ended, &more)) {
      if (!(co_await host_->log().AppendAndWait(ctx, std::move(more))).ok() || stopped_) co_return;
      continue;
    }
    absl::Status s = staged->rows.in_files() ? co_await IngestSnapshot(ctx, staged.get(), ended) : WriteSnapshot(*staged, ended);
    if (stopped_) co_return;
    if (s.ok()) break;
    // Consensus has taken it by now, so there is no way back but a stop.
    LOG_WARNING("a snapshot cannot be written yet", {"range", range_}, {"why", s.ToString()});
    if (!(co_await Sleep(ctx, kApplyRetry)).ok() || stopped_) co_return;
  }
  for (const auto& [range_id, redo_id] : ended) {
    PROBE("a snapshot took in a range that had been merged");
    host_->lifecycle().ForgetEnded(range_id);
  }
  v1::RangeDescriptor old = descriptor_;
  const bool fresh = !initialized_;
  if (fresh) {
    Initialize(staged->descriptor, staged->state);
  } else {
    descriptor_ = staged->descriptor;
    state_ = staged->state;
    machine_->SnapshotApplied();
  }
  host_->lifecycle().DescriptorReplaced(this, old);
  host_->snapshots().NoteInstalled();
  host_->metrics().snapshots_installed += 1;
  PROBE("a snapshot was installed");
  while (!proposals_.empty() && proposals_.begin()->first <= index) {
    auto p = proposals_.begin()->second;
    proposals_.erase(proposals_.begin());
    Resolve(p, absl::UnknownError("a snapshot hid what became of the write"));
  }
  while (!staged->rows.in_files()) {
    absl::Status s = co_await host_->engine().Flush(ctx);
    if (s.ok()) break;
    if (ctx.done()) co_return;
    LOG_WARNING("a snapshot cannot be flushed yet", {"range", range_}, {"why", s.ToString()});
    if (stopped_ || !(co_await Sleep(ctx, kApplyRetry)).ok()) co_return;
  }
  if (stopped_) co_return;  // destroyed, maybe: its log is no more
  LogBatch end;
  end.Reset(range_, index, term);
  if (message.term != 0) {
    end.SetHardState(range_, {.term = message.term, .vote = message.vote, .commit = std::max(message.commit, index), .lead = message.lead, .lead_epoch = message.lead_epoch});
  }
  end.AppendEntries(range_, message.entries);
  end.RedoDone(redo);
  for (const auto& [range_id, redo_id] : ended) {
    end.Tombstone(range_id, kNoNextReplica);
    end.RedoDone(redo_id);
  }
  if (!(co_await host_->log().AppendAndWait(ctx, std::move(end))).ok() || stopped_) co_return;
  installing_ = false;
  apply_busy_ = false;
  Deliver(std::move(message.responses));
  staged->result = absl::OkStatus();
  staged->done.Set();
  DrainAppends();
  DrainApply();
}

// ------------------------------------------------------------------------------------------------------------------- apply

void RaftGroup::DrainApply() {
  if (draining_apply_) return;
  draining_apply_ = true;
  while (!apply_busy_ && !stopped_ && !removed_ && !apply_queue_.empty()) {  // A4
    ApplyWork& work = apply_queue_.front();
    if (work.next < work.message.entries.size()) {
      raft::Entry entry = work.message.entries[work.next];
      if (ApplyEntry(entry) == Applied::kDone) ++work.next;
      continue;
    }
    std::vector<raft::Message> responses = std::move(work.message.responses);
    apply_queue_.pop_front();
    Deliver(std::move(responses));
  }
  draining_apply_ = false;
  if (!apply_busy_) apply_idle_.NotifyAll();
}

RaftGroup::Applied RaftGroup::ApplyEntry(const raft::Entry& entry) {
  CHECK_EQ(entry.index, state_.applied_index + 1) << "range " << range_;
  switch (entry.type) {
    case raft::EntryType::kNormal: return ApplyCommand(entry);
    case raft::EntryType::kConfChange:
    case raft::EntryType::kConfChangeV2: return ApplyConfChange(entry);
  }
  return Applied::kDone;
}

// Every replica reads the same bytes: going on without this one would make it differ.
void RaftGroup::StopAtEntry(const raft::Entry& entry, const absl::Status& why) {
  Stop(absl::Status(why.code(), StrCat("range ", range_, ": entry ", entry.index, ": ", Sv(why.message()))));
  LOG_ERROR("a replica stopped", {"range", range_}, {"why", stop_reason_.ToString()});
}

std::shared_ptr<RaftGroup::Proposal> RaftGroup::TakeProposal(const raft::Entry& entry) {
  // Terms never fall along the log: what was proposed under an earlier one can not follow this entry, nor be it. And what another
  // entry took the place of, of whatever term, is lost.
  for (auto it = proposals_.begin(); it != proposals_.end();) {
    if (it->second->term == entry.term || (it->second->term > entry.term && it->first != entry.index)) {
      ++it;
      continue;
    }
    auto lost = it->second;
    it = proposals_.erase(it);
    PROBE("a proposal was lost with the leadership");
    Resolve(lost, absl::AbortedError("leadership was lost before the write was replicated"));
  }
  auto it = proposals_.find(entry.index);
  return it == proposals_.end() ? nullptr : it->second;
}

void RaftGroup::Resolve(const std::shared_ptr<Proposal>& proposal, absl::StatusOr<ApplyResult> result) {
  proposed_bytes_ -= proposal->bytes;
  proposals_ended_.NotifyAll();
  if (result.ok()) host_->metrics().round_seconds.Observe(ToSeconds(host_->runtime().executor->Now() - proposal->at));
  if (absl::IsAborted(result.status())) host_->metrics().proposals_refused += 1;
  proposal->result = std::move(result);
  proposal->done.Set();
}

void RaftGroup::FailProposals(const absl::Status& why) {
  auto proposals = std::exchange(proposals_, {});
  for (auto& [index, p] : proposals) Resolve(p, why);
}

RaftGroup::Applied RaftGroup::ApplyCommand(const raft::Entry& entry) {
  std::shared_ptr<Proposal> mine = TakeProposal(entry);
  if (entry.data.empty()) {
    if (CommitApplied(entry, state_, {}) == Applied::kWaits) return Applied::kWaits;
    if (mine) {  // a change of replicas that consensus did not take
      proposals_.erase(entry.index);
      Resolve(mine, absl::AbortedError("the change did not fit when it was proposed"));
    }
    return Applied::kDone;
  }
  Command decoded;
  if (mine == nullptr) {
    if (absl::Status s = DecodeCommand(entry.data.view(), &decoded); !s.ok()) {
      StopAtEntry(entry, s);
      return Applied::kWaits;
    }
  }
  const Command& command = mine ? mine->command : decoded;
  RangeState next = state_;
  if (command.lease_sequence != entry.term || command.max_lease_index <= state_.lease_index) {  // C1, C2
    PROBE("an entry was refused when it was applied");
    if (CommitApplied(entry, next, {}) == Applied::kWaits) return Applied::kWaits;
    if (mine) {
      proposals_.erase(entry.index);
      Resolve(mine, absl::AbortedError("the write was refused when it was applied"));
    }
    return Applied::kDone;
  }
  next.lease_index = command.max_lease_index;
  next.stats += command.stats_delta;
  absl::StatusOr<storage::WriteBatch> batch = storage::WriteBatch::FromBytes(command.write_set);
  if (!batch.ok()) {
    StopAtEntry(entry, batch.status());
    return Applied::kWaits;
  }
  RangeStateMachine::Applied applied{.command = &command, .index = entry.index, .term = entry.term, .mine = mine != nullptr};
  machine_->BeforeApply(applied, &*batch);
  if (command.split.has_value()) {
    apply_busy_ = true;
    host_->Spawn(ApplySplit(entry, mine, command, next, *std::move(batch)));
    return Applied::kWaits;
  }
  if (command.merge.has_value()) {
    apply_busy_ = true;
    host_->Spawn(ApplyMerge(entry, mine, command, next, *std::move(batch)));
    return Applied::kWaits;
  }
  if (CommitApplied(entry, next, *std::move(batch)) == Applied::kWaits) return Applied::kWaits;
  machine_->AfterApply(applied);
  if (!command.check_id.empty()) host_->lifecycle().Check(this, command.check_id);
  if (mine) {
    proposals_.erase(entry.index);
    Resolve(mine, ApplyResult{entry.index, entry.term});
  }
  return Applied::kDone;
}

// Data and applied state in one write. An engine that cannot take it now holds everything back; it is tried again.
RaftGroup::Applied RaftGroup::CommitApplied(const raft::Entry& entry, const RangeState& next, storage::WriteBatch batch) {
  RangeState state = next;
  state.applied_index = entry.index;
  state.applied_term = entry.term;
  PutRangeState(&batch, range_, state);
  if (absl::Status s = host_->engine().Write(batch); !s.ok()) {
    LOG_WARNING("an entry cannot be applied yet", {"range", range_}, {"index", entry.index}, {"why", s.ToString()});
    apply_busy_ = true;
    host_->Spawn(RetryApply());
    return Applied::kWaits;
  }
  state_ = std::move(state);
  host_->metrics().applied_entries += 1;
  if (!entry.data.empty()) MarkActive();
  host_->truncation().Applied(range_);
  host_->lifecycle().Wrote(this);
  return Applied::kDone;
}

Task<void> RaftGroup::RetryApply() {
  auto self = shared_from_this();
  if (!(co_await Sleep(host_->ctx(), kApplyRetry)).ok()) co_return;
  apply_busy_ = false;
  DrainApply();
}

Task<void> RaftGroup::ApplySplit(raft::Entry entry, std::shared_ptr<Proposal> mine, Command command, RangeState next, storage::WriteBatch batch) {
  auto self = shared_from_this();
  const Context& ctx = host_->ctx();
  const SplitTrigger& split = *command.split;
  absl::Status prepared = co_await host_->lifecycle().PrepareSplit(ctx, split, entry.index);
  if (stopped_ || ctx.done()) co_return;
  if (prepared.ok()) prepared = host_->lifecycle().AddSplitRows(split, &batch);
  if (!prepared.ok()) {
    Stop(prepared);
    LOG_ERROR("a replica stopped: its split failed", {"range", range_}, {"why", prepared.ToString()});
    co_return;
  }
  next.stats -= split.right_stats;
  if (!(co_await WriteTrigger(entry, split.left, std::move(next), std::move(batch)))) co_return;
  RaftGroup* right = host_->lifecycle().FinishSplit(split);
  machine_->AfterApply({.command = &command, .index = entry.index, .term = entry.term, .mine = mine != nullptr});
  machine_->AfterSplit(split, right == nullptr ? nullptr : right->state_machine());
  // A follower that missed the split and got a snapshot of the left side alone has nothing of the right side until that has a leader;
  // nobody may ask for it for long.
  if (right != nullptr) host_->WantElection(right, lease_.sequence != 0 ? Duration::zero() : kElectionByOthers);
  EndTrigger(entry, mine);
}

// What a split or a merge writes, descriptor and applied state included. False: this replica stopped meanwhile.
Task<bool> RaftGroup::WriteTrigger(const raft::Entry& entry, v1::RangeDescriptor descriptor, RangeState next, storage::WriteBatch batch) {
  next.applied_index = entry.index;
  next.applied_term = entry.term;
  PutRangeState(&batch, range_, next);
  for (;;) {
    absl::Status s = host_->engine().Write(batch);
    if (s.ok()) break;
    LOG_WARNING("a split or a merge cannot be applied yet", {"range", range_}, {"why", s.ToString()});
    if (!(co_await Sleep(host_->ctx(), kApplyRetry)).ok() || stopped_) co_return false;
  }
  const v1::RangeDescriptor old = std::exchange(descriptor_, std::move(descriptor));
  state_ = std::move(next);
  host_->metrics().applied_entries += 1;
  host_->truncation().Applied(range_);
  host_->lifecycle().DescriptorReplaced(this, old);
  co_return true;
}

// It is done: whoever proposed it is told, and the next entries have their turn.
void RaftGroup::EndTrigger(const raft::Entry& entry, const std::shared_ptr<Proposal>& mine) {
  host_->lifecycle().Wrote(this);
  if (mine) {
    proposals_.erase(entry.index);
    Resolve(mine, ApplyResult{entry.index, entry.term});
  }
  CHECK(!apply_queue_.empty());
  ++apply_queue_.front().next;
  apply_busy_ = false;
  DrainApply();
  MarkDirty();
}

}  // namespace insula::kv
