// Redo records: the step of a replica's life that was under way when the process ended, and how far it must have come.
//
//   step      | written before it begins                      | what start-up does if it is still open
//   ----------+-----------------------------------------------+---------------------------------------------------------
//   snapshot  | range, index, term of the snapshot            | engine holds it: reset the log to it; else forget it
//   split     | left range, index of the splitting entry,     | commit the left side up to the entry, which then splits
//             | right range                                   | again when it is applied (if the engine had lost it)
//   merge     | left range, index of the merging entry,       | engine holds it: the log forgets the right side; else commit both
//             | right range and how far it must be applied    | sides as far, and the entry merges again when it is applied
//             | (0: not by an entry, but by a snapshot)       | (not by an entry: both are as they were)
//   destroy   | range, id that its next replica may have      | clear what the engine still holds, then the log
#ifndef INSULA_KV_MULTIRAFT_REDO_H_
#define INSULA_KV_MULTIRAFT_REDO_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "kv/keys/keys.h"

namespace insula::kv {

struct Redo {
  enum class Kind : uint8_t { kSnapshot = 1, kSplit = 2, kDestroy = 3, kMerge = 4 };
  Kind kind = Kind::kSnapshot;
  RangeId range = 0;
  uint64_t index = 0;
  uint64_t term = 0;
  RangeId right = 0;           // kSplit, kMerge
  ReplicaId next_replica = 0;  // kDestroy
  uint64_t right_applied = 0;  // kMerge
};

// Of a tombstone: no replica of the range ever comes back, as the range has ended.
inline constexpr ReplicaId kNoNextReplica = ~ReplicaId{0};

std::string EncodeRedo(const Redo& redo);
absl::Status DecodeRedo(std::string_view bytes, Redo* redo);

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_REDO_H_
