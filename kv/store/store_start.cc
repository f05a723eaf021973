// Opening a store: whose it is, what was under way when it was last used, what it holds.
#include <algorithm>
#include <utility>

#include "base/fault/probe.h"
#include "base/log/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/range_state.h"
#include "kv/store/store.h"

namespace insula::kv {

absl::Status Store::OpenFiles() {
  FileSystem& files = *runtime_.files;
  ASSIGN_OR_RETURN(ident_, ReadStoreIdent(files, options_.path));
  if (ident_.store_id != options_.store_id || ident_.node_id != options_.node_id) {
    return absl::FailedPreconditionError(StrCat(options_.path, " is store ", ident_.store_id, " of node ", ident_.node_id, ", not store ", options_.store_id, " of node ", options_.node_id,
                                                ": start the node that it belongs to, or name its own folder"));
  }
  if (!options_.cluster_id.empty() && ident_.cluster_id != options_.cluster_id) {
    return absl::FailedPreconditionError(StrCat(options_.path, " belongs to cluster ", ident_.cluster_id, ", not to ", options_.cluster_id, ": name the folder of this cluster's store"));
  }
  absl::StatusOr<std::unique_ptr<AppendFile>> lock = files.LockFile(StoreLockFile(options_.path));
  if (!lock.ok()) return absl::Status(lock.status().code(), StrCat(options_.path, " is in use by another process: ", Sv(lock.status().message())));
  lock_ = *std::move(lock);
  ASSIGN_OR_RETURN(log_, LogEngine::Open(runtime_, {.path = StoreLogDir(options_.path),
                                                    .store_id = options_.store_id,
                                                    .segment_bytes = options_.log_segment_bytes,
                                                    .garbage_bytes = 4 * options_.log_segment_bytes,
                                                    .cache_bytes = options_.log_cache_bytes,
                                                    .metrics = options_.metrics.get()}));
  if (log_->recovery().torn_bytes > 0) LOG_INFO("the log's torn end was cut", {"store", options_.store_id}, {"bytes", log_->recovery().torn_bytes});
  for (const std::string& line : log_->recovery().damage) LOG_ERROR("the log is damaged", {"store", options_.store_id}, {"where", line});
  log_->OnFailure([this](absl::Status why) { Fatal(std::move(why)); });
  ASSIGN_OR_RETURN(engine_, engines_(StoreStateDir(options_.path)));
  return absl::OkStatus();
}

// ------------------------------------------------------------------------------------------------------------------- redos

// The engine holds the snapshot, or it never came that far: then the replica is as it was.
absl::Status Store::FinishSnapshotRedo(uint64_t id, const Redo& redo, LogBatch* batch) {
  ASSIGN_OR_RETURN(std::optional<LoadedRange> loaded, LoadRange(*engine_->NewReader(), redo.range));
  if (loaded.has_value() && loaded->state.applied_index >= redo.index && log_->TruncatedIndex(redo.range) < redo.index) {
    batch->Reset(redo.range, redo.index, redo.term);
    raft::HardState hs = log_->HardState(redo.range);
    if (hs.term < redo.term) hs = {.term = redo.term};
    hs.commit = std::max(hs.commit, redo.index);
    batch->SetHardState(redo.range, hs);
  }
  batch->RedoDone(id);
  return absl::OkStatus();
}

// The splitting entry was being applied, so it is committed: it will be applied again if the engine lost that.
absl::Status Store::FinishSplitRedo(uint64_t id, const Redo& redo, LogBatch* batch) {
  auto reader = engine_->NewReader();
  ASSIGN_OR_RETURN(std::optional<LoadedRange> left, LoadRange(*reader, redo.range));
  if (left.has_value() && left->state.applied_index >= redo.index) {
    batch->RedoDone(id);
    return absl::OkStatus();
  }
  raft::HardState hs = log_->HardState(redo.range);
  if (hs.commit < redo.index) {
    hs.commit = redo.index;
    batch->SetHardState(redo.range, hs);
  }
  open_splits_[{redo.range, redo.index}] = {.redo = id, .right = redo.right};
  return absl::OkStatus();
}

// Steps of `range` that were under way when it was destroyed. A split that had begun to make its right side's log takes that back: the
// right side's replica here has to come by a snapshot now. What it promised (term, vote) stays. One that has promised entries as well, which
// only a left side that was damaged can leave behind, never takes part again (CreateForMessage).
absl::Status Store::CloseOlderRedos(uint64_t id, RangeId range, LogBatch* batch) {
  for (const auto& [older, bytes] : log_->open_redos()) {
    Redo redo;
    RETURN_IF_ERROR(DecodeRedo(bytes, &redo));
    if (older >= id || redo.range != range) continue;
    if (redo.kind == Redo::Kind::kMerge) {
      RETURN_IF_ERROR(CloseMergeRedo(older, redo, batch));
      continue;
    }
    batch->RedoDone(older);
    if (redo.kind != Redo::Kind::kSplit || log_->TruncatedIndex(redo.right) != kFirstIndex || log_->LastIndex(redo.right) != kFirstIndex) continue;
    ASSIGN_OR_RETURN(std::optional<LoadedRange> right, LoadRange(*engine_->NewReader(), redo.right));
    if (right.has_value()) continue;
    PROBE("a split was given up with its left side");
    raft::HardState hs = log_->HardState(redo.right);
    hs.commit = 0;
    batch->Reset(redo.right, 0, 0);
    batch->SetHardState(redo.right, hs);
  }
  std::erase_if(open_splits_, [&](const auto& open) { return open.first.first == range; });
  return absl::OkStatus();
}

// The left side has left this store: the right side had become a part of it, or is a replica as before.
absl::Status Store::CloseMergeRedo(uint64_t id, const Redo& redo, LogBatch* batch) {
  ASSIGN_OR_RETURN(std::optional<LoadedRange> right, LoadRange(*engine_->NewReader(), redo.right));
  if (!right.has_value()) batch->Tombstone(redo.right, kNoNextReplica);
  batch->RedoDone(id);
  merge_redos_.erase(redo.right);
  return absl::OkStatus();
}

// The merging entry was being applied, so both it and what it says of the right side are committed.
absl::Status Store::FinishMergeRedo(uint64_t id, const Redo& redo, LogBatch* batch) {
  ASSIGN_OR_RETURN(std::optional<LoadedRange> left, LoadRange(*engine_->NewReader(), redo.range));
  if (log_->Replica(redo.range) == 0) return CloseMergeRedo(id, redo, batch);
  if (left.has_value() && left->state.applied_index >= redo.index) {
    batch->Tombstone(redo.right, kNoNextReplica);
    batch->RedoDone(id);
    return absl::OkStatus();
  }
  if (redo.right_applied == 0) {
    batch->RedoDone(id);
    return absl::OkStatus();
  }
  for (auto [range, index] : {std::pair(redo.range, redo.index), std::pair(redo.right, redo.right_applied)}) {
    raft::HardState hs = log_->HardState(range);
    if (hs.commit >= index || log_->LastIndex(range) < index) continue;
    hs.commit = index;
    batch->SetHardState(range, hs);
  }
  merge_redos_[redo.right] = id;
  return absl::OkStatus();
}

Task<absl::Status> Store::FinishDestroyRedo(const Context& ctx, uint64_t id, const Redo& redo) {
  CO_ASSIGN_OR_RETURN(std::optional<LoadedRange> loaded, LoadRange(*engine_->NewReader(), redo.range));
  if (loaded.has_value()) {
    storage::WriteBatch rows;
    ClearSpan(&rows, loaded->descriptor.start_key(), loaded->descriptor.end_key());
    rows.DeleteRange(storage::ColumnFamily::kRange, keys::RangeIdPrefix(redo.range), keys::RangeIdPrefix(redo.range + 1));
    CO_RETURN_IF_ERROR(engine_->Write(rows));
    CO_RETURN_IF_ERROR(co_await engine_->Flush(ctx));
  }
  LogBatch batch;
  CO_RETURN_IF_ERROR(CloseOlderRedos(id, redo.range, &batch));
  batch.Tombstone(redo.range, redo.next_replica);
  batch.RedoDone(id);
  co_return co_await log_->AppendAndWait(ctx, std::move(batch));
}

Task<absl::Status> Store::FinishRedos(const Context& ctx) {
  const std::map<uint64_t, std::string> open = log_->open_redos();
  for (const auto& [id, bytes] : open) {
    Redo redo;
    CO_RETURN_IF_ERROR(DecodeRedo(bytes, &redo));
    LOG_INFO("a step of a replica is finished after a restart", {"range", redo.range}, {"kind", static_cast<int>(redo.kind)}, {"index", redo.index});
    LogBatch batch;
    PROBE("a step of a replica was finished after a restart");
    switch (redo.kind) {
      case Redo::Kind::kSnapshot: CO_RETURN_IF_ERROR(FinishSnapshotRedo(id, redo, &batch)); break;
      case Redo::Kind::kSplit: CO_RETURN_IF_ERROR(FinishSplitRedo(id, redo, &batch)); break;
      case Redo::Kind::kMerge: CO_RETURN_IF_ERROR(FinishMergeRedo(id, redo, &batch)); break;
      case Redo::Kind::kDestroy: CO_RETURN_IF_ERROR(co_await FinishDestroyRedo(ctx, id, redo)); break;
    }
    if (!batch.empty()) CO_RETURN_IF_ERROR(co_await log_->AppendAndWait(ctx, std::move(batch)));
  }
  // A left side that has become a part of another range had split before.
  LogBatch done;
  for (const auto& [key, open] : open_splits_) {
    if (log_->Replica(key.first) == 0) done.RedoDone(open.redo);
  }
  std::erase_if(open_splits_, [this](const auto& open) { return log_->Replica(open.first.first) == 0; });
  if (!done.empty()) CO_RETURN_IF_ERROR(co_await log_->AppendAndWait(ctx, std::move(done)));
  co_return absl::OkStatus();
}

// ------------------------------------------------------------------------------------------------------------------ ranges

absl::Status Store::CheckRange(const LoadedRange& range, LogBatch* batch) {
  const RangeId id = range.descriptor.range_id();
  RETURN_IF_ERROR(log_->Damage(id));
  const v1::ReplicaDescriptor* replica = ReplicaOn(range.descriptor, options_.store_id);
  if (replica != nullptr) RETURN_IF_ERROR(CheckDiverged(*log_, id, replica->replica_id()));
  // One that has applied its own removal waits to be told that it is not needed any more.
  const ReplicaId mine = log_->Replica(id);
  const bool removed = mine != 0 && mine < range.descriptor.next_replica_id() && ReplicaOfId(range.descriptor, mine) == nullptr;
  if (!removed && (replica == nullptr || mine != replica->replica_id())) {
    return absl::DataLossError(StrCat("range ", id, ": the log is of replica ", log_->Replica(id), ", the state of replica ", replica ? replica->replica_id() : 0));
  }
  const RangeState& state = range.state;
  if (log_->TruncatedIndex(id) > state.applied_index || log_->LastIndex(id) < state.applied_index) {
    return absl::DataLossError(StrCat("range ", id, ": the log holds (", log_->TruncatedIndex(id), ", ", log_->LastIndex(id), "], the state is applied up to ", state.applied_index));
  }
  raft::HardState hs = log_->HardState(id);
  raft::HardState least = hs;
  if (least.term < state.applied_term) least = {.term = state.applied_term, .commit = hs.commit};
  least.commit = std::max(least.commit, state.applied_index);
  if (least != hs) batch->SetHardState(id, least);  // B3
  return absl::OkStatus();
}

Task<absl::Status> Store::LoadRanges(const Context& ctx) {
  std::vector<RangeId> ids;
  {
    auto reader = engine_->NewReader();
    auto it = reader->NewIterator({.cf = storage::ColumnFamily::kRange, .lower = keys::RangeIdSpaceStart(), .upper = keys::RangeIdSpaceEnd()});
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      auto parts = keys::DecodeRangeIdKey(it->key());
      if (parts.has_value() && parts->field == keys::RangeField::kAppliedState) ids.push_back(parts->range);
    }
    CO_RETURN_IF_ERROR(it->status());
  }
  std::vector<LoadedRange> sound;
  LogBatch batch;
  for (RangeId id : ids) {
    CO_ASSIGN_OR_RETURN(std::optional<LoadedRange> loaded, LoadRange(*engine_->NewReader(), id));
    by_start_[loaded->descriptor.start_key()] = id;
    absl::Status s = CheckRange(*loaded, &batch);
    if (s.ok()) {
      sound.push_back(*std::move(loaded));
      continue;
    }
    LOG_ERROR("a replica is damaged and takes no part", {"range", id}, {"why", s.ToString()});
    problems_[id] = s;
    PROBE("a damaged replica took no part");
    damaged_[id] = std::move(loaded->descriptor);
  }
  if (!batch.empty()) CO_RETURN_IF_ERROR(co_await log_->AppendAndWait(ctx, std::move(batch)));
  for (size_t i = 0; i < sound.size(); ++i) {
    LoadedRange& range = sound[i];
    for (const auto& r : range.descriptor.replicas()) multiraft_.AddStore(r.store_id());
    auto group = std::make_shared<RaftGroup>(&multiraft_, range.descriptor.range_id(), log_->Replica(range.descriptor.range_id()));
    multiraft_.Add(group);
    group->Initialize(std::move(range.descriptor), std::move(range.state));
    group->StartConsensus();
    gc_.Found(group->range_id());
    if (i % 64 == 63) CO_RETURN_IF_ERROR(co_await ctx.Yield());
  }
  co_return absl::OkStatus();
}

}  // namespace insula::kv
