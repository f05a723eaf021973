// Replicas that come and go.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/encoding/ordered.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/range_state.h"
#include "kv/multiraft/redo.h"
#include "kv/replica/aborted.h"
#include "kv/store/store.h"

namespace insula::kv {
namespace {
constexpr Duration kDestroyRetry = std::chrono::milliseconds(500);
}  // namespace

RangeState Store::RightState(const SplitTrigger& split) const {
  return {.applied_index = kFirstIndex, .applied_term = kFirstTerm, .lease_floor = split.served, .conf = ConfStateOf(split.right), .stats = split.right_stats};
}

Task<absl::Status> Store::PrepareSplit(const Context& ctx, const SplitTrigger& split, uint64_t index) {
  const RangeId left = split.left.range_id(), right = split.right.range_id();
  const v1::ReplicaDescriptor* replica = ReplicaOn(split.right, options_.store_id);
  if (replica == nullptr) co_return absl::InternalError(StrCat("split of range ", left, ": its right side has no replica here"));
  OpenSplit& open = open_splits_[{left, index}];
  open.right = right;
  open.right_gone = replica->replica_id() < NextReplica(right);
  if (open.right_gone) {
    PROBE("a split met a right side that was removed before");
    co_return absl::OkStatus();
  }
  LogBatch batch;
  if (open.redo == 0) {
    open.redo = log_->NextRedoId();
    batch.Redo(open.redo, EncodeRedo({.kind = Redo::Kind::kSplit, .range = left, .index = index, .right = right}));
  }
  if (log_->TruncatedIndex(right) < kFirstIndex) {
    batch.SetReplica(right, replica->replica_id());
    batch.Reset(right, kFirstIndex, kFirstTerm);
  }
  raft::HardState hs = log_->HardState(right);  // B4
  if (hs.term < kFirstTerm) hs = {.term = kFirstTerm};
  hs.commit = std::max(hs.commit, kFirstIndex);
  batch.SetHardState(right, hs);
  co_return co_await log_->AppendAndWait(ctx, std::move(batch));
}

absl::Status Store::AddSplitRows(const SplitTrigger& split, storage::WriteBatch* batch) {
  PutDescriptor(batch, split.left);
  const RangeId right = split.right.range_id();
  for (const auto& [key, open] : open_splits_) {
    if (key.first != split.left.range_id() || open.right != right || !open.right_gone) continue;
    ClearSpan(batch, split.right.start_key(), split.right.end_key());
    batch->DeleteRange(storage::ColumnFamily::kRange, keys::RangeIdPrefix(right), PrefixEnd(keys::RangeIdPrefix(right)));
    return absl::OkStatus();
  }
  PutDescriptor(batch, split.right);
  PutRangeState(batch, right, RightState(split));
  return CopyAborted(*engine_->NewReader(), split.left.range_id(), right, batch);
}

RaftGroup* Store::FinishSplit(const SplitTrigger& split) {
  const RangeId right = split.right.range_id();
  bool right_gone = false;
  for (auto it = open_splits_.begin(); it != open_splits_.end();) {
    if (it->first.first == split.left.range_id()) {
      if (it->second.redo != 0) multiraft_.truncation().CloseRedo(it->second.redo);
      right_gone = right_gone || (it->second.right == right && it->second.right_gone);
      it = open_splits_.erase(it);
    } else {
      ++it;
    }
  }
  if (right_gone) return nullptr;
  if (auto early = multiraft_.Find(right); early != nullptr) {
    if (early->initialized()) return nullptr;
    multiraft_.Remove(right, absl::UnavailableError("its range came to be by a split"));
  }
  auto group = std::make_shared<RaftGroup>(&multiraft_, right, ReplicaOn(split.right, options_.store_id)->replica_id());
  multiraft_.Add(group);
  group->Initialize(split.right, RightState(split));
  group->StartConsensus();
  DescriptorReplaced(group.get(), {});
  multiraft_.truncation().Applied(right);
  multiraft_.TakeEarly(group.get());
  gc_.Found(right);
  LOG_INFO("range split", {"left", split.left.range_id()}, {"right", right}, {"at", keys::Pretty(split.right.start_key())});
  return group.get();
}

std::shared_ptr<RaftGroup> Store::CreateForMessage(const v1::RaftEnvelope& envelope) {
  const v1::RangeDescriptor& range = envelope.range();
  const v1::ReplicaDescriptor* replica = ReplicaOn(range, options_.store_id);
  if (range.range_id() != envelope.range_id() || range.version() != kDescriptorVersion || replica == nullptr) return nullptr;
  if (replica->replica_id() != envelope.message().to() || replica->replica_id() < NextReplica(range.range_id())) return nullptr;
  if (destroying_.contains(range.range_id())) return nullptr;
  // Where another replica here still holds its keys, the split that makes room (or its removal) is on its way. Perhaps it is committed,
  // and nobody has told that replica, as its range sleeps: then nobody else will, and the range that asks could wait for a quorum for ever.
  if (!MayHold(range).ok()) {
    WakeOverlapping(range);
    multiraft_.KeepEarly(envelope);
    return nullptr;
  }
  if (problems_.contains(range.range_id()) || !log_->Damage(range.range_id()).ok()) return nullptr;
  // A log without the state that it begins with: the split that was to make that was lost. What it has promised stays promised.
  if (log_->LastIndex(range.range_id()) != 0) {
    PROBE("a replica without a state took no part");
    return nullptr;
  }
  LogBatch batch;
  batch.SetReplica(range.range_id(), replica->replica_id());
  log_->AppendLazily(std::move(batch));  // before anything that this replica will promise
  LOG_INFO("replica made for a message", {"range", range.range_id()}, {"replica", replica->replica_id()});
  return std::make_shared<RaftGroup>(&multiraft_, range.range_id(), replica->replica_id());
}

void Store::WakeOverlapping(const v1::RangeDescriptor& range) {
  for (const v1::RangeDescriptor& other : LocalRanges(range.start_key(), range.end_key().empty() ? "\xff" : range.end_key())) {
    auto group = multiraft_.Find(other.range_id());
    if (group == nullptr || other.range_id() == range.range_id()) continue;
    multiraft_.WantElection(group.get(), Duration::zero());
    if (auto left = LeftOf(other.range_id()); left != nullptr && other.start_key() == range.start_key()) multiraft_.WantElection(left.get(), Duration::zero());
  }
}

absl::Status Store::MayHold(const v1::RangeDescriptor& range) {
  auto it = by_start_.upper_bound(range.start_key());
  if (it != by_start_.begin()) --it;
  for (; it != by_start_.end() && (range.end_key().empty() || it->first < range.end_key()); ++it) {
    if (it->second == range.range_id()) continue;
    const v1::RangeDescriptor* other = DescriptorHere(it->second);
    if (other != nullptr && HasEnded(*other, range) && it->first == range.start_key() && IsAwaited(it->second)) {
      PROBE("a range waited for a merge that its store had still to apply");
      return absl::FailedPreconditionError(StrCat("range ", it->second, " is still to be taken in by its left neighbour on this store"));
    }
    if (other == nullptr || HasEnded(*other, range) || !keys::RangesOverlap(range.start_key(), range.end_key(), other->start_key(), other->end_key())) continue;
    return absl::FailedPreconditionError(StrCat("range ", range.range_id(), " would overlap range ", it->second, " on this store"));
  }
  for (const auto& [other, held] : destroying_) {
    if (held.range_id() == 0 || !keys::RangesOverlap(range.start_key(), range.end_key(), held.start_key(), held.end_key())) continue;
    return absl::FailedPreconditionError(StrCat("range ", range.range_id(), " would overlap range ", other, ", which is being removed from this store"));
  }
  return absl::OkStatus();
}

void Store::DescriptorReplaced(RaftGroup* group, const v1::RangeDescriptor& old) {
  if (old.range_id() != 0) {
    auto it = by_start_.find(old.start_key());
    if (it != by_start_.end() && it->second == group->range_id()) by_start_.erase(it);
    if (old.end_key() != group->descriptor().end_key()) multiraft_.RetryEarly();
  }
  by_start_[group->descriptor().start_key()] = group->range_id();
  for (const auto& r : group->descriptor().replicas()) {
    multiraft_.AddStore(r.store_id());
    if (started_) pool_.Meet(r.node_id(), r.store_id());
  }
  if (group->holds_lease()) replicate_.Touch(group->range_id());
}

// ---------------------------------------------------------------------------------------------------------------- removed replicas

Task<absl::Status> Store::DestroyReplica(const Context& ctx, RangeId range, ReplicaId next_replica) {
  auto group = multiraft_.Find(range);
  if (group == nullptr) co_return absl::NotFoundError(StrCat("range ", range, " is not on this store"));
  if (next_replica <= group->replica_id()) co_return absl::InvalidArgumentError("the next replica's id must be above this one's");
  co_return co_await Destroy(ctx, range, next_replica, group->initialized() ? group->descriptor() : v1::RangeDescriptor());
}

// An engine that cannot flush now is asked again.
Task<absl::Status> Store::FlushAtLast(const Context& ctx, RangeId range) {
  for (;;) {
    absl::Status s = co_await engine_->Flush(ctx);
    if (s.ok() || ctx.done()) co_return s;
    LOG_WARNING("a range's last step cannot be flushed yet", {"range", range}, {"why", s.ToString()});
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, kDestroyRetry));
  }
}

