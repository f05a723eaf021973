#include "kv/raft/log.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace insula::raft {

namespace {
constexpr uint64_t kScanPage = 16 << 20;
bool IsConfChange(const Entry& e) { return e.type != EntryType::kNormal; }
}  // namespace

Log::Log(Storage* storage, LogSink* sink, Options options) : storage_(storage), sink_(sink), options_(options) {
  CHECK(storage != nullptr);
  unstable_ = Unstable(storage->LastIndex() + 1);
  committed_ = applying_ = applied_ = storage->FirstIndex() - 1;
}

void Log::LoadCommit(uint64_t commit) {
  CHECK_LE(commit, LastIndex()) << "commit index past the end: was the log lost?";
  // What was compacted was committed, even if the commit index did not reach the disk.
  committed_ = synced_commit_ = std::max(commit, committed_);
}

void Log::LoadApplied(uint64_t applied) {
  CHECK_LE(applied, LastIndex()) << "applied more than there is: was the log lost?";
  committed_ = std::max(committed_, applied);  // likewise
  if (applied > 0) AppliedTo(applied, 0);
  conf_changes_.clear();
  for (uint64_t lo = applied_ + 1; lo <= LastIndex();) {
    auto page = Slice(lo, LastIndex() + 1, kScanPage);
    if (!page.ok()) return;  // the driver stops this replica (storage.h)
    NoteConfChanges(*page);
    lo = page->back().index + 1;
  }
}

uint64_t Log::FirstIndex() const {
  if (auto first = unstable_.FirstIndex()) return *first;
  return storage_->FirstIndex();
}

uint64_t Log::LastIndex() const {
  if (auto last = unstable_.LastIndex()) return *last;
  return storage_->LastIndex();
}

absl::StatusOr<uint64_t> Log::Term(uint64_t index) const {
  if (auto term = unstable_.Term(index)) return *term;
  if (index + 1 < FirstIndex()) return CompactedError();
  if (index > LastIndex()) return MissingError();
  auto term = storage_->Term(index);
  CHECK(term.ok() || IsCompacted(term.status()) || IsMissing(term.status())) << term.status().ToString();
  return term;
}

EntryId Log::LastId() const {
  const uint64_t index = LastIndex();
  auto term = Term(index);
  CHECK(term.ok()) << "no term for the last index " << index << ": " << term.status().ToString();
  return {.term = *term, .index = index};
}

bool Log::Matches(EntryId id) const {
  auto term = Term(id.index);
  return term.ok() && *term == id.term;
}

bool Log::IsUpToDate(EntryId other) const {
  const EntryId last = LastId();
  return other.term > last.term || (other.term == last.term && other.index >= last.index);
}

absl::StatusOr<std::vector<Entry>> Log::EntriesFrom(uint64_t lo, uint64_t max_bytes) const {
  if (lo > LastIndex()) return std::vector<Entry>{};
  return Slice(lo, LastIndex() + 1, max_bytes);
}

absl::StatusOr<std::vector<Entry>> Log::Slice(uint64_t lo, uint64_t hi, uint64_t max_bytes) const {
  CHECK_LE(lo, hi);
  if (lo < FirstIndex()) return CompactedError();
  CHECK_LE(hi, LastIndex() + 1) << "slice past the end";
  std::vector<Entry> out;
  if (lo == hi) return out;
  uint64_t budget = max_bytes;
  if (lo < unstable_.offset()) {
    const uint64_t cut = std::min(hi, unstable_.offset());
    auto stored = storage_->Entries(lo, cut, max_bytes);
    if (!stored.ok()) return stored.status();
    out = std::move(*stored);
    CHECK(!out.empty() && out.front().index == lo) << "storage gave other entries than asked for";
    const uint64_t size = EntriesSize(out);
    // Storage stopped at the limit, or nothing more fits.
    if (out.size() < cut - lo || size >= max_bytes) return out;
    budget -= size;
  }
  if (hi > unstable_.offset()) unstable_.AppendTo(&out, std::max(lo, unstable_.offset()), hi, &budget, out.empty());
  return out;
}

std::optional<uint64_t> Log::MaybeAppend(EntryId previous, std::vector<Entry> entries, uint64_t committed) {
  if (!Matches(previous)) return std::nullopt;
  const uint64_t last_new = previous.index + entries.size();
  const size_t conflict = FindConflict(entries);
  if (conflict < entries.size()) {
    CHECK_GT(entries[conflict].index, committed_) << "a leader's entry conflicts with a committed one";
    entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(conflict));
    Append(std::move(entries));
  }
  CommitTo(std::min(committed, last_new));
  return last_new;
}

uint64_t Log::Append(std::vector<Entry> entries) {
  if (entries.empty()) return LastIndex();
  CHECK_GT(entries.front().index, committed_) << "overwriting committed entries";
  NoteConfChanges(entries);
  unstable_.TruncateAndAppend(std::move(entries));
  return LastIndex();
}

