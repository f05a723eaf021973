// How long versions are kept, and what is protected: the rows that garbage collection minds, read at one timestamp.
//
//   system ‖ 'g' ‖ "gc-ttl/" keyspace id    seconds, as decimal text: of that keyspace
//   system ‖ 'g' ‖ "gc-ttl/default"         of all others
//   system ‖ 'p' ‖ id                       protected_timestamps.h
#ifndef INSULA_KV_STORE_GC_POLICY_H_
#define INSULA_KV_STORE_GC_POLICY_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/hlc/hlc.h"
#include "base/runtime/time.h"
#include "kv/api/sender.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// A time to live below this would end transactions that do nothing wrong.
inline constexpr Duration kLeastGcTtl = std::chrono::seconds(1);

struct GcPolicy {
  Timestamp read_at;  // empty: never read
  Duration default_ttl = std::chrono::hours(4);
  std::map<uint64_t, Duration> ttl;  // by keyspace
  std::vector<v1::ProtectedTimestamp> protections;

  Duration TtlOf(const v1::RangeDescriptor& range) const;
  // Below it, nothing of the range needs to stay.
  Timestamp ThresholdOf(const v1::RangeDescriptor& range) const;
};

// `default_ttl`: where no row says otherwise. A row that does not parse is an error: nothing is collected then.
Task<absl::StatusOr<GcPolicy>> ReadGcPolicy(const Context& ctx, Sender& sender, Timestamp at, Duration default_ttl);

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_GC_POLICY_H_
