// Ranges that end: taken in by their left neighbour, or found out by a snapshot to have been.
//
//   a merge's entry ─► PrepareMerge: the right side's replica here is as far as the merge says ─► AddMergeRows, in the entry's own batch
//                      ─► FinishMerge: the right side's group goes ─► flush ─► tombstone; redo record done
//
// The right side's data becomes the left side's where it lies. A crash before the batch is flushed finds both sides as they were, a redo
// record, and both logs: the entry is applied again. After it, the redo record makes the log forget the right side.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/encoding/ordered.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/range_state.h"
#include "kv/store/store.h"

namespace insula::kv {
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
  }
  if (merge_redos_.contains(right)) co_return absl::OkStatus();
  const uint64_t redo = log_->NextRedoId();
  LogBatch batch;
  batch.Redo(redo, EncodeRedo({.kind = Redo::Kind::kMerge, .range = left, .index = index, .right = right, .right_applied = merge.right_applied}));
  CO_RETURN_IF_ERROR(co_await log_->AppendAndWait(ctx, std::move(batch)));
  merge_redos_[right] = redo;
  co_return absl::OkStatus();
}

void Store::AddMergeRows(const MergeTrigger& merge, storage::WriteBatch* batch) {
  const std::string prefix = keys::RangeIdPrefix(merge.right.range_id());
  batch->DeleteRange(storage::ColumnFamily::kRange, prefix, PrefixEnd(prefix));
  PutDescriptor(batch, merge.left);
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

void Store::ForgetEnded(RangeId range) {
  if (const v1::RangeDescriptor* descriptor = DescriptorHere(range)) {
    auto it = by_start_.find(descriptor->start_key());
    if (it != by_start_.end() && it->second == range) by_start_.erase(it);
  }
  multiraft_.Remove(range, absl::UnavailableError(StrCat("range ", range, " has become part of another")));
  damaged_.erase(range);
  problems_.erase(range);
}

}  // namespace insula::kv