size_t Log::FindConflict(const std::vector<Entry>& entries) const {
  size_t i = 0;
  for (; i < entries.size(); ++i) {
    if (!Matches({entries[i].term, entries[i].index})) {
      if (entries[i].index <= LastIndex() && sink_ && sink_->Wants(LogLevel::kInfo)) {
        sink_->Line(LogLevel::kInfo, StrCat("found conflict at index ", entries[i].index,
                                            " [existing term: ", Term(entries[i].index).value_or(0),
                                            ", conflicting term: ", entries[i].term, "]"));
      }
      break;
    }
  }
  return i;
}

EntryId Log::FindConflictByTerm(uint64_t index, uint64_t term) const {
  for (; index > 0; --index) {
    auto ours = Term(index);
    if (!ours.ok()) return {.term = 0, .index = index};  // compacted, or past the end
    if (*ours <= term) return {.term = *ours, .index = index};
  }
  return {};
}

void Log::Restore(SnapshotPtr snapshot) {
  if (sink_ && sink_->Wants(LogLevel::kInfo)) {
    sink_->Line(LogLevel::kInfo, StrCat("log [committed=", committed_, ", applied=", applied_, ", applying=", applying_,
                                        "] starts to restore snapshot [index: ", snapshot->metadata.index,
                                        ", term: ", snapshot->metadata.term, "]"));
  }
  committed_ = snapshot->metadata.index;
  conf_changes_.clear();
  unstable_.Restore(std::move(snapshot));
}

void Log::CommitTo(uint64_t index) {
  if (index <= committed_) return;
  CHECK_LE(index, LastIndex()) << "commit index past the end: was the log lost?";
  committed_ = index;
}

bool Log::MaybeCommit(EntryId at) {
  // Term 0 is never elected; it would match an index past the end in an empty log.
  if (at.term == 0 || at.index <= committed_ || !Matches(at)) return false;
  CommitTo(at.index);
  return true;
}

uint64_t Log::MaxAppliable() const {
  uint64_t max = committed_;
  if (!options_.apply_unstable) max = std::min(max, unstable_.offset() - 1);
  if (options_.hold_conf_changes) {
    for (uint64_t index : conf_changes_) {
      if (index > synced_commit_) return std::min(max, index - 1);
    }
  }
  return max;
}

bool Log::HasNextCommitted() const {
  // A snapshot must be installed before anything after it.
  return !applying_paused_ && !HasPendingSnapshot() && applying_ < MaxAppliable();
}

std::vector<Entry> Log::NextCommitted() const {
  if (!HasNextCommitted()) return {};
  CHECK_LT(applying_size_, options_.max_applying_size);
  auto entries = Slice(applying_ + 1, MaxAppliable() + 1, options_.max_applying_size - applying_size_);
  if (!entries.ok()) {
    CHECK(!IsCompacted(entries.status()) && !IsMissing(entries.status())) << "unapplied entries are gone: " << entries.status().ToString();
    return {};  // the driver stops this replica (storage.h)
  }
  return std::move(*entries);
}

void Log::AcceptApplying(uint64_t index, uint64_t size) {
  CHECK_LE(index, committed_);
  applying_ = index;
  applying_size_ += size;
  // Stop when the limit is reached, and also when the next entry did not fit under it: it would come alone each time.
  applying_paused_ = applying_size_ >= options_.max_applying_size || index < MaxAppliable();
}

void Log::AppliedTo(uint64_t index, uint64_t size) {
  CHECK(index >= applied_ && index <= committed_)
      << "applied " << index << " is not in [" << applied_ << ", " << committed_ << "]";
  applied_ = index;
  applying_ = std::max(applying_, applied_);
  applying_size_ -= std::min(applying_size_, size);
  applying_paused_ = applying_size_ >= options_.max_applying_size;
  auto unapplied = std::upper_bound(conf_changes_.begin(), conf_changes_.end(), applied_);
  conf_changes_.erase(conf_changes_.begin(), unapplied);
}

void Log::CommitSyncedTo(uint64_t commit) { synced_commit_ = std::max(synced_commit_, commit); }

bool Log::HasUnappliedConfChange() const { return !conf_changes_.empty() && conf_changes_.front() <= committed_; }

bool Log::HasUnsyncedConfChange() const {
  return std::any_of(conf_changes_.begin(), conf_changes_.end(),
                     [this](uint64_t index) { return index > synced_commit_ && index <= committed_; });
}

void Log::NoteConfChanges(const std::vector<Entry>& entries) {
  while (!conf_changes_.empty() && conf_changes_.back() >= entries.front().index) conf_changes_.pop_back();
  for (const Entry& e : entries) {
    if (IsConfChange(e)) conf_changes_.push_back(e.index);
  }
}

}  // namespace insula::raft
