// Replicas that come and go.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/range_state.h"
#include "kv/store/store.h"

namespace insula::kv {

RangeState Store::RightState(const SplitTrigger& split) const {
  return {.applied_index = kFirstIndex, .applied_term = kFirstTerm, .lease_floor = split.served, .conf = ConfStateOf(split.right), .stats = split.right_stats};
}

Task<absl::Status> Store::PrepareSplit(const Context& ctx, const SplitTrigger& split, uint64_t index) {
  const RangeId left = split.left.range_id(), right = split.right.range_id();
  const v1::ReplicaDescriptor* replica = ReplicaOn(split.right, options_.store_id);
  if (replica == nullptr) co_return absl::InternalError(StrCat("split of range ", left, ": its right side has no replica here"));
  uint64_t& redo = split_redos_[{left, index}];
  LogBatch batch;
  if (redo == 0) {
    redo = log_->NextRedoId();
    batch.Redo(redo, EncodeRedo({.kind = Redo::Kind::kSplit, .range = left, .index = index, .right = right}));
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

void Store::AddSplitRows(const SplitTrigger& split, storage::WriteBatch* batch) {
  PutDescriptor(batch, split.left);
  PutDescriptor(batch, split.right);
  PutRangeState(batch, split.right.range_id(), RightState(split));
}

RaftGroup* Store::FinishSplit(const SplitTrigger& split) {
  const RangeId right = split.right.range_id();
  for (auto it = split_redos_.begin(); it != split_redos_.end();) {
    if (it->first.first == split.left.range_id()) {
      multiraft_.truncation().CloseRedo(it->second);
      it = split_redos_.erase(it);
    } else {
      ++it;
    }
  }
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
  gc_.Found(right);
  LOG_INFO("range split", {"left", split.left.range_id()}, {"right", right}, {"at", keys::Pretty(split.right.start_key())});
  return group.get();
}

std::shared_ptr<RaftGroup> Store::CreateForMessage(const v1::RaftEnvelope& envelope) {
  const v1::RangeDescriptor& range = envelope.range();
  const v1::ReplicaDescriptor* replica = ReplicaOn(range, options_.store_id);
  if (range.range_id() != envelope.range_id() || range.version() != kDescriptorVersion || replica == nullptr) return nullptr;
  if (replica->replica_id() != envelope.message().to() || replica->replica_id() < log_->NextReplica(range.range_id())) return nullptr;
  // Where another replica here still holds its keys, the split that makes room is on its way. Perhaps it is committed, and nobody has told
  // that replica, as its range sleeps: then nobody else will, and the range that asks could wait for a quorum for ever.
  if (!MayHold(range).ok()) {
    WakeOverlapping(range);
    return nullptr;
  }
  if (problems_.contains(range.range_id()) || !log_->Damage(range.range_id()).ok()) return nullptr;
  LogBatch batch;
  batch.SetReplica(range.range_id(), replica->replica_id());
  log_->AppendLazily(std::move(batch));  // before anything that this replica will promise
  LOG_INFO("replica made for a message", {"range", range.range_id()}, {"replica", replica->replica_id()});
  return std::make_shared<RaftGroup>(&multiraft_, range.range_id(), replica->replica_id());
}

void Store::WakeOverlapping(const v1::RangeDescriptor& range) {
  for (const v1::RangeDescriptor& other : LocalRanges(range.start_key(), range.end_key().empty() ? "\xff" : range.end_key())) {
    auto group = multiraft_.Find(other.range_id());
    if (group != nullptr && other.range_id() != range.range_id()) multiraft_.WantElection(group.get(), Duration::zero());
  }
}

absl::Status Store::MayHold(const v1::RangeDescriptor& range) {
  auto it = by_start_.upper_bound(range.start_key());
  if (it != by_start_.begin()) --it;
  for (; it != by_start_.end() && (range.end_key().empty() || it->first < range.end_key()); ++it) {
    if (it->second == range.range_id()) continue;
    const v1::RangeDescriptor* other = DescriptorHere(it->second);
    if (other == nullptr || HasEnded(*other, range) || !keys::RangesOverlap(range.start_key(), range.end_key(), other->start_key(), other->end_key())) continue;
    return absl::FailedPreconditionError(StrCat("range ", range.range_id(), " would overlap range ", it->second, " on this store"));
  }
  return absl::OkStatus();
}

void Store::DescriptorReplaced(RaftGroup* group, const v1::RangeDescriptor& old) {
  if (old.range_id() != 0) {
    auto it = by_start_.find(old.start_key());
    if (it != by_start_.end() && it->second == group->range_id()) by_start_.erase(it);
  }
  by_start_[group->descriptor().start_key()] = group->range_id();
}

Task<absl::Status> Store::DestroyReplica(const Context& ctx, RangeId range, ReplicaId next_replica) {
  auto group = multiraft_.Find(range);
  if (group == nullptr) co_return absl::NotFoundError(StrCat("range ", range, " is not on this store"));
  if (next_replica <= group->replica_id()) co_return absl::InvalidArgumentError("the next replica's id must be above this one's");
  const bool initialized = group->initialized();
  const v1::RangeDescriptor descriptor = group->descriptor();
  multiraft_.Remove(range, absl::UnavailableError(StrCat("range ", range, " is removed from this store")));
  const uint64_t id = log_->NextRedoId();
  LogBatch batch;
  batch.Redo(id, EncodeRedo({.kind = Redo::Kind::kDestroy, .range = range, .next_replica = next_replica}));
  CO_RETURN_IF_ERROR(co_await log_->AppendAndWait(ctx, std::move(batch)));
  Redo redo{.kind = Redo::Kind::kDestroy, .range = range, .next_replica = next_replica};
  CO_RETURN_IF_ERROR(co_await FinishDestroyRedo(ctx, id, redo));
  if (initialized) {
    auto it = by_start_.find(descriptor.start_key());
    if (it != by_start_.end() && it->second == range) by_start_.erase(it);
  }
  co_return absl::OkStatus();
}

}  // namespace insula::kv
