// A range takes its right neighbour in, on one store.
//
//   entry ─► wait: the right side's replica here has applied `right_applied` ─► redo record ─► one engine batch ─► that replica goes
//                                                                                │ descriptor, statistics,       ─► flush, then the
//                                                                                │ the right side's own rows go     log forgets it
//
// Nothing of the data moves: both sides lie in one engine. Everything that belongs to the merge is in every right replica's log before the
// entry is proposed (kv/replica/replica_merge.cc), so the wait ends even where the right side has nobody left to lead it: what the trigger
// says is applied is committed, and this replica is told so.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/strings.h"
#include "kv/multiraft/multiraft.h"
#include "kv/multiraft/raft_group.h"

namespace insula::kv {
void RaftGroup::LearnCommitted(uint64_t index) {
  if (stopped_ || node_ == nullptr || node_->GetBasicStatus().hard_state.commit >= index) return;
  PROBE("a range heard from its merge what of it is committed");
  node_->LearnCommitted(index);
  MarkDirty();
}

Task<void> RaftGroup::ApplyMerge(raft::Entry entry, std::shared_ptr<Proposal> mine, Command command, RangeState next, storage::WriteBatch batch) {
  auto self = shared_from_this();
  const Context& ctx = host_->ctx();
  const MergeTrigger& merge = *command.merge;
  absl::Status prepared = co_await host_->lifecycle().PrepareMerge(ctx, merge, entry.index);
  if (stopped_ || ctx.done()) co_return;
  if (prepared.ok()) prepared = host_->lifecycle().AddMergeRows(merge, &batch);
  if (!prepared.ok()) {
    Stop(prepared);
    LOG_ERROR("a replica stopped: its merge failed", {"range", range_}, {"why", prepared.ToString()});
    co_return;
  }
  next.stats += merge.right_stats;
  next.lease_floor = std::max(next.lease_floor, merge.served);
  if (!(co_await WriteTrigger(entry, merge.left, std::move(next), std::move(batch)))) co_return;
  PROBE("a range was merged");
  host_->lifecycle().FinishMerge(merge);
  machine_->AfterApply({.command = &command, .index = entry.index, .term = entry.term, .mine = mine != nullptr});
  machine_->AfterMerge(merge);
  EndTrigger(entry, mine);
}

}  // namespace insula::kv