// Ends what runs of it, then: flush, redo record, rows and flush, tombstone. The first flush is for the ranges that split from it or that it
// took in: they are not to depend on its log any more. What it held is kept for it until all of that is done; if that is cut short, the
// next start goes on with it.
Task<absl::Status> Store::Destroy(const Context& ctx, RangeId range, ReplicaId next_replica, v1::RangeDescriptor held) {
  CHECK(destroying_.emplace(range, held).second) << "range " << range << " is being destroyed already";
  std::shared_ptr<RaftGroup> group = multiraft_.Find(range);
  multiraft_.Remove(range, absl::UnavailableError(StrCat("range ", range, " is removed from this store")));
  // Files that are being taken in for it come before they are cleared.
  if (group != nullptr) CO_RETURN_IF_ERROR(co_await group->AwaitIngest(ctx));
  group.reset();
  CO_RETURN_IF_ERROR(co_await FlushAtLast(ctx, range));
  const uint64_t id = log_->NextRedoId();
  const Redo redo{.kind = Redo::Kind::kDestroy, .range = range, .next_replica = next_replica};
  LogBatch batch;
  batch.Redo(id, EncodeRedo(redo));
  CO_RETURN_IF_ERROR(co_await log_->AppendAndWait(ctx, std::move(batch)));
  for (;;) {
    absl::Status s = co_await FinishDestroyRedo(ctx, id, redo);
    if (s.ok()) break;
    if (ctx.done()) co_return s;
    LOG_WARNING("a removed replica cannot be cleared yet", {"range", range}, {"why", s.ToString()});
    CO_RETURN_IF_ERROR(co_await Sleep(ctx, kDestroyRetry));
  }
  if (held.range_id() != 0) {
    auto it = by_start_.find(held.start_key());
    if (it != by_start_.end() && it->second == range) by_start_.erase(it);
  }
  damaged_.erase(range);
  problems_.erase(range);
  destroying_.erase(range);
  pool_.SayNow();  // one that had stopped is gone
  multiraft_.RetryEarly();
  PROBE("a removed replica was destroyed");
  LOG_INFO("replica destroyed", {"range", range}, {"next_replica", next_replica});
  co_return absl::OkStatus();
}

