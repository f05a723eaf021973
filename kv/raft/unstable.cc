#include "kv/raft/unstable.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace insula::raft {

std::optional<uint64_t> Unstable::FirstIndex() const {
  if (snapshot_) return snapshot_->metadata.index + 1;
  return std::nullopt;
}

std::optional<uint64_t> Unstable::LastIndex() const {
  if (!entries_.empty()) return end() - 1;
  if (snapshot_) return snapshot_->metadata.index;
  return std::nullopt;
}

std::optional<uint64_t> Unstable::Term(uint64_t index) const {
  if (index < offset_) {
    if (snapshot_ && snapshot_->metadata.index == index) return snapshot_->metadata.term;
    return std::nullopt;
  }
  if (index >= end()) return std::nullopt;
  return entries_[index - offset_].term;
}

std::vector<Entry> Unstable::NextEntries() const {
  return {entries_.begin() + static_cast<std::ptrdiff_t>(offset_in_progress_ - offset_), entries_.end()};
}

void Unstable::AcceptInProgress() {
  offset_in_progress_ = end();
  if (snapshot_) snapshot_in_progress_ = true;
}

void Unstable::StableTo(EntryId id) {
  // The entry may be gone (a snapshot came) or be another one (a new leader overwrote it while it was being written,
  // and storage may be behind with that): then nothing is known to be stable.
  if (id.index < offset_ || Term(id.index) != std::optional(id.term)) return;
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(id.index + 1 - offset_));
  if (entries_.empty()) entries_.shrink_to_fit();
  offset_ = id.index + 1;
  offset_in_progress_ = std::max(offset_in_progress_, offset_);
}

void Unstable::StableSnapshotTo(uint64_t index) {
  if (snapshot_ && snapshot_->metadata.index == index) {
    snapshot_ = nullptr;
    snapshot_in_progress_ = false;
  }
}

void Unstable::Restore(SnapshotPtr snapshot) {
  offset_ = offset_in_progress_ = snapshot->metadata.index + 1;
  entries_.clear();
  snapshot_ = std::move(snapshot);
  snapshot_in_progress_ = false;
}

void Unstable::TruncateAndAppend(std::vector<Entry> entries) {
  const uint64_t from = entries.front().index;
  CHECK_LE(from, end()) << "a gap in the log";
  if (from <= offset_) {
    entries_ = std::move(entries);
    offset_ = offset_in_progress_ = from;
    return;
  }
  entries_.resize(from - offset_);
  entries_.insert(entries_.end(), std::make_move_iterator(entries.begin()), std::make_move_iterator(entries.end()));
  offset_in_progress_ = std::min(offset_in_progress_, from);
}

bool Unstable::AppendTo(std::vector<Entry>* out, uint64_t lo, uint64_t hi, uint64_t* budget, bool at_least_one) const {
  CHECK(lo >= offset_ && hi <= end()) << "[" << lo << ", " << hi << ") is not in [" << offset_ << ", " << end() << ")";
  for (uint64_t i = lo; i < hi; ++i) {
    const Entry& entry = entries_[i - offset_];
    const uint64_t size = EntrySize(entry);
    if (size > *budget && !at_least_one) return false;
    *budget -= std::min(size, *budget);
    at_least_one = false;
    out->push_back(entry);
  }
  return true;
}

}  // namespace insula::raft
