// The context of one request, passed first to everything that waits: cancellation, deadline, trace, tenant, priority.
//
//   Context ctx = Context::Background(&executor);
//   Context child = ctx.WithTimeout(2s);          // ends early when ctx does
//   absl::Status s = co_await event.Wait(child);  // OK, kCancelled or kDeadlineExceeded
//   child.Cancel();                               // everything that waits under child wakes with kCancelled
//
// A Context is a cheap handle (one reference count); copies are the same context. Cancelling reaches all descendants.
// Not thread-safe: loop thread only.
#ifndef INSULA_BASE_ASYNC_CONTEXT_H_
#define INSULA_BASE_ASYNC_CONTEXT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/async/task.h"
#include "base/runtime/executor.h"

namespace insula {

// What travels with a request from process to process.
struct RequestInfo {
  uint64_t trace_id = 0;
  uint64_t tenant_id = 0;  // 0: not on behalf of a tenant
  int priority = 0;        // higher runs first; 0 is normal
};

namespace internal {

// Something that wants to hear of a context's end. Intrusive; leaves the list when destroyed.
class CancelHook {
 public:
  CancelHook() = default;
  CancelHook(const CancelHook&) = delete;
  CancelHook& operator=(const CancelHook&) = delete;
  virtual ~CancelHook() { UnlinkHook(); }
  virtual void OnCancel(const absl::Status& why) = 0;
  void UnlinkHook() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }

 private:
  friend class ContextState;
  CancelHook* prev_ = nullptr;
  CancelHook* next_ = nullptr;
};

class ContextState;

}  // namespace internal

class Context {
 public:
  // A context without end. `executor` must outlive it.
  static Context Background(Executor* executor, RequestInfo info = {});

  Context WithCancel() const;
  Context WithTimeout(Duration timeout) const;
  Context WithDeadline(MonoTime deadline) const;
  Context WithInfo(RequestInfo info) const;

  // Ends this context and its descendants with kCancelled (or `why`). Idempotent.
  void Cancel(absl::Status why = absl::CancelledError("cancelled")) const;

  // OK while live; else why it ended.
  const absl::Status& status() const;
  bool done() const { return !status().ok(); }

  std::optional<MonoTime> deadline() const;
  const RequestInfo& info() const;
  Executor& executor() const;

  // Lets everything else that is ready run first; then says whether to go on. Call it every ~1 ms of computation.
  Task<absl::Status> Yield() const;

  // For the wait primitives: `hook` hears of the end (once). The context must be live.
  void AddHook(internal::CancelHook* hook) const;

 private:
  explicit Context(std::shared_ptr<internal::ContextState> state) : state_(std::move(state)) {}
  std::shared_ptr<internal::ContextState> state_;
};

// Waits for `duration`; OK, or why the context ended.
Task<absl::Status> Sleep(const Context& ctx, Duration duration);

}  // namespace insula

#endif  // INSULA_BASE_ASYNC_CONTEXT_H_
