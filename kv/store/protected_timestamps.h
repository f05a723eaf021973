// Timestamps at which whole spans must stay readable: below one, nothing of its spans is collected as garbage.
//
//   row   system ‖ 'p' ‖ id   ProtectedTimestamp        any number of them; the oldest counts
//
//   Protect ─► the row, committed at T ─► every range of the spans: "hold" what was decided without T ─► is the timestamp still whole?
//
// Invariant: once Protect returned OK, and until Unprotect, no range of the spans has a GC threshold above the timestamp. Whoever read the
// rows at or after T knows of this one; whoever read them before is refused by the ranges, under this lease by the hold, and under
// later ones because they refuse all that was read before they began, which is after T.
// Loop thread only.
#ifndef INSULA_KV_STORE_PROTECTED_TIMESTAMPS_H_
#define INSULA_KV_STORE_PROTECTED_TIMESTAMPS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/hlc/hlc.h"
#include "kv/api/sender.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

inline constexpr uint32_t kProtectedTimestampVersion = 1;

// `id`: of the caller's choice; repeating the call with the same is harmless. `reason` is for people. kFailedPrecondition: some of what
// reads at `ts` see may be gone already; then nothing is protected.
Task<absl::Status> ProtectTimestamp(const Context& ctx, Sender& sender, std::string id, std::vector<v1::Span> spans, Timestamp ts, std::string reason);
Task<absl::Status> UnprotectTimestamp(const Context& ctx, Sender& sender, std::string id);

}  // namespace insula::kv

#endif  // INSULA_KV_STORE_PROTECTED_TIMESTAMPS_H_
