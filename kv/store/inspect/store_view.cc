#include "kv/store/inspect/store_view.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "kv/replica/aborted.h"
#include "kv/replica/address.h"
#include "kv/replica/frozen.h"
#include "kv/replica/gc_threshold.h"
#include "kv/replica/removed.h"

namespace insula::kv {
namespace {

using storage::ColumnFamily;

std::string WithoutSlash(std::string dir) {
  while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
  return dir;
}

// Stores one or two folders below `dir`, as in the data folder of a local cluster.
std::vector<std::string> StoresBelow(FileSystem& files, const std::string& dir, int depth) {
  std::vector<std::string> found;
  auto names = files.List(dir);
  if (!names.ok()) return found;
  for (const std::string& name : *names) {
    const std::string below = StrCat(dir == "/" ? "" : dir, "/", name);
    auto store = files.Exists(StoreFile(below));
    if (store.ok() && *store) found.push_back(below);
    if (depth > 1) {
      for (std::string& deeper : StoresBelow(files, below, depth - 1)) found.push_back(std::move(deeper));
    }
  }
  return found;
}

}  // namespace

std::string Describe(const Redo& redo) {
  switch (redo.kind) {
    case Redo::Kind::kSnapshot: return StrCat("snapshot of range ", redo.range, " as of entry ", redo.index, ", term ", redo.term);
    case Redo::Kind::kSplit: return StrCat("split of range ", redo.range, " by entry ", redo.index, "; its right side becomes range ", redo.right);
    case Redo::Kind::kMerge: return StrCat("merge of range ", redo.right, " into range ", redo.range, redo.right_applied == 0 ? " by a snapshot" : StrCat(" by entry ", redo.index));
    case Redo::Kind::kDestroy: return StrCat("removal of the replica of range ", redo.range);
  }
  return "a step of a kind that is not known";
}

StoreView::StoreView(const Runtime& runtime, LockProbe is_locked, std::string dir)
    : is_locked_(std::move(is_locked)), dir_(WithoutSlash(std::move(dir))), files_(runtime.files), runtime_(runtime) {
  runtime_.files = &files_;
}

absl::Status StoreView::CheckFolder() {
  ASSIGN_OR_RETURN(bool exists, files_.Exists(dir_));
  if (!exists) return absl::NotFoundError(StrCat(dir_, " does not exist: name the folder of a store"));
  auto names = files_.List(dir_);
  if (absl::IsNotFound(names.status())) return absl::FailedPreconditionError(StrCat(dir_, " is a file: name the folder of a store, the one that holds the file STORE"));
  RETURN_IF_ERROR(names.status());
  ASSIGN_OR_RETURN(bool store, files_.Exists(StoreFile(dir_)));
  if (store) return absl::OkStatus();
  std::vector<std::string> below = StoresBelow(files_, dir_, 2);
  if (!below.empty()) return absl::FailedPreconditionError(StrCat(dir_, " is not a store, but holds some: name one of ", StrJoin(below, ", ")));
  return absl::FailedPreconditionError(StrCat(dir_, " holds no store (there is no file STORE in it): name the folder that a node was given as --store"));
}

absl::Status StoreView::ReadIdent() {
  ASSIGN_OR_RETURN(ident_, ReadStoreIdent(files_, dir_));
  ASSIGN_OR_RETURN(std::string text, files_.ReadFile(StoreFile(dir_)));
  constexpr std::string_view kFormat = "\nformat ";
  const size_t at = text.find(kFormat);
  if (at != std::string::npos) std::from_chars(text.data() + at + kFormat.size(), text.data() + text.size(), format_);
  return absl::OkStatus();
}

// A start of a node writes a new manifest of the state engine, so one that came and went shows too.
std::vector<std::string> StoreView::Names() {
  std::vector<std::string> out;
  for (const std::string& folder : {dir_, StoreLogDir(dir_), StoreStateDir(dir_)}) {
    auto names = files_.List(folder);
    if (!names.ok()) continue;
    for (const std::string& name : *names) out.push_back(StrCat(folder, "/", name));
  }
  return out;
}

absl::StatusOr<std::unique_ptr<StoreView>> StoreView::Open(const Runtime& runtime, LockProbe is_locked, std::string dir, const storage::RocksOptions& engine) {
  std::unique_ptr<StoreView> view(new StoreView(runtime, std::move(is_locked), std::move(dir)));
  RETURN_IF_ERROR(view->CheckFolder());
  ASSIGN_OR_RETURN(bool locked, view->is_locked_(StoreLockFile(view->dir_)));
  if (locked) return absl::UnavailableError(StrCat(view->dir_, " is in use by a node: stop that first, or ask it (insula debug node, insula debug ranges)"));
  RETURN_IF_ERROR(view->ReadIdent());
  view->names_ = view->Names();
  auto log = LogEngine::Open(view->runtime_, {.path = StoreLogDir(view->dir_), .store_id = view->ident_.store_id});
  view->log_status_ = log.status();
  if (log.ok()) view->log_ = *std::move(log);
  auto state = storage::OpenRocksView(StoreStateDir(view->dir_), engine);
  view->state_status_ = state.status();
  if (state.ok()) view->state_ = *std::move(state);
  return view;
}

absl::Status StoreView::StillUnused() {
  ASSIGN_OR_RETURN(bool locked, is_locked_(StoreLockFile(dir_)));
  if (!locked && Names() == names_) return absl::OkStatus();
  return absl::UnavailableError(StrCat("a node has opened ", dir_, " meanwhile: what is told of it here may be of different moments, and damage may be none. Stop the node and look again"));
}

std::vector<OpenRedo> StoreView::Redos() const {
  std::vector<OpenRedo> out;
  if (!log_status_.ok()) return out;
  for (const auto& [id, bytes] : log_->open_redos()) {
    OpenRedo& open = out.emplace_back();
    open.id = id;
    open.damage = DecodeRedo(bytes, &open.redo);
  }
  return out;
}

absl::StatusOr<std::vector<RangeId>> StoreView::Ranges() {
  std::set<RangeId> ids;
  if (log_status_.ok()) {
    for (RangeId id : log_->Ranges()) ids.insert(id);
  }
  if (state_status_.ok()) {
    auto reader = state_->NewReader();
    auto it = reader->NewIterator({.cf = ColumnFamily::kRange, .lower = keys::RangeIdSpaceStart(), .upper = keys::RangeIdSpaceEnd()});
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      auto parts = keys::DecodeRangeIdKey(it->key());
      if (parts.has_value() && (parts->field == keys::RangeField::kAppliedState || parts->field == keys::RangeField::kDescriptor)) ids.insert(parts->range);
    }
    RETURN_IF_ERROR(it->status());
  }
  return std::vector<RangeId>(ids.begin(), ids.end());
}