// kUnavailable: not now, ask again.
Task<absl::Status> Store::RemoveReplicasBelow(const Context& ctx, RangeId range, ReplicaId next_replica) {
  if (destroying_.contains(range)) co_return absl::UnavailableError("it is being destroyed");
  for (const auto& [key, open] : open_splits_) {
    if (open.right == range) co_return absl::UnavailableError("it is about to come to be by a split");
  }
  if (auto group = multiraft_.Find(range); group != nullptr) {
    if (group->replica_id() >= next_replica) co_return absl::OkStatus();
    co_return co_await DestroyReplica(ctx, range, next_replica);
  }
  const ReplicaId here = log_->Replica(range);
  if (auto it = damaged_.find(range); it != damaged_.end()) {
    if (here >= next_replica) co_return absl::OkStatus();
    co_return co_await Destroy(ctx, range, next_replica, it->second);
  }
  if (log_->NextReplica(range) >= next_replica) co_return absl::OkStatus();
  // One that never came to be, or never again since the start. Nor is it to come to be while that is being written.
  ReplicaId& next = entombing_[range];
  next = std::max(next, next_replica);
  LogBatch batch;
  batch.Tombstone(range, next_replica);
  absl::Status written = co_await log_->AppendAndWait(ctx, std::move(batch));
  if (auto it = entombing_.find(range); it != entombing_.end() && it->second <= next_replica) entombing_.erase(it);
  co_return written;
}

