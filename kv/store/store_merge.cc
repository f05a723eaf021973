// Ranges that end: taken in by their left neighbour, or found out by a snapshot to have been.
//
//   a merge's entry ─► PrepareMerge: the right side's replica here is as far as the merge says ─► AddMergeRows, in the entry's own batch
//                      ─► FinishMerge: the right side's group goes ─► flush ─► tombstone; redo record done
//
// The right side's data becomes the left side's where it lies. A crash before the batch is flushed finds both sides as they were, a redo
// record, and both logs: the entry is applied again. After it, the redo record makes the log forget the right side.
//
// A range that took the right side's keys over may come to this store sooner than the merge does, which its left side here is still behind.
// Then the right side stays until that has applied it (IsAwaited), as it would wait for it forever. Where the left side goes instead, or
// learns of the merge by a snapshot, the right side is cleared by whoever holds its first key by then: with a snapshot of that range, or with
// the word that this store's replica of it was removed (RemoveEndedBy).
#include <algorithm>
#include <utility>
#include <vector>

#include "base/encoding/ordered.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/command.h"
#include "kv/multiraft/range_state.h"
#include "kv/replica/aborted.h"
#include "kv/replica/frozen.h"
#include "kv/replica/removed.h"
#include "kv/store/store.h"
#include "kv/txn/record.h"

namespace insula::kv {
namespace {
constexpr uint64_t kLookBytes = 4 << 20;
}  // namespace

Task<absl::Status> Store::PrepareMerge(const Context& ctx, const MergeTrigger& merge, uint64_t index) {
  const RangeId left = merge.left.range_id(), right = merge.right.range_id();
  for (;;) {
    if (auto problem = problems_.find(right); problem != problems_.end()) co_return problem->second;
    auto group = multiraft_.Find(right);
    if (group != nullptr && group->stopped()) co_return group->stop_reason();
    if (group != nullptr && group->initialized()) {
      if (group->applied_index() >= merge.right_applied) break;
      if (log_->LastIndex(right) >= merge.right_applied) group->LearnCommitted(merge.right_applied);
    }
    PROBE("a merge waited for its right side");
    CO_RETURN_IF_ERROR(co_await merge_progress_.Wait(ctx));
    if (auto self = multiraft_.Find(left); self == nullptr || self->stopped()) co_return absl::CancelledError("the merge's left side has left the store");
  }
  if (merge_redos_.contains(right)) co_return absl::OkStatus();
  const uint64_t redo = log_->NextRedoId();
  LogBatch batch;
  batch.Redo(redo, EncodeRedo({.kind = Redo::Kind::kMerge, .range = left, .index = index, .right = right, .right_applied = merge.right_applied}));
  CO_RETURN_IF_ERROR(co_await log_->AppendAndWait(ctx, std::move(batch)));
  merge_redos_[right] = redo;
  co_return absl::OkStatus();
}

absl::Status Store::AddMergeRows(const MergeTrigger& merge, storage::WriteBatch* batch) {
  const std::string prefix = keys::RangeIdPrefix(merge.right.range_id());
  auto reader = engine_->NewReader();
  RETURN_IF_ERROR(TakeRemoved(*reader, merge.left.range_id(), merge.right.range_id(), batch));
  RETURN_IF_ERROR(CopyAborted(*reader, merge.right.range_id(), merge.left.range_id(), batch));
  batch->DeleteRange(storage::ColumnFamily::kRange, prefix, PrefixEnd(prefix));
  PutDescriptor(batch, merge.left);
  return absl::OkStatus();
}

void Store::FinishMerge(const MergeTrigger& merge) {
  const RangeId right = merge.right.range_id();
  LOG_INFO("range merged", {"left", merge.left.range_id()}, {"right", right}, {"at", keys::Pretty(merge.right.start_key())});
  ForgetEnded(right);
  auto redo = merge_redos_.find(right);
  tasks_.Spawn(ForgetMerged(right, redo->second));
  merge_redos_.erase(redo);
}

// If the process ends before, the next start does it.
Task<void> Store::ForgetMerged(RangeId range, uint64_t redo) {
  if (!(co_await FlushAtLast(tasks_.ctx(), range)).ok()) co_return;
  LogBatch batch;
  batch.Tombstone(range, kNoNextReplica);
  batch.RedoDone(redo);
  log_->AppendLazily(std::move(batch));
}

const v1::RangeDescriptor* Store::DescriptorHere(RangeId range) const {
  if (auto group = multiraft_.Find(range); group != nullptr) return group->initialized() ? &group->descriptor() : nullptr;
  auto damaged = damaged_.find(range);
  return damaged == damaged_.end() ? nullptr : &damaged->second;
}

std::vector<v1::RangeDescriptor> Store::EndedBy(const v1::RangeDescriptor& newer) {
  std::vector<v1::RangeDescriptor> ended;
  for (auto it = by_start_.lower_bound(newer.start_key()); it != by_start_.end() && (newer.end_key().empty() || it->first < newer.end_key()); ++it) {
    const v1::RangeDescriptor* other = DescriptorHere(it->second);
    if (other != nullptr && HasEnded(*other, newer)) ended.push_back(*other);
  }
  return ended;
}

// The entry that froze the range belongs to the merge that ended it, if no later one did so: every replica has it in its log, and it is
// committed. Nobody may be left to tell this one.
void Store::LearnFrozen(RangeId range) {
  auto group = multiraft_.Find(range);
  if (group == nullptr || !group->initialized() || group->stopped()) return;
  const uint64_t from = std::max(group->applied_index(), log_->TruncatedIndex(range)) + 1, end = log_->LastIndex(range) + 1;
  uint64_t frozen_at = 0;
  for (uint64_t at = from; at < end;) {
    auto entries = log_->Entries(range, at, end, kLookBytes);
    if (!entries.ok() || entries->empty()) return;
    for (const raft::Entry& entry : *entries) {
      Command command;
      if (entry.type == raft::EntryType::kNormal && !entry.data.empty() && DecodeCommand(entry.data.view(), &command).ok() &&
          command.write_set.find(FrozenKey(range)) != std::string::npos) {
        frozen_at = entry.index;
      }
    }
    at += entries->size();
  }
  if (frozen_at != 0) group->LearnCommitted(frozen_at);
}

// Whether a replica here of a range that has ended is still to be taken in by its left neighbour here, which has the merge before it. It has
// it behind it once the merge's outcome is there, or it begins at a later key than what took the range in did.
bool Store::IsAwaited(RangeId ended) {
  auto left = LeftOf(ended);
  if (left == nullptr || left->stopped() || left->removed()) return false;
  auto reader = engine_->NewReader();
  auto frozen = LoadFrozen(*reader, ended);
  if (frozen.ok() && *frozen) {
    if (left->descriptor().start_key() > (*frozen)->anchor) return false;
    auto outcome = LoadOutcome(*reader, (*frozen)->anchor, (*frozen)->merge_id);
    if (outcome.ok() && *outcome && (*outcome)->status == v1::COMMITTED) return false;
  }
  LearnFrozen(ended);
  return true;
}

void Store::ForgetEnded(RangeId range) {
  if (const v1::RangeDescriptor* descriptor = DescriptorHere(range)) {
    auto it = by_start_.find(descriptor->start_key());
    if (it != by_start_.end() && it->second == range) by_start_.erase(it);
  }
  multiraft_.Remove(range, absl::UnavailableError(StrCat("range ", range, " has become part of another")));
  damaged_.erase(range);
  problems_.erase(range);
  multiraft_.RetryEarly();
}

}  // namespace insula::kv
