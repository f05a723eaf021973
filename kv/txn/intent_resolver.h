// Cleans up after finished transactions, in the background: resolves what lies in other ranges than the record, then says when all is
// done (so that the record may go).
//
// Batched: the spans of one transaction go out together, and the sender splits them by range. At most kMaxInParallel transactions at a
// time; further ones wait their turn. A failure is not retried here for ever: whoever meets what is left resolves it.
#ifndef INSULA_KV_TXN_INTENT_RESOLVER_H_
#define INSULA_KV_TXN_INTENT_RESOLVER_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "base/async/context.h"
#include "base/async/task.h"
#include "base/async/task_group.h"
#include "base/async/wait.h"
#include "kv/api/sender.h"
#include "proto/kv/api.pb.h"

namespace insula::kv {

// Resolves what `txn` (finished, or pushed) has in `spans`, wherever they lie; large ones in steps.
Task<absl::Status> ResolveSpans(const Context& ctx, Sender& sender, v1::Transaction txn, std::vector<v1::Span> spans);

class IntentResolver {
 public:
  static constexpr size_t kMaxInParallel = 32;
  static constexpr size_t kMaxQueued = 10'000;  // beyond, what is left is left to whoever meets it

  IntentResolver(Context ctx, Sender* sender) : sender_(sender), slots_(kMaxInParallel), group_(ctx) {}

  // `done(status)` is called when all is resolved, or will not be.
  void Resolve(v1::Transaction txn, std::vector<v1::Span> spans, std::function<Task<void>(absl::Status)> done);
  // Until nothing is under way.
  Task<void> Wait() { return group_.Wait(); }
  size_t in_flight() const { return group_.size(); }

 private:
  Task<void> Run(v1::Transaction txn, std::vector<v1::Span> spans, std::function<Task<void>(absl::Status)> done);

  Sender* sender_;
  Semaphore slots_;
  TaskGroup group_;
};

}  // namespace insula::kv

#endif  // INSULA_KV_TXN_INTENT_RESOLVER_H_
