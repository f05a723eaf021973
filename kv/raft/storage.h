// What consensus reads of the log that its driver keeps.
//
//   FirstIndex()-1      FirstIndex() ...  LastIndex()
//   +----------------+------------------------------+
//   | compacted; its |  entries                     |
//   | term is known  |                              |
//   +----------------+------------------------------+
//
// Errors, told apart by code:
//   kOutOfRange   compacted: the index lies before FirstIndex()-1
//   kNotFound     not there: the index lies past LastIndex()
//   kUnavailable  a snapshot is not ready yet; ask again later
// Any other error means that the log is damaged or cannot be read, and such a replica must not take part: the driver,
// which knows what its storage said, stops it before it acts on the next Ready. Until then nothing is applied, and a
// follower is sent a snapshot in the place of what cannot be read. Term never fails so: terms are kept in memory.
//
// Thread safety: called from the thread that drives the RawNode, only inside its methods.
#ifndef INSULA_KV_RAFT_STORAGE_H_
#define INSULA_KV_RAFT_STORAGE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kv/raft/message.h"

namespace insula::raft {

struct InitialState {
  HardState hard_state;
  ConfState conf_state;  // as of Config::applied
};

class Storage {
 public:
  virtual ~Storage() = default;

  virtual absl::StatusOr<InitialState> ReadInitialState() const = 0;
  // Entries [lo, hi), as many as fit in `max_bytes` (EntrySize) but at least one.
  virtual absl::StatusOr<std::vector<Entry>> Entries(uint64_t lo, uint64_t hi, uint64_t max_bytes) const = 0;
  // Of an index in [FirstIndex()-1, LastIndex()].
  virtual absl::StatusOr<uint64_t> Term(uint64_t index) const = 0;
  virtual uint64_t FirstIndex() const = 0;
  virtual uint64_t LastIndex() const = 0;
  // The state at an applied index >= FirstIndex()-1, to be sent to `to`. May be asked for many times: cheap, or
  // kUnavailable while it is made.
  virtual absl::StatusOr<SnapshotPtr> GetSnapshot(NodeId to) = 0;
};

inline absl::Status CompactedError() { return absl::OutOfRangeError("requested index is compacted"); }
inline absl::Status MissingError() { return absl::NotFoundError("requested entry is missing"); }
inline absl::Status SnapshotNotReadyError() { return absl::UnavailableError("snapshot is not ready"); }
inline bool IsCompacted(const absl::Status& s) { return s.code() == absl::StatusCode::kOutOfRange; }
inline bool IsMissing(const absl::Status& s) { return s.code() == absl::StatusCode::kNotFound; }
inline bool IsNotReady(const absl::Status& s) { return s.code() == absl::StatusCode::kUnavailable; }

}  // namespace insula::raft

#endif  // INSULA_KV_RAFT_STORAGE_H_
