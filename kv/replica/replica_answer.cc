// When an answer may go out.
//
//   a writer that a reader moved up ─► commits at F, ahead of all clocks ─► the answer waits ─► this node's clock has reached F ─► told
//
// Any other node's clock is then at most the maximum offset behind F, so F is within the uncertainty interval of whoever begins there after
// having heard of the commit. The same holds for who read at F: what one reader was told, no later one may miss. Latches and locks are
// given back before the wait.
#include <algorithm>
#include <utility>

#include "base/async/wait.h"
#include "base/fault/mutation.h"
#include "base/fault/probe.h"
#include "kv/api/error.h"
#include "kv/api/request.h"
#include "kv/replica/replica.h"

namespace insula::kv {

// Up to when the answer tells of what was: commits (`settled`), reads, writes without a transaction. Intents promise nothing yet, and
// refreshing is followed by a commit that will wait.
Timestamp Replica::Acknowledged(const Work& work, Timestamp settled) {
  Timestamp ts = settled;
  for (const v1::Request& request : work.batch->requests()) {
    const uint32_t flags = FlagsOf(request);
    if ((flags & kReads) && !request.has_refresh()) ts = std::max(ts, work.ts.read);
    const bool plain = (flags & kWrites) && !(flags & (kTxnState | kInternal)) && !request.has_resolve_intent();
    if (plain && !work.has_txn) ts = std::max(ts, work.ts.write);
  }
  return ts;
}

// `applied`: the batch has changed something, so that whoever does not wait for the answer does not know it.
Task<absl::Status> Replica::AwaitClock(const Context& ctx, Timestamp ts, bool applied) {
  if (fault::On(fault::Mutation::kAnswerEarly)) co_return absl::OkStatus();
  while (true) {
    const bool gone = group_ == nullptr;
    const uint64_t now = gone ? 0 : group_->clock().Peek().micros();
    if (!gone && ts.micros() <= now) co_return absl::OkStatus();  // counters of one microsecond make no difference to the offset
    PROBE("an answer waited for the clock");
    absl::Status slept = gone ? absl::UnavailableError("the replica went away") : co_await Sleep(ctx, std::chrono::microseconds(ts.micros() - now));
    if (slept.ok()) continue;
    if (applied) co_return AmbiguousError("the batch was applied, and nobody waited for its answer");
    co_return gone ? NotLeaseholderError(0, {}) : slept;
  }
}

}  // namespace insula::kv