ReplicaId Store::NextReplica(RangeId range) const {
  auto it = entombing_.find(range);
  return std::max(log_->NextReplica(range), it == entombing_.end() ? ReplicaId{} : it->second);
}

void Store::ReplicaGone(StoreId from, v1::ReplicaGone gone) {
  if (started_) tasks_.Spawn(AnswerGone(from, std::move(gone)));
}

// Ranges that have ended, as `newer` had keys of theirs; whoever took a range in goes before it. kUnavailable: not now.
Task<absl::Status> Store::RemoveEndedBy(const Context& ctx, const v1::RangeDescriptor& newer) {
  for (;;) {
    for (const auto& [range, held] : destroying_) {
      if (held.range_id() != 0 && HasEnded(held, newer)) co_return absl::UnavailableError("a range that has ended is being destroyed");
    }
    const std::vector<v1::RangeDescriptor> ended = EndedBy(newer);
    if (ended.empty()) co_return absl::OkStatus();
    if (IsAwaited(ended.front().range_id())) {
      WakeOverlapping(newer);
      co_return absl::UnavailableError("a range that has ended is still to be taken in by its left neighbour here");
    }
    PROBE("a range that had ended was destroyed with the replica that took it in");
    CO_RETURN_IF_ERROR(co_await RemoveReplicasBelow(ctx, ended.front().range_id(), kNoNextReplica));
  }
}

Task<void> Store::AnswerGone(StoreId from, v1::ReplicaGone gone) {
  absl::Status s = co_await RemoveReplicasBelow(tasks_.ctx(), gone.range_id(), gone.next_replica());
  if (s.ok() && !tasks_.ctx().done()) s = co_await RemoveEndedBy(tasks_.ctx(), gone.held());
  if (tasks_.ctx().done()) co_return;
  if (!s.ok()) {
    LOG_DEBUG("a removed replica is still here", {"range", gone.range_id()}, {"why", s.ToString()});
    co_return;  // whoever tells us does so again
  }
  gone.set_done(true);
  multiraft_.SendGone(from, std::move(gone));
}

// That another replica was made for this store says that the removal of the old one is known to a majority: the entry that made it came
// after, and is committed.
void Store::ReplicaReplaced(const v1::RaftEnvelope& envelope) {
  const v1::ReplicaDescriptor* replica = ReplicaOn(envelope.range(), options_.store_id);
  if (!started_ || replica == nullptr || envelope.range().range_id() != envelope.range_id() || replica->replica_id() != envelope.message().to()) return;
  tasks_.Spawn(Replace(envelope.range_id(), replica->replica_id()));
}

Task<void> Store::Replace(RangeId range, ReplicaId replica) {
  absl::Status s = co_await RemoveReplicasBelow(tasks_.ctx(), range, replica);
  if (!s.ok()) LOG_DEBUG("a replica cannot make room for its successor yet", {"range", range}, {"why", s.ToString()});
}

}  // namespace insula::kv
