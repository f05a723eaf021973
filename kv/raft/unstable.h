// The part of the log that its storage has not yet confirmed: a snapshot to be installed, or entries to be written, or
// both.
//
//   storage     | unstable
//   ------------+---------------------------------------------
//   ... 8  9    | 10  11  12     13  14
//               |  ^ offset      ^ offset_in_progress
//               |  being written  not yet handed out
//
// Entries may overwrite what storage holds at the same indexes (offset <= storage's last index): then those here count.
//
// Thread safety: value.
#ifndef INSULA_KV_RAFT_UNSTABLE_H_
#define INSULA_KV_RAFT_UNSTABLE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "kv/raft/message.h"

namespace insula::raft {

// An index and the term of the entry there; by log matching it names a whole prefix.
struct EntryId {
  uint64_t term = 0;
  uint64_t index = 0;

  bool operator==(const EntryId&) const = default;
};

class Unstable {
 public:
  explicit Unstable(uint64_t offset = 1) : offset_(offset), offset_in_progress_(offset) {}

  // What is known here alone.
  std::optional<uint64_t> FirstIndex() const;
  std::optional<uint64_t> LastIndex() const;
  std::optional<uint64_t> Term(uint64_t index) const;

  // Not yet handed to storage.
  std::vector<Entry> NextEntries() const;
  SnapshotPtr NextSnapshot() const { return snapshot_in_progress_ ? nullptr : snapshot_; }
  bool HasNextEntries() const { return offset_in_progress_ < end(); }
  // All that NextEntries and NextSnapshot gave is being written.
  void AcceptInProgress();

  // Storage holds the entry `id` (and those before it). Ignored if it was overwritten meanwhile.
  void StableTo(EntryId id);
  void StableSnapshotTo(uint64_t index);

  // The log is replaced by `snapshot`.
  void Restore(SnapshotPtr snapshot);
  // Everything from the first of `entries` on is replaced by them; no gap.
  void TruncateAndAppend(std::vector<Entry> entries);
  // [lo, hi), which must lie here, appended to `out` while their size stays within `*budget` (one at least if
  // `at_least_one`). False if the budget ended first.
  bool AppendTo(std::vector<Entry>* out, uint64_t lo, uint64_t hi, uint64_t* budget, bool at_least_one) const;

  uint64_t offset() const { return offset_; }
  uint64_t end() const { return offset_ + entries_.size(); }
  bool has_entries() const { return !entries_.empty(); }
  const SnapshotPtr& snapshot() const { return snapshot_; }

 private:
  SnapshotPtr snapshot_;
  bool snapshot_in_progress_ = false;
  std::vector<Entry> entries_;  // entries_[i] has index offset_ + i
  uint64_t offset_;
  uint64_t offset_in_progress_;
};

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_UNSTABLE_H_
