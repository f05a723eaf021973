// Which disk a store's number stands for.
//
// A replica's vote and log bind its store for as long as it lives. A store that lost its disk, and is made anew under its old number, has
// forgotten them: it would vote a second time, or for a log without what it once acknowledged. So each store draws a number, its
// *incarnation*, at its first start, and says it with its messages; who has heard of a store once refuses messages of another incarnation,
// and tells it, so that it stops.
//
//   own ────── drawn once, durable before the first message
//   others' ── as first heard, kept in the log with its next write
//
// What this cannot see: the folder of a store put back as it was some time ago.
#ifndef INSULA_KV_MULTIRAFT_INCARNATIONS_H_
#define INSULA_KV_MULTIRAFT_INCARNATIONS_H_

#include <cstdint>
#include <map>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/runtime/random.h"
#include "kv/keys/keys.h"
#include "kv/multiraft/log_engine.h"

namespace insula::kv {

class Incarnations {
 public:
  // Draws this store's own if its log has none yet. kDataLoss: what the log has does not parse.
  static Task<absl::Status> Draw(Context ctx, LogEngine* log, Random* random);

  // Of a log in which Draw has been.
  explicit Incarnations(LogEngine* log);

  uint64_t own() const { return own_; }
  // Whether `store` is the one that it was when it was first heard of. 0, of a program that knows of no incarnations: yes.
  bool Accept(StoreId store, uint64_t incarnation);

 private:
  LogEngine* log_;
  uint64_t own_;
  std::map<StoreId, uint64_t> others_;  // that were heard of since the start
};

}  // namespace insula::kv

#endif  // INSULA_KV_MULTIRAFT_INCARNATIONS_H_
