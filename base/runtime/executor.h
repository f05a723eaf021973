// The event loop that all logic of one process runs on.
//
// One thread (in the simulator: one virtual process) runs everything above base/: ready coroutines, posted functions and
// timers, each to its next wait. So logic needs no mutexes, and a process can be replayed from a seed.
//
//        wait.h primitives ──► ready list ──┐
//        Post (any thread) ─────────────────┼──► loop thread runs them one after another
//        timers ────────────────────────────┘
//        RunBlocking ──► pool thread ──► `done` posted back to the loop
#ifndef INSULA_BASE_RUNTIME_EXECUTOR_H_
#define INSULA_BASE_RUNTIME_EXECUTOR_H_

#include <coroutine>
#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "base/check.h"
#include "base/runtime/time.h"

namespace insula {

class Executor;

// A coroutine that is, or will be, ready to run. Intrusive, so that becoming ready costs no allocation and a destroyed
// frame leaves the ready list by itself.
class ReadyNode {
 public:
  ReadyNode() = default;
  ReadyNode(const ReadyNode&) = delete;
  ReadyNode& operator=(const ReadyNode&) = delete;
  ~ReadyNode() { Unlink(); }

  std::coroutine_handle<> handle;
  bool linked() const { return next_ != nullptr; }

 private:
  friend class Executor;
  void Unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }
  ReadyNode* prev_ = nullptr;
  ReadyNode* next_ = nullptr;
};

using TimerId = uint64_t;  // 0 is no timer

class Executor {
 public:
  using Function = absl::AnyInvocable<void()>;

  Executor() { ready_.prev_ = ready_.next_ = &ready_; }
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor() { ready_.prev_ = ready_.next_ = nullptr; }

  // Resumes `node->handle` on the loop, after what is ready already. Loop thread only.
  void MakeReady(ReadyNode* node) {
    DCHECK(!node->linked());
    bool was_empty = ready_.next_ == &ready_;
    node->prev_ = ready_.prev_;
    node->next_ = &ready_;
    ready_.prev_->next_ = node;
    ready_.prev_ = node;
    if (was_empty && !draining_) WakeUp();
  }

  // Runs `fn` on the loop. Any thread.
  virtual void Post(Function fn) = 0;

  // Runs `fn` on the loop at or after `when`. Loop thread only.
  virtual TimerId StartTimer(MonoTime when, Function fn) = 0;
  // Forgets a timer; no effect if it ran already. Loop thread only.
  virtual void CancelTimer(TimerId id) = 0;

  // Runs `work` off the loop (it may block), then `done` on the loop. In the simulator both run on the loop, at a later
  // virtual time. Loop thread only.
  virtual void RunBlocking(Function work, Function done) = 0;

  virtual const Clock& clock() const = 0;
  MonoTime Now() const { return clock().Mono(); }

 protected:
  // The ready list went from empty to non-empty: arrange that DrainReady runs on the loop.
  virtual void WakeUp() = 0;

  bool HasReady() const { return ready_.next_ != &ready_; }
  // Resumes ready coroutines, at most `limit`. True if some are left.
  bool DrainReady(int limit) {
    draining_ = true;
    while (HasReady() && limit-- > 0) {
      ReadyNode* node = ready_.next_;
      node->Unlink();
      node->handle.resume();
    }
    draining_ = false;
    return HasReady();
  }

 private:
  ReadyNode ready_;
  bool draining_ = false;
};

}  // namespace insula

#endif  // INSULA_BASE_RUNTIME_EXECUTOR_H_
