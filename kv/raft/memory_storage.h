// A log in memory, for tests and for groups that need not survive.
//
// Thread safety: none.
#ifndef INSULA_KV_RAFT_MEMORY_STORAGE_H_
#define INSULA_KV_RAFT_MEMORY_STORAGE_H_

#include <vector>

#include "absl/status/status.h"
#include "kv/raft/storage.h"

namespace insula::raft {

class MemoryStorage : public Storage {
 public:
  absl::StatusOr<InitialState> ReadInitialState() const override {
    return InitialState{hard_state_, snapshot_->metadata.conf_state};
  }
  absl::StatusOr<std::vector<Entry>> Entries(uint64_t lo, uint64_t hi, uint64_t max_bytes) const override;
  absl::StatusOr<uint64_t> Term(uint64_t index) const override;
  uint64_t FirstIndex() const override { return start_index_ + 1; }
  uint64_t LastIndex() const override { return start_index_ + entries_.size(); }
  absl::StatusOr<SnapshotPtr> GetSnapshot(NodeId to) override { return snapshot_; }

  void SetHardState(const HardState& state) { hard_state_ = state; }
  const HardState& hard_state() const { return hard_state_; }
  // Replaces everything from the first of `entries` on.
  void Append(const std::vector<Entry>& entries);
  // The log becomes empty, right after the snapshot.
  void ApplySnapshot(SnapshotPtr snapshot);
  // The snapshot that is given from now on; its index lies in the log.
  void CreateSnapshot(SnapshotPtr snapshot) { snapshot_ = std::move(snapshot); }
  // Forgets entries up to `index`. kOutOfRange if they are gone already.
  absl::Status Compact(uint64_t index);

 private:
  HardState hard_state_;
  SnapshotPtr snapshot_ = std::make_shared<const Snapshot>();
  uint64_t start_index_ = 0;  // of the entry before the first
  uint64_t start_term_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_MEMORY_STORAGE_H_