RangeView StoreView::Range(RangeId id) {
  RangeView out{.id = id};
  if (log_status_.ok()) {
    out.replica = log_->Replica(id);
    out.next_replica = log_->NextReplica(id);
    out.hard_state = log_->HardState(id);
    out.truncated_index = log_->TruncatedIndex(id);
    out.truncated_term = log_->TruncatedTerm(id);
    out.last_index = log_->LastIndex(id);
    out.entry_bytes = log_->EntryBytes(id);
    out.log_damage = log_->Damage(id);
  }
  if (state_status_.ok()) {
    auto loaded = LoadRange(*state_->NewReader(), id);
    out.state_damage = loaded.status();
    if (loaded.ok()) out.loaded = *std::move(loaded);
  }
  return out;
}

absl::StatusOr<RangeRows> StoreView::RowsOf(const v1::RangeDescriptor& range) {
  RangeRows out;
  RETURN_IF_ERROR(state_status_);
  auto reader = state_->NewReader();
  const RangeId id = range.range_id();
  ASSIGN_OR_RETURN(out.gc_threshold, LoadGcThreshold(*reader, id));
  ASSIGN_OR_RETURN(out.published, LoadPublished(*reader, id));
  ASSIGN_OR_RETURN(std::optional<Frozen> frozen, LoadFrozen(*reader, id));
  if (frozen.has_value()) out.frozen_by = frozen->merge_id;
  ASSIGN_OR_RETURN(RemovedReplicas removed, LoadRemoved(*reader, id));
  out.removed = removed.size();
  ASSIGN_OR_RETURN(AbortedTxns aborted, LoadAborted(*reader, id));
  out.aborted = aborted.size();
  auto it = reader->NewIterator({.cf = ColumnFamily::kRange, .lower = keys::AnchorSpanStart(range.start_key()), .upper = keys::AnchorSpanEnd(range.end_key())});
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    auto parts = keys::DecodeAnchorKey(it->key());
    if (!parts.has_value()) return absl::DataLossError(StrCat("range ", id, ": a row of a transaction has a key that does not parse"));
    ++(parts->field == keys::AnchorField::kTransaction ? out.records : out.outcomes);
  }
  RETURN_IF_ERROR(it->status());
  return out;
}

}  // namespace insula::kv
