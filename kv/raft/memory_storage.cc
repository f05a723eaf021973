#include "kv/raft/memory_storage.h"

#include "base/check.h"

namespace insula::raft {

absl::StatusOr<std::vector<Entry>> MemoryStorage::Entries(uint64_t lo, uint64_t hi, uint64_t max_bytes) const {
  if (lo <= start_index_) return CompactedError();
  if (hi > LastIndex() + 1) return MissingError();
  std::vector<Entry> out;
  uint64_t size = 0;
  for (uint64_t i = lo; i < hi; ++i) {
    const Entry& e = entries_[i - start_index_ - 1];
    size += EntrySize(e);
    if (!out.empty() && size > max_bytes) break;
    out.push_back(e);
  }
  return out;
}

absl::StatusOr<uint64_t> MemoryStorage::Term(uint64_t index) const {
  if (index < start_index_) return CompactedError();
  if (index > LastIndex()) return MissingError();
  return index == start_index_ ? start_term_ : entries_[index - start_index_ - 1].term;
}

void MemoryStorage::Append(const std::vector<Entry>& entries) {
  if (entries.empty()) return;
  size_t skip = 0;
  while (skip < entries.size() && entries[skip].index <= start_index_) ++skip;  // compacted meanwhile
  if (skip == entries.size()) return;
  const uint64_t from = entries[skip].index;
  CHECK_LE(from, LastIndex() + 1) << "a gap in the log";
  entries_.resize(from - start_index_ - 1);
  entries_.insert(entries_.end(), entries.begin() + static_cast<std::ptrdiff_t>(skip), entries.end());
}

void MemoryStorage::ApplySnapshot(SnapshotPtr snapshot) {
  CHECK_GE(snapshot->metadata.index, snapshot_->metadata.index) << "an older snapshot";
  start_index_ = snapshot->metadata.index;
  start_term_ = snapshot->metadata.term;
  entries_.clear();
  snapshot_ = std::move(snapshot);
}

absl::Status MemoryStorage::Compact(uint64_t index) {
  if (index <= start_index_) return CompactedError();
  CHECK_LE(index, LastIndex()) << "compacting past the end";
  start_term_ = entries_[index - start_index_ - 1].term;
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(index - start_index_));
  start_index_ = index;
  return absl::OkStatus();
}

}  // namespace insula::raft
