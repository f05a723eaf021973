// Whose changes of the system's tables count: those of the node that leads the system range, for as long as it does.
//
//   leads under lease 7                              leads under lease 9
//   change: reads the row (7) … writes …  ──┐
//                                           │        watch: row := 9, then the full state, then changes as they come
//   commit ─────────────────────────────────┴─► refused: what it has read is no more (serializable)
//
// Invariant T1: a change that commits under one term is in every full state that is read under a later one. So whoever hears a leader's full
// state and then its changes misses none, also while the lead moves.
#ifndef INSULA_KV_SERVER_REGISTRY_TERM_H_
#define INSULA_KV_SERVER_REGISTRY_TERM_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "kv/api/txn.h"

namespace insula::kv {

class RegistryTerm {
 public:
  // `present`: the sequence of the lease of the system range that this node holds; 0: none.
  RegistryTerm(Database* database, std::function<uint64_t()> present) : database_(database), present_(std::move(present)) {}

  // First of all in each transaction that changes a table. kUnavailable: this node does not lead, or does no more.
  Task<absl::Status> Check(const Context& ctx, Txn& txn) const;
  // From here on nothing commits under an earlier term.
  Task<absl::Status> Establish(const Context& ctx) const;

 private:
  Database* database_;
  std::function<uint64_t()> present_;
};

// Whether a change that ended with `status` is known not to have happened.
bool WasRefused(const absl::Status& status);

}  // namespace insula::kv

#endif  // INSULA_KV_SERVER_REGISTRY_TERM_H_
