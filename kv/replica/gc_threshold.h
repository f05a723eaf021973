// A range's GC threshold: versions that only reads below it can see may be gone, so such reads are refused.
//
//   row  range id ‖ 'g'   version byte ‖ timestamp (8 bytes, big-endian)
//
// It only rises, in the same entry that removes the first versions under it or an earlier one.
#ifndef INSULA_KV_REPLICA_GC_THRESHOLD_H_
#define INSULA_KV_REPLICA_GC_THRESHOLD_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/hlc/hlc.h"
#include "kv/keys/keys.h"
#include "kv/storage/engine.h"

namespace insula::kv {

// Empty: nothing was ever collected.
absl::StatusOr<Timestamp> LoadGcThreshold(storage::Reader& reader, RangeId range);
// The row's key and value, for whoever writes it.
std::string GcThresholdKey(RangeId range);
std::string EncodeGcThreshold(Timestamp threshold);

}  // namespace insula::kv

#endif  // INSULA_KV_REPLICA_GC_THRESHOLD_H_
