// Transactions that others have aborted while they had intents in the range: what they wrote here is gone, and they are not to read on without
// it. Their coordinators hear of it with their next heartbeat; until then whoever holds the lease of those keys has to know.
//
//   row  range id ‖ 'x' ‖ transaction id   version byte ‖ when (8 bytes)
//
// Written by the entry that takes the intents away. Both sides of a split have the rows, and a merged range those of both sides.
#ifndef INSULA_KV_REPLICA_ABORTED_H_
#define INSULA_KV_REPLICA_ABORTED_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/hlc/hlc.h"
#include "base/runtime/time.h"
#include "kv/keys/keys.h"
#include "kv/storage/engine.h"

namespace insula::kv {

inline constexpr Duration kAbortedRetention = 1min;

using AbortedTxns = std::map<std::string, Timestamp, std::less<>>;  // by id: since when

std::string AbortedKey(RangeId range, std::string_view txn_id);
std::string EncodeAborted(Timestamp when);
absl::StatusOr<AbortedTxns> LoadAborted(storage::Reader& reader, RangeId range);
// What is noted at `from` is noted at `to` as well.
absl::Status CopyAborted(storage::Reader& reader, RangeId from, RangeId to, storage::WriteBatch* batch);

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_ABORTED_H_
