// What the state engine holds of a range as a whole: its descriptor, and how far the log is applied in it.
//
// The applied state lies in the same write batch as the data that it covers, so the two never disagree.
#ifndef INSULA_KV_MULTIRAFT_RANGE_STATE_H_
#define INSULA_KV_MULTIRAFT_RANGE_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/hlc/hlc.h"
#include "kv/keys/keys.h"
#include "kv/mvcc/stats.h"
#include "kv/raft/message.h"
#include "kv/storage/engine.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// Where the log of a new range begins: as if a snapshot with this index and term had been applied.
inline constexpr uint64_t kFirstIndex = 10;
inline constexpr uint64_t kFirstTerm = 5;
inline constexpr uint32_t kDescriptorVersion = 1;

struct RangeState {
  uint64_t applied_index = 0;
  uint64_t applied_term = 0;
  uint64_t lease_index = 0;  // highest max_lease_index applied (command.h, C2)
  Timestamp lease_floor;     // the range's leases start above it, whatever the votes say: what was served before it came to be
  raft::ConfState conf;
  mvcc::Stats stats;
};
std::string EncodeRangeState(const RangeState& state);
absl::Status DecodeRangeState(std::string_view bytes, RangeState* state);

struct LoadedRange {
  v1::RangeDescriptor descriptor;
  RangeState state;
};
// nullopt: the engine holds nothing of this range.
absl::StatusOr<std::optional<LoadedRange>> LoadRange(storage::Reader& reader, RangeId range);
void PutRangeState(storage::WriteBatch* batch, RangeId range, const RangeState& state);
void PutDescriptor(storage::WriteBatch* batch, const v1::RangeDescriptor& descriptor);
// The rows that the engine holds of a range, all of them replicated: those of its id, those that follow its keys, locks, versions.
struct RowSpan {
  storage::ColumnFamily cf;
  std::string start, end;  // of the column family's own keys
};
std::vector<RowSpan> RowSpansOf(const v1::RangeDescriptor& descriptor);
RowSpan RowsOfId(RangeId range);
// Everything that follows keys in [start, end): rows that follow a key, locks, versions.
std::vector<RowSpan> RowsOfKeys(std::string_view start, std::string_view end);
// Clears RowsOfKeys(start, end).
void ClearSpan(storage::WriteBatch* batch, std::string_view start, std::string_view end);

// Whether `range` is known to have ended, from `newer` having its keys: a range keeps its first key for as long as it lives, and of two
// that have held one key the one of the higher generation did so later.
bool HasEnded(const v1::RangeDescriptor& range, const v1::RangeDescriptor& newer);

// Who takes part in `descriptor`'s range, as consensus counts them.
raft::ConfState ConfStateOf(const v1::RangeDescriptor& descriptor);
// The replica on `store`; null: none.
const v1::ReplicaDescriptor* ReplicaOn(const v1::RangeDescriptor& descriptor, StoreId store);
// The replica of that id; null: none (any more).
const v1::ReplicaDescriptor* ReplicaOfId(const v1::RangeDescriptor& descriptor, ReplicaId id);

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_RANGE_STATE_H_
