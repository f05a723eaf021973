// Deadlocks: cycles of transactions that wait for each other, found from the edges that waiting pushes carry.
//
//   pusher --waits for--> pushee           this push
//   pushee --> ... --> pusher              edges that lead to the pusher, as its record's leaseholder knows them
//
// Every edge of a cycle is a push somewhere, and each looks only at cycles through itself. All see the same members, choose the
// same victim (the youngest: largest first timestamp, then largest id), and the victim's own push ends with a Deadlock error.
#ifndef INSULA_KV_CONCURRENCY_DEADLOCK_H_
#define INSULA_KV_CONCURRENCY_DEADLOCK_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hlc/hlc.h"

namespace insula::kv {

struct WaitEdge {
  std::string waiter;
  Timestamp waiter_min_ts;
  std::string holder;
  auto operator<=>(const WaitEdge&) const = default;
};

// The victim of a cycle through pusher -> pushee, given edges of who else waits for whom; nullopt: no cycle.
std::optional<std::string> DeadlockVictim(const WaitEdge& push, const std::vector<WaitEdge>& edges);

// `edges` without repetitions, at most `limit` (the rest is found by other pushes).
std::vector<WaitEdge> Deduplicate(std::vector<WaitEdge> edges, size_t limit);

}  // namespace insula::kv

#endif  // INSULA_KV_CONCURRENCY_DEADLOCK_H_
