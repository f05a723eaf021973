// A range that is about to be taken in by its left neighbour: it serves nothing more until it is known what became of the merge.
//
//   row  range id ‖ 'f'   version byte ‖ merge id (16 bytes) ‖ anchor
//
// The row is written by the entry that freezes the range, so that every later leaseholder knows. The merge leaves an outcome (kv/txn/record.h)
// under (anchor, merge id), in its own entry; who finds none leaves an abort in its place, and takes the row away.
#ifndef INSULA_KV_REPLICA_FROZEN_H_
#define INSULA_KV_REPLICA_FROZEN_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kv/keys/keys.h"
#include "kv/storage/engine.h"

namespace insula::kv {

inline constexpr size_t kMergeIdBytes = 16;

struct Frozen {
  std::string merge_id;
  std::string anchor;  // the left side's first key
  bool merged = false;  // in memory only: the merge is known to have happened
};

absl::StatusOr<std::optional<Frozen>> LoadFrozen(storage::Reader& reader, RangeId range);
// The row's key and value, for whoever writes it.
std::string FrozenKey(RangeId range);
std::string EncodeFrozen(const Frozen& frozen);

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_FROZEN_H_
