// One replica's log: storage, with the unstable part laid over it, and how far it is committed, handed out and applied.
//
//   first_index                                                          last_index
//   | <------------- storage -------------> | <------ unstable ------> |
//   |            applied <= applying <= committed                      |
//
// Invariants:
//   L1  applied <= applying <= committed <= last_index.
//   L2  Entries up to committed never change.
//   L3  An entry is handed out for application once, in order; with asynchronous storage only when it is stable here.
//   L4  (Config::synced_conf_changes with asynchronous storage) a configuration change is handed out only when a
//       commit index at or past it is durable.
//
// Thread safety: none.
#ifndef INSULA_KV_RAFT_LOG_H_
#define INSULA_KV_RAFT_LOG_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "kv/raft/config.h"
#include "kv/raft/message.h"
#include "kv/raft/storage.h"
#include "kv/raft/unstable.h"

namespace insula::raft {

class Log {
 public:
  struct Options {
    // Bytes of entries that are handed out for application and not yet reported applied.
    uint64_t max_applying_size = kNoLimit;
    // Whether entries may be applied before storage has confirmed them (synchronous storage writes first anyway).
    bool apply_unstable = true;
    bool hold_conf_changes = false;  // L4
  };

  Log(Storage* storage, LogSink* sink, Options options);

  // -- Shape --
  uint64_t FirstIndex() const;
  uint64_t LastIndex() const;
  // kOutOfRange (compacted) or kNotFound outside of [FirstIndex()-1, LastIndex()].
  absl::StatusOr<uint64_t> Term(uint64_t index) const;
  EntryId LastId() const;
  bool Matches(EntryId id) const;
  // Whether a log that ends in `other` holds everything committed that this one may hold.
  bool IsUpToDate(EntryId other) const;
  // From `lo` on, within `max_bytes` but at least one. kOutOfRange if compacted.
  absl::StatusOr<std::vector<Entry>> EntriesFrom(uint64_t lo, uint64_t max_bytes) const;
  // [lo, hi) likewise.
  absl::StatusOr<std::vector<Entry>> Slice(uint64_t lo, uint64_t hi, uint64_t max_bytes) const;

  // -- Growing --
  // A leader's entries after `previous`. The index of the last of them if the logs match at `previous`; then the commit
  // index advances to min(committed, that). Conflicting entries are replaced.
  std::optional<uint64_t> MaybeAppend(EntryId previous, std::vector<Entry> entries, uint64_t committed);
  // CHECK-fails on overwriting a committed entry. Returns the last index.
  uint64_t Append(std::vector<Entry> entries);
  // The largest index <= `index` at which this log's term is <= `term` (with that term; 0 if it is unknown): where a
  // log that has `term` at `index` could agree with this one.
  EntryId FindConflictByTerm(uint64_t index, uint64_t term) const;
  void Restore(SnapshotPtr snapshot);

  // -- Committing and applying --
  void CommitTo(uint64_t index);
  // Commits `at` if that is news and the entry there has its term.
  bool MaybeCommit(EntryId at);
  bool HasNextCommitted() const;
  std::vector<Entry> NextCommitted() const;
  // Entries up to `index`, of `size` bytes, are being applied.
  void AcceptApplying(uint64_t index, uint64_t size);
  void AppliedTo(uint64_t index, uint64_t size);
  // Only at the start, in this order: the commit index of the hard state, what the state machine holds.
  void LoadCommit(uint64_t commit);
  void LoadApplied(uint64_t applied);
  // A hard state with this commit index is durable.
  void CommitSyncedTo(uint64_t commit);
  // Configuration changes that are committed and not yet applied?
  bool HasUnappliedConfChange() const;
  // One that was handed out for application?
  bool HasConfChangeBeingApplied() const { return !conf_changes_.empty() && conf_changes_.front() <= applying_; }
  // A configuration change among the committed whose commit index is not known to be durable?
  bool HasUnsyncedConfChange() const;

  // -- Storage --
  Unstable& unstable() { return unstable_; }
  const Unstable& unstable() const { return unstable_; }
  bool HasPendingSnapshot() const { return unstable_.snapshot() != nullptr; }

  uint64_t committed() const { return committed_; }
  uint64_t applying() const { return applying_; }
  uint64_t applied() const { return applied_; }
  Storage* storage() const { return storage_; }

 private:
  // The first of `entries` that this log does not hold, as a position; size() if it holds all.
  size_t FindConflict(const std::vector<Entry>& entries) const;
  uint64_t MaxAppliable() const;
  void NoteConfChanges(const std::vector<Entry>& entries);

  Storage* storage_;
  LogSink* sink_;
  const Options options_;
  Unstable unstable_;
  uint64_t committed_ = 0;
  uint64_t applying_ = 0;
  uint64_t applied_ = 0;
  uint64_t synced_commit_ = 0;
  uint64_t applying_size_ = 0;
  bool applying_paused_ = false;
  // The indexes after applied_ that hold configuration changes. Nearly always empty.
  std::vector<uint64_t> conf_changes_;
};

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_LOG_H_
